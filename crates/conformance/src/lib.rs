//! Conversation scripts as data: one conversation, run against ours and against the reference.
//!
//! Not here: the scripts (`conformance/` at the top of the repository), the fixtures (`testkit`).
//! Laws: a script says what must be observed, never how a server does it; every wait has a
//!       deadline; whatever differs between two runs by nature (ids, times) is a placeholder, so
//!       two transcripts of one script are equal or something is wrong.
//! The language is described in `conformance/README.md`.

pub mod differ;
pub mod operator;
pub mod pattern;
mod random;
pub mod redact;
pub mod run;
pub mod script;
pub mod version;

pub use run::{Failure, run};
pub use script::Script;
