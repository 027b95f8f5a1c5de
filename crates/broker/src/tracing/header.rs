//! Which messages ask to be traced, out of their header block.
//!
//! Laws: [`may_ask`] never says no where [`Asked::of`] says yes; a block is read as the reference
//!       reads it, names in the case in which they were sent.
//! Reference: msgtrace.go genHeaderMapIfTraceHeadersPresent.   Contract: TRACE-001, TRACE-006.
//! Hot path: `may_ask` is what every message with headers pays.

use memchr::{memchr, memchr_iter, memmem};
use std::collections::BTreeMap;

/// Where the events go.
pub const DEST: &[u8] = b"Nats-Trace-Dest";
/// The value that is no subject and ends tracing, here and on the servers behind.
pub const DISABLED: &[u8] = b"trace disabled";
const TRACEPARENT: &[u8] = b"traceparent";

/// Header fields as the events show them: by name, values in order.
pub type Fields = BTreeMap<String, Vec<String>>;

/// Whether a header block may ask for tracing.
#[inline]
pub fn may_ask(block: &[u8]) -> bool {
    memchr_iter(b'\n', block).any(|end| {
        let line = block.get(end + 1..).unwrap_or_default();
        match line.first() {
            Some(b'N') => line.starts_with(DEST),
            Some(b't' | b'T') => starts_with_traceparent(line),
            _ => false,
        }
    })
}

fn starts_with_traceparent(line: &[u8]) -> bool {
    line.get(..TRACEPARENT.len()).is_some_and(|name| name.eq_ignore_ascii_case(TRACEPARENT))
}

/// A message that asks to be traced.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// All its header fields.
    pub fields: Fields,
    /// Only a `traceparent` asks: the account says where events go, and how often.
    pub external: bool,
}

impl Asked {
    /// Reads a header block; `None` if it asks for nothing, or says that tracing is off.
    pub fn of(block: &[u8]) -> Option<Self> {
        let mut rest = block.strip_prefix(wire::header::LINE)?;
        let mut fields = Fields::new();
        let (mut dest, mut parent) = (false, false);
        while let Some(colon) = memchr(b':', rest) {
            let (name, value) = rest.split_at(colon);
            let value = trim_start(value.get(1..).unwrap_or_default());
            let Some(end) = memmem::find(value, b"\r\n") else { break };
            rest = value.get(end + 2..).unwrap_or_default();
            let value = trim_end(value.get(..end).unwrap_or_default());
            if name.is_empty() || value.is_empty() {
                continue;
            }
            if !parent && name.eq_ignore_ascii_case(TRACEPARENT) {
                parent = is_sampled(value);
            } else if !dest && name == DEST {
                if value == DISABLED {
                    return None;
                }
                dest = true;
            }
            fields.entry(text(name)).or_default().push(text(value));
        }
        (dest || parent).then_some(Self { fields, external: !dest })
    }

    /// The first value of a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.first().map(String::as_str)
    }

    /// Whether the message is to be traced and not delivered.
    pub fn is_only(&self) -> bool {
        let value = self.value("Nats-Trace-Only").unwrap_or_default();
        !self.external && ["1", "true", "on"].iter().any(|on| value.eq_ignore_ascii_case(on))
    }
}

/// Whether a `traceparent` has the sampled bit.
// Compat(TRACE-006): flags are read as a signed byte, so that 80 and above are none.
fn is_sampled(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value.split(|b| *b == b'-').collect();
    let [_, _, _, flags] = parts.as_slice() else { return false };
    let flags = std::str::from_utf8(flags).ok().filter(|flags| flags.len() == 2);
    flags.and_then(|flags| i8::from_str_radix(flags, 16).ok()).is_some_and(|flags| flags & 1 == 1)
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| is_blank(**b)).count();
    text.get(blanks..).unwrap_or_default()
}

fn trim_end(text: &[u8]) -> &[u8] {
    let blanks = text.iter().rev().take_while(|b| is_blank(**b)).count();
    text.get(..text.len() - blanks).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Appends the block with `name` set to `value` at its end, in place of what it was.
// Compat(TRACE-007): everything else stays byte for byte.
pub fn exchange(block: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len() + name.len() + value.len() + 16);
    if block.is_empty() {
        out.extend_from_slice(wire::header::LINE);
    }
    for line in block.strip_suffix(b"\r\n").unwrap_or(block).split_inclusive(|b| *b == b'\n') {
        let is_it = line.strip_prefix(name).is_some_and(|rest| rest.starts_with(b":"));
        if !is_it {
            out.extend_from_slice(line);
        }
    }
    for part in [name, b": ", value, b"\r\n\r\n"] {
        out.extend_from_slice(part);
    }
    out
}

/// The block with the first value of `name` replaced where it stands, or with the field at its end.
pub fn replace(block: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let found = memmem::find_iter(block, name).find(|at| {
        let before = at.checked_sub(1).and_then(|before| block.get(before));
        before == Some(&b'\n') && block.get(at + name.len()) == Some(&b':')
    });
    let Some(at) = found else { return exchange(block, name, value) };
    let (head, old) = block.split_at(at + name.len() + 1);
    let (blank, old) = if old.first() == Some(&b' ') { old.split_at(1) } else { old.split_at(0) };
    let Some(end) = memchr(b'\r', old) else { return block.to_vec() };
    [head, blank, value, old.get(end..).unwrap_or_default()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fields: &str) -> Vec<u8> {
        format!("NATS/1.0\r\n{fields}\r\n").into_bytes()
    }

    // Contract: TRACE-001, TRACE-002, TRACE-006
    #[test]
    fn headers_that_ask() {
        // fields, asks, external, only
        let yes = Some((false, false));
        let external = Some((true, false));
        let cases: [(&str, Option<(bool, bool)>); 28] = [
            ("", None),
            ("A: b\r\n", None),
            ("Nats-Trace-Dest: t\r\n", yes),
            ("Nats-Trace-Dest:t\r\n", yes),
            ("nats-trace-dest: t\r\n", None),
            ("Nats-Trace-Dest : t\r\n", None),
            (" Nats-Trace-Dest: t\r\n", None),
            ("Nats-Trace-Dest: \r\n", None),
            ("Nats-Trace-Dest: trace disabled\r\n", None),
            ("A: b\r\nNats-Trace-Dest: \t t \t\r\nNats-Trace-Only: 1\r\n", Some((false, true))),
            ("Nats-Trace-Dest: t\r\nNats-Trace-Only: TRUE\r\n", Some((false, true))),
            ("Nats-Trace-Dest: t\r\nNats-Trace-Only: On\r\n", Some((false, true))),
            ("Nats-Trace-Dest: t\r\nNats-Trace-Only: 2\r\n", yes),
            ("Nats-Trace-Dest: t\r\nNats-Trace-Only: 0\r\nNats-Trace-Only: 1\r\n", yes),
            ("Nats-Trace-Only: 1\r\n", None),
            ("traceparent: 00-a-b-01\r\n", external),
            ("TraceParent: 00-a-b-03\r\nNats-Trace-Only: 1\r\n", external),
            ("traceparent: 00-a-b-7f\r\n", external),
            ("traceparent: 00-a-b-81\r\n", None),
            ("traceparent: 00-a-b-00\r\n", None),
            ("traceparent: 00-a-b-1\r\n", None),
            ("traceparent: 00-a-b-001\r\n", None),
            ("traceparent: 00-a-b-c-01\r\n", None),
            ("traceparent: 00-a-b-00\r\ntraceparent: 00-a-b-01\r\n", external),
            ("traceparent: 00-a-b-01\r\nNats-Trace-Dest: trace disabled\r\n", None),
            ("traceparent: 00-a-b-01\r\nNats-Trace-Dest: t\r\n", yes),
            // A line without a colon becomes a part of the next name.
            ("odd\r\nNats-Trace-Dest: t\r\n", None),
            // The block ends early, but the field does not.
            ("Nats-Trace-Dest: t", yes),
        ];
        for (fields, want) in cases {
            let block = block(fields);
            let asked = Asked::of(&block);
            let got = asked.as_ref().map(|asked| (asked.external, asked.is_only()));
            assert_eq!(got, want, "{fields:?}");
            assert!(got.is_none() || may_ask(&block), "{fields:?}");
        }
        assert_eq!(Asked::of(b"NATS/1.0 503\r\nNats-Trace-Dest: t\r\n\r\n"), None);
        assert!(!may_ask(b"NATS/1.0\r\nNats-Msg-Id: 1\r\ntrace: 2\r\nX: Nats-Trace-Dest\r\n\r\n"));
    }

    // Contract: TRACE-003
    #[test]
    fn fields_are_shown_as_sent() {
        let block = block("b: 2\r\nA: 1 \r\nb:  3\r\nempty:\r\nNats-Trace-Dest: t\r\n");
        let asked = Asked::of(&block).unwrap();
        let shown = serde_json::to_string(&asked.fields).unwrap();
        assert_eq!(shown, r#"{"A":["1"],"Nats-Trace-Dest":["t"],"b":["2","3"]}"#);
    }

    #[test]
    fn one_field_is_exchanged() {
        for (fields, want) in [
            ("", "NATS/1.0\r\nNats-Trace-Dest: x\r\n\r\n"),
            (
                "A: 1\r\nNats-Trace-Dest: t\r\nB:2\r\nNats-Trace-Dest:u\r\nNats-Trace-Dest-2: v\r\n",
                "NATS/1.0\r\nA: 1\r\nB:2\r\nNats-Trace-Dest-2: v\r\nNats-Trace-Dest: x\r\n\r\n",
            ),
        ] {
            let got = exchange(&block(fields), DEST, b"x");
            assert_eq!(String::from_utf8_lossy(&got), want);
        }
        for (fields, want) in [
            ("A: 1\r\n", "NATS/1.0\r\nA: 1\r\nNats-Trace-Dest: x\r\n\r\n"),
            ("Nats-Trace-Dest:t\r\nB:2\r\n", "NATS/1.0\r\nNats-Trace-Dest:x\r\nB:2\r\n\r\n"),
            ("Nats-Trace-Dest: t\r\n", "NATS/1.0\r\nNats-Trace-Dest: x\r\n\r\n"),
        ] {
            let got = replace(&block(fields), DEST, b"x");
            assert_eq!(String::from_utf8_lossy(&got), want);
        }
    }
}
