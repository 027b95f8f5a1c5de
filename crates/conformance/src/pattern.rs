//! Expected text with placeholders.
//!
//! `{n}` digits, `{s}` anything without a space, `{*}` anything, `{time}` an RFC 3339 instant,
//! `{key}` an nkey public key, `{=name}` anything without a space, remembered for `${name}`.
//! Every other brace stands for itself, so JSON needs no escaping.

use std::collections::BTreeMap;

use regex_lite::Regex;

/// Text remembered by `{=name}` placeholders.
pub type Names = BTreeMap<String, String>;

/// Matches the whole of `actual` against `expected`. On success returns what the transcript
/// shows: the expected text, placeholders left as they are.
pub fn matches(expected: &str, actual: &str, names: &mut Names) -> bool {
    let mut source = String::from("(?s)^");
    let mut captured = Vec::new();
    let mut rest = expected;
    while let Some(open) = rest.find('{') {
        source.push_str(&regex_lite::escape(&rest[..open]));
        let tail = &rest[open..];
        let (piece, used) = placeholder(tail, &mut captured);
        source.push_str(&piece);
        rest = &tail[used..];
    }
    source.push_str(&regex_lite::escape(rest));
    source.push('$');
    let regex = Regex::new(&source).expect("placeholders compile");
    let Some(found) = regex.captures(actual) else { return false };
    for (i, name) in captured.into_iter().enumerate() {
        names.insert(name, found[i + 1].to_owned());
    }
    true
}

fn placeholder(tail: &str, captured: &mut Vec<String>) -> (String, usize) {
    let known = [
        ("{n}", "[0-9]+"),
        ("{s}", "[^ ]+"),
        ("{*}", ".*"),
        ("{key}", "[A-Z2-7]{56}"),
        ("{time}", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
    ];
    for (text, regex) in known {
        if tail.starts_with(text) {
            return (regex.to_owned(), text.len());
        }
    }
    if let Some(end) = tail.find('}')
        && let Some(name) = tail[1..end].strip_prefix('=')
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        captured.push(name.to_owned());
        return ("([^ ]+)".to_owned(), end + 1);
    }
    (r"\{".to_owned(), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_match_and_remember() {
        let mut names = Names::new();
        assert!(matches("MSG a {n} {=reply} 5", "MSG a 12 _INBOX.x 5", &mut names));
        assert_eq!(names["reply"], "_INBOX.x");
        assert!(matches(r#"{"a":{"b":{n}}}"#, r#"{"a":{"b":17}}"#, &mut names));
        assert!(matches("a {*} z", "a b c z", &mut names));
        for (expected, actual) in [("{n}", "1x"), ("{s}", "a b"), ("a.b", "axb"), ("a", "ab")] {
            assert!(!matches(expected, actual, &mut names), "{expected} matched {actual}");
        }
    }
}
