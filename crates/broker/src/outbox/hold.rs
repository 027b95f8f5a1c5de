//! Producers that wait a moment for a peer to take what it is owed.
//!
//! Running far ahead of a peer that reads as fast as it can gains nothing: the same bytes leave at
//! the same time, but out of main memory instead of a cache. So a producer whose read left much
//! behind is read again once most of it has left.
//!
//! Not here: how long a producer waits (`net`), peers that are slow (CORE-041, `stalls_producers`).
//! Laws: whoever waits is woken when little is left, or nothing can leave any more; for a peer that
//!       did not get there in time nobody waits again until it has caught up.
//! Shown for every order by `cargo xtask loom`.

use super::Outbox;
use std::task::Waker;

/// More bytes owed than this hold producers back. Few where models run.
const HOLD_FROM: usize = if cfg!(ironats_loom) { 4 } else { 512 << 10 };
/// They go on once no more than this is owed: enough to keep a socket busy until they are there.
const HOLD_UNTIL: usize = HOLD_FROM / 2;

/// Who waits for a peer.
#[derive(Default)]
pub(super) struct Hold {
    producers: Vec<Waker>,
    /// Somebody waited in vain.
    lags: bool,
}

impl Outbox {
    /// Whether a producer should wait before it brings more.
    #[inline]
    pub fn holds_producers(&self) -> bool {
        self.pending > HOLD_FROM && !self.hold.lags && !self.is_closed()
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
        self.hold.lags = self.holds_producers();
    }

    /// After bytes left, or will never leave: the producers to wake.
    #[inline]
    pub(super) fn release(&mut self) -> Vec<Waker> {
        if self.pending > HOLD_UNTIL {
            return Vec::new();
        }
        self.hold.lags = false;
        std::mem::take(&mut self.hold.producers)
    }

    /// Nothing more will leave: nobody waits.
    pub(super) fn release_all(&mut self) {
        std::mem::take(&mut self.hold.producers).into_iter().for_each(Waker::wake);
    }
}
