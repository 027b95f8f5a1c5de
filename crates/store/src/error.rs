//! Everything the store can say no with, each with its cause and what to do about it.
//!
//! Not here: texts of JetStream API errors (the API room maps these variants).

use std::io;

use crate::disk::Foreign;

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No message has this sequence: it was removed, skipped, or never stored.
    #[error("no message found")]
    NotFound,
    /// The sequence is past the last one.
    #[error("stream store EOF")]
    Eof,
    /// The store was closed; open it again.
    #[error("store is closed")]
    Closed,
    /// The record would be larger than 32 MiB on disk.
    #[error(
        "message of {0} bytes on disk is over the 33554432 byte record limit: split it, or keep it elsewhere and store where"
    )]
    MsgTooLarge(u64),
    /// Discard policy new, and the message limit is reached.
    #[error("maximum messages exceeded")]
    MaxMsgs,
    /// Discard policy new, and the byte limit is reached.
    #[error("maximum bytes exceeded")]
    MaxBytes,
    /// Discard policy new per subject, and the subject's limit is reached.
    #[error("maximum messages per subject exceeded")]
    MaxMsgsPerSubject,
    /// A replicated append carried another sequence than the next one.
    #[error("expected sequence does not match store: next is {expected}, got {got}")]
    SequenceMismatch {
        /// The sequence the store would assign.
        expected: u64,
        /// The sequence that was given.
        got: u64,
    },
    /// More subjects matched than the caller allowed.
    #[error("too many matching results for request")]
    TooManyResults,
    /// The consumer's policy takes no acknowledgements.
    #[error("ack policy is none")]
    NoAckPolicy,
    /// The update is older than the recorded consumer state.
    #[error("old update ignored")]
    OldUpdate,
    /// A consumer state whose parts contradict each other.
    #[error("bad consumer state: {0}")]
    BadConsumerState(&'static str),
    /// A record on disk does not match its checksum, or could not be delimited.
    #[error("message {seq} is damaged in {file} at byte {offset}: its range is reported as lost")]
    Damaged {
        /// File the damage is in, relative to the store's directory.
        file: String,
        /// Byte offset in the plain content of that file.
        offset: u64,
        /// Sequence that was asked for.
        seq: u64,
    },
    /// A file does not decode.
    #[error("{file} is corrupt: {why}")]
    Corrupt {
        /// File, relative to the store's directory.
        file: String,
        /// What does not hold.
        why: &'static str,
    },
    /// Encrypted data, and no key configured.
    #[error("encrypted store, no encryption key found: configure the jetstream encryption key")]
    NoKey,
    /// What this key file opens is there, and the key file is not.
    #[error("{0} is missing, and what it opens is sealed: put the file back from a backup")]
    MissingKey(String),
    /// No configured key opens this key file.
    #[error(
        "{0}: no configured key opens it, nor a cipher this server knows; set the key it was written with as the previous key"
    )]
    WrongKey(String),
    /// A key file too short to hold a key.
    #[error("{0}: encryption key file is truncated")]
    BadKeyFile(String),
    /// A compression or cipher this build does not know.
    #[error("{file}: unknown {what} {id}; it was written by a newer server")]
    Unknown {
        /// File, relative to the store's directory.
        file: String,
        /// "compression" or "cipher".
        what: &'static str,
        /// The identifying byte.
        id: u8,
    },
    /// Another live server holds this directory.
    #[error("{0}: directory is in use by another server; stop it, or give this one its own store")]
    Locked(String),
    /// There is no room on the disk, or for another open file; nothing is acknowledged until there
    /// is.
    #[error("{file}: {what}, queued writes resume by themselves")]
    DiskFull {
        /// File, relative to the store's directory.
        file: String,
        /// What there is no room for, and the remedy.
        what: &'static str,
    },
    /// More waits for the disk than the store keeps in memory.
    #[error(
        "the disk is behind: {waiting} bytes and {unsealed} full blocks wait for it; try again when a job completed"
    )]
    Busy {
        /// Bytes that wait to be written.
        waiting: usize,
        /// Blocks that wait for their final form.
        unsealed: usize,
    },
    /// An archive holds more than there is room for.
    #[error("the snapshot holds more than the {limit} bytes there is room for")]
    SnapshotTooLarge {
        /// Bytes there is room for.
        limit: u64,
    },
    /// This needs every job that was handed out to be completed first.
    #[error("jobs are under way: complete them first")]
    UnderWay,
    /// Another server writes to the same files.
    #[error(
        "{file}: another server writes to it ({what}): stop that one, then start this one again; until then nothing more is written, so that the two do not mix"
    )]
    Foreign {
        /// File, relative to the store's directory.
        file: String,
        /// What was found.
        what: String,
    },
    /// Writing is not permitted.
    #[error(
        "{file}: read-only or permission denied ({source}); make the store writable for this user"
    )]
    ReadOnly {
        /// File, relative to the store's directory.
        file: String,
        /// The system's words.
        source: io::Error,
    },
    /// Any other failure of the disk.
    #[error("{op} {file}: {source}")]
    Io {
        /// What was attempted.
        op: &'static str,
        /// File, relative to the store's directory.
        file: String,
        /// The system's words.
        source: io::Error,
    },
    /// Reads are deferred, and this one would wait for the disk: have it done elsewhere, then ask
    /// again. Of what is looked for forwards there is none before this sequence.
    #[error("the disk has to be waited for")]
    Cold(u64),
    /// Damage was found and every block read anew; ask again.
    #[error("the store was read anew after damage was found; ask again")]
    Rescanned,
    /// An earlier write or sync failed, so writes stay refused until the store is opened again.
    #[error("writes are refused after an earlier failure: {0}; open the store again")]
    Latched(String),
}

/// What the store's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

const OUT_OF_FILES: &str = "too many open files; raise the limit of open files (ulimit -n)";
/// What lacks if the disk is full, and the remedy.
pub(crate) const NO_SPACE: &str = "no space left on device; free space";

impl Error {
    /// Whether it lacks nothing but a descriptor.
    pub fn is_out_of_files(&self) -> bool {
        matches!(self, Self::DiskFull { what, .. } if *what == OUT_OF_FILES)
    }

    /// Classifies a failure of `op` on `file`.
    pub(crate) fn io(op: &'static str, file: &str, source: io::Error) -> Self {
        if crate::disk::is_full(&source) {
            let what = if crate::disk::is_out_of_files(&source) { OUT_OF_FILES } else { NO_SPACE };
            return Self::DiskFull { file: file.into(), what };
        }
        if let Some(foreign) = source.get_ref().and_then(|e| e.downcast_ref::<Foreign>()) {
            return Self::Foreign { file: file.into(), what: foreign.to_string() };
        }
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { file: file.into(), source }
            }
            io::ErrorKind::WouldBlock => Self::Locked(file.into()),
            _ => Self::Io { op, file: file.into(), source },
        }
    }

    /// What is looked for forwards is not before `seq`.
    pub(crate) fn reached(self, seq: u64) -> Self {
        if let Self::Cold(_) = self { Self::Cold(seq) } else { self }
    }

    pub(crate) fn corrupt(file: &str, why: &'static str) -> Self {
        Self::Corrupt { file: file.into(), why }
    }

    /// Whether the disk says that the file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
