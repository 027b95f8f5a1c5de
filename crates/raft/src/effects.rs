//! What a node asks of its driver, and the order in which it must be done.
//!
//! ```text
//!   input ──► Node ──► Effects { persist, reached, send, read, apply, notices }
//!                          │
//!   persist, in ticket order ──► durable ──► Node::handle_durable(ticket) ──► held answers, commits
//!   reached  at once, never waited for
//!   send     at once: whatever had to wait for a ticket was held inside the node until it was done
//!   read     any time ──► Node::handle_entries_read / handle_snapshot_read
//!   apply    in order, to the layer above ──► Node::processed
//! ```
//! Laws:
//! - Persist requests take effect in ticket order. `TermVote`, `Peers` and `SaveSnapshot` are
//!   always synced, and are barriers: nothing after them takes effect before they are durable.
//! - A ticket is done when its request and all before it are as durable as the log is configured
//!   to be; `handle_durable(t)` says so for every ticket up to `t`.
//! - A read sees every write requested before it.
//! - A driver that cannot carry out a request calls `Node::handle_write_error` and nothing else.

use bytes::Bytes;

use crate::codec::append::Entries;
use crate::codec::end::LogEnd;
use crate::codec::peers::PeerState;
use crate::codec::snapshot::Snapshot;
use crate::codec::subject::{Inbox, ReplySubject};
use crate::codec::vote::VoteGuard;
use crate::id::{LogIndex, PeerId, Position, Term};

/// The number of a persist request; grows by one with each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One write, in order.
#[derive(Clone, Debug)]
pub struct Persist {
    /// What to name when it is durable.
    pub ticket: Ticket,
    /// What to write.
    pub write: Write,
}

/// What to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Replace `tav.sum` and then `tav.idx`, both synced.
    TermVote(VoteGuard),
    /// Replace `peers.idx`, synced.
    Peers(PeerState),
    /// Append one record to the log at exactly this index.
    Append {
        /// Where it belongs: one past the last record.
        index: LogIndex,
        /// The record's body: an encoded append entry.
        record: Bytes,
    },
    /// Drop every log record after this index.
    Truncate {
        /// The last index that stays.
        last: LogIndex,
    },
    /// Write a snapshot file, synced, then remove older ones.
    SaveSnapshot(Snapshot),
    /// Remove every snapshot file: what is there cannot be read.
    DropSnapshot,
    /// Drop every log record up to and including this index, which the snapshot covers. If the log
    /// ends before it, the next record has the index after it all the same.
    Compact {
        /// The last index that goes.
        up_to: LogIndex,
    },
    /// Drop the whole log; the next record has the index after this one.
    ResetLog {
        /// The index before the first record.
        base: LogIndex,
    },
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dest {
    /// The group's vote subject.
    Vote,
    /// The group's append entry subject.
    Append,
    /// The group's forwarded proposals.
    Proposal,
    /// The group's forwarded peer removals.
    RemovePeer,
    /// One reply subject.
    Reply(ReplySubject),
}

/// One message to publish.
#[derive(Clone, Debug)]
pub struct Send {
    /// Where it goes.
    pub dest: Dest,
    /// Its reply subject, if any.
    pub reply: ReplySubject,
    /// Its bytes.
    pub payload: Bytes,
}

/// The number of a read request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Something to read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// What to name in the completion.
    pub id: ReadId,
    /// What to read.
    pub what: Read,
}

/// What to read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Log records from `first` on, at least one, until `last` or about `max_bytes`.
    Entries {
        /// The first index wanted.
        first: LogIndex,
        /// The last index wanted.
        last: LogIndex,
        /// Roughly how much at once.
        max_bytes: usize,
    },
    /// The newest snapshot file.
    Snapshot,
}

/// What the layer above receives, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apply {
    /// The entry at this position is committed. The entries may be empty; answer with
    /// `Node::processed` all the same.
    Committed {
        /// Where it lies in the log.
        position: Position,
        /// What the layer above must know: normal entries, snapshots, peers added and removed.
        entries: Entries,
    },
    /// Replace all state with this snapshot.
    Snapshot {
        /// The last entry it covers.
        position: Position,
        /// The bytes of the layer above.
        data: Bytes,
    },
    /// What follows is catch-up traffic and may be coalesced.
    CatchupStarted,
    /// The catch-up ended, or was given up.
    CatchupEnded,
}

/// Facts for the driver and the layer above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Subscribe to a catch-up inbox.
    Listen(Inbox),
    /// Drop that subscription.
    Unlisten(Inbox),
    /// Subscribe to (or drop) forwarded proposals and peer removals.
    ListenProposals(bool),
    /// This node leads, and has applied everything of earlier terms.
    Leading(Term),
    /// This node does not lead any more, or follows another leader.
    Following(Option<PeerId>),
    /// No quorum for more than 20 s of campaigning.
    QuorumLost,
    /// This node was removed from the group, and that is committed: stop it, unless the layer above
    /// knows better. What it stored may go only when the whole group is to be forgotten here.
    Removed,
    /// The node no longer vouches for its log, or does so again.
    Quarantined(bool),
    /// Applies lag too far behind, or caught up: the node left, or rejoined, replication.
    QuorumPaused(bool),
    /// A record that peers still need cannot be read; the layer above should force a snapshot.
    SnapshotNeeded,
    /// A write failed: the node is closed.
    WriteFailed,
    /// A leader contradicts a committed entry: the node is closed rather than lose data.
    Diverged(LogIndex),
}

/// Outputs of one or more inputs, owned and drained by the driver.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Writes, in ticket order.
    pub persist: Vec<Persist>,
    /// Messages, free to go.
    pub send: Vec<Send>,
    /// The log is durable up to here: replace `log.end`, at once for readers, but without a sync. A
    /// power failure may leave an older one; the driver syncs it when it has nothing better to do. What
    /// the log loses at its end is noticed if the file tells of it.
    pub reached: Option<LogEnd>,
    /// Reads.
    pub read: Vec<ReadRequest>,
    /// Applies, in order.
    pub apply: Vec<Apply>,
    /// Facts.
    pub notices: Vec<Notice>,
}

impl Effects {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.persist.is_empty()
            && self.send.is_empty()
            && self.reached.is_none()
            && self.read.is_empty()
            && self.apply.is_empty()
            && self.notices.is_empty()
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.persist.clear();
        self.send.clear();
        self.reached = None;
        self.read.clear();
        self.apply.clear();
        self.notices.clear();
    }
}
