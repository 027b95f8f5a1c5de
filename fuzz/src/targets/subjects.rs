//! Subjects: transforms, and matching against a naive matcher.

use subject::Transform;

use crate::{Shape, Target};

/// Three lines: source, destination, subject.
pub(super) const MAPPING: Target = Target {
    name: "mapping",
    words: &[
        "{{wildcard(1)}}",
        "$1",
        "{{partition(10,1,2)}}",
        "{{split(1,-)}}",
        "{{splitFromLeft(1,2)}}",
        "{{sliceFromRight(1,2)}}",
        "{{left(1,2)}}",
        "{{right(1,2)}}",
        "{{random(3)}}",
        ".*",
        ".>",
        "\n",
        "foo.",
        "-1",
        "999999999999",
    ],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap_or("");
        let (source, destination, subject) = (next(), next(), next());
        let _ = Transform::for_mapping(source, destination);
        let _ = Transform::strict(source, destination).map(|t| t.reverse());
        match Transform::new(source, destination) {
            Ok(transform) => {
                let mut out = Vec::new();
                let fits = transform.apply_if_match(subject.as_bytes(), || 7, &mut out);
                // A transform may cut tokens into many, but not without bound.
                assert!(out.len() <= 64 * (subject.len() + destination.len() + 1), "{}", out.len());
                Shape::of(if fits { "fits" } else { "other" })
                    .and(Shape::count(destination.matches("{{").count()))
            }
            Err(why) => Shape::of(why.to_string().split("{{").next().unwrap_or("")),
        }
    },
};

/// Two lines: a literal subject and a filter.
pub(super) const MATCHING: Target = Target {
    name: "matching",
    words: &["*", ">", ".", ".*", ".>", "a.b", "\n", "*.", "a", "b"],
    run: |bytes| {
        let (literal, filter) = match bytes.iter().position(|&b| b == b'\n') {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (bytes, &b"a.*"[..]),
        };
        let valid = (subject::is_valid_literal(literal), subject::is_valid(filter));
        let shape = Shape::count(usize::from(valid.0) * 2 + usize::from(valid.1));
        if valid != (true, true) {
            return shape;
        }
        let expected = naive(literal, filter);
        assert_eq!(subject::matches(literal, filter), expected, "{literal:?} {filter:?}");
        assert_eq!(subject::is_subset(literal, filter), expected, "subset {literal:?} {filter:?}");
        assert_eq!(subject::collides(literal, filter), expected, "overlap {literal:?} {filter:?}");
        shape.and(Shape::count(usize::from(expected)))
    },
};

/// Matching as the documentation tells it, token by token.
fn naive(literal: &[u8], filter: &[u8]) -> bool {
    let subject: Vec<&[u8]> = literal.split(|&b| b == b'.').collect();
    let pattern: Vec<&[u8]> = filter.split(|&b| b == b'.').collect();
    for (i, token) in pattern.iter().enumerate() {
        if *token == b">" {
            return subject.len() > i;
        }
        if subject.get(i).is_none_or(|s| *token != b"*" && s != token) {
            return false;
        }
    }
    subject.len() == pattern.len()
}
