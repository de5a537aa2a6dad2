//! The second stage of settings: from what was written to what makes sense.

use std::fs;
use std::path::{Path, PathBuf};

use index_shards::{Dissimilar, PerPlace, SearchOptions};
use quantized_models::{DecodeLimits, LoadOptions, PackedIn, Provider, ProviderKind, RuntimeKind};

use super::super::topics::{valid_level, valid_prefix};
use super::super::{InboxLimits, OutboxLimits, RerankSettings, TlsFiles};
use super::document::Document;
use super::file::{
    DissimilarWay, FramesSection, IndexSection, ModelsSection, MqttSection, OutboxSection, RerankSection, SettingsFile,
};
use super::{Broker, BrokerAddress, Settings, SettingsError};
use crate::locate::FuseOptions;
use crate::locate::rerank::{PosteriorOptions, Strategy};
use crate::reranker::TokenCacheOptions;

/// Half of the way around the earth, metres: no two places are further apart.
const MAX_DISTANCE_M: f64 = 20_037_508.0;

/// Checks every value of a settings file.
pub(super) struct Validation<'a> {
    pub(super) document: &'a Document<'a>,
}

impl Validation<'_> {
    pub(super) fn settings(&self, file: SettingsFile) -> Result<Settings, SettingsError> {
        self.level("device.site", &file.device.site)?;
        self.level("device.name", &file.device.name)?;
        if !valid_prefix(&file.mqtt.prefix) {
            let expected = "expected one or two topic levels without + # $";
            return Err(self.document.refuse("mqtt.prefix", format!("{expected}, found \"{}\"", file.mqtt.prefix)));
        }
        let generations = self.generations(&file.index)?;
        let shards = file.index.shards.iter().map(|shard| self.existing("index.shards", shard));
        let search = self.search(&file.index)?;
        let frames = self.frames(&file.frames)?;
        let state_dir = self.path(&file.device.state_dir);
        Ok(Settings {
            broker: self.broker(&file.mqtt)?,
            site: file.device.site,
            device: file.device.name,
            load: self.models(&file.models, &state_dir)?,
            rerank: self.rerank(&file.rerank, &file.models, &state_dir)?,
            generate: file.generate.as_ref().map(|generate| self.generate(generate)).transpose()?,
            update: file.update.map(|update| self.update(&update, generations.is_some())).transpose()?,
            metrics: file.metrics.as_ref().map(|metrics| self.metrics(metrics)).transpose()?,
            encoder: self.encoder(file.models.encoder.as_deref(), generations.is_some())?,
            generations,
            state_dir,
            topic_prefix: file.mqtt.prefix,
            shards: shards.collect::<Result<_, _>>()?,
            prefault: file.index.prefault,
            search,
            decode: DecodeLimits { max_pixels: file.frames.max_pixels, ..frames },
            max_frame_age_ms: (file.frames.max_age_s * 1e3) as i64,
            refuse: file.frames.refuse,
            inbox: InboxLimits { cameras: file.frames.max_cameras, bytes: file.frames.max_waiting_bytes },
            outbox: self.outbox(&file.outbox)?,
            sources: self.sources(&file.source, file.frames.max_cameras)?,
            publish: self.publish(&file.publish)?,
            fuse: self.fuse(file.fuse)?,
            // Whether it is there is not looked at: without it there are fixes, too. `check` does.
            calibration: file.calibration.map(|calibration| self.path(&calibration.file)),
            track: self.track(&file.track)?,
            cameras: self.cameras(&file.camera)?,
        })
    }

    fn search(&self, index: &IndexSection) -> Result<SearchOptions, SettingsError> {
        let metres = |key: &str, radius_m| self.within(key, radius_m, 0.0, MAX_DISTANCE_M);
        let far_radius_m = metres("index.far_radius_m", index.far_radius_m)?;
        let radius_m = metres("index.per_place_radius_m", index.per_place_radius_m)?;
        let most = index.per_place.map(|most| self.within("index.per_place", most, 1, 1_000_000)).transpose()?;
        let dissimilar = match index.dissimilar {
            DissimilarWay::Farthest => Dissimilar::Farthest,
            DissimilarWay::Random => Dissimilar::Random { seed: index.random_seed },
            DissimilarWay::Centroid => Dissimilar::Centroid,
            DissimilarWay::FarInWindow => Dissimilar::FarInWindow { radius_m: far_radius_m },
        };
        Ok(SearchOptions {
            dissimilar,
            per_place: most.map(|most| PerPlace { most, radius_m }),
            threads: self.within("index.search_threads", index.search_threads, 1, 1024)?,
            ..SearchOptions::default()
        })
    }

    /// Caches lie in one folder if one is set. Else what `geolocate models prepare` left beside the model is found, and
    /// what is made goes into the folder of state.
    fn models(&self, models: &ModelsSection, state_dir: &Path) -> Result<LoadOptions, SettingsError> {
        let cache = models.cache.as_deref().map_or_else(|| state_dir.to_path_buf(), |cache| self.path(cache));
        let mut packed = vec![PackedIn::Folder(cache.join("packed"))];
        if models.cache.is_none() {
            packed.push(PackedIn::ModelFolder);
        }
        let library = models.onnxruntime.as_deref().map(|library| self.existing("models.onnxruntime", library));
        Ok(LoadOptions {
            runtime: models.runtime,
            onnxruntime: library.transpose()?,
            providers: self.providers(models, &cache)?,
            threads: self.within("models.threads", models.threads, 1, 1024)?,
            packed,
            stamps: Some(cache.join("stamps")),
            trust_writable_folders: models.trust_writable_folders,
            ..LoadOptions::default()
        })
    }

    fn providers(&self, models: &ModelsSection, cache: &Path) -> Result<Vec<Provider>, SettingsError> {
        let device = self.within("models.gpu", models.gpu, 0, 255)?;
        let mut providers: Vec<Provider> = Vec::new();
        for kind in &models.providers {
            let provider = match kind {
                ProviderKind::Cpu => Provider::Cpu,
                ProviderKind::Cuda => Provider::Cuda { device },
                ProviderKind::TensorRt => {
                    Provider::TensorRt { device, fp16: models.fp16, cache: Some(cache.join("engines")) }
                }
            };
            let name = provider.name();
            if providers.contains(&provider) {
                return Err(self
                    .document
                    .refuse("models.providers", format!("expected each once, found {name} twice")));
            }
            if models.runtime == Some(RuntimeKind::Tract) && provider != Provider::Cpu {
                let expected = "expected cpu alone with runtime = \"tract\"";
                return Err(self.document.refuse("models.providers", format!("{expected}, found {name}")));
            }
            providers.push(provider);
        }
        Ok(providers)
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

    fn outbox(&self, outbox: &OutboxSection) -> Result<OutboxLimits, SettingsError> {
        let segment_bytes = self.within("outbox.segment_bytes", outbox.segment_bytes, 16 << 10, 64 << 20)?;
        let max_age_s = self.within("outbox.max_age_s", outbox.max_age_s, 1.0, 1e9)?;
        Ok(OutboxLimits {
            messages: self.within("outbox.max_messages", outbox.max_messages, 1, 10_000_000)?,
            max_bytes: self.within("outbox.max_bytes", outbox.max_bytes, segment_bytes.saturating_mul(4), 1 << 40)?,
            segment_bytes,
            max_age_ms: (max_age_s * 1e3) as u64,
            group_commit_ms: self.within("outbox.group_commit_ms", outbox.group_commit_ms, 0, 60_000)?,
            memory_bytes: self.within("outbox.memory_bytes", outbox.memory_bytes, 64 << 10, 1 << 30)?,
        })
    }

    fn fuse(&self, fuse: FuseOptions) -> Result<FuseOptions, SettingsError> {
        self.within("fuse.same_place_m", fuse.same_place_m, 0.0, 1e6)?;
        self.within("fuse.sharpness", fuse.sharpness, 0.0, 1e6)?;
        self.within("fuse.ambiguous_share", fuse.ambiguous_share, 1e-6, 1.0)?;
        Ok(fuse)
    }

    /// Whether the comparator's folder is there is not looked at: what is wrong with it must not keep fixes from being
    /// made. `check` does.
    fn rerank(
        &self,
        rerank: &RerankSection,
        models: &ModelsSection,
        state_dir: &Path,
    ) -> Result<Option<RerankSettings>, SettingsError> {
        const MOST_NATS: f64 = 1e6;
        self.within("rerank.max_comparisons", rerank.max_comparisons, 0, 100_000)?;
        self.within("rerank.budget_ms", rerank.budget_ms, 0, 600_000)?;
        self.within("rerank.top", rerank.top, 2, 1024)?;
        self.within("rerank.candidates", rerank.candidates, 2, 1024)?;
        self.within("rerank.token_cache_bytes", rerank.token_cache_bytes, 0, 1 << 40)?;
        self.within("rerank.gate_nats", rerank.gate_nats, 0.0, f64::INFINITY)?;
        self.within("rerank.probes", rerank.probes, 0, 2)?;
        self.within("rerank.probe_margin_nats", rerank.probe_margin_nats, 0.0, MOST_NATS)?;
        self.within("rerank.small_margin_nats", rerank.small_margin_nats, 0.0, MOST_NATS)?;
        self.within("rerank.doubt", rerank.doubt, 1e-9, 0.499)?;
        self.posterior(&rerank.posterior)?;
        let strategy = match (rerank.strategy, &models.comparator) {
            (None, Some(_)) => Strategy::default(),
            (None | Some(Strategy::Off), _) => Strategy::Off,
            (Some(strategy), Some(_)) => strategy,
            (Some(_), None) => {
                return Err(self.document.refuse("rerank.strategy", "expected models.comparator beside it".to_owned()));
            }
        };
        let comparator = models.comparator.as_deref().filter(|_| strategy != Strategy::Off);
        Ok(comparator.map(|comparator| RerankSettings {
            comparator: self.path(comparator),
            options: rerank.options(strategy),
            publish: rerank.publish,
            candidates: rerank.candidates,
            cache: TokenCacheOptions { folder: state_dir.join("tokens"), max_bytes: rerank.token_cache_bytes },
        }))
    }

    fn posterior(&self, posterior: &PosteriorOptions) -> Result<(), SettingsError> {
        for (key, value, least) in [
            ("prior_scale", posterior.prior_scale, 0.0),
            ("prior_deviation_nats", posterior.prior_deviation_nats, 1e-6),
            ("perception_noise_nats", posterior.perception_noise_nats, 0.0),
            ("temperature", posterior.temperature, 1e-6),
            ("margin_noise_nats", posterior.margin_noise_nats, 1e-6),
            ("saturation_nats", posterior.saturation_nats, 1e-6),
            ("bias_nats", posterior.bias_nats, -1e6),
            ("bias_deviation_nats", posterior.bias_deviation_nats, 1e-6),
        ] {
            self.within(&format!("rerank.posterior.{key}"), value, least, 1e6)?;
        }
        Ok(())
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
        let most = mqtt.max_packet_bytes.map(|most| self.within("mqtt.max_packet_bytes", most, 256, 256 << 20));
        Ok(Broker {
            tls: self.tls(mqtt, &address)?,
            address,
            credentials,
            keep_alive_s: mqtt.keep_alive_s,
            session_expiry_s: mqtt.session_expiry_s,
            version: mqtt.version,
            max_packet_bytes: most.transpose()?,
        })
    }

    /// The files are read, so that a wrong one is named here and not by the first connection.
    fn tls(&self, mqtt: &MqttSection, address: &BrokerAddress) -> Result<TlsFiles, SettingsError> {
        let is_tls = matches!(address, BrokerAddress::Tls { .. });
        let said = [
            ("mqtt.ca_file", mqtt.ca_file.is_some()),
            ("mqtt.certificate_file", mqtt.certificate_file.is_some()),
            ("mqtt.key_file", mqtt.key_file.is_some()),
            ("mqtt.server_name", mqtt.server_name.is_some()),
        ];
        if let Some((key, _)) = said.iter().find(|(_, said)| *said && !is_tls) {
            return Err(self.document.refuse(key, "expected with mqtt.url = \"mqtts://...\" alone".to_owned()));
        }
        let identity = match (&mqtt.certificate_file, &mqtt.key_file) {
            (Some(certificate), Some(key)) => Some((self.path(certificate), self.path(key))),
            (None, None) => None,
            (Some(_), None) => {
                let expected = "expected mqtt.key_file beside it".to_owned();
                return Err(self.document.refuse("mqtt.certificate_file", expected));
            }
            (None, Some(_)) => {
                let expected = "expected mqtt.certificate_file beside it".to_owned();
                return Err(self.document.refuse("mqtt.key_file", expected));
            }
        };
        let ca = mqtt.ca_file.as_deref().map(|ca| self.path(ca));
        let files = TlsFiles { ca, identity, server_name: mqtt.server_name.clone() };
        if is_tls {
            files.client_config(0).map_err(|error| self.document.refuse(error.key, error.problem))?;
        }
        Ok(files)
    }

    fn password(&self, file: &Path) -> Result<String, SettingsError> {
        let path = self.path(file);
        let text = fs::read_to_string(&path).map_err(|error| {
            self.document.refuse("mqtt.password_file", format!("{}: cannot be read: {error}", path.display()))
        })?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    pub(super) fn level(&self, key: &str, value: &str) -> Result<(), SettingsError> {
        if valid_level(value) {
            return Ok(());
        }
        let expected = "expected 1 to 64 bytes without / + # $ and control characters";
        Err(self.document.refuse(key, format!("{expected}, found \"{}\"", value.escape_debug())))
    }

    pub(super) fn within<N: PartialOrd + std::fmt::Display + Copy>(
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

    pub(super) fn path(&self, path: &Path) -> PathBuf {
        self.document.path.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    pub(super) fn existing(&self, key: &str, path: &Path) -> Result<PathBuf, SettingsError> {
        let path = self.path(path);
        match fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(self.document.refuse(key, format!("{}: {error}", path.display()))),
        }
    }
}

/// Where the broker listens, as a URL says it.
pub(super) fn address(text: &str) -> Result<BrokerAddress, String> {
    let expected = "expected mqtt://HOST[:PORT], mqtts://HOST[:PORT] or unix:///PATH";
    let url = url::Url::parse(text).map_err(|error| format!("{expected}, found \"{text}\": {error}"))?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match (url.scheme(), url.host_str()) {
        _ if !plain => Err(format!("{expected} and nothing else in it; name and password have keys of their own")),
        ("mqtt", Some(host)) if !host.is_empty() && matches!(url.path(), "" | "/") => {
            Ok(BrokerAddress::Tcp { host: host.to_owned(), port: url.port().unwrap_or(1883) })
        }
        ("unix", None | Some("")) if url.path().len() > 1 => Ok(BrokerAddress::Unix(PathBuf::from(url.path()))),
        ("mqtts", Some(host)) if !host.is_empty() && matches!(url.path(), "" | "/") => {
            Ok(BrokerAddress::Tls { host: host.to_owned(), port: url.port().unwrap_or(8883) })
        }
        _ => Err(format!("{expected}, found \"{text}\"")),
    }
}
