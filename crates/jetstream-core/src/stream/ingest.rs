//! Taking a published message: checks in the reference's order, then the store.
//!
//! Not here: batches, schedules, counters; what a mirror or source does before (`mirror`, `source`).
//! Laws: a refused message changes nothing; checks come before effects.
//! Reference: stream.go processJetStreamMsg.   Parity: PUB-*.
//! Hot path: no allocation for a message without headers but what the store makes.

use std::borrow::Cow;

use jetstream_api::{ApiError, RetentionPolicy};
use stdx::time::{Now, Timestamp};
use store::disk::Disk;
use store::{Error, Filter, MessageStore, NewMessage, record_len};

use super::header::{self, Fields, sequence};
use super::message::{Invalid, ttl};
use super::pub_ack::{self, push_number};
use super::republish::Copy;
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

/// How a message came to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Somebody published it.
    Publish,
    /// From one of the sources, whose stream has judged it already.
    Source,
    /// From the stream that is mirrored, with its place and time there.
    Mirror(u64, Timestamp),
}

/// Largest header block a stream takes, bytes.
const MAX_HEADER: usize = u16::MAX as usize;
/// Largest record the file store keeps, bytes.
const MAX_RECORD: u64 = 32 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rollup {
    No,
    Subject,
    All,
}

/// A message that may be stored, and how.
struct Admitted<'a> {
    header: Cow<'a, [u8]>,
    ttl: i64,
    rollup: Rollup,
    msg_id: &'a [u8],
    /// Nobody is interested: it gets a sequence, but is not kept.
    skipped: bool,
}

pub(super) enum Refusal {
    Error(ApiError),
    Duplicate(u64),
    /// The store failed: the publisher hears nothing and tries again.
    Silent,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl<D: Disk> Stream<D> {
    /// Takes a published message and answers it.
    pub fn publish<O: Out>(&mut self, m: &Incoming<'_>, limits: &Limits, now: Now, out: &mut O) {
        let mut renamed = std::mem::take(&mut self.scratch);
        renamed.clear();
        let moved = self
            .transform
            .as_ref()
            .is_some_and(|t| t.apply_if_match(m.subject, || out.random() as u32, &mut renamed));
        let m = Incoming { subject: if moved { &renamed } else { m.subject }, ..*m };
        let outcome = self.take(&m, Via::Publish, limits, now, out);
        self.answer(&m, &outcome, out);
        self.scratch = renamed;
    }

    fn answer<O: Out>(&self, m: &Incoming<'_>, outcome: &Result<u64, Refusal>, out: &mut O) {
        let Some(reply) = m.reply.filter(|r| !r.is_empty() && !self.config.no_ack) else { return };
        let end: &[u8] = match outcome {
            Ok(_) => b"}",
            Err(Refusal::Duplicate(_)) => b",\"duplicate\": true}",
            Err(Refusal::Error(error)) => {
                return out.answer(reply, &pub_ack::refusal(&self.config.name, error));
            }
            Err(Refusal::Silent) => return,
        };
        let (Ok(seq) | Err(Refusal::Duplicate(seq))) = *outcome else { return };
        let mut body = out.scratch();
        body.clear();
        body.extend_from_slice(&self.ack_head);
        push_number(&mut body, seq);
        body.extend_from_slice(end);
        out.answer(reply, &body);
        out.give_back(body);
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
        let mut renamed = std::mem::take(&mut self.scratch);
        renamed.clear();
        let moved = self
            .transform
            .as_ref()
            .is_some_and(|t| t.apply_if_match(m.subject, || out.random() as u32, &mut renamed));
        let m = Incoming { subject: if moved { &renamed } else { m.subject }, ..*m };
        let outcome = self.take(&m, via, limits, now, out);
        self.scratch = renamed;
        outcome
    }

    fn take<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        via: Via,
        limits: &Limits,
        now: Now,
        out: &mut O,
    ) -> Result<u64, Refusal> {
        let admitted = self.admit(m, via, limits, now)?;
        self.apply(m, via, &admitted, now, out)
    }

    /// Decides whether the message may be stored. Nothing changes.
    fn admit<'a>(
        &mut self,
        m: &Incoming<'a>,
        via: Via,
        limits: &Limits,
        now: Now,
    ) -> Result<Admitted<'a>, Refusal> {
        if self.failure.is_some() {
            return Err(Refusal::Silent);
        }
        let size = record_len(m.subject.len(), m.header.len(), m.payload.len());
        if self.store.is_file() && size > MAX_RECORD {
            return Err(ApiError::stream_store_failed("message too large").into());
        }
        if self.config.sealed {
            return Err(ApiError::stream_sealed().into());
        }
        let mut admitted = Admitted {
            header: Cow::Borrowed(m.header),
            ttl: 0,
            rollup: Rollup::No,
            msg_id: b"",
            skipped: false,
        };
        if !m.header.is_empty() {
            self.admit_header(m, via, now, &mut admitted)?;
        }
        let max = self.config.max_msg_size;
        let (header, payload) = (admitted.header.len(), m.payload.len());
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
        Ok(admitted)
    }

    fn admit_header<'a>(
        &mut self,
        m: &Incoming<'a>,
        via: Via,
        now: Now,
        admitted: &mut Admitted<'a>,
    ) -> Result<(), Refusal> {
        if let Some(plain) = header::without_status(m.header) {
            admitted.header = Cow::Owned(plain);
        }
        let fields = Fields::of(m.header);
        if fields.request_info {
            admitted.header = Cow::Owned(header::without(&admitted.header, b"Nats-Request-Info"));
        }
        if fields.expected_stream.is_some_and(|s| !s.is_empty() && s != self.config.name.as_bytes())
        {
            return Err(ApiError::stream_not_match().into());
        }
        let ttl = ttl(m.header, fields.ttl);
        let published = via == Via::Publish;
        if published && ttl.is_ok_and(|ttl| ttl != 0) && !self.config.allow_msg_ttl {
            return Err(ApiError::message_ttl_disabled().into());
        }
        self.check_expected(m, &fields)?;
        self.check_msg_id(&fields, via, now, admitted)?;
        // Who drew it cannot refuse what its origin took: what is not allowed has no effect here.
        let rollup = self.check_rollup(&fields, admitted);
        if published {
            rollup?;
        }
        admitted.ttl = match ttl {
            Ok(ttl) => ttl,
            Err(Invalid) if published => return Err(ApiError::message_ttl_invalid().into()),
            Err(Invalid) => 0,
        };
        self.raise_ttl(admitted);
        Ok(())
    }

    /// Optimistic concurrency (PUB-005, PUB-006).
    fn check_expected(&mut self, m: &Incoming<'_>, fields: &Fields<'_>) -> Result<(), Refusal> {
        if let Some(expected) = fields.expected_last_subject_seq.and_then(sequence) {
            let subject = fields.expected_last_subject.filter(|s| !s.is_empty());
            let last = self
                .store
                .last_of(subject.unwrap_or(m.subject))
                .map_err(|_| ApiError::stream_wrong_last_sequence(0))?
                .unwrap_or(0);
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
            let window = self.config.duplicate_window.as_duration();
            self.load_ids(now.wall);
            // A mirror has what its origin has.
            if !matches!(via, Via::Mirror(..))
                && let Some(dedupe) = &mut self.dedupe
                && let Some(seq) = dedupe.find(id, window, now.wall)
            {
                return Err(Refusal::Duplicate(seq));
            }
            admitted.msg_id = id;
        }
        if let Some(expected) = fields.expected_last_msg_id.filter(|id| !id.is_empty()) {
            self.load_ids(now.wall);
            if *expected != *self.last_msg_id {
                let last = String::from_utf8_lossy(&self.last_msg_id);
                return Err(ApiError::stream_wrong_last_msg_id(last).into());
            }
        }
        Ok(())
    }

    fn check_rollup(
        &self,
        fields: &Fields<'_>,
        admitted: &mut Admitted<'_>,
    ) -> Result<(), Refusal> {
        let Some(rollup) = fields.rollup.filter(|r| !r.is_empty()) else { return Ok(()) };
        if !self.config.allow_rollup_hdrs || self.config.deny_purge {
            return Err(ApiError::stream_rollup_failed("rollup not permitted").into());
        }
        // Compat(PUB-009): the value is taken in any case, and quoted in lower case.
        let rollup = rollup.to_ascii_lowercase();
        admitted.rollup = match rollup.as_slice() {
            b"sub" => Rollup::Subject,
            b"all" => Rollup::All,
            other => {
                let text = stdx::go_text::quote(other);
                let why = format!("rollup value invalid: {text}");
                return Err(ApiError::stream_rollup_failed(why).into());
            }
        };
        Ok(())
    }

    /// Markers of a subject must outlive what they mark (PUB-011).
    fn raise_ttl(&self, admitted: &mut Admitted<'_>) {
        let least = self.config.subject_delete_marker_ttl.0 / 1_000_000_000;
        if admitted.ttl > 0 && admitted.ttl < least && self.config.max_msgs_per_subject != 1 {
            admitted.ttl = least;
            let text = least.to_string();
            admitted.header =
                Cow::Owned(header::with(&admitted.header, b"Nats-TTL", text.as_bytes()));
        }
    }

    /// Stores what was admitted, with everything that follows from it.
    fn apply<O: Out>(
        &mut self,
        m: &Incoming<'_>,
        via: Via,
        admitted: &Admitted<'_>,
        now: Now,
        out: &mut O,
    ) -> Result<u64, Refusal> {
        if admitted.skipped {
            return self.apply_skip(m, admitted, now);
        }
        let target = self.republish.as_ref().and_then(|r| r.target(m.subject, out));
        let previous = match &target {
            Some(_) => self.store.last_of(m.subject).ok().flatten().unwrap_or(0),
            None => 0,
        };
        let message = NewMessage {
            subject: m.subject,
            header: &admitted.header,
            payload: m.payload,
            ttl: admitted.ttl,
            schedule: None,
        };
        let stored = match via {
            Via::Mirror(seq, ts) => {
                self.store.append_at(&message, seq, ts, true).map(|_| (seq, ts))
            }
            Via::Publish | Via::Source => {
                self.store.append(&message, now.wall).map(|(seq, _)| (seq, now.wall))
            }
        };
        let (seq, ts) = match stored {
            Ok(stored) => stored,
            Err(error) => return Err(self.refused_by_store(&error, out)),
        };
        self.note_stored(seq, m.subject);
        self.note_id(admitted.msg_id, seq, now.wall);
        self.apply_rollup(m.subject, admitted.rollup, 1);
        if let (Some(republish), Some(target)) = (&self.republish, target) {
            let copy = Copy {
                stream: &self.config.name,
                subject: m.subject,
                header: &admitted.header,
                payload: m.payload,
                seq,
                ts,
                previous,
            };
            republish.send(&target, &copy, out);
        }
        Ok(seq)
    }

    fn apply_skip(
        &mut self,
        m: &Incoming<'_>,
        admitted: &Admitted<'_>,
        now: Now,
    ) -> Result<u64, Refusal> {
        let seq = self.store.skip_touching(now.wall).map_err(|_| Refusal::Silent)?;
        self.last_seq = seq;
        self.note_id(admitted.msg_id, seq, now.wall);
        self.apply_rollup(m.subject, admitted.rollup, 0);
        Ok(seq)
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

    fn note_id(&mut self, id: &[u8], seq: u64, ts: Timestamp) {
        if *self.last_msg_id != *id {
            self.last_msg_id = id.into();
        }
        if !id.is_empty() && !self.config.duplicate_window.as_duration().is_zero() {
            self.dedupe.get_or_insert_default().insert(id, seq, ts);
        }
    }

    /// A rollup takes the place of what came before it (PUB-009).
    fn apply_rollup(&mut self, subject: &[u8], rollup: Rollup, keep: u64) {
        let filter = match rollup {
            Rollup::No => return,
            Rollup::Subject => Filter::Literal(subject.into()),
            Rollup::All => Filter::All,
        };
        if let Err(error) = self.store.purge(&filter, 0, keep) {
            self.fail(&error.to_string());
        }
    }

    fn refused_by_store<O: Out>(&mut self, error: &Error, out: &O) -> Refusal {
        match error {
            Error::MaxMsgs
            | Error::MaxBytes
            | Error::MaxMsgsPerSubject
            | Error::MsgTooLarge(_)
            | Error::DiskFull { .. } => {
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
                Refusal::Silent
            }
        }
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
