//! OCSP: whether certificates are still good, by the word of those who signed them.
//!
//! `certificate` reads certificates, `answer` makes questions and verifies answers, `fetch` asks,
//! `cache` remembers answers about peers, `peer` decides about them, `chain` finds who signed whom.
//!
//! Not here: when our own certificates are asked about and stapled (the host).
//! Contract: TLS-013..016.

mod answer;
mod cache;
mod certificate;
mod chain;
mod der;
mod fetch;
mod peer;
mod signature;
#[cfg(test)]
mod tests;

pub use answer::{Answer, AnswerError, MAX_ANSWER, Status, question};
pub use cache::{Cache, CacheConfig, CacheStats};
pub use certificate::Certificate;
pub use chain::issuer_of;
pub use fetch::{FetchError, fetch};
pub use peer::{Facts, PeerCheck, PeerConfig, Peers, Rejected};
