//! Limits that tokens set. Negative numbers mean none, zero means nothing at all, unless said
//! otherwise.
//!
//! Reference: jwt v2 account_claims.go, types.go.

use super::read;
use super::token::is_zero;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// No limit.
pub const NO_LIMIT: i64 = -1;

/// A limit as it counts: none, or that many; less than nothing is nothing.
pub fn limit(said: i64) -> Option<u64> {
    (said != NO_LIMIT).then(|| u64::try_from(said).unwrap_or(0))
}

fn is_false(on: &bool) -> bool {
    !*on
}

/// What an account may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorLimits {
    /// Subscriptions per connection.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes; nobody counts them.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of a message.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// Imports it may have.
    #[serde(skip_serializing_if = "is_zero")]
    pub imports: i64,
    /// Exports it may have.
    #[serde(skip_serializing_if = "is_zero")]
    pub exports: i64,
    /// Whether exports may have wildcards.
    #[serde(rename = "wildcards", skip_serializing_if = "is_false")]
    pub wildcard_exports: bool,
    /// Whether its users must sign a nonce.
    #[serde(skip_serializing_if = "is_false")]
    pub disallow_bearer: bool,
    /// Clients connected at a time.
    #[serde(skip_serializing_if = "is_zero")]
    pub conn: i64,
    /// Leaf nodes connected at a time.
    #[serde(skip_serializing_if = "is_zero")]
    pub leaf: i64,
    /// What it may store, where there are no tiers.
    #[serde(flatten)]
    pub jetstream: JetStreamLimits,
    /// What it may store, by tier (`R1`, `R3`).
    #[serde(rename = "tiered_limits", skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<String, JetStreamLimits>,
}

impl OperatorLimits {
    /// No limits, and no JetStream.
    pub fn unlimited() -> Self {
        Self {
            subs: NO_LIMIT,
            data: NO_LIMIT,
            payload: NO_LIMIT,
            imports: NO_LIMIT,
            exports: NO_LIMIT,
            wildcard_exports: true,
            conn: NO_LIMIT,
            leaf: NO_LIMIT,
            ..Self::default()
        }
    }

    /// Whether the account has JetStream, in any tier.
    pub fn has_jetstream(&self) -> bool {
        let stores = |limits: &JetStreamLimits| limits.mem_storage != 0 || limits.disk_storage != 0;
        if self.tiers.is_empty() {
            stores(&self.jetstream)
        } else {
            self.tiers.values().any(stores)
        }
    }
}

/// What an account may store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JetStreamLimits {
    /// Bytes in memory.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_storage: i64,
    /// Bytes on disk.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_storage: i64,
    /// Streams.
    #[serde(skip_serializing_if = "is_zero")]
    pub streams: i64,
    /// Consumers.
    #[serde(skip_serializing_if = "is_zero")]
    pub consumer: i64,
    /// Messages a consumer may await acknowledgements for; zero: no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
    /// Bytes of a stream in memory; zero: no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_max_stream_bytes: i64,
    /// Bytes of a stream on disk; zero: no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_max_stream_bytes: i64,
    /// Whether streams must say how many bytes they may have.
    #[serde(skip_serializing_if = "is_false")]
    pub max_bytes_required: bool,
}

/// What a user may do, and when and where from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserLimits {
    /// Subjects it may publish to.
    #[serde(rename = "pub")]
    pub publish: Subjects,
    /// Subjects it may subscribe to.
    #[serde(rename = "sub")]
    pub subscribe: Subjects,
    /// Whether it may answer requests on any reply subject.
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<Responses>,
    /// Networks it may come from; empty for any.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "read::networks")]
    pub src: Vec<String>,
    /// When it may be connected; empty for always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<TimeRange>,
    /// The zone of these times; the server's if empty.
    #[serde(rename = "times_location", skip_serializing_if = "String::is_empty")]
    pub locale: String,
    /// Subscriptions.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes; nobody counts them.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of a message.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// Whether it need not sign a nonce.
    #[serde(skip_serializing_if = "is_false")]
    pub bearer_token: bool,
    /// Whether it must come through a trusted proxy.
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_required: bool,
    /// The ways it may come in; empty for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_connection_types: Vec<String>,
}

impl UserLimits {
    /// Everything, everywhere, always.
    pub fn unlimited() -> Self {
        Self { subs: NO_LIMIT, data: NO_LIMIT, payload: NO_LIMIT, ..Self::default() }
    }

    /// The subjects, as any user's permissions are written; `None` if none are.
    pub fn permissions(&self) -> Option<crate::PermissionsConfig> {
        Permissions {
            publish: self.publish.clone(),
            subscribe: self.subscribe.clone(),
            responses: self.responses,
        }
        .config()
    }
}

/// Subjects, and answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Permissions {
    /// Subjects that may be published to.
    #[serde(rename = "pub")]
    pub publish: Subjects,
    /// Subjects that may be subscribed to.
    #[serde(rename = "sub")]
    pub subscribe: Subjects,
    /// Whether requests may be answered on any reply subject.
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<Responses>,
}

impl Permissions {
    /// As any user's permissions are written; `None` if nothing is said.
    pub fn config(&self) -> Option<crate::PermissionsConfig> {
        let list = |from: &Subjects| crate::SubjectPermission {
            allow: from.allow.clone(),
            deny: from.deny.clone(),
        };
        let config = crate::PermissionsConfig {
            publish: list(&self.publish),
            subscribe: list(&self.subscribe),
            responses: self.responses.map(|r| crate::ResponsePermission::new(r.max, r.ttl)),
        };
        (config != crate::PermissionsConfig::default()).then_some(config)
    }
}

/// Subjects that are allowed and denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subjects {
    /// Empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Goes before `allow`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// How many answers a request may have, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Responses {
    /// Messages.
    pub max: i64,
    /// Nanoseconds.
    pub ttl: i64,
}

/// A part of the day, `15:04:05`; one that ends before it starts goes over midnight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeRange {
    /// When it begins.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub start: String,
    /// When it ends.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub end: String,
}
