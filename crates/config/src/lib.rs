//! The configuration language, the options and the command line.
//!
//! Not here: what the options do (each room has its own small configuration; `node` translates).
//! Laws: pure; files and environment come through `lang::Source`; every message names a place.

#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod flags;
pub mod lang;
pub mod options;
pub mod suggest;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use options::{LoadError, Loaded, Options, load, load_text};
