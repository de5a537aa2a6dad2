//! A page about the frame to which the comparator did most.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Models;
use super::frame::{Answer, Flown, Shows};
use super::plan::{Plan, arguments};
use super::process::run_verb;
use crate::explain::page_path;

/// Writes the page, as `geolocate evaluate --explain` does; `None` where the comparator changed no first candidate.
///
/// # Errors
/// The folder cannot be written, or the frame cannot be looked at again.
pub(super) fn write(plan: &Plan, models: &Models, out: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Some(comparator) = &models.comparator else { return Ok(None) };
    let Some(frame) = most_instructive(&plan.frames, plan.right_within_m) else { return Ok(None) };
    let poses = out.join("explained.csv");
    let row = format!("file,lat,lon\n\"{}\",{},{}\n", frame.id.replace('"', "\"\""), frame.lat_deg, frame.lon_deg);
    fs::write(&poses, row).with_context(|| format!("{}: cannot be written", poses.display()))?;
    let depth = Path::new(&frame.id).components().count();
    let images = frame.picture.ancestors().nth(depth).context("a frame has no folder")?;
    let mut words = vec!["evaluate".into()];
    words.extend(arguments([
        ("--index", out.join("reference.shard").as_path()),
        ("--encoder", &*models.encoder),
        ("--comparator", comparator),
        ("--images", images),
        ("--poses", &*poses),
        ("--explain", Path::new(&frame.id)),
        ("--html", out),
    ]));
    run_verb(&words)?;
    Ok(Some(page_path(out, &frame.id)))
}

/// The frame of mapped ground whose first candidate came nearest to the truth by reranking, among those that were wrong
/// and became right; without one, the frame whose first candidate went furthest from it.
fn most_instructive(frames: &[Flown], right_within_m: f64) -> Option<&Flown> {
    let moved = |frame: &Flown| {
        let first_m = |answer: Option<&Answer>| {
            let first = answer?.message.candidates.first()?;
            Some(frame.off_m(first.lat, first.lon))
        };
        first_m(frame.of_stage("retrieved")).zip(first_m(frame.of_stage("reranked")))
    };
    let of_map = || frames.iter().filter(|frame| frame.shows == Shows::Map);
    let known = || of_map().filter_map(|frame| Some((frame, moved(frame)?)));
    let mended = known().filter(|(_, (before, after))| *before > right_within_m && *after <= right_within_m);
    let best = mended.max_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
    let spoiled = || known().filter(|(_, (before, after))| after > before);
    let worst = || spoiled().max_by(|(_, a), (_, b)| (a.1 - a.0).total_cmp(&(b.1 - b.0)));
    best.or_else(worst).map(|(frame, _)| frame)
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::flown;
    use super::*;

    /// A frame whose first candidate is at these latitudes; the truth is at 50.
    fn moved(id: &str, before: &str, after: &str) -> Flown {
        let mut frame = flown(id, Shows::Map, &format!("fix {before}"));
        let mut second = flown(id, Shows::Map, &format!("fix {after}")).answers;
        let text = serde_json::to_string(&second[0].message).unwrap().replace("retrieved", "reranked");
        second[0].message = serde_json::from_str(&text).unwrap();
        frame.answers.extend(second);
        frame
    }

    #[test]
    fn the_frame_that_was_mended_from_furthest_off_is_shown_else_the_one_spoiled_most() {
        let mended =
            [moved("near", "50.002", "50.0"), moved("far", "50.009", "50.0001"), moved("worse", "50", "50.02")];
        assert_eq!(most_instructive(&mended, 80.0).unwrap().id, "far");
        assert_eq!(most_instructive(&mended[2..], 80.0).unwrap().id, "worse");
        assert!(most_instructive(&[moved("same", "50.0", "50.0")], 80.0).is_none());
        assert!(most_instructive(&[flown("once", Shows::Map, "fix 50.1")], 80.0).is_none());
    }
}
