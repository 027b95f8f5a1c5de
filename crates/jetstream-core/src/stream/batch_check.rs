//! Judging a message of a batch before anything of it is stored.
//!
//! The order of the checks is not that of a message alone, and what came earlier in the same batch
//! counts as if it were stored.
//! Laws: nothing changes but the plan.
//! Reference: jetstream_batching.go checkMsgHeadersPreClusteredProposal.   Parity: BATCH-007.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};
use jetstream_api::{ApiError, DiscardPolicy};
use num_bigint::BigInt;
use stdx::time::Now;
use store::disk::Disk;
use store::{Error, Filter, MessageStore, record_len};

use super::Stream;
use super::counter::{self, Total};
use super::header::{self, Fields, sequence};
use super::ingest::{Admitted, Extra, Incoming, MAX_HEADER, MAX_RECORD, Rollup};
use super::message::ttl;

/// Why a message of a batch cannot be stored.
pub(super) enum Refused {
    Error(ApiError),
    /// Its id was seen; at this sequence, if it is stored.
    Duplicate(u64),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Error(error) => error,
            Refused::Duplicate(_) => Self::atomic_publish_contains_duplicate_message(),
        }
    }
}

/// What a batch wrote to a subject so far.
#[derive(Clone, Copy, Default)]
struct Written {
    msgs: u64,
    /// Its last message is a schedule.
    schedule: bool,
}

/// What the messages of a batch would change.
#[derive(Default)]
pub(super) struct Plan {
    ids: HashSet<Box<[u8]>>,
    sums: HashMap<Box<[u8]>, Total>,
    written: HashMap<Box<[u8]>, Written>,
    expected: HashMap<Box<[u8]>, u64>,
    msgs: u64,
    bytes: u64,
}

impl<D: Disk> Stream<D> {
    /// Judges a batch's next message, whose subject is the one it will be stored on.
    pub(super) fn check_member<'a>(
        &mut self,
        plan: &mut Plan,
        m: &Incoming<'a>,
        fields: &Fields<'a>,
        now: Now,
    ) -> Result<Admitted<'a>, Refused> {
        let size = record_len(m.subject.len(), m.header.len(), m.payload.len());
        if self.store.is_file() && size > MAX_RECORD {
            return Err(ApiError::stream_store_failed("message too large").into());
        }
        let mut admitted = Admitted::new(m.header);
        if m.header.len() > MAX_HEADER {
            return Err(ApiError::stream_header_exceeds_maximum().into());
        }
        let increment = counter::increment(fields)?;
        if increment.is_some() {
            counter::check(fields, m.payload, &self.config)?;
        }
        let name = self.config.name.as_bytes();
        if fields.expected_stream.is_some_and(|s| !s.is_empty() && s != name) {
            return Err(ApiError::stream_not_match().into());
        }
        match ttl(m.header, fields.ttl) {
            Ok(0) => {}
            _ if !self.config.allow_msg_ttl => return Err(ApiError::message_ttl_disabled().into()),
            Ok(secs) => admitted.ttl = secs,
            Err(_) => return Err(ApiError::message_ttl_invalid().into()),
        }
        self.check_member_id(plan, fields, now, &mut admitted)?;
        if self.config.allow_msg_counter {
            let increment = increment.ok_or_else(ApiError::message_incr_missing)?;
            self.plan_increment(plan, increment, m, fields, &mut admitted)?;
        }
        self.check_member_expected(plan, m, fields)?;
        let due = self.check_schedule(m.subject, fields, &mut admitted.header, now)?;
        self.check_scheduler(m.subject, fields, |subject| {
            plan.written.get(subject).map(|written| written.schedule)
        })?;
        let rollup = if due.is_some() { Some(&b"sub"[..]) } else { fields.rollup };
        admitted.rollup = self.check_member_rollup(plan, m.subject, rollup)?;
        if let Some(of_schedule) = Extra::of_schedule(due, fields) {
            let sum = admitted.extra.take().and_then(|extra| extra.sum);
            admitted.extra = Some(Box::new(Extra { sum, ..*of_schedule }));
        }
        self.plan_room(plan, m, &admitted, due.is_some())?;
        self.finish_member(m, fields, &mut admitted);
        Ok(admitted)
    }

    fn check_member_id<'a>(
        &mut self,
        plan: &mut Plan,
        fields: &Fields<'a>,
        now: Now,
        admitted: &mut Admitted<'a>,
    ) -> Result<(), Refused> {
        let Some(id) = fields.msg_id.filter(|id| !id.is_empty()) else { return Ok(()) };
        if plan.ids.contains(id) {
            return Err(Refused::Duplicate(0));
        }
        if let Some(seq) = self.seen(id, now) {
            return Err(Refused::Duplicate(seq));
        }
        plan.ids.insert(id.into());
        admitted.msg_id = id;
        Ok(())
    }

    fn plan_increment(
        &mut self,
        plan: &mut Plan,
        increment: BigInt,
        m: &Incoming<'_>,
        fields: &Fields<'_>,
        admitted: &mut Admitted<'_>,
    ) -> Result<(), ApiError> {
        let mut total = match plan.sums.get(m.subject) {
            Some(total) => total.clone(),
            None => Total::of(self.store.load_last_of(m.subject).ok().flatten().as_ref())?,
        };
        total.add(increment, fields, m.subject, m.payload, &mut admitted.header)?;
        let (sum, body) = total.body();
        let max = self.facts.max_payload.unwrap_or(usize::MAX);
        let max = usize::try_from(self.config.max_msg_size).map_or(max, |limit| limit.min(max));
        if admitted.header.len().saturating_add(body.len()) > max {
            return Err(ApiError::stream_message_exceeds_maximum());
        }
        admitted.extra.get_or_insert_default().sum = Some((sum, body));
        plan.sums.insert(m.subject.into(), total);
        Ok(())
    }

    /// What a message expects of the stream can be judged only where the batch did not write yet.
    fn check_member_expected(
        &mut self,
        plan: &mut Plan,
        m: &Incoming<'_>,
        fields: &Fields<'_>,
    ) -> Result<(), ApiError> {
        if let Some(expected) = fields.expected_last_seq.and_then(sequence) {
            let last = self.last_seq + plan.msgs;
            if expected != last {
                return Err(ApiError::stream_wrong_last_sequence(last));
            }
            if plan.msgs > 0 {
                return Err(ApiError::stream_wrong_last_sequence_constant());
            }
        }
        let subject = fields.expected_last_subject.filter(|s| !s.is_empty());
        let Some(expected) = fields.expected_last_subject_seq.and_then(sequence) else {
            return match subject {
                Some(_) => Err(ApiError::stream_expected_last_seq_per_subject_invalid()),
                None => Ok(()),
            };
        };
        let subject = subject.unwrap_or(m.subject);
        if plan.written.contains_key(subject) {
            return Err(ApiError::stream_wrong_last_sequence_constant());
        }
        let last = match plan.expected.get(subject) {
            Some(last) => *last,
            None => self
                .store
                .last_of(subject)
                .map_err(|_| ApiError::stream_wrong_last_sequence(0))?
                .unwrap_or(0),
        };
        if last != expected {
            return Err(ApiError::stream_wrong_last_sequence(last));
        }
        plan.expected.insert(subject.into(), last);
        Ok(())
    }

    fn check_member_rollup(
        &self,
        plan: &Plan,
        subject: &[u8],
        rollup: Option<&[u8]>,
    ) -> Result<Rollup, ApiError> {
        let Some(rollup) = rollup.filter(|r| !r.is_empty()) else { return Ok(Rollup::No) };
        let failed = |why: &str| Err(ApiError::stream_rollup_failed(why));
        if !self.config.allow_rollup_hdrs || self.config.deny_purge {
            return failed("rollup not permitted");
        }
        match rollup.to_ascii_lowercase().as_slice() {
            b"sub" if plan.written.contains_key(subject) => failed("batch rollup sub invalid"),
            b"sub" => Ok(Rollup::Subject),
            b"all" if plan.msgs > 0 => failed("batch rollup all invalid"),
            b"all" => Ok(Rollup::All),
            other => {
                let text = stdx::go_text::quote(other);
                failed(&format!("rollup value invalid: {text}"))
            }
        }
    }

    /// Limits that discard what is new are judged for the whole batch, before any of it is stored.
    fn plan_room(
        &mut self,
        plan: &mut Plan,
        m: &Incoming<'_>,
        admitted: &Admitted<'_>,
        schedule: bool,
    ) -> Result<(), ApiError> {
        let (subject, header) = (m.subject.len(), admitted.header.len());
        let payload = admitted.payload(m).len();
        plan.msgs += 1;
        plan.bytes += match self.store.is_file() {
            true => record_len(subject, header, payload),
            false => (subject + header + payload + 16) as u64,
        };
        let before = plan.written.get(m.subject).map_or(0, |written| written.msgs);
        let written = Written { msgs: before + 1, schedule };
        plan.written.insert(m.subject.into(), written);
        if self.config.discard != DiscardPolicy::New {
            return Ok(());
        }
        let over =
            |limit: i64, total: u64| u64::try_from(limit).is_ok_and(|max| max > 0 && total > max);
        let full = |error: Error| Err(ApiError::stream_store_failed(error));
        let state = self.store.state();
        if over(self.config.max_msgs, state.msgs + plan.msgs) {
            return full(Error::MaxMsgs);
        }
        if over(self.config.max_bytes, state.bytes + plan.bytes) {
            return full(Error::MaxBytes);
        }
        let per_subject = self.config.max_msgs_per_subject;
        if self.config.discard_new_per_subject
            && per_subject > 0
            && wire::header::get(&admitted.header, b"Nats-Rollup").is_none_or(<[u8]>::is_empty)
        {
            let totals = self.store.subjects_totals(&Filter::Literal(m.subject.into()));
            let stored = totals.get(m.subject).copied().unwrap_or(0);
            if over(per_subject, stored + written.msgs) {
                return full(Error::MaxMsgsPerSubject);
            }
        }
        Ok(())
    }

    /// What the store gets differs a little from what was judged.
    fn finish_member(&self, m: &Incoming<'_>, fields: &Fields<'_>, admitted: &mut Admitted<'_>) {
        if fields.request_info {
            admitted.header = Cow::Owned(header::without(&admitted.header, b"Nats-Request-Info"));
        }
        self.raise_ttl(admitted);
        admitted.skipped = !self.is_wanted(m.subject);
    }
}
