//! What a store is told about its stream, and how it should keep it.
//!
//! Not here: the stream configuration document (the API room); the store keeps it as opaque JSON.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use stdx::log::Log;

use crate::compress::Compression;
use crate::crypt::Encryption;
use crate::file::ReadBudget;

/// How messages leave a stream other than by limits; it only decides block sizes here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// By limits only.
    #[default]
    Limits,
    /// When every interested consumer acknowledged.
    Interest,
    /// When one consumer acknowledged.
    WorkQueue,
}

/// The part of a stream's configuration that the store acts on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Stream or group name: keys of hashes and ciphers.
    pub name: String,
    /// Most messages, if limited.
    pub max_msgs: Option<u64>,
    /// Most bytes, if limited.
    pub max_bytes: Option<u64>,
    /// Age after which messages expire, if limited.
    pub max_age: Option<Duration>,
    /// Most messages of one subject, if limited.
    pub max_msgs_per_subject: Option<u64>,
    /// At a limit, refuse new messages instead of removing old ones.
    pub discard_new: bool,
    /// The same for the limit per subject.
    pub discard_new_per_subject: bool,
    /// Whether `Nats-TTL` is honoured.
    pub allow_msg_ttl: bool,
    /// Whether message schedules are kept.
    pub allow_schedules: bool,
    /// Expiry proposes a marker of this age instead of removing the last message of a subject.
    pub subject_delete_marker_ttl: Option<Duration>,
    /// First sequence of a new stream, if not 1.
    pub first_seq: u64,
    /// Decides the default block size.
    pub retention: Retention,
}

/// How the store keeps its files.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes after which a block is sealed; chosen from the settings if `None`.
    pub block_size: Option<u64>,
    /// Form of sealed blocks.
    pub compression: Compression,
    /// Encryption at rest, if configured.
    pub encryption: Option<Encryption>,
    /// Bytes of rebuildable index (columns) kept in memory.
    pub column_budget: usize,
    /// Bytes that may wait for the disk before appends are told that it is behind.
    pub max_waiting: usize,
    /// Memory for parts of blocks that are read again and again; stores may share one.
    pub read_budget: ReadBudget,
    /// Counts the bytes of blocks that opening read, for whoever waits for it.
    pub bytes_read: Option<Arc<AtomicU64>>,
    /// Where damage and recovery are reported.
    pub log: Log,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_size: None,
            compression: Compression::None,
            encryption: None,
            column_budget: 64 << 20,
            max_waiting: 64 << 20,
            read_budget: ReadBudget::default(),
            bytes_read: None,
            log: Log::discard(),
        }
    }
}

const BLOCK_MIN: u64 = 32_000;
const BLOCK_MEDIUM: u64 = 4 << 20;
const BLOCK_MAX: u64 = 8 << 20;
const BLOCK_ENCRYPTED: u64 = 2 << 20;

impl Settings {
    /// Bytes after which a block is sealed.
    ///
    /// Reference: filestore.go dynBlkSize.   Parity: FSTORE-011.
    pub fn block_size(&self, encrypted: bool) -> u64 {
        let size = match self.max_bytes {
            Some(max) if max > 0 => match (max / 4 + 1).div_ceil(100) * 100 {
                n if n <= BLOCK_MIN => BLOCK_MIN,
                n if n >= BLOCK_MAX => BLOCK_MAX,
                _ => BLOCK_MEDIUM,
            },
            _ if encrypted => return BLOCK_ENCRYPTED,
            _ if self.retention == Retention::Limits => BLOCK_MAX,
            _ => BLOCK_MEDIUM,
        };
        if encrypted { size.min(BLOCK_ENCRYPTED) } else { size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: FSTORE-011
    #[test]
    fn block_sizes_follow_the_reference() {
        let with = |max_bytes, retention| Settings { max_bytes, retention, ..Settings::default() };
        assert_eq!(with(Some(1), Retention::Limits).block_size(false), 32_000);
        assert_eq!(with(Some(1 << 20), Retention::Limits).block_size(false), 4 << 20);
        assert_eq!(with(Some(1 << 30), Retention::Limits).block_size(false), 8 << 20);
        assert_eq!(with(Some(1 << 30), Retention::Limits).block_size(true), 2 << 20);
        assert_eq!(with(None, Retention::Limits).block_size(false), 8 << 20);
        assert_eq!(with(None, Retention::WorkQueue).block_size(false), 4 << 20);
        assert_eq!(with(None, Retention::WorkQueue).block_size(true), 2 << 20);
    }
}
