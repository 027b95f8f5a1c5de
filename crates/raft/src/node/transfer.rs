//! Handing leadership over.
//!
//! Reference: raft.go StepDown, xferCampaign, EntryLeaderTransfer.

use bytes::Bytes;
use stdx::time::Mono;

use super::{Node, Role};
use crate::codec::append::{Entries, Entry, EntryKind};
use crate::effects::Effects;
use crate::id::PeerId;
use crate::mutation::Mutation;

impl<M: Mutation> Node<M> {
    /// Steps down, first asking `preferred`, or else the healthy peer whose log reaches furthest, to
    /// campaign at once. False if this node does not lead.
    pub fn step_down(&mut self, preferred: Option<PeerId>, now: Mono, out: &mut Effects) -> bool {
        let Some(leading) = &self.leading else { return false };
        let fresh = self.config.timing.heartbeat * 3;
        let target = leading.transfer_target(preferred, self.members.peers(), now, fresh);
        if let Some(target) = target.filter(|&peer| peer != self.config.id) {
            // Compat(RAFT-008): the request is an entry of its own, stored like any other.
            let mut entries = Entries::new();
            entries.push(Entry::new(EntryKind::LeaderTransfer, Bytes::copy_from_slice(&target.0)));
            self.append_entries(entries, now, out);
        }
        self.become_follower(None, now, out);
        self.settle(now, out);
        true
    }

    /// The leader asked us to take over.
    pub(super) fn accept_transfer(&mut self, now: Mono) {
        if self.is_observer() || self.role != Role::Follower {
            return;
        }
        self.transfer_target = true;
        if !self.paused {
            self.elect_at = now + self.config.timing.transfer;
        }
    }
}
