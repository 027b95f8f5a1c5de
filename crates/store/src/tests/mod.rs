//! Tests of the whole store over a simulated disk.

mod model;
mod oracle;
