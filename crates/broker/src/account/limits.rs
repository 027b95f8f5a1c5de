//! What an account may use, and counting its clients against it.
//!
//! Laws: a limit can change while clients are connected and counts from then on; the smaller of the
//!       account's and the server's limit counts.
//! Reference: client.go applyAccountLimits, registerWithAccount.
//! Contract: ACC-004, CORE-032, CORE-035, CORE-059.

use super::definition::LimitsDefinition;
use std::sync::atomic::{AtomicU64, Ordering};

/// No limit.
const NONE: u64 = u64::MAX;

/// Limits of a running account.
pub struct Limits {
    connections: AtomicU64,
    subscriptions: AtomicU64,
    payload: AtomicU64,
    leafnodes: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        let none = || AtomicU64::new(NONE);
        Self { connections: none(), subscriptions: none(), payload: none(), leafnodes: none() }
    }
}

impl Limits {
    pub(super) fn set(&self, limits: LimitsDefinition) {
        let LimitsDefinition { connections, subscriptions, payload, leafnodes } = limits;
        for (cell, limit) in [
            (&self.connections, connections),
            (&self.subscriptions, subscriptions),
            (&self.payload, payload),
            (&self.leafnodes, leafnodes),
        ] {
            cell.store(limit.unwrap_or(NONE), Ordering::Relaxed);
        }
    }

    /// Clients that may be connected.
    pub fn connections(&self) -> Option<u64> {
        limit(&self.connections)
    }

    /// Leafnodes that may be connected.
    pub fn leafnodes(&self) -> Option<u64> {
        limit(&self.leafnodes)
    }

    /// Subscriptions a connection may have, given the server's limit (0: none).
    // Compat(CORE-059)
    pub fn subscriptions(&self, server: usize) -> Option<u64> {
        let server = if server == 0 { NONE } else { server as u64 };
        let least = server.min(self.subscriptions.load(Ordering::Relaxed));
        (least != NONE).then_some(least)
    }

    /// Bytes a message may have, given the server's limit (negative: none). Negative: no limit.
    // Compat(CORE-059)
    pub fn payload(&self, server: i64) -> i64 {
        let server = u64::try_from(server).unwrap_or(NONE);
        let least = server.min(self.payload.load(Ordering::Relaxed));
        i64::try_from(least).unwrap_or(-1)
    }

    /// Counts one more in `clients` if there may be one.
    pub(super) fn admit(&self, clients: &AtomicU64) -> bool {
        let limit = self.connections.load(Ordering::Relaxed);
        let one_more = |n: u64| (n < limit).then_some(n + 1);
        clients.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

fn limit(cell: &AtomicU64) -> Option<u64> {
    let value = cell.load(Ordering::Relaxed);
    (value != NONE).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: CORE-059
    #[test]
    fn the_smaller_limit_counts() {
        let limits = Limits::default();
        assert_eq!((limits.subscriptions(0), limits.payload(-1)), (None, -1));
        assert_eq!((limits.subscriptions(7), limits.payload(100)), (Some(7), 100));
        limits.set(LimitsDefinition {
            connections: Some(1),
            subscriptions: Some(3),
            payload: Some(50),
            leafnodes: Some(0),
        });
        assert_eq!((limits.subscriptions(0), limits.payload(-1)), (Some(3), 50));
        assert_eq!((limits.subscriptions(2), limits.payload(10)), (Some(2), 10));
        assert_eq!((limits.connections(), limits.leafnodes()), (Some(1), Some(0)));
        let clients = AtomicU64::new(0);
        assert!(limits.admit(&clients));
        assert!(!limits.admit(&clients));
        assert_eq!(clients.into_inner(), 1);
    }
}
