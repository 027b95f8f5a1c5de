//! What the system knows about a process: CPU time, resident memory; and who else is busy.
//!
//! Laws: Linux only (procfs); a figure that cannot be read is an error, never a zero.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// CPU time used by a process so far, all threads, in nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the server is running");
    tasks
        .flatten()
        .filter_map(|t| fs::read_to_string(t.path().join("schedstat")).ok())
        .filter_map(|s| s.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// CPU time used by this process, ended threads included, in nanoseconds (10 ms steps).
fn own_ns() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |i: usize| fields[i].parse::<u64>().unwrap();
    // utime and stime are fields 14 and 15 of the line; the state after the name is field 3.
    (ticks(11) + ticks(12)) * 10_000_000
}

/// Resident memory of a process in bytes.
pub(crate) fn rss(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server is running");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A meter over one run: server CPU, wall time and the CPU of everybody else.
pub(crate) struct Meter {
    pid: u32,
    start: Instant,
    server: u64,
    own: u64,
    all: u64,
}

/// What a [`Meter`] saw.
pub(crate) struct Reading {
    pub(crate) wall: Duration,
    pub(crate) server_ns: u64,
    pub(crate) client_ns: u64,
    /// CPU of all other processes, in cores.
    pub(crate) foreign: f64,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> Self {
        Self { pid, all: busy_ns(), own: own_ns(), server: cpu_ns(pid), start: Instant::now() }
    }

    pub(crate) fn stop(&self) -> Reading {
        let wall = self.start.elapsed();
        let server_ns = cpu_ns(self.pid) - self.server;
        let client_ns = own_ns().saturating_sub(self.own);
        let all = busy_ns().saturating_sub(self.all);
        let foreign = all.saturating_sub(server_ns + client_ns) as f64 / wall.as_nanos() as f64;
        Reading { wall, server_ns, client_ns, foreign }
    }
}

/// Busy time of all cores since boot, in nanoseconds (10 ms steps).
fn busy_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let cpu = stat.lines().next().unwrap();
    let t: Vec<u64> = cpu.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq
    (t[0] + t[1] + t[2] + t[5] + t[6]) * 10_000_000
}

/// Raises the soft limit of open files to the hard one, for the connection scenarios; servers
/// started afterwards inherit it.
pub(crate) fn raise_file_limit() {
    let now = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
}
