//! The figures as text for people.

use std::fmt::Write;

use crate::section_purpose::purpose;

use super::report::{ColdPart, ColdQuery, KindPart, Quantiles, Report, TruthSource};

/// Bytes of a mebibyte.
const MIB: f64 = 1_048_576.0;

/// Head of the table that [`scaling_row`] has rows for.
pub(super) const SCALING_HEAD: &str = "\
| rows | lists | recall near / far | both ends ms p50 / p99 / mean | near alone ms p50 | anonymous MiB | file-backed MiB | open ms \
| cold first query ms | file MiB | bytes a row | build s |
|---|---|---|---|---|---|---|---|---|---|---|---|
";

/// One run.
pub(super) fn one(report: &Report) -> String {
    let (k, recall, memory) = (report.k, report.recall, report.memory);
    let mut lines = vec![
        format!("{} x {}, {k} nearest and {k} farthest, one thread, {}", report.rows, report.dimensions, report.kernel),
        format!("layout      {}", layout(report)),
        format!("recall@{k:<5}near {:.3}, far {:.3}, against {}", recall.near, recall.far, truth(report)),
        format!("time        {}", times(report.ms.both)),
        format!("near alone  {}", times(report.ms.near)),
    ];
    lines.extend(report.kinds.iter().flat_map(kind));
    let (anonymous, file_backed) = (mib(memory.anonymous_bytes), mib(memory.file_backed_bytes));
    lines.push(format!("memory      {anonymous:.2} MiB anonymous, {file_backed:.0} MiB file-backed"));
    lines.push(format!("open        {:.3} ms", report.open_ms));
    lines.extend(report.cold.iter().flat_map(cold));
    lines.extend(report.build_seconds.map(|seconds| format!("build       {seconds:.1} s")));
    lines.join("\n") + "\n" + &sections(report)
}

/// One kind of query.
fn kind(part: &KindPart) -> [String; 2] {
    let (recall, work) = (part.recall, part.work);
    let found = format!("near {:.3}, far {:.3}; {}", recall.near, recall.far, times(part.ms.both));
    let read = format!(
        "{:.0} rows scanned, {:.0} by both layers, {:.0} exact; {:.1} MiB",
        work.scanned_rows,
        work.second_rows,
        work.exact_rows,
        work.bytes / MIB
    );
    [format!("  {:<10}{found}", part.kind), format!("            {read}")]
}

fn times(ms: Quantiles) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms, mean {:.2} ms", ms.p50, ms.p99, ms.mean)
}

/// What the file consists of.
pub(super) fn sections(report: &Report) -> String {
    let file = &report.file;
    let mut text = format!("file        {:.1} MiB, {:.1} bytes a row\n", mib(file.bytes), file.bytes_per_row);
    for section in &file.sections {
        let purpose = purpose(&section.name);
        // Writing into a string cannot fail.
        writeln!(text, "  {:<10}{:>8.2}  {purpose}", section.name, section.bytes_per_row).ok();
    }
    text
}

/// One run as a row of a table.
pub(super) fn scaling_row(report: &Report) -> String {
    let (both, memory) = (report.ms.both, report.memory);
    let cold = report.cold.map_or_else(String::new, |cold| format!("{:.1}", cold.first_query.ms));
    let build = report.build_seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}"));
    let cells = [
        report.rows.to_string(),
        report.layout.lists.to_string(),
        format!("{:.3} / {:.3}", report.recall.near, report.recall.far),
        format!("{:.2} / {:.2} / {:.2}", both.p50, both.p99, both.mean),
        format!("{:.2}", report.ms.near.p50),
        format!("{:.2}", mib(memory.anonymous_bytes)),
        format!("{:.1}", mib(memory.file_backed_bytes)),
        format!("{:.3}", report.open_ms),
        cold,
        format!("{:.1}", mib(report.file.bytes)),
        format!("{:.1}", report.file.bytes_per_row),
        build,
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn layout(report: &Report) -> String {
    let layout = &report.layout;
    let kind = if layout.lists == 0 { "flat".to_owned() } else { format!("{} lists", layout.lists) };
    format!("{kind}, {} dimensions in the first layer: {}", layout.first_layer_dimensions, layout.reason)
}

fn truth(report: &Report) -> &'static str {
    match report.truth {
        TruthSource::GivenVectors => "exact search over the vectors as given",
        TruthSource::StoredVectors => "exact search over the vectors as stored",
    }
}

/// A start with cold pages.
fn cold(part: &ColdPart) -> [String; 3] {
    let (read, wanted) = (part.populate_read_bytes, part.populated_bytes);
    let kept = if read < wanted / 10 * 9 { " (not wholly cold: the system had kept the rest)" } else { "" };
    let codes = format!("codes in {:.0} ms, {:.1} MiB read for {:.1}{kept}", part.populate_ms, mib(read), mib(wanted));
    let query = |query: ColdQuery| {
        format!("{:.1} ms, {:.1} MiB read, {} major faults", query.ms, mib(query.read_bytes), query.major_faults)
    };
    [
        format!("cold pages  {codes}"),
        format!("            then the first query {}", query(part.first_query)),
        format!("            without the codes    {}", query(part.unpopulated_first_query)),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}
