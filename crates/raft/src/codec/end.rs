//! How far the log reaches, told outside the log.
//!
//! ```text
//! log.end   8B "nrgend01" | u64 cuts | u64 term | u64 index | 8B HighwayHash-64(group)
//! ```
//! A log that lost records at its end looks like a shorter log: nothing inside it can tell. This file
//! can. It is replaced whenever more of the log has become durable, and never synced by itself, so it
//! may be older than the log but for what a cut took back: it counts only if `tav.sum`, which is
//! synced before a cut, has seen as many cuts.
//!
//! `log.end` is ours. The reference ignores it.

use super::{DecodeError, Reader};
use crate::checksum::Checksum;
use crate::id::{LogIndex, Position};

/// Bytes of `log.end`.
pub const LOG_END_LEN: usize = 40;
const MAGIC: [u8; 8] = *b"nrgend01";

/// What `log.end` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogEnd {
    /// How often the log had been cut back by then.
    pub cuts: u64,
    /// The log was durable up to here.
    pub end: Position,
}

impl LogEnd {
    /// The file's bytes, with the group's checksum.
    pub fn encode(&self, sum: &Checksum) -> [u8; LOG_END_LEN] {
        let mut buf = [0; LOG_END_LEN];
        buf[0..8].copy_from_slice(&MAGIC);
        buf[8..16].copy_from_slice(&self.cuts.to_le_bytes());
        buf[16..24].copy_from_slice(&self.end.term.0.to_le_bytes());
        buf[24..32].copy_from_slice(&self.end.index.0.to_le_bytes());
        let hash = sum.hash(&buf[..32]);
        buf[32..40].copy_from_slice(&hash);
        buf
    }

    /// Reads the file and checks its checksum.
    pub fn decode(bytes: &[u8], sum: &Checksum) -> Result<Self, DecodeError> {
        const WHAT: &str = "log.end";
        if bytes.len() != LOG_END_LEN {
            return Err(DecodeError::Length(WHAT));
        }
        let mut reader = Reader::new(bytes, WHAT);
        let body = reader.take(LOG_END_LEN - 8)?;
        if sum.hash(body) != reader.array::<8>()? {
            return Err(DecodeError::Checksum(WHAT));
        }
        let mut reader = Reader::new(body, WHAT);
        if reader.array::<8>()? != MAGIC {
            return Err(DecodeError::Implausible(WHAT));
        }
        let cuts = reader.u64()?;
        Ok(Self { cuts, end: Position::new(reader.term()?, LogIndex(reader.u64()?)) })
    }
}
