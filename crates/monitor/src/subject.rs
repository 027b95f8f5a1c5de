//! The three questions monitoring asks about subjects.
//!
//! Not here: interest and matching at speed (`subject` crate).
//! Reference: sublist.go IsValidLiteralSubject, matchLiteral, SubjectsCollide.

/// Whether a message could be published to `subject`: no empty token, no wildcard token.
pub(crate) fn is_literal(subject: &str) -> bool {
    subject.split('.').all(|token| !matches!(token, "" | "*" | ">"))
}

/// Whether a message on `literal` reaches a subscription on `filter`.
pub(crate) fn matches(literal: &str, filter: &str) -> bool {
    let mut tokens = literal.split('.');
    let mut wanted = filter.split('.').peekable();
    while let Some(want) = wanted.next() {
        let Some(token) = tokens.next() else { return false };
        if want == ">" && wanted.peek().is_none() {
            return true;
        }
        if want != "*" && want != token {
            return false;
        }
    }
    tokens.next().is_none()
}

/// Whether some message could match both `a` and `b`, either of which may have wildcards.
pub(crate) fn collide(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(x), Some(y)) if x == y || x == "*" || y == "*" => {}
            _ => return false,
        }
    }
}
