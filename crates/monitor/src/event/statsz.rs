//! What a server did so far, as it tells all others every few seconds.
//!
//! Reference: events.go `ServerStatsMsg`, `ServerStats`, sendStatsz.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use stdx::time::Timestamp;

use crate::documents::account::MsgBytes;
use crate::documents::jsz::{JetStreamConfig, JetStreamFacts, JszOptions, Stats};
use crate::documents::varz::KindCounts;
use crate::json::{self, is_empty};
use crate::source::Source;

/// What the system account's machinery knows itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatszFacts {
    /// Accounts that are in use.
    pub active_accounts: u64,
    /// Servers heard of lately, this one included.
    pub active_servers: u64,
}

#[derive(Serialize)]
struct JetStream {
    config: JetStreamConfig,
    stats: Stats,
    limits: BTreeMap<String, i64>,
}

impl From<JetStreamFacts> for JetStream {
    fn from(facts: JetStreamFacts) -> Self {
        // Where it stores is nobody else's business.
        let config = JetStreamConfig { store_dir: String::new(), ..facts.config.clone() };
        Self { config, stats: facts.stats(), limits: facts.limits }
    }
}

#[derive(Serialize)]
struct Statsz {
    #[serde(serialize_with = "json::time")]
    start: Timestamp,
    mem: u64,
    cores: u64,
    cpu: f64,
    connections: u64,
    total_connections: u64,
    active_accounts: u64,
    subscriptions: u64,
    sent: MsgBytes,
    sent_to_clients: MsgBytes,
    received: MsgBytes,
    received_from_clients: MsgBytes,
    slow_consumers: u64,
    #[serde(skip_serializing_if = "is_empty")]
    slow_consumer_stats: KindCounts,
    #[serde(skip_serializing_if = "is_empty")]
    stale_connections: u64,
    #[serde(skip_serializing_if = "is_empty")]
    stale_connection_stats: KindCounts,
    #[serde(skip_serializing_if = "is_empty")]
    stalled_clients: u64,
    #[serde(skip_serializing_if = "is_empty")]
    active_servers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    jetstream: Option<JetStream>,
    #[serde(skip_serializing_if = "is_empty")]
    gomemlimit: u64,
    #[serde(skip_serializing_if = "is_empty")]
    gomaxprocs: u64,
}

#[derive(Serialize)]
struct Message<'a> {
    server: &'a RawValue,
    statsz: Statsz,
}

/// The message; empty if `server` is no JSON.
pub fn statsz(server: &str, facts: StatszFacts, source: &dyn Source) -> Vec<u8> {
    let Ok(server) = serde_json::from_str(server) else { return Vec::new() };
    let varz = source.varz();
    let process = source.process();
    let count = |msgs, bytes| MsgBytes { msgs, bytes };
    let statsz = Statsz {
        start: varz.start,
        mem: process.mem,
        cores: process.cores,
        cpu: process.cpu,
        connections: varz.connections,
        total_connections: varz.total_connections,
        active_accounts: facts.active_accounts,
        subscriptions: varz.subscriptions,
        sent: count(varz.out_msgs, varz.out_bytes),
        sent_to_clients: count(varz.out_client_msgs, varz.out_client_bytes),
        received: count(varz.in_msgs, varz.in_bytes),
        received_from_clients: count(varz.in_client_msgs, varz.in_client_bytes),
        slow_consumers: varz.slow_consumers,
        slow_consumer_stats: varz.slow_consumer_stats,
        stale_connections: varz.stale_connections,
        stale_connection_stats: varz.stale_connection_stats,
        stalled_clients: varz.stalled_clients,
        active_servers: facts.active_servers,
        jetstream: source.jetstream(&JszOptions::default()).map(JetStream::from),
        gomemlimit: process.gomemlimit,
        gomaxprocs: process.gomaxprocs,
    };
    json::compact(&Message { server, statsz })
}
