//! Consensus: every message of NATS's Raft, every file of a replica, and a replica that gets any
//! sequence of messages.

mod replica;

use raft::{
    AppendEntry, AppendResponse, Checksum, LogEnd, PeerState, Snapshot, TermVote, VoteGuard,
    VoteRequest, VoteResponse,
};

use crate::{Shape, Target};

/// What an outcome looks like: the kind of error, or a few facts about the value.
fn shape<T, E: ToString>(outcome: Result<T, E>, facts: impl FnOnce(T) -> Shape) -> Shape {
    match outcome {
        Ok(value) => Shape::of("ok").and(facts(value)),
        Err(why) => Shape::of(&why.to_string()),
    }
}

fn flag(set: bool) -> Shape {
    Shape::count(usize::from(set))
}

/// Append entries, live and catching up; the same bytes are log records.
pub(super) const APPEND_ENTRY: Target = Target {
    name: "raft_append_entry",
    words: &["\u{1}\0\0\0\u{6}", "\u{5}\0\0\0\0four", "\u{9}\0\0\0\u{3}newcomer"],
    run: |bytes| {
        raft::fuzz::fuzz_append_entry(bytes);
        shape(AppendEntry::decode(&bytes.to_vec().into()), |entry| {
            let kinds = entry.entries.iter().take(3);
            kinds.fold(Shape::count(entry.entries.len()), |shape, item| {
                shape.and(Shape::count(usize::from(item.kind.code().min(7))))
            })
        })
    },
};

/// Answers to append entries.
pub(super) const APPEND_RESPONSE: Target = Target {
    name: "raft_append_response",
    words: &["peer0001"],
    run: |bytes| {
        raft::fuzz::fuzz_append_response(bytes);
        shape(AppendResponse::decode(bytes), |response| flag(response.success))
    },
};

/// Vote requests.
pub(super) const VOTE_REQUEST: Target = Target {
    name: "raft_vote_request",
    words: &["peer0001"],
    run: |bytes| {
        raft::fuzz::fuzz_vote_request(bytes);
        shape(VoteRequest::decode(bytes), |request| flag(request.candidate.is_none()))
    },
};

/// Votes.
pub(super) const VOTE_RESPONSE: Target = Target {
    name: "raft_vote_response",
    words: &["peer0001"],
    run: |bytes| {
        raft::fuzz::fuzz_vote_response(bytes);
        shape(VoteResponse::decode(bytes), |vote| flag(vote.granted).and(flag(vote.unsure)))
    },
};

/// Peer sets, in `peers.idx`, entries and snapshots.
pub(super) const PEER_STATE: Target = Target {
    name: "raft_peer_state",
    words: &["\u{3}\0\0\0\u{3}\0\0\0", "peer0001"],
    run: |bytes| {
        raft::fuzz::fuzz_peer_state(bytes);
        shape(PeerState::decode(bytes), |state| Shape::count(state.peers.len()))
    },
};

/// `tav.idx`.
pub(super) const TERM_VOTE: Target = Target {
    name: "raft_term_vote",
    words: &["peer0001"],
    run: |bytes| {
        raft::fuzz::fuzz_term_vote(bytes);
        shape(TermVote::decode(bytes), |voted| flag(voted.vote.is_some()))
    },
};

/// A file's body with its checksum put under it, so that mutations get past it.
fn sealed(bytes: &[u8]) -> (Checksum, Vec<u8>) {
    let sum = Checksum::new("fuzz");
    (sum, [bytes, &sum.hash(bytes)].concat())
}

/// `tav.sum`, given without its checksum.
pub(super) const VOTE_GUARD: Target = Target {
    name: "raft_vote_guard",
    words: &["nrgtav02", "peer0001"],
    run: |bytes| {
        raft::fuzz::fuzz_vote_guard(bytes);
        let (sum, file) = sealed(bytes);
        shape(VoteGuard::decode(&file, &sum), |guard| {
            flag(guard.quarantine.is_some()).and(flag(guard.joining)).and(flag(guard.changed))
        })
    },
};

/// `log.end`, given without its checksum.
pub(super) const LOG_END: Target = Target {
    name: "raft_log_end",
    words: &["nrgend01"],
    run: |bytes| {
        raft::fuzz::fuzz_log_end(bytes);
        let (sum, file) = sealed(bytes);
        shape(LogEnd::decode(&file, &sum), |end| flag(end.cuts > 0))
    },
};

/// Snapshot files, given without their checksum.
pub(super) const SNAPSHOT: Target = Target {
    name: "raft_snapshot",
    words: &["\u{22}\0\0\0\u{3}\0\0\0\u{3}\0\0\0", "peer0001"],
    run: |bytes| {
        raft::fuzz::fuzz_snapshot(bytes);
        let (sum, file) = sealed(bytes);
        shape(Snapshot::decode(&file.into(), &sum), |snapshot| {
            Shape::count(snapshot.peers.peers.len()).and(Shape::count(snapshot.data.len()))
        })
    },
};

/// Snapshot file names.
pub(super) const SNAPSHOT_NAME: Target = Target {
    name: "raft_snapshot_name",
    words: &["snap.", ".18446744073709551615", "+", "0"],
    run: |bytes| {
        raft::fuzz::fuzz_snapshot_name(bytes);
        flag(std::str::from_utf8(bytes).ok().and_then(Snapshot::parse_file_name).is_some())
    },
};

/// What a replica finds when it starts: small files and log records, cut from the bytes.
pub(super) const RECOVERY: Target = Target {
    name: "raft_recovery",
    words: &["nrgtav01", "\u{3}\0\0\0\u{3}\0\0\0", "peer0001"],
    run: replica::recover,
};

/// Any messages to a follower, a candidate or a leader: forwarded proposals and removals included.
pub(super) const MESSAGES: Target = Target {
    name: "raft_messages",
    words: &["peer0001", "peer0002", "stranger", "\u{0}\u{2a}", "\u{4}\u{20}"],
    run: replica::listen,
};
