//! A subject table that several threads fill at once.
//!
//! The messages of a block are dealt out by shard as they are looked at, their subjects with them,
//! and then entered one shard after the other, beginning where other threads are not: a shard is
//! locked once per block, and what is read and written meanwhile stays in the cache.
//! Laws: totals do not depend on the order in which messages arrive.

use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;

use super::{SubjectId, Subjects, route, shard::Shard};

/// Batches in a row that must have brought nothing but new subjects to promise more of them.
const SURE: u32 = 3;

/// One message of a subject, to be counted; the text lies behind those before it.
struct Head {
    hash: u64,
    seq: u64,
    /// Which place the record number takes in the answer.
    place: u32,
    len: u16,
}

/// Messages looked up ahead of the one being counted.
const AHEAD: usize = 32;

/// Messages of one block, dealt out.
#[derive(Default)]
pub(crate) struct Batch {
    bits: u32,
    hands: Vec<Hand>,
}

#[derive(Default)]
struct Hand {
    heads: Vec<Head>,
    texts: Vec<u8>,
}

impl Batch {
    /// Adds a message whose subject has at most 65,535 bytes.
    pub(crate) fn push(&mut self, hash: u64, seq: u64, place: u32, subject: &[u8]) {
        let hand = &mut self.hands[route(hash, self.bits)];
        hand.heads.push(Head { hash, seq, place, len: subject.len() as u16 });
        hand.texts.extend_from_slice(subject);
    }
}

struct Part {
    shard: Shard,
    batches: u32,
    /// Subjects that were new in the last batch.
    new: usize,
    /// Batches in a row that were nearly all new.
    streak: u32,
}

/// A table while it is filled.
pub(crate) struct Filling {
    hasher: FixedState,
    bits: u32,
    parts: Vec<Mutex<Part>>,
    /// Batches that will come.
    total: u32,
}

impl Filling {
    /// Starts from an empty table; `total` batches are going to be added.
    pub(crate) fn new(subjects: Subjects, total: usize) -> Self {
        let part = |shard| Mutex::new(Part { shard, batches: 0, new: 0, streak: 0 });
        Self {
            hasher: subjects.hasher,
            bits: subjects.bits,
            parts: subjects.shards.into_iter().map(part).collect(),
            total: u32::try_from(total).unwrap_or(u32::MAX),
        }
    }

    /// An empty batch in the memory of an earlier one.
    pub(crate) fn batch(&self, earlier: Batch) -> Batch {
        let mut batch = Batch { bits: self.bits, ..earlier };
        batch.hands.resize_with(self.parts.len(), Hand::default);
        for hand in &mut batch.hands {
            hand.heads.clear();
            hand.texts.clear();
        }
        batch
    }

    /// Counts messages, as batch number `number`. The record number of each is written to its place
    /// in `ids`.
    pub(crate) fn add(&self, number: usize, batch: &Batch, ids: &mut [SubjectId]) {
        let shards = self.parts.len();
        for step in 0..shards {
            let at = (number.wrapping_mul(7) + step) % shards;
            let hand = &batch.hands[at];
            let mut part = self.parts[at].lock().unwrap_or_else(PoisonError::into_inner);
            part.prepare(hand.heads.len(), self.total, &self.hasher);
            let before = part.shard.len();
            let mut texts = &hand.texts[..];
            for heads in hand.heads.chunks(AHEAD) {
                // The misses of one table after the other would add up; these overlap.
                for m in heads {
                    part.shard.warm(m.hash);
                }
                for m in heads {
                    let (text, rest) = texts.split_at(usize::from(m.len).min(texts.len()));
                    texts = rest;
                    let id = part.shard.add_any(m.hash, text, m.seq, &self.hasher);
                    if let Some(place) = ids.get_mut(m.place as usize) {
                        *place = id;
                    }
                }
            }
            let new = part.shard.len() - before;
            part.note(new, hand.heads.len());
        }
    }

    /// The table, once all is counted.
    pub(crate) fn finish(self) -> Subjects {
        let hasher = self.hasher;
        let shards = self.parts.into_iter().map(|part| {
            let mut part = part.into_inner().unwrap_or_else(PoisonError::into_inner);
            part.shard.shrink(&hasher);
            part.shard
        });
        let shards = shards.collect();
        Subjects { hasher, bits: self.bits, shards }
    }
}

impl Part {
    /// Grows the table once for all that is to be expected, instead of step by step.
    fn prepare(&mut self, more: usize, total: u32, hasher: &FixedState) {
        let room = self.shard.capacity() - self.shard.len();
        if self.streak >= SURE && room < more {
            let left = total.saturating_sub(self.batches).max(1) as usize;
            // No more than a few times what is there: what is still to come may be little.
            let expected = self.new.saturating_mul(left).min(self.shard.len().saturating_mul(4));
            self.shard.reserve(expected.max(more), hasher);
        }
    }

    fn note(&mut self, new: usize, all: usize) {
        self.batches += 1;
        self.new = new;
        self.streak = if new * 10 >= all * 9 { self.streak + 1 } else { 0 };
    }
}
