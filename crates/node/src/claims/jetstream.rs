//! What an account's token lets it use of JetStream.
//!
//! Reference: accounts.go updateAccountClaimsWithRefresh (JetStream part).   Contract: ACC-019.

use super::{Registry, Standing};
use crate::Node;
use auth::jwt::limits::{JetStreamLimits, OperatorLimits};
use config::options::nkey;
use jetstream_api::JetStreamAccountLimits;
use jetstream_api::validate::AccountLimits;
use std::sync::Arc;

/// A limit that is not positive is none.
fn positive(n: i64) -> i64 {
    if n > 0 { n } else { -1 }
}

fn tier(of: &JetStreamLimits) -> JetStreamAccountLimits {
    JetStreamAccountLimits {
        max_memory: of.mem_storage,
        max_storage: of.disk_storage,
        max_streams: of.streams,
        max_consumers: of.consumer,
        max_ack_pending: positive(of.max_ack_pending),
        memory_max_stream_bytes: positive(of.mem_max_stream_bytes),
        storage_max_stream_bytes: positive(of.disk_max_stream_bytes),
        max_bytes_required: of.max_bytes_required,
    }
}

/// What these limits come to; `None`: no JetStream.
fn limits(of: &OperatorLimits) -> Option<AccountLimits> {
    if !of.has_jetstream() {
        return None;
    }
    if of.jetstream.disk_storage != 0 || of.jetstream.mem_storage != 0 {
        return Some(AccountLimits::untiered(tier(&of.jetstream)));
    }
    let tiers = of.tiers.iter().map(|(name, limits)| (name.clone(), tier(limits)));
    Some(AccountLimits { tiers: tiers.collect() })
}

impl Registry {
    /// Gives an account the JetStream its token speaks of, or takes it away. Waits for the disk.
    pub(super) fn admit(&self, node: &Node, key: &str) {
        let Some(jetstream) = node.jetstream.load_full() else { return };
        let Some(account) = node.broker.account(key) else { return };
        let limits = {
            let accounts = self.accounts.read();
            let entry = accounts.get(key).filter(|entry| entry.standing != Standing::Removed);
            entry.and_then(|entry| limits(&entry.account.claims.nats.limits))
        };
        if account.is_system() {
            return;
        }
        jetstream.set_expired(key, self.has_ended(key));
        let Err(error) = jetstream.admit(&account, limits) else { return };
        let label = match self.name_of(key) {
            name if name == key => name,
            name => format!("{key}/{name}"),
        };
        stdx::error!(node.log(), "Error configuring jetstream for account [{label}]: {error}");
        // The same token may fit later. Who holds the lock takes JetStream away, which cannot fail.
        let _one = self.changing.lock();
        if let Some(entry) = self.accounts.write().get_mut(key) {
            entry.incomplete = true;
        }
    }

    /// As [`Registry::admit`], beside the threads that must not wait.
    pub(super) async fn admit_apart(self: &Arc<Self>, keys: Vec<String>) {
        if self.node().is_none_or(|node| node.jetstream.load().is_none()) {
            return;
        }
        let claims = self.clone();
        let work = move || {
            let Some(node) = claims.node() else { return };
            for key in &keys {
                claims.admit(&node, key);
            }
        };
        (self.surroundings.apart)(Box::new(work)).await;
    }
}

impl Node {
    /// Brings in the accounts that have streams on the disk, and gives those that are known what
    /// they may use: after JetStream started.
    pub async fn admit_claims(self: Arc<Self>) {
        let Some(claims) = self.claims().cloned() else { return };
        let Some(jetstream) = self.jetstream.load_full() else { return };
        let mut keys: Vec<String> = claims.accounts.read().keys().cloned().collect();
        for name in jetstream.stored_accounts() {
            if nkey::is_public_account(&name) && !keys.contains(&name) {
                match claims.refresh(&name, None).await {
                    Ok(()) => keys.push(name),
                    Err(error) => stdx::warning!(
                        self.log(),
                        "  Error looking up account '{name}' that has streams: {error}"
                    ),
                }
            }
        }
        claims.admit_apart(keys).await;
    }
}
