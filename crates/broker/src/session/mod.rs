//! A client connection's protocol state: bytes in, effects through the worker out.
//!
//! Not here: reading and writing sockets (`net::conn`), who gets a message (`dispatch`).
//! Laws: frames take effect in the order they came; a run of publishes takes effect before the
//!       next frame of another kind; after a close is asked for, no further frame takes effect.
//! Reference: client.go, parser.go.   Contract: CORE-*.

mod connect;
mod ping;
mod publish;
mod review;
mod subscribe;
pub(crate) mod trace;
mod traced;

pub use connect::{LoginResult, SlowLogin, Verified};
pub(crate) use publish::Waiting;

use crate::account::Account;
use crate::conn::{Conn, flag};
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::worker::Worker;
use auth::{CertificateFacts, Permissions};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use stdx::time::Mono;
use wire::connect::Connect;
use wire::encode;
use wire::error::{CloseReason, text};
use wire::parser::{self, Frame, Limits, Step, Violation};

/// What became of the bytes given to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken; the rest is to be given again, with more behind it.
    pub consumed: usize,
    /// Whole length of the frame the rest begins, once known.
    pub need: Option<usize>,
}

/// What a peer had not taken at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Owed {
    /// Pieces it was in.
    pub chunks: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Owed {
    fn of(out: &Outbox) -> Self {
        Self { chunks: out.chunk_count(), bytes: out.pending() }
    }
}

/// Subscriptions an ending session takes out of the interest before others get their turn: a few
/// milliseconds' worth.
const LEAVE_AT_ONCE: usize = 4096;

/// Bytes of a protocol error that the log shows.
const SNIPPET: usize = 32;

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for CONNECT.
    New,
    /// Waiting for a password hash to be computed.
    Verifying,
    /// May use the protocol.
    Ready,
    /// Asked to close.
    Closing,
}

/// One client connection.
pub struct Session {
    /// The part other threads see.
    pub conn: Arc<Conn>,
    settings: Arc<Settings>,
    account: Arc<Account>,
    /// Counted among the account's clients.
    counted: bool,
    phase: Phase,
    permissions: Option<Arc<Permissions>>,
    /// Subjects found to be allowed lately.
    allowed: publish::Allowed,
    /// Subscriptions on their way out.
    leaving: subscribe::Leaving,
    nonce: String,
    /// What the greeting said about credentials.
    auth_required: bool,
    connect_received: bool,
    /// What the last CONNECT said, with what those before it had said.
    said: Option<Box<Connect>>,
    auth_deadline: Option<Mono>,
    /// When its token ends.
    expires: Option<Mono>,
    /// Subscriptions it may have and bytes of a message, by its token.
    token_limits: (Option<u64>, Option<u64>),
    slow_login: Option<Box<SlowLogin>>,
    /// Who let the client in.
    admitted_by: Option<Arc<auth::Authenticator>>,
    /// The configuration that it lives by.
    revision: u64,
    certificate: Option<Arc<CertificateFacts>>,
    /// `tls_required`, `tls_available`, `tls_verify` of INFO, where the listener decides.
    tls_flags: Option<(bool, bool, bool)>,
    greeted: bool,
    /// Whether the peer's address may be a proxy's, and is not told.
    hides_ip: bool,
    limits: Limits,
    verbose: bool,
    pedantic: bool,
    no_responders: bool,
    ping: ping::Ping,
}

impl Session {
    /// A session for a connection that was just accepted.
    pub fn new(conn: Arc<Conn>, worker: &mut Worker) -> Self {
        // Before everything that it stands for.
        let revision = worker.broker.revision();
        conn.revision.store(revision, std::sync::atomic::Ordering::Release);
        let settings = worker.broker.settings();
        let defaults = Connect::default();
        let ping = ping::Ping::first(&settings, worker);
        conn.set(flag::NO_STALL, settings.no_fast_producer_stall);
        let authenticator = worker.broker.authenticator();
        let auth_required = authenticator.auth_required();
        Self {
            account: worker.broker.global().clone(),
            counted: false,
            phase: Phase::New,
            permissions: None,
            allowed: publish::Allowed::default(),
            leaving: subscribe::Leaving::default(),
            nonce: if authenticator.needs_nonce() { worker.nonce() } else { String::new() },
            auth_required,
            connect_received: false,
            said: None,
            auth_deadline: auth_required.then(|| worker.now.mono + settings.auth_timeout),
            expires: None,
            token_limits: (None, None),
            slow_login: None,
            admitted_by: None,
            revision,
            certificate: None,
            tls_flags: None,
            greeted: false,
            hides_ip: false,
            limits: Limits {
                max_control_line: settings.max_control_line,
                max_payload: settings.max_payload,
                headers: settings.headers,
            },
            verbose: defaults.verbose,
            pedantic: defaults.pedantic,
            no_responders: false,
            ping,
            settings,
            conn,
        }
    }

    /// Sends INFO.
    pub fn greet(&mut self, worker: &mut Worker) {
        let line = self.greeting(worker);
        worker.send(&self.conn, &line);
    }

    /// The INFO line to greet with, for a host that writes it itself.
    pub fn greeting(&mut self, worker: &mut Worker) -> Vec<u8> {
        stdx::debug!(worker.broker.log, "{} - Client connection created", self.conn.label());
        self.greeted = true;
        self.info(worker, true).line()
    }

    /// Keeps the peer's address out of INFO, or not: before a proxy's header it may be the proxy's
    /// own (CORE-055).
    pub fn hide_ip(&mut self, hide: bool) {
        self.hides_ip = hide;
    }

    /// Whether the client has had its greeting.
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// What INFO says of TLS on this connection: required, available, verify.
    pub fn set_tls_flags(&mut self, required: bool, available: bool, verify: bool) {
        self.tls_flags = Some((required, available, verify));
    }

    /// Takes bytes. `data` starts where the last call's `consumed` ended.
    pub fn on_bytes(&mut self, data: &Bytes, worker: &mut Worker) -> Progress {
        let mut pos = 0;
        let mut need = None;
        let mut run = publish::Open::default();
        // Compat(MON-013): PING, PONG and halves of frames are no activity.
        let mut active = false;
        self.ping.heard(worker.now.mono);
        worker.look_at_the_log();
        if self.is_behind(worker) {
            self.catch_up(worker);
        }
        while !matches!(self.phase, Phase::Closing | Phase::Verifying) {
            let rest = data.get(pos..).unwrap_or_default();
            if self.phase == Phase::New
                && self.auth_required
                && rest.first().is_some_and(|first| !matches!(first, b'C' | b'c'))
            {
                // Compat(CORE-022): the first byte of another verb is enough.
                self.auth_violation(&auth::Who::Nobody, worker);
                break;
            }
            if let Some(end) = self.continue_run(data, pos, &run, worker) {
                pos = end;
                active = true;
                continue;
            }
            match parser::parse(rest, &self.limits) {
                Step::Frame(Frame::Publish(publish), consumed) => {
                    if worker.trace {
                        self.end_run(data, &mut run, worker);
                        self.trace_written(rest, worker);
                    }
                    pos += consumed;
                    active = true;
                    self.publish(data, &publish, &mut run, worker);
                }
                Step::Frame(frame, consumed) => {
                    self.end_run(data, &mut run, worker);
                    pos += consumed;
                    active |= is_activity(&frame);
                    self.frame(frame, rest, worker);
                }
                Step::More { total } => {
                    need = total;
                    break;
                }
                Step::Invalid(violation) => {
                    self.end_run(data, &mut run, worker);
                    self.violation(&violation, data, pos, worker);
                }
            }
        }
        self.end_run(data, &mut run, worker);
        if active {
            let now = worker.now.wall.0 as u64;
            self.conn.last_activity.store(now, std::sync::atomic::Ordering::Relaxed);
        }
        Progress { consumed: pos, need }
    }

    /// Acts on `frame`, which begins `written`.
    fn frame(&mut self, frame: Frame<'_>, written: &[u8], worker: &mut Worker) {
        if worker.trace {
            self.trace_frame(&frame, written, worker);
        }
        if self.phase == Phase::New && !matches!(frame, Frame::Connect(_)) {
            self.login_implicitly(worker);
            if self.phase != Phase::Ready {
                return;
            }
        }
        match frame {
            Frame::Publish(_) | Frame::Ignored => {}
            Frame::Subscribe { subject, queue, sid } => {
                self.subscribe(subject, queue, sid, worker);
            }
            Frame::Unsubscribe { sid, max } => self.unsubscribe(sid, max, worker),
            Frame::Connect(json) => self.connect(json, worker),
            Frame::Info(json) => {
                // What a client says of a server is nobody's business, but it has to be readable.
                if let Err(error) = wire::info::check(json) {
                    stdx::error!(worker.broker.log, "{} - {error}", self.conn.label());
                    self.close(CloseReason::ProtocolViolation);
                }
            }
            Frame::Ping => self.on_ping(worker),
            Frame::Pong => self.on_pong(worker),
            Frame::Error(message) => {
                let message = String::from_utf8_lossy(message);
                stdx::error!(worker.broker.log, "{} - Client Error {message}", self.conn.label());
                self.close(CloseReason::ParseError);
            }
        }
    }

    /// Bytes that are not the protocol, `at` in `data`: say so where the reference does, and close.
    #[cold]
    fn violation(&mut self, violation: &Violation, data: &[u8], at: usize, worker: &mut Worker) {
        let rest = data.get(at..).unwrap_or_default();
        if worker.trace && !matches!(violation, Violation::MaxControlLine) {
            self.trace_written(rest, worker);
        }
        let label = self.conn.label();
        let log = worker.broker.log.clone();
        let (message, reason) = match violation {
            Violation::UnknownOperation => {
                (Some(text::UNKNOWN_OPERATION), CloseReason::ProtocolViolation)
            }
            Violation::MaxControlLine => {
                (Some(text::MAX_CONTROL_LINE), CloseReason::MaxControlLineExceeded)
            }
            Violation::MaxPayload { .. } => {
                self.trace_too_large(rest, worker);
                // Compat(CORE-009): the log comes before what it is about.
                stdx::error!(log, "{label} - {violation}");
                (Some(text::MAX_PAYLOAD), CloseReason::MaxPayloadExceeded)
            }
            Violation::HeadersNotSupported | Violation::Arguments(_) => {
                (None, CloseReason::ProtocolViolation)
            }
        };
        if let Some(message) = message {
            self.send_error(message, worker);
        }
        match violation {
            Violation::UnknownOperation => {
                let (state, seen) = parser::blame(rest);
                let at = at + seen;
                let end = if data.len() < at + SNIPPET {
                    data.len().saturating_sub(1)
                } else {
                    at + SNIPPET
                };
                let snippet = stdx::go_text::quote(data.get(at..end).unwrap_or_default());
                stdx::error!(
                    log,
                    "{label} - Client parser ERROR, state={state}, i={at}: proto='{snippet}...'"
                );
            }
            Violation::Arguments(what) => {
                let args = parser::written(rest).map_or(&[][..], |(_, args)| args);
                stdx::error!(log, "{label} - {what}: {}", stdx::go_text::quote(args));
            }
            Violation::MaxPayload { .. } => {}
            Violation::MaxControlLine | Violation::HeadersNotSupported => {
                stdx::error!(log, "{label} - {violation}");
            }
        }
        self.close(reason);
    }

    fn send_error(&self, message: &str, worker: &mut Worker) {
        // Not only while reading: deadlines pass between reads.
        if worker.broker.log.trace_enabled() {
            self.trace_out(&format!("-ERR {message}"), worker);
        }
        worker.send(&self.conn, &encode::error_line(message));
    }

    fn send_ok(&self, worker: &mut Worker) {
        if worker.trace {
            self.trace_out("OK", worker);
        }
        worker.send(&self.conn, encode::OK);
    }

    /// Turns the connection away with an `-ERR`.
    pub fn refuse(&mut self, message: &str, reason: CloseReason, worker: &mut Worker) {
        worker.broker.error_once(&self.conn, message, worker.now.mono);
        self.send_error(message, worker);
        self.close(reason);
    }

    /// Asks for the end of the connection.
    fn close(&mut self, reason: CloseReason) {
        self.phase = Phase::Closing;
        self.conn.close(reason);
    }

    /// The first of the session's deadlines, if any.
    pub fn next_deadline(&self) -> Option<Mono> {
        // Who may not speak yet is asked nothing: that deadline would be in the past for ever.
        let ping = self.auth_deadline.is_none().then(|| self.ping.due());
        let deadlines = [ping, self.auth_deadline, self.expires];
        // Of one that is closing nothing is due any more.
        let open = self.phase != Phase::Closing;
        deadlines.into_iter().flatten().min().filter(|_| open)
    }

    /// Gives the session the client's verified certificate. Before any bytes.
    pub fn set_certificate(&mut self, facts: Arc<CertificateFacts>) {
        self.certificate = Some(facts);
    }

    /// Starts the time to authenticate and the pings anew (after a TLS handshake).
    pub fn restart_timers(&mut self, worker: &mut Worker) {
        if self.auth_deadline.is_some() {
            self.auth_deadline = Some(worker.now.mono + self.settings.auth_timeout);
        }
        self.restart_pings(worker);
    }

    /// The peer took nothing for as long as a write may take: count it, say so (`again`, if it was
    /// said to be slow before), close it.
    pub fn on_write_deadline(&mut self, again: bool, worker: &Worker) {
        let (closed, owed) = {
            let mut out = self.conn.outbox.lock();
            let owed = Owed::of(&out);
            (out.close(CloseReason::SlowConsumerWriteDeadline), owed)
        };
        if closed {
            worker.broker.missed_deadline(&self.conn, &self.account, again, owed);
        }
    }

    /// Whether a peer that takes its bytes too slowly, but takes them, is kept
    /// (`write_timeout: retry`).
    pub fn retries_writes(&self) -> bool {
        self.settings.write_retry
    }

    /// A write takes longer than it may, and is left to go on; `again` if that was said before.
    pub fn on_slow_write(&self, again: bool, worker: &Worker) -> Owed {
        let owed = Owed::of(&self.conn.outbox.lock());
        worker.broker.missed_deadline(&self.conn, &self.account, again, owed);
        owed
    }

    /// Such a write ended well after `took`.
    pub fn on_slow_write_ended(&self, owed: Owed, took: Duration, worker: &Worker) {
        stdx::notice!(
            worker.broker.log,
            "{} - Slow Consumer Recovered: Flush took {:.3}s with {} chunks of {} total bytes.",
            self.conn.label(),
            took.as_secs_f64(),
            owed.chunks,
            owed.bytes
        );
    }

    /// How long a blocked write may take.
    pub fn write_deadline(&self) -> Duration {
        self.settings.write_deadline
    }

    /// Takes what the session holds out of the server: subscriptions, its place in the tables.
    pub fn end(&mut self, worker: &mut Worker) {
        while !self.end_some(worker) {}
    }

    /// Does a part of [`Session::end`] that other connections of the thread can wait for; `true`
    /// once all is done.
    pub fn end_some(&mut self, worker: &mut Worker) -> bool {
        let reason = {
            let mut out = self.conn.outbox.lock();
            out.end();
            out.closing().unwrap_or(CloseReason::ClientClosed)
        };
        if !self.drop_some_subscriptions(LEAVE_AT_ONCE) {
            return false;
        }
        let subs = std::mem::take(&mut self.leaving).subs;
        let log = &worker.broker.log;
        stdx::debug!(log, "{} - Client connection closed: {}", self.conn.label(), reason.text());
        if log.trace_enabled() {
            for sub in &subs {
                self.trace_unsubscribed(sub.sid(), worker);
            }
        }
        self.leave_account(worker);
        if let Some(witness) = worker.broker.witness() {
            witness.left(&self.conn, &self.account, reason, worker.now.wall);
        }
        worker.broker.unregister(&self.conn, reason, subs, worker.now.wall);
        true
    }

    fn has(&self, flags: u32) -> bool {
        self.conn.has(flags)
    }

    fn headers(&self) -> bool {
        self.has(flag::HEADERS)
    }
}

/// Whether monitoring counts the peer as active for it; messages always do.
fn is_activity(frame: &Frame<'_>) -> bool {
    matches!(frame, Frame::Connect(_) | Frame::Subscribe { .. } | Frame::Unsubscribe { .. })
}
