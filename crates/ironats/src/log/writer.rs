//! The thread that writes, and the destination it writes to.
//!
//! Laws: a batch is written with as few system calls as possible; whatever fails here is told on
//!       stderr, once per streak, and never stops the thread.

use std::io::{self, IsTerminal, Write};

use jiff::tz::TimeZone;
use stdx::log::Level;

use super::file::FileOutput;
use super::line::{Line, LineFormat};
use super::queue::{Command, Dropped, Entry, Queue};
use super::syslog::Syslog;
use super::{LogConfig, LogError, Target, wall_clock};

/// Bytes gathered before they are written.
pub(super) const BATCH: usize = 64 << 10;

/// An open destination.
#[derive(Debug)]
pub(super) enum Output {
    Stderr { format: LineFormat, buf: Vec<u8> },
    File(FileOutput),
    Syslog(Syslog),
}

impl Output {
    pub(super) fn open(config: &LogConfig) -> Result<Self, LogError> {
        let format = LineFormat {
            pid: std::process::id(),
            time: config.time,
            zone: if config.utc { TimeZone::UTC } else { TimeZone::system() },
            colors: false,
            json: config.json,
        };
        match &config.target {
            Target::Stderr => {
                let colors = io::stderr().is_terminal();
                let format = LineFormat { colors, ..format };
                Ok(Self::Stderr { format, buf: Vec::new() })
            }
            Target::File { path, size_limit, max_files } => {
                FileOutput::open(path, format, *size_limit, *max_files).map(Self::File)
            }
            Target::Syslog => Syslog::local(&config.tag).map(Self::Syslog),
            Target::RemoteSyslog(address) => Syslog::remote(address, &config.tag).map(Self::Syslog),
        }
    }

    fn write(&mut self, line: &Line) {
        match self {
            Self::Stderr { format, buf } => {
                format.append(buf, line);
                if buf.len() >= BATCH {
                    self.flush();
                }
            }
            Self::File(file) => file.write(line),
            Self::Syslog(syslog) => syslog.write(line),
        }
    }

    fn flush(&mut self) {
        match self {
            Self::Stderr { buf, .. } => {
                // There is nowhere left to complain about a broken stderr.
                let _ = io::stderr().write_all(buf);
                buf.clear();
                buf.shrink_to(BATCH);
            }
            Self::File(file) => file.flush(),
            Self::Syslog(_) => {}
        }
    }

    fn notice(&mut self, text: String) {
        self.write(&Line { level: Level::Notice, at: wall_clock(), text });
    }

    // Compat(LOG-004): the texts of the answers to SIGUSR1.
    fn reopen(&mut self) {
        let text = match self {
            Self::File(file) => {
                file.flush();
                match file.reopen() {
                    Ok(()) => "File log re-opened".to_owned(),
                    Err(error) => {
                        let text = format!("File log not re-opened: {error}");
                        self.write(&Line { level: Level::Error, at: wall_clock(), text });
                        return;
                    }
                }
            }
            Self::Stderr { .. } | Self::Syslog(_) => {
                "File log re-open ignored, not a file logger".to_owned()
            }
        };
        self.notice(text);
    }
}

/// Writes what comes until the queue is closed and empty.
pub(super) fn run(queue: &Queue, mut output: Output) {
    while let Some((entries, dropped)) = queue.take() {
        for entry in entries {
            match entry {
                Entry::Line(line) => output.write(&line),
                Entry::Command(Command::Reopen) => output.reopen(),
                Entry::Command(Command::Replace(next)) => {
                    output.flush();
                    output = *next;
                }
                Entry::Command(Command::Flush(done)) => {
                    output.flush();
                    // Whoever asked may have lost patience.
                    let _ = done.send(());
                }
            }
        }
        if dropped != Dropped::default() {
            let Dropped { detail, other } = dropped;
            let text = format!(
                "Log destination is too slow: dropped {detail} debug and trace lines, {other} others"
            );
            output.write(&Line { level: Level::Warn, at: wall_clock(), text });
        }
        output.flush();
    }
}

/// Says on stderr that logging itself fails.
pub(super) fn complain(what: &str, error: &dyn std::fmt::Display) {
    let line = format!("nats-server: {what}: {error}\n");
    // If stderr is broken too, nobody can be told.
    let _ = io::stderr().write_all(line.as_bytes());
}
