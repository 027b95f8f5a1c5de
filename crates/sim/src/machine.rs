//! The layer above the log in the simulator: one register, and its operations.
//!
//! Laws: the state is a function of the applied entries alone; `digest` tells two histories apart.

use bytes::Bytes;
use raft::{Apply, EntryKind, LogIndex, Position};

use crate::check::hash;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets the register to the number of the operation.
    Write,
    /// The same if it holds this.
    Swap(u64),
    /// Reads it, through the log.
    Read,
    /// Leaves it alone: what may be carried out twice.
    Touch,
}

/// An operation as it travels in an entry: 32 bytes.
pub fn encode(id: u64, op: Op) -> Bytes {
    let (kind, from) = match op {
        Op::Write => (1u64, 0),
        Op::Swap(from) => (2, from),
        Op::Read => (3, 0),
        Op::Touch => (4, 0),
    };
    let words = [id, kind, from, 0];
    words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>().into()
}

fn decode(data: &[u8]) -> Option<(u64, Op)> {
    let (words, rest) = data.as_chunks::<8>();
    let word = |i: usize| words.get(i).map(|w| u64::from_le_bytes(*w));
    let (id, kind, from) = (word(0)?, word(1)?, word(2)?);
    if !rest.is_empty() || words.len() != 4 {
        return None;
    }
    let op = match kind {
        1 => Op::Write,
        2 => Op::Swap(from),
        3 => Op::Read,
        4 => Op::Touch,
        _ => return None,
    };
    Some((id, op))
}

/// The register of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// The last entry applied.
    pub applied: LogIndex,
    value: u64,
    digest: u64,
}

/// What applying told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The state after one more entry, zero if unknown; operations are reported one by one.
    Entry(LogIndex),
    /// Entries were left out or repeated: expected and found index.
    Hole(LogIndex, LogIndex),
    /// Nothing of interest.
    Nothing,
}

impl Register {
    /// A state that distinguishes every different history.
    pub fn state(&self) -> u64 {
        (self.digest ^ self.value.rotate_left(32)) | 1
    }

    /// Applies one output of the node; `done` hears of every operation, by number, and what the register
    /// held before it.
    pub fn apply(&mut self, apply: &Apply, mut done: impl FnMut(u64, Op, u64)) -> Applied {
        match apply {
            Apply::Committed { position, entries } => {
                if position.index != self.applied.next() {
                    return Applied::Hole(self.applied.next(), position.index);
                }
                for entry in entries {
                    self.digest = (self.digest ^ hash(&entry.data))
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        .wrapping_add(u64::from(entry.kind.code()));
                    if entry.kind == EntryKind::Normal
                        && let Some((id, op)) = decode(&entry.data)
                    {
                        done(id, op, self.perform(id, op));
                    }
                }
                self.digest = self.digest.wrapping_add(position.index.0).rotate_left(7);
                self.applied = position.index;
                Applied::Entry(self.applied)
            }
            Apply::Snapshot { position, data } => match Self::restore(*position, data) {
                Some(register) => {
                    *self = register;
                    Applied::Entry(self.applied)
                }
                None => Applied::Hole(LogIndex(0), position.index),
            },
            Apply::CatchupStarted | Apply::CatchupEnded => Applied::Nothing,
        }
    }

    fn perform(&mut self, id: u64, op: Op) -> u64 {
        let before = self.value;
        match op {
            Op::Write => self.value = id,
            Op::Swap(from) if before == from => self.value = id,
            Op::Swap(_) | Op::Read | Op::Touch => {}
        }
        before
    }

    /// The state as a snapshot's bytes.
    pub fn snapshot(&self) -> Bytes {
        let words = [self.applied.0, self.value, self.digest];
        words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn restore(position: Position, data: &[u8]) -> Option<Self> {
        let (words, _) = data.as_chunks::<8>();
        let word = |i: usize| words.get(i).map(|w| u64::from_le_bytes(*w));
        let register = Self { applied: LogIndex(word(0)?), value: word(1)?, digest: word(2)? };
        (register.applied == position.index).then_some(register)
    }
}
