//! Tests of the whole store over a simulated disk.

mod corrupt;
mod crash;
mod model;
mod oracle;
