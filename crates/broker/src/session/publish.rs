//! PUB and HPUB: checks before dispatch, and the runs that make dispatch cheap.
//!
//! Laws: statistics count a message once it was framed, whatever becomes of it; a message refused
//!       for permission reaches nobody.
//! Hot path.
//! Reference: client.go processInboundClientMsg.   Contract: CORE-010, 014, 016, 027, 029, 030.

use super::{Phase, Session};
use crate::conn::flag;
use crate::dispatch::{Run, RunMsg};
use crate::stats::Traffic;
use crate::worker::Worker;
use bytes::Bytes;
use std::ops::Range;
use std::sync::atomic::Ordering;
use wire::error::{CloseReason, text};
use wire::parser::{self, Publish, Violation};

/// A run being collected: its messages wait in the worker's scratch space.
#[derive(Default)]
pub(super) struct Open {
    subject: Range<usize>,
    /// `PUB <subject> ` of its first message, as sent; empty if it was not of that form.
    head: Range<usize>,
    active: bool,
    /// Its subject is a mapped one, kept by the worker.
    mapped: bool,
}

/// A finished run that waits for the next few, so that all are looked up together.
pub(crate) struct Waiting {
    subject: Range<usize>,
    /// Where its messages end among those collected.
    until: usize,
    /// Its subject is the mapped one, kept by the worker.
    mapped: bool,
}

/// Messages collected are dispatched here at the latest, so that scratch space stays small and
/// targets are served in turn.
const MAX_RUN: usize = 1024;
/// Runs looked up together: enough for their cache misses to overlap.
const MAX_WAITING: usize = 32;

impl Session {
    /// The shortest way for the commonest case: more plain messages on the open run's subject.
    /// Returns where they end.
    #[inline]
    pub(super) fn continue_run(
        &self,
        data: &Bytes,
        at: usize,
        run: &Open,
        worker: &mut Worker,
    ) -> Option<usize> {
        if !run.active || worker.trace {
            return None;
        }
        let head = data.get(run.head.clone()).filter(|head| !head.is_empty())?;
        let room = MAX_RUN.saturating_sub(worker.run.len());
        let mut end = None;
        for msg in parser::Again::new(data, at, head, &self.limits).take(room) {
            worker.run.push(RunMsg::plain(&msg));
            end = Some(msg.end);
        }
        end
    }

    /// Takes one framed message.
    #[inline]
    pub(super) fn publish(
        &mut self,
        data: &Bytes,
        p: &Publish<'_>,
        run: &mut Open,
        worker: &mut Worker,
    ) {
        if p.header_len.is_some() && self.take_traced(data, p, run, worker) {
            return;
        }
        if self.account.has_mappings() || self.phase == Phase::New {
            self.publish_mapped(data, p, run, worker);
            return;
        }
        if run.active
            && data.get(run.subject.clone()) == Some(p.subject)
            && p.reply.is_none()
            && p.header_len.is_none()
            && !worker.trace
            && worker.run.len() < MAX_RUN
        {
            worker.run.push(RunMsg::new(data, p));
            return;
        }
        let quick = p.reply.is_none() && p.header_len.is_none() && self.permits_quickly(p.subject);
        let mut permit = Permit::Yes;
        if quick && !worker.trace {
            self.set_aside(data, run, worker);
        } else {
            self.end_run(data, run, worker);
            permit = self.may_publish(p, p.subject, worker);
            if permit == Permit::No {
                return;
            }
        }
        worker.run.push(RunMsg::new(data, p));
        let start = p.subject.as_ptr().addr().wrapping_sub(data.as_ptr().addr());
        run.subject = start..start.wrapping_add(p.subject.len());
        // `PUB ` stands right before a canonical subject and a blank right behind it.
        run.head = if p.tail.is_some() && p.header_len.is_none() {
            run.subject.start.saturating_sub(4)..run.subject.end + 1
        } else {
            0..0
        };
        run.active = true;
        run.mapped = false;
        // A reply asks for checks of its own, and for an answer if nobody is there; a permission
        // that is used up is asked for again.
        if !quick && (permit == Permit::Once || p.reply.is_some() || self.answers_each(p)) {
            self.end_run(data, run, worker);
        }
    }

    /// Whether a message on `subject` may go out with nothing to say or to note about it.
    #[inline]
    fn permits_quickly(&mut self, subject: &[u8]) -> bool {
        !self.verbose && !self.pedantic && !is_servers_own(subject) && self.allows(subject)
    }

    /// Whether the user's permissions allow publishing to `subject`, at any time.
    #[inline]
    pub(super) fn allows(&mut self, subject: &[u8]) -> bool {
        let Some(permissions) = &self.permissions else { return true };
        if self.allowed.has(subject) {
            return true;
        }
        let allowed = permissions.can_publish(subject);
        if allowed {
            self.allowed.remember(subject);
        }
        allowed
    }

    /// Whether each message is a run of its own.
    fn answers_each(&self, p: &Publish<'_>) -> bool {
        self.verbose || self.pedantic || p.header_len.is_some()
    }

    /// Takes one message in an account with mappings, or before any login: it is checked and
    /// dispatched under the subject it is mapped to.
    // Compat(SUBJ-010): permissions are those of the mapped subject.
    #[cold]
    fn publish_mapped(
        &mut self,
        data: &Bytes,
        p: &Publish<'_>,
        run: &mut Open,
        worker: &mut Worker,
    ) {
        if self.phase == Phase::New {
            // Which account it is decides whether there are mappings.
            self.login_implicitly(worker);
            if self.phase != Phase::Ready {
                return;
            }
        }
        let mut subject = std::mem::take(&mut worker.mapped[1]);
        if !self.account.map_subject(p.subject, || worker.random(), &mut subject) {
            subject.clear();
            subject.extend_from_slice(p.subject);
        }
        let same = run.active && run.mapped && worker.mapped[0] == subject && !worker.trace;
        let plain = p.reply.is_none() && p.header_len.is_none();
        let mut once = false;
        if !same || !plain || worker.run.len() >= MAX_RUN {
            self.end_run(data, run, worker);
            let permit = self.may_publish(p, &subject, worker);
            if permit == Permit::No {
                worker.mapped[1] = subject;
                return;
            }
            once = permit == Permit::Once;
            std::mem::swap(&mut worker.mapped[0], &mut subject);
            *run = Open { subject: 0..0, head: 0..0, active: true, mapped: true };
        }
        worker.mapped[1] = subject;
        worker.run.push(RunMsg::new(data, p));
        if once || p.reply.is_some() || self.answers_each(p) {
            self.end_run(data, run, worker);
        }
    }

    /// Checks that need the single message; what they refuse is not dispatched. `subject` is what
    /// the message's own subject is mapped to.
    fn may_publish(&mut self, p: &Publish<'_>, subject: &[u8], worker: &mut Worker) -> Permit {
        match self.judge(p, subject, worker) {
            Ok(permit) => permit,
            Err(_) => Permit::No,
        }
    }

    /// The same; says why not, where the publisher was told.
    pub(super) fn judge(
        &mut self,
        p: &Publish<'_>,
        subject: &[u8],
        worker: &mut Worker,
    ) -> Result<Permit, String> {
        if worker.trace {
            self.trace_publish(p, subject, worker);
        }
        if p.header_len.is_some() && !self.headers() {
            // Only before CONNECT: after it the parser refuses what was not asked for.
            stdx::error!(
                worker.broker.log,
                "{} - {}",
                self.conn.label(),
                Violation::HeadersNotSupported
            );
            self.close(CloseReason::ProtocolViolation);
            return Err(String::new());
        }
        if self.pedantic && !valid_literal(p.subject) {
            self.send_error(text::INVALID_PUBLISH_SUBJECT, worker);
        }
        let permit = self.permit(subject, worker);
        if permit == Permit::No || is_servers_own(subject) {
            return Err(self.refuse_message(&publish_to(subject), p, worker));
        }
        if let Some(reply) = p.reply
            && is_reserved_reply(reply)
        {
            let reply = String::from_utf8_lossy(reply);
            return Err(self.refuse_message(
                &format!("Publish with Reply of \"{reply}\""),
                p,
                worker,
            ));
        }
        if self.verbose {
            self.send_ok(worker);
        }
        Ok(permit)
    }

    /// Whether the user may publish to `subject`, now.
    #[inline]
    fn permit(&mut self, subject: &[u8], worker: &Worker) -> Permit {
        if self.allows(subject) {
            return Permit::Yes;
        }
        let now = worker.now.mono;
        let answers = self.conn.has(flag::TRACK_RESPONSES)
            && self
                .conn
                .replies
                .lock()
                .as_mut()
                .is_some_and(|replies| replies.tracker.check(subject, now));
        if answers { Permit::Once } else { Permit::No }
    }

    #[cold]
    fn refuse_message(&self, what: &str, p: &Publish<'_>, worker: &mut Worker) -> String {
        // What is refused was received all the same.
        let received = Traffic { msgs: 1, bytes: p.body.len() as u64 };
        self.count_in(received);
        self.account.counters.add(worker.id, received, Traffic::default());
        worker.broker.counters.add(worker.id, received, Traffic::default());
        self.violates(what, worker)
    }

    /// Tells the publisher and the log what it may not do.
    pub(super) fn violates(&self, what: &str, worker: &mut Worker) -> String {
        let error = format!("Permissions Violation for {what}");
        self.send_error(&error, worker);
        let line = match what.split_once('"') {
            Some((what, subject)) if what.contains("Reply") => format!("Reply \"{subject}"),
            Some((_, subject)) => format!("Subject \"{subject}"),
            None => what.to_owned(),
        };
        stdx::error!(worker.broker.log, "{} - Publish Violation - {line}", self.conn.label());
        error
    }

    /// Finishes the open run; it is dispatched with the next few, or with the end of the read.
    #[inline]
    fn set_aside(&self, data: &Bytes, run: &mut Open, worker: &mut Worker) {
        if !std::mem::take(&mut run.active) {
            return;
        }
        let until = worker.run.len();
        worker.waiting.push(Waiting { subject: run.subject.clone(), until, mapped: run.mapped });
        // There is one place for a mapped subject.
        if run.mapped || worker.waiting.len() >= MAX_WAITING || until >= MAX_RUN {
            self.dispatch_waiting(data, worker);
        }
    }

    /// Dispatches everything collected.
    #[inline]
    pub(super) fn end_run(&self, data: &Bytes, run: &mut Open, worker: &mut Worker) {
        self.set_aside(data, run, worker);
        if !worker.waiting.is_empty() {
            self.dispatch_waiting(data, worker);
        }
    }

    fn dispatch_waiting(&self, data: &Bytes, worker: &mut Worker) {
        let msgs = std::mem::take(&mut worker.run);
        let mut waiting = std::mem::take(&mut worker.waiting);
        let mapped = std::mem::take(&mut worker.mapped[0]);
        let subject_of = |run: &Waiting| {
            let own = data.get(run.subject.clone()).unwrap_or_default();
            if run.mapped { mapped.as_slice() } else { own }
        };
        let mut hashes = [0; MAX_WAITING];
        for (hash, run) in hashes.iter_mut().zip(&waiting) {
            *hash = worker.cache.hash(&self.account, subject_of(run));
        }
        if waiting.len() > 1 {
            worker.cache.look_ahead(hashes.get(..waiting.len()).unwrap_or_default());
        }
        let mut received = Traffic::default();
        let mut sent = Traffic::default();
        let mut from = 0;
        for (run, hash) in waiting.drain(..).zip(hashes) {
            let msgs = msgs.get(from..run.until).unwrap_or_default();
            from = run.until;
            let (subject, origin) = (subject_of(&run), Some(&self.conn));
            let (bytes, plain) = msgs.iter().fold((0, true), |(bytes, plain), msg| {
                (bytes + msg.len() as u64, plain && msg.is_plain())
            });
            received.add(msgs.len() as u64, bytes);
            let whole = plain.then_some(bytes);
            let run =
                Run { data, subject, msgs, whole, origin, via: None, inside: None, trace: None };
            let got = self.dispatch_run(&run, hash, worker);
            sent.add(got.msgs, got.bytes);
        }
        self.count_in(received);
        let sent = worker.counted(sent);
        self.account.counters.add(worker.id, received, sent);
        worker.broker.counters.add(worker.id, received, sent);
        worker.mapped[0] = mapped;
        worker.run = msgs;
        worker.run.clear();
        worker.waiting = waiting;
    }

    #[inline]
    pub(super) fn dispatch_run(&self, run: &Run<'_>, hash: u64, worker: &mut Worker) -> Traffic {
        let sent = worker.dispatch_hashed(&self.account, run, hash);
        if sent.msgs == 0
            && self.no_responders
            && let [msg] = run.msgs
            && let Some(reply) = run.reply(msg)
        {
            self.no_responders(run.subject, reply, worker);
        }
        sent
    }

    #[inline]
    pub(super) fn count_in(&self, received: Traffic) {
        let (msgs, bytes) = (&self.conn.in_msgs, &self.conn.in_bytes);
        msgs.store(msgs.load(Ordering::Relaxed) + received.msgs, Ordering::Relaxed);
        bytes.store(bytes.load(Ordering::Relaxed) + received.bytes, Ordering::Relaxed);
    }

    /// Tells a requester that nobody is there, if it listens for the reply itself (CORE-016).
    fn no_responders(&self, subject: &[u8], reply: &[u8], worker: &mut Worker) {
        let sid = {
            let subs = self.conn.subs.lock();
            let mut listening = subs
                .iter()
                .filter(|sub| sub.queue().is_none() && subject::matches(reply, sub.filter()));
            let Some(sub) = listening.find(|sub| !self.conn.is_denied(sub, reply)) else { return };
            sub.sid().to_vec()
        };
        let len = (32 + subject.len()).to_string();
        let parts: [&[u8]; 11] = [
            b"HMSG ",
            reply,
            b" ",
            &sid,
            b" ",
            len.as_bytes(),
            b" ",
            len.as_bytes(),
            b"\r\nNATS/1.0 503\r\nNats-Subject: ",
            subject,
            b"\r\n\r\n\r\n",
        ];
        worker.send(&self.conn, &parts.concat());
    }
}

/// Whether a message may be published.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    No,
    /// This one, because a request asked for it.
    Once,
    Yes,
}

/// The last few subjects that permissions allowed, so that a publisher's usual subjects are not
/// matched against its lists each time.
#[derive(Default)]
pub(super) struct Allowed {
    subjects: Vec<Box<[u8]>>,
    next: usize,
}

impl Allowed {
    const KEEP: usize = 8;

    #[inline]
    fn has(&self, subject: &[u8]) -> bool {
        self.subjects.iter().any(|known| **known == *subject)
    }

    fn remember(&mut self, subject: &[u8]) {
        if self.subjects.len() < Self::KEEP {
            self.subjects.push(subject.into());
            return;
        }
        if let Some(slot) = self.subjects.get_mut(self.next) {
            *slot = subject.into();
        }
        self.next = (self.next + 1) % Self::KEEP;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

pub(super) fn publish_to(subject: &[u8]) -> String {
    format!("Publish to \"{}\"", String::from_utf8_lossy(subject))
}

/// Subjects that only servers publish to.
pub(super) fn is_servers_own(subject: &[u8]) -> bool {
    subject.starts_with(b"_GR_.") || subject.starts_with(b"$NRG.")
}

/// Replies that belong to the server (CORE-029).
fn is_reserved_reply(reply: &[u8]) -> bool {
    reply.starts_with(b"_R_.") || reply.starts_with(b"$JS.ACK.") || reply.starts_with(b"_GR_.")
}

fn valid_literal(subject: &[u8]) -> bool {
    subject::is_valid_literal(subject)
}
