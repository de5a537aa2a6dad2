//! Settings as text with what overrides them, and where each key stands, for errors.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::SettingsError;
use super::file::SettingsFile;

const ENVIRONMENT_PREFIX: &str = "GEOLOCATED__";

/// Variables that override keys: name, path of the key, value.
pub(super) type Overrides = Vec<(String, Vec<String>, Value)>;

/// The variables in `environment` that override keys, in the order of their names.
pub(super) fn overrides(environment: impl IntoIterator<Item = (String, String)>) -> Overrides {
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
pub(super) struct Document<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) overrides: Overrides,
}

impl Document<'_> {
    /// The settings as they were written: every key known, every value of the right kind.
    pub(super) fn read(&self) -> Result<SettingsFile, SettingsError> {
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
    pub(super) fn refuse(&self, key: &str, message: String) -> SettingsError {
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
            // `source[1]` is the second of its kind.
            let mut parts = key.split('[');
            let name = parts.next().unwrap_or_default();
            let Some((found, value)) = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == name))
            else {
                break;
            };
            byte = found.span().start;
            let mut value = Some(value);
            for index in parts.filter_map(|part| part.trim_end_matches(']').parse::<usize>().ok()) {
                value = match value.map(Spanned::get_ref) {
                    Some(DeValue::Array(array)) => array.get(index),
                    _ => None,
                };
                byte = value.map_or(byte, |value| value.span().start);
            }
            table = match value.map(Spanned::get_ref) {
                Some(DeValue::Table(table)) => Some(table),
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
