//! Which subjects are legal to subscribe to, and which to publish to.
//!
//! Not here: the error a client gets (the session decides), permissions (`auth`).
//! Laws: every valid publish subject is a valid filter; a valid filter matches itself unless it
//!       is wider than one literal.
//! Reference: sublist.go IsValidSubject, IsValidLiteralSubject, IsValidPublishSubject.

use crate::token::{ANY_TAIL, SEPARATOR, has_empty_token};

/// Whether `subject` may be subscribed to: no empty token, `>` only as the last token, no white
/// space. Bytes are otherwise opaque, UTF-8 or not.
// Compat(SUBJ-001): a form feed is white space, a vertical tab and a NUL are not.
pub fn is_valid(subject: &[u8]) -> bool {
    let mut previous = SEPARATOR;
    for (i, &byte) in subject.iter().enumerate() {
        let starts_token = previous == SEPARATOR;
        let illegal = match byte {
            SEPARATOR => starts_token,
            b'>' => starts_token && subject.get(i + 1) == Some(&SEPARATOR),
            byte => is_space(byte),
        };
        if illegal {
            return false;
        }
        previous = byte;
    }
    previous != SEPARATOR
}

/// Whether no token is empty and none is a wildcard: what a pedantic client may publish to.
/// White space is not looked for: it cannot come through the protocol parser.
pub fn is_valid_literal(subject: &[u8]) -> bool {
    !has_empty_token(subject) && !has_wildcard(subject)
}

/// Whether `subject` is valid and has no wildcard.
pub fn is_valid_publish(subject: &[u8]) -> bool {
    is_valid(subject) && is_literal(subject)
}

/// Whether no token is a wildcard. Says nothing about validity.
#[inline]
pub fn is_literal(subject: &[u8]) -> bool {
    !has_wildcard(subject)
}

/// Whether some token is `*` or `>`. Says nothing about validity.
#[inline]
pub fn has_wildcard(subject: &[u8]) -> bool {
    let mut previous = SEPARATOR;
    for (i, &byte) in subject.iter().enumerate() {
        let alone = || subject.get(i + 1).is_none_or(|&next| next == SEPARATOR);
        if matches!(byte, b'*' | b'>') && previous == SEPARATOR && alone() {
            return true;
        }
        previous = byte;
    }
    false
}

/// Whether the last token is `>`.
pub fn has_any_tail(subject: &[u8]) -> bool {
    subject == ANY_TAIL || subject.ends_with(b".>")
}

/// Whether `name` is a queue group name or pattern that a permission may hold.
// Compat(SUBJ-006): queue names in permissions follow the subject rules, wildcards included.
pub fn is_valid_queue(name: &[u8]) -> bool {
    is_valid(name)
}

/// White space that no subject may hold.
#[inline]
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: SUBJ-001
    #[test]
    fn subjects_are_judged_by_token_rules() {
        // subject, filter, pedantic literal, publish
        let cases: [(&[u8], bool, bool, bool); 22] = [
            (b"foo", true, true, true),
            (b"foo.bar", true, true, true),
            (b"", false, false, false),
            (b".", false, false, false),
            (b".foo", false, false, false),
            (b"foo.", false, false, false),
            (b"foo..bar", false, false, false),
            (b"*", true, false, false),
            (b">", true, false, false),
            (b"foo.*.bar", true, false, false),
            (b"foo.>", true, false, false),
            (b"foo.>.bar", false, false, false),
            (b"foo*", true, true, true),
            (b"*foo.>bar", true, true, true),
            (b"**", true, true, true),
            (b"foo bar", false, true, false),
            (b"foo.\t", false, true, false),
            (b"foo\x0c", false, true, false),
            (b"foo\x0b", true, true, true),
            (b"foo\x00", true, true, true),
            (b"\xff\xfe.bar", true, true, true),
            (b"foo.\r\n", false, true, false),
        ];
        for (subject, filter, literal, publish) in cases {
            let shown = String::from_utf8_lossy(subject);
            assert_eq!(is_valid(subject), filter, "filter {shown:?}");
            assert_eq!(is_valid_literal(subject), literal, "literal {shown:?}");
            assert_eq!(is_valid_publish(subject), publish, "publish {shown:?}");
        }
    }

    #[test]
    fn the_tail_wildcard_is_a_whole_token() {
        for (subject, want) in
            [(&b">"[..], true), (b"a.>", true), (b"a>", false), (b"a", false), (b">.a", false)]
        {
            assert_eq!(has_any_tail(subject), want);
        }
    }
}
