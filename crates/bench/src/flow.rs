//! One-way load: publishers that write as fast as the socket takes, subscribers that count bytes.
//!
//! Laws: all frames of a run have the same length, so a subscriber counts bytes and never parses;
//!       a run is over when every message published has arrived, so CPU per message is exact.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::conn::{Conn, delivery_len, publication};
use crate::measure::Meter;
use crate::scenario::Figures;

/// The shape of a one-way load.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    /// Publisher i and subscriber j share a subject if i = j modulo this.
    pub(crate) groups: usize,
    /// Payload bytes.
    pub(crate) size: usize,
    /// All subscribers of a group join one queue group.
    pub(crate) queue: bool,
    /// One write(2) per message instead of batches of 64 KiB.
    pub(crate) single_writes: bool,
    /// Each subscriber holds this many literal subjects, published to in random order.
    pub(crate) subjects: usize,
}

const BATCH: usize = 64 * 1024;

impl Flow {
    fn subject(&self, group: usize, n: usize) -> String {
        if self.subjects > 1 {
            format!("bench.many.{group}.{n:06}")
        } else {
            format!("bench.{group}")
        }
    }

    fn sid(&self, n: usize) -> String {
        if self.subjects > 1 { (100_000 + n).to_string() } else { "1".to_owned() }
    }

    /// Messages a group's subscribers receive for one published.
    fn copies(&self) -> u64 {
        match (self.subscribers, self.queue) {
            (0, _) => 0,
            (_, true) => 1,
            (n, false) => (n / self.groups) as u64,
        }
    }

    /// The messages one publisher repeats, all of one length, and that length.
    fn script(&self, publisher: usize) -> (Vec<u8>, usize) {
        let group = publisher % self.groups;
        let one = publication(&self.subject(group, 0), "", self.size);
        let len = one.len();
        if self.subjects == 1 {
            return (one.repeat((BATCH / len).max(1)), len);
        }
        let mut random = 0x9E37_79B9_7F4A_7C15_u64 ^ publisher as u64;
        let mut bytes = Vec::with_capacity(len * self.subjects);
        for _ in 0..self.subjects {
            // xorshift: any order will do that is not sequential.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let n = (random % self.subjects as u64) as usize;
            bytes.extend(publication(&self.subject(group, n), "", self.size));
        }
        (bytes, len)
    }

    pub(crate) fn run(&self, pid: u32, addr: SocketAddr, length: Duration) -> io::Result<Figures> {
        let received = Arc::new(AtomicU64::new(0));
        let failure = Arc::new(Mutex::new(None::<String>));
        let closing = Arc::new(AtomicBool::new(false));
        let mut taps = Vec::new();
        for j in 0..self.subscribers {
            let conn = self.subscribe(addr, j)?;
            taps.push(conn.tcp.try_clone()?);
            let (received, failure) = (Arc::clone(&received), Arc::clone(&failure));
            let closing = Arc::clone(&closing);
            thread::spawn(move || {
                if let Err(e) = count_bytes(conn, &received)
                    && !closing.load(Ordering::SeqCst)
                {
                    *failure.lock().unwrap() = Some(format!("subscriber: {e}"));
                }
            });
        }
        let stop = AtomicBool::new(false);
        let mut conns = Vec::new();
        for i in 0..self.publishers {
            conns.push((Conn::new(addr)?, self.script(i)));
        }
        let meter = Meter::start(pid);
        let sent: u64 = thread::scope(|scope| {
            let stop = &stop;
            let threads: Vec<_> = conns
                .iter_mut()
                .map(|(conn, (script, len))| {
                    scope.spawn(move || publish(conn, script, *len, self.single_writes, stop))
                })
                .collect();
            thread::sleep(length);
            stop.store(true, Ordering::SeqCst);
            threads.into_iter().map(|t| t.join().unwrap()).sum::<io::Result<u64>>()
        })?;
        let per_message = delivery_len(&self.subject(0, 0), &self.sid(0), "", self.size) as u64;
        let deliveries = sent * self.copies();
        let end = Instant::now() + Duration::from_secs(20);
        while received.load(Ordering::Relaxed) < deliveries * per_message {
            if let Some(why) = failure.lock().unwrap().take() {
                return Err(io::Error::other(why));
            }
            if Instant::now() > end {
                let got = received.load(Ordering::Relaxed) / per_message;
                return Err(io::Error::other(format!("{got} of {deliveries} messages arrived")));
            }
            thread::sleep(Duration::from_micros(200));
        }
        let reading = meter.stop();
        closing.store(true, Ordering::SeqCst);
        for tcp in taps {
            let _ = tcp.shutdown(std::net::Shutdown::Both);
        }
        let messages = if deliveries == 0 { sent } else { deliveries };
        let mut figures = Figures::of(&reading, messages);
        figures.set("rss", crate::measure::rss(pid) as f64);
        Ok(figures)
    }

    fn subscribe(&self, addr: SocketAddr, j: usize) -> io::Result<Conn> {
        let mut conn = Conn::new(addr)?;
        let queue = if self.queue { " workers" } else { "" };
        let mut lines = String::new();
        for n in 0..self.subjects {
            let subject = self.subject(j % self.groups, n);
            lines.push_str(&format!("SUB {subject}{queue} {}\r\n", self.sid(n)));
        }
        conn.tcp.write_all(lines.as_bytes())?;
        conn.flush()?;
        Ok(conn)
    }
}

fn count_bytes(conn: Conn, received: &AtomicU64) -> io::Result<()> {
    let mut tcp = conn.tcp;
    tcp.set_read_timeout(None)?;
    let mut buf = vec![0; 256 * 1024];
    loop {
        match tcp.read(&mut buf)? {
            0 => return Err(io::Error::other("closed by the server")),
            n => received.fetch_add(n as u64, Ordering::Relaxed),
        };
    }
}

/// Writes until `stop`, then waits for a PONG: everything written has been handled. Returns the
/// number of messages.
fn publish(
    conn: &mut Conn,
    script: &[u8],
    len: usize,
    single_writes: bool,
    stop: &AtomicBool,
) -> io::Result<u64> {
    let step = if single_writes { len } else { (BATCH / len).max(1) * len };
    let mut sent = 0;
    'all: loop {
        for part in script.chunks(step) {
            conn.tcp.write_all(part)?;
            sent += (part.len() / len) as u64;
            if stop.load(Ordering::Relaxed) {
                break 'all;
            }
        }
    }
    conn.flush()?;
    Ok(sent)
}
