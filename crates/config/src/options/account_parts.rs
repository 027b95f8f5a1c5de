//! What an account consists of, as plain data.
//!
//! Not here: reading accounts (`accounts`), reading and checking imports and exports
//! (`account_links`).

use super::permissions::Permissions;
use crate::lang::unit::Nanos;

/// An account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Name; `$G` for what top-level `mappings` say.
    pub name: String,
    /// `nkey`.
    pub nkey: Option<String>,
    /// Streams imported.
    pub stream_imports: Vec<StreamImport>,
    /// Services imported.
    pub service_imports: Vec<ServiceImport>,
    /// Streams exported.
    pub stream_exports: Vec<StreamExport>,
    /// Services exported.
    pub service_exports: Vec<ServiceExport>,
    /// `mappings`.
    pub mappings: Vec<Mapping>,
    /// `limits`.
    pub limits: AccountLimits,
    /// `default_permissions`, already given to users without their own.
    pub default_permissions: Option<Permissions>,
    /// `msg_trace`.
    pub message_trace: Option<MessageTrace>,
    /// `jetstream`; `None` is off.
    pub jetstream: Option<AccountJetStream>,
}

impl Account {
    /// An account with nothing in it.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// `limits` of an account; -1 or unset is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// `max_connections`.
    pub max_connections: Option<i64>,
    /// `max_subscriptions`.
    pub max_subscriptions: Option<i64>,
    /// `max_payload`, bytes.
    pub max_payload: Option<i64>,
    /// `max_leafnodes`.
    pub max_leafnodes: Option<i64>,
}

/// `msg_trace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageTrace {
    /// Subject that traced messages are reported to.
    pub destination: String,
    /// Percentage of messages, 1 to 100.
    pub sampling: u8,
}

/// A mapping of subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Subject as published.
    pub source: String,
    /// Where it goes instead.
    pub destinations: Vec<MapDestination>,
}

/// One destination of a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapDestination {
    /// Subject or transform.
    pub subject: String,
    /// Percentage of messages, 0 to 100.
    pub weight: u8,
    /// Only in this cluster.
    pub cluster: Option<String>,
}

/// A stream offered to other accounts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamExport {
    /// Subject.
    pub subject: String,
    /// Accounts that may import it; `None` is everybody.
    pub accounts: Option<Vec<String>>,
    /// Position of the importing account's name in the subject, from 1; 0 is none.
    pub account_token_position: u64,
}

/// How many answers a service sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseType {
    /// One.
    #[default]
    Singleton,
    /// Many, until the last.
    Stream,
    /// One in several messages.
    Chunked,
}

/// How often latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Percentage of requests, 1 to 100.
    Percent(u8),
    /// Requests whose headers ask for it.
    Headers,
}

/// `latency` of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Subject measurements are published to.
    pub subject: String,
    /// How often.
    pub sampling: Sampling,
}

/// A service offered to other accounts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceExport {
    /// Subject.
    pub subject: String,
    /// See `StreamExport::accounts`.
    pub accounts: Option<Vec<String>>,
    /// See `StreamExport::account_token_position`.
    pub account_token_position: u64,
    /// `response_type`.
    pub response_type: ResponseType,
    /// `response_threshold`.
    pub response_threshold: Option<Nanos>,
    /// `latency`.
    pub latency: Option<Latency>,
    /// `allow_trace`.
    pub allow_trace: bool,
}

/// A stream taken from another account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamImport {
    /// The other account.
    pub account: String,
    /// Subject there.
    pub subject: String,
    /// Subject here.
    pub to: Option<String>,
    /// Put in front of the subject here.
    pub prefix: Option<String>,
    /// `allow_trace`.
    pub allow_trace: bool,
}

/// A service taken from another account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceImport {
    /// The other account.
    pub account: String,
    /// Subject there.
    pub subject: String,
    /// Subject here.
    pub to: String,
    /// Whether the service learns who asked.
    pub share: bool,
}

/// Where the account's replicated groups talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClusterTraffic {
    /// In the system account.
    #[default]
    System,
    /// In the account itself.
    Owner,
}

/// `jetstream` of an account; -1 is unlimited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountJetStream {
    /// Bytes of memory.
    pub max_memory: i64,
    /// Bytes of disk.
    pub max_store: i64,
    /// Streams.
    pub max_streams: i64,
    /// Consumers.
    pub max_consumers: i64,
    /// Acknowledgements outstanding per consumer.
    pub max_ack_pending: i64,
    /// Bytes of one stream in memory.
    pub memory_max_stream_bytes: i64,
    /// Bytes of one stream on disk.
    pub store_max_stream_bytes: i64,
    /// Whether streams must bound their size.
    pub max_bytes_required: bool,
    /// `cluster_traffic`.
    pub cluster_traffic: ClusterTraffic,
}

impl Default for AccountJetStream {
    fn default() -> Self {
        Self {
            max_memory: -1,
            max_store: -1,
            max_streams: -1,
            max_consumers: -1,
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            store_max_stream_bytes: -1,
            max_bytes_required: false,
            cluster_traffic: ClusterTraffic::System,
        }
    }
}
