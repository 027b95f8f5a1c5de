//! The NATS server as a library: start a server inside a program, connect to it in process or over
//! TCP, stop it.
//!
//! ```no_run
//! let options = ironats::Options::default();
//! let server = ironats::Server::start(options, ironats::Log::discard()).unwrap();
//! println!("{}", server.client_address().unwrap());
//! server.shutdown();
//! ```
//!
//! Not here: the command line and signals (`main.rs` and the modules it uses).

#![forbid(unsafe_code)]

mod control;
mod facts;
pub mod files;
mod jetstream;
mod lame_duck;
pub mod load;
pub mod log;
mod monitoring;
mod ocsp;
mod ocsp_event;
pub mod ports;
pub mod process;
pub mod reload;
mod resolver;
pub mod server;
pub mod signal;
mod tls;

pub use config::Options;
pub use server::{Server, ServerError};
pub use stdx::log::Log;
