//! One function per decoder for a mutation driver: any bytes in, no panic, and what decodes
//! re-encodes to something that decodes to the same.

use bytes::Bytes;

use crate::checksum::Checksum;
use crate::codec::append::{AppendEntry, AppendResponse};
use crate::codec::end::LogEnd;
use crate::codec::peers::PeerState;
use crate::codec::snapshot::Snapshot;
use crate::codec::vote::{TermVote, VoteGuard, VoteRequest, VoteResponse};

/// Append entries.
pub fn fuzz_append_entry(input: &[u8]) {
    if let Ok(entry) = AppendEntry::decode(&Bytes::copy_from_slice(input)) {
        assert!(entry.entries.len() <= input.len());
        let again = AppendEntry::decode(&Bytes::from(entry.encode()));
        assert_eq!(again.as_ref(), Ok(&entry));
        let restamped = entry.with_leader_term(input, entry.term);
        assert!(AppendEntry::decode(&Bytes::from(restamped)).is_ok());
    }
}

/// Answers to append entries.
pub fn fuzz_append_response(input: &[u8]) {
    if let Ok(response) = AppendResponse::decode(input) {
        assert_eq!(AppendResponse::decode(&response.encode()), Ok(response));
    }
}

/// Vote requests.
pub fn fuzz_vote_request(input: &[u8]) {
    if let Ok(request) = VoteRequest::decode(input) {
        assert_eq!(request.encode(), input);
    }
}

/// Vote responses.
pub fn fuzz_vote_response(input: &[u8]) {
    if let Ok(response) = VoteResponse::decode(input) {
        assert_eq!(VoteResponse::decode(&response.encode()), Ok(response));
    }
}

/// Peer sets.
pub fn fuzz_peer_state(input: &[u8]) {
    if let Ok(state) = PeerState::decode(input) {
        assert!(state.peers.len() <= input.len() / 8);
        assert_eq!(PeerState::decode(&state.encode()), Ok(state));
    }
}

/// Term and vote files.
pub fn fuzz_term_vote(input: &[u8]) {
    if let Ok(voted) = TermVote::decode(input) {
        assert_eq!(TermVote::decode(&voted.encode()), Ok(voted));
    }
}

/// Checked copies of the vote, with a correct checksum put under any content too.
pub fn fuzz_vote_guard(input: &[u8]) {
    let sum = Checksum::new("fuzz");
    let mut sealed = input.to_vec();
    sealed.extend_from_slice(&sum.hash(input));
    for bytes in [input, &sealed] {
        if let Ok(guard) = VoteGuard::decode(bytes, &sum) {
            assert_eq!(VoteGuard::decode(&guard.encode(&sum), &sum), Ok(guard));
        }
    }
}

/// Ends of logs, with a correct checksum put under any content too.
pub fn fuzz_log_end(input: &[u8]) {
    let sum = Checksum::new("fuzz");
    let mut sealed = input.to_vec();
    sealed.extend_from_slice(&sum.hash(input));
    for bytes in [input, &sealed] {
        if let Ok(end) = LogEnd::decode(bytes, &sum) {
            assert_eq!(LogEnd::decode(&end.encode(&sum), &sum), Ok(end));
        }
    }
}

/// Snapshot files, with a correct checksum put under any content too.
pub fn fuzz_snapshot(input: &[u8]) {
    let sum = Checksum::new("fuzz");
    let mut sealed = input.to_vec();
    sealed.extend_from_slice(&sum.hash(input));
    for bytes in [input, &sealed] {
        if let Ok(snapshot) = Snapshot::decode(&Bytes::copy_from_slice(bytes), &sum) {
            let again = Snapshot::decode(&Bytes::from(snapshot.encode(&sum)), &sum);
            assert_eq!(again, Ok(snapshot));
        }
    }
}

/// Snapshot file names.
pub fn fuzz_snapshot_name(input: &[u8]) {
    if let Some(position) = std::str::from_utf8(input).ok().and_then(Snapshot::parse_file_name) {
        assert_eq!(Snapshot::file_name(position).as_bytes(), input);
    }
}

/// Feeds one input to one decoder.
pub type Target = fn(&[u8]);

/// Every decoder by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("append_entry", fuzz_append_entry),
    ("append_response", fuzz_append_response),
    ("vote_request", fuzz_vote_request),
    ("vote_response", fuzz_vote_response),
    ("peer_state", fuzz_peer_state),
    ("term_vote", fuzz_term_vote),
    ("vote_guard", fuzz_vote_guard),
    ("log_end", fuzz_log_end),
    ("snapshot", fuzz_snapshot),
    ("snapshot_name", fuzz_snapshot_name),
];
