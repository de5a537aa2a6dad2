//! What a reranking may be told: the `[rerank]` section of the settings.

use serde::{Deserialize, Serialize};

use super::PosteriorOptions;

/// How comparisons are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The next pair is the one that promises most about the best candidate for its cost.
    #[default]
    Adaptive,
    /// Rounds of a tournament; winners meet winners.
    Knockout,
    /// Every pair.
    RoundRobin,
    /// Passes from the last to the first candidate; the better of two neighbours goes on.
    Bubble,
    /// Several candidates in one question.
    Listwise,
    /// One question for each candidate: is it the place?
    PointwiseYesNo,
    /// One question for each candidate: how well does it show the place?
    PointwiseScore,
    /// None: the order of retrieval stands.
    Off,
}

impl Strategy {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Adaptive,
        Self::Knockout,
        Self::RoundRobin,
        Self::Bubble,
        Self::Listwise,
        Self::PointwiseYesNo,
        Self::PointwiseScore,
        Self::Off,
    ];

    /// The word that stands in settings, messages and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Knockout => "knockout",
            Self::RoundRobin => "round_robin",
            Self::Bubble => "bubble",
            Self::Listwise => "listwise",
            Self::PointwiseYesNo => "pointwise_yes_no",
            Self::PointwiseScore => "pointwise_score",
            Self::Off => "off",
        }
    }
}

/// When a pair is compared a second time, with its candidates in the other order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondOrder {
    /// Never.
    Never,
    /// Where the first margin is small, or contradicts the retrieval.
    #[default]
    Unsure,
    /// Always.
    Always,
}

/// What is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// Each reference by itself: the one most similar to the frame need not be that of its place which shows most of it.
    #[default]
    References,
    /// Places: the heaviest reference of each stands for all that show the same place.
    Places,
}

/// Milliseconds of the comparator's answers, as measured when it was loaded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// A pair whose first candidate was not first in the answer before.
    pub pair_ms: f64,
    /// A pair whose first candidate was.
    pub pivoted_ms: f64,
    /// A question about one candidate.
    pub single_ms: f64,
    /// What each candidate adds to a question about several.
    pub list_item_ms: f64,
}

impl Default for Costs {
    /// Those of a comparator of SmolVLM-256M's shape, int8, on one core of a server's CPU: 172 ms for a pair, 92 where
    /// its first candidate stays. The others follow from the lengths of their prompts.
    fn default() -> Self {
        Self { pair_ms: 172.0, pivoted_ms: 92.0, single_ms: 92.0, list_item_ms: 74.0 }
    }
}

/// How candidates are reranked. Each field has a default; `docs/reranking-schedules.md` says where those come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RerankOptions {
    /// How comparisons are chosen.
    pub strategy: Strategy,
    /// Answers of the comparator for one frame at most, probes included. 0: the order of retrieval stands.
    pub max_comparisons: usize,
    /// Milliseconds for one frame at most, from the start of its reranking. No answer is asked for that would not come
    /// in time by what answers have cost. `None`: as long as it takes. 0: the order of retrieval stands.
    pub budget_ms: Option<u64>,
    /// Seed of the order in which candidates are presented; the digest of the frame is mixed in.
    pub seed: u64,
    /// What is compared.
    pub compare: Compare,
    /// How many references or places are compared; all others stay where the retrieval put them.
    pub top: usize,
    /// Nothing is compared where the best place is this much likelier than the next by the retrieval alone, in nats
    /// of [`super::PriorCandidate::log_weight`]. `None`: everything is compared.
    pub gate_nats: Option<f64>,
    /// Comparisons of the leader with a dissimilar reference before all others: 0, 1 or 2. When the comparator does not
    /// prefer the leader, its answers are not asked for and the order of retrieval stands.
    pub probes: usize,
    /// The mean margin that the leader must reach in the probes, in nats.
    pub probe_margin_nats: f64,
    /// When a pair is compared in the other order, too.
    pub second_order: SecondOrder,
    /// A margin below this is small, in nats.
    pub small_margin_nats: f64,
    /// `adaptive` ends when no other place is better than the leader with more than this probability, in (0, 0.5).
    pub doubt: f64,
    /// How answers and retrieval are weighed against each other.
    pub posterior: PosteriorOptions,
    /// What answers cost; set by whoever loaded the comparator, not in a file.
    #[serde(skip)]
    pub costs: Costs,
}

impl Default for RerankOptions {
    fn default() -> Self {
        Self {
            strategy: Strategy::Adaptive,
            max_comparisons: 24,
            budget_ms: Some(1500),
            seed: 0,
            compare: Compare::References,
            top: 12,
            gate_nats: Some(2.0),
            probes: 1,
            probe_margin_nats: 2.0,
            second_order: SecondOrder::Unsure,
            small_margin_nats: 1.0,
            doubt: 0.01,
            posterior: PosteriorOptions::default(),
            costs: Costs::default(),
        }
    }
}

impl RerankOptions {
    /// The first field, by its name in the `[rerank]` section, whose value cannot be worked with, and what was expected
    /// of it; `None` when all can.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let posterior = &self.posterior;
        let above_0 = |value: f64| value > 0.0 && value.is_finite();
        let checks = [
            ("top", self.top >= 2, "a whole number of 2 or more"),
            ("gate_nats", self.gate_nats.is_none_or(|gate| gate >= 0.0), "a number of 0 or more"),
            ("probes", self.probes <= 2, "0, 1 or 2"),
            ("probe_margin_nats", self.probe_margin_nats.is_finite(), "a finite number"),
            ("small_margin_nats", self.small_margin_nats >= 0.0, "a number of 0 or more"),
            ("doubt", (0.0..0.5).contains(&self.doubt), "a number from 0 to below 0.5"),
            ("posterior.prior_scale", above_0(posterior.prior_scale), "a number above 0"),
            ("posterior.prior_deviation_nats", above_0(posterior.prior_deviation_nats), "a number above 0"),
            ("posterior.perception_noise_nats", posterior.perception_noise_nats >= 0.0, "a number of 0 or more"),
            ("posterior.temperature", above_0(posterior.temperature), "a number above 0"),
            ("posterior.margin_noise_nats", above_0(posterior.margin_noise_nats), "a number above 0"),
            ("posterior.saturation_nats", above_0(posterior.saturation_nats), "a number above 0"),
            ("posterior.bias_nats", posterior.bias_nats.is_finite(), "a finite number"),
            ("posterior.bias_deviation_nats", above_0(posterior.bias_deviation_nats), "a number above 0"),
        ];
        checks.into_iter().find(|(_, holds, _)| !holds).map(|(field, _, expected)| (field, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_and_values_that_cannot_be_worked_with_are_named() {
        assert_eq!(RerankOptions::default().problem(), None);
        let posterior = PosteriorOptions { temperature: 0.0, ..PosteriorOptions::default() };
        for (options, field) in [
            (RerankOptions { top: 1, ..RerankOptions::default() }, "top"),
            (RerankOptions { probes: 3, ..RerankOptions::default() }, "probes"),
            (RerankOptions { doubt: 0.5, ..RerankOptions::default() }, "doubt"),
            (RerankOptions { small_margin_nats: f64::NAN, ..RerankOptions::default() }, "small_margin_nats"),
            (RerankOptions { gate_nats: Some(-1.0), ..RerankOptions::default() }, "gate_nats"),
            (RerankOptions { posterior, ..RerankOptions::default() }, "posterior.temperature"),
        ] {
            assert_eq!(options.problem().map(|(field, _)| field), Some(field));
        }
    }

    #[test]
    fn what_settings_do_not_say_has_its_default_and_what_nobody_knows_is_refused() {
        let options: RerankOptions = serde_json::from_str(r#"{"strategy": "knockout", "top": 4}"#).unwrap();
        assert_eq!(options, RerankOptions { strategy: Strategy::Knockout, top: 4, ..RerankOptions::default() });
        assert!(serde_json::from_str::<RerankOptions>(r#"{"costs": 1}"#).is_err());
    }
}
