//! Log lines and where they go.

use super::reader::{Reader, quote};
use crate::lang::Token;

/// What the configuration says about logging.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoggingOptions {
    /// `debug`.
    pub debug: Option<bool>,
    /// `trace`; `trace_verbose` and `trace_headers` set it too.
    pub trace: Option<bool>,
    /// `trace_verbose`: the system account's traffic too.
    pub trace_verbose: Option<bool>,
    /// `trace_headers`: only the headers of messages.
    pub trace_headers: Option<bool>,
    /// `logtime`: time in front of each line, on by default.
    pub logtime: Option<bool>,
    /// `logtime_utc`.
    pub logtime_utc: Option<bool>,
    /// `log_file`.
    pub file: Option<String>,
    /// `log_size_limit` in bytes, 0 for no rotation.
    pub size_limit: Option<i64>,
    /// `log_max_num`: rotated files kept, 0 for all.
    pub max_files: Option<i64>,
    /// `log_format`: `json` for one object a line, `text` for the reference's lines. The
    /// reference has no such key.
    pub json: Option<bool>,
    /// `syslog`.
    pub syslog: Option<bool>,
    /// `remote_syslog`.
    pub remote_syslog: Option<String>,
    /// `max_traced_msg_len` in bytes, 0 for whole messages.
    pub max_traced_msg_len: Option<i64>,
    /// No log at all. Only an embedding program sets this.
    pub disabled: bool,
}

impl LoggingOptions {
    pub(super) const KEYS: &[&str] = &[
        "debug",
        "trace",
        "trace_verbose",
        "trace_headers",
        "logtime",
        "logtime_utc",
        "logfile",
        "log_file",
        "logfile_size_limit",
        "log_size_limit",
        "logfile_max_num",
        "log_max_num",
        "log_format",
        "syslog",
        "remote_syslog",
        "max_traced_msg_len",
    ];

    pub(super) fn read(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "debug" => r.put(token, &mut self.debug),
            "trace" => r.put(token, &mut self.trace),
            "trace_verbose" => {
                r.put(token, &mut self.trace_verbose);
                self.trace = self.trace_verbose.or(self.trace);
            }
            "trace_headers" => {
                r.put(token, &mut self.trace_headers);
                self.trace = self.trace_headers.or(self.trace);
            }
            "logtime" => r.put(token, &mut self.logtime),
            "logtime_utc" => r.put(token, &mut self.logtime_utc),
            "logfile" | "log_file" => r.put(token, &mut self.file),
            "logfile_size_limit" | "log_size_limit" => r.put(token, &mut self.size_limit),
            "logfile_max_num" | "log_max_num" => r.put(token, &mut self.max_files),
            "log_format" => match r.string(token).as_deref() {
                Some("json") => self.json = Some(true),
                Some("text") => self.json = Some(false),
                Some(other) => {
                    let text =
                        format!("log_format {} is neither \"text\" nor \"json\"", quote(other));
                    r.error(token, text);
                }
                None => {}
            },
            "syslog" => r.put(token, &mut self.syslog),
            "remote_syslog" => r.put(token, &mut self.remote_syslog),
            "max_traced_msg_len" => r.put(token, &mut self.max_traced_msg_len),
            _ => return false,
        }
        true
    }
}
