//! Message ids seen within the duplicate window.
//!
//! Laws: an id is in the table at most once; entries leave in the order they came; memory is
//!       bounded by what was published within the window.
//! Reference: stream.go storeMsgId, purgeMsgIds.   Parity: PUB-002.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use stdx::time::Timestamp;

struct Entry {
    id: Box<[u8]>,
    seq: u64,
    ts: Timestamp,
}

/// The ids of the last window.
#[derive(Default)]
pub(crate) struct Dedupe {
    entries: VecDeque<Entry>,
    /// Positions, counted from the first entry ever.
    table: HashTable<u64>,
    /// Entries that left.
    gone: u64,
    hasher: DefaultHashBuilder,
}

impl Dedupe {
    /// The sequence an id was stored at within the window before `now`.
    pub(crate) fn find(&mut self, id: &[u8], window: Duration, now: Timestamp) -> Option<u64> {
        self.expire(window, now);
        let (gone, entries) = (self.gone, &self.entries);
        let at = self.table.find(self.hasher.hash_one(id), |at| {
            entry(entries, gone, *at).is_some_and(|e| *e.id == *id)
        })?;
        entry(&self.entries, self.gone, *at).map(|e| e.seq)
    }

    /// Remembers an id.
    pub(crate) fn insert(&mut self, id: &[u8], seq: u64, ts: Timestamp) {
        let hash = self.hasher.hash_one(id);
        let (gone, entries) = (self.gone, &self.entries);
        let same = |at: &u64| entry(entries, gone, *at).is_some_and(|e| *e.id == *id);
        if let Some(old) = self.table.find(hash, same).copied() {
            // The newer one counts; the older leaves in its turn without taking it along.
            let index = (old - self.gone) as usize;
            if let Some(e) = self.entries.get_mut(index) {
                e.seq = seq;
            }
            return;
        }
        let at = self.gone + self.entries.len() as u64;
        self.entries.push_back(Entry { id: id.into(), seq, ts });
        let (gone, entries, hasher) = (self.gone, &self.entries, &self.hasher);
        self.table.insert_unique(hash, at, |at| {
            entry(entries, gone, *at).map_or(0, |e| hasher.hash_one(&*e.id))
        });
    }

    /// Forgets ids older than the window.
    pub(crate) fn expire(&mut self, window: Duration, now: Timestamp) {
        let oldest = now.0.saturating_sub(i64::try_from(window.as_nanos()).unwrap_or(i64::MAX));
        while self.entries.front().is_some_and(|e| e.ts.0 < oldest) {
            let (gone, entries) = (self.gone, &self.entries);
            let Some(front) = entries.front() else { break };
            let hash = self.hasher.hash_one(&*front.id);
            if let Ok(found) = self.table.find_entry(hash, |at| *at == gone) {
                found.remove();
            }
            self.entries.pop_front();
            self.gone += 1;
        }
        if self.entries.is_empty() && self.entries.capacity() > 1024 {
            *self = Self { gone: self.gone, ..Self::default() };
        }
    }

    /// When the oldest id leaves.
    pub(crate) fn next_expiry(&self, window: Duration) -> Option<Timestamp> {
        self.entries.front().map(|e| e.ts + window)
    }

    /// Number of ids.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn entry(entries: &VecDeque<Entry>, gone: u64, at: u64) -> Option<&Entry> {
    entries.get(at.checked_sub(gone)? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_for_the_window() {
        let window = Duration::from_secs(10);
        let at = |s: i64| Timestamp(s * 1_000_000_000);
        let mut d = Dedupe::default();
        for i in 0..1000u64 {
            assert_eq!(d.find(format!("{i}").as_bytes(), window, at(i as i64)), None);
            d.insert(format!("{i}").as_bytes(), i + 1, at(i as i64));
            assert!(d.len() <= 12);
        }
        assert_eq!(d.find(b"995", window, at(1000)), Some(996));
        assert_eq!(d.find(b"980", window, at(1000)), None);
        assert_eq!(d.next_expiry(window), Some(at(1000)));
        assert_eq!(d.find(b"999", window, at(2000)), None);
        assert_eq!(d.len(), 0);
    }
}
