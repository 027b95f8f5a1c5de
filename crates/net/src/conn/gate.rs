//! A socket that answers nothing until its peer has begun a TLS record, so that a client that does not
//! speak TLS is closed without bytes it could not read.
//!
//! Law: what is written before that is dropped; afterwards everything passes.
//! Reference: Go's crypto/tls RecordHeaderError.   Contract: TLS-009.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Types of the records a conversation may begin with.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// First byte of a version beyond every version of TLS.
const NO_VERSION: u8 = 0x10;

/// The socket of a handshake, and of what follows it.
pub(super) struct Gate {
    stream: TcpStream,
    /// The type of the first record, once read.
    kind: Option<u8>,
    open: bool,
}

impl Gate {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, kind: None, open: false }
    }

    /// Looks at the first two bytes that come.
    fn inspect(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let Some(kind) = self.kind else {
                self.kind = Some(*byte);
                continue;
            };
            self.open = matches!(kind, ALERT | HANDSHAKE) && *byte < NO_VERSION;
            // No other kind ever opens it.
            self.kind = Some(if self.open { kind } else { 0 });
            return;
        }
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if !self.open {
            self.inspect(buf.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.open {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        } else {
            Poll::Ready(Ok(bytes.len()))
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.open {
            Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
        } else {
            Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
