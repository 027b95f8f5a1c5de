//! The read loop of a connection, and its part of writing: what a full socket left over, and
//! everything where bytes pass a layer (TLS, a pipe) that only the owner may use.
//!
//! Laws: everything between *bytes read* and *bytes on outboxes* is one synchronous call; the task
//!       gives way after a bounded number of reads; nothing here blocks.
//! Hot path.

use super::pace::{Change, Pace};
use super::sink::Transport;
use crate::pause::{self, Paced};
use crate::workers::{Context, READ_SIZE};
use broker::Session;
use broker::outbox::{Flushed, Sink};
use broker::session::{LoginResult, Owed};
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;
use stdx::time::Mono;
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use wire::error::CloseReason;

/// Reads per turn before other connections of the thread get theirs.
const READS_PER_TURN: usize = 4;
/// How long bytes owed at a close may take to leave (CORE-043).
const CLOSE_FLUSH: Duration = Duration::from_millis(100);
/// A frame of at least this size gets a buffer of its own.
const OWN_BUFFER_FROM: usize = READ_SIZE / 2;

/// A write that began with a full socket.
struct SlowWrite {
    began: Mono,
    /// When it began, or was last spoken of.
    due: Mono,
    /// Whether anything was taken since; what filled the socket at first counts.
    progress: bool,
    /// What was owed when it was last spoken of.
    told: Option<Owed>,
}

impl SlowWrite {
    fn new(now: Mono) -> Self {
        Self { began: now, due: now, progress: true, told: None }
    }
}

/// The task of one connection.
pub(super) struct Driver {
    transport: Transport,
    owner: Arc<dyn Sink>,
    session: Session,
    context: Rc<RefCell<Context>>,
    /// The start of a frame whose rest has not arrived.
    carry: BytesMut,
    /// Its whole length, once known.
    need: usize,
    timer: Pin<Box<Sleep>>,
    /// A password hash being computed; nothing is read meanwhile.
    login: Option<JoinHandle<LoginResult>>,
    /// When the socket became full.
    blocked_since: Option<Mono>,
    /// The write that has not ended, where writes are tried again (`write_timeout: retry`).
    slow_write: Option<SlowWrite>,
    /// Until when the producer is held back.
    stalled_until: Option<Mono>,
    /// Until when bytes owed may still leave after a close.
    closing_until: Option<Mono>,
    /// The session is being ended.
    finishing: bool,
    pace: Pace,
    /// Kept while reads are paced.
    paced: Option<Paced>,
}

impl Driver {
    pub(super) fn new(
        transport: Transport,
        session: Session,
        context: Rc<RefCell<Context>>,
    ) -> Self {
        let owner = transport.sink();
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self {
            transport,
            owner,
            session,
            context,
            carry: BytesMut::new(),
            need: 0,
            timer,
            login: None,
            blocked_since: None,
            slow_write: None,
            stalled_until: None,
            closing_until: None,
            finishing: false,
            pace: Pace::default(),
            paced: None,
        }
    }

    /// Looks at the outbox: a full socket may have drained, or the connection is to close.
    /// `Ready` when nothing more can be done for it.
    fn tend_outbox(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        loop {
            let (blocked, closing, pending) = {
                let out = self.session.conn.outbox.lock();
                (out.is_blocked(), out.closing(), out.pending())
            };
            if let Some(reason) = closing
                && (pending == 0 || !reason.flushes())
            {
                return Poll::Ready(());
            }
            let now = self.now();
            if closing.is_some() && self.closing_until.is_none() {
                self.closing_until = Some(now + CLOSE_FLUSH);
            }
            if self.closing_until.is_some_and(|until| now >= until) {
                return Poll::Ready(());
            }
            if !blocked && closing.is_none() && pending == 0 {
                self.write_ended(now);
                return Poll::Pending;
            }
            if blocked && self.blocked_since.is_none() {
                self.blocked_since = Some(now);
                if self.session.retries_writes() {
                    self.slow_write = Some(SlowWrite::new(now));
                }
            }
            if blocked && self.transport.poll_write_ready(cx).is_pending() {
                return Poll::Pending;
            }
            let before = pending;
            let flushed = {
                let context = &mut *self.context.borrow_mut();
                self.transport.flush(cx, &self.session.conn, &self.owner, &mut context.worker)
            };
            match flushed {
                Flushed::Broken => return Poll::Ready(()),
                Flushed::Empty => {
                    self.write_ended(now);
                    if closing.is_none() {
                        return Poll::Pending;
                    }
                }
                Flushed::Waiting if !self.owner.direct() => {
                    // The layer wakes this task when it takes more.
                    self.blocked_since.get_or_insert(now);
                    return Poll::Pending;
                }
                Flushed::Waiting => {
                    if self.session.conn.outbox.lock().pending() < before {
                        self.blocked_since = Some(now);
                        if let Some(write) = &mut self.slow_write {
                            write.progress = true;
                        }
                    }
                    if !self.session.conn.outbox.lock().is_blocked() {
                        // Another thread is writing; it will signal when it is done or stuck.
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Everything owed was written.
    fn write_ended(&mut self, now: Mono) {
        self.blocked_since = None;
        let Some(SlowWrite { began, told: Some(size), .. }) = self.slow_write.take() else {
            return;
        };
        self.session.on_slow_write_ended(size, now.since(began), &self.context.borrow().worker);
    }

    /// Whether the peer took nothing for as long as a write may take. Where writes are tried again,
    /// one that goes on, but takes longer, is spoken of.
    fn write_failed(&mut self, now: Mono, cx: &mut TaskContext<'_>) -> bool {
        let deadline = self.session.write_deadline();
        let Some(write) = &mut self.slow_write else {
            return self.blocked_since.is_some_and(|since| now.since(since) >= deadline);
        };
        if now.since(write.due) < deadline {
            return false;
        }
        write.due = now;
        let progress = std::mem::take(&mut write.progress);
        if !progress && !self.takes_anything(cx) {
            return true;
        }
        let Some(write) = &mut self.slow_write else { return false };
        let worker = &self.context.borrow().worker;
        write.told = Some(self.session.on_slow_write(write.told.is_some(), worker));
        false
    }

    /// Tries to write, without waiting for the poller's word.
    fn takes_anything(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let context = self.context.clone();
        let worker = &mut context.borrow_mut().worker;
        let before = self.session.conn.outbox.lock().pending();
        self.transport.flush_anyway(cx, &self.session.conn, &self.owner, worker);
        self.session.conn.outbox.lock().pending() < before
    }

    fn now(&self) -> Mono {
        self.context.borrow().clock.now().mono
    }

    /// Reads and lets the session act. `Ready` at the end of the stream.
    fn read(&mut self, cx: &mut TaskContext<'_>) -> Poll<CloseReason> {
        for _ in 0..READS_PER_TURN {
            let own = self.need >= OWN_BUFFER_FROM;
            let context = self.context.clone();
            let context = &mut *context.borrow_mut();
            let buf = if own {
                let missing = self.need.saturating_sub(self.carry.len());
                self.carry.reserve(missing);
                &mut self.carry
            } else {
                context.buf.clear();
                context.buf.reserve(READ_SIZE);
                if !self.carry.is_empty() {
                    context.buf.extend_from_slice(&self.carry);
                    self.carry.clear();
                }
                &mut context.buf
            };
            let read = match self.transport.poll_read(cx, buf) {
                Poll::Ready(Ok(0)) => return Poll::Ready(CloseReason::ClientClosed),
                Poll::Ready(Ok(n)) => n,
                // A peer may end without the layer's own farewell.
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(CloseReason::ClientClosed);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(CloseReason::ReadError),
                Poll::Pending => {
                    if !own && !context.buf.is_empty() {
                        self.carry.extend_from_slice(&context.buf);
                    }
                    return Poll::Pending;
                }
            };
            if own && self.carry.len() < self.need {
                continue;
            }
            let data = if own { self.carry.split().freeze() } else { context.buf.split().freeze() };
            self.act(data, context);
            let (closed, heard) = {
                let out = self.session.conn.outbox.lock();
                (out.is_closed(), out.msgs)
            };
            if closed {
                self.owner.wake();
                return Poll::Pending;
            }
            self.keep_pace(context.worker.now.mono, read, heard);
            if self.stalled_until.is_some() || self.login.is_some() {
                return Poll::Pending;
            }
        }
        // More may be waiting; come back after the others.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Has the thread pause for this peer, or not, after a read of `bytes` from a peer that was
    /// sent `heard` messages so far.
    fn keep_pace(&mut self, now: Mono, bytes: usize, heard: u64) {
        if self.pace.heard() != heard {
            pause::conversed();
        }
        match self.pace.after_read(now, bytes, heard) {
            Change::None => {}
            Change::Begin => self.paced = Some(Paced::begin()),
            Change::End => self.paced = None,
        }
        if let Some(paced) = &self.paced {
            paced.spoke();
        }
    }

    /// Gives bytes to the session and keeps what it did not take.
    fn act(&mut self, data: Bytes, context: &mut Context) {
        context.worker.now = context.clock.now();
        let progress = self.session.on_bytes(&data, &mut context.worker);
        let rest = data.get(progress.consumed..).unwrap_or_default();
        self.need = progress.need.unwrap_or(0);
        if rest.is_empty() {
            if self.carry.capacity() > 0 {
                self.carry = BytesMut::new();
            }
        } else {
            self.carry.reserve(rest.len().max(self.need.min(OWN_BUFFER_FROM)));
            self.carry.extend_from_slice(rest);
        }
        let read = data.len();
        drop(data);
        if let Some(login) = self.session.take_slow_login() {
            self.login = Some(tokio::task::spawn_blocking(move || login.run()));
        }
        context.flush_after(read);
        if context.worker.deadline_moved() {
            context.deadline.notify_one();
        }
        self.stalled_until = context.worker.take_stall();
    }

    /// Goes on once a password hash has been computed.
    fn poll_login(&mut self, cx: &mut TaskContext<'_>) {
        let Some(login) = &mut self.login else { return };
        let Poll::Ready(result) = Pin::new(login).poll(cx) else { return };
        self.login = None;
        let context = self.context.clone();
        let context = &mut *context.borrow_mut();
        context.worker.now = context.clock.now();
        match result {
            Ok(result) => self.session.finish_login(result, &mut context.worker),
            Err(_) => {
                self.session.conn.close(CloseReason::AuthenticationViolation);
            }
        }
        // What came in behind the CONNECT has been waiting.
        let waiting = self.carry.split().freeze();
        self.act(waiting, context);
    }

    /// Sees to deadlines; `true` if the write deadline passed.
    fn poll_timers(&mut self, cx: &mut TaskContext<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = {
                let context = &mut *self.context.borrow_mut();
                context.worker.now = context.clock.now();
                self.session.on_timer(&mut context.worker);
                context.worker.flush_touched();
                context.worker.now.mono
            };
            if self.stalled_until.is_some_and(|until| now >= until) {
                self.stalled_until = None;
            }
            if self.write_failed(now, cx) {
                return true;
            }
            let next = self.next_deadline().unwrap_or(now + Duration::from_secs(60));
            let at = self.context.borrow().clock.instant(next);
            self.timer.as_mut().reset(at.into());
        }
        false
    }

    fn next_deadline(&self) -> Option<Mono> {
        let write = match &self.slow_write {
            Some(write) => Some(write.due),
            None => self.blocked_since,
        };
        let write = write.map(|since| since + self.session.write_deadline());
        [self.session.next_deadline(), write, self.stalled_until, self.closing_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// Brings the timer forward if something is due before it.
    fn arm(&mut self, cx: &mut TaskContext<'_>) {
        let Some(next) = self.next_deadline() else { return };
        let at = self.context.borrow().clock.instant(next).into();
        if self.timer.deadline() > at {
            self.timer.as_mut().reset(at);
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Writes what the last reads caused, to this peer too: it may have closed one half only.
    fn flush_last(&mut self, cx: &mut TaskContext<'_>) {
        let context = self.context.clone();
        let context = &mut *context.borrow_mut();
        context.worker.flush_touched();
        self.transport.flush(cx, &self.session.conn, &self.owner, &mut context.worker);
        self.transport.farewell(cx);
    }

    /// Ends the session, many subscriptions in several turns. `Ready` once it has ended.
    fn finish(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.finishing = true;
        let context = &mut *self.context.borrow_mut();
        context.worker.now = context.clock.now();
        let ended = self.session.end_some(&mut context.worker);
        context.worker.flush_touched();
        if ended {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.finishing {
            return this.finish(cx);
        }
        this.transport.register(cx.waker());
        if this.poll_timers(cx) {
            let context = this.context.clone();
            let again = this.slow_write.as_ref().is_some_and(|write| write.told.is_some());
            this.session.on_write_deadline(again, &context.borrow().worker);
        }
        this.poll_login(cx);
        if (this.transport.take_signal()
            || this.blocked_since.is_some()
            || this.closing_until.is_some())
            && this.tend_outbox(cx).is_ready()
        {
            return this.finish(cx);
        }
        if this.stalled_until.is_none()
            && this.login.is_none()
            && this.closing_until.is_none()
            && let Poll::Ready(reason) = this.read(cx)
        {
            this.flush_last(cx);
            this.session.conn.close(reason);
            return this.finish(cx);
        }
        if this.login.is_some() {
            // Just handed out: its end must wake this task.
            this.poll_login(cx);
            if this.login.is_none() {
                cx.waker().wake_by_ref();
            }
        }
        this.arm(cx);
        Poll::Pending
    }
}
