//! An account: one space of subjects, its interest, its limits and its counters; and what it shares
//! with other accounts.
//!
//! `definition` is the configuration as plain data, `draft` checks and compiles it, `define` puts
//! it in force; `shadow` (streams) and `response` (services) are the running state of sharing.
//!
//! Not here: how messages cross accounts (`dispatch::service`), users (`auth`).
//! Laws: interest changes under the write lock and bumps the generation before the lock is given
//!       up, so no cached match outlives what it was made from; accounts refer to each other
//!       weakly, the broker's table owns them.

mod cycle;
mod define;
pub mod definition;
mod draft;
pub mod error;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod latency;
mod limits;
mod mapping;
mod redefine;
pub(crate) mod request_info;
pub(crate) mod response;
mod shadow;
pub mod snapshot;
mod watch;

pub use define::Changed;
pub use definition::AccountDefinition;
pub use draft::check;
pub use error::AccountError;
pub use import::ServiceImport;
pub use limits::Limits;
pub use request_info::client_info;
pub use watch::Watcher;

use crate::conn::Kind;
use crate::stats::Counters;
use crate::sub::{Handle, Sub};
use crate::tracing::TraceTarget;
use arc_swap::{ArcSwap, ArcSwapOption};
use export::Exports;
use latency::Samples;
use mapping::AccountMappings;
use parking_lot::{Mutex, RwLock};
use response::{Expected, Responses};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use subject::sublist::{Entry, Generations, Matched, Stamp, Sublist};

/// The account of clients that name none.
pub const GLOBAL: &str = "$G";
/// The default system account.
pub const SYSTEM: &str = "$SYS";

/// Rare properties, tested on the message path.
pub(crate) mod flag {
    /// Published subjects are mapped.
    pub(crate) const MAPPED: u32 = 1;
    /// Subscriptions may reach into other accounts.
    pub(crate) const STREAM_IMPORTS: u32 = 1 << 1;
    /// Some do, or did.
    pub(crate) const SHADOWS: u32 = 1 << 2;
    /// It is the system account.
    pub(crate) const SYSTEM: u32 = 1 << 3;
}

/// Eight characters that stand for a name, as the reference's servers name each other in subjects.
pub(crate) fn short_hash(name: &str) -> String {
    use sha2::Digest;
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = sha2::Sha256::digest(name.as_bytes());
    hash.iter().take(8).map(|b| char::from(digits[usize::from(*b) % 62])).collect()
}

/// A service import in force and its entry in the interest.
pub(crate) type Service = (Arc<ServiceImport>, Arc<Sub>);

/// Flags on a cache line of their own: every message reads them, nothing near them is written.
#[derive(Default)]
#[repr(align(64))]
struct Flags(AtomicU32);

/// One account.
pub struct Account {
    /// Its name, or public key in operator mode.
    pub name: String,
    /// Number in this process; keys the match caches.
    pub id: u32,
    flags: Flags,
    interest: RwLock<Sublist<Handle>>,
    generations: Generations,
    watches: watch::Watches,
    /// What it may use.
    pub limits: Limits,
    pub(crate) exports: ArcSwap<Exports>,
    pub(crate) mappings: ArcSwap<AccountMappings>,
    pub(crate) services: Mutex<Vec<Service>>,
    pub(crate) shadows: Mutex<shadow::Shadows>,
    pub(crate) responses: Responses,
    pub(crate) expected: Expected,
    /// `_R_.xxxxxx.`, the start of the reply subjects its responders are given.
    pub(crate) reply_prefix: OnceLock<Box<[u8]>>,
    pub(crate) samples: Arc<Samples>,
    /// Where messages with a `traceparent` are traced to.
    pub(crate) trace: ArcSwapOption<TraceTarget>,
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
    /// An account without interest. `samples` is where latency samples wait.
    pub(crate) fn new(name: String, id: u32, workers: usize, samples: Arc<Samples>) -> Self {
        Self {
            name,
            id,
            flags: Flags::default(),
            interest: RwLock::new(Sublist::default()),
            generations: Generations::default(),
            watches: watch::Watches::default(),
            limits: Limits::default(),
            exports: ArcSwap::default(),
            mappings: ArcSwap::default(),
            services: Mutex::default(),
            shadows: Mutex::default(),
            responses: Responses::default(),
            expected: Expected::default(),
            reply_prefix: OnceLock::new(),
            samples,
            trace: ArcSwapOption::default(),
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

    /// Whether all of `bits` are set.
    #[inline]
    pub(crate) fn has(&self, bits: u32) -> bool {
        self.flags.0.load(Ordering::Relaxed) & bits == bits
    }

    pub(crate) fn set_flag(&self, bits: u32, on: bool) {
        if on {
            self.flags.0.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.flags.0.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Whether it is the system account.
    pub fn is_system(&self) -> bool {
        self.has(flag::SYSTEM)
    }

    /// Counts one more client if the account may have one (CORE-035).
    pub fn admit_client(&self) -> bool {
        let admitted = self.limits.admit(&self.clients);
        if admitted {
            self.total_clients.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Adds a subscription to the interest, and to that of the accounts it imports from.
    pub fn subscribe(self: &Arc<Self>, sub: &Arc<Sub>) {
        self.enter(sub);
        self.cast_shadows(sub);
    }

    /// Removes a subscription, and what was there only because of it.
    pub fn unsubscribe(&self, sub: &Arc<Sub>) -> bool {
        let removed = self.leave(sub);
        if removed {
            self.lift_shadows(sub);
            self.forget_lost_answers(sub.filter());
        }
        removed
    }

    fn enter(&self, sub: &Arc<Sub>) {
        let mut interest = self.interest.write();
        interest.insert(Handle(sub.clone()));
        self.generations.changed(sub.filter());
        drop(interest);
        self.inserts.fetch_add(1, Ordering::Relaxed);
        self.watches.changed(sub.filter());
    }

    fn leave(&self, sub: &Arc<Sub>) -> bool {
        let mut interest = self.interest.write();
        let removed = interest.remove(&Handle(sub.clone()));
        if removed {
            self.generations.changed(sub.filter());
            drop(interest);
            self.removes.fetch_add(1, Ordering::Relaxed);
            self.watches.changed(sub.filter());
        }
        removed
    }

    /// Calls `watcher` whenever a subscription to exactly `subject` begins or ends.
    pub fn watch(&self, subject: &[u8], watcher: Arc<dyn Watcher>) {
        self.watches.add(subject, watcher);
    }

    /// Ends that.
    pub fn unwatch(&self, subject: &[u8], watcher: &Arc<dyn Watcher>) {
        self.watches.remove(subject, watcher);
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

    /// Whether anybody wants `subject`.
    pub fn is_wanted(&self, subject: &[u8]) -> bool {
        let mut matched = Matched::default();
        self.interest.read().matches(subject, &mut matched);
        !matched.is_empty()
    }

    /// Whether a subscription is to `subject` letter by letter, in queue group `group`, or in none if
    /// that is empty.
    pub fn is_subscribed(&self, subject: &[u8], group: &[u8]) -> bool {
        let mut matched = Matched::default();
        self.interest.read().matches(subject, &mut matched);
        let is_it = |h: &Handle| h.filter() == subject && h.queue().unwrap_or_default() == group;
        matched.all().any(is_it)
    }

    /// Number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.interest.read().len()
    }

    /// How many subscriptions of clients a message on `subject` would reach or, where that is a
    /// filter, lie inside it; those of queue group `group` only, if one is given.
    pub fn count_clients(&self, subject: &[u8], group: Option<&[u8]>) -> u64 {
        let fits = |sub: &Sub| {
            sub.conn().is_some_and(|conn| conn.kind == Kind::Client)
                && group.is_none_or(|group| group == sub.queue().unwrap_or_default())
        };
        let mut count = 0;
        if !subject::has_wildcard(subject) {
            let mut matched = Matched::default();
            self.matches(subject, &mut matched);
            // Compat(SYS-016): a group that is given but empty is no reason to count what is in none.
            let in_groups = |handle: &Handle| group.is_none() || handle.queue().is_some();
            count += matched.all().filter(|h| in_groups(h) && fits(&h.0)).count() as u64;
        } else {
            self.for_each_sub(|sub| {
                count += u64::from(subject::is_subset(sub.filter(), subject) && fits(sub));
            });
        }
        count
    }

    /// How many subscriptions want `subject` (or are there at all), and those of them that stand on
    /// the page, in the index's order. The lock is held for a walk over the index's table, not over
    /// the subscriptions.
    pub fn subs_page(&self, subject: Option<&[u8]>, page: Range<u64>) -> (u64, Vec<Arc<Sub>>) {
        let (mut at, mut found) = (0, Vec::new());
        let mut take = |handle: &Handle| {
            if page.contains(&at) {
                found.push(handle.0.clone());
            }
            at += 1;
        };
        match subject {
            Some(subject) => {
                let mut matched = Matched::default();
                self.matches(subject, &mut matched);
                matched.all().for_each(&mut take);
            }
            None => self.interest.read().for_each(&mut take),
        }
        (at, found)
    }

    /// Calls `each` for every subscription, under the read lock.
    pub(crate) fn for_each_sub(&self, mut each: impl FnMut(&Arc<Sub>)) {
        self.interest.read().for_each(|handle| each(&handle.0));
    }
}
