//! The frames of the page, each beside the references that were found for it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use geolocated::locate::MessageCandidate;
use quantized_models::{DecodeLimits, decode, thumbnail};

use super::super::frame::{Answer, Flown, Shows};
use super::super::outcome::Outcome;
use super::super::plan::Plan;
use super::super::summary::spelled;
use super::{data, escaped, symbol};
use crate::pictures;

/// How many candidates are shown.
const CANDIDATES: usize = 3;
/// Largest frame that stands in the page as it is.
const MOST_WHOLE_BYTES: usize = 48 << 10;

/// All frames.
pub(super) fn list(plan: &Plan) -> String {
    let cards = plan.frames.iter().enumerate().map(|(number, frame)| card(plan, number, frame));
    format!("<section class=\"cards\" aria-label=\"All frames\">\n{}</section>", cards.collect::<String>())
}

fn card(plan: &Plan, number: usize, frame: &Flown) -> String {
    let outcome = frame.outcome(plan.right_within_m);
    let (name, shown) = (outcome.name(), number + 1);
    let shows = match frame.shows {
        Shows::Map => String::new(),
        Shows::Edge => ", on the edge of the map".to_owned(),
        Shows::Elsewhere => ", not on the map".to_owned(),
        Shows::Bad(why) => format!(", a bad frame ({})", why.replace('_', "-")),
    };
    let about = escaped(&format!("flight {}, {}{shows}", frame.flight, frame.about));
    let picture = whole(&frame.picture, &format!("frame {shown} as it was published"));
    let turned = frame.heading_deg().map(|deg| format!(" style=\"--heading: {deg:.1}deg\"")).unwrap_or_default();
    let mut text = format!(
        "<article class=\"card {name}\" id=\"frame-{shown}\" data-n=\"{number}\">\n\
         <header><b>{shown}</b>{}<span>{}</span></header>\n<p class=\"about\">{about}</p>\n\
         <div class=\"sight\"><figure class=\"frame\"{turned}>{picture}<figcaption>the frame</figcaption></figure>\n",
        symbol(outcome),
        escaped(&verdict(plan, frame, outcome)),
    );
    for answer in &frame.answers {
        text += &candidates(plan, frame, answer);
    }
    text.push_str("</div></article>\n");
    text
}

/// What came of a frame in some words.
fn verdict(plan: &Plan, frame: &Flown, outcome: Outcome) -> String {
    let error_m = frame.last().and_then(|answer| frame.error_m(answer));
    match (outcome, error_m, frame.last()) {
        (Outcome::Right | Outcome::Wrong, Some(error_m), _) => {
            let title = if outcome == Outcome::Right { "fix" } else { "wrong fix" };
            format!("{title}, {} off", metres(error_m))
        }
        (Outcome::Edge, Some(error_m), _) => format!("fix, {} off; not judged", metres(error_m)),
        (Outcome::Replaced, ..) => "no answer: a newer frame came first".to_owned(),
        (Outcome::Failed, _, Some(answer)) => spelled(answer.message.status, answer.message.reason.as_deref()),
        (Outcome::Ambiguous, _, Some(answer)) => {
            let near = answer.message.candidates.iter();
            let is_among = near.into_iter().any(|at| frame.off_m(at.lat, at.lon) <= plan.right_within_m);
            format!(
                "ambiguous: several places, {}",
                if is_among { "the true one among them" } else { "not the true one" }
            )
        }
        (Outcome::Refused, _, Some(answer)) => {
            format!("{}, as it should be", spelled(answer.message.status, answer.message.reason.as_deref()))
        }
        _ => outcome.title().to_owned(),
    }
}

/// Metres, or kilometres where those read better.
fn metres(value: f64) -> String {
    match value {
        value if value < 9.95 => format!("{value:.1} m"),
        value if value < 999.5 => format!("{value:.0} m"),
        value => format!("{:.1} km", value / 1000.0),
    }
}

/// The most similar references of one stage.
fn candidates(plan: &Plan, frame: &Flown, answer: &Answer) -> String {
    let mut text = String::from("<div class=\"found\">");
    if frame.answers.len() > 1 {
        text += &format!("<p class=\"of-stage\">{}</p>", escaped(&answer.stage()));
    }
    for (rank, candidate) in answer.message.candidates.iter().take(CANDIDATES).enumerate() {
        text += &found(plan, frame, rank, candidate);
    }
    text.push_str("</div>\n");
    text
}

fn found(plan: &Plan, frame: &Flown, rank: usize, candidate: &MessageCandidate) -> String {
    let off_m = frame.off_m(candidate.lat, candidate.lon);
    let is_here = off_m <= plan.right_within_m;
    let rank = rank + 1;
    let path = pictures::path_below(&plan.pictures, &candidate.reference).ok();
    let picture = path.map(|path| image(&path, &format!("candidate {rank}"))).unwrap_or_default();
    let mut text = String::new();
    // Writing to a text never fails.
    let _ = write!(
        text,
        "<figure class=\"rank-{rank} {}\" title=\"{}\">{picture}<figcaption><b>{rank}</b> <span>similarity </span>{:.3}<br>\
         {} <span>from the drone </span>{}</figcaption></figure>",
        if is_here { "here" } else { "elsewhere" },
        escaped(&candidate.reference),
        candidate.similarity,
        metres(off_m),
        if is_here { "✓" } else { "✗" },
    );
    text
}

/// A frame as it was published where it is a small JPEG, else made small.
fn whole(path: &Path, what: &str) -> String {
    let is_small = |bytes: &Vec<u8>| bytes.len() <= MOST_WHOLE_BYTES && bytes.starts_with(&[0xff, 0xd8]);
    match fs::read(path).ok().filter(is_small) {
        Some(bytes) => format!("<img src=\"{}\" alt=\"{}\">", data(&bytes), escaped(what)),
        None => image(path, what),
    }
}

/// A picture, made small; nothing where it cannot be read.
fn image(path: &Path, what: &str) -> String {
    let small = || {
        let image = decode(&fs::read(path).ok()?, &DecodeLimits::default()).ok()?;
        thumbnail(&image).ok()
    };
    let what = escaped(what);
    small().map(|jpeg| format!("<img src=\"{}\" alt=\"{what}\">", data(&jpeg))).unwrap_or_default()
}
