//! What the documents show must hold: messages fit their schemas, settings are accepted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use geolocated::service::Settings;
use serde_json::Value;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The blocks fenced as `language` in a document, each with the line before its fence.
fn blocks(document: &str, language: &str) -> std::io::Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(project(document))?;
    let fence = format!("```{language}\n");
    let parts: Vec<&str> = text.split(fence.as_str()).collect();
    let before = parts.iter().map(|part| part.trim_end().lines().last().unwrap_or_default().to_owned());
    let after = parts.iter().skip(1).map(|part| part.split("```").next().unwrap_or_default().to_owned());
    Ok(before.zip(after).collect())
}

#[test]
fn every_message_shown_fits_its_schema() {
    let mut kinds = BTreeSet::new();
    let shown = ["docs/mqtt.md", "docs/monitoring.md"].map(|document| blocks(document, "json").unwrap());
    for (marker, block) in shown.concat() {
        let kind = marker.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        let kind = kind.unwrap_or_else(|| panic!("docs/mqtt.md: a message without its kind before it: {marker}"));
        let schema = std::fs::read_to_string(project(&format!("daemon/schema/{kind}.schema.json"))).unwrap();
        let validator = jsonschema::validator_for(&serde_json::from_str::<Value>(&schema).unwrap()).unwrap();
        let message: Value = serde_json::from_str(&block).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let problems: Vec<String> = validator.iter_errors(&message).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "docs/mqtt.md: {kind}: {problems:?}");
        kinds.insert(kind.to_owned());
    }
    assert_eq!(kinds, BTreeSet::from(["fix", "reply", "resend", "stats", "status"].map(str::to_owned)));
}

#[test]
fn every_settings_file_shown_is_accepted() {
    let shown = [blocks("README.md", "toml").unwrap(), blocks("docs/mqtt.md", "toml").unwrap()].concat();
    assert_eq!(shown.len(), 2);
    // The least form, which comes first, has the defaults.
    let (mut searches, mut outboxes) = (None, None);
    for (_, block) in shown {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("models/my-encoder")).unwrap();
        std::fs::write(path("reference.shard"), "").unwrap();
        std::fs::write(path("mqtt.password"), "secret\n").unwrap();
        std::fs::write(path("geolocated.toml"), &block).unwrap();
        let settings = Settings::load(&path("geolocated.toml"), []).unwrap();
        assert_eq!(settings.device, "drone-7");
        assert_eq!(settings.fuse, geolocated::locate::FuseOptions::default(), "the defaults shown are the defaults");
        assert_eq!(settings.refuse, geolocated::locate::RefusedFrames::default());
        assert_eq!(settings.decode, quantized_models::DecodeLimits::default());
        let defaults = searches.get_or_insert_with(|| settings.search.clone());
        assert_eq!((&settings.search, settings.prefault), (&*defaults, false));
        assert!(settings.rerank.is_none(), "nothing asks a comparator unless it is named");
        assert_eq!(settings.outbox, *outboxes.get_or_insert(settings.outbox));
    }
}

#[test]
fn the_settings_shown_for_updates_are_accepted() {
    let shown = blocks("docs/updates.md", "toml").unwrap();
    let [(_, block)] = shown.as_slice() else { panic!("expected one, found {}", shown.len()) };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("models/my-encoder")).unwrap();
    let path = folder.path().join("geolocated.toml");
    std::fs::write(&path, block).unwrap();
    let settings = Settings::load(&path, []).unwrap();
    assert!(settings.generations.is_some() && settings.update.is_some() && settings.metrics.is_some());
}

#[test]
fn the_settings_shown_for_tracks_are_accepted_and_are_the_defaults() {
    let shown = blocks("docs/tracking.md", "toml").unwrap();
    let [(_, block)] = shown.as_slice() else { panic!("expected one, found {}", shown.len()) };
    let (_, least) = blocks("README.md", "toml").unwrap().into_iter().next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("models/my-encoder")).unwrap();
    std::fs::write(folder.path().join("reference.shard"), "").unwrap();
    let path = folder.path().join("geolocated.toml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Settings::load(&path, []).unwrap()
    };
    let (plain, shown) = (load(&least), load(&format!("{least}\n{block}")));
    assert_eq!(plain.track, shown.track);
    assert_eq!(plain.cameras.of("any"), shown.cameras.of("any"));
    assert_ne!(shown.cameras.of("front"), shown.cameras.of("any"));
}

/// The anchors of a document's headings, as the usual renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_of_it() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/bad-input.md",
        "docs/index.md",
        "docs/search.md",
        "docs/demo.md",
        "docs/reranking-schedules.md",
        "docs/world.md",
        "docs/mqtt.md",
        "docs/sources.md",
        "docs/interoperation.md",
        "docs/operations.md",
        "docs/models.md",
        "docs/reranking.md",
        "docs/systemd.md",
        "docs/tracking.md",
        "docs/accuracy.md",
        "docs/calibration.md",
        "docs/updates.md",
        "docs/monitoring.md",
        "index-shards/benches/peers/README.md",
        "quantized-models/recipes/README.md",
        "quantized-models/mini/siglip-mini/README.md",
    ] {
        let path = project(document);
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{document}: {link}");
            let found = anchor.is_empty() || anchors(&std::fs::read_to_string(&file).unwrap()).contains(anchor);
            assert!(found, "{document}: {link}: no such heading");
        }
    }
}

/// All Rust files of the packages, as paths from the root.
fn source_files() -> std::io::Result<Vec<String>> {
    let mut folders: Vec<PathBuf> =
        ["index-shards", "quantized-models", "daemon", "tools", "tests"].map(project).into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension() {
                Some(extension) if extension == "rs" => files.push(path.display().to_string()),
                _ if path.is_dir() && !path.ends_with("target") => folders.push(path),
                _ => {}
            }
        }
    }
    Ok(files)
}

#[test]
fn every_source_file_that_the_architecture_names_is_there() {
    let files = source_files().unwrap();
    let text = std::fs::read_to_string(project("ARCHITECTURE.md")).unwrap();
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs")).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(files.iter().any(|file| file.ends_with(&format!("/{name}"))), "ARCHITECTURE.md: {name}: no such file");
    }
}

#[test]
fn every_test_named_for_bad_input_is_there() {
    let mut sources = String::new();
    for file in source_files().unwrap() {
        sources += &std::fs::read_to_string(file).unwrap();
    }
    let text = std::fs::read_to_string(project("docs/bad-input.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() >= 16, "{} rows", rows.len());
    for row in rows {
        let tests = row.rsplit('|').nth(1).unwrap_or_default();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "docs/bad-input.md: a row without a test: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "docs/bad-input.md: {name}: no such test");
        }
    }
}
