//! Appending messages to one subscriber's outbox.
//!
//! Laws: under one lock hold per run and target; the subscriber's flags, maximum and filters are
//!       respected message by message where they are set, and cost nothing where they are not.
//! Hot path.

use super::traced::{Exit, one};
use super::{Run, RunMsg};
use crate::account::Account;
use crate::broker::Broker;
use crate::conn::{Conn, flag};
use crate::outbox::Outbox;
use crate::session::trace;
use crate::stats::Traffic;
use crate::sub::{InternalMessage, Shadow, Sub, Target};
use crate::worker::Worker;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wire::encode;
use wire::error::CloseReason;

/// Payload bytes for one target from which they are written out before the end of the read, while
/// they are in a cache.
const FLUSH_FROM: u64 = 32 * 1024;
/// Bytes from which several targets share what is encoded once.
const SHARE_FROM: usize = 16 * 1024;
/// Payloads of this size are not copied at all.
const LARGE: usize = 4096;
/// About what stands around a payload behind the prefix.
const SIZE: usize = 10;

impl Worker {
    /// Delivers the messages of the run to one subscription.
    #[inline]
    pub(super) fn deliver_run(
        &mut self,
        sub: &Arc<Sub>,
        account: &Arc<Account>,
        run: &Run<'_>,
    ) -> Traffic {
        match &sub.target {
            Target::Conn(conn) => match sub.shadow() {
                None if run.trace.is_none() => self.deliver_to_conn(sub, conn, account, run),
                None => self.deliver_traced(sub, conn, account, run),
                Some(shadow) => self.deliver_shadow(sub, shadow, conn, run),
            },
            Target::Service(import) => self.ask_service(import, account, run),
            Target::Responses => self.pass_answers(account, run),
            Target::Internal(internal) => {
                let mut renamed = Vec::new();
                let subject = match sub.shadow() {
                    None => run.shown(),
                    Some(shadow) => match shadow_subject(shadow, run, &mut renamed) {
                        Some(subject) => subject,
                        None => return Traffic::default(),
                    },
                };
                let trace = match self.leave_with(sub, run, subject) {
                    Exit::Told(trace) => trace,
                    Exit::Stop => return one(run),
                };
                let mut got = Traffic::default();
                for msg in run.msgs {
                    let (header, payload) =
                        msg.body(run.data).split_at(msg.header_len().unwrap_or(0));
                    let reply = run.reply(msg);
                    let origin = run.origin;
                    let message = InternalMessage { subject, reply, header, payload, origin };
                    let taken = match trace {
                        None => internal.deliver(&message),
                        Some(trace) => internal.deliver_traced(&message, trace),
                    };
                    if taken {
                        got.add(1, msg.len() as u64);
                    }
                }
                // The reference does not count what stays inside the server as sent.
                self.uncounted.add(got.msgs, got.bytes);
                got
            }
        }
    }

    /// Delivers messages of an imported stream under the subject its importer knows.
    #[cold]
    fn deliver_shadow(
        &mut self,
        sub: &Arc<Sub>,
        shadow: &Shadow,
        conn: &Arc<Conn>,
        run: &Run<'_>,
    ) -> Traffic {
        // Requests that came from another account are not passed on to a third as a stream.
        let Some(importer) = shadow.importer.upgrade().filter(|_| run.via.is_none()) else {
            return Traffic::default();
        };
        let mut subject = std::mem::take(&mut self.renamed);
        subject.clear();
        shadow.import.terms.rewrite.apply(run.subject, &mut subject);
        let wanted = !shadow.narrower || subject::matches(&subject, shadow.parent.filter());
        let got = if wanted {
            match self.leave_with(sub, run, &subject) {
                Exit::Stop => one(run),
                Exit::Told(Some(_)) => {
                    let run = Run { subject: &subject, ..*run };
                    self.deliver_traced(sub, conn, &importer, &run)
                }
                Exit::Told(None) => {
                    let run = Run { subject: &subject, trace: None, ..*run };
                    self.deliver_to_conn(sub, conn, &importer, &run)
                }
            }
        } else {
            Traffic::default()
        };
        self.renamed = subject;
        got
    }

    pub(super) fn deliver_to_conn(
        &mut self,
        sub: &Arc<Sub>,
        conn: &Arc<Conn>,
        account: &Arc<Account>,
        run: &Run<'_>,
    ) -> Traffic {
        let flags = conn.flags();
        let own = run.origin.is_some_and(|origin| Arc::ptr_eq(origin, conn));
        let counted = sub.counted();
        if sub.is_closed() || counted.is_closed() || (own && flags & flag::NO_ECHO != 0) {
            return Traffic::default();
        }
        if conn.is_denied(sub, run.subject) {
            return Traffic::default();
        }
        let max = counted.max();
        let mut got = Traffic::default();
        let mut prefix = Prefix::None;
        let mut out = conn.outbox.lock();
        if out.is_closed() {
            return got;
        }
        if flags & flag::NO_STALL != 0 && out.stalls_producers() {
            // Dropped for this subscriber, so that the producer is not held back (CORE-041).
            return got;
        }
        let whole = run.whole.filter(|_| max == 0 && !self.trace);
        if let Some(bytes) = whole {
            encode::delivery_prefix(&mut self.prefix, false, run.shown(), sub.sid());
            self.push_whole(&mut out, run, bytes);
            got.add(run.msgs.len() as u64, bytes);
        }
        let one_by_one = if whole.is_some() { &[] } else { run.msgs };
        for msg in one_by_one {
            if max > 0 && counted.delivered() + got.msgs >= max {
                break;
            }
            let header = msg.header_len();
            let strip = header.is_some() && flags & flag::HEADERS == 0;
            let kind = if header.is_some() && !strip { Prefix::Hmsg } else { Prefix::Msg };
            if prefix != kind {
                encode::delivery_prefix(
                    &mut self.prefix,
                    kind == Prefix::Hmsg,
                    run.shown(),
                    sub.sid(),
                );
                prefix = kind;
            }
            let tail = msg.tail(run.data);
            let len = if tail.is_empty() || strip {
                out.push(&self.prefix, &mut self.pool);
                encode_slowly(&mut self.sizes, &mut out, &mut self.pool, msg, run, strip)
            } else {
                out.push(&self.prefix, &mut self.pool);
                out.push_shared(tail, run.data, &mut self.pool);
                msg.len()
            };
            got.add(1, len as u64);
            if self.trace {
                trace_delivery(&self.broker, conn, &self.prefix, msg, run, strip);
            }
        }
        if got.msgs == 0 {
            return got;
        }
        conn.last_activity.store(self.now.wall.0 as u64, Ordering::Relaxed);
        out.msgs += got.msgs;
        out.bytes += got.bytes;
        let total = counted.count(got.msgs);
        if out.holds_producers() && run.origin.is_some() {
            self.ahead_of(conn);
        }
        if out.stalls_producers() {
            self.backlog(&mut out, conn, account, run.origin);
        }
        let first = out.touch();
        drop(out);
        if first {
            self.touched.push(conn.clone());
        }
        if whole.is_some_and(|bytes| bytes >= FLUSH_FROM) {
            self.flush_early();
        }
        if max > 0 && total >= max {
            let ended = sub.shadow().map_or(sub, |shadow| &shadow.parent);
            self.expired.push((account.clone(), ended.clone()));
        }
        if flags & flag::TRACK_RESPONSES != 0 {
            self.allow_replies(conn, run);
        }
        got
    }

    /// Appends all messages of a run of which none is special; `self.prefix` is what the target sees
    /// before each.
    fn push_whole(&mut self, out: &mut Outbox, run: &Run<'_>, bytes: u64) {
        let tails = run.msgs.iter().map(|msg| msg.tail(run.data));
        let (count, bytes) = (run.msgs.len(), bytes as usize);
        let about = count * (self.prefix.len() + SIZE) + bytes;
        if !self.shares || about < SHARE_FROM || bytes / count.max(1) >= LARGE {
            out.push_frames(&self.prefix, tails, about, run.data, &mut self.pool);
            return;
        }
        // The next target often knows them by the same subscription id.
        let same = self.encoded.take().filter(|encoded| encoded.starts_with(&self.prefix));
        let encoded = same.unwrap_or_else(|| self.pool.encode(&self.prefix, tails, about));
        out.push_encoded(encoded.clone());
        self.encoded = Some(encoded);
    }

    /// The target may publish to the replies it was just given (SUBJ-008).
    #[cold]
    fn allow_replies(&self, conn: &Conn, run: &Run<'_>) {
        let mut replies = conn.replies.lock();
        let Some(replies) = replies.as_mut() else { return };
        for reply in run.msgs.iter().filter_map(|msg| run.reply(msg)) {
            if !replies.permissions.can_publish(reply) {
                replies.tracker.allow(reply, self.now.mono);
            }
        }
    }

    /// The producer will wait for this target, if it is still behind at the end of the read.
    #[cold]
    fn ahead_of(&mut self, conn: &Arc<Conn>) {
        if !conn.has(flag::NO_STALL) {
            self.ahead_of = Some(conn.clone());
        }
    }

    /// The target is far behind: end it if it is over its limit, else hold the producer back.
    #[cold]
    fn backlog(
        &mut self,
        out: &mut Outbox,
        conn: &Arc<Conn>,
        account: &Arc<Account>,
        origin: Option<&Arc<Conn>>,
    ) {
        if out.over_limit() {
            if out.close(CloseReason::SlowConsumerPendingBytes) {
                self.broker.slow_consumer(conn, account);
            }
        } else if origin.is_some() && !conn.has(flag::NO_STALL) {
            // Compat(CORE-041): counted whether or not the next flush cures it.
            if !self.stalled_on.as_ref().is_some_and(|other| Arc::ptr_eq(other, conn)) {
                out.stalls += 1;
                self.broker.totals.stalled_clients.fetch_add(1, Ordering::Relaxed);
            }
            self.stalled_on = Some(conn.clone());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    None,
    Msg,
    Hmsg,
}

/// The subject under which the importer of a stream knows a message; none if it did not ask for it.
#[cold]
fn shadow_subject<'a>(
    shadow: &Shadow,
    run: &'a Run<'_>,
    renamed: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    if run.via.is_some() {
        return None;
    }
    shadow.import.terms.rewrite.apply(run.subject, renamed);
    if shadow.narrower && !subject::matches(renamed, shadow.parent.filter()) {
        return None;
    }
    // A delivery of JetStream keeps the subject of the message it carries.
    let shown = run.shown();
    Some(if shown == run.subject { renamed } else { shown })
}

/// A message whose bytes cannot be forwarded as they came: sizes are written anew, and headers
/// are left out for peers that do not know them (CORE-044).
#[cold]
fn encode_slowly(
    sizes: &mut Vec<u8>,
    out: &mut Outbox,
    pool: &mut crate::outbox::Pool,
    msg: &RunMsg,
    run: &Run<'_>,
    strip: bool,
) -> usize {
    let whole = msg.body(run.data);
    let (body, header_len) = if strip {
        (whole.get(msg.header_len().unwrap_or(0)..).unwrap_or_default(), None)
    } else {
        (whole, msg.header_len())
    };
    sizes.clear();
    encode::delivery_sizes(sizes, run.reply(msg), header_len, body.len());
    out.push(sizes, pool);
    out.push_shared(body, run.data, pool);
    out.push(b"\r\n", pool);
    body.len()
}

/// `->> [MSG …]` and its payload in the log (LOG-007).
#[cold]
fn trace_delivery(
    broker: &Broker,
    conn: &Conn,
    prefix: &[u8],
    msg: &RunMsg,
    run: &Run<'_>,
    strip: bool,
) {
    let mut line = prefix.to_vec();
    let skip = if strip { msg.header_len().unwrap_or(0) } else { 0 };
    let body = msg.body(run.data).get(skip..).unwrap_or_default();
    let header_len = msg.header_len().filter(|_| !strip);
    encode::delivery_sizes(&mut line, run.reply(msg), header_len, body.len());
    let line = String::from_utf8_lossy(&line);
    let label = conn.label();
    stdx::trace!(broker.log, "{label} - ->> [{}]", line.trim_end());
    if let Some(payload) = trace::payload(&broker.settings(), body, header_len) {
        stdx::trace!(broker.log, "{label} - ->> MSG_PAYLOAD: [{payload}]");
    }
}
