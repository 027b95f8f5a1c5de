//! The write side of a plain TCP connection, usable from every thread.

use broker::outbox::Sink;
use atomic_waker::AtomicWaker;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;


/// A socket's write half and the way to its owner.
pub(super) struct TcpSink {
    write: OwnedWriteHalf,
    /// The owner has something to look at besides readable bytes.
    signal: AtomicBool,
    owner: AtomicWaker,
}

impl TcpSink {
    pub(super) fn new(write: OwnedWriteHalf) -> Self {
        Self { write, signal: AtomicBool::new(false), owner: AtomicWaker::new() }
    }

    /// Notes who is to be woken.
    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.owner.register(waker);
    }

    /// Whether `wake` was called since the last look.
    pub(super) fn take_signal(&self) -> bool {
        self.signal.load(Ordering::Relaxed) && self.signal.swap(false, Ordering::AcqRel)
    }

    pub(super) fn socket(&self) -> &TcpStream {
        self.write.as_ref()
    }
}

impl Sink for TcpSink {
    fn direct(&self) -> bool {
        true
    }

    fn try_write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.write.try_write(one),
            many => self.write.try_write_vectored(many),
        }
    }

    fn wake(&self) {
        self.signal.store(true, Ordering::Release);
        self.owner.wake();
    }
}
