//! Transforms as tables: what a pair compiles to, and what a subject becomes.

use super::{Transform, to_placeholders};
use proptest::prelude::*;

fn apply(source: &str, destination: &str, subject: &str) -> String {
    let transform = Transform::new(source, destination).unwrap();
    let mut out = Vec::new();
    transform.apply(subject.as_bytes(), || 7, &mut out);
    String::from_utf8(out).unwrap()
}

// Contract: SUBJ-011
#[test]
fn each_function_rewrites() {
    let cases = [
        ("foo", "bar", "foo", "bar"),
        ("foo.*.*", "bar.$2.$1", "foo.a.b", "bar.b.a"),
        ("foo.*.*", "bar.{{wildcard(2)}}.{{Wildcard( 1 )}}", "foo.a.b", "bar.b.a"),
        ("foo.*", "bar.{{ wildcard (1) }}", "foo.a", "bar.a"),
        ("foo.>", "bar.baz.>", "foo.a.b.c", "bar.baz.a.b.c"),
        (">", "pre.>", "a.b", "pre.a.b"),
        ("", "pre.>", "a.b", "pre.a.b"),
        (">", ">", "a.b", "a.b"),
        ("foo.*.>", "$1.x.>", "foo.a.b.c", "a.x.b.c"),
        ("*", "{{splitfromleft(1,3)}}", "12345", "123.45"),
        ("*", "{{SplitFromRight(1,3)}}", "12345", "12.345"),
        ("*", "{{SplitFromLeft(1,5)}}", "12345", "12345"),
        ("*", "{{SplitFromRight(1,-1)}}", "12345", "12345"),
        ("*", "{{SliceFromLeft(1,3)}}", "1234567890", "123.456.789.0"),
        ("*", "{{SliceFromRight(1,3)}}", "1234567890", "1.234.567.890"),
        ("*", "{{SliceFromRight(1,5)}}", "1234567890", "12345.67890"),
        ("*", "{{SliceFromLeft(1,0)}}", "1234567890", "1234567890"),
        ("*", "{{left(1,3)}}", "12345", "123"),
        ("*", "{{right(1,3)}}", "12345", "345"),
        ("*", "{{Left(1,9)}}.{{Right(1,0)}}", "12345", "12345.12345"),
        ("*", "{{split(1,-)}}", "-abc-def--ghi-", "abc.def.ghi"),
        ("*", "{{split(1,--)}}", "a--b-c", "a.b-c"),
        ("*", "{{split(1,-)}}", "--abc", ".abc"),
        ("*", "{{split(1,-)}}", "abc", "abc"),
        ("*", "{{split(1,)}}", "aéc", "a.é.c"),
        ("*", "{{random(5)}}", "x", "3"),
        ("foo", "bar.{{random(0)}}", "foo", "bar.0"),
        ("foo", "bar.{{random(-2)}}", "foo", "bar.1"),
        // Not a number, so text; below one, so the first token.
        ("foo.*", "$SYS.$1", "foo.a", "$SYS.a"),
        ("foo.*", "$0.$1", "foo.a", "foo.a"),
        ("foo.*", "{{x.y}}.$1", "foo.a", "{{x.y}}.a"),
    ];
    for (source, destination, subject, want) in cases {
        assert_eq!(apply(source, destination, subject), want, "{source} -> {destination}");
    }
}

// Contract: SUBJ-012
#[test]
fn partitions_hash_tokens_with_fnv1a() {
    // 0xbf9cf968 is the published test vector of FNV-1a 32 for "foobar".
    let cases = [
        ("*.*", "{{partition(1000,1,2)}}", "foo.bar", 0xbf9c_f968_u32 % 1000),
        ("*.*", "{{partition(2147483647,1,2)}}", "foo.bar", 0xbf9c_f968 % 2_147_483_647),
        ("*.*", "{{Partition(1000)}}", "foo.bar", FOO_DOT_BAR % 1000),
        ("foo.bar", "{{partition(1000)}}", "foo.bar", FOO_DOT_BAR % 1000),
        ("*.*", "{{partition(0,1)}}", "foo.bar", 0),
        ("*.*", "{{partition(-1,1,2)}}", "foo.bar", 0xbf9c_f968),
        // The indexes count wildcards and may come in any order.
        ("x.*.*", "{{partition(1000, 2, 1)}}", "x.bar.foo", 0xbf9c_f968 % 1000),
    ];
    for (source, destination, subject, want) in cases {
        assert_eq!(apply(source, destination, subject), want.to_string(), "{destination}");
    }
}

/// FNV-1a 32 of `foo.bar`, computed byte by byte as the definition says.
const FOO_DOT_BAR: u32 = {
    let (bytes, mut hash, mut i) = (b"foo.bar", 2_166_136_261_u32, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(16_777_619);
        i += 1;
    }
    hash
};

// Contract: SUBJ-013
#[test]
fn bad_destinations_are_refused_with_the_reference_texts() {
    let cases = [
        ("foo.*", "{{nope(1)}}", "unknown function in {{nope(1)}}"),
        ("foo.*", "{{wildcard 1}}", "unknown function in {{wildcard 1}}"),
        ("foo.*", "bar.$2", "wildcard index out of range in $2: [2]"),
        ("foo.>", "$1.>", "wildcard index out of range in $1: [1]"),
        ("foo", "bar.$1", "wildcard index out of range in $1"),
        ("foo", "{{left(1,2)}}", "wildcard index out of range in {{left(1,2)}}"),
        ("foo.*", "{{partition(3,4)}}", "wildcard index out of range in {{partition(3,4)}}: [4]"),
        (
            "foo.*",
            "{{wildcard()}}",
            "not enough arguments passed to the function in {{wildcard()}}",
        ),
        ("foo.*", "{{split(1)}}", "not enough arguments passed to the function in {{split(1)}}"),
        ("foo.*", "{{left(1)}}", "not enough arguments passed to the function in {{left(1)}}"),
        (
            "foo.*",
            "{{random(1,2)}}",
            "not enough arguments passed to the function in {{random(1,2)}}",
        ),
        (
            "foo.*",
            "{{wildcard(1,2)}}",
            "too many arguments passed to the function in {{wildcard(1,2)}}",
        ),
        (
            "foo.*",
            "{{right(1,2,3)}}",
            "too many arguments passed to the function in {{right(1,2,3)}}",
        ),
        (
            "foo.*",
            "{{wildcard(x)}}",
            "function argument is invalid or in the wrong format in {{wildcard(x)}}",
        ),
        (
            "foo.*",
            "{{partition(2147483648,1)}}",
            "function argument is invalid or in the wrong format in {{partition(2147483648,1)}}",
        ),
        (
            "foo.*",
            "{{partition()}}",
            "function argument is invalid or in the wrong format in {{partition()}}",
        ),
        ("foo.*", "{{split(1, )x)}}", ""),
    ];
    for (source, destination, want) in cases {
        let result = Transform::new(source, destination);
        if want.is_empty() {
            assert!(result.is_ok(), "{destination}: {result:?}");
            continue;
        }
        let text = result.unwrap_err().to_string();
        assert_eq!(text, format!("invalid mapping destination: {want}"), "{destination}");
    }
}

// Contract: SUBJ-013
#[test]
fn account_mappings_know_fewer_functions() {
    for token in ["{{left(1,2)}}", "{{right(1,2)}}"] {
        assert!(Transform::new("foo.*", token).is_ok());
        assert_eq!(
            Transform::for_mapping("foo.*", token).unwrap_err().to_string(),
            format!("invalid mapping destination: unknown function in {token}")
        );
    }
    assert!(Transform::for_mapping("foo.*", "{{ split(1,-) }}.{{random(3)}}").is_ok());
    for (destination, want) in [("a..b", ""), ("a.>.b", " in b"), ("a b", "")] {
        assert_eq!(
            Transform::for_mapping("foo", destination).unwrap_err().to_string(),
            format!("invalid mapping destination: invalid transform{want}")
        );
    }
}

// Contract: SUBJ-014
#[test]
fn both_sides_must_fit() {
    for (source, destination) in [
        ("foo.>", "bar"),
        ("foo", "bar.>"),
        ("foo.*", "bar.*"),
        ("foo", ""),
        ("a..b", "c"),
        ("a", "b."),
    ] {
        let error = Transform::new(source, destination).unwrap_err();
        assert_eq!(error.to_string(), "invalid subject", "{source} -> {destination}");
    }
    let cases = [
        ("foo.*.*", "bar.$1", "not using all of the token wildcard(s) in bar.$1"),
        (
            "foo.*",
            "bar.{{partition(2,1)}}",
            "the only mapping function allowed for import transforms is {{Wildcard()}} \
             in {{partition(2,1)}}",
        ),
    ];
    for (source, destination, want) in cases {
        assert!(Transform::new(source, destination).is_ok());
        let error = Transform::strict(source, destination).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid mapping destination: {want}"));
    }
}

#[test]
fn strict_transforms_lead_back() {
    let cases = [
        ("foo.*.*", "bar.$2.x.$1", "foo.a.b", "bar.b.x.a"),
        ("foo.*.>", "{{wildcard(1)}}.>", "foo.a.b.c", "a.b.c"),
        ("foo", "bar", "foo", "bar"),
        (">", "pre.>", "a.b", "pre.a.b"),
    ];
    for (source, destination, from, to) in cases {
        let there = Transform::strict(source, destination).unwrap();
        let back = there.reverse().unwrap();
        let (mut out, mut home) = (Vec::new(), Vec::new());
        assert!(there.apply_if_match(from.as_bytes(), || 0, &mut out));
        assert_eq!(String::from_utf8_lossy(&out), to);
        assert!(back.apply_if_match(&out, || 0, &mut home));
        assert_eq!(String::from_utf8_lossy(&home), from);
    }
    assert_eq!(to_placeholders("foo.*.bar.*"), "foo.$1.bar.$2");
}

#[test]
fn a_subject_the_source_does_not_match_is_left_alone() {
    let transform = Transform::new("foo.*", "bar.$1").unwrap();
    for subject in ["foo", "bar.a", "foo.a.b", "foo.", "foo.*", ""] {
        let mut out = b"kept".to_vec();
        assert!(!transform.apply_if_match(subject.as_bytes(), || 0, &mut out), "{subject:?}");
        assert_eq!(out, b"kept");
    }
}

proptest! {
    #[test]
    fn no_pair_and_no_subject_panics(
        source in "[a*>.$1]{0,8}",
        destination in "([a$>.*12]|\\{\\{|\\}\\}|split|left|Right|wildcard|partition|random|sliceFromLeft|\\(1|,|\\)|-){0,12}",
        subject in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let built = [Transform::new(&source, &destination), Transform::strict(&source, &destination)];
        for transform in built.into_iter().flatten() {
            transform.apply(&subject, || 1, &mut Vec::new());
            let _ = transform.reverse();
        }
    }

    #[test]
    fn strict_transforms_are_inverted(tokens in prop::collection::vec("[a-c]{1,2}", 3)) {
        let there = Transform::strict("x.*.*.*", "$3.y.$1.$2").unwrap();
        let back = there.reverse().unwrap();
        let subject = format!("x.{}", tokens.join("."));
        let (mut out, mut home) = (Vec::new(), Vec::new());
        prop_assert!(there.apply_if_match(subject.as_bytes(), || 0, &mut out));
        prop_assert!(back.apply_if_match(&out, || 0, &mut home));
        prop_assert_eq!(home, subject.into_bytes());
    }
}
