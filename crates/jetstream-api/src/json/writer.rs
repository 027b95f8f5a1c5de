//! Writes JSON as the reference's encoder does.
//!
//! Laws: `<`, `>`, `&`, U+2028 and U+2029 are escaped; no white space.
//! Reference: encoding/json `appendString`.

/// An object under construction, or any value of it.
///
/// Public only because [`super::Document`]'s methods name it.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    /// True when the next member or element needs a comma before it.
    comma: bool,
}

impl Writer {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = false;
    }

    pub(crate) fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = true;
    }

    /// Separates this element or member from the one before.
    pub(crate) fn next(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    pub(crate) fn key(&mut self, name: &str) {
        self.next();
        self.string(name);
        self.out.push(b':');
    }

    pub(crate) fn plain(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.comma = true;
    }

    pub(crate) fn string(&mut self, text: &str) {
        append_string(text, &mut self.out);
        self.comma = true;
    }
}

/// A string with its quotes.
pub(crate) fn append_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    append_escaped(text, out);
    out.push(b'"');
}

fn append_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let (escape, width): (&[u8], usize) = match byte {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            0x08 => (b"\\b", 1),
            0x0c => (b"\\f", 1),
            b'<' => (b"\\u003c", 1),
            b'>' => (b"\\u003e", 1),
            b'&' => (b"\\u0026", 1),
            0..0x20 => (b"", 1),
            0xe2 if bytes.get(at..at + 3) == Some(b"\xe2\x80\xa8") => (b"\\u2028", 3),
            0xe2 if bytes.get(at..at + 3) == Some(b"\xe2\x80\xa9") => (b"\\u2029", 3),
            _ => continue,
        };
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        if escape.is_empty() {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(escape);
        }
        from = at + width;
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
}
