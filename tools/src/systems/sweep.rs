//! Many settings, one after the other, from a file: what the prompt is made of, and what retrieval gives it. Each result is
//! a line of JSON in `FILE.toml.done`; a sweep that was stopped goes on behind the last of them, and the generator's kept
//! answers serve the rest.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use geolocated::generator::{Form, Notation, Order, PromptOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::args::SystemArgs;
use super::figures::RagFigures;
use super::neighbours::{Neighbours, retrieve};
use super::questions::Asking;
use super::retrieval::{Retrieval, SweptEncoder};
use super::run::Inputs;
use super::sweep_table::{SweepRow, word};
use crate::evaluation::Query;
use crate::search_args::Way;

/// A sweep may have so many settings.
const MOST_SETTINGS: usize = 1000;

/// What is varied. A list that is absent has the one value of the command line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Axes {
    encoder: Vec<SweptEncoder>,
    source: Vec<Vec<String>>,
    dissimilar_by: Vec<Way>,
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

/// One setting.
#[derive(Debug, Clone, PartialEq)]
struct Setting {
    retrieval: Retrieval,
    prompt: PromptOptions,
}

impl Document {
    /// Reads the file; paths in it are relative to its folder.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{}: cannot read", path.display()))?;
        let mut document: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        for (at, encoder) in document.sweep.encoder.iter_mut().enumerate() {
            encoder.check(folder).with_context(|| format!("{}: sweep.encoder[{at}]", path.display()))?;
        }
        Ok(document)
    }

    /// All settings, each once, in the order of the file; those of one retrieval stand together.
    fn settings(&self, usual: PromptOptions) -> Vec<Setting> {
        let usual = Setting { retrieval: Retrieval::default(), prompt: usual };
        let axes = &self.sweep;
        let steps: [&Step<'_>; 8] = [
            &|all| vary(all, &axes.encoder, |setting, encoder| setting.retrieval.encoder = Some(encoder)),
            &|all| vary(all, &axes.source, |setting, sources| setting.retrieval.sources = Some(sources)),
            &|all| vary(all, &axes.dissimilar_by, |setting, way| setting.retrieval.dissimilar_by = Some(way)),
            &|all| vary(all, &axes.similar, |setting, similar| setting.prompt.similar = similar),
            &|all| vary(all, &axes.dissimilar, |setting, dissimilar| setting.prompt.dissimilar = dissimilar),
            &|all| vary(all, &axes.form, |setting, form| setting.prompt.form = form),
            &|all| vary(all, &axes.notation, |setting, notation| setting.prompt.notation = notation),
            &|all| vary(all, &axes.order, |setting, order| setting.prompt.order = order),
        ];
        let alone = vec![usual];
        if self.vary == Vary::All {
            return steps.iter().fold(alone, |settings, step| step(&settings));
        }
        // Settings that differ in the prompt alone share the first retrieval, so they come before the other retrievals.
        let (retrievals, prompts) = steps.split_at(3);
        let mut settings = alone.clone();
        for found in prompts.iter().chain(retrievals).flat_map(|step| step(&alone)) {
            if !settings.contains(&found) {
                settings.push(found);
            }
        }
        settings
    }
}

/// Settings to the same with each value of one list.
type Step<'a> = dyn Fn(&[Setting]) -> Vec<Setting> + 'a;

fn vary<T: Clone>(settings: &[Setting], values: &[T], set: impl Fn(&mut Setting, T)) -> Vec<Setting> {
    if values.is_empty() {
        return settings.to_vec();
    }
    let mut all = Vec::with_capacity(settings.len() * values.len());
    for setting in settings {
        for value in values {
            let mut setting = setting.clone();
            set(&mut setting, value.clone());
            all.push(setting);
        }
    }
    all
}

/// One line of the results.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// Digest of all that the figures depend on.
    key: &'a str,
    #[serde(skip_serializing_if = "Retrieval::is_usual")]
    retrieval: &'a Retrieval,
    figures: &'a RagFigures,
}

/// The file of results.
struct Done {
    path: PathBuf,
    file: File,
    /// Those of earlier runs.
    lines: Vec<Value>,
}

impl Done {
    fn open(path: PathBuf) -> anyhow::Result<Self> {
        let lines = lines(&path)?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| anyhow::anyhow!("{}: cannot write: {error}", path.display()))?;
        if fs::read(&path).is_ok_and(|bytes| bytes.last().is_some_and(|byte| *byte != b'\n')) {
            // A kill cut the last line.
            file.write_all(b"\n").with_context(|| format!("{}: cannot write", path.display()))?;
        }
        Ok(Self { path, file, lines })
    }

    fn find(&self, key: &str) -> Option<&Value> {
        self.lines.iter().find(|line| line.get("key").and_then(Value::as_str) == Some(key))
    }

    fn add(&mut self, line: &Line<'_>) -> anyhow::Result<Value> {
        let text = serde_json::to_string(line)? + "\n";
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("{}: cannot write", self.path.display()))?;
        Ok(serde_json::to_value(line)?)
    }
}

/// Runs what is not done yet, says all results on standard error, and returns a row for each setting.
///
/// `neighbours` are those of the retrieval of the command line; for others, the queries are retrieved for anew.
///
/// # Errors
/// The file cannot be used, an encoder or a gallery that it names neither, the generator refuses all questions, or the
/// results cannot be written.
pub(super) fn run(
    path: &Path,
    args: &SystemArgs,
    asking: &Asking<'_>,
    inputs: &Inputs<'_>,
    neighbours: &[Neighbours],
) -> anyhow::Result<Vec<SweepRow>> {
    let document = Document::read(path)?;
    let settings = document.settings(args.prompt());
    check(path, &settings)?;
    for encoder in &document.sweep.encoder {
        (inputs.check)(encoder).with_context(|| format!("{}: sweep.encoder {}", path.display(), encoder.name))?;
    }
    let mut done = Done::open(PathBuf::from(format!("{}.done", path.display())))?;
    let mut rows = Vec::with_capacity(settings.len());
    let mut number = 0;
    for group in settings.chunk_by(|one, next| one.retrieval == next.retrieval) {
        let Some(Setting { retrieval, .. }) = group.first() else { continue };
        let others;
        let found = if retrieval.is_usual() {
            neighbours
        } else {
            others = retrieved(inputs, retrieval, asking.images).with_context(|| path.display().to_string())?;
            &others
        };
        note_too_few(path, group, found);
        let own: Vec<&Neighbours> = found.iter().collect();
        for setting in group {
            number += 1;
            let title = format!("setting {number} of {}", settings.len());
            let key = key(setting, args, asking, inputs.queries, &own);
            if let Some(line) = done.find(&key) {
                eprintln!("geolocate: {title} was done before");
                rows.push(SweepRow::of(retrieval, setting.prompt, line, &args.thresholds()));
                continue;
            }
            let asked = asking.ask("sweeping", &setting.prompt, inputs.queries, &own)?;
            let figures = RagFigures::of((inputs.queries, &own), &asked, None, setting.prompt, &args.thresholds());
            let line = done.add(&Line { key: &key, retrieval, figures: &figures })?;
            let PromptOptions { form, notation, order, .. } = setting.prompt;
            let words = [word(&form), word(&notation), word(&order)].join(", ");
            eprint!("{title}, {retrieval}, {words}\n{}", figures.text());
            rows.push(SweepRow::of(retrieval, setting.prompt, &line, &args.thresholds()));
        }
    }
    Ok(rows)
}

fn check(path: &Path, settings: &[Setting]) -> anyhow::Result<()> {
    if settings.len() > MOST_SETTINGS {
        bail!(
            "{}: expected at most {MOST_SETTINGS} settings, found {}; vary = \"one\" makes fewer",
            path.display(),
            settings.len()
        );
    }
    let most = settings.iter().map(|setting| setting.prompt.similar.max(setting.prompt.dissimilar)).max();
    match most.unwrap_or_default() {
        most if most > 32 => bail!("{}: expected at most 32 neighbours of a kind, found {most}", path.display()),
        _ => Ok(()),
    }
}

/// The neighbours of all queries by another retrieval.
fn retrieved(inputs: &Inputs<'_>, retrieval: &Retrieval, images: &Path) -> anyhow::Result<Vec<Neighbours>> {
    let (pipeline, queries) = (inputs.reopen)(retrieval)?;
    let found = retrieve(&pipeline, (&queries, Some(images)), &inputs.hints.anew(), inputs.threads);
    let neighbours = |(query, found): (&Query<'_>, &Result<_, String>)| match found {
        Ok(found) => Neighbours::of(query, found),
        Err(_) => Neighbours::default(),
    };
    Ok(queries.iter().zip(&found).map(neighbours).collect())
}

fn note_too_few(path: &Path, settings: &[Setting], neighbours: &[Neighbours]) {
    let most = |counts: &mut dyn Iterator<Item = usize>| counts.max().unwrap_or_default();
    let retrieved = most(&mut neighbours.iter().map(|found| found.similar.len().max(found.dissimilar.len())));
    let asked = most(&mut settings.iter().map(|setting| setting.prompt.similar.max(setting.prompt.dissimilar)));
    if asked > retrieved {
        let path = path.display();
        eprintln!("geolocate: {path}: the gallery gives {retrieved} neighbours where {asked} are asked for");
    }
}

/// The results of earlier runs. A line that was cut by a kill is none.
fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => bail!("{}: cannot read: {error}", path.display()),
    };
    let mut lines = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.with_context(|| format!("{}: cannot read", path.display()))?;
        lines.extend(serde_json::from_str::<Value>(&line).ok());
    }
    Ok(lines)
}

/// What a result depends on: setting, model, temperature, answers, thresholds, queries and their neighbours.
fn key(
    setting: &Setting,
    args: &SystemArgs,
    asking: &Asking<'_>,
    queries: &[Query<'_>],
    neighbours: &[&Neighbours],
) -> String {
    let mut digest = Sha256::new();
    let settings = format!(
        "{:?} {} {} {} {:?}",
        setting.prompt,
        asking.generator.name(),
        asking.temperature,
        asking.runs,
        args.thresholds_km
    );
    digest.update(settings.as_bytes());
    // Another way to the same neighbours is another row.
    if !setting.retrieval.is_usual() {
        digest.update(setting.retrieval.to_string().as_bytes());
    }
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
        assert_eq!(one[0].prompt, usual);
        assert!(one.iter().all(|setting| setting.retrieval.is_usual()));
        assert!(
            toml::from_str::<Document>("[sweep]\nsimilar = [1]\ncolour = [1]\n")
                .unwrap_err()
                .to_string()
                .contains("colour")
        );
    }

    #[test]
    fn settings_of_one_retrieval_stand_together() {
        let text = "[sweep]\nsource = [[\"emp16\"], []]\ndissimilar_by = [\"random\", \"centroid\"]\nsimilar = [0, 1]\n\
            [[sweep.encoder]]\nname = \"one\"\nmodel = \"m\"\nindex = [\"a.shard\"]\n";
        let document: Document = toml::from_str(text).unwrap();
        let all = document.settings(PromptOptions::default());
        let groups = all.chunk_by(|one, next| one.retrieval == next.retrieval).map(<[Setting]>::len);
        assert_eq!(groups.collect::<Vec<_>>(), [2; 4]);
        let document: Document = toml::from_str(&format!("vary = \"one\"\n{text}")).unwrap();
        let one = document.settings(PromptOptions::default());
        // As on the command line, then 0 and 1 similar; the encoder; two galleries; two ways.
        assert_eq!(one.len(), 3 + 1 + 2 + 2);
        assert!(one.iter().take(3).all(|setting| setting.retrieval.is_usual()));
        let texts: Vec<String> = one.iter().skip(3).map(|setting| setting.retrieval.to_string()).collect();
        assert_eq!(texts, ["one", "source emp16", "all sources", "dissimilar by random", "dissimilar by centroid"]);
    }
}
