//! The command line.
//!
//! Not here: sending signals, printing, ending the process (the host).
//! Laws: Go's flag syntax (CLI-001); flags win over the configuration, again after every reload
//!       (CLI-003).
//! Reference: opts.go ConfigureOptions; Go package flag.   Parity: CLI-001 to CLI-009.

mod apply;
mod parse;
mod redact;
mod signal;
mod table;
mod usage;

pub use parse::{Command, Run, parse_args};
pub use redact::redact;
pub use signal::{SignalCommand, SignalError, SignalRequest};
pub use table::{Flag, FlagValue};
pub use usage::{tls_usage, usage, version};

pub use apply::FlagError;

use std::collections::{BTreeMap, BTreeSet};

/// Flags as given, the last value of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flags {
    values: BTreeMap<Flag, FlagValue>,
    /// Spellings used, because some rules go by spelling.
    given: BTreeSet<&'static str>,
}

impl Flags {
    /// The value of a flag, if it was given.
    pub fn get(&self, flag: Flag) -> Option<&FlagValue> {
        self.values.get(&flag)
    }

    /// The text of a flag, if it was given.
    pub fn text(&self, flag: Flag) -> Option<&str> {
        match self.get(flag) {
            Some(FlagValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether a switch was turned on.
    pub fn is_on(&self, flag: Flag) -> bool {
        self.get(flag) == Some(&FlagValue::Bool(true))
    }

    /// Whether one of the spellings was used.
    pub(crate) fn was_given(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.given.contains(name))
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Sets a flag as its spelling `name` would; false for a spelling that does not exist.
    pub(crate) fn set(&mut self, name: &str, value: FlagValue) -> bool {
        let Some((name, flag)) = table::find(name) else { return false };
        self.given.insert(name);
        self.values.insert(flag, value);
        true
    }
}
