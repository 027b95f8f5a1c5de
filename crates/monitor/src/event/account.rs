//! How many clients an account has.
//!
//! Reference: events.go `AccountNumConns`.

use super::{Head, typed};
use crate::documents::account::{AccountStat, StatLine};

const CONNECTIONS: &str = "io.nats.server.advisory.v1.account_connections";

/// The number of an account's clients, and what they sent and received.
pub fn account_connections(head: &Head, server: &str, stat: AccountStat) -> Vec<u8> {
    typed(CONNECTIONS, head, server, StatLine::from(stat))
}
