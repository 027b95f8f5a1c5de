//! Facts about the process for monitoring.

use crate::process::{self, CpuMeter};
use std::sync::Mutex;
use std::sync::PoisonError;

/// The running process.
pub(crate) struct ThisProcess {
    cpu: Mutex<CpuMeter>,
    workers: usize,
}

impl ThisProcess {
    pub(crate) fn new(workers: usize) -> Self {
        Self { cpu: Mutex::new(CpuMeter::default()), workers }
    }

    /// Takes a CPU reading; once a second.
    pub(crate) fn tick(&self) {
        self.cpu.lock().unwrap_or_else(PoisonError::into_inner).tick();
    }
}

impl node::Process for ThisProcess {
    fn facts(&self) -> monitor::ProcessFacts {
        monitor::ProcessFacts {
            mem: process::resident_bytes(),
            cores: process::cores(),
            gomaxprocs: self.workers as u64,
            gomemlimit: process::memory_limit(std::env::var("GOMEMLIMIT").ok().as_deref()),
            cpu: self.cpu.lock().unwrap_or_else(PoisonError::into_inner).percent(),
        }
    }

    fn expvar(&self) -> monitor::ExpvarFacts {
        let mut command_line: Vec<String> = std::env::args().collect();
        config::flags::redact(&mut command_line);
        let resident = process::resident_bytes();
        monitor::ExpvarFacts { command_line, allocated: resident, resident }
    }

    fn stacks(&self) -> String {
        process::threads()
    }
}

/// Bytes of memory the machine has.
pub(crate) fn memory() -> Option<u64> {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit.max(1));
    // Its type differs from machine to machine.
    #[allow(clippy::useless_conversion, reason = "32 bits wide elsewhere")]
    let total = u64::from(info.totalram);
    Some(total.saturating_mul(unit))
}

/// Bytes free for us on the disk that holds `path`, or will.
pub(crate) fn disk_free(path: &std::path::Path) -> Option<u64> {
    let there = path.ancestors().find(|p| p.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
