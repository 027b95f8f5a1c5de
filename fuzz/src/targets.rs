//! Every target. A room that takes bytes from outside adds one here.

mod configuration;
mod consensus;
mod identity;
mod protocol;
mod requests;
mod responder;
mod store;
mod subjects;
mod tokens;

use crate::Target;

/// All targets, by name.
pub const ALL: &[Target] = &[
    protocol::PARSER,
    protocol::CONNECT,
    protocol::HEADERS,
    protocol::PROXY,
    protocol::TRACE,
    identity::CALLOUT,
    configuration::CONFIG,
    configuration::FLAGS,
    configuration::NAMES,
    configuration::RELOAD,
    responder::OCSP,
    requests::OPTIONS,
    tokens::TOKENS,
    tokens::CLAIMS,
    subjects::MAPPING,
    subjects::MATCHING,
    consensus::APPEND_ENTRY,
    consensus::APPEND_RESPONSE,
    consensus::VOTE_REQUEST,
    consensus::VOTE_RESPONSE,
    consensus::PEER_STATE,
    consensus::TERM_VOTE,
    consensus::VOTE_GUARD,
    consensus::LOG_END,
    consensus::SNAPSHOT,
    consensus::SNAPSHOT_NAME,
    consensus::RECOVERY,
    consensus::MESSAGES,
    store::BLOCK,
    store::LENGTHS,
    store::INDEX,
    store::WHEEL,
    store::SCHEDULES,
    store::CONSUMER,
    store::REPLICATED,
    store::META,
    store::ARCHIVE,
];

/// The target called `name`.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|t| t.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (i, target) in ALL.iter().enumerate() {
            assert!(ALL[..i].iter().all(|t| t.name != target.name), "{} twice", target.name);
        }
    }
}
