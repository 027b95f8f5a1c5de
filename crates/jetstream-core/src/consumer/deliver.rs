//! Hot path. The loop that delivers: while somebody asks or listens, and something is there.
//!
//! Laws: nothing is delivered past a gate; what is to be delivered again goes first; a message that
//!       nobody got stays where it was.
//! Reference: consumer.go loopAndGatherMsgs, getNextMsg, deliverMsg.

use std::time::Duration;

use jetstream_api::subject::Ack;
use jetstream_api::{AckPolicy, StorageType};
use stdx::time::Mono;
use store::{Message, MessageStore, SequencePair};

use super::flow::Flow;
use super::progress::Acks;
use super::serve::Served;
use super::status::put_field;
use super::{Consumer, Cx, Mode};
use crate::out::{Out, Outgoing};

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A deadline was set; requests are left alone.
    Gate,
    /// As many messages wait for their acknowledgement as may.
    Full,
    /// Nothing to deliver, nobody to deliver to, or not allowed to.
    Idle,
    /// The disk would have to be waited for; requests are left alone.
    Cold,
}

/// Buffers of one run of the loop.
struct Buffers {
    /// The subject for the acknowledgement.
    reply: Vec<u8>,
    header: Vec<u8>,
}

/// After a fault of the store or of a subscriber, the next attempt.
const RETRY: Duration = Duration::from_millis(250);

impl Consumer {
    /// Delivers up to `budget` messages; `true` if there may be more to do at once. With reads that
    /// are deferred it may end at one that is cold ([`Self::waits_for_disk`]).
    pub fn deliver<S: MessageStore, O: Out>(
        &mut self,
        budget: usize,
        cx: &mut Cx<'_, S, O>,
    ) -> bool {
        self.is_cold = false;
        let mut stop = self.blocked(cx);
        if stop.is_none() {
            let mut buffers = Buffers { reply: cx.out.scratch(), header: cx.out.scratch() };
            for _ in 0..budget {
                stop = self.blocked(cx).or_else(|| self.deliver_one(&mut buffers, cx).err());
                if stop.is_some() {
                    break;
                }
            }
            cx.out.give_back(buffers.reply);
            cx.out.give_back(buffers.header);
        }
        if let Some(stop) = stop {
            self.rest(stop, cx);
        }
        stop.is_none()
    }

    /// If its next message has to be read from the disk: how many reads that took so far.
    pub fn waits_for_disk(&self) -> Option<u16> {
        self.is_cold.then_some(self.reads)
    }

    /// Whether nothing may be delivered, whatever there is.
    fn blocked<S, O>(&mut self, cx: &Cx<'_, S, O>) -> Option<Stop> {
        if self.is_paused(cx.now) {
            return Some(Stop::Idle);
        }
        if let Some(gate) = self.gate {
            if gate > cx.now.mono {
                return Some(Stop::Gate);
            }
            self.gate = None;
        }
        let open = match &self.mode {
            Mode::Push(push) => push.active && !push.flow.as_ref().is_some_and(Flow::is_closed),
            Mode::Pull(pull) => !pull.waiting.is_empty(),
        };
        (!open).then_some(Stop::Idle)
    }

    fn deliver_one<S: MessageStore, O: Out>(
        &mut self,
        buffers: &mut Buffers,
        cx: &mut Cx<'_, S, O>,
    ) -> Result<(), Stop> {
        let (message, count) = self.choose(cx)?;
        if let Some(replay) = &self.replay
            && let Some(due) = replay.due(message.ts, cx.now.mono)
        {
            return Err(self.close_until(due));
        }
        let pending = self.num_pending.saturating_sub(u64::from(count == 1));
        let at =
            SequencePair { consumer: self.progress.delivered.consumer + 1, stream: message.seq };
        let ack = Ack {
            delivered: count,
            stream_seq: at.stream,
            consumer_seq: at.consumer,
            ts: message.ts.0,
            pending,
            ..Ack::default()
        };
        buffers.reply.clear();
        self.ack_prefix.write(&ack, &mut buffers.reply);
        let size = self.send(&message, pending, buffers, cx)?;
        self.note_delivered(at, count, cx);
        self.note_pushed(size, cx);
        if let Some(replay) = &mut self.replay {
            replay.sent(message.ts, cx.now.mono);
        }
        Ok(())
    }

    /// Sends; the bytes a window counts.
    fn send<S: MessageStore, O: Out>(
        &mut self,
        message: &Message,
        pending: u64,
        buffers: &mut Buffers,
        cx: &mut Cx<'_, S, O>,
    ) -> Result<usize, Stop> {
        let mut outgoing = Outgoing {
            to: b"",
            subject: &message.subject,
            reply: Some(&buffers.reply),
            header: &message.header,
            payload: &message.payload,
            shared: message.header.is_empty().then_some(&message.payload),
        };
        if self.config.headers_only {
            let length = message.payload.len().to_string();
            put_field(&mut buffers.header, &message.header, "Nats-Msg-Size", length.as_bytes());
            outgoing.header = &buffers.header;
            (outgoing.payload, outgoing.shared) = (b"", None);
        }
        let body = buffers.reply.len() + outgoing.header.len() + outgoing.payload.len();
        if matches!(self.mode, Mode::Push(_)) {
            self.push(outgoing, body, cx)?;
            return Ok(self.config.deliver_subject.len() + body);
        }
        match self.serve(outgoing, message.subject.len() + body, pending, cx) {
            Served::Yes => Ok(body),
            Served::No => Err(Stop::Idle),
            Served::Later => Err(self.close_until(cx.now.mono + RETRY)),
        }
    }

    fn push<S: MessageStore, O: Out>(
        &mut self,
        outgoing: Outgoing<'_>,
        body: usize,
        cx: &mut Cx<'_, S, O>,
    ) -> Result<(), Stop> {
        let now = cx.now.mono;
        let to = self.config.deliver_subject.as_bytes();
        let Mode::Push(push) = &mut self.mode else { return Err(Stop::Idle) };
        let rated = outgoing.subject.len() + body;
        if let Some(Err(due)) = push.rate.as_mut().map(|r| r.take(rated, now)) {
            return Err(self.close_until(due));
        }
        if cx.out.send(Outgoing { to, ..outgoing }) {
            return Ok(());
        }
        if let Some(rate) = &mut push.rate {
            rate.give_back(rated);
        }
        // If somebody subscribes after all, nobody will say so: try again.
        if cx.out.has_interest(to) {
            return Err(self.close_until(now + RETRY));
        }
        self.set_active(false, now);
        Err(Stop::Idle)
    }

    fn close_until(&mut self, due: Mono) -> Stop {
        self.gate = Some(due);
        Stop::Gate
    }

    /// The next message and the number of this delivery. It stays where it is.
    fn choose<S: MessageStore, O: Out>(
        &mut self,
        cx: &mut Cx<'_, S, O>,
    ) -> Result<(Message, u64), Stop> {
        while let Some(seq) = self.redeliver.peek() {
            if let Some(found) = self.choose_again(seq, cx)? {
                return Ok(found);
            }
        }
        if self.is_full() {
            return Err(Stop::Full);
        }
        while let Some(seq) = self.skip.as_ref().and_then(|s| s.seqs.front().copied()) {
            match cx.store.load(seq) {
                Ok(message) => return Ok((message, 1)),
                Err(store::Error::NotFound | store::Error::Eof) => {
                    self.num_pending = self.num_pending.saturating_sub(1);
                    self.pass_over(seq);
                }
                Err(e) => return Err(self.trouble(seq, &e, cx)),
            }
        }
        match cx.store.next(&self.filter, self.next) {
            Ok(Some(message)) => Ok((message, 1)),
            Ok(None) => {
                self.next = self.next.max(cx.store.state().last_seq + 1);
                self.num_pending = 0;
                // Compat(CONS-034): in a file the reference stays where it was.
                if cx.stream.storage == StorageType::Memory {
                    self.progress.pass(self.next - 1);
                }
                Err(Stop::Idle)
            }
            Err(e) => {
                if let (store::Error::Cold(reached), None) = (&e, &self.skip) {
                    // What it selects is not before: the next time it is looked for from there.
                    self.next = self.next.max(*reached);
                }
                Err(self.trouble(self.next, &e, cx))
            }
        }
    }

    fn choose_again<S: MessageStore, O: Out>(
        &mut self,
        seq: u64,
        cx: &mut Cx<'_, S, O>,
    ) -> Result<Option<(Message, u64)>, Stop> {
        let Some(waits) = self.progress.find(seq) else {
            self.redeliver.remove(seq);
            return Ok(None);
        };
        let count = self.progress.redelivered.get(&seq).copied().unwrap_or(0) + 2;
        let max = self.progress.max_deliver;
        if max > 0 && count > max {
            self.give_up(waits, count, count == max + 1, cx);
            return Ok(None);
        }
        match cx.store.load(seq) {
            Ok(message) => Ok(Some((message, count))),
            Err(store::Error::NotFound | store::Error::Eof) => {
                self.message_gone(waits, cx);
                Ok(None)
            }
            Err(e) => Err(self.trouble(seq, &e, cx)),
        }
    }

    fn trouble<S, O: Out>(&mut self, seq: u64, e: &store::Error, cx: &mut Cx<'_, S, O>) -> Stop {
        if matches!(e, store::Error::Cold(_)) {
            self.is_cold = true;
            self.reads = self.reads.saturating_add(1);
            return Stop::Cold;
        }
        if self.trouble.is_none() {
            self.warn(cx, format_args!("cannot read message {seq}: {e}; trying again"));
        }
        self.trouble = Some(format!("message {seq}: {e}").into());
        self.close_until(cx.now.mono + RETRY)
    }

    /// A message that is not delivered is behind.
    fn pass_over(&mut self, seq: u64) {
        match &mut self.skip {
            None => self.next = seq + 1,
            Some(skip) => {
                skip.seqs.pop_front();
                self.next = seq + 1;
                if skip.seqs.is_empty() {
                    self.next = skip.resume + 1;
                    self.skip = None;
                }
            }
        }
    }

    /// A client got a message.
    fn note_delivered<S: MessageStore, O: Out>(
        &mut self,
        at: SequencePair,
        count: u64,
        cx: &mut Cx<'_, S, O>,
    ) {
        (self.trouble, self.reads) = (None, 0);
        self.last_delivered = Some(cx.now.wall);
        if count == 1 {
            self.num_pending = self.num_pending.saturating_sub(1);
            self.pass_over(at.stream);
        } else {
            self.redeliver.remove(at.stream);
        }
        self.progress.apply_delivered(at, count, cx.now.wall);
        match self.progress.acks {
            Acks::None => {
                if cx.counts_acks() {
                    cx.done.push(at.stream);
                }
            }
            _ if self.config.ack_policy == AckPolicy::FlowControl => {}
            _ => self.watch_ack(at.stream, cx.now.mono),
        }
        if let Mode::Pull(pull) = &mut self.mode {
            pull.last_used = cx.now.mono;
        }
    }

    /// The loop ended.
    fn rest<S: MessageStore, O: Out>(&mut self, stop: Stop, cx: &mut Cx<'_, S, O>) {
        if self.replay.as_ref().is_some_and(|r| r.is_over(self.next)) {
            self.replay = None;
        }
        let now = cx.now.mono;
        let Mode::Pull(pull) = &self.mode else { return };
        let (has_no_wait, is_due) = (pull.waiting.has_no_wait(), pull.waiting.is_due(now));
        if stop == Stop::Idle && has_no_wait {
            self.end_no_wait(cx);
        } else if is_due {
            self.sweep(false, cx);
        }
    }
}
