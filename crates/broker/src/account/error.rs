//! Why accounts cannot be defined; the texts are the reference's.
//!
//! Not here: the place in the configuration file, which only its reader knows.
//! Reference: errors.go; opts.go parseAccounts.   Contract: ACC-007..010, ACC-015, SUBJ-009.

use stdx::go_text::quote;
use subject::mapping::MappingError;
use subject::transform::TransformError;

/// Which kind of entry is at fault, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kinds speak for themselves")]
pub enum Entry {
    StreamExport,
    ServiceExport,
    StreamImport,
    ServiceImport,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StreamExport => "stream export",
            Self::ServiceExport => "service export",
            Self::StreamImport => "stream import",
            Self::ServiceImport => "service import",
        })
    }
}

/// One fault of the accounts as they are configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// An export or import names an account that does not exist.
    #[error("{} account not defined for {entry}", quote(.named.as_bytes()))]
    UnknownAccount {
        /// The account whose entry it is.
        account: String,
        /// The account it names.
        named: String,
        /// What kind of entry.
        entry: Entry,
    },
    /// An export or import cannot be.
    #[error("Error adding {entry} {}: {cause}", quote(.subject.as_bytes()))]
    Entry {
        /// The account whose entry it is.
        account: String,
        /// Its subject.
        subject: String,
        /// What kind of entry.
        entry: Entry,
        /// Why not.
        cause: Box<EntryError>,
    },
    /// The latency samples of a service cannot be.
    #[error(
        "Error adding service latency sampling for {} on subject {}: {cause}",
        quote(.service.as_bytes()), quote(.subject.as_bytes())
    )]
    Latency {
        /// The account that exports the service.
        account: String,
        /// The service.
        service: String,
        /// Where samples were to go.
        subject: String,
        /// Why not.
        cause: Box<EntryError>,
    },
    /// A mapping cannot be.
    #[error("Error adding mapping for {} : {cause}", quote(.subject.as_bytes()))]
    Mapping {
        /// The account whose mapping it is.
        account: String,
        /// The mapped subject.
        subject: String,
        /// Why not.
        cause: MappingError,
    },
}

impl AccountError {
    /// The account at fault.
    pub fn account(&self) -> &str {
        match self {
            Self::UnknownAccount { account, .. }
            | Self::Entry { account, .. }
            | Self::Latency { account, .. }
            | Self::Mapping { account, .. } => account,
        }
    }
}

/// Why an export or an import cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A subject is not valid, or the account token's place has no `*`.
    #[error("sublist: invalid subject")]
    InvalidSubject,
    /// The exporter does not offer this stream to this account.
    #[error("stream import not authorized")]
    StreamNotAuthorized,
    /// The exporter does not offer this service to this account.
    #[error("service import not authorized")]
    ServiceNotAuthorized,
    /// A stream's prefix has wildcards.
    #[error("stream import prefix can not contain wildcard tokens")]
    PrefixHasWildcards,
    /// The stream is imported twice.
    #[error("stream import already exists")]
    DuplicateStream,
    /// Two services of one account are imported to the same subject.
    #[error(
        "duplicate service import subject {}, previously used in import for account {}, subject {}",
        quote(.from.as_bytes()), quote(.account.as_bytes()), quote(.to.as_bytes())
    )]
    DuplicateService {
        /// The subject in the importer's account.
        from: String,
        /// The exporter.
        account: String,
        /// The subject the earlier import leads to.
        to: String,
    },
    /// Messages would come back to where they started.
    #[error("import forms a cycle")]
    Cycle,
    /// The search for cycles went through too many accounts.
    #[error("search cycle depth exhausted")]
    CycleDepth,
    /// The local subject cannot be derived from the exporter's.
    #[error(
        "failed to create mapping transform for {entry} subject from {} to {}: {cause}",
        quote(.from.as_bytes()), quote(.to.as_bytes())
    )]
    Transform {
        /// What kind of import.
        entry: Entry,
        /// The one subject.
        from: String,
        /// The other.
        to: String,
        /// Why not.
        cause: TransformError,
    },
    /// A percentage is out of range.
    #[error("bad sampling percentage, should be 1-100")]
    BadSampling,
    /// Samples cannot be published there, or would be measured themselves.
    #[error("invalid publish subject")]
    BadResultSubject,
    /// Only services with one response can be measured.
    #[error("bad service response type")]
    BadResponseType,
}
