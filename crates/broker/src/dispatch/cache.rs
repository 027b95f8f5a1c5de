//! A worker's memory of who wanted a subject.
//!
//! Two-way set associative, grown on demand; an entry is valid while its account's generation for
//! the subject is unchanged. A subject is admitted at its second miss, so that one-off subjects
//! (inboxes) neither allocate nor push useful entries out.
//!
//! Laws: bounded by `MAX_SETS` sets; a hit is never older than the account's interest.
//! Hot path.

use crate::account::Account;
use crate::sub::Handle;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use subject::sublist::{Matched, Stamp};

const MIN_SETS: usize = 64;
const MAX_SETS: usize = 1 << 16;
const WAYS: usize = 2;

struct Entry {
    account: Arc<Account>,
    hash: u64,
    subject: Box<[u8]>,
    stamp: Stamp,
    matched: Rc<Matched<Handle>>,
}

/// Cached match results of one worker.
pub(crate) struct MatchCache {
    sets: Vec<[Option<Box<Entry>>; WAYS]>,
    /// Fingerprints of subjects missed once, by set.
    seen: Vec<u16>,
    evictions: usize,
    hasher: foldhash::fast::RandomState,
}

impl Default for MatchCache {
    fn default() -> Self {
        Self {
            sets: Vec::new(),
            seen: Vec::new(),
            evictions: 0,
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

/// Where a missed subject's result would go.
#[derive(Clone, Copy)]
pub(crate) struct Miss {
    hash: u64,
    stamp: Stamp,
    /// Whether to keep the result.
    pub admit: bool,
}

impl MatchCache {
    /// The current result for `subject`, or where to put it.
    #[inline]
    pub(crate) fn get(
        &mut self,
        account: &Account,
        subject: &[u8],
    ) -> Result<Rc<Matched<Handle>>, Miss> {
        let hash = self.hasher.hash_one((account.id, subject));
        let stamp = account.stamp(subject);
        if self.sets.is_empty() {
            self.grow_to(MIN_SETS);
        }
        let set = hash as usize & (self.sets.len() - 1);
        if let Some(ways) = self.sets.get(set) {
            for entry in ways.iter().flatten() {
                if entry.hash == hash
                    && entry.account.id == account.id
                    && *entry.subject == *subject
                {
                    if entry.stamp == stamp {
                        return Ok(entry.matched.clone());
                    }
                    return Err(Miss { hash, stamp, admit: true });
                }
            }
        }
        let print = (hash >> 48) as u16;
        let admit = match self.seen.get_mut(set) {
            Some(seen) if *seen == print => true,
            Some(seen) => {
                *seen = print;
                false
            }
            None => false,
        };
        Err(Miss { hash, stamp, admit })
    }

    /// Keeps a result.
    pub(crate) fn put(
        &mut self,
        miss: Miss,
        account: &Arc<Account>,
        subject: &[u8],
        matched: Rc<Matched<Handle>>,
    ) {
        let set = miss.hash as usize & (self.sets.len() - 1);
        let Some(ways) = self.sets.get_mut(set) else { return };
        let same = |e: &Option<Box<Entry>>| {
            e.as_ref().is_none_or(|e| e.hash == miss.hash && *e.subject == *subject)
        };
        let way = ways.iter().position(same).unwrap_or_else(|| {
            self.evictions += 1;
            (miss.hash >> 40) as usize % WAYS
        });
        if let Some(slot) = ways.get_mut(way) {
            *slot = Some(Box::new(Entry {
                account: account.clone(),
                hash: miss.hash,
                subject: subject.into(),
                stamp: miss.stamp,
                matched,
            }));
        }
        if self.evictions > self.sets.len() / 2 && self.sets.len() < MAX_SETS {
            self.grow_to(self.sets.len() * 4);
        }
    }

    fn grow_to(&mut self, sets: usize) {
        let sets = sets.min(MAX_SETS);
        let old = std::mem::take(&mut self.sets);
        self.sets.resize_with(sets, || [None, None]);
        self.seen = vec![0; sets];
        self.evictions = 0;
        for entry in old.into_iter().flatten().flatten() {
            let set = entry.hash as usize & (sets - 1);
            if let Some(slot) =
                self.sets.get_mut(set).and_then(|ways| ways.iter_mut().find(|way| way.is_none()))
            {
                *slot = Some(entry);
            }
        }
    }

    /// Drops results that are out of date (they hold on to subscriptions that are gone).
    pub(crate) fn sweep(&mut self) {
        let mut kept = 0;
        for way in self.sets.iter_mut().flatten() {
            match way {
                Some(entry) if entry.stamp == entry.account.stamp(&entry.subject) => kept += 1,
                Some(_) => *way = None,
                None => {}
            }
        }
        if kept == 0 {
            self.sets = Vec::new();
            self.seen = Vec::new();
        }
    }
}
