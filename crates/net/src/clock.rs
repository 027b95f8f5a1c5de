//! The one real clock.
//!
//! Law: `now` never goes back on the monotonic side; the wall clock is re-read once a second, so
//!      that a reading costs one call on the message path.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stdx::time::{Mono, Now, Timestamp};

const RESYNC_NS: u64 = 1_000_000_000;

/// A clock of one thread. All clocks of a process share their zero.
#[derive(Clone)]
pub struct Clock {
    zero: Instant,
    /// Wall clock at `synced`, and `synced` itself.
    wall: Cell<(i64, u64)>,
}

impl Clock {
    /// A clock whose monotonic side starts at `zero`.
    pub fn new(zero: Instant) -> Self {
        let clock = Self { zero, wall: Cell::new((0, 0)) };
        let mono = clock.mono();
        clock.wall.set((wall(), mono));
        clock
    }

    fn mono(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The current time.
    pub fn now(&self) -> Now {
        let mono = self.mono();
        let (mut at, synced) = self.wall.get();
        let mut since = mono.saturating_sub(synced);
        if since > RESYNC_NS {
            at = wall();
            since = 0;
            self.wall.set((at, mono));
        }
        Now { mono: Mono(mono), wall: Timestamp(at.saturating_add(since as i64)) }
    }

    /// The instant a monotonic reading stands for.
    pub fn instant(&self, at: Mono) -> Instant {
        self.zero + Duration::from_nanos(at.0)
    }
}

fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
