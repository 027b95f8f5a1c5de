//! A node that may have forgotten a promise: what it still does, and when it is trusted again.
//!
//! A log that lost acknowledged entries: the node follows, stores and acknowledges, but its votes
//! are "unsure" (the wire's empty-log flag), so they count only when every peer answers. It is
//! trusted again once its log is level, durably, with a leader of at least the term it knows: that
//! leader's log holds whatever this node helped to commit. The message that shows the end of that
//! leader's log must be newer than this node's start; a live subject guarantees it, because a new
//! subscription receives only what was published after it.
//!
//! A lost vote: the node does not know up to which term it voted. It asks every peer for its term,
//! one whose removal is not committed included
//! (a vote request of term zero is answered with the voter's term and changes nothing), adopts the
//! highest, and votes again only in later terms.
//!
//! A server that joins may have been a member before, and its removal wiped what it knew. It asks
//! likewise; a majority of the members it was told of is enough, because one of them holds the entry
//! that removed it. Until it is level it gives its vote only on a second opinion: it passes the
//! request on, and answers once a majority of those members, the candidate included, grant it too.
//! Then the candidate could have won without it.
//!
//! Reference: none; the empty-vote rule of processVoteRequest and runAsCandidate is what peers see.

use bytes::Bytes;
use smallvec::SmallVec;
use stdx::time::Mono;

use super::candidate::MAX_UNNAMED;
use super::{Held, Node};
use crate::codec::peers::{PeerList, PeerState};
use crate::codec::subject::ReplySubject;
use crate::codec::vote::{VoteRequest, VoteResponse};
use crate::effects::{Dest, Effects, Notice, Send, Write};
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
    /// Joined and not level yet: the members it was told of.
    pub(super) told: Option<PeerList>,
    /// Who told its term since the start.
    pub(super) answered: PeerList,
    /// When to ask again.
    pub(super) ask_at: Mono,
}

impl Quarantine {
    pub(crate) fn new(term: Term, log_lost: bool, vote_lost: bool, joining: bool) -> Self {
        let answered = PeerList::new();
        Self { term, log_lost, vote_lost, joining, told: None, answered, ask_at: Mono(0) }
    }
}

/// A newcomer's question to the members whether they grant a candidate their vote.
#[derive(Clone, Debug)]
pub(super) struct Opinion {
    request: VoteRequest,
    /// Who waits for the answer: the candidate, and other newcomers that ask on its behalf.
    replies: SmallVec<[ReplySubject; 1]>,
    granted: PeerList,
}

/// The most that may wait for one second opinion.
const MAX_WAITING: usize = 8;

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
        if self.possible_candidates().is_empty() && !self.members.is_partial() {
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
        let id = self.config.id;
        let told = self.quarantine.as_ref().and_then(|q| q.told.clone());
        // Seats without a name may all be asking, and nobody names who only asks: count answers.
        let unnamed = told.is_none() && self.members.is_partial();
        let seats = self.members.cluster_size().min(MAX_UNNAMED);
        let majority_will_do = self.planted(Bug::MajorityOfTerms);
        let mut others = told.unwrap_or_else(|| self.possible_candidates());
        others.retain(|peer| *peer != id);
        let Some(quarantine) = self.quarantine.as_mut().filter(|q| q.term_unknown()) else {
            return false;
        };
        let room = unnamed && response.peer != id && quarantine.answered.len() < seats;
        if !others.contains(&response.peer) && !room {
            return true;
        }
        quarantine.term = quarantine.term.max(response.term);
        if !quarantine.answered.contains(&response.peer) {
            quarantine.answered.push(response.peer);
        }
        let heard = quarantine.answered.iter().filter(|&peer| unnamed || others.contains(peer));
        let all = if unnamed { seats.saturating_sub(1) } else { others.len() };
        let whole = quarantine.vote_lost && !majority_will_do;
        let enough = if whole { all } else { all / 2 + 1 };
        if heard.count() >= enough {
            self.all_terms_known(out);
        }
        true
    }

    /// Who may have got a vote this node forgot: members, and those whose removal is stored but not
    /// committed. One of these may still win with that vote. After the commit it cannot: a quorum that
    /// this node had no part in holds more than its log.
    fn possible_candidates(&self) -> PeerList {
        let mut peers = self.other_peers();
        for &peer in &self.members.committed().peers {
            if peer != self.config.id && !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        peers
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

    /// Tells a newcomer who the members are by now: they may have changed since it was created, and
    /// it waits for a majority of those it knows. No effect on a node that is level.
    pub fn update_known_peers(&mut self, peers: &PeerState, out: &mut Effects) {
        if let Some(quarantine) = self.quarantine.as_mut().filter(|q| q.told.is_some()) {
            quarantine.told = Some(peers.peers.clone());
            self.persist(Write::Peers(peers.clone()), out);
        }
    }

    /// Whether this node joined and has not been level yet.
    pub(super) fn is_newcomer(&self) -> bool {
        self.quarantine.as_ref().is_some_and(|q| q.told.is_some())
    }

    /// Passes a vote request on to the members this newcomer was told of.
    pub(super) fn ask_second_opinion(
        &mut self,
        request: VoteRequest,
        reply: ReplySubject,
        out: &mut Effects,
    ) {
        if let Some(opinion) = self.opinion.as_mut().filter(|o| o.request == request) {
            // Asked already; newcomers must not echo each other.
            if opinion.replies.len() < MAX_WAITING && !opinion.replies.contains(&reply) {
                opinion.replies.push(reply);
            }
            self.answer_if_seconded(out);
            return;
        }
        let replies = SmallVec::from_elem(reply, 1);
        self.opinion = Some(Opinion { request, replies, granted: PeerList::new() });
        self.hold(
            Held::Message(Send {
                dest: Dest::Vote,
                reply: ReplySubject::answers(self.vote_inbox),
                payload: Bytes::copy_from_slice(&request.encode()),
            }),
            out,
        );
        self.answer_if_seconded(out);
    }

    pub(super) fn collect_opinion(&mut self, response: VoteResponse, out: &mut Effects) {
        let told = self.quarantine.as_ref().and_then(|q| q.told.as_ref());
        let Some(opinion) = &mut self.opinion else { return };
        if !response.granted || response.unsure || response.term != opinion.request.term {
            return;
        }
        let known = told.is_some_and(|told| told.contains(&response.peer));
        if known && !opinion.granted.contains(&response.peer) {
            opinion.granted.push(response.peer);
            self.answer_if_seconded(out);
        }
    }

    fn answer_if_seconded(&mut self, out: &mut Effects) {
        let Some(told) = self.quarantine.as_ref().and_then(|q| q.told.as_ref()) else { return };
        let Some(opinion) = &self.opinion else { return };
        let candidate = opinion.request.candidate;
        let others = told.iter().filter(|&&peer| peer != self.config.id);
        let majority = others.clone().count() / 2 + 1;
        let votes = others.filter(|&&p| p == candidate || opinion.granted.contains(&p)).count();
        if votes < majority || opinion.request.term != self.term {
            return;
        }
        let response =
            VoteResponse { term: self.term, peer: self.config.id, granted: true, unsure: false };
        let replies = opinion.replies.clone();
        for reply in replies {
            self.hold(Held::Message(Self::answer(reply, &response.encode())), out);
        }
        if let Some(opinion) = &mut self.opinion {
            opinion.replies.clear();
        }
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
            let knows = term == self.term && term >= quarantine.term;
            quarantine.log_lost &= !(holds && knows);
        }
    }

    pub(super) fn leave_quarantine(&mut self, out: &mut Effects) {
        let Some(quarantine) = &self.quarantine else { return };
        if quarantine.term_unknown() || quarantine.log_lost || self.planted(Bug::NeverRecover) {
            return;
        }
        self.quarantine = None;
        self.opinion = None;
        self.persist_vote(out);
        self.persist(Write::Peers(self.members.committed().clone()), out);
        out.notices.push(Notice::Quarantined(false));
    }
}
