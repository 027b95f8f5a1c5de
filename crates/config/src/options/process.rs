//! Files about the process.

use super::reader::Reader;
use crate::lang::Token;

/// Where the process leaves its id and its ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessOptions {
    /// `pid_file`.
    pub pid_file: Option<String>,
    /// `ports_file_dir`.
    pub ports_file_dir: Option<String>,
}

impl ProcessOptions {
    pub(super) const KEYS: &[&str] = &["pidfile", "pid_file", "ports_file_dir"];

    pub(super) fn read(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "pidfile" | "pid_file" => r.put(token, &mut self.pid_file),
            "ports_file_dir" => r.put(token, &mut self.ports_file_dir),
            _ => return false,
        }
        true
    }
}
