//! An HTTP/1.1 GET for monitoring endpoints, plain or over TLS.
//!
//! Not here: redirects, connection reuse; a monitoring test needs none of them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use crate::wait::DEADLINE;

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code, e.g. 200.
    pub status: u16,
    /// Header names in lower case with their values, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body, without transfer encoding.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text; panics if it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON; panics, showing the body, if it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("not JSON ({e}): {}", String::from_utf8_lossy(&self.body)))
    }

    /// The first header called `name` (any case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }
}

/// Sends `GET path` to `addr` and reads the whole answer; panics on failure.
pub fn get(addr: SocketAddr, path: &str) -> Response {
    request(addr, "GET", path)
}

/// As [`get`] with another method.
pub fn request(addr: SocketAddr, method: &str, path: &str) -> Response {
    exchange(&mut connect(addr), addr, method, path).unwrap()
}

/// As [`get`]; an error if nothing that can be read comes.
pub fn try_get(addr: SocketAddr, path: &str) -> io::Result<Response> {
    exchange(&mut connect(addr), addr, "GET", path)
}

/// GET over TLS; an error if the server refuses the connection.
pub fn get_tls(addr: SocketAddr, tls: Arc<ClientConfig>, path: &str) -> io::Result<Response> {
    let name = ServerName::from(addr.ip());
    let session = ClientConnection::new(tls, name).map_err(io::Error::other)?;
    exchange(&mut StreamOwned::new(session, connect(addr)), addr, "GET", path)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&addr, DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn exchange<S: Read + Write>(
    stream: &mut S,
    addr: SocketAddr,
    method: &str,
    path: &str,
) -> io::Result<Response> {
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut raw = Vec::new();
    match stream.read_to_end(&mut raw) {
        Ok(_) => {}
        // Not every server says goodbye in TLS.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && !raw.is_empty() => {}
        Err(e) => return Err(e),
    }
    let text = String::from_utf8_lossy(&raw);
    parse(&raw).map_err(|why| io::Error::other(format!("{method} {path}: {why}: {text:?}")))
}

fn parse(raw: &[u8]) -> Result<Response, &'static str> {
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no end of headers")?;
    let head = std::str::from_utf8(&raw[..end]).map_err(|_| "headers are not text")?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().ok_or("no status line")?;
    let code = status_line.split(' ').nth(1).ok_or("no status code")?;
    let status = code.parse().map_err(|_| "status code is not a number")?;
    let headers: Vec<_> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    let chunked =
        headers.iter().any(|(n, v)| n == "transfer-encoding" && v.eq_ignore_ascii_case("chunked"));
    let rest = &raw[end + 4..];
    let body = if chunked { dechunk(rest)? } else { rest.to_vec() };
    Ok(Response { status, headers, body })
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut body = Vec::new();
    loop {
        let eol = rest.windows(2).position(|w| w == b"\r\n").ok_or("chunk without a size")?;
        let text = std::str::from_utf8(&rest[..eol]).map_err(|_| "chunk size is not text")?;
        let size = usize::from_str_radix(text.trim(), 16).map_err(|_| "bad chunk size")?;
        if size == 0 {
            return Ok(body);
        }
        let chunk = rest.get(eol + 2..eol + 2 + size).ok_or("short chunk")?;
        body.extend_from_slice(chunk);
        rest = rest.get(eol + 4 + size..).ok_or("chunk without an end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_plain_and_chunked_bodies() {
        let plain =
            parse(b"HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!((plain.status, plain.text(), plain.header("a")), (404, "no", Some("b")));
        let chunked = parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!(chunked.text(), "abcde");
    }
}
