//! Who belongs to the group, as far as this log knows.
//!
//! Laws: the effective peers are the committed peers with every stored but uncommitted addition and
//!       removal on top, in log order; truncating such an entry takes it back. A declared cluster
//!       size above the known peers (a group still being discovered) never shrinks by an addition:
//!       otherwise two disjoint halves could both think themselves a majority.
//! Reference: raft.go peers, removed, membChange, processPeerState, addPeer, removePeer,
//!            adjustClusterSizeAndQuorum, committedPeerStateLocked.

use std::time::Duration;

use smallvec::SmallVec;
use stdx::time::Mono;

use crate::codec::append::{AppendEntry, EntryKind};
use crate::codec::peers::{PeerList, PeerState};
use crate::id::{LogIndex, PeerId};

/// What an entry does to the peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(PeerId),
    Remove(PeerId),
    Replace(PeerState),
}

/// What `entry` does to the peers, in order.
pub(crate) fn changes(entry: &AppendEntry) -> SmallVec<[Change; 1]> {
    let mut found = SmallVec::new();
    for item in &entry.entries {
        let peer = || PeerId::from_slice(&item.data).filter(|peer| !peer.is_none());
        let change = match item.kind {
            EntryKind::AddPeer => peer().map(Change::Add),
            EntryKind::RemovePeer => peer().map(Change::Remove),
            // A group without members could not even elect the leader that says so.
            EntryKind::PeerState => PeerState::decode(&item.data)
                .ok()
                .filter(|state| !state.peers.is_empty())
                .map(Change::Replace),
            EntryKind::Normal
            | EntryKind::OldSnapshot
            | EntryKind::LeaderTransfer
            | EntryKind::Snapshot
            | EntryKind::Other(_) => None,
        };
        found.extend(change);
    }
    found
}

/// Committed peers, pending changes, and what they add up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Membership {
    committed: PeerState,
    pending: SmallVec<[(LogIndex, Change); 2]>,
    peers: PeerList,
    cluster_size: usize,
    /// Who went, when, and whether by an entry of its own (not by a new peer set).
    removed: SmallVec<[(PeerId, Mono, bool); 2]>,
    /// The last peer added, and the index of the entry that did it.
    newest: Option<(PeerId, LogIndex)>,
}

impl Membership {
    pub(crate) fn new(committed: PeerState) -> Self {
        let mut membership = Self { committed, ..Self::default() };
        membership.refold();
        membership
    }

    /// The effective peers, sorted.
    pub(crate) fn peers(&self) -> &[PeerId] {
        &self.peers
    }

    pub(crate) fn contains(&self, peer: PeerId) -> bool {
        self.peers.contains(&peer)
    }

    /// The size quorums are counted against.
    pub(crate) fn cluster_size(&self) -> usize {
        self.cluster_size
    }

    /// Votes or copies needed.
    pub(crate) fn quorum(&self) -> usize {
        self.cluster_size / 2 + 1
    }

    /// Whether some peers are not known by name yet.
    pub(crate) fn is_partial(&self) -> bool {
        self.peers.len() < self.cluster_size
    }

    /// The index of an uncommitted addition or removal, and who it is about.
    pub(crate) fn pending_change(&self) -> Option<(LogIndex, PeerId)> {
        self.pending.iter().find_map(|(index, change)| match change {
            Change::Add(peer) | Change::Remove(peer) => Some((*index, *peer)),
            Change::Replace(_) => None,
        })
    }

    /// The last peer added that is still a member, and the index of the entry that added it.
    pub(crate) fn newest(&self) -> Option<(PeerId, LogIndex)> {
        self.newest.filter(|(peer, _)| self.contains(*peer))
    }

    /// The index of the entry that added `peer`, if that is the newest addition or not committed yet.
    pub(crate) fn added_at(&self, peer: PeerId) -> Option<LogIndex> {
        let pending = self.pending.iter().rev().find(|(_, change)| *change == Change::Add(peer));
        let newest = self.newest.filter(|&(newest, _)| newest == peer).map(|(_, index)| index);
        pending.map(|&(index, _)| index).or(newest)
    }

    /// The committed peers.
    pub(crate) fn committed(&self) -> &PeerState {
        &self.committed
    }

    /// The effective peers as an entry's content.
    pub(crate) fn effective(&self) -> PeerState {
        PeerState {
            peers: self.peers.clone(),
            cluster_size: self.cluster_size,
            domain: self.committed.domain,
        }
    }

    /// Declares another cluster size while the group is being discovered.
    pub(crate) fn set_cluster_size(&mut self, size: usize) {
        self.committed.cluster_size = size.max(self.committed.peers.len());
        self.refold();
    }

    /// Replaces the committed peers, as a snapshot does; pending changes beyond it are dropped.
    pub(crate) fn restore(&mut self, committed: PeerState, now: Mono) {
        self.pending.clear();
        self.replace_committed(committed, now);
        self.refold();
    }

    /// Notes what a stored entry will do; whether it makes a member come or go.
    pub(crate) fn store(&mut self, index: LogIndex, entry: &AppendEntry) -> bool {
        let found = changes(entry);
        let partial = self.is_partial();
        let moves = |change: &Change| match change {
            Change::Add(peer) => !partial && !self.contains(*peer),
            Change::Remove(peer) => self.contains(*peer),
            Change::Replace(state) => {
                !partial && state.peers.iter().any(|peer| !self.contains(*peer))
            }
        };
        let moved = found.iter().any(moves);
        if !found.is_empty() {
            self.pending.extend(found.into_iter().map(|change| (index, change)));
            self.refold();
        }
        moved
    }

    /// Takes back what entries after `index` would have done.
    pub(crate) fn truncate(&mut self, index: LogIndex) {
        let before = self.pending.len();
        self.pending.retain(|(at, _)| *at <= index);
        if self.pending.len() != before {
            self.refold();
        }
    }

    /// Makes entries up to `index` final; tells what they did.
    pub(crate) fn commit(&mut self, index: LogIndex, now: Mono) -> SmallVec<[Change; 1]> {
        let mut done = SmallVec::new();
        while self.pending.first().is_some_and(|(at, _)| *at <= index) {
            let (at, change) = self.pending.remove(0);
            match &change {
                Change::Add(peer) => self.newest = Some((*peer, at)),
                Change::Remove(peer) => self.newest = self.newest.filter(|(new, _)| new != peer),
                Change::Replace(_) => {}
            }
            self.commit_one(&change, now);
            done.push(change);
        }
        if !done.is_empty() {
            self.refold();
        }
        done
    }

    fn commit_one(&mut self, change: &Change, now: Mono) {
        match change {
            Change::Add(peer) => {
                self.removed.retain(|(removed, ..)| removed != peer);
                add(&mut self.committed.peers, &mut self.committed.cluster_size, *peer);
            }
            Change::Remove(peer) => {
                self.removed.retain(|(removed, ..)| removed != peer);
                self.removed.push((*peer, now, true));
                remove(&mut self.committed.peers, &mut self.committed.cluster_size, *peer);
            }
            Change::Replace(state) => self.replace_committed(state.clone(), now),
        }
    }

    fn replace_committed(&mut self, state: PeerState, now: Mono) {
        let gone: PeerList = (self.committed.peers.iter().copied())
            .filter(|peer| !state.peers.contains(peer))
            .collect();
        self.removed.retain(|(peer, ..)| !state.peers.contains(peer));
        for peer in gone {
            self.removed.retain(|(removed, ..)| *removed != peer);
            self.removed.push((peer, now, false));
        }
        self.committed = state;
        self.committed.peers.sort_unstable();
    }

    /// Since when `peer` has been out of the group by a committed removal; none if an addition is
    /// already under way.
    pub(crate) fn removed_at(&self, peer: PeerId) -> Option<Mono> {
        if self.contains(peer) {
            return None;
        }
        self.removed.iter().find(|(removed, ..)| *removed == peer).map(|&(_, at, _)| at)
    }

    /// Whether `peer` was removed by an entry of its own less than `within` ago. A node that is
    /// behind may be wrong about it, so this must not hold for ever.
    pub(crate) fn is_gone(&self, peer: PeerId, now: Mono, within: Duration) -> bool {
        let gone = |&(removed, at, explicit): &(PeerId, Mono, bool)| {
            removed == peer && explicit && now.since(at) < within
        };
        !self.contains(peer) && self.removed.iter().any(gone)
    }

    fn refold(&mut self) {
        self.peers = self.committed.peers.clone();
        self.cluster_size = self.committed.cluster_size.max(self.peers.len());
        for (_, change) in &self.pending {
            match change {
                Change::Add(peer) => add(&mut self.peers, &mut self.cluster_size, *peer),
                Change::Remove(peer) => remove(&mut self.peers, &mut self.cluster_size, *peer),
                // Compat(RAFT-014): a peer set counts from its commit on.
                Change::Replace(_) => {}
            }
        }
        self.peers.sort_unstable();
    }
}

fn add(peers: &mut PeerList, size: &mut usize, peer: PeerId) {
    if !peers.contains(&peer) {
        peers.push(peer);
        peers.sort_unstable();
        *size = (*size).max(peers.len());
    }
}

fn remove(peers: &mut PeerList, size: &mut usize, peer: PeerId) {
    let before = peers.len();
    peers.retain(|known| *known != peer);
    if peers.len() != before {
        *size = size.saturating_sub(1).max(peers.len());
    }
}
