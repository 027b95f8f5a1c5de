//! Every subject of a stream, once, in as few bytes as we know how.
//!
//! A subject is a record in a paged arena: 8 bytes of totals, 2 of length, its text, padded to 4.
//! A hash table of 4-byte record numbers finds it; nothing else refers to it but the same number
//! in block columns. One message per subject (the key-value shape) needs no more than that:
//! subject + 10 + padding + 5 to 10 bytes of table. Only subjects with several messages take a
//! slot in a side table.
//!
//! A table that is built from many blocks is split into shards by hash (`shard.rs`): threads fill
//! different ones at once (`filling.rs`), and each fits a cache while it is filled.
//!
//! Laws: a record number stays the same while the subject has messages; `total` is exact always,
//! `first` and `last` are exact or say that they are bounds.
//! Reference: filestore.go psim.

mod filling;
mod loading;
mod shard;

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

pub(crate) use filling::{Batch, Filling};
pub(crate) use loading::Loading;
use shard::{Shard, shard_of};

/// Number of a subject's record; zero is none.
pub(crate) type SubjectId = u32;

/// Where a message of a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This very sequence.
    Exact(u64),
    /// Not before (first) or not after (last) this sequence.
    Bound(u64),
    /// In this block, or further inwards.
    Block(u32),
}

/// What is known of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) total: u64,
    pub(crate) first: Place,
    pub(crate) last: Place,
}

/// Shards of a table that is expected to be large, as a power of two.
const MANY: u32 = 6;

pub(crate) struct Subjects {
    hasher: FixedState,
    bits: u32,
    shards: Vec<Shard>,
}

/// The shard a hash falls into. The table within takes its low and its top bits.
fn route(hash: u64, bits: u32) -> usize {
    (hash >> 40) as usize & ((1 << bits) - 1)
}

impl Subjects {
    /// An empty table for a stream that may stay small.
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_bits(FixedState::with_seed(seed), 0)
    }

    /// An empty table that is expected to become large.
    pub(crate) fn large(seed: u64) -> Self {
        Self::with_bits(FixedState::with_seed(seed), MANY)
    }

    fn with_bits(hasher: FixedState, bits: u32) -> Self {
        Self { hasher, bits, shards: (0..1 << bits).map(|n| Shard::new(n, bits)).collect() }
    }

    /// Makes room for `more` subjects at once: growing step by step hashes every text again.
    pub(crate) fn reserve(&mut self, more: usize) {
        let each = more >> self.bits;
        for shard in &mut self.shards {
            // Hashes do not fall quite evenly.
            shard.reserve(if self.bits == 0 { each } else { each + each / 16 }, &self.hasher);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// A hasher for use on other threads, giving the numbers `Filling` expects.
    pub(crate) fn hasher(&self) -> FixedState {
        self.hasher.clone()
    }

    /// Bytes of memory held, for figures and budgets.
    pub(crate) fn memory(&self) -> usize {
        self.shards.iter().map(|s| s.memory() + size_of::<Shard>()).sum()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::with_bits(self.hasher.clone(), 0);
    }

    fn shard(&self, id: SubjectId) -> &Shard {
        &self.shards[shard_of(id, self.bits)]
    }

    fn shard_mut(&mut self, id: SubjectId) -> &mut Shard {
        &mut self.shards[shard_of(id, self.bits)]
    }

    pub(crate) fn find(&self, subject: &[u8]) -> Option<SubjectId> {
        let hash = self.hasher.hash_one(subject);
        self.shards[route(hash, self.bits)].find(hash, subject)
    }

    /// The subject's text.
    pub(crate) fn text(&self, id: SubjectId) -> &[u8] {
        self.shard(id).text(id)
    }

    /// Counts one more message, the newest of its subject.
    pub(crate) fn add(&mut self, subject: &[u8], seq: u64) -> SubjectId {
        let hash = self.hasher.hash_one(subject);
        self.shards[route(hash, self.bits)].add(hash, subject, seq, &self.hasher)
    }

    /// Adds a subject; false if it was there.
    pub(crate) fn insert(&mut self, subject: &[u8], totals: Totals) -> bool {
        let hash = self.hasher.hash_one(subject);
        self.shards[route(hash, self.bits)].insert(hash, subject, totals, &self.hasher)
    }

    pub(crate) fn totals(&self, id: SubjectId) -> Totals {
        self.shard(id).totals(id)
    }

    pub(crate) fn set(&mut self, id: SubjectId, t: Totals) {
        self.shard_mut(id).set(id, t);
    }

    /// Counts one message less; the subject goes with its last message. Returns what is left.
    pub(crate) fn remove_one(&mut self, id: SubjectId, seq: u64) -> u64 {
        let at = shard_of(id, self.bits);
        self.shards[at].remove_one(id, seq, &self.hasher)
    }

    /// Every subject, in the order of memory.
    /// A copy for reading only that shares nothing with this: subjects are listed, not found.
    pub(crate) fn picture(&self) -> Self {
        let shards = self.shards.iter().map(Shard::picture).collect();
        Self { hasher: self.hasher.clone(), bits: self.bits, shards }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SubjectId, &[u8])> {
        self.shards.iter().flat_map(Shard::iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn counts_like_a_map(ops in proptest::collection::vec((0u8..3, 0usize..40), 1..300), large: bool) {
            let mut subjects = if large { Subjects::large(7) } else { Subjects::new(7) };
            let mut model: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for (seq, (op, name)) in (1u64..).zip(ops) {
                let name = format!("s.{}", "x".repeat(name));
                if op < 2 {
                    subjects.add(name.as_bytes(), seq);
                    model.entry(name).or_default().push(seq);
                } else if let Some(seqs) = model.get_mut(&name) {
                    let gone = seqs.remove(seq as usize % seqs.len());
                    let id = subjects.find(name.as_bytes()).unwrap();
                    prop_assert_eq!(subjects.remove_one(id, gone), seqs.len() as u64);
                    if seqs.is_empty() {
                        model.remove(&name);
                    }
                }
            }
            prop_assert_eq!(subjects.len(), model.len());
            prop_assert_eq!(subjects.iter().count(), model.len());
            for (name, seqs) in model {
                let t = subjects.totals(subjects.find(name.as_bytes()).unwrap());
                prop_assert_eq!(t.total, seqs.len() as u64);
                match t.first {
                    Place::Exact(s) => prop_assert_eq!(s, seqs[0]),
                    Place::Bound(s) => prop_assert!(s <= seqs[0]),
                    Place::Block(_) => unreachable!(),
                }
                match t.last {
                    Place::Exact(s) => prop_assert_eq!(s, *seqs.last().unwrap()),
                    Place::Bound(s) => prop_assert!(s >= *seqs.last().unwrap()),
                    Place::Block(_) => unreachable!(),
                }
            }
        }
    }
}
