//! Values of header fields that need more than a number: times to live.
//!
//! Reference: stream.go parseMessageTTL.   Parity: PUB-010.

use store::message_ttl;

/// A time to live in seconds; -1 for never, 0 for none.
///
/// The store reads the same field again when it recovers, so there is one reading of it.
pub(super) fn ttl(header: &[u8], field: Option<&[u8]>) -> Result<i64, Invalid> {
    let Some(text) = field else { return Ok(0) };
    let secs = message_ttl(header);
    // Compat(PUB-010): `0` is a duration and too short; `00` is a number and means none.
    let zero = text != b"0" && text.iter().all(|b| *b == b'0');
    if secs == 0 && !zero { Err(Invalid) } else { Ok(secs) }
}

/// The value is none that the field can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;
