//! The client-side protocol parser: one call, one frame, borrowed from the caller's bytes.
//!
//! The caller keeps what is not yet a whole frame and calls again with more bytes; the parser has
//! no state of its own, so every split of a conversation gives the same frames.
//!
//! Not here: limits of an account, authentication (`broker::session`), server-to-server verbs.
//! Laws: `consumed` is never zero for a frame and never passes the end of the input; lengths are
//!       checked against the limits before anybody waits for, or reserves room for, a payload.
//! Reference: parser.go parse; client.go processPub, processHeaderPub.   Contract: CORE-001..011.

mod again;
mod args;
mod blame;
mod publish;

pub use again::{Again, Plain};
pub use args::size;
pub use blame::{blame, written};

use args::Args;

/// Limits that apply while bytes are still being framed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest argument part of a control line, in bytes (default 4096; CORE-008).
    pub max_control_line: usize,
    /// Largest payload, headers included, in bytes (default 1 MiB; CORE-009). Negative: no limit.
    pub max_payload: i64,
    /// Whether the peer may send headers; `HPUB` from one that may not is refused before its
    /// payload is read (CORE-007).
    pub headers: bool,
}

/// A published message, borrowed from the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The subject as sent; not validated (CORE-010).
    pub subject: &'a [u8],
    /// The reply subject, if one was given.
    pub reply: Option<&'a [u8]>,
    /// Bytes of header at the start of `body`, for HPUB.
    pub header_len: Option<u32>,
    /// Header and payload, without the closing CRLF.
    pub body: &'a [u8],
    /// Everything after `<subject> ` up to and including the closing CRLF, when the client wrote it
    /// in the canonical form: then a delivery is a prefix and these very bytes.
    pub tail: Option<&'a [u8]>,
}

/// One protocol operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `PUB` or `HPUB`.
    Publish(Publish<'a>),
    /// `SUB subject [queue] sid`.
    Subscribe {
        /// The filter as sent; not validated.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// The client's subscription id.
        sid: &'a [u8],
    },
    /// `UNSUB sid [max]`.
    Unsubscribe {
        /// The client's subscription id.
        sid: &'a [u8],
        /// Deliveries after which the subscription ends; `None` or a negative number: now.
        max: Option<i64>,
    },
    /// `CONNECT {json}`.
    Connect(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `INFO {json}`; nothing in it matters, but it has to be JSON.
    Info(&'a [u8]),
    /// `+OK`: accepted and ignored.
    Ignored,
    /// `-ERR text`.
    Error(&'a [u8]),
}

/// The outcome of looking at the start of the unread bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A whole frame and how many bytes it took.
    Frame(Frame<'a>, usize),
    /// The bytes are the start of a frame. `total` is the frame's whole length once it is known.
    More {
        /// Length of the frame from the first unread byte, if its size has been read.
        total: Option<usize>,
    },
    /// The bytes cannot become a frame.
    Invalid(Violation),
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not a verb of the client protocol, or a payload without its CRLF (CORE-002, 003, 005).
    #[error("Unknown Protocol Operation")]
    UnknownOperation,
    /// The control line is longer than the limit (CORE-008).
    #[error("maximum control line exceeded")]
    MaxControlLine,
    /// The announced size is larger than the limit (CORE-009).
    #[error("maximum payload exceeded: {size} vs {limit}")]
    MaxPayload {
        /// Announced size, headers included.
        size: u64,
        /// The limit.
        limit: i64,
    },
    /// `HPUB` from a peer that did not ask for headers (CORE-007).
    #[error("message headers not supported")]
    HeadersNotSupported,
    /// Arguments of a verb that are not understood; the text goes to the log only (CORE-006).
    #[error("{0}")]
    Arguments(&'static str),
}

/// Parses the frame at the start of `input`.
#[inline]
pub fn parse<'a>(input: &'a [u8], limits: &Limits) -> Step<'a> {
    let Some(&first) = input.first() else { return Step::More { total: None } };
    match first {
        b'P' | b'p' => match input.get(1) {
            Some(b'U' | b'u') => publish::parse_pub(input, limits),
            Some(b'I' | b'i') => tolerant(input, b"PING", Frame::Ping, limits),
            Some(b'O' | b'o') => tolerant(input, b"PONG", Frame::Pong, limits),
            None => Step::More { total: None },
            Some(_) => Step::Invalid(Violation::UnknownOperation),
        },
        b'H' | b'h' => publish::parse_hpub(input, limits),
        b'S' | b's' => with_args(input, b"SUB", limits, subscribe),
        b'U' | b'u' => with_args(input, b"UNSUB", limits, unsubscribe),
        b'C' | b'c' => document(input, b"CONNECT", Frame::Connect, limits),
        b'I' | b'i' => document(input, b"INFO", Frame::Info, limits),
        b'+' => tolerant(input, b"+OK", Frame::Ignored, limits),
        b'-' => with_args(input, b"-ERR", limits, |line| Ok(Frame::Error(line))),
        _ => Step::Invalid(Violation::UnknownOperation),
    }
}

/// The verb must stand at the start of `input`, in any case. `Err` is the step to return.
fn verb(input: &[u8], name: &[u8]) -> Result<(), Step<'static>> {
    let seen = input.len().min(name.len());
    let (head, expected) = (input.get(..seen), name.get(..seen));
    match (head, expected) {
        (Some(head), Some(expected)) if head.eq_ignore_ascii_case(expected) => {
            if seen == name.len() { Ok(()) } else { Err(Step::More { total: None }) }
        }
        _ => Err(Step::Invalid(Violation::UnknownOperation)),
    }
}

/// `PING`, `PONG`, `+OK`: anything up to the line's end is skipped (CORE-004).
fn tolerant<'a>(input: &'a [u8], name: &[u8], frame: Frame<'a>, limits: &Limits) -> Step<'a> {
    if let Err(step) = verb(input, name) {
        return step;
    }
    let rest = input.get(name.len()..).unwrap_or_default();
    match memchr::memchr(b'\n', rest) {
        Some(end) => Step::Frame(frame, name.len() + end + 1),
        // The reference skips without bound; a line that never ends is bounded here, because the
        // unread bytes have to be kept somewhere.
        None if rest.len() > limits.max_control_line => Step::Invalid(Violation::MaxControlLine),
        None => Step::More { total: None },
    }
}

/// Finds the argument part of a control line: after the verb and its blanks, without CR LF.
/// `Ok((args, consumed))` or the step to return.
pub(super) fn control_line<'a>(
    input: &'a [u8],
    name: &[u8],
    limits: &Limits,
) -> Result<(&'a [u8], usize), Step<'a>> {
    verb(input, name)?;
    let rest = input.get(name.len()..).unwrap_or_default();
    let Some(&separator) = rest.first() else { return Err(Step::More { total: None }) };
    if separator != b' ' && separator != b'\t' {
        return Err(Step::Invalid(Violation::UnknownOperation));
    }
    line_from(input, name.len(), limits)
}

/// The line's rest behind the first `at` bytes, without leading blanks and CR LF, and where it ends.
fn line_from<'a>(
    input: &'a [u8],
    at: usize,
    limits: &Limits,
) -> Result<(&'a [u8], usize), Step<'a>> {
    let rest = input.get(at..).unwrap_or_default();
    let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let line = rest.get(blanks..).unwrap_or_default();
    match memchr::memchr(b'\n', line) {
        Some(end) => {
            let args = line.get(..end).unwrap_or_default();
            let args = args.strip_suffix(b"\r").unwrap_or(args);
            if args.len() > limits.max_control_line {
                return Err(Step::Invalid(Violation::MaxControlLine));
            }
            Ok((args, at + blanks + end + 1))
        }
        None if rest.len() > limits.max_control_line + 1 => {
            Err(Step::Invalid(Violation::MaxControlLine))
        }
        None => Err(Step::More { total: None }),
    }
}

fn with_args<'a>(
    input: &'a [u8],
    name: &[u8],
    limits: &Limits,
    frame: impl FnOnce(&'a [u8]) -> Result<Frame<'a>, Violation>,
) -> Step<'a> {
    match control_line(input, name, limits) {
        Ok((line, consumed)) => match frame(line) {
            Ok(frame) => Step::Frame(frame, consumed),
            Err(violation) => Step::Invalid(violation),
        },
        Err(step) => step,
    }
}

/// `CONNECT` and `INFO`: the document may follow the verb at once, and may be missing.
fn document<'a>(
    input: &'a [u8],
    name: &[u8],
    frame: impl FnOnce(&'a [u8]) -> Frame<'a>,
    limits: &Limits,
) -> Step<'a> {
    if let Err(step) = verb(input, name) {
        return step;
    }
    match line_from(input, name.len(), limits) {
        Ok((line, consumed)) => Step::Frame(frame(line), consumed),
        Err(step) => step,
    }
}

fn subscribe(line: &[u8]) -> Result<Frame<'_>, Violation> {
    let args = Args::<3>::split(line, is_space);
    match args.as_slice() {
        [subject, sid] => Ok(Frame::Subscribe { subject, queue: None, sid }),
        [subject, queue, sid] => Ok(Frame::Subscribe { subject, queue: Some(queue), sid }),
        _ => Err(Violation::Arguments("processSub Parse Error")),
    }
}

/// What stands between the arguments of SUB and UNSUB.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn unsubscribe(line: &[u8]) -> Result<Frame<'_>, Violation> {
    let args = Args::<2>::split(line, is_space);
    match args.as_slice() {
        [sid] => Ok(Frame::Unsubscribe { sid, max: None }),
        [sid, max] => Ok(Frame::Unsubscribe { sid, max: Some(size(max).map_or(-1, i64::from)) }),
        _ => Err(Violation::Arguments("processUnsub Parse Error")),
    }
}

#[cfg(test)]
mod tests;
