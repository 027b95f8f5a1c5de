//! Header-only messages a client sees in place of messages.
//!
//! Laws: bytes are the reference's.
//! Not here: when they are sent (`pull`, `serve`, `timers`).

use std::fmt::Display;

/// The request ends because of how it was asked, or of the consumer.
pub(super) fn plain(text: impl Display) -> Vec<u8> {
    format!("NATS/1.0 {text}\r\n\r\n").into_bytes()
}

/// The request ends with something left: messages and bytes it did not get.
pub(super) fn with_rest(text: &str, messages: i64, bytes: i64) -> Vec<u8> {
    format!(
        "NATS/1.0 {text}\r\nNats-Pending-Messages: {messages}\r\nNats-Pending-Bytes: {bytes}\r\n\r\n"
    )
    .into_bytes()
}

/// Nothing to deliver, but the consumer is there; `stalled` is the flow control subject it waits on.
pub(super) fn heartbeat(consumer_seq: u64, stream_seq: u64, stalled: Option<&str>) -> Vec<u8> {
    let mut text = format!(
        "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: {consumer_seq}\r\nNats-Last-Stream: {stream_seq}\r\n"
    );
    if let Some(subject) = stalled {
        text.push_str("Nats-Consumer-Stalled: ");
        text.push_str(subject);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Puts a field behind the others of a header block, which may be empty.
pub(super) fn put_field(out: &mut Vec<u8>, header: &[u8], name: &str, value: &[u8]) {
    out.clear();
    match header.strip_suffix(b"\r\n") {
        Some(lines) if !lines.is_empty() => out.extend_from_slice(lines),
        _ => out.extend_from_slice(b"NATS/1.0\r\n"),
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_those_there_are() {
        let mut out = Vec::new();
        put_field(&mut out, b"", "Nats-Msg-Size", b"5");
        assert_eq!(out, b"NATS/1.0\r\nNats-Msg-Size: 5\r\n\r\n");
        put_field(&mut out, b"NATS/1.0\r\na: b\r\n\r\n", "Nats-Pin-Id", b"x");
        assert_eq!(out, b"NATS/1.0\r\na: b\r\nNats-Pin-Id: x\r\n\r\n");
    }

    // Contract: CONS-015, CONS-016
    #[test]
    fn heartbeats_say_where_the_consumer_is_and_on_what_it_waits() {
        assert_eq!(
            heartbeat(3, 7, None),
            b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 3\r\nNats-Last-Stream: 7\r\n\r\n"
        );
        let stalled = heartbeat(0, 0, Some("$JS.FC.S.C.abcd"));
        assert!(
            stalled.ends_with(
                b"Nats-Last-Stream: 0\r\nNats-Consumer-Stalled: $JS.FC.S.C.abcd\r\n\r\n"
            )
        );
    }
}
