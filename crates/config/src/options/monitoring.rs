//! HTTP endpoints and profiling.

use super::listen;
use super::reader::Reader;
use crate::lang::Token;

/// What the configuration says about monitoring.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MonitoringOptions {
    /// Host of `http` or `https`; unset means the client listener's.
    pub host: Option<String>,
    /// Port of `http` or `http_port`; -1 is random, 0 is off.
    pub http_port: Option<i64>,
    /// Port of `https` or `https_port`.
    pub https_port: Option<i64>,
    /// `http_base_path`, as written; see `Options::http_base_path`.
    pub base_path: Option<String>,
    /// `http_metrics`: whether `/metrics` is served; `None` means it is.
    pub metrics: Option<bool>,
    /// `prof_port`.
    pub prof_port: Option<i64>,
    /// `prof_block_rate`.
    pub prof_block_rate: Option<i64>,
}

impl MonitoringOptions {
    pub(super) const KEYS: &[&str] = &[
        "http",
        "https",
        "http_port",
        "monitor_port",
        "https_port",
        "http_base_path",
        "http_metrics",
        "prof_port",
        "prof_block_rate",
    ];

    pub(super) fn read(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "http" | "https" => match listen::parse(token) {
                Ok((host, port)) => {
                    self.host = Some(host);
                    let slot =
                        if key == "http" { &mut self.http_port } else { &mut self.https_port };
                    *slot = Some(port);
                }
                Err(text) => r.error(token, text),
            },
            "http_port" | "monitor_port" => r.put(token, &mut self.http_port),
            "https_port" => r.put(token, &mut self.https_port),
            "http_base_path" => r.put(token, &mut self.base_path),
            "http_metrics" => r.put(token, &mut self.metrics),
            "prof_port" => r.put(token, &mut self.prof_port),
            "prof_block_rate" => r.put(token, &mut self.prof_block_rate),
            _ => return false,
        }
        true
    }
}
