//! JetStream load: publishing with answers, pulling with and without acknowledgements, direct gets.
//!
//! Laws: the windows of a run are the same for both servers; a run is over when every answer has
//!       arrived, so CPU per message is exact.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::conn::Conn;
use crate::measure::{self, Meter};
use crate::scenario::Figures;

/// A load on one stream.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    /// `file` or `memory`.
    pub(crate) storage: &'static str,
    /// Payload bytes.
    pub(crate) size: usize,
    /// Every change is on the disk before it is answered.
    pub(crate) sync_always: bool,
}

/// What is done with it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// So many publishes wait for their answers.
    Publish { window: usize },
    /// The same, each to a subject of its own, of which one message is kept.
    Keys { count: usize },
    /// Messages of a filled stream are pulled.
    Pull { acks: bool },
    /// Messages of a filled stream are got one by one, so many at once.
    Get { window: usize },
}

/// Messages in a stream that is read.
const FILL: usize = 300_000;
/// Messages of one pull request.
const BATCH: usize = 500;
/// Publishes that wait while a stream is filled.
const WINDOW: usize = 4096;

impl Stream {
    /// Lines for the configuration of the server.
    pub(crate) fn conf(&self, dir: &std::path::Path) -> String {
        let sync = if self.sync_always { "sync_interval: always" } else { "" };
        format!("jetstream {{ store_dir: \"{}\"\n{sync} }}\n", dir.display())
    }

    pub(crate) fn run(&self, pid: u32, addr: SocketAddr, length: Duration) -> io::Result<Figures> {
        let mut client = Client::new(addr)?;
        let keys = matches!(self.kind, Kind::Keys { .. });
        let limit = if keys { 1 } else { -1 };
        let storage = self.storage;
        client.ask(
            "$JS.API.STREAM.CREATE.B",
            &format!(
                r#"{{"name":"B","subjects":["b.>"],"storage":"{storage}","retention":"limits","num_replicas":1,"max_msgs_per_subject":{limit},"allow_direct":true}}"#
            ),
        )?;
        match self.kind {
            Kind::Publish { window } => self.publish(&mut client, pid, window, length),
            Kind::Keys { count } => self.keys(&mut client, pid, count),
            Kind::Pull { acks } => self.pull(&mut client, pid, acks),
            Kind::Get { window } => self.get(&mut client, pid, window),
        }
    }

    fn publish(
        &self,
        client: &mut Client,
        pid: u32,
        window: usize,
        length: Duration,
    ) -> io::Result<Figures> {
        let meter = Meter::start(pid);
        let end = Instant::now() + length;
        let mut times = Vec::new();
        let mut sent = 0;
        while Instant::now() < end {
            if window == 1 {
                let start = Instant::now();
                client.publish(1, window, self.size, |_| "b.c".to_owned(), &mut sent)?;
                client.settle(sent, 0)?;
                times.push(start.elapsed());
            } else {
                client.publish(window, window, self.size, |_| "b.c".to_owned(), &mut sent)?;
            }
        }
        client.settle(sent, 0)?;
        let reading = meter.stop();
        let mut figures = Figures::of(&reading, sent as u64);
        times.sort_unstable();
        for (name, part) in [("p50", 0.50), ("p99", 0.99)] {
            let at = (times.len() as f64 * part) as usize;
            if let Some(time) = times.get(at) {
                figures.set(name, time.as_nanos() as f64);
            }
        }
        Ok(figures)
    }

    fn keys(&self, client: &mut Client, pid: u32, count: usize) -> io::Result<Figures> {
        let before = measure::rss(pid);
        let meter = Meter::start(pid);
        let mut sent = 0;
        client.publish(count, WINDOW, self.size, |n| format!("b.key.{n:07}"), &mut sent)?;
        client.settle(sent, 0)?;
        let reading = meter.stop();
        let mut figures = Figures::of(&reading, sent as u64);
        let grown = measure::rss(pid).saturating_sub(before);
        figures.set("bytes_each", grown as f64 / count as f64);
        Ok(figures)
    }

    fn fill(&self, client: &mut Client) -> io::Result<()> {
        let mut sent = 0;
        client.publish(FILL, WINDOW, self.size, |n| format!("b.{}", n % 10), &mut sent)?;
        client.settle(sent, 0)
    }

    fn pull(&self, client: &mut Client, pid: u32, acks: bool) -> io::Result<Figures> {
        self.fill(client)?;
        let policy = if acks { "explicit" } else { "none" };
        client.ask(
            "$JS.API.CONSUMER.CREATE.B.C",
            &format!(
                r#"{{"stream_name":"B","config":{{"durable_name":"C","name":"C","ack_policy":"{policy}","max_ack_pending":20000,"deliver_policy":"all"}}}}"#
            ),
        )?;
        let request = format!(
            "PUB $JS.API.CONSUMER.MSG.NEXT.B.C _IN.m {}\r\n{{\"batch\":{BATCH}}}\r\n",
            format!("{{\"batch\":{BATCH}}}").len()
        );
        let meter = Meter::start(pid);
        client.conn.tcp.write_all(request.repeat(2).as_bytes())?;
        let (mut got, mut asked) = (0, 2 * BATCH);
        let mut out = Vec::new();
        while got < FILL {
            out.clear();
            got += client.read_messages(|reply| {
                if acks {
                    out.extend_from_slice(b"PUB ");
                    out.extend_from_slice(reply);
                    out.extend_from_slice(b" 0\r\n\r\n");
                }
            })?;
            while asked < FILL && asked - got <= BATCH {
                out.extend_from_slice(request.as_bytes());
                asked += BATCH;
            }
            client.conn.tcp.write_all(&out)?;
        }
        client.conn.flush()?;
        Ok(Figures::of(&meter.stop(), FILL as u64))
    }

    fn get(&self, client: &mut Client, pid: u32, window: usize) -> io::Result<Figures> {
        self.fill(client)?;
        let count = 100_000;
        let meter = Meter::start(pid);
        let (mut asked, mut got) = (0, 0);
        let mut out = Vec::new();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        while got < count {
            out.clear();
            while asked < count && asked - got < window {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let body = format!("{{\"seq\":{}}}", random % FILL as u64 + 1);
                let len = body.len();
                write!(out, "PUB $JS.API.DIRECT.GET.B _IN.m {len}\r\n{body}\r\n")?;
                asked += 1;
            }
            client.conn.tcp.write_all(&out)?;
            got += client.read_messages(|_| {})?;
        }
        Ok(Figures::of(&meter.stop(), count as u64))
    }
}

/// A connection that hears its answers.
struct Client {
    conn: Conn,
    unread: Vec<u8>,
    answers: usize,
}

impl Client {
    fn new(addr: SocketAddr) -> io::Result<Self> {
        let mut conn = Conn::new(addr)?;
        conn.tcp.write_all(b"SUB _IN.> 1\r\n")?;
        conn.flush()?;
        Ok(Self { conn, unread: Vec::new(), answers: 0 })
    }

    /// Asks the API, and refuses an error.
    fn ask(&mut self, subject: &str, body: &str) -> io::Result<()> {
        let len = body.len();
        write!(self.conn.tcp, "PUB {subject} _IN.api {len}\r\n{body}\r\n")?;
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while !text.ends_with(b"}\r\n") {
            let n = self.conn.tcp.read(&mut chunk)?;
            text.extend_from_slice(&chunk[..n]);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        if text.contains("\"error\"") { Err(io::Error::other(text)) } else { Ok(()) }
    }

    /// Publishes `count` messages, at most `window` of them unanswered.
    fn publish(
        &mut self,
        count: usize,
        window: usize,
        size: usize,
        subject: impl Fn(usize) -> String,
        sent: &mut usize,
    ) -> io::Result<()> {
        let step = (window / 8).clamp(1, 512);
        let payload = "x".repeat(size);
        let mut out = Vec::new();
        let mut left = count;
        while left > 0 {
            let now = step.min(left);
            out.clear();
            for _ in 0..now {
                let (subject, n) = (subject(*sent), *sent);
                write!(out, "PUB {subject} _IN.{n} {size}\r\n{payload}\r\n")?;
                *sent += 1;
            }
            left -= now;
            self.conn.tcp.write_all(&out)?;
            self.settle(*sent, window.saturating_sub(step))?;
        }
        Ok(())
    }

    /// Waits until at most `open` of `sent` publishes are unanswered.
    fn settle(&mut self, sent: usize, open: usize) -> io::Result<()> {
        while sent - self.answers > open {
            self.answers += self.read_messages(|_| {})?;
        }
        Ok(())
    }

    /// Reads once; calls `each` with the reply subject of every whole message.
    fn read_messages(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
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
