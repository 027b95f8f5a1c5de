//! Deterministic simulator: virtual time, network, disks and crashes, all from one seed, around the
//! production core. For consensus at first; other rooms join as they become pure machines.
//!
//! `sim run` looks for seeds that break an invariant, `sim replay` shows one, `sim meta` shows that
//! a seed always takes the same steps, `sim bugs` shows that planted bugs are found.

#![forbid(unsafe_code)]

mod above;
mod acts;
pub mod check;
pub mod disk;
pub mod fault;
pub mod fleet;
mod forge;
pub mod history;
pub mod host;
pub mod liveness;
pub mod machine;
pub mod minimise;
pub mod net;
pub mod options;
pub mod plan;
pub mod planted;
mod post;
pub mod rng;
pub mod run;
pub mod scenario;
mod trace;
pub mod world;

#[cfg(test)]
mod tests;
