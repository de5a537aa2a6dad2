//! The JSON schemas that the daemon ships.

use serde_json::Value;

/// Panics unless a message fits its schema.
pub fn assert_valid(schema: &str, instance: &Value) {
    let path = format!("{}/../daemon/schema/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> =
        validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{path}: {problems:?}\n{instance:#}");
}
