//! The thread that takes frames through the pipeline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quantized_models::ExifTags;
use tracing::debug;

use super::answers::Answers;
use super::camera_memory::CameraMemory;
use super::clock::now_ms;
use super::follower::Follower;
use super::generations::Live;
use super::generator_stage::GeneratorStage;
use super::inbox::Taken;
use super::second_stage::SecondStage;
use super::{Arrived, Counters, Inbox};
use crate::locate::{
    CameraContext, FixMessage, Frame, FrameError, Located, NoFixReason, Outcome, Pipeline, Prediction, StageTimes,
};

const PATIENCE: Duration = Duration::from_secs(1);

/// Signs of life of the worker, for the watchdog: it beats between frames, not during one.
#[derive(Debug)]
pub(super) struct Heartbeat {
    start: Instant,
    beat_ms: AtomicU64,
}

impl Heartbeat {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, beat_ms: AtomicU64::new(0) }
    }

    fn beat(&self) {
        self.beat_ms.store(self.milliseconds(), Ordering::Relaxed);
    }

    /// How long ago the worker last showed a sign of life.
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.milliseconds().saturating_sub(self.beat_ms.load(Ordering::Relaxed)))
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Takes frames from the inbox, answers each, and hands it to the second stage, if there is one, until the inbox is
/// closed.
pub(super) struct Worker {
    pub(super) live: Arc<Live>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) answers: Arc<Answers>,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) second_stage: Option<Arc<SecondStage>>,
    pub(super) generator: Option<Arc<GeneratorStage>>,
    pub(super) cameras: CameraMemory,
    /// Frames that waited for longer than this get no fix, milliseconds.
    pub(super) max_frame_age_ms: i64,
    pub(super) counters: Arc<Counters>,
    pub(super) follower: Arc<Follower>,
}

impl Worker {
    pub(super) fn run(mut self) {
        loop {
            self.heartbeat.beat();
            // Before the first generation is there, frames wait, the newest of each camera.
            if self.live.wait(PATIENCE).is_none() && !self.inbox.is_closed() {
                continue;
            }
            match self.inbox.take(self.patience()) {
                Taken::Frame(arrived) => {
                    // Asked anew for each frame: what serves may be another by now.
                    let Some(pipeline) = self.live.get() else { continue };
                    self.answer(&pipeline, *arrived);
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            if let Some(second_stage) = &self.second_stage {
                second_stage.publish_overdue();
            }
        }
        if let Some(generator) = &self.generator {
            generator.close();
        }
        if let Some(second_stage) = &self.second_stage {
            second_stage.close();
        }
    }

    /// How long to wait for a frame: not longer than an answer that is kept back may wait.
    fn patience(&self) -> Duration {
        let due = self.second_stage.as_ref().and_then(|second_stage| second_stage.due());
        due.map_or(PATIENCE, |due| due.saturating_duration_since(Instant::now()).min(PATIENCE))
    }

    fn answer(&mut self, pipeline: &Arc<Pipeline>, arrived: Arrived) {
        let wait = arrived.at.elapsed();
        let mut frame = arrived.frame;
        complete_from_exif(&mut frame);
        // For the track, a frame of which nobody said when it was taken was taken when it arrived.
        let waited_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let time_ms = frame.captured_at_ms.unwrap_or_else(|| now_ms().saturating_sub(waited_ms));
        let mut limited = self.follower.prepare(&mut frame, time_ms);
        let prediction = if is_stale(wait, self.max_frame_age_ms) {
            Prediction::no_fix(NoFixReason::Stale, StageTimes::default())
        } else {
            self.cameras.prepare(&frame.camera, pipeline);
            let mut located = locate(pipeline, &frame, &self.cameras.before(&frame));
            if limited && matches!(located.prediction.outcome, Outcome::NoFix(NoFixReason::OutOfCoverage)) {
                // A window without references must not cost the fix.
                (frame.prior, limited) = (None, false);
                located = locate(pipeline, &frame, &self.cameras.before(&frame));
            }
            self.cameras.remember(&frame, &located);
            for ignored in &located.ignored {
                self.counters.metadata_refused.add_one();
                debug!(camera = frame.camera, id = frame.id, reason = ignored.as_str(), "a hint is not used");
            }
            located.prediction
        };
        if let Outcome::NoFix(NoFixReason::BadFrame(kind)) = prediction.outcome {
            self.counters.frames_bad.add_one();
            self.counters.bad(kind).add_one();
        }
        let mut message = FixMessage::new(pipeline, &frame.id, Some(&frame.camera), frame.captured_at_ms, &prediction);
        message.ms.wait = Some((wait.as_secs_f64() * 1e6).round() / 1e3);
        message.track = self.follower.take(pipeline, (&frame, time_ms), &prediction, limited);
        match &self.second_stage {
            Some(second_stage) => second_stage.answer(pipeline, frame, message, prediction),
            None => {
                self.answers.publish(&frame.camera, message.clone());
                if let Some(generator) = &self.generator {
                    generator.offer(&frame, &prediction, &message);
                }
            }
        }
    }
}

/// A frame that makes the pipeline panic costs its own answer and nothing else.
fn locate(pipeline: &Pipeline, frame: &Frame, context: &CameraContext<'_>) -> Located {
    catch_unwind(AssertUnwindSafe(|| pipeline.locate_in(frame, context)))
        .unwrap_or_else(|_| Prediction::failed(FrameError::Panicked, StageTimes::default()).into())
}

/// Whether a frame that was new enough when it came has waited for too long, as it does when no index serves yet: its
/// answer would come too late to be one.
fn is_stale(wait: Duration, max_frame_age_ms: i64) -> bool {
    i64::try_from(wait.as_millis()).is_ok_and(|wait_ms| wait_ms > max_frame_age_ms)
}

/// Takes capture time and heading from the picture where its sender did not give them. Never its position.
fn complete_from_exif(frame: &mut Frame) {
    if frame.captured_at_ms.is_some() && frame.hints.heading_deg.is_some() {
        return;
    }
    let tags = ExifTags::read(&frame.encoded);
    frame.captured_at_ms = frame.captured_at_ms.or(tags.captured_at_ms);
    frame.hints.heading_deg = frame.hints.heading_deg.or(tags.heading_deg);
}
