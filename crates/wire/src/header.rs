//! The `NATS/1.0` header block: find, set and remove fields without parsing the rest.
//!
//! Laws: names compare exactly as sent (NATS headers are case-sensitive on lookup, as in the
//!       reference's `sliceHeader`); a block that does not start with `NATS/1.0` has no fields.

/// The first line of every header block.
pub const LINE: &[u8] = b"NATS/1.0\r\n";

/// The value of the first field called `name`, trimmed of leading blanks.
pub fn get<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(block).find(|(n, _)| *n == name).map(|(_, v)| v)
}

/// All fields in order.
pub fn fields(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let start = memchr::memchr(b'\n', block).map_or(block.len(), |at| at + 1);
    let valid = block.starts_with(b"NATS/1.0");
    let lines = if valid { block.get(start..).unwrap_or_default() } else { &[] };
    lines.split(|b| *b == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        // Compat(PUB-002): spaces before the value are no part of it, anything else is.
        let start = value.iter().position(|b| *b != b' ').unwrap_or(value.len());
        Some((name, value.get(start..)?))
    })
}

/// Appends to `out` the block with every field called `name` removed and, if given, `value` set
/// as its only value. An empty `block` starts a new one.
pub fn set(block: &[u8], name: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    let end = memchr::memchr(b'\n', block).map(|at| at + 1);
    match end {
        Some(end) => out.extend_from_slice(block.get(..end).unwrap_or_default()),
        None => out.extend_from_slice(LINE),
    }
    for (n, v) in fields(block) {
        if n != name {
            field(n, v, out);
        }
    }
    if let Some(value) = value {
        field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_set_and_removed() {
        let block = b"NATS/1.0\r\nA: 1\r\nB:2\r\n\r\n";
        assert_eq!(get(block, b"B"), Some(&b"2"[..]));
        assert_eq!(get(block, b"b"), None);
        let mut out = Vec::new();
        set(block, b"A", Some(b"x"), &mut out);
        assert_eq!(out, b"NATS/1.0\r\nB: 2\r\nA: x\r\n\r\n");
        out.clear();
        set(b"", b"K", Some(b"v"), &mut out);
        assert_eq!(out, b"NATS/1.0\r\nK: v\r\n\r\n");
        assert_eq!(get(b"HTTP/1.1\r\nA: 1\r\n\r\n", b"A"), None);
    }
}
