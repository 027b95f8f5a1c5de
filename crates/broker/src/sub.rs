//! A subscription: who wants what, under which id, and how many it has had.
//!
//! Laws: `delivered` changes only under the target's outbox lock; a closed subscription gets
//!       nothing more, even where a cached match still names it.

use crate::account::import::StreamImport;
use crate::account::{Account, ServiceImport};
use crate::conn::Conn;
use crate::tracing::Trace;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use subject::sublist::Entry;

/// Where matching messages go.
pub enum Target {
    /// A client's connection.
    Conn(Arc<Conn>),
    /// A handler inside this process.
    Internal(Arc<dyn Internal>),
    /// A service of another account (ACC-006).
    Service(Arc<ServiceImport>),
    /// Answers on their way to the accounts whose requests they answer.
    Responses,
}

/// A subscriber inside this process. Called on a network thread: it must not block, and hands
/// longer work to a queue of its own.
pub trait Internal: Send + Sync {
    /// A message for the subscription. `false` if it is none of its business: the message then
    /// counts as not received, and a requester may be told that nobody is there.
    fn deliver(&self, message: &InternalMessage<'_>) -> bool;

    /// As `deliver`, for a message that is traced. Who has nothing to add to the trace takes it as
    /// any other.
    fn deliver_traced(&self, message: &InternalMessage<'_>, trace: &Arc<Trace>) -> bool {
        let _ = trace;
        self.deliver(message)
    }
}

/// What an internal subscriber is given; borrowed for the call.
pub struct InternalMessage<'a> {
    /// The subject it was published on.
    pub subject: &'a [u8],
    /// The reply subject.
    pub reply: Option<&'a [u8]>,
    /// Header block (empty when there is none).
    pub header: &'a [u8],
    /// Payload without the header.
    pub payload: &'a [u8],
    /// The connection that published it, if it was one.
    pub origin: Option<&'a Arc<Conn>>,
}

/// Rare properties, kept apart so that the common subscription stays small.
#[derive(Default)]
pub struct Extra {
    /// Permissions with a denied subject inside the filter, tested at delivery (SUBJ-007).
    pub deny: Option<Arc<auth::Permissions>>,
    /// It stands in another account's interest for one of its own account (ACC-005).
    pub(crate) shadow: Option<Shadow>,
}

/// What a subscription to an imported stream stands for.
pub(crate) struct Shadow {
    /// The client's subscription, in the importer's account.
    pub parent: Arc<Sub>,
    /// That account.
    pub importer: Weak<Account>,
    /// The terms, for the subject the client sees.
    pub import: Arc<StreamImport>,
    /// The parent wants less than this one gets: deliveries are matched against its filter.
    pub narrower: bool,
}

/// One subscription.
pub struct Sub {
    /// Where messages go.
    pub target: Target,
    /// sid, filter, queue, one after the other; usually inline, so that a delivery that finds the
    /// subscription finds these too.
    text: SmallVec<[u8; 40]>,
    sid_len: u32,
    filter_len: u32,
    queued: bool,
    closed: AtomicBool,
    delivered: AtomicU64,
    /// Deliveries after which it ends; 0: never.
    max: AtomicU64,
    /// Rare properties.
    pub extra: Option<Box<Extra>>,
}

/// The same subscription, as the interest index holds it.
#[derive(Clone)]
pub struct Handle(pub Arc<Sub>);

impl Entry for Handle {
    fn filter(&self) -> &[u8] {
        self.0.filter()
    }
    fn queue(&self) -> Option<&[u8]> {
        self.0.queue()
    }
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Sub {
    /// A subscription that has had nothing yet.
    pub fn new(
        target: Target,
        sid: &[u8],
        filter: &[u8],
        queue: Option<&[u8]>,
        extra: Option<Box<Extra>>,
    ) -> Self {
        let mut text =
            SmallVec::with_capacity(sid.len() + filter.len() + queue.map_or(0, <[u8]>::len));
        text.extend_from_slice(sid);
        text.extend_from_slice(filter);
        text.extend_from_slice(queue.unwrap_or_default());
        Self {
            target,
            text,
            // A control line is shorter than 4 GiB: the parser's limit is an i32 at most.
            sid_len: sid.len() as u32,
            filter_len: filter.len() as u32,
            queued: queue.is_some(),
            closed: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            max: AtomicU64::new(0),
            extra,
        }
    }

    /// The client's id for it.
    #[inline]
    pub fn sid(&self) -> &[u8] {
        self.text.get(..self.sid_len as usize).unwrap_or_default()
    }

    /// The filter.
    #[inline]
    pub fn filter(&self) -> &[u8] {
        let start = self.sid_len as usize;
        self.text.get(start..start + self.filter_len as usize).unwrap_or_default()
    }

    /// The queue group.
    #[inline]
    pub fn queue(&self) -> Option<&[u8]> {
        let start = (self.sid_len + self.filter_len) as usize;
        if self.queued { self.text.get(start..) } else { None }
    }

    /// Reads each part that a delivery reads (see `MatchCache::look_ahead`).
    #[inline]
    pub(crate) fn look_ahead(self: &Arc<Self>) -> u32 {
        let text = self.text.last().copied().unwrap_or(0);
        Arc::strong_count(self) as u32 ^ u32::from(text) ^ self.delivered() as u32
    }

    /// Messages delivered so far.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Deliveries after which it ends; 0: never.
    #[inline]
    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// Sets the number of deliveries after which it ends.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Counts deliveries. The caller holds the target's outbox lock, so a load and a store will do.
    #[inline]
    pub fn count(&self, n: u64) -> u64 {
        let total = self.delivered.load(Ordering::Relaxed) + n;
        self.delivered.store(total, Ordering::Relaxed);
        total
    }

    /// Ends it: cached matches skip it from now on. `true` for the call that did it.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// Whether its user may not have messages on `subject`, though the filter matches them.
    #[inline]
    pub fn denies(&self, subject: &[u8]) -> bool {
        let deny = self.extra.as_ref().and_then(|extra| extra.deny.as_ref());
        deny.is_some_and(|deny| deny.denies_delivery(subject, self.queue()))
    }

    /// Whether it ended.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The connection it belongs to, if it is a client's.
    pub fn conn(&self) -> Option<&Arc<Conn>> {
        match &self.target {
            Target::Conn(conn) => Some(conn),
            Target::Internal(_) | Target::Service(_) | Target::Responses => None,
        }
    }

    /// What it stands for, if it is in another account's interest.
    #[inline]
    pub(crate) fn shadow(&self) -> Option<&Shadow> {
        self.extra.as_ref()?.shadow.as_ref()
    }

    /// The subscription that deliveries count on: the client's own.
    #[inline]
    pub(crate) fn counted(&self) -> &Self {
        match &self.extra {
            None => self,
            Some(extra) => extra.shadow.as_ref().map_or(self, |shadow| &shadow.parent),
        }
    }
}
