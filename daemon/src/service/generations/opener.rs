//! Opens what is to serve: shards and their encoder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use index_shards::{Shard, ShardSet};
use quantized_models::{Encoder, LoadOptions, Progress};

use crate::assemble::{AssembleError, EncoderChoice, load_encoder, verified};
use crate::calibration::calibrate;
use crate::generations::{Generation, GenerationError, GoldenList, ManifestFile, Watch};
use crate::locate::{Pipeline, PipelineOptions};
use crate::service::Settings;
use crate::stamps::Stamps;

/// Opens pipelines one after the other, with one encoder as long as it stays the same.
pub(super) struct Opener {
    options: PipelineOptions,
    prefault: bool,
    /// The encoder of the settings.
    model: Option<PathBuf>,
    load: LoadOptions,
    stamps: Stamps,
    loaded: Option<Loaded>,
    calibration: Option<PathBuf>,
}

/// An encoder and what it was loaded from: the files of a generation, or none for that of the settings.
struct Loaded {
    files: Vec<ManifestFile>,
    encoder: Arc<Encoder>,
}

impl Opener {
    pub(super) fn new(settings: &Settings, stamps: Stamps) -> Self {
        if let Some(problem) = stamps.problem() {
            tracing::warn!(problem, "the stamps count for nothing; everything is verified");
        }
        let search = settings.search.clone();
        Self {
            options: PipelineOptions {
                refuse: settings.refuse.clone(),
                search,
                limits: settings.decode,
                fuse: settings.fuse,
                // The track looks at those that the comparator may see, where there is one.
                pool: match (&settings.rerank, &settings.track) {
                    (Some(rerank), _) => rerank.candidates,
                    (None, Some(track)) => track.options.candidates,
                    (None, None) => 0,
                },
            },
            prefault: settings.prefault,
            model: settings.encoder.clone(),
            load: settings.load.clone(),
            stamps,
            loaded: None,
            calibration: settings.calibration.clone(),
        }
    }

    /// The pipeline with the calibration of the settings, else with `brought`, that of a generation: the first that is
    /// one of its index. Where there is none of the kind, it remembers why not.
    fn calibrate(&self, mut pipeline: Pipeline, brought: Option<&Path>) -> Pipeline {
        let mut problems = Vec::new();
        for path in self.calibration.as_deref().into_iter().chain(brought) {
            let (tried, problem) = calibrate(pipeline, Some(path));
            pipeline = tried;
            match problem {
                Some(problem) => problems.push(problem.to_string()),
                None => {
                    for problem in problems {
                        tracing::warn!(%problem, calibration = %path.display(), "a calibration is passed over for another");
                    }
                    return pipeline;
                }
            }
        }
        if problems.is_empty() {
            return pipeline;
        }
        pipeline.with_calibration_problem(format!("fixes have no radii: {}", problems.join("; ")))
    }

    /// Opens plain shards.
    pub(super) fn shards(
        &mut self,
        paths: &[PathBuf],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Pipeline, AssembleError> {
        let shards = verified(paths, &mut self.stamps, progress);
        // Also when something else is wrong: the next attempt need not read the shards again.
        self.save_stamps();
        let shards = shards?;
        let encoder = match (&self.loaded, &self.model) {
            (Some(loaded), _) => Some(Arc::clone(&loaded.encoder)),
            (None, Some(model)) => Some(self.load(&model.clone(), Vec::new(), &shards, progress)?),
            (None, None) => None,
        };
        self.prefault(&shards)?;
        Ok(self.calibrate(Pipeline::new(encoder, shards, self.options.clone(), true)?, None))
    }

    /// Opens a generation: every file verified, of one space, and with `golden` its golden queries answered as they
    /// should be.
    pub(super) fn generation(
        &mut self,
        generation: &Generation,
        golden: bool,
        watch: &mut Watch<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Pipeline, GenerationError> {
        let shards = generation.open_shards(&mut self.stamps, watch);
        self.save_stamps();
        let shards = shards?;
        let encoder = self.encoder_of(generation, &shards, progress)?;
        self.prefault(&shards)?;
        let pipeline = Pipeline::new(Some(encoder), shards, self.options.clone(), true).map_err(AssembleError::from)?;
        let pipeline = pipeline.with_generation(generation.manifest().counter);
        if golden && let Some(list) = GoldenList::load(generation)? {
            list.check(generation, &pipeline)?;
        }
        Ok(self.calibrate(pipeline, generation.calibration().as_deref()))
    }

    /// Verifies all files of a generation: opening it reads none of them again.
    pub(super) fn verify(&mut self, generation: &Generation, watch: &mut Watch<'_>) -> Result<(), GenerationError> {
        let verified = generation.verify(&mut self.stamps, watch);
        self.save_stamps();
        verified
    }

    /// Keeps what is known of the files of a generation that is not opened now and may be later.
    pub(super) fn keep(&mut self, generation: &Generation) {
        generation.manifest().files.iter().for_each(|file| self.stamps.keep(&generation.path_of(file)));
    }

    /// Bytes of a generation that have to be read before it can be opened.
    pub(super) fn unread_bytes(&self, generation: &Generation) -> u64 {
        generation.unread_bytes(&self.stamps)
    }

    fn encoder_of(
        &mut self,
        generation: &Generation,
        shards: &ShardSet,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Arc<Encoder>, GenerationError> {
        let files = generation.model_files();
        if let Some(loaded) = self.loaded.as_ref().filter(|loaded| loaded.files == files) {
            return Ok(Arc::clone(&loaded.encoder));
        }
        let Some(model) = generation.model().or_else(|| self.model.clone()) else {
            let message = "files: expected a model, because the settings have no models.encoder; found none".to_owned();
            return Err(GenerationError::Manifest { path: generation.path(), message });
        };
        Ok(self.load(&model, files, shards, progress)?)
    }

    fn load(
        &mut self,
        model: &Path,
        files: Vec<ManifestFile>,
        shards: &ShardSet,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Arc<Encoder>, AssembleError> {
        let encoder = load_encoder(EncoderChoice { model, options: &self.load }, shards, progress)?;
        self.loaded = Some(Loaded { files, encoder: Arc::clone(&encoder) });
        Ok(encoder)
    }

    fn prefault(&self, shards: &ShardSet) -> Result<(), AssembleError> {
        if self.prefault {
            shards.shards().iter().try_for_each(Shard::prefault)?;
        }
        Ok(())
    }

    fn save_stamps(&self) {
        if let Err(problem) = self.stamps.save() {
            tracing::warn!(%problem, "what was verified could not be kept; the next start verifies it again");
        }
    }
}
