//! What a store has done to it now and then: an index for the next start, sparse blocks rewritten.
//!
//! A server that is killed leaves the last index; what came after it is read at the next start. So
//! a start takes as long as the last minute's messages, not as long as all of them.
//!
//! | an index is written | with at least | after |
//! |---|---|---|
//! | while messages come | 4 MiB that it would not know of | 60 s |
//! | while many come, and no block went since the last | 128 MiB | 10 s |
//! | once they stop | 1 MiB, or anything if there was none yet | 10 s of quiet |
//!
//! Laws: an index takes at most a thousandth of the shard's time, of a quiet stream a hundredth; the
//!       shard never waits for the disk.

use std::time::Duration;

use jetstream_core::stream::Storage;
use stdx::time::Mono;

use crate::place::{Disk, Place};

const SOME: (u64, Duration) = (4 << 20, Duration::from_secs(60));
const MANY: (u64, Duration) = (128 << 20, Duration::from_secs(10));
const QUIET: (u64, Duration) = (1 << 20, Duration::ZERO);
/// Sparse blocks are looked for at most this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What each part of an index's picture costs the shard; the pool makes the index.
const PER_PART: Duration = Duration::from_nanos(20);
/// No index is made of more: each takes some 70 bytes while it is under way.
const MOST_PARTS: u64 = 6_000_000;

/// When something was last done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Upkeep {
    looked: Mono,
    indexed: Mono,
}

impl Place {
    /// Does what is due; whether there may be jobs to run for it. `quiet` if nothing happened to the
    /// stream for a while.
    pub(crate) fn keep_up(&mut self, now: Mono, quiet: bool) -> store::Result<bool> {
        if !matches!(self.stream.store_ref(), Storage::File(_)) {
            return Ok(false);
        }
        if self.full.is_some() {
            // All of it needs room.
            return Ok(false);
        }
        let mut did = false;
        if quiet || now.since(self.upkeep.looked) >= LOOK_EVERY {
            self.upkeep.looked = now;
            self.stream.store().maintain()?;
            did = true;
        }
        if is_index_due(self.stream.store_ref(), now.since(self.upkeep.indexed), quiet) {
            self.upkeep.indexed = now;
            self.stream.store().checkpoint()?;
            did = true;
        }
        Ok(did)
    }

    /// The times from which intervals are counted.
    pub(crate) fn begin_upkeep(&mut self, now: Mono) {
        self.upkeep = Upkeep { looked: now, indexed: now };
    }
}

fn is_index_due(store: &Storage<Disk>, since: Duration, quiet: bool) -> bool {
    // Where limits drop block after block, each takes the index along: no hurry with the next.
    let rules = match (quiet, store.has_lost_index()) {
        (true, _) => &[QUIET][..],
        (false, true) => &[SOME],
        (false, false) => &[SOME, MANY],
    };
    // Asked after every job: the cheap questions first.
    if !rules.iter().any(|(_, after)| since >= *after) {
        return false;
    }
    let parts = store.picture_size();
    // Of a shard's time a thousandth; where the stream is quiet, a hundredth.
    let share = if quiet { 100 } else { 1000 };
    if parts > MOST_PARTS || since < cost(parts) * share {
        return false;
    }
    if quiet && store.is_unlisted() {
        // With one, what there was is known even if files go.
        return true;
    }
    let bytes = store.unindexed();
    rules.iter().any(|(least, after)| bytes >= *least && since >= *after)
}

fn cost(parts: u64) -> Duration {
    PER_PART * u32::try_from(parts).unwrap_or(u32::MAX)
}
