//! Refusals that reach whoever asked, with the reference's exact texts.
//!
//! Reference: monitor.go decodeBool, decodeInt, decodeUint64, decodeState, Connz, Subsz, Accountz.

use thiserror::Error;

/// Why a monitoring request is refused. The text is the whole response body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A parameter that is neither true nor false. Remedy: 1, t, true, 0, f or false.
    #[error(
        "Error decoding boolean for '{name}': strconv.ParseBool: parsing {value}: invalid syntax"
    )]
    Bool {
        /// The parameter.
        name: &'static str,
        /// Its value, quoted as Go quotes.
        value: String,
    },
    /// A parameter that is not a signed 64-bit number.
    #[error("Error decoding int for '{name}': strconv.Atoi: parsing {value}: {why}")]
    Int {
        /// The parameter.
        name: &'static str,
        /// Its value, quoted as Go quotes.
        value: String,
        /// `invalid syntax` or `value out of range`.
        why: &'static str,
    },
    /// A parameter that is not an unsigned 64-bit number.
    #[error("Error decoding uint64 for '{name}': strconv.ParseUint: parsing {value}: {why}")]
    Uint64 {
        /// The parameter.
        name: &'static str,
        /// Its value, quoted as Go quotes.
        value: String,
        /// `invalid syntax` or `value out of range`.
        why: &'static str,
    },
    /// Not one of open, closed, any, all.
    #[error("Error decoding state for {0}")]
    State(String),
    /// Not a column that connections can be sorted by.
    #[error("invalid sorting option: {0}")]
    Sort(String),
    /// `stop` and `reason` exist for closed connections only.
    #[error("sort by {0} only valid on closed connections")]
    SortNeedsClosed(&'static str),
    /// A subject filter needs an account filter beside it.
    #[error("filter by subject only valid with account filtering")]
    FilterNeedsAccount,
    /// The `test` subject of the subscription list has wildcards or empty tokens.
    #[error("invalid test subject, must be valid publish subject: {0}")]
    TestSubject(String),
    /// No such account on this server.
    #[error("Account {0} does not exist")]
    UnknownAccount(String),
    /// JetStream was asked about, and is off.
    #[error("jetstream not enabled")]
    JetStreamDisabled,
    /// JetStream was asked about for an account that is not there.
    #[error("account {0} not found")]
    AccountNotFound(String),
    /// JetStream was asked about for an account that does not use it.
    #[error("account {0} not jetstream enabled")]
    AccountWithoutJetStream(String),
    /// This server does not lead the JetStream meta group, and only the leader was asked.
    #[error("filtered response: not leader")]
    NotLeader,
}
