//! One whole server without its sockets: options become a running broker, and the broker's state
//! becomes what operators see.
//!
//! Not here: files, listeners, signals (`ironats`), sockets (`net`).

#![forbid(unsafe_code)]

pub mod accounts;
pub mod callout;
pub mod claims;
mod herald;
pub mod jetstream;
pub mod reload;
pub mod resolver;
pub mod start;
pub mod system;
pub mod translate;
pub mod watch;
mod watch_jetstream;

use arc_swap::ArcSwap;
use broker::Broker;
use config::Options;
use monitor::RequestCounts;
use std::sync::Arc;
use stdx::log::Log;
use stdx::time::{Now, Timestamp};

/// The version of the Go server that this one is compatible with, and tells its clients.
pub const VERSION: &str = "2.14.5";

/// What the host gives a server: identity and facts it cannot find out itself.
pub struct Host {
    /// Public server key, `N…`.
    pub server_id: String,
    /// Public curve key, `X…`.
    pub xkey: String,
    /// A user name nobody can guess, for ACC-002.
    pub stand_in: String,
    /// Network threads.
    pub workers: usize,
    /// Threads that own streams.
    pub shards: usize,
    /// The time of the start.
    pub now: Now,
    /// CPU and memory of the process.
    pub process: Arc<dyn Process>,
    /// When the main certificate ends, if there is one.
    pub tls_not_after: Option<Timestamp>,
    /// What it takes to trust operators, if the options want that.
    pub operators: Option<claims::Surroundings>,
    /// What it takes to have logins decided outside.
    pub callout: callout::CalloutHost,
}

/// Facts about the process, read by the host.
pub trait Process: Send + Sync {
    /// CPU, memory and cores.
    fn facts(&self) -> monitor::ProcessFacts;
    /// The command line, secrets redacted, and memory.
    fn expvar(&self) -> monitor::ExpvarFacts;
    /// What the threads do.
    fn stacks(&self) -> String;
}

/// Looks at the cache of OCSP answers, if there is one.
type OcspFacts = dyn Fn() -> Option<monitor::OcspCacheFacts> + Send + Sync;

/// One server.
pub struct Node {
    /// Accounts and connections.
    pub broker: Arc<Broker>,
    options: ArcSwap<Options>,
    /// Network threads.
    pub workers: usize,
    /// When it started.
    pub started: Now,
    /// When its configuration was last put in force, in Unix nanoseconds.
    loaded: std::sync::atomic::AtomicI64,
    stand_in: String,
    log: Log,
    requests: RequestCounts,
    process: Arc<dyn Process>,
    /// What is remembered of peers' certificates.
    ocsp_facts: std::sync::OnceLock<Box<OcspFacts>>,
    /// When the main certificate ends, in Unix nanoseconds; 0: there is none.
    tls_not_after: std::sync::atomic::AtomicI64,
    /// JetStream, while it runs.
    jetstream: arc_swap::ArcSwapOption<::jetstream::Shared>,
    /// Accounts that are defined by tokens, where operators are trusted.
    claims: Option<Arc<claims::Registry>>,
    /// The system account's machinery, and the number of its thread.
    system: Arc<system::System>,
    system_worker: usize,
    /// How logins are decided outside.
    inquiry: Arc<callout::Inquiry>,
    /// Whether clients can connect.
    pub accepting: std::sync::atomic::AtomicBool,
}

impl Node {
    /// The options in force.
    pub fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }

    /// Accounts that are defined by tokens, where operators are trusted.
    pub fn claims(&self) -> Option<&Arc<claims::Registry>> {
        self.claims.as_ref()
    }

    /// Where lines go.
    pub fn log(&self) -> &Log {
        &self.log
    }
}
