//! An account: one space of subjects, its interest, its limits and its counters.
//!
//! Laws: interest changes under the write lock and bumps the generation before the lock is given
//!       up, so no cached match outlives what it was made from.

use crate::stats::Counters;
use crate::sub::{Handle, Sub};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subject::sublist::{Generations, Matched, Stamp, Sublist};

/// The account of clients that name none.
pub const GLOBAL: &str = "$G";
/// The default system account.
pub const SYSTEM: &str = "$SYS";

/// One account.
pub struct Account {
    /// Its name, or public key in operator mode.
    pub name: String,
    /// Number in this process; keys the match caches.
    pub id: u32,
    interest: RwLock<Sublist<Handle>>,
    generations: Generations,
    /// Messages and bytes of its clients.
    pub counters: Counters,
    /// Clients connected now.
    pub clients: AtomicU64,
    /// Clients ever connected.
    pub total_clients: AtomicU64,
    /// Slow consumers seen.
    pub slow_consumers: AtomicU64,
    /// Results that workers remember now, and how many receivers they have in all and at most.
    pub cached: AtomicU64,
    pub fanout_total: AtomicU64,
    pub fanout_max: AtomicU64,
    /// Subscriptions ever added.
    pub inserts: AtomicU64,
    /// Subscriptions ever removed.
    pub removes: AtomicU64,
}

impl Account {
    /// An account without interest.
    pub fn new(name: String, id: u32, workers: usize) -> Self {
        Self {
            name,
            id,
            interest: RwLock::new(Sublist::default()),
            generations: Generations::default(),
            counters: Counters::new(workers),
            clients: AtomicU64::new(0),
            total_clients: AtomicU64::new(0),
            slow_consumers: AtomicU64::new(0),
            cached: AtomicU64::new(0),
            fanout_total: AtomicU64::new(0),
            fanout_max: AtomicU64::new(0),
            inserts: AtomicU64::new(0),
            removes: AtomicU64::new(0),
        }
    }

    /// Adds a subscription to the interest.
    pub fn subscribe(&self, sub: &Arc<Sub>) {
        let mut interest = self.interest.write();
        interest.insert(Handle(sub.clone()));
        self.generations.changed(sub.filter());
        drop(interest);
        self.inserts.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a subscription from the interest.
    pub fn unsubscribe(&self, sub: &Arc<Sub>) -> bool {
        let mut interest = self.interest.write();
        let removed = interest.remove(&Handle(sub.clone()));
        if removed {
            self.generations.changed(sub.filter());
            drop(interest);
            self.removes.fetch_add(1, Ordering::Relaxed);
        }
        removed
    }

    /// The generation of results for `subject`; read it before matching.
    #[inline]
    pub fn stamp(&self, subject: &[u8]) -> Stamp {
        self.generations.stamp(subject)
    }

    /// Who wants `subject`.
    pub fn matches(&self, subject: &[u8], out: &mut Matched<Handle>) {
        self.interest.read().matches(subject, out);
    }

    /// Notes how many receivers a subject has.
    #[inline]
    pub(crate) fn note_fanout(&self, fanout: usize) {
        let fanout = fanout as u64;
        if fanout > self.fanout_max.load(Ordering::Relaxed) {
            self.fanout_max.fetch_max(fanout, Ordering::Relaxed);
        }
    }

    /// Number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.interest.read().len()
    }

    /// Calls `each` for every subscription, under the read lock.
    pub fn for_each_sub(&self, mut each: impl FnMut(&Arc<Sub>)) {
        self.interest.read().for_each(|handle| each(&handle.0));
    }
}
