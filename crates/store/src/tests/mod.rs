//! Tests of the whole store over a simulated disk.

mod bad;
mod both;
mod cold;
mod corrupt;
mod crash;
mod documents;
mod full;
mod jobs;
mod model;
mod oracle;
mod parts;
mod pool;
mod refused;
mod torn;
