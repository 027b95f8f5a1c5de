//! The system account and its switch.

use super::reader::Reader;
use crate::lang::{Map, Token, Value};

/// What the configuration says about the system account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemOptions {
    /// `system_account`.
    pub account: Option<String>,
    /// `no_system_account`.
    pub disabled: bool,
}

impl SystemOptions {
    pub(super) const KEYS: &[&str] =
        &["system_account", "system", "no_system_account", "no_system", "no_sys_acc"];

    /// Reads the account's name before any other key, because others depend on it.
    /// Compat: only these two exact spellings count.
    pub(super) fn read_first(&mut self, map: &Map, r: &mut Reader<'_>) {
        let Some(token) = map.get("system_account").or_else(|| map.get("system")) else { return };
        match &token.value {
            Value::String(_) => self.account = token.value.as_text(),
            _ => r.error(token, "system account name must be a string"),
        }
    }

    pub(super) fn read(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "system_account" | "system" => {}
            "no_system_account" | "no_system" | "no_sys_acc" => r.put(token, &mut self.disabled),
            _ => return false,
        }
        true
    }
}
