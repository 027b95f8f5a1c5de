//! An account's JetStream: which streams it has, what it may use and what it uses.
//!
//! Laws: a stream's name is entered here before anything of it exists, and leaves after everything
//!       of it is gone; whoever enters a name owns it until the entry is complete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use broker::account::Account;
use jetstream_api::validate::{self, AccountLimits, Tier, reservation};
use jetstream_api::{JetStreamAccountLimits, StorageType, StreamConfig};
use jetstream_core::Facts;
use parking_lot::{Mutex, MutexGuard};
use subject::FilterSet;

/// A stream as the whole account sees it.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The shard that owns it.
    pub(crate) shard: usize,
    /// Its place there; `None` while it is being made.
    pub(crate) place: Option<u32>,
    /// Its configuration.
    pub(crate) config: Arc<StreamConfig>,
    /// How many consumers it has.
    pub(crate) consumers: Arc<AtomicUsize>,
}

/// Streams by name.
pub(crate) type Streams = BTreeMap<String, Entry>;

/// The streams, as the rules of configurations look at them.
pub(crate) struct Known<'a>(pub(crate) &'a Streams);

impl validate::Streams for Known<'_> {
    fn stream(&self, name: &str) -> Option<Arc<StreamConfig>> {
        self.0.get(name).map(|e| e.config.clone())
    }

    fn overlaps(&self, subjects: &[String], except: &str) -> bool {
        let mine: FilterSet = subjects.iter().collect();
        let others = self.0.values().filter(|e| e.config.name != except);
        others.flat_map(|e| &e.config.subjects).any(|theirs| mine.collides(theirs.as_bytes()))
    }

    fn count(&self, tier: &Tier, replicas: i64, except: &str) -> usize {
        let others = self.0.values().filter(|e| e.config.name != except);
        others.filter(|e| tier.holds(e.config.num_replicas, replicas)).count()
    }

    fn reserved(&self, tier: &Tier, replicas: i64, storage: StorageType, except: &str) -> i64 {
        let others = self.0.values().map(|e| &e.config);
        others
            .filter(|c| c.name != except && c.storage == storage && c.max_bytes > 0)
            .filter(|c| tier.holds(c.num_replicas, replicas))
            .map(|c| reservation(tier, c.num_replicas, c.max_bytes))
            .fold(0, i64::saturating_add)
    }
}

/// What an account may do with the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has JetStream.
    Member,
    /// It has none, and is told so.
    Stranger,
    /// It is the system account.
    System,
}

/// An account's JetStream.
pub struct JsAccount {
    /// The account.
    pub account: Arc<Account>,
    /// What it may do with the API.
    pub(crate) standing: Standing,
    /// What its machines have to know.
    pub(crate) facts: Arc<Facts>,
    /// What it may use.
    pub(crate) limits: Mutex<AccountLimits>,
    /// Its time is over.
    pub(crate) expired: AtomicBool,
    streams: Mutex<Streams>,
    memory: AtomicI64,
    file: AtomicI64,
    api_total: AtomicU64,
    api_errors: AtomicU64,
    api_inflight: AtomicU64,
}

impl JsAccount {
    /// An account without streams.
    pub(crate) fn new(account: Arc<Account>, facts: Arc<Facts>, limits: AccountLimits) -> Self {
        Self {
            account,
            standing: Standing::Member,
            facts,
            limits: Mutex::new(limits),
            expired: AtomicBool::new(false),
            streams: Mutex::default(),
            memory: AtomicI64::new(0),
            file: AtomicI64::new(0),
            api_total: AtomicU64::new(0),
            api_errors: AtomicU64::new(0),
            api_inflight: AtomicU64::new(0),
        }
    }

    /// An account that has no JetStream.
    pub(crate) fn without(account: Arc<Account>, facts: Arc<Facts>) -> Self {
        let standing = if account.is_system() { Standing::System } else { Standing::Stranger };
        let limits = AccountLimits::untiered(JetStreamAccountLimits::default());
        Self { standing, ..Self::new(account, facts, limits) }
    }

    /// Its streams, locked.
    pub(crate) fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock()
    }

    /// Where a stream is.
    pub(crate) fn find(&self, name: &str) -> Option<Entry> {
        self.streams.lock().get(name).filter(|e| e.place.is_some()).cloned()
    }

    /// Counts bytes a stream gained or lost.
    pub(crate) fn count_bytes(&self, storage: StorageType, delta: i64) {
        self.bytes(storage).fetch_add(delta, Ordering::Relaxed);
    }

    /// Bytes its streams use.
    pub(crate) fn used(&self, storage: StorageType) -> u64 {
        u64::try_from(self.bytes(storage).load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn bytes(&self, storage: StorageType) -> &AtomicI64 {
        match storage {
            StorageType::Memory => &self.memory,
            StorageType::File => &self.file,
        }
    }

    /// What it may use, as the rules of configurations look at it.
    pub(crate) fn api_limits(&self) -> AccountLimits {
        self.limits.lock().clone()
    }

    /// Bytes its streams may still use; `None` if they are not limited.
    pub(crate) fn left(&self, storage: StorageType) -> Option<u64> {
        let max = {
            let limits = self.limits.lock();
            // Streams without replicas are all there are; a tier that does not exist has no room.
            match (limits.select(1), storage) {
                (None, _) => 0,
                (Some((limits, _)), StorageType::Memory) => limits.max_memory,
                (Some((limits, _)), StorageType::File) => limits.max_storage,
            }
        };
        Some(u64::try_from(max).ok()?.saturating_sub(self.used(storage)))
    }

    /// Bytes promised to streams with a limit of their own.
    pub(crate) fn reserved(streams: &Streams, storage: StorageType) -> u64 {
        let theirs = streams.values().filter(|e| e.config.storage == storage);
        theirs.filter_map(|e| u64::try_from(e.config.max_bytes).ok()).sum()
    }

    /// Counts a request that was answered.
    pub(crate) fn count_request(&self, failed: bool) {
        self.api_total.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.api_errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests answered, and how many of them with an error.
    pub(crate) fn requests(&self) -> (u64, u64) {
        (self.api_total.load(Ordering::Relaxed), self.api_errors.load(Ordering::Relaxed))
    }

    /// Counts requests on their way.
    pub(crate) fn inflight(&self) -> &AtomicU64 {
        &self.api_inflight
    }
}
