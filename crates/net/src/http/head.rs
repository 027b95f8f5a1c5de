//! The head of a request: request line and headers, from bytes to facts. Pure.
//!
//! Not here: reading it (`connection.rs`), what follows it (`body.rs`).
//! Laws: a head is parsed once, when its end has arrived, so slow senders cost no CPU; whatever is
//!       refused is refused with the reference's status line and text.

use httparse::{EMPTY_HEADER, Error, Header, Status};

use super::body::Framing;

/// Bytes a head may have.
pub(super) const HEAD_MAX: usize = (1 << 20) + 4096;
/// Headers a head may have: many times what any client sends, few enough to hold.
const HEADERS_MAX: usize = 4096;

/// A request as the handler sees it. Bodies are never delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, in the client's spelling.
    pub method: String,
    /// The path before `?`, not decoded; starts with a slash.
    pub path: String,
    /// The text after `?`; empty without one.
    pub query: String,
    /// The first `Accept` header; empty without one.
    pub accept: String,
}

/// A head that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) request: Request,
    /// The client speaks HTTP/1.0 and wants to be answered in it.
    pub(super) is_1_0: bool,
    pub(super) keep_alive: bool,
    /// The client waits for a 100 before it sends the body; it will not get one.
    pub(super) expects_continue: bool,
    pub(super) framing: Framing,
}

/// A head that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("400 Bad Request")]
    BadRequest,
    #[error("400 Bad Request: missing required Host header")]
    NoHost,
    #[error("431 Request Header Fields Too Large")]
    TooLarge,
    #[error("501 Not Implemented")]
    Transfer,
    #[error("505 HTTP Version Not Supported: unsupported protocol version")]
    Version,
}

impl Refusal {
    /// The body: the status line again, with one exception.
    pub(super) fn body(self) -> String {
        match self {
            Self::Transfer => "Unsupported transfer encoding".to_owned(),
            Self::BadRequest | Self::NoHost | Self::TooLarge | Self::Version => self.to_string(),
        }
    }
}

/// Where the head in `buf` ends, if it does. `scanned` bytes were looked at before.
pub(super) fn end(buf: &[u8], scanned: usize) -> Option<usize> {
    let from = scanned.saturating_sub(3);
    let fresh = buf.get(from..)?;
    let line_ends = memchr::memchr_iter(b'\n', fresh);
    for at in line_ends {
        let after = fresh.get(at + 1..).unwrap_or_default();
        let empty_line = match after {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => continue,
        };
        return Some(from + at + 1 + empty_line);
    }
    None
}

/// Whether `buf` can still become a head: its first byte starts a method.
pub(super) fn is_plausible(buf: &[u8]) -> bool {
    buf.first().is_none_or(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Parses a complete head.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
    if !is_plausible(bytes) {
        return Err(Refusal::BadRequest);
    }
    // Counting first keeps the common case at a handful of slots instead of the maximum.
    let lines = memchr::memchr_iter(b'\n', bytes).count();
    if lines > HEADERS_MAX {
        return Err(Refusal::TooLarge);
    }
    let mut slots: Vec<Header<'_>> = vec![EMPTY_HEADER; lines];
    let mut parsed = httparse::Request::new(&mut slots);
    match parsed.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(Refusal::BadRequest),
        Err(Error::Version) => return Err(version_refusal(bytes)),
        Err(Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Err(_) => return Err(Refusal::BadRequest),
    }
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
        return Err(Refusal::BadRequest);
    };
    let is_1_0 = parsed.version == Some(0);
    let headers = &*parsed.headers;
    match headers.iter().filter(|header| is(header, "host")).count() {
        0 if !is_1_0 => return Err(Refusal::NoHost),
        0 | 1 => {}
        _ => return Err(Refusal::BadRequest),
    }
    Ok(Head {
        request: Request { accept: accept(headers), ..request(method, target)? },
        is_1_0,
        keep_alive: keep_alive(headers, is_1_0),
        expects_continue: headers.iter().any(|header| is(header, "expect")),
        framing: Framing::of(headers)?,
    })
}

/// `HTTP/d.d` with unknown digits is a version nobody speaks; anything else is noise.
fn version_refusal(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.trim_ascii_end().split(|byte| *byte == b' ').collect();
    match words.as_slice() {
        [_, _, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal::Version
        }
        _ => Refusal::BadRequest,
    }
}

fn request(method: &str, target: &str) -> Result<Request, Refusal> {
    let origin = match target.split_once("://") {
        // Absolute form, as sent to proxies: the authority does not matter here.
        Some((scheme, rest)) if !scheme.contains('/') => match rest.find(['/', '?']) {
            Some(at) => rest.get(at..).unwrap_or_default(),
            None => "/",
        },
        _ => target,
    };
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    let is_server_wide = path == "*" && method == "OPTIONS";
    // A proxy is asked for a host, where no document is.
    let asks_a_proxy = method == "CONNECT" && path.contains(':');
    if !path.starts_with('/') && !is_server_wide && !asks_a_proxy {
        return Err(Refusal::BadRequest);
    }
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    Ok(Request { method, path, query, accept: String::new() })
}

fn accept(headers: &[Header<'_>]) -> String {
    let first = headers.iter().find(|header| is(header, "accept"));
    first.map_or_else(String::new, |header| String::from_utf8_lossy(header.value).into_owned())
}

fn keep_alive(headers: &[Header<'_>], is_1_0: bool) -> bool {
    let said = |word: &[u8]| {
        headers.iter().filter(|header| is(header, "connection")).any(|header| {
            header
                .value
                .split(|byte| *byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(word))
        })
    };
    if is_1_0 { said(b"keep-alive") && !said(b"close") } else { !said(b"close") }
}

/// Whether a header has this name.
pub(super) fn is(header: &Header<'_>, name: &str) -> bool {
    header.name.eq_ignore_ascii_case(name)
}
