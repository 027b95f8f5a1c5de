//! Request/reply: k requesters with one request in flight each, one responder that echoes.
//!
//! Laws: one thread drives all requesters (readiness, not a thread each), so the load does not
//!       compete with the server through the scheduler; every frame has a fixed length.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::conn::{Conn, delivery_len, publication};
use crate::measure::Meter;
use crate::scenario::Figures;

const SUBJECT: &str = "bench.service";
const SIZE: usize = 16;
const REPLY_LEN: usize = "_INBOX.bench000000.00000000".len();
const PING: &[u8] = b"PING\r\n";

struct Requester {
    conn: Conn,
    id: usize,
    count: usize,
    got: usize,
    started: Instant,
}

impl Requester {
    fn open(addr: SocketAddr, id: usize) -> io::Result<Self> {
        let mut conn = Conn::new(addr)?;
        conn.tcp.write_all(format!("SUB _INBOX.bench{id:06}.* 1\r\n").as_bytes())?;
        conn.flush()?;
        Ok(Self { conn, id, count: 0, got: 0, started: Instant::now() })
    }

    fn ask(&mut self) -> io::Result<()> {
        let reply = format!("_INBOX.bench{:06}.{:08}", self.id, self.count);
        self.count += 1;
        let bytes = publication(SUBJECT, &reply, SIZE);
        self.started = Instant::now();
        self.conn.tcp.write_all(&bytes)
    }

    /// Reads what is there; the latency in nanoseconds if the answer is complete.
    fn read(&mut self, buf: &mut [u8], answer: usize) -> io::Result<Option<u64>> {
        let n = self.conn.tcp.read(buf)?;
        if n == 0 {
            return Err(io::Error::other("requester closed by the server"));
        }
        // The server's own PING may precede or follow an answer; it is no part of it.
        let pings =
            if buf[..n].starts_with(PING) || buf[..n].ends_with(PING) { PING.len() } else { 0 };
        self.got += n - pings;
        if self.got < answer {
            return Ok(None);
        }
        self.got = 0;
        Ok(Some(self.started.elapsed().as_nanos() as u64))
    }
}

/// Runs `clients` requesters for `length`.
pub(crate) fn run(
    pid: u32,
    addr: SocketAddr,
    clients: usize,
    length: Duration,
) -> io::Result<Figures> {
    let closing = Arc::new(AtomicBool::new(false));
    let mut service = Conn::new(addr)?;
    service.tcp.write_all(format!("SUB {SUBJECT} 1\r\n").as_bytes())?;
    service.flush()?;
    let tap = service.tcp.try_clone()?;
    let quiet = Arc::clone(&closing);
    thread::spawn(move || {
        if let Err(e) = respond(service)
            && !quiet.load(Ordering::SeqCst)
        {
            eprintln!("responder: {e}");
        }
    });
    let mut requesters =
        (0..clients).map(|id| Requester::open(addr, id)).collect::<io::Result<Vec<_>>>()?;
    let meter = Meter::start(pid);
    let mut latencies = if clients == 1 {
        one(&mut requesters[0], length)?
    } else {
        many(&mut requesters, length)?
    };
    let reading = meter.stop();
    closing.store(true, Ordering::SeqCst);
    let _ = tap.shutdown(std::net::Shutdown::Both);
    latencies.sort_unstable();
    let mut figures = Figures::of(&reading, latencies.len() as u64);
    let at = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize] as f64;
    figures.set("p50", at(0.50));
    figures.set("p99", at(0.99));
    figures.set("p999", at(0.999));
    figures.set("rss", crate::measure::rss(pid) as f64);
    Ok(figures)
}

fn answer_len() -> usize {
    delivery_len(&"x".repeat(REPLY_LEN), "1", "", SIZE)
}

fn one(requester: &mut Requester, length: Duration) -> io::Result<Vec<u64>> {
    let (mut buf, end) = (vec![0; 4096], Instant::now() + length);
    let mut latencies = Vec::with_capacity(100_000);
    while Instant::now() < end {
        requester.ask()?;
        loop {
            if let Some(ns) = requester.read(&mut buf, answer_len())? {
                latencies.push(ns);
                break;
            }
        }
    }
    Ok(latencies)
}

fn many(requesters: &mut [Requester], length: Duration) -> io::Result<Vec<u64>> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (i, r) in requesters.iter().enumerate() {
        let data = epoll::EventData::new_u64(i as u64);
        epoll::add(&poll, &r.conn.tcp, data, epoll::EventFlags::IN)?;
    }
    let (mut buf, end) = (vec![0; 4096], Instant::now() + length);
    let mut latencies = Vec::with_capacity(1_000_000);
    let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
    for r in requesters.iter_mut() {
        r.ask()?;
    }
    let mut open = requesters.len();
    let patience = rustix::time::Timespec { tv_sec: 5, tv_nsec: 0 };
    while open > 0 {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), Some(&patience))?;
        if events.is_empty() {
            return Err(io::Error::other(format!("{open} requests were never answered")));
        }
        for event in &events {
            let r = &mut requesters[event.data.u64() as usize];
            let Some(ns) = r.read(&mut buf, answer_len())? else { continue };
            latencies.push(ns);
            if Instant::now() < end {
                r.ask()?;
            } else {
                open -= 1;
            }
        }
    }
    Ok(latencies)
}

/// Answers every request; one write per read, as a client library's flusher would.
fn respond(mut service: Conn) -> io::Result<()> {
    let frame = delivery_len(SUBJECT, "1", &"x".repeat(REPLY_LEN), SIZE);
    let reply_at = "MSG ".len() + SUBJECT.len() + " 1 ".len();
    let mut buf = vec![0; 256 * 1024];
    let mut filled = 0;
    let mut out = Vec::new();
    service.tcp.set_read_timeout(None)?;
    loop {
        let n = service.tcp.read(&mut buf[filled..])?;
        if n == 0 {
            return Err(io::Error::other("closed by the server"));
        }
        filled += n;
        let mut at = 0;
        out.clear();
        loop {
            let rest = &buf[at..filled];
            if rest.starts_with(PING) {
                at += PING.len();
            } else if rest.len() >= frame {
                let reply = std::str::from_utf8(&rest[reply_at..reply_at + REPLY_LEN]);
                out.extend(publication(reply.map_err(io::Error::other)?, "", SIZE));
                at += frame;
            } else {
                break;
            }
        }
        buf.copy_within(at..filled, 0);
        filled -= at;
        service.tcp.write_all(&out)?;
    }
}
