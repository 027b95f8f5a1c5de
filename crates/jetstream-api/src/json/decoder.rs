//! Walks checked JSON and fills documents, collecting the first complaint as the reference does.
//!
//! Laws: a value of the wrong kind is skipped and remembered, and decoding goes on; a value that
//! a type refuses by itself (an unknown policy) ends it at once.
//! Reference: encoding/json `decodeState`.

use std::borrow::Cow;

use super::scan;
use super::{DecodeError, Document};

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Null => "null",
        }
    }
}

/// A cursor over one checked value.
///
/// Public only because [`Document`]'s methods name it.
#[derive(Debug)]
pub struct Decoder<'a> {
    text: &'a [u8],
    at: usize,
    strict: bool,
    first: Option<DecodeError>,
    /// The Go struct whose member is being read, and the path to it from the outermost one.
    inside: &'static str,
    path: Vec<&'static str>,
}

impl<'a> Decoder<'a> {
    /// `text` must have passed [`scan::value`] and hold exactly one value.
    pub(crate) fn new(text: &'a [u8], strict: bool) -> Self {
        Self { text, at: 0, strict, first: None, inside: "", path: Vec::new() }
    }

    /// The first complaint that was remembered.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        self.first.map_or(Ok(()), Err)
    }

    pub(crate) fn kind(&mut self) -> Kind {
        self.space();
        match self.text.get(self.at) {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Null,
        }
    }

    /// The bytes of the next value, which is passed over.
    pub(crate) fn raw(&mut self) -> &'a [u8] {
        // A checked text cannot fail here; if it ever did, the rest counts as the value.
        let range =
            scan::value(self.text, self.at).ok().flatten().unwrap_or(self.at..self.text.len());
        self.at = range.end;
        self.text.get(range).unwrap_or_default()
    }

    /// Remembers that the next value cannot become a `go` and passes over it.
    pub(crate) fn mismatch(&mut self, go: &str) {
        let kind = self.kind();
        self.raw();
        if kind != Kind::Null {
            self.complain(kind.name(), go);
        }
    }

    /// [`Self::mismatch`] for types that end the decoding.
    pub(crate) fn mismatch_error(&mut self, go: &str) -> DecodeError {
        let kind = self.kind();
        DecodeError::new(self.complaint(kind.name(), go))
    }

    /// Remembers that `what` cannot become a `go`.
    pub(crate) fn complain(&mut self, what: &str, go: &str) {
        let text = self.complaint(what, go);
        self.remember(text);
    }

    fn complaint(&self, what: &str, go: &str) -> String {
        if self.inside.is_empty() {
            return format!("json: cannot unmarshal {what} into Go value of type {go}");
        }
        let (inside, path) = (self.inside, self.path.join("."));
        format!("json: cannot unmarshal {what} into Go struct field {inside}.{path} of type {go}")
    }

    /// Remembers a complaint if it is the first one.
    pub(crate) fn remember(&mut self, text: String) {
        self.first.get_or_insert(DecodeError::new(text));
    }

    /// A string, number text, or anything else as `None` after a complaint.
    pub(crate) fn string(&mut self, go: &str) -> Option<Cow<'a, str>> {
        if self.kind() != Kind::String {
            self.mismatch(go);
            return None;
        }
        Some(unquote(self.raw()))
    }

    /// The text of a number, or `None` after a complaint.
    pub(crate) fn number(&mut self, go: &str) -> Option<&'a str> {
        if self.kind() != Kind::Number {
            self.mismatch(go);
            return None;
        }
        std::str::from_utf8(self.raw()).ok()
    }

    pub(crate) fn bool(&mut self, go: &str) -> Option<bool> {
        if self.kind() != Kind::Bool {
            self.mismatch(go);
            return None;
        }
        Some(self.raw() == b"true")
    }

    /// Reads each element of an array with `element`; false after a complaint or for null.
    pub(crate) fn array(
        &mut self,
        go: &str,
        mut element: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<bool, DecodeError> {
        if self.kind() != Kind::Array {
            self.mismatch(go);
            return Ok(false);
        }
        self.at += 1;
        while !self.closes(b']') {
            element(self)?;
        }
        Ok(true)
    }

    /// Reads each member of an object with `member`; false after a complaint or for null.
    pub(crate) fn object(
        &mut self,
        go: &str,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), DecodeError>,
    ) -> Result<bool, DecodeError> {
        if self.kind() != Kind::Object {
            self.mismatch(go);
            return Ok(false);
        }
        self.at += 1;
        while !self.closes(b'}') {
            let key = unquote(self.raw());
            self.space();
            self.at += 1;
            member(self, key)?;
        }
        Ok(true)
    }

    /// Reads an object into a document; members that it does not know are refused or skipped.
    pub(crate) fn document<T: Document>(&mut self, into: &mut T) -> Result<(), DecodeError> {
        let outer = self.inside;
        let go = format!("server.{}", T::GO);
        self.object(&go, |d, key| {
            d.inside = T::GO;
            let taken = into.read_member(&Key { text: &key, fold: false }, d)?
                || into.read_member(&Key { text: &key, fold: true }, d)?;
            if !taken {
                if d.strict {
                    let quoted = stdx::go_text::quote(key.as_bytes());
                    d.remember(format!("json: unknown field {quoted}"));
                }
                d.raw();
            }
            d.inside = outer;
            Ok(())
        })?;
        Ok(())
    }

    /// Runs `read` one step deeper in the path.
    pub(crate) fn within<R>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        self.path.push(name);
        let result = read(self);
        self.path.pop();
        result
    }

    /// True after the closing byte; passes over the comma before a further element.
    fn closes(&mut self, close: u8) -> bool {
        self.space();
        match self.text.get(self.at) {
            Some(b) if *b == close => {
                self.at += 1;
                true
            }
            Some(b',') => {
                self.at += 1;
                self.space();
                false
            }
            Some(_) => false,
            None => true,
        }
    }

    fn space(&mut self) {
        self.at = scan::skip_space(self.text, self.at);
    }
}

/// A member's name as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    text: &'a str,
    fold: bool,
}

impl Key<'_> {
    /// True if this is `name`, letter by letter or, in the second round, in any case.
    pub(crate) fn is(&self, name: &str) -> bool {
        if self.fold { folds_to(self.text, name) } else { self.text == name }
    }
}

/// Case folding as the reference does it: the long s and the Kelvin sign are letters, too.
fn folds_to(text: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    text.chars().map(fold).eq(name.chars().map(fold))
}

/// The text of a checked string literal; bytes that are not UTF-8 and lone surrogates become
/// U+FFFD.
pub(crate) fn unquote(literal: &[u8]) -> Cow<'_, str> {
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains(&b'\\') {
        return replaced(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.iter().position(|b| *b == b'\\') {
        out.push_str(&replaced(rest.get(..at).unwrap_or_default()));
        let (c, used) = unescape(rest.get(at + 1..).unwrap_or_default());
        out.push(c);
        rest = rest.get(at + 1 + used..).unwrap_or_default();
    }
    out.push_str(&replaced(rest));
    Cow::Owned(out)
}

/// The character of an escape without its backslash, and how many bytes it took.
fn unescape(text: &[u8]) -> (char, usize) {
    let plain = match text.first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text),
        Some(b) => char::from(*b),
        None => return (char::REPLACEMENT_CHARACTER, 0),
    };
    (plain, 1)
}

fn unicode(text: &[u8]) -> (char, usize) {
    let first = hex(text.get(1..5));
    if let Some(c) = char::from_u32(first) {
        return (c, 5);
    }
    // A high surrogate needs its low one right behind it.
    if text.get(5..7) == Some(b"\\u") && first < 0xdc00 {
        let second = hex(text.get(7..11));
        if (0xdc00..0xe000).contains(&second) {
            let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return (char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
        }
    }
    (char::REPLACEMENT_CHARACTER, 5)
}

fn hex(digits: Option<&[u8]>) -> u32 {
    let text = digits.and_then(|d| std::str::from_utf8(d).ok()).unwrap_or_default();
    u32::from_str_radix(text, 16).unwrap_or(0xfffd)
}

/// One replacement character for every byte that is not UTF-8, as Go decodes strings.
fn replaced(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(out)
}
