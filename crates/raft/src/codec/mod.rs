//! NRG's bytes: every message and every file, both ways.
//!
//! Not here: what a message does (`node/`), where a file lies (the driver).
//! Laws: decoding never panics and never allocates more than the input is long; unknown trailing
//!       bytes and unknown entry kinds are kept or skipped, never an error; `decode(encode(x)) == x`.
//! Reference: raft.go appendEntry, appendEntryResponse, voteRequest, voteResponse, peerState,
//!            snapshot, writeTermVote.

pub mod append;
pub mod end;
pub mod peers;
pub mod snapshot;
pub mod subject;
pub mod vote;

use crate::id::{PeerId, Term};

/// Why bytes from a peer or a disk were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the fixed part, or than a length field promises.
    #[error("{0} is cut short; the sender or the file is damaged")]
    Short(&'static str),
    /// A fixed-size message of another size.
    #[error("{0} has the wrong length; the sender speaks another protocol")]
    Length(&'static str),
    /// Fields that contradict each other or exceed what the protocol allows.
    #[error("{0} is implausible; the message is forged or the file is damaged")]
    Implausible(&'static str),
    /// The checksum does not match the bytes.
    #[error("{0} fails its checksum; the file is damaged and must be restored from a peer")]
    Checksum(&'static str),
}

/// Takes fixed-size little-endian fields off the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(DecodeError::Short(self.what))?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) =
            self.rest.split_first_chunk::<N>().ok_or(DecodeError::Short(self.what))?;
        self.rest = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn peer(&mut self) -> Result<PeerId, DecodeError> {
        self.array().map(PeerId)
    }

    /// A term that another can follow.
    pub(crate) fn term(&mut self) -> Result<Term, DecodeError> {
        let term = Term(self.u64()?);
        if !term.has_next() {
            return Err(DecodeError::Implausible(self.what));
        }
        Ok(term)
    }
}

/// Appends `value` as an unsigned LEB128 varint (Go `binary.PutUvarint`).
pub(crate) fn put_uvarint(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buf.push((value as u8) | 0x80);
        value >>= 7;
    }
    buf.push(value as u8);
}

/// Reads an unsigned LEB128 varint of at most ten bytes; `None` if it is cut short or overflows.
pub(crate) fn uvarint(bytes: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if i == 9 && byte > 1 {
            return None;
        }
        value |= bits << (7 * i);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
