//! The logging facade every room writes to; where lines end up is the host's business.
//!
//! Not here: formatting of a line, files, syslog (the host's `log` module).
//! Laws: a disabled level costs one relaxed load and formats nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Severity of a line, in the order of the reference's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `[FTL]`: the process is about to end.
    Fatal,
    /// `[ERR]`.
    Error,
    /// `[WRN]`.
    Warn,
    /// `[INF]`.
    Notice,
    /// `[DBG]`, off by default.
    Debug,
    /// `[TRC]`, off by default.
    Trace,
}

/// Where lines go. Implementations must not block on the caller for long.
pub trait Sink: Send + Sync {
    /// Writes one line (no trailing newline in `text`).
    fn write(&self, level: Level, text: fmt::Arguments<'_>);
}

const DEBUG: u8 = 1;
const TRACE: u8 = 2;

struct Inner {
    sink: Box<dyn Sink>,
    enabled: AtomicU8,
}

/// A cheap handle to one server's log. Several servers in a process have one each.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

impl Log {
    /// A log that writes to `sink`, with debug and trace off.
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { inner: Arc::new(Inner { sink, enabled: AtomicU8::new(0) }) }
    }

    /// A log that drops every line (embedded servers without a logger, tests).
    pub fn discard() -> Self {
        struct Nowhere;
        impl Sink for Nowhere {
            fn write(&self, _: Level, _: fmt::Arguments<'_>) {}
        }
        Self::new(Box::new(Nowhere))
    }

    /// Turns the optional levels on or off; effective for every clone of this handle.
    pub fn set_levels(&self, debug: bool, trace: bool) {
        let bits = (if debug { DEBUG } else { 0 }) | (if trace { TRACE } else { 0 });
        self.inner.enabled.store(bits, Ordering::Relaxed);
    }

    /// Whether debug lines are written.
    #[inline]
    pub fn debug_enabled(&self) -> bool {
        self.inner.enabled.load(Ordering::Relaxed) & DEBUG != 0
    }

    /// Whether trace lines are written.
    #[inline]
    pub fn trace_enabled(&self) -> bool {
        self.inner.enabled.load(Ordering::Relaxed) & TRACE != 0
    }

    /// Writes a line at `level`, if that level is on.
    pub fn write(&self, level: Level, text: fmt::Arguments<'_>) {
        let on = match level {
            Level::Debug => self.debug_enabled(),
            Level::Trace => self.trace_enabled(),
            Level::Fatal | Level::Error | Level::Warn | Level::Notice => true,
        };
        if on {
            self.inner.sink.write(level, text);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

/// Logs at notice level: `notice!(log, "…", …)`.
#[macro_export]
macro_rules! notice {
    ($log:expr, $($arg:tt)*) => { $log.write($crate::log::Level::Notice, format_args!($($arg)*)) };
}
/// Logs at warning level.
#[macro_export]
macro_rules! warning {
    ($log:expr, $($arg:tt)*) => { $log.write($crate::log::Level::Warn, format_args!($($arg)*)) };
}
/// Logs at error level.
#[macro_export]
macro_rules! error {
    ($log:expr, $($arg:tt)*) => { $log.write($crate::log::Level::Error, format_args!($($arg)*)) };
}
/// Logs at fatal level (does not end the process).
#[macro_export]
macro_rules! fatal {
    ($log:expr, $($arg:tt)*) => { $log.write($crate::log::Level::Fatal, format_args!($($arg)*)) };
}
/// Logs at debug level; arguments are evaluated only when debug is on.
#[macro_export]
macro_rules! debug {
    ($log:expr, $($arg:tt)*) => {
        if $log.debug_enabled() { $log.write($crate::log::Level::Debug, format_args!($($arg)*)) }
    };
}
/// Logs at trace level; arguments are evaluated only when trace is on.
#[macro_export]
macro_rules! trace {
    ($log:expr, $($arg:tt)*) => {
        if $log.trace_enabled() { $log.write($crate::log::Level::Trace, format_args!($($arg)*)) }
    };
}
