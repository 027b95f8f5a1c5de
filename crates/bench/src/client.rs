//! A raw connection that asks JetStream's API, publishes with answers and counts what it is sent.
//!
//! Not here: what is measured (`stream`).

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use crate::conn::Conn;

/// Messages of one pull request.
const BATCH: usize = 500;
/// Publishes that wait while a stream is filled.
pub(crate) const WINDOW: usize = 4096;

/// A connection that hears its answers.
pub(crate) struct Client {
    pub(crate) conn: Conn,
    /// What it hears begins so.
    inbox: String,
    unread: Vec<u8>,
    answers: usize,
}

impl Client {
    pub(crate) fn new(addr: SocketAddr, inbox: &str) -> io::Result<Self> {
        let mut conn = Conn::new(addr)?;
        write!(conn.tcp, "SUB {inbox}.> 1\r\n")?;
        conn.flush()?;
        Ok(Self { conn, inbox: inbox.to_owned(), unread: Vec::new(), answers: 0 })
    }

    /// Asks the API for an answer that is no error.
    pub(crate) fn ask(&mut self, subject: &str, body: &str) -> io::Result<String> {
        let (inbox, len) = (&self.inbox, body.len());
        write!(self.conn.tcp, "PUB {subject} {inbox}.api {len}\r\n{body}\r\n")?;
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while !text.ends_with(b"}\r\n") {
            let n = self.conn.tcp.read(&mut chunk)?;
            if n == 0 {
                return Err(io::Error::other("closed by the server"));
            }
            text.extend_from_slice(&chunk[..n]);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        if text.contains("\"error\"") { Err(io::Error::other(text)) } else { Ok(text) }
    }

    /// Publishes `count` messages, at most `window` of them unanswered.
    pub(crate) fn publish(
        &mut self,
        count: usize,
        window: usize,
        size: usize,
        subject: impl Fn(usize) -> String,
        sent: &mut usize,
    ) -> io::Result<()> {
        let step = (window / 8).clamp(1, 512);
        let (inbox, payload) = (self.inbox.clone(), "x".repeat(size));
        let mut out = Vec::new();
        let mut left = count;
        while left > 0 {
            let now = step.min(left);
            out.clear();
            for _ in 0..now {
                let (subject, n) = (subject(*sent), *sent);
                write!(out, "PUB {subject} {inbox}.{n} {size}\r\n{payload}\r\n")?;
                *sent += 1;
            }
            left -= now;
            self.conn.tcp.write_all(&out)?;
            self.settle(*sent, window.saturating_sub(step))?;
        }
        Ok(())
    }

    /// Fills a stream.
    pub(crate) fn fill(&mut self, count: usize, size: usize) -> io::Result<()> {
        let mut sent = 0;
        self.publish(count, WINDOW, size, |n| format!("b.{}", n % 10), &mut sent)?;
        self.settle(sent, 0)
    }

    /// Makes a pull consumer.
    pub(crate) fn consume(&mut self, name: &str, acks: bool) -> io::Result<()> {
        let policy = if acks { "explicit" } else { "none" };
        let config = format!(
            r#"{{"durable_name":"{name}","name":"{name}","ack_policy":"{policy}","max_ack_pending":20000,"deliver_policy":"all"}}"#
        );
        let body = format!(r#"{{"stream_name":"B","config":{config}}}"#);
        self.ask(&format!("$JS.API.CONSUMER.CREATE.B.{name}"), &body).map(drop)
    }

    /// Pulls `count` messages, with at most two requests open.
    pub(crate) fn pull(&mut self, consumer: &str, count: usize, acks: bool) -> io::Result<()> {
        let (inbox, body) = (&self.inbox, format!("{{\"batch\":{BATCH}}}"));
        let len = body.len();
        let request =
            format!("PUB $JS.API.CONSUMER.MSG.NEXT.B.{consumer} {inbox}.m {len}\r\n{body}\r\n");
        self.conn.tcp.write_all(request.repeat(2).as_bytes())?;
        let (mut got, mut asked) = (0, 2 * BATCH);
        let mut out = Vec::new();
        while got < count {
            out.clear();
            got += self.read_messages(|reply| {
                if acks {
                    out.extend_from_slice(b"PUB ");
                    out.extend_from_slice(reply);
                    out.extend_from_slice(b" 0\r\n\r\n");
                }
            })?;
            while asked < count && asked - got <= BATCH {
                out.extend_from_slice(request.as_bytes());
                asked += BATCH;
            }
            self.conn.tcp.write_all(&out)?;
        }
        self.conn.flush()?;
        Ok(())
    }

    /// Waits until at most `open` of `sent` publishes are unanswered.
    pub(crate) fn settle(&mut self, sent: usize, open: usize) -> io::Result<()> {
        while sent - self.answers > open {
            self.answers += self.read_messages(|_| {})?;
        }
        Ok(())
    }

    /// Reads once; calls `each` with the reply subject of every whole message.
    pub(crate) fn read_messages(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
        let start = self.unread.len();
        self.unread.resize(start + (256 << 10), 0);
        let n = self.conn.tcp.read(&mut self.unread[start..])?;
        if n == 0 {
            return Err(io::Error::other("closed by the server"));
        }
        self.unread.truncate(start + n);
        let (mut at, mut count) = (0, 0);
        while let Some(len) = message(&self.unread[at..], &mut each, &mut count)? {
            at += len;
        }
        self.unread.drain(..at);
        Ok(count)
    }
}

/// The length of the frame that `bytes` begins with, if it is whole.
fn message(
    bytes: &[u8],
    each: &mut impl FnMut(&[u8]),
    count: &mut usize,
) -> io::Result<Option<usize>> {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return Ok(None) };
    let line = bytes[..end].trim_ascii();
    let words: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let with_header = match words[0] {
        b"MSG" => false,
        b"HMSG" => true,
        b"-ERR" => return Err(io::Error::other(String::from_utf8_lossy(line).into_owned())),
        _ => return Ok(Some(end + 1)),
    };
    let number = std::str::from_utf8(words[words.len() - 1]).ok().and_then(|n| n.parse().ok());
    let size: usize = number.ok_or_else(|| io::Error::other("no size"))?;
    let whole = end + 1 + size + 2;
    if bytes.len() < whole {
        return Ok(None);
    }
    *count += 1;
    // MSG subject sid [reply] size; HMSG has one size more.
    let replied = words.len() == if with_header { 6 } else { 5 };
    each(if replied { words[3] } else { b"" });
    Ok(Some(whole))
}
