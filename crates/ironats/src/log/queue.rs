//! The queue between everyone who logs and the one thread that writes.
//!
//! Laws: bounded in bytes; `push` takes a short lock and never waits for the writer; lines keep
//!       their order, and so do commands among them.

use std::collections::VecDeque;
use std::mem;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stdx::log::Level;

use super::line::Line;
use super::writer::Output;

/// Bytes of lines that may wait.
pub(super) const BYTES_MAX: usize = 8 << 20;
/// Bytes from which on trace and debug lines are dropped.
pub(super) const DETAIL_BYTES_MAX: usize = BYTES_MAX / 2;
/// What a line costs besides its text.
const LINE_OVERHEAD: usize = 64;

/// What the writer takes out.
#[derive(Debug)]
pub(super) enum Entry {
    Line(Line),
    Command(Command),
}

/// What the host asks of the writer.
#[derive(Debug)]
pub(super) enum Command {
    Reopen,
    Replace(Box<Output>),
    Flush(SyncSender<()>),
}

/// Lines that found no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Trace and debug.
    pub(super) detail: u64,
    /// All others.
    pub(super) other: u64,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    dropped: Dropped,
    closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

impl Queue {
    /// Queues a line, or counts it as dropped.
    pub(super) fn push(&self, line: Line) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let detail = matches!(line.level, Level::Debug | Level::Trace);
        let limit = match line.level {
            Level::Fatal => usize::MAX,
            _ if detail => DETAIL_BYTES_MAX,
            _ => BYTES_MAX,
        };
        // What is there already decides, so a line longer than the queue still gets through alone.
        if state.bytes >= limit {
            let count = if detail { &mut state.dropped.detail } else { &mut state.dropped.other };
            *count += 1;
            return;
        }
        state.bytes += line.text.len() + LINE_OVERHEAD;
        state.entries.push_back(Entry::Line(line));
        drop(state);
        self.ready.notify_one();
    }

    /// Queues a command behind the lines before it. Without a writer nothing happens.
    pub(super) fn command(&self, command: Command) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.entries.push_back(Entry::Command(command));
        drop(state);
        self.ready.notify_one();
    }

    /// Waits until everything queued so far is out, or for `patience`.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let (done, wait) = sync_channel(1);
        self.command(Command::Flush(done));
        match wait.recv_timeout(patience) {
            // A writer that has ended has written everything.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        }
    }

    /// Ends the writer once the queue is empty.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// Everything that is queued; waits for something. `None` once closed and empty.
    pub(super) fn take(&self) -> Option<(VecDeque<Entry>, Dropped)> {
        let mut state = self.lock();
        while state.entries.is_empty() && state.dropped == Dropped::default() {
            if state.closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes = 0;
        Some((mem::take(&mut state.entries), mem::take(&mut state.dropped)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
