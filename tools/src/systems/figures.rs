//! Figures of answers that a generator wrote.

use std::collections::BTreeMap;
use std::fmt::Write;

use geolocated::generator::PromptOptions;
use serde::Serialize;

use super::aggregate::spread_m;
use super::geodesy::geodesic_m;
use super::neighbours::Neighbours;
use super::questions::{Answer, Asked, Place, Tokens, counts};
use crate::bootstrap;
use crate::evaluation::Query;
use crate::metrics::{Ordered, Threshold, quantile, share};

/// An answer so near a coordinate of the prompt is a copy of it, metres.
const COPY_M: f64 = 100.0;

/// Shares of all queries within each threshold, with their 95 % bootstrap intervals.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Within {
    /// By threshold in metres.
    pub within_m: Ordered<f64>,
    /// Lower and upper bounds.
    pub intervals: Ordered<[f64; 2]>,
}

impl Within {
    /// Of errors in metres, one for each query; none counts as a miss.
    pub(super) fn of(errors_m: &[Option<f64>], thresholds: &[Threshold]) -> Self {
        let hits =
            |t: &Threshold| errors_m.iter().map(|error| error.is_some_and(|m| m <= t.metres)).collect::<Vec<bool>>();
        Self {
            within_m: thresholds.iter().map(|t| (t.text.clone(), share(&hits(t), |hit| *hit))).collect(),
            intervals: thresholds
                .iter()
                .map(|t| (t.text.clone(), bootstrap::interval_of_share(&hits(t), bootstrap::SEED)))
                .collect(),
        }
    }

    pub(super) fn row(&self, title: &str) -> String {
        let mut row = format!("{title:<34}");
        for (threshold, share) in &self.within_m.0 {
            let [low, high] = self.intervals.get(threshold).copied().unwrap_or_default();
            // Writing into a string cannot fail.
            let _ = write!(row, "{:>22}", format!("{share:.3} [{low:.3} {high:.3}]"));
        }
        row + "\n"
    }
}

/// Figures of retrieval-augmented answers.
#[derive(Debug, Clone, Serialize)]
pub struct RagFigures {
    /// What the prompt is made of.
    pub prompt: PromptOptions,
    /// Queries.
    pub queries: usize,
    /// Queries whose first answer names a place.
    pub answered: usize,
    /// The others, by reason: what was written names no place, or nothing was written.
    pub no_answer: BTreeMap<&'static str, usize>,
    /// The first answer.
    #[serde(flatten)]
    pub first: Within,
    /// Share of the answers within 100 m of a similar coordinate of the prompt.
    pub copied_similar: f64,
    /// Share of the answers within 100 m of a dissimilar coordinate of the prompt.
    pub copied_dissimilar: f64,
    /// The most similar reference alone.
    pub most_similar: Within,
    /// The best of the similar coordinates in the prompt: no choice among them does better.
    pub best_of_prompt: Within,
    /// The best of several answers; absent for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_of_answers: Option<Within>,
    /// Mean distance between a query's answers, kilometres, quantiles over queries; empty for one.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub spread_km: Ordered<f64>,
    /// By threshold: the smallest and the largest share of the runs; empty for one.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub range_of_runs: Ordered<[f64; 2]>,
    /// The first answer, with the neighbours of another query in the prompt; absent where it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shuffled: Option<Within>,
    /// References left out of prompts since they were the query's own photo.
    pub own_photos_left_out: usize,
    /// Tokens of questions and answers.
    pub tokens: TokenFigures,
}

/// Tokens, and how many answers they are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TokenFigures {
    /// Of questions, pictures included, as far as the server counts.
    pub question: u64,
    /// Of answers.
    pub answer: u64,
    /// Answers that were written now.
    pub written: u64,
    /// Answers of earlier runs.
    pub cached: u64,
}

impl From<Tokens> for TokenFigures {
    fn from(Tokens { question, answer, written, cached }: Tokens) -> Self {
        Self { question, answer, written, cached }
    }
}

/// Metres between the truth and an answer.
pub(super) fn error_m(query: &Query<'_>, place: (f64, f64)) -> f64 {
    geodesic_m((query.pose.place.lat_deg, query.pose.place.lon_deg), place)
}

fn pair(Place(lat, lon): &Place) -> (f64, f64) {
    (*lat, *lon)
}

impl RagFigures {
    pub(super) fn of(
        (queries, neighbours): (&[Query<'_>], &[&Neighbours]),
        asked: &Asked,
        shuffled: Option<&Asked>,
        prompt: PromptOptions,
        thresholds: &[Threshold],
    ) -> Self {
        let runs = asked.answers.first().map_or(0, Vec::len);
        let of_run = |asked: &Asked, run: usize| -> Vec<Option<f64>> {
            let error = |(query, answers): (&Query<'_>, &Vec<Answer>)| {
                answers.get(run).and_then(|answer| answer.as_ref().ok()).map(|place| error_m(query, pair(place)))
            };
            queries.iter().zip(&asked.answers).map(error).collect()
        };
        let best = |places: &dyn Fn(usize) -> Vec<(f64, f64)>| -> Vec<Option<f64>> {
            let error = |(at, query): (usize, &Query<'_>)| {
                places(at).into_iter().map(|place| error_m(query, place)).reduce(f64::min)
            };
            queries.iter().enumerate().map(error).collect()
        };
        let near = |at: usize, most: usize| -> Vec<(f64, f64)> {
            neighbours.get(at).map(|found| found.similar.iter().take(most).copied().collect()).unwrap_or_default()
        };
        let answered: Vec<(usize, (f64, f64))> = asked
            .answers
            .iter()
            .enumerate()
            .filter_map(|(at, answers)| Some((at, pair(answers.first()?.as_ref().ok()?))))
            .collect();
        let copied = |of: &dyn Fn(&Neighbours) -> Vec<(f64, f64)>| {
            share(&answered, |(at, place)| {
                let prompt = neighbours.get(*at).map(|found| of(found)).unwrap_or_default();
                prompt.iter().any(|other| geodesic_m(*place, *other) <= COPY_M)
            })
        };
        let several = runs > 1;
        let places = |at: usize| -> Vec<(f64, f64)> {
            asked.answers.get(at).into_iter().flatten().filter_map(|answer| answer.as_ref().ok().map(pair)).collect()
        };
        let spreads: Vec<f64> = (0..queries.len()).filter_map(|at| Some(spread_m(&places(at))? / 1000.0)).collect();
        let ranges = |t: &Threshold| {
            let shares: Vec<f64> = (0..runs)
                .map(|run| share(&of_run(asked, run), |error| error.is_some_and(|metres| metres <= t.metres)))
                .collect();
            let low = shares.iter().copied().reduce(f64::min).unwrap_or_default();
            let high = shares.iter().copied().reduce(f64::max).unwrap_or_default();
            (t.text.clone(), [low, high])
        };
        Self {
            prompt,
            queries: queries.len(),
            answered: answered.len(),
            no_answer: counts(asked.answers.iter().filter_map(|answers| answers.first())),
            first: Within::of(&of_run(asked, 0), thresholds),
            copied_similar: copied(&|found| found.similar.iter().take(prompt.similar).copied().collect()),
            copied_dissimilar: copied(&|found| found.dissimilar.iter().take(prompt.dissimilar).copied().collect()),
            most_similar: Within::of(&best(&|at| near(at, 1)), thresholds),
            best_of_prompt: Within::of(&best(&|at| near(at, prompt.similar)), thresholds),
            best_of_answers: several.then(|| Within::of(&best(&places), thresholds)),
            spread_km: [("p50", 0.5), ("p90", 0.9)]
                .into_iter()
                .filter(|_| several)
                .filter_map(|(name, fraction)| Some((name.to_owned(), quantile(&spreads, fraction)?)))
                .collect(),
            range_of_runs: thresholds.iter().filter(|_| several).map(ranges).collect(),
            shuffled: shuffled.map(|shuffled| Within::of(&of_run(shuffled, 0), thresholds)),
            own_photos_left_out: neighbours.iter().map(|found| found.own_photo).sum(),
            tokens: asked.tokens.and(shuffled.map(|shuffled| shuffled.tokens).unwrap_or_default()).into(),
        }
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let PromptOptions { similar, dissimilar, .. } = self.prompt;
        let mut text = self.first.row(&format!("answer, {similar} + {dissimilar} in the prompt"));
        text += &self.most_similar.row("most similar reference");
        text += &self.best_of_prompt.row("best of the prompt (oracle)");
        if let Some(best) = &self.best_of_answers {
            text += &best.row("best of the answers (oracle)");
        }
        if let Some(shuffled) = &self.shuffled {
            text += &shuffled.row("with another query's neighbours");
        }
        let no_answer: Vec<String> = self.no_answer.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let _ = writeln!(
            text,
            "answered {} of {}{}{}; copied from the similar ones {:.3}, from the dissimilar ones {:.3} of the answers",
            self.answered,
            self.queries,
            if no_answer.is_empty() { "" } else { "; no answer: " },
            no_answer.join(", "),
            self.copied_similar,
            self.copied_dissimilar
        );
        if let (Some(p50), Some(p90)) = (self.spread_km.get("p50"), self.spread_km.get("p90")) {
            let _ = writeln!(text, "answers to one query are {p50:.1} km apart (median), 90 % within {p90:.1} km");
        }
        let TokenFigures { question, answer, written, cached } = self.tokens;
        let _ = writeln!(
            text,
            "tokens: {question} of questions, {answer} of answers; {written} answers written, {cached} kept ones"
        );
        text
    }
}

/// A row of the table of a fine-tuned model.
#[derive(Debug, Clone, Serialize)]
pub struct SftRow {
    /// What it is: base, sft, best_of_answers, geometric_median, cluster_vote, rescored_by_retrieval.
    pub name: &'static str,
    /// Queries with a place.
    pub answered: usize,
    /// Shares.
    #[serde(flatten)]
    pub within: Within,
}

/// Figures of a fine-tuned model: base, tuned, several answers, one place of them.
#[derive(Debug, Clone, Serialize)]
pub struct SftFigures {
    /// Answers to each query.
    pub runs: usize,
    /// The rows in their order.
    pub rows: Vec<SftRow>,
    /// Tokens of all questions and answers.
    pub tokens: TokenFigures,
}

impl SftFigures {
    /// The same for people.
    pub fn text(&self) -> String {
        let row = |row: &SftRow| row.within.row(&format!("{} ({} answered)", row.name.replace('_', " "), row.answered));
        let rows: String = self.rows.iter().map(row).collect();
        let TokenFigures { question, answer, written, cached } = self.tokens;
        format!(
            "{rows}tokens: {question} of questions, {answer} of answers; {written} answers written, {cached} kept ones\n"
        )
    }
}
