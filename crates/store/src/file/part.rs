//! Parts of blocks that are read here and there, kept in memory.
//!
//! A reader that moves forward has its window; one that asks for this message and that one would
//! read a few kilobytes from the file for each. A part that was asked for again is read as a
//! whole, and serves whoever asks next: direct gets, many consumers at different places.
//!
//! Not here: reading (`read.rs`).
//! Laws: all parts of all stores that share a budget fit it; a part is whole records, and is
//!       forgotten whenever its file changes; a record is proven before it is first given out; a
//!       store that rests keeps none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Memory that stores share for what they keep of what they read.
#[derive(Clone, Debug)]
pub struct ReadBudget(Arc<AtomicUsize>);

impl ReadBudget {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    fn has(&self, bytes: usize) -> bool {
        self.0.load(Ordering::Relaxed) >= bytes
    }

    fn take(&self, bytes: usize) -> bool {
        let rest = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Default for ReadBudget {
    fn default() -> Self {
        Self::new(64 << 20)
    }
}

/// Block and offset at which a part begins. Both are the store's own numbers, not a client's.
type Key = (u32, u32);

/// Reads after which a part is kept: while there is room, and when another one has to go for it.
const AGAIN: u8 = 2;
const OFTEN: u8 = 8;
/// Instead of a count: it cannot be kept.
const NEVER: u8 = u8::MAX;
/// Parts whose reads are counted.
const COUNTED: usize = 4096;

/// One part: its records, and where each message among them lies.
pub(super) struct Part {
    block: u32,
    bytes: Bytes,
    /// Sequence of the first message.
    base: u64,
    /// By sequence from `base`; [`ABSENT`] where there is no message, with [`PROVEN`] where the
    /// record was.
    offsets: Box<[u32]>,
}

/// No block is that large.
const PROVEN: u32 = 1 << 31;
const ABSENT: u32 = PROVEN - 1;
/// Sequences a part may span for each message it holds.
const SPARSE: u64 = 8;

impl Part {
    /// `messages`: sequence and offset of each message, ascending. `None` if there is none, or they
    /// are too sparse for a table.
    pub(super) fn new(block: u32, bytes: Bytes, messages: &[(u64, u32)]) -> Option<Self> {
        let (base, last) = (messages.first()?.0, messages.last()?.0);
        let span = last.checked_sub(base)? + 1;
        if span > messages.len() as u64 * SPARSE {
            return None;
        }
        let mut offsets = vec![ABSENT; span as usize].into_boxed_slice();
        for &(seq, offset) in messages {
            if let Some(place) = offsets.get_mut(seq.checked_sub(base)? as usize) {
                *place = offset;
            }
        }
        Some(Self { block, bytes, base, offsets })
    }

    fn memory(&self) -> usize {
        self.bytes.len() + self.offsets.len() * size_of::<u32>()
    }
}

/// The parts of one store.
pub(super) struct Parts {
    budget: ReadBudget,
    /// By the sequence of their first message.
    kept: BTreeMap<u64, Part>,
    /// The same keys, oldest first.
    order: VecDeque<u64>,
    reads: HashMap<Key, u8, FixedState>,
    bytes: usize,
}

impl Parts {
    pub(super) fn new(budget: ReadBudget) -> Self {
        Self {
            budget,
            kept: BTreeMap::new(),
            order: VecDeque::new(),
            reads: HashMap::default(),
            bytes: 0,
        }
    }

    /// The records of a part of the block, where in them that of `seq` lies, and whether it was
    /// proven; if it is kept.
    pub(super) fn find(&self, block: u32, seq: u64) -> Option<(&Bytes, usize, bool)> {
        let (base, part) = self.kept.range(..=seq).next_back()?;
        let place = *part.offsets.get(usize::try_from(seq - base).ok()?)?;
        let offset = place & !PROVEN;
        let found = part.block == block && offset != ABSENT;
        found.then_some((&part.bytes, offset as usize, place & PROVEN != 0))
    }

    /// The record of `seq` was proven.
    pub(super) fn note_proven(&mut self, seq: u64) {
        if let Some((base, part)) = self.kept.range_mut(..=seq).next_back()
            && let Some(place) = part.offsets.get_mut((seq - base) as usize)
        {
            *place |= PROVEN;
        }
    }

    /// Counts a read of a part of `len` bytes that is not kept; `true` if it is to be kept now.
    pub(super) fn is_wanted(&mut self, block: u32, start: u32, len: usize) -> bool {
        if self.reads.len() >= COUNTED {
            self.reads.clear();
        }
        let reads = self.reads.entry((block, start)).or_insert(0);
        if *reads < NEVER - 1 {
            *reads += 1;
        }
        if *reads < AGAIN || *reads == NEVER {
            return false;
        }
        let wanted = *reads >= OFTEN || self.budget.has(len);
        if wanted {
            self.reads.remove(&(block, start));
        }
        wanted
    }

    /// The part is to be kept the next time it is asked about.
    pub(super) fn want(&mut self, block: u32, start: u32) {
        self.reads.insert((block, start), OFTEN);
    }

    /// The part cannot be kept: it is not asked about again soon.
    pub(super) fn refuse(&mut self, block: u32, start: u32) {
        self.reads.insert((block, start), NEVER);
    }

    /// Keeps a part if there is room, or room can be made.
    pub(super) fn keep(&mut self, part: Part) {
        let size = part.memory();
        while !self.budget.take(size) {
            if self.bytes < size || !self.drop_oldest() {
                return;
            }
        }
        self.bytes += size;
        let base = part.base;
        match self.kept.insert(base, part) {
            Some(before) => self.release(before.memory()),
            None => self.order.push_back(base),
        }
    }

    /// Forgets everything of a block.
    pub(super) fn forget(&mut self, block: u32) {
        let mut freed = 0;
        self.kept.retain(|_, part| {
            let stays = part.block != block;
            freed += if stays { 0 } else { part.memory() };
            stays
        });
        if freed > 0 {
            let kept = &self.kept;
            self.order.retain(|base| kept.contains_key(base));
            self.release(freed);
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(base) = self.order.pop_front() else { return false };
        if let Some(part) = self.kept.remove(&base) {
            self.release(part.memory());
        }
        true
    }

    fn release(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }

    /// Bytes kept.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(budget: &ReadBudget) -> usize {
        budget.0.load(Ordering::Relaxed)
    }

    /// A part of 100 bytes with one message.
    fn part(block: u32, seq: u64) -> Part {
        Part::new(block, Bytes::from(vec![0; 96]), &[(seq, 7)]).unwrap()
    }

    fn read(parts: &mut Parts, block: u32, seq: u64) -> bool {
        let wanted = parts.is_wanted(block, seq as u32, 100);
        if wanted {
            parts.keep(part(block, seq));
        }
        parts.find(block, seq).is_some()
    }

    #[test]
    fn what_is_read_again_is_kept_within_the_budget() {
        let budget = ReadBudget::new(250);
        let mut parts = Parts::new(budget.clone());
        assert!(!read(&mut parts, 1, 1));
        assert!(read(&mut parts, 1, 1));
        assert!(parts.find(2, 1).is_none(), "the block is another one");
        assert!(!read(&mut parts, 1, 9) && read(&mut parts, 1, 9));
        assert_eq!((left(&budget), parts.memory()), (50, 200));
        // No room: only what is read often takes the place of the oldest.
        let often = (0..20).position(|_| read(&mut parts, 2, 20)).unwrap();
        assert_eq!(often, usize::from(OFTEN) - 1);
        assert!(parts.find(1, 1).is_none() && parts.find(2, 20).is_some());
        assert_eq!(left(&budget), 50);
        parts.forget(1);
        assert_eq!((left(&budget), parts.memory()), (150, 100));
        drop(parts);
        assert_eq!(left(&budget), 250);
    }

    #[test]
    fn what_cannot_be_kept_is_not_wanted_again() {
        let mut parts = Parts::new(ReadBudget::default());
        assert!(!parts.is_wanted(1, 0, 100) && parts.is_wanted(1, 0, 100));
        parts.refuse(1, 0);
        assert!((0..1000).all(|_| !parts.is_wanted(1, 0, 100)));
    }

    #[test]
    fn messages_are_found_by_sequence() {
        let mut parts = Parts::new(ReadBudget::default());
        let bytes = Bytes::from(vec![0; 50]);
        parts.keep(Part::new(1, bytes.clone(), &[(10, 0), (11, 20), (14, 40)]).unwrap());
        let found = |seq| parts.find(1, seq).map(|(_, offset, _)| offset);
        assert_eq!(
            [9, 10, 11, 12, 14, 15].map(found),
            [None, Some(0), Some(20), None, Some(40), None]
        );
        parts.note_proven(11);
        let proven = |seq| parts.find(1, seq).map(|(_, offset, proven)| (offset, proven));
        assert_eq!([10, 11].map(proven), [Some((0, false)), Some((20, true))]);
        assert!(Part::new(1, bytes.clone(), &[(1, 0), (1000, 20)]).is_none(), "too sparse");
        assert!(Part::new(1, bytes, &[]).is_none());
    }

    #[test]
    fn a_store_that_keeps_nothing_takes_nothing_from_others() {
        let budget = ReadBudget::new(100);
        let (mut one, mut other) = (Parts::new(budget.clone()), Parts::new(budget.clone()));
        assert!(!read(&mut one, 1, 1) && read(&mut one, 1, 1));
        assert!((0..20).all(|_| !read(&mut other, 1, 1)));
        drop(one);
        assert!(!read(&mut other, 1, 1) || read(&mut other, 1, 1));
        assert_eq!(left(&budget), 0);
    }
}
