//! PUB of messages that ask to be traced: whether they may, and their way alone.
//!
//! Laws: whoever may not publish to the destination may not have a message traced there, and then
//!       nothing becomes of the message; what asks in vain is delivered as any other, unless it was
//!       only to be traced.
//! Reference: msgtrace.go initMsgTrace.   Contract: TRACE-001, TRACE-002, TRACE-006, TRACE-008,
//! TRACE-009.

use super::publish::{Open, Permit, is_servers_own, publish_to};
use super::{Phase, Session};
use crate::dispatch::{Run, RunMsg, Shown};
use crate::stats::Traffic;
use crate::tracing::header::{self, Asked};
use crate::tracing::{Trace, Traced};
use crate::worker::Worker;
use bytes::Bytes;
use std::sync::Arc;
use wire::parser::{self, Publish};

/// What becomes of a message that asks.
enum Begun {
    /// It is traced.
    Traced(Arc<Trace>),
    /// It goes the way of others.
    Plain,
    /// The same, and servers behind this one are told not to trace it either.
    Disabled,
    /// Nothing.
    Skip,
}

fn header_block<'a>(p: &Publish<'a>) -> &'a [u8] {
    p.body.get(..p.header_len.unwrap_or(0) as usize).unwrap_or_default()
}

impl Session {
    /// Takes a message with headers if it asks to be traced; `false` if it goes the way of others.
    #[inline]
    pub(super) fn take_traced(
        &mut self,
        data: &Bytes,
        p: &Publish<'_>,
        run: &mut Open,
        worker: &mut Worker,
    ) -> bool {
        header::may_ask(header_block(p)) && self.publish_traced(data, p, run, worker)
    }

    #[cold]
    fn publish_traced(
        &mut self,
        data: &Bytes,
        p: &Publish<'_>,
        run: &mut Open,
        worker: &mut Worker,
    ) -> bool {
        // Headers before CONNECT are refused in any case.
        if self.phase == Phase::New || !self.headers() {
            return false;
        }
        self.end_run(data, run, worker);
        match self.begin_trace(p.subject, header_block(p), p.body.len(), false, worker) {
            Begun::Plain => return false,
            Begun::Skip => {}
            Begun::Disabled => {
                let block = header::exchange(header_block(p), header::DEST, header::DISABLED);
                let payload = p.body.get(header_block(p).len()..).unwrap_or_default();
                let body = Bytes::from([&block, payload].concat());
                let msg = RunMsg::part(0..body.len() as u32, block.len() as u32);
                let shown = Shown { subject: None, reply: p.reply };
                self.publish_alone(p, &body, &msg, Some(&shown), None, worker);
            }
            Begun::Traced(trace) => {
                self.publish_alone(p, data, &RunMsg::new(data, p), None, Some(&trace), worker);
                trace.finish(worker);
            }
        }
        true
    }

    /// Checks and dispatches one message.
    fn publish_alone(
        &mut self,
        p: &Publish<'_>,
        data: &Bytes,
        msg: &RunMsg,
        inside: Option<&Shown<'_>>,
        trace: Option<&Arc<Trace>>,
        worker: &mut Worker,
    ) {
        let mut subject = Vec::new();
        if self.account.map_subject(p.subject, || worker.random(), &mut subject) {
            if let Some(trace) = trace {
                trace.mapped(&subject, worker.now);
            }
        } else {
            subject.extend_from_slice(p.subject);
        }
        match self.judge(p, &subject, worker) {
            Ok(Permit::No) => return,
            Ok(Permit::Once | Permit::Yes) => {}
            Err(why) => {
                if let Some(trace) = trace {
                    trace.refused(&why);
                }
                return;
            }
        }
        let received = Traffic { msgs: 1, bytes: msg.len() as u64 };
        self.count_in(received);
        let run = Run {
            data,
            subject: &subject,
            msgs: std::slice::from_ref(msg),
            whole: None,
            origin: Some(&self.conn),
            via: None,
            inside,
            trace,
        };
        let hash = worker.cache.hash(&self.account, &subject);
        let sent = self.dispatch_run(&run, hash, worker);
        let sent = worker.counted(sent);
        self.account.counters.add(worker.id, received, sent);
        worker.broker.counters.add(worker.id, received, sent);
    }

    /// A message that is refused for its size: `rest` begins with its control line, and may hold
    /// the beginning of its headers.
    #[cold]
    pub(super) fn trace_too_large(&mut self, rest: &[u8], worker: &mut Worker) {
        let Some((verb, args)) = parser::written(rest) else { return };
        if !verb.eq_ignore_ascii_case(b"HPUB") || self.phase != Phase::Ready || !self.headers() {
            return;
        }
        let mut args = args.split(|b| matches!(b, b' ' | b'\t')).filter(|arg| !arg.is_empty());
        let subject = args.next().unwrap_or_default();
        let mut sizes = args.rev().map(parser::size);
        let (Some(Some(size)), Some(Some(header_len))) = (sizes.next(), sizes.next()) else {
            return;
        };
        let block = memchr::memchr(b'\n', rest).and_then(|end| rest.get(end + 1..));
        let block = block.unwrap_or_default();
        let block = block.get(..header_len as usize).unwrap_or(block);
        if header::may_ask(block)
            && let Begun::Traced(trace) =
                self.begin_trace(subject, block, size as usize, true, worker)
        {
            trace.refused("maximum payload exceeded");
            trace.finish(worker);
        }
    }

    /// Decides what becomes of a message whose header block may ask for tracing; `refused` if it
    /// will not be delivered anyway.
    fn begin_trace(
        &mut self,
        subject: &[u8],
        block: &[u8],
        size: usize,
        refused: bool,
        worker: &mut Worker,
    ) -> Begun {
        let Some(asked) = Asked::of(block) else { return Begun::Plain };
        let only = asked.is_only();
        let in_vain = if only { Begun::Skip } else { Begun::Plain };
        let log = worker.broker.log.clone();
        if let Some(origin) = asked.value("Nats-Trace-Origin-Account") {
            let label = self.conn.label();
            stdx::error!(
                log,
                "{label} - Message tracing disabled because of header \"Nats-Trace-Origin-Account\" \
                 with value={}",
                stdx::go_text::quote(origin.as_bytes())
            );
            return if only || refused { in_vain } else { Begun::Disabled };
        }
        let dest = if asked.external {
            let Some(target) = self.account.trace.load_full() else { return Begun::Plain };
            let percent = ((u128::from(worker.random()) * 100) >> 64) as u64;
            if percent >= u64::from(target.sampling) {
                return if refused { Begun::Plain } else { Begun::Disabled };
            }
            target.subject.clone()
        } else {
            asked.value("Nats-Trace-Dest").unwrap_or_default().to_owned()
        };
        if !subject::is_valid_publish(dest.as_bytes()) {
            let (label, dest) = (self.conn.label(), stdx::go_text::quote(dest.as_bytes()));
            stdx::error!(
                log,
                "{label} - Destination {dest} is not valid, won't be able to trace events"
            );
            return in_vain;
        }
        if !self.may_trace_to(dest.as_bytes()) {
            self.violates(&publish_to(dest.as_bytes()), worker);
            return Begun::Skip;
        }
        let traced = Traced { asked, dest: dest.as_bytes(), subject, size };
        Begun::Traced(Arc::new(Trace::new(&self.account, &self.conn, traced, worker.now)))
    }

    /// Whether the user may publish to `dest` at any time.
    fn may_trace_to(&mut self, dest: &[u8]) -> bool {
        let groups = dest.starts_with(b"$NRG.") && self.account.is_system();
        (groups || !is_servers_own(dest)) && self.allows(dest)
    }
}
