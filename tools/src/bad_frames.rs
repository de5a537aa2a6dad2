//! Which frames were refused before the encoder, and whether they were bad.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::evaluation::Answered;

/// What became of a frame that was not refused.
const PASSED: &str = "passed";
/// Column of the poses that says what is wrong with a frame; empty for good ones.
const COLUMN: &str = "bad";

/// Counts over all frames, those from outside too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BadFrames {
    /// How many frames were refused, by kind.
    pub refused: BTreeMap<&'static str, usize>,
    /// Where the poses have a column `bad`: by its value, how many frames were refused as what, and how many `passed`.
    /// Good frames are under the word `good`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labelled: BTreeMap<String, BTreeMap<&'static str, usize>>,
}

impl BadFrames {
    /// Counts all answers; `None` where nothing was refused and nothing is labelled.
    pub fn of(answers: &[Answered]) -> Option<Self> {
        let mut counts = Self::default();
        let is_labelled = answers.iter().any(|answer| answer.columns.contains_key(COLUMN));
        for answer in answers {
            if let Some(kind) = answer.bad {
                *counts.refused.entry(kind.as_str()).or_default() += 1;
            }
            if is_labelled {
                let label = answer.columns.get(COLUMN).map_or("good", String::as_str);
                let became = answer.bad.map_or(PASSED, |kind| kind.as_str());
                *counts.labelled.entry(label.to_owned()).or_default().entry(became).or_default() += 1;
            }
        }
        (counts != Self::default()).then_some(counts)
    }

    /// For people: one line, and one more for each label.
    pub fn text(&self) -> String {
        let list = |counts: &BTreeMap<&str, usize>| {
            let words: Vec<String> = counts.iter().map(|(word, count)| format!("{word} {count}")).collect();
            if words.is_empty() { "none".to_owned() } else { words.join(", ") }
        };
        let mut text = format!("bad frames refused: {}\n", list(&self.refused));
        for (label, counts) in &self.labelled {
            text.push_str(&format!("  {label} frames: {}\n", list(counts)));
        }
        text
    }
}
