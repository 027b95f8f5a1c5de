//! A log file that is renamed and begun anew when it has grown too large.
//!
//! Laws: a line is never split over two files; the limit is checked after each line, so a file
//!       exceeds it by at most one line.
//! Wire: backups are `<file>.YYYY.MM.DD.hh.mm.ss.nnnnnnnnn` in local time. Lines about rotation
//!       itself end with CR LF and have local time even if `logtime_utc` is set.
//! Reference: logger/log.go fileLogger (Write, logDirect, logPurge, setLimit).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use stdx::go_text;
use stdx::log::Level;

use super::line::{Line, LineFormat, local};
use super::writer::{BATCH, complain};
use super::{LogError, wall_clock};

const PERMISSIONS: u32 = 0o640;

/// An open log file.
#[derive(Debug)]
pub(super) struct FileOutput {
    path: PathBuf,
    file: File,
    format: LineFormat,
    /// Bytes in the file, those in `buf` not included.
    size: u64,
    size_limit: u64,
    max_files: u64,
    buf: Vec<u8>,
    /// Whether the last write failed; a streak of failures is told once.
    failing: bool,
}

impl FileOutput {
    pub(super) fn open(
        path: &Path,
        format: LineFormat,
        size_limit: u64,
        max_files: u64,
    ) -> Result<Self, LogError> {
        let opened = append(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) =
            opened.map_err(|cause| LogError::File { path: path.display().to_string(), cause })?;
        let mut output = Self {
            path: path.to_owned(),
            file,
            format,
            size,
            size_limit,
            max_files,
            buf: Vec::new(),
            failing: false,
        };
        if output.is_full() {
            let text = "Rotating logfile...".to_owned();
            output.write(&Line { level: Level::Notice, at: wall_clock(), text });
        }
        Ok(output)
    }

    pub(super) fn write(&mut self, line: &Line) {
        self.format.append(&mut self.buf, line);
        if self.is_full() {
            self.flush();
            self.rotate();
        } else if self.buf.len() >= BATCH {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        if self.buf.is_empty() {
            return;
        }
        match self.file.write_all(&self.buf) {
            Ok(()) => {
                self.size += self.buf.len() as u64;
                self.failing = false;
            }
            Err(error) if !self.failing => {
                complain(&format!("cannot write log file {}", self.path.display()), &error);
                self.failing = true;
            }
            Err(_) => {}
        }
        self.buf.clear();
        self.buf.shrink_to(BATCH);
    }

    /// Opens the path again; on an error the old file stays open.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let file = append(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = file;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.size_limit > 0 && self.size + self.buf.len() as u64 > self.size_limit
    }

    fn rotate(&mut self) {
        let backup = self.backup_path();
        let renamed = fs::rename(&self.path, &backup);
        match append(&self.path) {
            Ok(file) => self.file = file,
            // The old file is still open: better a file under a wrong name than no log.
            Err(error) => complain("cannot re-open the log file after rotation", &error),
        }
        self.size = 0;
        match renamed {
            Ok(()) => {
                let name = go_text::quote(backup.display().to_string().as_bytes());
                self.say(Level::Notice, format!("Rotated log, backup saved as {name}"));
            }
            Err(error) => self.say(Level::Error, format!("Unable to rename the log: {error}")),
        }
        if self.max_files > 0 {
            self.purge();
        }
        self.flush();
    }

    fn backup_path(&self) -> PathBuf {
        let at = local(wall_clock(), &TimeZone::system());
        let mut name = self.path.clone().into_os_string();
        name.push(format!(
            ".{:04}.{:02}.{:02}.{:02}.{:02}.{:02}.{:09}",
            at.year, at.month, at.day, at.hour, at.minute, at.second, at.nanos
        ));
        PathBuf::from(name)
    }

    /// Removes the oldest backups beyond the limit, of which the current file is one.
    fn purge(&mut self) {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let base = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut backups = match backups(&directory, &base) {
            Ok(backups) => backups,
            Err(error) => {
                let name = go_text::quote(directory.display().to_string().as_bytes());
                let text = format!(
                    "Unable to read directory {name} for log purge ({error}), will attempt next rotation"
                );
                return self.say(Level::Error, text);
            }
        };
        // The names sort by time.
        backups.sort_unstable();
        let keep = usize::try_from(self.max_files - 1).unwrap_or(usize::MAX);
        let surplus = backups.len().saturating_sub(keep);
        for backup in backups.into_iter().take(surplus) {
            let name = go_text::quote(backup.as_bytes());
            if let Err(error) = fs::remove_file(directory.join(&backup)) {
                let text = format!(
                    "Unable to remove backup log file {name} ({error}), will attempt next rotation"
                );
                return self.say(Level::Error, text);
            }
            self.say(Level::Notice, format!("Purged log file {name}"));
        }
    }

    /// A line about the file itself; it never rotates the file.
    fn say(&mut self, level: Level, text: String) {
        let format = LineFormat { zone: TimeZone::system(), ..self.format.clone() };
        format.append(&mut self.buf, &Line { level, at: wall_clock(), text: text + "\r\n" });
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(PERMISSIONS).open(path)
}

fn backups(directory: &Path, base: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let stamp = name.strip_prefix(base).and_then(|rest| rest.strip_prefix('.'));
        if stamp.is_some_and(is_stamp) && !entry.file_type()?.is_dir() {
            found.push(name);
        }
    }
    Ok(found)
}

/// Whether `text` is the time at the end of a backup's name.
fn is_stamp(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let [year, month, day, hour, minute, second, fraction] = parts.as_slice() else {
        return false;
    };
    let within = |part: &str, digits: usize, from: u32, to: u32| {
        part.len() == digits
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|number| (from..=to).contains(&number))
    };
    within(year, 4, 0, 9999)
        && within(month, 2, 1, 12)
        && within(day, 2, 1, 31)
        && within(hour, 2, 0, 23)
        && within(minute, 2, 0, 59)
        && within(second, 2, 0, 59)
        && (1..=9).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}
