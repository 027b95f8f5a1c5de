//! What monitoring may see of a node.
//!
//! Reference: raft.go Peers, Current, Progress, Quorum; monitor.go raftz.

use stdx::time::Mono;

use super::{Node, Role};
use crate::id::{LogIndex, PeerId, Position, Term};
use crate::mutation::Mutation;

/// One member as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub id: PeerId,
    /// Level with the leader, as far as this node can tell.
    pub current: bool,
    /// When it was last heard, if ever.
    pub contact: Option<Mono>,
    /// Committed entries it has not acknowledged (known to the leader only).
    pub lag: u64,
}

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Whom it voted for in this term.
    pub vote: Option<PeerId>,
    /// Whom it follows.
    pub leader: Option<PeerId>,
    /// Where its log ends.
    pub last: Position,
    /// What its snapshot covers.
    pub base: Position,
    /// Committed, handed out, processed and applied entries.
    pub progress: [LogIndex; 4],
    /// It is being caught up.
    pub catching_up: bool,
    /// Applies are paused.
    pub paused: bool,
    /// It left replication because applies lag.
    pub quorum_paused: bool,
    /// It does not vouch for its past.
    pub quarantined: bool,
    /// It never campaigns.
    pub observer: bool,
    /// How often it was overrun.
    pub overruns: u64,
    /// The members.
    pub peers: Vec<PeerStatus>,
}

impl<M: Mutation> Node<M> {
    /// Level with the leader, or leading: what health checks ask.
    pub fn is_current(&self, now: Mono) -> bool {
        if self.role == Role::Leader {
            return self.commit > LogIndex(0);
        }
        let fresh = self.config.timing.heartbeat * 2;
        let heard = self.leader_contact.is_some_and(|at| now.since(at) <= fresh);
        let level = self.commit == self.applied && self.commit > LogIndex(0);
        let catching_up = self.catchup.as_ref().is_some_and(|c| !c.done);
        self.role != Role::Closed && !catching_up && heard && level
    }

    /// Everything monitoring shows.
    pub fn status(&self, now: Mono) -> Status {
        Status {
            role: self.role,
            term: self.term,
            vote: self.vote,
            leader: self.leader,
            last: self.log.last(),
            base: self.log.base(),
            progress: [self.commit, self.emitted, self.processed, self.applied],
            catching_up: self.catchup.as_ref().is_some_and(|c| !c.done),
            paused: self.paused,
            quorum_paused: self.quorum_paused,
            quarantined: self.quarantine.is_some(),
            observer: self.is_observer(),
            overruns: self.overruns,
            peers: self.members.peers().iter().map(|&id| self.peer_status(id, now)).collect(),
        }
    }

    fn peer_status(&self, id: PeerId, now: Mono) -> PeerStatus {
        let fresh = self.config.timing.heartbeat * 2;
        if id == self.config.id {
            return PeerStatus { id, current: true, contact: Some(now), lag: 0 };
        }
        if let Some(leading) = &self.leading {
            let known = leading.progress.iter().find(|p| p.peer == id);
            let lag = self.commit.distance(known.map_or(LogIndex(0), |p| p.matched));
            let contact = known.and_then(|p| p.contact);
            return PeerStatus { id, current: lag == 0, contact, lag };
        }
        let contact = self.leader_contact.filter(|_| self.leader == Some(id));
        let current = contact.is_some_and(|at| now.since(at) <= fresh);
        PeerStatus { id, current, contact, lag: 0 }
    }
}
