//! What a consumer has been given and has acknowledged: its state, its file.

mod file;
mod state;

pub use file::{ConsumerFile, StateJob, StateWritten};
pub use state::{AckPolicy, ConsumerState, Pending, SequencePair};
