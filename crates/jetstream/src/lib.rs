//! One server's JetStream: shards that own streams and their consumers, the API, recovery.
//!
//! Not here: the machines themselves (`jetstream_core`), documents and rules (`jetstream_api`),
//! files (`store`), who hears what (`broker`).

#![forbid(unsafe_code)]

mod account;
mod admission;
mod advisory;
mod answers;
mod api;
mod claim;
mod disk;
mod driver;
mod engine;
mod enough;
mod event;
mod files;
mod fire;
mod full;
mod gate;
mod ingress;
mod io;
mod late;
mod left_off;
mod member;
mod members;
mod meta;
mod names;
mod out;
mod place;
mod progress;
mod queue;
mod random;
mod reads;
mod recover;
mod shard;
mod shared;
pub mod snapshot;
mod sourcing;
mod traced;
mod transfer;
mod unmade;
mod upkeep;

/// The version of the Go server that answers name.
pub(crate) const VERSION: &str = "2.14.5";

pub use account::JsAccount;
pub use driver::Clock;
pub use engine::{Engine, Host, Member, StartError};
pub use enough::Insufficient;
pub use jetstream_core::stream::BatchLimits;
pub use shared::{Config, Keys, Room, Shared};

#[cfg(test)]
mod tests;
