//! What a configuration may be: defaults and rules, in the order in which the reference looks.
//!
//! The order is part of the contract: a configuration with two mistakes is told of the first.
//! Laws: pure; what other streams and consumers are comes in through [`Streams`] and
//! [`Consumers`].

pub mod consumer;
mod limits;
mod name;
pub mod stream;
mod stream_source;
mod stream_subject;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use limits::{AccountLimits, ServerLimits, Tier, Used, reservation};
pub use name::{
    MAX_DESCRIPTION, MAX_METADATA, MAX_NAME, consumer_source_key, is_asset_name, short_hash,
    source_index_name,
};

use crate::consumer_config::ConsumerConfig;
use crate::stream_config::{StorageType, StreamConfig};

/// The streams of an account.
pub trait Streams {
    /// The configuration of one.
    fn stream(&self, name: &str) -> Option<Arc<StreamConfig>>;

    /// True if another stream than `except` stores what one of `subjects` matches.
    fn overlaps(&self, subjects: &[String], except: &str) -> bool;

    /// Streams of the tier (see [`Tier::holds`]) but for `except`.
    fn count(&self, tier: &Tier, replicas: i64, except: &str) -> usize;

    /// What the streams of the tier with this storage reserve, but for `except`
    /// (see [`reservation`]).
    fn reserved(&self, tier: &Tier, replicas: i64, storage: StorageType, except: &str) -> i64;
}

/// Walks all streams for every question; for tests and accounts with few.
impl Streams for BTreeMap<String, Arc<StreamConfig>> {
    fn stream(&self, name: &str) -> Option<Arc<StreamConfig>> {
        self.get(name).cloned()
    }

    fn overlaps(&self, subjects: &[String], except: &str) -> bool {
        self.values().filter(|other| other.name != except).any(|other| {
            let all = |mine: &String| {
                other.subjects.iter().any(|s| subject::collides(mine.as_bytes(), s.as_bytes()))
            };
            subjects.iter().any(all)
        })
    }

    fn count(&self, tier: &Tier, replicas: i64, except: &str) -> usize {
        self.values().filter(|s| s.name != except && tier.holds(s.num_replicas, replicas)).count()
    }

    fn reserved(&self, tier: &Tier, replicas: i64, storage: StorageType, except: &str) -> i64 {
        self.values()
            .filter(|s| s.name != except && s.storage == storage)
            .filter(|s| s.max_bytes > 0 && tier.holds(s.num_replicas, replicas))
            .map(|s| reservation(tier, s.num_replicas, s.max_bytes))
            .fold(0, i64::saturating_add)
    }
}

/// The consumers of a stream, and who listens where.
pub trait Consumers {
    /// The configuration of one.
    fn consumer(&self, name: &str) -> Option<Arc<ConsumerConfig>>;

    /// Consumers that count: all but the server's own for sourcing.
    fn counted(&self) -> usize;

    /// True if no other consumer than `except` may deliver what one of `filters` matches. The
    /// server's own for sourcing do not count; one without filters delivers everything.
    fn is_free(&self, filters: &[&str], except: &str) -> bool;

    /// True if somebody listens on a push consumer's deliver subject.
    fn is_bound(&self, deliver_subject: &str) -> bool;
}

/// Walks all consumers for every question; nobody listens anywhere.
impl Consumers for BTreeMap<String, Arc<ConsumerConfig>> {
    fn consumer(&self, name: &str) -> Option<Arc<ConsumerConfig>> {
        self.get(name).cloned()
    }

    fn counted(&self) -> usize {
        self.values().filter(|c| !c.direct && !c.sourcing).count()
    }

    fn is_free(&self, filters: &[&str], except: &str) -> bool {
        let others = self.iter().filter(|(name, c)| *name != except && !c.direct && !c.sourcing);
        others.into_iter().all(|(_, other)| {
            let theirs = other.filters();
            let collides = |mine: &&str| {
                theirs.is_empty()
                    || theirs.iter().any(|f| subject::collides(mine.as_bytes(), f.as_bytes()))
            };
            !filters.iter().any(collides)
        })
    }

    fn is_bound(&self, _: &str) -> bool {
        false
    }
}
