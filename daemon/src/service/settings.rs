//! What the operator wrote: TOML, overridden by the environment, then validated.

use std::fs;
use std::path::{Path, PathBuf};

use quantized_models::DecodeLimits;
use serde::Deserialize;
use thiserror::Error;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::topics::{valid_level, valid_prefix};
use super::{InboxLimits, OutboxLimits};
use crate::locate::FuseOptions;

/// Settings that make sense: every value was checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// First level of the topics below the prefix.
    pub site: String,
    /// Name of the device: second level below the prefix.
    pub device: String,
    /// Folder for what must outlive the process.
    pub state_dir: PathBuf,
    /// How to reach the broker.
    pub broker: Broker,
    /// What comes before the site in every topic.
    pub topic_prefix: String,
    /// Shards of the index.
    pub shards: Vec<PathBuf>,
    /// Folder or manifest of the encoder.
    pub encoder: PathBuf,
    /// Bounds of one picture.
    pub decode: DecodeLimits,
    /// Frames whose given capture time is further back than this are dropped, in milliseconds.
    pub max_frame_age_ms: i64,
    /// Bounds of the waiting frames.
    pub inbox: InboxLimits,
    /// Bounds of the waiting answers.
    pub outbox: OutboxLimits,
    /// How candidates become a position.
    pub fuse: FuseOptions,
}

/// How to reach the broker and what to say to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Where it listens.
    pub address: BrokerAddress,
    /// Name and password, where it asks for them.
    pub credentials: Option<(String, String)>,
    /// Seconds between signs of life, at least 5.
    pub keep_alive_s: u16,
    /// Seconds for which the broker keeps the session of a device that is away.
    pub session_expiry_s: u32,
}

/// Where the broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerAddress {
    /// `mqtt://host:port`.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:///path/to/socket`.
    Unix(PathBuf),
}

/// Why settings were refused: which file or variable, which line and key, what was expected.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The settings file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: not TOML: {message}", path.display())]
    Syntax {
        /// The settings file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser expected.
        message: String,
    },
    /// A key is unknown or missing, or its value is of the wrong kind or out of range.
    #[error("{origin}: {key}: {message}")]
    Key {
        /// File and line, or the environment variable.
        origin: String,
        /// The key with the sections above it.
        key: String,
        /// What was expected and what was found.
        message: String,
    },
}

const ENVIRONMENT_PREFIX: &str = "GEOLOCATED__";

impl Settings {
    /// Reads and validates the settings in `path`. `environment` overrides them: `GEOLOCATED__MQTT__URL` is the key
    /// `url` in section `[mqtt]`; a value that reads as a TOML number, truth value or array is taken as one. Relative
    /// paths count from the folder of the settings file.
    ///
    /// # Errors
    /// The first problem, with file and line or variable, key, and what was expected.
    pub fn load(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        let document = Document { path, text: &text, overrides: overrides(environment) };
        let file: SettingsFile = document.read()?;
        Validation { document: &document }.settings(file)
    }
}

/// Variables that override keys: name, path of the key, value.
type Overrides = Vec<(String, Vec<String>, Value)>;

fn overrides(environment: impl IntoIterator<Item = (String, String)>) -> Overrides {
    let mut found: Overrides = environment
        .into_iter()
        .filter_map(|(name, value)| {
            let keys = name.strip_prefix(ENVIRONMENT_PREFIX)?.split("__").map(str::to_lowercase).collect();
            let value = match value.parse::<Value>() {
                Ok(parsed @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Array(_))) => parsed,
                _ => Value::String(value),
            };
            Some((name, keys, value))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The settings as text, and what overrides them.
struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    overrides: Overrides,
}

impl Document<'_> {
    fn read(&self) -> Result<SettingsFile, SettingsError> {
        let mut table: Table = toml::from_str(self.text).map_err(|error| SettingsError::Syntax {
            path: self.path.to_owned(),
            line: self.line_of_byte(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        for (name, keys, value) in &self.overrides {
            set(&mut table, keys, value.clone()).map_err(|message| SettingsError::Key {
                origin: name.clone(),
                key: keys.join("."),
                message,
            })?;
        }
        serde_path_to_error::deserialize(table).map_err(|error| {
            let message = error.inner().message().to_owned();
            self.refuse(&error.path().to_string(), message)
        })
    }

    /// An error about `key`, a dotted path, that says where it stands.
    fn refuse(&self, key: &str, message: String) -> SettingsError {
        let keys: Vec<&str> = key.split('.').filter(|part| !part.is_empty() && *part != "?").collect();
        let variable =
            self.overrides.iter().find(|(_, path, _)| path.iter().map(String::as_str).eq(keys.iter().copied()));
        let origin = match variable {
            Some((name, _, _)) => name.clone(),
            None => format!("{}:{}", self.path.display(), self.line_of_key(&keys)),
        };
        SettingsError::Key { origin, key: keys.join("."), message }
    }

    /// Line of the deepest part of `keys` that stands in the file; 1 if none does.
    fn line_of_key(&self, keys: &[&str]) -> usize {
        let mut byte = 0;
        let parsed = DeTable::parse(self.text).ok();
        let mut table: Option<&DeTable<'_>> = parsed.as_ref().map(Spanned::get_ref);
        for key in keys {
            let Some((found, value)) = table.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == key))
            else {
                break;
            };
            byte = found.span().start;
            table = match value.get_ref() {
                DeValue::Table(table) => Some(table),
                _ => None,
            };
        }
        self.line_of_byte(byte)
    }

    fn line_of_byte(&self, byte: usize) -> usize {
        1 + self.text.bytes().take(byte).filter(|byte| *byte == b'\n').count()
    }
}

fn set(table: &mut Table, keys: &[String], value: Value) -> Result<(), String> {
    match keys {
        [] => Err("expected a section and a key after GEOLOCATED__".to_owned()),
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => match table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => set(inner, rest, value),
            other => Err(format!("{section} is {}, expected a section", other.type_str())),
        },
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    device: DeviceSection,
    mqtt: MqttSection,
    index: IndexSection,
    models: ModelsSection,
    #[serde(default)]
    frames: FramesSection,
    #[serde(default)]
    outbox: OutboxSection,
    #[serde(default)]
    fuse: FuseSection,
    #[serde(default)]
    #[expect(dead_code, reason = "reranking can only be off; the section is read so that it may be written")]
    rerank: RerankSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceSection {
    site: String,
    name: String,
    state_dir: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MqttSection {
    url: String,
    #[serde(default = "default_prefix")]
    prefix: String,
    username: Option<String>,
    password_file: Option<PathBuf>,
    #[serde(default = "default_keep_alive_s")]
    keep_alive_s: u16,
    #[serde(default = "default_session_expiry_s")]
    session_expiry_s: u32,
}

fn default_prefix() -> String {
    "geolocated".to_owned()
}

fn default_keep_alive_s() -> u16 {
    30
}

fn default_session_expiry_s() -> u32 {
    7 * 24 * 3600
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexSection {
    shards: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelsSection {
    encoder: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FramesSection {
    max_bytes: usize,
    max_pixels: u64,
    max_age_s: f64,
    max_cameras: usize,
    max_waiting_bytes: usize,
}

impl Default for FramesSection {
    fn default() -> Self {
        let limits = DecodeLimits::default();
        Self {
            max_bytes: limits.max_bytes,
            max_pixels: limits.max_pixels,
            max_age_s: 30.0,
            max_cameras: 16,
            max_waiting_bytes: 64 << 20,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OutboxSection {
    max_messages: usize,
}

impl Default for OutboxSection {
    fn default() -> Self {
        Self { max_messages: 10_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FuseSection {
    same_place_m: f64,
    sharpness: f64,
    ambiguous_share: f64,
}

impl Default for FuseSection {
    fn default() -> Self {
        let FuseOptions { same_place_m, sharpness, ambiguous_share } = FuseOptions::default();
        Self { same_place_m, sharpness, ambiguous_share }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RerankSection {
    strategy: RerankStrategy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RerankStrategy {
    #[default]
    Off,
}

/// The second stage: from what was written to what makes sense.
struct Validation<'a> {
    document: &'a Document<'a>,
}

impl Validation<'_> {
    fn settings(&self, file: SettingsFile) -> Result<Settings, SettingsError> {
        self.level("device.site", &file.device.site)?;
        self.level("device.name", &file.device.name)?;
        if !valid_prefix(&file.mqtt.prefix) {
            let expected = "expected one or two topic levels without + # $";
            return Err(self.document.refuse("mqtt.prefix", format!("{expected}, found \"{}\"", file.mqtt.prefix)));
        }
        if file.index.shards.is_empty() {
            return Err(self.document.refuse("index.shards", "expected at least one shard, found none".to_owned()));
        }
        let shards = file.index.shards.iter().map(|shard| self.existing("index.shards", shard));
        let frames = self.frames(&file.frames)?;
        Ok(Settings {
            broker: self.broker(&file.mqtt)?,
            site: file.device.site,
            device: file.device.name,
            state_dir: self.path(&file.device.state_dir),
            topic_prefix: file.mqtt.prefix,
            shards: shards.collect::<Result<_, _>>()?,
            encoder: self.existing("models.encoder", &file.models.encoder)?,
            decode: DecodeLimits { max_pixels: file.frames.max_pixels, ..frames },
            max_frame_age_ms: (file.frames.max_age_s * 1e3) as i64,
            inbox: InboxLimits { cameras: file.frames.max_cameras, bytes: file.frames.max_waiting_bytes },
            outbox: OutboxLimits {
                messages: self.within("outbox.max_messages", file.outbox.max_messages, 1, 10_000_000)?,
            },
            fuse: self.fuse(&file.fuse)?,
        })
    }

    fn frames(&self, frames: &FramesSection) -> Result<DecodeLimits, SettingsError> {
        let limits = DecodeLimits::default();
        self.within("frames.max_bytes", frames.max_bytes, 1024, 128 << 20)?;
        self.within("frames.max_pixels", frames.max_pixels, 1024, 1 << 30)?;
        self.within("frames.max_cameras", frames.max_cameras, 1, 10_000)?;
        self.within("frames.max_waiting_bytes", frames.max_waiting_bytes, frames.max_bytes, 4 << 30)?;
        self.within("frames.max_age_s", frames.max_age_s, 0.1, 1e9)?;
        Ok(DecodeLimits { max_bytes: frames.max_bytes, ..limits })
    }

    fn fuse(&self, fuse: &FuseSection) -> Result<FuseOptions, SettingsError> {
        Ok(FuseOptions {
            same_place_m: self.within("fuse.same_place_m", fuse.same_place_m, 0.0, 1e6)?,
            sharpness: self.within("fuse.sharpness", fuse.sharpness, 0.0, 1e6)?,
            ambiguous_share: self.within("fuse.ambiguous_share", fuse.ambiguous_share, 1e-6, 1.0)?,
        })
    }

    fn broker(&self, mqtt: &MqttSection) -> Result<Broker, SettingsError> {
        let address = address(&mqtt.url).map_err(|message| self.document.refuse("mqtt.url", message))?;
        let credentials = match (&mqtt.username, &mqtt.password_file) {
            (Some(username), Some(file)) => Some((username.clone(), self.password(file)?)),
            (Some(username), None) => Some((username.clone(), String::new())),
            (None, Some(_)) => {
                return Err(self.document.refuse("mqtt.password_file", "expected mqtt.username beside it".to_owned()));
            }
            (None, None) => None,
        };
        self.within("mqtt.keep_alive_s", mqtt.keep_alive_s, 5, 3600)?;
        Ok(Broker { address, credentials, keep_alive_s: mqtt.keep_alive_s, session_expiry_s: mqtt.session_expiry_s })
    }

    fn password(&self, file: &Path) -> Result<String, SettingsError> {
        let path = self.path(file);
        let text = fs::read_to_string(&path).map_err(|error| {
            self.document.refuse("mqtt.password_file", format!("{}: cannot be read: {error}", path.display()))
        })?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn level(&self, key: &str, value: &str) -> Result<(), SettingsError> {
        if valid_level(value) {
            return Ok(());
        }
        let expected = "expected 1 to 64 bytes without / + # $ and control characters";
        Err(self.document.refuse(key, format!("{expected}, found \"{}\"", value.escape_debug())))
    }

    fn within<N: PartialOrd + std::fmt::Display + Copy>(
        &self,
        key: &str,
        value: N,
        least: N,
        most: N,
    ) -> Result<N, SettingsError> {
        if value >= least && value <= most {
            return Ok(value);
        }
        Err(self.document.refuse(key, format!("expected a number within {least} and {most}, found {value}")))
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.document.path.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    fn existing(&self, key: &str, path: &Path) -> Result<PathBuf, SettingsError> {
        let path = self.path(path);
        match fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(self.document.refuse(key, format!("{}: {error}", path.display()))),
        }
    }
}

fn address(text: &str) -> Result<BrokerAddress, String> {
    let expected = "expected mqtt://HOST[:PORT] or unix:///PATH";
    let url = url::Url::parse(text).map_err(|error| format!("{expected}, found \"{text}\": {error}"))?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match (url.scheme(), url.host_str()) {
        _ if !plain => Err(format!("{expected} and nothing else in it; name and password have keys of their own")),
        ("mqtt", Some(host)) if !host.is_empty() && matches!(url.path(), "" | "/") => {
            Ok(BrokerAddress::Tcp { host: host.to_owned(), port: url.port().unwrap_or(1883) })
        }
        ("unix", None | Some("")) if url.path().len() > 1 => Ok(BrokerAddress::Unix(PathBuf::from(url.path()))),
        ("mqtts", _) => Err(format!(
            "{expected}, found \"{text}\": this version speaks no TLS; reach a broker that does through a local one that bridges to it"
        )),
        _ => Err(format!("{expected}, found \"{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_VARIABLES: [(String, String); 0] = [];

    fn least(dir: &Path) -> String {
        fs::write(dir.join("a.shard"), "").unwrap();
        fs::write(dir.join("model.toml"), "").unwrap();
        "[device]\nsite = \"field\"\nname = \"drone-7\"\nstate_dir = \"state\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1883\"\n\
         [index]\nshards = [\"a.shard\"]\n[models]\nencoder = \"model.toml\"\n"
            .to_owned()
    }

    fn load(text: &str, dir: &Path, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let path = dir.join("settings.toml");
        fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load(&path, variables).map_err(|error| error.to_string())
    }

    fn refusal(change: impl Fn(&str) -> String) -> String {
        let dir = tempfile::tempdir().unwrap();
        let text = change(&least(dir.path()));
        load(&text, dir.path(), &[]).unwrap_err()
    }

    #[test]
    fn the_least_form_is_enough_and_paths_count_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let settings = load(&least(dir.path()), dir.path(), &[]).unwrap();
        assert_eq!(settings.shards, [dir.path().join("a.shard")]);
        assert_eq!(settings.state_dir, dir.path().join("state"));
        assert_eq!(settings.topic_prefix, "geolocated");
        assert_eq!(settings.broker.address, BrokerAddress::Tcp { host: "127.0.0.1".to_owned(), port: 1883 });
    }

    #[test]
    fn an_unknown_key_is_named_with_file_line_and_allowed_keys() {
        let error = refusal(|text| text.to_owned() + "colour = \"red\"\n");
        assert!(
            error.contains("settings.toml:11: models.colour: unknown field `colour`, expected `encoder`"),
            "{error}"
        );
        let error = refusal(|text| text.to_owned() + "[paint]\ncolour = 1\n");
        assert!(error.contains("settings.toml:11: paint: unknown field `paint`, expected one of `device`"), "{error}");
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = refusal(|text| text.replace("name = \"drone-7\"\n", ""));
        assert!(error.contains("device") && error.contains("missing field `name`"), "{error}");
    }

    #[test]
    fn a_wrong_kind_or_range_is_named_with_line_expected_and_found() {
        let error = refusal(|text| text.replace("\"drone-7\"", "7"));
        assert!(
            error.contains("settings.toml:3: device.name: invalid type: integer `7`, expected a string"),
            "{error}"
        );
        let error = refusal(|text| text.to_owned() + "[frames]\nmax_cameras = 0\n");
        assert!(error.contains(":12: frames.max_cameras: expected a number within 1 and 10000, found 0"), "{error}");
        let error = refusal(|text| text.to_owned() + "[frames]\nmax_age_s = nan\n");
        assert!(error.contains("frames.max_age_s"), "{error}");
        let error = refusal(|text| text.replace("drone-7", "a/b"));
        assert!(error.contains(":3: device.name: expected 1 to 64 bytes without / + # $"), "{error}");
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let error = refusal(|text| text.replace("a.shard", "b.shard"));
        assert!(error.contains(":8: index.shards:") && error.contains("b.shard"), "{error}");
    }

    #[test]
    fn text_that_is_no_toml_is_named_with_its_line() {
        let error = refusal(|text| text.to_owned() + "key = = 1\n");
        assert!(error.contains("settings.toml:11: not TOML"), "{error}");
    }

    #[test]
    fn the_environment_overrides_and_is_named_when_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let text = least(dir.path());
        let variables = [("GEOLOCATED__MQTT__URL", "unix:///run/m.sock"), ("GEOLOCATED__FRAMES__MAX_CAMERAS", "3")];
        let settings = load(&text, dir.path(), &variables).unwrap();
        assert_eq!(settings.broker.address, BrokerAddress::Unix(PathBuf::from("/run/m.sock")));
        assert_eq!(settings.inbox.cameras, 3);
        let error = load(&text, dir.path(), &[("GEOLOCATED__FRAMES__MAX_CAMERAS", "0")]).unwrap_err();
        assert!(error.starts_with("GEOLOCATED__FRAMES__MAX_CAMERAS: frames.max_cameras: expected"), "{error}");
        let error = load(&text, dir.path(), &[("GEOLOCATED__PAINT__COLOUR", "red")]).unwrap_err();
        assert!(error.contains("paint: unknown field"), "{error}");
    }

    #[test]
    fn broker_addresses_are_read_or_refused() {
        assert_eq!(address("mqtt://broker"), Ok(BrokerAddress::Tcp { host: "broker".to_owned(), port: 1883 }));
        assert_eq!(address("mqtt://[::1]:99"), Ok(BrokerAddress::Tcp { host: "[::1]".to_owned(), port: 99 }));
        for bad in
            ["", "broker:1883", "http://broker", "mqtt://", "mqtt://b/path", "mqtts://b", "unix://", "mqtt://u:p@b"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Settings::load(Path::new("absent.toml"), NO_VARIABLES).unwrap_err().to_string();
        assert!(error.starts_with("absent.toml: cannot be read"), "{error}");
    }
}
