//! Subjects: grammar, matching, transforms, mappings, interest indexes.
//!
//! Subjects and filters are byte strings: the server never assumes UTF-8 from a client. A *literal*
//! is what one publishes to; a *filter* may hold wildcards and is what one subscribes to.

#![forbid(unsafe_code)]

pub mod filter_set;
pub mod mapping;
pub mod overlap;
pub mod sublist;
pub mod token;
pub mod transform;
pub mod validate;

pub use filter_set::FilterSet;
pub use mapping::{Mapping, MappingError, Mappings, Selection};
pub use overlap::{collides, is_subset};
pub use token::{Tokens, matches, tokens};
pub use transform::{Transform, TransformError};
pub use validate::{has_wildcard, is_literal, is_valid, is_valid_literal, is_valid_publish};
