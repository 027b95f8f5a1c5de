//! What an account uses of others: the terms of each import and how subjects change on the way.
//!
//! Not here: authorization and cycles (`draft`, `cycle`), delivery (`shadow`, `dispatch::service`).
//! Laws: terms are plain values, so that a reload can tell what stayed the same.
//! Reference: accounts.go addServiceImport, addMappedStreamImportWithClaim.

use super::Account;
use super::error::{Entry, EntryError};
use super::export::ServiceExport;
use std::sync::{Arc, Weak};
use subject::transform::{Transform, to_placeholders};

/// How a subject changes from one account to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// Not at all.
    Keep,
    /// To always the same.
    Fixed(String),
    /// By its tokens.
    Transform(Box<Transform>),
}

impl Rewrite {
    /// Appends what `subject` becomes.
    pub(crate) fn apply(&self, subject: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Keep => out.extend_from_slice(subject),
            Self::Fixed(to) => out.extend_from_slice(to.as_bytes()),
            // Transforms of imports have no random parts.
            Self::Transform(transform) => transform.apply(subject, || 0, out),
        }
    }
}

/// The terms of a stream import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamTerms {
    /// The exporter.
    pub account: String,
    /// The subjects in its account.
    pub from: String,
    /// The subjects in the importer's account.
    pub to: String,
    /// From theirs to ours.
    pub rewrite: Rewrite,
    /// From ours to theirs, if `rewrite` is a transform that can be undone.
    pub reverse: Option<Box<Transform>>,
    /// Whether messages may be traced into the importer.
    pub allow_trace: bool,
}

impl StreamTerms {
    /// The terms for `from` of `account`, seen as `to`.
    pub(crate) fn new(
        account: &str,
        from: &str,
        to: &str,
        allow_trace: bool,
    ) -> Result<Self, EntryError> {
        let (mut shown, mut reverse) = (to.to_owned(), None);
        let rewrite = if !subject::has_wildcard(from.as_bytes()) {
            Rewrite::Fixed(to.to_owned())
        } else if to == from {
            Rewrite::Keep
        } else {
            let transform = Transform::strict(from, &to_placeholders(to)).map_err(|cause| {
                let (from, to) = (from.to_owned(), to.to_owned());
                EntryError::Transform { entry: Entry::StreamImport, from, to, cause }
            })?;
            shown = without_placeholders(to);
            reverse = transform.reverse().map(Box::new);
            Rewrite::Transform(Box::new(transform))
        };
        let (account, from) = (account.to_owned(), from.to_owned());
        Ok(Self { account, from, to: shown, rewrite, reverse, allow_trace })
    }
}

/// The terms of a service import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceTerms {
    /// The exporter.
    pub account: String,
    /// The subjects in the importer's account.
    pub from: String,
    /// The subjects in the exporter's account.
    pub to: String,
    /// From ours to theirs.
    pub rewrite: Rewrite,
    /// Whether the exporter learns who asks.
    pub share: bool,
    /// The service as its account offers it.
    pub export: Option<Arc<ServiceExport>>,
}

impl ServiceTerms {
    /// The terms for requests on `from`, answered as `to` by `account`.
    pub(crate) fn new(
        account: &str,
        from: &str,
        to: &str,
        share: bool,
        export: Option<Arc<ServiceExport>>,
    ) -> Result<Self, EntryError> {
        let mut here = from.to_owned();
        let rewrite = if !subject::has_wildcard(to.as_bytes()) {
            Rewrite::Fixed(to.to_owned())
        } else if to == from {
            Rewrite::Keep
        } else {
            // Placeholders may stand in the local subject only, so the transform is made in the
            // direction in which they are the destination, and turned round.
            let failed = |cause| {
                let (from, to) = (from.to_owned(), to.to_owned());
                EntryError::Transform { entry: Entry::ServiceImport, from, to, cause }
            };
            let back = Transform::strict(to, &to_placeholders(from)).map_err(failed)?;
            let there = back.reverse().ok_or_else(|| {
                failed(subject::TransformError::NotUsingAllWildcards(from.to_owned()))
            })?;
            here = without_placeholders(from);
            Rewrite::Transform(Box::new(there))
        };
        let (account, to) = (account.to_owned(), to.to_owned());
        Ok(Self { account, from: here, to, rewrite, share, export })
    }
}

/// A stream import in force.
pub(crate) struct StreamImport {
    pub terms: StreamTerms,
    pub exporter: Weak<Account>,
}

/// A service import in force.
pub struct ServiceImport {
    pub(crate) terms: ServiceTerms,
    pub(crate) exporter: Weak<Account>,
}

/// Writes placeholders (`$1`, `{{wildcard(1)}}`) as `*` tokens.
pub(crate) fn without_placeholders(subject: &str) -> String {
    let tokens = subject.split('.').map(|token| if is_placeholder(token) { "*" } else { token });
    tokens.collect::<Vec<_>>().join(".")
}

fn is_placeholder(token: &str) -> bool {
    let token = token.as_bytes();
    if let [b'$', digit, ..] = token {
        return digit.is_ascii_digit() && *digit != b'0';
    }
    let call = token.strip_prefix(b"{{").and_then(|t| t.strip_suffix(b"}}"));
    let call = call.map(<[u8]>::trim_ascii).unwrap_or_default();
    let name = call.get(..8).unwrap_or_default();
    let rest = call.get(8..).unwrap_or_default().trim_ascii();
    name.eq_ignore_ascii_case(b"wildcard") && rest.starts_with(b"(") && rest.ends_with(b")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_wildcards() {
        for (subject, want) in [
            ("a.$1.b", "a.*.b"),
            ("a.{{wildcard(2)}}", "a.*"),
            ("a.{{ Wildcard( 2 ) }}", "a.*"),
            ("a.$0.$x", "a.$0.$x"),
            ("$JS.API.>", "$JS.API.>"),
        ] {
            assert_eq!(without_placeholders(subject), want);
        }
    }
}
