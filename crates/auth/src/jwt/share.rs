//! What an account's token says it exports and imports.
//!
//! Reference: jwt v2 exports.go, imports.go.

use super::token::is_zero;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

fn is_false(on: &bool) -> bool {
    !*on
}

/// Public keys whose tokens do not count, with the Unix second up to which issued; `*` for all.
pub type Revocations = BTreeMap<String, i64>;

/// Whether a token for `key` that was issued at `issued_at` is revoked.
pub fn is_revoked(revocations: &Revocations, key: &str, issued_at: i64) -> bool {
    [key, "*"].into_iter().any(|key| revocations.get(key).is_some_and(|until| *until >= issued_at))
}

/// Something an account offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Export {
    /// What people call it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The subjects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// `stream` or `service`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Whether an import needs an activation token.
    #[serde(skip_serializing_if = "is_false")]
    pub token_req: bool,
    /// Importers whose activations do not count any more.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: Revocations,
    /// `Singleton`, `Stream`, `Chunked`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub response_type: String,
    /// How long an answer may take, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub response_threshold: i64,
    /// Where samples of its latency go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_latency: Option<Latency>,
    /// The token (from one) that must be the importer's key.
    #[serde(skip_serializing_if = "is_none")]
    pub account_token_position: u64,
    /// Whether it is told to everybody.
    #[serde(skip_serializing_if = "is_false")]
    pub advertise: bool,
    /// Whether messages may be traced into the account.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_trace: bool,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub info_url: String,
}

fn is_none(n: &u64) -> bool {
    *n == 0
}

/// Where samples of a service's latency go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// How many of a hundred requests; 0 for those whose headers ask for it.
    #[serde(serialize_with = "write_sampling", deserialize_with = "read_sampling")]
    pub sampling: i64,
    /// The subject.
    pub results: String,
}

fn write_sampling<S: Serializer>(sampling: &i64, to: S) -> Result<S::Ok, S::Error> {
    if *sampling == 0 { to.serialize_str("headers") } else { to.serialize_i64(*sampling) }
}

fn read_sampling<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Percent(i64),
        Word(String),
    }
    match Either::deserialize(from)? {
        Either::Percent(n) => Ok(n),
        Either::Word(word) if word.eq_ignore_ascii_case("headers") => Ok(0),
        Either::Word(_) => Err(serde::de::Error::custom("unknown sampling rate")),
    }
}

/// Something an account uses of another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Import {
    /// What people call it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The subject its publisher uses: the exporter's of a stream, the importer's of a service
    /// with `to`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The exporter.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The activation, where the export needs one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// The subject its subscriber uses; the older way to say it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The subject in the importer's account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
    /// `stream` or `service`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Whether the exporter learns who asks.
    #[serde(skip_serializing_if = "is_false")]
    pub share: bool,
    /// Whether messages may be traced into this account.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_trace: bool,
}
