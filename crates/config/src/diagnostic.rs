//! Errors and warnings about a configuration, each with its place.
//!
//! Laws: all are collected, none hides another; warnings print before errors, one per line
//!       (CONF-013).
//! Reference: server/errors.go configErr, configWarningErr, processConfigErr.

use std::fmt;

use crate::lang::Position;

/// One message about one place of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where, unless the message is about the file as a whole.
    pub position: Option<Position>,
    /// What.
    pub text: String,
}

impl Diagnostic {
    /// A message about a place.
    pub fn at(position: &Position, text: impl Into<String>) -> Self {
        Self { position: Some(position.clone()), text: text.into() }
    }

    /// A message about no particular place.
    pub fn general(text: impl Into<String>) -> Self {
        Self { position: None, text: text.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(position) => write!(f, "{position}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Everything found wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// What makes it invalid.
    pub errors: Vec<Diagnostic>,
    /// What the operator should know; `-t` fails on these too.
    pub warnings: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.warnings.iter().chain(&self.errors) {
            writeln!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}
