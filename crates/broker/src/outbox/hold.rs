//! Producers that wait a moment for a peer to take what it is owed.
//!
//! Running far ahead of a peer that reads as fast as it can gains nothing: the same bytes leave at
//! the same time, but out of main memory instead of a cache. So a producer whose read left much
//! behind is read again once most of it has left.
//!
//! Not here: how long a producer waits (`net`), peers that are slow (CORE-041, `stalls_producers`).
//! Laws: whoever waits is woken when little is left, or nothing can leave any more; for a peer that
//!       takes nothing producers wait once.
//! Shown for every order by `cargo xtask loom`.

use super::Outbox;
use std::task::Waker;

/// More bytes owed than this hold producers back. Few where models run.
const HOLD_FROM: usize = if cfg!(ironats_loom) { 4 } else { 512 << 10 };
/// They go on once no more than this is owed: enough to keep a socket busy until they are there.
const HOLD_UNTIL: usize = HOLD_FROM / 2;

/// After a wait in vain this much leaves before the next: what a slow peer costs its producers is
/// bounded by what it takes, and one that takes nothing costs them one wait.
const EXCUSE: usize = 4 * HOLD_FROM;

/// Who waits for a peer.
#[derive(Default)]
pub(super) struct Hold {
    producers: Vec<Waker>,
    /// Somebody waited in vain: nobody waits before so many bytes have left.
    excused: usize,
}

impl Outbox {
    /// Whether a producer should wait before it brings more.
    #[inline]
    pub fn holds_producers(&self) -> bool {
        self.pending > HOLD_FROM && self.hold.excused == 0 && !self.is_closed()
    }

    /// Notes a producer that waits; `false` if it need not.
    pub fn hold(&mut self, producer: &Waker) -> bool {
        if !self.holds_producers() {
            return false;
        }
        let producers = &mut self.hold.producers;
        if !producers.iter().any(|other| other.will_wake(producer)) {
            producers.push(producer.clone());
        }
        true
    }

    /// Notes that a producer waited long enough.
    pub fn hold_no_more(&mut self) {
        if self.holds_producers() {
            self.hold.excused = EXCUSE;
        }
    }

    /// After `written` bytes left: the producers to wake.
    #[inline]
    pub(super) fn release(&mut self, written: usize) -> Vec<Waker> {
        self.hold.excused = self.hold.excused.saturating_sub(written);
        if self.pending > HOLD_UNTIL {
            return Vec::new();
        }
        std::mem::take(&mut self.hold.producers)
    }

    /// Nothing more will leave: nobody waits.
    pub(super) fn release_all(&mut self) {
        std::mem::take(&mut self.hold.producers).into_iter().for_each(Waker::wake);
    }
}
