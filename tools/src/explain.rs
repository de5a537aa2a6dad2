//! A page about one frame: what retrieval found, what the comparator was asked and said, and the order that follows.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use geolocated::locate::{Candidate, Frame, Outcome, Pipeline, Prediction, distance_m};
use geolocated::reranker::{PictureBlob, Reranked};

use crate::evaluation::Query;

pub(crate) const STYLE: &str = include_str!("explain.css");
/// How many candidates of the retrieval are shown.
const SHOWN: usize = 24;

/// Writes pages about the frames that are asked for. Shared between threads.
pub struct Explainer<'a> {
    pipeline: &'a Pipeline,
    frames: HashSet<&'a str>,
    folder: &'a Path,
    problems: Mutex<Vec<anyhow::Error>>,
}

impl<'a> Explainer<'a> {
    /// Pages about `frames`, below `folder`.
    pub fn new(pipeline: &'a Pipeline, frames: &'a [String], folder: &'a Path) -> Self {
        let frames = frames.iter().map(String::as_str).collect();
        Self { pipeline, frames, folder, problems: Mutex::default() }
    }

    /// A frame that is asked for and is none of the queries.
    pub fn unknown(&self, queries: &[Query<'_>]) -> Option<&'a str> {
        let known: HashSet<&str> = queries.iter().map(|query| query.pose.file.as_str()).collect();
        self.frames.iter().find(|frame| !known.contains(*frame)).copied()
    }

    /// Writes the page about a frame, if it is one of those that are asked for.
    pub fn show(&self, query: &Query<'_>, frame: &Frame, retrieved: &Prediction, reranked: &Reranked) {
        if !self.frames.contains(query.pose.file.as_str()) {
            return;
        }
        let page = Page { pipeline: self.pipeline, query, frame, retrieved, reranked };
        if let Err(error) = page.write(self.folder) {
            self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(error);
        }
    }

    /// Says what went wrong.
    ///
    /// # Errors
    /// A page could not be written.
    pub fn finish(self) -> anyhow::Result<()> {
        let problems = self.problems.into_inner().unwrap_or_else(PoisonError::into_inner);
        problems.into_iter().next().map_or(Ok(()), Err)
    }
}

/// Where the page about a frame lies below a folder.
pub fn page_path(folder: &Path, frame: &str) -> PathBuf {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' };
    folder.join(format!("explain-{}.html", frame.chars().map(plain).collect::<String>()))
}

struct Page<'a> {
    pipeline: &'a Pipeline,
    query: &'a Query<'a>,
    frame: &'a Frame,
    retrieved: &'a Prediction,
    reranked: &'a Reranked,
}

impl Page<'_> {
    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = page_path(folder, &self.query.pose.file);
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        fs::write(&path, self.html()).with_context(|| format!("{}: cannot write", path.display()))?;
        eprintln!("geolocate: {}", path.display());
        Ok(())
    }

    fn html(&self) -> String {
        let file = escaped(&self.query.pose.file);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{file}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{file}</h1>\n"
        );
        self.push_summary(&mut page);
        page.push_str("<h2>Candidates, as retrieved</h2>\n<div class=\"cards\">\n");
        let candidates = self.candidates();
        for (position, candidate) in candidates.iter().enumerate().take(SHOWN) {
            self.push_card(&mut page, position, candidate);
        }
        page.push_str("</div>\n");
        self.push_questions(&mut page, &candidates);
        page.push_str("<h2>The order that follows</h2>\n<div class=\"cards\">\n");
        for position in self.reranked.ranking.order.iter().take(SHOWN) {
            if let Some(candidate) = candidates.get(*position) {
                self.push_card(&mut page, *position, candidate);
            }
        }
        page.push_str("</div>\n</body>\n</html>\n");
        page
    }

    fn candidates(&self) -> Vec<&Candidate> {
        self.retrieved.similar.iter().chain(&self.retrieved.further).collect()
    }

    fn push_summary(&self, page: &mut String) {
        let ranking = &self.reranked.ranking;
        let reranking = self.reranked.prediction.reranking.as_ref();
        let picture = picture(&self.frame.encoded);
        let _ = writeln!(
            page,
            "<div class=\"summary\">\n<figure>{picture}<figcaption>the frame</figcaption></figure>\n<table>"
        );
        let mut row = |name: &str, value: String| {
            let _ = writeln!(page, "<tr><th>{name}</th><td>{}</td></tr>", escaped(&value));
        };
        let place = &self.query.pose.place;
        row("true place", format!("{:.6}, {:.6}", place.lat_deg, place.lon_deg));
        row("retrieval alone", self.outcome(&self.retrieved.outcome));
        row("reranked", self.outcome(&self.reranked.prediction.outcome));
        if let Some(reranking) = reranking {
            row("comparator", reranking.comparator.clone());
            row("strategy", reranking.strategy.as_str().to_owned());
            row("asked", format!("{} times, {:.0} ms", reranking.comparisons, reranking.ms));
            row("ended by", reranking.end.as_str().to_owned());
        }
        if let Some(failure) = &ranking.failure {
            row("failure", failure.clone());
        }
        if let Some(probe) = &ranking.probe {
            let margins: Vec<String> = probe.margins.iter().map(|margin| format!("{margin:+.2}")).collect();
            let passed = if probe.passed { "passed" } else { "failed" };
            row("probe", format!("{passed}: margin of the leader over a dissimilar reference {}", margins.join(", ")));
        }
        row("position bias", format!("{:+.2} nats for the one shown first", ranking.bias_nats));
        page.push_str("</table>\n</div>\n");
    }

    fn outcome(&self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Fix(fix) => {
                let off_m = self.off_truth_m(fix.lat_deg, fix.lon_deg);
                format!("{:.6}, {:.6}: {off_m:.1} m off", fix.lat_deg, fix.lon_deg)
            }
            Outcome::Ambiguous => "ambiguous".to_owned(),
            Outcome::NoFix(reason) => format!("no fix: {}", reason.as_str()),
            Outcome::Error(error) => error.to_string(),
        }
    }

    fn off_truth_m(&self, lat_deg: f64, lon_deg: f64) -> f64 {
        distance_m(self.query.pose.place.lat_deg, self.query.pose.place.lon_deg, lat_deg, lon_deg)
    }

    /// A candidate's picture with what is known of it. `position` is that of the retrieval.
    fn push_card(&self, page: &mut String, position: usize, candidate: &Candidate) {
        let ranking = &self.reranked.ranking;
        let now = ranking.order.iter().position(|other| *other == position).map_or(0, |now| now + 1);
        let share = ranking.p.get(position).copied().unwrap_or_default();
        let _ = writeln!(
            page,
            "<figure>{}<figcaption><b>{} &rarr; {now}</b> {}<br>{:.1} m from the truth<br>similarity {:.4}, share {share:.3}\
             </figcaption></figure>",
            self.thumbnail(candidate),
            position + 1,
            escaped(&candidate.reference),
            self.off_truth_m(candidate.lat_deg, candidate.lon_deg),
            candidate.similarity,
        );
    }

    /// Every comparison and answer in the order in which it was asked for.
    fn push_questions(&self, page: &mut String, candidates: &[&Candidate]) {
        let ranking = &self.reranked.ranking;
        let at = |position: usize| candidates.get(position).copied();
        if !ranking.comparisons.is_empty() {
            page.push_str(
                "<h2>Comparisons</h2>\n<table class=\"pairs\">\n<tr><th></th><th>A</th><th>margin of A in nats</th>\
                 <th>B</th><th>nearer to the truth</th></tr>\n",
            );
        }
        for (number, pair) in ranking.comparisons.iter().enumerate() {
            let (Some(first), Some(second)) = (at(pair.first), at(pair.second)) else { continue };
            let [first_m, second_m] = [first, second].map(|one| self.off_truth_m(one.lat_deg, one.lon_deg));
            let is_right = (pair.margin > 0.0) == (first_m < second_m);
            let _ = writeln!(
                page,
                "<tr class=\"{}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}: {first_m:.1} m, {second_m:.1} m</td></tr>",
                if is_right { "right" } else { "wrong" },
                number + 1,
                self.side(pair.first, first, pair.margin > 0.0),
                bar(pair.margin),
                self.side(pair.second, second, pair.margin < 0.0),
                if first_m < second_m { "A" } else { "B" },
            );
        }
        if !ranking.comparisons.is_empty() {
            page.push_str("</table>\n");
        }
        if ranking.answers.is_empty() {
            return;
        }
        page.push_str("<h2>Answers</h2>\n<table class=\"pairs\">\n<tr><th></th><th>candidate</th><th>answer</th><th>from the truth</th></tr>\n");
        for (number, answer) in ranking.answers.iter().enumerate() {
            let Some(candidate) = at(answer.candidate) else { continue };
            let off_m = self.off_truth_m(candidate.lat_deg, candidate.lon_deg);
            let side = self.side(answer.candidate, candidate, false);
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{side}</td><td>{}</td><td>{off_m:.1} m</td></tr>",
                number + 1,
                bar(answer.value)
            );
        }
        page.push_str("</table>\n");
    }

    fn side(&self, position: usize, candidate: &Candidate, wins: bool) -> String {
        let class = if wins { " class=\"wins\"" } else { "" };
        format!("<span{class}>{}{} {}</span>", self.thumbnail(candidate), position + 1, escaped(&candidate.reference))
    }

    fn thumbnail(&self, candidate: &Candidate) -> String {
        thumbnail(self.pipeline, candidate)
    }
}

/// The picture that the shard keeps of a candidate, as HTML.
pub(crate) fn thumbnail(pipeline: &Pipeline, candidate: &Candidate) -> String {
    let shard = pipeline.shards().shards().get(candidate.shard);
    let blob = shard.and_then(|shard| PictureBlob::of_row(shard, candidate.row, "").ok().flatten());
    blob.map_or_else(|| "<span class=\"none\">no picture</span>".to_owned(), |blob| picture(blob.thumbnail))
}

/// A number with a bar that goes to the left for what is below 0.
fn bar(value: f32) -> String {
    let width = (value.abs() * 15.0).min(70.0);
    let side = if value < 0.0 { "right:50%" } else { "left:50%" };
    format!("<div class=\"bar\"><i style=\"{side};width:{width:.0}px\"></i><b>{value:+.3}</b></div>")
}

/// Encoded pictures as HTML, whole in the page.
pub(crate) fn picture(encoded: &[u8]) -> String {
    let kind = match encoded {
        [0xFF, 0xD8, ..] => "jpeg",
        [0x89, b'P', ..] => "png",
        _ => "webp",
    };
    format!("<img alt=\"\" src=\"data:image/{kind};base64,{}\">", STANDARD.encode(encoded))
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_frames_become_names_of_files_and_text_stays_text() {
        assert_eq!(page_path(Path::new("pages"), "a b/../c.jpg"), Path::new("pages/explain-a_b_.._c.jpg.html"));
        assert_eq!(escaped("<a \"b\"> & c"), "&lt;a &quot;b&quot;&gt; &amp; c");
    }

    #[test]
    fn pictures_are_whole_in_the_page() {
        assert_eq!(picture(&[0xFF, 0xD8, 0xFF]), "<img alt=\"\" src=\"data:image/jpeg;base64,/9j/\">");
    }
}
