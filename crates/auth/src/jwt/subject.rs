//! Subjects as tokens may hold them. Looser than what the server takes in the end.
//!
//! Reference: jwt v2 types.go.

use stdx::go_text::quote;

/// What is wrong with a subject, if anything.
pub(super) fn faults(subject: &str) -> Vec<String> {
    if subject.is_empty() {
        return vec!["subject cannot be empty".to_owned()];
    }
    let shown = quote(subject.as_bytes());
    let mut all = Vec::new();
    if subject.contains(' ') {
        all.push(format!("subject {shown} cannot have spaces"));
    }
    if subject.starts_with('.') || subject.ends_with('.') {
        all.push(format!("subject {shown} cannot start or end with a `.`"));
    }
    if subject.contains("..") {
        all.push(format!("subject {shown} cannot contain consecutive `.`"));
    }
    all
}

/// Whether it matches more than itself.
pub(super) fn has_wildcards(subject: &str) -> bool {
    subject == ">" || subject.ends_with(".>") || subject.split('.').any(|token| token == "*")
}

/// Whether `other` covers `subject`, token by token.
pub(super) fn is_contained(subject: &str, other: &str) -> bool {
    let mut theirs = other.split('.').peekable();
    let mut ours = subject.split('.');
    loop {
        match (theirs.next(), ours.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) if theirs.peek().is_none() => return true,
            (Some(their), Some(our)) if their == our || their == "*" => {}
            _ => return false,
        }
    }
}

/// The number of a reference such as `$2`.
fn reference(token: &str) -> Option<usize> {
    let digits = token.strip_prefix('$').filter(|digits| !digits.is_empty())?;
    digits.parse().ok()
}

/// `subject` with `*` for its references.
pub(super) fn without_references(subject: &str) -> String {
    let tokens = subject.split('.').map(|t| if reference(t).is_some() { "*" } else { t });
    tokens.collect::<Vec<_>>().join(".")
}

/// What is wrong with `local` as another name of `subject`.
pub(super) fn renaming_faults(local: &str, subject: &str) -> Vec<String> {
    let mut all = faults(local);
    if subject.is_empty() {
        all.push("subject cannot be empty".to_owned());
    }
    let tail = |s: &str| s == ">" || s.ends_with(".>");
    if tail(local) != tail(subject) {
        all.push("both, renaming subject and subject, need to end or not end in >".to_owned());
    }
    let stars = subject.split('.').filter(|token| *token == "*").count();
    let mut used = 0;
    for token in local.split('.') {
        match reference(token) {
            Some(n) if n > stars => all.push(format!(
                "Reference ${n} in {} reference * in {} that do not exist",
                quote(local.as_bytes()),
                quote(subject.as_bytes())
            )),
            Some(_) => used += 1,
            None if token == "*" => used += 1,
            None => {}
        }
    }
    if used != stars {
        all.push("subject does not contain enough * or reference wildcards $[0-9]".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containment_goes_token_by_token() {
        for (subject, other, want) in [
            ("a.b", "a.b", true),
            ("a.b", "a.*", true),
            ("a.b", "a.>", true),
            ("a.b.c", "a.>", true),
            ("a", "a.>", false),
            ("a.b", "a", false),
            ("a", "a.b", false),
            ("a.*", "a.*", true),
            ("a.*", "a.b", false),
            ("a.>", "a.*", true),
            (">", "*", true),
        ] {
            assert_eq!(is_contained(subject, other), want, "{subject} in {other}");
        }
    }

    #[test]
    fn another_name_uses_every_wildcard() {
        assert_eq!(renaming_faults("x.$1", "a.*"), Vec::<String>::new());
        assert_eq!(renaming_faults("x.*", "a.*"), Vec::<String>::new());
        assert_eq!(renaming_faults("x", "a.*").len(), 1);
        assert_eq!(renaming_faults("x.$2", "a.*").len(), 2);
        assert_eq!(renaming_faults("x.>", "a").len(), 1);
        assert_eq!(without_references("a.$1.$x.$2"), "a.*.$x.*");
    }
}
