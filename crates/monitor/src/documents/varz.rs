//! `/varz`: what this server is, how it is configured, what it has done.
//!
//! Laws: field order and "omit if empty" are contract; an object of a feature that is off is `{}`.
//! Reference: monitor.go `Varz`, `ClusterOptsVarz` and its neighbours, `HandleVarz`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use stdx::go_text;
use stdx::time::{Now, Timestamp};

use crate::json::{self, is_empty};
use crate::source::Source;

/// The document, and the facts it is made of. A source leaves the fields marked *derived* alone.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Varz {
    /// The server's id.
    pub server_id: String,
    /// The configured name, or the id.
    pub server_name: String,
    /// The version clients see.
    pub version: String,
    /// The protocol level of INFO.
    pub proto: i64,
    /// The commit this build was made from.
    #[serde(skip_serializing_if = "is_empty")]
    pub git_commit: String,
    /// What the server was built with; dashboards show it as text.
    pub go: String,
    /// The client listener's host.
    pub host: String,
    /// The client listener's port.
    pub port: i64,
    /// Whether clients must authenticate.
    #[serde(skip_serializing_if = "is_empty")]
    pub auth_required: bool,
    /// Whether clients must use TLS.
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_required: bool,
    /// Whether client certificates are verified.
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_verify: bool,
    /// Whether peers' certificates are checked with OCSP.
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_ocsp_peer_verify: bool,
    /// The advertised address, if it differs from the host.
    #[serde(skip_serializing_if = "is_empty")]
    pub ip: String,
    /// URLs clients may connect to.
    #[serde(skip_serializing_if = "is_empty")]
    pub connect_urls: Vec<String>,
    /// URLs WebSocket clients may connect to.
    #[serde(skip_serializing_if = "is_empty")]
    pub ws_connect_urls: Vec<String>,
    /// Clients at a time; -1 or 0 as configured.
    pub max_connections: i64,
    /// Subscriptions per connection; 0 for no limit.
    #[serde(skip_serializing_if = "is_empty")]
    pub max_subscriptions: i64,
    /// Time between pings.
    #[serde(serialize_with = "json::nanos")]
    pub ping_interval: Duration,
    /// Unanswered pings before a connection is stale.
    pub ping_max: i64,
    /// The monitoring listener's host.
    pub http_host: String,
    /// Its configured port; 0 when off.
    pub http_port: i64,
    /// The configured prefix of its paths.
    pub http_base_path: String,
    /// The configured port of the HTTPS listener; 0 when off.
    pub https_port: i64,
    /// Seconds a client has to authenticate.
    pub auth_timeout: f64,
    /// Bytes of a protocol line.
    pub max_control_line: i64,
    /// Bytes of a message.
    pub max_payload: i64,
    /// Bytes a slow consumer may have queued.
    pub max_pending: i64,
    /// Routes.
    pub cluster: ClusterVarz,
    /// Gateways.
    pub gateway: GatewayVarz,
    /// Leafnodes.
    pub leaf: LeafVarz,
    /// MQTT.
    pub mqtt: MqttVarz,
    /// WebSocket.
    pub websocket: WebsocketVarz,
    /// JetStream: `{}` when off.
    pub jetstream: serde_json::Map<String, serde_json::Value>,
    /// Seconds a TLS handshake may take.
    pub tls_timeout: f64,
    /// How long a write to a client may block.
    #[serde(serialize_with = "json::nanos")]
    pub write_deadline: Duration,
    /// What happens then: empty, `close` or `retry`.
    #[serde(skip_serializing_if = "is_empty")]
    pub write_timeout: String,
    /// When the server started.
    #[serde(serialize_with = "json::time")]
    pub start: Timestamp,
    /// *Derived.* When the document was made.
    #[serde(serialize_with = "json::time")]
    pub now: Timestamp,
    /// *Derived.* Time since start.
    pub uptime: String,
    /// *Derived.* The process.
    #[serde(flatten)]
    pub process: ProcessFacts,
    /// Open clients.
    pub connections: u64,
    /// Clients accepted since start.
    pub total_connections: u64,
    /// Route connections.
    pub routes: u64,
    /// Servers reachable by routes.
    pub remotes: u64,
    /// Leafnode connections.
    pub leafnodes: u64,
    /// Messages from anyone.
    pub in_msgs: u64,
    /// Bytes from anyone.
    pub in_bytes: u64,
    /// Messages from clients.
    pub in_client_msgs: u64,
    /// Bytes from clients.
    pub in_client_bytes: u64,
    /// Messages to anyone.
    pub out_msgs: u64,
    /// Bytes to anyone.
    pub out_bytes: u64,
    /// Messages to clients.
    pub out_client_msgs: u64,
    /// Bytes to clients.
    pub out_client_bytes: u64,
    /// Connections closed for being too slow.
    pub slow_consumers: u64,
    /// Connections closed for not answering pings.
    pub stale_connections: u64,
    /// Times a publisher was held back.
    pub stalled_clients: u64,
    /// Subscriptions of all accounts.
    pub subscriptions: u64,
    /// *Derived.* HTTP requests per path.
    pub http_req_stats: BTreeMap<&'static str, u64>,
    /// When the configuration was last read.
    #[serde(serialize_with = "json::time")]
    pub config_load_time: Timestamp,
    /// The digest of the configuration file; empty without one.
    pub config_digest: String,
    /// `server_tags`.
    #[serde(skip_serializing_if = "is_empty")]
    pub tags: Vec<String>,
    /// `server_metadata`.
    #[serde(skip_serializing_if = "is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Every known feature flag and its value.
    #[serde(skip_serializing_if = "is_empty")]
    pub feature_flags: BTreeMap<String, bool>,
    /// Operator tokens as configured.
    #[serde(skip_serializing_if = "is_empty")]
    pub trusted_operators_jwt: Vec<String>,
    /// Those tokens decoded.
    #[serde(skip_serializing_if = "is_empty")]
    pub trusted_operators_claim: Vec<serde_json::Value>,
    /// The system account's name.
    #[serde(skip_serializing_if = "is_empty")]
    pub system_account: String,
    /// Connections refused for asking for an account that is pinned elsewhere.
    #[serde(skip_serializing_if = "is_empty")]
    pub pinned_account_fails: u64,
    /// The OCSP response cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp_peer_cache: Option<OcspCacheFacts>,
    /// Slow consumers by kind.
    pub slow_consumer_stats: KindCounts,
    /// Stale connections by kind.
    pub stale_connection_stats: KindCounts,
    /// Contention for the disk.
    pub disk_io_wait_stats: DiskWaits,
    /// Trusted proxies, if configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ProxiesVarz>,
    /// When the client listener's certificate ends.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::time_or_zero")]
    pub tls_cert_not_after: Option<Timestamp>,
}

/// The process, as the host measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ProcessFacts {
    /// Resident bytes.
    pub mem: u64,
    /// Cores of the machine.
    pub cores: u64,
    /// Threads that may run at a time (Compat CLI-017: the Go name is part of the document).
    pub gomaxprocs: u64,
    /// The memory limit in bytes; 0 for none.
    #[serde(skip_serializing_if = "is_empty")]
    pub gomemlimit: u64,
    /// Percent of one core, over the last second.
    pub cpu: f64,
}

/// A count per kind of connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the kinds speak for themselves")]
pub struct KindCounts {
    pub clients: u64,
    pub routes: u64,
    pub gateways: u64,
    pub leafs: u64,
}

/// Waits for the disk: none until there is storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskWaits {
    /// Waiting at this moment.
    pub waiters: u64,
    /// Waited since start.
    pub waits: u64,
    /// Nanoseconds waited since start.
    pub wait_time: u64,
    /// Nanoseconds of the longest wait.
    pub max_wait_time: u64,
}

/// `cluster` of `/varz`; `{}` without routes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is the configuration key of the same name")]
pub struct ClusterVarz {
    #[serde(skip_serializing_if = "is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub addr: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub cluster_port: i64,
    #[serde(skip_serializing_if = "is_empty")]
    pub auth_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_verify: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub pool_size: i64,
    #[serde(skip_serializing_if = "is_empty", serialize_with = "json::nanos")]
    pub write_deadline: Duration,
    #[serde(skip_serializing_if = "is_empty")]
    pub write_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::time_or_zero")]
    pub tls_cert_not_after: Option<Timestamp>,
}

/// `gateway` of `/varz`; `{}` without gateways.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is the configuration key of the same name")]
pub struct GatewayVarz {
    #[serde(skip_serializing_if = "is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub port: i64,
    #[serde(skip_serializing_if = "is_empty")]
    pub auth_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_verify: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub advertise: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub connect_retries: i64,
    #[serde(skip_serializing_if = "is_empty")]
    pub gateways: Vec<RemoteGatewayVarz>,
    #[serde(skip_serializing_if = "is_empty")]
    pub reject_unknown: bool,
    #[serde(skip_serializing_if = "is_empty", serialize_with = "json::nanos")]
    pub write_deadline: Duration,
    #[serde(skip_serializing_if = "is_empty")]
    pub write_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::time_or_zero")]
    pub tls_cert_not_after: Option<Timestamp>,
}

/// A configured remote gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is the configuration key of the same name")]
pub struct RemoteGatewayVarz {
    pub name: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub urls: Vec<String>,
}

/// `leaf` of `/varz`; `{}` without leafnodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is the configuration key of the same name")]
pub struct LeafVarz {
    #[serde(skip_serializing_if = "is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub port: i64,
    #[serde(skip_serializing_if = "is_empty")]
    pub auth_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_verify: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub remotes: Vec<LeafRemoteVarz>,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_ocsp_peer_verify: bool,
    #[serde(skip_serializing_if = "is_empty", serialize_with = "json::nanos")]
    pub write_deadline: Duration,
    #[serde(skip_serializing_if = "is_empty")]
    pub write_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::time_or_zero")]
    pub tls_cert_not_after: Option<Timestamp>,
}

/// A configured leafnode remote.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is the configuration key of the same name")]
pub struct LeafRemoteVarz {
    #[serde(skip_serializing_if = "is_empty")]
    pub local_account: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<LeafDeny>,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_ocsp_peer_verify: bool,
}

/// Subjects a leafnode remote may not carry.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is the configuration key of the same name")]
pub struct LeafDeny {
    #[serde(skip_serializing_if = "is_empty")]
    pub exports: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub imports: Vec<String>,
}

/// `mqtt` of `/varz`; `{}` when off.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is the configuration key of the same name")]
pub struct MqttVarz {
    #[serde(skip_serializing_if = "is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub port: i64,
    #[serde(skip_serializing_if = "is_empty")]
    pub no_auth_user: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub auth_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_map: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_pinned_certs: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub js_domain: String,
    #[serde(skip_serializing_if = "is_empty", serialize_with = "json::nanos")]
    pub ack_wait: Duration,
    #[serde(skip_serializing_if = "is_empty")]
    pub max_ack_pending: u16,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_ocsp_peer_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::time_or_zero")]
    pub tls_cert_not_after: Option<Timestamp>,
}

/// `websocket` of `/varz`; `{}` when off.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is the configuration key of the same name")]
pub struct WebsocketVarz {
    #[serde(skip_serializing_if = "is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub port: i64,
    #[serde(skip_serializing_if = "is_empty")]
    pub advertise: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub no_auth_user: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub jwt_cookie: String,
    #[serde(skip_serializing_if = "is_empty", serialize_with = "json::nanos")]
    pub handshake_timeout: Duration,
    #[serde(skip_serializing_if = "is_empty")]
    pub auth_timeout: f64,
    #[serde(skip_serializing_if = "is_empty")]
    pub no_tls: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_map: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_pinned_certs: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub same_origin: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub compression: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub tls_ocsp_peer_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::time_or_zero")]
    pub tls_cert_not_after: Option<Timestamp>,
}

/// `proxies` of `/varz`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProxiesVarz {
    /// The proxies whose signature is accepted.
    #[serde(skip_serializing_if = "is_empty")]
    pub trusted: Vec<ProxyKey>,
}

/// A proxy's public key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProxyKey {
    /// The key, `S…` or `U…`.
    pub key: String,
}

/// Makes the document.
pub(crate) fn varz(source: &dyn Source, now: Now) -> Varz {
    let mut document = source.varz();
    let up = now.wall.0.saturating_sub(document.start.0);
    document.now = now.wall;
    document.uptime = go_text::uptime(Duration::from_nanos(u64::try_from(up).unwrap_or(0)));
    document.process = source.process();
    document.http_req_stats = source.request_counts().snapshot();
    document
}

/// Answers about peers' certificates that are remembered.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OcspCacheFacts {
    #[serde(rename = "cache_type")]
    pub kind: &'static str,
    #[serde(rename = "cache_hits", skip_serializing_if = "is_empty")]
    pub hits: u64,
    #[serde(rename = "cache_misses", skip_serializing_if = "is_empty")]
    pub misses: u64,
    #[serde(rename = "cached_responses", skip_serializing_if = "is_empty")]
    pub responses: u64,
    #[serde(rename = "cached_revoked_responses", skip_serializing_if = "is_empty")]
    pub revoked: u64,
    #[serde(rename = "cached_good_responses", skip_serializing_if = "is_empty")]
    pub good: u64,
    #[serde(rename = "cached_unknown_responses", skip_serializing_if = "is_empty")]
    pub unknown: u64,
}
