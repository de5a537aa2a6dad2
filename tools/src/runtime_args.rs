//! How encoders are loaded by the tool: which runtime, and where packed weights and stamps lie.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use quantized_models::{LoadOptions, PackedIn, Progress, RuntimeKind, Step};

/// Lets models be taken from folders that other users may write.
const TRUST: &str = "GEOLOCATED_TRUST_WRITABLE_MODELS";

/// Which runtime runs the encoder.
#[derive(Debug, Clone, Default, Args)]
pub struct RuntimeArgs {
    /// Run the encoder with this runtime and no other: onnxruntime or tract [default: in the order of its manifest]
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<RuntimeKind>,
}

impl RuntimeArgs {
    /// Options for `sessions` runs at the same time, each on one thread. Packed weights and stamps lie in the user's
    /// cache; packed weights are also found beside the model.
    pub fn options(&self, sessions: usize) -> LoadOptions {
        let cache = user_cache();
        let in_cache = cache.as_ref().map(|cache| PackedIn::Folder(cache.join("packed")));
        LoadOptions {
            runtime: self.runtime,
            sessions: sessions.max(1),
            packed: in_cache.into_iter().chain([PackedIn::ModelFolder]).collect(),
            stamps: cache.map(|cache| cache.join("stamps")),
            trust_writable_folders: std::env::var_os(TRUST).is_some_and(|value| value == "1"),
            ..LoadOptions::default()
        }
    }
}

/// The folder for what can be made again: `$XDG_CACHE_HOME/geolocated`, else `~/.cache/geolocated`.
pub fn user_cache() -> Option<PathBuf> {
    cache_of(|name| std::env::var_os(name).map(PathBuf::from))
}

fn cache_of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: PathBuf| Some(path).filter(|path| path.is_absolute());
    let base = variable("XDG_CACHE_HOME").and_then(absolute);
    let base = base.or_else(|| Some(absolute(variable("HOME")?)?.join(".cache")))?;
    Some(base.join(Path::new("geolocated")))
}

/// A bar on a terminal that shows how far loading a model has come. It vanishes when it is dropped.
#[derive(Debug)]
pub struct LoadingBar {
    bar: ProgressBar,
    step: Option<Step>,
}

impl LoadingBar {
    /// A bar that shows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { bar: ProgressBar::hidden(), step: None }
    }

    /// Shows `progress`.
    pub fn show(&mut self, progress: Progress) {
        if self.step != Some(progress.step) {
            self.bar.finish_and_clear();
            self.bar = bar(progress);
            self.step = Some(progress.step);
        }
        self.bar.set_position(progress.done);
    }
}

impl Default for LoadingBar {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for LoadingBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes for what reads or writes, a spinner for what does not say how far it is.
fn bar(progress: Progress) -> ProgressBar {
    let template = match progress.step {
        Step::Hashing | Step::Writing => "{msg} {bar:32} {bytes}/{total_bytes} {eta}",
        Step::Checking => "{msg} {bar:32} {pos}/{len}",
        Step::Packing => "{spinner} {msg} {elapsed}",
    };
    let bar = ProgressBar::new(progress.total).with_message(progress.step.name());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_the_users() {
        let set = |pairs: &'static [(&str, &str)]| {
            cache_of(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
        };
        assert_eq!(set(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), Some("/c/geolocated".into()));
        assert_eq!(set(&[("HOME", "/h")]), Some("/h/.cache/geolocated".into()));
        assert_eq!(set(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]), Some("/h/.cache/geolocated".into()));
        assert_eq!(set(&[]), None);
    }
}
