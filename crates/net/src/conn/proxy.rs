//! Reading a PROXY header off a fresh connection, and nothing behind it.
//!
//! Not here: the format (`wire::proxy`).
//! Law: bytes that are no header stay in the socket.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use wire::proxy::{PROBE, ProxyError, Step, decode};

/// How long the first bytes may take; as long again if some came; and the rest of a header.
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
    const PROBE_FAILED: &str = "failed to read protocol version";
    let mut probed = timeout(READ_TIMEOUT, is_header(stream)).await;
    if probed.is_err() {
        if timeout(Duration::ZERO, stream.peek(&mut [0])).await.is_err() {
            // Compat(CORE-055): the words for silence.
            return Err(ended(PROBE_FAILED, false));
        }
        probed = timeout(READ_TIMEOUT, is_header(stream)).await;
    }
    match probed {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return Ok(None),
        Ok(Err(failure)) => return Err(failure),
        Err(_) => return Err(late(PROBE_FAILED)),
    }
    let mut text = [0];
    let what = match stream.peek(&mut text).await {
        Ok(_) if text == *b"P" => "failed to read v1 line",
        _ => "failed to read v2 header",
    };
    timeout(READ_TIMEOUT, take(stream, what)).await.unwrap_or_else(|_| Err(late(what)))
}

/// Whether the connection begins with a header.
async fn is_header(stream: &TcpStream) -> Result<bool, ProxyFailure> {
    let mut first = [0; PROBE];
    let mut seen = 0;
    loop {
        let n = stream.peek(&mut first).await?;
        if n == 0 {
            return Err(ended("failed to read protocol version", seen > 0));
        }
        match decode(first.get(..n).unwrap_or_default()) {
            Ok(Step::Absent) => return Ok(false),
            Ok(Step::More(needed)) if needed <= PROBE => {}
            // Whatever is wrong with it, it is one.
            Ok(_) | Err(_) => return Ok(true),
        }
        if n == seen {
            // A look does not show the end behind bytes that are left where they are.
            if stream.ready(Interest::READABLE).await?.is_read_closed() {
                return Err(ended("failed to read protocol version", true));
            }
            sleep(LOOK_AGAIN).await;
        }
        seen = n;
    }
}

/// The client went away before its header was whole.
fn ended(what: &str, unexpectedly: bool) -> ProxyFailure {
    let end = if unexpectedly { "unexpected EOF" } else { "EOF" };
    ProxyFailure::Header(format!("{what}: {end}"))
}

/// The rest did not come in time.
fn late(what: &str) -> ProxyFailure {
    ProxyFailure::Header(format!("{what}: i/o timeout"))
}

/// Takes exactly the header; `what` says what failed if the client goes away.
async fn take(stream: &mut TcpStream, what: &str) -> Result<Option<SocketAddr>, ProxyFailure> {
    let mut head: Vec<u8> = Vec::with_capacity(MOST);
    let mut ahead = [0; MOST];
    loop {
        let room = MOST.saturating_sub(head.len());
        let n = stream.peek(ahead.get_mut(..room).unwrap_or_default()).await?;
        if n == 0 {
            return Err(ended(what, what.ends_with("header")));
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::time::Instant;

    /// What becomes of a client that sends `bytes` and then nothing, and when.
    async fn reading(bytes: &[u8], close: bool) -> (String, u64) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        client.write_all(bytes).await.unwrap();
        let client = (!close).then_some(client);
        let start = Instant::now();
        let said = match read(&mut stream).await {
            Ok(address) => format!("{address:?}"),
            Err(ProxyFailure::Gone) => "gone".to_owned(),
            Err(ProxyFailure::Header(what)) => what,
        };
        drop(client);
        (said, start.elapsed().as_millis().div_ceil(100) as u64)
    }

    // Contract: CORE-055
    #[tokio::test(start_paused = true)]
    async fn a_header_that_does_not_come_is_waited_for_five_seconds_and_five_more() {
        for (bytes, said, tenths) in [
            (&b""[..], "failed to read protocol version: EOF", 50..=51),
            (b"PRO", "failed to read protocol version: i/o timeout", 100..=101),
            (b"PROXY TCP4 1.2", "failed to read v1 line: i/o timeout", 50..=51),
            (b"\r\n\r\n\0\r\nQUIT\n\x21", "failed to read v2 header: i/o timeout", 50..=51),
            (b"PING\r\n", "None", 0..=0),
        ] {
            let (told, took) = reading(bytes, false).await;
            assert_eq!(told, said, "{bytes:?}");
            assert!(tenths.contains(&took), "{bytes:?} took {took} tenths of a second");
        }
    }

    // Contract: CORE-055
    #[tokio::test]
    async fn a_client_that_goes_away_within_its_header_is_told_of() {
        for (bytes, said) in [
            (&b""[..], "failed to read protocol version: EOF"),
            (b"PRO", "failed to read protocol version: unexpected EOF"),
            (b"PROXY TCP4 1.2", "failed to read v1 line: EOF"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21", "failed to read v2 header: unexpected EOF"),
        ] {
            assert_eq!(reading(bytes, true).await.0, said, "{bytes:?}");
        }
    }
}
