//! Following a leader: matching its log, storing, committing, asking for what is missing.
//!
//! Laws:
//! - An entry is stored only after the one before it is known to be the leader's.
//! - The log is cut back only where an entry contradicts the leader, never at or below the commit.
//! - What is acknowledged is exactly what is known to match: not the end of our own log.
//! - The commit follows the leader's only within what is known to match.
//! - Catch-up traffic is never acknowledged (Compat(RAFT-012)).
//!
//! Reference: raft.go processAppendEntry, createCatchup, catchupStalled, storeToWAL.

use bytes::Bytes;
use stdx::time::Mono;

use super::recover::first_peers;
use super::{FollowerCatchup, Held, Node, Quarantine, Role};
use crate::codec::append::{AppendEntry, AppendResponse, EntryKind};
use crate::codec::peers::PeerState;
use crate::codec::snapshot::Snapshot;
use crate::codec::subject::{Inbox, ReplySubject};
use crate::effects::{Apply, Dest, Effects, Notice, Send, Write};
use crate::id::{LogIndex, PeerId, Position, Term};
use crate::membership::Membership;
use crate::mutation::{Bug, Mutation};

/// How a leader's log relates to ours just before an append entry.
enum Match {
    /// The same entry, or one a snapshot covers.
    Same,
    /// Our log ends before it.
    Gap,
    /// We hold another entry there.
    Conflict,
}

impl<M: Mutation> Node<M> {
    /// An append entry, live (`inbox` is none) or on a catch-up inbox.
    pub(super) fn handle_append(
        &mut self,
        entry: AppendEntry,
        record: &Bytes,
        inbox: Option<Inbox>,
        reply: ReplySubject,
        now: Mono,
        out: &mut Effects,
    ) {
        if entry.leader == self.config.id && inbox.is_none() || self.out_of_resources {
            return;
        }
        if let Some(inbox) = inbox {
            // Whatever comes on another inbox answers a question we no longer ask.
            match &mut self.catchup {
                Some(catchup) if catchup.inbox == inbox => catchup.received += record.len(),
                Some(_) | None => return,
            }
        }
        if !self.accept_term(&entry, inbox.is_some(), reply, now, out) {
            return;
        }
        if self.pause_or_resume(inbox.is_none(), out) {
            return;
        }
        if self.planted(Bug::CommitUnmatched) && entry.commit > self.commit {
            self.advance_commit(entry.commit, now, out);
        }
        if inbox.is_some() && is_snapshot(&entry) {
            self.install_leader_snapshot(&entry, now, out);
            return;
        }
        match self.compare(entry.prev) {
            Match::Same => self.store_after_match(entry, record, inbox, reply, now, out),
            Match::Conflict if entry.prev.index <= self.commit => {
                out.notices.push(Notice::Diverged(entry.prev.index));
                self.close(out);
            }
            Match::Gap | Match::Conflict if self.planted(Bug::AckUnmatched) && inbox.is_none() => {
                self.respond(entry.end(), true, ReplySubject::NONE, reply, out);
            }
            Match::Gap | Match::Conflict if inbox.is_none() && self.is_catching_up(now) => {}
            Match::Gap if inbox.is_none() => {
                let from = self.shown_to_match().unwrap_or(self.log.last().index);
                self.request_catchup(from, entry.end().index, reply, now, out);
            }
            Match::Gap => {}
            Match::Conflict if self.planted(Bug::TruncateBelowCommit) => {
                let from = self.log.run_start(entry.prev.index).prev();
                self.truncate_log(from, out);
            }
            Match::Conflict => {
                let before = self.log.run_start(entry.prev.index).prev().max(self.commit);
                let shown = self.shown_to_match().filter(|&shown| shown < entry.prev.index);
                let from = shown.unwrap_or(before);
                self.request_catchup(from, entry.prev.index, reply, now, out);
            }
        }
    }

    /// Sorts out terms and leaders; false if the append entry is to be ignored.
    fn accept_term(
        &mut self,
        entry: &AppendEntry,
        catching_up: bool,
        reply: ReplySubject,
        now: Mono,
        out: &mut Effects,
    ) -> bool {
        // A catch-up stream carries old entries; the leader states its own term beside them. A
        // leader older than 2.12 does not: its stream belongs to the term we asked in.
        let term = match entry.leader_term {
            Term(0) if catching_up => entry.term.max(self.term),
            Term(0) => entry.term,
            stated => stated,
        };
        if term < self.term && !self.planted(Bug::SkipTermCheck) {
            if !catching_up {
                let position = Position::new(self.term, self.log.last().index);
                self.respond(position, false, ReplySubject::NONE, reply, out);
            }
            return false;
        }
        if term > self.term && !(self.planted(Bug::IgnoreHigherTerm) && self.role == Role::Leader) {
            self.adopt_term(term, out);
            self.become_follower(None, now, out);
            if catching_up {
                // The question belonged to the term before: ask again.
                return false;
            }
        }
        if self.role == Role::Leader {
            // Two leaders of one term do not exist: a forgery, or an echo.
            return false;
        }
        if catching_up {
            return true;
        }
        if self.role == Role::Candidate {
            self.become_follower(Some(entry.leader), now, out);
        }
        if self.leader.is_some_and(|leader| leader != entry.leader) {
            return self.planted(Bug::SkipTermCheck);
        }
        if self.leader.is_none() {
            self.leader = Some(entry.leader);
            self.had_leader = true;
            out.notices.push(Notice::Following(self.leader));
        }
        self.leader_contact = Some(now);
        self.needed = false;
        if !self.transfer_target {
            self.elect_at = self.election_timeout(now);
        }
        true
    }

    /// Compat(RAFT-017): applies that lag too far behind stop this node's part in replication.
    fn pause_or_resume(&mut self, live: bool, out: &mut Effects) -> bool {
        let lag = self.commit.distance(self.applied.max(self.log.base().index));
        let limits = &self.config.limits;
        if self.quorum_paused && lag <= limits.resume_quorum {
            self.set_quorum_paused(false, out);
        } else if !self.quorum_paused && lag > limits.pause_quorum && live {
            self.overruns += 1;
            self.set_quorum_paused(true, out);
            self.cancel_catchup(out);
        }
        self.quorum_paused
    }

    pub(super) fn set_quorum_paused(&mut self, paused: bool, out: &mut Effects) {
        if self.quorum_paused != paused {
            self.quorum_paused = paused;
            out.notices.push(Notice::QuorumPaused(paused));
        }
    }

    fn compare(&self, prev: Position) -> Match {
        if prev.index < self.log.base().index || self.planted(Bug::SkipPrevCheck) {
            return if prev.index > self.log.last().index { Match::Gap } else { Match::Same };
        }
        match self.log.term_at(prev.index) {
            None => Match::Gap,
            Some(term) if term == prev.term => Match::Same,
            Some(_) => Match::Conflict,
        }
    }

    fn store_after_match(
        &mut self,
        entry: AppendEntry,
        record: &Bytes,
        inbox: Option<Inbox>,
        reply: ReplySubject,
        now: Mono,
        out: &mut Effects,
    ) {
        let end = entry.end();
        let (commit, transfer) = (entry.commit, transfer_target(&entry));
        if entry.stores() && end.index > self.log.base().index {
            match self.log.term_at(end.index) {
                Some(term) if term == end.term && !self.planted(Bug::TruncateOnRepeat) => {}
                Some(_) => {
                    if end.index <= self.commit {
                        if !self.planted(Bug::TruncateOnRepeat) {
                            out.notices.push(Notice::Diverged(end.index));
                            self.close(out);
                        }
                        return;
                    }
                    self.truncate_log(end.index.prev(), out);
                    self.store(entry, record, now, out);
                }
                None => self.store(entry, record, now, out),
            }
        }
        self.note_catchup_progress(end.index, inbox.is_some(), now, out);
        if inbox.is_none() && transfer == Some(self.config.id) {
            self.accept_transfer(now);
        }
        if commit.min(end.index) > self.commit {
            if inbox.is_some() {
                self.signal_catchup(out);
            }
            self.advance_commit(commit.min(end.index), now, out);
        }
        if inbox.is_none() {
            self.tell_removal(out);
            self.note_level(end, out);
            self.respond(end, true, ReplySubject::NONE, reply, out);
        }
    }

    /// Appends an entry that follows our last one.
    pub(super) fn store(
        &mut self,
        entry: AppendEntry,
        record: &Bytes,
        now: Mono,
        out: &mut Effects,
    ) {
        let at = entry.end();
        if !self.peers_logged
            && at.index == LogIndex(1)
            && let Some(first) = first_peers(&entry)
        {
            self.members = Membership::new(first);
            self.peers_logged = true;
        }
        self.store_members(&entry, out);
        self.log.push(entry, record.clone(), self.config.limits.cached_entries);
        self.persist(Write::Append { index: at.index, record: record.clone() }, out);
        self.reset_initializing(now);
    }

    /// The first stored entry makes a new member a full one.
    pub(super) fn reset_initializing(&mut self, now: Mono) {
        self.initializing = false;
        if self.scale_up {
            self.scale_up = false;
            self.elect_at = self.election_timeout(now);
        }
    }

    /// Answers a live append entry; a success waits until all it stands for is durable.
    fn respond(
        &mut self,
        position: Position,
        success: bool,
        question: ReplySubject,
        to: ReplySubject,
        out: &mut Effects,
    ) {
        if to.is_none() {
            return;
        }
        let response = AppendResponse { position, peer: self.config.id, success };
        let send = Send {
            dest: Dest::Reply(to),
            reply: question,
            payload: Bytes::copy_from_slice(&response.encode()),
        };
        // Who may have promised to follow a later term must not help an earlier one along.
        let term_unknown = self.quarantine.as_ref().is_some_and(Quarantine::term_unknown);
        let heedless = self.planted(Bug::IgnoreQuarantine) || self.planted(Bug::AckWithoutTerm);
        if success && term_unknown && !heedless {
            return;
        }
        if success && self.planted(Bug::AckBeforeDurable) {
            out.send.push(send);
        } else if success {
            self.hold(Held::Ack(self.term, position, send), out);
        } else {
            self.hold(Held::Message(send), out);
        }
    }

    // --- catching up, the follower's side ---

    /// Whether a catch-up is under way and moves: live traffic then waits.
    fn is_catching_up(&self, now: Mono) -> bool {
        let stall = self.config.timing.catchup_stall;
        let moves = |c: &FollowerCatchup| !c.done && Self::since(now, c.active) <= stall;
        self.planted(Bug::NeverCatchUp)
            || self
                .catchup
                .as_ref()
                .is_some_and(|c| moves(c) || self.planted(Bug::NeverRetryCatchUp))
    }

    /// Where a stream that was interrupted had come to, or had gone back to: the logs part somewhere
    /// after that, and nobody should have to find out again.
    fn shown_to_match(&self) -> Option<LogIndex> {
        let stream = self.catchup.as_ref().filter(|c| !c.done)?;
        self.log.term_at(stream.matched).map(|_| stream.matched)
    }

    fn request_catchup(
        &mut self,
        from: LogIndex,
        target: LogIndex,
        reply: ReplySubject,
        now: Mono,
        out: &mut Effects,
    ) {
        let Some(term) = self.log.term_at(from) else { return };
        let signalled = self.catchup.as_ref().is_some_and(|c| c.signalled);
        if let Some(old) = self.catchup.take() {
            out.notices.push(Notice::Unlisten(old.inbox));
        }
        let inbox = Inbox::from_random(self.random.next());
        out.notices.push(Notice::Listen(inbox));
        self.catchup = Some(FollowerCatchup {
            inbox,
            target,
            matched: from,
            active: now,
            received: 0,
            signalled,
            reply,
            asked_from: from,
            done: false,
        });
        self.respond(Position::new(term, from), false, ReplySubject::catchup(inbox), reply, out);
    }

    /// Our log is known to match the leader's up to `matched`. The end of our own log tells nothing:
    /// it may contradict the leader's.
    fn note_catchup_progress(
        &mut self,
        matched: LogIndex,
        streamed: bool,
        now: Mono,
        out: &mut Effects,
    ) {
        let window = self.config.limits.catchup_window;
        let Some(catchup) = &mut self.catchup else { return };
        if matched >= catchup.target {
            // Live traffic that arrived meanwhile was dropped: what follows on the inbox makes up for
            // it, until live traffic matches.
            catchup.done = true;
            if !streamed {
                self.cancel_catchup(out);
            }
            return;
        }
        if matched > catchup.matched {
            catchup.matched = matched;
            catchup.active = now;
        }
        // The leader stops after a window and hears nothing from us before we are level: ask anew
        // at once, not only when it looks stalled.
        if streamed && catchup.received > window && catchup.matched > catchup.asked_from {
            let (from, target, reply) = (catchup.matched, catchup.target, catchup.reply);
            self.request_catchup(from, target, reply, now, out);
        }
    }

    pub(super) fn drop_stalled_catchup(&mut self, now: Mono, out: &mut Effects) {
        let stall = self.config.timing.catchup_stall;
        if self.catchup.as_ref().is_some_and(|c| Self::since(now, c.active) > stall) {
            self.cancel_catchup(out);
        }
    }

    pub(super) fn cancel_catchup(&mut self, out: &mut Effects) {
        if let Some(catchup) = self.catchup.take() {
            out.notices.push(Notice::Unlisten(catchup.inbox));
            if catchup.signalled {
                out.apply.push(Apply::CatchupEnded);
            }
        }
    }

    fn signal_catchup(&mut self, out: &mut Effects) {
        if let Some(catchup) = self.catchup.as_mut().filter(|c| !c.signalled) {
            catchup.signalled = true;
            out.apply.push(Apply::CatchupStarted);
        }
    }

    /// Replaces what we hold by the leader's snapshot, unless we already hold what it covers.
    fn install_leader_snapshot(&mut self, entry: &AppendEntry, now: Mono, out: &mut Effects) {
        let position = entry.prev;
        let [snapshot, peers] = entry.entries.as_slice() else { return };
        let Ok(peers) = PeerState::decode(&peers.data) else { return };
        if peers.peers.is_empty() {
            return;
        }
        let stale = position.index <= self.commit && !self.planted(Bug::StaleSnapshot);
        if stale || position.index == LogIndex(0) {
            return;
        }
        if self.log.term_at(position.index) == Some(position.term) && position.index > self.commit {
            // Everything it covers is in our log; the snapshot tells that it is committed.
            self.advance_commit(position.index, now, out);
            self.note_catchup_progress(position.index, true, now, out);
            return;
        }
        // What both the old log and the new one hold.
        self.guard_no_more_than(self.log.base(), out);
        self.persist(
            Write::SaveSnapshot(Snapshot {
                position,
                peers: peers.clone(),
                data: snapshot.data.clone(),
            }),
            out,
        );
        self.snapshotting = None;
        self.log = crate::log::Log::after(position);
        self.persist(Write::ResetLog { base: position.index }, out);
        self.hold(Held::Installed(position), out);
        if !self.members.is_partial() && peers.peers != self.members.committed().peers {
            self.changed = true;
            self.persist_vote(out);
        }
        let belonged = self.members.committed().peers.contains(&self.config.id);
        self.members.restore(peers, now);
        self.peers_logged = true;
        self.leaving |= belonged && !self.belongs() && !self.is_newcomer();
        self.persist_peers(out);
        self.commit = position.index;
        self.reset_initializing(now);
        self.pending_snapshot = Some((position, snapshot.data.clone()));
        self.cold.clear();
        self.apply_read = None;
        self.signal_catchup(out);
        self.note_catchup_progress(position.index, true, now, out);
    }
}

/// Compat(RAFT-011): a catch-up that starts with a snapshot starts with exactly this pair.
fn is_snapshot(entry: &AppendEntry) -> bool {
    matches!(
        entry.entries.as_slice(),
        [first, second] if first.kind == EntryKind::Snapshot && second.kind == EntryKind::PeerState
    )
}

fn transfer_target(entry: &AppendEntry) -> Option<PeerId> {
    let transfer = entry.entries.iter().find(|e| e.kind == EntryKind::LeaderTransfer)?;
    PeerId::from_slice(&transfer.data)
}
