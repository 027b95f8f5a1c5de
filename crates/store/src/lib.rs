//! Stream and consumer storage over a [`disk::Disk`]: the Go server's files, byte for byte.
//!
//! Which index answers which question:
//!
//! | question | answered from | resident |
//! |---|---|---|
//! | totals of a subject | `subjects` | always |
//! | which sequences a filter selects | `block::column` | within a budget, rebuilt at need |
//! | where in its block a sequence lies | `block::column::Marks` | always once read |
//! | which sequences are gone | `Block::deleted` (`seqset`) | always |
//! | what expires, what fires | `wheel`, `schedule` | always |
//!
//! Not here: threads (jobs are handed out: [`Job`], [`ColdRead`]), clocks (`now` is a
//! parameter), policies of streams and consumers.
//! Laws: no input from a file panics; nothing that cannot be read is deleted.

#![forbid(unsafe_code)]

mod any;
mod block;
mod codec;
mod compress;
mod consumer;
mod crypt;
pub mod disk;
mod error;
mod file;
mod filter;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod hash;
mod mem;
mod message;
pub mod meta;
mod proof;
mod record;
mod schedule;
mod seqset;
mod settings;
mod state;
mod subjects;
mod wheel;

pub use any::MessageStore;
pub use compress::Compression;
pub use consumer::{
    AckPolicy, ConsumerFile, ConsumerState, Pending, SequencePair, Setback, StateJob, StateWritten,
};
pub use crypt::{Cipher, Encryption};
pub use error::{Error, Result};
pub use file::append::NewMessage;
pub use file::{
    Appended, ColdKey, ColdRead, Expired, Fetched, FileStore, Job, JobKind, JobResult, Packer,
    ReadBudget, Recovery, Removed, SnapshotFile, SnapshotPlan, SyncJob, Synced, Ticket, Unpacker,
    damaged_places, restore_files,
};
pub use filter::Filter;
pub use mem::MemStore;
pub use message::{Message, message_ttl};
pub use record::record_len;
pub use schedule::Due;
pub use seqset::SeqSet;
pub use settings::{Options, Retention, Settings};
pub use state::{Deleted, Lost, ReplicatedState, SimpleState, State};

#[cfg(test)]
mod tests;
