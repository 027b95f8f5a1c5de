//! Atomic batches: messages that wait for the last one, and then are stored together or not at all.
//!
//! Laws: nothing of a batch is visible before all of it is; a batch that cannot be stored changes
//!       nothing; replacing and ending other messages comes after the batch's own are in.
//! Reference: stream.go processJetStreamAtomicBatchMsg.   Parity: BATCH-*.

use jetstream_api::advisory::BatchAbandonReason;
use jetstream_api::{ApiError, level};
use stdx::time::{Mono, Now};
use store::disk::Disk;
use store::{Filter, MessageStore, record_len};

use super::Stream;
use super::batch::{Kind, MAX_ID, Slot};
use super::batch_check::Plan;
use super::header::{self, Fields, number};
use super::ingest::{Admitted, Incoming, Limits, Refusal, Rollup, Via};
use super::pub_ack;
use super::schedule::Effect;
use crate::out::Out;

/// A message that waits.
pub(super) struct Member {
    pub(super) subject: Box<[u8]>,
    pub(super) header: Box<[u8]>,
    pub(super) payload: Box<[u8]>,
}

/// A batch that waits for its end.
pub(super) struct Atomic {
    members: Vec<Member>,
    pub(super) deadline: Mono,
    slot: Slot,
}

/// What became of a message.
enum Step {
    /// It waits.
    Staged,
    /// It was the last; the batch is stored, and ends at this sequence.
    Stored { seq: u64, count: u64 },
}

/// How a message says that it is the last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Not,
    /// It belongs to the batch.
    With,
    /// It only says that the batch is over.
    Without,
}

/// What is done once all messages of a batch are in.
struct Later {
    seq: u64,
    rollup: Option<Filter>,
    effect: Option<Effect>,
    msg_id: Box<[u8]>,
}

impl<D: Disk> Stream<D> {
    /// Takes a message of an atomic batch.
    pub(super) fn publish_member<O: Out>(
        &mut self,
        id: &[u8],
        m: &Incoming<'_>,
        fields: &Fields<'_>,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) {
        let plain = header::without_status(m.header);
        let m = Incoming { header: plain.as_deref().unwrap_or(m.header), ..*m };
        let step = self
            .closed_for_writing()
            .map_or(Ok(()), Err)
            .and_then(|()| self.check_batch(id, &m, fields, limits))
            .and_then(|seq| self.step(id, seq, &m, fields, now, out));
        let Some(reply) = m.reply.filter(|r| !r.is_empty() && !self.config.no_ack) else { return };
        match step {
            Ok(Step::Staged) => out.tell(reply, b""),
            Ok(Step::Stored { seq, count }) => {
                out.answer(reply, &self.batch_ack(seq, id, count, false));
            }
            Err(error) => out.tell(reply, &pub_ack::refusal(&self.config.name, &error)),
        }
    }

    /// What is wrong whatever the batch says; the batch lives on.
    fn check_batch(
        &self,
        id: &[u8],
        m: &Incoming<'_>,
        fields: &Fields<'_>,
        limits: &Limits,
    ) -> Result<u64, ApiError> {
        self.check_outer(m, limits)?;
        if !self.config.allow_atomic {
            return Err(ApiError::atomic_publish_disabled());
        }
        if id.len() > MAX_ID {
            return Err(ApiError::atomic_publish_invalid_batch_id());
        }
        fields.batch_seq.and_then(number).ok_or_else(ApiError::atomic_publish_missing_seq)
    }

    /// What is judged of every message of a batch, before the batch is looked at.
    pub(super) fn check_outer(&self, m: &Incoming<'_>, limits: &Limits) -> Result<(), ApiError> {
        if self.config.sealed {
            return Err(ApiError::stream_sealed());
        }
        if limits.server_full {
            return Err(ApiError::insufficient_resources());
        }
        let size = record_len(m.subject.len(), m.header.len(), m.payload.len());
        if limits.account_left.is_some_and(|left| size > left) {
            return Err(ApiError::account_resources_exceeded());
        }
        let bytes = m.header.len() + m.payload.len();
        if usize::try_from(self.config.max_msg_size).is_ok_and(|max| bytes > max) {
            return Err(ApiError::stream_message_exceeds_maximum());
        }
        Ok(())
    }

    fn step<O: Out>(
        &mut self,
        id: &[u8],
        seq: u64,
        m: &Incoming<'_>,
        fields: &Fields<'_>,
        now: Now,
        out: &mut O,
    ) -> Result<Step, ApiError> {
        self.expire_batches(now, out);
        let max = self.facts.batches.messages();
        // The mark of the end does not count.
        // Compat(BATCH-004): the mark of the end at 0 makes a batch too large.
        let size = seq.wrapping_sub(u64::from(fields.batch_commit == Some(b"eob")));
        let known = self.batches.as_mut().and_then(|batches| batches.atomic.remove(id));
        // The batch is out of the table from here on: whatever refuses the message ends it.
        let mut batch = match known {
            Some(batch) => batch,
            None if seq == 1 => self.open_atomic(now)?,
            None if size > max => return Err(ApiError::atomic_publish_too_large_batch(max)),
            None => return Err(ApiError::atomic_publish_incomplete_batch()),
        };
        let end = match fields.batch_commit {
            None => End::Not,
            Some(b"1") => End::With,
            Some(b"eob") => End::Without,
            Some(_) => return Err(ApiError::atomic_publish_invalid_batch_commit()),
        };
        let without_level;
        let mut m = *m;
        if let Some(level) = fields.api_level.filter(|level| !level.is_empty()) {
            if level::refuses(Some(level)) {
                self.advise_abandoned(id, BatchAbandonReason::Unsupported, now, out);
                return Err(ApiError::required_api_level());
            }
            without_level = header::without(m.header, level::REQUIRED_HEADER.as_bytes());
            m.header = &without_level;
        }
        batch.deadline = self.facts.batches.deadline(now);
        if seq != batch.members.len() as u64 + 1 || (seq == 1 && end == End::Without) {
            self.advise_abandoned(id, BatchAbandonReason::Incomplete, now, out);
            return Err(ApiError::atomic_publish_incomplete_batch());
        }
        if size > max {
            self.advise_abandoned(id, BatchAbandonReason::Large, now, out);
            return Err(ApiError::atomic_publish_too_large_batch(max));
        }
        if end != End::Without && !batch.stage(&m) {
            self.advise_abandoned(id, BatchAbandonReason::Large, now, out);
            return Err(ApiError::insufficient_resources());
        }
        if end == End::Not {
            self.batches().atomic.insert(id.into(), batch);
            return Ok(Step::Staged);
        }
        self.commit(batch.members, end, now, out)
    }

    fn open_atomic(&mut self, now: Now) -> Result<Atomic, ApiError> {
        let facts = self.facts.clone();
        let deadline = facts.batches.deadline(now);
        let here = self.batches().atomic.len();
        let slot = Slot::take(&facts.open_batches, Kind::Atomic, here, &facts.batches)
            .ok_or_else(ApiError::atomic_publish_too_many_inflight)?;
        self.batches().expect(deadline);
        Ok(Atomic { members: Vec::new(), deadline, slot })
    }

    /// Judges all messages, then stores all of them.
    fn commit<O: Out>(
        &mut self,
        mut members: Vec<Member>,
        end: End,
        now: Now,
        out: &mut O,
    ) -> Result<Step, ApiError> {
        let mut room = Vec::new();
        for member in &mut members {
            let renamed = self.renamed(&member.subject, &mut room, out);
            if renamed != &*member.subject {
                member.subject = renamed.into();
            }
        }
        let mut plan = Plan::default();
        let mut admitted = Vec::with_capacity(members.len());
        for member in &members {
            let fields = Fields::of(&member.header);
            if fields.expected_last_msg_id.is_some_and(|id| !id.is_empty()) {
                let name = "Nats-Expected-Last-Msg-Id";
                return Err(ApiError::atomic_publish_unsupported_header_batch(name));
            }
            admitted.push(self.check_member(&mut plan, &member.as_incoming(), &fields, now)?);
        }
        if end == End::Without
            && let Some(last) = admitted.last_mut()
        {
            last.header = header::append(&last.header, b"Nats-Batch-Commit", b"1").into();
        }
        match self.store_batch(&members, admitted, now, out) {
            Ok(seq) => Ok(Step::Stored { seq, count: members.len() as u64 }),
            Err(Refusal::Error(error)) => Err(error),
            Err(Refusal::Duplicate(seq)) => Ok(Step::Stored { seq, count: members.len() as u64 }),
        }
    }

    /// Stores what was judged; on an error nothing of it stays.
    fn store_batch<O: Out>(
        &mut self,
        members: &[Member],
        admitted: Vec<Admitted<'_>>,
        now: Now,
        out: &mut O,
    ) -> Result<u64, Refusal> {
        let before = self.last_seq;
        let mut later = Vec::with_capacity(members.len());
        for (member, mut admitted) in members.iter().zip(admitted) {
            let mut then = Later::of(member, &mut admitted);
            match self.apply(&member.as_incoming(), Via::Client, &admitted, now, out) {
                Ok(seq) => then.seq = seq,
                Err(refusal) => {
                    self.take_back(before);
                    return Err(refusal);
                }
            }
            later.push(then);
        }
        for then in later {
            self.note_id(&then.msg_id, then.seq, now.wall);
            if let Some(filter) = then.rollup
                && let Err(error) = self.store.purge(&filter, then.seq, 0)
            {
                self.note_trouble(&error);
            }
            if let Some(effect) = then.effect
                && self.config.allow_msg_schedules
            {
                self.apply_effect(&effect);
            }
        }
        Ok(self.last_seq)
    }

    /// Removes what was stored after `before`; nobody saw it.
    fn take_back(&mut self, before: u64) {
        if self.store.state().last_seq == before {
            return;
        }
        if let Err(error) = self.store.truncate(before) {
            self.note_trouble(&error);
        }
        self.refresh();
        self.stored.runs.retain_mut(|run| {
            run.1 = run.1.min(before);
            run.0 <= run.1
        });
        self.stored.subjects.retain(|(seq, _)| *seq <= before);
    }
}

impl Atomic {
    /// Lets a message wait. `false` if too much waits already.
    fn stage(&mut self, m: &Incoming<'_>) -> bool {
        self.members.push(Member {
            subject: m.subject.into(),
            header: m.header.into(),
            payload: m.payload.into(),
        });
        self.slot.stage(m.subject.len() + m.header.len() + m.payload.len())
    }
}

impl Member {
    fn as_incoming(&self) -> Incoming<'_> {
        Incoming {
            subject: &self.subject,
            reply: None,
            header: &self.header,
            payload: &self.payload,
        }
    }
}

impl Later {
    /// Takes out of a message what must not happen before its batch is in.
    fn of(member: &Member, admitted: &mut Admitted<'_>) -> Self {
        let rollup = match std::mem::replace(&mut admitted.rollup, Rollup::No) {
            Rollup::No => None,
            Rollup::Subject => Some(Filter::Literal(member.subject.clone())),
            Rollup::All => Some(Filter::All),
        };
        Self {
            seq: 0,
            rollup,
            effect: admitted.extra.as_mut().and_then(|extra| extra.effect.take()),
            msg_id: std::mem::take(&mut admitted.msg_id).into(),
        }
    }
}
