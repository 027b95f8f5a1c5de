//! Clients that have to go because of who they are, though they did nothing.
//!
//! Law: they are told why before they are closed, where there is a text for it.

use crate::broker::Broker;
use crate::conn::{Conn, flag};
use crate::outbox::Pool;
use std::sync::Arc;
use wire::encode;
use wire::error::CloseReason;

impl Broker {
    /// Closes a client for `reason`, and tells it `message` first.
    pub fn evict(&self, conn: &Conn, message: Option<&str>, reason: CloseReason) {
        let mut out = conn.outbox.lock();
        if out.is_closed() {
            return;
        }
        if let Some(message) = message {
            out.push(&encode::error_line(message), &mut Pool::default());
        }
        out.close(reason);
        drop(out);
        if let Some(message) = message {
            stdx::debug!(self.log, "{} - {message}", conn.label());
        }
    }

    /// Has a client's session look at its account again.
    pub fn tell_account_changed(&self, conn: &Conn) {
        conn.set(flag::ACCOUNT_CHANGED, true);
        conn.outbox.lock().wake();
    }

    /// Open connections that are logged in to an account.
    pub fn clients_of(&self, account: &str) -> Vec<Arc<Conn>> {
        let mut all = self.connections();
        all.retain(|conn| conn.facts.lock().account == account);
        all
    }
}
