//! Elections: campaigning, granting votes, counting them.
//!
//! Laws: one vote per term, durable before it is told; a candidate's log must reach at least as far
//!       as the voter's; a voter whose log is empty or untrusted says so, and its vote counts only
//!       if every peer answered. Why the last is safe: see docs/consensus.md.
//! Reference: raft.go switchToCandidate, runAsCandidate, requestVote, processVoteRequest.

use bytes::Bytes;
use stdx::time::Mono;

use super::{Held, Node, Role};
use crate::codec::peers::PeerList;
use crate::codec::subject::ReplySubject;
use crate::codec::vote::{VoteRequest, VoteResponse};
use crate::effects::{Dest, Effects, Notice, Send};
use crate::id::{LogIndex, PeerId, Term};
use crate::mutation::{Bug, Mutation};

/// The most answers from servers without a name that are counted: no group is larger.
pub(super) const MAX_UNNAMED: usize = 4096;

/// The votes of one campaign.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidacy {
    sure: PeerList,
    unsure: PeerList,
}

impl Candidacy {
    pub(super) fn clear(&mut self) {
        self.sure.clear();
        self.unsure.clear();
    }

    fn count(&mut self, peer: PeerId, unsure: bool) {
        if self.sure.contains(&peer) || self.unsure.contains(&peer) {
            return;
        }
        if unsure { self.unsure.push(peer) } else { self.sure.push(peer) }
    }
}

impl<M: Mutation> Node<M> {
    /// Campaigns after a short random delay.
    pub fn campaign(&mut self, now: Mono) {
        if self.role == Role::Follower || self.role == Role::Candidate {
            self.elect_at = self.campaign_timeout(now);
        }
    }

    /// Campaigns after half the shortest delay: the upper layer prefers this node.
    pub fn campaign_immediately(&mut self, now: Mono) {
        if self.role == Role::Follower || self.role == Role::Candidate {
            self.reset_initializing(now);
            self.elect_at = now + self.config.timing.campaign_min / 2;
        }
    }

    /// The election timer fired.
    pub(super) fn election_due(&mut self, now: Mono, out: &mut Effects) {
        let quarantine = self.quarantine.as_ref();
        if self.out_of_resources
            || !self.peers_logged
            || quarantine.is_some_and(|q| q.term_unknown() || (self.changed && q.told.is_none()))
        {
            self.elect_at = self.election_timeout(now);
        } else if self.is_observer() {
            self.elect_at = now + self.config.timing.observer;
        } else if self.catchup.as_ref().is_some_and(|c| !c.done) {
            // Do not campaign while being caught up, but do not wait for ever either.
            if !self.planted(Bug::NeverRetryCatchUp) {
                self.drop_stalled_catchup(now, out);
            }
            self.elect_at = self.election_timeout(now);
        } else if self.paused || self.processed < self.commit {
            // A leader must first have applied what is committed.
            self.elect_at = now + self.config.timing.election_min / 4;
        } else if !self.belongs()
            && !self.needed
            && self.members.pending_change().is_none_or(|(_, peer)| peer != self.config.id)
        {
            // Not a member: nobody should follow us. But while our removal is not committed, only we
            // may hold it, and nobody with a shorter log can win; and a member that was refused for
            // its shorter log may never win without us. Then we campaign, without our own vote.
            self.elect_at = self.election_timeout(now);
        } else {
            self.become_candidate(now, out);
        }
    }

    fn become_candidate(&mut self, now: Mono, out: &mut Effects) {
        if self.planted(Bug::NeverRecover) && self.quarantine.is_some() {
            self.elect_at = self.election_timeout(now);
            return;
        }
        const QUORUM_LOST_EVERY: std::time::Duration = std::time::Duration::from_secs(20);
        if self.role == Role::Candidate && Self::since(now, self.quorum_lost_at) > QUORUM_LOST_EVERY
        {
            self.quorum_lost_at = now;
            out.notices.push(Notice::QuorumLost);
        } else if self.role != Role::Candidate {
            self.quorum_lost_at = now;
        }
        self.become_follower(None, now, out);
        if !self.term.next().has_next() {
            // No message may carry that term.
            return;
        }
        self.role = Role::Candidate;
        self.set_quorum_paused(false, out);
        self.term = self.term.next();
        self.vote = Some(self.config.id);
        self.persist_vote(out);
        let request =
            VoteRequest { term: self.term, last: self.log.last(), candidate: self.config.id };
        // Compat(RAFT-003): our own vote is durable before anybody hears of the campaign.
        self.hold(
            Held::Message(Send {
                dest: Dest::Vote,
                reply: ReplySubject::answers(self.vote_inbox),
                payload: Bytes::copy_from_slice(&request.encode()),
            }),
            out,
        );
        self.hold(Held::SelfVote(self.term), out);
    }

    pub(super) fn count_self_vote(&mut self, term: Term) {
        if self.role == Role::Candidate && term == self.term {
            let unsure = self.log_is_unsure();
            if self.belongs() || self.planted(Bug::CountOwnVoteOutside) {
                self.candidacy.count(self.config.id, unsure);
            }
        }
    }

    /// Whether this node's log may lack entries it once acknowledged. An empty log of a member that
    /// was there before is in quarantine; any other is a beginning.
    fn log_is_unsure(&self) -> bool {
        self.quarantine.is_some() && !self.planted(Bug::IgnoreQuarantine)
    }

    /// Whether this newcomer's log reaches as far as those of a majority of the members it was told
    /// of: the entry that removed it last time, and all before, is then in it.
    fn is_seconded(&self) -> bool {
        let Some(told) = self.quarantine.as_ref().and_then(|q| q.told.as_ref()) else {
            return false;
        };
        let others = told.iter().filter(|&&peer| peer != self.config.id);
        let majority = others.clone().count() / 2 + 1;
        self.members.contains(self.config.id)
            && others.filter(|&peer| self.candidacy.sure.contains(peer)).count() >= majority
    }

    pub(super) fn handle_vote_response(
        &mut self,
        response: VoteResponse,
        now: Mono,
        out: &mut Effects,
    ) {
        if self.collect_term(response, out) {
            return;
        }
        self.collect_opinion(response, out);
        match self.role {
            Role::Candidate if response.granted && response.term == self.term => {
                // Seats without a name may be anybody's, but there are no more votes than seats.
                let votes = self.candidacy.sure.len() + self.candidacy.unsure.len();
                let seats = self.members.cluster_size().min(MAX_UNNAMED);
                let unnamed = self.members.is_partial() && votes < seats;
                if self.members.contains(response.peer)
                    || unnamed
                    || self.planted(Bug::CountStrangersVotes)
                {
                    self.candidacy.count(response.peer, response.unsure);
                }
            }
            Role::Candidate | Role::Leader if response.term > self.term => {
                let rejoin = self.config.timing.removed_rejoin;
                let stranger = self.members.is_gone(response.peer, now, rejoin)
                    || self.is_stranger(response.peer);
                if !stranger || self.planted(Bug::HeedStrangersVote) {
                    self.adopt_term(response.term, out);
                    self.become_follower(None, now, out);
                }
            }
            Role::Candidate | Role::Leader | Role::Follower | Role::Closed => {}
        }
    }

    /// Compat(RAFT-005): a quorum of sure votes, or a vote of everybody. The reference has the second
    /// way in any group; it is safe only where the members never changed, because a candidate that
    /// missed a change asks the wrong everybody.
    pub(super) fn count_votes(&mut self, now: Mono, out: &mut Effects) {
        let seconded = self.is_seconded();
        let sure = self.candidacy.sure.len() + usize::from(seconded);
        let all = sure + self.candidacy.unsure.len();
        // Our own voters heed this themselves; those of the reference do not know the rule.
        let all = if self.changed { 0 } else { all };
        let quorum = match self.planted(Bug::SmallQuorum) {
            true => self.members.quorum().saturating_sub(1),
            false => self.members.quorum(),
        };
        // Who lost its log may not know who belongs to the group: only everybody's vote will do.
        let trusted = seconded || !self.log_is_unsure();
        if trusted && sure > 0 && sure >= quorum || all > 0 && all >= self.members.cluster_size() {
            self.become_leader(now, out);
        }
    }

    /// Whether a server that is no member, as far as this node knows, campaigns without a chance to be
    /// one. If it was added and this node missed that, the addition is in its log: it reaches beyond
    /// ours. Even then a leader that is alive comes first: it holds all that is committed, so it
    /// knows every member, and those may depose it.
    fn is_intruder(&self, request: &VoteRequest, now: Mono) -> bool {
        let asks = request.term == Term(0) || request.term < self.term;
        if asks || !self.is_stranger(request.candidate) {
            return false;
        }
        let patience = self.config.timing.election_min;
        let led = self.leader_contact.is_some_and(|at| Self::since(now, at) < patience);
        self.role == Role::Leader || led || request.last < self.log.last()
    }

    pub(super) fn handle_vote_request(
        &mut self,
        request: VoteRequest,
        reply: ReplySubject,
        now: Mono,
        out: &mut Effects,
    ) {
        if request.candidate == self.config.id || request.candidate.is_none() {
            return;
        }
        // Who was removed cannot disturb the group by raising its own term; but if it was added again
        // and this node missed that, its log reaches beyond ours, and perhaps only it can win.
        let rejoin = self.config.timing.removed_rejoin;
        let gone =
            self.members.is_gone(request.candidate, now, rejoin) && request.last <= self.log.last();
        if gone && self.quarantine.is_none() && request.term > Term(0) {
            return;
        }
        if self.is_intruder(&request, now) && !self.planted(Bug::HeedStrangersCampaign) {
            return;
        }
        let empty = self.log.last().index == LogIndex(0);
        let mut response = VoteResponse {
            term: self.term,
            peer: self.config.id,
            granted: false,
            unsure: (empty && !self.planted(Bug::EmptyVoteCounts))
                || (self.quarantine.is_some() && !self.planted(Bug::IgnoreQuarantine)),
        };
        // A question about our term, not a campaign: it must not even defer ours.
        let question = request.term == Term(0);
        if request.term < self.term || question {
            out.send.push(Self::answer(reply, &response.encode()));
            return;
        }
        if request.term > self.term && !self.planted(Bug::IgnoreHigherTerm) {
            self.cancel_catchup(out);
            self.adopt_term(request.term, out);
            if self.role != Role::Follower {
                self.become_follower(None, now, out);
            }
        }
        let mut free = self.vote.is_none() || self.vote == Some(request.candidate);
        free |= self.planted(Bug::VoteTwice) && self.role != Role::Leader;
        if free && self.initializing && self.quarantine.is_none() {
            // A new member's empty log is no loss.
            response.unsure = false;
        }
        // Everybody's answer means nothing where the candidate may not know who belongs to the group.
        let quarantine = self.quarantine.as_ref().filter(|_| !self.planted(Bug::IgnoreQuarantine));
        let told = quarantine.and_then(|q| q.told.as_ref());
        let newcomer = told.is_some_and(|told| told.contains(&request.candidate));
        let changed = self.changed && !self.planted(Bug::UnsureVoteAfterChange);
        free &= !quarantine.is_some_and(|q| q.term_unknown() || (changed && !newcomer));
        let reaches = request.last >= self.log.last() || self.planted(Bug::SkipLogCheck);
        if free && reaches && request.term >= self.term {
            if self.vote != Some(request.candidate) {
                self.vote = Some(request.candidate);
                self.persist_vote(out);
            }
            if newcomer && !self.planted(Bug::SkipSecondOpinion) {
                self.ask_second_opinion(request, reply, out);
                return;
            }
            response.granted = true;
            self.elect_at = self.election_timeout(now);
        } else if self.vote.is_none()
            && !reaches
            && self.quarantine.is_none()
            && self.role == Role::Follower
            && !self.is_observer()
        {
            // We would make a better leader: do not wait for the whole timeout. Who refused for want
            // of trust in itself would not, and two of those would outbid each other for ever.
            self.needed = true;
            self.elect_at = self.campaign_timeout(now);
        }
        response.term = self.term;
        let answer = Self::answer(reply, &response.encode());
        if self.planted(Bug::VoteBeforeDurable) {
            out.send.push(answer);
        } else {
            self.hold(Held::Message(answer), out);
        }
    }
}
