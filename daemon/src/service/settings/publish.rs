//! `[publish.*]`: answers in other people's words. All are off unless switched on.

use std::net::SocketAddr;

use serde::Deserialize;

use super::SettingsError;
use super::validation::Validation;
use crate::service::topics::valid_prefix;

/// What is published beside the device's own topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishSettings {
    /// Home Assistant's discovery, below this prefix.
    pub home_assistant: Option<String>,
    /// Locations as OwnTracks has them, below this prefix.
    pub owntracks: Option<String>,
    /// A GeoJSON feature for each camera.
    pub geojson: bool,
    /// NMEA 0183 over TCP.
    pub nmea: Option<NmeaSettings>,
}

/// NMEA 0183 over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NmeaSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The only camera whose fixes are spoken; all without it.
    pub camera: Option<String>,
    /// The two letters before each sentence's name.
    pub talker: String,
    /// Whether a position that is that of the ground in the picture counts as the device's.
    pub footprint_centre: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PublishSection {
    home_assistant: HomeAssistantSection,
    owntracks: OwnTracksSection,
    geojson: GeoJsonSection,
    nmea: NmeaSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HomeAssistantSection {
    enabled: bool,
    prefix: String,
}

impl Default for HomeAssistantSection {
    fn default() -> Self {
        Self { enabled: false, prefix: "homeassistant".to_owned() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnTracksSection {
    enabled: bool,
    prefix: String,
}

impl Default for OwnTracksSection {
    fn default() -> Self {
        Self { enabled: false, prefix: "owntracks".to_owned() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GeoJsonSection {
    enabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NmeaSection {
    enabled: bool,
    listen: String,
    camera: Option<String>,
    talker: String,
    footprint_centre: bool,
}

impl Default for NmeaSection {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: "127.0.0.1:10110".to_owned(),
            camera: None,
            talker: "GP".to_owned(),
            footprint_centre: false,
        }
    }
}

impl Validation<'_> {
    pub(super) fn publish(&self, section: &PublishSection) -> Result<PublishSettings, SettingsError> {
        let (home_assistant, owntracks) = (&section.home_assistant, &section.owntracks);
        self.prefix("publish.home_assistant.prefix", &home_assistant.prefix)?;
        self.prefix("publish.owntracks.prefix", &owntracks.prefix)?;
        let nmea = self.nmea(&section.nmea)?;
        Ok(PublishSettings {
            home_assistant: home_assistant.enabled.then(|| home_assistant.prefix.clone()),
            owntracks: owntracks.enabled.then(|| owntracks.prefix.clone()),
            geojson: section.geojson.enabled,
            nmea: section.nmea.enabled.then_some(nmea),
        })
    }

    fn prefix(&self, key: &str, prefix: &str) -> Result<(), SettingsError> {
        if valid_prefix(prefix) {
            return Ok(());
        }
        let expected = "expected one or two topic levels without + # $";
        Err(self.document.refuse(key, format!("{expected}, found \"{prefix}\"")))
    }

    fn nmea(&self, section: &NmeaSection) -> Result<NmeaSettings, SettingsError> {
        let listen = section.listen.parse().map_err(|_| {
            let expected = "expected an address and a port such as 127.0.0.1:10110";
            self.document.refuse("publish.nmea.listen", format!("{expected}, found \"{}\"", section.listen))
        })?;
        if let Some(camera) = &section.camera {
            self.level("publish.nmea.camera", camera)?;
        }
        if section.talker.len() != 2 || !section.talker.bytes().all(|letter| letter.is_ascii_uppercase()) {
            let expected = "expected two capital letters such as \"GP\"";
            let found = format!("{expected}, found \"{}\"", section.talker);
            return Err(self.document.refuse("publish.nmea.talker", found));
        }
        let (camera, talker) = (section.camera.clone(), section.talker.clone());
        Ok(NmeaSettings { listen, camera, talker, footprint_centre: section.footprint_centre })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Settings;

    fn load(publish: &str) -> Result<PublishSettings, String> {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a.shard", "model.toml"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let text = format!(
            "[device]\nsite = \"s\"\nname = \"d\"\nstate_dir = \"state\"\n[mqtt]\nurl = \"mqtt://h\"\n[index]\n\
             shards = [\"a.shard\"]\n[models]\nencoder = \"model.toml\"\n{publish}"
        );
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(&path, []).map(|settings| settings.publish).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_on_unless_it_is_switched_on() {
        assert_eq!(load(""), Ok(PublishSettings::default()));
        assert_eq!(load("[publish.nmea]\nlisten = \"0.0.0.0:1\"\n"), Ok(PublishSettings::default()));
        let on = load("[publish.nmea]\nenabled = true\n[publish.geojson]\nenabled = true\n").unwrap();
        assert!(on.geojson && on.nmea.unwrap().listen.ip().is_loopback());
    }

    #[test]
    fn what_cannot_be_is_named_with_its_line() {
        for (text, line, part) in [
            ("[publish.paint]\n", 11, "publish.paint: unknown field `paint`"),
            ("[publish.nmea]\nlisten = \"here\"\n", 12, "publish.nmea.listen: expected an address and a port"),
            ("[publish.nmea]\ntalker = \"gps\"\n", 12, "publish.nmea.talker: expected two capital letters"),
            (
                "[publish.owntracks]\nprefix = \"a/#\"\n",
                12,
                "publish.owntracks.prefix: expected one or two topic levels",
            ),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(&format!("settings.toml:{line}: {part}")), "{error}");
        }
    }
}
