//! The names and numbers of consensus: peers, terms, log indexes, positions.
//!
//! Not here: what they mean to a role (`node/`).
//! Laws: a `Position` orders by term first, then by index: the "more up to date" rule of votes.
//! Reference: raft.go idLen, processVoteRequest.

use std::fmt;

/// Length of a peer id on the wire, in bytes.
pub(crate) const ID_LEN: usize = 8;

/// A server's node id: the 8-character hash of its name. All zero means "nobody".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; ID_LEN]);

impl PeerId {
    /// The id that stands for "no peer" on the wire.
    pub const NONE: Self = Self([0; ID_LEN]);

    /// Whether this is the id that stands for "no peer".
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The id in `bytes`, if there are exactly eight.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{}", char::from(byte).escape_default())?;
        }
        Ok(())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An election epoch. Zero is "before any election".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl Term {
    /// No message and no file may carry this term or a later one: nothing could follow it.
    pub const MAX: Self = Self(u64::MAX >> 1);

    /// How far terms may jump at once: a flipped bit may, and half of all terms remain.
    const FAR: u64 = 1 << 62;

    /// How far beyond that a term may be ahead of ours: more elections than a server can miss.
    const STEP: u64 = 1 << 32;

    /// The term after this one; the last one stays.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1)).min(Self::MAX)
    }

    /// Whether another term can follow.
    pub fn has_next(self) -> bool {
        self < Self::MAX
    }

    /// Whether a server in term `own` may believe in this one. No message may use up the terms: what
    /// it takes a server to is followed by more elections than will ever be held.
    pub fn is_plausible(self, own: Self) -> bool {
        self.has_next() && self.0 <= own.0.max(Self::FAR).saturating_add(Self::STEP)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The place of one append entry in a group's log. The first is 1; zero is "before the log".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogIndex(pub u64);

impl LogIndex {
    /// The index after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The index before this one; zero stays zero.
    pub fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many indexes lie between `earlier` and this one; zero if `earlier` is not earlier.
    pub fn distance(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One place in one history: the entry at `index`, stored in `term`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The term the entry was stored in.
    pub term: Term,
    /// The entry's index.
    pub index: LogIndex,
}

impl Position {
    /// Before the first entry.
    pub const ZERO: Self = Self { term: Term(0), index: LogIndex(0) };

    /// The position of `index` in `term`.
    pub fn new(term: Term, index: LogIndex) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.term, self.index)
    }
}
