//! `INFO`: what an account uses and may use.

use std::sync::atomic::Ordering;

use jetstream_api::level::API_LEVEL;
use jetstream_api::response::AccountInfoBody;
use jetstream_api::{AccountInfo, ApiStats, JetStreamTier, StorageType};

use crate::account::JsAccount;
use crate::event::ApiRequest;
use crate::shard::Shard;

impl JsAccount {
    /// What it uses and may use.
    pub fn info(&self) -> AccountInfo {
        let streams = self.streams();
        let consumers: usize = streams.values().map(|e| e.consumers.load(Ordering::Relaxed)).sum();
        let limits = self.api_limits();
        let total = JetStreamTier {
            memory: self.used(StorageType::Memory),
            storage: self.used(StorageType::File),
            reserved_memory: Self::reserved(&streams, StorageType::Memory),
            reserved_storage: Self::reserved(&streams, StorageType::File),
            streams: streams.len() as i64,
            consumers: consumers as i64,
            limits: limits.tiers.get("").copied().unwrap_or_default(),
        };
        // Streams without replicas are all there are.
        let tiers = limits.tiers.iter().filter(|(name, _)| !name.is_empty()).map(|(name, tier)| {
            let used = if name == "R1" { total } else { JetStreamTier::default() };
            (name.clone(), JetStreamTier { limits: *tier, ..used })
        });
        let tiers = tiers.collect();
        drop(streams);
        let (requests, errors) = self.requests();
        AccountInfo {
            total,
            domain: self.facts.domain.clone().unwrap_or_default(),
            api: ApiStats {
                level: API_LEVEL,
                total: requests,
                errors,
                inflight: self.inflight().load(Ordering::Relaxed),
            },
            tiers,
        }
    }
}

impl Shard {
    pub(super) fn account_info(&mut self, request: &ApiRequest) {
        let info = Some(request.account.info());
        self.respond(request, Ok(AccountInfoBody { info }));
    }
}
