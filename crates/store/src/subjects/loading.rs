//! A subject table taken from an index by several threads at once.
//!
//! As in `filling.rs`, entries are dealt out by shard and then entered one shard after the other; here
//! each subject comes once, with its totals, and its text stays where it was read.
//! Laws: a subject that comes twice is damage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;

use super::shard::Shard;
use super::{Subjects, Totals, route};

/// Subjects looked up ahead of the one being entered.
const AHEAD: usize = 32;

/// One subject, with its text at `at` of the index.
struct Entry {
    hash: u64,
    at: usize,
    len: u16,
    totals: Totals,
}

/// Subjects, dealt out.
pub(crate) struct Deal {
    bits: u32,
    hands: Vec<Vec<Entry>>,
}

impl Deal {
    /// Adds the subject whose text lies at `at` of the index, of at most 65,535 bytes.
    pub(crate) fn push(&mut self, hash: u64, at: usize, subject: &[u8], totals: Totals) {
        if let Some(hand) = self.hands.get_mut(route(hash, self.bits)) {
            hand.push(Entry { hash, at, len: subject.len() as u16, totals });
        }
    }
}

/// A table while it is loaded.
pub(crate) struct Loading {
    hasher: FixedState,
    bits: u32,
    shards: Vec<Mutex<Shard>>,
    twice: AtomicBool,
}

impl Loading {
    /// Starts from an empty table.
    pub(crate) fn new(subjects: Subjects) -> Self {
        Self {
            hasher: subjects.hasher,
            bits: subjects.bits,
            shards: subjects.shards.into_iter().map(Mutex::new).collect(),
            twice: AtomicBool::new(false),
        }
    }

    /// An empty deal for about this many subjects.
    pub(crate) fn deal(&self, count: usize) -> Deal {
        let each = (count >> self.bits) * 5 / 4;
        let hands = self.shards.iter().map(|_| Vec::with_capacity(each)).collect();
        Deal { bits: self.bits, hands }
    }

    /// Enters what was dealt, as deal number `number`; the texts lie in `index`.
    pub(crate) fn enter(&self, number: usize, deal: &Deal, index: &[u8]) {
        let count = self.shards.len();
        for step in 0..count {
            let at = (number.wrapping_mul(7) + step) % count;
            let (Some(hand), Some(shard)) = (deal.hands.get(at), self.shards.get(at)) else {
                continue;
            };
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for entries in hand.chunks(AHEAD) {
                // The misses of one look-up after the other would add up; these overlap.
                entries.iter().for_each(|e| shard.warm(e.hash));
                for e in entries {
                    let text = index.get(e.at..e.at + usize::from(e.len)).unwrap_or_default();
                    if !shard.insert(e.hash, text, e.totals, &self.hasher) {
                        self.twice.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// The table, unless a subject came twice.
    pub(crate) fn finish(self) -> Option<Subjects> {
        if self.twice.into_inner() {
            return None;
        }
        let shards =
            self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner));
        Some(Subjects { hasher: self.hasher, bits: self.bits, shards: shards.collect() })
    }
}
