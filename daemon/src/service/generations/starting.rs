//! What a start opens: what was accepted, else what holds, else nothing until something comes.

use quantized_models::Progress;
use tracing::{error, info, warn};

use super::keeper::{Keeper, own_folder, state_path};
use super::reading::Reading;
use crate::generations::{Generation, GenerationState};
use crate::whole_file;

/// Starts in a row that may fail before the device goes back to the generation before.
const MOST_FAILED_STARTS: u32 = 3;

/// More bytes than this are not read before the daemon says that it is ready: the thread reads them, and frames wait.
const MOST_BYTES_BEFORE_READY: u64 = 256 << 20;

impl Keeper {
    pub(super) fn start_generations(&mut self, progress: &mut dyn FnMut(Progress)) {
        let folder = own_folder(&self.state_dir);
        if let Err(problem) = whole_file::make_folder(&folder) {
            self.degrade("generation_state", &format!("{}: cannot be made: {problem}", folder.display()));
        }
        match GenerationState::load(&state_path(&self.state_dir)) {
            Ok(state) => self.state = state,
            Err(problem) => {
                let problem = format!("{problem}; the newest generation that holds is taken");
                self.degrade("generation_state", &problem);
            }
        }
        if self.state.starts >= MOST_FAILED_STARTS {
            self.give_up_active();
        }
        self.late = match self.first() {
            Some(first) => {
                let unread = self.opener.unread_bytes(&first);
                let late = unread > MOST_BYTES_BEFORE_READY;
                if late {
                    Reading::new(&self.parts, &first, unread).tell();
                }
                late
            }
            None => false,
        };
        if !self.late {
            self.begin(progress);
        }
    }

    /// What is likely to serve first: what was accepted and is there, else the newest.
    fn first(&self) -> Option<Generation> {
        let accepted = [&self.state.active, &self.state.previous].into_iter().flatten();
        let mut accepted = accepted.filter_map(|entry| Generation::open_accepted(&entry.folder, &entry.manifest).ok());
        accepted.find(|generation| generation.check_lengths().is_ok()).or_else(|| self.newest())
    }

    /// Counts the start, and opens what was accepted, else what is there.
    fn begin(&mut self, progress: &mut dyn FnMut(Progress)) {
        if self.state.active.is_some() {
            self.state.starts = self.state.starts.saturating_add(1);
            self.keep(self.state.clone()).ok();
        }
        // A roll back is to be quick, also after a restart.
        if let Some(previous) = &self.state.previous
            && let Ok(previous) = Generation::open_accepted(&previous.folder, &previous.manifest)
        {
            self.opener.keep(&previous);
        }
        self.serve_accepted(progress);
        if self.parts.live.get().is_none() {
            self.look();
        }
        self.say_problems();
        if self.parts.live.get().is_none() {
            error!("no generation serves yet");
        }
        self.show();
    }

    /// The same for what takes long to read. That comes first, so that a start that ends meanwhile has not failed.
    pub(super) fn begin_late(&mut self) {
        if let Some(first) = self.first() {
            let mut reading = self.reading(&first);
            if let Err(problem) = self.opener.verify(&first, &mut |bytes| reading.watch(bytes)) {
                // Who opens it says it again, and does something about it.
                info!(%problem, "a generation does not verify");
            }
        }
        if !self.is_ending() {
            self.begin(&mut |_| {});
        }
    }

    /// After too many failed starts: back to the generation before.
    fn give_up_active(&mut self) {
        let reason = format!("{} starts with it failed", self.state.starts);
        match self.state.rolled_back(&reason) {
            Some(state) => {
                warn!(reason, "rolling back to the generation before");
                self.keep(state).ok();
            }
            None => warn!(reason, "there is no generation before it: trying again"),
        }
    }

    /// Opens the active generation, else the one before.
    fn serve_accepted(&mut self, progress: &mut dyn FnMut(Progress)) {
        let Some(active) = self.state.active.clone() else { return };
        let failed = match self.open_entry(&active, progress) {
            Ok(pipeline) => return self.serve(pipeline),
            Err(error) => format!("generation {}: {error}", active.counter),
        };
        error!(failed, "the active generation does not open");
        let Some(previous) = self.state.previous.clone() else {
            self.fallback = Some(failed);
            return;
        };
        match self.open_entry(&previous, progress) {
            Ok(pipeline) => {
                self.fallback = Some(format!("{failed}; generation {} serves", previous.counter));
                // Not set aside: it is activated again as soon as its files are whole.
                let mut state = self.state.clone();
                (state.active, state.previous, state.starts) = (Some(previous), None, 1);
                self.keep(state).ok();
                self.serve(pipeline);
            }
            Err(error) => self.fallback = Some(format!("{failed}; generation {}: {error}", previous.counter)),
        }
    }
}
