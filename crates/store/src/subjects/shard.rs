//! One part of the subject table: an arena of records and the hash table that finds them.
//!
//! A record is 8 bytes of totals, 2 of length, the subject's text, padded to 4. Its number tells page
//! and place; the low bits of the page number name the shard, so that numbers of different shards
//! never meet.
//! Laws: a record number stays the same while the subject has messages; the first four bytes of a
//!       shard's arena are no record, so that zero is no number.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{Place, SubjectId, Totals};
use crate::codec::u64_at;

const PAGE: usize = 1 << 20;
const UNIT: usize = 4;
const UNITS_PER_PAGE: u32 = (PAGE / UNIT) as u32;
const FIXED: usize = 10;

const TAG: u64 = 3 << 62;
const TAG_BLOCK: u64 = 1 << 62;
const TAG_MULTI: u64 = 2 << 62;
const FREED: u64 = u64::MAX;

/// Which shard of `1 << bits` a record belongs to.
pub(super) fn shard_of(id: SubjectId, bits: u32) -> usize {
    ((id / UNITS_PER_PAGE) & ((1 << bits) - 1)) as usize
}

pub(super) struct Shard {
    table: HashTable<u32>,
    arena: Arena,
    several: Vec<Totals>,
    several_free: Vec<u32>,
}

/// Records of subjects, in pages.
struct Arena {
    number: u32,
    bits: u32,
    pages: Vec<Vec<u8>>,
    /// Freed records by size in units.
    free: Vec<Vec<u32>>,
}

impl Arena {
    fn at(&self, id: SubjectId) -> Option<&[u8]> {
        let page = self.pages.get(((id / UNITS_PER_PAGE) >> self.bits) as usize)?;
        page.get((id % UNITS_PER_PAGE) as usize * UNIT..)
    }

    fn at_mut(&mut self, id: SubjectId) -> Option<&mut [u8]> {
        let page = self.pages.get_mut(((id / UNITS_PER_PAGE) >> self.bits) as usize)?;
        page.get_mut((id % UNITS_PER_PAGE) as usize * UNIT..)
    }

    fn text(&self, id: SubjectId) -> &[u8] {
        self.at(id)
            .and_then(|record| {
                let len = usize::from(u16::from_le_bytes([*record.get(8)?, *record.get(9)?]));
                record.get(FIXED..FIXED + len)
            })
            .unwrap_or_default()
    }

    fn raw(&self, id: SubjectId) -> u64 {
        self.at(id).map_or(FREED, |record| u64_at(record, 0))
    }

    fn id(&self, page: usize, at: usize) -> SubjectId {
        (((page as u32) << self.bits) | self.number) * UNITS_PER_PAGE + (at / UNIT) as u32
    }

    fn allocate(&mut self, subject: &[u8]) -> SubjectId {
        let units = (FIXED + subject.len()).div_ceil(UNIT);
        if let Some(id) = self.free.get_mut(units).and_then(Vec::pop) {
            if let Some(record) = self.at_mut(id) {
                record[..8].copy_from_slice(&FREED.to_le_bytes());
                record[8..10].copy_from_slice(&(subject.len() as u16).to_le_bytes());
                record[FIXED..FIXED + subject.len()].copy_from_slice(subject);
            }
            return id;
        }
        let size = units * UNIT;
        if self.pages.last().is_none_or(|p| p.len() + size > PAGE) {
            // The first page grows with its subjects: most streams have few.
            let room = if self.pages.is_empty() { 0 } else { PAGE };
            self.pages.push(Vec::with_capacity(room));
            if self.pages.len() == 1 {
                self.pages[0].resize(UNIT, 0);
            }
        }
        let number = self.pages.len() - 1;
        let page = &mut self.pages[number];
        let at = page.len();
        page.extend_from_slice(&FREED.to_le_bytes());
        page.extend_from_slice(&(subject.len() as u16).to_le_bytes());
        page.extend_from_slice(subject);
        const PADDING: [u8; UNIT] = [0; UNIT];
        page.extend_from_slice(PADDING.get(..at + size - page.len()).unwrap_or_default());
        self.id(number, at)
    }

    fn iter(&self) -> impl Iterator<Item = (SubjectId, &[u8])> {
        self.pages.iter().enumerate().flat_map(move |(page, bytes)| {
            let mut at = if page == 0 { UNIT } else { 0 };
            std::iter::from_fn(move || {
                loop {
                    let len =
                        usize::from(u16::from_le_bytes([*bytes.get(at + 8)?, *bytes.get(at + 9)?]));
                    let id = self.id(page, at);
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

impl Shard {
    pub(super) fn new(number: u32, bits: u32) -> Self {
        Self {
            table: HashTable::new(),
            arena: Arena { number, bits, pages: Vec::new(), free: Vec::new() },
            several: Vec::new(),
            several_free: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Subjects there is room for without growing.
    pub(super) fn capacity(&self) -> usize {
        self.table.capacity()
    }

    pub(super) fn memory(&self) -> usize {
        self.arena.pages.iter().map(Vec::len).sum::<usize>()
            + self.table.capacity() * 8 / 7 * 5
            + self.several.capacity() * size_of::<Totals>()
    }

    /// Makes room for `more` subjects at once: growing step by step hashes every text again.
    pub(super) fn reserve(&mut self, more: usize, hasher: &FixedState) {
        let arena = &self.arena;
        self.table.reserve(more, |&id| hasher.hash_one(arena.text(id)));
    }

    /// Gives back room that turned out not to be needed.
    pub(super) fn shrink(&mut self, hasher: &FixedState) {
        if self.table.capacity() > self.table.len() * 2 + 64 {
            let arena = &self.arena;
            self.table.shrink_to(0, |&id| hasher.hash_one(arena.text(id)));
        }
    }

    pub(super) fn find(&self, hash: u64, subject: &[u8]) -> Option<SubjectId> {
        self.table.find(hash, |&id| self.arena.text(id) == subject).copied()
    }

    /// Brings the place where a hash is looked for into the cache.
    pub(super) fn warm(&self, hash: u64) {
        std::hint::black_box(self.table.find(hash, |_| false).is_some());
    }

    pub(super) fn text(&self, id: SubjectId) -> &[u8] {
        self.arena.text(id)
    }

    /// The record of a subject, and whether it is new and has no totals yet.
    fn place(&mut self, hash: u64, subject: &[u8], hasher: &FixedState) -> (SubjectId, bool) {
        let arena = &self.arena;
        let entry = self.table.entry(
            hash,
            |&id| arena.text(id) == subject,
            |&id| hasher.hash_one(arena.text(id)),
        );
        match entry {
            Entry::Occupied(entry) => (*entry.get(), false),
            Entry::Vacant(entry) => {
                let id = self.arena.allocate(subject);
                entry.insert(id);
                (id, true)
            }
        }
    }

    /// Counts one more message, the newest of its subject.
    pub(super) fn add(
        &mut self,
        hash: u64,
        subject: &[u8],
        seq: u64,
        hasher: &FixedState,
    ) -> SubjectId {
        self.count(hash, subject, seq, hasher, |t| t.last = Place::Exact(seq))
    }

    /// Counts one more message, in no order with others of its subject.
    pub(super) fn add_any(
        &mut self,
        hash: u64,
        subject: &[u8],
        seq: u64,
        hasher: &FixedState,
    ) -> SubjectId {
        self.count(hash, subject, seq, hasher, |t| {
            if let Place::Exact(first) = t.first {
                t.first = Place::Exact(first.min(seq));
            }
            if let Place::Exact(last) = t.last {
                t.last = Place::Exact(last.max(seq));
            }
        })
    }

    fn count(
        &mut self,
        hash: u64,
        subject: &[u8],
        seq: u64,
        hasher: &FixedState,
        widen: impl FnOnce(&mut Totals),
    ) -> SubjectId {
        let (id, new) = self.place(hash, subject, hasher);
        if new {
            self.set(id, one(seq));
            return id;
        }
        let mut t = self.totals(id);
        t.total += 1;
        widen(&mut t);
        self.set(id, t);
        id
    }

    /// Adds a subject with its totals; false if it was there.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        subject: &[u8],
        totals: Totals,
        hasher: &FixedState,
    ) -> bool {
        let (id, new) = self.place(hash, subject, hasher);
        if new {
            self.set(id, totals);
        }
        new
    }

    pub(super) fn totals(&self, id: SubjectId) -> Totals {
        let raw = self.arena.raw(id);
        let value = raw & !TAG;
        let both = |place| Totals { total: 1, first: place, last: place };
        match raw & TAG {
            0 => both(Place::Exact(value)),
            TAG_BLOCK => both(Place::Block(value as u32)),
            _ => self.several.get(value as usize).copied().unwrap_or(both(Place::Exact(0))),
        }
    }

    pub(super) fn set(&mut self, id: SubjectId, t: Totals) {
        let old = self.arena.raw(id);
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
        if let Some(record) = self.arena.at_mut(id) {
            record[..8].copy_from_slice(&raw.to_le_bytes());
        }
    }

    /// Counts one message less; the subject goes with its last message. Returns what is left.
    pub(super) fn remove_one(&mut self, id: SubjectId, seq: u64, hasher: &FixedState) -> u64 {
        let mut t = self.totals(id);
        t.total = t.total.saturating_sub(1);
        if t.total == 0 {
            self.remove(id, hasher);
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

    fn remove(&mut self, id: SubjectId, hasher: &FixedState) {
        let hash = hasher.hash_one(self.text(id));
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        let raw = self.arena.raw(id);
        if raw & TAG == TAG_MULTI {
            self.several_free.push((raw & !TAG) as u32);
        }
        let units = (FIXED + self.text(id).len()).div_ceil(UNIT);
        if self.arena.free.len() <= units {
            self.arena.free.resize_with(units + 1, Vec::new);
        }
        self.arena.free[units].push(id);
        if let Some(record) = self.arena.at_mut(id) {
            record[..8].copy_from_slice(&FREED.to_le_bytes());
        }
    }

    /// Every subject, in the order of memory.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SubjectId, &[u8])> {
        self.arena.iter()
    }

    /// Its records, without what finds them and what says where there is room.
    pub(super) fn picture(&self) -> Self {
        let Arena { number, bits, ref pages, .. } = self.arena;
        Self {
            table: HashTable::new(),
            arena: Arena { number, bits, pages: pages.clone(), free: Vec::new() },
            several: self.several.clone(),
            several_free: Vec::new(),
        }
    }
}

fn one(seq: u64) -> Totals {
    Totals { total: 1, first: Place::Exact(seq), last: Place::Exact(seq) }
}
