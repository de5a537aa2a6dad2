//! The generations: signed by whom, whole, which one is active.

use geolocated::generations::{Generation, GenerationState, list};
use geolocated::service::{GenerationSettings, Settings};
use geolocated::stamps::Stamps;

use super::finding::Finding;

const COPY_AGAIN: &str = "copy it again, or sign it again; `geolocate sign --check` says what is wrong with a copy";

/// What serves, and every folder that was brought.
pub(super) fn findings(settings: &Settings, generations: &GenerationSettings, full: bool) -> Vec<Finding> {
    let own = settings.state_dir.join("generations");
    let mut findings = Vec::new();
    let state = match GenerationState::load(&own.join("state.json")) {
        Ok(state) => state,
        Err(error) => {
            let mend = "none is needed: the next start takes the newest generation that holds";
            findings.push(Finding::warning("pointer", error, mend));
            GenerationState::default()
        }
    };
    findings.push(match &state.active {
        Some(active) => Finding::good("active", format!("generation {}, {}", active.counter, active.folder.display())),
        None => Finding::warning("active", "none yet", "bring a signed generation, or set update.url"),
    });
    findings.extend(state.set_aside.iter().map(|aside| {
        let what = format!("generation {} is set aside: {}", aside.counter, aside.reason);
        Finding::warning("generation", what, "bring a newer one, or order it with cmd/activate")
    }));
    let ring = state.ring(&generations.keys);
    for folder in [&generations.folder, &own] {
        match list(folder) {
            Ok(found) => findings.extend(found.iter().map(|(_, folder)| {
                let checked = Generation::open(folder, &ring).and_then(|generation| {
                    generation.check_lengths()?;
                    if full { generation.verify(&mut Stamps::none(), &mut |_| Ok(())) } else { Ok(()) }
                });
                let what = if full { "signed, every byte as signed" } else { "signed, all files there" };
                match checked {
                    Ok(()) => Finding::good("generation", format!("{}: {what}", folder.display())),
                    Err(error) => Finding::wrong("generation", error, COPY_AGAIN),
                }
            })),
            Err(error) => {
                let what = format!("{}: cannot be looked at: {error}", folder.display());
                findings.push(Finding::wrong("generation", what, "let the service's user read it"));
            }
        }
    }
    findings
}
