//! One log line, from its parts to bytes.
//!
//! Wire: `[pid] YYYY/MM/DD hh:mm:ss.uuuuuu [INF] text` and a line end.
//! Reference: logger/log.go pidPrefix, setPlainLabelFormats, setColoredLabelFormats; log.Lmicroseconds.

use std::io::Write;

use jiff::tz::TimeZone;
use stdx::log::Level;
use stdx::time::{Civil, Timestamp};

/// A line on its way to a destination.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) at: Timestamp,
    pub(super) text: String,
}

/// How lines look at one destination.
#[derive(Clone, Debug)]
pub(super) struct LineFormat {
    pub(super) pid: u32,
    pub(super) time: bool,
    pub(super) zone: TimeZone,
    pub(super) colors: bool,
    /// JSON objects instead of text.
    pub(super) json: bool,
}

impl LineFormat {
    /// Appends a line with its line end, LF.
    pub(super) fn append(&self, out: &mut Vec<u8>, line: &Line) {
        if self.json {
            return super::json::append(out, self.pid, self.time, line);
        }
        let start = format_args!("[{}] ", self.pid).to_string();
        out.extend_from_slice(start.as_bytes());
        if self.time {
            append_time(out, local(line.at, &self.zone));
        }
        if self.colors {
            let (color, label) = (color(line.level), label(line.level));
            // Writing to memory cannot fail.
            let _ = write!(out, "[\x1b[{color}m{label}\x1b[0m] ");
        } else {
            let _ = write!(out, "[{}] ", label(line.level));
        }
        out.extend_from_slice(line.text.as_bytes());
        if !line.text.ends_with('\n') {
            out.push(b'\n');
        }
    }
}

fn label(level: Level) -> &'static str {
    match level {
        Level::Fatal => "FTL",
        Level::Error => "ERR",
        Level::Warn => "WRN",
        Level::Notice => "INF",
        Level::Debug => "DBG",
        Level::Trace => "TRC",
    }
}

fn color(level: Level) -> &'static str {
    match level {
        Level::Notice => "32",
        Level::Debug => "36",
        Level::Warn => "0;93",
        Level::Error | Level::Fatal => "31",
        Level::Trace => "33",
    }
}

fn append_time(out: &mut Vec<u8>, at: Civil) {
    let _ = write!(
        out,
        "{:04}/{:02}/{:02} {:02}:{:02}:{:02}.{:06} ",
        at.year,
        at.month,
        at.day,
        at.hour,
        at.minute,
        at.second,
        at.nanos / 1000
    );
}

/// The civil time at `zone`.
pub(super) fn local(at: Timestamp, zone: &TimeZone) -> Civil {
    Timestamp(at.0.saturating_add(i64::from(offset_seconds(at, zone)) * 1_000_000_000)).civil()
}

/// Seconds that `zone` is ahead of UTC.
pub(super) fn offset_seconds(at: Timestamp, zone: &TimeZone) -> i32 {
    jiff::Timestamp::from_nanosecond(i128::from(at.0))
        .map_or(0, |instant| zone.to_offset(instant).seconds())
}
