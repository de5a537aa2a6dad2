//! The AsyncAPI document says all topics that the daemon uses, and all schemas.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use geolocated::service::Topics;

fn schema_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/schema")
}

fn document() -> String {
    std::fs::read_to_string(schema_folder().join("asyncapi.yaml")).unwrap()
}

/// What stands behind `key` in the lines of a document, without quotation marks.
fn values(text: &str, key: &str) -> BTreeSet<String> {
    let parts = text.lines().flat_map(|line| line.split(key).skip(1));
    parts.filter_map(|rest| rest.trim().strip_prefix('\'')?.split('\'').next().map(str::to_owned)).collect()
}

#[test]
fn every_topic_of_the_daemon_is_in_the_asyncapi_document_and_no_other() {
    let topics = Topics::new("{prefix}", "{site}", "{device}");
    let mut expected: BTreeSet<String> = [
        topics.status(),
        topics.info(),
        topics.stats(),
        topics.frame("{cam}"),
        topics.fix("{cam}"),
        topics.last("{cam}"),
        topics.geojson("{cam}"),
        topics.reply("{verb}"),
    ]
    .into();
    expected.extend(topics.frame_subscriptions().map(|topic| topic.replace('+', "{cam}")));
    expected.insert(topics.command_subscription().replace('+', "{verb}"));
    let others = ["{owntracks}/{site}/{device}-{cam}", "{homeassistant}/{component}/{node}/{object}/config"];
    expected.extend(others.map(str::to_owned));
    assert_eq!(values(&document(), "address:"), expected);

    // Whoever adds a topic to the tree adds it above.
    let source = std::fs::read_to_string(schema_folder().join("../src/service/topics.rs")).unwrap();
    let written: BTreeSet<String> = source
        .split("format!(\"{}/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(|rest| format!("{{prefix}}/{{site}}/{{device}}/{}", rest.replace("{camera}", "{cam}")))
        .map(|topic| topic.replace("cam/+", "cam/{cam}").replace("cmd/+", "cmd/{verb}"))
        .collect();
    assert!(written.is_subset(&expected) && written.len() > 9, "{written:?}");
}

#[test]
fn every_schema_is_referred_to_by_the_asyncapi_document_and_is_there() {
    let named: BTreeSet<String> = values(&document(), "$ref:")
        .into_iter()
        .filter_map(|reference| reference.strip_prefix("./").map(str::to_owned))
        .collect();
    let files =
        std::fs::read_dir(schema_folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = files.filter(|name| name.ends_with(".schema.json")).collect();
    assert_eq!(named, there);
    for name in there {
        let text = std::fs::read_to_string(schema_folder().join(&name)).unwrap();
        let schema = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_reference_within_the_asyncapi_document_leads_somewhere() {
    let text = document();
    // Two spaces for each level: the path of every line that has a key.
    let mut paths = BTreeSet::new();
    let mut stack: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#') && line.contains(':')) {
        let level = (line.len() - line.trim_start().len()) / 2;
        stack.truncate(level);
        stack.push(line.trim_start().split(':').next().unwrap().to_owned());
        paths.insert(format!("#/{}", stack.join("/")));
    }
    let references = values(&text, "$ref:");
    let inner: Vec<&String> = references.iter().filter(|reference| reference.starts_with('#')).collect();
    assert!(inner.len() > 20);
    for reference in inner {
        assert!(paths.contains(reference), "{reference} leads nowhere");
    }
}

/// The blocks fenced as `language` in a document.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(schema_folder().join("../..").join(document)).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_settings_and_messages_shown_for_sources_and_other_programs_hold() {
    for document in ["docs/sources.md", "docs/interoperation.md"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("reference.shard"), "").unwrap();
        std::fs::create_dir_all(folder.path().join("models/my-encoder")).unwrap();
        let settings = [blocks("README.md", "toml"), blocks(document, "toml")].concat().concat();
        let path = folder.path().join("geolocated.toml");
        std::fs::write(&path, settings).unwrap();
        let settings = geolocated::service::Settings::load(&path, []).unwrap();
        let shown = (settings.sources.len(), settings.publish.nmea.is_some());
        assert_eq!(shown, if document.ends_with("sources.md") { (2, false) } else { (0, true) });
    }
    for message in blocks("docs/interoperation.md", "json") {
        crate::support::schema::assert_valid("geojson", &serde_json::from_str(&message).unwrap());
    }
}
