//! The few questions about subjects a configuration must ask, in terms of text.
//!
//! Not here: the answers (`subject`).
//! Reference: subject_transform.go transformTokenize, transformUntokenize.

use subject::transform::to_placeholders;
use subject::{Transform, TransformError};

/// Whether `text` is a subject, wildcards allowed.
pub(crate) fn is_valid(text: &str) -> bool {
    subject::is_valid(text.as_bytes())
}

/// Whether `text` has a wildcard token.
pub(crate) fn has_wildcard(text: &str) -> bool {
    subject::has_wildcard(text.as_bytes())
}

/// Whether `text` may be published to.
pub(crate) fn is_publishable(text: &str) -> bool {
    is_valid(text) && !has_wildcard(text)
}

/// Whether every subject that matches `narrow` matches `wide`.
pub(crate) fn is_subset(narrow: &str, wide: &str) -> bool {
    subject::is_subset(narrow.as_bytes(), wide.as_bytes())
}

/// Whether some subject matches both.
pub(crate) fn collide(a: &str, b: &str) -> bool {
    subject::collides(a.as_bytes(), b.as_bytes())
}

/// Whether `source` can be mapped to `destination`.
pub(crate) fn check_mapping(source: &str, destination: &str) -> Result<(), TransformError> {
    Transform::for_mapping(source, destination).map(drop)
}

/// Whether an import of `source` can appear as `destination`, in both directions.
pub(crate) fn check_import(source: &str, destination: &str) -> Result<(), TransformError> {
    Transform::strict(source, &to_placeholders(destination)).map(drop)
}

/// `foo.$1.{{wildcard(2)}}` as the subject it subscribes to, `foo.*.*`.
pub(crate) fn placeholders_to_wildcards(text: &str) -> String {
    let is_placeholder = |token: &str| {
        let numbered = token
            .strip_prefix('$')
            .is_some_and(|n| n.starts_with(|c: char| ('1'..='9').contains(&c)));
        let lower = token.to_ascii_lowercase();
        numbered || lower.starts_with("{{") && lower.contains("wildcard") && lower.ends_with("}}")
    };
    let tokens: Vec<&str> =
        text.split('.').map(|token| if is_placeholder(token) { "*" } else { token }).collect();
    tokens.join(".")
}
