//! Where models live.

use std::env;
use std::path::{Path, PathBuf};

use super::names::is_folder_name;
use crate::builtin::{BuiltIn, BuiltInError};

/// Where the service has its models.
const OF_THE_SERVICE: &str = "/var/lib/geolocated/models";

/// The folder of models. It need not exist yet.
#[derive(Debug, Clone)]
pub struct ModelsFolder(PathBuf);

impl ModelsFolder {
    /// The folder that is given, else `GEOLOCATED_MODELS`, else `geolocated/models` below `XDG_DATA_HOME`, else below
    /// `~/.local/share`; for users without a home that of the service.
    pub fn find(given: Option<&Path>) -> Self {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = || {
            // The specification says to ignore one that is relative.
            let data = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
            data.or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        };
        let found = given.map(Path::to_owned).or_else(|| variable("GEOLOCATED_MODELS"));
        let found = found.or_else(|| data().map(|data| data.join("geolocated/models")));
        Self(found.unwrap_or_else(|| PathBuf::from(OF_THE_SERVICE)))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What MODEL means: a built-in model for its name, else the name of a model in the folder if it has one of this
    /// name, else a path.
    ///
    /// # Errors
    /// A built-in model is asked for and cannot be had.
    pub fn resolve(&self, model: &Path) -> Result<PathBuf, BuiltInError> {
        if let Some(built_in) = BuiltIn::named(model) {
            return built_in.unpacked();
        }
        let named = model.to_str().filter(|name| is_folder_name(name)).map(|name| self.0.join(name));
        Ok(match named {
            Some(named) if named.exists() || !model.exists() => named,
            _ => model.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_name_in_the_folder_or_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let models = ModelsFolder::find(Some(folder.path()));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert_eq!(models.resolve(Path::new("a")).unwrap(), folder.path().join("a"));
        assert_eq!(models.resolve(Path::new("no-such-model")).unwrap(), folder.path().join("no-such-model"));
        assert_eq!(models.resolve(Path::new("./a")).unwrap(), Path::new("./a"));
        assert_eq!(models.resolve(folder.path()).unwrap(), folder.path());
    }
}
