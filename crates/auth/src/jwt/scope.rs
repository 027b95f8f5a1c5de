//! Keys that sign for an account, some with a template for the users they sign.
//!
//! Reference: jwt v2 signingkeys.go.

use super::limits::{NO_LIMIT, UserLimits};
use serde::de::Error;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// The signing keys of an account, with their scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SigningKeys(pub BTreeMap<String, Option<Scope>>);

/// What users signed by a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// `user_scope`.
    pub kind: String,
    /// The key.
    pub key: String,
    /// What people call it.
    pub role: String,
    /// The limits its users get.
    pub template: UserLimits,
    /// For people.
    pub description: String,
}

const USER_SCOPE: &str = "user_scope";

impl Scope {
    /// A scope for `key` whose users get `template`.
    pub fn new(key: impl Into<String>, template: UserLimits) -> Self {
        Self { kind: USER_SCOPE.to_owned(), key: key.into(), template, ..Self::default() }
    }
}

impl SigningKeys {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for SigningKeys {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for (key, scope) in &self.0 {
            match scope {
                Some(scope) => list.serialize_element(scope)?,
                None => list.serialize_element(key)?,
            }
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for SigningKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut keys = BTreeMap::new();
        for entry in Vec::<Value>::deserialize(from)? {
            match entry {
                Value::String(key) => {
                    keys.insert(key, None);
                }
                Value::Object(mut scope) => {
                    if scope.get("kind").and_then(Value::as_str) != Some(USER_SCOPE) {
                        return Err(D::Error::custom("unknown signing key scope"));
                    }
                    unlimited_unless_said(scope.entry("template"));
                    let scope: Scope =
                        serde_json::from_value(Value::Object(scope)).map_err(D::Error::custom)?;
                    keys.insert(scope.key.clone(), Some(scope));
                }
                // Compat: the reference passes over what is neither.
                _ => {}
            }
        }
        Ok(Self(keys))
    }
}

/// A template that does not mention a limit sets none.
fn unlimited_unless_said(template: serde_json::map::Entry<'_>) {
    let template = template.or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(template) = template.as_object_mut() {
        for limit in ["subs", "data", "payload"] {
            template.entry(limit).or_insert_with(|| NO_LIMIT.into());
        }
    }
}
