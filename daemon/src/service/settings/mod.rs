//! What the operator wrote: TOML, overridden by the environment, then validated.

mod cameras;
mod document;
mod file;
mod generator;
mod publish;
mod sources;
mod tracks;
mod updates;
mod validation;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use index_shards::SearchOptions;
use quantized_models::{DecodeLimits, LoadOptions};
use thiserror::Error;

pub use self::cameras::{CameraSettings, Cameras};
use self::document::{Document, overrides};
pub use self::file::MqttVersion;
use self::file::SettingsFile;
pub use self::generator::{GenerateWhen, GeneratorSettings};
pub use self::publish::{NmeaSettings, PublishSettings};
pub use self::sources::{After, CommandSettings, FolderSettings, FrameTime, SourceInput, SourceSettings};
pub use self::tracks::TrackSettings;
pub use self::updates::{ActivateWhen, GenerationSettings, UpdateSettings};
use self::validation::Validation;
use super::{InboxLimits, OutboxLimits, RerankSettings, TlsFiles};
use crate::locate::{FuseOptions, RefusedFrames};

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
    /// Shards of the index; none where it comes in generations.
    pub shards: Vec<PathBuf>,
    /// Signed generations of the index, where it comes so.
    pub generations: Option<GenerationSettings>,
    /// Where generations are fetched from, if they are.
    pub update: Option<UpdateSettings>,
    /// Where figures are served for Prometheus, if they are.
    pub metrics: Option<SocketAddr>,
    /// Whether what every query reads of the index is brought into memory at the start.
    pub prefault: bool,
    /// What is asked of the index for every frame.
    pub search: SearchOptions,
    /// Folder or manifest of the encoder; may be absent where generations bring one.
    pub encoder: Option<PathBuf>,
    /// How the encoder is to be loaded: runtime, threads, folders for packed weights and stamps.
    pub load: LoadOptions,
    /// Bounds of one picture.
    pub decode: DecodeLimits,
    /// Frames whose given capture time is further back than this are dropped, in milliseconds.
    pub max_frame_age_ms: i64,
    /// Which bad frames get no fix.
    pub refuse: RefusedFrames,
    /// Bounds of the waiting frames.
    pub inbox: InboxLimits,
    /// Bounds of the waiting answers.
    pub outbox: OutboxLimits,
    /// Where frames come from besides MQTT.
    pub sources: Vec<SourceSettings>,
    /// What is published beside the device's own topics.
    pub publish: PublishSettings,
    /// How candidates become a position.
    pub fuse: FuseOptions,
    /// How a comparator looks at them; `None` without one.
    pub rerank: Option<RerankSettings>,
    /// What writes where frames were taken; `None` where nothing does.
    pub generate: Option<GeneratorSettings>,
    /// How certain answers are, as `geolocate calibrate` wrote it; `None` where no radii are published.
    pub calibration: Option<PathBuf>,
    /// How the frames of a camera are put together over time; `None` where they are not.
    pub track: Option<TrackSettings>,
    /// What is known of the cameras.
    pub cameras: Cameras,
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
    /// Seconds for which the broker keeps the session of a device that is away. A broker of 3.1.1 keeps it for ever.
    pub session_expiry_s: u32,
    /// Version of the protocol.
    pub version: MqttVersion,
    /// Whom to trust and who to be, for [`BrokerAddress::Tls`].
    pub tls: TlsFiles,
    /// Bytes of the largest packet that the broker takes, where it does not say so itself.
    pub max_packet_bytes: Option<usize>,
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
    /// `mqtts://host:port`.
    Tls {
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

#[cfg(test)]
mod tests {
    use super::validation::address;
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
            error.contains("settings.toml:11: models.colour: unknown field `colour`, expected one of `encoder`"),
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
    fn what_is_asked_of_the_index_can_be_said() {
        use index_shards::{Dissimilar, PerPlace};
        let dir = tempfile::tempdir().unwrap();
        let usual = load(&least(dir.path()), dir.path(), &[]).unwrap();
        assert_eq!((usual.search, usual.prefault), (SearchOptions::default(), false));
        let more =
            "prefault = true\nsearch_threads = 4\ndissimilar = \"far_in_window\"\nfar_radius_m = 500\nper_place = 2\n";
        let text = least(dir.path()).replace("[index]\n", &format!("[index]\n{more}"));
        let settings = load(&text, dir.path(), &[("GEOLOCATED__INDEX__PER_PLACE_RADIUS_M", "12.5")]).unwrap();
        assert!(settings.prefault);
        assert_eq!(settings.search.threads, 4);
        assert_eq!(settings.search.dissimilar, Dissimilar::FarInWindow { radius_m: 500.0 });
        assert_eq!(settings.search.per_place, Some(PerPlace { most: 2, radius_m: 12.5 }));
        let random = [("GEOLOCATED__INDEX__DISSIMILAR", "random"), ("GEOLOCATED__INDEX__RANDOM_SEED", "7")];
        let settings = load(&least(dir.path()), dir.path(), &random).unwrap();
        assert_eq!(settings.search.dissimilar, Dissimilar::Random { seed: 7 });
    }

    #[test]
    fn what_cannot_be_asked_of_the_index_is_named_with_line_expected_and_found() {
        for (line, part) in [
            ("search_threads = 0", "index.search_threads: expected a number within 1 and 1024, found 0"),
            ("per_place = 0", "index.per_place: expected a number within 1 and 1000000, found 0"),
            ("per_place_radius_m = -1.0", "index.per_place_radius_m: expected a number within 0 and"),
            ("far_radius_m = nan", "index.far_radius_m: expected a number within 0 and"),
            ("dissimilar = \"nearest\"", "index.dissimilar: unknown variant `nearest`, expected one of `farthest`"),
            ("prefault = 1", "index.prefault: invalid type: integer `1`, expected a boolean"),
        ] {
            let error = refusal(|text| text.replace("[index]\n", &format!("[index]\n{line}\n")));
            assert!(error.contains(&format!("settings.toml:8: {part}")), "{error}");
        }
    }

    #[test]
    fn how_models_run_can_be_said() {
        use quantized_models::{PackedIn, Provider, RuntimeKind};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let usual = load(&least(dir.path()), dir.path(), &[]).unwrap().load;
        assert_eq!((usual.runtime, usual.threads, usual.sessions), (None, 1, 1));
        assert_eq!(usual.packed, [PackedIn::Folder(at("state/packed")), PackedIn::ModelFolder]);
        assert_eq!(usual.stamps, Some(at("state/stamps")));
        let more = "runtime = \"onnxruntime\"\nonnxruntime = \"model.toml\"\nproviders = [\"tensorrt\", \"cuda\"]\n\
                    gpu = 1\nfp16 = false\nthreads = 3\ncache = \"cache\"\n";
        let load = load(&(least(dir.path()) + more), dir.path(), &[]).unwrap().load;
        assert_eq!((load.runtime, load.threads), (Some(RuntimeKind::OnnxRuntime), 3));
        assert_eq!(load.onnxruntime, Some(at("model.toml")));
        let engines = Some(at("cache/engines"));
        let tensorrt = Provider::TensorRt { device: 1, fp16: false, cache: engines };
        assert_eq!(load.providers, [tensorrt, Provider::Cuda { device: 1 }]);
        assert_eq!((load.packed, load.stamps), (vec![PackedIn::Folder(at("cache/packed"))], Some(at("cache/stamps"))));
    }

    #[test]
    fn how_models_cannot_run_is_named() {
        for (line, part) in [
            ("runtime = \"ort\"", "models.runtime: unknown variant `ort`, expected `onnxruntime` or `tract`"),
            ("onnxruntime = \"absent.so\"", "models.onnxruntime:"),
            ("providers = [\"npu\"]", "unknown variant `npu`, expected one of `cpu`, `cuda`, `tensorrt`"),
            ("providers = [\"cuda\", \"cuda\"]", "models.providers: expected each once, found cuda twice"),
            (
                "runtime = \"tract\"\nproviders = [\"cuda\"]",
                "models.providers: expected cpu alone with runtime = \"tract\"",
            ),
            ("threads = 0", "models.threads: expected a number within 1 and 1024, found 0"),
            ("gpu = -1", "models.gpu: expected a number within 0 and 255, found -1"),
        ] {
            let error = refusal(|text| format!("{text}{line}\n"));
            assert!(error.contains("settings.toml:") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn generations_updates_and_metrics_can_be_said() {
        const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let dir = tempfile::tempdir().unwrap();
        let text = least(dir.path());
        let usual = load(&text, dir.path(), &[]).unwrap();
        assert!(usual.generations.is_none() && usual.update.is_none() && usual.metrics.is_none());
        let generations = format!("generations = \"index\"\nkeys = [{KEY:?}]");
        let text = text.replace("shards = [\"a.shard\"]", &generations).replace("encoder = \"model.toml\"\n", "");
        let more = "[update]\nurl = \"https://hub.example/fleet\"\n[metrics]\nlisten = \"127.0.0.1:9464\"\n";
        let settings = load(&(text.clone() + more), dir.path(), &[]).unwrap();
        let generations = settings.generations.unwrap();
        assert_eq!((generations.folder, generations.activate), (dir.path().join("index"), ActivateWhen::Auto));
        let update = settings.update.unwrap();
        assert_eq!((update.url.as_str(), update.interval.as_secs()), ("https://hub.example/fleet/", 3600));
        assert_eq!((settings.metrics.unwrap().port(), settings.encoder), (9464, None));
        for (line, part) in [
            ("[metrics]\nlisten = \"0.0.0.0:9464\"", "metrics.listen: expected an address of this machine alone"),
            ("[metrics]\nlisten = \"9464\"", "metrics.listen: expected ADDRESS:PORT"),
            ("[update]\nurl = \"ftp://hub.example\"", "update.url: expected http:// or https://"),
            ("[update]\nurl = \"https://u:p@hub.example\"", "update.url: expected http:// or https://"),
            ("[update]\nurl = \"https://hub.example\"\ninterval_s = 0.0", "update.interval_s: expected a number"),
        ] {
            let error = load(&format!("{text}{line}\n"), dir.path(), &[]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let both = text.replace("[index]\n", "[index]\nshards = [\"a.shard\"]\n");
        assert!(load(&both, dir.path(), &[]).unwrap_err().contains("index.generations: expected either shards or"));
        let no_keys = text.replace(&format!("keys = [{KEY:?}]"), "");
        assert!(load(&no_keys, dir.path(), &[]).unwrap_err().contains("index.keys: expected one key, or two"));
        let remote = text + "[metrics]\nlisten = \"0.0.0.0:9464\"\nallow_remote = true\n";
        assert!(load(&remote, dir.path(), &[]).unwrap().metrics.is_some());
    }

    #[test]
    fn reranking_is_on_where_there_is_a_comparator_and_its_options_can_be_said() {
        use crate::locate::rerank::{RerankOptions, Strategy};
        use crate::service::PublishStages;
        let dir = tempfile::tempdir().unwrap();
        assert!(load(&least(dir.path()), dir.path(), &[]).unwrap().rerank.is_none());
        let off = least(dir.path()) + "[rerank]\nstrategy = \"off\"\n";
        assert!(load(&off, dir.path(), &[]).unwrap().rerank.is_none());
        let with = least(dir.path()) + "comparator = \"vlm\"\n";
        let usual = load(&with, dir.path(), &[]).unwrap().rerank.unwrap();
        assert_eq!(usual.options, RerankOptions::default());
        assert_eq!((usual.comparator, usual.candidates), (dir.path().join("vlm"), 64));
        assert_eq!((usual.publish, usual.cache.folder), (PublishStages::Both, dir.path().join("state/tokens")));
        let more = "[rerank]\nstrategy = \"knockout\"\nbudget_ms = 250\ngate_nats = inf\npublish = \"final\"\n\
                    [rerank.posterior]\ntemperature = 2\n";
        let variables = [("GEOLOCATED__RERANK__MAX_COMPARISONS", "3")];
        let said = load(&(with.clone() + more), dir.path(), &variables).unwrap().rerank.unwrap();
        let options = said.options;
        assert_eq!((options.strategy, options.budget_ms, options.gate_nats), (Strategy::Knockout, Some(250), None));
        assert_eq!((options.max_comparisons, options.posterior.temperature), (3, 2.0));
        assert_eq!(said.publish, PublishStages::Final);
        let off = with + "[rerank]\nstrategy = \"off\"\n";
        assert!(load(&off, dir.path(), &[]).unwrap().rerank.is_none());
    }

    #[test]
    fn what_reranking_cannot_be_is_named_with_line_expected_and_found() {
        for (line, part) in [
            ("strategy = \"best\"", "rerank.strategy: unknown variant `best`, expected one of `adaptive`, `knockout`"),
            ("publish = \"all\"", "rerank.publish: unknown variant `all`, expected one of `both`, `final`"),
            ("budget_ms = 600001", "rerank.budget_ms: expected a number within 0 and 600000, found 600001"),
            ("top = 1", "rerank.top: expected a number within 2 and"),
            ("probes = 3", "rerank.probes: expected a number within 0 and 2, found 3"),
            ("doubt = 0.5", "rerank.doubt: expected a number within"),
            ("gate_nats = nan", "rerank.gate_nats: expected a number within 0 and inf, found NaN"),
            ("candidates = 1", "rerank.candidates: expected a number within 2 and 1024, found 1"),
            ("posterior = { temperature = 0.0 }", "rerank.posterior.temperature: expected a number within"),
            ("posterior = { heat = 1 }", "rerank.posterior.heat: unknown field `heat`, expected one of"),
            ("colour = 1", "rerank.colour: unknown field `colour`, expected one of `strategy`, `publish`"),
        ] {
            let error = refusal(|text| format!("{text}comparator = \"vlm\"\n[rerank]\n{line}\n"));
            assert!(error.contains(&format!("settings.toml:13: {part}")), "{error}");
        }
        let error = refusal(|text| text.to_owned() + "[rerank]\nstrategy = \"adaptive\"\n");
        assert!(error.contains(":12: rerank.strategy: expected models.comparator beside it"), "{error}");
    }

    #[test]
    fn bad_frames_and_hints_can_be_said_and_are_named_when_wrong() {
        use crate::locate::{BadFrame, Corners, HintUse, RefusedFrames};
        let dir = tempfile::tempdir().unwrap();
        let usual = load(&least(dir.path()), dir.path(), &[]).unwrap();
        assert_eq!((usual.refuse, usual.cameras), (RefusedFrames::default(), Cameras::default()));
        let more = "[frames]\nrefuse = [\"dark\", \"frozen\"]\n\
                    [camera.nadir]\nhints = [\"heading\", \"prior\"]\ncorners = \"cut\"\ncentre = true\n";
        let settings = load(&(least(dir.path()) + more), dir.path(), &[]).unwrap();
        assert_eq!(settings.refuse.0, [BadFrame::Dark, BadFrame::Frozen]);
        let nadir = settings.cameras.of("nadir");
        let expected = HintUse { heading: true, altitude: false, prior: true, attitude: false, corners: Corners::Cut };
        assert_eq!((nadir.hint_use(), nadir.centre), (expected, true));
        for (line, part) in [
            ("[frames]\nrefuse = [\"fog\"]", "unknown variant `fog`, expected one of `dark`, `covered`"),
            ("[camera.nadir]\nhints = [\"speed\"]", "unknown variant `speed`, expected one of `heading`, `altitude`"),
            ("[camera.nadir]\ncolour = 1", "camera.nadir.colour: unknown field `colour`, expected one of `kind`"),
            ("[camera.\"a/b\"]\ncentre = true", "camera.a/b: expected"),
        ] {
            let error = refusal(|text| format!("{text}{line}\n"));
            assert!(error.contains(part), "{error}");
        }
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
        assert_eq!(address("mqtts://hub"), Ok(BrokerAddress::Tls { host: "hub".to_owned(), port: 8883 }));
        for bad in ["", "broker:1883", "http://broker", "mqtt://", "mqtt://b/path", "unix://", "mqtt://u:p@b"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Settings::load(Path::new("absent.toml"), NO_VARIABLES).unwrap_err().to_string();
        assert!(error.starts_with("absent.toml: cannot be read"), "{error}");
    }

    #[test]
    fn cameras_have_what_is_said_of_them_of_all_and_what_is_usual() {
        use crate::locate::Hints;
        use crate::locate::track::CameraKind;
        let folder = tempfile::tempdir().unwrap();
        let more = "[camera.\"*\"]\nhfov_deg = 70.0\nmax_speed_m_s = 12.0\n\
                    [camera.front]\nkind = \"forward\"\nmount_heading_deg = 90\n[camera.belly]\ntrack = false\n";
        let settings = load(&(least(folder.path()) + more), folder.path(), &[]).unwrap();
        let (front, belly, other) =
            (settings.cameras.of("front"), settings.cameras.of("belly"), settings.cameras.of("other"));
        assert_eq!((front.kind, front.max_speed_m_s, front.track), (CameraKind::Forward, 40.0, true));
        assert_eq!((front.motion().looks_deg, belly.motion().looks_deg), (Some(90.0), None));
        assert_eq!((belly.track, belly.max_speed_m_s, other.max_speed_m_s), (false, 12.0, 12.0));
        assert_eq!(belly.complete(Hints::default()).hfov_deg, Some(70.0));
        let said = Hints { hfov_deg: Some(50.0), ..Hints::default() };
        assert_eq!(belly.complete(said).hfov_deg, Some(50.0));
    }

    #[test]
    fn impossible_cameras_and_tracks_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for (more, key) in [
            ("[camera.front]\nkind = \"flying\"\n", "nadir"),
            ("[camera.front]\nhfov_deg = 0\n", "camera.front.hfov_deg"),
            ("[camera.front]\nmax_speed_m_s = -1.0\n", "camera.front.max_speed_m_s"),
            ("[camera.\"a/b\"]\ntrack = true\n", "camera.a/b"),
            ("[track]\nhypotheses = 1\n", "track.hypotheses"),
            ("[track]\nhold_share = 0.9\n", "track.hold_share"),
            ("[track]\nhistory = 0\n", "track.history"),
            ("[track]\nspeed = 0\n", "speed"),
        ] {
            let error = load(&(least(folder.path()) + more), folder.path(), &[]).unwrap_err();
            assert!(error.contains(key), "{more}: {error}");
        }
        let off = load(&(least(folder.path()) + "[track]\nenabled = false\n"), folder.path(), &[]).unwrap();
        assert!(off.track.is_none());
    }
}
