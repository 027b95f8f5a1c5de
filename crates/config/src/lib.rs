//! The configuration language, the options and the command line.
//!
//! The way of a configuration: `flags::parse_args` → `load` (or `check` for `-t`) →
//! `Options::apply_flags` → `validate` → `unbuilt`.
//!
//! Not here: what the options do (each room has its own small configuration; `node` translates).
//! Laws: pure; files and environment come through `lang::Source`; every message names a place.

#![forbid(unsafe_code)]

mod check;
pub mod defaults;
mod diagnostic;
pub mod diff;
pub mod flags;
pub mod lang;
pub mod options;
pub mod suggest;
mod unbuilt;
mod validate;

#[cfg(test)]
mod tests;

pub use check::{Outcome, check, parse_bytes};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use lang::{Source, SourceError};
pub use options::{LoadError, Loaded, Options, load, load_text};
pub use unbuilt::{Unbuilt, unbuilt};
pub use validate::{
    COMPATIBLE_VERSION, Invalid, check_system_account, validate, validate_but_system,
};
