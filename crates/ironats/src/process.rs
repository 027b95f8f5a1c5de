//! What the process uses: CPU, memory, cores, threads.
//!
//! Laws: reading never fails; what a platform does not tell is zero.
//! Reference: server/pse (pse_linux.go ProcUsage, periodic).

use std::fs;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The shortest window that a CPU percentage is computed over.
const WINDOW: Duration = Duration::from_secs(1);

/// Lets the process open as many files as it may be allowed to: connections and streams take one
/// or more each, and what a shell hands down is often 1,024. The Go runtime does the same at its
/// start. Nothing is lost where it is refused.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// CPU use over the last completed window. One per process.
#[derive(Debug)]
pub struct CpuMeter {
    since: Instant,
    used: Duration,
    percent: f64,
}

impl Default for CpuMeter {
    fn default() -> Self {
        Self { since: Instant::now(), used: cpu_time(), percent: 0.0 }
    }
}

impl CpuMeter {
    /// To be called about once a second: percent of one core since the last call that was at
    /// least a second ago, to a tenth.
    pub fn tick(&mut self) -> f64 {
        let elapsed = self.since.elapsed();
        if elapsed >= WINDOW {
            let used = cpu_time();
            let share = used.saturating_sub(self.used).as_secs_f64() / elapsed.as_secs_f64();
            self.percent = (share * 1000.0).floor() / 10.0;
            self.since = Instant::now();
            self.used = used;
        }
        self.percent
    }

    /// The last percentage.
    pub fn percent(&self) -> f64 {
        self.percent
    }
}

/// CPU time of all threads since the process started.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// Resident bytes.
#[cfg(target_os = "linux")]
pub fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages.saturating_mul(rustix::param::page_size() as u64)
}

/// Resident bytes, as `ps` tells them.
#[cfg(not(target_os = "linux"))]
pub fn resident_bytes() -> u64 {
    let pid = std::process::id().to_string();
    let output = std::process::Command::new("ps").args(["-o", "rss=", "-p", &pid]).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let kibibytes = String::from_utf8_lossy(&text).trim().parse::<u64>().unwrap_or(0);
    kibibytes.saturating_mul(1024)
}

/// Cores this process may run on.
#[cfg(target_os = "linux")]
pub fn cores() -> u64 {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| u64::from(set.count().max(1)))
}

/// Cores this process may run on.
#[cfg(not(target_os = "linux"))]
pub fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// The memory limit that deployments give in `GOMEMLIMIT`, in bytes; 0 for none. Nothing here
/// obeys it, but dashboards compare memory with it (Compat CLI-017).
pub fn memory_limit(variable: Option<&str>) -> u64 {
    let Some(text) = variable else { return 0 };
    let (number, shift) = match text {
        _ if text.ends_with("KiB") => (text.trim_end_matches("KiB"), 10),
        _ if text.ends_with("MiB") => (text.trim_end_matches("MiB"), 20),
        _ if text.ends_with("GiB") => (text.trim_end_matches("GiB"), 30),
        _ if text.ends_with("TiB") => (text.trim_end_matches("TiB"), 40),
        _ => (text.strip_suffix('B').unwrap_or(text), 0),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).unwrap_or(0)
}

/// What every thread is doing, one line each (Contract: MON-018; the content is our own).
pub fn threads() -> String {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return "threads cannot be listed on this platform\n".to_owned();
    };
    let mut ids: Vec<u32> =
        tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    let mut text = format!("{} threads\n", ids.len());
    for id in ids {
        let read = |file: &str| {
            let content = fs::read_to_string(format!("/proc/self/task/{id}/{file}"));
            content.unwrap_or_default().trim().to_owned()
        };
        let status = read("status");
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("");
        text.push_str(&format!("{id} {} {} {}\n", read("comm"), state.trim(), read("wchan")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: MON-006
    #[test]
    fn memory_and_cores_are_plausible() {
        let block = vec![1u8; 32 << 20];
        assert!(resident_bytes() > 32 << 20, "{}", resident_bytes());
        assert!(block.iter().all(|byte| *byte == 1));
        assert!((1..=4096).contains(&cores()));
    }

    // Contract: MON-006
    #[test]
    fn cpu_is_percent_of_a_core() {
        let mut meter = CpuMeter::default();
        assert_eq!(meter.tick(), 0.0);
        let began = Instant::now();
        let mut spent = 0u64;
        while began.elapsed() < WINDOW {
            spent = std::hint::black_box(spent + 1);
        }
        let percent = meter.tick();
        // The machine may be busy with others, but this thread got something.
        assert!(percent > 0.5, "{percent} after {spent}");
        assert_eq!(percent, meter.percent());
        assert_eq!((percent * 10.0).fract(), 0.0);
    }

    // Contract: CLI-017
    #[test]
    fn memory_limits_are_read_as_go_reads_them() {
        for (text, bytes) in [
            (None, 0),
            (Some("off"), 0),
            (Some(""), 0),
            (Some("1024"), 1024),
            (Some("512B"), 512),
            (Some("7GiB"), 7 << 30),
            (Some("3KiB"), 3 << 10),
            (Some("5MiB"), 5 << 20),
            (Some("1TiB"), 1 << 40),
            (Some("99999999999999999TiB"), 0),
            (Some("-1"), 0),
        ] {
            assert_eq!(memory_limit(text), bytes, "{text:?}");
        }
    }

    // Contract: MON-018
    #[test]
    fn threads_are_listed() {
        let text = threads();
        let first = text.lines().next().unwrap();
        let count: usize = first.strip_suffix(" threads").unwrap().parse().unwrap();
        assert_eq!(text.lines().count(), count + 1, "{text}");
    }
}
