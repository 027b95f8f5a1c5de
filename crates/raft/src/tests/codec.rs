//! Bytes observed on the reference decode to what they were, and encode back to themselves.

use bytes::Bytes;

use crate::checksum::Checksum;
use crate::codec::DecodeError;
use crate::codec::append::{AppendEntry, AppendResponse, EntryKind};
use crate::codec::end::{LOG_END_LEN, LogEnd};
use crate::codec::peers::PeerState;
use crate::codec::snapshot::Snapshot;
use crate::codec::vote::{TermVote, VoteGuard, VoteRequest, VoteResponse};
use crate::id::{LogIndex, PeerId, Position, Term};

fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().map(|b| (b as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>().into()
}

fn vectors() -> Vec<(String, String, Bytes)> {
    let text = include_str!("../../testdata/vectors.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| {
        let mut words = line.split(' ');
        let (kind, name) = (words.next().unwrap().into(), words.next().unwrap().into());
        (kind, name, unhex(words.next().unwrap()))
    };
    lines.map(split).collect()
}

// Contract: RAFT-001
#[test]
fn observed_bytes_survive_a_round_trip() {
    for (kind, name, bytes) in vectors() {
        let again: Vec<u8> = match kind.as_str() {
            "append_entry" => AppendEntry::decode(&bytes).unwrap().encode(),
            "append_response" => AppendResponse::decode(&bytes).unwrap().encode().to_vec(),
            "vote_request" => VoteRequest::decode(&bytes).unwrap().encode().to_vec(),
            "vote_response" => VoteResponse::decode(&bytes).unwrap().encode().to_vec(),
            "term_vote" => TermVote::decode(&bytes).unwrap().encode(),
            "peer_state" => PeerState::decode(&bytes).unwrap().encode(),
            "snapshot" => {
                let (group, file) = name.split_once('/').unwrap();
                let sum = Checksum::new(group);
                let snapshot = Snapshot::decode(&bytes, &sum).unwrap();
                assert_eq!(Snapshot::file_name(snapshot.position), file);
                assert_eq!(Snapshot::parse_file_name(file), Some(snapshot.position));
                snapshot.encode(&sum)
            }
            other => panic!("unknown kind {other}"),
        };
        assert_eq!(again, bytes, "{kind} {name}");
    }
}

fn vector(kind: &str, name: &str) -> Bytes {
    let found = vectors().into_iter().find(|(k, n, _)| k == kind && n == name);
    found.unwrap_or_else(|| panic!("no vector {kind} {name}")).2
}

// Contract: RAFT-001, RAFT-006, RAFT-008
#[test]
fn observed_bytes_mean_what_they_should() {
    let n1 = PeerId(*b"fjFyEjc1");
    let heartbeat = AppendEntry::decode(&vector("append_entry", "live-heartbeat")).unwrap();
    assert_eq!((heartbeat.leader, heartbeat.term, heartbeat.commit), (n1, Term(2), LogIndex(0)));
    assert_eq!(heartbeat.prev, Position::new(Term(2), LogIndex(2)));
    assert!(!heartbeat.stores());

    let noop = AppendEntry::decode(&vector("append_entry", "live-peer-state")).unwrap();
    let state = PeerState::decode(&noop.entries[0].data).unwrap();
    assert_eq!((state.cluster_size, state.peers.as_slice()), (3, [n1].as_slice()));

    let batch = AppendEntry::decode(&vector("append_entry", "live-normal-x6")).unwrap();
    assert_eq!(batch.entries.len(), 6);
    assert!(batch.entries.iter().all(|e| e.kind == EntryKind::Normal));

    let transfer = AppendEntry::decode(&vector("append_entry", "live-leader-transfer")).unwrap();
    assert_eq!(transfer.entries[0].kind, EntryKind::LeaderTransfer);
    assert_eq!(transfer.entries[0].data.len(), 8);

    let pair = vector("append_entry", "catchup-snapshot+peer-state-x2");
    let pair = AppendEntry::decode(&pair).unwrap();
    assert_eq!(pair.entries[0].kind, EntryKind::Snapshot);
    assert_eq!(pair.entries[1].kind, EntryKind::PeerState);
    assert_eq!(pair.prev, Position::new(Term(2), LogIndex(463)));

    let vote = VoteResponse::decode(&vector("vote_response", "flags-3")).unwrap();
    assert!(vote.granted && vote.unsure);

    let request = AppendResponse::decode(&vector("append_response", "catchup-request")).unwrap();
    assert_eq!(request.position, Position::new(Term(2), LogIndex(33)));
    assert!(!request.success);

    let voted = TermVote::decode(&vector("term_vote", "stream-group")).unwrap();
    assert_eq!(voted, TermVote { term: Term(2), vote: Some(n1) });
}

#[test]
fn a_caught_up_record_carries_the_leaders_term_at_its_end() {
    let stored = vector("append_entry", "live-normal");
    let entry = AppendEntry::decode(&stored).unwrap();
    let sent = Bytes::from(entry.with_leader_term(&stored, Term(300)));
    assert_eq!(&sent[..stored.len() - 1], &stored[..stored.len() - 1]);
    assert_eq!(&sent[stored.len() - 1..], [0xac, 0x02]);
    let read = AppendEntry::decode(&sent).unwrap();
    assert_eq!(read.leader_term, Term(300));
    assert_eq!(read.with_leader_term(&sent, Term(0)), stored);
}

#[test]
fn trailing_bytes_and_unknown_kinds_are_tolerated() {
    let mut bytes = vector("append_entry", "live-normal").to_vec();
    bytes.extend_from_slice(b"from a later version");
    assert_eq!(AppendEntry::decode(&bytes.clone().into()).unwrap().leader_term, Term(0));
    bytes[46] = 99;
    let entry = AppendEntry::decode(&bytes.into()).unwrap();
    assert_eq!(entry.entries[0].kind, EntryKind::Other(99));

    let mut peers = PeerState::of(&[PeerId(*b"fjFyEjc1")]).encode();
    peers.extend_from_slice(b"more");
    assert_eq!(PeerState::decode(&peers).unwrap().cluster_size, 1);
}

#[test]
fn bytes_cut_short_anywhere_are_refused() {
    for (kind, name, bytes) in vectors() {
        for len in 0..bytes.len() {
            let cut = bytes.slice(..len);
            let refused = match kind.as_str() {
                // The trailing term may be missing: servers before 2.12 do not send it.
                "append_entry" if len == bytes.len() - 1 => continue,
                "append_entry" => AppendEntry::decode(&cut).is_err(),
                "append_response" => AppendResponse::decode(&cut).is_err(),
                "vote_request" => VoteRequest::decode(&cut).is_err(),
                "vote_response" => VoteResponse::decode(&cut).is_err(),
                "term_vote" => len == 8 || TermVote::decode(&cut).is_err(),
                "peer_state" => len >= bytes.len() - 2 || PeerState::decode(&cut).is_err(),
                _ => {
                    let sum = Checksum::new(name.split('/').next().unwrap());
                    Snapshot::decode(&cut, &sum).is_err()
                }
            };
            assert!(refused, "{kind} {name} cut to {len}");
        }
    }
}

#[test]
fn huge_counts_allocate_nothing_and_are_refused() {
    let mut bytes = vec![0; 42];
    bytes[40..42].copy_from_slice(&[0xff, 0xff]);
    let refused = AppendEntry::decode(&bytes.into());
    assert_eq!(refused, Err(DecodeError::Short("append entry")));
    let peers = [3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2];
    assert_eq!(PeerState::decode(&peers), Err(DecodeError::Short("peer state")));
}

#[test]
fn implausible_fields_are_refused() {
    let mut far = vector("vote_request", "first-election").to_vec();
    far[7] = 0x80;
    assert_eq!(VoteRequest::decode(&far), Err(DecodeError::Implausible("vote request")));
    // The last term there could be: nobody could ever campaign again.
    far[..8].copy_from_slice(&Term::MAX.0.to_le_bytes());
    assert_eq!(VoteRequest::decode(&far), Err(DecodeError::Implausible("vote request")));
    far[..8].copy_from_slice(&(Term::MAX.0 - 1).to_le_bytes());
    assert_eq!(VoteRequest::decode(&far).unwrap().term.next(), Term::MAX);
    let voted = TermVote { term: Term::MAX, vote: None }.encode();
    assert_eq!(TermVote::decode(&voted), Err(DecodeError::Implausible("tav.idx")));
}

#[test]
fn peer_states_the_reference_takes_are_taken_and_never_make_small_quorums() {
    let (a, b) = (PeerId(*b"aaaaaaaa"), PeerId(*b"bbbbbbbb"));
    let bytes = |size: u32, peers: &[PeerId], domain: &[u8]| {
        let mut bytes = size.to_le_bytes().to_vec();
        bytes.extend_from_slice(&(peers.len() as u32).to_le_bytes());
        peers.iter().for_each(|peer| bytes.extend_from_slice(&peer.0));
        [&bytes, domain].concat()
    };
    let read = |size, peers: &[PeerId], domain: &[u8]| {
        let state = PeerState::decode(&bytes(size, peers, domain)).unwrap();
        (state.cluster_size, state.peers.to_vec())
    };
    assert_eq!(read(1, &[b, a], &[0, 0]), (2, vec![b, a]));
    assert_eq!(read(0, &[a], &[]), (1, vec![a]));
    assert_eq!(read(3, &[a, b, a], &[9, 9, 9]), (3, vec![a, b]));
    assert_eq!(read(2, &[a, a], &[0]), (2, vec![a]));
    assert_eq!(read(u32::MAX, &[a, b], &[1, 0]), (u32::MAX as usize, vec![a, b]));
    assert_eq!(read(0, &[], &[]), (0, vec![]));
}

#[test]
fn every_flipped_bit_of_a_guard_or_snapshot_is_noticed() {
    let sum = Checksum::new("S-R3F-test");
    let guard = VoteGuard {
        voted: TermVote { term: Term(7), vote: Some(PeerId(*b"fjFyEjc1")) },
        log: Position::new(Term(6), LogIndex(40)),
        cuts: 7,
        quarantine: Some(Term(5)),
        vote_lost: false,
        joining: true,
        changed: true,
    };
    let snapshot = Snapshot {
        position: Position::new(Term(3), LogIndex(9)),
        peers: PeerState::of(&[PeerId(*b"fjFyEjc1")]),
        data: Bytes::from_static(b"state"),
    };
    let end = LogEnd { cuts: 3, end: Position::new(Term(6), LogIndex(41)) };
    assert_eq!(LogEnd::decode(&end.encode(&sum), &sum), Ok(end));
    for bit in 0..LOG_END_LEN * 8 {
        let mut bytes = end.encode(&sum);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(LogEnd::decode(&bytes, &sum).is_err());
    }
    let (guarded, saved) = (guard.encode(&sum), snapshot.encode(&sum));
    assert_eq!(VoteGuard::decode(&guarded, &sum), Ok(guard));
    assert_eq!(Snapshot::decode(&saved.clone().into(), &sum), Ok(snapshot));
    for bit in 0..guarded.len() * 8 {
        let mut bytes = guarded.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(VoteGuard::decode(&bytes, &sum).is_err());
    }
    for bit in 0..saved.len() * 8 {
        let mut bytes = saved.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Snapshot::decode(&bytes.into(), &sum).is_err());
    }
    assert!(VoteGuard::decode(&guarded, &Checksum::new("another group")).is_err());
}
