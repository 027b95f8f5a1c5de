//! From the broker to the shards: internal subscriptions that copy what they are given into a
//! queue.
//!
//! Laws: nothing here blocks or decides; a stream that is too far behind takes no more, and its
//!       publishers are told (PUB-021).
//! Hot path.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::account::Account;
use broker::sub::{Internal, InternalMessage, Sub, Target};

use crate::queue::{Kind, Queue, Tag};

/// How much may wait for one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) msgs: u64,
    pub(crate) bytes: u64,
}

/// What waits for one stream.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    msgs: AtomicU64,
    bytes: AtomicU64,
}

impl Backlog {
    /// Counts a message that the shard took out.
    pub(crate) fn took(&self, bytes: u64) {
        self.msgs.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes a message counts for while it waits.
pub(crate) fn weight(subject: &[u8], reply: Option<&[u8]>, header: &[u8], payload: &[u8]) -> u64 {
    (subject.len() + reply.map_or(0, <[u8]>::len) + header.len() + payload.len()) as u64
}

/// Messages published to a stream's subjects.
struct Publishes {
    queue: Arc<Queue>,
    tag: Tag,
    backlog: Arc<Backlog>,
    bounds: Bounds,
}

impl Internal for Publishes {
    fn deliver(&self, m: &InternalMessage<'_>) -> bool {
        let bytes = weight(m.subject, m.reply, m.header, m.payload);
        let msgs = self.backlog.msgs.fetch_add(1, Ordering::Relaxed);
        let held = self.backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        if msgs >= self.bounds.msgs || held + bytes > self.bounds.bytes {
            self.backlog.took(bytes);
            let tag = Tag { kind: Kind::Refuse, ..self.tag };
            let told = InternalMessage { header: b"", payload: b"", ..*m };
            self.queue.push(tag, &told);
        } else {
            self.queue.push(self.tag, m);
        }
        true
    }
}

/// Everything else: acknowledgements, pulls, direct gets.
struct Others {
    queue: Arc<Queue>,
    tag: Tag,
}

impl Internal for Others {
    fn deliver(&self, m: &InternalMessage<'_>) -> bool {
        self.queue.push(self.tag, m);
        true
    }
}

/// A subscription of a stream or consumer; ends when it is dropped.
pub(crate) struct Listening {
    account: Arc<Account>,
    sub: Arc<Sub>,
}

impl Listening {
    fn start(
        account: &Arc<Account>,
        subject: &[u8],
        queue: Option<&[u8]>,
        target: Arc<dyn Internal>,
    ) -> Self {
        let sub = Arc::new(Sub::new(Target::Internal(target), b"", subject, queue, None));
        account.subscribe(&sub);
        Self { account: account.clone(), sub }
    }

    /// Takes what is published to `subject` into the queue of the stream in `tag`.
    pub(crate) fn publishes(
        account: &Arc<Account>,
        subject: &[u8],
        queue: Arc<Queue>,
        tag: Tag,
        backlog: Arc<Backlog>,
        bounds: Bounds,
    ) -> Self {
        Self::start(account, subject, None, Arc::new(Publishes { queue, tag, backlog, bounds }))
    }

    /// Takes anything else.
    pub(crate) fn others(
        account: &Arc<Account>,
        subject: &[u8],
        group: Option<&[u8]>,
        queue: Arc<Queue>,
        tag: Tag,
    ) -> Self {
        Self::start(account, subject, group, Arc::new(Others { queue, tag }))
    }

    /// Gives messages to `target`.
    pub(crate) fn custom(
        account: &Arc<Account>,
        subject: &[u8],
        target: Arc<dyn Internal>,
    ) -> Self {
        Self::start(account, subject, None, target)
    }

    /// What it listens to.
    pub(crate) fn subject(&self) -> &[u8] {
        self.sub.filter()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.sub.close() {
            self.account.unsubscribe(&self.sub);
        }
    }
}
