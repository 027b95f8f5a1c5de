//! Tests of the room, by subject.

mod cluster;
mod codec;
mod contract;
mod fuzzing;
mod golden;
mod groups;
mod recovery;
mod strangers;
mod structure;
