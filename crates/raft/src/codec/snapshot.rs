//! Snapshot files.
//!
//! ```text
//! snapshots/snap.<term>.<index>
//! u64 term | u64 index | u32 len | peer state | data | 8B HighwayHash-64(group)
//! ```
//! Laws: index zero is never a snapshot; the checksum covers everything before it.
//! Reference: raft.go encodeSnapshot, loadLastSnapshot, termAndIndexFromSnapFile.

use bytes::Bytes;

use super::peers::PeerState;
use super::{DecodeError, Reader};
use crate::checksum::Checksum;
use crate::id::{LogIndex, Position, Term};

/// The smallest snapshot file: nothing but its frame.
pub const MIN_SNAPSHOT_LEN: usize = 28;

/// A snapshot: what the log up to `position` amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry it covers.
    pub position: Position,
    /// The committed peers at that entry.
    pub peers: PeerState,
    /// The bytes of the layer above.
    pub data: Bytes,
}

impl Snapshot {
    /// The file's bytes, with the group's checksum.
    pub fn encode(&self, sum: &Checksum) -> Vec<u8> {
        let peers = self.peers.encode();
        let mut buf = Vec::with_capacity(MIN_SNAPSHOT_LEN + peers.len() + self.data.len());
        buf.extend_from_slice(&self.position.term.0.to_le_bytes());
        buf.extend_from_slice(&self.position.index.0.to_le_bytes());
        buf.extend_from_slice(&(peers.len() as u32).to_le_bytes());
        buf.extend_from_slice(&peers);
        buf.extend_from_slice(&self.data);
        let hash = sum.hash(&buf);
        buf.extend_from_slice(&hash);
        buf
    }

    /// Reads a file and checks its checksum; the data shares its memory.
    pub fn decode(bytes: &Bytes, sum: &Checksum) -> Result<Self, DecodeError> {
        const WHAT: &str = "snapshot";
        if bytes.len() < MIN_SNAPSHOT_LEN {
            return Err(DecodeError::Short(WHAT));
        }
        let mut frame = Reader::new(bytes, WHAT);
        let body = frame.take(bytes.len() - 8)?;
        if sum.hash(body) != frame.array::<8>()? {
            return Err(DecodeError::Checksum(WHAT));
        }
        let mut reader = Reader::new(body, WHAT);
        let position = Position::new(reader.term()?, LogIndex(reader.u64()?));
        if position.index.0 == 0 || position.index.0 > u64::MAX >> 1 {
            return Err(DecodeError::Implausible(WHAT));
        }
        let len = reader.u32()? as usize;
        let peers = PeerState::decode(reader.take(len)?)?;
        Ok(Self { position, peers, data: bytes.slice_ref(reader.rest()) })
    }

    /// The file's name inside the group's `snapshots` folder.
    pub fn file_name(position: Position) -> String {
        format!("snap.{}.{}", position.term, position.index)
    }

    /// The position a file's name states; `None` for any other name.
    pub fn parse_file_name(name: &str) -> Option<Position> {
        let (term, index) = name.strip_prefix("snap.")?.split_once('.')?;
        let position = Position::new(Term(term.parse().ok()?), LogIndex(index.parse().ok()?));
        (Self::file_name(position) == name).then_some(position)
    }
}
