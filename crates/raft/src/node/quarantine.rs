//! A node that may have forgotten a promise: what it still does, and when it is trusted again.
//!
//! A log that lost acknowledged entries: the node follows, stores and acknowledges, but its votes
//! are "unsure" (the wire's empty-log flag), so they count only when every peer answers. It is
//! trusted again once its log is level, durably, with a leader of at least the term it knows: that
//! leader's log holds whatever this node helped to commit. The message that shows the end of that
//! leader's log must be newer than this node's start; a live subject guarantees it, because a new
//! subscription receives only what was published after it.
//!
//! A lost vote: the node does not know up to which term it voted. It asks every peer for its term
//! (a vote request of term zero is answered with the voter's term and changes nothing), adopts the
//! highest, and votes again only in later terms.
//!
//! A server that joins may have been a member before, and its removal wiped what it knew. It asks
//! likewise; a majority of the members it was told of is enough, because one of them holds the entry
//! that removed it. Then it is treated like a node that lost its log.
//!
//! Reference: none; the empty-vote rule of processVoteRequest and runAsCandidate is what peers see.

use bytes::Bytes;
use stdx::time::Mono;

use super::{Held, Node};
use crate::codec::peers::PeerList;
use crate::codec::subject::ReplySubject;
use crate::codec::vote::{VoteRequest, VoteResponse};
use crate::effects::{Dest, Effects, Notice, Send};
use crate::id::{Position, Term};
use crate::mutation::{Bug, Mutation};

/// Why a node does not vouch for its past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// The highest term a promise can have been made in.
    pub term: Term,
    /// The log may lack acknowledged entries.
    pub log_lost: bool,
    /// Votes may have been given in terms above `term`.
    pub vote_lost: bool,
    /// Joined without knowing the group's term.
    pub joining: bool,
    /// Who told its term since the start.
    answered: PeerList,
    /// When to ask again.
    pub(super) ask_at: Mono,
}

impl Quarantine {
    pub(crate) fn new(term: Term, log_lost: bool, vote_lost: bool, joining: bool) -> Self {
        Self { term, log_lost, vote_lost, joining, answered: PeerList::new(), ask_at: Mono(0) }
    }
}

impl Quarantine {
    /// Whether the highest term a promise can have been made in is still unknown.
    pub fn term_unknown(&self) -> bool {
        self.vote_lost || self.joining
    }
}

impl<M: Mutation> Node<M> {
    /// Asks every peer for its term, again and again until all have answered.
    pub(super) fn ask_for_terms(&mut self, now: Mono, out: &mut Effects) {
        let every = self.config.timing.election_min / 4;
        let Some(quarantine) = self.quarantine.as_mut().filter(|q| q.term_unknown()) else {
            return;
        };
        if now < quarantine.ask_at {
            return;
        }
        quarantine.ask_at = now + every;
        // Alone in the group, nobody else can have counted a forgotten vote.
        if self.other_peers().is_empty() && !self.members.is_partial() {
            self.all_terms_known(out);
            return;
        }
        let question =
            VoteRequest { term: Term(0), last: Position::ZERO, candidate: self.config.id };
        out.send.push(Send {
            dest: Dest::Vote,
            reply: ReplySubject::answers(self.vote_inbox),
            payload: Bytes::copy_from_slice(&question.encode()),
        });
    }

    /// Takes an answer to `ask_for_terms`; whether it was one.
    pub(super) fn collect_term(&mut self, response: VoteResponse, out: &mut Effects) -> bool {
        let others = self.other_peers();
        let complete = !self.members.is_partial();
        let Some(quarantine) = self.quarantine.as_mut().filter(|q| q.term_unknown()) else {
            return false;
        };
        if !others.contains(&response.peer) {
            return true;
        }
        quarantine.term = quarantine.term.max(response.term);
        if !quarantine.answered.contains(&response.peer) {
            quarantine.answered.push(response.peer);
        }
        let heard = others.iter().filter(|&peer| quarantine.answered.contains(peer)).count();
        let enough = if quarantine.vote_lost { others.len() } else { others.len() / 2 + 1 };
        if complete && heard >= enough {
            self.all_terms_known(out);
        }
        true
    }

    fn all_terms_known(&mut self, out: &mut Effects) {
        let Some(quarantine) = &mut self.quarantine else { return };
        (quarantine.vote_lost, quarantine.joining) = (false, false);
        quarantine.term = quarantine.term.max(self.term);
        if quarantine.term > self.term {
            self.leader = None;
            self.term = quarantine.term;
        }
        // A vote for ourselves stands for "already voted": we never campaign in this term.
        self.vote = Some(self.config.id);
        self.persist_vote(out);
    }

    /// A live append entry ends where our log is known to match: once that is durable, nothing this
    /// node ever acknowledged is missing.
    pub(super) fn note_level(&mut self, end: Position, out: &mut Effects) {
        if self.quarantine.as_ref().is_some_and(|q| q.log_lost && !q.term_unknown()) {
            self.hold(Held::Level(self.term, end), out);
        }
    }

    pub(super) fn count_level(&mut self, term: Term, end: Position) {
        let holds = self.log.term_at(end.index) == Some(end.term);
        if let Some(quarantine) = self.quarantine.as_mut().filter(|q| !q.term_unknown()) {
            quarantine.log_lost &= !(holds && term == self.term && term >= quarantine.term);
        }
    }

    pub(super) fn leave_quarantine(&mut self, out: &mut Effects) {
        let Some(quarantine) = &self.quarantine else { return };
        if quarantine.term_unknown() || quarantine.log_lost || self.planted(Bug::NeverRecover) {
            return;
        }
        self.quarantine = None;
        self.persist_vote(out);
        out.notices.push(Notice::Quarantined(false));
    }
}
