//! Snapshots of our own: a checkpoint, then the bytes, then the log behind them goes.
//!
//! Laws: a snapshot covers exactly what the layer above applied; the log is compacted only after
//!       the snapshot is durable; one at a time; a snapshot from the leader aborts ours.
//! Reference: raft.go createSnapshotCheckpointLocked, installSnapshot, NeedSnapshot.

use bytes::Bytes;
use stdx::time::Mono;

use super::{Held, Node, Role};
use crate::codec::peers::PeerState;
use crate::codec::snapshot::Snapshot;
use crate::effects::{Effects, Write};
use crate::id::{LogIndex, Position};
use crate::mutation::{Bug, Mutation};

/// Why no snapshot can be taken at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The node is closed.
    #[error("the node is closed")]
    Closed,
    /// Another one is under way.
    #[error("a snapshot is already in progress; install or abort it first")]
    InProgress,
    /// A peer is being caught up from the log that would be compacted.
    #[error("a peer is being caught up; retry later or force the snapshot")]
    CatchupsRunning,
    /// Nothing was applied since the last one.
    #[error("nothing was applied since the last snapshot")]
    NothingApplied,
    /// The checkpoint was overtaken by a snapshot of the leader.
    #[error("the snapshot was aborted, a newer one was installed")]
    Aborted,
}

/// What a snapshot will cover, fixed before its bytes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry covered.
    pub position: Position,
    /// The committed peers.
    pub peers: PeerState,
}

impl<M: Mutation> Node<M> {
    /// Starts a snapshot of what is applied. `force` takes it even while peers are caught up, and even
    /// where one was taken before, which may have become unreadable.
    pub fn create_checkpoint(&mut self, force: bool) -> Result<Checkpoint, SnapshotError> {
        if self.role == Role::Closed {
            return Err(SnapshotError::Closed);
        }
        if self.snapshotting.is_some() {
            return Err(SnapshotError::InProgress);
        }
        if !force && self.serves_catchup() {
            return Err(SnapshotError::CatchupsRunning);
        }
        let index = self.snapshot_index();
        let base = self.log.base().index;
        let useful = index > base || force && index == base && index > LogIndex(0);
        let term = self.log.term_at(index).filter(|_| useful);
        let position = Position::new(term.ok_or(SnapshotError::NothingApplied)?, index);
        self.snapshotting = Some(position);
        let peers = match self.planted(Bug::EffectivePeersInSnapshot) {
            true => self.members.effective(),
            false => self.members.committed().clone(),
        };
        Ok(Checkpoint { position, peers })
    }

    /// Gives up a checkpoint.
    pub fn abort_checkpoint(&mut self, checkpoint: &Checkpoint) {
        if self.snapshotting == Some(checkpoint.position) {
            self.snapshotting = None;
        }
    }

    /// Installs the bytes made for `checkpoint`.
    pub fn install_snapshot(
        &mut self,
        checkpoint: Checkpoint,
        data: Bytes,
        now: Mono,
        out: &mut Effects,
    ) -> Result<(), SnapshotError> {
        let Checkpoint { position, peers } = checkpoint;
        if self.role == Role::Closed {
            return Err(SnapshotError::Closed);
        }
        if self.snapshotting != Some(position) || position.index < self.log.base().index {
            return Err(SnapshotError::Aborted);
        }
        self.persist(Write::SaveSnapshot(Snapshot { position, peers, data }), out);
        self.hold(Held::SnapshotSaved(position), out);
        self.settle(now, out);
        Ok(())
    }

    /// Whether a first snapshot is worth taking.
    pub fn needs_snapshot(&self) -> bool {
        self.log.base().index == LogIndex(0) && self.applied > LogIndex(1)
    }

    pub(super) fn snapshot_saved(&mut self, position: Position, out: &mut Effects) {
        if self.snapshotting != Some(position) {
            return;
        }
        self.snapshotting = None;
        if position.index > self.log.base().index {
            self.log.compact(position);
            self.stored = self.stored.max(position);
            self.persist(Write::Compact { up_to: position.index }, out);
        }
    }
}
