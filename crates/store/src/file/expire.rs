//! Messages whose time is over: the stream's age limit, and times to live of single messages.
//!
//! With delete markers configured nothing is removed here: the owner is told, and proposes either
//! a marker or the removal.
//! Laws: a message that never expires (`Nats-TTL: never`) survives the age limit.
//! Reference: filestore.go expireMsgs, shouldProcessSdm, recoverTTLState.
//! Parity: PUB-012, RET-001, FSTORE-007, SCHED-012.

use std::collections::HashMap;

use bytes::Bytes;
use stdx::time::Timestamp;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file::index_db::{SCHEDULES, WHEEL};
use crate::file::remove::Why;
use crate::file::{FileStore, MSGS};
use crate::filter::Filter;
use crate::message::{Message, header_value, message_ttl};
use crate::schedule::{Due, Schedules};
use crate::wheel::Wheel;

/// A message that expired while delete markers are configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Its sequence.
    pub seq: u64,
    /// Its subject.
    pub subject: Bytes,
    /// It was the last of its subject and no marker itself: a marker takes its place.
    pub marker: bool,
}

/// Proposals under way, so that the same one is not made every tick. Most stores make none.
#[derive(Debug, Default)]
pub(crate) struct Pending(Option<Box<Proposals>>);

#[derive(Debug, Default)]
struct Proposals {
    by_seq: HashMap<u64, i64>,
    by_subject: HashMap<Bytes, u64>,
}

const PROPOSE_AGAIN: i64 = 2_000_000_000;
/// Expired messages that are looked at together.
pub(crate) const BATCH: usize = 4096;

impl Pending {
    /// What to tell the owner about a message that expired; `total` messages have its subject.
    pub(crate) fn propose(&mut self, m: &Message, total: u64, now: Timestamp) -> Option<Expired> {
        let this = self.0.get_or_insert_default();
        let again = this.by_seq.get(&m.seq).copied();
        if again.is_some_and(|at| now.0 - at < PROPOSE_AGAIN) {
            return None;
        }
        this.by_seq.insert(m.seq, now.0);
        let pending = this.by_subject.entry(m.subject.clone()).or_default();
        if again.is_none() {
            *pending += 1;
        }
        let last = total == *pending;
        let is_marker = header_value(&m.header, b"Nats-Marker-Reason").is_some()
            || header_value(&m.header, b"KV-Operation").is_some_and(|op| op == b"PURGE");
        Some(Expired { seq: m.seq, subject: m.subject.clone(), marker: last && !is_marker })
    }

    /// Forgets a proposal that was carried out.
    pub(crate) fn done(&mut self, seq: u64, subject: &[u8]) {
        let Some(this) = &mut self.0 else { return };
        if this.by_seq.remove(&seq).is_some()
            && let Some(pending) = this.by_subject.get_mut(subject)
        {
            *pending -= 1;
            if *pending == 0 {
                this.by_subject.remove(subject);
            }
        }
    }
}

/// When a message's own time to live ends, if it has one.
fn deadline(m: &Message) -> Option<i64> {
    let ttl = message_ttl(&m.header);
    (ttl > 0).then(|| m.ts.0.saturating_add(ttl.saturating_mul(1_000_000_000)))
}

impl<D: Disk> FileStore<D> {
    /// Removes what expired. With delete markers, returns it instead of removing it. With reads that
    /// are deferred it may have to be asked again, if there are no markers.
    pub fn expire(&mut self, now: Timestamp) -> Result<Vec<Expired>> {
        self.check_open()?;
        if self.settings.subject_delete_marker_ttl.is_none() {
            self.expire_aged(now)?;
            self.expire_by_ttl(now)?;
            self.find_oldest()?;
            return Ok(Vec::new());
        }
        self.waiting(|s| s.propose_due(now))
    }

    fn propose_due(&mut self, now: Timestamp) -> Result<Vec<Expired>> {
        let mut due = self.aged(now, 2 * BATCH)?;
        let wheel = self.ttls.as_ref().map(|w| w.due(now.0, 2 * BATCH)).unwrap_or_default();
        for (seq, at) in wheel {
            match self.load(seq) {
                Ok(_) => due.push(seq),
                Err(Error::NotFound | Error::Eof | Error::Damaged { .. }) => {
                    if let Some(wheel) = &mut self.ttls {
                        wheel.remove(seq, at);
                    }
                }
                Err(e) => return Err(e),
            }
        }
        due.sort_unstable();
        due.dedup();
        let mut out = Vec::new();
        for seq in due {
            match self.load(seq) {
                Ok(m) => out.extend(self.propose(&m, now)),
                Err(Error::NotFound | Error::Eof | Error::Damaged { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        self.find_oldest()?;
        Ok(out)
    }

    /// Looks for the first message that ages: those before it never expire.
    fn find_oldest(&mut self) -> Result<()> {
        let known = self.oldest.map_or(0, |(seq, _)| seq);
        if self.settings.max_age.is_none() {
            self.oldest = None;
            return Ok(());
        }
        let mut from = known.max(self.first_seq);
        while let Some(m) = self.next(&Filter::All, from)? {
            if m.header.is_empty() || message_ttl(&m.header) >= 0 {
                self.oldest = Some((m.seq, m.ts.0));
                return Ok(());
            }
            from = m.seq + 1;
        }
        // Whatever is stored next is not older than the last.
        self.oldest = Some((self.last_seq + 1, self.last_ts));
        Ok(())
    }

    /// When the first message that ages does, if there is one.
    fn next_aged(&self) -> Option<Timestamp> {
        let age = self.settings.max_age.filter(|age| !age.is_zero() && self.msgs > 0)?;
        match self.oldest {
            Some((seq, _)) if seq > self.last_seq => None,
            Some((seq, ts)) if seq > self.first_seq => Some(Timestamp(ts) + age),
            _ => Some(Timestamp(self.first_ts) + age),
        }
    }

    /// When [`Self::expire`] has something to do next, if ever.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let by_ttl = self.ttls.as_ref().and_then(Wheel::next).map(Timestamp);
        self.next_aged().into_iter().chain(by_ttl).min()
    }

    fn propose(&mut self, m: &Message, now: Timestamp) -> Option<Expired> {
        let total = self.subjects.find(&m.subject).map_or(0, |id| self.subjects.totals(id).total);
        self.pending_markers.propose(m, total, now)
    }

    /// Forgets a proposal that was carried out.
    pub fn expired(&mut self, seq: u64, subject: &[u8]) {
        self.pending_markers.done(seq, subject);
    }

    pub(super) fn expire_aged(&mut self, now: Timestamp) -> Result<()> {
        let Some(floor) = self.age_floor(now) else { return Ok(()) };
        // Whole blocks first: nothing in them needs to be looked at but times to live.
        while let Some(at) = self.blocks.iter().position(|b| b.msgs > 0) {
            // Counts in an index of the reference leave out messages that never expire.
            let may_outlive = self.blocks[at].ttls > 0 || self.ttls.is_some();
            if self.blocks[at].last_ts > floor || may_outlive || at + 1 == self.blocks.len() {
                break;
            }
            self.waiting(Self::mark_timeless)?;
            self.again(|s| s.drop_whole(at))?;
            self.settle_first();
            self.changed();
        }
        loop {
            let aged = self.aged(now, BATCH)?;
            if !aged.is_empty() {
                self.waiting(Self::mark_timeless)?;
            }
            for &seq in &aged {
                self.again(|s| s.take(seq, Why::Limit))?;
                self.changed();
            }
            if aged.len() < BATCH {
                return Ok(());
            }
        }
    }

    fn age_floor(&self, now: Timestamp) -> Option<i64> {
        let age = self.settings.max_age.filter(|a| !a.is_zero())?;
        let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        Some(now.0.saturating_sub(age))
    }

    /// Messages over the stream's age, oldest first, without those that never expire; at most so
    /// many.
    fn aged(&mut self, now: Timestamp, limit: usize) -> Result<Vec<u64>> {
        let Some(floor) = self.age_floor(now) else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        let mut from = self.first_seq.max(self.oldest.map_or(0, |(seq, _)| seq));
        if self.first_ts > floor {
            return Ok(out);
        }
        loop {
            let m = match self.next(&Filter::All, from) {
                Ok(Some(m)) => m,
                // What was found so far goes first.
                Err(Error::Cold(_)) if !out.is_empty() => break,
                Ok(None) => break,
                Err(e) => return Err(e),
            };
            if m.ts.0 > floor || out.len() >= limit {
                break;
            }
            from = m.seq + 1;
            if m.header.is_empty() || message_ttl(&m.header) >= 0 {
                out.push(m.seq);
            }
        }
        Ok(out)
    }

    fn expire_by_ttl(&mut self, now: Timestamp) -> Result<()> {
        loop {
            let due = self.ttls.as_ref().map(|w| w.due(now.0, BATCH)).unwrap_or_default();
            if due.is_empty() {
                return Ok(());
            }
            self.expire_these(&due)?;
        }
    }

    fn expire_these(&mut self, due: &[(u64, i64)]) -> Result<()> {
        for &(seq, at) in due {
            // The file of the wheel has no checksum: only the message itself says when it goes.
            let is_over = match self.load(seq) {
                Ok(m) => deadline(&m) == Some(at),
                Err(Error::NotFound | Error::Eof | Error::Damaged { .. }) => false,
                Err(e) => return Err(e),
            };
            if is_over {
                // A tombstone is written: times to live are not applied at open.
                self.again(|s| s.take(seq, Why::Asked))?;
            }
            if let Some(wheel) = &mut self.ttls {
                wheel.remove(seq, at);
            }
            self.changed();
        }
        Ok(())
    }

    /// Loads the wheels, and what was stored after they were written.
    pub(super) fn recover_wheels(&mut self) -> Result<()> {
        self.schedules_valid_to = u64::MAX;
        let wheels = [self.read_wheel().map(|w| w.1), self.read_schedules().map(|s| s.1)];
        if wheels.into_iter().flatten().any(|high| high > self.last_seq + 1) {
            // They would be taken for true once their sequences were given again.
            self.remove_wheel_files()?;
        }
        if self.settings.allow_schedules {
            if self.schedules.is_none() {
                let known = self.read_schedules();
                let (mut schedules, high) = known.unwrap_or_default();
                self.drop_outdated(&mut schedules, high)?;
                self.schedules = Some(Box::new(schedules));
                self.schedules_valid_to = high;
            }
        } else {
            self.schedules = None;
        }
        if !self.settings.allow_msg_ttl {
            self.ttls = None;
            return Ok(());
        }
        if self.ttls.is_some() {
            return Ok(());
        }
        let known = self.read_wheel();
        let (wheel, high) = known.unwrap_or_default();
        self.ttls = Some(wheel);
        let late = self.with_header_since(high, b"Nats-TTL", |b| b.ttls)?;
        for m in late {
            if let Some(at) = deadline(&m)
                && let Some(wheel) = &mut self.ttls
            {
                wheel.add(m.seq, at);
            }
        }
        Ok(())
    }

    /// Drops schedules whose message went, or whose subject moved on, after their file was written.
    fn drop_outdated(&mut self, schedules: &mut Schedules, high: u64) -> Result<()> {
        for (subject, seq) in schedules.places() {
            // The file has no checksum, and a cut truncation gives sequences again: ask the message.
            let gone = match self.load(seq) {
                Ok(m) => {
                    m.subject != *subject || header_value(&m.header, b"Nats-Schedule").is_none()
                }
                Err(Error::NotFound | Error::Eof | Error::Damaged { .. }) => true,
                Err(e) => return Err(e),
            };
            if gone || (high <= self.last_seq && self.is_superseded(&subject, high.max(seq + 1))?) {
                schedules.remove_subject(&subject);
            }
        }
        Ok(())
    }

    /// Whether a message from `from` on took the place of its subject's schedule; what the schedule
    /// itself sent there does not.
    fn is_superseded(&mut self, subject: &[u8], from: u64) -> Result<bool> {
        let filter = Filter::Literal(subject.into());
        let mut from = from;
        while let Some(m) = self.next(&filter, from)? {
            if header_value(&m.header, b"Nats-Scheduler").is_none() {
                return Ok(true);
            }
            from = m.seq + 1;
        }
        Ok(false)
    }

    /// Wheels on disk that were true until now are no more, and sequences will be given again.
    pub(super) fn remove_wheel_files(&mut self) -> Result<()> {
        for path in [WHEEL, SCHEDULES] {
            match self.disk.remove_file(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", path, e));
                }
                _ => {}
            }
        }
        self.touch_dir(MSGS);
        Ok(())
    }

    fn with_header_since(
        &mut self,
        from: u64,
        name: &[u8],
        count: impl Fn(&crate::block::Block) -> u64,
    ) -> Result<Vec<Message>> {
        let mut out = Vec::new();
        let spans: Vec<(u64, u64)> = self
            .blocks
            .iter()
            .filter(|b| b.msgs > 0 && b.last >= from && count(b) > 0)
            .map(|b| (b.first.max(from), b.last))
            .collect();
        for (first, last) in spans {
            let mut seq = first;
            while let Some(m) = self.next(&Filter::All, seq)?.filter(|m| m.seq <= last) {
                seq = m.seq + 1;
                if !m.header.is_empty() && header_value(&m.header, name).is_some() {
                    out.push(m);
                }
            }
        }
        Ok(out)
    }

    /// Messages with a schedule stored after `sched.db` was written: the owner parses each and
    /// hands it back with [`Self::schedule`].
    pub fn unscheduled(&mut self) -> Result<Vec<Message>> {
        let from = std::mem::replace(&mut self.schedules_valid_to, u64::MAX);
        if self.schedules.is_none() || from > self.last_seq {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        for m in self.with_header_since(from, b"Nats-Schedule", |b| b.schedules)? {
            if !self.is_superseded(&m.subject, m.seq + 1)? {
                out.push(m);
            }
        }
        Ok(out)
    }

    /// Sets when the schedule carried by `seq` fires.
    pub fn schedule(&mut self, seq: u64, subject: &[u8], at: Timestamp) {
        if let Some(schedules) = &mut self.schedules {
            schedules.add(seq, subject, at.0);
        }
    }

    /// Moves a repeating schedule to its next time.
    pub fn reschedule(&mut self, subject: &[u8], at: Timestamp) {
        if let Some(schedules) = &mut self.schedules {
            schedules.update(subject, at.0);
        }
    }

    /// Drops a schedule.
    pub fn unschedule(&mut self, seq: u64) {
        if let Some(schedules) = &mut self.schedules {
            schedules.remove_seq(seq);
        }
    }

    /// Schedules whose time has come; each is handed out once until it is moved or cleared.
    pub fn due_schedules(&mut self, now: Timestamp) -> Vec<Due> {
        self.schedules.as_mut().map(|s| s.take_due(now.0)).unwrap_or_default()
    }

    /// Lets handed-out schedules fire again (leadership was lost meanwhile).
    pub fn clear_due_schedules(&mut self) {
        if let Some(schedules) = &mut self.schedules {
            schedules.clear_in_flight();
        }
    }

    /// When the next schedule fires.
    pub fn next_schedule(&self) -> Option<Timestamp> {
        self.schedules.as_ref().and_then(|s| s.next()).map(Timestamp)
    }
}
