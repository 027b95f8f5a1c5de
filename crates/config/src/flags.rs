//! The command line.

/// Flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flags {}
