//! Publishing stored messages again, with headers that say where they are stored.
//!
//! Reference: stream.go processJetStreamMsg.   Parity: STREAM-033.

use jetstream_api::RePublish;
use stdx::time::Timestamp;
use subject::Transform;

use super::pub_ack::push_number;
use crate::out::{Out, Outgoing};

/// A republish rule in force.
pub(super) struct Republish {
    transform: Transform,
    headers_only: bool,
}

/// What was stored.
pub(super) struct Copy<'a> {
    pub(super) stream: &'a str,
    pub(super) subject: &'a [u8],
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) seq: u64,
    pub(super) ts: Timestamp,
    /// The sequence before it on the same subject, 0 if none.
    pub(super) previous: u64,
}

impl Republish {
    pub(super) fn new(rule: &RePublish) -> Option<Self> {
        let transform = Transform::for_mapping(&rule.src, &rule.dest).ok()?;
        Some(Self { transform, headers_only: rule.headers_only })
    }

    /// The subject a stored message is published on, if the rule applies to it.
    pub(super) fn target(&self, subject: &[u8], out: &mut impl Out) -> Option<Vec<u8>> {
        let mut target = Vec::new();
        let fits = self.transform.apply_if_match(subject, || out.random() as u32, &mut target);
        (fits && subject::is_valid_literal(&target)).then_some(target)
    }

    pub(super) fn send(&self, target: &[u8], m: &Copy<'_>, out: &mut impl Out) {
        let mut header = Vec::with_capacity(m.header.len() + 160);
        match m.header.strip_suffix(b"\r\n") {
            Some(fields) => header.extend_from_slice(fields),
            None => header.extend_from_slice(wire::header::LINE),
        }
        let mut field = |name: &str, value: &[u8]| {
            header.extend_from_slice(name.as_bytes());
            header.extend_from_slice(b": ");
            header.extend_from_slice(value);
            header.extend_from_slice(b"\r\n");
        };
        let number = |n: u64| {
            let mut text = Vec::new();
            push_number(&mut text, n);
            text
        };
        field("Nats-Stream", m.stream.as_bytes());
        field("Nats-Subject", m.subject);
        field("Nats-Sequence", &number(m.seq));
        field("Nats-Time-Stamp", m.ts.rfc3339().as_bytes());
        field("Nats-Last-Sequence", &number(m.previous));
        if self.headers_only {
            field("Nats-Msg-Size", &number(m.payload.len() as u64));
        }
        header.extend_from_slice(b"\r\n");
        let payload = if self.headers_only { &[][..] } else { m.payload };
        out.send(Outgoing::new(target, &header, payload));
    }
}
