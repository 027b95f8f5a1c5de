//! Bad peers: what they send changes nothing, and takes no more memory than they spent on it.
#![expect(unsafe_code, reason = "a counting allocator needs unsafe")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use raft::{
    AppendEntry, AppendResponse, Channel, Checksum, Config, Effects, Entries, Found, LogIndex,
    Node, PeerId, PeerState, Position, Recovery, ReplySubject, Role, Snapshot, Sound, Term, Ticket,
    VoteRequest, VoteResponse,
};
use stdx::time::Mono;

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above; `ptr` came from `alloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ME: PeerId = PeerId(*b"peer0000");

fn node(peers: &[PeerId]) -> Node {
    let found = Found { peers: Some(PeerState::of(peers).encode().into()), ..Found::default() };
    let recovery = Recovery::new(Config::new(ME, 1), Sound, &Checksum::new("g"), &found);
    recovery.finish(Mono(0), &mut Effects::default()).unwrap()
}

/// A group of one, which leads.
fn leader() -> Node {
    let mut node = node(&[ME]);
    let mut out = Effects::default();
    node.tick(Mono(10_000_000_000), &mut out);
    for ticket in 1..10 {
        node.handle_durable(Ticket(ticket), Mono(10_000_000_000), &mut out);
    }
    assert_eq!(node.role(), Role::Leader);
    node
}

/// A header that counts as many entries as it can, and what comes after it.
fn append(term: u64, count: u16, rest: &[u8]) -> Vec<u8> {
    let leader = PeerId(*b"peer0001");
    let (commit, prev) = (LogIndex(u64::MAX), Position::ZERO);
    let none = Entries::new();
    let entry =
        AppendEntry { leader, term: Term(term), commit, prev, entries: none, leader_term: Term(0) };
    let mut bytes = entry.encode();
    bytes.truncate(40);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn what_bad_peers_send_changes_nothing_and_allocates_nothing_unbounded() {
    let stranger = PeerId(*b"stranger");
    let far = Position::new(Term(1), LogIndex(u64::MAX >> 1));
    let ack = AppendResponse { position: far, peer: stranger, success: true };
    let huge_term = VoteRequest { term: Term(u64::MAX), last: far, candidate: stranger };
    let vote = VoteResponse { term: Term(1), peer: stranger, granted: true, unsure: false };
    let hostile: Vec<(Channel, Vec<u8>)> = vec![
        (Channel::Append, append(1, u16::MAX, &[])),
        (Channel::Append, append(1, u16::MAX, &[0xff; 4])),
        (Channel::Append, append(1, 1, &[0xff, 0xff, 0xff, 0x7f, 0])),
        (Channel::Append, append(1, 1, &[0, 0, 0, 0])),
        (Channel::Append, append(u64::MAX, 0, &[0])),
        (Channel::AppendReply, ack.encode().to_vec()),
        (Channel::AppendReply, vec![0; 24]),
        (Channel::Vote, huge_term.encode().to_vec()),
        (Channel::Vote, vec![0; 33]),
        (Channel::VoteReply, vote.encode().to_vec()),
        (Channel::VoteReply, vec![0xff; 17]),
        (Channel::RemovePeer, b"stranger".to_vec()),
        (Channel::RemovePeer, vec![0; 1000]),
    ];
    for mut node in [node(&[ME, PeerId(*b"peer0001"), PeerId(*b"peer0002")]), leader()] {
        let state = |n: &Node| (n.role(), n.term(), n.last(), n.commit(), n.peers().to_vec());
        let before = state(&node);
        for (channel, payload) in &hostile {
            let payload = Bytes::from(payload.clone());
            let mut out = Effects::default();
            let allocated = ALLOCATED.load(Ordering::Relaxed);
            let reply = ReplySubject::NONE;
            let _ = node.handle_message(*channel, &payload, reply, Mono(10_000_000_001), &mut out);
            let spent = ALLOCATED.load(Ordering::Relaxed) - allocated;
            assert!(spent <= 4096 + 8 * payload.len(), "{channel:?}: {spent} bytes");
            assert!(out.persist.is_empty(), "{channel:?} writes {:?}", out.persist);
            assert_eq!(state(&node), before, "{channel:?}");
        }
    }
    // Crowds: every one of them claims to follow, asks to be caught up, votes.
    let mut node = leader();
    let allocated = ALLOCATED.load(Ordering::Relaxed);
    for n in 0..10_000u32 {
        let mut name = *b"crowd000";
        name[4..].copy_from_slice(&n.to_le_bytes());
        let peer = PeerId(name);
        let position = Position::ZERO;
        let asks = AppendResponse { position, peer, success: n % 2 == 0 }.encode();
        let mut out = Effects::default();
        let reply = ReplySubject::new(b"$NRG.CR.whoasked").unwrap();
        let payload = Bytes::copy_from_slice(&asks);
        let now = Mono(10_000_000_002);
        node.handle_message(Channel::AppendReply, &payload, reply, now, &mut out).unwrap();
    }
    let kept = node.status(Mono(10_000_000_002)).peers.len();
    assert!(kept <= 17, "{kept} peers are known");
    assert!(ALLOCATED.load(Ordering::Relaxed) - allocated < 10_000 * 2048);
    // Another group's snapshot is none.
    let snapshot = Snapshot {
        position: Position::new(Term(1), LogIndex(1)),
        peers: PeerState::of(&[ME]),
        data: Bytes::from_static(b"theirs"),
    };
    let theirs = Bytes::from(snapshot.encode(&Checksum::new("another group")));
    assert!(Snapshot::decode(&theirs, &Checksum::new("g")).is_err());
}
