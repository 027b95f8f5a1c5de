//! Time passes: acknowledgements that did not come, requests that end, silence, disuse.
//!
//! Laws: whatever waits for time has a deadline here; a deadline may come too early, never too late.
//! Reference: consumer.go checkPending, updateInactiveThreshold, deleteNotActive.

use std::time::Duration;

use jetstream_api::AckPolicy;
use stdx::time::{Mono, Now, Timestamp};
use store::{MessageStore, SequencePair};

use super::pending::Waiting;
use super::progress::Acks;
use super::{Consumer, Cx, Mode};
use crate::out::Out;

/// What is to be done after a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Messages may go.
    pub deliver: bool,
    /// Nobody used the consumer for as long as that may be: delete it.
    pub delete: bool,
}

/// Messages that become due together are redelivered together.
const ACK_SLACK: Duration = Duration::from_millis(1);
/// A changed time is looked at after this.
pub(super) const SOON: Duration = Duration::from_millis(10);
/// An ephemeral consumer lives this long without a client.
pub(super) const EPHEMERAL: Duration = Duration::from_secs(5);

impl Consumer {
    /// When [`Self::tick`] must be called, if ever.
    pub fn next_deadline(&self) -> Option<Mono> {
        let own = [self.ack_deadline, self.pause_deadline, self.idle_deadline, self.gate];
        let of_mode = match &self.mode {
            Mode::Pull(pull) => [pull.waiting.deadline(), pull.pin.as_ref().map(|p| p.until)],
            Mode::Push(push) => [push.heartbeat, None],
        };
        own.into_iter().chain(of_mode).flatten().min()
    }

    /// A deadline may have passed.
    pub fn tick<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) -> Tick {
        let now = cx.now;
        let mut deliver = false;
        if self.pause_deadline.is_some_and(|at| at <= now.mono) {
            self.set_pause(now);
            if self.pause_deadline.is_none() {
                self.advise_pause(cx);
                deliver = true;
            }
        }
        if self.ack_deadline.is_some_and(|at| at <= now.mono) {
            deliver |= self.check_acks(cx);
        }
        if self.gate.is_some_and(|at| at <= now.mono) {
            self.gate = None;
            deliver = true;
        }
        match &self.mode {
            Mode::Pull(pull) => {
                if pull.waiting.is_due(now.mono) {
                    self.sweep(true, cx);
                }
                deliver |= self.pin_expired(cx);
            }
            Mode::Push(push) => {
                if push.heartbeat.is_some_and(|at| at <= now.mono) {
                    self.push_is_silent(cx);
                }
            }
        }
        let delete = self.idle_deadline.is_some_and(|at| at <= now.mono) && self.is_unused(cx);
        Tick { deliver: deliver && self.is_wanted(), delete }
    }

    /// How long the message may wait for its acknowledgement; zero is for ever.
    fn ack_wait(&self, seq: u64) -> Duration {
        let Some(last) = self.config.backoff.len().checked_sub(1) else {
            return self.config.ack_wait.as_duration();
        };
        let again = match self.progress.redelivered.is_empty() {
            true => 0,
            false => self.progress.redelivered.get(&seq).copied().unwrap_or(0),
        };
        let step = usize::try_from(again).unwrap_or(last).min(last);
        self.config.backoff.get(step).map_or(Duration::ZERO, |n| n.as_duration())
    }

    /// Whether messages are delivered again at all.
    fn redelivers(&self) -> bool {
        self.progress.acks != Acks::None
            && self.config.ack_policy != AckPolicy::FlowControl
            && self.config.ack_wait.0 > 0
    }

    /// A message began to wait.
    pub(super) fn watch_ack(&mut self, seq: u64, now: Mono) {
        if self.redelivers() {
            let within = self.ack_wait(seq) + ACK_SLACK;
            self.watch_acks_within(now, within);
        }
    }

    /// Messages that wait are looked through no later than this.
    pub(super) fn watch_acks_within(&mut self, now: Mono, within: Duration) {
        let due = now + within;
        self.ack_deadline = Some(self.ack_deadline.map_or(due, |at| at.min(due)));
    }

    /// Messages waited already when the consumer began.
    pub(super) fn watch_acks<S, O>(&mut self, cx: &Cx<'_, S, O>) {
        if self.redelivers() && !self.progress.pending.is_empty() {
            self.watch_acks_within(cx.now.mono, Duration::ZERO);
        }
    }

    /// Looks for messages that waited too long; `true` if messages may go: one again, or a new one
    /// in the place of one that was given up.
    fn check_acks<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) -> bool {
        self.ack_deadline = None;
        if !self.redelivers() {
            return false;
        }
        let was_full = self.is_full();
        self.drop_trimmed(cx);
        let (expired, next) = self.expired(cx.now.wall);
        let again = self.queue_again(expired, cx);
        if self.progress.pending.is_empty() {
            self.redeliver.clear();
        } else {
            self.watch_acks_within(cx.now.mono, next.max(ACK_SLACK));
        }
        again || was_full && !self.is_full()
    }

    /// Messages that waited too long, and when to look again.
    fn expired(&self, now: Timestamp) -> (Vec<Waiting>, Duration) {
        let plain = self.config.backoff.is_empty();
        let longest = self.config.backoff.last().copied().unwrap_or(self.config.ack_wait);
        let mut next = longest.as_duration() + ACK_SLACK;
        let mut expired = Vec::new();
        for waits in self.progress.pending.iter() {
            let wait = self.ack_wait(waits.seq);
            let elapsed = now.0.saturating_sub(waits.ts.0);
            let left = i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX).saturating_sub(elapsed);
            if left > 0 {
                next = next.min(Duration::from_nanos(left.unsigned_abs()));
                if plain && self.progress.pending.is_ordered() {
                    break;
                }
            } else if !self.redeliver.contains(waits.seq) {
                expired.push(*waits);
                next = next.min(self.ack_wait_after(waits.seq));
            }
        }
        (expired, next)
    }

    /// How long a message waits once it was delivered again.
    fn ack_wait_after(&self, seq: u64) -> Duration {
        let last = self.config.backoff.len().saturating_sub(1);
        let again = self.progress.redelivered.get(&seq).copied().unwrap_or(0).saturating_add(1);
        let step = usize::try_from(again).unwrap_or(last).min(last);
        self.config.backoff.get(step).map_or(self.config.ack_wait, |n| *n).as_duration()
    }

    /// Queues what waited too long, unless it was delivered often enough.
    pub(super) fn queue_again<S, O: Out>(
        &mut self,
        mut expired: Vec<Waiting>,
        cx: &mut Cx<'_, S, O>,
    ) -> bool {
        let max = self.progress.max_deliver;
        if max > 0 {
            expired.retain(|waits| {
                let count = self.progress.deliveries(waits.seq);
                if count >= max {
                    self.give_up(*waits, count + 1, count == max, cx);
                }
                count < max
            });
        }
        let Some(first) = expired.first() else { return false };
        // Times move by the same step, so that they keep their order.
        let step = cx.now.wall.0.saturating_sub(first.ts.0);
        for waits in &expired {
            self.redeliver.push(waits.seq);
            let at = SequencePair { consumer: waits.consumer_seq, stream: waits.seq };
            let ts = Timestamp(waits.ts.0.saturating_add(step));
            self.progress.pending.set_time(at, ts);
        }
        true
    }

    /// A message would be delivered the `count`th time, which is too often.
    pub(super) fn give_up<S, O: Out>(
        &mut self,
        waits: Waiting,
        count: u64,
        tell: bool,
        cx: &mut Cx<'_, S, O>,
    ) {
        if tell {
            self.advise_exceeded(waits.seq, count - 1, cx);
        }
        let at = SequencePair { consumer: waits.consumer_seq, stream: waits.seq };
        self.progress.apply_delivered(at, count, waits.ts);
        self.redeliver.remove(waits.seq);
        self.last_delivered = Some(cx.now.wall);
    }

    /// Sets when the pause ends, if there is one.
    pub(super) fn set_pause(&mut self, now: Now) {
        self.pause_deadline =
            self.config.pause_until.filter(|until| now.wall < *until).map(|until| {
                let left = until.0.saturating_sub(now.wall.0);
                now.mono + Duration::from_nanos(left.unsigned_abs())
            });
    }

    /// Sets how long the consumer lives without a client, and begins to count.
    pub(super) fn set_threshold<S, O: Out>(&mut self, durable: bool, cx: &mut Cx<'_, S, O>) {
        let jitter = Duration::from_millis(100 + cx.out.random() % 900);
        let asked = self.config.inactive_threshold.as_duration();
        self.threshold = match (asked.is_zero(), durable) {
            (true, true) => Duration::ZERO,
            (true, false) => {
                self.config.inactive_threshold = EPHEMERAL.into();
                EPHEMERAL + jitter
            }
            (false, _) if self.config.is_pull() => asked + jitter,
            (false, _) => asked,
        };
        let counts = !self.threshold.is_zero() && !self.is_active();
        self.idle_deadline = counts.then(|| cx.now.mono + self.threshold);
    }

    /// An acknowledgement is use.
    pub(super) fn postpone_deletion(&mut self, now: Mono) {
        if self.idle_deadline.is_some() {
            self.idle_deadline = Some(now + self.threshold);
        }
        if let Mode::Pull(pull) = &mut self.mode {
            pull.last_used = now;
        }
    }

    /// The subscriber of a push consumer came or went. `true` if messages may go.
    pub fn handle_interest(&mut self, active: bool, now: Now) -> bool {
        matches!(self.mode, Mode::Push(_)) && self.set_active(active, now.mono)
    }

    pub(super) fn set_active(&mut self, active: bool, now: Mono) -> bool {
        let Mode::Push(push) = &mut self.mode else { return false };
        push.active = active;
        if active {
            self.idle_deadline = None;
        } else if self.idle_deadline.is_none() && !self.threshold.is_zero() {
            self.idle_deadline = Some(now + self.threshold);
        }
        active
    }

    /// Whether the consumer may go; if not, when to ask again.
    fn is_unused<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) -> bool {
        let now = cx.now.mono;
        let used = match &self.mode {
            // The threshold passed since its subscriber went.
            Mode::Push(push) => {
                self.idle_deadline = None;
                return !push.active;
            }
            Mode::Pull(pull) => pull.last_used,
        };
        let mut due = used + self.threshold;
        if due <= now {
            self.sweep(true, cx);
            due = match &self.mode {
                Mode::Pull(pull) if !pull.waiting.is_empty() => now + self.threshold,
                _ => self.last_ack_due(cx.now).map_or(now, |at| at + self.threshold),
            };
        }
        if due <= now {
            return true;
        }
        self.idle_deadline = Some(due);
        false
    }

    /// When the last acknowledgement of all is due: until then a client may be at work.
    fn last_ack_due(&self, now: Now) -> Option<Mono> {
        let due = self.progress.pending.iter().map(|w| {
            let wait = i64::try_from((self.ack_wait(w.seq) + ACK_SLACK).as_nanos());
            w.ts.0.saturating_add(wait.unwrap_or(i64::MAX))
        });
        let left = due.max()?.saturating_sub(now.wall.0);
        Some(match u64::try_from(left) {
            Ok(left) => now.mono + Duration::from_nanos(left),
            Err(_) => Mono(now.mono.0.saturating_sub(left.unsigned_abs())),
        })
    }
}
