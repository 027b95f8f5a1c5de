//! Bytes owed to one peer.
//!
//! Producers on any thread append under a short lock; whoever finds it idle at the end of a read
//! writes it out, so that a message usually leaves on the thread that brought it. A full socket
//! hands the rest to the owner, who waits for it to drain.
//!
//! Not here: the socket (behind [`Sink`]); who is slow and what follows (`slow_consumer`).
//! Laws: no syscall under the lock; one writer at a time (`state`); `pending` counts exactly the
//!       bytes appended and not yet accepted by the socket; after `end` nothing is appended.
//! Hot path.

mod chunk;
mod flush;
mod frames;
mod hold;
mod lock;
mod signal;

pub use chunk::{Chunk, Pool};
pub(crate) use flush::advance;
pub use flush::{Flushed, flush, flush_owned};
pub use lock::Lock;
pub use signal::Signal;

use bytes::Bytes;
use hold::Hold;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use wire::error::CloseReason;

/// The way to a peer's socket, for whoever flushes.
pub trait Sink: Send + Sync {
    /// Whether any thread may write (a plain socket) or only the owner (TLS and other layers).
    fn direct(&self) -> bool;
    /// Writes as much as fits without blocking.
    fn try_write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize>;
    /// Wakes the owner: bytes wait, or the connection shall close.
    fn wake(&self);
}

/// What is being done about the pending bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody writes.
    Idle,
    /// Somebody is writing; appended bytes go out with that writer's next round.
    Writing,
    /// The socket was full; the owner waits for it.
    Blocked,
}

/// Bytes owed to one peer, in order.
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    pending: usize,
    state: State,
    /// Somebody has it on the list of outboxes to flush at the end of a read.
    touched: bool,
    sink: Option<Arc<dyn Sink>>,
    closing: Option<CloseReason>,
    hold: Hold,
    /// More pending bytes than this: a slow consumer (CORE-040). 0: no limit.
    max_pending: usize,
    /// Messages appended.
    pub msgs: u64,
    /// Payload bytes appended.
    pub bytes: u64,
    /// Times a producer was held back for this peer.
    pub stalls: u64,
}

/// Bytes below this are copied; a larger payload is shared with the read buffer it came in.
const SHARE_FROM: usize = 4096;
/// Above this backlog even large payloads are copied, so that a slow reader cannot pin whole read
/// buffers for the sake of a few bytes of each.
const SHARE_UNTIL_PENDING: usize = 1 << 20;

impl Outbox {
    /// An empty outbox of a connection without a socket yet.
    pub fn new(max_pending: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            pending: 0,
            state: State::Idle,
            touched: false,
            sink: None,
            closing: None,
            hold: Hold::default(),
            max_pending,
            msgs: 0,
            bytes: 0,
            stalls: 0,
        }
    }

    /// Gives the outbox its socket.
    pub fn attach(&mut self, sink: Arc<dyn Sink>) {
        self.sink = Some(sink);
    }

    /// Bytes owed.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Whether appended bytes would be lost.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closing.is_some()
    }

    /// Pieces the bytes owed are in.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Why it was closed.
    pub fn closing(&self) -> Option<CloseReason> {
        self.closing
    }

    /// Marks it closed and wakes the owner; the first reason stays. `true` if this call did it.
    pub fn close(&mut self, reason: CloseReason) -> bool {
        if self.closing.is_some() {
            return false;
        }
        self.closing = Some(reason);
        if !reason.flushes() {
            self.chunks = VecDeque::new();
            self.pending = 0;
        }
        self.release_all();
        if let Some(sink) = &self.sink {
            sink.wake();
        }
        true
    }

    /// Wakes the owner to write what was appended outside a read.
    pub fn wake(&self) {
        if let Some(sink) = &self.sink {
            sink.wake();
        }
    }

    /// Lets go of the socket and of everything owed. The owner's last act.
    pub fn end(&mut self) {
        self.closing.get_or_insert(CloseReason::ClientClosed);
        self.sink = None;
        self.chunks = VecDeque::new();
        self.pending = 0;
        self.release_all();
    }

    /// Appends bytes, copied.
    #[inline]
    pub fn push(&mut self, bytes: &[u8], pool: &mut Pool) {
        self.pending += bytes.len();
        if let Some(last) = self.chunks.back_mut()
            && last.append(bytes)
        {
            return;
        }
        self.push_new(bytes, pool);
    }

    #[cold]
    fn push_new(&mut self, mut bytes: &[u8], pool: &mut Pool) {
        if let Some(last) = self.chunks.back_mut() {
            let taken = last.append_some(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        while !bytes.is_empty() {
            let mut chunk = pool.take(self.pending);
            let taken = chunk.append_some(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            self.chunks.push_back(chunk);
        }
    }

    /// Appends `prefix` and each of `tails`, `about` so many bytes in all, which are parts of
    /// `whole`.
    pub(crate) fn push_frames<'a>(
        &mut self,
        prefix: &[u8],
        mut tails: impl Iterator<Item = &'a [u8]>,
        about: usize,
        whole: &Bytes,
        pool: &mut Pool,
    ) {
        if self.chunks.is_empty() && about >= SHARE_FROM {
            self.chunks.push_back(pool.take(about));
        }
        loop {
            let left = match self.chunks.back_mut().and_then(Chunk::own) {
                Some(own) => {
                    let before = own.len();
                    let left = frames::append(own, prefix, &mut tails, SHARE_FROM);
                    self.pending += own.len() - before;
                    left
                }
                None => tails.next(),
            };
            let Some(tail) = left else { return };
            self.push(prefix, pool);
            self.push_shared(tail, whole, pool);
        }
    }

    /// Appends bytes that were encoded for several peers.
    pub(crate) fn push_encoded(&mut self, encoded: Arc<Vec<u8>>) {
        self.pending += encoded.len();
        self.chunks.push_back(Chunk::encoded(encoded));
    }

    /// Appends a large slice, shared with `whole` (which it must be part of) rather than copied
    /// where that pays.
    #[inline]
    pub fn push_shared(&mut self, slice: &[u8], whole: &Bytes, pool: &mut Pool) {
        if slice.len() < SHARE_FROM || self.pending > SHARE_UNTIL_PENDING {
            self.push(slice, pool);
            return;
        }
        self.pending += slice.len();
        self.chunks.push_back(Chunk::shared(whole.slice_ref(slice)));
    }

    /// Notes that a producer will flush at the end of its read; `true` for the first to do so.
    #[inline]
    pub fn touch(&mut self) -> bool {
        !std::mem::replace(&mut self.touched, true)
    }

    /// Whether the backlog makes producers wait (CORE-041).
    #[inline]
    pub fn stalls_producers(&self) -> bool {
        self.max_pending > 0 && self.pending > self.max_pending / 4 * 3
    }

    /// Whether the backlog ends the connection (CORE-040).
    #[inline]
    pub fn over_limit(&self) -> bool {
        self.max_pending > 0 && self.pending > self.max_pending
    }

    /// Takes everything owed, for an owner that writes through a layer; `pending` keeps counting
    /// it until [`Outbox::note_written`].
    pub fn take_chunks(&mut self, into: &mut VecDeque<Chunk>) {
        debug_assert!(into.is_empty());
        std::mem::swap(&mut self.chunks, into);
        self.touched = false;
        self.state = State::Idle;
    }

    /// Counts bytes that a layer took. Returns the producers to wake, without the lock.
    #[must_use]
    pub fn note_written(&mut self, n: usize) -> Vec<Waker> {
        self.pending = self.pending.saturating_sub(n);
        self.release(n)
    }

    /// Notes whether a layer takes no more for now.
    pub fn note_blocked(&mut self, blocked: bool) {
        self.state = if blocked { State::Blocked } else { State::Idle };
    }

    /// Whether the socket was full when last tried.
    pub fn is_blocked(&self) -> bool {
        self.state == State::Blocked
    }

    /// Changes the limit (reload).
    pub fn set_max_pending(&mut self, max_pending: usize) {
        self.max_pending = max_pending;
    }
}
