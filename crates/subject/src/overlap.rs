//! Filter against filter: is one inside the other, can both match one literal?
//!
//! Not here: a literal against a filter (`token::matches`).
//! Laws: `is_subset(a, b)` implies that every literal matched by `a` is matched by `b`;
//!       `collides` is symmetric, and true exactly if some literal is matched by both.
//! Reference: sublist.go SubjectsCollide, subjectIsSubsetMatch.

use crate::token::{ANY_TAIL, ANY_TOKEN, tokens};
use crate::validate::has_wildcard;

/// Whether every literal that `subject` matches is also matched by `of`. Both may hold wildcards.
// Deliberate difference: a longer token that begins with `*` is text here (SUBJ-001); the
// reference's subset walk takes such a token of `of` for a wildcard.
pub fn is_subset(subject: &[u8], of: &[u8]) -> bool {
    let mut inner = tokens(subject);
    for outer in tokens(of) {
        let Some(token) = inner.next() else { return false };
        if token.is_empty() || outer.is_empty() {
            return false;
        }
        if outer == ANY_TAIL {
            return true;
        }
        if token == ANY_TAIL || (outer != ANY_TOKEN && token != outer) {
            return false;
        }
    }
    inner.rest().is_none()
}

/// Whether some literal is matched by both filters.
pub fn collides(a: &[u8], b: &[u8]) -> bool {
    let (mut left, mut right) = (tokens(a), tokens(b));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(l), Some(r)) => {
                if l.is_empty() || r.is_empty() {
                    return broken(a, l, b, r);
                }
                if l == ANY_TAIL || r == ANY_TAIL {
                    return true;
                }
                if l != r && l != ANY_TOKEN && r != ANY_TOKEN {
                    return false;
                }
            }
        }
    }
}

/// Whether two collide although one of them has an empty token, here where the other has not.
// Compat(API-005): as a filter of lists, `a..b` finds a stream that stores `a.>`.
#[cold]
fn broken(a: &[u8], token_of_a: &[u8], b: &[u8], token_of_b: &[u8]) -> bool {
    a == b
        || token_of_b == ANY_TAIL && !has_wildcard(a)
        || token_of_a == ANY_TAIL && !has_wildcard(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::matches;
    use proptest::prelude::*;

    #[test]
    fn subsets_and_collisions() {
        // a, b, a inside b, collide
        let cases: [(&str, &str, bool, bool); 19] = [
            ("foo", "foo", true, true),
            ("foo", "bar", false, false),
            ("foo", "*", true, true),
            ("*", "foo", false, true),
            ("*", ">", true, true),
            (">", "*", false, true),
            ("foo.*", "foo.>", true, true),
            ("foo.>", "foo.*", false, true),
            ("foo.>", "foo.>", true, true),
            ("foo", "foo.>", false, false),
            ("foo.*", "*.bar", false, true),
            ("foo.*.baz", "foo.bar.*", false, true),
            ("foo.*", "foo.*.>", false, false),
            ("*.>", "foo.*.bar", false, true),
            ("a..b", "a.*.b", false, false),
            ("a..*", "a.*.>", false, false),
            ("a..b", "a..b", false, true),
            ("*x", "yx", false, false),
            ("yx", "*x", false, false),
        ];
        for (a, b, subset, collision) in cases {
            assert_eq!(is_subset(a.as_bytes(), b.as_bytes()), subset, "{a} inside {b}");
            assert_eq!(collides(a.as_bytes(), b.as_bytes()), collision, "{a} with {b}");
            assert_eq!(collides(b.as_bytes(), a.as_bytes()), collision, "{b} with {a}");
        }
    }

    // Contract: API-005
    #[test]
    fn an_empty_token_is_inside_a_tail_of_a_literal_only() {
        assert!(collides(b"a..b", b"a.>") && collides(b"a.>", b"a..b"));
        assert!(!collides(b"a..*", b"a.>") && !collides(b"a..b", b"*.*.>"));
    }

    /// All literals of one to five tokens over three names, enough to tell any two filters of up
    /// to four tokens over two of these names apart.
    fn universe() -> Vec<String> {
        let mut all: Vec<String> = vec![];
        let mut level = vec![String::new()];
        for _ in 0..5 {
            level = level
                .iter()
                .flat_map(|prefix| {
                    ["a", "b", "c"].map(|t| {
                        if prefix.is_empty() { t.to_owned() } else { format!("{prefix}.{t}") }
                    })
                })
                .collect();
            all.extend(level.iter().cloned());
        }
        all
    }

    /// The slow and obvious matcher.
    fn naive(literal: &str, filter: &str) -> bool {
        let (l, f): (Vec<_>, Vec<_>) = (literal.split('.').collect(), filter.split('.').collect());
        let fits =
            |have: &[&str], want: &[&str]| have.iter().zip(want).all(|(h, w)| *w == "*" || h == w);
        match f.split_last() {
            Some((&">", head)) => l.len() > head.len() && fits(&l, head),
            _ => l.len() == f.len() && fits(&l, &f),
        }
    }

    fn filter() -> impl Strategy<Value = String> {
        let token = prop_oneof![Just("a"), Just("b"), Just("*")];
        (prop::collection::vec(token, 1..=4), any::<bool>()).prop_map(|(mut tokens, tail)| {
            if tail && let Some(last) = tokens.last_mut() {
                *last = ">";
            }
            tokens.join(".")
        })
    }

    proptest! {
        // Contract: SUBJ-001
        #[test]
        fn everything_agrees_with_the_naive_matcher(a in filter(), b in filter()) {
            let (mut both, mut outside) = (false, false);
            for literal in universe() {
                let (in_a, in_b) = (naive(&literal, &a), naive(&literal, &b));
                prop_assert_eq!(matches(literal.as_bytes(), a.as_bytes()), in_a);
                both |= in_a && in_b;
                outside |= in_a && !in_b;
            }
            prop_assert_eq!(collides(a.as_bytes(), b.as_bytes()), both, "{} with {}", a, b);
            prop_assert_eq!(is_subset(a.as_bytes(), b.as_bytes()), !outside, "{} inside {}", a, b);
        }
    }
}
