//! What a load returns: one stored message, sharing its buffer.
//!
//! Not here: the record on disk (`record.rs`).

use bytes::Bytes;
use stdx::time::Timestamp;

use crate::record::Record;

/// One stored message. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Stream sequence, from 1.
    pub seq: u64,
    /// When it was stored.
    pub ts: Timestamp,
    /// Its literal subject.
    pub subject: Bytes,
    /// The NATS header block with its blank line, or empty.
    pub header: Bytes,
    /// The payload.
    pub payload: Bytes,
}

impl Message {
    /// The message in `record`, which lies at the head of `shared`.
    pub(crate) fn from_record(record: &Record<'_>, shared: &Bytes) -> Self {
        Self {
            seq: record.seq,
            ts: Timestamp(record.ts),
            subject: shared.slice_ref(record.subject()),
            header: shared.slice_ref(record.header()),
            payload: shared.slice_ref(record.payload()),
        }
    }
}

/// The value of header `name` in a NATS header block, without the spaces before it.
pub(crate) fn header_value<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = block;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let (line, after) = rest.split_at(end);
        rest = after.get(2..).unwrap_or_default();
        if line.len() > name.len()
            && line.get(name.len()) == Some(&b':')
            && line.get(..name.len()) == Some(name)
        {
            let value = line.get(name.len() + 1..)?;
            let start = value.iter().position(|b| *b != b' ').unwrap_or(value.len());
            return value.get(start..);
        }
    }
    None
}

/// The per-message time to live a header block asks for, in seconds; -1 is never, 0 is none.
///
/// Reference: stream.go parseMessageTTL.   Parity: PUB-010.
pub fn message_ttl(header: &[u8]) -> i64 {
    let Some(value) = header_value(header, b"Nats-TTL") else { return 0 };
    if value.eq_ignore_ascii_case(b"never") {
        return -1;
    }
    let Ok(text) = std::str::from_utf8(value) else { return 0 };
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().unwrap_or(0);
    }
    go_duration_secs(text).unwrap_or(0)
}

/// Whole seconds of a Go duration text such as `1h2m3.5s`; `None` if malformed or under a second.
fn go_duration_secs(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanos += number.parse::<f64>().ok()? * scale;
        rest = next;
    }
    let secs = (nanos / 1e9) as i64;
    // What nanoseconds in 64 bits cannot tell is no duration.
    (secs >= 1 && nanos < i64::MAX as f64).then_some(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: PUB-010
    #[test]
    fn ttl_texts() {
        let cases = [
            ("5", 5),
            ("never", -1),
            ("1s", 1),
            ("1h1m1.9s", 3661),
            ("500ms", 0),
            ("2562047h", 9_223_369_200),
            ("2562048h", 0),
            ("1 ", 0),
            ("1h ", 0),
            ("-3", 0),
            ("abc", 0),
            ("0", 0),
        ];
        for (text, secs) in cases {
            let header = format!("NATS/1.0\r\nA: b\r\nNats-TTL: {text}\r\n\r\n");
            assert_eq!(message_ttl(header.as_bytes()), secs, "{text}");
        }
        assert_eq!(message_ttl(b""), 0);
    }
}
