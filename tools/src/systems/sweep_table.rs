//! A sweep as a table, and as a chart of how many similar coordinates are worth.

use std::fmt::Write;

use geolocated::generator::PromptOptions;
use serde::Serialize;
use serde_json::Value;

use super::figures::Within;
use super::retrieval::Retrieval;
use crate::explain::escaped;
use crate::metrics::Threshold;
use crate::svg::{LineChart, Series, XAxis};

/// The figures of one setting.
#[derive(Debug, Clone, Serialize)]
pub struct SweepRow {
    /// How it was retrieved, in words.
    pub retrieval: String,
    /// What the prompt was made of.
    pub prompt: PromptOptions,
    /// Queries whose first answer names a place.
    pub answered: u64,
    /// All queries.
    pub queries: u64,
    /// The first answer.
    #[serde(flatten)]
    pub first: Within,
}

impl SweepRow {
    /// Of a line of results. What it does not hold, as a line of an earlier version may not, is left out.
    pub(super) fn of(retrieval: &Retrieval, prompt: PromptOptions, line: &Value, thresholds: &[Threshold]) -> Self {
        let figures = line.get("figures").unwrap_or(&Value::Null);
        let count = |name: &str| figures.get(name).and_then(Value::as_u64).unwrap_or_default();
        let share = |t: &Threshold| Some((t.text.clone(), figures.get("within_m")?.get(&t.text)?.as_f64()?));
        let interval = |t: &Threshold| {
            let bounds = figures.get("intervals")?.get(&t.text)?;
            Some((t.text.clone(), [bounds.get(0)?.as_f64()?, bounds.get(1)?.as_f64()?]))
        };
        Self {
            retrieval: retrieval.to_string(),
            prompt,
            answered: count("answered"),
            queries: count("queries"),
            first: Within {
                within_m: thresholds.iter().filter_map(share).collect(),
                intervals: thresholds.iter().filter_map(interval).collect(),
            },
        }
    }

    /// Its prompt without the number of similar coordinates.
    fn others(&self) -> String {
        let PromptOptions { dissimilar, form, notation, order, .. } = &self.prompt;
        let words = [word(form), word(notation), word(order)].join(", ");
        format!("{}; {dissimilar} dissimilar, {words}", self.retrieval)
    }
}

/// The name of a choice as the file has it.
pub(super) fn word(choice: &impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// All rows as text.
pub(super) fn text(rows: &[SweepRow]) -> String {
    let row = |row: &SweepRow| {
        let SweepRow { answered, queries, prompt, first, .. } = row;
        let title = format!("{} + {}", prompt.similar, prompt.dissimilar);
        format!("{}    answered {answered} of {queries}; {}\n", first.row(&title), row.others())
    };
    let rows: String = rows.iter().map(row).collect();
    if rows.is_empty() { rows } else { format!("sweep:\n{rows}") }
}

/// All rows as a table, with a chart where several differ in the number of similar coordinates alone.
pub(super) fn html(rows: &[SweepRow]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut html = String::from(
        "<h2>Sweep</h2>\n<table class=\"sweep\">\n<thead><tr><th>retrieval</th><th>similar</th><th>dissimilar</th>\
         <th>form</th><th>notation</th><th>order</th><th>answered</th>",
    );
    // Writing into a string cannot fail.
    for (threshold, _) in &first.first.within_m.0 {
        let _ = write!(html, "<th>within {} km</th>", kilometres(threshold));
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let PromptOptions { similar, dissimilar, form, notation, order } = &row.prompt;
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{similar}</td><td>{dissimilar}</td><td>{}</td><td>{}</td><td>{}</td><td>{} of {}</td>",
            escaped(&row.retrieval),
            word(form),
            word(notation),
            word(order),
            row.answered,
            row.queries
        );
        for (threshold, share) in &row.first.within_m.0 {
            let [low, high] = row.first.intervals.get(threshold).copied().unwrap_or_default();
            let _ = write!(html, "<td>{share:.3} [{low:.3} {high:.3}]</td>");
        }
        html += "</tr>\n";
    }
    html += "</tbody>\n</table>\n";
    if let Some(chart) = chart(rows) {
        html += &chart.to_svg();
    }
    html
}

/// A threshold in metres as kilometres.
fn kilometres(metres: &str) -> String {
    metres.parse::<f64>().map_or_else(|_| metres.to_owned(), |metres| format!("{}", metres / 1000.0))
}

/// Shares within the first threshold by the number of similar coordinates: a line for each of the other choices that was
/// run with two numbers or more.
fn chart(rows: &[SweepRow]) -> Option<LineChart> {
    let (threshold, _) = rows.first()?.first.within_m.0.first()?;
    let mut series: Vec<Series> = Vec::new();
    for row in rows {
        let point = (row.prompt.similar as f64, *row.first.within_m.get(threshold)?);
        let name = row.others();
        match series.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => series.push(Series { name, points: vec![point], dashed: false }),
        }
    }
    series.retain(|line| line.points.len() > 1);
    for line in &mut series {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    (!series.is_empty()).then(|| LineChart {
        title: format!("Answers within {} km", kilometres(threshold)),
        x_label: "similar coordinates in the prompt".to_owned(),
        y_label: "share of the queries".to_owned(),
        x_axis: XAxis::Linear,
        series,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<SweepRow> {
        let thresholds = [Threshold { text: "1000".to_owned(), metres: 1000.0 }];
        let row = |similar: usize, sources: Option<Vec<String>>, share: f64| {
            let figures = serde_json::json!({"figures": {
                "answered": 2, "queries": 3, "within_m": {"1000": share}, "intervals": {"1000": [0.1, 0.9]},
            }});
            let retrieval = Retrieval { sources, ..Retrieval::default() };
            SweepRow::of(&retrieval, PromptOptions { similar, ..PromptOptions::default() }, &figures, &thresholds)
        };
        vec![row(16, None, 0.5), row(0, None, 0.25), row(16, Some(vec!["<a>".to_owned()]), 0.75)]
    }

    #[test]
    fn each_setting_is_a_row_and_the_number_of_similar_ones_a_line() {
        let html = html(&rows());
        assert_eq!(html.matches("<tr>").count(), 4, "{html}");
        assert!(html.contains("<td>source &lt;a&gt;</td>") && html.contains("<td>0.750 [0.100 0.900]</td>"), "{html}");
        assert!(html.contains("within 1 km") && html.contains("<td>similar_first</td>"), "{html}");
        let chart = chart(&rows()).unwrap();
        assert_eq!(chart.series.len(), 1);
        assert_eq!(chart.series[0].points, [(0.0, 0.25), (16.0, 0.5)]);
        assert!(super::chart(&rows()[2..]).is_none() && super::html(&[]).is_empty());
    }

    #[test]
    fn text_says_what_differs() {
        let text = text(&rows());
        assert!(text.contains("answered 2 of 3; source <a>; 16 dissimilar, json, decimal, similar_first"), "{text}");
        assert!(super::text(&[]).is_empty());
    }
}
