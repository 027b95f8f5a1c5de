//! Where a thing stands in the configuration: file, line, column.
//!
//! Laws: lines count from 1; columns are the reference's own counting (0 is the first column of the
//!       first line, 1 the first of any other line), so that positions in messages are equal.

use std::fmt;
use std::sync::Arc;

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The file as it was named on the command line or by `include`; empty for text without a file.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column as the reference counts it.
    pub column: i64,
}

impl Position {
    /// A place in `file`.
    pub fn new(file: Arc<str>, line: usize, column: i64) -> Self {
        Self { file, line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
