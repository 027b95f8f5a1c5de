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
