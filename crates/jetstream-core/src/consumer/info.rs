//! What a consumer says about itself.
//!
//! Reference: consumer.go infoWithSnapAndReply.

use jetstream_api::{ConsumerInfo, Nanos, PriorityGroupState, SequenceInfo};
use stdx::time::{Now, Timestamp};
use store::MessageStore;

use super::{Consumer, Cx, Mode};
use crate::out::Out;

/// Why a consumer delivers nothing, or that it would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything it selects was delivered.
    UpToDate,
    /// Messages are there, and somebody to deliver them to.
    Delivering,
    /// Until a time.
    Paused(Timestamp),
    /// Nobody subscribes to its deliver subject.
    NobodySubscribes,
    /// No request waits.
    NobodyAsks,
    /// As many messages wait for their acknowledgement as may.
    MaxAckPending(usize),
    /// The subscriber has not answered this flow control request.
    FlowControl(String),
    /// Its rate limit or replay policy holds messages back until then, nanoseconds from now.
    Pace(u64),
    /// Requests wait, but only those of the pinned client are served.
    Pinned(String),
    /// Requests wait, but none takes messages as things are: too few wait for them.
    Overflow,
    /// The store could not read a message; tried again.
    Trouble(String),
    /// The disk is being read for the next message.
    Reading,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UpToDate => f.write_str("up to date"),
            Self::Delivering => f.write_str("delivering"),
            Self::Paused(until) => write!(f, "paused until {}", until.rfc3339()),
            Self::NobodySubscribes => f.write_str("nobody subscribes to the deliver subject"),
            Self::NobodyAsks => f.write_str("no pull request waits"),
            Self::MaxAckPending(n) => {
                write!(f, "max_ack_pending: {n} messages wait for their acknowledgement")
            }
            Self::FlowControl(id) => write!(f, "flow control: no answer on {id}"),
            Self::Pace(ns) => {
                write!(f, "pace: next message in {}", Nanos(i64::try_from(*ns).unwrap_or(i64::MAX)))
            }
            Self::Pinned(id) => write!(f, "pinned to client {id}, which does not ask"),
            Self::Overflow => f.write_str("no waiting request's priority is reached"),
            Self::Trouble(what) => write!(f, "cannot read {what}"),
            Self::Reading => f.write_str("reads the next message from the disk"),
        }
    }
}

impl Consumer {
    /// The information clients see. Requests that nobody listens for are dropped first.
    pub fn info<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) -> ConsumerInfo {
        self.sweep(false, cx);
        let now = cx.now.wall;
        let (delivered, floor) = (self.progress.delivered, self.progress.floor);
        let part = |at: store::SequencePair, last_active| SequenceInfo {
            consumer_seq: at.consumer,
            stream_seq: at.stream,
            last_active,
        };
        let pause = self.config.pause_until.filter(|until| now < *until);
        let (num_waiting, pin) = match &self.mode {
            Mode::Pull(pull) => (pull.waiting.len(), pull.pin.as_ref()),
            Mode::Push(_) => (0, None),
        };
        let group = self.config.priority_groups.first().map(|group| PriorityGroupState {
            group: group.clone(),
            pinned_client_id: pin.map(|p| p.id.clone()).unwrap_or_default(),
            pinned_ts: pin.map(|p| p.since),
        });
        // With one delivery there is no second: the counts only mark what was given up.
        let again = if self.config.max_deliver == 1 { 0 } else { self.progress.redelivered.len() };
        ConsumerInfo {
            stream_name: cx.stream.name.clone(),
            name: self.name.to_string(),
            created: Some(self.created),
            config: Some((*self.config).clone()),
            delivered: part(delivered, self.last_delivered),
            ack_floor: part(floor, self.last_acked),
            num_ack_pending: count(self.progress.pending.len()),
            num_redelivered: count(again),
            num_waiting: count(num_waiting),
            num_pending: self.num_pending,
            // Compat: one server alone names itself for streams, not for consumers.
            cluster: None,
            push_bound: self.is_active(),
            paused: pause.is_some(),
            pause_remaining: Nanos(pause.map_or(0, |until| until.0.saturating_sub(now.0))),
            ts: Some(now),
            priority_groups: group.into_iter().collect(),
        }
    }

    /// Messages it will deliver for the first time.
    pub fn num_pending(&self) -> u64 {
        self.num_pending
    }

    /// Requests that wait.
    pub fn num_waiting(&self) -> usize {
        match &self.mode {
            Mode::Pull(pull) => pull.waiting.len(),
            Mode::Push(_) => 0,
        }
    }

    /// Why nothing is delivered, if nothing is.
    pub fn standing(&self, now: Now) -> Standing {
        if let Some(until) = self.config.pause_until.filter(|until| now.wall < *until) {
            return Standing::Paused(until);
        }
        if self.num_pending == 0 && self.redeliver.is_empty() {
            return Standing::UpToDate;
        }
        if let Some(what) = &self.trouble {
            return Standing::Trouble(what.to_string());
        }
        match &self.mode {
            Mode::Push(push) if !push.active => return Standing::NobodySubscribes,
            Mode::Push(push) => {
                if let Some(flow) = push.flow.as_ref().filter(|f| f.is_closed()) {
                    return Standing::FlowControl(flow.stalled().unwrap_or_default().to_owned());
                }
            }
            Mode::Pull(pull) if pull.waiting.is_empty() => return Standing::NobodyAsks,
            Mode::Pull(_) => {}
        }
        if self.redeliver.is_empty() && self.is_full() {
            return Standing::MaxAckPending(self.progress.pending.len());
        }
        if let Some(gate) = self.gate.filter(|gate| *gate > now.mono) {
            return Standing::Pace(gate.0 - now.mono.0);
        }
        if self.is_cold {
            return Standing::Reading;
        }
        self.held_back().unwrap_or(Standing::Delivering)
    }

    /// Requests wait, but priorities keep all of them from being served.
    fn held_back(&self) -> Option<Standing> {
        let Mode::Pull(pull) = &self.mode else { return None };
        let mut groups = pull.waiting.iter().map(|r| r.group.as_deref());
        match (self.config.priority_policy, &pull.pin) {
            (jetstream_api::PriorityPolicy::PinnedClient, Some(pin)) => {
                let asks = groups.any(|g| g.is_some_and(|g| g.id == pin.id));
                (!asks).then(|| Standing::Pinned(pin.id.clone()))
            }
            (jetstream_api::PriorityPolicy::Overflow, _) => {
                let waits = pull.waiting.iter().all(|r| {
                    !super::serve::overflows(
                        r,
                        self.num_pending.saturating_sub(1),
                        self.progress.pending.len(),
                    )
                });
                waits.then_some(Standing::Overflow)
            }
            _ => None,
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
