//! One server's disk for one group: what is written, what is synced, and what a crash leaves.
//!
//! Laws: a killed process leaves everything written and a prefix of what was being written; a power
//!       failure also takes unsynced log writes, from some point on, possibly tearing the first
//!       one; small files are replaced atomically and synced, but for `log.end`, which is not synced.
//!       Damage at rest flips bits, cuts the log, and takes files away.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::{
    Checksum, Found, LogEnd, LogIndex, Persist, Position, Snapshot, TermVote, Ticket, VoteGuard,
    Write,
};

use crate::rng::Rng;

/// One log record at rest.
#[derive(Clone, Debug)]
pub struct Record {
    /// The encoded append entry.
    pub body: Bytes,
    /// A flipped bit, or a write that was interrupted: the store's checksum will refuse it.
    pub damaged: bool,
}

/// A log image: records after `base`.
#[derive(Clone, Debug, Default)]
pub struct LogImage {
    /// The index before the first record.
    pub base: LogIndex,
    /// The records, contiguous.
    pub records: VecDeque<Record>,
}

impl LogImage {
    /// The last index held.
    pub fn last(&self) -> LogIndex {
        LogIndex(self.base.0 + self.records.len() as u64)
    }

    /// The record at `index`.
    pub fn get(&self, index: LogIndex) -> Option<&Record> {
        self.records.get(usize::try_from(index.0.checked_sub(self.base.0 + 1)?).ok()?)
    }

    fn apply(&mut self, change: &LogChange) {
        match change {
            LogChange::Append(index, body) => {
                assert_eq!(*index, self.last().next(), "the core appends without holes");
                self.records.push_back(Record { body: body.clone(), damaged: false });
            }
            LogChange::Truncate(last) => {
                let keep = last.0.saturating_sub(self.base.0) as usize;
                self.records.truncate(keep);
            }
            LogChange::Compact(up_to) => {
                while self.base < *up_to && self.records.pop_front().is_some() {
                    self.base = self.base.next();
                }
                self.base = self.base.max(*up_to);
            }
            LogChange::Reset(base) => {
                self.records.clear();
                self.base = *base;
            }
        }
    }
}

#[derive(Clone, Debug)]
enum LogChange {
    Append(LogIndex, Bytes),
    Truncate(LogIndex),
    Compact(LogIndex),
    Reset(LogIndex),
}

/// How a server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies, the machine stays up.
    Kill,
    /// The machine loses power.
    Power,
}

/// What `Disk` damages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A bit of one log record.
    Log,
    /// A bit of `tav.idx`.
    TermVote,
    /// A bit of `tav.sum`.
    VoteGuard,
    /// A bit of the snapshot.
    Snapshot,
    /// The snapshot's file.
    NoSnapshot,
    /// All that tells of votes, as in a folder of the reference without its `tav.idx`.
    Votes,
    /// The end of the log, from some record on.
    End,
    /// A bit of `peers.idx`.
    Peers,
    /// Everything is gone.
    Wipe,
}

/// A server's disk.
#[derive(Clone, Debug)]
pub struct Disk {
    sum: Checksum,
    term_vote: Option<Bytes>,
    guard: Option<Bytes>,
    peers: Option<Bytes>,
    snapshot: Option<Bytes>,
    /// `log.end`, as it is and as a power failure may leave it.
    end: Option<Bytes>,
    end_synced: Option<Bytes>,
    /// As the running process sees it.
    pub live: LogImage,
    /// As a power failure would leave it, at the least.
    pub synced: LogImage,
    unsynced: Vec<LogChange>,
    /// Requests not yet carried out.
    queued: VecDeque<Persist>,
    /// How many of `queued` the disk is working on.
    in_flight: usize,
    /// The last ticket submitted, and the last done, of this incarnation.
    submitted: Ticket,
    done: Ticket,
    /// A log write was acknowledged without a sync.
    acked_unsynced: bool,
    lost: bool,
    /// The log was cut below what the disk says it reached.
    cut: bool,
    /// The highest index any durable snapshot ever covered.
    pub snapshot_max: LogIndex,
}

impl Disk {
    /// An empty disk, but for the peer file a group is created with.
    pub fn new(sum: Checksum, peers: Bytes) -> Self {
        Self {
            sum,
            term_vote: None,
            guard: None,
            peers: Some(peers),
            snapshot: None,
            end: None,
            end_synced: None,
            live: LogImage::default(),
            synced: LogImage::default(),
            unsynced: Vec::new(),
            queued: VecDeque::new(),
            in_flight: 0,
            submitted: Ticket(0),
            done: Ticket(0),
            acked_unsynced: false,
            lost: false,
            cut: false,
            snapshot_max: LogIndex(0),
        }
    }

    /// The last ticket submitted.
    pub fn submitted(&self) -> Ticket {
        self.submitted
    }

    /// The last ticket carried out.
    pub fn done(&self) -> Ticket {
        self.done
    }

    /// Queues a write.
    pub fn submit(&mut self, persist: Persist) {
        self.submitted = persist.ticket;
        self.queued.push_back(persist);
    }

    /// Starts working on all that is queued, if idle; whether there is work.
    pub fn start(&mut self) -> bool {
        if self.in_flight > 0 || self.queued.is_empty() {
            return false;
        }
        self.in_flight = self.queued.len();
        true
    }

    /// The work started last is done. Returns the last ticket, and the records appended.
    pub fn finish(&mut self, sync: bool, mut appended: impl FnMut(&Bytes)) -> Option<Ticket> {
        let mut last = None;
        for _ in 0..std::mem::take(&mut self.in_flight) {
            let Some(persist) = self.queued.pop_front() else { break };
            last = Some(persist.ticket);
            self.done = persist.ticket;
            if let Write::Append { record, .. } = &persist.write {
                appended(record);
            }
            self.carry_out(persist.write);
        }
        if sync {
            self.sync();
        } else {
            self.acked_unsynced |= !self.unsynced.is_empty();
        }
        last
    }

    fn carry_out(&mut self, write: Write) {
        match write {
            Write::TermVote(guard) => {
                self.lost = false;
                self.guard = Some(guard.encode(&self.sum).into());
                self.term_vote = Some(guard.voted.encode().into());
            }
            Write::Peers(state) => self.peers = Some(state.encode().into()),
            Write::SaveSnapshot(snapshot) => {
                self.snapshot_max = self.snapshot_max.max(snapshot.position.index);
                self.snapshot = Some(snapshot.encode(&self.sum).into());
            }
            Write::DropSnapshot => self.snapshot = None,
            Write::Append { index, record } => self.change(LogChange::Append(index, record)),
            Write::Truncate { last } => self.change(LogChange::Truncate(last)),
            Write::Compact { up_to } => self.change(LogChange::Compact(up_to)),
            Write::ResetLog { base } => self.change(LogChange::Reset(base)),
        }
    }

    fn change(&mut self, change: LogChange) {
        self.live.apply(&change);
        self.unsynced.push(change);
    }

    /// Makes everything written durable.
    pub fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            self.synced.apply(&change);
        }
        self.acked_unsynced = false;
    }

    /// What the operating system does now and then: everything written reaches the platter.
    pub fn sync_all(&mut self) {
        self.sync();
        self.end_synced = self.end.clone();
    }

    /// A new process vouches for what it finds, whether that is synced or not.
    pub fn adopt(&mut self) {
        self.acked_unsynced |= !self.unsynced.is_empty();
    }

    /// Replaces `log.end`, unsynced.
    pub fn reach(&mut self, end: &LogEnd) {
        self.end = Some(Bytes::copy_from_slice(&end.encode(&self.sum)));
    }

    /// The index below which a loss at the end of the log must be noticed.
    fn told_end(&self) -> LogIndex {
        let guard = self.guard.as_ref().and_then(|b| VoteGuard::decode(b, &self.sum).ok());
        let end = self.end.as_ref().and_then(|b| LogEnd::decode(b, &self.sum).ok());
        let Some(guard) = guard else { return LogIndex(0) };
        let end = end.filter(|end| end.cuts >= guard.cuts).unwrap_or_default();
        let told = guard.log.max(end.end);
        if self.holds(told, false) { told.index } else { LogIndex(0) }
    }

    /// The store's own repair at a start: what an interrupted write left at the very end goes. Whether
    /// it had been acknowledged is not the store's to know.
    pub fn open(&mut self) {
        while self.live.records.back().is_some_and(|record| record.damaged) {
            let last = self.live.last().prev();
            self.change(LogChange::Truncate(last));
        }
    }

    /// Whether a power failure now could take back what was acknowledged.
    pub fn at_risk(&self) -> bool {
        self.acked_unsynced
    }

    /// The server stops.
    pub fn crash(&mut self, how: Crash, rng: &mut Rng) {
        // A prefix of the work at hand was done.
        let done = rng.below(self.in_flight as u64 + 1) as usize;
        for _ in 0..done {
            if let Some(persist) = self.queued.pop_front() {
                self.carry_out(persist.write);
            }
        }
        if let Some(Persist { write: Write::TermVote(guard), .. }) = self.queued.front()
            && done < self.in_flight
            && rng.chance(300)
        {
            // Between the two files, or in the middle of the second.
            self.guard = Some(guard.encode(&self.sum).into());
            if rng.chance(300) {
                let whole = guard.voted.encode();
                let cut = rng.below(whole.len() as u64) as usize;
                self.term_vote = Some(Bytes::copy_from_slice(whole.get(..cut).unwrap_or(&[])));
            }
        }
        self.queued.clear();
        self.in_flight = 0;
        (self.submitted, self.done) = (Ticket(0), Ticket(0));
        if how == Crash::Power {
            let kept = rng.below(self.unsynced.len() as u64 + 1) as usize;
            self.lost |= self.acked_unsynced && kept < self.unsynced.len();
            let torn = match self.unsynced.get(kept) {
                Some(LogChange::Append(_, body)) if rng.chance(500) => Some(body.clone()),
                Some(_) | None => None,
            };
            for change in self.unsynced.drain(..).take(kept) {
                self.synced.apply(&change);
            }
            if let Some(body) = torn {
                self.synced.records.push_back(Record { body, damaged: true });
            }
            self.unsynced.clear();
            self.live = self.synced.clone();
            self.acked_unsynced = false;
            if rng.chance(500) {
                self.end = self.end_synced.clone();
            }
            self.end_synced = self.end.clone();
        }
    }

    /// A process whose log lives in memory stopped.
    pub fn lose_memory_log(&mut self) {
        self.live = LogImage::default();
        self.synced = LogImage::default();
        self.unsynced.clear();
        self.snapshot = None;
        (self.end, self.end_synced) = (None, None);
    }

    /// Damages what is at rest; whether there was anything to damage.
    pub fn damage(&mut self, what: Damage, rng: &mut Rng) -> bool {
        match what {
            Damage::Log => {
                let mut at = rng.below(self.live.records.len() as u64) as usize;
                if at + 1 == self.live.records.len() && self.live.last() > self.told_end() {
                    // Nobody can tell it from a write that was interrupted.
                    at = at.saturating_sub(1);
                    if self.live.records.len() < 2 {
                        return false;
                    }
                }
                let index = LogIndex(self.live.base.0 + 1 + at as u64);
                let Some(record) = self.live.records.get_mut(at) else { return false };
                record.damaged = true;
                let offset = index.0.checked_sub(self.synced.base.0 + 1);
                if let Some(record) = offset.and_then(|o| self.synced.records.get_mut(o as usize)) {
                    record.damaged = true;
                }
                true
            }
            Damage::End => {
                // Cut at the boundary of a record, below what the disk says the log reached.
                let (base, told) = (self.live.base, self.told_end());
                if told <= base {
                    return false;
                }
                let most = told.0 - base.0;
                let gone = if rng.chance(500) {
                    most.min(1 + rng.below(4))
                } else {
                    most - rng.below(most)
                };
                let last = LogIndex(told.0 - gone);
                // What a snapshot covers is not missed.
                let covered = self.read_snapshot().map_or(base, |s| s.position.index);
                self.cut |= last.max(covered) < told;
                self.sync();
                self.live.apply(&LogChange::Truncate(last));
                self.synced = self.live.clone();
                true
            }
            Damage::NoSnapshot => self.snapshot.take().is_some(),
            Damage::Votes => {
                // Not who bears witness together with what it witnessed: one fault at a time.
                if self.cut || self.live.records.back().is_some_and(|record| record.damaged) {
                    return false;
                }
                // A folder of the reference never held a note that its log is not to be trusted.
                if self.vouches() {
                    (self.end, self.end_synced) = (None, None);
                } else if self.end.is_none() {
                    return false;
                }
                self.guard = None;
                self.term_vote.take().is_some()
            }
            Damage::TermVote => flip(&mut self.term_vote, rng),
            Damage::VoteGuard => flip(&mut self.guard, rng),
            Damage::Snapshot => flip(&mut self.snapshot, rng),
            Damage::Peers => flip(&mut self.peers, rng),
            Damage::Wipe => {
                let peers = self.peers.clone().unwrap_or_default();
                let snapshot_max = self.snapshot_max;
                *self = Self::new(self.sum, peers);
                self.snapshot_max = snapshot_max;
                true
            }
        }
    }

    /// Whether any log record or the snapshot is damaged.
    pub fn is_damaged(&self) -> bool {
        let bad_snapshot = self.snapshot.is_some() && self.read_snapshot().is_none();
        bad_snapshot || self.live.records.iter().any(|r| r.damaged)
    }

    /// Whether neither a snapshot nor the first log record is there to be read.
    pub fn is_empty(&self) -> bool {
        let first = self.live.get(LogIndex(1)).is_some_and(|record| !record.damaged);
        self.read_snapshot().is_none() && !first
    }

    /// Whether a starting process must notice that the end of the log is gone; asked once.
    pub fn was_cut(&mut self) -> bool {
        std::mem::take(&mut self.cut)
    }

    /// Whether a starting process finds neither a log nor a vote.
    pub fn is_blank(&self) -> bool {
        self.is_empty() && self.term_vote.is_none() && self.guard.is_none()
    }

    /// What a starting process finds besides the log.
    pub fn files(&self) -> Found {
        let damaged = self.live.records.iter().any(|r| r.damaged);
        Found {
            term_vote: self.term_vote.clone(),
            vote_guard: self.guard.clone(),
            log_end: self.end.clone(),
            peers: self.peers.clone(),
            snapshot: self.snapshot.clone(),
            log_lost: self.lost || damaged,
        }
    }

    /// The vote file as it is.
    pub fn voted(&self) -> Option<TermVote> {
        TermVote::decode(self.term_vote.as_ref()?).ok()
    }

    /// Whether the checked copy of the vote says that the log is to be trusted.
    pub fn vouches(&self) -> bool {
        // What is about to be written may say otherwise.
        if self.queued.iter().any(|persist| matches!(persist.write, Write::TermVote(_))) {
            return false;
        }
        let guard = self.guard.as_ref().and_then(|bytes| VoteGuard::decode(bytes, &self.sum).ok());
        guard.is_some_and(|g| g.quarantine.is_none() && !g.vote_lost && !g.joining)
    }

    /// Whether the log holds an entry as durably as it was acknowledged.
    pub fn holds(&self, at: Position, sync: bool) -> bool {
        let image = if sync { &self.synced } else { &self.live };
        let Some(record) = image.get(at.index) else { return false };
        record.body.get(8..16) == Some(&at.term.0.to_le_bytes())
    }

    /// Reads records back; `None` if the first is missing or damaged.
    pub fn read(&self, first: LogIndex, last: LogIndex, max_bytes: usize) -> Option<Vec<Bytes>> {
        let mut bytes = 0;
        let mut records = Vec::new();
        let mut index = first;
        while index <= last && (records.is_empty() || bytes < max_bytes) {
            match self.live.get(index).filter(|r| !r.damaged) {
                Some(record) => {
                    bytes += record.body.len();
                    records.push(record.body.clone());
                }
                None => break,
            }
            index = index.next();
        }
        (!records.is_empty()).then_some(records)
    }

    /// Reads the snapshot back, if it passes its checksum.
    pub fn read_snapshot(&self) -> Option<Snapshot> {
        Snapshot::decode(self.snapshot.as_ref()?, &self.sum).ok()
    }
}

fn flip(file: &mut Option<Bytes>, rng: &mut Rng) -> bool {
    let Some(bytes) = file.as_ref().filter(|bytes| !bytes.is_empty()) else { return false };
    let mut bytes = bytes.to_vec();
    let at = rng.below(bytes.len() as u64) as usize;
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
    *file = Some(bytes.into());
    true
}
