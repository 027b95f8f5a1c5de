//! Starting a node from what its disk held, and judging how far that can be trusted.
//!
//! Laws: recovery never makes a promise the disk does not show; whatever is damaged, missing or
//!       contradictory puts the node in quarantine instead of being guessed; a crash between any
//!       two writes leaves a state that is recovered without quarantine.
//! Reference: raft.go initRaftNode, setupLastSnapshot, readTermVote, readPeerState.

use std::collections::VecDeque;

use bytes::Bytes;
use stdx::time::Mono;

use super::{Node, Quarantine, Role};
use crate::checksum::Checksum;
use crate::codec::append::{AppendEntry, EntryKind};
use crate::codec::end::LogEnd;
use crate::codec::peers::{PeerList, PeerState};
use crate::codec::snapshot::Snapshot;
use crate::codec::subject::Inbox;
use crate::codec::vote::{TermVote, VoteGuard};
use crate::config::Config;
use crate::effects::{Effects, Notice, Ticket, Write};
use crate::id::{LogIndex, Position, Term};
use crate::log::Log;
use crate::membership::Membership;
use crate::mutation::{Bug, Mutation};
use crate::random::Random;

/// The small files of a group's folder, as found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// `tav.idx`.
    pub term_vote: Option<Bytes>,
    /// `tav.sum`.
    pub vote_guard: Option<Bytes>,
    /// `log.end`. A replica without `tav.sum` that has it has lost `tav.sum`.
    pub log_end: Option<Bytes>,
    /// `peers.idx`, which has no checksum: it counts only where neither a snapshot nor the first
    /// log record knows better. For an empty log, and for every replica that is `joining`, pass what
    /// the layer above knows at this moment instead: all members, but for a change under way. By these
    /// such a replica learns what it may have forgotten; a list from its creation is not safe.
    pub peers: Option<Bytes>,
    /// The newest file in `snapshots`, by name.
    pub snapshot: Option<Bytes>,
    /// The store knows that log records are gone: unreadable ones with others behind them, or writes
    /// acknowledged before they were synced and lost by a power failure. The store must say so at every
    /// start, and leave what is damaged in place, until the first `TermVote` request after it is
    /// durable. Unreadable bytes at the very end are what a write leaves that a power failure
    /// interrupted: the store drops them, and `log.end` tells whether they had been more than that.
    pub log_lost: bool,
}

/// Why a node cannot start at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Neither a snapshot nor the log nor `peers.idx` tells who belongs to the group.
    #[error("peers.idx is missing or damaged and the log is empty; write the group's peers")]
    PeersLost,
}

/// What became of a log record offered to `Recovery::record`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is part of the log.
    Kept,
    /// A snapshot covers it.
    Covered,
    /// It and everything after it will be dropped; offer no more.
    Stop,
}

/// A node being put together from its disk.
#[derive(Debug)]
pub struct Recovery<M: Mutation> {
    config: Config,
    mutation: M,
    voted: TermVote,
    guard: Option<VoteGuard>,
    /// How far the log must reach, and how often it was cut.
    reach: Position,
    cuts: u64,
    vote_lost: bool,
    log_lost: bool,
    log: Log,
    members: Membership,
    peers_known: bool,
    /// A snapshot or the log told the peers, not only the file.
    peers_logged: bool,
    commit: LogIndex,
    snapshot: Option<Snapshot>,
    drop_log: bool,
    bad_snapshot: bool,
    truncate: bool,
    changed: bool,
    /// The members a newcomer was told of.
    told: PeerList,
    /// `tav.idx` does not say what its copy says.
    rewrite_vote: bool,
}

impl<M: Mutation> Recovery<M> {
    /// Reads the small files.
    pub fn new(config: Config, mutation: M, sum: &Checksum, found: &Found) -> Self {
        let mut log_lost = found.log_lost;
        let (mut drop_log, mut bad_snapshot) = (false, false);
        let mut snapshot = None;
        // Compat(RAFT-022): a memory log starts empty, and a snapshot without its log is no use.
        if let Some(bytes) = found.snapshot.as_ref().filter(|_| !config.memory_log) {
            match Snapshot::decode(bytes, sum) {
                Ok(read) => snapshot = Some(read),
                Err(_) => (log_lost, drop_log, bad_snapshot) = (true, true, true),
            }
        }
        let tells = |state: &PeerState| state.cluster_size > 0;
        let filed = found.peers.as_ref().and_then(|bytes| PeerState::decode(bytes).ok());
        let filed = filed.filter(tells);
        let told = filed.as_ref().map(|state| state.peers.clone()).unwrap_or_default();
        let peers = snapshot.as_ref().map(|s| s.peers.clone()).filter(tells).or(filed);
        let (voted, guard, vote_lost) = recover_vote(found, sum);
        let (reach, cuts) = recover_end(found, guard.as_ref(), sum);
        let filed_vote = found.term_vote.as_ref().and_then(|b| TermVote::decode(b).ok());
        let rewrite_vote = filed_vote.unwrap_or_default() != voted;
        // A copy that cannot be read may have said that the log is not to be trusted.
        log_lost |= found.vote_guard.is_some() && guard.is_none();
        // So may one that is gone: `log.end` is never written before it.
        log_lost |= found.vote_guard.is_none() && found.log_end.is_some();
        let base = snapshot.as_ref().map_or(Position::ZERO, |s| s.position);
        let unread = found.vote_guard.is_some() && guard.is_none();
        let new = config.recovering && config.changed || config.joining;
        let unknown = unread || guard.is_none() && new;
        let changed = unknown || guard.is_some_and(|g| g.changed);
        let (peers_known, peers_logged) = (peers.is_some(), snapshot.is_some());
        Self {
            config,
            mutation,
            voted,
            guard,
            reach,
            cuts,
            vote_lost,
            log_lost,
            log: Log::after(base),
            members: Membership::new(peers.unwrap_or_default()),
            peers_known,
            peers_logged,
            commit: base.index,
            snapshot,
            drop_log,
            bad_snapshot,
            truncate: false,
            changed,
            told,
            rewrite_vote,
        }
    }

    /// Offers the next log record, in order; it must be as durable as the log is configured to be,
    /// so a store syncs what it finds first. Stop offering at the first `Stop`.
    pub fn record(&mut self, index: LogIndex, record: &Bytes) -> Verdict {
        let (base, last) = (self.log.base(), self.log.last());
        if self.drop_log {
            return Verdict::Stop;
        }
        if index <= base.index {
            return Verdict::Covered;
        }
        let Ok(entry) = AppendEntry::decode(record) else {
            return self.stop_at_damage();
        };
        // Compat(RAFT-021): the first record that does not continue the log ends it.
        if entry.prev.index.next() != index || index != last.index.next() {
            return self.stop_at_damage();
        }
        if entry.prev != last && last == base && self.snapshot.is_some() {
            // Left over from before the leader's snapshot replaced this log.
            self.drop_log = true;
            return Verdict::Stop;
        }
        if entry.prev != last || !entry.stores() {
            return self.stop_at_damage();
        }
        if index == LogIndex(1)
            && let Some(first) = first_peers(&entry)
        {
            // Records are checked, the file is not: the first leader's peers are where all later
            // changes start from.
            self.members = Membership::new(first);
            (self.peers_known, self.peers_logged) = (true, true);
        }
        self.commit = self.commit.max(entry.commit);
        self.changed |= self.members.store(index, &entry);
        self.log.push(entry, record.clone(), self.config.limits.cached_entries);
        Verdict::Kept
    }

    fn stop_at_damage(&mut self) -> Verdict {
        self.log_lost = true;
        self.truncate = true;
        Verdict::Stop
    }

    /// Builds the node; `out` receives repairs and whatever is already known to be committed.
    pub fn finish(mut self, now: Mono, out: &mut Effects) -> Result<Node<M>, RecoverError> {
        if !self.peers_known {
            return Err(RecoverError::PeersLost);
        }
        self.commit = self.commit.min(self.log.last().index);
        let quarantine = self.judge();
        let drop_snapshot = self.bad_snapshot;
        let repair = self.repair(quarantine.is_some());
        // A folder of the reference: `tav.sum` comes before any `log.end`.
        let first = self.guard.is_none() && self.log.last() > Position::ZERO;
        let rewrite_vote = self.rewrite_vote || first;
        let mut node = self.assemble(quarantine, now);
        if node.quarantine.is_some() {
            out.notices.push(Notice::Quarantined(true));
        }
        // What was lost is written down before the evidence is cleared away.
        if node.quarantine.is_some() || rewrite_vote {
            node.persist_vote(out);
        }
        if drop_snapshot {
            // Or it would be found again after the log has grown anew.
            node.persist(Write::DropSnapshot, out);
        }
        if let Some(write) = repair {
            node.persist(write, out);
        }
        node.cut_at = node.last_ticket();
        node.note_end(out);
        node.members.commit(node.commit, now);
        node.emit_applies(out);
        Ok(node)
    }

    /// Settles on a term and decides what this node can vouch for.
    fn judge(&mut self) -> Option<Quarantine> {
        let last = self.log.last();
        let guard = self.guard.unwrap_or_default();
        let known_vote = self.voted.term > Term(0);
        if last.term > self.voted.term {
            // Terms are written before entries of them: a vote file behind the log is a lost one.
            self.vote_lost = true;
            self.voted = TermVote { term: last.term, vote: None };
        }
        let told = !self.mutation.planted(Bug::ForgetLogEnd);
        let shorter = last < guard.log || last < self.reach && told;
        if shorter {
            // What was remembered is true no more.
            (self.reach, self.cuts) = (Position::ZERO, self.cuts.saturating_add(1));
        }
        let emptied = last.index == LogIndex(0)
            && (self.config.recovering || self.config.memory_log && known_vote);
        let new = self.mutation.planted(Bug::EmptyVoteCounts);
        let emptied = emptied && !new;
        let forgot = self.config.recovering && !known_vote && last.index == LogIndex(0) && !new;
        let joining = self.config.joining && last.index == LogIndex(0) && !known_vote;
        let joining = (joining || guard.joining) && !new;
        let newly = self.log_lost || shorter || emptied || joining;
        let log_lost = newly || guard.quarantine.is_some();
        let vote_lost = self.vote_lost || guard.vote_lost || forgot;
        if self.mutation.planted(Bug::IgnoreDamage) || !(log_lost || vote_lost || joining) {
            return None;
        }
        let term = match guard.quarantine {
            Some(term) if !newly => term,
            Some(_) | None => self.voted.term,
        };
        // A newcomer that restarts before it is level asks again.
        let told = joining.then(|| self.told.clone());
        Some(Quarantine { told, ..Quarantine::new(term, log_lost, vote_lost, joining) })
    }

    fn repair(&self, doubtful: bool) -> Option<Write> {
        let base = self.log.base().index;
        let fresh = self.guard.is_none() && self.voted == TermVote::default() && !doubtful;
        if self.drop_log || (self.log.last().index == base && !fresh) {
            // Whatever the store still holds, the next record follows the base.
            Some(Write::ResetLog { base })
        } else if self.truncate || self.log_lost {
            Some(Write::Truncate { last: self.log.last().index })
        } else if base > LogIndex(0) {
            // Also when the log ends before the snapshot: unsynced records may be gone.
            Some(Write::Compact { up_to: base })
        } else {
            None
        }
    }

    fn assemble(self, quarantine: Option<Quarantine>, now: Mono) -> Node<M> {
        let mut random = Random::new(self.config.seed);
        let timing = &self.config.timing;
        let elect_at = now + random.between(timing.election_min, timing.election_max);
        // Compat(RAFT-020): a new member of a grown group waits for data before it campaigns.
        let initializing = !self.config.recovering && self.log.last().index == LogIndex(0);
        let scale_up = initializing && self.config.scale_up && !self.config.observer;
        let vote_inbox = Inbox::from_random(random.next());
        let append_inbox = Inbox::from_random(random.next());
        let base = self.log.base();
        let told = self.config.joining || (quarantine.is_some() && self.changed);
        Node {
            random,
            role: Role::Follower,
            term: self.voted.term,
            vote: self.voted.vote,
            leader: None,
            had_leader: false,
            leader_contact: None,
            stored: self.log.last(),
            guarded: self.guard.map_or(Position::ZERO, |guard| guard.log),
            noted: self.reach,
            cuts: self.cuts,
            cut_at: Ticket(0),
            leaving: false,
            log: self.log,
            members: self.members,
            peers_logged: self.peers_logged || !told,
            commit: self.commit,
            emitted: base.index,
            processed: LogIndex(0),
            applied: LogIndex(0),
            paused: false,
            quorum_paused: false,
            overruns: 0,
            out_of_resources: false,
            pending_snapshot: self.snapshot.map(|s| (s.position, s.data)),
            apply_read: None,
            snapshotting: None,
            cold: VecDeque::new(),
            next_ticket: 1,
            durable: Ticket(0),
            held: VecDeque::new(),
            next_read: 0,
            observer: self.config.observer,
            changed: self.changed,
            initializing,
            scale_up,
            quarantine,
            opinion: None,
            transfer_target: false,
            needed: false,
            announced: false,
            elect_at,
            quorum_lost_at: now,
            candidacy: super::candidate::Candidacy::default(),
            catchup: None,
            leading: None,
            vote_inbox,
            append_inbox,
            config: self.config,
            mutation: self.mutation,
        }
    }
}

/// The peer set a first record starts with.
pub(super) fn first_peers(entry: &AppendEntry) -> Option<PeerState> {
    let set = entry.entries.iter().find(|item| item.kind == EntryKind::PeerState)?;
    PeerState::decode(&set.data).ok().filter(|state| !state.peers.is_empty())
}

/// How far a vote file may run ahead of its checked copy before it counts as damaged: our own
/// writes never let it, a reference server that used the folder in between does.
const PLAUSIBLE_TERMS_AHEAD: u64 = 1 << 32;

/// The term and vote to go by, the checked copy, and whether a vote may be forgotten.
fn recover_vote(found: &Found, sum: &Checksum) -> (TermVote, Option<VoteGuard>, bool) {
    let file = found.term_vote.as_ref().map(|bytes| TermVote::decode(bytes));
    let copy = found.vote_guard.as_ref().map(|bytes| VoteGuard::decode(bytes, sum));
    match (file, copy) {
        (None, None) => (TermVote::default(), None, false),
        // A folder the reference wrote: nothing to check it against but that somebody may have
        // counted up to there.
        (Some(Ok(voted)), None) if voted.term.is_plausible(Term(0)) => (voted, None, false),
        (Some(Ok(_)), None) => (TermVote::default(), None, true),
        (Some(Ok(voted)), Some(Ok(guard))) if voted.term > guard.voted.term => {
            let ahead = voted.term.0 - guard.voted.term.0;
            if ahead > PLAUSIBLE_TERMS_AHEAD {
                return (guard.voted, Some(guard), true);
            }
            (voted, Some(guard), false)
        }
        // Equal, or a crash between writing the copy and writing the file.
        (_, Some(Ok(guard))) => (guard.voted, Some(guard), false),
        (Some(Ok(voted)), Some(Err(_))) if voted.term.is_plausible(Term(0)) => (voted, None, true),
        (Some(_) | None, Some(Err(_))) | (Some(Err(_)), None) => (TermVote::default(), None, true),
    }
}

/// How far the log must reach by `log.end`, and how often it was cut back.
fn recover_end(found: &Found, guard: Option<&VoteGuard>, sum: &Checksum) -> (Position, u64) {
    let cuts = guard.map_or(0, |guard| guard.cuts);
    // One that cannot be read tells nothing: it is written without a sync, and only a second fault
    // would make that matter.
    match found.log_end.as_ref().and_then(|bytes| LogEnd::decode(bytes, sum).ok()) {
        // From before a cut that `tav.sum` knows of.
        Some(end) if end.cuts < cuts => (Position::ZERO, cuts),
        Some(end) => (end.end, end.cuts),
        None => (Position::ZERO, cuts),
    }
}
