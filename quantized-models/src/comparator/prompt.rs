//! Prompts as the decoder takes them: pieces that are always the same, with the numbers of their texts, places, and room
//! for a picture.

use std::collections::BTreeMap;

use super::manifest::{ComparatorManifest, DecoderSpec, ImageLayout, Positions, PromptSpec};
use super::tokens::ImageTokens;
use super::words::{Tokens, Words};
use crate::error::LoadError;

/// A piece of a prompt: what is run in one call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// Numbers of its tokens, token after token; those of the picture are left at zero.
    rows: Vec<f32>,
    width: usize,
    image_at: Option<usize>,
    /// Time, row and column of each token, from 0 on.
    pub(super) places: Vec<[i64; 3]>,
    /// How far on the next piece stands.
    pub(super) advance: i64,
}

impl Piece {
    /// How many tokens it has.
    pub(super) fn tokens(&self) -> usize {
        self.places.len()
    }

    /// The numbers of its tokens with `image` in its place.
    pub(super) fn filled(&self, image: Option<&ImageTokens>) -> Vec<f32> {
        let mut rows = self.rows.clone();
        if let (Some(at), Some(image)) = (self.image_at, image) {
            let room = rows.iter_mut().skip(at * self.width);
            room.zip(image.as_slice()).for_each(|(row, number)| *row = *number);
        }
        rows
    }

    /// Pieces with their pictures as one, which is run in one call.
    #[cfg(test)]
    pub(super) fn whole(pieces: &[(&Self, Option<&ImageTokens>)]) -> Self {
        let mut whole = Self { rows: Vec::new(), width: 0, image_at: None, places: Vec::new(), advance: 0 };
        for (piece, image) in pieces {
            whole.width = piece.width;
            whole.rows.extend(piece.filled(*image));
            whole.places.extend(piece.places.iter().map(|place| place.map(|at| at + whole.advance)));
            whole.advance += piece.advance;
        }
        whole
    }

    /// Tokens of text with these numbers.
    #[cfg(test)]
    pub(super) fn of_numbers(rows: Vec<f32>, width: usize) -> Self {
        let places: Vec<[i64; 3]> = (0_i64..).take(rows.len() / width).map(|at| [at; 3]).collect();
        let advance = places.len() as i64;
        Self { rows, width, image_at: None, places, advance }
    }

    /// `tokens` with the numbers that `embed` gives.
    pub(super) fn of(
        tokens: &Tokens,
        image: &ImageLayout,
        positions: Positions,
        embed: &mut Embed<'_>,
    ) -> Result<Self, LoadError> {
        let vocabulary = Vocabulary::of(tokens.ids.clone(), image.width, embed)?;
        Ok(Self::new(tokens, &vocabulary, image, positions))
    }

    fn new(tokens: &Tokens, vocabulary: &Vocabulary, image: &ImageLayout, positions: Positions) -> Self {
        let is_image = |at: usize| tokens.image_at.is_some_and(|start| (start..start + image.tokens).contains(&at));
        let mut rows = Vec::with_capacity(tokens.ids.len() * image.width);
        for (at, id) in tokens.ids.iter().enumerate() {
            match vocabulary.rows.get(id).filter(|_| !is_image(at)) {
                Some(row) => rows.extend_from_slice(row),
                None => rows.resize(rows.len() + image.width, 0.0),
            }
        }
        let (places, advance) = places(tokens, image, positions);
        Self { rows, width: image.width, image_at: tokens.image_at, places, advance }
    }
}

/// Where tokens stand, and where the next piece begins. A picture that has rows and columns takes as many places of the
/// text as the longer of its sides (Qwen2-VL).
fn places(tokens: &Tokens, image: &ImageLayout, positions: Positions) -> (Vec<[i64; 3]>, i64) {
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let count = tokens.ids.len();
    let (Positions::Volume, Some(start), Some([rows, columns])) = (positions, tokens.image_at, image.grid) else {
        return ((0..count).map(|at| [whole(at); 3]).collect(), whole(count));
    };
    let side = rows.max(columns);
    let place = |at: usize| match at.checked_sub(start) {
        None => [whole(at); 3],
        Some(inside) if inside < image.tokens => {
            [start, start + inside / columns.max(1), start + inside % columns.max(1)].map(whole)
        }
        Some(inside) => [whole(start + side + (inside - image.tokens)); 3],
    };
    ((0..count).map(place).collect(), whole(count - image.tokens + side))
}

/// Gives the numbers of tokens.
pub(super) type Embed<'a> = dyn FnMut(&[i64]) -> Result<Vec<f32>, LoadError> + 'a;

/// Numbers of the tokens that occur in prompts.
struct Vocabulary {
    rows: BTreeMap<u32, Vec<f32>>,
}

impl Vocabulary {
    fn of(mut ids: Vec<u32>, width: usize, embed: &mut Embed<'_>) -> Result<Self, LoadError> {
        ids.sort_unstable();
        ids.dedup();
        let numbers = embed(&ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>())?;
        let rows = numbers.chunks_exact(width).map(<[f32]>::to_vec);
        Ok(Self { rows: ids.into_iter().zip(rows).collect() })
    }
}

/// A question about candidates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prompt<P = Piece> {
    /// Which of the prefixes it begins with.
    pub(super) prefix: usize,
    pub(super) candidates: Vec<P>,
    pub(super) suffix: P,
    /// Columns of the logits of its answers.
    pub(super) columns: Vec<usize>,
    /// What each answer counts for, if it asks for a number.
    pub(super) values: Vec<f32>,
}

/// All questions that a model can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prompts<P = Piece> {
    /// Different ones; that of pairs first.
    pub(super) prefixes: Vec<P>,
    pub(super) pair: Prompt<P>,
    pub(super) yes_no: Option<Prompt<P>>,
    pub(super) score: Option<Prompt<P>>,
    pub(super) list: Option<Prompt<P>>,
}

impl Prompts {
    /// Tokenizes the prompts of `manifest`. `embed` gives the numbers of tokens, `image.width` for each.
    pub(super) fn load(manifest: &ComparatorManifest, embed: &mut Embed<'_>) -> Result<Self, LoadError> {
        let words = Words::load(manifest)?;
        let tokens = tokenized(manifest, &words)?;
        let ids = tokens.pieces().flat_map(|piece| piece.ids.iter().copied()).collect();
        let vocabulary = Vocabulary::of(ids, manifest.image().width, embed)?;
        let positions = manifest.decoder().positions;
        Ok(tokens.map(&|tokens| Piece::new(tokens, &vocabulary, manifest.image(), positions)))
    }
}

impl<P> Prompts<P> {
    fn pieces(&self) -> impl Iterator<Item = &P> {
        let prompts = std::iter::once(&self.pair).chain(&self.yes_no).chain(&self.score).chain(&self.list);
        self.prefixes.iter().chain(prompts.flat_map(|prompt| prompt.candidates.iter().chain([&prompt.suffix])))
    }

    fn map<Q>(&self, change: &dyn Fn(&P) -> Q) -> Prompts<Q> {
        let prompt = |prompt: &Prompt<P>| Prompt {
            prefix: prompt.prefix,
            candidates: prompt.candidates.iter().map(change).collect(),
            suffix: change(&prompt.suffix),
            columns: prompt.columns.clone(),
            values: prompt.values.clone(),
        };
        Prompts {
            prefixes: self.prefixes.iter().map(change).collect(),
            pair: prompt(&self.pair),
            yes_no: self.yes_no.as_ref().map(prompt),
            score: self.score.as_ref().map(prompt),
            list: self.list.as_ref().map(prompt),
        }
    }
}

fn tokenized(manifest: &ComparatorManifest, words: &Words) -> Result<Prompts<Tokens>, LoadError> {
    let mut prefixes = Vec::new();
    let specs = manifest.prompts();
    let decoder = manifest.decoder();
    let mut prompt = |spec: &PromptSpec| one(manifest, (words, decoder), spec, &mut prefixes);
    let pair = prompt(&specs.pair)?;
    let yes_no = specs.yes_no.as_ref().map(&mut prompt).transpose()?;
    let score = specs.score.as_ref().map(&mut prompt).transpose()?;
    let list = specs.list.as_ref().map(&mut prompt).transpose()?;
    Ok(Prompts { prefixes, pair, yes_no, score, list })
}

fn one(
    manifest: &ComparatorManifest,
    (words, decoder): (&Words, &DecoderSpec),
    spec: &PromptSpec,
    prefixes: &mut Vec<Tokens>,
) -> Result<Prompt<Tokens>, LoadError> {
    let key = |part: &str| format!("{}.{part}", spec.key);
    let prefix = words.piece(&key("prefix"), &spec.prefix)?;
    let candidates = spec.candidates.iter().map(|text| words.piece(&key("candidate"), text));
    let candidates = candidates.collect::<Result<Vec<_>, _>>()?;
    let suffix = words.piece(&key("suffix"), &spec.suffix)?;
    let pieces: Vec<&Tokens> = std::iter::once(&prefix).chain(&candidates).chain([&suffix]).collect();
    words.check_cuts(spec, &pieces)?;
    let column = |id: u32| match &decoder.logits_rows {
        None => Ok(id as usize),
        Some(rows) => rows.iter().position(|row| *row == id).ok_or_else(|| LoadError::Prompt {
            path: manifest.path().to_owned(),
            key: "graphs.decoder.logits_rows".to_owned(),
            expected: format!("the tokens of {}, {id} among them", key("answers")),
            found: format!("{rows:?}"),
        }),
    };
    let columns = words.answers(spec)?.into_iter().map(column).collect::<Result<_, _>>()?;
    let at = prefixes.iter().position(|before| *before == prefix).unwrap_or_else(|| {
        prefixes.push(prefix);
        prefixes.len() - 1
    });
    Ok(Prompt { prefix: at, candidates, suffix, columns, values: spec.values.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(tokens: usize, grid: Option<[usize; 2]>) -> ImageLayout {
        let [placeholder, before, after] = ["<image>", "", ""].map(str::to_owned);
        ImageLayout { tokens, width: 2, placeholder, before, after, grid, patch: None }
    }

    #[test]
    fn places_are_a_line_or_a_volume() {
        let tokens = Tokens { ids: vec![5, 9, 9, 9, 9, 9, 9, 6, 7], image_at: Some(1) };
        let (line, advance) = places(&tokens, &image(6, Some([2, 3])), Positions::Line);
        assert_eq!((line.first(), line.last(), advance), (Some(&[0; 3]), Some(&[8; 3]), 9));
        let (volume, advance) = places(&tokens, &image(6, Some([2, 3])), Positions::Volume);
        let expected =
            [[0, 0, 0], [1, 1, 1], [1, 1, 2], [1, 1, 3], [1, 2, 1], [1, 2, 2], [1, 2, 3], [4, 4, 4], [5, 5, 5]];
        assert_eq!((volume.as_slice(), advance), (expected.as_slice(), 6));
    }

    #[test]
    fn a_piece_is_filled_with_its_picture() {
        let tokens = Tokens { ids: vec![5, 9, 9, 6], image_at: Some(1) };
        let rows = [(5, vec![1.0, 2.0]), (6, vec![3.0, 4.0]), (9, vec![f32::NAN; 2])].into_iter().collect();
        let piece = Piece::new(&tokens, &Vocabulary { rows }, &image(2, None), Positions::Line);
        let picture = ImageTokens::new("vlm".into(), 2, vec![5.0, 6.0, 7.0, 8.0]);
        assert_eq!(piece.filled(Some(&picture)), [1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 3.0, 4.0]);
        assert_eq!(piece.filled(None), [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 4.0]);
        assert_eq!(piece.tokens(), 4);
    }
}
