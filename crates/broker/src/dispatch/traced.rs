//! Delivery of messages that are traced: the same ways, with an event for each.
//!
//! Laws: a traced message reaches whom it would reach untraced, except that one which is only
//!       traced reaches nobody and counts as delivered; reasons are told in the order in which
//!       delivery asks for them.
//! Reference: client.go deliverMsg, processMsgResults.   Contract: TRACE-002, TRACE-005, TRACE-007.

use super::Run;
use crate::account::Account;
use crate::conn::{Conn, flag};
use crate::stats::Traffic;
use crate::sub::Sub;
use crate::tracing::{Trace, header, reason};
use crate::worker::Worker;
use std::sync::Arc;

/// How a message leaves through a stream import.
pub(super) enum Exit<'a> {
    /// It goes on, traced or not.
    Told(Option<&'a Arc<Trace>>),
    /// It is only traced, and the importer lets nothing be told.
    Stop,
}

/// A traced message that counts as delivered.
pub(super) fn one(run: &Run<'_>) -> Traffic {
    let bytes = run.msgs.first().map_or(0, super::RunMsg::len);
    Traffic { msgs: 1, bytes: bytes as u64 }
}

impl Worker {
    /// Notes that the message leaves for the account of `sub`, if that is another one.
    #[inline]
    pub(super) fn leave_with<'a>(&self, sub: &Sub, run: &Run<'a>, subject: &[u8]) -> Exit<'a> {
        match (run.trace, sub.shadow()) {
            (Some(trace), Some(shadow)) => {
                let terms = &shadow.import.terms;
                let importer = shadow.importer.upgrade();
                let name = importer.as_ref().map_or("", |importer| &importer.name);
                trace.exported(name, subject, self.now);
                match terms.allow_trace {
                    true => Exit::Told(Some(trace)),
                    false if trace.is_only() => Exit::Stop,
                    false => Exit::Told(None),
                }
            }
            (trace, _) => Exit::Told(trace),
        }
    }

    /// Delivers a traced message to a client's subscription.
    #[cold]
    pub(super) fn deliver_traced(
        &mut self,
        sub: &Arc<Sub>,
        conn: &Arc<Conn>,
        account: &Arc<Account>,
        run: &Run<'_>,
    ) -> Traffic {
        let Some(trace) = run.trace else { return Traffic::default() };
        let mut error = refusal(sub, conn, run);
        let mut got = Traffic::default();
        if error.is_none() {
            if trace.is_only() {
                got = one(run);
            } else {
                let expected = backlog(sub, conn);
                // It looks again under the lock, which is what counts.
                got = self.deliver_to_conn(sub, conn, account, run);
                error = (got.msgs == 0).then(|| expected.unwrap_or(reason::CLIENT_CLOSED));
            }
        }
        trace.egress(sub, conn, error, self.now);
        got
    }
}

impl Worker {
    /// How a message crosses to the service of another account: the header block that is seen
    /// there, and who is told of what follows; `None` if it is only traced, and may not be there.
    #[cold]
    pub(super) fn cross<'a>(
        &mut self,
        exporter: &Arc<Account>,
        to: &[u8],
        header: &[u8],
        allow_trace: bool,
        run: &Run<'a>,
    ) -> Option<(Vec<u8>, Option<&'a Arc<Trace>>)> {
        let trace = run.trace?;
        trace.crossed(&exporter.name, run.subject, to, self.now);
        if !allow_trace {
            // Servers behind this one must not begin to trace it there.
            let header = header::exchange(header, header::DEST, header::DISABLED);
            return (!trace.is_only()).then_some((header, None));
        }
        // A way back for the events of servers behind this one; here nobody uses it.
        let dest = self.new_reply(exporter);
        Some((header::exchange(header, header::DEST, &dest), Some(trace)))
    }
}

/// Why the subscription may not have the message.
fn refusal(sub: &Sub, conn: &Arc<Conn>, run: &Run<'_>) -> Option<&'static str> {
    let own = run.origin.is_some_and(|origin| Arc::ptr_eq(origin, conn));
    if own && conn.has(flag::NO_ECHO) {
        return Some(reason::NO_ECHO);
    }
    if conn.is_denied(sub, run.subject) {
        return Some(reason::DENIED);
    }
    (sub.is_closed() || sub.counted().is_closed()).then_some(reason::SUB_CLOSED)
}

/// Why it cannot have it now.
fn backlog(sub: &Sub, conn: &Conn) -> Option<&'static str> {
    let counted = sub.counted();
    if counted.max() > 0 && counted.delivered() >= counted.max() {
        return Some(reason::MAX_EXCEEDED);
    }
    let out = conn.outbox.lock();
    if out.is_closed() {
        return Some(reason::CLIENT_CLOSED);
    }
    (conn.has(flag::NO_STALL) && out.stalls_producers()).then_some(reason::NOT_STALLED)
}
