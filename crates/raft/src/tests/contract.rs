//! Behaviours of the contract, one test each, on nodes in memory.

use bytes::Bytes;
use stdx::time::Mono;

use super::cluster::{Cluster, SECOND, peer};
use crate::codec::append::{AppendEntry, AppendResponse, EntryKind};
use crate::codec::peers::PeerState;
use crate::codec::subject::ReplySubject;
use crate::codec::vote::{VoteRequest, VoteResponse};
use crate::config::Config;
use crate::effects::{Effects, Notice};
use crate::id::{LogIndex, Position, Term};
use crate::node::{Channel, Node, ProposeError, Role, SnapshotError};

fn first_leader(cluster: &mut Cluster) -> usize {
    cluster.advance(12 * SECOND);
    cluster.leader().unwrap()
}

fn sent_entries(cluster: &Cluster, from: usize) -> Vec<AppendEntry> {
    let appends = cluster.sent.iter().filter(|(f, name, _)| *f == from && name == "append");
    appends.map(|(.., bytes)| AppendEntry::decode(bytes).unwrap()).collect()
}

// Contract: RAFT-002
#[test]
fn an_election_happens_between_four_and_nine_seconds_of_silence() {
    let mut cluster = Cluster::new(3);
    cluster.advance(3_990 * SECOND / 1000);
    assert_eq!(cluster.leader(), None);
    cluster.advance(5_500 * SECOND / 1000);
    let leader = cluster.leader().unwrap();
    cluster.isolate(leader);
    cluster.advance(3_900 * SECOND / 1000);
    assert_eq!(cluster.leader(), Some(leader));
    cluster.advance(9 * SECOND);
    assert_ne!(cluster.leader(), Some(leader));
}

// Contract: RAFT-003
#[test]
fn a_vote_is_told_only_once_it_is_durable() {
    let mut cluster = Cluster::new(3);
    cluster.servers[1].slow = true;
    cluster.servers[2].slow = true;
    cluster.input(0, |node, now, _| node.campaign_immediately(now));
    cluster.advance(SECOND / 4);
    assert_eq!(cluster.servers[1].guard.unwrap().voted.vote, Some(peer(0)));
    assert_eq!(cluster.node(0).role(), Role::Candidate);
    cluster.sync(1);
    cluster.settle();
    assert_eq!(cluster.node(0).role(), Role::Leader);
}

// Contract: RAFT-003, RAFT-027
#[test]
fn a_failed_write_closes_the_node_without_an_answer() {
    let mut cluster = Cluster::new(3);
    cluster.servers[1].slow = true;
    cluster.input(0, |node, now, _| node.campaign_immediately(now));
    cluster.advance(SECOND / 10);
    let answers = |c: &Cluster| c.sent.iter().filter(|(from, ..)| *from == 1).count();
    let before = answers(&cluster);
    cluster.input(1, |node, _, out| node.handle_write_error(out));
    assert_eq!(cluster.node(1).role(), Role::Closed);
    assert!(cluster.servers[1].notices.contains(&Notice::WriteFailed));
    cluster.advance(20 * SECOND);
    assert_eq!(answers(&cluster), before);
}

// Contract: RAFT-004
#[test]
fn the_log_that_reaches_further_wins() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.isolate(2);
    cluster.propose(0, "a");
    cluster.isolate(0);
    cluster.cut.retain(|&(a, b)| a != 2 && b != 2 || a == 0 || b == 0);
    cluster.input(2, |node, now, _| node.campaign(now));
    cluster.advance(20 * SECOND);
    assert_eq!(cluster.leader(), Some(1), "server 2 lacks the last entry");
}

fn wiped(n: usize, seed: u64) -> Config {
    let mut config = Config::new(peer(n), seed);
    config.recovering = true;
    config
}

// Contract: RAFT-005
#[test]
fn empty_logs_elect_only_if_everybody_answers() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "kept");
    for n in [1, 2] {
        cluster.restart(n, wiped(n, 70 + n as u64), |found, log| {
            (found.term_vote, found.vote_guard) = (None, None);
            log.clear();
        });
    }
    cluster.servers[0].down = true;
    cluster.advance(60 * SECOND);
    assert_eq!(cluster.leader(), None, "two wiped servers must not start over");
    cluster.servers[0].down = false;
    cluster.advance(30 * SECOND);
    assert_eq!(cluster.leader(), Some(0));
    cluster.advance(5 * SECOND);
    assert_eq!(cluster.servers[1].applied, ["kept"]);
}

// Contract: RAFT-006
#[test]
fn a_leader_starts_with_the_peer_set_and_serves_after_applying_it() {
    let mut cluster = Cluster::new(3);
    cluster.servers[0].stuck = true;
    cluster.elect(0);
    let first = sent_entries(&cluster, 0).into_iter().find(AppendEntry::stores).unwrap();
    assert_eq!(first.entries[0].kind, EntryKind::PeerState);
    assert_eq!(PeerState::decode(&first.entries[0].data).unwrap().cluster_size, 3);
    assert!(!cluster.node(0).is_leading());
    cluster.input(0, |node, now, out| {
        node.processed(LogIndex(1), LogIndex(1), now, out);
    });
    assert!(cluster.node(0).is_leading());
    assert!(cluster.servers[0].notices.contains(&Notice::Leading(Term(1))));
}

// Contract: RAFT-007
#[test]
fn a_leader_without_a_quorum_steps_down_within_two_checks() {
    let mut cluster = Cluster::new(3);
    let leader = first_leader(&mut cluster);
    cluster.isolate(leader);
    cluster.advance(9 * SECOND);
    assert_eq!(cluster.node(leader).role(), Role::Leader);
    cluster.advance(11 * SECOND);
    assert_ne!(cluster.node(leader).role(), Role::Leader);
}

// Contract: RAFT-008
#[test]
fn a_transfer_is_an_entry_and_its_target_takes_over_at_once() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.input(0, |node, now, out| assert!(node.step_down(Some(peer(2)), now, out)));
    let last = sent_entries(&cluster, 0).pop().unwrap();
    assert_eq!(last.entries[0].kind, EntryKind::LeaderTransfer);
    assert_eq!(&last.entries[0].data[..], peer(2).0);
    assert_eq!(cluster.node(0).role(), Role::Follower);
    cluster.settle();
    cluster.advance(30_000_000);
    assert_eq!(cluster.leader(), Some(2));
}

// Contract: RAFT-009
#[test]
fn copies_of_entries_of_earlier_terms_are_not_counted() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.isolate(0);
    // Stored by the leader of term 1 alone.
    let data = Bytes::from_static(b"old");
    cluster.node(0).propose(data).unwrap();
    cluster.input(0, Node::poll);
    cluster.settle();
    cluster.cut.clear();
    let ack = AppendResponse {
        position: Position::new(Term(1), LogIndex(2)),
        peer: peer(1),
        success: true,
    };
    // The same server leads again, in term 2; its no-op is not stored elsewhere yet.
    cluster.input(0, |node, now, out| {
        node.step_down(None, now, out);
    });
    cluster.cut.clear();
    cluster.elect(0);
    cluster.isolate(0);
    let commit = cluster.node(0).commit();
    cluster.input(0, |node, now, out| {
        let payload = Bytes::copy_from_slice(&ack.encode());
        let none = ReplySubject::NONE;
        node.handle_message(Channel::AppendReply, &payload, none, now, out).unwrap();
    });
    assert_eq!(cluster.node(0).commit(), commit);
}

// Contract: RAFT-010
#[test]
fn a_contradicted_tail_is_cut_off_and_replaced() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "both");
    cluster.isolate(0);
    for text in ["lost1", "lost2", "lost3"] {
        cluster.propose(0, text);
    }
    assert_eq!(cluster.node(0).last().index, LogIndex(5));
    cluster.advance(10 * SECOND);
    let leader = cluster.leader().filter(|&l| l != 0).unwrap_or_else(|| {
        cluster.advance(15 * SECOND);
        cluster.leader().unwrap()
    });
    cluster.propose(leader, "won");
    cluster.cut.clear();
    cluster.advance(15 * SECOND);
    for server in &cluster.servers {
        assert_eq!(server.applied, ["both", "won"]);
    }
}

// Contract: RAFT-011, RAFT-012, RAFT-013
#[test]
fn a_lagging_peer_gets_the_snapshot_pair_and_the_rest_and_acknowledges_only_live_traffic() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.isolate(2);
    for n in 0..10 {
        cluster.propose(0, &format!("e{n}"));
    }
    let checkpoint = cluster.node(0).create_checkpoint(false).unwrap();
    assert_eq!(checkpoint.position.index, LogIndex(11));
    assert_eq!(cluster.node(0).create_checkpoint(false), Err(SnapshotError::InProgress));
    cluster.input(0, |node, now, out| {
        node.install_snapshot(checkpoint, Bytes::from_static(b"e0..e9"), now, out).unwrap();
    });
    assert!(cluster.servers[0].log.is_empty(), "the log behind a durable snapshot goes");
    cluster.propose(0, "after");
    cluster.sent.clear();
    cluster.cut.clear();
    cluster.advance(3 * SECOND);
    assert_eq!(cluster.servers[2].applied, ["e0..e9", "after"]);
    let streamed: Vec<AppendEntry> = (cluster.sent.iter())
        .filter(|(from, name, bytes)| *from == 0 && name == "reply" && bytes.len() > 42)
        .map(|(.., bytes)| AppendEntry::decode(bytes).unwrap())
        .collect();
    let kinds: Vec<_> = streamed[0].entries.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EntryKind::Snapshot, EntryKind::PeerState]);
    assert_eq!(streamed[0].prev.index, LogIndex(11));
    assert_eq!(streamed[1].leader_term, Term(1));
    // Every success names a position that a live append entry ended at.
    let live: Vec<Position> = sent_entries(&cluster, 0).iter().map(AppendEntry::end).collect();
    let acks = cluster.sent.iter().filter(|(from, _, bytes)| *from == 2 && bytes.len() == 25);
    for ack in acks.map(|(.., bytes)| AppendResponse::decode(bytes).unwrap()) {
        assert!(!ack.success || live.contains(&ack.position));
    }
}

// Contract: RAFT-014
#[test]
fn membership_changes_one_at_a_time() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.advance(SECOND);
    cluster.isolate(0);
    cluster.node(0).propose_remove_peer(peer(2)).unwrap();
    assert_eq!(cluster.node(0).propose_remove_peer(peer(1)), Err(ProposeError::ChangeInProgress));
    cluster.input(0, Node::poll);
    assert!(cluster.node(0).membership_change_in_progress());
    assert_eq!(cluster.node(0).propose_add_peer(peer(7)), Err(ProposeError::ChangeInProgress));
    cluster.cut.clear();
    cluster.advance(5 * SECOND);
    assert!(!cluster.node(0).membership_change_in_progress());
    assert_eq!(cluster.node(0).peers(), [peer(0), peer(1)]);
    assert!(cluster.servers[2].notices.contains(&Notice::Removed));
    assert_eq!(cluster.node(0).propose_remove_peer(peer(2)), Err(ProposeError::PeerNotFound));
}

// Contract: RAFT-014
#[test]
fn no_membership_change_before_the_leader_has_committed_in_its_term() {
    let mut cluster = Cluster::new(3);
    cluster.servers[1].slow = true;
    cluster.input(0, |node, now, _| node.campaign_immediately(now));
    cluster.servers[2].down = true;
    cluster.advance(SECOND / 10);
    cluster.sync(1);
    cluster.settle();
    assert_eq!(cluster.node(0).role(), Role::Leader);
    assert_eq!(cluster.node(0).propose_remove_peer(peer(2)), Err(ProposeError::ChangeInProgress));
    cluster.sync(1);
    cluster.settle();
    assert_eq!(cluster.node(0).propose_remove_peer(peer(2)), Ok(()));
}

// Contract: RAFT-015
#[test]
fn a_removed_leader_hands_over_and_says_so() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.advance(SECOND);
    cluster.node(0).propose_remove_peer(peer(0)).unwrap();
    cluster.input(0, Node::poll);
    cluster.settle();
    assert!(cluster.servers[0].notices.contains(&Notice::Removed));
    assert_ne!(cluster.node(0).role(), Role::Leader);
    cluster.servers[0].down = true;
    cluster.advance(SECOND);
    let leader = cluster.leader().unwrap();
    assert_eq!(cluster.node(leader).peers(), [peer(1), peer(2)]);
}

#[test]
fn an_old_removal_in_a_catch_up_is_not_taken_for_a_new_one() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.advance(SECOND);
    cluster.node(0).propose_remove_peer(peer(2)).unwrap();
    cluster.input(0, Node::poll);
    cluster.settle();
    assert!(cluster.servers[2].notices.contains(&Notice::Removed));
    // Deleted there, and added again: its catch-up begins before its removal.
    cluster.servers.truncate(2);
    let mut config = Config::new(peer(2), 45);
    config.joining = true;
    cluster.add(config, PeerState::of(&[peer(0), peer(1), peer(2)]));
    cluster.node(0).propose_add_peer(peer(2)).unwrap();
    cluster.advance(5 * SECOND);
    assert_eq!(cluster.servers[2].node.last(), cluster.servers[0].node.last());
    assert_eq!(cluster.node(2).peers(), [peer(0), peer(1), peer(2)]);
    assert!(!cluster.servers[2].notices.contains(&Notice::Removed));
}

#[test]
fn what_a_server_stored_before_it_belonged_does_not_count() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.advance(SECOND);
    for n in [1, 2] {
        cluster.isolate(n);
    }
    cluster.propose(0, "on one server");
    let position = cluster.node(0).last();
    let ack = |cluster: &mut Cluster, from: usize| {
        let response = AppendResponse { position, peer: peer(from), success: true };
        let payload = Bytes::copy_from_slice(&response.encode());
        cluster.input(0, |node, now, out| {
            let none = ReplySubject::NONE;
            node.handle_message(Channel::AppendReply, &payload, none, now, out).unwrap();
        });
    };
    // A stranger's answer has it added; what it stored until then may have been deleted with it.
    ack(&mut cluster, 7);
    cluster.settle();
    assert_eq!(cluster.node(0).peers().len(), 4);
    ack(&mut cluster, 1);
    ack(&mut cluster, 7);
    assert!(cluster.node(0).commit() < position.index);
    ack(&mut cluster, 2);
    assert_eq!(cluster.node(0).commit(), position.index);
}

#[test]
fn a_question_about_terms_is_answered_and_changes_nothing() {
    let mut cluster = Cluster::new(3);
    let question = VoteRequest { term: Term(0), last: Position::ZERO, candidate: peer(1) };
    let payload = Bytes::copy_from_slice(&question.encode());
    let deadline = cluster.node(0).next_deadline();
    let mut out = Effects::default();
    let reply = ReplySubject::new(b"$NRG.R.whoasked").unwrap();
    let now = Mono(SECOND);
    cluster.node(0).handle_message(Channel::Vote, &payload, reply, now, &mut out).unwrap();
    let answer = VoteResponse::decode(&out.send[0].payload).unwrap();
    assert_eq!((answer.term, answer.granted), (Term(0), false));
    assert!(out.persist.is_empty());
    assert_eq!(cluster.node(0).next_deadline(), deadline, "asking must not keep elections away");
}

#[test]
fn an_invited_server_is_caught_up_first_and_then_added_even_if_just_removed() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.advance(SECOND);
    cluster.node(0).propose_remove_peer(peer(2)).unwrap();
    cluster.input(0, Node::poll);
    cluster.settle();
    cluster.servers.truncate(2);
    cluster.advance(SECOND);
    // Nobody is there yet: the group keeps its quorum.
    assert_eq!(cluster.node(0).propose_add_peer(peer(2)), Ok(()));
    cluster.advance(SECOND);
    assert_eq!(cluster.node(0).peers(), [peer(0), peer(1)]);
    let mut config = Config::new(peer(2), 46);
    config.joining = true;
    cluster.add(config, PeerState::of(&[peer(0), peer(1), peer(2)]));
    cluster.advance(3 * SECOND);
    assert_eq!(cluster.node(0).peers().len(), 3);
    assert_eq!(cluster.node(2).quarantine(), None);
}

#[test]
fn nobody_leaves_while_too_few_of_the_rest_follow() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.advance(SECOND);
    cluster.servers[2].down = true;
    cluster.advance(15 * SECOND);
    assert_eq!(cluster.node(0).propose_remove_peer(peer(1)), Err(ProposeError::TooFewLevel));
    assert_eq!(cluster.node(0).propose_remove_peer(peer(0)), Err(ProposeError::TooFewLevel));
    assert_eq!(cluster.node(0).propose_remove_peer(peer(2)), Ok(()));
}

#[test]
fn a_server_outside_the_group_campaigns_only_if_a_shorter_log_asked_for_its_vote() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.add(Config::new(peer(3), 47), PeerState::of(&[peer(0), peer(1), peer(2)]));
    // It follows without being added: a change is under way that nobody else hears of.
    cluster.cut.extend([1, 2].into_iter().flat_map(|n| [(0, n), (n, 0), (3, n), (n, 3)]));
    cluster.node(0).propose_remove_peer(peer(2)).unwrap();
    cluster.input(0, Node::poll);
    cluster.advance(SECOND);
    let last = cluster.node(0).last();
    assert_eq!(cluster.node(3).last(), last);
    cluster.isolate(3);
    cluster.advance(30 * SECOND);
    assert_eq!(cluster.node(3).role(), Role::Follower);
    let shorter = Position::new(last.term, last.index.prev());
    let request = VoteRequest { term: Term(50), last: shorter, candidate: peer(1) };
    let payload = Bytes::copy_from_slice(&request.encode());
    cluster.input(3, |node, now, out| {
        node.handle_message(Channel::Vote, &payload, ReplySubject::NONE, now, out).unwrap();
    });
    cluster.advance(SECOND);
    assert_eq!(cluster.node(3).role(), Role::Candidate);
}

#[test]
fn a_newcomer_that_refuses_a_vote_does_not_hurry_to_lead_itself() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.advance(SECOND);
    let mut config = Config::new(peer(3), 48);
    config.joining = true;
    cluster.cut.push((0, 3));
    cluster.add(config, PeerState::of(&[peer(0), peer(1), peer(2), peer(3)]));
    cluster.advance(2 * SECOND);
    let newcomer = cluster.node(3).quarantine().unwrap();
    assert!(!newcomer.term_unknown() && newcomer.log_lost);
    let last = Position::new(Term(1), LogIndex(1));
    let request = VoteRequest { term: Term(50), last, candidate: peer(9) };
    let payload = Bytes::copy_from_slice(&request.encode());
    cluster.isolate(3);
    cluster.input(3, |node, now, out| {
        node.handle_message(Channel::Vote, &payload, ReplySubject::NONE, now, out).unwrap();
    });
    cluster.advance(SECOND);
    assert_eq!((cluster.node(3).role(), cluster.node(3).term()), (Role::Follower, Term(50)));
}

#[test]
fn a_newcomer_counts_by_the_peers_of_its_log_and_not_by_what_it_was_told() {
    let mut cluster = Cluster::new(3);
    // A leader that commits nothing, so that nobody is added and no peer set takes effect.
    cluster.node(1).set_out_of_resources(true);
    cluster.node(2).set_out_of_resources(true);
    cluster.elect(0);
    let mut config = Config::new(peer(3), 49);
    config.joining = true;
    cluster.add(config, PeerState::of(&[peer(0), peer(1), peer(2), peer(3)]));
    assert_eq!(cluster.node(3).peers().len(), 4);
    cluster.advance(3 * SECOND);
    assert_eq!(cluster.servers[3].node.last(), cluster.servers[0].node.last());
    assert_eq!(cluster.node(3).quarantine(), None);
    assert_eq!(cluster.node(3).commit(), LogIndex(0));
    assert_eq!(cluster.node(3).peers(), [peer(0), peer(1), peer(2)]);
    cluster.isolate(3);
    cluster.advance(30 * SECOND);
    assert_eq!(cluster.node(3).role(), Role::Follower, "no group ever counted it");
}

fn discovering(n: usize, cluster_size: usize) -> PeerState {
    PeerState { cluster_size, ..PeerState::of(&[peer(n)]) }
}

#[test]
fn a_group_whose_members_only_know_themselves_finds_together() {
    for leader in 0..2 {
        let mut cluster = Cluster::with(0, |_, _| {});
        cluster.add(Config::new(peer(0), 1), discovering(0, 2));
        cluster.add(Config::new(peer(1), 2), discovering(1, 2));
        cluster.elect(leader);
        cluster.advance(2 * SECOND);
        // The other one takes over with what the first knew.
        cluster.input(leader, |node, now, out| {
            node.step_down(None, now, out);
        });
        cluster.settle();
        cluster.elect(1 - leader);
        cluster.propose(1 - leader, "agreed");
        assert_eq!(cluster.servers[leader].applied, ["agreed"]);
        assert_eq!(cluster.node(leader).peers(), [peer(0), peer(1)]);
    }
}

#[test]
fn nobody_is_removed_before_every_seat_has_a_name() {
    let mut cluster = Cluster::with(0, |_, _| {});
    cluster.add(Config::new(peer(0), 1), discovering(0, 3));
    cluster.add(Config::new(peer(1), 2), discovering(1, 3));
    cluster.elect(0);
    cluster.advance(2 * SECOND);
    assert_eq!(cluster.node(0).peers(), [peer(0), peer(1)]);
    assert_eq!(cluster.node(0).propose_remove_peer(peer(1)), Err(ProposeError::Undiscovered));
    cluster.add(Config::new(peer(2), 3), discovering(2, 3));
    cluster.advance(2 * SECOND);
    assert_eq!(cluster.node(0).propose_remove_peer(peer(1)), Ok(()));
}

#[test]
fn a_leader_that_nobody_named_counts_and_names_itself() {
    let mut cluster = Cluster::with(0, |_, _| {});
    cluster.add(Config::new(peer(0), 1), discovering(0, 2));
    // It heard of the other one only, as a leader's first peer set that never committed tells it.
    cluster.add(Config::new(peer(1), 2), discovering(0, 2));
    cluster.elect(1);
    cluster.propose(1, "alone in nobody's list");
    assert_eq!(cluster.servers[0].applied, ["alone in nobody's list"]);
    assert_eq!(cluster.node(0).peers(), [peer(0), peer(1)]);
}

// Contract: RAFT-016
#[test]
fn an_unknown_server_that_follows_is_added_but_a_removed_one_is_not() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    let mut config = Config::new(peer(3), 44);
    config.joining = true;
    cluster.add(config, PeerState::of(&[peer(0), peer(1), peer(2), peer(3)]));
    cluster.advance(5 * SECOND);
    assert_eq!(cluster.node(0).peers().len(), 4);
    assert_eq!(cluster.node(3).quarantine(), None, "trusted once level");
    cluster.node(0).propose_remove_peer(peer(3)).unwrap();
    cluster.advance(5 * SECOND);
    assert_eq!(cluster.node(0).peers().len(), 3);
    cluster.advance(200 * SECOND);
    assert_eq!(cluster.node(0).peers().len(), 3);
    cluster.advance(110 * SECOND);
    assert_eq!(cluster.node(0).peers().len(), 4, "taken back after five minutes");
}

// Contract: RAFT-017
#[test]
fn a_follower_whose_applies_lag_leaves_replication_until_they_catch_up() {
    let tune = |_: usize, config: &mut Config| {
        (config.limits.pause_quorum, config.limits.resume_quorum) = (10, 3);
    };
    let mut cluster = Cluster::with(3, tune);
    cluster.elect(0);
    cluster.servers[1].stuck = true;
    for n in 0..20 {
        cluster.propose(0, &format!("{n}"));
    }
    cluster.advance(SECOND);
    assert!(cluster.servers[1].notices.contains(&Notice::QuorumPaused(true)));
    let stored = cluster.node(1).last().index;
    cluster.propose(0, "not taken");
    assert_eq!(cluster.node(1).last().index, stored);
    cluster.servers[1].stuck = false;
    let commit = cluster.node(1).commit();
    cluster.input(1, |node, now, out| {
        node.processed(commit, commit, now, out);
    });
    cluster.advance(3 * SECOND);
    assert!(cluster.servers[1].notices.contains(&Notice::QuorumPaused(false)));
    assert_eq!(cluster.servers[1].node.last(), cluster.servers[0].node.last());
}

// Contract: RAFT-018
#[test]
fn an_overrun_leader_steps_down_without_a_successor() {
    let tune = |_: usize, config: &mut Config| config.limits.pause_quorum = 10;
    let mut cluster = Cluster::with(3, tune);
    cluster.elect(0);
    cluster.isolate(0);
    for n in 0..11 {
        cluster.propose(0, &format!("{n}"));
    }
    let refused = cluster.node(0).propose(Bytes::from_static(b"one too many"));
    assert_eq!(refused, Err(ProposeError::Overrun));
    cluster.sent.clear();
    cluster.input(0, Node::poll);
    assert_eq!(cluster.node(0).role(), Role::Follower);
    assert!(cluster.sent.is_empty());
}

// Contract: RAFT-019
#[test]
fn an_observer_never_campaigns_but_stores_and_votes() {
    let mut cluster = Cluster::with(3, |n, config| config.observer = n == 2);
    cluster.elect(0);
    cluster.propose(0, "a");
    assert_eq!(cluster.servers[2].applied, ["a"]);
    cluster.servers[1].down = true;
    cluster.propose(0, "b");
    assert_eq!(cluster.servers[0].applied, ["a", "b"], "an observer's copy counts");
    cluster.servers[0].down = true;
    cluster.advance(60 * SECOND);
    assert_eq!(cluster.node(2).role(), Role::Follower);
    cluster.input(2, |node, now, _| node.set_observer(false, now));
    cluster.advance(10 * SECOND);
    assert_eq!(cluster.node(2).role(), Role::Candidate);
}

// Contract: RAFT-020
#[test]
fn a_new_member_of_a_grown_group_campaigns_only_once_it_holds_something() {
    let mut cluster = Cluster::with(3, |_, config| config.scale_up = true);
    cluster.advance(60 * SECOND);
    assert_eq!(cluster.leader(), None);
    cluster.elect(1);
    assert!(!cluster.node(0).is_observer());
}

// Contract: RAFT-023
#[test]
fn only_a_leader_that_has_caught_up_takes_forwarded_proposals() {
    let mut cluster = Cluster::new(3);
    cluster.servers[0].stuck = true;
    cluster.elect(0);
    let forward = |cluster: &mut Cluster, n: usize| {
        cluster.input(n, |node, now, out| {
            let payload = Bytes::from_static(b"forwarded");
            let reply = ReplySubject::new(b"_INBOX.x").unwrap();
            node.handle_message(Channel::Proposal, &payload, reply, now, out).unwrap();
        });
        cluster.settle();
    };
    let last = cluster.node(0).last();
    forward(&mut cluster, 0);
    forward(&mut cluster, 1);
    assert_eq!(cluster.node(0).last(), last);
    cluster.servers[0].stuck = false;
    cluster.input(0, |node, now, out| {
        node.processed(LogIndex(1), LogIndex(1), now, out);
    });
    forward(&mut cluster, 0);
    assert_eq!(cluster.servers[1].applied, ["forwarded"]);
    assert!(
        cluster.sent.iter().any(|(from, name, b)| *from == 0 && name == "reply" && b.is_empty())
    );
}

// Contract: RAFT-024
#[test]
fn followers_hear_of_a_commit_at_once_unless_the_next_entry_tells_them() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.sent.clear();
    cluster.propose(0, "a");
    let sent = sent_entries(&cluster, 0);
    assert_eq!(sent.iter().map(AppendEntry::stores).collect::<Vec<_>>(), [true, false]);
    assert_eq!(sent[1].commit, sent[0].end().index);
    assert_eq!(cluster.servers[2].applied, ["a"]);
}

#[test]
fn forgeries_and_strangers_change_nothing() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    let before: Vec<_> = (0..3).map(|n| cluster.servers[n].node.status(Mono(0))).collect();
    let huge = LogIndex(u64::MAX >> 1);
    let stranger = peer(9);
    let term = Term(1);
    let ack = |position, peer| AppendResponse { position, peer, success: true }.encode().to_vec();
    let mut append = sent_entries(&cluster, 0)[0].clone();
    (append.leader, append.term) = (stranger, Term(0));
    append.prev = Position::ZERO;
    let mut twin = append.clone();
    (twin.term, twin.prev) = (term, Position::new(term, LogIndex(2)));
    let forged: Vec<(Channel, Vec<u8>)> = vec![
        (Channel::AppendReply, ack(Position::new(term, huge), stranger)),
        (Channel::AppendReply, ack(Position::new(term, huge), peer(1))),
        (Channel::AppendReply, ack(Position::new(Term(0), LogIndex(2)), peer(1))),
        (Channel::Append, append.encode()),
        (Channel::Append, twin.encode()),
        (
            Channel::Vote,
            VoteRequest { term: Term(0), last: Position::new(term, huge), candidate: stranger }
                .encode()
                .to_vec(),
        ),
        (Channel::RemovePeer, stranger.0.to_vec()),
    ];
    for (channel, payload) in forged {
        for n in 0..3 {
            let mut out = Effects::default();
            let payload = Bytes::from(payload.clone());
            let now = Mono(cluster.now);
            let node = cluster.node(n);
            let _ = node.handle_message(channel, &payload, ReplySubject::NONE, now, &mut out);
            assert!(out.persist.is_empty() && out.apply.is_empty(), "{channel:?} at {n}");
        }
    }
    let after: Vec<_> = (0..3).map(|n| cluster.servers[n].node.status(Mono(0))).collect();
    for (mut was, mut is) in before.into_iter().zip(after) {
        for status in [&mut was, &mut is] {
            status.peers.iter_mut().for_each(|p| p.contact = None);
        }
        assert_eq!(was, is);
    }
}
