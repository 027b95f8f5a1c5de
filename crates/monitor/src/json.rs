//! JSON as Go's encoder writes it, the field forms (times, durations, "omit if empty"), HTML text.
//!
//! Laws: the same value gives the same bytes as `encoding/json`: floats without a needless
//! fraction or exponent, `<`, `>`, `&`, U+2028 and U+2029 escaped, empty containers closed on
//! their own line.
//! Reference: encoding/json `MarshalIndent`, `floatEncoder`.

use std::io;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use stdx::go_text;
use stdx::time::Timestamp;

/// What Go prints for a `time.Time` that was never set.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Indented JSON; `indent` is the text of one level.
pub(crate) fn indented<T: Serialize>(value: &T, indent: &'static [u8]) -> Vec<u8> {
    encode(value, PrettyFormatter::with_indent(indent))
}

/// JSON without any white space.
pub(crate) fn compact<T: Serialize>(value: &T) -> Vec<u8> {
    encode(value, CompactFormatter)
}

fn encode<T: Serialize, F: Formatter>(value: &T, layout: F) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut encoder = serde_json::Serializer::with_formatter(&mut out, GoFormatter { layout });
    // Every document is plain data with string keys and the sink is memory: this cannot fail.
    // If a type ever breaks that, an empty body is the worst that can reach an operator.
    if value.serialize(&mut encoder).is_err() {
        out.clear();
    }
    out
}

struct GoFormatter<F> {
    layout: F,
}

impl<F: Formatter> Formatter for GoFormatter<F> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(float(value).as_bytes())
    }
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        // 0xe2 starts U+2028 and U+2029.
        let special = |b: &u8| matches!(b, b'<' | b'>' | b'&' | 0xe2);
        if text.as_bytes().iter().any(special) {
            out.write_all(go_text::escape_json(text).as_bytes())
        } else {
            out.write_all(text.as_bytes())
        }
    }
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.begin_array(out)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.end_array(out)
    }
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.layout.begin_array_value(out, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.end_array_value(out)
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.begin_object(out)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.end_object(out)
    }
    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.layout.begin_object_key(out, first)
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.begin_object_value(out)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.end_object_value(out)
    }
}

/// A finite float as Go writes it in JSON: decimal from 1e-6 to 1e21, exponent outside.
fn float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        if size >= 1.0 {
            return text.replacen('e', "e+", 1);
        }
        return text;
    }
    format!("{value}")
}

/// "omitempty" of numbers, booleans, strings and lists.
pub(crate) fn is_empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A wall clock reading, RFC 3339 with nanoseconds.
pub(crate) fn time<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&at.rfc3339())
}

/// A wall clock reading that may never have been taken; Go prints the year 1 then.
pub(crate) fn time_or_zero<S: Serializer>(
    at: &Option<Timestamp>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, to),
        None => to.serialize_str(ZERO_TIME),
    }
}

/// A duration as a number of nanoseconds.
pub(crate) fn nanos<S: Serializer>(d: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// Round trip times lose their nanoseconds between 1 µs and 1 ms, as in the reference's `getRTT`.
pub(crate) fn rtt(d: Duration) -> String {
    let micros = Duration::from_micros(1);
    let shown = if d > micros && d < Duration::from_millis(1) {
        Duration::from_micros(u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
    } else {
        d
    };
    go_text::duration(shown)
}

/// Text that is safe between tags and in quoted attributes.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
