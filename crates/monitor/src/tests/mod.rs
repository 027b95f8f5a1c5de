//! Layer 1 to 3 tests: golden documents, tables, properties.

mod connz;
mod fake;
mod golden;
mod params;
mod peer;
mod profiling;
mod properties;
mod requests;
mod system;
