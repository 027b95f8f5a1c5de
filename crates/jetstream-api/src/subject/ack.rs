//! Reply subjects of deliveries: `$JS.ACK.` and `$JS.FC.`, in both forms.
//!
//! v1: `$JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<dseq>.<ts>.<pending>`
//! v2: `$JS.ACK.<domain or _>.<account hash>.<stream>...<pending>[.more]`
//!
//! Hot: written for every delivery, read for every acknowledgement; no allocation beyond the
//! caller's buffer, whose capacity a consumer keeps.
//! Reference: consumer.go `ackReply`, `ackReplyInfo`.

use super::push_number;

/// What every acknowledgement's subject begins with.
pub const ACK_PREFIX: &[u8] = b"$JS.ACK.";
/// What every answer to flow control begins with.
pub const FLOW_PREFIX: &[u8] = b"$JS.FC.";

const TOKENS_V1: usize = 9;
const TOKENS_V2: usize = 11;

/// What a delivery's reply subject says about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Only in v2; `_` for none.
    pub domain: Option<&'a [u8]>,
    /// Only in v2.
    pub account: Option<&'a [u8]>,
    /// The stream.
    pub stream: &'a [u8],
    /// The consumer.
    pub consumer: &'a [u8],
    /// Deliveries of this message so far, this one included.
    pub delivered: u64,
    /// Its sequence in the stream.
    pub stream_seq: u64,
    /// The delivery's number.
    pub consumer_seq: u64,
    /// When the message was stored, nanoseconds since 1970.
    pub ts: i64,
    /// Messages not yet delivered.
    pub pending: u64,
}

impl<'a> Ack<'a> {
    /// Reads either form. A field that is not a number counts as -1, as the reference has it.
    pub fn parse(subject: &'a [u8]) -> Option<Self> {
        subject.strip_prefix(ACK_PREFIX)?;
        let mut tokens: [&[u8]; TOKENS_V2] = [&[]; TOKENS_V2];
        let mut count = 0;
        for token in subject.split(|b| *b == b'.') {
            if let Some(slot) = tokens.get_mut(count) {
                *slot = token;
            }
            count += 1;
        }
        let [_, _, t2, t3, t4, t5, t6, t7, t8, t9, t10] = tokens;
        match count {
            TOKENS_V1 => Some(Self::of([t2, t3, t4, t5, t6, t7, t8], None)),
            TOKENS_V2.. => Some(Self::of([t4, t5, t6, t7, t8, t9, t10], Some((t2, t3)))),
            _ => None,
        }
    }

    fn of(tokens: [&'a [u8]; 7], origin: Option<(&'a [u8], &'a [u8])>) -> Self {
        let [stream, consumer, delivered, stream_seq, consumer_seq, ts, pending] = tokens;
        Self {
            domain: origin.map(|o| o.0),
            account: origin.map(|o| o.1),
            stream,
            consumer,
            delivered: number(delivered) as u64,
            stream_seq: number(stream_seq) as u64,
            consumer_seq: number(consumer_seq) as u64,
            ts: number(ts),
            pending: number(pending) as u64,
        }
    }
}

fn number(token: &[u8]) -> i64 {
    if token.is_empty() {
        return -1;
    }
    let mut n = 0i64;
    for byte in token {
        if !byte.is_ascii_digit() {
            return -1;
        }
        n = n.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
    }
    n
}

/// The part of a consumer's reply subjects that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckPrefix {
    text: Box<[u8]>,
}

impl AckPrefix {
    /// `$JS.ACK.<stream>.<consumer>.`
    pub fn v1(stream: &str, consumer: &str) -> Self {
        Self { text: format!("$JS.ACK.{stream}.{consumer}.").into_bytes().into() }
    }

    /// `$JS.ACK.<domain>.<account hash>.<stream>.<consumer>.`; an empty domain is written as `_`.
    pub fn v2(domain: &str, account_hash: &str, stream: &str, consumer: &str) -> Self {
        let domain = if domain.is_empty() { "_" } else { domain };
        Self {
            text: format!("$JS.ACK.{domain}.{account_hash}.{stream}.{consumer}.")
                .into_bytes()
                .into(),
        }
    }

    /// The text, for subscribing to `<prefix>>`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Appends the reply subject of a delivery; `ack`'s names are not looked at.
    pub fn write(&self, ack: &Ack<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text);
        for value in [ack.delivered, ack.stream_seq, ack.consumer_seq] {
            push_number(out, value);
            out.push(b'.');
        }
        if ack.ts < 0 {
            out.push(b'-');
        }
        push_number(out, ack.ts.unsigned_abs());
        out.push(b'.');
        push_number(out, ack.pending);
    }
}

/// The part of a consumer's flow control subjects that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowPrefix {
    text: Box<[u8]>,
}

impl FlowPrefix {
    /// `$JS.FC.<stream>.<consumer>.`
    pub fn v1(stream: &str, consumer: &str) -> Self {
        Self { text: format!("$JS.FC.{stream}.{consumer}.").into_bytes().into() }
    }

    /// `$JS.FC.<domain>.<account hash>.<stream>.<consumer>.`; an empty domain is written as `_`.
    pub fn v2(domain: &str, account_hash: &str, stream: &str, consumer: &str) -> Self {
        let domain = if domain.is_empty() { "_" } else { domain };
        Self {
            text: format!("$JS.FC.{domain}.{account_hash}.{stream}.{consumer}.")
                .into_bytes()
                .into(),
        }
    }

    /// The text, for subscribing to `<prefix>*`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Appends the subject that a client answers with `token` at its end.
    pub fn write(&self, token: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text);
        out.extend_from_slice(token);
    }
}

/// What an answer to flow control says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowReply<'a> {
    /// The stream.
    pub stream: &'a [u8],
    /// The consumer.
    pub consumer: &'a [u8],
    /// Which request it answers.
    pub token: &'a [u8],
}

impl<'a> FlowReply<'a> {
    /// Reads either form.
    pub fn parse(subject: &'a [u8]) -> Option<Self> {
        let rest = subject.strip_prefix(FLOW_PREFIX)?;
        let mut tokens: [&[u8]; 5] = [&[]; 5];
        let mut count = 0;
        for token in rest.split(|b| *b == b'.') {
            *tokens.get_mut(count)? = token;
            count += 1;
        }
        let [t0, t1, t2, t3, t4] = tokens;
        match count {
            3 => Some(Self { stream: t0, consumer: t1, token: t2 }),
            5 => Some(Self { stream: t2, consumer: t3, token: t4 }),
            _ => None,
        }
    }
}
