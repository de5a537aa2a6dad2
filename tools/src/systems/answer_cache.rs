//! Answers that are kept on the disk: a run that was stopped goes on, and another look at them costs nothing.
//!
//! An answer is a file of JSON, named by the digest of all that it depends on: model, text, picture, temperature, and its
//! number among several. A damaged one is asked for again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::generator::{GenerateError, Generator, Question, Written};

/// A generator whose answers are kept.
pub(super) struct Kept<G> {
    inner: G,
    folder: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    model: String,
    text: String,
    question_tokens: u64,
    answer_tokens: u64,
}

impl<G: Generator> Kept<G> {
    /// Keeps answers below `folder`.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn new(inner: G, folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { inner, folder: folder.to_owned() })
    }

    fn path(&self, question: &Question<'_>) -> PathBuf {
        let mut digest = Sha256::new();
        let picture = Sha256::digest(question.picture);
        let parts: [&[u8]; 5] = [
            self.inner.name().as_bytes(),
            question.text.as_bytes(),
            &picture,
            &question.temperature.to_bits().to_le_bytes(),
            &question.number.to_le_bytes(),
        ];
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let name: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name.get(..2).unwrap_or_default()).join(format!("{name}.json"))
    }

    fn read(path: &Path) -> Option<Written> {
        let File { text, question_tokens, answer_tokens, .. } = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some(Written { text, question_tokens, answer_tokens, cached: true })
    }

    fn keep(&self, path: &Path, written: &Written) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let mut file = NamedTempFile::new_in(folder)?;
        let Written { text, question_tokens, answer_tokens, .. } = written.clone();
        let kept = File { model: self.inner.name().to_owned(), text, question_tokens, answer_tokens };
        file.write_all(&serde_json::to_vec(&kept)?)?;
        file.persist(path)?;
        Ok(())
    }
}

impl<G: Generator> Generator for Kept<G> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn write(&self, question: &Question<'_>) -> Result<Written, GenerateError> {
        let path = self.path(question);
        if let Some(kept) = Self::read(&path) {
            return Ok(kept);
        }
        let written = self.inner.write(question)?;
        if let Err(error) = self.keep(&path, &written) {
            eprintln!("geolocate: {}: this answer cannot be kept: {error}", path.display());
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Counting(AtomicU32);

    impl Generator for Counting {
        fn name(&self) -> &str {
            "counting"
        }

        fn write(&self, question: &Question<'_>) -> Result<Written, GenerateError> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            if question.text == "bad" {
                return Err(GenerateError::Picture("none".to_owned()));
            }
            Ok(Written { text: format!("{} {number}", question.text), answer_tokens: 3, ..Written::default() })
        }
    }

    #[test]
    fn an_answer_is_asked_for_once_for_all_that_it_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(Counting(AtomicU32::new(0)), folder.path()).unwrap();
        let question = Question { text: "where", picture: b"jpeg", temperature: 0.1, number: 0 };
        let first = kept.write(&question).unwrap();
        let again = kept.write(&question).unwrap();
        assert_eq!((first.text.as_str(), first.cached), ("where 0", false));
        assert_eq!((again.text.as_str(), again.cached, again.answer_tokens), ("where 0", true, 3));
        for other in [
            Question { text: "who", ..question },
            Question { picture: b"png", ..question },
            Question { temperature: 0.2, ..question },
            Question { number: 1, ..question },
        ] {
            assert!(!kept.write(&other).unwrap().cached);
        }
        fs::write(kept.path(&question), b"{\"text\": \"whe").unwrap();
        assert!(!kept.write(&question).unwrap().cached, "a damaged answer is asked for again");
        let bad = Question { text: "bad", ..question };
        assert!(kept.write(&bad).is_err() && kept.write(&bad).is_err(), "errors are not kept");
        assert_eq!(kept.inner.0.load(Ordering::Relaxed), 8);
    }
}
