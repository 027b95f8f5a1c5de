//! Every subject of a stream, once, in as few bytes as we know how.
//!
//! A subject is a record in a paged arena: 8 bytes of totals, 2 of length, its text, padded to 4.
//! A hash table of 4-byte record numbers finds it; nothing else refers to it but the same number
//! in block columns. One message per subject (the key-value shape) needs no more than that:
//! subject + 10 + padding + 5 to 10 bytes of table. Only subjects with several messages take a
//! slot in a side table.
//!
//! Laws: a record number stays the same while the subject has messages; `total` is exact always,
//! `first` and `last` are exact or say that they are bounds.
//! Reference: filestore.go psim.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::codec::u64_at;

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

const PAGE: usize = 1 << 20;
const UNIT: usize = 4;
const UNITS_PER_PAGE: u32 = (PAGE / UNIT) as u32;
const FIXED: usize = 10;

const TAG: u64 = 3 << 62;
const TAG_BLOCK: u64 = 1 << 62;
const TAG_MULTI: u64 = 2 << 62;
const FREED: u64 = u64::MAX;

pub(crate) struct Subjects {
    table: HashTable<u32>,
    hasher: FixedState,
    pages: Vec<Vec<u8>>,
    several: Vec<Totals>,
    several_free: Vec<u32>,
    /// Freed records by size in units.
    free: Vec<Vec<u32>>,
}

impl Subjects {
    pub(crate) fn new(seed: u64) -> Self {
        let first = vec![0; UNIT];
        Self {
            table: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            pages: vec![first],
            several: Vec::new(),
            several_free: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Makes room for `more` subjects at once: growing step by step hashes every text again.
    pub(crate) fn reserve(&mut self, more: usize) {
        let (pages, hasher) = (&self.pages, &self.hasher);
        self.table.reserve(more, |&id| hasher.hash_one(text_of(pages, id)));
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// A hasher for use on other threads, giving the numbers `find_hashed` expects.
    pub(crate) fn hasher(&self) -> FixedState {
        self.hasher.clone()
    }

    /// Bytes of memory held, for figures and budgets.
    pub(crate) fn memory(&self) -> usize {
        self.pages.iter().map(Vec::capacity).sum::<usize>()
            + self.table.capacity() * 8 / 7 * 5
            + self.several.capacity() * size_of::<Totals>()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { hasher: self.hasher.clone(), ..Self::new(0) };
    }

    pub(crate) fn find(&self, subject: &[u8]) -> Option<SubjectId> {
        self.find_hashed(self.hasher.hash_one(subject), subject)
    }

    fn find_hashed(&self, hash: u64, subject: &[u8]) -> Option<SubjectId> {
        let pages = &self.pages;
        self.table.find(hash, |&id| text_of(pages, id) == subject).copied()
    }

    /// The subject's text.
    pub(crate) fn text(&self, id: SubjectId) -> &[u8] {
        text_of(&self.pages, id)
    }

    /// Counts one more message, the newest of its subject.
    pub(crate) fn add(&mut self, subject: &[u8], seq: u64) -> SubjectId {
        self.add_hashed(self.hasher.hash_one(subject), subject, seq)
    }

    pub(crate) fn add_hashed(&mut self, hash: u64, subject: &[u8], seq: u64) -> SubjectId {
        if let Some(id) = self.find_hashed(hash, subject) {
            let mut t = self.totals(id);
            t.total += 1;
            t.last = Place::Exact(seq);
            self.set(id, t);
            return id;
        }
        let one = Totals { total: 1, first: Place::Exact(seq), last: Place::Exact(seq) };
        self.insert_hashed(hash, subject, one)
    }

    /// Counts one more message that may be older than all others of its subject.
    pub(crate) fn add_older(&mut self, hash: u64, subject: &[u8], seq: u64) -> SubjectId {
        let Some(id) = self.find_hashed(hash, subject) else {
            let one = Totals { total: 1, first: Place::Exact(seq), last: Place::Exact(seq) };
            return self.insert_hashed(hash, subject, one);
        };
        let mut t = self.totals(id);
        t.total += 1;
        if let Place::Exact(first) = t.first {
            t.first = Place::Exact(first.min(seq));
        }
        if let Place::Exact(last) = t.last {
            t.last = Place::Exact(last.max(seq));
        }
        self.set(id, t);
        id
    }

    /// Adds a subject that is not there yet.
    pub(crate) fn insert(&mut self, subject: &[u8], totals: Totals) -> SubjectId {
        self.insert_hashed(self.hasher.hash_one(subject), subject, totals)
    }

    fn insert_hashed(&mut self, hash: u64, subject: &[u8], totals: Totals) -> SubjectId {
        let id = self.allocate(subject);
        self.set(id, totals);
        let (pages, hasher) = (&self.pages, &self.hasher);
        self.table.insert_unique(hash, id, |&id| hasher.hash_one(text_of(pages, id)));
        id
    }

    fn allocate(&mut self, subject: &[u8]) -> SubjectId {
        let units = (FIXED + subject.len()).div_ceil(UNIT);
        let id = match self.free.get_mut(units).and_then(Vec::pop) {
            Some(id) => id,
            None => {
                let size = units * UNIT;
                if self.pages.last().is_none_or(|p| p.len() + size > PAGE) {
                    self.pages.push(Vec::with_capacity(PAGE));
                }
                let page = self.pages.len() - 1;
                let at = self.pages.last_mut().map_or(0, |p| {
                    let at = p.len();
                    p.resize(at + size, 0);
                    at
                });
                page as u32 * UNITS_PER_PAGE + (at / UNIT) as u32
            }
        };
        if let Some(record) = self.record_mut(id) {
            record[..8].copy_from_slice(&FREED.to_le_bytes());
            record[8..10].copy_from_slice(&(subject.len() as u16).to_le_bytes());
            record[FIXED..FIXED + subject.len()].copy_from_slice(subject);
        }
        id
    }

    fn record_mut(&mut self, id: SubjectId) -> Option<&mut [u8]> {
        let page = self.pages.get_mut((id / UNITS_PER_PAGE) as usize)?;
        page.get_mut((id % UNITS_PER_PAGE) as usize * UNIT..)
    }

    fn raw(&self, id: SubjectId) -> u64 {
        self.pages
            .get((id / UNITS_PER_PAGE) as usize)
            .map_or(FREED, |page| u64_at(page, (id % UNITS_PER_PAGE) as usize * UNIT))
    }

    pub(crate) fn totals(&self, id: SubjectId) -> Totals {
        let raw = self.raw(id);
        let value = raw & !TAG;
        let both = |place| Totals { total: 1, first: place, last: place };
        match raw & TAG {
            0 => both(Place::Exact(value)),
            TAG_BLOCK => both(Place::Block(value as u32)),
            _ => self.several.get(value as usize).copied().unwrap_or(both(Place::Exact(0))),
        }
    }

    pub(crate) fn set(&mut self, id: SubjectId, t: Totals) {
        let old = self.raw(id);
        let slot = (old != FREED && old & TAG == TAG_MULTI).then_some((old & !TAG) as u32);
        let single = match (t.total, t.first, t.last) {
            (1, Place::Exact(seq), _) | (1, _, Place::Exact(seq)) => Some(seq),
            (1, Place::Block(a), Place::Block(b)) if a == b => Some(u64::from(a) | TAG_BLOCK),
            _ => None,
        };
        let raw = match (single, slot) {
            (Some(raw), slot) => {
                self.several_free.extend(slot);
                raw
            }
            (None, Some(slot)) => {
                if let Some(place) = self.several.get_mut(slot as usize) {
                    *place = t;
                }
                return;
            }
            (None, None) => match self.several_free.pop() {
                Some(slot) => {
                    if let Some(place) = self.several.get_mut(slot as usize) {
                        *place = t;
                    }
                    u64::from(slot) | TAG_MULTI
                }
                None => {
                    self.several.push(t);
                    (self.several.len() - 1) as u64 | TAG_MULTI
                }
            },
        };
        if let Some(record) = self.record_mut(id) {
            record[..8].copy_from_slice(&raw.to_le_bytes());
        }
    }

    /// Counts one message less; the subject goes with its last message. Returns what is left.
    pub(crate) fn remove_one(&mut self, id: SubjectId, seq: u64) -> u64 {
        let mut t = self.totals(id);
        t.total = t.total.saturating_sub(1);
        if t.total == 0 {
            self.remove(id);
            return 0;
        }
        if t.first == Place::Exact(seq) {
            t.first = if t.total == 1 { t.last } else { Place::Bound(seq + 1) };
            // The last one's upper bound is no lower bound.
            if let (1, Place::Bound(_) | Place::Block(_)) = (t.total, t.first) {
                t.first = Place::Bound(seq + 1);
            }
        }
        if t.last == Place::Exact(seq) {
            t.last = match (t.total, t.first) {
                (1, Place::Exact(first)) => Place::Exact(first),
                _ => Place::Bound(seq.saturating_sub(1)),
            };
        }
        self.set(id, t);
        t.total
    }

    fn remove(&mut self, id: SubjectId) {
        let hash = self.hasher.hash_one(self.text(id));
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        let raw = self.raw(id);
        if raw & TAG == TAG_MULTI {
            self.several_free.push((raw & !TAG) as u32);
        }
        let units = (FIXED + self.text(id).len()).div_ceil(UNIT);
        if self.free.len() <= units {
            self.free.resize_with(units + 1, Vec::new);
        }
        self.free[units].push(id);
        if let Some(record) = self.record_mut(id) {
            record[..8].copy_from_slice(&FREED.to_le_bytes());
        }
    }

    /// Every subject, in the order of memory.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SubjectId, &[u8])> {
        self.pages.iter().enumerate().flat_map(|(page, bytes)| {
            let mut at = if page == 0 { UNIT } else { 0 };
            std::iter::from_fn(move || {
                loop {
                    let len =
                        usize::from(u16::from_le_bytes([*bytes.get(at + 8)?, *bytes.get(at + 9)?]));
                    let id = page as u32 * UNITS_PER_PAGE + (at / UNIT) as u32;
                    let freed = u64_at(bytes, at) == FREED;
                    let text = bytes.get(at + FIXED..at + FIXED + len)?;
                    at += (FIXED + len).div_ceil(UNIT) * UNIT;
                    if !freed {
                        return Some((id, text));
                    }
                }
            })
        })
    }
}

fn text_of(pages: &[Vec<u8>], id: SubjectId) -> &[u8] {
    let at = (id % UNITS_PER_PAGE) as usize * UNIT;
    pages
        .get((id / UNITS_PER_PAGE) as usize)
        .and_then(|page| {
            let len = usize::from(u16::from_le_bytes([*page.get(at + 8)?, *page.get(at + 9)?]));
            page.get(at + FIXED..at + FIXED + len)
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn counts_like_a_map(ops in proptest::collection::vec((0u8..3, 0usize..40), 1..300)) {
            let mut subjects = Subjects::new(7);
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
