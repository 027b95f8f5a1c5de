//! The interest index: which subscriptions want a subject.
//!
//! Literal filters live in one hash table (a lookup is one probe); filters with wildcards live in
//! a token trie that is walked only when it is not empty.
//!
//! Not here: match caches (they belong to the readers; see [`Generations`]), locks (the owner's).
//! Laws: `matches` yields exactly the inserted entries whose filter matches the literal subject,
//!       plain entries and queue groups apart; every insert and removal changes the generation
//!       stamp of each subject whose result it can change.
//! Reference: sublist.go Sublist.   Contract: SUBJ-001, SUBJ-002, SUBJ-003.

mod generation;
mod matched;
mod trie;

pub use generation::{Generations, Stamp};
pub use matched::Matched;

use hashbrown::HashTable;
use std::hash::BuildHasher;
use trie::Trie;

/// What the index needs to know of a subscription. Clones are handles to the same one.
pub trait Entry: Clone {
    /// The filter.
    fn filter(&self) -> &[u8];
    /// The queue group, if any.
    fn queue(&self) -> Option<&[u8]>;
    /// Whether both handles are the same subscription.
    fn is(&self, other: &Self) -> bool;
}

/// The interest index of one account.
pub struct Sublist<E> {
    literals: HashTable<Slot<E>>,
    wildcards: Trie<E>,
    hasher: foldhash::fast::RandomState,
    len: usize,
}

/// Subscriptions with the same literal filter; one is by far the usual number.
enum Slot<E> {
    One(E),
    Many(Box<Group<E>>),
}

/// Subscriptions with the same filter.
pub(crate) struct Group<E> {
    plain: Vec<E>,
    queues: Vec<(Box<[u8]>, Vec<E>)>,
}

impl<E: Entry> Default for Sublist<E> {
    fn default() -> Self {
        Self {
            literals: HashTable::new(),
            wildcards: Trie::default(),
            hasher: foldhash::fast::RandomState::default(),
            len: 0,
        }
    }
}

impl<E: Entry> Sublist<E> {
    /// Number of subscriptions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody subscribes to anything.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a subscription. The filter is taken as valid.
    pub fn insert(&mut self, entry: E) {
        self.len += 1;
        if has_wildcard(entry.filter()) {
            self.wildcards.insert(entry);
            return;
        }
        let hash = self.hasher.hash_one(entry.filter());
        let hasher = &self.hasher;
        match self.literals.find_mut(hash, |slot| slot.filter() == entry.filter()) {
            Some(slot) => slot.push(entry),
            None => {
                self.literals
                    .insert_unique(hash, Slot::One(entry), |slot| hasher.hash_one(slot.filter()));
            }
        }
    }

    /// Removes a subscription; `false` if it was not there.
    pub fn remove(&mut self, entry: &E) -> bool {
        let removed = if has_wildcard(entry.filter()) {
            self.wildcards.remove(entry)
        } else {
            self.remove_literal(entry)
        };
        self.len -= usize::from(removed);
        removed
    }

    fn remove_literal(&mut self, entry: &E) -> bool {
        let hash = self.hasher.hash_one(entry.filter());
        let Ok(mut found) = self.literals.find_entry(hash, |slot| slot.filter() == entry.filter())
        else {
            return false;
        };
        let (removed, empty) = match found.get_mut() {
            Slot::One(one) => (one.is(entry), true),
            Slot::Many(group) => (group.remove(entry), group.is_empty()),
        };
        if removed && empty {
            found.remove();
            // Give memory back after a burst (a million subscriptions gone with their client).
            if self.literals.capacity() > 1024 && self.literals.len() < self.literals.capacity() / 8
            {
                let hasher = &self.hasher;
                self.literals.shrink_to(self.literals.len() * 2, |s| hasher.hash_one(s.filter()));
            }
        }
        removed
    }

    /// Collects the subscriptions that want `subject` into `out`, which is cleared first.
    /// Wildcard tokens in `subject` are taken literally (SUBJ-002).
    pub fn matches(&self, subject: &[u8], out: &mut Matched<E>) {
        out.clear();
        if !self.literals.is_empty() {
            let hash = self.hasher.hash_one(subject);
            match self.literals.find(hash, |slot| slot.filter() == subject) {
                Some(Slot::One(entry)) => out.add(entry),
                Some(Slot::Many(group)) => group.collect(out),
                None => {}
            }
        }
        if !self.wildcards.is_empty() && !has_empty_token(subject) {
            self.wildcards.matches(subject, out);
        }
        out.finish();
    }

    /// Calls `each` for every subscription, in no particular order.
    pub fn for_each(&self, mut each: impl FnMut(&E)) {
        for slot in &self.literals {
            match slot {
                Slot::One(entry) => each(entry),
                Slot::Many(group) => group.for_each(&mut each),
            }
        }
        self.wildcards.for_each(&mut each);
    }
}

impl<E: Entry> Slot<E> {
    fn filter(&self) -> &[u8] {
        match self {
            Self::One(entry) => entry.filter(),
            Self::Many(group) => group.filter(),
        }
    }

    fn push(&mut self, entry: E) {
        match self {
            Self::Many(group) => group.push(entry),
            Self::One(first) => {
                let mut group = Group::default();
                group.push(first.clone());
                group.push(entry);
                *self = Self::Many(Box::new(group));
            }
        }
    }
}

impl<E> Default for Group<E> {
    fn default() -> Self {
        Self { plain: Vec::new(), queues: Vec::new() }
    }
}

impl<E: Entry> Group<E> {
    fn filter(&self) -> &[u8] {
        let first = self.plain.first().or_else(|| self.queues.first().and_then(|(_, m)| m.first()));
        first.map_or(&[], E::filter)
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }

    fn push(&mut self, entry: E) {
        let Some(queue) = entry.queue() else {
            if self.plain.is_empty() {
                // Most have one, and there are many.
                self.plain.reserve_exact(1);
            }
            self.plain.push(entry);
            return;
        };
        match self.queues.iter_mut().find(|(name, _)| **name == *queue) {
            Some((_, members)) => members.push(entry),
            None => {
                let name = queue.into();
                self.queues.push((name, vec![entry]));
            }
        }
    }

    fn remove(&mut self, entry: &E) -> bool {
        let Some(queue) = entry.queue() else { return swap_out(&mut self.plain, entry) };
        let Some(at) = self.queues.iter().position(|(name, _)| **name == *queue) else {
            return false;
        };
        let Some((_, members)) = self.queues.get_mut(at) else { return false };
        let removed = swap_out(members, entry);
        if members.is_empty() {
            self.queues.swap_remove(at);
        }
        removed
    }

    fn collect(&self, out: &mut Matched<E>) {
        for entry in &self.plain {
            out.add_plain(entry);
        }
        for (name, members) in &self.queues {
            out.add_queue(name, members);
        }
    }

    fn for_each(&self, each: &mut impl FnMut(&E)) {
        self.plain.iter().for_each(&mut *each);
        for (_, members) in &self.queues {
            members.iter().for_each(&mut *each);
        }
    }
}

fn swap_out<E: Entry>(entries: &mut Vec<E>, entry: &E) -> bool {
    match entries.iter().position(|e| e.is(entry)) {
        Some(at) => {
            entries.swap_remove(at);
            if entries.capacity() > 64 && entries.len() < entries.capacity() / 4 {
                entries.shrink_to(entries.len() * 2);
            }
            true
        }
        None => false,
    }
}

/// Whether a filter has a wildcard token (`*` or `>` alone between dots).
pub(crate) fn has_wildcard(filter: &[u8]) -> bool {
    if memchr::memchr2(b'*', b'>', filter).is_none() {
        return false;
    }
    filter.split(|b| *b == b'.').any(|token| matches!(token, b"*" | b">"))
}

/// Such a subject is nobody's: no filter has an empty token, and a wildcard stands for none.
fn has_empty_token(subject: &[u8]) -> bool {
    subject.split(|b| *b == b'.').any(<[u8]>::is_empty)
}

#[cfg(test)]
mod tests;
