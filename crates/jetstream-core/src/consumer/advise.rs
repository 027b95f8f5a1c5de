//! Advisories and metrics about a consumer.
//!
//! Laws: nothing is written unless somebody listens.
//! Not here: the documents (`jetstream_api`).

use jetstream_api::subject::Event;
use stdx::time::Timestamp;

use super::ack::AckOf;
use super::pin::{Pin, nuid};
use super::{Consumer, Cx};
use crate::out::{Out, Outgoing};

/// Why a message that waited for its acknowledgement counts as terminated: it left the stream.
pub(super) const GONE: &str = "Unacknowledged message was deleted";
/// The same, found out later.
pub(super) const TRIMMED: &str = "Message deleted by stream limits";

impl Consumer {
    fn advise<S, O: Out>(&self, event: Event<'_>, kind: &str, rest: &str, cx: &mut Cx<'_, S, O>) {
        let subject = event.subject();
        if !cx.out.has_interest(subject.as_bytes()) {
            return;
        }
        let domain = match &cx.facts.domain {
            Some(d) => format!(",\"domain\":\"{d}\""),
            None => String::new(),
        };
        let body = format!(
            "{{\"type\":\"io.nats.jetstream.{kind}\",\"id\":\"{}\",\"timestamp\":\"{}\",\"stream\":\"{}\",\"consumer\":\"{}\"{rest}{domain}}}",
            nuid(cx.out),
            cx.now.wall.rfc3339(),
            cx.stream.name,
            self.name
        );
        cx.out.send(Outgoing::new(subject.as_bytes(), b"", body.as_bytes()));
    }

    pub(super) fn advise_refused<S, O: Out>(&self, of: AckOf, cx: &mut Cx<'_, S, O>) {
        let event = Event::MsgNaked { stream: &cx.stream.name, consumer: &self.name };
        let rest = format!(
            ",\"consumer_seq\":{},\"stream_seq\":{},\"deliveries\":{}",
            of.consumer_seq, of.seq, of.deliveries
        );
        self.advise(event, "advisory.v1.nak", &rest, cx);
    }

    pub(super) fn advise_terminated<S, O: Out>(&self, of: AckOf, why: &str, cx: &mut Cx<'_, S, O>) {
        let event = Event::MsgTerminated { stream: &cx.stream.name, consumer: &self.name };
        let why = if why.is_empty() { String::new() } else { format!(",\"reason\":\"{why}\"") };
        let rest = format!(
            ",\"consumer_seq\":{},\"stream_seq\":{},\"deliveries\":{}{why}",
            of.consumer_seq, of.seq, of.deliveries
        );
        self.advise(event, "advisory.v1.terminated", &rest, cx);
    }

    pub(super) fn advise_exceeded<S, O: Out>(
        &self,
        seq: u64,
        deliveries: u64,
        cx: &mut Cx<'_, S, O>,
    ) {
        let event = Event::MaxDeliveries { stream: &cx.stream.name, consumer: &self.name };
        let rest = format!(",\"stream_seq\":{seq},\"deliveries\":{deliveries}");
        self.advise(event, "advisory.v1.max_deliver", &rest, cx);
    }

    pub(super) fn advise_pause<S, O: Out>(&self, cx: &mut Cx<'_, S, O>) {
        let event = Event::ConsumerPause { stream: &cx.stream.name, consumer: &self.name };
        let until = self.config.pause_until.unwrap_or(jetstream_api::time::ZERO);
        let rest = format!(
            ",\"paused\":{},\"pause_until\":\"{}\"",
            self.is_paused(cx.now),
            jetstream_api::time::rfc3339(until)
        );
        self.advise(event, "advisory.v1.consumer_pause", &rest, cx);
    }

    pub(super) fn advise_pinned<S, O: Out>(&self, pin: &Pin, cx: &mut Cx<'_, S, O>) {
        let event = Event::ConsumerPinned { stream: &cx.stream.name, consumer: &self.name };
        let rest = format!(",\"group\":\"{}\",\"pinned_id\":\"{}\"", pin.group, pin.id);
        self.advise(event, "advisory.v1.consumer_group_pinned", &rest, cx);
    }

    pub(super) fn advise_unpinned<S, O: Out>(&self, group: &str, why: &str, cx: &mut Cx<'_, S, O>) {
        let event = Event::ConsumerUnpinned { stream: &cx.stream.name, consumer: &self.name };
        let rest = format!(",\"group\":\"{group}\",\"reason\":\"{why}\"");
        self.advise(event, "advisory.v1.consumer_group_unpinned", &rest, cx);
    }

    /// Tells that it was created; the stream says when.
    pub fn advise_created<S, O: Out>(&self, cx: &mut Cx<'_, S, O>) {
        let event = Event::ConsumerCreated { stream: &cx.stream.name, consumer: &self.name };
        self.advise(event, "advisory.v1.consumer_action", ",\"action\":\"create\"", cx);
    }

    pub(super) fn advise_deleted<S, O: Out>(&self, cx: &mut Cx<'_, S, O>) {
        let event = Event::ConsumerDeleted { stream: &cx.stream.name, consumer: &self.name };
        self.advise(event, "advisory.v1.consumer_action", ",\"action\":\"delete\"", cx);
    }

    /// Measures how long an acknowledgement took, for a share of them.
    pub(super) fn sample_ack<S, O: Out>(&self, of: AckOf, since: Timestamp, cx: &mut Cx<'_, S, O>) {
        let share: i64 = self.config.sample_freq.trim_end_matches('%').parse().unwrap_or(0);
        let dice = if (1..100).contains(&share) { cx.out.random() % 100 } else { 0 };
        if share <= 0 || share < 100 && dice > share.unsigned_abs() {
            return;
        }
        let event = Event::AckMetric { stream: &cx.stream.name, consumer: &self.name };
        let took = cx.now.wall.0.saturating_sub(since.0);
        let rest = format!(
            ",\"consumer_seq\":{},\"stream_seq\":{},\"ack_time\":{took},\"deliveries\":{}",
            of.consumer_seq, of.seq, of.deliveries
        );
        self.advise(event, "metric.v1.consumer_ack", &rest, cx);
    }
}
