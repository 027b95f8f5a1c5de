//! Generation stamps: how a cached match result learns that it is out of date.
//!
//! A single counter per account would throw every cached result away at each SUB or UNSUB, and
//! request/reply subscribes all the time. Here a change touches only the subjects that share its
//! first token's bucket, unless its first token is a wildcard.
//!
//! Law: if a change can alter the result for a subject, the subject's stamp differs after it.
//! Hot path: a stamp is two loads. Shown for every order by `cargo xtask loom`.

#[cfg(ironats_loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(ironats_loom))]
use std::sync::atomic::{AtomicU32, Ordering};

/// Few where models run: each counter costs them time.
const BUCKETS: usize = if cfg!(ironats_loom) { 2 } else { 64 };

/// The generation of one subject's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

/// Counters of changes of one index, by first token.
pub struct Generations {
    buckets: [AtomicU32; BUCKETS],
    wildcard_first: AtomicU32,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU32::new(0)),
            wildcard_first: AtomicU32::new(0),
        }
    }
}

impl Generations {
    /// The current stamp for results of `subject`. Read it before matching.
    #[inline]
    pub fn stamp(&self, subject: &[u8]) -> Stamp {
        let bucket = self.buckets[bucket(subject)].load(Ordering::Acquire);
        let wild = self.wildcard_first.load(Ordering::Acquire);
        Stamp(u64::from(bucket) << 32 | u64::from(wild))
    }

    /// Records that a subscription with `filter` came or went. Call it after the change, under the
    /// lock that made it.
    pub fn changed(&self, filter: &[u8]) {
        let counter = match first_token(filter) {
            b"*" | b">" => &self.wildcard_first,
            _ => &self.buckets[bucket(filter)],
        };
        counter.fetch_add(1, Ordering::Release);
    }

    /// Records a change that may concern any subject.
    pub fn changed_all(&self) {
        self.wildcard_first.fetch_add(1, Ordering::Release);
    }
}

fn first_token(subject: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'.', subject).unwrap_or(subject.len());
    subject.get(..end).unwrap_or_default()
}

/// FNV-1a over the first token, folded to a bucket.
#[inline]
fn bucket(subject: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    for &b in subject {
        if b == b'.' {
            break;
        }
        hash = (hash ^ u32::from(b)).wrapping_mul(0x0100_0193);
    }
    (hash ^ (hash >> 16)) as usize % BUCKETS
}
