//! JetStream load: publishing with answers, pulling with and without acknowledgements, direct gets,
//! drawing from another stream.
//!
//! Laws: the windows of a run are the same for both servers; a run is over when every answer has
//!       arrived, so CPU per message is exact.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, WINDOW};
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
    /// So many consumers pull all messages of a filled stream at once, and acknowledge them.
    Crowd { consumers: usize },
    /// Another stream draws all messages of a filled one.
    Source,
}

/// Messages in a stream that is read.
const FILL: usize = 300_000;
/// Messages in a stream that many read.
const SHARED: usize = 20_000;

impl Stream {
    /// Lines for the configuration of the server.
    pub(crate) fn conf(&self, dir: &std::path::Path) -> String {
        let sync = if self.sync_always { "sync_interval: always" } else { "" };
        format!("jetstream {{ store_dir: \"{}\"\n{sync} }}\n", dir.display())
    }

    pub(crate) fn run(&self, pid: u32, addr: SocketAddr, length: Duration) -> io::Result<Figures> {
        let mut client = Client::new(addr, "_IN")?;
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
            Kind::Crowd { consumers } => self.crowd(&mut client, pid, addr, consumers),
            Kind::Source => self.source(&mut client, pid),
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

    fn pull(&self, client: &mut Client, pid: u32, acks: bool) -> io::Result<Figures> {
        client.fill(FILL, self.size)?;
        client.consume("C", acks)?;
        let meter = Meter::start(pid);
        client.pull("C", FILL, acks)?;
        Ok(Figures::of(&meter.stop(), FILL as u64))
    }

    /// Each consumer reads everything, over a connection of its own.
    fn crowd(
        &self,
        client: &mut Client,
        pid: u32,
        addr: SocketAddr,
        consumers: usize,
    ) -> io::Result<Figures> {
        client.fill(SHARED, self.size)?;
        let mut readers = Vec::new();
        for n in 0..consumers {
            let mut reader = Client::new(addr, &format!("_IN{n}"))?;
            reader.consume(&format!("C{n}"), true)?;
            readers.push(reader);
        }
        let meter = Meter::start(pid);
        thread::scope(|scope| {
            let pull =
                |(n, reader): (usize, &mut Client)| reader.pull(&format!("C{n}"), SHARED, true);
            let each = readers.iter_mut().enumerate();
            let threads: Vec<_> = each.map(|reader| scope.spawn(move || pull(reader))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap())
        })?;
        Ok(Figures::of(&meter.stop(), (SHARED * consumers) as u64))
    }

    /// Another stream draws everything; the time is over once it has it.
    fn source(&self, client: &mut Client, pid: u32) -> io::Result<Figures> {
        client.fill(FILL, self.size)?;
        let storage = self.storage;
        let meter = Meter::start(pid);
        client.ask(
            "$JS.API.STREAM.CREATE.D",
            &format!(r#"{{"name":"D","storage":"{storage}","sources":[{{"name":"B"}}]}}"#),
        )?;
        let whole = format!("\"messages\":{FILL},");
        while !client.ask("$JS.API.STREAM.INFO.D", "")?.replace(' ', "").contains(&whole) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Figures::of(&meter.stop(), FILL as u64))
    }

    fn get(&self, client: &mut Client, pid: u32, window: usize) -> io::Result<Figures> {
        client.fill(FILL, self.size)?;
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
