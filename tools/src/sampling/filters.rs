//! Which candidates are worth choosing.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, bail};
use geolocated::locate::{BadFrame, FrameFigures, RefusedFrames};
use h3o::CellIndex;
use quantized_models::{DecodeLimits, decode};

use super::{Candidate, Request};
use crate::npy::NpyReader;
use crate::pictures;
use crate::unit_vector::normalise;

/// Looks at candidates, and remembers the vectors of those that were chosen.
pub(super) struct Filters {
    images: Option<std::path::PathBuf>,
    least_px: u32,
    near_duplicate: f32,
    vectors: Option<HashMap<u64, Vec<f32>>>,
    chosen: Vec<Vec<f32>>,
    counts: BTreeMap<&'static str, usize>,
}

impl Filters {
    /// Reads the vectors of the candidates.
    pub(super) fn open(
        request: &Request<'_>,
        candidates: &BTreeMap<CellIndex, Vec<Candidate>>,
    ) -> anyhow::Result<Self> {
        let vectors = match request.vectors {
            None => None,
            Some(path) => {
                let mut wanted: Vec<u64> = candidates.values().flatten().map(|candidate| candidate.row).collect();
                wanted.sort_unstable();
                let mut reader = NpyReader::open(path)?;
                let (mut vectors, mut at) = (HashMap::with_capacity(wanted.len()), 0);
                for row in wanted {
                    let skipped = usize::try_from(row)?.saturating_sub(at);
                    if usize::try_from(row)? >= reader.rows() {
                        let (path, rows) = (path.display(), reader.rows());
                        bail!("{path}: expected a vector for each row of the poses, found {rows} and a row {row}");
                    }
                    reader.skip(skipped)?;
                    let mut vector = reader.next_row()?;
                    normalise(&mut vector).with_context(|| format!("{}: row {row}", path.display()))?;
                    at = usize::try_from(row)? + 1;
                    vectors.insert(row, vector);
                }
                Some(vectors)
            }
        };
        Ok(Self {
            images: request.images.map(std::path::Path::to_owned),
            least_px: request.least_px,
            near_duplicate: request.near_duplicate,
            vectors,
            chosen: Vec::new(),
            counts: BTreeMap::new(),
        })
    }

    /// Whether a candidate is chosen; if it is, it counts for those that follow.
    pub(super) fn pass(&mut self, candidate: &Candidate) -> anyhow::Result<bool> {
        let vector = match &self.vectors {
            None => None,
            Some(vectors) => Some(vectors.get(&candidate.row).context("every candidate has a vector")?.clone()),
        };
        if let Some(vector) = &vector {
            let dot = |other: &Vec<f32>| other.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
            if self.chosen.iter().any(|other| dot(other) >= self.near_duplicate) {
                *self.counts.entry("near_duplicate").or_default() += 1;
                return Ok(false);
            }
        }
        if let Some(reason) = self.fault(candidate) {
            *self.counts.entry(reason).or_default() += 1;
            return Ok(false);
        }
        self.chosen.extend(vector);
        Ok(true)
    }

    /// One word for what is wrong with a candidate's picture.
    fn fault(&self, candidate: &Candidate) -> Option<&'static str> {
        let images = self.images.as_deref()?;
        let limits = DecodeLimits::default();
        let encoded = match pictures::read_below(images, &candidate.file, &limits) {
            Ok(encoded) => encoded,
            Err(error) => return Some(error.reason()),
        };
        let Ok(image) = decode(&encoded, &limits) else { return Some("bad_picture") };
        if image.width().min(image.height()) < self.least_px {
            return Some("small_picture");
        }
        let bad = FrameFigures::of(&image).and_then(|figures| figures.bad());
        bad.filter(|kind| RefusedFrames::default().contains(*kind)).map(BadFrame::as_str)
    }

    /// How many were left out, by reason.
    pub(super) fn into_counts(self) -> BTreeMap<&'static str, usize> {
        self.counts
    }
}
