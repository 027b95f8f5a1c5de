//! The peer set, as an entry, as part of a snapshot and as the file `peers.idx`.
//!
//! ```text
//! u32 cluster size | u32 n | n * 8B peer | u16 domain extension
//! ```
//! Laws: whatever size the bytes declare, decoded it is never below the number of different peers,
//!       which would make quorums too small; nothing is allocated for a declared size.
//! Reference: raft.go peerState, encodePeerState, decodePeerState.

use smallvec::SmallVec;

use super::{DecodeError, Reader};
use crate::id::{ID_LEN, PeerId};

/// A few peers; five is the largest group.
pub type PeerList = SmallVec<[PeerId; 5]>;

/// Whether this JetStream domain extends another server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DomainExt {
    /// Not known yet.
    #[default]
    Undetermined,
    /// It extends another.
    Extended,
    /// It stands alone.
    NotExtended,
}

/// Who belongs to the group, and how many should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerState {
    /// The peers known by name.
    pub peers: PeerList,
    /// The declared size; larger than `peers` only while the group is still being discovered.
    pub cluster_size: usize,
    /// The domain extension state.
    pub domain: DomainExt,
}

impl PeerState {
    /// A complete group of `peers`.
    pub fn of(peers: &[PeerId]) -> Self {
        let mut list = PeerList::from_slice(peers);
        list.sort_unstable();
        list.dedup();
        Self { cluster_size: list.len(), peers: list, domain: DomainExt::Undetermined }
    }

    /// The encoded form.
    pub fn encode(&self) -> Vec<u8> {
        let mut buf = Vec::with_capacity(10 + ID_LEN * self.peers.len());
        buf.extend_from_slice(&(self.cluster_size as u32).to_le_bytes());
        buf.extend_from_slice(&(self.peers.len() as u32).to_le_bytes());
        for peer in &self.peers {
            buf.extend_from_slice(&peer.0);
        }
        let domain = match self.domain {
            DomainExt::Undetermined => 0u16,
            DomainExt::Extended => 1,
            DomainExt::NotExtended => 2,
        };
        buf.extend_from_slice(&domain.to_le_bytes());
        buf
    }

    /// Decodes bytes of a peer or of a disk.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "peer state";
        let mut reader = Reader::new(bytes, WHAT);
        let cluster_size = reader.u32()? as usize;
        let count = reader.u32()? as usize;
        if count > reader.rest().len() / ID_LEN {
            return Err(DecodeError::Short(WHAT));
        }
        let mut peers = PeerList::with_capacity(count);
        for _ in 0..count {
            peers.push(reader.peer()?);
        }
        // The reference keeps peers in a map: a repeated one is one.
        let mut different = peers.clone();
        different.sort_unstable();
        different.dedup();
        if different.len() < peers.len() {
            peers = different;
        }
        let cluster_size = cluster_size.max(peers.len());
        let domain = match reader.u16() {
            Ok(1) => DomainExt::Extended,
            Ok(2) => DomainExt::NotExtended,
            _ => DomainExt::Undetermined,
        };
        Ok(Self { peers, cluster_size, domain })
    }
}
