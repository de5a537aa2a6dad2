//! Many settings of the prompt, one after the other, from a file. Each result is a line of JSON in `FILE.toml.done`; a
//! sweep that was stopped goes on behind the last of them, and the generator's kept answers serve the rest.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::args::SystemArgs;
use super::figures::RagFigures;
use super::neighbours::Neighbours;
use super::prompt::{Form, Notation, Order, PromptOptions};
use super::questions::Asking;
use crate::evaluation::Query;

/// A sweep may have so many settings.
const MOST_SETTINGS: usize = 1000;

/// What is varied. A list that is absent has the one value of the command line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Axes {
    similar: Vec<usize>,
    dissimilar: Vec<usize>,
    form: Vec<Form>,
    notation: Vec<Notation>,
    order: Vec<Order>,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// `all`: every combination; `one`: one list at a time, the others as on the command line.
    #[serde(default)]
    vary: Vary,
    sweep: Axes,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Vary {
    #[default]
    All,
    One,
}

impl Document {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{}: cannot read", path.display()))?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// All settings, each once, in the order of the file.
    fn settings(&self, usual: PromptOptions) -> Vec<PromptOptions> {
        let mut settings = vec![usual];
        if self.vary == Vary::All {
            settings = vary(&settings, &self.sweep.similar, |options, similar| options.similar = similar);
            settings = vary(&settings, &self.sweep.dissimilar, |options, dissimilar| options.dissimilar = dissimilar);
            settings = vary(&settings, &self.sweep.form, |options, form| options.form = form);
            settings = vary(&settings, &self.sweep.notation, |options, notation| options.notation = notation);
            return vary(&settings, &self.sweep.order, |options, order| options.order = order);
        }
        let one = [usual];
        let axes = [
            vary(&one, &self.sweep.similar, |options, similar| options.similar = similar),
            vary(&one, &self.sweep.dissimilar, |options, dissimilar| options.dissimilar = dissimilar),
            vary(&one, &self.sweep.form, |options, form| options.form = form),
            vary(&one, &self.sweep.notation, |options, notation| options.notation = notation),
            vary(&one, &self.sweep.order, |options, order| options.order = order),
        ];
        for found in axes.into_iter().flatten() {
            if !settings.contains(&found) {
                settings.push(found);
            }
        }
        settings
    }
}

fn vary<T: Copy>(settings: &[PromptOptions], values: &[T], set: impl Fn(&mut PromptOptions, T)) -> Vec<PromptOptions> {
    if values.is_empty() {
        return settings.to_vec();
    }
    let with = |options: &PromptOptions, value: &T| {
        let mut options = *options;
        set(&mut options, *value);
        options
    };
    settings.iter().flat_map(|options| values.iter().map(move |value| with(options, value))).collect()
}

/// One line of the results.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// Digest of all that the figures depend on.
    key: &'a str,
    figures: &'a RagFigures,
}

/// Runs what is not done yet, and says all results on standard error.
///
/// # Errors
/// The file cannot be used, the generator refuses all questions, or the results cannot be written.
pub(super) fn run(
    path: &Path,
    args: &SystemArgs,
    asking: &Asking<'_>,
    queries: &[Query<'_>],
    neighbours: &[Neighbours],
) -> anyhow::Result<()> {
    let settings = Document::read(path)?.settings(args.prompt());
    if settings.len() > MOST_SETTINGS {
        bail!(
            "{}: expected at most {MOST_SETTINGS} settings, found {}; vary = \"one\" makes fewer",
            path.display(),
            settings.len()
        );
    }
    let retrieved =
        neighbours.iter().map(|found| found.similar.len().max(found.dissimilar.len())).max().unwrap_or_default();
    let most = settings.iter().map(|options| options.similar.max(options.dissimilar)).max().unwrap_or_default();
    if most > 32 {
        bail!("{}: expected at most 32 neighbours of a kind, found {most}", path.display());
    }
    if most > retrieved {
        eprintln!("geolocate: {}: the gallery gives {retrieved} neighbours where {most} are asked for", path.display());
    }
    let done_path = PathBuf::from(format!("{}.done", path.display()));
    let done = keys(&done_path)?;
    let mut file = OpenOptions::new().create(true).append(true).open(&done_path);
    let file = file.as_mut().map_err(|error| anyhow::anyhow!("{}: cannot write: {error}", done_path.display()))?;
    if fs::read(&done_path).is_ok_and(|bytes| bytes.last().is_some_and(|byte| *byte != b'\n')) {
        // A kill cut the last line.
        file.write_all(b"\n").with_context(|| format!("{}: cannot write", done_path.display()))?;
    }
    let own: Vec<&Neighbours> = neighbours.iter().collect();
    for (number, options) in settings.iter().enumerate() {
        let key = key(options, args, asking, queries, &own);
        if done.contains(&key) {
            eprintln!("geolocate: setting {} of {} was done before", number + 1, settings.len());
            continue;
        }
        let asked = asking.ask("sweeping", options, queries, &own)?;
        let figures = RagFigures::of((queries, &own), &asked, None, *options, &args.thresholds());
        let line = serde_json::to_string(&Line { key: &key, figures: &figures })? + "\n";
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        written.with_context(|| format!("{}: cannot write", done_path.display()))?;
        let PromptOptions { form, notation, order, .. } = options;
        eprint!("setting {} of {}, {form:?}, {notation:?}, {order:?}\n{}", number + 1, settings.len(), figures.text());
    }
    Ok(())
}

/// The keys of what is done. A line that was cut by a kill is none.
fn keys(path: &Path) -> anyhow::Result<Vec<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => bail!("{}: cannot read: {error}", path.display()),
    };
    let mut keys = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.with_context(|| format!("{}: cannot read", path.display()))?;
        let value: Option<Value> = serde_json::from_str(&line).ok();
        keys.extend(value.and_then(|value| Some(value.get("key")?.as_str()?.to_owned())));
    }
    Ok(keys)
}

/// What a result depends on: setting, model, temperature, answers, thresholds, queries and their neighbours.
fn key(
    options: &PromptOptions,
    args: &SystemArgs,
    asking: &Asking<'_>,
    queries: &[Query<'_>],
    neighbours: &[&Neighbours],
) -> String {
    let mut digest = Sha256::new();
    let settings = format!(
        "{options:?} {} {} {} {:?}",
        asking.generator.name(),
        asking.temperature,
        asking.runs,
        args.thresholds_km
    );
    digest.update(settings.as_bytes());
    for (query, found) in queries.iter().zip(neighbours) {
        let truth = query.pose.place;
        digest.update(format!("{} {} {} {:?}", query.pose.file, truth.lat_deg, truth.lon_deg, found).as_bytes());
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_combinations_or_one_list_at_a_time() {
        let document = |vary: &str| -> Document {
            toml::from_str(&format!(
                "vary = \"{vary}\"\n[sweep]\nsimilar = [0, 1, 16]\ndissimilar = [0, 16]\nform = [\"json\", \"text\"]\n"
            ))
            .unwrap()
        };
        let usual = PromptOptions::default();
        assert_eq!(document("all").settings(usual).len(), 12);
        let one = document("one").settings(usual);
        // As on the command line, then 0 and 1 similar, 0 dissimilar, text.
        assert_eq!(one.len(), 5, "{one:?}");
        assert_eq!(one[0], usual);
        assert!(
            toml::from_str::<Document>("[sweep]\nsimilar = [1]\ncolour = [1]\n")
                .unwrap_err()
                .to_string()
                .contains("colour")
        );
    }
}
