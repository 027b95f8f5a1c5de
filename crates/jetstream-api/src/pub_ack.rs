//! Answers to publishers.
//!
//! Reference: `PubAck`, `JSPubAckResponse`, `BatchFlowAck`, `BatchFlowGap`, `BatchFlowErr`,
//! `CounterValue`.

use std::collections::BTreeMap;

use crate::error::ApiError;
use crate::json::{Bool, Codec, Map, Some_, Struct, Text, Uint16, Uint64, Writer, document};

/// What was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PubAck {
    /// Why nothing was; an answer with an error still shows the stream.
    pub error: Option<ApiError>,
    /// The stream.
    pub stream: String,
    /// The message's sequence.
    pub seq: u64,
    /// The domain.
    pub domain: String,
    /// The message id was known: nothing was stored now.
    pub duplicate: bool,
    /// The counter's value.
    pub val: String,
    /// The batch that was committed.
    pub batch: String,
    /// Messages in it.
    pub count: u64,
}

document!(PubAck as "PubAck" {
    error: Some_<Struct>, omit;
    stream: Text;
    seq: Uint64;
    domain: Text, omit;
    duplicate: Bool, omit;
    val: Text, omit;
    batch: Text, omit;
    count: Uint64, omit;
});

impl PubAck {
    /// Appends the answer as a publisher gets it: the domain stands before the sequence, and a
    /// duplicate has a space that the encoder would not write. Hot: no allocation but the buffer's.
    pub fn write(&self, out: &mut Vec<u8>) {
        use std::io::Write;
        if self.error.is_some() {
            out.extend_from_slice(&crate::json::to_json(self));
            return;
        }
        out.extend_from_slice(b"{\"stream\":");
        crate::json::append_string(&self.stream, out);
        if !self.domain.is_empty() {
            out.extend_from_slice(b",\"domain\":");
            crate::json::append_string(&self.domain, out);
        }
        // Writing to memory cannot fail.
        let _ = write!(out, ",\"seq\":{}", self.seq);
        if self.duplicate {
            out.extend_from_slice(b",\"duplicate\": true");
        }
        if !self.val.is_empty() {
            out.extend_from_slice(b",\"val\":");
            crate::json::append_string(&self.val, out);
        }
        if !self.batch.is_empty() {
            out.extend_from_slice(b",\"batch\":");
            crate::json::append_string(&self.batch, out);
            let _ = write!(out, ",\"count\":{}", self.count);
        }
        out.push(b'}');
    }
}

/// The body of a counter's message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterValue {
    /// The value, in decimal.
    pub val: String,
}

document!(CounterValue as "CounterValue" { val: Text; });

/// The value of `Nats-Counter-Sources`: by stream, then by subject.
pub type CounterSources = BTreeMap<String, BTreeMap<String, String>>;

/// The value of `Nats-Counter-Sources` as JSON.
pub fn counter_sources_json(sources: &CounterSources) -> Vec<u8> {
    let mut out = Writer::default();
    Map::<Map<Text>>::write(sources, &mut out);
    out.finish()
}

/// Reads a value of `Nats-Counter-Sources`.
///
/// # Errors
/// It is no such map.
pub fn counter_sources(value: &[u8]) -> Result<CounterSources, crate::json::DecodeError> {
    let mut into = CounterSources::new();
    crate::json::unmarshal_value::<_, Map<Map<Text>>>(value, &mut into)?;
    Ok(into)
}

/// Tells a fast batch how far it is stored and how often it will be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchFlowAck {
    /// The message that brought this about.
    pub seq: u64,
    /// One of these after so many messages.
    pub msgs: u16,
}

/// Tells a fast batch that messages are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchFlowGap {
    /// The first one missing.
    pub last_seq: u64,
    /// The one that came instead.
    pub seq: u64,
}

/// Tells a fast batch that a message was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchFlowErr {
    /// The message.
    pub seq: u64,
    /// Why.
    pub error: Option<ApiError>,
}

impl BatchFlowAck {
    /// The message's body.
    pub fn to_json(self) -> Vec<u8> {
        flow("ack", |out| {
            Uint64::write_member(&self.seq, "seq", false, out);
            Uint16::write_member(&self.msgs, "msgs", false, out);
        })
    }
}

impl BatchFlowGap {
    /// The message's body.
    pub fn to_json(self) -> Vec<u8> {
        flow("gap", |out| {
            Uint64::write_member(&self.last_seq, "last_seq", false, out);
            Uint64::write_member(&self.seq, "seq", false, out);
        })
    }
}

impl BatchFlowErr {
    /// The message's body.
    pub fn to_json(&self) -> Vec<u8> {
        flow("err", |out| {
            Uint64::write_member(&self.seq, "seq", false, out);
            <Some_<Struct> as Codec<_>>::write_member(&self.error, "error", false, out);
        })
    }
}

fn flow(kind: &str, members: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::default();
    out.open(b'{');
    out.key("type");
    out.string(kind);
    members(&mut out);
    out.close(b'}');
    out.finish()
}
