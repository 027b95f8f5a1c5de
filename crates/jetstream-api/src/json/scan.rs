//! Where one JSON value ends, and what is wrong with it, in the reference's words.
//!
//! Laws: whatever passes here can be walked by [`super::Decoder`] without a further check; no
//! recursion, so no depth of nesting can exhaust the stack.
//! Reference: encoding/json `scanner`.

use std::fmt::Write;
use std::ops::Range;

/// Nesting that the reference still takes.
const MAX_DEPTH: usize = 10_000;

/// Why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SyntaxError {
    /// The text ends inside a value.
    End,
    /// The byte before `offset` has no place there.
    Unexpected {
        /// The complaint.
        text: String,
        /// Bytes read, the offending one included.
        offset: usize,
    },
}

/// The range of the first value at or after `at`; `None` if only white space is left.
pub(crate) fn value(text: &[u8], at: usize) -> Result<Option<Range<usize>>, SyntaxError> {
    let mut scan = Scan { text, at, depth: Vec::new() };
    scan.space();
    let start = scan.at;
    if start == text.len() {
        return Ok(None);
    }
    scan.run()?;
    Ok(Some(start..scan.at))
}

/// The position after the white space at `at`.
pub(crate) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Refuses `at`, which must lie inside the text.
pub(crate) fn unexpected(text: &[u8], at: usize, context: &str) -> SyntaxError {
    let Some(byte) = text.get(at) else { return SyntaxError::End };
    let mut said = String::from("invalid character ");
    match byte {
        b'\'' => said.push_str(r"'\''"),
        b'"' => said.push_str("'\"'"),
        // The reference takes the byte for a code point of its own.
        0x80.. => {
            let _ = if (0x80..0xa1).contains(byte) || *byte == 0xad {
                write!(said, "'\\u{byte:04x}'")
            } else {
                write!(said, "'{}'", char::from(*byte))
            };
        }
        _ => {
            let quoted = stdx::go_text::quote(&[*byte]);
            let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
            let _ = write!(said, "'{inner}'");
        }
    }
    let _ = write!(said, " {context}");
    SyntaxError::Unexpected { text: said, offset: at + 1 }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    depth: Vec<Container>,
}

impl Scan<'_> {
    fn run(&mut self) -> Result<(), SyntaxError> {
        // Each turn begins where a value must begin.
        loop {
            self.space();
            match self.peek()? {
                b'{' => {
                    self.open(Container::Object)?;
                    self.space();
                    if self.peek()? != b'}' {
                        self.key()?;
                        continue;
                    }
                    self.close();
                }
                b'[' => {
                    self.open(Container::Array)?;
                    self.space();
                    if self.peek()? != b']' {
                        continue;
                    }
                    self.close();
                }
                _ => self.scalar()?,
            }
            if self.after_value()? {
                return Ok(());
            }
        }
    }

    /// What follows a value; true at the end of the outermost one.
    fn after_value(&mut self) -> Result<bool, SyntaxError> {
        loop {
            let Some(container) = self.depth.last().copied() else { return Ok(true) };
            self.space();
            match (self.peek()?, container) {
                (b',', Container::Object) => {
                    self.at += 1;
                    self.space();
                    self.key()?;
                    return Ok(false);
                }
                (b',', Container::Array) => {
                    self.at += 1;
                    return Ok(false);
                }
                (b'}', Container::Object) | (b']', Container::Array) => self.close(),
                (_, Container::Object) => return Err(self.bad("after object key:value pair")),
                (_, Container::Array) => return Err(self.bad("after array element")),
            }
        }
    }

    fn key(&mut self) -> Result<(), SyntaxError> {
        if self.peek()? != b'"' {
            return Err(self.bad("looking for beginning of object key string"));
        }
        self.string()?;
        self.space();
        if self.peek()? != b':' {
            return Err(self.bad("after object key"));
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), SyntaxError> {
        match self.peek()? {
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.bad("looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), SyntaxError> {
        for expected in word.bytes() {
            if self.peek()? != expected {
                let expected = char::from(expected);
                return Err(self.bad(&format!("in literal {word} (expecting '{expected}')")));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    self.escape()?;
                }
                0..0x20 => return Err(self.bad("in string literal")),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        match self.peek()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek()?.is_ascii_hexdigit() {
                        return Err(self.bad("in \\u hexadecimal character escape"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.bad("in string escape code")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek()? == b'-' {
            self.at += 1;
            if !self.peek()?.is_ascii_digit() {
                return Err(self.bad("in numeric literal"));
            }
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits();
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            if !self.peek()?.is_ascii_digit() {
                return Err(self.bad("after decimal point in numeric literal"));
            }
            self.digits();
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek()?, b'+' | b'-') {
                self.at += 1;
            }
            if !self.peek()?.is_ascii_digit() {
                return Err(self.bad("in exponent of numeric literal"));
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn open(&mut self, container: Container) -> Result<(), SyntaxError> {
        self.at += 1;
        if self.depth.len() >= MAX_DEPTH {
            let text = "exceeded max depth".to_owned();
            return Err(SyntaxError::Unexpected { text, offset: self.at });
        }
        self.depth.push(container);
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth.pop();
    }

    fn space(&mut self) {
        self.at = skip_space(self.text, self.at);
    }

    fn peek(&self) -> Result<u8, SyntaxError> {
        self.text.get(self.at).copied().ok_or(SyntaxError::End)
    }

    fn bad(&self, context: &str) -> SyntaxError {
        unexpected(self.text, self.at, context)
    }
}
