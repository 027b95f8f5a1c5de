//! Messages from other servers: which subject they came in on, and who handles them.
//!
//! Laws: a malformed message changes nothing; so does one from ourselves.
//! Reference: raft.go handleAppendEntry, handleVoteRequest, handleForwardedProposal and neighbours.

use bytes::Bytes;
use stdx::time::Mono;

use super::{Node, Role};
use crate::codec::DecodeError;
use crate::codec::append::{AppendEntry, AppendResponse};
use crate::codec::subject::{Inbox, ReplySubject};
use crate::codec::vote::{VoteRequest, VoteResponse};
use crate::effects::Effects;
use crate::id::{PeerId, Term};
use crate::mutation::{Bug, Mutation};

/// The subscription a message came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// `$NRG.V.<group>`
    Vote,
    /// Our own inbox for votes.
    VoteReply,
    /// `$NRG.AE.<group>`
    Append,
    /// Our own inbox for answers to append entries.
    AppendReply,
    /// A catch-up inbox we listen to.
    Catchup(Inbox),
    /// `$NRG.P.<group>`
    Proposal,
    /// `$NRG.RP.<group>`
    RemovePeer,
}

impl<M: Mutation> Node<M> {
    /// Handles one message; an error names what was wrong with it and changed nothing.
    pub fn handle_message(
        &mut self,
        channel: Channel,
        payload: &Bytes,
        reply: ReplySubject,
        now: Mono,
        out: &mut Effects,
    ) -> Result<(), DecodeError> {
        if self.role == Role::Closed {
            return Ok(());
        }
        match channel {
            Channel::Append => {
                let entry = AppendEntry::decode(payload)?;
                self.believe(entry.term.max(entry.leader_term), "append entry")?;
                self.handle_append(entry, payload, None, reply, now, out);
            }
            Channel::Catchup(inbox) => {
                let entry = AppendEntry::decode(payload)?;
                self.believe(entry.term.max(entry.leader_term), "append entry")?;
                self.handle_append(entry, payload, Some(inbox), reply, now, out);
            }
            Channel::AppendReply => {
                let response = AppendResponse::decode(payload)?;
                self.believe(response.position.term, "append entry response")?;
                self.handle_append_response(response, reply, now, out);
            }
            Channel::Vote => {
                let request = VoteRequest::decode(payload)?;
                self.believe(request.term, "vote request")?;
                self.handle_vote_request(request, reply, now, out);
            }
            Channel::VoteReply => {
                let response = VoteResponse::decode(payload)?;
                self.believe(response.term, "vote response")?;
                self.handle_vote_response(response, now, out);
            }
            // Compat(RAFT-023): only a leader that has caught up accepts forwarded proposals, and
            // it does so silently.
            Channel::Proposal => {
                if self.is_leading() {
                    let _ = self.propose(payload.clone());
                    self.confirm(reply, out);
                }
            }
            Channel::RemovePeer => {
                let peer =
                    PeerId::from_slice(payload).ok_or(DecodeError::Length("forwarded removal"))?;
                if self.is_leading() && self.propose_remove_peer(peer).is_ok() {
                    self.confirm(reply, out);
                }
            }
        }
        self.settle(now, out);
        Ok(())
    }

    /// Refuses a term that would use up those that are left.
    fn believe(&self, term: Term, what: &'static str) -> Result<(), DecodeError> {
        let plausible = term.is_plausible(self.term) || self.mutation.planted(Bug::AnyTerm);
        if plausible { Ok(()) } else { Err(DecodeError::Implausible(what)) }
    }
}
