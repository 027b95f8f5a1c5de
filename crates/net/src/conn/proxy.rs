//! Reading a PROXY header off a fresh connection, and nothing behind it.
//!
//! Not here: the format (`wire::proxy`).
//! Law: bytes that are no header stay in the socket.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use wire::proxy::{PROBE, ProxyError, Step, decode};

/// How long the first bytes may take, and the rest of a header.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Between looks at a socket that holds the beginning of a header's first bytes.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Most of a header that is looked at.
const MOST: usize = 128;

/// Why no header could be read.
pub(super) enum ProxyFailure {
    /// The client went away.
    Gone,
    /// The header is wrong, or did not come; what the log says of it.
    Header(String),
}

impl From<ProxyError> for ProxyFailure {
    fn from(error: ProxyError) -> Self {
        Self::Header(error.to_string())
    }
}

impl From<std::io::Error> for ProxyFailure {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// Takes the header, if there is one; the client's address, if it names one.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyFailure> {
    match timeout(PROBE_TIMEOUT, is_header(stream)).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return Ok(None),
        Ok(Err(failure)) => return Err(failure),
        Err(_) => {
            return Err(ProxyFailure::Header("failed to read protocol version: timeout".into()));
        }
    }
    match timeout(READ_TIMEOUT, take(stream)).await {
        Ok(result) => result,
        Err(_) => Err(ProxyFailure::Header("timeout reading PROXY protocol header".into())),
    }
}

/// Whether the connection begins with a header.
async fn is_header(stream: &TcpStream) -> Result<bool, ProxyFailure> {
    let mut first = [0; PROBE];
    let mut seen = 0;
    loop {
        let n = stream.peek(&mut first).await?;
        if n == 0 {
            return Err(ProxyFailure::Gone);
        }
        match decode(first.get(..n).unwrap_or_default()) {
            Ok(Step::Absent) => return Ok(false),
            Ok(Step::More(needed)) if needed <= PROBE => {}
            // Whatever is wrong with it, it is one.
            Ok(_) | Err(_) => return Ok(true),
        }
        if n == seen {
            sleep(LOOK_AGAIN).await;
        }
        seen = n;
    }
}

/// Takes exactly the header.
async fn take(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyFailure> {
    let mut head: Vec<u8> = Vec::with_capacity(MOST);
    let mut ahead = [0; MOST];
    loop {
        let room = MOST.saturating_sub(head.len());
        let n = stream.peek(ahead.get_mut(..room).unwrap_or_default()).await?;
        if n == 0 {
            return Err(ProxyFailure::Gone);
        }
        let taken = head.len();
        head.extend_from_slice(ahead.get(..n).unwrap_or_default());
        match decode(&head)? {
            Step::Absent => return Ok(None),
            // All that came belongs to the header.
            Step::More(_) => skip(stream, n).await?,
            Step::Header { len, source } => {
                skip(stream, len.saturating_sub(taken)).await?;
                return Ok(source);
            }
        }
    }
}

async fn skip(stream: &mut TcpStream, mut bytes: usize) -> std::io::Result<()> {
    let mut sink = [0; 512];
    while bytes > 0 {
        let room = bytes.min(sink.len());
        bytes -= stream.read_exact(sink.get_mut(..room).unwrap_or_default()).await?;
    }
    Ok(())
}
