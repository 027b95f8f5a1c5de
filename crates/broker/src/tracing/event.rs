//! The document that tells what became of a traced message, in the reference's field order.
//!
//! Reference: msgtrace.go MsgTraceEvent.   Contract: TRACE-003, TRACE-005.

use super::header::Fields;
use serde::Serialize;
use stdx::time::Timestamp;

/// Why a receiver did not get the message.
pub(crate) mod reason {
    pub(crate) const NO_ECHO: &str = "Not delivered because of no echo";
    pub(crate) const DENIED: &str = "Not delivered because subscription denies this subject";
    pub(crate) const SUB_CLOSED: &str = "Not delivered because subscription is closed";
    pub(crate) const CLIENT_CLOSED: &str = "Not delivered because client is closed";
    pub(crate) const MAX_EXCEEDED: &str = "Not delivered because auto-unsubscribe exceeded";
    pub(crate) const NOT_STALLED: &str =
        "Not delivered because fast producer not stalled and consumer is slow";
}

/// The message as it was published.
#[derive(Serialize)]
pub(super) struct Request {
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub header: Fields,
    #[serde(skip_serializing_if = "is_default")]
    pub msgsize: usize,
}

/// One step of a message.
#[derive(Serialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(serialize_with = "rfc3339")]
    ts: Timestamp,
    #[serde(flatten)]
    what: What,
}

/// What a step was.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum What {
    /// It was published.
    Ingress {
        kind: u8,
        cid: u64,
        #[serde(skip_serializing_if = "is_default")]
        name: String,
        acc: String,
        subj: String,
        #[serde(skip_serializing_if = "is_default")]
        error: String,
    },
    /// Its subject was mapped.
    Mapping { to: String },
    /// It left as part of a stream that another account imports.
    StreamExport { acc: String, to: String },
    /// It went to a service of another account, or back.
    ServiceImport { acc: String, from: String, to: String },
    /// A stream took it, or would have.
    JetStream {
        stream: String,
        #[serde(skip_serializing_if = "is_default")]
        subject: String,
        #[serde(skip_serializing_if = "is_default")]
        nointerest: bool,
        #[serde(skip_serializing_if = "is_default")]
        error: String,
    },
    /// A subscription got it, or did not.
    Egress {
        kind: u8,
        cid: u64,
        #[serde(skip_serializing_if = "is_default")]
        name: String,
        #[serde(skip_serializing_if = "is_default")]
        acc: String,
        #[serde(skip_serializing_if = "is_default")]
        sub: String,
        #[serde(skip_serializing_if = "is_default")]
        queue: String,
        #[serde(skip_serializing_if = "is_default")]
        error: &'static str,
    },
}

impl Event {
    pub(super) fn new(what: What, ts: Timestamp) -> Self {
        let kind = match what {
            What::Ingress { .. } => "in",
            What::Mapping { .. } => "sm",
            What::StreamExport { .. } => "se",
            What::ServiceImport { .. } => "si",
            What::JetStream { .. } => "js",
            What::Egress { .. } => "eg",
        };
        Self { kind, ts, what }
    }

    /// The step, and when it was, to be changed.
    pub(super) fn parts(&mut self) -> (&mut What, &mut Timestamp) {
        (&mut self.what, &mut self.ts)
    }
}

/// The document's members behind `server`.
pub(super) fn members(request: &Request, events: &[Event]) -> String {
    // Structs of strings and numbers always serialise.
    let request = serde_json::to_string(request).unwrap_or_default();
    let events = serde_json::to_string(events).unwrap_or_default();
    stdx::go_text::escape_json(&format!("\"request\":{request},\"events\":{events}"))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn rfc3339<S: serde::Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&at.rfc3339())
}
