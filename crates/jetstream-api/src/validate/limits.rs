//! What a server and an account allow in all.

use std::collections::BTreeMap;

use crate::account_info::JetStreamAccountLimits;
use crate::error::ApiError;
use crate::stream_config::{StorageType, StreamConfig};
use crate::time::Nanos;

/// What the server's configuration allows; 0 for nothing said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerLimits {
    /// Most of a stream's `duplicate_window`.
    pub duplicate_window: Nanos,
    /// Most of a consumer's `max_ack_pending`.
    pub max_ack_pending: i64,
    /// Most of a consumer's `max_batch`.
    pub max_request_batch: i64,
    /// Bytes that streams in memory may reserve.
    pub max_memory: i64,
    /// Bytes that streams on disk may reserve.
    pub max_storage: i64,
}

/// What streams of all accounts have reserved on this server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes in memory.
    pub memory: i64,
    /// Bytes on disk.
    pub storage: i64,
}

/// What an account may use: one set of limits, or one for each tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// By tier (`R1`, `R3`); the name is empty if there are no tiers.
    pub tiers: BTreeMap<String, JetStreamAccountLimits>,
}

impl AccountLimits {
    /// Limits without tiers.
    pub fn untiered(limits: JetStreamAccountLimits) -> Self {
        Self { tiers: BTreeMap::from([(String::new(), limits)]) }
    }

    /// Nothing is limited.
    pub fn unlimited() -> Self {
        Self::untiered(JetStreamAccountLimits {
            max_memory: -1,
            max_storage: -1,
            max_streams: -1,
            max_consumers: -1,
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            storage_max_stream_bytes: -1,
            max_bytes_required: false,
        })
    }

    /// The limits for an asset with so many replicas.
    pub fn select(&self, replicas: i64) -> Option<(&JetStreamAccountLimits, Tier)> {
        if let Some(limits) = self.tiers.get("") {
            return Some((limits, Tier::default()));
        }
        let tier = Tier { name: format!("R{}", if replicas == 0 { 1 } else { replicas }) };
        self.tiers.get(&tier.name).map(|limits| (limits, tier))
    }
}

/// The tier that limits were taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tier {
    /// Empty if there are no tiers.
    pub name: String,
}

impl Tier {
    /// True if a stream with so many replicas counts together with one that has `like`.
    pub fn holds(&self, replicas: i64, like: i64) -> bool {
        self.name.is_empty() || replicas.max(1) == like.max(1)
    }
}

/// What a stream takes from its account: without tiers every replica counts.
pub fn reservation(tier: &Tier, replicas: i64, bytes: i64) -> i64 {
    if bytes <= 0 {
        0
    } else if tier.name.is_empty() && replicas > 1 {
        replicas.saturating_mul(bytes)
    } else {
        bytes
    }
}

/// Refuses a stream that would reserve more than the account or the server has. `reserved` is what
/// the account's other streams reserve.
pub(crate) fn check(
    limits: &JetStreamAccountLimits,
    tier: &Tier,
    config: &StreamConfig,
    server: &ServerLimits,
    used: Used,
    reserved: i64,
) -> Result<(), ApiError> {
    if config.max_consumers > 0
        && limits.max_consumers > 0
        && config.max_consumers > limits.max_consumers
    {
        return Err(ApiError::maximum_consumers_limit());
    }
    let on_server = if config.max_bytes < 0 { 1 } else { config.max_bytes };
    let in_account = reservation(tier, config.num_replicas, on_server);
    let exceeds =
        |most: i64, taken: i64, more: i64| taken > most || more > most.saturating_sub(taken);
    let (account_most, server_most, server_taken) = match config.storage {
        StorageType::Memory => (limits.max_memory, server.max_memory, used.memory),
        StorageType::File => (limits.max_storage, server.max_storage, used.storage),
    };
    if (account_most >= 0 && exceeds(account_most, reserved, in_account))
        || exceeds(server_most, server_taken, on_server)
    {
        return Err(match config.storage {
            StorageType::Memory => ApiError::memory_resources_exceeded(),
            StorageType::File => ApiError::storage_resources_exceeded(),
        });
    }
    Ok(())
}
