//! From a manifest to a comparator.

use std::sync::atomic::{AtomicU64, Ordering};

use super::decoder::Decoder;
use super::embedding::Embedding;
use super::golden::Goldens;
use super::manifest::ComparatorManifest;
use super::prompt::Prompts;
use super::stopper::Stopper;
use super::vision::Vision;
use super::{Comparator, Times};
use crate::error::LoadError;
use crate::loading::{Loading, Subject};
use crate::manifest::GraphFiles;
use crate::network::{Network, NetworkEnds};
use crate::onnxruntime::{OrtNetwork, Packing, Remains, Sums};
use crate::options::{LoadOptions, OnProgress};
use crate::runtime::RuntimeKind;
use crate::tract::TractNetwork;

/// Numbers comparators, so that each knows its own queries.
static OWNERS: AtomicU64 = AtomicU64::new(0);

/// The steps from a manifest to a comparator.
pub(super) struct Parts<'a> {
    pub(super) manifest: &'a ComparatorManifest,
    pub(super) options: &'a LoadOptions,
    pub(super) packing: Packing,
}

impl Parts<'_> {
    pub(super) fn load(&self, progress: &mut OnProgress<'_>) -> Result<Comparator, LoadError> {
        let manifest = self.manifest;
        let subject = Subject {
            name: manifest.name(),
            path: manifest.path(),
            folder: manifest.folder(),
            files: manifest.files(),
            others: manifest.pictures(),
            runtimes: manifest.runtimes(),
        };
        let loading = Loading { subject, options: self.options };
        loading.load(&mut |way, progress| self.load_on(way, progress), progress)
    }

    fn load_on(&self, way: (RuntimeKind, Sums), progress: &mut OnProgress<'_>) -> Result<Comparator, LoadError> {
        let manifest = self.manifest;
        // First of all, because it is small: texts that do not fit cost no packing. Prompts never change, so the table is
        // needed once and not kept; packing would write it a second time.
        let unpacked = LoadOptions { packed: Vec::new(), sessions: 1, ..self.options.clone() };
        let prompts = Prompts::load(manifest, &mut |ids| self.embedding(way, &unpacked, progress)?.rows(ids))?;
        let vision = self.network(
            &manifest.vision().files,
            &Vision::ends(manifest),
            (way, Remains::GivenBack, self.options),
            progress,
        )?;
        let (spec, width) = (manifest.decoder(), manifest.image().width);
        let ends = Decoder::ends(spec, width);
        let decoder = self.network(&spec.files, &ends, (way, Remains::Kept, self.options), progress)?;
        let mut comparator = Comparator {
            name: manifest.name().to_owned(),
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            vision: Vision::new(vision, manifest),
            decoder: Decoder::new(decoder, spec, width, manifest.name()),
            prompts,
            blocks_independent: manifest.blocks_independent(),
            perception_noise_nats: manifest.perception_noise_nats(),
            stopper: Stopper::default(),
            times: Times::default(),
            margin_error: 0.0,
        };
        let checked = Goldens::read(manifest)?.check(&comparator, progress)?;
        (comparator.times, comparator.margin_error) = (checked.times, checked.margin_error);
        comparator.give_back();
        comparator.vision.network.checked();
        comparator.decoder.network.checked();
        let info = comparator.runtime();
        let (runtime, threads, weights) = (info.label(), info.threads, info.weights);
        let (times, margin_error) = (comparator.times, comparator.margin_error);
        tracing::info!(model = comparator.name, runtime, threads, ?weights, ?times, margin_error, "comparator loaded");
        Ok(comparator)
    }

    /// The graph that gives the numbers of tokens.
    pub(super) fn embedding(
        &self,
        way: (RuntimeKind, Sums),
        options: &LoadOptions,
        progress: &mut OnProgress<'_>,
    ) -> Result<Embedding, LoadError> {
        let (spec, width) = (self.manifest.embed(), self.manifest.image().width);
        let ends = Embedding::ends(spec, width);
        let network = self.network(&spec.files, &ends, (way, Remains::GivenBack, options), progress)?;
        Ok(Embedding::new(network, spec, width))
    }

    fn network(
        &self,
        files: &GraphFiles,
        ends: &NetworkEnds,
        ((kind, sums), remains, options): ((RuntimeKind, Sums), Remains, &LoadOptions),
        progress: &mut OnProgress<'_>,
    ) -> Result<Box<dyn Network>, LoadError> {
        let packing = if options.packed.is_empty() { Packing::Tried } else { self.packing };
        Ok(match kind {
            RuntimeKind::OnnxRuntime => {
                let place = (self.manifest.folder(), options);
                Box::new(OrtNetwork::load(files, ends, place, (packing, sums, remains), progress)?)
            }
            RuntimeKind::Tract => Box::new(TractNetwork::load(files, ends)?),
        })
    }
}
