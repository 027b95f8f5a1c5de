//! Why a text is not a configuration. The texts are the reference's (CONF-012).

use super::source::SourceError;

/// A text that could not be read as a configuration at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A character where the grammar has none.
    #[error("Parse error on line {line}: '{reason}'")]
    Lex {
        /// Line, from 1.
        line: usize,
        /// What was expected and what was found.
        reason: String,
    },
    /// The text ends after a key without a value.
    #[error("config is invalid ({file}:{line}:{column})")]
    DanglingKey {
        /// The file, as named.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column as the reference counts it.
        column: i64,
    },
    /// An integer beyond 64 bits.
    #[error("integer '{0}' is out of the range")]
    IntegerRange(String),
    /// Something that started as an integer.
    #[error("expected integer, but got '{0}'")]
    Integer(String),
    /// A float beyond 64 bits.
    #[error("float '{0}' is out of the range")]
    FloatRange(String),
    /// A date that does not exist.
    #[error("expected Zulu formatted DateTime, but got '{0}'")]
    DateTime(String),
    /// `$NAME` without such a key around it and without such an environment variable.
    #[error("variable reference for '{name}' on line {line} can not be found")]
    VariableMissing {
        /// The name without `$`.
        name: String,
        /// Line of the reference.
        line: usize,
    },
    /// An environment variable whose text is not a value.
    #[error("variable reference for '{name}' on line {line} could not be parsed: {cause}")]
    VariableInvalid {
        /// The name without `$`.
        name: String,
        /// Line of the reference.
        line: usize,
        /// Why.
        cause: Box<SyntaxError>,
    },
    /// Environment variables that refer to each other.
    #[error("variable reference cycle for '{0}'")]
    VariableCycle(String),
    /// An included file that could not be read or parsed.
    #[error("error parsing include file '{name}', {cause}")]
    Include {
        /// The path as written.
        name: String,
        /// Why.
        cause: Box<SyntaxError>,
    },
    /// The file itself could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Maps, arrays or includes nested beyond the bound: no reference equivalent, it has none.
    #[error("Parse error on line {line}: 'Nesting of {what} is deeper than {limit}.'")]
    TooDeep {
        /// Line, from 1.
        line: usize,
        /// What is nested.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// Variables that expand to more values than any configuration has.
    #[error("Parse error on line {line}: 'Variables expand to more than {limit} values.'")]
    TooLarge {
        /// Line, from 1.
        line: usize,
        /// The bound.
        limit: usize,
    },
}
