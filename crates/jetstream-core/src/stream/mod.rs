//! A stream: what it takes, what it keeps, what it answers.
//!
//! Not here: which streams there are, subscriptions, timers, files' places (`jetstream`); the
//! rules of configurations (`jetstream_api`).
//! Laws: a message gets a sequence only if it was stored or deliberately skipped; an answer is
//!       given to `Out::answer`, never sent before what it promises is as safe as configured.

mod batch;
mod batch_atomic;
mod batch_check;
mod batch_fast;
mod batch_recover;
mod counter;
mod dedupe;
mod direct;
mod expire;
pub(crate) mod header;
mod ingest;
mod message;
mod mirror;
mod origin;
mod origin_request;
#[cfg(test)]
mod origin_tests;
mod pub_ack;
mod republish;
mod schedule;
mod settings;
mod source;
mod storage;
#[cfg(test)]
mod tests;
mod traced;

use std::sync::Arc;

use jetstream_api::{RetentionPolicy, StreamConfig};
use stdx::time::Timestamp;
use store::MessageStore;
use store::Removed;
use store::disk::Disk;
use subject::Transform;

pub use batch::{BatchLimits, OpenBatches};
pub use batch_recover::{CutBatch, cut_batch};
pub use direct::DirectGet;
pub use ingest::{Incoming, Limits};
pub use origin::{Ask, Begun, Origin, Position, Role, Step};
pub use pub_ack::refusal;
pub use settings::settings;
pub use source::Scratch;
pub use storage::Storage;
pub use traced::Verdict;

use crate::out::Facts;
use batch::Batches;
use dedupe::Dedupe;
use republish::Republish;

/// A stream's running state.
pub struct Stream<D: Disk> {
    config: Arc<StreamConfig>,
    created: Timestamp,
    facts: Arc<Facts>,
    store: Storage<D>,
    /// `{"stream":"S","seq":`, the beginning of every answer.
    ack_head: Box<[u8]>,
    last_seq: u64,
    last_msg_id: Box<[u8]>,
    dedupe: Option<Box<Dedupe>>,
    transform: Option<Box<Transform>>,
    republish: Option<Box<Republish>>,
    /// Batches that are under way.
    batches: Option<Box<Batches>>,
    /// Filters of the consumers, for interest retention: nobody interested, nothing stored.
    interest: Vec<Box<[u8]>>,
    /// A write failed for good: nothing more is taken.
    failure: Option<Box<str>>,
    /// Messages refused because the disk is full.
    without_room: u64,
    /// Scratch for transformed subjects.
    scratch: Vec<u8>,
    stored: Stored,
    /// Somebody has to know the subjects of what is stored.
    wants_subjects: bool,
}

/// What was stored since the consumers were last told.
#[derive(Debug, Default)]
pub struct Stored {
    /// Sequences and subjects, if somebody wants to know the subjects.
    pub subjects: Vec<(u64, Box<[u8]>)>,
    /// First and last sequence of each run without a gap.
    pub runs: Vec<(u64, u64)>,
    /// Rollups: the subject, or nothing for all.
    pub rollups: Vec<Box<[u8]>>,
    /// Messages whose place rollups took.
    pub rolled: Vec<Removed>,
}

impl Stored {
    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.rollups.is_empty()
    }
}

impl<D: Disk> Stream<D> {
    /// A stream over its store, whose configuration was checked.
    pub fn new(
        config: Arc<StreamConfig>,
        created: Timestamp,
        facts: Arc<Facts>,
        store: Storage<D>,
    ) -> Self {
        let last_seq = store.state().last_seq;
        let mut this = Self {
            ack_head: pub_ack::head(&config.name, facts.domain.as_deref()),
            config: Arc::default(),
            created,
            facts,
            store,
            last_seq,
            last_msg_id: Box::default(),
            dedupe: None,
            transform: None,
            republish: None,
            batches: None,
            interest: Vec::new(),
            failure: None,
            without_room: 0,
            scratch: Vec::new(),
            stored: Stored::default(),
            wants_subjects: false,
        };
        this.configure(config);
        this
    }

    /// Puts a configuration in force, as far as it does not concern the store.
    pub fn configure(&mut self, config: Arc<StreamConfig>) {
        // Both were checked when the configuration was: what does not compile does nothing.
        self.transform = config
            .subject_transform
            .as_ref()
            .and_then(|t| Transform::for_mapping(&t.src, &t.dest).ok())
            .map(Box::new);
        self.republish = config.republish.as_deref().and_then(Republish::new).map(Box::new);
        self.config = config;
        self.drop_batches();
    }

    /// Its configuration.
    pub fn config(&self) -> &Arc<StreamConfig> {
        &self.config
    }

    /// When it was created.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Its surroundings.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// Its messages.
    pub fn store(&mut self) -> &mut Storage<D> {
        &mut self.store
    }

    /// Its messages.
    pub fn store_ref(&self) -> &Storage<D> {
        &self.store
    }

    /// Why it takes no more messages, if a write failed for good.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What a publisher hears once a write failed for good.
    pub fn closed_for_writing(&self) -> Option<jetstream_api::ApiError> {
        self.failure().map(jetstream_api::ApiError::stream_store_failed)
    }

    /// Notes a write that failed for good.
    pub fn fail(&mut self, why: &str) {
        self.failure.get_or_insert_with(|| why.into());
    }

    /// How many messages were refused because the disk is full, since this was asked last.
    pub fn take_without_room(&mut self) -> u64 {
        std::mem::take(&mut self.without_room)
    }

    /// The highest sequence ever given.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Filters of the consumers it has, for interest retention.
    pub fn set_interest(&mut self, filters: Vec<Box<[u8]>>) {
        self.interest = filters;
    }

    /// Whether a consumer wants `subject`, as far as that decides about storing it.
    fn is_wanted(&self, subject: &[u8]) -> bool {
        self.config.retention != RetentionPolicy::Interest
            || self.interest.iter().any(|f| f.is_empty() || subject::matches(subject, f))
    }

    /// What was stored since the last call; give it back with [`Self::recycle`].
    pub fn take_stored(&mut self) -> Stored {
        std::mem::take(&mut self.stored)
    }

    /// Takes back what [`Self::take_stored`] gave, for its room.
    pub fn recycle(&mut self, mut stored: Stored) {
        stored.runs.clear();
        stored.subjects.clear();
        stored.rollups.clear();
        stored.rolled.clear();
        self.stored = stored;
    }

    /// Gives back what only a busy stream needs.
    pub fn rest(&mut self) {
        if self.stored.is_empty() {
            self.stored = Stored::default();
        }
        self.scratch = Vec::new();
        self.store.rest();
    }

    /// Its parts, for a consumer that handles an event.
    pub fn parts(&mut self) -> (&StreamConfig, &Facts, &mut Storage<D>) {
        (&self.config, &self.facts, &mut self.store)
    }

    /// Whether somebody has to know the subjects of what is stored.
    pub fn want_subjects(&mut self, want: bool) {
        self.wants_subjects = want;
    }

    /// Whether something was stored since the consumers were last told.
    pub fn has_stored(&self) -> bool {
        !self.stored.is_empty()
    }

    /// The store changed by other means than publishing.
    pub fn refresh(&mut self) {
        self.last_seq = self.store.state().last_seq;
    }

    /// Forgets message ids that left the window, and gives the memory back.
    pub fn expire_ids(&mut self, now: Timestamp) {
        if let Some(dedupe) = &mut self.dedupe {
            dedupe.expire(self.config.duplicate_window.as_duration(), now);
        }
    }

    /// When the next message id leaves the window.
    pub fn next_id_expiry(&self) -> Option<Timestamp> {
        let window = self.config.duplicate_window.as_duration();
        self.dedupe.as_ref().and_then(|d| d.next_expiry(window))
    }
}
