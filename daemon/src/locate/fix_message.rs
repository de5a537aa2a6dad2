//! The fix object: one JSON form for MQTT and for `geolocate locate`.

use index_shards::PositionOf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rerank::Strategy;
use super::{CameraOffset, Candidate, Outcome, Pipeline, Prediction, Reranking, TrackPart};

/// Version of the fix object.
const VERSION: u32 = 1;

/// One answer as JSON. A field that does not apply is absent, never null or zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixMessage {
    /// Version of this form.
    pub v: u32,
    /// Name of the frame.
    pub id: String,
    /// Number of the daemon's start on this device; grows with each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// Number of the message since that start; grows by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Name of the camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cam: Option<String>,
    /// How far the pipeline went.
    pub stage: Stage,
    /// Name of the frame whose earlier message this one revises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revises: Option<String>,
    /// When the frame was taken, RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<String>,
    /// When the message was first handed to the broker, RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_at: Option<String>,
    /// `synced` or `unsynced`, where the device knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<String>,
    /// True when the message was sent before and may arrive twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<bool>,
    /// What kind of answer this is.
    pub status: MessageStatus,
    /// For `no_fix` an enumerated word, after `bad_frame` a colon and the kind; for `error` an enumerated word, a colon
    /// and a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Latitude in WGS 84 degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Longitude in WGS 84 degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
    /// The ground at the centre of the picture, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// Whether `lat` and `lon` are the camera's or those of the ground that it sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_of: Option<PositionOf>,
    /// In 68 of 100 fixes the true position lies within so many metres; absent without a calibration that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radius_68_m: Option<f64>,
    /// In 95 of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radius_95_m: Option<f64>,
    /// Variance to the east, covariance of east and north, variance to the north, in square metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariance_m2: Option<[f64; 3]>,
    /// Probability that the place is the right one, in [0, 1]; absent without a calibration that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The most similar references, most similar first; after reranking, the best one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<MessageCandidate>,
    /// The most dissimilar references, most dissimilar first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dissimilar: Vec<MessageCandidate>,
    /// What a comparator said, or why it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<RerankPart>,
    /// What a generator wrote; absent where none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedPart>,
    /// The track of the camera; absent where none is kept, or where the frame is too old for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<TrackPart>,
    /// True when candidates were left out to keep the message small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// The index that answered.
    pub index: IndexPart,
    /// The models that answered.
    pub models: ModelsPart,
    /// Wall-clock milliseconds by stage.
    pub ms: StageMilliseconds,
}

/// How far the pipeline went for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Retrieval alone.
    Retrieved,
    /// A comparator was asked, too; what became of that, `rerank` says.
    Reranked,
}

/// What kind of answer a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// A position.
    Fix,
    /// Several places far apart explain the frame about equally well.
    Ambiguous,
    /// The frame was read, and there is no position to stand for.
    NoFix,
    /// The frame could not be worked on.
    Error,
}

/// A position on the ground.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Latitude in WGS 84 degrees.
    pub lat: f64,
    /// Longitude in WGS 84 degrees.
    pub lon: f64,
}

/// A reference at either end of the retrieval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageCandidate {
    /// Latitude in WGS 84 degrees.
    pub lat: f64,
    /// Longitude in WGS 84 degrees.
    pub lon: f64,
    /// Share of the candidate in the weight of all, in [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// Cosine of the embeddings.
    pub similarity: f64,
    /// Name of the reference.
    pub reference: String,
}

/// What a comparator said, or why it said nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankPart {
    /// How comparisons were chosen.
    pub strategy: Strategy,
    /// How often the comparator was asked, probes included.
    pub comparisons: usize,
    /// Wall-clock milliseconds.
    pub ms: f64,
    /// Why it ended, or never began, in a word.
    pub stopped_by: String,
    /// `passed` or `failed`: whether the comparator told the leader from a dissimilar reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeOutcome>,
}

/// What became of the probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeOutcome {
    /// The comparator told the leader from a dissimilar reference.
    Passed,
    /// It did not.
    Failed,
}

/// Where a generator says that the frame was taken. It is no fix: nothing says how far it may be off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedPart {
    /// Latitude in WGS 84 degrees; absent where no answer names a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Longitude in WGS 84 degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
    /// Name of the model.
    pub model: String,
    /// Answers that it wrote.
    pub samples: usize,
    /// Of those, answers that name a place; the position is their geometric median.
    pub parsed: usize,
}

/// The index that answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexPart {
    /// Number of the signed generation, where the index is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Digest of the index, hexadecimal.
    pub digest: String,
    /// Whether that digest was checked against the content.
    pub verified: bool,
}

/// The models that answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsPart {
    /// Name of the encoder; absent when the query came as a vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// Name of the comparator; absent where none was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparator: Option<String>,
}

/// Wall-clock milliseconds by stage; a stage that did not run is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageMilliseconds {
    /// Between arrival and the start of work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<f64>,
    /// Decoding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<f64>,
    /// Preprocessing and embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embed: Option<f64>,
    /// Retrieval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<f64>,
    /// Comparisons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<f64>,
    /// From candidates to a fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuse: Option<f64>,
    /// All stages together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
}

impl FixMessage {
    /// The message for `prediction`, which `pipeline` made for the frame `id`. All candidates are in it.
    pub fn new(
        pipeline: &Pipeline,
        id: &str,
        camera: Option<&str>,
        captured_at_ms: Option<i64>,
        prediction: &Prediction,
    ) -> Self {
        let (status, reason, fix) = match &prediction.outcome {
            Outcome::Fix(fix) => {
                (MessageStatus::Fix, None, Some(View { lat: degrees(fix.lat_deg), lon: degrees(fix.lon_deg) }))
            }
            Outcome::Ambiguous => (MessageStatus::Ambiguous, None, None),
            Outcome::NoFix(reason) => (MessageStatus::NoFix, Some(reason.to_string()), None),
            Outcome::Error(error) => (MessageStatus::Error, Some(error.to_string()), None),
        };
        // All candidates of a frame have the camera as far off.
        let offset = prediction.similar.first().and_then(|first| first.offset);
        let (position_of, view) = match offset {
            Some(offset) => (PositionOf::Camera, fix.map(|camera| view_of(camera, offset))),
            None => (pipeline.position_of(), fix.filter(|_| pipeline.position_of() == PositionOf::FootprintCentre)),
        };
        let (stages, reranking) = (&prediction.stages, prediction.reranking.as_ref());
        let radii = prediction.certainty.and_then(|certainty| certainty.radii);
        Self {
            v: VERSION,
            id: id.to_owned(),
            boot: None,
            seq: None,
            cam: camera.map(str::to_owned),
            stage: if reranking.is_some_and(Reranking::ran) { Stage::Reranked } else { Stage::Retrieved },
            revises: None,
            captured_at: captured_at_ms.and_then(timestamp),
            published_at: None,
            clock: None,
            replay: None,
            status,
            reason,
            lat: fix.map(|position| position.lat),
            lon: fix.map(|position| position.lon),
            view,
            position_of: fix.map(|_| position_of),
            radius_68_m: radii.map(|radii| rounded(radii.radius_68_m, 10.0)),
            radius_95_m: radii.map(|radii| rounded(radii.radius_95_m, 10.0)),
            covariance_m2: radii.map(|radii| radii.covariance_m2.map(|value| rounded(value, 100.0))),
            confidence: prediction.certainty.map(|certainty| rounded(certainty.confidence, 1e4)),
            candidates: candidates(prediction),
            dissimilar: prediction.dissimilar.iter().map(MessageCandidate::from).collect(),
            rerank: reranking.map(RerankPart::from),
            generated: None,
            track: None,
            truncated: None,
            index: IndexPart {
                generation: pipeline.generation(),
                digest: pipeline.shards().digest(),
                verified: pipeline.verified(),
            },
            models: ModelsPart {
                encoder: pipeline.encoder().map(|encoder| encoder.name().to_owned()),
                comparator: reranking.map(|reranking| reranking.comparator.clone()),
            },
            ms: StageMilliseconds {
                wait: None,
                decode: stages.decode_ms.map(milliseconds),
                embed: stages.embed_ms.map(milliseconds),
                search: stages.search_ms.map(milliseconds),
                rerank: stages.rerank_ms.map(milliseconds),
                fuse: stages.fuse_ms.map(milliseconds),
                total: stages.total_ms.map(milliseconds),
            },
        }
    }

    /// Leaves at most `similar` candidates and `dissimilar` dissimilar ones, then drops further candidates and
    /// dissimilar ones from the tail until the JSON takes at most `bytes`. Says so in `truncated`.
    pub fn shorten(&mut self, similar: usize, dissimilar: usize, bytes: usize) {
        let before = (self.candidates.len(), self.dissimilar.len());
        self.candidates.truncate(similar);
        self.dissimilar.truncate(dissimilar);
        if before != (self.candidates.len(), self.dissimilar.len()) {
            self.truncated = Some(true);
        }
        while self.json_bytes() > bytes && (self.dissimilar.pop().is_some() || self.candidates.pop().is_some()) {
            self.truncated = Some(true);
        }
    }

    fn json_bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

impl GeneratedPart {
    /// What stands of it in a message.
    pub fn new(model: &str, place: Option<(f64, f64)>, samples: usize, parsed: usize) -> Self {
        let (lat, lon) = place.unzip();
        Self { lat: lat.map(degrees), lon: lon.map(degrees), model: model.to_owned(), samples, parsed }
    }
}

fn candidates(prediction: &Prediction) -> Vec<MessageCandidate> {
    let mut candidates: Vec<MessageCandidate> = prediction.similar.iter().map(MessageCandidate::from).collect();
    for (candidate, p) in candidates.iter_mut().zip(&prediction.posterior.p) {
        candidate.p = Some(rounded(*p, 1e5));
    }
    candidates
}

impl From<&Reranking> for RerankPart {
    fn from(reranking: &Reranking) -> Self {
        let outcome = |passed| if passed { ProbeOutcome::Passed } else { ProbeOutcome::Failed };
        Self {
            strategy: reranking.strategy,
            comparisons: reranking.comparisons,
            ms: milliseconds(reranking.ms),
            stopped_by: reranking.end.as_str().to_owned(),
            probe: reranking.probe_passed.map(outcome),
        }
    }
}

impl From<&Candidate> for MessageCandidate {
    fn from(candidate: &Candidate) -> Self {
        Self {
            lat: degrees(candidate.lat_deg),
            lon: degrees(candidate.lon_deg),
            p: None,
            similarity: rounded(f64::from(candidate.similarity), 1e5),
            reference: candidate.reference.clone(),
        }
    }
}

/// RFC 3339 in UTC with milliseconds, for Unix milliseconds within the years that the calendar knows.
pub fn timestamp(unix_ms: i64) -> Option<String> {
    Timestamp::from_millisecond(unix_ms).ok().map(|time| format!("{time:.3}"))
}

fn view_of(camera: View, offset: CameraOffset) -> View {
    let (lat_deg, lon_deg) = offset.view_of(camera.lat, camera.lon);
    View { lat: degrees(lat_deg), lon: degrees(lon_deg) }
}

/// To seven decimals, 11 mm on the ground.
fn degrees(value: f64) -> f64 {
    rounded(value, 1e7)
}

fn milliseconds(value: f64) -> f64 {
    rounded(value, 1e3)
}

fn rounded(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(candidates: usize, name_bytes: usize) -> FixMessage {
        let reference = "r".repeat(name_bytes);
        let candidate = MessageCandidate { lat: 50.0, lon: 8.0, p: None, similarity: 0.5, reference };
        FixMessage {
            v: VERSION,
            id: "frame".to_owned(),
            boot: None,
            seq: None,
            cam: None,
            stage: Stage::Retrieved,
            revises: None,
            captured_at: None,
            published_at: None,
            clock: None,
            replay: None,
            status: MessageStatus::Fix,
            reason: None,
            lat: Some(50.0),
            lon: Some(8.0),
            view: None,
            position_of: Some(PositionOf::Camera),
            radius_68_m: None,
            radius_95_m: None,
            covariance_m2: None,
            confidence: None,
            candidates: vec![candidate.clone(); candidates],
            dissimilar: vec![candidate; candidates],
            rerank: None,
            generated: None,
            track: None,
            truncated: None,
            index: IndexPart { generation: None, digest: "00".to_owned(), verified: true },
            models: ModelsPart { encoder: None, comparator: None },
            ms: StageMilliseconds::default(),
        }
    }

    #[test]
    fn a_short_message_stays_as_it_is() {
        let mut short = message(4, 10);
        short.shorten(8, 4, 4096);
        assert_eq!(short, message(4, 10));
    }

    #[test]
    fn a_long_message_loses_its_tail_and_says_so() {
        let mut long = message(16, 300);
        long.shorten(8, 4, 4096);
        assert!(long.json_bytes() <= 4096 && long.candidates.len() == 8 && long.truncated == Some(true));
        let mut huge = message(16, 3000);
        huge.shorten(8, 4, 4096);
        assert!(huge.json_bytes() <= 4096 && huge.candidates.len() == 1 && huge.dissimilar.is_empty());
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(timestamp(1_413_724_851_500).as_deref(), Some("2014-10-19T13:20:51.500Z"));
        assert_eq!(timestamp(0).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!(timestamp(i64::MAX), None);
    }

    #[test]
    fn what_does_not_apply_is_absent() {
        let json = serde_json::to_value(message(0, 0)).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["id", "index", "lat", "lon", "models", "ms", "position_of", "stage", "status", "v"]);
    }
}
