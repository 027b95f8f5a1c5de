//! The last connections that closed, and what they had subscribed to.
//!
//! Laws: at most `max_closed_clients` connections are remembered, and at most
//!       [`SUBSCRIPTIONS_MOST`] subscriptions of all of them together: the oldest lists go first.
//! Reference: ring.go; server.go saveClosedClient.

use crate::conn::Conn;
use crate::sub::Sub;
use std::collections::VecDeque;
use std::sync::Arc;
use stdx::time::Timestamp;
use wire::error::CloseReason;

/// Subscriptions remembered in all. The reference keeps every list, so that connections that come,
/// subscribe a lot and go hold as much memory as a ring of the fullest of them.
pub const SUBSCRIPTIONS_MOST: usize = 1 << 16;

/// A connection that ended, as `/connz?state=closed` lists it.
#[derive(Clone)]
pub struct Closed {
    /// The connection; its counters are final.
    pub conn: Arc<Conn>,
    /// When it ended.
    pub stop: Timestamp,
    /// Why.
    pub reason: CloseReason,
    /// Subscriptions it had.
    pub subscriptions: usize,
    /// These subscriptions, as long as there is room to remember them.
    pub subs: Arc<[Arc<Sub>]>,
}

/// Closed connections, oldest first.
#[derive(Default)]
pub(crate) struct Ring {
    all: VecDeque<Closed>,
    /// So many at the front have no list any more.
    bare: usize,
    /// Subscriptions in the lists of the others.
    listed: usize,
}

impl Ring {
    /// Adds a connection; forgets what is beyond `keep` connections.
    pub(crate) fn push(&mut self, mut closed: Closed, keep: usize) {
        while self.all.len() >= keep.max(1) {
            if let Some(oldest) = self.all.pop_front() {
                self.listed = self.listed.saturating_sub(oldest.subs.len());
                self.bare = self.bare.saturating_sub(1);
            }
        }
        if keep == 0 {
            return;
        }
        if closed.subs.len() > SUBSCRIPTIONS_MOST {
            closed.subs = Arc::default();
        }
        self.listed += closed.subs.len();
        self.all.push_back(closed);
        while self.listed > SUBSCRIPTIONS_MOST {
            let Some(next) = self.all.get_mut(self.bare) else { break };
            self.listed = self.listed.saturating_sub(next.subs.len());
            next.subs = Arc::default();
            self.bare += 1;
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those there are, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Closed> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::{Kind, Transport};
    use crate::sub::Target;
    use stdx::time::{Mono, Now};

    fn closed(id: u64, subscriptions: usize) -> Closed {
        let now = Now { mono: Mono(0), wall: Timestamp(0) };
        let conn = Arc::new(Conn::new(id, Kind::Client, Transport::Tcp, None, 0, now));
        let sub = Arc::new(Sub::new(Target::Conn(conn.clone()), b"1", b"a", None, None));
        let subs = vec![sub; subscriptions].into();
        let reason = CloseReason::ClientClosed;
        Closed { conn, stop: now.wall, reason, subscriptions, subs }
    }

    fn shown(ring: &Ring) -> Vec<(u64, usize, usize)> {
        ring.iter().map(|c| (c.conn.id, c.subscriptions, c.subs.len())).collect()
    }

    // Contract: CORE-050
    #[test]
    fn the_oldest_connections_and_the_oldest_lists_are_forgotten() {
        let mut ring = Ring::default();
        for id in 1..=4 {
            ring.push(closed(id, 2), 3);
        }
        assert_eq!(shown(&ring), [(2, 2, 2), (3, 2, 2), (4, 2, 2)]);
        ring.push(closed(5, SUBSCRIPTIONS_MOST - 2), 3);
        let full = SUBSCRIPTIONS_MOST - 2;
        assert_eq!(shown(&ring), [(3, 2, 0), (4, 2, 2), (5, full, full)]);
        ring.push(closed(6, SUBSCRIPTIONS_MOST + 1), 3);
        assert_eq!(shown(&ring), [(4, 2, 2), (5, full, full), (6, SUBSCRIPTIONS_MOST + 1, 0)]);
        ring.push(closed(7, SUBSCRIPTIONS_MOST), 3);
        let most = SUBSCRIPTIONS_MOST;
        assert_eq!(shown(&ring), [(5, full, 0), (6, most + 1, 0), (7, most, most)]);
        ring.push(closed(8, 1), 3);
        assert_eq!(shown(&ring), [(6, most + 1, 0), (7, most, 0), (8, 1, 1)]);
        ring.push(closed(9, 1), 0);
        assert_eq!(ring.len(), 0);
    }
}
