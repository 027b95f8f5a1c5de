//! A stream on its shard: the machine, its subscriptions, and what waits for the disk.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jetstream_api::{StorageType, StreamConfig};
use jetstream_core::stream::{Limits, Storage, Stream};
use parking_lot::RwLock;
use stdx::time::Mono;
use store::{Job, MessageStore, Ticket};

use crate::account::JsAccount;
use crate::answers::Answers;
use crate::full::Full;
use crate::ingress::{Backlog, Listening, Publishes};
use crate::left_off::Noting;
use crate::member::Member;
use crate::names::Names;
use crate::queue::{Kind, Queue, Tag};
use crate::reads::Reads;
use crate::shared::Shared;
use crate::sourcing::Links;
use crate::upkeep::Upkeep;

/// The disk of a stream.
#[cfg(not(test))]
pub(crate) type Disk = store::disk::real::RealDisk;
#[cfg(test)]
pub(crate) type Disk = crate::tests::slow::SlowDisk;

/// A stream on its shard.
pub(crate) struct Place {
    pub(crate) stream: Stream<Disk>,
    pub(crate) account: Arc<JsAccount>,
    /// Tells this stream from others that had the place before.
    pub(crate) generation: u32,
    /// What clients may still send before they are refused.
    pub(crate) backlog: Arc<Backlog>,
    /// Its consumers by number, and the numbers by name.
    pub(crate) members: BTreeMap<u32, Box<Member>>,
    pub(crate) names: Names,
    /// The streams it draws from, if there are any.
    pub(crate) links: Option<Box<Links>>,
    /// Whether it is written where it left off with them.
    pub(crate) noting: Noting,
    /// Consumers whose files are being made, or are on their way out.
    pub(crate) removing: BTreeSet<String>,
    /// When something of it expires.
    pub(crate) deadline: Option<Mono>,
    /// How many consumers it has, for the account.
    pub(crate) consumers: Arc<AtomicUsize>,
    publishes: Vec<Listening>,
    directs: Vec<Listening>,
    /// Answers that wait for a change to be durable.
    pub(crate) held: VecDeque<(Ticket, Answers)>,
    /// Its first sequence is known before there is a message: it was made or purged so.
    pub(crate) begun: bool,
    /// The disk has no room for it: since when, and what came of it.
    pub(crate) full: Option<Box<Full>>,
    /// The log heard that a write failed for good.
    pub(crate) told_failure: bool,
    /// Something was stored since the last flush.
    pub(crate) touched: bool,
    /// What waits for reads of the store.
    pub(crate) reads: Option<Box<Reads>>,
    /// Makes durable what was stored, once it is due.
    pub(crate) sync: Option<Box<Job>>,
    /// When something was last stored or removed.
    pub(crate) used: Mono,
    /// It waits in the line of those that may rest.
    pub(crate) resting: bool,
    /// It stands in the line of those that may hold open files.
    pub(crate) opened: bool,
    /// When the store was last looked after.
    pub(crate) upkeep: Upkeep,
    /// Held by jobs while they run; true once the stream is gone.
    gate: Option<Arc<RwLock<bool>>>,
    /// Bytes of the store that the account knows of.
    counted: u64,
    /// Bytes the server promised it.
    promised: i64,
}

impl Place {
    pub(crate) fn new(stream: Stream<Disk>, account: Arc<JsAccount>, generation: u32) -> Self {
        let begun = stream.config().first_seq > 0;
        let mut this = Self {
            stream,
            account,
            generation,
            backlog: Arc::default(),
            members: BTreeMap::new(),
            names: Names::default(),
            links: None,
            noting: Noting::Done,
            removing: BTreeSet::new(),
            deadline: None,
            consumers: Arc::default(),
            publishes: Vec::new(),
            directs: Vec::new(),
            held: VecDeque::new(),
            begun,
            full: None,
            told_failure: false,
            touched: false,
            reads: None,
            sync: None,
            used: Mono::default(),
            resting: false,
            opened: false,
            upkeep: Upkeep::default(),
            gate: None,
            counted: 0,
            promised: 0,
        };
        this.count_bytes();
        this
    }

    pub(crate) fn config(&self) -> &Arc<StreamConfig> {
        self.stream.config()
    }

    pub(crate) fn name(&self) -> &str {
        &self.stream.config().name
    }

    fn storage(&self) -> StorageType {
        self.stream.config().storage
    }

    /// Tells the account what the store gained or lost.
    pub(crate) fn count_bytes(&mut self) {
        let bytes = self.stream.store_ref().state().bytes;
        let delta = (bytes as i64).wrapping_sub(self.counted as i64);
        if delta != 0 {
            self.account.count_bytes(self.storage(), delta);
            self.counted = bytes;
        }
    }

    /// Keeps the server's sum of promises: what the configuration limits the stream to.
    pub(crate) fn promise(&mut self, shared: &Shared) {
        let bytes = self.config().max_bytes.max(0);
        let before = std::mem::replace(&mut self.promised, bytes);
        shared.promised(self.storage()).fetch_add(bytes - before, Ordering::Relaxed);
    }

    /// What a job holds while it runs; it does nothing once this says true.
    pub(crate) fn gate(&mut self) -> Arc<RwLock<bool>> {
        self.gate.get_or_insert_default().clone()
    }

    /// Waits for jobs that run, and keeps others from beginning: they go by names, which may be
    /// those of another stream soon.
    pub(crate) fn end_jobs(&mut self) {
        if let Some(gate) = self.gate.take() {
            *gate.write() = true;
        }
    }

    /// Gives back what only a busy stream needs.
    pub(crate) fn rest(&mut self) {
        self.gate = None;
        self.stream.rest();
        self.members.values_mut().for_each(|m| m.consumer.shrink());
    }

    /// Gives the promise back.
    pub(crate) fn unpromise(&mut self, shared: &Shared) {
        let before = std::mem::take(&mut self.promised);
        shared.promised(self.storage()).fetch_sub(before, Ordering::Relaxed);
    }

    /// Takes the stream out of the account's sum.
    pub(crate) fn uncount_bytes(&mut self) {
        let counted = std::mem::take(&mut self.counted);
        self.account.count_bytes(self.storage(), (counted as i64).wrapping_neg());
    }

    /// What account and server have room for.
    pub(crate) fn limits(&self, shared: &Shared) -> Limits {
        let storage = self.storage();
        let max = shared.max_bytes(storage);
        Limits {
            account_left: self.account.left(storage),
            server_full: max.is_some_and(|max| shared.used(storage) > max),
        }
    }

    /// Whether its answers wait for the disk.
    pub(crate) fn waits_for_disk(&self, shared: &Shared) -> bool {
        shared.config.sync_always && matches!(self.stream.store_ref(), Storage::File(_))
    }

    /// Subscribes to what the configuration names, and no longer to what it does not.
    pub(crate) fn listen(&mut self, shared: &Shared, queue: &Arc<Queue>, place: u32) {
        let config = self.stream.config().clone();
        let account = &self.account.account;
        let tag = |kind| Tag { kind, stream: place, part: self.generation };
        // Sets, because there may be very many.
        let wanted: HashSet<&[u8]> = config.subjects.iter().map(String::as_bytes).collect();
        self.publishes.retain(|l| wanted.contains(l.subject()));
        let have: HashSet<Vec<u8>> = self.publishes.iter().map(|l| l.subject().to_vec()).collect();
        for subject in config.subjects.iter().filter(|s| !have.contains(s.as_bytes())) {
            if self.publishes.is_empty() {
                self.publishes.reserve_exact(1);
            }
            self.publishes.push(Listening::publishes(
                account,
                subject.as_bytes(),
                Publishes {
                    name: config.name.as_str().into(),
                    queue: queue.clone(),
                    tag: tag(Kind::Publish),
                    backlog: self.backlog.clone(),
                    bounds: shared.bounds(),
                },
            ));
        }
        if !config.allow_direct {
            self.directs.clear();
        } else if self.directs.is_empty() {
            for end in ["", ".>"] {
                let subject = format!("$JS.API.DIRECT.GET.{}{end}", config.name);
                self.directs.push(Listening::others(
                    account,
                    subject.as_bytes(),
                    Some(b"_sys_"),
                    queue.clone(),
                    tag(Kind::Direct),
                ));
            }
        }
    }

    /// Ends every subscription.
    pub(crate) fn deafen(&mut self) {
        self.publishes.clear();
        self.directs.clear();
        if let Some(links) = &mut self.links {
            links.deafen();
        }
    }
}
