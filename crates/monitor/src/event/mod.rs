//! What the system account is told: events of clients and accounts, the server's own statistics.
//!
//! Not here: subjects and when something is sent (`node::system`).
//! Laws: pure; every message names the server first or after the event's own head, in the
//!       reference's order of fields.
//! Reference: server/events.go.

mod account;
mod client;
mod ocsp;
mod server;
mod statsz;
mod user;

pub use account::account_connections;
pub use client::{ClientFacts, Disconnected, connected, disconnected};
pub use ocsp::{CertificateFacts, ocsp_link_invalid, ocsp_peer_rejected};
pub use server::{ServerInfo, id_json, server_json};
pub use statsz::{StatszFacts, statsz};
pub use user::{UserFacts, UserPermissions, UserResponses, UserSubjects, user_info};

use serde::Serialize;
use stdx::time::Timestamp;

use crate::json;

/// What every event begins with.
#[derive(Clone, Debug)]
pub struct Head {
    /// 22 characters that no other event has.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
}

#[derive(Serialize)]
struct Typed<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(serialize_with = "json::time")]
    timestamp: Timestamp,
    server: &'a serde_json::value::RawValue,
    #[serde(flatten)]
    rest: T,
}

/// An event as JSON; empty if `server` is no JSON.
fn typed<T: Serialize>(kind: &'static str, head: &Head, server: &str, rest: T) -> Vec<u8> {
    let Ok(server) = serde_json::from_str(server) else { return Vec::new() };
    json::compact(&Typed { kind, id: &head.id, timestamp: head.at, server, rest })
}
