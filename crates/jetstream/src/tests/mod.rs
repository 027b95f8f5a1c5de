//! A whole engine over a disk that can be held back, without sockets.

mod reads;
pub(crate) mod slow;
mod world;
