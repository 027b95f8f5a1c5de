//! What network threads report of clients.
//!
//! Law: little more than references is copied; what is said of it is put together where it is sent.

use super::queue::{Item, Queue};
use broker::Conn;
use broker::account::{Account, GLOBAL};
use broker::witness::Witness;
use std::sync::Arc;
use stdx::time::Timestamp;
use wire::error::CloseReason;

/// Something that happened to a client.
pub(super) enum Event {
    /// An account has this many clients now.
    Counted(Arc<Account>, u64),
    /// A client logged in; as whom, since it may log in again at once.
    Joined(Arc<Conn>, Arc<Account>, auth::Who),
    /// A client of the first account was turned away; the second is told of it.
    Refused(Arc<Conn>, Arc<Account>, Option<Arc<Account>>, CloseReason),
    /// A client left.
    Left(Arc<Conn>, Arc<Account>, CloseReason, Timestamp),
    /// The server is a lame duck.
    LameDuck,
}

/// Puts events into the queue.
pub(super) struct Reporter(pub(super) Arc<Queue>);

impl Reporter {
    fn report(&self, event: Event) {
        // What finds no room is counted by the queue.
        self.0.push(Item::Event(event));
    }
}

impl Witness for Reporter {
    fn counted(&self, account: &Arc<Account>, clients: u64) {
        // Compat(SYS-004): nothing is told of the global account.
        if account.name == GLOBAL {
            return;
        }
        self.report(Event::Counted(account.clone(), clients));
    }

    fn joined(&self, conn: &Arc<Conn>, account: &Arc<Account>) {
        let who = conn.facts.lock().who.clone();
        self.report(Event::Joined(conn.clone(), account.clone(), who));
    }

    fn refused(
        &self,
        conn: &Arc<Conn>,
        account: &Arc<Account>,
        told: Option<&Arc<Account>>,
        reason: CloseReason,
    ) {
        self.report(Event::Refused(conn.clone(), account.clone(), told.cloned(), reason));
    }

    fn left(&self, conn: &Arc<Conn>, account: &Arc<Account>, reason: CloseReason, at: Timestamp) {
        self.report(Event::Left(conn.clone(), account.clone(), reason, at));
    }
}
