//! Many groups in one process: one deadline for all of them, one batch of messages.
//!
//! NRG gives every group its own subjects, so heartbeats of different groups cannot share a
//! message. What is shared here is everything around it: one timer queue, one wake-up for all
//! groups that are due within a slot, one `Effects` to publish in one flush.
//!
//! Laws: a group not due costs nothing in `tick`; a node's deadline may move later without a queue
//!       operation (the stale entry is dropped or moved when it surfaces).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use stdx::time::Mono;

use crate::effects::Effects;
use crate::mutation::{Mutation, Sound};
use crate::node::{Node, Role};

/// A group's slot in `Groups`; reused after `remove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

struct Member<M: Mutation> {
    node: Node<M>,
    /// The earliest queue entry of this group.
    queued: Mono,
}

/// All groups of one process.
pub struct Groups<M: Mutation = Sound> {
    members: Vec<Option<Member<M>>>,
    free: Vec<u32>,
    queue: BinaryHeap<Reverse<(Mono, u32)>>,
    slot: Duration,
}

impl<M: Mutation> Groups<M> {
    /// No groups yet; deadlines within `slot` of each other are served by one wake-up.
    pub fn new(slot: Duration) -> Self {
        Self { members: Vec::new(), free: Vec::new(), queue: BinaryHeap::new(), slot }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.members.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes over a node.
    pub fn insert(&mut self, node: Node<M>) -> GroupId {
        let id = self.free.pop().unwrap_or(self.members.len() as u32);
        let queued = node.next_deadline();
        let member = Some(Member { node, queued });
        match self.members.get_mut(id as usize) {
            Some(slot) => *slot = member,
            None => self.members.push(member),
        }
        self.queue.push(Reverse((queued, id)));
        GroupId(id)
    }

    /// Gives a node back.
    pub fn remove(&mut self, id: GroupId) -> Option<Node<M>> {
        let member = self.members.get_mut(id.0 as usize)?.take()?;
        self.free.push(id.0);
        Some(member.node)
    }

    /// Looks at a node.
    pub fn get(&self, id: GroupId) -> Option<&Node<M>> {
        self.members.get(id.0 as usize)?.as_ref().map(|member| &member.node)
    }

    /// Lets `act` give a node its inputs, and keeps its deadline.
    pub fn with<R>(&mut self, id: GroupId, act: impl FnOnce(&mut Node<M>) -> R) -> Option<R> {
        let member = self.members.get_mut(id.0 as usize)?.as_mut()?;
        let result = act(&mut member.node);
        let deadline = member.node.next_deadline();
        // A later deadline is found when the earlier entry surfaces.
        if deadline < member.queued {
            member.queued = deadline;
            self.queue.push(Reverse((deadline, id.0)));
        }
        Some(result)
    }

    /// When `tick` should be called next.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Ticks every group that is due by `now` plus one slot's worth of coalescing; `out` tells the
    /// group before each node's effects are handed over.
    pub fn tick(&mut self, now: Mono, mut out: impl FnMut(GroupId, &mut Effects)) {
        let mut effects = Effects::default();
        let horizon = now + self.slot;
        if self.next_deadline().is_none_or(|at| at > now) {
            return;
        }
        while let Some(&Reverse((at, id))) = self.queue.peek() {
            if at > horizon {
                return;
            }
            self.queue.pop();
            let Some(Some(member)) = self.members.get_mut(id as usize) else { continue };
            if member.queued != at {
                continue;
            }
            let due = member.node.next_deadline();
            if due <= horizon {
                // Early by less than a slot, so that neighbours share the wake-up.
                member.node.tick(due.max(now), &mut effects);
                if !effects.is_empty() {
                    out(GroupId(id), &mut effects);
                    effects.clear();
                }
            }
            member.queued = member.node.next_deadline();
            if member.node.role() != Role::Closed {
                self.queue.push(Reverse((member.queued.max(now + self.slot), id)));
                member.queued = member.queued.max(now + self.slot);
            }
        }
    }
}
