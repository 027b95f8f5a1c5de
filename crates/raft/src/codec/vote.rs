//! Votes, and the file that remembers them.
//!
//! ```text
//! request   u64 term | u64 last term | u64 last index | 8B candidate
//! response  u64 term | 8B peer | u8 flags (1 granted, 2 unsure)
//! tav.idx   u64 term | nothing or 8B voted for
//! tav.sum   8B "nrgtav02" | u64 term | 8B voted for | u64 log term | u64 log index
//!           | u64 quarantine term | u64 cuts | u8 flags | 8B HighwayHash-64(group)
//! flags     1 quarantined, 2 vote lost, 4 joining, 8 members changed
//! ```
//! `tav.sum` is ours: NRG's own file has no checksum, so a flipped bit could make a server vote
//! twice. The reference ignores the extra file.
//! Reference: raft.go voteRequest, voteResponse, writeTermVote, readTermVote.

use super::{DecodeError, Reader};
use crate::checksum::Checksum;
use crate::id::{LogIndex, PeerId, Position, Term};

/// Bytes of a vote request.
pub const VOTE_REQUEST_LEN: usize = 32;
/// Bytes of a vote response.
pub const VOTE_RESPONSE_LEN: usize = 17;

/// "Vote for me in this term; my log ends here."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    /// The term campaigned for.
    pub term: Term,
    /// Where the candidate's log ends.
    pub last: Position,
    /// Who asks.
    pub candidate: PeerId,
}

impl VoteRequest {
    /// The encoded form.
    pub fn encode(&self) -> [u8; VOTE_REQUEST_LEN] {
        let mut buf = [0; VOTE_REQUEST_LEN];
        buf[0..8].copy_from_slice(&self.term.0.to_le_bytes());
        buf[8..16].copy_from_slice(&self.last.term.0.to_le_bytes());
        buf[16..24].copy_from_slice(&self.last.index.0.to_le_bytes());
        buf[24..32].copy_from_slice(&self.candidate.0);
        buf
    }

    /// Decodes a message of exactly 32 bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "vote request";
        if bytes.len() != VOTE_REQUEST_LEN {
            return Err(DecodeError::Length(WHAT));
        }
        let mut reader = Reader::new(bytes, WHAT);
        Ok(Self {
            term: reader.term()?,
            last: Position::new(reader.term()?, LogIndex(reader.u64()?)),
            candidate: reader.peer()?,
        })
    }
}

/// A voter's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteResponse {
    /// The voter's term after considering the request.
    pub term: Term,
    /// Who answers.
    pub peer: PeerId,
    /// Whether the vote is granted.
    pub granted: bool,
    /// The voter's log is empty, or may have lost entries: the vote counts only if every peer
    /// answers.
    pub unsure: bool,
}

impl VoteResponse {
    /// The encoded form.
    pub fn encode(&self) -> [u8; VOTE_RESPONSE_LEN] {
        let mut buf = [0; VOTE_RESPONSE_LEN];
        buf[0..8].copy_from_slice(&self.term.0.to_le_bytes());
        buf[8..16].copy_from_slice(&self.peer.0);
        buf[16] = u8::from(self.granted) | u8::from(self.unsure) << 1;
        buf
    }

    /// Decodes a message of exactly 17 bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "vote response";
        if bytes.len() != VOTE_RESPONSE_LEN {
            return Err(DecodeError::Length(WHAT));
        }
        let mut reader = Reader::new(bytes, WHAT);
        let (term, peer, flags) = (reader.term()?, reader.peer()?, reader.u8()?);
        Ok(Self { term, peer, granted: flags & 1 != 0, unsure: flags & 2 != 0 })
    }
}

/// What `tav.idx` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TermVote {
    /// The highest term seen.
    pub term: Term,
    /// Who got this server's vote in that term.
    pub vote: Option<PeerId>,
}

impl TermVote {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut buf = Vec::with_capacity(16);
        buf.extend_from_slice(&self.term.0.to_le_bytes());
        if let Some(vote) = self.vote {
            buf.extend_from_slice(&vote.0);
        }
        buf
    }

    /// Reads the file: 8 bytes, or 16. Any other length is damage.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "tav.idx";
        let mut reader = Reader::new(bytes, WHAT);
        let term = reader.term()?;
        let vote = match reader.rest().len() {
            0 => None,
            8 => Some(reader.peer()?).filter(|vote| !vote.is_none()),
            _ => return Err(DecodeError::Length(WHAT)),
        };
        Ok(Self { term, vote })
    }
}

/// What `tav.sum` holds: the vote again with a checksum, and what this server knows about its own
/// trustworthiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoteGuard {
    /// The same term and vote as in `tav.idx`.
    pub voted: TermVote,
    /// The log reached at least this far when the file was written.
    pub log: Position,
    /// The log may lack entries acknowledged up to this term.
    pub quarantine: Option<Term>,
    /// Votes given in terms above `voted.term` may have been forgotten.
    pub vote_lost: bool,
    /// Joined the group without knowing its term yet.
    pub joining: bool,
    /// Members came or went since the group was created.
    pub changed: bool,
    /// How often the log was cut back: a `log.end` of fewer cuts does not count any more.
    pub cuts: u64,
}

/// Bytes of `tav.sum`.
pub const VOTE_GUARD_LEN: usize = 8 + 8 + 8 + 8 + 8 + 8 + 8 + 1 + 8;
const GUARD_MAGIC: [u8; 8] = *b"nrgtav02";

impl VoteGuard {
    /// The file's bytes, with the group's checksum.
    pub fn encode(&self, sum: &Checksum) -> Vec<u8> {
        let mut buf = Vec::with_capacity(VOTE_GUARD_LEN);
        buf.extend_from_slice(&GUARD_MAGIC);
        buf.extend_from_slice(&self.voted.term.0.to_le_bytes());
        buf.extend_from_slice(&self.voted.vote.unwrap_or_default().0);
        buf.extend_from_slice(&self.log.term.0.to_le_bytes());
        buf.extend_from_slice(&self.log.index.0.to_le_bytes());
        buf.extend_from_slice(&self.quarantine.unwrap_or_default().0.to_le_bytes());
        buf.extend_from_slice(&self.cuts.to_le_bytes());
        let bit = |set: bool, at: u8| u8::from(set) << at;
        let flags = bit(self.quarantine.is_some(), 0) | bit(self.vote_lost, 1);
        buf.push(flags | bit(self.joining, 2) | bit(self.changed, 3));
        let hash = sum.hash(&buf);
        buf.extend_from_slice(&hash);
        buf
    }

    /// Reads the file and checks its checksum.
    pub fn decode(bytes: &[u8], sum: &Checksum) -> Result<Self, DecodeError> {
        const WHAT: &str = "tav.sum";
        if bytes.len() != VOTE_GUARD_LEN {
            return Err(DecodeError::Length(WHAT));
        }
        let mut reader = Reader::new(bytes, WHAT);
        let body = reader.take(VOTE_GUARD_LEN - 8)?;
        if sum.hash(body) != reader.array::<8>()? {
            return Err(DecodeError::Checksum(WHAT));
        }
        let mut reader = Reader::new(body, WHAT);
        if reader.array::<8>()? != GUARD_MAGIC {
            return Err(DecodeError::Implausible(WHAT));
        }
        let term = reader.term()?;
        let vote = Some(reader.peer()?).filter(|vote| !vote.is_none());
        let log = Position::new(reader.term()?, LogIndex(reader.u64()?));
        let quarantine = reader.term()?;
        let cuts = reader.u64()?;
        let flags = reader.u8()?;
        Ok(Self {
            voted: TermVote { term, vote },
            log,
            quarantine: (flags & 1 != 0).then_some(quarantine),
            vote_lost: flags & 2 != 0,
            joining: flags & 4 != 0,
            changed: flags & 8 != 0,
            cuts,
        })
    }
}
