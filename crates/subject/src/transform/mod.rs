//! Transforms: rewriting a subject that matches a source filter into a destination.
//!
//! `parse` reads one destination token, `apply` runs a compiled transform. Used by account
//! mappings, imports, and whatever else rewrites subjects.
//! Not here: choosing among weighted destinations (`mapping`).
//! Laws: a transform that was built never fails to apply to a subject its source matches;
//!       applying allocates nothing but room in the caller's buffer.
//! Reference: subject_transform.go NewSubjectTransformWithStrict, reverse; sublist.go ValidateMapping.

mod apply;
mod parse;
#[cfg(test)]
mod tests;

use crate::token::{ANY_TAIL, ANY_TOKEN, tokens};
use crate::validate::is_space;
use parse::{Function, parse_token};

/// A compiled rewriting of subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    source: Box<str>,
    destination: Box<str>,
    parts: Box<[Part]>,
    /// Index of the first source token that the destination's `>` copies.
    tail_from: Option<usize>,
}

/// One token of the destination. Indexes count source tokens from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<[u8]>),
    Token(usize),
    /// An empty list means the whole subject, dots included.
    Partition {
        buckets: i32,
        of: Box<[usize]>,
    },
    Random(i32),
    SplitFromLeft(usize, i32),
    SplitFromRight(usize, i32),
    SliceFromLeft(usize, i32),
    SliceFromRight(usize, i32),
    Left(usize, i32),
    Right(usize, i32),
    Split(usize, Box<[u8]>),
}

/// Why a transform cannot be built; the text is the one the reference prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// Source or destination is not a legal subject, the destination has a bare `*`, or only one
    /// of them ends in `>`.
    #[error("invalid subject")]
    BadSubject,
    /// The destination is not a legal subject.
    #[error("invalid mapping destination: invalid transform{}", In(.0))]
    BadDestination(String),
    /// The token calls a function that does not exist.
    #[error("invalid mapping destination: unknown function{}", In(.0))]
    UnknownFunction(String),
    /// A placeholder names a wildcard that the source does not have.
    #[error("invalid mapping destination: wildcard index out of range{}", In(.0))]
    IndexOutOfRange(String),
    /// A function got too few arguments.
    #[error("invalid mapping destination: not enough arguments passed to the function{}", In(.0))]
    NotEnoughArguments(String),
    /// A function got too many arguments.
    #[error("invalid mapping destination: too many arguments passed to the function{}", In(.0))]
    TooManyArguments(String),
    /// An argument is not a number, or a delimiter holds a space.
    #[error(
        "invalid mapping destination: function argument is invalid or in the wrong format{}",
        In(.0)
    )]
    InvalidArgument(String),
    /// A strict transform leaves a wildcard of the source out.
    #[error("invalid mapping destination: not using all of the token wildcard(s){}", In(.0))]
    NotUsingAllWildcards(String),
    /// A strict transform uses a function that cannot be reversed.
    #[error(
        "invalid mapping destination: the only mapping function allowed for import transforms \
         is {{{{Wildcard()}}}}{}",
        In(.0)
    )]
    NotSupportedForImport(String),
}

/// Prints where an error is, or nothing if the place has no text.
struct In<'a>(&'a str);

impl std::fmt::Display for In<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " in {}", self.0) }
    }
}

// === impl Transform ===

impl Transform {
    /// Compiles `source` to `destination`; an empty source means `>`.
    pub fn new(source: &str, destination: &str) -> Result<Self, TransformError> {
        Self::compile(source, destination, false)
    }

    /// As `new`, but only placeholders are allowed and every wildcard of the source must be used,
    /// so that the transform can be reversed. Imports need that.
    // Compat(SUBJ-014)
    pub fn strict(source: &str, destination: &str) -> Result<Self, TransformError> {
        Self::compile(source, destination, true)
    }

    /// As `new`, with the narrower rules of account mappings and stream transforms: no white space,
    /// and only the functions known there.
    // Compat(SUBJ-011): the reference accepts `left` and `right` elsewhere, but not here.
    pub fn for_mapping(source: &str, destination: &str) -> Result<Self, TransformError> {
        check_mapping_destination(destination)?;
        Self::new(source, destination)
    }

    fn compile(source: &str, destination: &str, strict: bool) -> Result<Self, TransformError> {
        let source = if source.is_empty() { ">" } else { source };
        let from = Shape::of(source).ok_or(TransformError::BadSubject)?;
        let to = Shape::of(destination).ok_or(TransformError::BadSubject)?;
        if !to.wildcards.is_empty() || from.tail != to.tail {
            return Err(TransformError::BadSubject);
        }
        let patterned = !from.wildcards.is_empty() || from.tail;
        let mut parts = Vec::with_capacity(to.len);
        let mut placeholders = 0;
        for token in destination.split('.') {
            if token == ">" {
                continue;
            }
            let function = parse_token(token)?;
            if patterned {
                let importable = matches!(function, Function::Literal | Function::Wildcard(_));
                if strict && !importable {
                    return Err(TransformError::NotSupportedForImport(token.to_owned()));
                }
                placeholders += function.indexes().len();
            }
            parts.push(Part::new(token, function, &from.wildcards, patterned)?);
        }
        if strict && placeholders < from.wildcards.len() {
            return Err(TransformError::NotUsingAllWildcards(destination.to_owned()));
        }
        Ok(Self {
            source: source.into(),
            destination: destination.into(),
            parts: parts.into(),
            tail_from: to.tail.then(|| from.len - 1),
        })
    }

    /// The filter whose subjects this transform rewrites.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The destination as it was written.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The transform that leads back, for one built by `strict`; `None` if two placeholders name the
    /// same wildcard.
    // Deliberate difference: the reference numbers the placeholders in the order in which the
    // destination has them, which is not the inverse if three or more change places in a ring.
    pub fn reverse(&self) -> Option<Self> {
        let mut wildcards = Vec::new();
        let source: Vec<&str> = self
            .destination
            .split('.')
            .map(|token| match parse_token(token) {
                Ok(Function::Wildcard(i)) => {
                    wildcards.push(i);
                    "*"
                }
                _ => token,
            })
            .collect();
        let mut next = 0;
        let mut destination = Vec::new();
        for token in self.source.split('.') {
            if token == "*" {
                next += 1;
                let at = wildcards.iter().position(|&i| i == next)?;
                destination.push(format!("${}", at + 1));
            } else {
                destination.push(token.to_owned());
            }
        }
        Self::strict(&source.join("."), &destination.join(".")).ok()
    }
}

impl Part {
    fn new(
        token: &str,
        function: Function,
        wildcards: &[usize],
        patterned: bool,
    ) -> Result<Self, TransformError> {
        let no_source = !patterned
            && !matches!(
                function,
                Function::Literal | Function::Random(_) | Function::Partition { .. }
            );
        if no_source {
            return Err(TransformError::IndexOutOfRange(token.to_owned()));
        }
        let at = |index: i64| -> Result<usize, TransformError> {
            if index > i64::try_from(wildcards.len()).unwrap_or(i64::MAX) {
                return Err(TransformError::IndexOutOfRange(format!("{token}: [{index}]")));
            }
            // Compat(SUBJ-013): an index below one is accepted and means the first token.
            let wildcard = usize::try_from(index).ok().and_then(|i| i.checked_sub(1));
            Ok(wildcard.and_then(|i| wildcards.get(i)).copied().unwrap_or(0))
        };
        Ok(match function {
            Function::Literal => Self::Literal(token.as_bytes().into()),
            Function::Wildcard(i) => Self::Token(at(i)?),
            // Compat(SUBJ-012): without wildcards in the source the whole subject is hashed.
            Function::Partition { buckets, of } if patterned => {
                Self::Partition { buckets, of: of.into_iter().map(at).collect::<Result<_, _>>()? }
            }
            Function::Partition { buckets, .. } => Self::Partition { buckets, of: Box::default() },
            Function::Random(ceiling) => Self::Random(ceiling),
            Function::SplitFromLeft(i, n) => Self::SplitFromLeft(at(i)?, n),
            Function::SplitFromRight(i, n) => Self::SplitFromRight(at(i)?, n),
            Function::SliceFromLeft(i, n) => Self::SliceFromLeft(at(i)?, n),
            Function::SliceFromRight(i, n) => Self::SliceFromRight(at(i)?, n),
            Function::Left(i, n) => Self::Left(at(i)?, n),
            Function::Right(i, n) => Self::Right(at(i)?, n),
            Function::Split(i, delimiter) => Self::Split(at(i)?, delimiter.into_bytes().into()),
        })
    }
}

/// What the compiler needs to know of a subject.
struct Shape {
    /// Number of tokens.
    len: usize,
    /// Where the `*` tokens are.
    wildcards: Vec<usize>,
    /// Whether it ends in `>`.
    tail: bool,
}

impl Shape {
    /// `None` if a token is empty or something follows `>`. White space is allowed: function calls
    /// may hold it.
    fn of(subject: &str) -> Option<Self> {
        let mut shape = Self { len: 0, wildcards: vec![], tail: false };
        for token in tokens(subject.as_bytes()) {
            if token.is_empty() || shape.tail {
                return None;
            }
            if token == ANY_TOKEN {
                shape.wildcards.push(shape.len);
            }
            shape.tail = token == ANY_TAIL;
            shape.len += 1;
        }
        Some(shape)
    }
}

/// Writes `*` tokens as numbered placeholders: `foo.*.*` becomes `foo.$1.$2`.
pub fn to_placeholders(subject: &str) -> String {
    let mut next = 0;
    let tokens = subject.split('.').map(|token| {
        if token == "*" {
            next += 1;
            format!("${next}")
        } else {
            token.to_owned()
        }
    });
    tokens.collect::<Vec<_>>().join(".")
}

fn check_mapping_destination(destination: &str) -> Result<(), TransformError> {
    // Deliberate difference: the reference accepts an empty destination at start, and dies with a
    // nil dereference on the first message that is mapped to it.
    let mut tail_seen = false;
    for token in destination.split('.') {
        if token.is_empty() || tail_seen {
            return Err(TransformError::BadDestination(token.to_owned()));
        }
        if parse::is_call(token) {
            if !parse::is_mapping_function(token) {
                return Err(TransformError::UnknownFunction(token.to_owned()));
            }
            continue;
        }
        tail_seen = token == ">";
        if token.bytes().any(is_space) {
            return Err(TransformError::BadDestination(String::new()));
        }
    }
    Ok(())
}
