//! The log as the core sees it: bounds, the term of every entry, a cache of recent entries.
//!
//! Not here: the records themselves (the driver's store).
//! Laws: indexes are contiguous from `base` to `last`; terms never decrease; the cache is a
//!       contiguous run that ends at `last`; nothing at or below `base` can be truncated.
//! Reference: raft.go pterm, pindex, papplied, pae, loadEntry.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::codec::append::AppendEntry;
use crate::id::{LogIndex, Position, Term};

/// A stored append entry that is still in memory.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) entry: AppendEntry,
    pub(crate) record: Bytes,
}

/// Entries kept in memory after they were handed out, to serve peers that are a little behind.
const KEPT_AFTER_USE: usize = 64;

/// Bounds, terms and cache of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    base: Position,
    last: Position,
    /// Runs of equal terms: first index of the run, its term.
    runs: VecDeque<(LogIndex, Term)>,
    cache: VecDeque<Cached>,
}

impl Log {
    /// An empty log after `base`.
    pub(crate) fn after(base: Position) -> Self {
        Self { base, last: base, ..Self::default() }
    }

    /// What the snapshot covers; zero without one.
    pub(crate) fn base(&self) -> Position {
        self.base
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Position {
        self.last
    }

    /// The term of the entry at `index`; `None` beyond the log or before its base.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > self.last.index {
            return None;
        }
        let run = self.runs.partition_point(|&(first, _)| first <= index);
        self.runs.get(run.checked_sub(1)?).map(|&(_, term)| term)
    }

    /// The first index of the run of equal terms that `index` lies in, not below the base.
    pub(crate) fn run_start(&self, index: LogIndex) -> LogIndex {
        let run = self.runs.partition_point(|&(first, _)| first <= index);
        let start = run.checked_sub(1).and_then(|i| self.runs.get(i)).map(|&(first, _)| first);
        start.unwrap_or(self.base.index)
    }

    /// Adds the entry after `last`.
    pub(crate) fn push(&mut self, entry: AppendEntry, record: Bytes, cached_max: usize) {
        debug_assert_eq!(entry.prev.index, self.last.index, "the log is contiguous");
        let at = entry.end();
        self.note(at);
        self.cache.push_back(Cached { entry, record });
        if self.cache.len() > cached_max {
            self.cache.pop_front();
        }
    }

    fn note(&mut self, at: Position) {
        if self.runs.back().is_none_or(|&(_, term)| term != at.term) {
            self.runs.push_back((at.index, at.term));
        }
        self.last = at;
    }

    /// Drops everything after `index`; not below the base.
    pub(crate) fn truncate(&mut self, index: LogIndex) {
        let index = index.max(self.base.index);
        let Some(term) = self.term_at(index) else { return };
        let gone = self.last.index.distance(index);
        let keep = self.cache.len().saturating_sub(usize::try_from(gone).unwrap_or(usize::MAX));
        self.cache.truncate(keep);
        while self.runs.back().is_some_and(|&(first, _)| first > index) {
            self.runs.pop_back();
        }
        self.last = Position::new(term, index);
    }

    /// Drops everything up to `position`, which a snapshot covers.
    pub(crate) fn compact(&mut self, position: Position) {
        if position.index >= self.last.index {
            *self = Self::after(position);
            return;
        }
        while self.runs.get(1).is_some_and(|&(first, _)| first <= position.index.next()) {
            self.runs.pop_front();
        }
        if let Some(front) = self.runs.front_mut() {
            front.0 = front.0.max(position.index.next());
        }
        self.base = position;
        while self.cache.front().is_some_and(|c| c.entry.end().index <= position.index) {
            self.cache.pop_front();
        }
    }

    /// The entry at `index`, if it is in memory.
    pub(crate) fn cached(&self, index: LogIndex) -> Option<&Cached> {
        let first = self.cache.front()?.entry.end().index;
        let offset = usize::try_from(index.0.checked_sub(first.0)?).ok()?;
        self.cache.get(offset)
    }

    /// Lets go of entries at or below `index`, but for the newest few.
    pub(crate) fn release(&mut self, index: LogIndex) {
        while self.cache.len() > KEPT_AFTER_USE
            && self.cache.front().is_some_and(|c| c.entry.end().index <= index)
        {
            self.cache.pop_front();
        }
    }

    /// The entries in memory, oldest first.
    #[cfg(test)]
    pub(crate) fn cache_len(&self) -> usize {
        self.cache.len()
    }
}
