//! What may still be asked of the judge, and what it has answered.

use std::time::Duration;

use super::posterior::Posterior;
use super::presentation::Presentation;
use super::prior::Items;
use super::{Answer, Comparison, Judge, RerankOptions, SecondOrder, Stop};

/// What a question costs to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pair,
    Pivoted,
    Single,
    List(usize),
}

/// A mean that starts from what was measured before.
#[derive(Debug, Clone, Copy)]
struct Cost {
    sum_ms: f64,
    weight: f64,
}

impl Cost {
    fn new(expected_ms: f64) -> Self {
        Self { sum_ms: expected_ms, weight: 1.0 }
    }

    fn ms(self) -> f64 {
        self.sum_ms / self.weight
    }

    fn measured(&mut self, ms: f64) {
        self.sum_ms += ms;
        self.weight += 1.0;
    }
}

/// The questions about one frame. What is compared, a reference or a place, is called a place here, and is numbered by its
/// rank in the retrieval.
pub(super) struct Questions<'a> {
    judge: &'a mut dyn Judge,
    elapsed: &'a dyn Fn() -> Duration,
    pub(super) options: &'a RerankOptions,
    pub(super) presentation: Presentation,
    /// The candidate that stands for each place.
    places: Vec<usize>,
    /// What is known of the places.
    pub(super) posterior: Posterior,
    /// Pairs of places with their margins, in the order in which they were asked.
    pub(super) asked: Vec<(usize, usize, f64)>,
    /// Margin of each ordered pair of places, row by row, where it was compared.
    margins: Vec<Option<f64>>,
    pub(super) answers: Vec<Answer>,
    pub(super) calls: usize,
    /// The place that was first in the last question, if that was about a pair.
    pivot: Option<usize>,
    pair_cost: Cost,
    pivoted_cost: Cost,
    single_cost: Cost,
    list_item_cost: Cost,
}

impl<'a> Questions<'a> {
    /// Questions about the places that are compared.
    pub(super) fn new(
        items: &Items,
        judge: &'a mut dyn Judge,
        elapsed: &'a dyn Fn() -> Duration,
        options: &'a RerankOptions,
        frame_digest: u64,
    ) -> Self {
        let costs = options.costs;
        let (places, log_weights): (Vec<usize>, Vec<f64>) = items.compared().iter().copied().unzip();
        Self {
            judge,
            elapsed,
            options,
            presentation: Presentation::new(options.seed, frame_digest),
            places,
            posterior: Posterior::new(&log_weights, options.posterior),
            asked: Vec::new(),
            margins: vec![None; log_weights.len() * log_weights.len()],
            answers: Vec::new(),
            calls: 0,
            pivot: None,
            pair_cost: Cost::new(costs.pair_ms),
            pivoted_cost: Cost::new(costs.pivoted_ms),
            single_cost: Cost::new(costs.single_ms),
            list_item_cost: Cost::new(costs.list_item_ms),
        }
    }

    /// Has the judge look at the frame.
    pub(super) fn prepare(&mut self) -> Result<(), Stop> {
        self.judge.prepare()
    }

    /// How many places may be asked about.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Compares two places in this order. A pair that was compared in this order before is not asked again.
    pub(super) fn compare(&mut self, first: usize, second: usize) -> Result<f64, Stop> {
        if let Some(margin) = self.known(first, second) {
            return Ok(margin);
        }
        let (a, b) = (self.candidate(first)?, self.candidate(second)?);
        let kind = if self.pivot == Some(first) { Kind::Pivoted } else { Kind::Pair };
        let margin = f64::from(self.ask(kind, |judge| judge.pair(a, b))?);
        self.pivot = Some(first);
        self.asked.push((first, second, margin));
        finite(margin)?;
        let count = self.count();
        if let Some(cell) = self.margins.get_mut(first * count + second) {
            *cell = Some(margin);
        }
        self.posterior.observe(first, second, margin);
        Ok(margin)
    }

    /// Compares two places as the settings say, in one order or in both, and returns the margin of `a` without the
    /// position bias as far as it is known.
    pub(super) fn settle(&mut self, a: usize, b: usize) -> Result<f64, Stop> {
        let (first, second) = if self.presentation.first(a, b) { (a, b) } else { (b, a) };
        let margin = self.compare(first, second)?;
        if self.wants_second_order(first, second, margin) {
            self.compare(second, first)?;
        }
        Ok(self.margin_of(a, b))
    }

    /// Whether a pair with this margin is to be compared in the other order, too.
    pub(super) fn wants_second_order(&self, first: usize, second: usize, margin: f64) -> bool {
        match self.options.second_order {
            SecondOrder::Never => false,
            SecondOrder::Always => true,
            SecondOrder::Unsure => {
                // Places are numbered by their rank: the lower number is the retrieval's choice.
                let contradicts = (margin > 0.0) != (first < second);
                margin.abs() < self.options.small_margin_nats || contradicts
            }
        }
    }

    /// The margin of `a` over `b` from the orders in which they were compared, 0 where they were not.
    fn margin_of(&self, a: usize, b: usize) -> f64 {
        match (self.known(a, b), self.known(b, a)) {
            (Some(forward), Some(backward)) => (forward - backward) / 2.0,
            (Some(forward), None) => forward - self.bias(),
            (None, Some(backward)) => self.bias() - backward,
            (None, None) => 0.0,
        }
    }

    /// Position bias of a margin: the mean over the pairs that were compared in both orders, drawn towards what is
    /// expected as if one more such pair had shown that.
    fn bias(&self) -> f64 {
        let expected = self.options.posterior.bias_nats * self.options.posterior.temperature;
        let both = self.asked.iter().filter(|(first, second, _)| first < second);
        let sums = both.filter_map(|&(first, second, margin)| Some(margin + self.known(second, first)?));
        let (sum, count) = sums.fold((expected, 1.0), |(sum, count), both| (sum + both / 2.0, count + 1.0));
        sum / count
    }

    /// The margin of a pair that was compared in this order.
    pub(super) fn known(&self, first: usize, second: usize) -> Option<f64> {
        self.margins.get(first * self.count() + second).copied().flatten()
    }

    /// What the judge makes of one place: the logit of "yes".
    pub(super) fn yes_no(&mut self, place: usize) -> Result<f64, Stop> {
        let candidate = self.candidate(place)?;
        let value = self.ask(Kind::Single, |judge| judge.yes_no(candidate))?;
        self.answered(candidate, value)
    }

    /// What the judge makes of one place: a score.
    pub(super) fn score(&mut self, place: usize) -> Result<f64, Stop> {
        let candidate = self.candidate(place)?;
        let value = self.ask(Kind::Single, |judge| judge.score(candidate))?;
        self.answered(candidate, value)
    }

    /// How many places one question may be about.
    pub(super) fn list_limit(&self) -> usize {
        self.judge.list_limit()
    }

    /// Logits of several places, shown in this order.
    pub(super) fn list(&mut self, places: &[usize]) -> Result<Vec<f64>, Stop> {
        let candidates = places.iter().map(|&place| self.candidate(place)).collect::<Result<Vec<_>, _>>()?;
        let values = self.ask(Kind::List(places.len()), |judge| judge.list(&candidates))?;
        if values.len() != candidates.len() {
            let (expected, found) = (candidates.len(), values.len());
            return Err(Stop::Failed(format!("asked about {expected} candidates, answered about {found}")));
        }
        candidates.iter().zip(values).map(|(&candidate, value)| self.answered(candidate, value)).collect()
    }

    /// The margin of the leader over a dissimilar reference.
    pub(super) fn probe(&mut self, dissimilar: usize, leader_first: bool) -> Result<f32, Stop> {
        let leader = self.candidate(0)?;
        let margin = self.ask(Kind::Pair, |judge| judge.probe(leader, dissimilar, leader_first))?;
        self.pivot = leader_first.then_some(0);
        finite(f64::from(margin))?;
        Ok(margin)
    }

    /// What the next comparison is taken to cost in milliseconds when `first` is shown first: as stated, not as measured,
    /// so that the choice of pairs does not depend on how busy the machine is.
    pub(super) fn pair_ms(&self, first: usize) -> f64 {
        let costs = &self.options.costs;
        if self.pivot == Some(first) { costs.pivoted_ms } else { costs.pair_ms }
    }

    /// Whether this place was first in the last comparison.
    pub(super) fn is_pivot(&self, place: usize) -> bool {
        self.pivot == Some(place)
    }

    /// Whether the judge has said anything about the places.
    pub(super) fn has_answers(&self) -> bool {
        !(self.asked.is_empty() && self.answers.is_empty())
    }

    /// How many comparisons are allowed yet.
    pub(super) fn left(&self) -> usize {
        self.options.max_comparisons.saturating_sub(self.calls)
    }

    /// The comparisons as they were made, by candidates.
    pub(super) fn comparisons(&self) -> Vec<Comparison> {
        let named = self.asked.iter().filter_map(|&(first, second, margin)| {
            #[expect(clippy::cast_possible_truncation, reason = "it came from a number of this width")]
            let margin = margin as f32;
            Some(Comparison { first: *self.places.get(first)?, second: *self.places.get(second)?, margin })
        });
        named.collect()
    }

    fn candidate(&self, place: usize) -> Result<usize, Stop> {
        self.places.get(place).copied().ok_or_else(|| Stop::Failed(format!("there is no place of number {place}")))
    }

    fn answered(&mut self, candidate: usize, value: f32) -> Result<f64, Stop> {
        self.answers.push(Answer { candidate, value });
        finite(f64::from(value))
    }

    /// Asks, if the budget has room for it.
    fn ask<T>(&mut self, kind: Kind, question: impl FnOnce(&mut dyn Judge) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.left() == 0 {
            return Err(Stop::Budget);
        }
        let before_ms = self.elapsed_ms();
        let budget_ms = self.options.budget_ms.map_or(f64::INFINITY, |budget_ms| budget_ms as f64);
        if before_ms + self.expected_ms(kind) > budget_ms {
            return Err(Stop::Deadline);
        }
        self.calls += 1;
        let answer = question(self.judge)?;
        let spent_ms = self.elapsed_ms() - before_ms;
        match kind {
            Kind::Pair => self.pair_cost.measured(spent_ms),
            Kind::Pivoted => self.pivoted_cost.measured(spent_ms),
            Kind::Single => self.single_cost.measured(spent_ms),
            Kind::List(length) => self.list_item_cost.measured(spent_ms / length.max(1) as f64),
        }
        Ok(answer)
    }

    fn expected_ms(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Pair => self.pair_cost.ms(),
            Kind::Pivoted => self.pivoted_cost.ms(),
            Kind::Single => self.single_cost.ms(),
            Kind::List(length) => self.list_item_cost.ms() * length as f64,
        }
    }

    fn elapsed_ms(&self) -> f64 {
        (self.elapsed)().as_secs_f64() * 1e3
    }
}

fn finite(value: f64) -> Result<f64, Stop> {
    if value.is_finite() { Ok(value) } else { Err(Stop::NotFinite) }
}
