//! `MemStore`: the same store without a disk, for streams with memory storage.
//!
//! Not here: anything that outlives the process.
//! Laws: the answers are those of `FileStore`, except that bytes count subject, header and payload
//!       plus 16, and that a restart finds nothing.
//! Reference: memstore.go.   Parity: MSTORE-001, MSTORE-002.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use stdx::time::Timestamp;

use crate::error::{Error, Result};
use crate::file::append::NewMessage;
use crate::file::expire::{BATCH, Pending};
use crate::file::{Expired, Removed};
use crate::filter::Filter;
use crate::message::{Message, header_value, message_ttl};
use crate::record::MAX_RECORD;
use crate::schedule::{Due, Schedules};
use crate::seqset::SeqSet;
use crate::settings::Settings;
use crate::state::{Deleted, ReplicatedState, SimpleState, State};
use crate::wheel::Wheel;

/// A stream's messages in memory.
#[derive(Debug)]
pub struct MemStore {
    settings: Settings,
    messages: BTreeMap<u64, Message>,
    subjects: BTreeMap<Bytes, BTreeSet<u64>>,
    bytes: u64,
    last_seq: u64,
    last_ts: i64,
    ttls: Wheel,
    schedules: Schedules,
    pending_markers: Pending,
    removals: Option<Vec<Removed>>,
}

fn size(m: &Message) -> u64 {
    (m.subject.len() + m.header.len() + m.payload.len()) as u64 + 16
}

impl MemStore {
    /// An empty store.
    pub fn new(settings: Settings) -> Self {
        let last_seq = settings.first_seq.saturating_sub(1);
        Self {
            settings,
            messages: BTreeMap::new(),
            subjects: BTreeMap::new(),
            bytes: 0,
            last_seq,
            last_ts: 0,
            ttls: Wheel::default(),
            schedules: Schedules::default(),
            pending_markers: Pending::default(),
            removals: None,
        }
    }

    /// Totals and bounds.
    pub fn state(&self) -> State {
        let first = self.messages.first_key_value();
        let first_seq = first.map_or(self.last_seq + 1, |(&seq, _)| seq);
        let msgs = self.messages.len() as u64;
        State {
            msgs,
            bytes: self.bytes,
            first_seq,
            first_ts: first.map(|(_, m)| m.ts),
            last_seq: self.last_seq,
            last_ts: (self.last_ts != 0).then_some(Timestamp(self.last_ts)),
            num_subjects: self.subjects.len() as u64,
            num_deleted: if msgs == 0 { 0 } else { self.last_seq + 1 - first_seq - msgs },
        }
    }

    /// Stores a message at the next sequence; returns it.
    pub fn append(&mut self, m: &NewMessage<'_>, now: Timestamp) -> Result<u64> {
        self.append_at(m, self.last_seq + 1, now, true)
    }

    /// Stores a message at a given sequence and time (replication).
    pub fn append_at(
        &mut self,
        m: &NewMessage<'_>,
        seq: u64,
        ts: Timestamp,
        check_discard: bool,
    ) -> Result<u64> {
        if m.record_len() > MAX_RECORD {
            return Err(Error::MsgTooLarge(m.record_len()));
        }
        if check_discard && self.settings.discard_new {
            self.check_discard_new(m)?;
        }
        if seq != self.last_seq + 1 {
            return Err(Error::SequenceMismatch { expected: self.last_seq + 1, got: seq });
        }
        let mut buf = Vec::with_capacity(m.subject.len() + m.header.len() + m.payload.len());
        buf.extend_from_slice(m.subject);
        buf.extend_from_slice(m.header);
        buf.extend_from_slice(m.payload);
        let buf = Bytes::from(buf);
        let body = m.subject.len() + m.header.len();
        let message = Message {
            seq,
            ts,
            subject: buf.slice(..m.subject.len()),
            header: buf.slice(m.subject.len()..body),
            payload: buf.slice(body..),
        };
        self.bytes += size(&message);
        // The table keeps its own copy of a subject, so that it does not hold on to payloads.
        match self.subjects.get_mut(m.subject) {
            Some(seqs) => {
                seqs.insert(seq);
            }
            None => {
                self.subjects.insert(Bytes::copy_from_slice(m.subject), BTreeSet::from([seq]));
            }
        }
        self.messages.insert(seq, message);
        (self.last_seq, self.last_ts) = (seq, ts.0);
        self.enforce(m.subject);
        self.note_times(m, seq, ts);
        Ok(seq)
    }

    fn note_times(&mut self, m: &NewMessage<'_>, seq: u64, ts: Timestamp) {
        if m.ttl > 0 && self.settings.allow_msg_ttl {
            self.ttls.add(seq, ts.0.saturating_add(m.ttl.saturating_mul(1_000_000_000)));
        }
        if self.settings.allow_schedules {
            match m.schedule {
                Some(at) => self.schedules.add(seq, m.subject, at.0),
                None if header_value(m.header, b"Nats-Scheduler").is_none() => {
                    self.schedules.remove_subject(m.subject);
                }
                None => {}
            }
        }
    }

    fn check_discard_new(&self, m: &NewMessage<'_>) -> Result<()> {
        let new = (m.subject.len() + m.header.len() + m.payload.len()) as u64 + 16;
        let own = self.subjects.get(m.subject);
        let total = own.map_or(0, |s| s.len() as u64);
        let over = self.settings.max_msgs_per_subject.is_some_and(|max| max > 0 && total + 1 > max);
        if over
            && self.settings.discard_new_per_subject
            && header_value(m.header, b"Nats-Rollup").is_none()
        {
            return Err(Error::MaxMsgsPerSubject);
        }
        let frees = own
            .filter(|_| over)
            .and_then(|s| s.first())
            .and_then(|seq| self.messages.get(seq))
            .map(size);
        if frees.is_none()
            && self
                .settings
                .max_msgs
                .is_some_and(|max| max > 0 && self.messages.len() as u64 >= max)
        {
            return Err(Error::MaxMsgs);
        }
        let full = self.settings.max_bytes.is_some_and(|max| max > 0 && self.bytes + new > max);
        if full && frees.is_none_or(|f| f < new) {
            return Err(Error::MaxBytes);
        }
        Ok(())
    }

    fn enforce(&mut self, subject: &[u8]) {
        if let Some(max) = self.settings.max_msgs_per_subject.filter(|&max| max > 0) {
            while let Some(first) = self
                .subjects
                .get(subject)
                .filter(|s| s.len() as u64 > max)
                .and_then(BTreeSet::first)
                .copied()
            {
                self.take(first);
            }
        }
        self.enforce_totals();
    }

    fn enforce_totals(&mut self) {
        if self.settings.discard_new {
            return;
        }
        let over = |s: &Self| {
            s.settings.max_msgs.is_some_and(|max| max > 0 && s.messages.len() as u64 > max)
                || s.settings.max_bytes.is_some_and(|max| max > 0 && s.bytes > max)
        };
        while over(self) {
            let Some((&first, _)) = self.messages.first_key_value() else { return };
            self.take(first);
        }
    }

    fn take(&mut self, seq: u64) -> bool {
        let Some(m) = self.messages.remove(&seq) else { return false };
        self.bytes -= size(&m);
        if let Some(seqs) = self.subjects.get_mut(&m.subject) {
            seqs.remove(&seq);
            if seqs.is_empty() {
                self.subjects.remove(&m.subject);
            }
        }
        let ttl = if m.header.is_empty() { 0 } else { message_ttl(&m.header) };
        if ttl > 0 {
            self.ttls.remove(seq, m.ts.0.saturating_add(ttl.saturating_mul(1_000_000_000)));
        }
        self.schedules.remove_seq(seq);
        if let Some(removals) = &mut self.removals {
            removals.push(Removed { seq, bytes: size(&m), subject: m.subject });
        }
        true
    }

    /// Starts or stops recording removed messages for [`Self::take_removals`].
    pub fn record_removals(&mut self, on: bool) {
        self.removals = on.then(Vec::new);
    }

    /// Messages removed since the last call.
    pub fn take_removals(&mut self) -> Vec<Removed> {
        self.removals.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How many removals [`Self::take_removals`] would give.
    pub fn removals(&self) -> usize {
        self.removals.as_ref().map_or(0, Vec::len)
    }

    /// The latest of them, without the first `keep`, which stay.
    pub fn take_removals_after(&mut self, keep: usize) -> Vec<Removed> {
        let after = |all: &mut Vec<Removed>| all.split_off(keep.min(all.len()));
        self.removals.as_mut().map(after).unwrap_or_default()
    }

    /// Uses up the next sequence without storing anything; the last time moves with it.
    pub fn skip_touching(&mut self, now: Timestamp) -> Result<u64> {
        self.last_seq += 1;
        self.last_ts = now.0;
        Ok(self.last_seq)
    }

    /// Uses up `num` sequences without storing anything.
    pub fn skip_many(&mut self, seq: u64, num: u64, now: Timestamp) -> Result<u64> {
        if seq != 0 && seq != self.last_seq + 1 {
            return Err(Error::SequenceMismatch { expected: self.last_seq + 1, got: seq });
        }
        self.last_seq += num;
        if self.last_ts == 0 {
            self.last_ts = now.0;
        }
        Ok(self.last_seq)
    }

    /// The message with this sequence.
    pub fn load(&self, seq: u64) -> Result<Message> {
        if seq > self.last_seq {
            return Err(Error::Eof);
        }
        self.messages.get(&seq).cloned().ok_or(Error::NotFound)
    }

    /// The first message at or after `from` that the filter selects.
    pub fn next(&self, filter: &Filter, from: u64) -> Option<Message> {
        if let Filter::Literal(subject) = filter {
            let seq = self.subjects.get(&**subject)?.range(from..).next()?;
            return self.messages.get(seq).cloned();
        }
        self.messages.range(from..).map(|(_, m)| m).find(|m| filter.matches(&m.subject)).cloned()
    }

    /// The last message at or before `from` that the filter selects.
    pub fn prev(&self, filter: &Filter, from: u64) -> Option<Message> {
        if let Filter::Literal(subject) = filter {
            let seq = self.subjects.get(&**subject)?.range(..=from).next_back()?;
            return self.messages.get(seq).cloned();
        }
        self.messages
            .range(..=from)
            .rev()
            .map(|(_, m)| m)
            .find(|m| filter.matches(&m.subject))
            .cloned()
    }

    fn matching<'a>(
        &'a self,
        filter: &'a Filter,
    ) -> Box<dyn Iterator<Item = (&'a Bytes, &'a BTreeSet<u64>)> + 'a> {
        match filter {
            Filter::Literal(subject) => {
                Box::new(self.subjects.get_key_value(&**subject).into_iter())
            }
            _ => Box::new(self.subjects.iter().filter(|(s, _)| filter.matches(s))),
        }
    }

    /// How many messages from `from` on the filter selects.
    pub fn num_pending(&self, filter: &Filter, from: u64, last_per_subject: bool) -> u64 {
        self.matching(filter)
            .map(|(_, seqs)| {
                if last_per_subject {
                    u64::from(seqs.last().is_some_and(|&s| s >= from))
                } else if seqs.first().is_some_and(|&s| s >= from) {
                    seqs.len() as u64
                } else {
                    seqs.range(from..).count() as u64
                }
            })
            .sum()
    }

    /// Messages, first and last sequence a filter selects from `from` on.
    pub fn filtered_state(&self, filter: &Filter, from: u64) -> SimpleState {
        let msgs = self.num_pending(filter, from, false);
        let first = self.next(filter, from).map_or(0, |m| m.seq);
        let last = self.prev(filter, self.last_seq).map_or(0, |m| m.seq);
        if msgs == 0 { SimpleState::default() } else { SimpleState { msgs, first, last } }
    }

    /// Number of messages of each subject the filter selects.
    pub fn subjects_totals(&self, filter: &Filter) -> HashMap<Box<[u8]>, u64> {
        self.matching(filter).map(|(s, seqs)| ((**s).into(), seqs.len() as u64)).collect()
    }

    /// State of each subject the filter selects.
    pub fn subjects_state(&self, filter: &Filter) -> BTreeMap<Box<[u8]>, SimpleState> {
        self.matching(filter)
            .map(|(s, seqs)| {
                let (first, last) =
                    (seqs.first().copied().unwrap_or(0), seqs.last().copied().unwrap_or(0));
                ((**s).into(), SimpleState { msgs: seqs.len() as u64, first, last })
            })
            .collect()
    }

    /// The last sequence of every subject the filter selects, not after `max_seq` (0: any).
    pub fn multi_last(
        &self,
        filter: &Filter,
        max_seq: u64,
        max_allowed: usize,
    ) -> Result<Vec<u64>> {
        let max_seq = if max_seq == 0 { u64::MAX } else { max_seq };
        let mut out: Vec<u64> = self
            .matching(filter)
            .filter_map(|(_, seqs)| seqs.range(..=max_seq).next_back().copied())
            .collect();
        if max_allowed > 0 && out.len() > max_allowed {
            return Err(Error::TooManyResults);
        }
        out.sort_unstable();
        Ok(out)
    }

    /// The sequence of the first message not stored before `t`; `last_seq + 1` if none.
    pub fn seq_at_time(&self, t: Timestamp) -> u64 {
        self.messages.values().find(|m| m.ts >= t).map_or(self.last_seq + 1, |m| m.seq)
    }

    /// Removes a message; false if it was not there.
    pub fn remove(&mut self, seq: u64) -> Result<bool> {
        if seq == 0 {
            return Err(Error::NotFound);
        }
        if seq > self.last_seq {
            return Err(Error::Eof);
        }
        Ok(self.take(seq))
    }

    /// Removes messages a filter selects, as `FileStore::purge_filtered`.
    pub fn purge_filtered(&mut self, filter: &Filter, seq: u64, keep: u64) -> u64 {
        if seq == 1 {
            return 0;
        }
        if *filter == Filter::All && seq > 1 {
            return self.compact(seq);
        }
        let all: Vec<u64> = match filter {
            Filter::All => self.messages.keys().copied().collect(),
            _ => {
                let mut all: Vec<u64> =
                    self.matching(filter).flat_map(|(_, s)| s.iter().copied()).collect();
                all.sort_unstable();
                all
            }
        };
        let most = all.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        let doomed = all.into_iter().take(most).filter(|&s| seq == 0 || s < seq);
        doomed.map(|s| u64::from(self.take(s))).sum()
    }

    /// Removes every message before `seq`.
    pub fn compact(&mut self, seq: u64) -> u64 {
        let bound = if seq == 0 { u64::MAX } else { seq };
        let doomed: Vec<u64> = self.messages.range(..bound).map(|(&s, _)| s).collect();
        let n = doomed.len() as u64;
        for s in doomed {
            self.take(s);
        }
        self.last_seq = self.last_seq.max(seq.saturating_sub(1));
        n
    }

    /// Removes every message after `seq`; 0 starts again at 1.
    pub fn truncate(&mut self, seq: u64) -> Result<()> {
        if seq > self.last_seq {
            return Err(Error::Eof);
        }
        for s in self.messages.range(seq + 1..).map(|(&s, _)| s).collect::<Vec<_>>() {
            self.take(s);
        }
        self.last_seq = seq;
        self.last_ts = self.messages.last_key_value().map_or(self.last_ts, |(_, m)| m.ts.0);
        Ok(())
    }

    /// Removes what expired, as `FileStore::expire`. With delete markers, returns it instead.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Expired> {
        if self.settings.subject_delete_marker_ttl.is_none() {
            loop {
                let doomed = self.over(now, BATCH);
                let taken = doomed.into_iter().filter(|&seq| self.take(seq)).count();
                if taken == 0 {
                    return Vec::new();
                }
            }
        }
        let mut out = Vec::new();
        for m in self.over(now, 2 * BATCH).iter().filter_map(|seq| self.messages.get(seq)) {
            let total = self.subjects.get(&m.subject).map_or(0, |seqs| seqs.len() as u64);
            out.extend(self.pending_markers.propose(m, total, now));
        }
        out
    }

    /// Messages whose time is over, those that age before those with a time to live; of each kind
    /// at most so many.
    fn over(&self, now: Timestamp, limit: usize) -> Vec<u64> {
        let mut over: Vec<u64> = Vec::new();
        if let Some(age) = self.settings.max_age.filter(|age| !age.is_zero()) {
            let floor = now.0.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
            let old = self.messages.values().take_while(|m| m.ts.0 <= floor);
            let old = old.filter(|m| m.header.is_empty() || message_ttl(&m.header) >= 0);
            over.extend(old.map(|m| m.seq).take(limit));
        }
        over.extend(self.ttls.due(now.0, limit).into_iter().map(|(seq, _)| seq));
        over.sort_unstable();
        over.dedup();
        over
    }

    /// Forgets a proposal that was carried out.
    pub fn expired(&mut self, seq: u64, subject: &[u8]) {
        self.pending_markers.done(seq, subject);
    }

    /// When [`Self::expire`] has something to do next, if ever.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let ages = |m: &&Message| m.header.is_empty() || message_ttl(&m.header) >= 0;
        let first = self.messages.values().find(ages).map(|m| m.ts);
        let by_age = self.settings.max_age.zip(first).map(|(age, ts)| ts + age);
        by_age.into_iter().chain(self.ttls.next().map(Timestamp)).min()
    }

    /// Messages with a schedule that the schedules do not know: none, as nothing outlives a restart.
    pub fn unscheduled(&mut self) -> Vec<Message> {
        Vec::new()
    }

    /// Sets when the schedule carried by `seq` fires.
    pub fn schedule(&mut self, seq: u64, subject: &[u8], at: Timestamp) {
        if self.settings.allow_schedules {
            self.schedules.add(seq, subject, at.0);
        }
    }

    /// Schedules whose time has come.
    pub fn due_schedules(&mut self, now: Timestamp) -> Vec<Due> {
        self.schedules.take_due(now.0)
    }

    /// Lets handed-out schedules fire again (leadership was lost meanwhile).
    pub fn clear_due_schedules(&mut self) {
        self.schedules.clear_in_flight();
    }

    /// Moves a repeating schedule to its next time.
    pub fn reschedule(&mut self, subject: &[u8], at: Timestamp) {
        self.schedules.update(subject, at.0);
    }

    /// Drops a schedule.
    pub fn unschedule(&mut self, seq: u64) {
        self.schedules.remove_seq(seq);
    }

    /// When the next schedule fires.
    pub fn next_schedule(&self) -> Option<Timestamp> {
        self.schedules.next().map(Timestamp)
    }

    /// Single deleted sequences; at most `limit`.
    pub fn deleted_seqs(&self, limit: usize) -> Vec<u64> {
        let Some((&first, _)) = self.messages.first_key_value() else { return Vec::new() };
        (first..=self.last_seq).filter(|s| !self.messages.contains_key(s)).take(limit).collect()
    }

    /// The state replicas exchange.
    pub fn replicated_state(&self, failed: u64) -> ReplicatedState {
        let s = self.state();
        let set: SeqSet = self.deleted_seqs(usize::MAX).into_iter().collect();
        let deleted = if set.is_empty() { vec![] } else { vec![Deleted::Set(set)] };
        ReplicatedState {
            msgs: s.msgs,
            bytes: s.bytes,
            first_seq: s.first_seq,
            last_seq: s.last_seq,
            failed,
            deleted,
        }
    }

    /// Takes over new settings; lowered limits apply at once.
    pub fn update(&mut self, settings: Settings, now: Timestamp) {
        self.settings = settings;
        for subject in self.subjects.keys().cloned().collect::<Vec<_>>() {
            self.enforce(&subject);
        }
        self.enforce_totals();
        self.expire(now);
    }
}
