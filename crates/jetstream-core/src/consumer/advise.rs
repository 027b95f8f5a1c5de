//! Advisories and metrics about a consumer.
//!
//! Laws: nothing is written unless somebody listens.
//! Not here: the documents (`jetstream_api`).

use jetstream_api::advisory::{
    Action, Advisory, ConsumerAction, ConsumerPause, ConsumerPinned, ConsumerUnpinned, Fact,
    MaxDeliver, Nak, Terminated,
};
use jetstream_api::metric::ConsumerAck;
use jetstream_api::subject::Event;
use jetstream_api::to_json;
use stdx::time::Timestamp;

use super::ack::AckOf;
use super::pin::{Pin, nuid};
use super::{Consumer, Cx};
use crate::out::{Out, Outgoing};

/// Who an advisory is about.
struct About {
    stream: String,
    consumer: String,
    domain: String,
}

impl Consumer {
    /// Sends what `fact` makes, if somebody listens.
    fn advise<S, O: Out, F: Fact>(
        &self,
        event: impl FnOnce(&'_ str, &'_ str) -> String,
        fact: impl FnOnce(About) -> F,
        cx: &mut Cx<'_, S, O>,
    ) {
        let subject = event(&cx.stream.name, &self.name);
        if !cx.out.has_interest(subject.as_bytes()) {
            return;
        }
        let about = About {
            stream: cx.stream.name.clone(),
            consumer: self.name.to_string(),
            domain: cx.facts.domain.clone().unwrap_or_default(),
        };
        let id = nuid(cx.out);
        let advisory = Advisory { id, timestamp: cx.now.wall, fact: fact(about) };
        cx.out.send(Outgoing::new(subject.as_bytes(), b"", &to_json(&advisory)));
    }

    pub(super) fn advise_refused<S, O: Out>(&self, of: AckOf, cx: &mut Cx<'_, S, O>) {
        let event = |stream: &str, consumer: &str| Event::MsgNaked { stream, consumer }.subject();
        let fact = |About { stream, consumer, domain }| Nak {
            stream,
            consumer,
            consumer_seq: of.consumer_seq,
            stream_seq: of.seq,
            deliveries: of.deliveries,
            domain,
        };
        self.advise(event, fact, cx);
    }

    pub(super) fn advise_terminated<S, O: Out>(&self, of: AckOf, why: &str, cx: &mut Cx<'_, S, O>) {
        let event =
            |stream: &str, consumer: &str| Event::MsgTerminated { stream, consumer }.subject();
        let fact = |About { stream, consumer, domain }| Terminated {
            stream,
            consumer,
            consumer_seq: of.consumer_seq,
            stream_seq: of.seq,
            deliveries: of.deliveries,
            reason: why.to_owned(),
            domain,
        };
        self.advise(event, fact, cx);
    }

    pub(super) fn advise_exceeded<S, O: Out>(
        &self,
        seq: u64,
        deliveries: u64,
        cx: &mut Cx<'_, S, O>,
    ) {
        let event =
            |stream: &str, consumer: &str| Event::MaxDeliveries { stream, consumer }.subject();
        let fact = |About { stream, consumer, domain }| MaxDeliver {
            stream,
            consumer,
            stream_seq: seq,
            deliveries,
            domain,
        };
        self.advise(event, fact, cx);
    }

    pub(super) fn advise_pause<S, O: Out>(&self, cx: &mut Cx<'_, S, O>) {
        let event =
            |stream: &str, consumer: &str| Event::ConsumerPause { stream, consumer }.subject();
        let (paused, pause_until) = (self.is_paused(cx.now), self.config.pause_until);
        let fact = |About { stream, consumer, domain }| ConsumerPause {
            stream,
            consumer,
            paused,
            pause_until,
            domain,
        };
        self.advise(event, fact, cx);
    }

    pub(super) fn advise_pinned<S, O: Out>(&self, pin: &Pin, cx: &mut Cx<'_, S, O>) {
        let event =
            |stream: &str, consumer: &str| Event::ConsumerPinned { stream, consumer }.subject();
        let account = cx.facts.account.clone();
        let fact = |About { stream, consumer, domain }| ConsumerPinned {
            account,
            stream,
            consumer,
            domain,
            group: pin.group.clone(),
            pinned_id: pin.id.clone(),
        };
        self.advise(event, fact, cx);
    }

    pub(super) fn advise_unpinned<S, O: Out>(&self, group: &str, why: &str, cx: &mut Cx<'_, S, O>) {
        let event =
            |stream: &str, consumer: &str| Event::ConsumerUnpinned { stream, consumer }.subject();
        let account = cx.facts.account.clone();
        let fact = |About { stream, consumer, domain }| ConsumerUnpinned {
            account,
            stream,
            consumer,
            domain,
            group: group.to_owned(),
            reason: why.to_owned(),
        };
        self.advise(event, fact, cx);
    }

    /// Tells that it was created; the stream says when.
    pub fn advise_created<S, O: Out>(&self, cx: &mut Cx<'_, S, O>) {
        let event =
            |stream: &str, consumer: &str| Event::ConsumerCreated { stream, consumer }.subject();
        self.advise(event, |about| action(about, Action::Create), cx);
    }

    /// Tells that it is paused, if it is.
    pub fn advise_paused<S, O: Out>(&self, cx: &mut Cx<'_, S, O>) {
        if self.is_paused(cx.now) {
            self.advise_pause(cx);
        }
    }

    pub(super) fn advise_deleted<S, O: Out>(&self, cx: &mut Cx<'_, S, O>) {
        let event =
            |stream: &str, consumer: &str| Event::ConsumerDeleted { stream, consumer }.subject();
        self.advise(event, |about| action(about, Action::Delete), cx);
    }

    /// Measures how long an acknowledgement took, for a share of them.
    pub(super) fn sample_ack<S, O: Out>(&self, of: AckOf, since: Timestamp, cx: &mut Cx<'_, S, O>) {
        let share: i64 = self.config.sample_freq.trim_end_matches('%').parse().unwrap_or(0);
        let dice = if (1..100).contains(&share) { cx.out.random() % 100 } else { 0 };
        if share <= 0 || share < 100 && dice > share.unsigned_abs() {
            return;
        }
        let event = |stream: &str, consumer: &str| Event::AckMetric { stream, consumer }.subject();
        let ack_time = cx.now.wall.0.saturating_sub(since.0);
        let fact = |About { stream, consumer, domain }| ConsumerAck {
            stream,
            consumer,
            consumer_seq: of.consumer_seq,
            stream_seq: of.seq,
            ack_time,
            deliveries: of.deliveries,
            domain,
        };
        self.advise(event, fact, cx);
    }
}

fn action(about: About, action: Action) -> ConsumerAction {
    let About { stream, consumer, domain } = about;
    ConsumerAction { stream, consumer, action, domain }
}
