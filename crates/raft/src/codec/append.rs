//! Append entries, their entries, and the answers to them.
//!
//! ```text
//! append entry  8B leader | u64 term | u64 commit | u64 pterm | u64 pindex | u16 n
//!               | n * ( u32 1+len | u8 kind | data ) | uvarint lterm | ignored
//! response      u64 term | u64 index | 8B peer | u8 success
//! ```
//! Not here: stored records (the log keeps these same bytes as the body of one message).
//! Laws: `lterm` is zero in live traffic and the leader's own term while it catches a peer up.
//! Reference: raft.go appendEntry.encode, decodeAppendEntry, appendEntryResponse.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{DecodeError, Reader, put_uvarint, uvarint};
use crate::id::{LogIndex, PeerId, Position, Term};

/// Bytes before the first entry.
pub const APPEND_BASE_LEN: usize = 42;
/// Bytes of a response.
pub const APPEND_RESPONSE_LEN: usize = 25;
/// The most entries one append entry can count.
pub const MAX_ENTRIES: usize = u16::MAX as usize;

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Bytes of the layer above.
    Normal,
    /// A snapshot in the log, as written before 2.10.
    OldSnapshot,
    /// The whole peer set.
    PeerState,
    /// One peer joins.
    AddPeer,
    /// One peer leaves.
    RemovePeer,
    /// The named peer should campaign now.
    LeaderTransfer,
    /// A snapshot of the layer above.
    Snapshot,
    /// A kind this version does not know: stored and replicated, otherwise ignored.
    Other(u8),
}

impl EntryKind {
    /// The kind's byte on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::OldSnapshot => 1,
            Self::PeerState => 2,
            Self::AddPeer => 3,
            Self::RemovePeer => 4,
            Self::LeaderTransfer => 5,
            Self::Snapshot => 6,
            Self::Other(code) => code,
        }
    }

    /// The kind a byte on the wire stands for.
    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Normal,
            1 => Self::OldSnapshot,
            2 => Self::PeerState,
            3 => Self::AddPeer,
            4 => Self::RemovePeer,
            5 => Self::LeaderTransfer,
            6 => Self::Snapshot,
            other => Self::Other(other),
        }
    }
}

/// One item of an append entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is for.
    pub kind: EntryKind,
    /// Its bytes, a slice of the message it came in.
    pub data: Bytes,
}

impl Entry {
    /// An entry of `kind` holding `data`.
    pub fn new(kind: EntryKind, data: Bytes) -> Self {
        Self { kind, data }
    }
}

/// The entries of one append entry; one is the common case.
pub type Entries = SmallVec<[Entry; 1]>;

/// What a leader sends: "after `prev` comes this", or with no entries, a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendEntry {
    /// The leader that stored it first.
    pub leader: PeerId,
    /// The term it was stored in.
    pub term: Term,
    /// The leader's commit when it was sent first.
    pub commit: LogIndex,
    /// The entry just before this one.
    pub prev: Position,
    /// What to store; at most 65,535.
    pub entries: Entries,
    /// The term of the leader that catches us up, zero in live traffic.
    pub leader_term: Term,
}

impl AppendEntry {
    /// Whether there is something to store.
    pub fn stores(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The position this append entry ends at.
    pub fn end(&self) -> Position {
        if self.stores() { Position::new(self.term, self.prev.index.next()) } else { self.prev }
    }

    /// The encoded form; at most 65,535 entries are written.
    pub fn encode(&self) -> Vec<u8> {
        let data: usize = self.entries.iter().map(|e| 5 + e.data.len()).sum();
        let mut buf = Vec::with_capacity(APPEND_BASE_LEN + data + 1);
        buf.extend_from_slice(&self.leader.0);
        buf.extend_from_slice(&self.term.0.to_le_bytes());
        buf.extend_from_slice(&self.commit.0.to_le_bytes());
        buf.extend_from_slice(&self.prev.term.0.to_le_bytes());
        buf.extend_from_slice(&self.prev.index.0.to_le_bytes());
        let count = self.entries.len().min(MAX_ENTRIES);
        buf.extend_from_slice(&(count as u16).to_le_bytes());
        for entry in self.entries.iter().take(count) {
            buf.extend_from_slice(&(1 + entry.data.len() as u32).to_le_bytes());
            buf.push(entry.kind.code());
            buf.extend_from_slice(&entry.data);
        }
        put_uvarint(&mut buf, self.leader_term.0);
        buf
    }

    /// Decodes a message; the entries share its memory.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "append entry";
        let mut reader = Reader::new(bytes, WHAT);
        let leader = reader.peer()?;
        let term = reader.term()?;
        let commit = LogIndex(reader.u64()?);
        let prev = Position::new(reader.term()?, LogIndex(reader.u64()?));
        let count = usize::from(reader.u16()?);
        // An index near the end of the number space would make "the next one" meaningless, and
        // an entry cannot be older than the one before it.
        let no_room = prev.index.0 > u64::MAX >> 1;
        if no_room || (count > 0 && prev.term > term) {
            return Err(DecodeError::Implausible(WHAT));
        }
        // The count is a promise, not yet a fact: reserve only what the bytes could hold.
        let mut entries = Entries::with_capacity(count.min(reader.rest().len() / 5 + 1));
        for _ in 0..count {
            let len = reader.u32()? as usize;
            let body = reader.take(len)?;
            let Some((&code, data)) = body.split_first() else {
                return Err(DecodeError::Implausible(WHAT));
            };
            entries.push(Entry { kind: EntryKind::from_code(code), data: bytes.slice_ref(data) });
        }
        let leader_term = Term(uvarint(reader.rest()).unwrap_or(0));
        if !leader_term.has_next() || (leader_term.0 != 0 && leader_term < term) {
            return Err(DecodeError::Implausible(WHAT));
        }
        Ok(Self { leader, term, commit, prev, entries, leader_term })
    }

    /// A stored append entry's bytes with the leader's current term at the end, as sent while
    /// catching a peer up.
    pub fn with_leader_term(&self, stored: &[u8], leader_term: Term) -> Vec<u8> {
        let data: usize = self.entries.iter().map(|e| 5 + e.data.len()).sum();
        let body = stored.get(..APPEND_BASE_LEN + data).unwrap_or(stored);
        let mut buf = Vec::with_capacity(body.len() + 10);
        buf.extend_from_slice(body);
        put_uvarint(&mut buf, leader_term.0);
        buf
    }
}

/// A follower's answer to an append entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendResponse {
    /// On success the term of the entry at `index`; on failure the follower's last position, or its
    /// own term when the leader is deposed.
    pub position: Position,
    /// Who answers.
    pub peer: PeerId,
    /// Whether everything up to `position` is stored.
    pub success: bool,
}

impl AppendResponse {
    /// The encoded form.
    pub fn encode(&self) -> [u8; APPEND_RESPONSE_LEN] {
        let mut buf = [0; APPEND_RESPONSE_LEN];
        buf[0..8].copy_from_slice(&self.position.term.0.to_le_bytes());
        buf[8..16].copy_from_slice(&self.position.index.0.to_le_bytes());
        buf[16..24].copy_from_slice(&self.peer.0);
        buf[24] = u8::from(self.success);
        buf
    }

    /// Decodes a message of exactly 25 bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "append entry response";
        if bytes.len() != APPEND_RESPONSE_LEN {
            return Err(DecodeError::Length(WHAT));
        }
        let mut reader = Reader::new(bytes, WHAT);
        Ok(Self {
            position: Position::new(reader.term()?, LogIndex(reader.u64()?)),
            peer: reader.peer()?,
            success: reader.u8()? == 1,
        })
    }
}
