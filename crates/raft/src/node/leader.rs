//! Leading: proposals, replication, counting copies, heartbeats, membership changes.
//!
//! Laws:
//! - Only copies of entries of the leader's own term are counted (Compat(RAFT-009)); a copy counts
//!   once it is durable, the leader's own included.
//! - One membership change at a time, and none before an entry of the own term is committed.
//! - Acknowledgements name positions the leader's log holds, or are ignored.
//!
//! Reference: raft.go runAsLeader, processAppendEntryResponse, trackResponse, tryCommit,
//!            sendMembershipChange, lostQuorum, isLeaderOverrun.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use stdx::time::Mono;

use super::catchup::{Outgoing, Spent};
use super::{Held, Node, Role};
use crate::codec::append::{AppendEntry, AppendResponse, Entries, Entry, EntryKind};
use crate::codec::peers::PeerList;
use crate::codec::subject::ReplySubject;
use crate::effects::{Dest, Effects, Notice, Send, Write};
use crate::id::{LogIndex, PeerId, Position, Term};
use crate::mutation::{Bug, Mutation};

/// Why a proposal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another node leads, or none does.
    #[error("not the leader; forward the proposal or try again after the next election")]
    NotLeader,
    /// Followers or the layer above cannot keep up; the leader steps down.
    #[error("the group is overrun with uncommitted or unapplied entries; slow down and retry")]
    Overrun,
    /// Too many proposals wait to be sent.
    #[error("the proposal queue is full; retry after the next poll")]
    QueueFull,
    /// Another change is under way, or this term has not committed anything yet.
    #[error("a membership change is in progress; retry when it is committed")]
    ChangeInProgress,
    /// No such peer.
    #[error("the peer is not in the group")]
    PeerNotFound,
    /// The peer is already a member.
    #[error("the peer is already in the group")]
    PeerExists,
    /// A declared size counts servers nobody has named yet: an answer of theirs could not be told
    /// from one of the removed server's, because no message and no file lists who was removed.
    #[error("not every peer of the declared cluster size is known; retry when each has connected")]
    Undiscovered,
    /// Without it the others might not be able to elect a leader.
    #[error("too few of the remaining peers have caught up; retry when they follow the leader")]
    TooFewLevel,
    /// The last member stays.
    #[error("the last peer cannot be removed; delete the group")]
    LastPeer,
}

/// What the leader knows of one other server.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) peer: PeerId,
    /// Acknowledged up to here, in this term.
    pub(super) acked: LogIndex,
    /// The furthest position acknowledged, of any term.
    pub(super) matched: LogIndex,
    /// Its last word was that it follows us in our term, and not that it is behind.
    pub(super) level: bool,
    pub(super) contact: Option<Mono>,
    pub(super) catchup: Option<Outgoing>,
    /// What was streamed to it lately.
    pub(super) spent: Spent,
}

impl Progress {
    fn new(peer: PeerId, contact: Option<Mono>) -> Self {
        Self {
            peer,
            acked: LogIndex(0),
            matched: LogIndex(0),
            level: false,
            contact,
            catchup: None,
            spent: Spent::default(),
        }
    }
}

/// A leader's books for one term.
#[derive(Clone, Debug)]
pub(super) struct Leading {
    pub(super) progress: SmallVec<[Progress; 5]>,
    noop: LogIndex,
    own_acked: LogIndex,
    proposals: VecDeque<Entry>,
    change_queued: bool,
    /// Who is to be added once it follows.
    invited: PeerList,
    overrun: bool,
    last_sent: Mono,
    quorum_check_at: Mono,
    heartbeat: Duration,
    counted: bool,
}

impl Leading {
    pub(super) fn next_deadline(&self) -> Mono {
        let streams = self.progress.iter().filter_map(|p| p.catchup.as_ref()).map(|c| c.deadline);
        streams.fold((self.last_sent + self.heartbeat).min(self.quorum_check_at), Mono::min)
    }

    pub(super) fn has_invited(&self, peer: PeerId) -> bool {
        self.invited.contains(&peer)
    }

    pub(super) fn find(&mut self, peer: PeerId) -> Option<&mut Progress> {
        self.progress.iter_mut().find(|p| p.peer == peer)
    }

    /// Whether `peer` followed us in our term when it was last heard, which is less than `within` ago.
    fn is_level(&self, peer: PeerId, within: Duration) -> bool {
        let lately = |p: &Progress| p.contact.is_some_and(|at| self.last_sent.since(at) < within);
        self.progress.iter().any(|p| p.peer == peer && p.level && lately(p))
    }

    /// The preferred peer if it was heard lately, else whoever's log reaches furthest.
    pub(super) fn transfer_target(
        &self,
        preferred: Option<PeerId>,
        members: &[PeerId],
        now: Mono,
        fresh: Duration,
    ) -> Option<PeerId> {
        let healthy = |p: &&Progress| {
            members.contains(&p.peer) && p.contact.is_some_and(|at| now.since(at) < fresh)
        };
        let wanted = self.progress.iter().filter(healthy).find(|p| Some(p.peer) == preferred);
        wanted
            .or_else(|| self.progress.iter().filter(healthy).max_by_key(|p| (p.matched, p.peer)))
            .map(|p| p.peer)
    }
}

impl<M: Mutation> Node<M> {
    pub(super) fn become_leader(&mut self, now: Mono, out: &mut Effects) {
        debug_assert_eq!(self.role, Role::Candidate);
        self.role = Role::Leader;
        self.leader = Some(self.config.id);
        self.had_leader = true;
        self.candidacy.clear();
        self.transfer_target = false;
        let fresh = |peer| Progress::new(peer, None);
        let timing = &self.config.timing;
        self.leading = Some(Box::new(Leading {
            progress: self.other_peers().into_iter().map(fresh).collect(),
            noop: self.log.last().index.next(),
            own_acked: LogIndex(0),
            proposals: VecDeque::new(),
            change_queued: false,
            invited: PeerList::new(),
            overrun: false,
            last_sent: now,
            quorum_check_at: now + timing.lost_quorum,
            heartbeat: timing.heartbeat,
            counted: true,
        }));
        out.notices.push(Notice::ListenProposals(true));
        // Compat(RAFT-006): the peer set is the new leader's no-op; serving waits for its commit.
        // In a group still being discovered, nobody but the leader can name the leader.
        let mut state = self.members.effective();
        if self.members.is_partial() && !state.peers.contains(&self.config.id) {
            state.peers.push(self.config.id);
            state.peers.sort_unstable();
        }
        let state = Bytes::from(state.encode());
        let mut entries = Entries::new();
        entries.push(Entry::new(EntryKind::PeerState, state));
        self.append_entries(entries, now, out);
    }

    // --- proposals ---

    /// Proposes one normal entry; it is sent by the next `poll` or other input.
    pub fn propose(&mut self, data: Bytes) -> Result<(), ProposeError> {
        self.enqueue(Entry::new(EntryKind::Normal, data))
    }

    /// Proposes only while this node leads in `term`, so that what was decided under an earlier
    /// leadership cannot slip into a later one.
    pub fn propose_in_term(&mut self, term: Term, data: Bytes) -> Result<(), ProposeError> {
        if term != self.term {
            return Err(ProposeError::NotLeader);
        }
        self.propose(data)
    }

    fn enqueue(&mut self, entry: Entry) -> Result<(), ProposeError> {
        let limits = &self.config.limits;
        let uncommitted = self.log.last().index.distance(self.commit);
        let unapplied = self.commit.distance(self.applied.max(self.log.base().index));
        let Some(leading) = &mut self.leading else { return Err(ProposeError::NotLeader) };
        let normal = entry.kind == EntryKind::Normal;
        if normal && (uncommitted > limits.pause_quorum || unapplied > limits.pause_quorum) {
            // Compat(RAFT-018): an overrun leader steps down without naming a successor. One that
            // has just inherited the backlog gets the chance to commit it first.
            leading.overrun = self.announced;
            return Err(ProposeError::Overrun);
        }
        if leading.proposals.len() >= limits.queued_proposals {
            return Err(ProposeError::QueueFull);
        }
        leading.proposals.push_back(entry);
        Ok(())
    }

    /// Invites a server to become a member: its replica must exist, is caught up if it is behind, and
    /// is added once it follows this leader. A leader that loses its office forgets its invitations.
    pub fn propose_add_peer(&mut self, peer: PeerId) -> Result<(), ProposeError> {
        self.may_change(self.members.is_partial())?;
        if self.members.contains(peer) {
            return Err(ProposeError::PeerExists);
        }
        if self.is_fit_to_join(peer) {
            return self.enqueue_change(EntryKind::AddPeer, peer);
        }
        let guests = self.config.limits.guests;
        let Some(leading) = &mut self.leading else { return Err(ProposeError::NotLeader) };
        if leading.invited.len() >= guests {
            return Err(ProposeError::QueueFull);
        }
        if !leading.invited.contains(&peer) {
            leading.invited.push(peer);
        }
        Ok(())
    }

    /// Naming a seat that is counted already moves no quorum. Otherwise the peer must have followed
    /// this leader in its term: who has not may hold nothing, or not trust what it holds, and a group
    /// that counts on it may never elect a leader again.
    fn is_fit_to_join(&self, peer: PeerId) -> bool {
        if self.members.is_partial() || self.planted(Bug::AddAtOnce) {
            return self.members.is_partial() || self.newest_is_level();
        }
        let window = self.config.timing.heartbeat * 3;
        self.leading.as_ref().is_some_and(|l| l.is_level(peer, window))
    }

    /// Proposes that a member leaves.
    pub fn propose_remove_peer(&mut self, peer: PeerId) -> Result<(), ProposeError> {
        self.may_change(false)?;
        if !self.members.contains(peer) {
            return Err(ProposeError::PeerNotFound);
        }
        if self.members.is_partial() {
            return Err(ProposeError::Undiscovered);
        }
        if self.members.peers().len() <= 1 {
            return Err(ProposeError::LastPeer);
        }
        if !self.remaining_are_level(peer) && !self.planted(Bug::ChangeBeforeNoop) {
            return Err(ProposeError::TooFewLevel);
        }
        self.enqueue_change(EntryKind::RemovePeer, peer)
    }

    /// Whether a quorum of the group without `peer` has lately followed this leader in its term. Who
    /// has not may hold nothing it can vouch for, and a smaller group depends on it more.
    fn remaining_are_level(&self, peer: PeerId) -> bool {
        let Some(leading) = &self.leading else { return false };
        let window = self.config.timing.heartbeat * 3;
        let others = self.members.peers().iter().copied();
        let others = others.filter(|&other| other != peer && leading.is_level(other, window));
        let own = usize::from(peer != self.config.id && self.members.contains(self.config.id));
        others.count() + own > (self.members.peers().len() - 1) / 2
    }

    fn newest_is_level(&self) -> bool {
        let Some((peer, index)) = self.members.newest() else { return true };
        let known = self.leading.iter().flat_map(|l| &l.progress).find(|p| p.peer == peer);
        peer == self.config.id || known.is_some_and(|p| p.matched >= index)
    }

    fn enqueue_change(&mut self, kind: EntryKind, peer: PeerId) -> Result<(), ProposeError> {
        self.enqueue(Entry::new(kind, Bytes::copy_from_slice(&peer.0)))?;
        if let Some(leading) = &mut self.leading {
            leading.change_queued = true;
            leading.invited.retain(|invited| *invited != peer);
        }
        Ok(())
    }

    /// Naming a peer that the declared size already counts does not move any quorum, so it need not
    /// wait for the no-op.
    fn may_change(&self, names_a_known_seat: bool) -> Result<(), ProposeError> {
        let Some(leading) = &self.leading else { return Err(ProposeError::NotLeader) };
        let settled = self.commit >= leading.noop
            || names_a_known_seat
            || self.planted(Bug::ChangeBeforeNoop);
        let busy = leading.change_queued || self.members.pending_change().is_some();
        if !settled || (busy && !self.planted(Bug::TwoChanges)) {
            return Err(ProposeError::ChangeInProgress);
        }
        Ok(())
    }

    /// Tells who forwarded a proposal that it was taken.
    pub(super) fn confirm(&self, reply: ReplySubject, out: &mut Effects) {
        if !reply.is_none() {
            out.send.push(Self::answer(reply, &[]));
        }
    }

    // --- replication ---

    /// Stores `entries` as one append entry and sends it to everybody.
    pub(super) fn append_entries(&mut self, entries: Entries, now: Mono, out: &mut Effects) {
        let (entry, record) = self.build(entries);
        let at = entry.end();
        self.store_members(&entry, out);
        self.log.push(entry, record.clone(), self.config.limits.cached_entries);
        self.persist(Write::Append { index: at.index, record: record.clone() }, out);
        if self.planted(Bug::CountSelfBeforeDurable) {
            self.count_self_ack(at);
        } else {
            self.hold(Held::SelfAck(at), out);
        }
        self.reset_initializing(now);
        self.broadcast(record, now, out);
    }

    fn build(&self, entries: Entries) -> (AppendEntry, Bytes) {
        let entry = AppendEntry {
            leader: self.config.id,
            term: self.term,
            commit: self.commit,
            prev: self.log.last(),
            entries,
            leader_term: Term(0),
        };
        let record = Bytes::from(entry.encode());
        (entry, record)
    }

    pub(super) fn send_heartbeat(&mut self, now: Mono, out: &mut Effects) {
        let (_, record) = self.build(Entries::new());
        self.broadcast(record, now, out);
    }

    fn broadcast(&mut self, payload: Bytes, now: Mono, out: &mut Effects) {
        let reply = ReplySubject::answers(self.append_inbox);
        out.send.push(Send { dest: Dest::Append, reply, payload });
        if let Some(leading) = &mut self.leading {
            leading.last_sent = now;
        }
    }

    pub(super) fn tick_leader(&mut self, now: Mono, out: &mut Effects) {
        let Some(leading) = &mut self.leading else { return };
        for progress in &mut leading.progress {
            if progress.catchup.as_ref().is_some_and(|c| now >= c.deadline) {
                progress.catchup = None;
            }
        }
        if now >= leading.quorum_check_at {
            leading.quorum_check_at = now + self.config.timing.lost_quorum;
            if self.lost_quorum(now) {
                // Compat(RAFT-007).
                self.become_follower(None, now, out);
                return;
            }
        }
        let Some(leading) = &self.leading else { return };
        if now >= leading.last_sent + leading.heartbeat {
            self.send_heartbeat(now, out);
        }
    }

    fn lost_quorum(&self, now: Mono) -> bool {
        let Some(leading) = &self.leading else { return false };
        let window = self.config.timing.lost_quorum;
        let heard = leading
            .progress
            .iter()
            .filter(|p| self.counts(p.peer) && p.contact.is_some_and(|at| now.since(at) < window));
        let own = usize::from(self.belongs());
        heard.count() + own < self.members.quorum()
    }

    /// Whether a server's copies count toward quorum.
    fn counts(&self, peer: PeerId) -> bool {
        self.members.contains(peer)
            || self.members.is_partial()
            || self.planted(Bug::CountRemovedPeer)
    }

    pub(super) fn settle_leader(&mut self, now: Mono, out: &mut Effects) {
        if self.announced && !self.belongs() && self.members.pending_change().is_none() {
            // Only we could lead, but we are no member: our log is committed now, let one take over.
            self.step_down(None, now, out);
            return;
        }
        if self.leading.as_ref().is_some_and(|l| l.overrun) {
            self.overruns += 1;
            self.become_follower(None, now, out);
            return;
        }
        let before = self.commit;
        self.count_copies(now, out);
        let sent = self.cut_batches(now, out);
        self.count_copies(now, out);
        self.announce_if_ready(out);
        // Compat(RAFT-024): followers learn of a commit at once if no entry carries it.
        if self.role == Role::Leader && self.commit > before && !sent {
            self.send_heartbeat(now, out);
        }
    }

    /// Turns queued proposals into append entries; whether there were any.
    fn cut_batches(&mut self, now: Mono, out: &mut Effects) -> bool {
        let mut sent = false;
        loop {
            let Some(leading) = &mut self.leading else { return sent };
            let mut entries = Entries::new();
            let mut size = 0;
            while size < self.config.limits.batch_bytes
                && entries.len() < self.config.limits.batch_entries
                && let Some(entry) = leading.proposals.pop_front()
            {
                if entry.kind != EntryKind::Normal {
                    if entries.is_empty() {
                        leading.change_queued = false;
                        entries.push(entry);
                    } else {
                        leading.proposals.push_front(entry);
                    }
                    break;
                }
                size += entry.data.len() + 1;
                if self.mutation.planted(Bug::ProposeTwice) && entries.len() == 3 {
                    entries.push(entry.clone());
                }
                entries.push(entry);
            }
            if entries.is_empty() {
                return sent;
            }
            self.append_entries(entries, now, out);
            self.refresh_progress();
            sent = true;
        }
    }

    /// Keeps books for exactly the members, and for guests being caught up.
    pub(super) fn refresh_progress(&mut self) {
        let members = &self.members;
        let keep_all = self.mutation.planted(Bug::CountRemovedPeer);
        let Some(leading) = &mut self.leading else { return };
        leading.progress.retain(|p| {
            members.contains(p.peer) || p.catchup.is_some() || members.is_partial() || keep_all
        });
        for &peer in members.peers() {
            let known = leading.progress.iter().any(|p| p.peer == peer);
            if peer != self.config.id && !known {
                // A newcomer is not counted as silent from its first moment.
                leading.progress.push(Progress::new(peer, Some(leading.last_sent)));
            }
        }
        leading.counted = true;
    }

    /// Our own copy is durable up to `position`.
    pub(super) fn count_self_ack(&mut self, position: Position) {
        if position.term == self.term
            && let Some(leading) = &mut self.leading
        {
            leading.own_acked = leading.own_acked.max(position.index);
            leading.counted = true;
        }
    }

    /// Advances the commit to what a quorum holds.
    fn count_copies(&mut self, now: Mono, out: &mut Effects) {
        let Some(leading) = &mut self.leading else { return };
        if !std::mem::take(&mut leading.counted) {
            return;
        }
        let Some(leading) = &self.leading else { return };
        let mut copies: SmallVec<[LogIndex; 8]> = SmallVec::new();
        if self.belongs() {
            copies.push(leading.own_acked);
        }
        let counted = leading.progress.iter().filter(|p| self.counts(p.peer));
        copies.extend(counted.map(|p| p.acked));
        copies.sort_unstable_by(|a, b| b.cmp(a));
        let Some(&index) = copies.get(self.members.quorum() - 1) else { return };
        if index > self.commit {
            self.advance_commit(index, now, out);
        }
    }

    /// Leadership is announced once everything before it is applied.
    pub(super) fn announce_if_ready(&mut self, out: &mut Effects) {
        let Some(leading) = &self.leading else { return };
        if !self.announced && self.processed >= leading.noop {
            self.announced = true;
            out.notices.push(Notice::Leading(self.term));
        }
    }

    pub(super) fn handle_append_response(
        &mut self,
        response: AppendResponse,
        reply: ReplySubject,
        now: Mono,
        out: &mut Effects,
    ) {
        let peer = response.peer;
        if self.role != Role::Leader || peer == self.config.id || peer.is_none() {
            return;
        }
        let rejoin = self.config.timing.removed_rejoin;
        let invited = self.leading.as_ref().is_some_and(|l| l.has_invited(peer));
        if self.members.removed_at(peer).is_some_and(|at| now.since(at) < rejoin)
            && !invited
            && !self.planted(Bug::CountRemovedPeer)
        {
            // Compat(RAFT-016): who was removed is not listened to for a while.
            return;
        }
        if let Some(progress) = self.leading.as_mut().and_then(|l| l.find(peer)) {
            progress.contact = Some(now);
        }
        if response.success {
            self.count_ack(peer, response.position, now, out);
        } else if !reply.is_none() {
            self.start_catchup(peer, response.position, reply, now, out);
        } else if response.position.term > self.term
            && (invited || !self.is_stranger(peer) || self.planted(Bug::HeedStrangersAnswer))
            && !self.planted(Bug::IgnoreHigherTerm)
        {
            self.adopt_term(response.position.term, out);
            self.become_follower(None, now, out);
        }
    }

    fn count_ack(&mut self, peer: PeerId, position: Position, now: Mono, out: &mut Effects) {
        // Who claims what our log does not hold is mistaken or lying.
        if self.log.term_at(position.index) != Some(position.term) {
            return;
        }
        let own_term = position.term == self.term || self.planted(Bug::CommitOldTerm);
        // What a newcomer stored before it belonged may be gone: it was nobody's to rely on.
        let since_added = match self.members.added_at(peer) {
            Some(at) => position.index >= at,
            None => self.counts(peer),
        };
        self.welcome(peer);
        let Some(progress) = self.leading.as_mut().and_then(|l| l.find(peer)) else { return };
        let news = position.index > progress.matched;
        progress.matched = progress.matched.max(position.index);
        progress.level |= position.term == self.term;
        if own_term && since_added && position.index > progress.acked {
            progress.acked = position.index;
            if let Some(leading) = &mut self.leading {
                leading.counted = true;
            }
        }
        self.admit(peer);
        if news {
            self.catchup_progress(peer, position.index, now, out);
        }
    }

    /// Keeps books for an unknown server that answers us, if there is room.
    pub(super) fn welcome(&mut self, peer: PeerId) {
        let guests = self.config.limits.guests;
        let members = &self.members;
        let Some(leading) = &mut self.leading else { return };
        if members.contains(peer) || leading.find(peer).is_some() {
            return;
        }
        if leading.progress.iter().filter(|p| !members.contains(p.peer)).count() < guests {
            leading.progress.push(Progress::new(peer, Some(leading.last_sent)));
        }
    }

    /// Compat(RAFT-016): an unknown server that follows us becomes a member. While another change is
    /// under way nothing happens; the peer's next answer asks again.
    pub(super) fn admit(&mut self, peer: PeerId) {
        let open = self.may_change(self.members.is_partial()).is_ok();
        if open && !self.members.contains(peer) && self.is_fit_to_join(peer) {
            let _ = self.enqueue_change(EntryKind::AddPeer, peer);
        }
    }
}
