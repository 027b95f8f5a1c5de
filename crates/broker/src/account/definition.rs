//! What a configuration says of an account, as plain data; `node` fills it in.
//!
//! Not here: users and default permissions (`auth`), checking (`draft`), anything that runs.
//! Reference: opts.go parseAccounts, parseAccountExports, parseAccountImports.
//! Contract: ACC-003..008, ACC-015.

use crate::tracing::TraceTarget;
use std::time::Duration;
use subject::mapping::Destination;

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountDefinition {
    /// Its name.
    pub name: String,
    /// What it offers.
    pub exports: Vec<ExportDefinition>,
    /// What it uses of others.
    pub imports: Vec<ImportDefinition>,
    /// What it uses without being asked, and whether or not the exporter lists it: those that do not
    /// fit beside its own imports are left out.
    pub automatic: Vec<ImportDefinition>,
    /// Its subject mappings, in the order in which they are tried.
    pub mappings: Vec<MappingDefinition>,
    /// Its limits.
    pub limits: LimitsDefinition,
    /// Where messages with a `traceparent` are traced to.
    pub trace: Option<TraceTarget>,
}

/// Limits of an account; `None`: no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsDefinition {
    /// Clients connected at a time.
    pub connections: Option<u64>,
    /// Subscriptions per connection.
    pub subscriptions: Option<u64>,
    /// Bytes of header and payload of a message.
    pub payload: Option<u64>,
    /// Leafnodes connected at a time.
    pub leafnodes: Option<u64>,
}

/// Something an account offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportDefinition {
    /// The subjects.
    pub subject: String,
    /// Who may import it; empty for everybody.
    pub accounts: Vec<String>,
    /// The token (counted from one) that must be the importer's name; 0 for none.
    pub account_token_position: usize,
    /// What it is.
    pub kind: ExportKind,
}

/// What is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// Messages to listen to.
    Stream,
    /// Requests that are answered.
    Service(ServiceDefinition),
}

/// How a service answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDefinition {
    /// How many messages an answer has.
    pub response: ResponseType,
    /// How long an answer may take; two minutes if not given.
    pub threshold: Option<Duration>,
    /// Whether answers are measured.
    pub latency: Option<LatencyDefinition>,
    /// Whether messages may be traced into the account.
    pub allow_trace: bool,
}

/// How many messages an answer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseType {
    /// One.
    #[default]
    Singleton,
    /// Any number, ended by an empty one.
    Streamed,
    /// As `Streamed`; the parts of one answer.
    Chunked,
}

impl ResponseType {
    /// The name monitoring prints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Singleton => "Singleton",
            Self::Streamed => "Streamed",
            Self::Chunked => "Chunked",
        }
    }
}

/// Where latency samples of a service go, and which requests are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyDefinition {
    /// Which requests.
    pub sampling: Sampling,
    /// Where to, in the exporter's account.
    pub subject: String,
}

/// Which requests are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// So many percent, 1 to 100, drawn at random.
    Percent(u8),
    /// Those whose tracing headers ask for it.
    Headers,
}

/// Something an account uses of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportDefinition {
    /// The exporter.
    pub account: String,
    /// The subjects in the exporter's account.
    pub subject: String,
    /// What it is.
    pub kind: ImportKind,
}

/// What is imported, and under which subjects it appears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// Messages to listen to.
    Stream {
        /// How the subjects change.
        rename: Rename,
        /// Whether messages may be traced into this account.
        allow_trace: bool,
    },
    /// Requests that are answered.
    Service {
        /// The subjects in the importer's account; the exporter's if not given.
        to: Option<String>,
        /// Whether the exporter learns who asks.
        share: bool,
    },
}

/// How the subjects of an imported stream change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rename {
    /// Not at all.
    #[default]
    Keep,
    /// They get a prefix.
    Prefix(String),
    /// They are mapped.
    To(String),
}

/// One mapped subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingDefinition {
    /// The subjects that are mapped.
    pub source: String,
    /// Where to, with weights.
    pub destinations: Vec<Destination>,
}
