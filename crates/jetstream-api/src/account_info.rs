//! What an account uses and may use.
//!
//! Reference: `JetStreamAccountStats`.

use std::collections::BTreeMap;

use crate::json::{Bool, Embed, Int, Int64, Map, Struct, Text, Uint64, document};

/// An account's use of JetStream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountInfo {
    /// Everything; its limits are zero where tiers hold them.
    pub total: JetStreamTier,
    /// The domain.
    pub domain: String,
    /// Requests.
    pub api: ApiStats,
    /// Use by tier (`R1`, `R3`).
    pub tiers: BTreeMap<String, JetStreamTier>,
}

document!(AccountInfo as "JetStreamAccountStats" {
    total: Embed;
    domain: Text, omit;
    api: Struct;
    tiers: Map<Struct>, omit;
});

/// Use and limits of one tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JetStreamTier {
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on disk.
    pub storage: u64,
    /// Bytes that streams reserve in memory.
    pub reserved_memory: u64,
    /// Bytes that streams reserve on disk.
    pub reserved_storage: u64,
    /// Streams.
    pub streams: i64,
    /// Consumers.
    pub consumers: i64,
    /// What is allowed.
    pub limits: JetStreamAccountLimits,
}

document!(JetStreamTier as "JetStreamTier" {
    memory: Uint64;
    storage: Uint64;
    reserved_memory: Uint64;
    reserved_storage: Uint64;
    streams: Int;
    consumers: Int;
    limits: Struct;
});

/// What an account may use; -1 for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JetStreamAccountLimits {
    /// Bytes in memory.
    pub max_memory: i64,
    /// Bytes on disk.
    pub max_storage: i64,
    /// Streams.
    pub max_streams: i64,
    /// Consumers.
    pub max_consumers: i64,
    /// Deliveries of one consumer that may wait for acknowledgement.
    pub max_ack_pending: i64,
    /// Bytes of one stream in memory; 0 for no limit.
    pub memory_max_stream_bytes: i64,
    /// Bytes of one stream on disk; 0 for no limit.
    pub storage_max_stream_bytes: i64,
    /// Every stream must say its `max_bytes`.
    pub max_bytes_required: bool,
}

document!(JetStreamAccountLimits as "JetStreamAccountLimits" {
    max_memory: Int64;
    max_storage: Int64;
    max_streams: Int;
    max_consumers: Int;
    max_ack_pending: Int;
    memory_max_stream_bytes: Int64;
    storage_max_stream_bytes: Int64;
    max_bytes_required: Bool;
});

/// Requests since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiStats {
    /// The API level of this server.
    pub level: i64,
    /// Requests.
    pub total: u64,
    /// Those answered with an error.
    pub errors: u64,
    /// Those not answered yet.
    pub inflight: u64,
}

document!(ApiStats as "JetStreamAPIStats" {
    level: Int;
    total: Uint64;
    errors: Uint64;
    inflight: Uint64, omit;
});
