//! Where log lines go: stderr, a file, or syslog, written by one thread behind a bounded queue.
//!
//! Not here: what is logged, and which levels are on (`stdx::log::Log`, which rooms hold).
//! Laws: the caller never waits for a disk or a peer. When the writer falls behind, trace and
//!       debug lines are dropped first (from half of the queue on), then the others; a warning
//!       line says how many as soon as there is room. Fatal lines are never dropped and are
//!       written before `write` returns, because the process is about to end.
//! Reference: server/log.go ConfigureLogger, ReOpenLogFile; logger/log.go; logger/syslog.go.

mod file;
mod json;
mod line;
mod queue;
mod syslog;
mod writer;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stdx::log::{Level, Log, Sink};
use stdx::time::Timestamp;

use line::Line;
use queue::{Command, Queue};
use writer::Output;

/// How long a fatal line may take to reach its destination.
const FATAL_FLUSH: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Standard error, in colour if it is a terminal.
    #[default]
    Stderr,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// Bytes after which it is renamed and begun anew; 0 for never.
        size_limit: u64,
        /// Files to keep, the current one included; 0 for all.
        max_files: u64,
    },
    /// The local syslog daemon.
    Syslog,
    /// A syslog daemon at `udp://host:port`, `tcp://host:port` or `unix:///path`.
    RemoteSyslog(String),
}

impl Target {
    /// Compat(LOG-002): a file wins over a remote syslog, that over the local one, that over
    /// stderr. Empty texts are unset options; numbers below 1 are none.
    pub fn choose(
        file: &str,
        size_limit: i64,
        max_files: i64,
        remote_syslog: &str,
        syslog: bool,
    ) -> Self {
        let above_zero = |number: i64| u64::try_from(number).unwrap_or(0);
        if !file.is_empty() {
            Self::File {
                path: PathBuf::from(file),
                size_limit: above_zero(size_limit),
                max_files: above_zero(max_files),
            }
        } else if !remote_syslog.is_empty() {
            Self::RemoteSyslog(remote_syslog.to_owned())
        } else if syslog {
            Self::Syslog
        } else {
            Self::Stderr
        }
    }
}

/// How lines look and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Where they go.
    pub target: Target,
    /// Whether they start with the time (not in syslog, which has its own).
    pub time: bool,
    /// Whether that time is UTC rather than local.
    pub utc: bool,
    /// Whether they are JSON objects (not in syslog, which has its own form).
    pub json: bool,
    /// The name of the program in syslog lines.
    pub tag: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            target: Target::Stderr,
            time: true,
            utc: false,
            json: false,
            tag: "nats-server".into(),
        }
    }
}

/// Why a log cannot be opened. All of these end the process at start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened for appending. Remedy: the directory must exist and be writable.
    #[error("error opening file: open {path}: {}", stdx::os_text::reason(.cause))]
    File {
        /// The file.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The syslog daemon cannot be reached.
    #[error("error connecting to syslog: \"{0}\"")]
    Syslog(io::Error),
    /// The address of a remote syslog daemon has no scheme that is known. Remedy: udp://, tcp://
    /// or unix://.
    #[error("error invalid network type: \"{0}\"")]
    Network(String),
    /// The writer thread cannot be started.
    #[error("log writer: {0}")]
    Thread(io::Error),
}

/// The handle the host keeps: reopening, changing, flushing. Rooms hold the `Log`.
#[derive(Debug)]
pub struct LogControl {
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Opens the destination and starts the writer. Debug and trace are off at first.
pub fn open(config: &LogConfig) -> Result<(Log, LogControl), LogError> {
    let output = Output::open(config)?;
    let queue = Arc::new(Queue::default());
    let for_writer = Arc::clone(&queue);
    let writer = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || writer::run(&for_writer, output))
        .map_err(LogError::Thread)?;
    let log = Log::new(Box::new(QueueSink { queue: Arc::clone(&queue) }));
    Ok((log, LogControl { queue, writer: Mutex::new(Some(writer)) }))
}

impl LogControl {
    /// Closes the file and opens it again, so that a file moved away can be followed
    /// (Compat LOG-004). Says so in the log, whatever the destination.
    pub fn reopen(&self) {
        self.queue.command(Command::Reopen);
    }

    /// Changes destination or form; lines written before stay where they were meant to go. On an
    /// error nothing changes.
    pub fn reconfigure(&self, config: &LogConfig) -> Result<(), LogError> {
        let output = Output::open(config)?;
        self.queue.command(Command::Replace(Box::new(output)));
        Ok(())
    }

    /// Waits until everything written before is out, or for `patience`; false if it ran out.
    pub fn flush(&self, patience: Duration) -> bool {
        self.queue.flush(patience)
    }

    /// Writes what is queued and ends the writer. Lines written later are lost.
    pub fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // It has nothing to say: it cannot fail, and if it did, the log is where it would.
            let _ = writer.join();
        }
    }
}

struct QueueSink {
    queue: Arc<Queue>,
}

impl Sink for QueueSink {
    fn write(&self, level: Level, text: fmt::Arguments<'_>) {
        self.queue.push(Line { level, at: wall_clock(), text: text.to_string() });
        if level == Level::Fatal {
            self.queue.flush(FATAL_FLUSH);
        }
    }
}

impl Drop for QueueSink {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
