//! The generator, where the settings name one: its manifest reads, it is not suspected of having ended the daemon, and ONNX
//! Runtime loads it and reproduces its golden comparisons.

use geolocated::service::{MarkedModel, Settings};
use quantized_models::{ComparatorManifest, Generator};

use super::finding::Finding;

pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    let Some(generate) = &settings.generate else { return Vec::new() };
    let manifest = match ComparatorManifest::load(&generate.model) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::wrong("generator", error, "add or pull the model again")],
    };
    let mut findings = Vec::new();
    let marker = settings.state_dir.join(MarkedModel::Generator.file());
    if marker.is_file() {
        let what = format!("{}: a daemon ended, or runs, while a place was written", marker.display());
        let mend = "unless it runs right now: see the log for what it died of, then remove the file";
        findings.push(Finding::warning("generator", what, mend));
    }
    findings.push(match Generator::load(&manifest, &settings.load) {
        Ok(generator) => {
            let (name, runtime) = (generator.name(), generator.runtime().label());
            Finding::good("generator", format!("{name}: {runtime} reproduces its golden comparisons"))
        }
        Err(error) => {
            let mend = "install ONNX Runtime, or take a model exported with --all-rows; fixes go out without it";
            Finding::wrong("generator", error, mend)
        }
    });
    findings
}
