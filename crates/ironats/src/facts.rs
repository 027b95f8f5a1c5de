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
