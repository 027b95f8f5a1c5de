//! Cutting a subject into tokens, and matching a literal against a filter.
//!
//! Hot path: touches only the given bytes; nothing allocates.
//! Not here: which subjects are legal (`validate`), filter against filter (`overlap`).
//! Laws: joining the tokens of a subject with `.` gives the subject back; an empty subject has one
//!       empty token; a literal with an empty token matches no filter.
//! Reference: sublist.go tokenizeSubjectIntoSlice, Sublist.match.

/// Separates tokens.
pub const SEPARATOR: u8 = b'.';
/// The token that stands for exactly one token.
pub const ANY_TOKEN: &[u8] = b"*";
/// The last token that stands for one or more tokens.
pub const ANY_TAIL: &[u8] = b">";

/// Iterates over the tokens of a subject, left to right.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    rest: Option<&'a [u8]>,
}

/// The tokens of `subject`; an empty subject yields one empty token.
#[inline]
pub fn tokens(subject: &[u8]) -> Tokens<'_> {
    Tokens { rest: Some(subject) }
}

impl<'a> Tokens<'a> {
    /// What has not been handed out: the tail of the subject, or `None` at its end.
    #[inline]
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        // Tokens are short: a plain loop beats a vectorised search here.
        match rest.iter().position(|&b| b == SEPARATOR) {
            Some(end) => {
                let (token, tail) = rest.split_at(end);
                self.rest = tail.get(1..);
                Some(token)
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }
}

impl std::iter::FusedIterator for Tokens<'_> {}

/// The token at `index`, counted from zero.
#[inline]
pub fn nth(subject: &[u8], index: usize) -> Option<&[u8]> {
    tokens(subject).nth(index)
}

/// How many tokens `subject` has; at least one.
pub fn count(subject: &[u8]) -> usize {
    subject.iter().filter(|&&b| b == SEPARATOR).count() + 1
}

/// Whether a message published to `literal` reaches a subscription to `filter`.
///
/// `filter` is expected to be valid. Wildcard characters inside `literal` have no meaning: they
/// are text.
// Compat(SUBJ-002): publishing to `foo.*` reaches `foo.*` and `foo.>`, not `foo.bar`.
#[inline]
pub fn matches(literal: &[u8], filter: &[u8]) -> bool {
    let (mut literal, mut filter) = (literal, filter);
    // Each turn begins at the start of a token on both sides.
    loop {
        match filter {
            b">" => return !has_empty_token(literal),
            b"*" => return !literal.is_empty() && !literal.contains(&SEPARATOR),
            [b'*', SEPARATOR, rest @ ..] => {
                match literal.iter().position(|&b| b == SEPARATOR) {
                    None | Some(0) => return false,
                    Some(end) => literal = literal.get(end + 1..).unwrap_or_default(),
                }
                filter = rest;
            }
            _ => match skip_equal_token(literal, filter) {
                Ok(rests) => (literal, filter) = rests,
                Err(ended) => return ended,
            },
        }
    }
}

/// What follows the first tokens if these are equal; else whether both ended together.
#[inline]
fn skip_equal_token<'a>(literal: &'a [u8], filter: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), bool> {
    let (mut literal, mut filter) = (literal, filter);
    loop {
        match (literal, filter) {
            ([a, l @ ..], [b, f @ ..]) if a == b => {
                if *a == SEPARATOR {
                    return Ok((l, f));
                }
                (literal, filter) = (l, f);
            }
            _ => return Err(literal.is_empty() && filter.is_empty()),
        }
    }
}

/// Whether some token of `subject` is empty; the empty subject has one.
#[inline]
pub fn has_empty_token(subject: &[u8]) -> bool {
    let mut previous = SEPARATOR;
    for &byte in subject {
        if byte == SEPARATOR && previous == SEPARATOR {
            return true;
        }
        previous = byte;
    }
    previous == SEPARATOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_cut_at_dots_only() {
        let cases: [(&[u8], &[&[u8]]); 6] = [
            (b"", &[b""]),
            (b"foo", &[b"foo"]),
            (b"foo.bar.>", &[b"foo", b"bar", b">"]),
            (b".foo", &[b"", b"foo"]),
            (b"foo.", &[b"foo", b""]),
            (b"a..b", &[b"a", b"", b"b"]),
        ];
        for (subject, want) in cases {
            assert_eq!(tokens(subject).collect::<Vec<_>>(), want);
            assert_eq!(count(subject), want.len());
            assert_eq!(nth(subject, want.len()), None);
            assert_eq!(has_empty_token(subject), want.contains(&&b""[..]));
        }
    }

    // Contract: SUBJ-001, SUBJ-002
    #[test]
    fn literals_match_filters() {
        let cases: [(&str, &str, bool); 24] = [
            ("foo", "foo", true),
            ("foo", "Foo", false),
            ("foo", "*", true),
            ("foo", ">", true),
            ("foo.bar", "*", false),
            ("foo.bar", "foo.*", true),
            ("foo.bar", "*.bar", true),
            ("foo.bar", "foo.>", true),
            ("foo", "foo.>", false),
            ("foo.bar.baz", "foo.>", true),
            ("foo.bar.baz", "foo.*", false),
            ("foo.bar.baz", "*.*.baz", true),
            ("foo.bar", "foo.bar.baz", false),
            // A wildcard character inside a longer token is text.
            ("foobar", "foo*", false),
            ("foo*", "foo*", true),
            ("foo.b>", "foo.b>", true),
            ("foo.bx", "foo.b>", false),
            // What is published is never a pattern.
            ("foo.*", "foo.bar", false),
            ("foo.*", "foo.*", true),
            ("foo.>", "foo.*", true),
            // Empty tokens match nothing.
            ("foo..bar", "foo.>", false),
            ("foo..bar", "foo.*.bar", false),
            ("", ">", false),
            ("", "*", false),
        ];
        for (literal, filter, want) in cases {
            assert_eq!(
                matches(literal.as_bytes(), filter.as_bytes()),
                want,
                "{literal:?} against {filter:?}"
            );
        }
    }
}
