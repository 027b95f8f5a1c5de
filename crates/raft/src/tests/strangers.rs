//! Servers that are no members, terms that leave no room, and requests that cost more than they are.

use bytes::Bytes;
use stdx::time::Mono;

use super::cluster::{Cluster, SECOND, peer};
use crate::codec::DecodeError;
use crate::codec::append::AppendResponse;
use crate::codec::subject::{Inbox, ReplySubject};
use crate::codec::vote::{VoteRequest, VoteResponse};
use crate::config::Config;
use crate::effects::{Effects, Send};
use crate::id::{LogIndex, PeerId, Position, Term};
use crate::node::{Channel, Role};

const HUGE: LogIndex = LogIndex(u64::MAX >> 2);

fn campaign(term: Term, last: Position, candidate: PeerId) -> (Channel, Bytes) {
    let request = VoteRequest { term, last, candidate };
    (Channel::Vote, Bytes::copy_from_slice(&request.encode()))
}

fn refusal(term: Term, peer: PeerId) -> (Channel, Bytes) {
    let response = VoteResponse { term, peer, granted: false, unsure: false };
    (Channel::VoteReply, Bytes::copy_from_slice(&response.encode()))
}

fn failure(position: Position, peer: PeerId) -> (Channel, Bytes) {
    let response = AppendResponse { position, peer, success: false };
    (Channel::AppendReply, Bytes::copy_from_slice(&response.encode()))
}

/// What a message came to.
struct Told(Result<(), DecodeError>, Effects);

impl Cluster {
    /// Gives a node one message and keeps what it would do.
    fn told(
        &mut self,
        n: usize,
        (channel, payload): &(Channel, Bytes),
        reply: ReplySubject,
    ) -> Told {
        let (mut out, now) = (Effects::default(), Mono(self.now));
        let told = self.node(n).handle_message(*channel, payload, reply, now, &mut out);
        Told(told, out)
    }
}

#[test]
fn strangers_do_not_move_terms() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    let stranger = peer(9);
    for term in [Term(2), Term(1 << 40), Term(Term::MAX.0 - 1)] {
        let messages = [
            campaign(term, Position::ZERO, stranger),
            campaign(term, Position::new(term, HUGE), stranger),
            refusal(term, stranger),
            failure(Position::new(term, LogIndex(1)), stranger),
        ];
        for (at, message) in messages.iter().enumerate() {
            for n in 0..3 {
                let role = cluster.node(n).role();
                let Told(_, out) = cluster.told(n, message, ReplySubject::NONE);
                assert!(out.persist.is_empty() && out.send.is_empty(), "{term} {at} at {n}");
                assert_eq!((cluster.node(n).term(), cluster.node(n).role()), (Term(1), role));
            }
        }
    }
    // Nor does one that refuses a candidate.
    cluster.isolate(1);
    cluster.advance(10 * SECOND);
    assert_eq!(cluster.node(1).role(), Role::Candidate);
    let term = cluster.node(1).term();
    cluster.told(1, &refusal(term.next(), stranger), ReplySubject::NONE);
    assert_eq!((cluster.node(1).term(), cluster.node(1).role()), (term, Role::Candidate));
    // But a member does.
    cluster.told(1, &refusal(term.next(), peer(2)), ReplySubject::NONE);
    assert_eq!((cluster.node(1).term(), cluster.node(1).role()), (term.next(), Role::Follower));
}

/// A server was added, the leader that did it is gone, and we missed it: only its log can tell.
#[test]
fn a_member_we_have_not_heard_of_gets_our_vote_once_no_leader_is_left() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    let last = cluster.node(1).last();
    let beyond = Position::new(last.term, last.index.next());
    let reply = ReplySubject::new(b"$NRG.R.newcomer").unwrap();
    // While the leader lives, it speaks for the members.
    cluster.told(1, &campaign(Term(2), beyond, peer(9)), reply);
    assert_eq!(cluster.node(1).term(), Term(1));
    cluster.servers[0].down = true;
    cluster.isolate(1);
    cluster.now += 4 * SECOND;
    let behind = Position::new(last.term, LogIndex(1));
    cluster.told(1, &campaign(Term(2), behind, peer(9)), reply);
    assert_eq!(cluster.node(1).term(), Term(1), "an addition we missed would be in its log");
    let Told(_, out) = cluster.told(1, &campaign(Term(2), beyond, peer(9)), reply);
    assert_eq!((cluster.node(1).term(), out.persist.len()), (Term(2), 2));
}

#[test]
fn a_removed_server_is_heard_again_only_if_its_log_may_tell_of_its_return() {
    let mut cluster = Cluster::new(4);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.advance(3 * SECOND);
    cluster.input(0, |node, now, out| {
        node.propose_remove_peer(peer(3)).unwrap();
        node.poll(now, out);
    });
    cluster.settle();
    cluster.advance(2 * SECOND);
    assert_eq!(cluster.node(1).committed_peers().len(), 3);
    cluster.servers[0].down = true;
    cluster.now += 4 * SECOND;
    let last = cluster.node(1).last();
    let reply = ReplySubject::new(b"$NRG.R.returned").unwrap();
    cluster.told(1, &campaign(Term(9), last, peer(3)), reply);
    assert_eq!(cluster.node(1).term(), Term(1));
    let beyond = Position::new(last.term, last.index.next());
    cluster.told(1, &campaign(Term(9), beyond, peer(3)), reply);
    assert_eq!(cluster.node(1).term(), Term(9));
}

#[test]
fn an_invited_server_may_know_a_later_term() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.node(0).propose_add_peer(peer(9)).unwrap();
    cluster.told(0, &failure(Position::new(Term(5), LogIndex(1)), peer(9)), ReplySubject::NONE);
    assert_eq!((cluster.node(0).term(), cluster.node(0).role()), (Term(5), Role::Follower));
}

#[test]
fn no_message_uses_up_the_terms() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    let last_term = Term(Term::MAX.0 - 1);
    let far = Position::new(last_term, HUGE);
    for (message, what) in [
        (campaign(last_term, far, peer(1)), "vote request"),
        (refusal(last_term, peer(1)), "vote response"),
        (failure(far, peer(1)), "append entry response"),
    ] {
        let Told(told, out) = cluster.told(0, &message, ReplySubject::NONE);
        assert_eq!(told, Err(DecodeError::Implausible(what)));
        assert!(out.is_empty());
    }
    // A member's flipped bit costs many terms, and as many are left.
    let jump = Term(1 << 62);
    let Told(_, out) =
        cluster.told(0, &campaign(jump, Position::ZERO, peer(1)), ReplySubject::NONE);
    assert_eq!((cluster.node(0).term(), out.persist.len()), (jump, 1));
    cluster.advance(30 * SECOND);
    assert!(cluster.leader().is_some_and(|n| cluster.node(n).term() > jump));
    assert!(!Term(u64::MAX >> 1).is_plausible(jump));
    assert!(Term(jump.0 + 1000).is_plausible(Term(0)), "a newcomer learns it too");
}

#[test]
fn an_implausible_term_in_the_reference_s_file_is_a_lost_vote() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    for term in [(1 << 62) + (1 << 61), Term::MAX.0, u64::MAX] {
        let mut file = u64::to_le_bytes(term).to_vec();
        file.extend_from_slice(&peer(1).0);
        cluster.restart(2, Config::new(peer(2), 7), |found, _| {
            found.term_vote = Some(Bytes::from(file.clone()));
            (found.vote_guard, found.log_end) = (None, None);
        });
        assert!(cluster.node(2).term() <= Term(1), "{term}");
        cluster.advance(20 * SECOND);
        assert_eq!(cluster.node(2).quarantine(), None);
    }
}

#[test]
fn after_a_lost_vote_everybody_is_asked() {
    let mut cluster = Cluster::new(5);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.servers[0].down = true;
    cluster.restart(4, Config::new(peer(4), 7), |found, _| {
        (found.term_vote, found.vote_guard, found.log_end) = (None, None, None);
    });
    // Three of the other four answer, and the fourth may be the one that got the vote.
    cluster.advance(30 * SECOND);
    assert!(cluster.node(4).quarantine().is_some_and(|q| q.vote_lost));
    cluster.servers[0].down = false;
    cluster.advance(10 * SECOND);
    assert_eq!(cluster.node(4).quarantine(), None);
}

/// The one that got the vote may be on its way out: what a leader of the past has stored about that
/// tells nothing until it is committed.
#[test]
fn after_a_lost_vote_a_peer_is_asked_until_its_removal_is_committed() {
    let mut cluster = Cluster::new(5);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.advance(3 * SECOND);
    // The leader removes server 3, and reaches only server 4.
    cluster.servers[3].down = true;
    for n in [1, 2] {
        cluster.isolate(n);
    }
    cluster.input(0, |node, now, out| {
        node.propose_remove_peer(peer(3)).unwrap();
        node.poll(now, out);
    });
    cluster.settle();
    assert_eq!(cluster.node(4).peers().len(), 4);
    cluster.cut.clear();
    cluster.servers[0].down = true;
    cluster.restart(4, Config::new(peer(4), 7), |found, _| {
        (found.term_vote, found.vote_guard, found.log_end) = (None, None, None);
    });
    for n in [0, 1, 2] {
        cluster.told(4, &refusal(Term(1), peer(n)), ReplySubject::NONE);
    }
    assert!(cluster.node(4).quarantine().is_some_and(|q| q.vote_lost));
    cluster.told(4, &refusal(Term(2), peer(3)), ReplySubject::NONE);
    let node = cluster.node(4);
    assert_eq!((node.quarantine(), node.term()), (None, Term(2)));
}

fn streamed(sends: &[Send]) -> usize {
    sends.iter().map(|send| send.payload.len()).sum()
}

#[test]
fn asking_again_and_again_to_be_caught_up_costs_three_windows() {
    let mut cluster = Cluster::with(3, |_, config| config.limits.catchup_window = 10_000);
    cluster.elect(0);
    for _ in 0..200 {
        cluster.propose(0, &"x".repeat(950));
    }
    let to = ReplySubject::catchup(Inbox::from_random(1));
    // What is still in memory.
    let from = |index: u64| Position::new(Term(1), LogIndex(index));
    let flood = |cluster: &mut Cluster, name, requests: u64| {
        let told = |_| streamed(&cluster.told(0, &failure(from(140), name), to).1.send);
        (0..requests).map(told).sum::<usize>()
    };
    // A member: three windows, then 64 single entries; a stranger: one window.
    let entry = 1010;
    let member = flood(&mut cluster, peer(1), 500);
    assert!((30_000..30_000 + 68 * entry).contains(&member), "{member}");
    assert_eq!(flood(&mut cluster, peer(1), 500), 0);
    let stranger = flood(&mut cluster, peer(9), 500);
    assert!((10_000..10_000 + 66 * entry).contains(&stranger), "{stranger}");
    // Acknowledging the same again is no progress either.
    let ack = AppendResponse { position: from(201), peer: peer(1), success: true }.encode();
    let ack = (Channel::AppendReply, Bytes::copy_from_slice(&ack));
    assert_eq!(streamed(&cluster.told(0, &ack, ReplySubject::NONE).1.send), 0);
    // Two seconds later a lost stream may be asked for again; one that arrives goes on at once.
    cluster.now += 2 * SECOND;
    let mut index = 140;
    let mut total = 0;
    while index < 201 {
        let Told(_, out) = cluster.told(0, &failure(from(index), peer(1)), to);
        assert!(!out.send.is_empty(), "after {index}");
        (index, total) = (index + out.send.len() as u64, total + streamed(&out.send));
    }
    assert!(total > 61 * 950);
}
