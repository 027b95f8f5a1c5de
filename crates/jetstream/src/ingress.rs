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
use broker::tracing::Trace;

use crate::event::{Event, TracedPublish};
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
pub(crate) struct Publishes {
    /// The stream's name.
    pub(crate) name: Box<str>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) tag: Tag,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) bounds: Bounds,
}

impl Publishes {
    /// Counts a message of this weight; `false` if there is no room for it.
    fn count(&self, bytes: u64) -> bool {
        let msgs = self.backlog.msgs.fetch_add(1, Ordering::Relaxed);
        let held = self.backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = msgs < self.bounds.msgs && held + bytes <= self.bounds.bytes;
        if !fits {
            self.backlog.took(bytes);
        }
        fits
    }

    #[cold]
    fn refuse(&self, m: &InternalMessage<'_>) {
        let tag = Tag { kind: Kind::Refuse, ..self.tag };
        self.queue.push(tag, &InternalMessage { header: b"", payload: b"", ..*m });
    }
}

impl Internal for Publishes {
    fn deliver(&self, m: &InternalMessage<'_>) -> bool {
        if self.count(weight(m.subject, m.reply, m.header, m.payload)) {
            self.queue.push(self.tag, m);
        } else {
            self.refuse(m);
        }
        true
    }

    #[cold]
    fn deliver_traced(&self, m: &InternalMessage<'_>, trace: &Arc<Trace>) -> bool {
        let publish = TracedPublish::new(self.tag, m, trace.enter_stream(&self.name));
        if self.count(publish.weight()) {
            self.queue.push_event(Event::Traced(Box::new(publish)));
        } else {
            // Nobody ends the trace then: it is lost, as in the reference.
            self.refuse(m);
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

    /// Takes what is published to `subject` into the queue of a stream.
    pub(crate) fn publishes(account: &Arc<Account>, subject: &[u8], inlet: Publishes) -> Self {
        Self::start(account, subject, None, Arc::new(inlet))
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
