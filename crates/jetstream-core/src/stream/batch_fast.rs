//! Fast batches: a publisher that sends ahead, and hears now and then how far it is stored.
//!
//! Every message says in its reply subject what it is; each is stored when it comes.
//! Laws: acknowledgements tell of what is stored; a batch that ends, ends in one last answer.
//! Reference: stream.go processJetStreamFastBatchMsg, jetstream_batching.go fastBatch.   Parity: FAST-*.

use jetstream_api::client_info::ClientInfo;
use jetstream_api::fast_batch::{BadPattern, FastBatch, Operation};
use jetstream_api::pub_ack::{BatchFlowAck, BatchFlowErr, BatchFlowGap};
use jetstream_api::{ApiError, json, level};
use stdx::time::{Mono, Now};
use store::disk::Disk;

use super::Stream;
use super::batch::{Kind, MAX_ID, Slot};
use super::batch_check::{Plan, Refused};
use super::header::{self, Fields};
use super::ingest::{Incoming, Limits, Refusal, Via};
use super::pub_ack;
use crate::out::Out;

/// Messages between two answers at most, shared by all batches of a stream.
const MOST: u16 = 500;

/// A batch that is under way.
pub(super) struct Fast {
    pub(super) deadline: Mono,
    gap_ok: bool,
    /// Messages between two answers that the client wishes, and that it gets.
    wished: u16,
    flow: u16,
    /// The highest number that came, that is stored, and that was told.
    came: u64,
    stored: u64,
    told: u64,
    /// The sequence of what was stored last.
    stream_seq: u64,
    _slot: Slot,
}

/// Whether the batch goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    GoesOn,
    Over,
}

impl Fast {
    /// Tells how far the batch is stored, if it is time. `open` batches share what is to be had.
    fn tell<O: Out>(&mut self, open: usize, reply: &[u8], out: &mut O) -> bool {
        let flow = u64::from(self.flow.max(1));
        if self.stored < self.told + flow {
            return false;
        }
        // Several answers that are due come to the last of them.
        self.told += (self.stored - self.told) / flow * flow;
        let share = u16::try_from(usize::from(MOST) / open.max(1)).unwrap_or(MOST);
        let most = share.max(1).min(self.wished);
        if self.flow < most {
            self.flow = self.flow.saturating_mul(2).min(most);
        } else if self.flow > most {
            self.flow = (self.flow / 2).max(most);
        }
        self.tell_again(reply, out);
        true
    }

    fn tell_again<O: Out>(&self, reply: &[u8], out: &mut O) {
        out.answer(reply, &BatchFlowAck { seq: self.told, msgs: self.flow }.to_json());
    }
}

impl<D: Disk> Stream<D> {
    /// Takes a message of a fast batch. `false` if its reply subject is of another kind.
    pub(super) fn publish_fast<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) -> bool {
        let Some(reply) = m.reply else { return false };
        // Across accounts the reply subject is ours; the client's is told in the header.
        let asked;
        let mut spoken = reply;
        if reply.starts_with(b"_R_.") && !reply.ends_with(b".$FI") {
            let Some(info) = wire::header::get(m.header, b"Nats-Request-Info") else {
                return false;
            };
            let Ok(info) = json::unmarshal::<ClientInfo>(info) else { return false };
            asked = info.reply.into_bytes();
            spoken = &asked;
        }
        let says = match FastBatch::parse(spoken) {
            Ok(None) => return false,
            Ok(Some(says)) => Some(says),
            Err(BadPattern) => None,
        };
        if let Some(closed) = self.closed_for_writing() {
            if !self.config.no_ack {
                out.tell(reply, &pub_ack::refusal(&self.config.name, &closed));
            }
            return true;
        }
        let plain = header::without_status(m.header);
        let m = Incoming { header: plain.as_deref().unwrap_or(m.header), ..*m };
        let mut room = Vec::new();
        let m = Incoming { subject: self.renamed(m.subject, &mut room, out), ..m };
        if let Err(error) = self.take_fast(says.as_ref(), &m, reply, limits, now, out)
            && !self.config.no_ack
        {
            out.tell(reply, &pub_ack::refusal(&self.config.name, &error));
        }
        true
    }

    fn take_fast<O: Out>(
        &mut self,
        says: Option<&FastBatch<'_>>,
        m: &Incoming<'_>,
        reply: &[u8],
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) -> Result<(), ApiError> {
        self.check_outer(m, limits)?;
        if !self.config.allow_batched {
            return Err(ApiError::batch_publish_disabled());
        }
        let says = says.ok_or_else(ApiError::batch_publish_invalid_pattern)?;
        if says.id.len() > MAX_ID {
            return Err(ApiError::batch_publish_invalid_batch_id());
        }
        self.expire_batches(now, out);
        // The batch is out of the table from here on, and goes back if it goes on.
        let known = self.batches.as_mut().and_then(|batches| batches.fast.remove(says.id));
        let mut batch = match known {
            Some(batch) => batch,
            None if says.seq == 1 => self.open_fast(says, now)?,
            None => return Err(ApiError::batch_publish_unknown_batch_id()),
        };
        let without_level;
        let mut m = *m;
        if let Some(wanted) = wire::header::get(m.header, level::REQUIRED_HEADER.as_bytes())
            && !wanted.is_empty()
        {
            if level::refuses(Some(wanted)) {
                return Err(ApiError::required_api_level());
            }
            without_level = header::without(m.header, level::REQUIRED_HEADER.as_bytes());
            m.header = &without_level;
        }
        batch.deadline = self.facts.batches.deadline(now);
        let fate = if says.operation == Operation::Ping {
            self.ping_fast(&mut batch, says, reply, out)
        } else {
            self.next_fast(&mut batch, says, &m, reply, now, out)
        };
        if fate == Fate::GoesOn {
            self.batches().fast.insert(says.id.into(), batch);
        }
        Ok(())
    }

    fn open_fast(&mut self, says: &FastBatch<'_>, now: Now) -> Result<Fast, ApiError> {
        let facts = self.facts.clone();
        let deadline = facts.batches.deadline(now);
        let here = self.batches().fast.len();
        let slot = Slot::take(&facts.open_batches, Kind::Fast, here, &facts.batches)
            .ok_or_else(ApiError::batch_publish_too_many_inflight)?;
        self.batches().expect(deadline);
        Ok(Fast {
            deadline,
            gap_ok: says.gap_ok,
            wished: says.flow,
            // Who comes first gets what it wants; others begin slowly.
            flow: if here == 0 { says.flow.min(MOST) } else { 1 },
            came: 0,
            stored: 0,
            told: 0,
            stream_seq: 0,
            _slot: slot,
        })
    }

    /// The open batches, this one included.
    fn open_fasts(&self) -> usize {
        self.batches.as_ref().map_or(0, |batches| batches.fast.len()) + 1
    }

    /// Ends a batch with all of it that is stored.
    fn end_fast<O: Out>(
        &self,
        batch: &Fast,
        says: &FastBatch<'_>,
        reply: &[u8],
        out: &mut O,
    ) -> Fate {
        out.answer(reply, &self.batch_ack(batch.stream_seq, says.id, batch.came, false));
        Fate::Over
    }

    fn ping_fast<O: Out>(
        &self,
        batch: &mut Fast,
        says: &FastBatch<'_>,
        reply: &[u8],
        out: &mut O,
    ) -> Fate {
        if says.seq > batch.came {
            let gap = BatchFlowGap { last_seq: batch.came + 1, seq: says.seq + 1 };
            out.answer(reply, &gap.to_json());
            if !batch.gap_ok {
                return self.end_fast(batch, says, reply, out);
            }
            (batch.came, batch.stored) = (says.seq, says.seq);
            if batch.tell(self.open_fasts(), reply, out) {
                return Fate::GoesOn;
            }
        }
        batch.tell_again(reply, out);
        Fate::GoesOn
    }

    fn next_fast<O: Out>(
        &mut self,
        batch: &mut Fast,
        says: &FastBatch<'_>,
        m: &Incoming<'_>,
        reply: &[u8],
        now: Now,
        out: &mut O,
    ) -> Fate {
        let expected = batch.came + 1;
        if says.seq > expected {
            out.answer(reply, &BatchFlowGap { last_seq: expected, seq: says.seq }.to_json());
        }
        if says.seq < expected || (says.seq > expected && !batch.gap_ok) {
            return self.end_fast(batch, says, reply, out);
        }
        if says.operation == Operation::CommitEob {
            batch.came = says.seq - 1;
            return self.end_fast(batch, says, reply, out);
        }
        batch.came = says.seq;
        let commits = says.operation == Operation::Commit;
        if says.seq == 1 && !commits && !self.config.no_ack {
            out.answer(reply, &BatchFlowAck { seq: 0, msgs: batch.flow }.to_json());
        }
        match self.store_fast(m, now, out) {
            Ok(seq) => {
                (batch.stream_seq, batch.stored) = (seq, batch.came);
                if commits {
                    return self.end_fast(batch, says, reply, out);
                }
                batch.tell(self.open_fasts(), reply, out);
                Fate::GoesOn
            }
            Err(refused) => self.refuse_fast(batch, says, refused, reply, out),
        }
    }

    fn store_fast<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        now: Now,
        out: &mut O,
    ) -> Result<u64, Refused> {
        let fields = Fields::of(m.header);
        let mut plan = Plan::default();
        if let Some(expected) = fields.expected_last_msg_id.filter(|id| !id.is_empty()) {
            self.check_last_id(expected, now)?;
        }
        let admitted = self.check_member(&mut plan, m, &fields, now)?;
        self.apply(m, Via::Client, &admitted, now, out).map_err(|refusal| match refusal {
            Refusal::Error(error) => error.into(),
            Refusal::Duplicate(seq) => Refused::Duplicate(seq),
        })
    }

    fn refuse_fast<O: Out>(
        &self,
        batch: &mut Fast,
        says: &FastBatch<'_>,
        refused: Refused,
        reply: &[u8],
        out: &mut O,
    ) -> Fate {
        let commits = says.operation == Operation::Commit;
        let duplicate = match &refused {
            Refused::Duplicate(seq) => Some(*seq),
            Refused::Error(_) => None,
        };
        if duplicate.is_some() {
            batch.stored = says.seq;
            batch.tell(self.open_fasts(), reply, out);
            if !commits {
                return Fate::GoesOn;
            }
        }
        // A batch that fails at once is answered like a message alone.
        if !says.gap_ok && batch.came == 1 {
            let body = match duplicate {
                Some(seq) if seq > 0 => self.batch_ack(seq, says.id, says.seq, true),
                _ => pub_ack::refusal(&self.config.name, &refused.into()),
            };
            out.answer(reply, &body);
            return Fate::Over;
        }
        if duplicate.is_none() {
            let error = Some(refused.into());
            out.answer(reply, &BatchFlowErr { seq: says.seq, error }.to_json());
            if says.gap_ok && !commits {
                return Fate::GoesOn;
            }
            batch.came -= 1;
        }
        self.end_fast(batch, says, reply, out)
    }
}
