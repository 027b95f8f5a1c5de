//! One HTTP connection: read a head, answer, skip the body, again.
//!
//! Laws: a head must be complete 5 s after its first byte (the first one after the accept); a
//!       write that makes no progress for 30 s ends the connection; between requests nothing but
//!       the socket is held.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use stdx::time::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::body::{Progress, Skip};
use super::head::{self, HEAD_MAX, Head, Refusal, Request};
use super::reply::{self, Next, Response};

/// Time for a head.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Time a client may leave a connection idle between requests; the reference has no limit, but
/// a forgotten socket should not live for ever.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Time without any progress of a write.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time to let the peer read a refusal before the socket is closed under unread data.
const LINGER: Duration = Duration::from_millis(500);
const READ_SIZE: usize = 4096;
const WRITE_SIZE: usize = 64 << 10;

/// Answers requests. It may take its time: it runs on a thread of its own.
pub type Handler = dyn Fn(Request) -> Response + Send + Sync;

/// Why a connection ends other than by agreement.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The peer closed it, or was too slow.
    #[error("the peer is gone or too slow")]
    Gone,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves one connection until it ends. Errors are the peer's and concern nobody else.
pub(super) async fn run<S>(mut socket: S, handler: Arc<Handler>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buf = BytesMut::new();
    let mut first = true;
    loop {
        match exchange(&mut socket, &mut buf, &handler, first).await {
            Ok(Next::KeepAlive) => first = false,
            Ok(Next::Close) => return linger(socket).await,
            Err(End::Refused(why)) => {
                // Nothing more can be done for a peer that does not take the refusal.
                let _ = write(&mut socket, &reply::refusal(why)).await;
                return linger(socket).await;
            }
            Err(End::Gone | End::Io(_)) => return,
        }
        if buf.is_empty() {
            buf = BytesMut::new();
        }
    }
}

async fn exchange<S>(
    socket: &mut S,
    buf: &mut BytesMut,
    handler: &Arc<Handler>,
    first: bool,
) -> Result<Next, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = read_head(socket, buf, first).await?;
    let framing = head.framing;
    // A client that waits for a 100 gets its answer instead, and may or may not send the body.
    let bodied = !framing.is_empty();
    let keep = head.keep_alive && !(bodied && head.expects_continue);
    let next = if keep { Next::KeepAlive } else { Next::Close };
    answer(socket, head, handler, next).await?;
    if next == Next::KeepAlive && bodied {
        return skip_body(socket, buf, Skip::new(framing)).await;
    }
    Ok(next)
}

async fn read_head<S: AsyncRead + Unpin>(
    socket: &mut S,
    buf: &mut BytesMut,
    first: bool,
) -> Result<Head, End> {
    if buf.is_empty() && !first {
        let read = timeout(IDLE_TIMEOUT, read_some(socket, buf)).await;
        read.map_err(|_| End::Gone)??;
    }
    let deadline = Instant::now() + HEAD_TIMEOUT;
    let mut scanned = 0;
    loop {
        let end = head::end(buf, scanned);
        if end.unwrap_or(buf.len()) > HEAD_MAX {
            return Err(Refusal::TooLarge.into());
        }
        if let Some(end) = end {
            let bytes = buf.split_to(end);
            return Ok(head::parse(&bytes)?);
        }
        if !head::is_plausible(buf) {
            return Err(Refusal::BadRequest.into());
        }
        scanned = buf.len();
        let read = timeout_at(deadline, read_some(socket, buf)).await;
        read.map_err(|_| End::Gone)??;
    }
}

/// Reads at least one byte.
async fn read_some<S: AsyncRead + Unpin>(socket: &mut S, buf: &mut BytesMut) -> Result<(), End> {
    buf.reserve(READ_SIZE);
    match socket.read_buf(buf).await? {
        0 => Err(End::Gone),
        _ => Ok(()),
    }
}

async fn answer<S: AsyncWrite + Unpin>(
    socket: &mut S,
    head: Head,
    handler: &Arc<Handler>,
    next: Next,
) -> Result<(), End> {
    let is_head = head.request.method == "HEAD";
    let response = if head.request.path == "*" {
        Response { status: 200, ..Response::default() }
    } else {
        let handler = Arc::clone(handler);
        // A handler that panicked has no answer; its peer sees the connection close.
        let handled = tokio::task::spawn_blocking(move || handler(head.request)).await;
        handled.map_err(io::Error::other)?
    };
    let lead = reply::head(&response, head.is_1_0, next, wall_clock());
    write(socket, &lead).await?;
    if !is_head {
        write(socket, &response.body).await?;
    }
    socket.flush().await?;
    Ok(())
}

async fn write<S: AsyncWrite + Unpin>(socket: &mut S, bytes: &[u8]) -> Result<(), End> {
    for piece in bytes.chunks(WRITE_SIZE) {
        let written = timeout(STALL_TIMEOUT, socket.write_all(piece)).await;
        written.map_err(|_| End::Gone)??;
    }
    Ok(())
}

async fn skip_body<S: AsyncRead + Unpin>(
    socket: &mut S,
    buf: &mut BytesMut,
    mut skip: Skip,
) -> Result<Next, End> {
    loop {
        match skip.take(buf) {
            Progress::Done(used) => {
                let _ = buf.split_to(used);
                return Ok(Next::KeepAlive);
            }
            Progress::GiveUp => return Ok(Next::Close),
            Progress::More => buf.clear(),
        }
        let read = timeout(STALL_TIMEOUT, read_some(socket, buf)).await;
        read.map_err(|_| End::Gone)??;
    }
}

/// Says goodbye and reads on for a moment: closing with unread data would reset the connection
/// and could take the answer with it.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S) {
    let goodbye = async {
        socket.shutdown().await?;
        let mut sink = [0; 4096];
        while socket.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    // Either the peer closed its side or it had its moment.
    let _ = timeout(LINGER, goodbye).await;
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
