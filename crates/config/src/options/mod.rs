//! `Options`: everything a configuration can say, as plain data.
//!
//! Not here: defaults (`defaults`), rules across sections (`validate`), flags (`flags`).
//! Laws: a field that is `None` (or empty, or false) was not set; nothing is defaulted while
//!       reading, so that "set" and "default" can be told apart.
//! Reference: server/opts.go Options, processConfigFile.   Parity: CONF-013 to CONF-024, CONF-100 ff.

mod account_graph;
mod account_links;
mod account_parts;
mod accounts;
mod authorization;
mod client;
mod cluster;
mod compression;
mod gateway;
mod jetstream;
mod keys;
mod leaf_remote;
mod leafnode;
mod limits;
mod listen;
mod load;
mod logging;
mod monitoring;
mod mqtt;
pub mod nkey;
mod ocsp;
mod operator;
mod permissions;
mod process;
mod proxies;
mod reader;
mod subjects;
mod system;
mod tls;
mod tls_files;
mod tls_names;
mod tls_values;
pub mod url;
mod websocket;

use std::collections::BTreeMap;

pub use account_parts::{
    Account, AccountJetStream, AccountLimits, ClusterTraffic, Latency, MapDestination, Mapping,
    MessageTrace, ResponseType, Sampling, ServiceExport, ServiceImport, StreamExport, StreamImport,
};
pub use authorization::{AuthCallout, Authorization, NkeyUser, User};
pub use client::ClientOptions;
pub use cluster::{ClusterOptions, RoutePermissions};
pub use compression::{Compression, CompressionError, CompressionMode};
pub use gateway::{GatewayOptions, RemoteGateway};
pub use jetstream::{
    JetStreamBatchLimits, JetStreamLimits, JetStreamOptions, JetStreamTpm, StoreCipher,
};
pub use keys::KeyIndex;
pub use leaf_remote::{LeafProxy, RemoteLeaf};
pub use leafnode::{LeafAuthorization, LeafNodeOptions, LeafUser};
pub use limits::{LimitOptions, WriteTimeout};
pub use listen::{Listen, host_and_number, host_and_port};
pub use load::{LoadError, Loaded, TOP_LEVEL_KEYS, load, load_text, read};
pub use logging::LoggingOptions;
pub use monitoring::MonitoringOptions;
pub use mqtt::MqttOptions;
pub use ocsp::{OcspCache, OcspMode, OcspOptions};
pub use operator::{OperatorOptions, Resolver};
pub use permissions::{Permissions, ResponsePermission, SubjectPermission};
pub use process::ProcessOptions;
pub use system::SystemOptions;
pub use tls::{CertificatePair, HandshakeFirst, OcspPeer, TlsOptions, TlsVersion};
pub use tls_names::{CURVES, INSECURE_CIPHER_SUITES, SECURE_CIPHER_SUITES};
pub use websocket::{SimpleAuth, WebsocketOptions};

pub(crate) use listen::split_host_port;
pub(crate) use reader::quote;
pub(crate) use subjects::is_valid as is_valid_subject;
pub(crate) use tls_files::check as check_tls_files;

/// The account everybody is in who is in no other.
pub const GLOBAL_ACCOUNT: &str = "$G";
/// The account of the server's own events, unless another is named.
pub const SYSTEM_ACCOUNT: &str = "$SYS";

/// Everything a configuration file and the command line can say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The file this came from, as named; empty if there is none.
    pub config_file: String,
    /// `sha256:…` of the configuration (CONF-017); empty if there is none.
    pub config_digest: String,
    /// `server_name`.
    pub server_name: Option<String>,
    /// `server_tags`, lower-cased, each once.
    pub server_tags: Vec<String>,
    /// `server_metadata`.
    pub server_metadata: BTreeMap<String, String>,
    /// `feature_flags`.
    pub feature_flags: BTreeMap<String, bool>,
    /// Client listener.
    pub client: ClientOptions,
    /// Sizes, counts and times that bound clients.
    pub limits: LimitOptions,
    /// Log lines and where they go.
    pub logging: LoggingOptions,
    /// HTTP endpoints and profiling.
    pub monitoring: MonitoringOptions,
    /// Files about the process.
    pub process: ProcessOptions,
    /// `tls` of the client listener.
    pub tls: Option<TlsOptions>,
    /// `authorization`, without its users.
    pub authorization: Option<Authorization>,
    /// Users with a name, of `authorization` and of every account, in file order.
    pub users: Vec<User>,
    /// Users with an nkey, likewise.
    pub nkeys: Vec<NkeyUser>,
    /// Accounts in file order; top-level `mappings` add an entry named `$G`.
    pub accounts: Vec<Account>,
    /// `no_auth_user`.
    pub no_auth_user: Option<String>,
    /// System account and related switches.
    pub system: SystemOptions,
    /// Operator mode.
    pub operator: OperatorOptions,
    /// `cluster`.
    pub cluster: ClusterOptions,
    /// `gateway`.
    pub gateway: GatewayOptions,
    /// `leafnodes`.
    pub leafnode: LeafNodeOptions,
    /// `websocket`.
    pub websocket: WebsocketOptions,
    /// `mqtt`.
    pub mqtt: MqttOptions,
    /// `jetstream` and what belongs to it.
    pub jetstream: JetStreamOptions,
    /// `ocsp`.
    pub ocsp: Option<OcspOptions>,
    /// `ocsp_cache`.
    pub ocsp_cache: Option<OcspCache>,
    /// `proxies.trusted`: public keys; `None` without the section.
    pub trusted_proxies: Option<Vec<String>>,
    /// Flags of the command line that stay in force over every reload.
    pub command_line: crate::flags::Flags,
    /// Where each key stands.
    pub keys: KeyIndex,
}

impl Options {
    /// The name of the system account, if there is one.
    pub fn system_account(&self) -> Option<&str> {
        match self.system.account.as_deref() {
            Some(name) if !name.is_empty() => Some(name),
            _ if self.operator.system_account().is_some() => self.operator.system_account(),
            _ if self.system.disabled => None,
            _ => Some(SYSTEM_ACCOUNT),
        }
    }

    /// The account named `name`, if the configuration defines it.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }
}
