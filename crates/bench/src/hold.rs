//! Memory held per thing: subscriptions and idle connections, and how fast they come to be.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::conn::Conn;
use crate::measure::{Meter, rss};
use crate::scenario::Figures;

/// `count` literal subscriptions over ten connections.
pub(crate) fn subscriptions(pid: u32, addr: SocketAddr, count: usize) -> io::Result<Figures> {
    const CONNECTIONS: usize = 10;
    let mut conns = (0..CONNECTIONS).map(|_| Conn::new(addr)).collect::<io::Result<Vec<_>>>()?;
    let before = rss(pid);
    let meter = Meter::start(pid);
    let each = count / CONNECTIONS;
    thread::scope(|scope| {
        let threads: Vec<_> = conns
            .iter_mut()
            .enumerate()
            .map(|(c, conn)| scope.spawn(move || subscribe(conn, c * each, each)))
            .collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap())
    })?;
    let reading = meter.stop();
    let mut figures = Figures::of(&reading, count as u64);
    let after = settled_rss(pid);
    figures.set("bytes_each", after.saturating_sub(before) as f64 / count as f64);
    figures.set("rss", after as f64);
    Ok(figures)
}

fn subscribe(conn: &mut Conn, from: usize, count: usize) -> io::Result<()> {
    let mut lines = String::new();
    for n in from..from + count {
        lines.push_str(&format!("SUB fleet.eu.vehicle.{n:07}.position {}\r\n", n - from + 1));
        if lines.len() > 64 * 1024 {
            conn.tcp.write_all(lines.as_bytes())?;
            lines.clear();
        }
    }
    conn.tcp.write_all(lines.as_bytes())?;
    conn.flush()
}

/// `count` connections with one subscription each; rate of connecting and memory per connection.
pub(crate) fn connections(pid: u32, addr: SocketAddr, count: usize) -> io::Result<Figures> {
    const THREADS: usize = 4;
    let idle = settled_rss(pid);
    let meter = Meter::start(pid);
    let mut conns = Vec::with_capacity(count);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(move || {
                    (0..count / THREADS).map(|_| Conn::hello(addr)).collect::<io::Result<Vec<_>>>()
                })
            })
            .collect();
        for t in threads {
            conns.extend(t.join().unwrap()?);
        }
        io::Result::Ok(())
    })?;
    let reading = meter.stop();
    for (n, conn) in conns.iter_mut().enumerate() {
        conn.tcp.write_all(format!("SUB idle.{n} 1\r\n").as_bytes())?;
    }
    for conn in &mut conns {
        conn.flush()?;
    }
    let mut figures = Figures::of(&reading, conns.len() as u64);
    let after = settled_rss(pid);
    figures.set("process_rss", idle as f64);
    figures.set("bytes_each", after.saturating_sub(idle) as f64 / conns.len() as f64);
    figures.set("rss", after as f64);
    Ok(figures)
}

/// Resident memory once it has stopped moving (or after two seconds).
fn settled_rss(pid: u32) -> u64 {
    let end = Instant::now() + Duration::from_secs(2);
    let mut last = rss(pid);
    loop {
        thread::sleep(Duration::from_millis(150));
        let now = rss(pid);
        if now.abs_diff(last) < last / 200 || Instant::now() > end {
            return now;
        }
        last = now;
    }
}
