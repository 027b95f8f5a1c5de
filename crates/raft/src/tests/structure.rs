//! The log's bounds and the membership's folding.

use bytes::Bytes;
use stdx::time::Mono;

use crate::codec::append::{AppendEntry, Entries, Entry, EntryKind};
use crate::codec::peers::PeerState;
use crate::id::{LogIndex, PeerId, Position, Term};
use crate::log::Log;
use crate::membership::Membership;

fn entry(term: u64, prev: Position, kind: EntryKind, data: &[u8]) -> AppendEntry {
    let mut entries = Entries::new();
    entries.push(Entry::new(kind, Bytes::copy_from_slice(data)));
    AppendEntry {
        leader: PeerId(*b"leader00"),
        term: Term(term),
        commit: LogIndex(0),
        prev,
        entries,
        leader_term: Term(0),
    }
}

fn log(terms: &[u64], cached: usize) -> Log {
    let mut log = Log::default();
    for &term in terms {
        let next = entry(term, log.last(), EntryKind::Normal, b"x");
        let record = Bytes::from(next.encode());
        log.push(next, record, cached);
    }
    log
}

fn terms(log: &Log, range: std::ops::RangeInclusive<u64>) -> Vec<Option<u64>> {
    range.map(|i| log.term_at(LogIndex(i)).map(|t| t.0)).collect()
}

#[test]
fn terms_are_known_for_the_whole_log_and_nothing_else() {
    let mut log = log(&[1, 1, 2, 2, 2, 5], 3);
    assert_eq!(
        terms(&log, 0..=7),
        [Some(0), Some(1), Some(1), Some(2), Some(2), Some(2), Some(5), None]
    );
    assert_eq!(log.cache_len(), 3);
    assert!(log.cached(LogIndex(3)).is_none());
    assert_eq!(log.cached(LogIndex(4)).unwrap().entry.end().index, LogIndex(4));
    assert_eq!(log.run_start(LogIndex(4)), LogIndex(3));
    log.compact(Position::new(Term(2), LogIndex(4)));
    assert_eq!(terms(&log, 3..=7), [None, Some(2), Some(2), Some(5), None]);
    assert_eq!(log.run_start(LogIndex(5)), LogIndex(5));
    log.truncate(LogIndex(5));
    assert_eq!(log.last(), Position::new(Term(2), LogIndex(5)));
    log.truncate(LogIndex(1));
    assert_eq!(log.last(), log.base(), "nothing below the snapshot can be cut off");
}

#[test]
fn a_snapshot_past_the_log_replaces_it() {
    let mut log = log(&[1, 1, 1], 10);
    log.compact(Position::new(Term(4), LogIndex(9)));
    assert_eq!((log.last(), log.base()), (Position::new(Term(4), LogIndex(9)), log.last()));
    assert_eq!(log.cache_len(), 0);
}

const A: PeerId = PeerId(*b"aaaaaaaa");
const B: PeerId = PeerId(*b"bbbbbbbb");
const C: PeerId = PeerId(*b"cccccccc");
const D: PeerId = PeerId(*b"dddddddd");

fn change(kind: EntryKind, peer: PeerId) -> AppendEntry {
    entry(1, Position::ZERO, kind, &peer.0)
}

// Contract: RAFT-014
#[test]
fn a_stored_change_counts_at_once_and_is_taken_back_when_truncated() {
    let mut members = Membership::new(PeerState::of(&[A, B, C]));
    members.store(LogIndex(5), &change(EntryKind::AddPeer, D));
    assert_eq!((members.cluster_size(), members.quorum()), (4, 3));
    assert_eq!(members.pending_change(), Some((LogIndex(5), D)));
    members.truncate(LogIndex(4));
    assert_eq!((members.peers(), members.quorum()), ([A, B, C].as_slice(), 2));
    members.store(LogIndex(5), &change(EntryKind::RemovePeer, C));
    assert_eq!((members.peers(), members.quorum()), ([A, B].as_slice(), 2));
    members.truncate(LogIndex(4));
    assert_eq!(members.peers(), [A, B, C]);
    assert_eq!(members.removed_at(C), None);
}

#[test]
fn a_peer_set_committed_below_a_pending_change_does_not_undo_it() {
    let mut members = Membership::new(PeerState::of(&[A, B, C]));
    let set = PeerState::of(&[A, B, C]).encode();
    members.store(LogIndex(4), &entry(1, Position::ZERO, EntryKind::PeerState, &set));
    members.store(LogIndex(5), &change(EntryKind::AddPeer, D));
    members.commit(LogIndex(4), Mono(0));
    assert_eq!(members.peers(), [A, B, C, D]);
    assert_eq!(members.committed().peers.as_slice(), [A, B, C]);
    members.commit(LogIndex(5), Mono(0));
    assert_eq!(members.committed().cluster_size, 4);
}

#[test]
fn naming_a_seat_of_a_declared_size_moves_no_quorum() {
    let mut members = Membership::new(PeerState { cluster_size: 5, ..PeerState::of(&[A]) });
    assert!(members.is_partial());
    members.store(LogIndex(1), &change(EntryKind::AddPeer, B));
    assert_eq!((members.cluster_size(), members.quorum()), (5, 3));
}

#[test]
fn a_removed_peer_is_remembered_until_it_is_added_again() {
    let mut members = Membership::new(PeerState::of(&[A, B, C]));
    members.store(LogIndex(1), &change(EntryKind::RemovePeer, C));
    members.commit(LogIndex(1), Mono(7));
    assert_eq!(members.removed_at(C), Some(Mono(7)));
    members.store(LogIndex(2), &change(EntryKind::AddPeer, C));
    assert_eq!(members.removed_at(C), None);
}
