//! Writing an outbox out: by the producer at the end of its read, or by the owner.
//!
//! Laws: chunks being written are out of the outbox, so producers append behind them without
//!       waiting; what a full socket did not take goes back to the front, in order.
//! Hot path: two short lock holds per round, none across the write.

use super::{Chunk, Outbox, Pool, Sink, State};
use crate::conn::Conn;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use wire::error::CloseReason;

/// Slices given to one `writev`.
const MAX_SLICES: usize = 64;

/// What a flush left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is owed.
    Empty,
    /// The socket is full, or somebody else is writing.
    Waiting,
    /// The socket failed; the connection is closing.
    Broken,
}

/// Flushes by whoever touched the outbox; a layered connection's owner is woken instead.
pub fn flush(conn: &Conn, spare: &mut VecDeque<Chunk>, pool: &mut Pool) -> Flushed {
    let sink = {
        let mut out = conn.outbox.lock();
        out.touched = false;
        if out.chunks.is_empty() {
            return Flushed::Empty;
        }
        let Some(sink) = out.sink.clone() else { return Flushed::Waiting };
        if !sink.direct() {
            drop(out);
            sink.wake();
            return Flushed::Waiting;
        }
        if out.state != State::Idle {
            return Flushed::Waiting;
        }
        begin(&mut out, spare);
        sink
    };
    rounds(conn, &sink, spare, pool)
}

/// Flushes by the owner, also where the socket was full before.
pub fn flush_owned(
    conn: &Conn,
    sink: &Arc<dyn Sink>,
    spare: &mut VecDeque<Chunk>,
    pool: &mut Pool,
) -> Flushed {
    {
        let mut out = conn.outbox.lock();
        if out.chunks.is_empty() {
            if out.state == State::Blocked {
                out.state = State::Idle;
            }
            return Flushed::Empty;
        }
        if out.state == State::Writing {
            return Flushed::Waiting;
        }
        begin(&mut out, spare);
    }
    rounds(conn, sink, spare, pool)
}

fn begin(out: &mut Outbox, spare: &mut VecDeque<Chunk>) {
    debug_assert!(spare.is_empty());
    out.state = State::Writing;
    std::mem::swap(&mut out.chunks, spare);
}

/// Writes until nothing is left or the socket is full.
fn rounds(
    conn: &Conn,
    sink: &Arc<dyn Sink>,
    writing: &mut VecDeque<Chunk>,
    pool: &mut Pool,
) -> Flushed {
    loop {
        let (written, failure) = write_all(sink.as_ref(), writing, pool);
        let mut out = conn.outbox.lock();
        out.pending = out.pending.saturating_sub(written);
        let held = out.release(written);
        if !held.is_empty() {
            // Waking may be a system call. Whoever writes stays the one who does.
            drop(out);
            held.into_iter().for_each(Waker::wake);
            out = conn.outbox.lock();
        }
        match failure {
            None if out.chunks.is_empty() => {
                out.state = State::Idle;
                return Flushed::Empty;
            }
            None => std::mem::swap(&mut out.chunks, writing),
            Some(e) if e.kind() == io::ErrorKind::WouldBlock => {
                while let Some(chunk) = writing.pop_back() {
                    out.chunks.push_front(chunk);
                }
                out.state = State::Blocked;
                drop(out);
                sink.wake();
                return Flushed::Waiting;
            }
            Some(_) => {
                // Nothing of it can ever leave: nobody must wait for it to.
                writing.clear();
                out.chunks.clear();
                out.pending = 0;
                out.state = State::Idle;
                out.close(CloseReason::WriteError);
                return Flushed::Broken;
            }
        }
    }
}

/// Writes `chunks` in order; those written whole go back to the pool.
fn write_all(
    sink: &dyn Sink,
    chunks: &mut VecDeque<Chunk>,
    pool: &mut Pool,
) -> (usize, Option<io::Error>) {
    let mut total = 0;
    while !chunks.is_empty() {
        let result = match chunks.len() {
            1 => sink.try_write(&[io::IoSlice::new(chunks.front().map_or(&[], Chunk::bytes))]),
            _ => {
                let mut slices = [io::IoSlice::new(&[]); MAX_SLICES];
                let mut count = 0;
                for (slice, chunk) in slices.iter_mut().zip(chunks.iter()) {
                    *slice = io::IoSlice::new(chunk.bytes());
                    count += 1;
                }
                sink.try_write(slices.get(..count).unwrap_or_default())
            }
        };
        let written = match result {
            Ok(0) => return (total, Some(io::ErrorKind::WriteZero.into())),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return (total, Some(e)),
        };
        total += written;
        advance(chunks, written, pool);
    }
    (total, None)
}

/// Drops `written` bytes from the front; chunks written whole go back to the pool.
pub(crate) fn advance(chunks: &mut VecDeque<Chunk>, mut written: usize, pool: &mut Pool) {
    while let Some(front) = chunks.front_mut() {
        let len = front.bytes().len();
        if written < len {
            front.advance(written);
            break;
        }
        written -= len;
        if let Some(done) = chunks.pop_front() {
            pool.give(done);
        }
    }
}
