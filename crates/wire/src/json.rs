//! The members of a JSON object as a peer wrote them, read as leniently as the reference's decoder
//! reads them.
//!
//! Laws: every member is seen, in order, repeated ones too; nothing is rounded, and nothing nests
//!       on the stack; half a surrogate pair reads as U+FFFD.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Hands each member of the object in `text` to `member`: its name, and its value as written
/// (a part of `text`). `false` if `text` is `null`, which has none.
pub fn members<'t, E: From<serde_json::Error>>(
    text: &'t str,
    mut member: impl FnMut(&str, &'t str) -> Result<(), E>,
) -> Result<bool, E> {
    let whole: &RawValue = serde_json::from_str(text)?;
    if whole.get() == "null" {
        return Ok(false);
    }
    let mut refused = None;
    let mut reader = serde_json::Deserializer::from_str(whole.get());
    let walked = reader.deserialize_map(Walk { member: &mut member, refused: &mut refused });
    match refused {
        Some(error) => Err(error),
        None => walked.map(|()| true).map_err(E::from),
    }
}

/// Whether a member's name means the field `name`: letter case does not matter, as Unicode folds
/// it (two letters outside ASCII fold to ones inside).
pub fn same_name(written: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    written.chars().map(fold).eq(name.chars().map(fold))
}

/// The text of a string as written, quotes and all; `None` if it is no string.
pub fn string(raw: &str) -> Option<String> {
    let mut rest = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let code = escape.get(1..)?;
        let (c, taken) = match code.chars().next()? {
            'n' => ('\n', 1),
            't' => ('\t', 1),
            'r' => ('\r', 1),
            'b' => ('\u{8}', 1),
            'f' => ('\u{c}', 1),
            'u' => unicode(code)?,
            c => (c, c.len_utf8()),
        };
        out.push(c);
        rest = code.get(taken..)?;
    }
    out.push_str(rest);
    Some(out)
}

/// The character of `u` and four digits, or of two of these where two halves make one, and its length.
fn unicode(code: &str) -> Option<(char, usize)> {
    let unit = |code: &str| u32::from_str_radix(code.get(1..5)?, 16).ok();
    let first = unit(code)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 5));
    }
    let second = code.get(5..).and_then(|rest| rest.strip_prefix('\\'));
    let second = second.filter(|rest| rest.starts_with('u')).and_then(unit);
    match (first, second) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            let c = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            Some((char::from_u32(c)?, 11))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 5)),
    }
}

struct Walk<'a, F, E> {
    member: &'a mut F,
    refused: &'a mut Option<E>,
}

impl<'t, E, F: FnMut(&str, &'t str) -> Result<(), E>> Visitor<'t> for Walk<'_, F, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value: &'t RawValue = map.next_value()?;
            if self.refused.is_none()
                && let Err(error) = (self.member)(&name, value.get())
            {
                *self.refused = Some(error);
            }
        }
        Ok(())
    }
}

/// Reads a member's name, whatever it holds.
struct Name;

impl<'t> DeserializeSeed<'t> for Name {
    type Value = String;

    fn deserialize<D: Deserializer<'t>>(self, name: D) -> Result<String, D::Error> {
        name.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E: serde::de::Error>(self, name: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(name).into_owned())
    }
}

/// Whether `raw` is an array of strings; `null` stands for an empty string.
pub fn is_strings(raw: &str) -> bool {
    let items: Result<Vec<&RawValue>, _> = serde_json::from_str(raw);
    items.is_ok_and(|items| {
        items.iter().all(|item| item.get() == "null" || item.get().starts_with('"'))
    })
}

/// What kind of value is written.
pub fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "null",
        _ => "number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(String, String)>, serde_json::Error> {
        let mut seen = Vec::new();
        members(text, |name, value| {
            seen.push((name.to_owned(), value.to_owned()));
            Ok::<(), serde_json::Error>(())
        })?;
        Ok(seen)
    }

    #[test]
    fn members_come_in_order_as_written() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            all(r#" {"a": 1e999 ,"a":[ 1],"\u0041":"\ud800"} "#).unwrap(),
            [pair("a", "1e999"), pair("a", "[ 1]"), pair("A", "\"\\ud800\"")]
        );
        assert_eq!(all("null").unwrap(), []);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(all(&deep).unwrap().len(), 1);
        for wrong in ["", "{", "[]", "5", "{} {}", r#"{"a":01}"#, "{\"a\":\"\t\"}", r#"{"a":"\x"}"#]
        {
            assert!(all(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn strings_are_read_as_leniently_as_in_the_reference() {
        for (raw, text) in [
            (r#""plain""#, "plain"),
            (r#""\n\"\\\/\u00e9""#, "\n\"\\/é"),
            (r#""\ud83d\ude00!""#, "😀!"),
            (r#""a\ud800b\udc00""#, "a\u{fffd}b\u{fffd}"),
            (r#""\ud800\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud800\n""#, "\u{fffd}\n"),
        ] {
            assert_eq!(string(raw).as_deref(), Some(text), "{raw}");
        }
        assert_eq!(string("5"), None);
    }

    #[test]
    fn names_fold() {
        assert!(same_name("Verbo\u{17f}e", "verbose") && same_name("N\u{212a}EY", "nkey"));
        assert!(!same_name("verbos", "verbose") && !same_name("verboseé", "verbose"));
    }
}
