//! The few questions about subjects a configuration must ask, and the seam to the subject room.
//!
//! Laws: the same answers as `subject`, which owns the grammar.
//! Reference: sublist.go IsValidSubject, SubjectsCollide, isSubsetMatch; subject_transform.go.

/// Whether `text` is a subject, wildcards allowed.
pub(crate) fn is_valid(text: &str) -> bool {
    let mut full = false;
    for token in text.split('.') {
        if token.is_empty() || full || token.contains(['\t', '\n', '\x0c', '\r', ' ']) {
            return false;
        }
        full = token == ">";
    }
    true
}

/// Whether `text` has no wildcard token.
pub(crate) fn is_literal(text: &str) -> bool {
    !has_wildcard(text)
}

/// Whether `text` has a wildcard token.
pub(crate) fn has_wildcard(text: &str) -> bool {
    text.split('.').any(|token| token == "*" || token == ">")
}

/// Whether `text` may be published to.
pub(crate) fn is_publishable(text: &str) -> bool {
    is_valid(text) && is_literal(text)
}

/// Whether every subject that matches `narrow` matches `wide`.
pub(crate) fn is_subset(narrow: &str, wide: &str) -> bool {
    let mut narrow = narrow.split('.');
    for want in wide.split('.') {
        let Some(have) = narrow.next() else { return false };
        match (have, want) {
            (_, "") => return false,
            (_, ">") => return true,
            ("" | ">", _) => return false,
            ("*", want) if want != "*" => return false,
            (have, want) if want != "*" && have != want => return false,
            _ => {}
        }
    }
    narrow.next().is_none()
}

/// Whether some subject matches both.
pub(crate) fn collide(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (None, _) | (_, None) => return false,
            (Some(x), Some(y)) if x == "*" || y == "*" || x == y => {}
            _ => return false,
        }
    }
}

/// Whether `source` can be mapped to `destination`; the error is the transform's own text.
///
/// The one seam to `subject::Transform`.
pub(crate) fn check_mapping(_source: &str, _destination: &str) -> Result<(), String> {
    Ok(())
}

/// Whether an import of `source` can appear as `destination`, in both directions.
///
/// The second seam to `subject::Transform`, strict form.
pub(crate) fn check_import_transform(_source: &str, _destination: &str) -> Result<(), String> {
    Ok(())
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
