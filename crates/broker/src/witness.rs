//! Who is told when clients come, are turned away and go: the system account's events.
//!
//! Laws: called on network threads, so it must not block; an account is counted after the client
//!       came or went, and before the client itself is reported.

use crate::account::Account;
use crate::conn::Conn;
use std::sync::Arc;
use stdx::time::Timestamp;
use wire::error::CloseReason;

/// Told about clients of the whole server.
pub trait Witness: Send + Sync {
    /// The number of clients of an account changed to `clients`.
    fn counted(&self, account: &Arc<Account>, clients: u64);

    /// A client logged in to an account.
    fn joined(&self, conn: &Arc<Conn>, account: &Arc<Account>);

    /// A client was turned away because of who it said it was, or because it did not say.
    /// It was in `account` so far; `told` is the account that is to hear of it, if one is.
    fn refused(
        &self,
        conn: &Arc<Conn>,
        account: &Arc<Account>,
        told: Option<&Arc<Account>>,
        reason: CloseReason,
    );

    /// A client's connection ended.
    fn left(&self, conn: &Arc<Conn>, account: &Arc<Account>, reason: CloseReason, at: Timestamp);
}
