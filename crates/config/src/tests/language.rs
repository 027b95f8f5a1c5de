//! The language itself: values, strings, variables, bounds.

use super::Memory;
use crate::lang::unit::{Nanos, duration};
use crate::lang::{MAX_DEPTH, Map, Nothing, SyntaxError, Value, parse};

fn map(text: &str) -> Map {
    parse(text.as_bytes(), "t.conf", &Nothing).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn value(text: &str) -> Value {
    map(&format!("v: {text}\n")).get("v").expect("v is set").value.clone()
}

fn error(text: &str) -> String {
    parse(text.as_bytes(), "t.conf", &Nothing).expect_err(text).to_string()
}

// Contract: CONF-004, CONF-005, CONF-006
#[test]
fn unquoted_words_have_types() {
    let cases = [
        ("true", Value::Bool(true)),
        ("YES", Value::Bool(true)),
        ("On", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("no", Value::Bool(false)),
        ("OFF", Value::Bool(false)),
        ("\"true\"", Value::string("true")),
        ("truely", Value::string("truely")),
        ("42", Value::Integer(42)),
        ("-42", Value::Integer(-42)),
        ("1k", Value::Integer(1000)),
        ("1K", Value::Integer(1000)),
        ("1kb", Value::Integer(1024)),
        ("1KiB", Value::Integer(1024)),
        ("1m", Value::Integer(1_000_000)),
        ("1mi", Value::Integer(1 << 20)),
        ("-2g", Value::Integer(-2_000_000_000)),
        ("2gb", Value::Integer(2 << 30)),
        ("1t", Value::Integer(1_000_000_000_000)),
        ("1tib", Value::Integer(1 << 40)),
        ("1p", Value::Integer(1_000_000_000_000_000)),
        ("1pb", Value::Integer(1 << 50)),
        ("1e", Value::Integer(1_000_000_000_000_000_000)),
        ("1eb", Value::Integer(1 << 60)),
        ("1.5", Value::Float(1.5)),
        ("-0.25", Value::Float(-0.25)),
        ("127.0.0.1", Value::string("127.0.0.1")),
        ("127.0.0.1:4222", Value::string("127.0.0.1:4222")),
        ("10years", Value::string("10years")),
        ("2026-01-02T03:04:05Z", Value::DateTime("2026-01-02T03:04:05Z".into())),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), expected, "{text}");
    }
}

// Contract: CONF-003
#[test]
fn strings_end_and_escape_by_their_kind() {
    let cases = [
        (r#""a\tb\n\r\"\\""#, "a\tb\n\r\"\\"),
        (r#""\x41\x7a""#, "Az"),
        (r"'a\tb'", r"a\tb"),
        (r"a\tb", "a\tb"),
        ("(\n one\n two\n)\n", "\n one\n two\n"),
        ("(\n not ) yet\n)\n", "\n not ) yet\n"),
        ("nats://h:1/p?q=1#f", "nats://h:1/p?q=1#f"),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), Value::string(expected), "{text}");
    }
    // What follows a terminator is another key.
    let two = map("v: a;b: c\n");
    assert_eq!(two.get("v").unwrap().value, Value::string("a"));
    assert_eq!(two.get("b").unwrap().value, Value::string("c"));
    // Compat: at the very end of the text the bracket of a block stays.
    let block = map("v: (\n x\n)");
    assert_eq!(block.get("v").unwrap().value, Value::string("\n x\n)"));
}

// Contract: CONF-003, CONF-012
#[test]
fn parse_errors_name_line_and_character() {
    let cases = [
        ("a = 1\nb = \"\\q\"", "Parse error on line 2: 'Invalid escape character 'q'."),
        ("a: \"\\xZZ\"", "Parse error on line 1: 'Expected two hexadecimal digits after '\\x'"),
        ("a: -x", "Parse error on line 1: 'Expected a digit but got 'x'.'"),
        ("a: .5", "Parse error on line 1: 'Floats must start with a digit'"),
        ("a: 1.x", "Parse error on line 1: 'Floats must have a digit after the '.'"),
        ("a: [1,2]\n", "Parse error on line 2: 'Expected an array value terminator"),
        ("a {", "Parse error on line 1: 'Unexpected EOF processing map.'"),
        ("= 1", "Parse error on line 1: 'Unexpected key separator '=''"),
        (
            "include [",
            "Parse error on line 1: 'Expected include value but found start of an array'",
        ),
        ("a: 2016-01-0", "Parse error on line 1: 'Expected digit in ISO8601 datetime"),
        ("a: 20-1", "Parse error on line 1: 'All ISO8601 dates must be in full Zulu form.'"),
        ("port", "config is invalid (t.conf:1:4)"),
    ];
    for (text, expected) in cases {
        let found = error(text);
        assert!(found.starts_with(expected), "{text}\n  {found}\n  {expected}");
    }
}

// Contract: CONF-007, CONF-008
#[test]
fn variables_look_outwards_and_then_into_the_environment() {
    let source = Memory {
        env: [("SIZE", "4MB"), ("LIST", "[a, b]"), ("A", "$B"), ("B", "$A"), ("C", "$SIZE")].into(),
        ..Memory::default()
    };
    let read = |text: &str| parse(text.as_bytes(), "t.conf", &source);
    let map = read("x: 1\nm { x: 2\n n { a: $x } }\nb: $x\nc: $SIZE\nd: $C\n").unwrap();
    let Value::Map(m) = &map.get("m").unwrap().value else { panic!("m is a map") };
    let Value::Map(n) = &m.get("n").unwrap().value else { panic!("n is a map") };
    assert_eq!(n.get("a").unwrap().value, Value::Integer(2));
    assert_eq!(map.get("b").unwrap().value, Value::Integer(1));
    assert_eq!(map.get("c").unwrap().value, Value::Integer(4 << 20));
    assert_eq!(map.get("d").unwrap().value, Value::Integer(4 << 20));
    assert!(map.get("x").unwrap().used && m.get("x").unwrap().used);
    assert!(!map.get("c").unwrap().used);
    let Value::Array(list) = &read("l: $LIST").unwrap().get("l").unwrap().value.clone() else {
        panic!("l is an array")
    };
    assert_eq!(list.len(), 2);
    let missing = read("\nx: $NOPE\n").unwrap_err().to_string();
    assert_eq!(missing, "variable reference for 'NOPE' on line 2 can not be found");
    let cycle = read("x: $A\n").unwrap_err().to_string();
    assert_eq!(
        cycle,
        "variable reference for 'A' on line 1 could not be parsed: \
         variable reference for 'B' on line 1 could not be parsed: \
         variable reference for 'A' on line 1 could not be parsed: \
         variable reference cycle for 'A'"
    );
}

// Contract: CONF-009
#[test]
fn bcrypt_hashes_need_no_quotes() {
    assert_eq!(value("$2a$11$abc"), Value::string("$2a$11$abc"));
}

// Contract: CONF-010
#[test]
fn includes_are_relative_to_the_including_file() {
    let source = Memory {
        files: [
            ("etc/main.conf", "a: 1\ninclude 'sub/x.conf'\nm { include ../top.conf }\n"),
            ("etc/sub/x.conf", "a: 2\ninclude y.conf\n"),
            ("etc/sub/y.conf", "b: 3\n"),
            ("top.conf", "c: 4\n"),
        ]
        .into(),
        ..Memory::default()
    };
    let map = crate::lang::parse_file("etc/main.conf", &source).unwrap();
    assert_eq!(map.get("a").unwrap().value, Value::Integer(2));
    assert_eq!(map.get("a").unwrap().position.to_string(), "etc/sub/x.conf:1:0");
    assert_eq!(map.get("b").unwrap().value, Value::Integer(3));
    let Value::Map(m) = &map.get("m").unwrap().value else { panic!("m is a map") };
    assert_eq!(m.get("c").unwrap().value, Value::Integer(4));
    let missing = parse(b"include x.conf\n", "etc/a.conf", &source).unwrap_err().to_string();
    assert_eq!(
        missing,
        "error parsing include file 'x.conf', open etc/x.conf: no such file or directory"
    );
}

#[test]
fn nesting_includes_and_expansion_are_bounded() {
    let deep = "a [".to_owned() + &"[".repeat(MAX_DEPTH + 1);
    assert!(error(&deep).contains("deeper than"), "{}", error(&deep));
    let source =
        Memory { files: [("loop.conf", "include loop.conf\n")].into(), ..Memory::default() };
    let found = crate::lang::parse_file("loop.conf", &source).unwrap_err().to_string();
    assert!(found.contains("Nesting of includes"), "{found}");
    // Each line doubles what the one before holds.
    let mut laughs = "v0: [ a, b ]\n".to_owned();
    for n in 1..60 {
        laughs.push_str(&format!("v{n}: [ $v{0} , $v{0} ]\n", n - 1));
    }
    let found = parse(laughs.as_bytes(), "t.conf", &Nothing).unwrap_err();
    assert!(matches!(found, SyntaxError::TooLarge { .. }), "{found}");
}

// Contract: CONF-017
#[test]
fn the_digest_is_that_of_canonical_json() {
    let digest = |text: &str| crate::lang::digest(&map(text));
    // Learned from the reference.
    assert_eq!(
        digest("port: 4222\n"),
        "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e"
    );
}

// Contract: CONF-019
#[test]
fn durations_are_go_durations() {
    let good = [
        ("1h2m", 3_720_000_000_000),
        ("1.5s", 1_500_000_000),
        ("-2ms", -2_000_000),
        ("3us", 3_000),
        ("4µs", 4_000),
        ("5ns", 5),
        ("0", 0),
        (".5s", 500_000_000),
        ("2562047h47m16.854775807s", i64::MAX),
    ];
    for (text, nanos) in good {
        assert_eq!(duration(text), Ok(Nanos(nanos)), "{text}");
    }
    let bad = [
        ("", "time: invalid duration \"\""),
        ("5", "time: missing unit in duration \"5\""),
        ("5x", "time: unknown unit \"x\" in duration \"5x\""),
        ("s", "time: invalid duration \"s\""),
        ("2562047h47m16.854775808s", "time: invalid duration \"2562047h47m16.854775808s\""),
        ("99999999999h", "time: invalid duration \"99999999999h\""),
    ];
    for (text, expected) in bad {
        assert_eq!(duration(text).unwrap_err().to_string(), expected, "{text}");
    }
    assert_eq!(Nanos(-1_500_000_000).to_string(), "-1.5s");
}
