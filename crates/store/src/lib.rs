//! Stream and consumer storage over a [`disk::Disk`]: the Go server's files, byte for byte.

#![forbid(unsafe_code)]

mod codec;
mod compress;
mod crypt;
pub mod disk;
mod error;
mod filter;
mod hash;
mod message;
mod record;
mod seqset;
mod state;

pub use compress::Compression;
pub use crypt::{Cipher, Encryption};
pub use error::{Error, Result};
pub use filter::{Filter, has_wildcard, pattern_matches};
pub use message::{Message, message_ttl};
pub use record::record_len;
pub use seqset::SeqSet;
pub use state::{Deleted, Lost, ReplicatedState, SimpleState, State};
