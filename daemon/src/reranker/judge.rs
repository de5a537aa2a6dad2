//! A comparator as the judge of one frame's candidates.

use std::collections::HashMap;

use quantized_models::{Comparator, CompareError, DecodeLimits, ImageTokens, Pivot, Query, decode};

use super::tokens::TokenSource;
use crate::locate::Candidate;
use crate::locate::rerank::{Judge, Stop};

/// Prefixes with one candidate that are kept for further comparisons with it. Each takes megabytes, and a schedule that
/// saves time stays with one.
const PIVOTS: usize = 2;

/// A reference that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shown {
    Candidate(usize),
    Dissimilar(usize),
}

/// Looks at the frame when the first question comes, and at each reference when it is first asked about.
pub(super) struct ComparatorJudge<'a> {
    comparator: &'a Comparator,
    source: TokenSource<'a>,
    frame: Frame<'a>,
    candidates: &'a [&'a Candidate],
    dissimilar: &'a [Candidate],
    query: Option<Query>,
    tokens: HashMap<Shown, ImageTokens>,
    pivots: Vec<(Shown, Pivot)>,
}

/// The frame as it came, with what a picture may be at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) encoded: &'a [u8],
    pub(super) limits: &'a DecodeLimits,
}

impl<'a> ComparatorJudge<'a> {
    pub(super) fn new(
        comparator: &'a Comparator,
        source: TokenSource<'a>,
        frame: Frame<'a>,
        candidates: &'a [&'a Candidate],
        dissimilar: &'a [Candidate],
    ) -> Self {
        let (tokens, pivots) = (HashMap::new(), Vec::new());
        Self { comparator, source, frame, candidates, dissimilar, query: None, tokens, pivots }
    }

    /// The query, seen once.
    fn query(&mut self) -> Result<Query, Stop> {
        if let Some(query) = &self.query {
            return Ok(query.clone());
        }
        let picture =
            decode(self.frame.encoded, self.frame.limits).map_err(|error| Stop::Failed(format!("frame: {error}")))?;
        let tokens = self.comparator.see(&picture).map_err(stop)?;
        let query = self.comparator.begin(&tokens).map_err(stop)?;
        self.query = Some(query.clone());
        Ok(query)
    }

    fn tokens(&mut self, shown: Shown) -> Result<ImageTokens, Stop> {
        if let Some(tokens) = self.tokens.get(&shown) {
            return Ok(tokens.clone());
        }
        let reference = match shown {
            Shown::Candidate(position) => self.candidates.get(position).copied(),
            Shown::Dissimilar(position) => self.dissimilar.get(position),
        };
        let reference = reference.ok_or_else(|| Stop::Failed(format!("there is no reference {shown:?}")))?;
        let tokens = self.source.tokens(self.comparator, reference)?;
        self.tokens.insert(shown, tokens.clone());
        Ok(tokens)
    }

    fn pivot(&mut self, shown: Shown) -> Result<Pivot, Stop> {
        if let Some(at) = self.pivots.iter().position(|(kept, _)| *kept == shown) {
            let kept = self.pivots.remove(at);
            let pivot = kept.1.clone();
            self.pivots.push(kept);
            return Ok(pivot);
        }
        let query = self.query()?;
        let tokens = self.tokens(shown)?;
        let pivot = self.comparator.first(&query, &tokens).map_err(stop)?;
        // Blocks that do not see one another are worth keeping: each is one of either side.
        if !self.comparator.blocks_independent() && self.pivots.len() >= PIVOTS {
            self.pivots.remove(0);
        }
        self.pivots.push((shown, pivot.clone()));
        Ok(pivot)
    }

    fn margin(&mut self, first: Shown, second: Shown) -> Result<f32, Stop> {
        let pivot = self.pivot(first)?;
        let margin = if self.comparator.blocks_independent() {
            let second = self.pivot(second)?;
            self.comparator.pair_of_pivots(&pivot, &second)
        } else {
            let second = self.tokens(second)?;
            self.comparator.pair(&pivot, &second)
        };
        margin.map_err(stop)
    }
}

impl Judge for ComparatorJudge<'_> {
    fn prepare(&mut self) -> Result<(), Stop> {
        self.query().map(drop)
    }

    fn pair(&mut self, first: usize, second: usize) -> Result<f32, Stop> {
        self.margin(Shown::Candidate(first), Shown::Candidate(second))
    }

    fn yes_no(&mut self, candidate: usize) -> Result<f32, Stop> {
        let query = self.query()?;
        let tokens = self.tokens(Shown::Candidate(candidate))?;
        self.comparator.yes_no(&query, &tokens).map_err(stop)
    }

    fn score(&mut self, candidate: usize) -> Result<f32, Stop> {
        let query = self.query()?;
        let tokens = self.tokens(Shown::Candidate(candidate))?;
        self.comparator.score(&query, &tokens).map_err(stop)
    }

    fn list(&mut self, candidates: &[usize]) -> Result<Vec<f32>, Stop> {
        let query = self.query()?;
        let shown = candidates.iter().map(|candidate| self.tokens(Shown::Candidate(*candidate)));
        let tokens = shown.collect::<Result<Vec<ImageTokens>, Stop>>()?;
        self.comparator.list(&query, &tokens.iter().collect::<Vec<_>>()).map_err(stop)
    }

    fn list_limit(&self) -> usize {
        self.source.list_limit
    }

    fn probe(&mut self, leader: usize, dissimilar: usize, leader_first: bool) -> Result<f32, Stop> {
        let (leader, other) = (Shown::Candidate(leader), Shown::Dissimilar(dissimilar));
        if leader_first { self.margin(leader, other) } else { self.margin(other, leader).map(|margin| -margin) }
    }
}

/// Why the comparator gave no answer, as schedules know it.
pub(super) fn stop(error: CompareError) -> Stop {
    match error {
        CompareError::Stopped { .. } => Stop::Deadline,
        CompareError::NotFinite { .. } => Stop::NotFinite,
        CompareError::Unsupported { .. } => Stop::Unsupported,
        other => Stop::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_a_comparator_ends_a_reranking_for_its_reason() {
        let model = || "vlm".to_owned();
        assert_eq!(stop(CompareError::Stopped { model: model() }), Stop::Deadline);
        let not_finite = CompareError::NotFinite { model: model(), what: "logits", found: f32::NAN };
        assert_eq!(stop(not_finite), Stop::NotFinite);
        assert_eq!(stop(CompareError::Unsupported { model: model(), what: "score".to_owned() }), Stop::Unsupported);
        let other = CompareError::OtherComparator { model: model() };
        assert!(matches!(stop(other), Stop::Failed(text) if text.contains("vlm")));
    }
}
