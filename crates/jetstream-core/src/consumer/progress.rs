//! What was delivered and what was acknowledged: the state that lasts.
//!
//! Decide, then apply: rooms beside this one decide from clocks, interest and requests; each
//! decision becomes one `apply_*`, a function of the state and its arguments alone, so that a log
//! can drive replicas through the same states.
//!
//! Laws: `floor <= delivered`; whatever waits lies above the floor and not above delivered.
//! Not here: the bytes of it (the store room's `ConsumerState`).
//! Reference: filestore.go UpdateDelivered, UpdateAcks, SetStarting.

use std::collections::BTreeMap;

use stdx::time::Timestamp;
use store::{ConsumerState, SequencePair};

use super::pending::{Pending, Waiting};

/// How acknowledgements are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Acks {
    /// There are none: delivery is enough.
    None,
    /// One covers all before it.
    All,
    /// Each message has its own.
    #[default]
    Explicit,
}

/// Delivered, acknowledged, waiting, delivered again.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) acks: Acks,
    /// Deliveries after which a message is given up; 0 is never.
    pub(super) max_deliver: u64,
    /// Last consumer sequence used and highest stream sequence delivered.
    pub(super) delivered: SequencePair,
    /// Everything up to here is acknowledged.
    pub(super) floor: SequencePair,
    pub(super) pending: Pending,
    /// Deliveries after the first, by stream sequence; also of messages that were given up.
    pub(super) redelivered: BTreeMap<u64, u64>,
    /// Changed since it was last taken for keeping.
    pub(super) dirty: bool,
}

impl Progress {
    /// As it was kept. Parts that contradict each other are dropped.
    pub(super) fn restore(acks: Acks, max_deliver: u64, state: &ConsumerState) -> Self {
        let mut progress = Self { acks, max_deliver, ..Self::default() };
        progress.delivered = state.delivered;
        progress.floor = SequencePair {
            consumer: state.ack_floor.consumer.min(state.delivered.consumer),
            stream: state.ack_floor.stream.min(state.delivered.stream),
        };
        let range = progress.floor.stream + 1..=state.delivered.stream;
        for (&seq, p) in &state.pending {
            if range.contains(&seq) && acks != Acks::None {
                let consumer = p.consumer_seq.min(state.delivered.consumer);
                progress.pending.note(SequencePair { consumer, stream: seq }, p.ts);
            }
        }
        progress.redelivered = state.redelivered.clone();
        progress
    }

    /// As it is kept.
    pub(super) fn state(&self) -> ConsumerState {
        let pending = self
            .pending
            .iter()
            .map(|w| (w.seq, store::Pending { consumer_seq: w.consumer_seq, ts: w.ts }));
        ConsumerState {
            delivered: self.delivered,
            ack_floor: self.floor,
            pending: pending.collect(),
            redelivered: self.redelivered.clone(),
        }
    }

    /// The delivery of a message for the `count`th time. `at.consumer` is a new consumer sequence,
    /// or, when only the time it waits since changes, the one of its first delivery.
    pub(super) fn apply_delivered(&mut self, at: SequencePair, count: u64, ts: Timestamp) {
        // A replayed log may tell of what is acknowledged already.
        if at.consumer <= self.floor.consumer && self.pending.get(at).is_none() {
            return;
        }
        self.dirty = true;
        let new = at.stream > self.delivered.stream;
        self.delivered.consumer = self.delivered.consumer.max(at.consumer);
        self.delivered.stream = self.delivered.stream.max(at.stream);
        if self.acks == Acks::None {
            self.floor = self.delivered;
            return;
        }
        if new {
            self.pending.note(at, ts);
        } else {
            self.pending.set_time(at, ts);
        }
        if count > 1 {
            if self.max_deliver > 0 && count > self.max_deliver {
                self.pending.remove(at);
            }
            let noted = self.redelivered.entry(at.stream).or_default();
            *noted = (*noted).max(count - 1);
        }
    }

    /// The time of a message that waits begins anew.
    pub(super) fn apply_touched(&mut self, at: SequencePair, ts: Timestamp) {
        self.dirty |= self.pending.set_time(at, ts);
    }

    /// The acknowledgement of a message, or of all up to it. One that does not wait any more is
    /// forgotten to have been given up.
    pub(super) fn apply_ack(&mut self, at: SequencePair) {
        match self.acks {
            Acks::None => {}
            Acks::All => self.ack_through(at),
            Acks::Explicit => self.apply_gone(at),
        }
    }

    fn ack_through(&mut self, at: SequencePair) {
        if at.consumer <= self.floor.consumer || at.stream <= self.floor.stream {
            return;
        }
        self.dirty = true;
        self.floor = SequencePair {
            consumer: at.consumer.min(self.delivered.consumer),
            stream: at.stream.min(self.delivered.stream),
        };
        while self.pending.pop_through(at.stream).is_some() {}
        if !self.redelivered.is_empty() {
            self.redelivered = self.redelivered.split_off(&(at.stream + 1));
        }
    }

    fn raise_floor(&mut self, acked: Waiting) {
        let Some(first) = self.pending.first().copied() else {
            self.floor = self.delivered;
            return;
        };
        // Also past messages that were given up: they are in nobody's way.
        let next = self.floor.consumer + 1;
        if first.consumer_seq > next || acked.consumer_seq == next && acked.seq < first.seq {
            self.floor = match first.consumer_seq {
                0 => SequencePair { consumer: acked.consumer_seq, stream: acked.seq },
                known => SequencePair {
                    consumer: self.floor.consumer.max(known - 1),
                    stream: first.seq - 1,
                },
            };
        }
    }

    /// A message left the stream; what lies before it may still wait.
    pub(super) fn apply_gone(&mut self, at: SequencePair) {
        if !self.redelivered.is_empty() && self.redelivered.remove(&at.stream).is_some() {
            self.dirty = true;
        }
        if let Some(found) = self.pending.remove(at) {
            self.dirty = true;
            self.raise_floor(found);
        }
    }

    /// What was not selected up to `seq` counts as delivered.
    pub(super) fn pass(&mut self, seq: u64) {
        self.delivered.stream = self.delivered.stream.max(seq);
    }

    /// Nothing up to `seq` will be delivered, and nothing there waits.
    pub(super) fn apply_skip(&mut self, seq: u64) {
        self.dirty = true;
        self.floor.stream = self.floor.stream.max(seq);
        self.delivered.stream = self.delivered.stream.max(seq);
        if self.pending.is_empty() {
            self.floor = self.delivered;
        }
    }

    /// The stream lost what came after `last`: nothing behind it was delivered.
    pub(super) fn apply_rollback(&mut self, last: u64) {
        self.dirty = true;
        if self.floor.stream > last {
            self.floor = SequencePair { consumer: self.delivered.consumer, stream: last };
            self.pending.clear();
        }
        let kept: Vec<Waiting> = self.pending.iter().filter(|w| w.seq <= last).copied().collect();
        self.pending.clear();
        let mut delivered = self.floor;
        for w in kept {
            let at = SequencePair { consumer: w.consumer_seq, stream: w.seq };
            self.pending.note(at, w.ts);
            delivered.stream = w.seq;
            delivered.consumer = delivered.consumer.max(w.consumer_seq);
        }
        self.redelivered.retain(|&seq, _| seq <= last);
        self.delivered = delivered;
    }

    /// Begins anew: the next message is the first at or after `next`, with consumer sequence 1.
    pub(super) fn apply_reset(&mut self, next: u64) {
        let before = SequencePair { consumer: 0, stream: next.saturating_sub(1) };
        *self = Self {
            acks: self.acks,
            max_deliver: self.max_deliver,
            delivered: before,
            floor: before,
            dirty: true,
            ..Self::default()
        };
    }

    /// Forgets counts of messages that left the stream.
    pub(super) fn forget_redelivered_before(&mut self, seq: u64) {
        if self.redelivered.first_key_value().is_some_and(|(&first, _)| first < seq) {
            self.redelivered = self.redelivered.split_off(&seq);
            self.dirty = true;
        }
    }

    /// A message that waits for its acknowledgement; its consumer sequence is a hint.
    pub(super) fn find_at(&self, at: SequencePair) -> Option<Waiting> {
        self.pending.get(at).copied()
    }

    /// A message that waits for its acknowledgement.
    pub(super) fn find(&self, seq: u64) -> Option<Waiting> {
        self.pending.get(SequencePair { consumer: 0, stream: seq }).copied()
    }

    /// Deliveries of a message, as advisories count them.
    pub(super) fn deliveries(&self, seq: u64) -> u64 {
        if self.redelivered.is_empty() {
            return 1;
        }
        self.redelivered.get(&seq).copied().unwrap_or(1).max(1)
    }
}
