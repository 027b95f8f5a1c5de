//! JSON as the reference reads it: `null` is as good as nothing, and names are taken in any case.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `value` without the members that are `null`.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(all) => Value::Object(
            all.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(all) => Value::Array(all.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Objects whose members have names of their users' choice.
const FREE: &[&str] = &["mappings", "revocations", "tiered_limits"];

/// `value` with the names of its members in small letters, as all that are known are. A name that
/// was not known for its case would be left out: of all things, it could be a denial.
pub(super) fn in_small_letters(value: Value) -> Value {
    folded(value, false)
}

fn folded(value: Value, free: bool) -> Value {
    match value {
        Value::Object(all) => Value::Object(
            all.into_iter()
                .map(|(name, value)| {
                    let name = if free { name } else { name.to_ascii_lowercase() };
                    let is_free = !free && FREE.contains(&name.as_str());
                    let value = folded(value, is_free);
                    (name, value)
                })
                .collect(),
        ),
        Value::Array(all) => Value::Array(all.into_iter().map(|one| folded(one, false)).collect()),
        other => other,
    }
}

/// Members that are objects wherever they stand.
const OBJECTS: &[&str] =
    &["nats", "pub", "resp", "limits", "default_permissions", "authorization", "trace"];

/// The name of a member that is a list where an object has to be: read as one it would be empty,
/// and an empty permission permits everything.
pub(super) fn misshapen(value: &Value) -> Option<&str> {
    match value {
        Value::Object(all) => all.iter().find_map(|(name, value)| {
            let is_object = OBJECTS.contains(&name.as_str()) || name == "sub";
            if is_object && value.is_array() { Some(name.as_str()) } else { misshapen(value) }
        }),
        Value::Array(all) => all.iter().find_map(misshapen),
        _ => None,
    }
}

/// A list of networks: an array, or a text with commas.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(from)? {
        Either::List(list) => list,
        Either::Text(text) => {
            let mut all: Vec<String> = Vec::new();
            for one in text.to_lowercase().split(',').map(str::trim) {
                if !one.is_empty() && !all.iter().any(|other| other == one) {
                    all.push(one.to_owned());
                }
            }
            all
        }
    })
}
