//! Bytes for a client: `MSG`, `HMSG`, `-ERR` and friends. Hot path: appends to the caller's buffer.
//!
//! Law: what is written here is what the reference writes, byte for byte (CORE-045).

/// `PING`.
pub const PING: &[u8] = b"PING\r\n";
/// `PONG`.
pub const PONG: &[u8] = b"PONG\r\n";
/// `+OK`.
pub const OK: &[u8] = b"+OK\r\n";

pub use stdx::decimal::put as decimal;

/// Writes `MSG <subject> <sid> ` or `HMSG <subject> <sid> ` over `out`'s previous content.
#[inline]
pub fn delivery_prefix(out: &mut Vec<u8>, headers: bool, subject: &[u8], sid: &[u8]) {
    out.clear();
    out.extend_from_slice(if headers { b"HMSG " } else { b"MSG " });
    out.extend_from_slice(subject);
    out.push(b' ');
    out.extend_from_slice(sid);
    out.push(b' ');
}

/// Writes what follows the prefix up to the payload: `[reply ][hdr ]total\r\n`.
#[inline]
pub fn delivery_sizes(
    out: &mut Vec<u8>,
    reply: Option<&[u8]>,
    header_len: Option<usize>,
    total: usize,
) {
    if let Some(reply) = reply {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if let Some(header_len) = header_len {
        decimal(out, header_len as u64);
        out.push(b' ');
    }
    decimal(out, total as u64);
    out.extend_from_slice(b"\r\n");
}

/// `-ERR '<text>'`.
pub fn error_line(text: &str) -> Vec<u8> {
    format!("-ERR '{text}'\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes() {
        let mut out = Vec::new();
        for n in [0, 7, 10, 1_048_576, u64::MAX] {
            out.clear();
            decimal(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
        }
        delivery_prefix(&mut out, true, b"a.b", b"12");
        delivery_sizes(&mut out, Some(b"r"), Some(12), 14);
        assert_eq!(out, b"HMSG a.b 12 r 12 14\r\n");
    }
}
