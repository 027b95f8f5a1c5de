//! Which subjects a question is about: all, one, a wildcard, or many filters at once.
//!
//! Not here: subscriptions and interest (the subject room); this is only matching of stored,
//! literal subjects against filters.
//! Laws: a message matching several filters of one `Filter` counts once.

/// A subject filter over stored messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Every message.
    #[default]
    All,
    /// Messages of exactly this subject.
    Literal(Box<[u8]>),
    /// Messages whose subject matches this pattern with `*` or `>`.
    Wildcard(Box<[u8]>),
    /// Messages matching any of these (none of them `All`).
    Many(Vec<Self>),
}

impl Filter {
    /// The filter written as `text`; empty text and `>` mean all.
    pub fn parse(text: &[u8]) -> Self {
        if text.is_empty() || text == b">" {
            Self::All
        } else if subject::has_wildcard(text) {
            Self::Wildcard(text.into())
        } else {
            Self::Literal(text.into())
        }
    }

    /// The union of several filters.
    pub fn any_of<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut many: Vec<Self> = texts.into_iter().map(Self::parse).collect();
        if many.is_empty() || many.contains(&Self::All) {
            return Self::All;
        }
        if many.len() == 1 { many.pop().unwrap_or_default() } else { Self::Many(many) }
    }

    /// Whether `subject` (a literal) is asked for.
    pub fn matches(&self, subject: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Literal(text) => **text == *subject,
            Self::Wildcard(pattern) => subject::matches(subject, pattern),
            Self::Many(filters) => filters.iter().any(|f| f.matches(subject)),
        }
    }
}

/// Whether stored bytes can be a literal subject: no empty token, no blank, no control character.
pub(crate) fn is_plausible_subject(subject: &[u8]) -> bool {
    // Once over every subject of an index: one pass.
    let mut before = b'.';
    for &b in subject {
        if b <= b' ' || b == 0x7f || (b == b'.' && before == b'.') {
            return false;
        }
        before = b;
    }
    before != b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_token_by_token() {
        let cases: [(&str, &str, bool); 12] = [
            ("a", "a", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*.b", "a.b", true),
            ("*.b", "a.c", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.b", false),
            ("a", "a.b", false),
            ("a.b", "a", false),
        ];
        for (pattern, subject, expected) in cases {
            assert_eq!(
                Filter::parse(pattern.as_bytes()).matches(subject.as_bytes()),
                expected,
                "{pattern} {subject}"
            );
        }
    }

    #[test]
    fn several_filters_are_one_question() {
        let f = Filter::any_of([&b"a.*"[..], b"a.b", b"c"]);
        assert!(f.matches(b"a.b") && f.matches(b"c") && !f.matches(b"d"));
        assert_eq!(Filter::any_of([&b"a"[..], b">"]), Filter::All);
    }
}
