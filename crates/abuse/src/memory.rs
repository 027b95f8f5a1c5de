//! What a server process holds, as the kernel counts it.
//!
//! Laws: Linux only (procfs); a figure that cannot be read is a panic, never a zero.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Resident memory of a process in bytes.
pub fn rss(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

fn status(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server is running");
    let line = status.lines().find(|l| l.starts_with(field)).expect("a field of procfs");
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Open file descriptors of a process.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the server is running").count()
}

/// Resident memory once it is at most `bound`, or what it is after `patience`: allocators and
/// ended connections give pages back with a delay.
pub fn rss_at_most(pid: u32, bound: u64, patience: Duration) -> u64 {
    let end = Instant::now() + patience;
    loop {
        let now = rss(pid);
        if now <= bound || Instant::now() >= end {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Resident memory once it has stopped moving (or after ten seconds).
pub fn settled(pid: u32) -> u64 {
    let end = Instant::now() + Duration::from_secs(10);
    let mut last = rss(pid);
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = rss(pid);
        if now.abs_diff(last) < last / 500 || Instant::now() >= end {
            return now;
        }
        last = now;
    }
}

/// Raises the soft limit of open files to the hard one and returns it; servers started afterwards
/// inherit it.
pub fn raise_file_limit() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The number the next descriptor of a process will have.
pub fn next_descriptor(pid: u32) -> u64 {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("the server is running");
    let names = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let taken: std::collections::HashSet<u64> = names.collect();
    (0..).find(|n| !taken.contains(n)).unwrap_or(u64::MAX)
}

/// Sets how many file descriptors a running process may have (those it has, it keeps); returns what
/// it was. Only the soft limit moves, so it can be moved back.
pub fn limit_descriptors(pid: u32, to: u64) -> u64 {
    let process = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process id");
    // A child has the hard limit of its parent.
    let new = Rlimit { current: Some(to), maximum: getrlimit(Resource::Nofile).maximum };
    rustix::process::prlimit(Some(process), Resource::Nofile, new)
        .expect("a child's limit may be changed")
        .current
        .unwrap_or(u64::MAX)
}
