//! Runs the recipe that makes model folders of pulled weights.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::pull::record::PulledRecord;
use crate::catalog::catalog;

/// Where the recipes are, where nobody says it.
const RECIPES: &str = "GEOLOCATED_RECIPES";
/// The recipes by the kind of model that they make.
const ENCODERS: &str = "encoder.py";
const COMPARATORS: &str = "comparator.py";

/// Which recipe, and what it is told.
#[derive(Debug, Args)]
pub(super) struct RecipeArgs {
    /// Folder of the recipes, quantized-models/recipes of the sources [default: GEOLOCATED_RECIPES]
    #[arg(long, value_name = "DIR")]
    recipes: Option<PathBuf>,
    /// Python that has what the recipes need
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Where the model folders go [default: the folder of models]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Further arguments of the recipe: --variants, --pictures, --positions, --no-reference
    #[arg(last = true, value_name = "ARGUMENT")]
    rest: Vec<OsString>,
}

/// A call of the recipe.
#[derive(Debug)]
pub(super) struct Recipe {
    command: Command,
    out: PathBuf,
}

impl Recipe {
    /// The recipe for what was pulled into `folder`.
    ///
    /// # Errors
    /// Nobody says where the recipes are, or they are not there.
    pub(super) fn of(folder: &Path, record: &PulledRecord, args: &RecipeArgs, models: &Path) -> anyhow::Result<Self> {
        let recipes = args.recipes.clone().or_else(|| env::var_os(RECIPES).map(PathBuf::from));
        let Some(recipes) = recipes else {
            bail!(
                "{}: weights in their author's format, of which a model is still to be made; expected --recipes DIR \
                 or {RECIPES} with the recipes, found neither",
                folder.display()
            );
        };
        let script = recipes.join(script(&record.repo)?);
        ensure!(script.is_file(), "{}: expected the recipes, found no such file", script.display());
        let out = args.out.clone().unwrap_or_else(|| models.to_owned());
        let mut command = Command::new(&args.python);
        // ONNX Runtime's newer builds send reports to their maker unless told otherwise.
        command.env("ORT_DISABLE_TELEMETRY", "1").arg(script).arg("export");
        command.arg("--from").arg(folder).arg("--out").arg(&out).args(origin(folder, record)?).args(&args.rest);
        Ok(Self { command, out })
    }

    /// Makes the model folders.
    ///
    /// # Errors
    /// Python is not there, or the recipe refuses; what it says stands on standard error.
    pub(super) fn run(mut self) -> anyhow::Result<Vec<PathBuf>> {
        fs::create_dir_all(&self.out).with_context(|| format!("{}: cannot be made", self.out.display()))?;
        let report = tempfile::Builder::new().suffix(".json").tempfile().context("cannot make a temporary file")?;
        self.command.arg("--report").arg(report.path());
        let python = self.command.get_program().to_owned();
        let status = self.command.status().with_context(|| format!("{}: cannot be started", python.display()))?;
        let text = fs::read_to_string(report.path()).context("the report of the recipe cannot be read")?;
        let made = if text.is_empty() { Vec::new() } else { made(&text, &self.out)? };
        ensure!(status.success(), "the recipe ended with {status}; what it refused stands above");
        ensure!(!made.is_empty(), "the recipe made no model");
        Ok(made)
    }
}

/// The recipe of what was pulled: that of its kind in the catalog, else that of encoders.
fn script(repo: &str) -> anyhow::Result<&'static str> {
    let entry = catalog()?.into_iter().find(|entry| entry.repo == repo);
    Ok(if entry.is_some_and(|entry| entry.kind == "comparator") { COMPARATORS } else { ENCODERS })
}

/// What the recipe is told of licence and source: the catalog's name, or what the server said.
fn origin(folder: &Path, record: &PulledRecord) -> anyhow::Result<Vec<OsString>> {
    let PulledRecord { repo, commit, licence, .. } = record;
    if let Some(entry) = catalog()?.into_iter().find(|entry| entry.repo == *repo) {
        return Ok([OsString::from("--model"), entry.name.into(), "--revision".into(), commit.into()].into());
    }
    let Some(licence) = licence else {
        bail!("{repo}: neither the catalog nor the server states its licence; expected --licence after `--`");
    };
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    let origin = format!("{repo}, revision {commit}");
    Ok(["--name".into(), name.to_owned(), "--licence".into(), licence.into(), "--origin".into(), origin.into()].into())
}

/// The folders that a report says were written.
fn made(report: &str, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let report: Value = serde_json::from_str(report).context("the report of the recipe is not JSON")?;
    let name = report.get("name").and_then(Value::as_str).context("the report of the recipe has no name")?;
    let variants = report.get("variants").and_then(Value::as_object).into_iter().flatten();
    let folder = |(variant, entry): (&String, &Value)| {
        let named = entry.get("folder").and_then(Value::as_str).map(str::to_owned);
        named.or_else(|| entry.get("space").map(|_| format!("{name}-{variant}")))
    };
    Ok(variants.filter_map(folder).map(|folder| out.join(folder)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_catalog_has_its_recipe() {
        for entry in catalog().unwrap() {
            let expected = if entry.kind == "comparator" { COMPARATORS } else { ENCODERS };
            assert_eq!(script(&entry.repo).unwrap(), expected, "{}", entry.name);
        }
        assert_eq!(script("nobody/knows").unwrap(), ENCODERS);
    }

    #[test]
    fn folders_are_those_of_variants_that_were_written() {
        let report = r#"{"name": "siglip-b16-224", "variants": {"fp32": {"space": "s@1"}, "int8": {}}}"#;
        assert_eq!(made(report, Path::new("models")).unwrap(), [Path::new("models/siglip-b16-224-fp32")]);
        let report = r#"{"name": "vlm", "variants": {"fp32": {"folder": "vlm-fp32"}, "int4": {"refused": "too far"}}}"#;
        assert_eq!(made(report, Path::new("models")).unwrap(), [Path::new("models/vlm-fp32")]);
        assert!(made("{}", Path::new("models")).is_err());
    }
}
