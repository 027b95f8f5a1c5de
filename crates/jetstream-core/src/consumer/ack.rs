//! Acknowledgements of every kind.
//!
//! Laws: one that is out of range changes nothing; one for what is acknowledged already is
//!       confirmed again.
//! Reference: consumer.go processAck, processAckMsg, processNak, processTerm, progressUpdate.

use jetstream_api::AckPolicy;
use jetstream_api::ack_body::{AckBody, NakDelay};
use stdx::time::Timestamp;
use store::{MessageStore, SequencePair};

use super::progress::Acks;
use super::{Consumer, Cx};
use crate::out::Out;

/// Which delivery an acknowledgement is about, as its subject says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckOf {
    /// Stream sequence.
    pub seq: u64,
    /// Consumer sequence.
    pub consumer_seq: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

impl From<&jetstream_api::subject::Ack<'_>> for AckOf {
    fn from(ack: &jetstream_api::subject::Ack<'_>) -> Self {
        Self { seq: ack.stream_seq, consumer_seq: ack.consumer_seq, deliveries: ack.delivered }
    }
}

impl AckOf {
    pub(super) fn at(self) -> SequencePair {
        SequencePair { consumer: self.consumer_seq, stream: self.seq }
    }
}

impl Consumer {
    /// An acknowledgement. `true` if messages may go.
    pub fn handle_ack<S: MessageStore, O: Out>(
        &mut self,
        of: AckOf,
        body: &[u8],
        reply: &[u8],
        cx: &mut Cx<'_, S, O>,
    ) -> bool {
        if matches!(self.config.ack_policy, AckPolicy::None | AckPolicy::FlowControl) {
            return false;
        }
        self.postpone_deletion(cx.now.mono);
        let was_full = self.is_full();
        // Nothing has the sequence 0. Compat(CONS-041): who acknowledges it one by one is answered.
        let mut confirm = of.seq > 0;
        match AckBody::parse(body) {
            AckBody::Ack => {
                let is_one = matches!(self.progress.acks, Acks::Explicit);
                confirm = self.acknowledge(of, true, cx) && (confirm || is_one);
            }
            AckBody::Next(request) => {
                self.acknowledge(of, true, cx);
                let pulled = self.handle_pull(b"", request, reply, cx);
                return pulled || was_full && self.is_wanted();
            }
            AckBody::Nak(delay) => self.refuse(of, delay, cx),
            AckBody::Progress => {
                self.progress.apply_touched(of.at(), cx.now.wall);
            }
            AckBody::Term(reason) => {
                confirm &= self.acknowledge(of, false, cx);
                self.advise_terminated(of, &reason, cx);
            }
            // Not an acknowledgement, but its sender may wait for an answer.
            AckBody::Unknown => {}
        }
        if confirm && !reply.is_empty() {
            cx.out.tell(reply, b"");
        }
        self.is_wanted() && (was_full && !self.is_full() || !self.redeliver.is_empty())
    }

    /// A message, or all up to it, is done. `false` if it was not delivered yet.
    pub(super) fn acknowledge<S: MessageStore, O: Out>(
        &mut self,
        of: AckOf,
        sample: bool,
        cx: &mut Cx<'_, S, O>,
    ) -> bool {
        if of.seq >= self.next && !self.config.flow_control {
            let last = cx.store.state().last_seq;
            if of.seq > last {
                let seq = of.seq;
                self.warn(
                    cx,
                    format_args!("ACK sequence {seq} past last stream sequence of {last}"),
                );
            }
            return false;
        }
        match self.progress.acks {
            Acks::None => return true,
            Acks::Explicit => self.acknowledge_one(of, sample, cx),
            Acks::All => {
                let floor = self.progress.floor;
                // An answer to flow control may say anything.
                let seq = of.seq.min(self.progress.delivered.stream);
                if of.consumer_seq <= floor.consumer || seq <= floor.stream {
                    return true;
                }
                self.acknowledge_through(AckOf { seq, ..of }, cx);
            }
        }
        self.note_acked(cx.now.wall);
        true
    }

    /// Once nothing waits, what was looked at and not selected is acknowledged, too.
    pub(super) fn note_acked(&mut self, now: Timestamp) {
        self.last_acked = Some(now);
        if self.progress.pending.is_empty() {
            self.settled = self.next - 1;
        }
    }

    fn acknowledge_one<S: MessageStore, O: Out>(
        &mut self,
        of: AckOf,
        sample: bool,
        cx: &mut Cx<'_, S, O>,
    ) {
        if sample
            && !self.config.sample_freq.is_empty()
            && let Some(waits) = self.progress.pending.get(of.at()).copied()
        {
            self.sample_ack(of, waits.ts, cx);
        }
        // A message that was never this consumer's is not its to free.
        let frees = cx.counts_acks()
            && (self.progress.find_at(of.at()).is_some()
                || self.progress.redelivered.contains_key(&of.seq));
        self.progress.apply_ack(of.at());
        self.redeliver.remove(of.seq);
        if frees {
            cx.done.push(of.seq);
        }
    }

    fn acknowledge_through<S: MessageStore, O: Out>(&mut self, of: AckOf, cx: &mut Cx<'_, S, O>) {
        if cx.counts_acks() {
            let waiting = self.progress.pending.iter().map(|w| w.seq);
            cx.done.extend(waiting.take_while(|&seq| seq <= of.seq));
        }
        self.redeliver.retain(|seq| seq > of.seq);
        self.progress.apply_ack(of.at());
    }

    /// A client does not want a message now.
    fn refuse<S: MessageStore, O: Out>(
        &mut self,
        of: AckOf,
        delay: NakDelay<'_>,
        cx: &mut Cx<'_, S, O>,
    ) {
        let (floor, delivered) = (self.progress.floor, self.progress.delivered);
        // The reference bears with the sequence that comes next, too.
        if of.consumer_seq <= floor.consumer || of.consumer_seq > delivered.consumer + 1 {
            return;
        }
        if self.progress.pending.get(of.at()).is_none() {
            return;
        }
        self.advise_refused(of, cx);
        match delay {
            NakDelay::None => {}
            NakDelay::Unreadable(text) => {
                let text = String::from_utf8_lossy(text);
                self.warn(cx, format_args!("bad NAK delay value: {text:?}"));
            }
            NakDelay::After(delay) => {
                self.redeliver.remove(of.seq);
                // What waited for all its time is due now: the delay counts from there.
                let wait = self.config.ack_wait.0;
                let ts = cx.now.wall.0.saturating_sub(wait).saturating_add(delay.0);
                self.progress.apply_touched(of.at(), Timestamp(ts));
                self.watch_acks_within(cx.now.mono, super::timers::SOON);
                return;
            }
        }
        self.redeliver.push(of.seq);
    }
}
