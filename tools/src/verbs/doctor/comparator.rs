//! The comparator, where the settings name one: its manifest reads, the shards have pictures for it, it is not suspected
//! of having ended the daemon, and a runtime loads it and reproduces its golden comparisons.

use geolocated::reranker::check_pictures;
use geolocated::service::{MarkedModel, Settings};
use index_shards::ShardSet;
use quantized_models::{Comparator, ComparatorManifest};

use super::finding::Finding;

pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    let Some(rerank) = &settings.rerank else { return Vec::new() };
    let manifest = match ComparatorManifest::load(&rerank.comparator) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::wrong("comparator", error, "add or pull the comparator again")],
    };
    let mut findings = Vec::new();
    let marker = settings.state_dir.join(MarkedModel::Comparator.file());
    if marker.is_file() {
        let what = format!("{}: a daemon ended, or runs, in the middle of a comparison", marker.display());
        let mend = "unless it runs right now: see the log for what it died of, then remove the file";
        findings.push(Finding::warning("comparator", what, mend));
    }
    let shards = ShardSet::open(&settings.shards).ok();
    if let Some(Err(error)) = shards.map(|shards| check_pictures(&shards, "")) {
        findings.push(Finding::wrong("comparator", error, "build the shard with --pictures thumbnails or tokens"));
    }
    findings.push(match Comparator::load(&manifest, &settings.load) {
        Ok(comparator) => {
            let (name, runtime) = (comparator.name(), comparator.runtime().label());
            Finding::good("comparator", format!("{name}: {runtime} reproduces its golden comparisons"))
        }
        Err(error) => {
            let mend = "install what is missing, or take a variant for this device; fixes go out without it";
            Finding::wrong("comparator", error, mend)
        }
    });
    findings
}
