//! The configuration language: text in, a tree of positioned values out.
//!
//! Not here: what a key means (`options`).
//! Laws: nothing is read but through `Source`; nesting, includes and expansion are bounded; no input
//!       panics.
//! Reference: conf/lex.go, conf/parse.go.   Parity: CONF-001 to CONF-012, CONF-017.

mod digest;
mod error;
mod item;
mod lexer;
mod lexer_map;
mod lexer_number;
mod lexer_text;
mod number;
mod parser;
mod position;
mod source;
pub mod unit;
mod value;

pub use digest::digest;
pub use error::SyntaxError;
pub use parser::{MAX_DEPTH, MAX_INCLUDE_DEPTH, MAX_NODES, parse, parse_file};
pub use position::Position;
pub use source::{Nothing, Source, SourceError};
pub use value::{Map, Token, Value};
