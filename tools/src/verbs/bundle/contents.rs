//! What is in a bundle, by path.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use geolocated::generations::Generation;
use geolocated::stamps::Stamps;
use quantized_models::Manifest;

use super::BundleArgs;
use crate::verbs::sign::ring;

/// The folder that everything in a bundle lies in.
pub(super) const TOP: &str = "geolocated";
/// The list of digests, as `sha256sum` writes it.
pub(super) const SUMS: &str = "SHA256SUMS";

const INSTALL: &str = include_str!("install.sh");
const UNIT: &str = include_str!("../../../../systemd/geolocated.service");
const GPU: &str = include_str!("../../../../systemd/geolocated-gpu.conf");
const ACCOUNT: &str = include_str!("../../../../systemd/geolocated.sysusers.conf");
const FOLDERS: &str = include_str!("../../../../systemd/geolocated.tmpfiles.conf");
const SETTINGS: &str = include_str!("../../../../systemd/geolocated.toml");

/// Where the bytes of a file come from.
#[derive(Debug)]
pub(super) enum Source {
    Text(String),
    File(PathBuf),
}

/// A file of a bundle.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) source: Source,
    pub(super) mode: u32,
}

/// Files by their paths below [`TOP`], in the order in which they stand in the archive.
#[derive(Debug, Default)]
pub(super) struct Contents(pub(super) BTreeMap<String, Item>);

impl Contents {
    /// Everything that is asked for; a model and a generation only if they hold.
    pub(super) fn gather(args: &BundleArgs) -> anyhow::Result<Self> {
        let mut contents = Self::default();
        let texts = [
            ("install.sh", INSTALL, 0o755),
            ("systemd/geolocated.service", UNIT, 0o644),
            ("systemd/geolocated-gpu.conf", GPU, 0o644),
            ("systemd/geolocated.sysusers.conf", ACCOUNT, 0o644),
            ("systemd/geolocated.tmpfiles.conf", FOLDERS, 0o644),
        ];
        for (path, text, mode) in texts {
            contents.0.insert(path.to_owned(), Item { source: Source::Text(text.to_owned()), mode });
        }
        contents.settings(args.config.as_deref());
        contents.programs(args)?;
        for model in &args.model {
            contents.model(model)?;
        }
        if let Some(folder) = &args.generation {
            contents.generation(folder, &args.key)?;
        }
        Ok(contents)
    }

    fn settings(&mut self, config: Option<&Path>) {
        let source = config.map_or_else(|| Source::Text(SETTINGS.to_owned()), |path| Source::File(path.to_owned()));
        self.0.insert("etc/geolocated.toml".to_owned(), Item { source, mode: 0o640 });
    }

    fn programs(&mut self, args: &BundleArgs) -> anyhow::Result<()> {
        let own = std::env::current_exe().context("this program does not know where it lies")?;
        let folder = args.programs.clone().unwrap_or_else(|| own.parent().unwrap_or(Path::new("/")).to_owned());
        for name in ["geolocated", "geolocate"] {
            let path = folder.join(name);
            ensure!(path.is_file(), "{}: expected a program, found none (--programs)", path.display());
            self.0.insert(format!("bin/{name}"), Item { source: Source::File(path), mode: 0o755 });
        }
        let libraries = match &args.runtime_library {
            Some(library) => vec![library.clone()],
            None => libraries(&folder)?,
        };
        for library in libraries {
            let name = name_of(&library)?;
            ensure!(library.is_file(), "{}: expected a library, found none", library.display());
            self.0.insert(format!("lib/{name}"), Item { source: Source::File(library), mode: 0o644 });
        }
        Ok(())
    }

    fn model(&mut self, folder: &Path) -> anyhow::Result<()> {
        let manifest = Manifest::load(folder)?;
        let folder = manifest.folder().canonicalize()?;
        for file in crate::verbs::models::manifest_files::files(&manifest) {
            let checked = crate::verbs::models::manifest_files::check(
                &folder.join(&file.path),
                file.sha256.as_deref(),
                &mut |_| {},
            );
            checked.map_err(crate::verbs::models::manifest_files::Flaw::into_error)?;
        }
        self.tree(&folder, &format!("models/{}", name_of(&folder)?))
    }

    fn generation(&mut self, folder: &Path, keys: &[String]) -> anyhow::Result<()> {
        let folder = folder.canonicalize().with_context(|| format!("{}: cannot be read", folder.display()))?;
        let generation = Generation::open(&folder, &ring(keys)?)?;
        generation.verify(&mut Stamps::none(), &mut |_| Ok(()))?;
        self.tree(&folder, &format!("index/gen-{}", generation.manifest().counter))
    }

    /// All files below a folder.
    fn tree(&mut self, folder: &Path, to: &str) -> anyhow::Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("{}: cannot be read", folder.display()))? {
            let entry = entry?;
            let path = entry.path();
            let to = format!("{to}/{}", name_of(&path)?);
            if fs::metadata(&path)?.is_dir() {
                self.tree(&path, &to)?;
            } else {
                let mode = if fs::metadata(&path)?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
                self.0.insert(to, Item { source: Source::File(path), mode });
            }
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| !name.contains(['\n', '\\']));
    name.map(str::to_owned).with_context(|| format!("{}: expected a plain name in UTF-8", path.display()))
}

fn libraries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}: cannot be read", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_library =
        |path: &PathBuf| path.is_file() && name_of(path).is_ok_and(|name| name.starts_with("libonnxruntime.so."));
    Ok(paths.filter(is_library).collect())
}
