//! The read loop of a connection, its timers, and its end.
//!
//! Not here: what a full socket left over, and a close's last bytes (`writing`).
//! Laws: everything between *bytes read* and *bytes on outboxes* is one synchronous call; the task
//!       gives way after a bounded number of reads; nothing here blocks.
//! Hot path.

use super::pace::{Change, Pace};
use super::sink::Transport;
use super::writing::{Peer, Writing};
use crate::pause::{self, Paced};
use crate::workers::{Context, READ_SIZE};
use broker::session::{LoginResult, SlowLogin, Verified};
use broker::{Conn, Session};
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
/// When a peer whose ration is used up is read again although the thread made no pause.
const RATION_WAIT: Duration = Duration::from_millis(2);
/// How long a producer waits at most for a peer to take what it brought.
const HOLD_MOST: Duration = Duration::from_millis(2);
/// What was just seen to is not due again before that: a deadline that nobody moves must not take
/// the thread.
const SEEN_TO: Duration = Duration::from_millis(1);
/// A frame of at least this size gets a buffer of its own.
const OWN_BUFFER_FROM: usize = 64 * 1024;

/// The task of one connection.
pub(super) struct Driver {
    peer: Peer,
    writing: Writing,
    /// The start of a frame whose rest has not arrived.
    carry: BytesMut,
    /// Its whole length, once known.
    need: usize,
    timer: Pin<Box<Sleep>>,
    /// A password hash being computed; nothing is read meanwhile.
    login: Option<JoinHandle<Option<LoginResult>>>,
    /// Until when the producer is held back.
    stalled_until: Option<Mono>,
    /// The peer that it waits for to take what it brought, and until when.
    held: Option<(Arc<Conn>, Mono)>,
    /// The session is being ended.
    finishing: bool,
    pace: Pace,
    /// Kept while reads are paced.
    paced: Option<Paced>,
    /// Its ration is used up: when it goes on if the thread makes no pause before.
    rationed_until: Option<Mono>,
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
            peer: Peer { transport, owner, session, context },
            writing: Writing::default(),
            carry: BytesMut::new(),
            need: 0,
            timer,
            login: None,
            stalled_until: None,
            held: None,
            finishing: false,
            pace: Pace::default(),
            paced: None,
            rationed_until: None,
        }
    }

    /// Reads and lets the session act. `Ready` at the end of the stream.
    fn read(&mut self, cx: &mut TaskContext<'_>) -> Poll<CloseReason> {
        self.rationed_until = None;
        for _ in 0..READS_PER_TURN {
            let own = self.need >= OWN_BUFFER_FROM;
            let context = self.peer.context.clone();
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
            let ration = self.paced.as_ref().map(|_| self.pace.ration(context.clock.now().mono));
            let most = ration.filter(|_| !own).map_or(usize::MAX, |r| r as usize);
            let read = match self.peer.transport.poll_read(cx, buf, most) {
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
            self.held = context
                .worker
                .take_hold(cx.waker())
                .map(|target| (target, context.worker.now.mono + HOLD_MOST));
            let (closed, heard) = {
                let out = self.peer.session.conn.outbox.lock();
                (out.is_closed(), out.msgs)
            };
            if closed {
                self.peer.owner.wake();
                return Poll::Pending;
            }
            let now = context.worker.now.mono;
            self.keep_pace(now, read, ration, heard);
            if self.paced.is_some() && read == most {
                self.rationed_until = Some(now + RATION_WAIT);
                pause::wake_after(cx.waker());
                return Poll::Pending;
            }
            if self.stalled_until.is_some() || self.held.is_some() || self.login.is_some() {
                return Poll::Pending;
            }
        }
        // More may be waiting; come back after the others.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Has the thread pause for this peer, or not, after a read of `bytes`, of at most `ration`,
    /// from a peer that was sent `heard` messages so far.
    fn keep_pace(&mut self, now: Mono, bytes: usize, ration: Option<u64>, heard: u64) {
        if self.pace.heard() != heard {
            pause::conversed();
        }
        match self.pace.after_read(now, bytes, ration, heard) {
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
        let progress = self.peer.session.on_bytes(&data, &mut context.worker);
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
        if let Some(login) = self.peer.session.take_slow_login() {
            self.login = Some(tokio::task::spawn_local(verify(login)));
        }
        context.flush_after(read);
        if context.worker.deadline_moved() {
            context.deadline.notify_one();
        }
        self.stalled_until = context.worker.take_stall();
    }

    /// Has the session follow a change of the configuration.
    fn catch_up(&mut self) {
        let context = &mut *self.peer.context.borrow_mut();
        let Context { worker, clock, .. } = context;
        if !self.peer.session.is_behind(worker) {
            return;
        }
        worker.now = clock.now();
        self.peer.session.catch_up(worker);
        if let Some(login) = self.peer.session.take_slow_login() {
            self.login = Some(tokio::task::spawn_local(verify(login)));
        }
        worker.flush_touched();
    }

    /// Goes on once a password hash has been computed.
    fn poll_login(&mut self, cx: &mut TaskContext<'_>) {
        let Some(login) = &mut self.login else { return };
        let Poll::Ready(result) = Pin::new(login).poll(cx) else { return };
        self.login = None;
        let context = self.peer.context.clone();
        let context = &mut *context.borrow_mut();
        context.worker.now = context.clock.now();
        match result {
            Ok(Some(result)) => self.peer.session.finish_login(result, &mut context.worker),
            Ok(None) | Err(_) => {
                self.peer.session.conn.close(CloseReason::AuthenticationViolation);
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
                let context = &mut *self.peer.context.borrow_mut();
                context.worker.now = context.clock.now();
                self.peer.session.on_timer(&mut context.worker);
                context.worker.flush_touched();
                context.worker.now.mono
            };
            for until in [&mut self.stalled_until, &mut self.rationed_until] {
                if until.is_some_and(|until| now >= until) {
                    *until = None;
                }
            }
            if self.writing.failed(&mut self.peer, now, cx) {
                return true;
            }
            let next = self.next_deadline().unwrap_or(now + Duration::from_secs(60));
            let at = self.peer.context.borrow().clock.instant(next.max(now + SEEN_TO));
            self.timer.as_mut().reset(at.into());
        }
        false
    }

    fn next_deadline(&self) -> Option<Mono> {
        let writing = self.writing.next_deadline(&self.peer);
        let held = self.held.as_ref().map(|(_, until)| *until);
        let waits = [self.stalled_until, self.rationed_until, held];
        let own = [self.peer.session.next_deadline(), writing];
        waits.into_iter().chain(own).flatten().min()
    }

    /// Whether it still waits for a peer to take what it brought.
    fn is_held(&mut self, cx: &TaskContext<'_>) -> bool {
        let Some((target, until)) = &self.held else { return false };
        let mut out = target.outbox.lock();
        if !out.hold(cx.waker()) {
            drop(out);
            self.held = None;
            return false;
        }
        if self.peer.now() < *until {
            return true;
        }
        out.hold_no_more();
        drop(out);
        self.held = None;
        false
    }

    /// Brings the timer forward if something is due before it.
    fn arm(&mut self, cx: &mut TaskContext<'_>) {
        let Some(next) = self.next_deadline() else { return };
        let at = |when| self.peer.context.borrow().clock.instant(when).into();
        if self.timer.deadline() <= at(next) {
            return;
        }
        let soonest = at(next.max(self.peer.now() + SEEN_TO));
        if self.timer.deadline() > soonest {
            self.timer.as_mut().reset(soonest);
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Ends the session, many subscriptions in several turns. `Ready` once it has ended.
    fn finish(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.finishing = true;
        let context = &mut *self.peer.context.borrow_mut();
        context.worker.now = context.clock.now();
        let ended = self.peer.session.end_some(&mut context.worker);
        context.worker.flush_touched();
        if ended {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Verifies a login beside the network threads; `None` if that is impossible.
async fn verify(mut login: Box<SlowLogin>) -> Option<LoginResult> {
    loop {
        match tokio::task::spawn_blocking(move || login.run()).await.ok()? {
            Verified::Done(result) => return Some(*result),
            Verified::Wait(again, waiting) => {
                waiting.await;
                login = again;
            }
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.finishing {
            return this.finish(cx);
        }
        this.peer.transport.register(cx.waker());
        if this.poll_timers(cx) {
            let context = this.peer.context.clone();
            let again = this.writing.was_told();
            this.peer.session.on_write_deadline(again, &context.borrow().worker);
        }
        this.catch_up();
        this.poll_login(cx);
        if (this.peer.transport.take_signal() || this.writing.waits())
            && this.writing.tend(&mut this.peer, cx).is_ready()
        {
            this.peer.transport.farewell(cx);
            return this.finish(cx);
        }
        if this.stalled_until.is_none()
            && !this.is_held(cx)
            && this.login.is_none()
            && !this.writing.closes()
            && let Poll::Ready(reason) = this.read(cx)
        {
            this.peer.flush_last(cx);
            this.peer.session.conn.close(reason);
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
