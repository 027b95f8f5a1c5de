//! Latency samples of services: which requests are measured, and the document that is published.
//!
//! Laws: a measured request yields one sample, whatever becomes of it; requests of the server
//!       itself are not measured, so that samples cannot cause samples.
//! Reference: accounts.go ServiceLatency, shouldSample, sendTrackingLatency,
//! sendBackendErrorTrackingLatency.   Contract: ACC-015..017; wire/core.md section 12.

use super::Account;
use super::definition::{LatencyDefinition, Sampling};
use super::request_info::{ClientInfo, Identity};
use crate::conn::Conn;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stdx::time::{Now, Timestamp};
use wire::header;
use wire::info::Info;

/// The headers that asked for a measurement, by canonical name.
pub(crate) type TraceHeader = BTreeMap<String, Vec<String>>;

/// What became of a measured request.
pub(crate) enum Outcome {
    /// An answer came, from this connection.
    Answered(Option<Arc<Conn>>),
    /// It had no reply subject.
    NoReply,
    /// The requester no longer listened.
    InterestLost,
    /// Nobody took the request.
    NoResponder,
    /// No answer came in time.
    Timeout,
}

impl Outcome {
    fn status(&self) -> (u16, &'static str) {
        match self {
            Self::Answered(_) => (200, ""),
            Self::NoReply => (400, "Bad Request"),
            Self::InterestLost => (408, "Request Timeout"),
            Self::NoResponder => (503, "Service Unavailable"),
            Self::Timeout => (504, "Service Timeout"),
        }
    }
}

/// A sample that waits to be published.
pub(crate) struct Sample {
    /// The exporter's account, where it is published.
    pub account: Arc<Account>,
    pub subject: String,
    pub outcome: Outcome,
    pub requestor: Arc<Conn>,
    /// Whether the importer shares who asked.
    pub share: bool,
    pub header: TraceHeader,
    pub asked: Now,
    pub done: Now,
}

/// Samples of one server that wait for the next flush.
#[derive(Default)]
pub(crate) struct Samples {
    waiting: Mutex<Vec<Sample>>,
    any: AtomicBool,
}

impl Samples {
    /// Leaves a sample to be published.
    pub(crate) fn push(&self, sample: Sample) {
        self.waiting.lock().push(sample);
        self.any.store(true, Ordering::Release);
    }

    /// Whether samples wait.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Takes them all.
    pub(crate) fn take(&self) -> Vec<Sample> {
        let mut waiting = self.waiting.lock();
        self.any.store(false, Ordering::Release);
        std::mem::take(&mut *waiting)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    timestamp: String,
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'static str,
    requestor: ClientInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    responder: Option<ClientInfo>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: &'a TraceHeader,
    start: String,
    service: u64,
    system: u64,
    total: u64,
}

impl Sample {
    /// The JSON document. `info` is what the server says of itself, `id` the document's own.
    pub(crate) fn json(&self, info: &Info, id: &str, timestamp: Timestamp) -> String {
        let requestor = Identity { detailed: self.share, ..Identity::default() };
        let requestor = ClientInfo::of(&self.requestor, &requestor, info);
        let asker_rtt = requestor.rtt();
        let (status, description) = self.outcome.status();
        let (mut responder, mut service, mut total) = (None, Duration::ZERO, Duration::ZERO);
        if let Outcome::Answered(by) = &self.outcome {
            let detailed = Identity { detailed: true, ..Identity::default() };
            responder = by.as_ref().map(|conn| ClientInfo::of(conn, &detailed, info));
            let responder_rtt = responder.as_ref().map_or(Duration::ZERO, ClientInfo::rtt);
            let took = self.done.mono.since(self.asked.mono);
            service = took.saturating_sub(responder_rtt);
            total = asker_rtt + took;
        }
        let start = self.asked.wall.0.saturating_sub_unsigned(nanos(asker_rtt));
        let document = Document {
            kind: "io.nats.server.metric.v1.service_latency",
            id,
            timestamp: timestamp.rfc3339(),
            status,
            description,
            requestor,
            responder,
            header: &self.header,
            start: Timestamp(start).rfc3339(),
            service: nanos(service),
            // Time spent in the server itself: no clock is read between the answer and the sample.
            system: 0,
            total: nanos(total),
        };
        stdx::go_text::escape_json(&serde_json::to_string(&document).unwrap_or_default())
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl LatencyDefinition {
    /// Whether a request with this header block is measured, and the headers that decided it.
    /// `percent` is uniform in 0..100.
    // Deliberate difference: the reference measures one percent more than configured.
    pub(crate) fn picks(&self, block: &[u8], percent: impl FnOnce() -> u64) -> Option<TraceHeader> {
        if let Sampling::Percent(share) = self.sampling
            && (share >= 100 || percent() < u64::from(share))
        {
            return Some(TraceHeader::new());
        }
        traced(block)
    }
}

/// The tracing headers of a request, if they ask for it to be sampled.
// Compat(ACC-016): the first family that is present decides.
fn traced(block: &[u8]) -> Option<TraceHeader> {
    if block.is_empty() {
        return None;
    }
    let mut all = TraceHeader::new();
    for (name, value) in header::fields(block) {
        let value = String::from_utf8_lossy(value.trim_ascii()).into_owned();
        all.entry(canonical(name)).or_default().push(value);
    }
    let first = |name: &str| all.get(name).and_then(|values| values.first()).map(String::as_str);
    let keep = |wanted: &dyn Fn(&str) -> bool| {
        let kept = all.iter().filter(|(name, _)| wanted(name));
        Some(kept.map(|(name, values)| (name.clone(), values.clone())).collect())
    };
    const B3: [&str; 4] = ["X-B3-Sampled", "X-B3-Traceid", "X-B3-Parentspanid", "X-B3-Spanid"];
    if let Some(id) = first("Uber-Trace-Id") {
        return uber_sampled(id)
            .then(|| keep(&|name| name == "Uber-Trace-Id" || name.starts_with("Uberctx-")))?;
    }
    match first("X-B3-Sampled") {
        Some("1") => return keep(&|name| B3.contains(&name)),
        Some("0") => return None,
        _ if all.contains_key("X-B3-Traceid") => return keep(&|name| B3.contains(&name)),
        _ => {}
    }
    if let Some(b3) = first("B3") {
        let parts: Vec<&str> = b3.split('-').collect();
        let denied = matches!(parts.as_slice(), ["0"] | [_, _, "0", ..]);
        return if denied { None } else { keep(&|name| name == "B3") };
    }
    let parent = first("Traceparent")?;
    let sampled = match parent.split('-').collect::<Vec<_>>().as_slice() {
        // A signed byte, as the reference reads it: flags from 80 on are out of range.
        [_, _, _, flags] if flags.len() == 2 => {
            i8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)
        }
        _ => false,
    };
    if sampled { keep(&|name| matches!(name, "Traceparent" | "Tracestate")) } else { None }
}

/// Whether the flags of `trace:span:parent:flags` have the sampled bit.
fn uber_sampled(id: &str) -> bool {
    match id.split(':').collect::<Vec<_>>().as_slice() {
        [_, _, _, flags] if matches!(flags.len(), 1 | 2) => {
            flags.bytes().all(|b| b.is_ascii_hexdigit())
                && u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)
        }
        _ => false,
    }
}

/// A header's name as Go's MIME reader spells it: `x-b3-traceid` becomes `X-B3-Traceid`.
fn canonical(name: &[u8]) -> String {
    let mut upper = true;
    let spelled = name.iter().map(|b| {
        let c = if upper { b.to_ascii_uppercase() } else { b.to_ascii_lowercase() };
        upper = *b == b'-';
        c
    });
    String::from_utf8_lossy(&spelled.collect::<Vec<_>>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: ACC-016
    #[test]
    fn tracing_headers_decide() {
        let cases: [(&str, Option<&[&str]>); 17] = [
            ("", None),
            ("Other: 1\r\n", None),
            (
                "uber-trace-id: 479fefe9525eddb:5adb976bfc1f95c1:479fefe9525eddb:1\r\nUberctx-A: x\r\n",
                Some(&["Uber-Trace-Id", "Uberctx-A"]),
            ),
            ("Uber-Trace-Id: a:b:c:03\r\n", Some(&["Uber-Trace-Id"])),
            ("Uber-Trace-Id: a:b:c:2\r\n", None),
            ("Uber-Trace-Id: a:b:c:0\r\nX-B3-Sampled: 1\r\n", None),
            ("Uber-Trace-Id: a:b\r\n", None),
            ("X-B3-Sampled: 1\r\nX-B3-SpanId: 7\r\n", Some(&["X-B3-Sampled", "X-B3-Spanid"])),
            ("X-B3-Sampled: 0\r\nX-B3-TraceId: 7\r\n", None),
            ("X-B3-TraceId: 7\r\n", Some(&["X-B3-Traceid"])),
            ("b3: 80f198ee-e457b5-1-05e3\r\n", Some(&["B3"])),
            ("b3: 80f198ee-e457b5-0-05e3\r\n", None),
            ("b3: 0\r\n", None),
            ("b3: 80f198ee-e457b5\r\n", Some(&["B3"])),
            (
                "traceparent: 00-4bf9-00f0-01\r\ntracestate: v\r\n",
                Some(&["Traceparent", "Tracestate"]),
            ),
            ("traceparent: 00-4bf9-00f0-00\r\n", None),
            ("traceparent: 00-4bf9-00f0-81\r\n", None),
        ];
        let by_header = LatencyDefinition { sampling: Sampling::Headers, subject: "s".into() };
        for (fields, want) in cases {
            let block = format!("NATS/1.0\r\n{fields}\r\n");
            let got = by_header.picks(block.as_bytes(), || 0);
            let names = got.as_ref().map(|h| h.keys().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(names.as_deref(), want, "{fields:?}");
        }
    }

    // Contract: ACC-015
    #[test]
    fn a_share_of_the_requests_is_measured() {
        let of =
            |share| LatencyDefinition { sampling: Sampling::Percent(share), subject: "s".into() };
        let measured = |share| (0..100).filter(|p| of(share).picks(b"", || *p).is_some()).count();
        assert_eq!([measured(1), measured(30), measured(100)], [1, 30, 100]);
        // What was not drawn may still be asked for.
        assert!(of(1).picks(b"NATS/1.0\r\nX-B3-Sampled: 1\r\n\r\n", || 99).is_some());
    }
}
