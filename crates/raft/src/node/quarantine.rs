//! A node that may have forgotten a promise: what it still does, and when it is trusted again.
//!
//! A log that lost acknowledged entries: the node follows, stores and acknowledges, but its votes
//! are "unsure" (the wire's empty-log flag), so they count only when every peer answers. It is
//! trusted again once its log holds an entry of a later term than any it had seen: the leader of
//! that term was elected without relying on it, so that leader's log, and by log matching ours,
//! holds everything that was ever committed.
//!
//! A lost vote: the node does not know up to which term it voted. It asks every peer for its term
//! (a vote request of term zero is answered with the voter's term and changes nothing), adopts the
//! highest, and votes again only in later terms.
//!
//! Reference: none; the empty-vote rule of processVoteRequest and runAsCandidate is what peers see.

use bytes::Bytes;
use stdx::time::Mono;

use super::Node;
use crate::codec::peers::PeerList;
use crate::codec::subject::ReplySubject;
use crate::codec::vote::{VoteRequest, VoteResponse};
use crate::effects::{Dest, Effects, Notice, Send};
use crate::id::{PeerId, Position, Term};
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
    /// Who told its term since the start.
    answered: PeerList,
    /// When to ask again.
    pub(super) ask_at: Mono,
}

impl Quarantine {
    pub(crate) fn new(term: Term, log_lost: bool, vote_lost: bool) -> Self {
        Self { term, log_lost, vote_lost, answered: PeerList::new(), ask_at: Mono(0) }
    }
}

impl<M: Mutation> Node<M> {
    /// Asks every peer for its term, again and again until all have answered.
    pub(super) fn ask_for_terms(&mut self, now: Mono, out: &mut Effects) {
        let every = self.config.timing.election_min / 4;
        let Some(quarantine) = self.quarantine.as_mut().filter(|q| q.vote_lost) else { return };
        if now < quarantine.ask_at {
            return;
        }
        quarantine.ask_at = now + every;
        // Alone in the group, nobody else can have counted a forgotten vote.
        if self.other_peers().is_empty() && !self.members.is_partial() {
            self.all_terms_known(out);
            return;
        }
        let question = VoteRequest {
            term: Term(0),
            last: Position::ZERO,
            candidate: self.config.id,
        };
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
        let Some(quarantine) = self.quarantine.as_mut().filter(|q| q.vote_lost) else {
            return false;
        };
        if !others.contains(&response.peer) {
            return true;
        }
        quarantine.term = quarantine.term.max(response.term);
        if !quarantine.answered.contains(&response.peer) {
            quarantine.answered.push(response.peer);
        }
        let heard = |peer: &PeerId| quarantine.answered.contains(peer);
        if complete && others.iter().all(heard) {
            self.all_terms_known(out);
        }
        true
    }

    fn all_terms_known(&mut self, out: &mut Effects) {
        let Some(quarantine) = &mut self.quarantine else { return };
        quarantine.vote_lost = false;
        quarantine.term = quarantine.term.max(self.term);
        if quarantine.term > self.term {
            self.leader = None;
            self.term = quarantine.term;
        }
        // A vote for ourselves stands for "already voted": we never campaign in this term.
        self.vote = Some(self.config.id);
        self.persist_vote(out);
    }

    pub(super) fn leave_quarantine(&mut self, out: &mut Effects) {
        let last = self.stored.term;
        let Some(quarantine) = &self.quarantine else { return };
        let log_ok = !quarantine.log_lost || last > quarantine.term;
        if quarantine.vote_lost || !log_ok || self.planted(Bug::NeverRecover) {
            return;
        }
        self.quarantine = None;
        self.persist_vote(out);
        out.notices.push(Notice::Quarantined(false));
    }
}
