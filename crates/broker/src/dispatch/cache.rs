//! A worker's memory of who wanted a subject.
//!
//! Two-way set associative, where a full set overflows into its neighbour; grown on demand. An entry
//! is valid while its account's generation for the subject is unchanged. A subject is admitted at
//! its second miss (`seen`), so that one-off subjects (inboxes) neither allocate nor push useful
//! entries out. The commonest result, one literal subscription, is kept in the set itself: the
//! subscription's own filter proves the subject, and a lookup among very many subjects costs two
//! cache misses instead of seven.
//!
//! Laws: bounded by `MAX_SETS` sets; a hit is never older than the account's interest.
//! Hot path.

use super::seen::Seen;
use crate::account::Account;
use crate::sub::{Handle, Sub};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use subject::sublist::{Matched, Stamp};

const MIN_SETS: usize = 64;
const MAX_SETS: usize = 1 << 17;
const WAYS: usize = 2;

/// A result of more than one subscription, or of none.
struct Entry {
    account: Arc<Account>,
    subject: Box<[u8]>,
    stamp: Stamp,
    found: Rc<Found>,
}

/// Who wants a subject, and what a run of messages to them has to know.
pub(crate) struct Found {
    /// The subscriptions.
    pub matched: Matched<Handle>,
    /// A connection may be reached by more than one of them.
    pub meets_again: bool,
}

#[derive(Default)]
enum Way {
    #[default]
    Empty,
    /// One plain subscription whose filter is the subject.
    One {
        account: Arc<Account>,
        sub: Arc<Sub>,
        stamp: Stamp,
        tag: u32,
    },
    Many {
        entry: Box<Entry>,
        tag: u32,
    },
}

/// One cache line.
#[derive(Default)]
#[repr(align(64))]
struct Set([Way; WAYS]);
const _: () = assert!(size_of::<Set>() == 64);

/// Cached match results of one worker.
#[derive(Default)]
pub(crate) struct MatchCache {
    sets: Vec<Set>,
    /// Subjects missed once.
    seen: Seen,
    evictions: usize,
    hasher: foldhash::fast::RandomState,
}

/// A valid result.
pub(crate) enum Hit {
    /// One plain subscription.
    One(Arc<Sub>),
    /// Any other.
    Many(Rc<Found>),
}

/// Where a missed subject's result would go.
#[derive(Clone, Copy)]
pub(crate) struct Miss {
    hash: u64,
    stamp: Stamp,
    /// Whether to keep the result.
    pub admit: bool,
}

/// The part of a hash that does not choose the set.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Way {
    /// Part of the hash, to tell entries apart without following their pointers.
    fn tag(&self) -> Option<u32> {
        match self {
            Self::Empty => None,
            Self::One { tag, .. } | Self::Many { tag, .. } => Some(*tag),
        }
    }

    fn key(&self) -> Option<(u32, &[u8])> {
        match self {
            Self::Empty => None,
            Self::One { account, sub, .. } => Some((account.id, sub.filter())),
            Self::Many { entry, .. } => Some((entry.account.id, &entry.subject)),
        }
    }

    /// Takes the entry out of its account's counts.
    fn forget(self) {
        let (account, fanout) = match &self {
            Self::Empty => return,
            Self::One { account, .. } => (account, 1),
            Self::Many { entry, .. } => (&entry.account, entry.found.matched.fanout() as u64),
        };
        account.cached.fetch_sub(1, Ordering::Relaxed);
        account.fanout_total.fetch_sub(fanout, Ordering::Relaxed);
    }

    fn is_for(&self, id: u32, subject: &[u8]) -> bool {
        match self {
            Self::Empty => false,
            Self::One { account, sub, .. } => account.id == id && sub.filter() == subject,
            Self::Many { entry, .. } => entry.account.id == id && *entry.subject == *subject,
        }
    }
}

impl Drop for MatchCache {
    fn drop(&mut self) {
        for way in self.sets.drain(..).flat_map(|set| set.0) {
            way.forget();
        }
    }
}

impl MatchCache {
    /// The hash `subject` is looked up by.
    #[inline]
    pub(crate) fn hash(&self, account: &Account, subject: &[u8]) -> u64 {
        self.hasher.hash_one((account.id, subject))
    }

    /// The set a hash belongs in, and its neighbour, which takes what does not fit there.
    #[inline]
    fn places(&self, hash: u64) -> [usize; 2] {
        let set = hash as usize & self.sets.len().wrapping_sub(1);
        [set, set ^ 1]
    }

    /// Reads, for nothing, what looking up each of `hashes` and delivering will read: the waits
    /// for memory overlap, where one lookup after the other would add them up.
    #[inline]
    pub(crate) fn look_ahead(&self, hashes: &[u64]) {
        let mask = self.sets.len().wrapping_sub(1);
        let mut seen = 0;
        for hash in hashes {
            let first = self.sets.get(*hash as usize & mask).and_then(|set| set.0[0].tag());
            seen ^= first.unwrap_or(0);
        }
        for hash in hashes {
            let ways = self.sets.get(*hash as usize & mask).map_or(&[][..], |set| &set.0);
            for way in ways {
                if let Way::One { sub, tag: of, .. } = way
                    && *of == tag(*hash)
                {
                    seen ^= sub.look_ahead();
                }
            }
        }
        std::hint::black_box(seen);
    }

    /// The current result for `subject`, whose hash is `hash`, or where to put it.
    #[inline]
    pub(crate) fn get(
        &mut self,
        hash: u64,
        account: &Account,
        subject: &[u8],
    ) -> Result<Hit, Miss> {
        let stamp = account.stamp(subject);
        if self.sets.is_empty() {
            self.grow_to(MIN_SETS);
        }
        for set in self.places(hash) {
            let ways = self.sets.get(set).map_or(&[][..], |set| &set.0);
            for way in ways {
                if way.tag() != Some(tag(hash)) || !way.is_for(account.id, subject) {
                    continue;
                }
                match way {
                    Way::One { stamp: of, sub, .. } if *of == stamp => {
                        return Ok(Hit::One(sub.clone()));
                    }
                    Way::Many { entry, .. } if entry.stamp == stamp => {
                        return Ok(Hit::Many(entry.found.clone()));
                    }
                    _ => return Err(Miss { hash, stamp, admit: true }),
                }
            }
        }
        Err(Miss { hash, stamp, admit: self.seen.again(hash) })
    }

    /// Keeps a result.
    pub(crate) fn put(
        &mut self,
        miss: Miss,
        account: &Arc<Account>,
        subject: &[u8],
        matched: &Matched<Handle>,
        meets_again: bool,
    ) {
        let (hash, stamp) = (miss.hash, miss.stamp);
        let way = match matched.plain() {
            [one] if matched.fanout() == 1 && one.0.filter() == subject => {
                Way::One { account: account.clone(), sub: one.0.clone(), stamp, tag: tag(hash) }
            }
            _ => {
                let found = Rc::new(Found { matched: matched.clone(), meets_again });
                let account = account.clone();
                let entry = Box::new(Entry { account, subject: subject.into(), stamp, found });
                Way::Many { entry, tag: tag(hash) }
            }
        };
        account.cached.fetch_add(1, Ordering::Relaxed);
        account.fanout_total.fetch_add(matched.fanout() as u64, Ordering::Relaxed);
        self.place(way, hash, |old| old.is_for(account.id, subject));
        if self.evictions > self.sets.len() / 8 && self.sets.len() < MAX_SETS {
            self.grow_to(self.sets.len() * 4);
        }
    }

    fn place(&mut self, way: Way, hash: u64, same: impl Fn(&Way) -> bool) {
        let places = self.places(hash);
        let find = |wanted: &dyn Fn(&Way) -> bool| {
            places.into_iter().find_map(|set| {
                let at = self.sets.get(set)?.0.iter().position(wanted)?;
                Some((set, at))
            })
        };
        let old = find(&|old| old.tag() == Some(tag(hash)) && same(old));
        let found = old.or_else(|| find(&|old| matches!(old, Way::Empty)));
        let (set, at) = found.unwrap_or_else(|| {
            self.evictions += 1;
            (places[0], (hash >> 40) as usize % WAYS)
        });
        if let Some(slot) = self.sets.get_mut(set).and_then(|set| set.0.get_mut(at)) {
            std::mem::replace(slot, way).forget();
        }
    }

    fn grow_to(&mut self, sets: usize) {
        let sets = sets.min(MAX_SETS);
        let old = std::mem::take(&mut self.sets);
        self.sets.resize_with(sets, Set::default);
        for way in old.into_iter().flat_map(|set| set.0) {
            if let Some(hash) = way.key().map(|key| self.hasher.hash_one(key)) {
                self.place(way, hash, |_| false);
            }
        }
        self.evictions = 0;
    }

    /// Drops results that are out of date (they hold on to subscriptions that are gone).
    pub(crate) fn sweep(&mut self) {
        let mut kept = 0;
        for way in self.sets.iter_mut().flat_map(|set| set.0.iter_mut()) {
            let stale = match way {
                Way::Empty => continue,
                Way::One { sub, .. } => sub.is_closed(),
                Way::Many { entry, .. } => entry.stamp != entry.account.stamp(&entry.subject),
            };
            if stale {
                std::mem::take(way).forget();
            } else {
                kept += 1;
            }
        }
        if kept == 0 {
            self.sets = Vec::new();
            self.seen.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::latency::Samples;

    /// Subjects in turn, several times, as a publisher with many keys sends them.
    #[test]
    fn many_subjects_in_turn_are_soon_all_remembered() {
        const SUBJECTS: usize = 3000;
        let account = Arc::new(Account::new("A".into(), 1, 1, Arc::<Samples>::default()));
        let mut cache = MatchCache::default();
        let subjects: Vec<String> = (0..SUBJECTS).map(|n| format!("in.turn.{n}")).collect();
        let mut missed = 0;
        for _ in 0..20 {
            missed = 0;
            for subject in &subjects {
                let subject = subject.as_bytes();
                let hash = cache.hash(&account, subject);
                let Err(miss) = cache.get(hash, &account, subject) else { continue };
                missed += 1;
                if miss.admit {
                    cache.put(miss, &account, subject, &Matched::default(), false);
                }
            }
        }
        assert!(missed < SUBJECTS / 10, "{missed} of {SUBJECTS} are looked up each time");
    }
}
