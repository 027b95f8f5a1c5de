//! The stream or the configuration changes under a consumer.
//!
//! Laws: `num_pending` is exact after each call; nothing that left the stream keeps a consumer
//!       waiting.
//! Reference: consumer.go decStreamPending, purge, checkAckFloor, updateConfig,
//! resetStartingSeqLocked, stopWithFlags; stream.go purgeLocked.

use jetstream_api::advisory::Terminated;
use jetstream_api::{AckPolicy, ConsumerConfig, DeliverPolicy, level};
use stdx::time::Timestamp;
use store::{Filter, MessageStore, SequencePair};

use super::ack::AckOf;
use super::pace::Bucket;
use super::pending::Waiting;
use super::pull::send_status;
use super::timers::SOON;
use super::{Consumer, Cx, Mode, status};
use crate::out::Out;

/// Why a consumer cannot begin anew at a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// The configuration names a later first sequence.
    #[error("below start seq")]
    BelowStartSeq,
    /// The sequence was stored before the first time the configuration names.
    #[error("below start time")]
    BelowStartTime,
    /// The deliver policy does not say where messages lie that may be delivered.
    #[error("not allowed")]
    NotAllowed,
}

impl Consumer {
    /// Messages were stored: `first` to `last` without a gap. `subjects` are asked for only by
    /// consumers with filters. `true` if messages may go.
    pub fn handle_new<'s>(
        &mut self,
        first: u64,
        last: u64,
        subjects: impl IntoIterator<Item = &'s [u8]>,
    ) -> bool {
        let from = self.next.max(first).max(self.counted.saturating_add(1));
        if from > last {
            return false;
        }
        let new = match &self.filter {
            Filter::All => last - from + 1,
            filter => {
                let new =
                    (first..).zip(subjects).filter(|(seq, s)| *seq >= from && filter.matches(s));
                new.count() as u64
            }
        };
        self.num_pending += new;
        new > 0 && self.is_wanted()
    }

    /// A message left the stream, for whatever reason but a purge. `true` if messages may go.
    pub fn handle_removed<S: MessageStore, O: Out>(
        &mut self,
        seq: u64,
        subject: &[u8],
        cx: &mut Cx<'_, S, O>,
    ) -> bool {
        let was_full = self.is_full();
        if self.will_deliver(seq) && self.filter.matches(subject) {
            self.num_pending = self.num_pending.saturating_sub(1);
        }
        match self.progress.find(seq) {
            Some(waits) => self.message_gone(waits, cx),
            None if !self.progress.redelivered.is_empty() => {
                self.progress.apply_gone(SequencePair { consumer: 0, stream: seq });
            }
            None => {}
        }
        was_full && !self.is_full() && self.is_wanted()
    }

    /// A message left the stream because a rollup took its place: as after a purge, nobody is told.
    pub fn handle_rolled(&mut self, seq: u64, subject: &[u8]) {
        if self.will_deliver(seq) && self.filter.matches(subject) {
            self.num_pending = self.num_pending.saturating_sub(1);
        }
        let consumer = self.progress.find(seq).map_or(0, |waits| waits.consumer_seq);
        self.progress.apply_gone(SequencePair { consumer, stream: seq });
        self.redeliver.remove(seq);
    }

    /// Whether a message, if it matches, is yet to be delivered for the first time.
    fn will_deliver(&mut self, seq: u64) -> bool {
        let Some(skip) = &mut self.skip else { return seq >= self.next };
        if seq > skip.resume {
            return true;
        }
        let Ok(place) = skip.seqs.binary_search(&seq) else { return false };
        skip.seqs.remove(place);
        if skip.seqs.is_empty() {
            self.next = skip.resume + 1;
            self.skip = None;
        }
        true
    }

    /// A message that waited for its acknowledgement is not there any more.
    pub(super) fn message_gone<S: MessageStore, O: Out>(
        &mut self,
        waits: Waiting,
        cx: &mut Cx<'_, S, O>,
    ) {
        self.terminate(waits, Terminated::UNACKNOWLEDGED, cx);
    }

    fn terminate<S, O: Out>(&mut self, waits: Waiting, why: &str, cx: &mut Cx<'_, S, O>) {
        let deliveries = self.progress.deliveries(waits.seq);
        let of = AckOf { seq: waits.seq, consumer_seq: waits.consumer_seq, deliveries };
        self.progress.apply_gone(of.at());
        self.redeliver.remove(waits.seq);
        self.note_acked(cx.now.wall);
        self.advise_terminated(of, why, cx);
    }

    /// The stream's first sequence moved, and nobody named the messages that went. `true` if
    /// messages may go.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn handle_trimmed<S: MessageStore, O: Out>(
        &mut self,
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<bool> {
        self.drop_trimmed(cx);
        let first = cx.store.state().first_seq;
        if let Some(skip) = &mut self.skip {
            skip.seqs.retain(|&seq| seq >= first);
            if skip.seqs.is_empty() {
                self.next = skip.resume + 1;
                self.skip = None;
            }
        }
        self.next = self.next.max(first);
        self.count_pending(cx)?;
        Ok(self.is_wanted())
    }

    pub(super) fn drop_trimmed<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        let first = cx.store.state().first_seq;
        while let Some(waits) = self.progress.pending.first().copied().filter(|w| w.seq < first) {
            self.terminate(waits, Terminated::BY_LIMITS, cx);
        }
        self.progress.forget_redelivered_before(first);
    }

    /// The stream was purged; of what `subject` matches, unless that is empty. `true` if messages
    /// may go.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn handle_purge<S: MessageStore, O: Out>(
        &mut self,
        subject: &[u8],
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<bool> {
        let start = self.start_after_purge(subject, cx)?;
        if let Some(skip) = &mut self.skip {
            skip.seqs.retain(|&seq| seq >= start && !is_missing(cx.store, seq));
            if skip.seqs.is_empty() {
                self.next = skip.resume + 1;
                self.skip = None;
            }
        }
        self.next = self.next.max(start);
        let waiting: Vec<Waiting> = self.progress.pending.iter().copied().collect();
        for waits in waiting {
            if waits.seq < start || is_missing(cx.store, waits.seq) {
                let at = SequencePair { consumer: waits.consumer_seq, stream: waits.seq };
                self.progress.apply_gone(at);
                self.redeliver.remove(waits.seq);
                self.last_acked = Some(cx.now.wall);
            }
        }
        self.progress.redelivered.retain(|&seq, _| seq >= start && !is_missing(cx.store, seq));
        self.skip_purged(start);
        self.count_pending(cx)?;
        Ok(self.is_wanted())
    }

    /// Where the first message may be that a purge of `subject`, or of all, left to this consumer.
    fn start_after_purge<S: MessageStore, O: Out>(
        &self,
        subject: &[u8],
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<u64> {
        let state = cx.store.state();
        let filters = self.config.filters();
        let covered = !subject.is_empty()
            && !filters.is_empty()
            && filters.iter().all(|f| subject::is_subset(f.as_bytes(), subject));
        if !covered {
            return Ok(state.first_seq);
        }
        // Nothing this consumer selects is left before what the purge kept.
        Ok(match cx.store.filtered_state(&Filter::parse(subject), state.first_seq)?.first {
            0 => state.last_seq + 1,
            first => first,
        })
    }

    fn skip_purged(&mut self, start: u64) {
        if start > self.progress.floor.stream + 1 || self.progress.pending.is_empty() {
            let skipped = if self.progress.pending.is_empty() { self.next } else { start };
            self.progress.apply_skip(skipped - 1);
        }
    }

    /// A rollup of `subject`, or of all, was stored, and what it replaced was told.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn follow_rollup<S: MessageStore, O: Out>(
        &mut self,
        subject: &[u8],
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<()> {
        if self.skip.is_some() {
            return Ok(());
        }
        let start = self.start_after_purge(subject, cx)?;
        if start > self.next {
            self.next = start;
            self.skip_purged(start);
        }
        Ok(())
    }

    /// Takes over a configuration that was checked against the old one. `true` if messages may go.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn update<S: MessageStore, O: Out>(
        &mut self,
        config: ConsumerConfig,
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<bool> {
        let old = std::mem::replace(&mut *self.config, config);
        let now = cx.now;
        if let Mode::Push(push) = &mut self.mode {
            if old.deliver_subject != self.config.deliver_subject {
                let group = self.config.deliver_group.as_bytes();
                push.active = cx.out.has_subscriber(self.config.deliver_subject.as_bytes(), group);
            }
            if old.rate_limit_bps != self.config.rate_limit_bps {
                let bits = self.config.rate_limit_bps;
                push.rate = Bucket::new(bits, cx.stream.max_msg_size, cx.max_payload, now.mono);
                self.gate = None;
            }
        }
        if old.deliver_subject != self.config.deliver_subject {
            self.expire_all(cx);
        }
        self.progress.max_deliver = self.max_deliver();
        if self.ack_deadline.is_some() {
            self.watch_acks_within(now.mono, SOON);
        }
        if old.inactive_threshold != self.config.inactive_threshold {
            self.set_threshold(old.is_durable(), cx);
        } else if !self.is_wanted() && self.idle_deadline.is_none() {
            self.set_active(self.is_active(), now.mono);
        }
        if old.pause_until != self.config.pause_until {
            self.set_pause(now);
            self.advise_pause(cx);
        }
        if old.filters() != self.config.filters() {
            self.filter = Filter::any_of(self.config.filters().iter().map(|f| f.as_bytes()));
            self.count_pending(cx)?;
        }
        if self.config.sourcing {
            // Its stream asks again for what it has not stored.
            let _allowed = self.reset(0, cx)?;
        }
        Ok(self.is_wanted())
    }

    /// Pauses until a time, or goes on. `true` if messages may go.
    pub fn pause<S: MessageStore, O: Out>(
        &mut self,
        until: Option<Timestamp>,
        cx: &mut Cx<'_, S, O>,
    ) -> bool {
        if self.config.pause_until != until {
            self.config.pause_until = until;
            level::stamp_consumer(&mut self.config);
            self.set_pause(cx.now);
            self.advise_pause(cx);
        }
        !self.is_paused(cx.now) && self.is_wanted()
    }

    /// Everything that waits goes to the new subscriber at once.
    fn expire_all<S, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        let waiting = self.progress.pending.iter();
        let expired = waiting.filter(|w| !self.redeliver.contains(w.seq)).copied().collect();
        self.queue_again(expired, cx);
    }

    /// Begins anew at `seq`, or behind what is acknowledged if that is 0; the sequence that is
    /// looked at next.
    ///
    /// # Errors
    /// The outer one: the store could not be read. The inner one: the policy forbids it.
    pub fn reset<S: MessageStore, O: Out>(
        &mut self,
        seq: u64,
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<Result<u64, ResetError>> {
        let next = match self.reset_to(seq, cx)? {
            Ok(next) => next,
            Err(refused) => return Ok(Err(refused)),
        };
        self.progress.apply_reset(next);
        (self.next, self.settled) = (next, 0);
        self.skip = None;
        self.redeliver.clear();
        self.ack_deadline = None;
        (self.last_delivered, self.last_acked) = (None, None);
        self.count_pending(cx)?;
        Ok(Ok(next))
    }

    fn reset_to<S: MessageStore, O: Out>(
        &self,
        seq: u64,
        cx: &mut Cx<'_, S, O>,
    ) -> store::Result<Result<u64, ResetError>> {
        if seq == 0 {
            return Ok(Ok(self.progress.floor.stream.max(self.settled) + 1));
        }
        let allowed = match self.config.deliver_policy {
            DeliverPolicy::All => Ok(seq),
            DeliverPolicy::ByStartSequence if seq < self.config.opt_start_seq => {
                Err(ResetError::BelowStartSeq)
            }
            DeliverPolicy::ByStartSequence => Ok(seq),
            DeliverPolicy::ByStartTime => {
                let from = self.config.opt_start_time.unwrap_or_default();
                if seq < cx.store.seq_at_time(from)? {
                    Err(ResetError::BelowStartTime)
                } else {
                    Ok(seq)
                }
            }
            _ => Err(ResetError::NotAllowed),
        };
        Ok(allowed)
    }

    /// The consumer is deleted: whoever waits learns it.
    pub fn delete<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        let header = status::plain("409 Consumer Deleted");
        for request in self.take_requests() {
            send_status(&request.reply, &header, cx.out);
        }
        self.advise_deleted(cx);
    }

    /// The server stops: whoever waits learns it, and may ask another server.
    pub fn shut_down<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        for request in self.take_requests() {
            super::pull::end(&request, "409 Server Shutdown", cx.out);
        }
    }

    fn take_requests(&mut self) -> Vec<super::wait::Request> {
        self.pull_mut().map(|p| p.waiting.drain()).unwrap_or_default()
    }

    /// Whether acknowledgements arrive on subjects of their own.
    pub fn takes_acks(&self) -> bool {
        !matches!(self.config.ack_policy, AckPolicy::None | AckPolicy::FlowControl)
    }
}

fn is_missing(store: &mut impl MessageStore, seq: u64) -> bool {
    matches!(store.load(seq), Err(store::Error::NotFound | store::Error::Eof))
}
