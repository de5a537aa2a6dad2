//! The decoder: a piece of a prompt on the keys and values of what went before.

use super::error::CompareError;
use super::manifest::{DecoderSpec, Positions};
use super::prompt::Piece;
use super::stopper::Stopper;
use super::tokens::ImageTokens;
use crate::network::{Axes, End, Failure, Input, Kept, Kind, Network, NetworkEnds, Numbers};

/// Keys and values of tokens, of every layer.
#[derive(Debug)]
pub(super) struct Past {
    /// Key and value of the first layer, of the second, and so on; `[1, heads, tokens, head size]`.
    kept: Vec<Kept>,
    tokens: usize,
    /// Where the next token stands.
    pub(super) next: i64,
}

impl Past {
    /// Numbers of the first layer's keys.
    #[cfg(test)]
    pub(super) fn first_numbers(&self) -> Vec<f32> {
        self.kept.first().and_then(|kept| kept.floats().ok()).unwrap_or_default().to_vec()
    }
}

/// A piece that is to be run.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) piece: &'a Piece,
    pub(super) image: Option<&'a ImageTokens>,
    /// Where its first token stands.
    pub(super) at: i64,
}

/// A loaded decoder.
pub(super) struct Decoder {
    pub(super) network: Box<dyn Network>,
    spec: DecoderSpec,
    width: usize,
    model: String,
}

impl Decoder {
    pub(super) fn new(network: Box<dyn Network>, spec: &DecoderSpec, width: usize, model: &str) -> Self {
        Self { network, spec: spec.clone(), width, model: model.to_owned() }
    }

    /// What the graph must take and give.
    pub(super) fn ends(spec: &DecoderSpec, width: usize) -> NetworkEnds {
        let mut inputs = vec![End::new(&spec.embeddings, &[Kind::F32], vec![Some(1), None, Some(width)])];
        inputs.extend(spec.attention_mask.as_ref().map(|name| End::new(name, &[Kind::I64], vec![Some(1), None])));
        let axes = match spec.positions {
            Positions::Line => vec![Some(1), None],
            Positions::Volume => vec![Some(3), Some(1), None],
        };
        inputs.extend(spec.position_ids.as_ref().map(|name| End::new(name, &[Kind::I64], axes)));
        inputs.extend(spec.logits_to_keep.as_ref().map(|name| End {
            name: name.clone(),
            kinds: &[Kind::I64],
            axes: Axes::Product(1),
        }));
        inputs.extend(spec.use_cache_branch.as_ref().map(|name| End::new(name, &[Kind::Bool], vec![Some(1)])));
        let kept =
            |name: &String| End::new(name, &[Kind::F32], vec![Some(1), Some(spec.heads), None, Some(spec.head_size)]);
        inputs.extend(spec.past.iter().map(kept));
        let columns = spec.logits_rows.as_ref().map(Vec::len);
        let mut outputs = vec![End::new(&spec.logits, &[Kind::F32], vec![Some(1), None, columns])];
        outputs.extend(spec.present.iter().map(kept));
        NetworkEnds { inputs, outputs }
    }

    /// No tokens yet.
    pub(super) fn nothing(&self) -> Past {
        let empty = |_: &String| Kept::Own { shape: self.shape(0), numbers: Vec::new() };
        Past { kept: self.spec.past.iter().map(empty).collect(), tokens: 0, next: 0 }
    }

    /// The past with a piece more.
    pub(super) fn extend(&self, past: &Past, turn: Turn<'_>, stopper: &Stopper) -> Result<Past, CompareError> {
        let mut outputs = self.run(past, turn, stopper)?;
        let kept = outputs.split_off(1);
        self.grown(past, turn, kept)
    }

    /// The past with a piece more, and the logits of the whole vocabulary after its last token.
    pub(super) fn step(
        &self,
        past: &Past,
        turn: Turn<'_>,
        stopper: &Stopper,
    ) -> Result<(Vec<f32>, Past), CompareError> {
        let mut outputs = self.run(past, turn, stopper)?;
        let kept = outputs.split_off(1);
        let row = self.last(&outputs, turn, 1)?.to_vec();
        self.check_finite(&row)?;
        Ok((row, self.grown(past, turn, kept)?))
    }

    /// The past with the keys and values that a run gave.
    fn grown(&self, past: &Past, turn: Turn<'_>, kept: Vec<Kept>) -> Result<Past, CompareError> {
        let tokens = past.tokens + turn.piece.tokens();
        let expected = self.shape(tokens);
        for (name, kept) in self.spec.present.iter().zip(&kept) {
            self.check(name, &expected, kept)?;
        }
        Ok(Past { kept, tokens, next: turn.at + turn.piece.advance })
    }

    /// The logits of `columns` after the last token of a piece.
    pub(super) fn logits(
        &self,
        past: &Past,
        turn: Turn<'_>,
        columns: &[usize],
        stopper: &Stopper,
    ) -> Result<Vec<f32>, CompareError> {
        let outputs = self.run(past, turn, stopper)?;
        let least = columns.iter().max().map_or(0, |most| most + 1);
        let row = self.last(&outputs, turn, least)?;
        let picked: Vec<f32> = columns.iter().filter_map(|&column| row.get(column).copied()).collect();
        self.check_finite(&picked)?;
        Ok(picked)
    }

    /// The logits after the last token of a run, which must have `least` columns.
    fn last<'a>(&self, outputs: &'a [Kept], turn: Turn<'_>, least: usize) -> Result<&'a [f32], CompareError> {
        let Some(logits) = outputs.first() else { return Err(self.failed("it gave no logits")) };
        let shape = logits.shape();
        let width = shape.last().copied().unwrap_or(0);
        let has_room = width >= least && self.spec.logits_rows.as_ref().is_none_or(|rows| rows.len() == width);
        if !has_room || shape.iter().product::<usize>() == 0 {
            let expected = vec![1, turn.piece.tokens(), self.spec.logits_rows.as_ref().map_or(least, Vec::len)];
            let (model, output) = (self.model.clone(), self.spec.logits.clone());
            return Err(CompareError::Shape { model, output, expected, found: shape });
        }
        let all = logits.floats().map_err(|reason| self.failed(&reason))?;
        Ok(all.rchunks(width).next().unwrap_or(&[]))
    }

    fn check_finite(&self, logits: &[f32]) -> Result<(), CompareError> {
        match logits.iter().find(|logit| !logit.is_finite()) {
            Some(&found) => Err(CompareError::NotFinite { model: self.model.clone(), what: "logits", found }),
            None => Ok(()),
        }
    }

    /// The last `tokens` of a past, alone.
    pub(super) fn tail(&self, past: &Past, tokens: usize) -> Result<Past, CompareError> {
        let block = |kept: &Kept| {
            let numbers = kept.floats().map_err(|reason| self.failed(&reason))?;
            let heads = numbers.chunks_exact((past.tokens * self.spec.head_size).max(1));
            let tail = heads.flat_map(|head| head.rchunks(tokens * self.spec.head_size).next().unwrap_or(&[]));
            Ok(Kept::Own { shape: self.shape(tokens), numbers: tail.copied().collect() })
        };
        let kept = past.kept.iter().map(block).collect::<Result<_, CompareError>>()?;
        Ok(Past { kept, tokens, next: past.next })
    }

    /// One past after the other; what follows stands where it stands after the last.
    pub(super) fn join(&self, pasts: &[&Past]) -> Result<Past, CompareError> {
        let tokens = pasts.iter().map(|past| past.tokens).sum();
        let mut kept = Vec::with_capacity(self.spec.past.len());
        for at in 0..self.spec.past.len() {
            let parts = pasts.iter().filter_map(|past| Some((past.tokens, past.kept.get(at)?)));
            let parts = parts.map(|(tokens, kept)| Ok((tokens * self.spec.head_size, kept.floats()?)));
            let parts = parts.collect::<Result<Vec<_>, String>>().map_err(|reason| self.failed(&reason))?;
            let mut numbers = Vec::with_capacity(tokens * self.spec.heads * self.spec.head_size);
            for head in 0..self.spec.heads {
                for (length, all) in &parts {
                    numbers.extend_from_slice(all.get(head * length..(head + 1) * length).unwrap_or(&[]));
                }
            }
            kept.push(Kept::Own { shape: self.shape(tokens), numbers });
        }
        Ok(Past { kept, tokens, next: pasts.last().map_or(0, |past| past.next) })
    }

    /// A past of these numbers in every key and value.
    #[cfg(test)]
    pub(super) fn of_numbers(&self, tokens: usize, numbers: &[f32]) -> Past {
        let kept = |_: &String| Kept::Own { shape: self.shape(tokens), numbers: numbers.to_vec() };
        Past { kept: self.spec.past.iter().map(kept).collect(), tokens, next: tokens as i64 }
    }

    /// Memory of a past in bytes.
    pub(super) fn bytes(&self, past: &Past) -> usize {
        past.kept.len() * self.spec.heads * past.tokens * self.spec.head_size * size_of::<f32>()
    }

    fn shape(&self, tokens: usize) -> Vec<usize> {
        vec![1, self.spec.heads, tokens, self.spec.head_size]
    }

    /// All outputs: logits, then keys and values.
    fn run(&self, past: &Past, turn: Turn<'_>, stopper: &Stopper) -> Result<Vec<Kept>, CompareError> {
        let spec = &self.spec;
        let tokens = turn.piece.tokens();
        let rows = turn.piece.filled(turn.image);
        let mask = vec![1_i64; past.tokens + tokens];
        let (places, places_shape) = self.places(turn);
        let has_past = [past.tokens > 0];
        let input = |name, shape: &[usize], numbers| Input { name, shape: shape.to_vec(), numbers };
        let mut inputs = Vec::with_capacity(spec.past.len() + 5);
        inputs.push(input(spec.embeddings.as_str(), &[1, tokens, self.width], Numbers::F32(&rows)));
        let mask = spec.attention_mask.as_ref().map(|name| input(name, &[1, mask.len()], Numbers::I64(&mask)));
        inputs.extend(mask);
        inputs.extend(spec.position_ids.as_ref().map(|name| input(name, &places_shape, Numbers::I64(&places))));
        inputs.extend(spec.logits_to_keep.as_ref().map(|name| input(name, &[], Numbers::I64(&[1]))));
        inputs.extend(spec.use_cache_branch.as_ref().map(|name| input(name, &[1], Numbers::Bool(&has_past))));
        inputs.extend(spec.past.iter().zip(&past.kept).map(|(name, kept)| input(name, &[], Numbers::Kept(kept))));
        let outputs = self.network.run(&inputs, stopper).map_err(|failure| self.error(failure))?;
        if outputs.len() == spec.present.len() + 1 {
            return Ok(outputs);
        }
        Err(self.failed("it gave another number of outputs"))
    }

    /// Positions of a piece's tokens, and the axes of the input that takes them.
    fn places(&self, turn: Turn<'_>) -> (Vec<i64>, Vec<usize>) {
        let axis = |axis: usize| {
            let places = turn.piece.places.iter();
            places.map(move |place| turn.at + place.get(axis).copied().unwrap_or_default())
        };
        let tokens = turn.piece.tokens();
        match self.spec.positions {
            Positions::Line => (axis(0).collect(), vec![1, tokens]),
            Positions::Volume => ((0..3).flat_map(axis).collect(), vec![3, 1, tokens]),
        }
    }

    fn check(&self, output: &str, expected: &[usize], kept: &Kept) -> Result<(), CompareError> {
        let found = kept.shape();
        if found == expected {
            return Ok(());
        }
        let (model, output, expected) = (self.model.clone(), output.to_owned(), expected.to_vec());
        Err(CompareError::Shape { model, output, expected, found })
    }

    fn error(&self, failure: Failure) -> CompareError {
        match failure {
            Failure::Stopped => CompareError::Stopped { model: self.model.clone() },
            Failure::Runtime(reason) => self.failed(&reason),
        }
    }

    fn failed(&self, reason: &str) -> CompareError {
        CompareError::Runtime {
            model: self.model.clone(),
            runtime: self.network.info().label(),
            graph: "decoder",
            reason: reason.to_owned(),
        }
    }
}
