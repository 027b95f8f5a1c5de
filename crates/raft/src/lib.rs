//! One Raft replica (NATS's NRG) as a state machine. No sockets, files, threads, clock or
//! randomness: bytes and time in, effects out.
//!
//! ```text
//! let mut recovery = Recovery::new(config, Sound, &Checksum::new(group), &found);
//! for (index, record) in log { if recovery.record(index, record) == Verdict::Stop { break } }
//! let mut node = recovery.finish(now, &mut out)?;
//! loop {
//!     match next_event() {
//!         Message(channel, bytes, reply) => node.handle_message(channel, &bytes, reply, now, &mut out),
//!         Proposal(bytes)                => node.propose(bytes), then node.poll(now, &mut out),
//!         Synced(ticket)                 => node.handle_durable(ticket, now, &mut out),
//!         Applied(index)                 => node.processed(index, index, now, &mut out),
//!         Deadline                       => node.tick(now, &mut out),
//!     }
//!     carry_out(&mut out)   // the order is written in `effects`
//! }
//! ```
//! Laws: docs/consensus.md states the rules and why each is safe; `Node::check` asserts the local
//!       ones, the simulator the global ones.

#![forbid(unsafe_code)]

mod checksum;
pub mod codec;
mod config;
mod effects;
pub mod fuzz;
mod groups;
mod id;
mod log;
mod membership;
mod mutation;
mod node;
mod random;

#[cfg(test)]
mod tests;

pub use checksum::Checksum;
pub use codec::append::{AppendEntry, AppendResponse, Entries, Entry, EntryKind};
pub use codec::end::LogEnd;
pub use codec::peers::PeerState;
pub use codec::snapshot::Snapshot;
pub use codec::subject::{GroupSubjects, Inbox, ReplySubject};
pub use codec::vote::{TermVote, VoteGuard, VoteRequest, VoteResponse};
pub use config::{Config, Limits, Timing};
pub use effects::{
    Apply, Dest, Effects, Notice, Persist, Read, ReadId, ReadRequest, Send, Ticket, Write,
};
pub use groups::{GroupId, Groups};
pub use id::{LogIndex, PeerId, Position, Term};
pub use mutation::{Bug, Mutation, Sound};
pub use node::recover::{Found, RecoverError, Recovery, Verdict};
pub use node::{
    Channel, Checkpoint, Node, PeerStatus, ProposeError, Quarantine, Role, SnapshotError, Status,
};
