//! Taking a published message: checks in the reference's order, then the store.
//!
//! Not here: batches (`batch_atomic.rs`, `batch_fast.rs`), schedules, counters; what a
//! mirror or source does before (`mirror.rs`, `source.rs`).
//! Laws: a refused message changes nothing; checks come before effects.
//! Reference: stream.go processJetStreamMsg.   Parity: PUB-*.
//! Hot path: no allocation for a message without headers but what the store makes.

use std::borrow::Cow;

use jetstream_api::{ApiError, RetentionPolicy};
use num_bigint::BigInt;
use stdx::time::{Now, Timestamp};
use store::disk::Disk;
use store::{Error, Filter, MessageStore, NewMessage, record_len};

use super::counter::{self, Total};
use super::header::{self, Fields, sequence};
use super::message::{Invalid, ttl};
use super::pub_ack::{self, push_number};
use super::republish::Copy;
use super::schedule::Effect;
use super::{Dedupe, Stream};
use crate::out::Out;

/// A message as it was published.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The subject.
    pub subject: &'a [u8],
    /// Where the answer goes.
    pub reply: Option<&'a [u8]>,
    /// Header block, or empty.
    pub header: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
}

/// What the account and the server still have room for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of storage left in the account, if it is limited.
    pub account_left: Option<u64>,
    /// The server's storage is full.
    pub server_full: bool,
}

impl Default for Limits {
    /// Room for everything.
    fn default() -> Self {
        Self { account_left: None, server_full: false }
    }
}

/// Largest header block a stream takes, bytes.
pub(super) const MAX_HEADER: usize = u16::MAX as usize;
/// Largest record the file store keeps, bytes.
pub(super) const MAX_RECORD: u64 = 32 << 20;

/// Who made a message: a client's is judged, the server's own was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Client,
    Server,
    /// It was drawn from a source, whose stream has judged it already.
    Source,
    /// It was drawn from the stream that is mirrored, with its place and time there.
    Mirror(u64, Timestamp),
}

impl Via {
    /// Another stream took it already: what is not allowed here has no effect, but is no mistake.
    fn is_drawn(self) -> bool {
        matches!(self, Self::Source | Self::Mirror(..))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollup {
    No,
    Subject,
    All,
}

/// A message that may be stored, and how.
pub(super) struct Admitted<'a> {
    pub(super) header: Cow<'a, [u8]>,
    pub(super) ttl: i64,
    pub(super) rollup: Rollup,
    pub(super) msg_id: &'a [u8],
    /// Nobody is interested: it gets a sequence, but is not kept.
    pub(super) skipped: bool,
    /// What few messages have.
    pub(super) extra: Option<Box<Extra>>,
}

/// What counters and schedules add to a message.
#[derive(Default)]
pub(super) struct Extra {
    /// The counter's sum, which is the message's body.
    pub(super) sum: Option<(String, Vec<u8>)>,
    /// When it is due, if it is a schedule.
    pub(super) due: Option<Timestamp>,
    /// What it does to a schedule elsewhere.
    pub(super) effect: Option<Effect>,
}

impl<'a> Admitted<'a> {
    pub(super) fn new(header: &'a [u8]) -> Self {
        Self {
            header: Cow::Borrowed(header),
            ttl: 0,
            rollup: Rollup::No,
            msg_id: b"",
            skipped: false,
            extra: None,
        }
    }

    /// The body as it is stored.
    pub(super) fn payload<'b>(&'b self, m: &Incoming<'b>) -> &'b [u8] {
        let sum = self.extra.as_ref().and_then(|extra| extra.sum.as_ref());
        sum.map_or(m.payload, |(_, body)| body)
    }
}

/// What the publisher of a stored message is told.
pub(super) struct Taken {
    seq: u64,
    /// The counter's sum.
    sum: Option<Box<str>>,
}

pub(super) enum Refusal {
    Error(ApiError),
    Duplicate(u64),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl<D: Disk> Stream<D> {
    /// Takes a published message and answers it.
    pub fn publish<O: Out>(&mut self, m: &Incoming<'_>, limits: &Limits, now: Now, out: &mut O) {
        if m.reply.is_some_and(|reply| reply.ends_with(b".$FI") || reply.starts_with(b"_R_."))
            && self.publish_fast(m, limits, now, out)
        {
            return;
        }
        if m.header.is_empty() {
            return self.publish_one(m, None, limits, now, out);
        }
        let fields = Fields::of(m.header);
        match fields.batch_id {
            Some(id) if !id.is_empty() => self.publish_member(id, m, &fields, limits, now, out),
            _ => self.publish_one(m, Some(&fields), limits, now, out),
        }
    }

    fn publish_one<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        fields: Option<&Fields<'_>>,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) {
        let mut renamed = std::mem::take(&mut self.scratch);
        let m = Incoming { subject: self.renamed(m.subject, &mut renamed, out), ..*m };
        let outcome = self.take(&m, fields, limits, now, out);
        self.answer(&m, &outcome, out);
        self.scratch = renamed;
    }

    /// The subject that a message is stored on.
    pub(super) fn renamed<'s, O: Out>(
        &self,
        subject: &'s [u8],
        room: &'s mut Vec<u8>,
        out: &mut O,
    ) -> &'s [u8] {
        room.clear();
        let moved = self
            .transform
            .as_ref()
            .is_some_and(|t| t.apply_if_match(subject, || out.random() as u32, room));
        if moved { room } else { subject }
    }

    pub(super) fn answer<O: Out>(
        &self,
        m: &Incoming<'_>,
        outcome: &Result<Taken, Refusal>,
        out: &mut O,
    ) {
        let Some(reply) = m.reply.filter(|r| !r.is_empty() && !self.config.no_ack) else { return };
        let (seq, sum, end): (_, _, &[u8]) = match outcome {
            Ok(taken) => (taken.seq, taken.sum.as_deref(), b"}"),
            Err(Refusal::Duplicate(seq)) => (*seq, None, b",\"duplicate\": true}"),
            Err(Refusal::Error(error)) => {
                return out.tell(reply, &pub_ack::refusal(&self.config.name, error));
            }
        };
        let mut body = out.scratch();
        body.clear();
        body.extend_from_slice(&self.ack_head);
        push_number(&mut body, seq);
        if let Some(sum) = sum {
            body.extend_from_slice(b",\"val\":\"");
            body.extend_from_slice(sum.as_bytes());
            body.push(b'"');
        }
        body.extend_from_slice(end);
        out.answer(reply, &body);
        out.give_back(body);
    }

    fn take<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        fields: Option<&Fields<'_>>,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) -> Result<Taken, Refusal> {
        let admitted = self.admit(m, fields, Via::Client, limits, now)?;
        self.take_admitted(m, admitted, now, out)
    }

    pub(super) fn take_admitted<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        mut admitted: Admitted<'_>,
        now: Now,
        out: &mut O,
    ) -> Result<Taken, Refusal> {
        let seq = self.apply(m, Via::Client, &admitted, now, out)?;
        let sum = admitted.extra.take().and_then(|extra| extra.sum);
        Ok(Taken { seq, sum: sum.map(|(sum, _)| sum.into()) })
    }

    /// Takes a message from an origin. Its subject is not the final one yet.
    pub(super) fn take_drawn<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        via: Via,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) -> Result<u64, Refusal> {
        let mut room = std::mem::take(&mut self.scratch);
        let m = Incoming { subject: self.renamed(m.subject, &mut room, out), ..*m };
        let fields = (!m.header.is_empty()).then(|| Fields::of(m.header));
        let outcome = self
            .admit(&m, fields.as_ref(), via, limits, now)
            .and_then(|admitted| self.apply(&m, via, &admitted, now, out));
        self.scratch = room;
        outcome
    }

    /// Takes a message that nobody waits for. `false` if it was refused.
    pub(super) fn take_own<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        via: Via,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) -> bool {
        let mut room = Vec::new();
        let m = Incoming { subject: self.renamed(m.subject, &mut room, out), ..*m };
        let fields = Fields::of(m.header);
        self.admit(&m, Some(&fields), via, limits, now)
            .and_then(|admitted| self.apply(&m, via, &admitted, now, out))
            .is_ok()
    }

    /// Decides whether the message may be stored. Nothing changes.
    pub(super) fn admit<'a>(
        &mut self,
        m: &Incoming<'a>,
        fields: Option<&Fields<'a>>,
        via: Via,
        limits: &Limits,
        now: Now,
    ) -> Result<Admitted<'a>, Refusal> {
        if let Some(closed) = self.closed_for_writing() {
            return Err(closed.into());
        }
        let size = record_len(m.subject.len(), m.header.len(), m.payload.len());
        if self.store.is_file() && size > MAX_RECORD {
            return Err(ApiError::stream_store_failed("message too large").into());
        }
        if self.config.sealed {
            return Err(ApiError::stream_sealed().into());
        }
        let mut admitted = Admitted::new(m.header);
        if let Some(fields) = fields {
            self.admit_header(m, fields, via, now, &mut admitted)?;
        } else if self.config.allow_msg_counter {
            return Err(ApiError::message_incr_missing().into());
        }
        let max = self.config.max_msg_size;
        let (header, payload) = (admitted.header.len(), admitted.payload(m).len());
        if max >= 0 && header + payload > max as usize {
            return Err(ApiError::stream_message_exceeds_maximum().into());
        }
        if header > MAX_HEADER {
            return Err(ApiError::stream_header_exceeds_maximum().into());
        }
        if limits.server_full {
            return Err(ApiError::insufficient_resources().into());
        }
        if !self.is_wanted(m.subject) {
            admitted.skipped = true;
            return Ok(admitted);
        }
        if limits.account_left.is_some_and(|left| size > left) {
            return Err(ApiError::account_resources_exceeded().into());
        }
        if let Some(fields) = fields {
            // After all sizes, as the reference tells them.
            admitted.ttl = match ttl(m.header, fields.ttl) {
                Ok(ttl) => ttl,
                Err(Invalid) if via.is_drawn() => 0,
                Err(Invalid) => return Err(ApiError::message_ttl_invalid().into()),
            };
            self.raise_ttl(&mut admitted);
        }
        Ok(admitted)
    }

    fn admit_header<'a>(
        &mut self,
        m: &Incoming<'a>,
        fields: &Fields<'a>,
        via: Via,
        now: Now,
        admitted: &mut Admitted<'a>,
    ) -> Result<(), Refusal> {
        if let Some(plain) = header::without_status(m.header) {
            admitted.header = Cow::Owned(plain);
        }
        if fields.request_info {
            admitted.header = Cow::Owned(header::without(&admitted.header, b"Nats-Request-Info"));
        }
        let increment = counter::increment(fields)?;
        if increment.is_some() && via == Via::Client {
            counter::check(fields, m.payload, &self.config)?;
        }
        if fields.expected_stream.is_some_and(|s| !s.is_empty() && s != self.config.name.as_bytes())
        {
            return Err(ApiError::stream_not_match().into());
        }
        let ttl = ttl(m.header, fields.ttl);
        let has_ttl = ttl.is_ok_and(|ttl| ttl != 0);
        if has_ttl && !self.config.allow_msg_ttl && via == Via::Client {
            return Err(ApiError::message_ttl_disabled().into());
        }
        self.check_expected(m, fields)?;
        let mut due = None;
        if via == Via::Client {
            due = self.check_schedule(m.subject, fields, &mut admitted.header, now)?;
            self.check_scheduler(m.subject, fields, |_| None)?;
        } else if via == Via::Server && fields.schedule.is_some() {
            due = self.due_of(fields, now);
        }
        self.check_msg_id(fields, via, now, admitted)?;
        let rollup = if due.is_some() { Some(&b"sub"[..]) } else { fields.rollup };
        self.check_rollup(rollup, via, admitted)?;
        admitted.extra = Extra::of_schedule(due, fields);
        if self.config.allow_msg_counter {
            let increment = increment.ok_or_else(ApiError::message_incr_missing)?;
            self.admit_increment(increment, m, fields, admitted)?;
        }
        Ok(())
    }

    /// The sum takes the place of what a counter's message adds (PUB-018).
    fn admit_increment(
        &mut self,
        increment: BigInt,
        m: &Incoming<'_>,
        fields: &Fields<'_>,
        admitted: &mut Admitted<'_>,
    ) -> Result<(), ApiError> {
        let last = self.store.load_last_of(m.subject).ok().flatten();
        let mut total = Total::of(last.as_ref())?;
        total.add(increment, fields, m.subject, m.payload, &mut admitted.header)?;
        let (sum, body) = total.body();
        let max = self.facts.max_payload.unwrap_or(usize::MAX);
        if admitted.header.len().saturating_add(body.len()) > max {
            return Err(ApiError::stream_message_exceeds_maximum());
        }
        admitted.extra.get_or_insert_default().sum = Some((sum, body));
        Ok(())
    }

    /// Optimistic concurrency (PUB-005, PUB-006).
    fn check_expected(&mut self, m: &Incoming<'_>, fields: &Fields<'_>) -> Result<(), Refusal> {
        if let Some(expected) = fields.expected_last_subject_seq.and_then(sequence) {
            let subject = fields.expected_last_subject.filter(|s| !s.is_empty());
            let last = match subject.filter(|s| subject::has_wildcard(s)) {
                None => self.store.last_of(subject.unwrap_or(m.subject)),
                // Compat(PUB-006): the subject may be a filter.
                Some(filter) => {
                    let found = self.store.prev(&Filter::parse(filter), u64::MAX);
                    found.map(|message| message.map(|m| m.seq))
                }
            };
            let last = last.map_err(|_| ApiError::stream_wrong_last_sequence(0))?.unwrap_or(0);
            if last != expected {
                return Err(ApiError::stream_wrong_last_sequence(last).into());
            }
        } else if fields.expected_last_subject.is_some_and(|s| !s.is_empty()) {
            return Err(ApiError::stream_expected_last_seq_per_subject_invalid().into());
        }
        if fields.expected_last_seq.and_then(sequence).is_some_and(|seq| seq != self.last_seq) {
            return Err(ApiError::stream_wrong_last_sequence(self.last_seq).into());
        }
        Ok(())
    }

    fn check_msg_id<'a>(
        &mut self,
        fields: &Fields<'a>,
        via: Via,
        now: Now,
        admitted: &mut Admitted<'a>,
    ) -> Result<(), Refusal> {
        if let Some(id) = fields.msg_id.filter(|id| !id.is_empty()) {
            // A mirror has what its origin has.
            if !matches!(via, Via::Mirror(..))
                && let Some(seq) = self.seen(id, now)
            {
                return Err(Refusal::Duplicate(seq));
            }
            admitted.msg_id = id;
        }
        if let Some(expected) = fields.expected_last_msg_id.filter(|id| !id.is_empty()) {
            self.check_last_id(expected, now)?;
        }
        Ok(())
    }

    pub(super) fn check_last_id(&mut self, expected: &[u8], now: Now) -> Result<(), ApiError> {
        self.load_ids(now.wall);
        if *expected == *self.last_msg_id {
            return Ok(());
        }
        let last = String::from_utf8_lossy(&self.last_msg_id);
        Err(ApiError::stream_wrong_last_msg_id(last))
    }

    fn check_rollup(
        &self,
        rollup: Option<&[u8]>,
        via: Via,
        admitted: &mut Admitted<'_>,
    ) -> Result<(), Refusal> {
        let Some(rollup) = rollup.filter(|r| !r.is_empty()) else { return Ok(()) };
        let allowed = self.config.allow_rollup_hdrs && !self.config.deny_purge;
        if !allowed && via.is_drawn() {
            return Ok(());
        }
        if !allowed && via == Via::Client {
            return Err(ApiError::stream_rollup_failed("rollup not permitted").into());
        }
        // Compat(PUB-009): the value is taken in any case, and quoted in lower case.
        let rollup = rollup.to_ascii_lowercase();
        admitted.rollup = match rollup.as_slice() {
            b"sub" => Rollup::Subject,
            b"all" => Rollup::All,
            _ if via.is_drawn() => Rollup::No,
            other => {
                let text = stdx::go_text::quote(other);
                let why = format!("rollup value invalid: {text}");
                return Err(ApiError::stream_rollup_failed(why).into());
            }
        };
        Ok(())
    }

    /// Markers of a subject must outlive what they mark (PUB-011).
    pub(super) fn raise_ttl(&self, admitted: &mut Admitted<'_>) {
        let least = self.config.subject_delete_marker_ttl.0 / 1_000_000_000;
        if admitted.ttl > 0 && admitted.ttl < least && self.config.max_msgs_per_subject != 1 {
            admitted.ttl = least;
            let text = least.to_string();
            admitted.header =
                Cow::Owned(header::with(&admitted.header, b"Nats-TTL", text.as_bytes()));
        }
    }

    /// Stores what was admitted, with everything that follows from it.
    pub(super) fn apply<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        via: Via,
        admitted: &Admitted<'_>,
        now: Now,
        out: &mut O,
    ) -> Result<u64, Refusal> {
        if admitted.skipped {
            return self.apply_skip(m, admitted, now, out);
        }
        let target = self.republish.as_ref().and_then(|r| r.target(m.subject, out));
        let previous = match &target {
            Some(_) => self.store.last_of(m.subject).ok().flatten().unwrap_or(0),
            None => 0,
        };
        let payload = admitted.payload(m);
        let message = NewMessage {
            subject: m.subject,
            header: &admitted.header,
            payload,
            ttl: admitted.ttl,
            schedule: admitted.extra.as_ref().and_then(|extra| extra.due),
        };
        let stored = match via {
            Via::Mirror(seq, ts) => {
                self.store.append_at(&message, seq, ts, true).map(|_| (seq, ts))
            }
            _ => self.store.append(&message, now.wall).map(|(seq, _)| (seq, now.wall)),
        };
        let (seq, ts) = match stored {
            Ok(stored) => stored,
            Err(error) => return Err(self.refused_by_store(&error, out)),
        };
        self.note_stored(seq, m.subject);
        self.note_id(admitted.msg_id, seq, now.wall);
        self.apply_rollup(m.subject, admitted.rollup, 1);
        self.apply_extra(admitted);
        if let (Some(republish), Some(target)) = (&self.republish, target) {
            let copy = Copy {
                stream: &self.config.name,
                subject: m.subject,
                header: &admitted.header,
                payload,
                seq,
                ts,
                previous,
            };
            republish.send(&target, &copy, out);
        }
        Ok(seq)
    }

    fn apply_skip<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        admitted: &Admitted<'_>,
        now: Now,
        out: &O,
    ) -> Result<u64, Refusal> {
        let skipped = self.store.skip_touching(now.wall);
        let seq = skipped.map_err(|error| self.refused_by_store(&error, out))?;
        self.last_seq = seq;
        self.note_id(admitted.msg_id, seq, now.wall);
        self.apply_rollup(m.subject, admitted.rollup, 0);
        self.apply_extra(admitted);
        Ok(seq)
    }

    fn apply_extra(&mut self, admitted: &Admitted<'_>) {
        if let Some(effect) = admitted.extra.as_ref().and_then(|extra| extra.effect.as_ref())
            && self.config.allow_msg_schedules
        {
            self.apply_effect(effect);
        }
    }

    pub(super) fn note_stored(&mut self, seq: u64, subject: &[u8]) {
        self.last_seq = seq;
        match self.stored.runs.last_mut() {
            Some(run) if run.1 + 1 == seq => run.1 = seq,
            _ => self.stored.runs.push((seq, seq)),
        }
        if self.wants_subjects {
            self.stored.subjects.push((seq, subject.into()));
        }
    }

    pub(super) fn note_id(&mut self, id: &[u8], seq: u64, ts: Timestamp) {
        if *self.last_msg_id != *id {
            self.last_msg_id = id.into();
        }
        if !id.is_empty() && !self.config.duplicate_window.as_duration().is_zero() {
            self.dedupe.get_or_insert_default().insert(id, seq, ts);
        }
    }

    /// A rollup takes the place of what came before it (PUB-009).
    pub(super) fn apply_rollup(&mut self, subject: &[u8], rollup: Rollup, keep: u64) {
        let filter = match rollup {
            Rollup::No => return,
            Rollup::Subject => Filter::Literal(subject.into()),
            Rollup::All => Filter::All,
        };
        let before = self.store.removals();
        if let Err(error) = self.store.purge(&filter, 0, keep) {
            self.fail(&error.to_string());
        }
        // Compat(RET-009): one message alone is removed as if somebody had deleted it, but from files
        // only if its subject was named.
        let is_named = rollup == Rollup::Subject || !self.store.is_file();
        if self.store.removals() != before + 1 || !is_named {
            self.stored.rolled.append(&mut self.store.take_removals_after(before));
        }
        let subject = if rollup == Rollup::All { &b""[..] } else { subject };
        self.stored.rollups.push(subject.into());
    }

    fn refused_by_store<O: Out>(&mut self, error: &Error, out: &O) -> Refusal {
        match error {
            Error::MaxMsgs
            | Error::MaxBytes
            | Error::MaxMsgsPerSubject
            | Error::MsgTooLarge(_)
            | Error::DiskFull { .. } => {
                self.without_room += u64::from(matches!(error, Error::DiskFull { .. }));
                let why = match error {
                    Error::MsgTooLarge(_) => "message too large".to_owned(),
                    other => other.to_string(),
                };
                ApiError::stream_store_failed(why).into()
            }
            // Publishers are faster than the disk, which is not for ever.
            Error::Busy { .. } => ApiError::stream_too_many_requests().into(),
            other => {
                let (account, name) = (&self.facts.account, &self.config.name);
                stdx::error!(
                    out.log(),
                    "JetStream failed to store a msg on stream '{account} > {name}': {other}"
                );
                self.fail(&other.to_string());
                ApiError::stream_store_failed(other).into()
            }
        }
    }

    /// Where a message with this id was stored within the window.
    pub(super) fn seen(&mut self, id: &[u8], now: Now) -> Option<u64> {
        let window = self.config.duplicate_window.as_duration();
        self.load_ids(now.wall);
        self.dedupe.as_mut()?.find(id, window, now.wall)
    }

    /// Reads the ids of the window again, once after a start.
    fn load_ids(&mut self, now: Timestamp) {
        if self.dedupe.is_some() {
            return;
        }
        let mut ids = Box::<Dedupe>::default();
        let window = i64::try_from(self.config.duplicate_window.as_duration().as_nanos());
        let from = Timestamp(now.0.saturating_sub(window.unwrap_or(i64::MAX)));
        let state = self.store.state();
        if state.msgs > 0 && state.last_ts.is_some_and(|last| last >= from) {
            let mut seq = self.store.seq_at_time(from).unwrap_or(u64::MAX);
            while let Ok(Some(m)) = self.store.next(&Filter::All, seq) {
                let id = wire::header::get(&m.header, b"Nats-Msg-Id").unwrap_or_default();
                if !id.is_empty() {
                    ids.insert(id, m.seq, m.ts);
                }
                if m.seq == state.last_seq {
                    self.last_msg_id = id.into();
                }
                seq = m.seq + 1;
            }
        }
        self.dedupe = Some(ids);
    }

    /// Whether answers could be asked for at all.
    pub fn is_interest_based(&self) -> bool {
        self.config.retention != RetentionPolicy::Limits
    }
}
