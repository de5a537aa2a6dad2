//! The figures as text for people: tables that a document can take over as they are.

use std::fmt::Write;

use super::report::{GuardRow, Report};
use crate::bench::rerank::published::PUBLISHED;
use crate::bench::rerank::trial::Gain;

/// All tables.
pub(super) fn of(report: &Report) -> String {
    [
        comparators(report),
        published(report),
        target(report),
        curves(report),
        tops(report),
        probes(report),
        gates(report),
        confidences(report),
        calibrations(report),
        scheduling(report),
    ]
    .join("\n")
}

fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    let columns = head.matches('|').count().saturating_sub(1);
    let mut text = format!("{head}\n|{}\n", "---|".repeat(columns));
    for row in rows {
        // Writing into a string cannot fail.
        writeln!(text, "| {row} |").ok();
    }
    text
}

fn gain(gain: Gain) -> String {
    format!("{:+.1} ± {:.1}", gain.mean * 100.0, gain.standard_error * 100.0)
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

fn comparators(report: &Report) -> String {
    let rows = report.comparators.iter().map(|part| {
        let found = part.consistency;
        let shares = [found.flips, found.near_flips, found.accuracy].map(percent).join(" | ");
        format!("{} | {} | {shares}", part.eye.as_str(), part.perception_noise)
    });
    table("| comparator | misjudges by | flips % | of near-ties % | right % |", rows)
}

fn published(report: &Report) -> String {
    let found = report.published;
    let [once, both, heap] = PUBLISHED.map(|figure| format!("{figure:.3}"));
    let rows = [
        ("tournament, one order", found.tournament_once, once),
        ("tournament, both orders", found.tournament_both_orders, both),
        ("heapsort", found.heapsort, heap),
        ("as they come", found.unranked, String::new()),
    ];
    let rows = rows.into_iter().map(|(name, ndcg, printed)| format!("{name} | {ndcg:.3} | {printed}"));
    table("| 100 documents, 100 calls | NDCG@10 here | published |", rows)
}

fn target(report: &Report) -> String {
    let rows = report.target.iter().map(|row| {
        let (full, adaptive) = (row.round_robin, row.adaptive);
        [
            format!("{} | {}", row.candidates, row.eye.as_str()),
            percent(row.retrieval_top1),
            percent(row.round_robin_by_wins_top1),
            percent(full.top1),
            format!("{:.0} | {:.0}", full.calls, full.ms),
            percent(adaptive.top1),
            format!("{:.1} | {:.0} | {}", adaptive.calls, adaptive.ms, percent(adaptive.ms / full.ms)),
            gain(row.gain_over_wins),
            gain(row.gain_over_round_robin),
        ]
        .join(" | ")
    });
    let head = "| K | comparator | retrieval | all pairs, by wins | all pairs, by posterior | calls | ms \
        | adaptive | calls | ms | % of cost | over wins | over posterior |";
    table(head, rows)
}

fn curves(report: &Report) -> String {
    let rows = report.curves.iter().flat_map(|curve| {
        curve.points.iter().map(|point| {
            let found = point.summary;
            let quality = format!("{} | {:.3}", percent(found.top1), found.ndcg10);
            let (calls, ms, budget) = (found.calls, found.ms, point.budget_ms);
            format!("{} | {} | {budget} | {quality} | {calls:.1} | {ms:.0}", curve.candidates, curve.strategy.as_str())
        })
    });
    table("| K | strategy | budget ms | Top-1 | NDCG@10 | calls | ms |", rows)
}

fn tops(report: &Report) -> String {
    let rows = report.tops.iter().map(|row| {
        let found = row.summary;
        let eye = row.eye.as_str();
        let quality = format!("{} | {:.3}", percent(found.top1), found.ndcg10);
        format!("{eye} | {} | {} | {quality} | {:.1} | {:.0}", row.budget_ms, row.top, found.calls, found.ms)
    });
    table("| comparator | budget ms | top | Top-1 | NDCG@10 | calls | ms |", rows)
}

fn probes(report: &Report) -> String {
    let asked = |row: &GuardRow| format!("{} | {}", row.probes, row.probe_margin_nats);
    let rows = report.probes.iter().map(|row| guarded(&asked(row), row, row.probe_failed));
    table("| probes | margin | comparator | Top-1 | over retrieval | failed % | calls | ms |", rows)
}

fn gates(report: &Report) -> String {
    let asked = |row: &GuardRow| row.gate_nats.map_or_else(|| "none".to_owned(), |gate| format!("{gate}"));
    let rows = report.gates.iter().map(|row| guarded(&asked(row), row, row.gated));
    table("| gate nats | comparator | Top-1 | over retrieval | gated % | calls | ms |", rows)
}

fn guarded(asked: &str, row: &GuardRow, held_back: f64) -> String {
    let (eye, top1, held_back) = (row.eye.as_str(), percent(row.summary.top1), percent(held_back));
    let (calls, ms) = (row.summary.calls, row.summary.ms);
    format!("{asked} | {eye} | {top1} | {} | {held_back} | {calls:.1} | {ms:.0}", gain(row.gain_over_retrieval))
}

fn confidences(report: &Report) -> String {
    let rows = report.confidences.iter().map(|row| {
        let (retrieval, adaptive) = (percent(row.retrieval_top1), percent(row.adaptive.top1));
        format!("{} | {} | {retrieval} | {adaptive} | {:.1}", row.confidence, row.eye.as_str(), row.adaptive.calls)
    });
    table("| weights times | comparator | retrieval | adaptive | calls |", rows)
}

fn calibrations(report: &Report) -> String {
    let rows = report.calibrations.iter().map(|row| {
        let shares = [row.retrieval_top1, row.default_top1, row.calibrated_top1].map(percent).join(" | ");
        format!("{} | {} | {shares}", row.retrieval_skill, row.eye.as_str())
    });
    table("| retrieval's skill | comparator | retrieval | defaults | calibrated |", rows)
}

fn scheduling(report: &Report) -> String {
    let part = &report.scheduling;
    format!(
        "scheduling {} comparisons of {} candidates: p50 {:.2} ms, p99 {:.2} ms\n",
        part.comparisons, part.candidates, part.p50_ms, part.p99_ms
    )
}
