//! One frame of the client protocol as a test sees it.
//!
//! Not here: the product's parser (`wire`); this one is independent on purpose, so that a mistake
//! in either shows.

use std::fmt;

use serde_json::Value;

/// A frame sent by a server to a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// `INFO {json}`.
    Info(Value),
    /// `MSG` or `HMSG` with its payload.
    Msg(Msg),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR text`, the text without its quotes.
    Err(String),
    /// Any other line.
    Other(String),
}

/// A delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msg {
    /// The subject as delivered.
    pub subject: String,
    /// The subscription id given in SUB.
    pub sid: String,
    /// The reply subject, if any.
    pub reply: Option<String>,
    /// The raw header block including its final blank line; empty for `MSG`.
    pub headers: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Msg {
    /// The payload as text (lossy).
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The header block as text (lossy).
    pub fn header_text(&self) -> String {
        String::from_utf8_lossy(&self.headers).into_owned()
    }
}

impl Frame {
    /// The message, or a panic naming what came instead.
    pub fn msg(self) -> Msg {
        match self {
            Self::Msg(m) => m,
            other => panic!("expected a message, got {other}"),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Info(json) => write!(f, "INFO {json}"),
            Self::Msg(m) => {
                let reply = m.reply.as_ref().map(|r| format!(" {r}")).unwrap_or_default();
                if m.headers.is_empty() {
                    write!(f, "MSG {} {}{reply} {:?}", m.subject, m.sid, m.text())
                } else {
                    let (h, t) = (m.header_text(), m.text());
                    write!(f, "HMSG {} {}{reply} {h:?} {t:?}", m.subject, m.sid)
                }
            }
            Self::Ping => f.write_str("PING"),
            Self::Pong => f.write_str("PONG"),
            Self::Ok => f.write_str("+OK"),
            Self::Err(text) => write!(f, "-ERR '{text}'"),
            Self::Other(line) => write!(f, "{line:?}"),
        }
    }
}

/// Cuts one frame off the front of `buf`: the frame and the bytes it took, or `None` if more
/// bytes are needed. Panics on a `MSG` line that cannot be right: that is a failed test.
pub fn cut(buf: &[u8]) -> Option<(Frame, usize)> {
    let eol = buf.iter().position(|&b| b == b'\n')?;
    let line = String::from_utf8_lossy(&buf[..eol]);
    let line = line.strip_suffix('\r').unwrap_or(&line);
    let used = eol + 1;
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let frame = match verb {
        "MSG" => return message(line, rest, false, buf, used),
        "HMSG" => return message(line, rest, true, buf, used),
        "INFO" => match serde_json::from_str(rest) {
            Ok(json) => Frame::Info(json),
            Err(_) => Frame::Other(line.to_owned()),
        },
        "PING" => Frame::Ping,
        "PONG" => Frame::Pong,
        "+OK" => Frame::Ok,
        "-ERR" => Frame::Err(rest.trim().trim_matches('\'').to_owned()),
        _ => Frame::Other(line.to_owned()),
    };
    Some((frame, used))
}

fn message(
    line: &str,
    rest: &str,
    has_headers: bool,
    buf: &[u8],
    used: usize,
) -> Option<(Frame, usize)> {
    let bad = || -> ! { panic!("not a message line: {line:?}") };
    let args: Vec<&str> = rest.split_ascii_whitespace().collect();
    let numbers = if has_headers { 2 } else { 1 };
    if args.len() != 2 + numbers && args.len() != 3 + numbers {
        bad();
    }
    let size = |i: usize| args[i].parse::<usize>().unwrap_or_else(|_| bad());
    let total = size(args.len() - 1);
    let hdr = if has_headers { size(args.len() - 2) } else { 0 };
    if hdr > total {
        bad();
    }
    let body = buf.get(used..used + total)?;
    let end = buf.get(used + total..used + total + 2)?;
    assert_eq!(end, b"\r\n", "payload of {line:?} does not end where its size says");
    let msg = Msg {
        subject: args[0].to_owned(),
        sid: args[1].to_owned(),
        reply: (args.len() == 3 + numbers).then(|| args[2].to_owned()),
        headers: body[..hdr].to_vec(),
        payload: body[hdr..].to_vec(),
    };
    Some((Frame::Msg(msg), used + total + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_frames_and_waits_for_whole_ones() {
        assert_eq!(cut(b"PING"), None);
        assert_eq!(cut(b"PING\r\nPO"), Some((Frame::Ping, 6)));
        assert_eq!(cut(b"-ERR 'Stale Connection'\r\n").unwrap().0.to_string(), {
            "-ERR 'Stale Connection'"
        });
        assert_eq!(cut(b"MSG a 1 5\r\nhel"), None);
        let (frame, used) = cut(b"HMSG a 1 r.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n").unwrap();
        assert_eq!(used, 20 + 14 + 2);
        let msg = frame.msg();
        assert_eq!((msg.reply.as_deref(), msg.text().as_str()), (Some("r.1"), "hi"));
    }
}
