//! The two kinds of way to a peer: a plain socket that any thread may write to, and a layered
//! stream (TLS, a pipe) that only its owner may touch.
//!
//! Law: for a layered stream the outbox is never in the writing state: the owner takes chunks out
//!      and reports what was written.

use broker::outbox::{Chunk, Flushed, Signal, Sink};
use broker::{Conn, Worker};
use bytes::{BufMut, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use wire::error::CloseReason;

/// A socket's write half and the way to its owner.
pub(super) struct TcpSink {
    write: OwnedWriteHalf,
    signal: Signal,
}

impl TcpSink {
    /// As `try_write`, also where the poller has not said that there is room.
    fn write_anyway(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let socket: &tokio::net::TcpStream = self.write.as_ref();
        socket2::SockRef::from(socket).send_vectored(slices)
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
        self.signal.raise();
    }
}

/// The same socket for once, by one who does not believe the poller.
struct Insistent(Arc<TcpSink>);

impl Sink for Insistent {
    fn direct(&self) -> bool {
        true
    }

    fn try_write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_anyway(slices)
    }

    fn wake(&self) {
        self.0.wake();
    }
}

/// The way to the owner of a layered stream.
#[derive(Default)]
pub(super) struct LayeredSink {
    signal: Signal,
}

impl Sink for LayeredSink {
    fn direct(&self) -> bool {
        false
    }

    fn try_write(&self, _: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn wake(&self) {
        self.signal.raise();
    }
}

/// A stream that bytes pass on their way to the socket.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A layered stream and what is being written to it.
pub(super) struct Layered {
    stream: Box<dyn Stream>,
    sink: Arc<LayeredSink>,
    writing: VecDeque<Chunk>,
}

/// A connection's stream, as its owner uses it.
pub(super) enum Transport {
    Tcp { read: OwnedReadHalf, sink: Arc<TcpSink> },
    Layered(Box<Layered>),
}

impl Transport {
    pub(super) fn tcp(stream: tokio::net::TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self::Tcp { read, sink: Arc::new(TcpSink { write, signal: Signal::default() }) }
    }

    pub(super) fn layered(stream: Box<dyn Stream>) -> Self {
        let sink = Arc::new(LayeredSink::default());
        Self::Layered(Box::new(Layered { stream, sink, writing: VecDeque::new() }))
    }

    pub(super) fn sink(&self) -> Arc<dyn Sink> {
        match self {
            Self::Tcp { sink, .. } => sink.clone(),
            Self::Layered(layered) => layered.sink.clone(),
        }
    }

    fn signal(&self) -> &Signal {
        match self {
            Self::Tcp { sink, .. } => &sink.signal,
            Self::Layered(layered) => &layered.sink.signal,
        }
    }

    /// Notes who is to be woken.
    pub(super) fn register(&self, waker: &Waker) {
        self.signal().register(waker);
    }

    /// Whether the owner was woken since the last look.
    pub(super) fn take_signal(&self) -> bool {
        self.signal().take()
    }

    pub(super) fn poll_write_ready(&self, cx: &mut TaskContext<'_>) -> Poll<()> {
        match self {
            Self::Tcp { sink, .. } => {
                let socket: &tokio::net::TcpStream = sink.write.as_ref();
                socket.poll_write_ready(cx).map(drop)
            }
            Self::Layered(_) => Poll::Ready(()),
        }
    }

    /// Appends at most `most` bytes to `buf`.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut TaskContext<'_>,
        buf: &mut BytesMut,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let mut buf = buf.limit(most);
        match self {
            Self::Tcp { read, .. } => tokio_util::io::poll_read_buf(Pin::new(read), cx, &mut buf),
            Self::Layered(layered) => {
                tokio_util::io::poll_read_buf(Pin::new(&mut layered.stream), cx, &mut buf)
            }
        }
    }

    /// As `flush`, whatever the poller says: it speaks of room only once a good part of the
    /// socket's buffer is free.
    pub(super) fn flush_anyway(
        &mut self,
        cx: &mut TaskContext<'_>,
        conn: &Conn,
        owner: &Arc<dyn Sink>,
        worker: &mut Worker,
    ) {
        if let Self::Tcp { sink, .. } = self {
            let insistent: Arc<dyn Sink> = Arc::new(Insistent(sink.clone()));
            worker.flush_owned(conn, &insistent);
        } else {
            self.flush(cx, conn, owner, worker);
        }
    }

    /// Tells the peer of a layered stream that nothing more comes.
    pub(super) fn farewell(&mut self, cx: &mut TaskContext<'_>) {
        if let Self::Layered(layered) = self {
            // The peer may be gone already.
            let _ = Pin::new(&mut layered.stream).poll_shutdown(cx);
        }
    }

    /// Writes what the outbox holds, as the owner.
    pub(super) fn flush(
        &mut self,
        cx: &mut TaskContext<'_>,
        conn: &Conn,
        sink: &Arc<dyn Sink>,
        worker: &mut Worker,
    ) -> Flushed {
        match self {
            Self::Tcp { .. } => worker.flush_owned(conn, sink),
            Self::Layered(layered) => layered.flush(cx, conn, worker),
        }
    }
}

impl Layered {
    fn flush(&mut self, cx: &mut TaskContext<'_>, conn: &Conn, worker: &mut Worker) -> Flushed {
        loop {
            if self.writing.is_empty() {
                conn.outbox.lock().take_chunks(&mut self.writing);
            }
            let Some(front) = self.writing.front() else {
                return match Pin::new(&mut self.stream).poll_flush(cx) {
                    Poll::Ready(Ok(())) => Flushed::Empty,
                    Poll::Ready(Err(_)) => broken(conn),
                    Poll::Pending => self.blocked(conn),
                };
            };
            match Pin::new(&mut self.stream).poll_write(cx, front.bytes()) {
                Poll::Ready(Ok(0) | Err(_)) => return broken(conn),
                Poll::Ready(Ok(n)) => worker.written(conn, &mut self.writing, n),
                Poll::Pending => return self.blocked(conn),
            }
        }
    }

    /// The stream takes no more: it will wake the owner, and the write deadline runs.
    fn blocked(&self, conn: &Conn) -> Flushed {
        conn.outbox.lock().note_blocked(!self.writing.is_empty());
        self.sink.signal.set();
        Flushed::Waiting
    }
}

fn broken(conn: &Conn) -> Flushed {
    conn.close(CloseReason::WriteError);
    Flushed::Broken
}
