//! The server as its messages name it.
//!
//! Reference: events.go `ServerInfo`, `ServerCapability`, `ServerID`.

use std::collections::BTreeMap;

use serde::Serialize;
use stdx::time::Timestamp;

use crate::json::{self, is_empty};

/// JetStream is on; streams are saved in binary; their groups may speak in their own account.
const JETSTREAM: u64 = 0b111;

/// Who sends a message.
#[derive(Clone, Debug)]
pub struct ServerInfo<'a> {
    /// The server's name.
    pub name: &'a str,
    /// The client listener's host.
    pub host: &'a str,
    /// The server's id.
    pub id: &'a str,
    /// Its cluster; empty without one.
    pub cluster: &'a str,
    /// Its JetStream domain; empty without one.
    pub domain: &'a str,
    /// The version clients see.
    pub version: &'a str,
    /// Its tags.
    pub tags: &'a [String],
    /// Its metadata.
    pub metadata: &'a BTreeMap<String, String>,
    /// Its feature flags, those by default included.
    pub feature_flags: BTreeMap<String, bool>,
    /// Whether JetStream is on.
    pub jetstream: bool,
    /// The message's number, rising.
    pub seq: u64,
    /// When it was sent.
    pub time: Timestamp,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    host: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "is_empty")]
    cluster: &'a str,
    #[serde(skip_serializing_if = "is_empty")]
    domain: &'a str,
    ver: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    feature_flags: &'a BTreeMap<String, bool>,
    jetstream: bool,
    flags: u64,
    seq: u64,
    #[serde(serialize_with = "json::time")]
    time: Timestamp,
}

/// The `server` object.
pub fn server_json(info: &ServerInfo<'_>) -> String {
    let bytes = json::compact(&Line {
        name: info.name,
        host: info.host,
        id: info.id,
        cluster: info.cluster,
        domain: info.domain,
        ver: info.version,
        tags: info.tags,
        metadata: info.metadata,
        feature_flags: &info.feature_flags,
        jetstream: info.jetstream,
        flags: if info.jetstream { JETSTREAM } else { 0 },
        seq: info.seq,
        time: info.time,
    });
    String::from_utf8(bytes).unwrap_or_default()
}

#[derive(Serialize)]
struct Identity<'a> {
    name: &'a str,
    host: &'a str,
    id: &'a str,
}

/// The answer to `IDZ`, which stands alone.
pub fn id_json(name: &str, host: &str, id: &str) -> Vec<u8> {
    json::compact(&Identity { name, host, id })
}
