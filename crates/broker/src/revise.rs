//! Changes of the configuration while the server runs.
//!
//! What is in force is swapped whole; then every session looks at it again on its own thread
//! (`session::review`), at the latest before its next frame.
//!
//! Not here: deciding what may change (`config::diff`), accounts (`account::define`).
//! Laws: nothing here can fail, so that what was prepared is put in force entirely.

use crate::broker::Broker;
use crate::conn::{Conn, flag};
use crate::outbox::Pool;
use crate::settings::Settings;
use auth::Authenticator;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use wire::encode;
use wire::error::{CloseReason, text};

impl Broker {
    /// Changes limits and switches. Sessions follow with [`Broker::revise`].
    pub fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Changes who may log in. Sessions follow with [`Broker::revise`].
    pub fn set_authenticator(&self, authenticator: Authenticator) {
        self.authenticator.store(Arc::new(authenticator));
    }

    /// The number of the configuration in force.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Has every session look again at limits, users and permissions, and waits until those that
    /// have logged in did, for `patience` at most; `false` if it ran out. Whoever is late catches up
    /// before its next frame. Not to be called on a network thread, which it would wait for.
    pub fn revise(&self, patience: Duration) -> bool {
        let revision = self.revision.fetch_add(1, Ordering::AcqRel) + 1;
        let mut late = self.connections();
        for conn in &late {
            conn.outbox.lock().wake();
        }
        let until = Instant::now() + patience;
        let (lock, changed) = &self.caught_up;
        let mut guard = lock.lock();
        loop {
            late.retain(|conn| {
                conn.has(flag::ADMITTED)
                    && conn.revision.load(Ordering::Acquire) < revision
                    && !conn.is_closed()
            });
            if late.is_empty() {
                return true;
            }
            if changed.wait_until(&mut guard, until).timed_out() {
                return false;
            }
        }
    }

    /// A session lives by `revision` now.
    pub(crate) fn caught_up(&self, conn: &Conn, revision: u64) {
        conn.revision.store(revision, Ordering::Release);
        let (lock, changed) = &self.caught_up;
        drop(lock.lock());
        changed.notify_all();
    }

    /// Closes connections beyond what there may be; those that came first stay. How many there were.
    pub fn close_beyond_limit(&self) -> usize {
        let Some(limit) = self.settings().max_connections else { return 0 };
        let mut conns = self.connections();
        conns.retain(|conn| !conn.is_closed());
        conns.sort_unstable_by_key(|conn| conn.id);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let excess = conns.get(limit..).unwrap_or_default();
        for conn in excess {
            stdx::error!(self.log, "{} - {}", conn.label(), text::MAX_CONNECTIONS);
            let mut out = conn.outbox.lock();
            out.push(&encode::error_line(text::MAX_CONNECTIONS), &mut Pool::default());
            out.close(CloseReason::MaxConnectionsExceeded);
        }
        excess.len()
    }
}
