//! What a connection's owner does about bytes that its socket did not take: wait for room, give up
//! when it waited too long, and see a close through.
//!
//! Not here: writing as producers do (`broker::outbox`), reading (`driver`).
//! Laws: nothing here blocks; a socket that takes nothing for as long as a write may take has failed.
//! Contract: CORE-040..043.

use super::sink::Transport;
use crate::workers::Context;
use broker::Session;
use broker::outbox::{Flushed, Sink};
use broker::session::Owed;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;
use stdx::time::Mono;

/// How long bytes owed at a close may take to leave (CORE-043).
const CLOSE_FLUSH: Duration = Duration::from_millis(100);

/// A peer, and the thread it is served on.
pub(super) struct Peer {
    pub transport: Transport,
    pub owner: Arc<dyn Sink>,
    pub session: Session,
    pub context: Rc<RefCell<Context>>,
}

impl Peer {
    pub(super) fn now(&self) -> Mono {
        self.context.borrow().clock.now().mono
    }

    /// Writes what the outbox holds.
    fn flush(&mut self, cx: &mut TaskContext<'_>) -> Flushed {
        let context = &mut *self.context.borrow_mut();
        self.transport.flush(cx, &self.session.conn, &self.owner, &mut context.worker)
    }

    /// Writes what the last reads caused, to this peer too: it may have closed one half only.
    pub(super) fn flush_last(&mut self, cx: &mut TaskContext<'_>) {
        self.context.borrow_mut().worker.flush_touched();
        self.flush(cx);
        self.transport.farewell(cx);
    }

    /// Tries to write, without waiting for the poller's word; whether anything was taken.
    fn takes_anything(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let worker = &mut self.context.borrow_mut().worker;
        let before = self.session.conn.outbox.lock().pending();
        self.transport.flush_anyway(cx, &self.session.conn, &self.owner, worker);
        self.session.conn.outbox.lock().pending() < before
    }
}

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

/// How writing to one peer stands.
#[derive(Default)]
pub(super) struct Writing {
    /// When the socket became full.
    blocked_since: Option<Mono>,
    /// The write that has not ended, where writes are tried again (`write_timeout: retry`).
    slow: Option<SlowWrite>,
    /// Until when bytes owed may still leave after a close.
    closing_until: Option<Mono>,
}

impl Writing {
    /// Whether there is something to look after without being woken for it.
    pub(super) fn waits(&self) -> bool {
        self.blocked_since.is_some() || self.closes()
    }

    /// Whether the connection only sees its last bytes off.
    pub(super) fn closes(&self) -> bool {
        self.closing_until.is_some()
    }

    /// Whether the write under way was spoken of.
    pub(super) fn was_told(&self) -> bool {
        self.slow.as_ref().is_some_and(|write| write.told.is_some())
    }

    /// The first of its deadlines, if any.
    pub(super) fn next_deadline(&self, peer: &Peer) -> Option<Mono> {
        let since = self.slow.as_ref().map(|write| write.due).or(self.blocked_since);
        let write = since.map(|since| since + peer.session.write_deadline());
        [write, self.closing_until].into_iter().flatten().min()
    }

    /// Looks at the outbox: a full socket may have drained, or the connection is to close.
    /// `Ready` when nothing more can be done for it.
    pub(super) fn tend(&mut self, peer: &mut Peer, cx: &mut TaskContext<'_>) -> Poll<()> {
        loop {
            let (blocked, closing, pending) = {
                let out = peer.session.conn.outbox.lock();
                (out.is_blocked(), out.closing(), out.pending())
            };
            if let Some(reason) = closing
                && (pending == 0 || !reason.flushes())
            {
                return Poll::Ready(());
            }
            let now = peer.now();
            if closing.is_some() && self.closing_until.is_none() {
                self.closing_until = Some(now + CLOSE_FLUSH);
            }
            if self.closing_until.is_some_and(|until| now >= until) {
                return Poll::Ready(());
            }
            if !blocked && closing.is_none() && pending == 0 {
                self.ended(peer, now);
                return Poll::Pending;
            }
            if blocked && self.blocked_since.is_none() {
                self.blocked_since = Some(now);
                if peer.session.retries_writes() {
                    self.slow = Some(SlowWrite::new(now));
                }
            }
            if blocked && peer.transport.poll_write_ready(cx).is_pending() {
                return Poll::Pending;
            }
            match peer.flush(cx) {
                Flushed::Broken => return Poll::Ready(()),
                Flushed::Empty => {
                    self.ended(peer, now);
                    if closing.is_none() {
                        return Poll::Pending;
                    }
                    // Another thread has the last bytes in hand: looked at again in turn, so that
                    // the other connections of this thread are served meanwhile.
                    if peer.session.conn.outbox.lock().pending() > 0 {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Flushed::Waiting if !peer.owner.direct() => {
                    // The layer wakes this task when it takes more.
                    self.blocked_since.get_or_insert(now);
                    return Poll::Pending;
                }
                Flushed::Waiting => {
                    if self.waits_on(peer, pending, now) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Takes note of a plain socket that did not take everything, of which `before` was owed;
    /// whether somebody will wake this task.
    fn waits_on(&mut self, peer: &Peer, before: usize, now: Mono) -> bool {
        let out = peer.session.conn.outbox.lock();
        if out.pending() < before {
            self.blocked_since = Some(now);
            if let Some(write) = &mut self.slow {
                write.progress = true;
            }
        }
        // If it is not blocked, another thread is writing; it will signal when it is done or stuck.
        !out.is_blocked()
    }

    /// Everything owed was written.
    fn ended(&mut self, peer: &Peer, now: Mono) {
        self.blocked_since = None;
        let Some(SlowWrite { began, told: Some(size), .. }) = self.slow.take() else {
            return;
        };
        peer.session.on_slow_write_ended(size, now.since(began), &peer.context.borrow().worker);
    }

    /// Whether the peer took nothing for as long as a write may take. Where writes are tried again,
    /// one that goes on, but takes longer, is spoken of.
    pub(super) fn failed(&mut self, peer: &mut Peer, now: Mono, cx: &mut TaskContext<'_>) -> bool {
        let deadline = peer.session.write_deadline();
        let Some(write) = &mut self.slow else {
            return self.blocked_since.is_some_and(|since| now.since(since) >= deadline);
        };
        if now.since(write.due) < deadline {
            return false;
        }
        write.due = now;
        let progress = std::mem::take(&mut write.progress);
        if !progress && !peer.takes_anything(cx) {
            return true;
        }
        let worker = &peer.context.borrow().worker;
        write.told = Some(peer.session.on_slow_write(write.told.is_some(), worker));
        false
    }
}
