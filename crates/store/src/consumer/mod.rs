//! What a consumer has been given and has acknowledged: its state, its file.

mod file;
mod proof;
mod state;

pub(crate) use file::peek;
pub use file::{ConsumerFile, Setback, StateJob, StateWritten};
#[cfg(feature = "fuzz")]
pub(crate) use proof::{Judged, judge};
pub use state::{AckPolicy, ConsumerState, Pending, SequencePair};
