//! From texts of the manifest to tokens: pieces with room for a picture, answers that are one token.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokenizers::Tokenizer;

use super::manifest::{ComparatorManifest, GenerateSpec, IMAGE, ImageLayout, PromptSpec};
use crate::error::LoadError;

/// A piece of a prompt as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) ids: Vec<u32>,
    /// Where the tokens of its picture begin, if it has one.
    pub(super) image_at: Option<usize>,
}

/// A tokenizer with the picture's layout in a prompt.
pub(super) struct Words {
    tokenizer: Tokenizer,
    image: ImageLayout,
    placeholder: u32,
    manifest: PathBuf,
    path: PathBuf,
}

impl Words {
    pub(super) fn load(manifest: &ComparatorManifest) -> Result<Self, LoadError> {
        let path = manifest.tokenizer().path.clone();
        let failed = |reason: String| LoadError::Tokenizer { path: path.clone(), reason };
        let bytes = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| failed(error.to_string()))?;
        // Prompts are taken as they are.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| failed(error.to_string()))?;
        let image = manifest.image().clone();
        let placeholder = tokenizer.token_to_id(&image.placeholder).ok_or_else(|| LoadError::Prompt {
            path: manifest.path().to_owned(),
            key: "image.placeholder".to_owned(),
            expected: format!("a token of {}", path.display()),
            found: format!("{:?}, which is none", image.placeholder),
        })?;
        Ok(Self { tokenizer, image, placeholder, manifest: manifest.path().to_owned(), path })
    }

    /// The tokens of `text`, with a picture where it says so.
    pub(super) fn piece(&self, key: &str, text: &str) -> Result<Tokens, LoadError> {
        let pictures = text.matches(IMAGE).count();
        self.laid_out(key, &self.expanded(text), pictures)
    }

    /// The tokens of a question with its picture. In `text`, nothing stands for anything else.
    pub(super) fn question(&self, spec: &GenerateSpec, text: &str) -> Result<Tokens, LoadError> {
        let whole = format!("{}{text}{}", self.expanded(&spec.before), self.expanded(&spec.after));
        self.laid_out("generate.prompt", &whole, 1)
    }

    /// The tokens of a text in which `pictures` pictures, one or none, are written out.
    fn laid_out(&self, key: &str, text: &str, pictures: usize) -> Result<Tokens, LoadError> {
        let ids = self.ids(text)?;
        let is_place = |id: &u32| *id == self.placeholder;
        let found = ids.iter().filter(|id| is_place(id)).count();
        let expected = if pictures > 0 { self.image.tokens } else { 0 };
        let start = ids.iter().position(is_place);
        let in_a_row = start.map_or(0, |start| ids.iter().skip(start).take_while(|id| is_place(id)).count());
        if found != expected || in_a_row != expected {
            let expected = format!("{expected} tokens {:?} in a row (image.tokens)", self.image.placeholder);
            return Err(self.refuse(key, expected, format!("{found}, {in_a_row} of them in a row")));
        }
        if ids.is_empty() {
            return Err(self.refuse(key, "at least one token".to_owned(), "none".to_owned()));
        }
        Ok(Tokens { ids, image_at: start })
    }

    /// Refuses a prompt whose pieces become other tokens one by one than all together.
    pub(super) fn check_cuts(&self, prompt: &PromptSpec, pieces: &[&Tokens]) -> Result<(), LoadError> {
        let texts = std::iter::once(&prompt.prefix).chain(&prompt.candidates).chain([&prompt.suffix]);
        let whole = self.ids(&texts.map(|text| self.expanded(text)).collect::<String>())?;
        let cut: Vec<u32> = pieces.iter().flat_map(|piece| piece.ids.iter().copied()).collect();
        if whole == cut {
            return Ok(());
        }
        let at = whole.iter().zip(&cut).take_while(|(whole, cut)| whole == cut).count();
        let name = |ids: &[u32]| ids.get(at).and_then(|id| self.tokenizer.id_to_token(*id)).unwrap_or_default();
        let expected = format!("cuts that leave tokens whole: token {at} of the whole prompt is {:?}", name(&whole));
        Err(self.refuse(prompt.key, expected, format!("{:?} of the pieces", name(&cut))))
    }

    /// The token of each answer.
    pub(super) fn answers(&self, prompt: &PromptSpec) -> Result<Vec<u32>, LoadError> {
        let key = format!("{}.answers", prompt.key);
        let mut ids = Vec::new();
        for answer in &prompt.answers {
            let found = self.ids(answer)?;
            let [id] = found.as_slice() else {
                let names: Vec<String> = found.iter().filter_map(|id| self.tokenizer.id_to_token(*id)).collect();
                let found = format!("{answer:?}, which is {}: {names:?}", found.len());
                return Err(self.refuse(&key, "answers of one token each".to_owned(), found));
            };
            if !self.says(*id, answer) {
                let token = self.tokenizer.id_to_token(*id).unwrap_or_default();
                let expected = format!("answers that are tokens of {}", self.path.display());
                return Err(self.refuse(&key, expected, format!("{answer:?}, which becomes {token:?}")));
            }
            ids.push(*id);
        }
        if ids.iter().collect::<BTreeSet<_>>().len() == ids.len() {
            return Ok(ids);
        }
        Err(self.refuse(&key, "answers of different tokens".to_owned(), format!("{ids:?}")))
    }

    /// The tokens that end an answer.
    pub(super) fn stops(&self, spec: &GenerateSpec) -> Result<Vec<u32>, LoadError> {
        let id = |text: &String| {
            let expected = || format!("tokens of {}", self.path.display());
            self.tokenizer
                .token_to_id(text)
                .ok_or_else(|| self.refuse("generate.stop", expected(), format!("{text:?}, which is none")))
        };
        spec.stop.iter().map(id).collect()
    }

    /// How many numbers tokens can have: one more than the largest that is one.
    pub(super) fn count(&self) -> usize {
        self.tokenizer.get_vocab(true).values().max().map_or(0, |most| *most as usize + 1)
    }

    /// The text of tokens, without marks of turns and the like.
    pub(super) fn text(&self, ids: &[u32]) -> Result<String, LoadError> {
        let failed = |reason: String| LoadError::Tokenizer { path: self.path.clone(), reason };
        self.tokenizer.decode(ids, true).map_err(|error| failed(error.to_string()))
    }

    /// Whether a token is a text, and not what the tokenizer puts in the place of texts that it does not know.
    fn says(&self, id: u32, text: &str) -> bool {
        let decoded = self.tokenizer.decode(&[id], false).unwrap_or_default();
        let token = self.tokenizer.id_to_token(id).unwrap_or_default();
        decoded.trim() == text.trim() || token == text
    }

    fn expanded(&self, text: &str) -> String {
        let ImageLayout { before, placeholder, tokens, after, .. } = &self.image;
        text.replace(IMAGE, &format!("{before}{}{after}", placeholder.repeat(*tokens)))
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>, LoadError> {
        let failed = |reason: String| LoadError::Tokenizer { path: self.path.clone(), reason };
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| failed(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn refuse(&self, key: &str, expected: String, found: String) -> LoadError {
        LoadError::Prompt { path: self.manifest.clone(), key: key.to_owned(), expected, found }
    }
}
