//! One message, or a run of messages with one subject, to everybody who wants it.
//!
//! Consecutive publishes of a read that share their subject form a run: permissions and interest
//! are looked up once for it, and each target's outbox is locked once for it.
//!
//! Not here: what a publisher may do (`session::publish`), the bytes' way out (`outbox`).
//! Laws: a target sees a publisher's messages in the order they came; each plain subscription gets
//!       each message once, each queue group once; nobody gets a message after its subscription
//!       ended or beyond its maximum.
//! Hot path.

pub(crate) mod cache;
mod deliver;
mod inside;
pub(crate) mod queue;
mod service;
mod traced;

pub use self::inside::Inside;
pub(crate) use self::service::Hop;

use self::cache::Hit;
use crate::account::Account;
use crate::conn::Conn;
use crate::stats::Traffic;
use crate::sub::Handle;
use crate::tracing::Trace;
use crate::worker::Worker;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use subject::sublist::Matched;
use wire::parser::{Plain, Publish};

/// One published message, as ranges of the bytes it was read in.
#[derive(Clone, Default)]
pub(crate) struct RunMsg {
    reply: Range<u32>,
    body: Range<u32>,
    tail: Range<u32>,
    header_len: u32,
    has_reply: bool,
    has_header: bool,
}

/// Bytes and the messages of a run inside them.
pub(crate) struct Run<'a> {
    /// What was read.
    pub data: &'a Bytes,
    /// The subject all messages share.
    pub subject: &'a [u8],
    /// The messages, in order.
    pub msgs: &'a [RunMsg],
    /// Payload bytes of all of them, if each can be forwarded as it came and none has a header.
    pub whole: Option<u64>,
    /// Who published them.
    pub origin: Option<&'a Arc<Conn>>,
    /// The service import they came through, if they crossed accounts.
    pub via: Option<&'a Hop<'a>>,
    /// Of messages made inside the server: what differs from what `data` says.
    pub inside: Option<&'a Shown<'a>>,
    /// What becomes of it is told; then it is a single message.
    pub trace: Option<&'a Arc<Trace>>,
}

/// What receivers of a message made inside the server see.
pub(crate) struct Shown<'a> {
    /// The subject, where it is not the one it was sent to; it stays across accounts.
    pub subject: Option<&'a [u8]>,
    /// The reply subject.
    pub reply: Option<&'a [u8]>,
}

impl<'a> Run<'a> {
    /// The reply subject of one of its messages.
    #[inline]
    pub(crate) fn reply(&self, msg: &RunMsg) -> Option<&'a [u8]> {
        match self.inside {
            None => msg.reply(self.data),
            Some(shown) => shown.reply,
        }
    }

    /// One of its messages alone.
    pub(crate) fn only<'b>(&'b self, msg: &'b RunMsg) -> Run<'b> {
        Run { msgs: std::slice::from_ref(msg), whole: None, ..*self }
    }

    /// The subject receivers see.
    #[inline]
    pub(crate) fn shown(&self) -> &'a [u8] {
        self.inside.and_then(|shown| shown.subject).unwrap_or(self.subject)
    }
}

fn range_in(data: &[u8], slice: &[u8]) -> Range<u32> {
    let start = slice.as_ptr().addr().wrapping_sub(data.as_ptr().addr()) as u32;
    start..start.wrapping_add(slice.len() as u32)
}

impl RunMsg {
    /// The message `p`, whose slices are parts of `data` (reads are far below 4 GiB).
    pub(crate) fn new(data: &[u8], p: &Publish<'_>) -> Self {
        Self {
            reply: p.reply.map_or(0..0, |reply| range_in(data, reply)),
            body: range_in(data, p.body),
            tail: p.tail.map_or(0..0, |tail| range_in(data, tail)),
            header_len: p.header_len.unwrap_or(0),
            has_reply: p.reply.is_some(),
            // Compat(CORE-007): a header of no length is none.
            has_header: p.header_len.is_some_and(|len| len > 0),
        }
    }

    /// A message of the plainest form, as parts of what was read.
    #[inline]
    pub(crate) fn plain(p: &Plain) -> Self {
        Self {
            reply: 0..0,
            body: p.body as u32..p.end as u32 - 2,
            tail: p.tail as u32..p.end as u32,
            header_len: 0,
            has_reply: false,
            has_header: false,
        }
    }

    /// Whether it has no header and can be forwarded as it came.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        !self.has_header && !self.tail.is_empty()
    }

    /// The message whose header block and payload are `body` of some bytes.
    pub(crate) fn part(body: Range<u32>, header_len: u32) -> Self {
        Self {
            reply: 0..0,
            body,
            tail: 0..0,
            header_len,
            has_reply: false,
            has_header: header_len > 0,
        }
    }

    fn slice<'a>(data: &'a [u8], range: &Range<u32>) -> &'a [u8] {
        data.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// Header and payload.
    #[inline]
    pub(crate) fn body<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        Self::slice(data, &self.body)
    }

    /// What follows the subject and sid in a delivery, if it can be forwarded as it is.
    #[inline]
    pub(crate) fn tail<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        Self::slice(data, &self.tail)
    }

    /// The reply subject.
    #[inline]
    pub(crate) fn reply<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        self.has_reply.then(|| Self::slice(data, &self.reply))
    }

    /// Length of the header block, if the message has one.
    #[inline]
    pub(crate) fn header_len(&self) -> Option<usize> {
        self.has_header.then_some(self.header_len as usize)
    }

    /// Where it stands among the messages of its run.
    pub(crate) fn place(&self) -> u32 {
        self.body.start
    }

    /// Header and payload bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }
}

impl Worker {
    /// Delivers a run inside `account`. Returns how many of its messages somebody got, summed over
    /// targets; what of it does not count as sent is in `uncounted`.
    pub(crate) fn dispatch(&mut self, account: &Arc<Account>, run: &Run<'_>) -> Traffic {
        let hash = self.cache.hash(account, run.subject);
        self.dispatch_hashed(account, run, hash)
    }

    /// The same, where the subject's hash is known.
    #[inline]
    pub(crate) fn dispatch_hashed(
        &mut self,
        account: &Arc<Account>,
        run: &Run<'_>,
        hash: u64,
    ) -> Traffic {
        let sent = match self.cache.get(hash, account, run.subject) {
            Ok(hit) => {
                account.counters.looked_up(self.id, true);
                self.deliver_hit(account, &hit, run)
            }
            Err(miss) => {
                account.counters.looked_up(self.id, false);
                // Out of `self` while it is used, so that `self` can be lent.
                let mut matched = std::mem::take(&mut self.scratch);
                account.matches(run.subject, &mut matched);
                account.note_fanout(matched.fanout());
                let keep = (miss.admit || run.msgs.len() > 1) && self.cache_matches;
                let meets_again = (keep || run.msgs.len() > 1) && self.meets_again(&matched);
                if keep {
                    self.cache.put(miss, account, run.subject, &matched, meets_again);
                }
                let sent = self.deliver_all(account, &matched, meets_again, run);
                matched.clear();
                self.scratch = matched;
                sent
            }
        };
        if !self.expired.is_empty() {
            self.end_expired();
        }
        sent
    }

    #[inline]
    fn deliver_hit(&mut self, account: &Arc<Account>, hit: &Hit, run: &Run<'_>) -> Traffic {
        match hit {
            Hit::One(sub) => self.deliver_run(sub, account, run),
            Hit::Many(found) => self.deliver_all(account, &found.matched, found.meets_again, run),
        }
    }

    fn deliver_all(
        &mut self,
        account: &Arc<Account>,
        matched: &Matched<Handle>,
        meets_again: bool,
        run: &Run<'_>,
    ) -> Traffic {
        if run.msgs.len() < 2 || !meets_again {
            return self.deliver_each(account, matched, run);
        }
        // Somebody has several subscriptions here, and sees the publisher's order across them.
        let mut sent = Traffic::default();
        for msg in run.msgs {
            let got = self.deliver_each(account, matched, &run.only(msg));
            sent.add(got.msgs, got.bytes);
        }
        sent
    }

    /// Whether a connection may be reached by more than one of the subscriptions.
    fn meets_again(&mut self, matched: &Matched<Handle>) -> bool {
        if matched.all().nth(1).is_none() {
            return false;
        }
        let mut seen = std::mem::take(&mut self.targets);
        seen.clear();
        let mut unsure = false;
        for handle in matched.all() {
            match handle.0.conn() {
                Some(conn) => seen.push(Arc::as_ptr(conn).addr()),
                // Through another account a message may come to anybody.
                None => unsure = true,
            }
        }
        let found = unsure || {
            seen.sort_unstable();
            seen.windows(2).any(|pair| pair.first() == pair.last())
        };
        self.targets = seen;
        found
    }

    fn deliver_each(
        &mut self,
        account: &Arc<Account>,
        matched: &Matched<Handle>,
        run: &Run<'_>,
    ) -> Traffic {
        let mut sent = Traffic::default();
        self.encoded = None;
        self.shares = matched.plain().len() > 1;
        for handle in matched.plain() {
            let got = self.deliver_run(&handle.0, account, run);
            sent.add(got.msgs, got.bytes);
        }
        self.encoded = None;
        self.shares = false;
        for members in matched.queues() {
            let got = self.deliver_queue(members, account, run);
            sent.add(got.msgs, got.bytes);
        }
        sent
    }

    /// Ends subscriptions that have had their last message.
    #[cold]
    fn end_expired(&mut self) {
        let mut expired = std::mem::take(&mut self.expired);
        for (account, sub) in expired.drain(..) {
            if sub.close() {
                account.unsubscribe(&sub);
                if let Some(conn) = sub.conn() {
                    conn.subs.lock().remove(&sub);
                }
            }
        }
        self.expired = expired;
    }
}
