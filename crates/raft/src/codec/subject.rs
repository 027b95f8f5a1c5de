//! Subjects of NRG traffic and the reply subjects that come with it.
//!
//! Not here: routing (the driver publishes and subscribes).
//! Laws: a reply subject longer than 63 bytes is not one of ours and is refused.
//! Reference: raft.go raftVoteSubj and its neighbours, newInbox, newCatchupInbox.

use std::fmt;

/// The eight random characters at the end of a reply subject.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inbox(pub [u8; 8]);

impl Inbox {
    /// The inbox that `random` spells in base 62, as the reference spells it.
    pub fn from_random(mut random: u64) -> Self {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut token = [0; 8];
        for byte in &mut token {
            *byte = DIGITS.get((random % 62) as usize).copied().unwrap_or(b'0');
            random /= 62;
        }
        Self(token)
    }
}

impl fmt::Display for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&b| write!(f, "{}", char::from(b)))
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Longest reply subject kept, in bytes (a gateway prefixes 20).
pub const MAX_REPLY: usize = 63;

/// A reply subject as received: opaque, copied, never allocated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReplySubject {
    len: u8,
    text: [u8; MAX_REPLY],
}

impl ReplySubject {
    /// No reply subject.
    pub const NONE: Self = Self { len: 0, text: [0; MAX_REPLY] };

    /// The subject in `bytes`; `None` if it is longer than 63 bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut text = [0; MAX_REPLY];
        text.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { len: bytes.len() as u8, text })
    }

    /// The subject's bytes; empty for none.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether there is no reply subject.
    pub fn is_none(&self) -> bool {
        self.len == 0
    }

    /// `$NRG.R.<inbox>`.
    pub fn answers(inbox: Inbox) -> Self {
        Self::with_prefix(b"$NRG.R.", inbox)
    }

    /// `$NRG.CR.<inbox>`.
    pub fn catchup(inbox: Inbox) -> Self {
        Self::with_prefix(b"$NRG.CR.", inbox)
    }

    fn with_prefix(prefix: &[u8], inbox: Inbox) -> Self {
        let mut text = [0; MAX_REPLY];
        for (slot, byte) in text.iter_mut().zip(prefix.iter().chain(&inbox.0)) {
            *slot = *byte;
        }
        Self { len: (prefix.len() + inbox.0.len()) as u8, text }
    }
}

impl fmt::Debug for ReplySubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// The subjects every member of `group` shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSubjects {
    /// `$NRG.V.<group>`: vote requests.
    pub vote: String,
    /// `$NRG.AE.<group>`: append entries.
    pub append: String,
    /// `$NRG.P.<group>`: proposals forwarded to the leader.
    pub proposal: String,
    /// `$NRG.RP.<group>`: requests to remove a peer, forwarded to the leader.
    pub remove_peer: String,
}

impl GroupSubjects {
    /// The subjects of `group`.
    pub fn new(group: &str) -> Self {
        Self {
            vote: format!("$NRG.V.{group}"),
            append: format!("$NRG.AE.{group}"),
            proposal: format!("$NRG.P.{group}"),
            remove_peer: format!("$NRG.RP.{group}"),
        }
    }
}
