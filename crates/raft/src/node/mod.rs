//! One replica: its state, its door, and what every role shares.
//!
//! Not here: the roles (`follower`, `candidate`, `leader`, `catchup`), snapshots (`snapshot`),
//! starting from what a disk held (`recover`).
//! Laws (asserted by `check`):
//! - `base <= emitted <= commit <= last`; `commit` never goes back while the node runs, but for
//!   a record that turned out unreadable.
//! - The term never goes back; at most one vote per term; both are durable before any message that
//!   depends on them leaves.
//! - Nothing is acknowledged before its ticket is done.
//!
//! Reference: raft.go raft, run, switchState, switchToFollower, switchToCandidate.

mod apply;
mod candidate;
mod catchup;
mod follower;
mod inbound;
mod leader;
mod quarantine;
pub(crate) mod recover;
mod snapshot;
mod status;
mod transfer;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use stdx::time::Mono;

use crate::codec::end::LogEnd;
use crate::codec::peers::PeerList;
use crate::codec::subject::{Inbox, ReplySubject};
use crate::codec::vote::{TermVote, VoteGuard};
use crate::config::Config;
use crate::effects::{Dest, Effects, Notice, Persist, ReadId, Send, Ticket, Write};
use crate::id::{LogIndex, PeerId, Position, Term};
use crate::log::Log;
use crate::membership::Membership;
use crate::mutation::{Bug, Mutation, Sound};
use crate::random::Random;

pub use inbound::Channel;
pub use leader::ProposeError;
pub use quarantine::Quarantine;
pub use snapshot::{Checkpoint, SnapshotError};
pub use status::{PeerStatus, Status};

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Campaigns.
    Candidate,
    /// Leads.
    Leader,
    /// Stopped for good: removed, failed to write, or found itself contradicted.
    Closed,
}

/// Something that waits for a ticket.
#[derive(Clone, Debug)]
enum Held {
    Message(Send),
    /// An acknowledgement of everything up to a position; dropped if the term has moved on.
    Ack(Term, Position, Send),
    /// Our own vote for ourselves in this term.
    SelfVote(Term),
    /// Our own copy of the log up to here, stored as the leader of its term.
    SelfAck(Position),
    /// In this term, our log was level with the leader's up to here.
    Level(Term, Position),
    /// A snapshot we took ourselves.
    SnapshotSaved(Position),
    /// A leader's snapshot in place of our log.
    Installed(Position),
}

/// A follower's request to be caught up.
#[derive(Clone, Debug)]
struct FollowerCatchup {
    inbox: Inbox,
    /// Where the leader's log ended when it was asked.
    target: LogIndex,
    /// How far the stream has shown our logs to match, and when it last moved.
    matched: LogIndex,
    active: Mono,
    /// Bytes received on this inbox.
    received: usize,
    signalled: bool,
    /// The leader's reply subject: where the next request goes.
    reply: ReplySubject,
    asked_from: LogIndex,
    /// The target is reached; what the leader stored since may still be on its way.
    done: bool,
}

/// One Raft replica as a state machine: inputs and time in, `Effects` out.
#[derive(Clone, Debug)]
pub struct Node<M: Mutation = Sound> {
    config: Config,
    mutation: M,
    random: Random,
    role: Role,
    term: Term,
    vote: Option<PeerId>,
    leader: Option<PeerId>,
    had_leader: bool,
    /// When the leader was last heard.
    leader_contact: Option<Mono>,

    log: Log,
    /// A position known to be durable; the log may be durable beyond it.
    stored: Position,
    /// What `tav.sum` says the log reaches, once what is under way is written.
    guarded: Position,
    /// What `log.end` says, since the last of `cuts`.
    noted: Position,
    /// How often the log was cut back, and the ticket from which `tav.sum` knows.
    cuts: u64,
    cut_at: Ticket,
    /// Our removal is committed, and nobody was told yet.
    leaving: bool,
    members: Membership,
    /// The members are those of our log. A replica that was created later, or anew, starts with those
    /// it was told of, which no log may ever have held: it must not count quorums by them.
    peers_logged: bool,
    commit: LogIndex,
    emitted: LogIndex,
    processed: LogIndex,
    applied: LogIndex,
    paused: bool,
    quorum_paused: bool,
    overruns: u64,
    out_of_resources: bool,
    pending_snapshot: Option<(Position, Bytes)>,
    apply_read: Option<ReadId>,
    snapshotting: Option<Position>,
    /// Records read back for applying that are not in the cache.
    cold: VecDeque<crate::codec::append::AppendEntry>,

    next_ticket: u64,
    durable: Ticket,
    held: VecDeque<(Ticket, Held)>,
    next_read: u64,

    observer: bool,
    /// Members came or went since the group was created.
    changed: bool,
    initializing: bool,
    scale_up: bool,
    quarantine: Option<Quarantine>,
    opinion: Option<quarantine::Opinion>,
    transfer_target: bool,
    /// A candidate was refused because our log reaches further: perhaps only we can lead.
    needed: bool,
    announced: bool,

    elect_at: Mono,
    quorum_lost_at: Mono,
    candidacy: candidate::Candidacy,
    catchup: Option<FollowerCatchup>,
    leading: Option<Box<leader::Leading>>,

    vote_inbox: Inbox,
    append_inbox: Inbox,
}

impl<M: Mutation> Node<M> {
    /// This server's id.
    pub fn id(&self) -> PeerId {
        self.config.id
    }

    /// The current role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The leader this node follows, or itself.
    pub fn leader(&self) -> Option<PeerId> {
        self.leader
    }

    /// Leads, and has applied everything of earlier terms: fit to serve.
    pub fn is_leading(&self) -> bool {
        self.role == Role::Leader && self.announced
    }

    /// Where the log ends.
    pub fn last(&self) -> Position {
        self.log.last()
    }

    /// The newest snapshot's position; zero without one.
    pub fn base(&self) -> Position {
        self.log.base()
    }

    /// The term of the entry at `index`, if the log holds it.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.log.term_at(index)
    }

    /// The last entry known to be committed.
    pub fn commit(&self) -> LogIndex {
        self.commit
    }

    /// The last entry the layer above applied.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// The effective peers, sorted.
    pub fn peers(&self) -> &[PeerId] {
        self.members.peers()
    }

    /// The peers by what is committed, sorted.
    pub fn committed_peers(&self) -> &[PeerId] {
        &self.members.committed().peers
    }

    /// The size quorums are counted against.
    pub fn cluster_size(&self) -> usize {
        self.members.cluster_size()
    }

    /// Whether a membership change is stored but not committed.
    pub fn membership_change_in_progress(&self) -> bool {
        self.members.pending_change().is_some()
    }

    /// Inbox for answers to vote requests: subscribe to `$NRG.R.<inbox>`.
    pub fn vote_inbox(&self) -> Inbox {
        self.vote_inbox
    }

    /// Inbox for answers to append entries: subscribe to `$NRG.R.<inbox>`.
    pub fn append_inbox(&self) -> Inbox {
        self.append_inbox
    }

    /// Why the node does not vouch for its log, if so.
    pub fn quarantine(&self) -> Option<&Quarantine> {
        self.quarantine.as_ref()
    }

    /// Forgets a quarantine: an operator accepts that acknowledged entries may be lost.
    pub fn override_quarantine(&mut self, now: Mono, out: &mut Effects) {
        if self.quarantine.take().is_some() {
            out.notices.push(Notice::Quarantined(false));
            self.persist_vote(out);
            self.settle(now, out);
        }
    }

    /// When `tick` should be called next; earlier calls do nothing.
    pub fn next_deadline(&self) -> Mono {
        match (&self.leading, self.role) {
            (_, Role::Closed) => Mono(u64::MAX),
            (Some(leading), _) => leading.next_deadline(),
            (None, _) => match self.quarantine.as_ref().filter(|q| q.term_unknown()) {
                Some(quarantine) => self.elect_at.min(quarantine.ask_at),
                None => self.elect_at,
            },
        }
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Mono, out: &mut Effects) {
        match self.role {
            Role::Closed => return,
            Role::Leader => self.tick_leader(now, out),
            Role::Follower | Role::Candidate => {
                self.ask_for_terms(now, out);
                if now >= self.elect_at {
                    self.election_due(now, out);
                }
            }
        }
        self.settle(now, out);
    }

    /// Cuts queued proposals into append entries and hands out what became ready.
    pub fn poll(&mut self, now: Mono, out: &mut Effects) {
        self.settle(now, out);
    }

    /// Every ticket up to `ticket` is done.
    pub fn handle_durable(&mut self, ticket: Ticket, now: Mono, out: &mut Effects) {
        if self.role == Role::Closed || ticket.0 >= self.next_ticket {
            return;
        }
        self.durable = self.durable.max(ticket);
        self.release_held(now, out);
        self.note_end(out);
        self.settle(now, out);
    }

    /// A write failed: the node can keep no further promise and closes.
    pub fn handle_write_error(&mut self, out: &mut Effects) {
        if self.role != Role::Closed {
            out.notices.push(Notice::WriteFailed);
            self.close(out);
        }
    }

    /// The group has no resources left: stop storing and campaigning, or start again.
    pub fn set_out_of_resources(&mut self, out_of_resources: bool) {
        self.out_of_resources = out_of_resources;
    }

    /// Become, or stop being, an observer: a member that never campaigns.
    pub fn set_observer(&mut self, observer: bool, now: Mono) {
        if self.observer && !observer {
            self.elect_at = self.election_timeout(now);
        }
        self.observer = observer;
    }

    /// Whether this node does not campaign: an observer, or new in a grown group and still empty.
    pub fn is_observer(&self) -> bool {
        self.observer || self.scale_up
    }

    /// Declares the expected cluster size before the group ever had a leader; at least 2.
    pub fn adjust_boot_cluster_size(&mut self, size: usize) -> bool {
        if self.leader.is_some() || self.had_leader {
            return false;
        }
        self.members.set_cluster_size(size.max(2));
        true
    }

    /// Stops the node for good.
    pub fn close(&mut self, out: &mut Effects) {
        self.cancel_catchup(out);
        self.stop_leading(out);
        self.role = Role::Closed;
        self.held.clear();
        self.leader = None;
    }

    // --- what every role uses ---

    fn planted(&self, bug: Bug) -> bool {
        self.mutation.planted(bug)
    }

    fn election_timeout(&mut self, now: Mono) -> Mono {
        let timing = &self.config.timing;
        now + self.random.between(timing.election_min, timing.election_max)
    }

    fn campaign_timeout(&mut self, now: Mono) -> Mono {
        let timing = &self.config.timing;
        now + self.random.between(timing.campaign_min, timing.campaign_max)
    }

    fn persist(&mut self, write: Write, out: &mut Effects) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        out.persist.push(Persist { ticket, write });
        ticket
    }

    /// The ticket everything written so far waits for.
    fn last_ticket(&self) -> Ticket {
        Ticket(self.next_ticket.saturating_sub(1))
    }

    fn persist_vote(&mut self, out: &mut Effects) {
        if self.planted(Bug::ForgetVote) {
            return;
        }
        let guard = VoteGuard {
            voted: TermVote { term: self.term, vote: self.vote },
            log: self.stored,
            quarantine: self.quarantine.as_ref().map(|q| q.term),
            vote_lost: self.quarantine.as_ref().is_some_and(|q| q.vote_lost),
            joining: self.quarantine.as_ref().is_some_and(|q| q.joining || q.told.is_some()),
            changed: self.changed,
            cuts: self.cuts,
        };
        self.guarded = self.stored;
        self.persist(Write::TermVote(guard), out);
    }

    /// The log is about to end at `last`. Neither `tav.sum` nor `log.end` may count for more than that,
    /// or a crash right after the cut would look like lost entries.
    fn guard_no_more_than(&mut self, last: Position, out: &mut Effects) {
        self.stored = self.stored.min(last);
        if (self.guarded > last || self.noted > last) && !self.planted(Bug::KeepLogEnd) {
            self.cuts = self.cuts.saturating_add(1);
            self.noted = Position::ZERO;
            self.persist_vote(out);
            self.cut_at = self.last_ticket();
        }
    }

    /// Tells how far the log is durable, if that is news and `tav.sum` knows of the last cut.
    fn note_end(&mut self, out: &mut Effects) {
        if self.stored > self.noted && self.durable >= self.cut_at && !self.config.memory_log {
            self.noted = self.stored;
            out.reached = Some(LogEnd { cuts: self.cuts, end: self.stored });
        }
    }

    /// Sends now if everything written so far is durable, else when it is.
    fn hold(&mut self, held: Held, out: &mut Effects) {
        let ticket = self.last_ticket();
        if ticket <= self.durable {
            self.release(held, out);
        } else {
            self.held.push_back((ticket, held));
        }
    }

    fn release_held(&mut self, _: Mono, out: &mut Effects) {
        while self.held.front().is_some_and(|(ticket, _)| *ticket <= self.durable) {
            if let Some((_, held)) = self.held.pop_front() {
                self.release(held, out);
            }
        }
    }

    fn release(&mut self, held: Held, out: &mut Effects) {
        match held {
            Held::Message(send) => out.send.push(send),
            Held::Ack(term, position, send) => {
                self.count_stored(position);
                if term == self.term {
                    out.send.push(send);
                }
            }
            Held::SelfVote(term) => self.count_self_vote(term),
            Held::SelfAck(position) => {
                self.count_stored(position);
                // A leader's own no-op: everybody answered, nobody's log reached further.
                self.count_level(position.term, position);
                self.count_self_ack(position);
            }
            Held::Level(term, end) => self.count_level(term, end),
            Held::SnapshotSaved(position) => self.snapshot_saved(position, out),
            Held::Installed(position) => self.count_stored(position),
        }
    }

    /// Takes a stored entry's effect on the members; the first real change is remembered for good.
    fn store_members(&mut self, entry: &crate::codec::append::AppendEntry, out: &mut Effects) {
        if self.members.store(entry.end().index, entry) && !self.changed {
            self.changed = true;
            self.persist_vote(out);
        }
    }

    /// Writes the committed peers; a newcomer's file keeps what it was told until it is level.
    fn persist_peers(&mut self, out: &mut Effects) {
        if self.quarantine.as_ref().is_none_or(|q| q.told.is_none()) {
            self.persist(Write::Peers(self.members.committed().clone()), out);
        }
    }

    fn count_stored(&mut self, position: Position) {
        if self.log.term_at(position.index) == Some(position.term) {
            self.stored = self.stored.max(position);
        }
    }

    fn answer(reply: ReplySubject, payload: &[u8]) -> Send {
        Send {
            dest: Dest::Reply(reply),
            reply: ReplySubject::NONE,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    /// Moves to a higher term with no vote in it yet.
    fn adopt_term(&mut self, term: Term, out: &mut Effects) {
        debug_assert!(term > self.term);
        self.term = term;
        self.vote = None;
        // Who led an earlier term does not lead this one.
        self.leader = None;
        self.opinion = None;
        // Nor does its stream of old entries go on.
        self.cancel_catchup(out);
        self.persist_vote(out);
    }

    /// Follows `leader` (or nobody yet) in the current term.
    fn become_follower(&mut self, leader: Option<PeerId>, now: Mono, out: &mut Effects) {
        if self.role == Role::Closed {
            return;
        }
        let led = self.role == Role::Leader;
        self.stop_leading(out);
        self.role = Role::Follower;
        self.transfer_target = false;
        self.candidacy.clear();
        self.elect_at = self.election_timeout(now);
        if led || self.leader != leader {
            self.leader = leader;
            self.had_leader |= leader.is_some();
            out.notices.push(Notice::Following(leader));
        }
    }

    fn stop_leading(&mut self, out: &mut Effects) {
        if self.leading.take().is_some() {
            out.notices.push(Notice::ListenProposals(false));
        }
        self.announced = false;
    }

    /// Drops log entries after `index`; the caller has shown they contradict the leader.
    fn truncate_log(&mut self, index: LogIndex, out: &mut Effects) {
        if !self.planted(Bug::TruncateBelowCommit) && !self.planted(Bug::TruncateOnRepeat) {
            assert!(index >= self.commit, "a committed entry must never be truncated");
        }
        self.commit = self.commit.min(index);
        self.log.truncate(index);
        self.guard_no_more_than(self.log.last(), out);
        if !self.planted(Bug::KeepTruncatedChange) {
            self.members.truncate(index);
        }
        self.persist(Write::Truncate { last: index }, out);
    }

    /// Ends every input: batches, commits, applies, deadlines.
    fn settle(&mut self, now: Mono, out: &mut Effects) {
        if self.role == Role::Closed {
            return;
        }
        if self.role == Role::Candidate {
            self.count_votes(now, out);
        }
        if self.role == Role::Leader {
            self.settle_leader(now, out);
        }
        self.leave_quarantine(out);
        self.emit_applies(out);
        #[cfg(debug_assertions)]
        self.check();
    }

    /// Asserts the laws at the top of this file.
    pub fn check(&self) {
        if self.planted(Bug::TruncateBelowCommit) || self.planted(Bug::TruncateOnRepeat) {
            return;
        }
        assert!(self.commit <= self.log.last().index, "commit is within the log");
        assert!(self.log.base().index <= self.commit, "a snapshot covers only committed entries");
        let early = self.planted(Bug::ApplyUncommitted);
        assert!(self.emitted <= self.commit || early, "only committed entries are applied");
        assert!(self.applied <= self.processed && self.processed <= self.emitted);
        assert_eq!(self.role == Role::Leader, self.leading.is_some(), "a leader has its books");
    }

    /// How long ago `at` was; never more than the time since the start.
    fn since(now: Mono, at: Mono) -> Duration {
        now.since(at)
    }

    /// Whether `peer` is nobody's member as far as this node knows: all seats have names, and its is
    /// not among them. The group's terms are then none of its business.
    fn is_stranger(&self, peer: PeerId) -> bool {
        !self.members.contains(peer) && !self.members.is_partial()
    }

    fn other_peers(&self) -> PeerList {
        self.members.peers().iter().copied().filter(|&p| p != self.config.id).collect()
    }
}
