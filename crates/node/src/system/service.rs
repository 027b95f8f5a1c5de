//! Subscriptions of the server itself: a filter, and what answers messages on it.
//!
//! Laws: a message that the server itself published is not given back to it; a service ends with
//!       its registration.

use super::context::Context;
use super::queue::{Item, Queue};
use broker::Conn;
use broker::account::Account;
use broker::sub::{Internal, InternalMessage, Sub, Target};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// Answers a request, on the thread of the system account.
pub type Handler = dyn Fn(&mut Context<'_>, &OwnedRequest) + Send + Sync;

/// A message to a service.
#[derive(Clone, Default)]
pub struct OwnedRequest {
    /// The subject it was published on, in the account of the service.
    pub subject: Box<[u8]>,
    /// The reply subject; `None` if no answer is wanted.
    pub reply: Option<Box<[u8]>>,
    /// Its header block; empty without one.
    pub header: Box<[u8]>,
    /// Its payload.
    pub payload: Box<[u8]>,
    /// The local client that asks, if it is one.
    pub origin: Option<Arc<Conn>>,
}

impl OwnedRequest {
    fn new(m: &InternalMessage<'_>) -> Self {
        Self {
            subject: m.subject.into(),
            reply: m.reply.map(Into::into),
            header: m.header.into(),
            payload: m.payload.into(),
            origin: m.origin.cloned(),
        }
    }

    /// Bytes it holds.
    pub(super) fn weight(&self) -> usize {
        let reply = self.reply.as_deref().map_or(0, <[u8]>::len);
        self.subject.len() + reply + self.header.len() + self.payload.len()
    }

    /// Whether somebody waits for an answer.
    pub fn wants_answer(&self) -> bool {
        self.reply.as_deref().is_some_and(|reply| !reply.is_empty())
    }

    /// What the server said of the requester where the request crossed accounts, as JSON.
    pub fn requester_json(&self) -> Option<&[u8]> {
        wire::header::get(&self.header, b"Nats-Request-Info")
    }

    /// A token of the subject; empty if it has none there or that is no text.
    pub fn token(&self, index: usize) -> &str {
        let token = self.subject.split(|b| *b == b'.').nth(index).unwrap_or_default();
        std::str::from_utf8(token).unwrap_or_default()
    }
}

/// Copies what it is given into the queue.
struct Inlet {
    queue: Arc<Queue>,
    handler: Arc<Handler>,
}

impl Internal for Inlet {
    fn deliver(&self, message: &InternalMessage<'_>) -> bool {
        // What the server says itself has no origin; it does not listen to its own words.
        message.origin.is_some()
            && self
                .queue
                .push(Item::Request(self.handler.clone(), Box::new(OwnedRequest::new(message))))
    }
}

/// One registered service.
pub(super) struct Service {
    /// Its number among all, which monitoring shows.
    sid: String,
    filter: Box<[u8]>,
    /// The account it serves; `None` for the system account, whichever that is.
    account: Option<Weak<Account>>,
    handler: Arc<Handler>,
    entry: Mutex<Option<(Weak<Account>, Arc<Sub>)>>,
}

impl Service {
    pub(super) fn new(
        sid: u64,
        filter: &[u8],
        account: Option<&Arc<Account>>,
        handler: Arc<Handler>,
    ) -> Self {
        let (sid, account) = (sid.to_string(), account.map(Arc::downgrade));
        Self { sid, filter: filter.into(), account, handler, entry: Mutex::default() }
    }

    /// Listens in its account, or in `system` if it has none of its own.
    pub(super) fn listen(&self, system: Option<&Arc<Account>>, queue: &Arc<Queue>) {
        let account = match &self.account {
            Some(account) => account.upgrade(),
            None => system.cloned(),
        };
        let mut entry = self.entry.lock();
        let here = entry.as_ref().and_then(|(account, _)| account.upgrade());
        if let (Some(here), Some(account)) = (&here, &account)
            && Arc::ptr_eq(here, account)
        {
            return;
        }
        Self::end(entry.take());
        let Some(account) = account else { return };
        let target = Inlet { queue: queue.clone(), handler: self.handler.clone() };
        let target = Target::Internal(Arc::new(target));
        let sub = Arc::new(Sub::new(target, self.sid.as_bytes(), &self.filter, None, None));
        account.subscribe(&sub);
        *entry = Some((Arc::downgrade(&account), sub));
    }

    /// Ends it.
    pub(super) fn close(&self) {
        Self::end(self.entry.lock().take());
    }

    /// Whether `sub` is its subscription.
    pub(super) fn is(&self, sub: &Arc<Sub>) -> bool {
        self.entry.lock().as_ref().is_some_and(|(_, own)| Arc::ptr_eq(own, sub))
    }

    fn end(entry: Option<(Weak<Account>, Arc<Sub>)>) {
        let Some((account, sub)) = entry else { return };
        if sub.close()
            && let Some(account) = account.upgrade()
        {
            account.unsubscribe(&sub);
        }
    }
}
