//! Sessions driven with bytes, without sockets or threads.

mod bulk;
mod deadlines;
mod harness;
mod limits;
mod mapping;
mod oracle;
mod order;
mod reload;
mod revise;
mod service;
mod stream;
mod tracing;
mod validation;
