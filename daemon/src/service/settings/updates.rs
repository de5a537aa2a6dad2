//! Settings of generations: where they lie, whose signature counts, where they come from.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::SettingsError;
use super::file::{IndexSection, MetricsSection, UpdateSection};
use super::validation::Validation;
use crate::download::Token;
use crate::generations::KeyRing;

/// Longest key file that is read, bytes.
const MOST_KEY_BYTES: u64 = 4096;
const DAY_S: f64 = 86_400.0;

/// Signed generations of the index.
#[derive(Debug, Clone)]
pub struct GenerationSettings {
    /// The folder with the folders `gen-N`.
    pub folder: PathBuf,
    /// Whose signature counts.
    pub keys: KeyRing,
    /// Whether newer ones are activated by themselves.
    pub activate: ActivateWhen,
    /// How often is looked for newer ones.
    pub rescan: Duration,
}

/// When a newer generation is activated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivateWhen {
    /// When it is found and holds.
    #[default]
    Auto,
    /// When a command says so.
    Command,
}

/// A server that has generations.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    /// The folder with `latest` and the folders `gen-N`; ends with a slash.
    pub url: Url,
    /// How often it is asked.
    pub interval: Duration,
    /// By which share of it the interval varies.
    pub jitter: f64,
    /// The pace of downloads.
    pub max_bytes_per_s: Option<u64>,
    /// A larger generation is not fetched.
    pub max_bytes: u64,
    /// A bearer token for the server.
    pub token: Option<String>,
}

impl Validation<'_> {
    /// Either shards or generations; generations with keys.
    pub(super) fn generations(&self, index: &IndexSection) -> Result<Option<GenerationSettings>, SettingsError> {
        let refuse = |key: &str, message: String| self.document.refuse(key, message);
        let Some(folder) = &index.generations else {
            if index.shards.is_empty() {
                return Err(refuse("index.shards", "expected at least one shard, found none".to_owned()));
            }
            if !index.keys.is_empty() || !index.revoked_keys.is_empty() {
                return Err(refuse("index.keys", "expected index.generations beside it, found shards".to_owned()));
            }
            return Ok(None);
        };
        if !index.shards.is_empty() {
            let message = "expected either shards or generations, found both".to_owned();
            return Err(refuse("index.generations", message));
        }
        let keys = index.keys.iter().map(|key| self.key(key)).collect::<Result<Vec<_>, _>>()?;
        let keys = KeyRing::new(&keys, &index.revoked_keys).map_err(|error| refuse("index.keys", error.to_string()))?;
        let rescan_s = self.within("index.rescan_s", index.rescan_s, 0.1, DAY_S)?;
        let (folder, rescan) = (self.path(folder), Duration::from_secs_f64(rescan_s));
        Ok(Some(GenerationSettings { folder, keys, activate: index.activate, rescan }))
    }

    /// The text of a key, which is given itself or as a file.
    fn key(&self, given: &str) -> Result<String, SettingsError> {
        if given.starts_with("RW") && given.len() == 56 {
            return Ok(given.to_owned());
        }
        let path = self.path(Path::new(given));
        let refuse = |message: String| self.document.refuse("index.keys", format!("{}: {message}", path.display()));
        match fs::metadata(&path) {
            Ok(found) if found.len() > MOST_KEY_BYTES => {
                Err(refuse("expected a public key, found a longer file".into()))
            }
            Ok(_) => fs::read_to_string(&path).map_err(|error| refuse(format!("cannot be read: {error}"))),
            Err(error) => Err(refuse(format!("cannot be read: {error}"))),
        }
    }

    /// The encoder of the settings, which generations may do without.
    pub(super) fn encoder(
        &self,
        encoder: Option<&Path>,
        with_generations: bool,
    ) -> Result<Option<PathBuf>, SettingsError> {
        match encoder {
            Some(encoder) => self.existing("models.encoder", encoder).map(Some),
            None if with_generations => Ok(None),
            None => Err(self.document.refuse("models.encoder", "expected a model, found none".to_owned())),
        }
    }

    pub(super) fn update(
        &self,
        update: &UpdateSection,
        with_generations: bool,
    ) -> Result<UpdateSettings, SettingsError> {
        let refuse = |key: &str, message: String| self.document.refuse(key, message);
        if !with_generations {
            return Err(refuse("update.url", "expected index.generations beside it, found shards".to_owned()));
        }
        let expected = "expected http:// or https:// and a host, without credentials or query";
        let mut url =
            Url::parse(&update.url).map_err(|error| refuse("update.url", format!("{expected}, found {error}")))?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.has_host();
        if !plain || !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("update.url", format!("{expected}, found \"{}\"", update.url)));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let interval_s = self.within("update.interval_s", update.interval_s, 1.0, 365.0 * DAY_S)?;
        let most = update.max_bytes_per_s.map(|most| self.within("update.max_bytes_per_s", most, 1024, u64::MAX));
        let token = update.token_file.as_deref().map(|file| self.token(&url, file)).transpose()?;
        Ok(UpdateSettings {
            url,
            interval: Duration::from_secs_f64(interval_s),
            jitter: self.within("update.jitter", update.jitter, 0.0, 0.9)?,
            max_bytes_per_s: most.transpose()?,
            max_bytes: self.within("update.max_bytes", update.max_bytes, 1, u64::MAX)?,
            token,
        })
    }

    /// For this machine alone, unless more is allowed: the figures tell where a device is busy and what it runs.
    pub(super) fn metrics(&self, metrics: &MetricsSection) -> Result<SocketAddr, SettingsError> {
        let refuse = |message: String| self.document.refuse("metrics.listen", message);
        let found = &metrics.listen;
        let address: SocketAddr = found
            .parse()
            .map_err(|_| refuse(format!("expected ADDRESS:PORT, such as 127.0.0.1:9464, found \"{found}\"")))?;
        if !address.ip().is_loopback() && !metrics.allow_remote {
            let expected = "expected an address of this machine alone, or metrics.allow_remote = true beside it";
            return Err(refuse(format!("{expected}, found \"{found}\"")));
        }
        Ok(address)
    }

    fn token(&self, url: &Url, file: &Path) -> Result<String, SettingsError> {
        let path = self.path(file);
        let refuse =
            |message: String| self.document.refuse("update.token_file", format!("{}: {message}", path.display()));
        let text = fs::read_to_string(&path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let token = text.trim().to_owned();
        Token::new(url, &token).map_err(|error| refuse(error.to_string()))?;
        Ok(token)
    }
}
