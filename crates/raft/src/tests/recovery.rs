//! What a node makes of its files after a crash, damage included.

use bytes::Bytes;
use stdx::time::Mono;

use super::cluster::{Cluster, SECOND, peer};
use crate::codec::append::{AppendEntry, AppendResponse, Entries, Entry, EntryKind};
use crate::codec::peers::PeerState;
use crate::codec::subject::ReplySubject;
use crate::config::Config;
use crate::effects::{Effects, Notice, Write};
use crate::id::{LogIndex, Position, Term};
use crate::mutation::Sound;
use crate::node::recover::{Found, RecoverError, Recovery};
use crate::node::{Channel, Node, Role, SnapshotError};

fn three_with_entries() -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    for text in ["a", "b", "c"] {
        cluster.propose(0, text);
    }
    cluster
}

fn config(n: usize) -> Config {
    Config::new(peer(n), 1000 + n as u64)
}

#[test]
fn an_orderly_restart_forgets_nothing_and_needs_nobody() {
    let mut cluster = three_with_entries();
    cluster.servers[0].down = true;
    cluster.restart(1, config(1), |_, _| {});
    assert_eq!(cluster.node(1).quarantine(), None);
    assert_eq!(cluster.node(1).last().index, LogIndex(4));
    assert_eq!(cluster.node(1).term(), Term(1));
    assert_eq!(cluster.servers[1].applied, ["a", "b"], "what stored entries say is committed");
    cluster.advance(20 * SECOND);
    assert!(cluster.leader().is_some());
}

// Contract: RAFT-021
#[test]
fn the_log_ends_at_the_first_bad_record_and_heals_from_the_leader() {
    let mut cluster = three_with_entries();
    cluster.restart(1, config(1), |found, log| {
        log.insert(3, Bytes::from_static(b"garbage"));
        found.log_lost = false;
    });
    assert!(cluster.servers[1].notices.contains(&Notice::Quarantined(true)));
    assert_eq!(cluster.node(1).last().index, LogIndex(2));
    assert_eq!(cluster.servers[1].log.len(), 2, "the store is cut back too");
    cluster.advance(5 * SECOND);
    assert_eq!(cluster.servers[1].applied, ["a", "b", "c"]);
    assert_eq!(cluster.node(1).quarantine(), None);
}

#[test]
fn a_damaged_log_makes_no_leader() {
    let mut cluster = three_with_entries();
    // Server 2 never saw the last entries; server 1 lost them.
    let mut cut = Cluster::new(3);
    cut.elect(0);
    cut.isolate(2);
    cut.propose(0, "only 0 and 1 have this");
    cut.restart(1, config(1), |found, log| {
        log.remove(&2);
        found.log_lost = true;
    });
    cut.servers[0].down = true;
    cut.cut.clear();
    cut.advance(60 * SECOND);
    assert_eq!(cut.leader(), None, "the entry lives only on server 0");
    cut.servers[0].down = false;
    cut.advance(30 * SECOND);
    assert_eq!(cut.servers[1].applied, ["only 0 and 1 have this"]);
    cluster.advance(SECOND);
}

#[test]
fn a_truncated_log_is_noticed_by_what_the_vote_copy_remembers() {
    let mut cluster = three_with_entries();
    cluster.input(0, |node, now, out| {
        node.step_down(Some(peer(1)), now, out);
    });
    cluster.settle();
    cluster.advance(SECOND);
    assert_eq!(cluster.leader(), Some(1));
    cluster.restart(2, config(2), |_, log| log.retain(|&i, _| i <= 2));
    assert!(cluster.servers[2].notices.contains(&Notice::Quarantined(true)));
}

#[test]
fn a_log_cut_at_a_record_is_noticed_by_what_log_end_remembers() {
    for keep in 0..4 {
        let mut cluster = three_with_entries();
        // Nobody has voted since the first entry: `tav.sum` knows nothing of the log.
        assert_eq!(cluster.servers[1].guard.unwrap().log, Position::ZERO);
        cluster.restart(1, config(1), |_, log| log.retain(|&i, _| i <= keep));
        assert!(cluster.node(1).quarantine().is_some_and(|q| q.log_lost), "{keep} of 4 records");
        cluster.advance(5 * SECOND);
        assert_eq!(cluster.node(1).quarantine(), None);
        // What it remembered is not held against it once it is trusted again.
        cluster.restart(1, config(1), |_, _| {});
        assert_eq!(cluster.node(1).quarantine(), None);
    }
}

#[test]
fn an_older_or_unreadable_log_end_raises_no_alarm() {
    let mut cluster = three_with_entries();
    let older = cluster.servers[1].end;
    cluster.propose(0, "d");
    assert!(cluster.servers[1].end > older, "each durable entry is noted");
    cluster.servers[1].end = older;
    cluster.restart(1, config(1), |_, _| {});
    assert_eq!(cluster.node(1).quarantine(), None);
    cluster.restart(1, config(1), |found, _| found.log_end = Some(Bytes::from_static(b"torn")));
    assert_eq!(cluster.node(1).quarantine(), None);
    // A `tav.sum` that is gone may have said that the log is not to be trusted.
    cluster.restart(1, config(1), |found, _| found.vote_guard = None);
    assert!(cluster.node(1).quarantine().is_some_and(|q| q.log_lost));
}

#[test]
fn a_folder_of_the_reference_gets_our_files_in_the_right_order() {
    let mut cluster = three_with_entries();
    cluster.restart(1, config(1), |found, _| (found.vote_guard, found.log_end) = (None, None));
    assert_eq!(cluster.node(1).quarantine(), None);
    // Whatever of ours was written, another start finds nothing amiss.
    let server = &mut cluster.servers[1];
    assert_eq!(server.guard.unwrap().voted.term, Term(1));
    let found = Found {
        term_vote: server.guard.map(|guard| guard.voted.encode().into()),
        peers: Some(server.peers.encode().into()),
        ..Found::default()
    };
    let mut recovery = Recovery::new(config(1), Sound, &super::cluster::sum(), &found);
    for (&index, record) in &server.log {
        recovery.record(LogIndex(index), record);
    }
    let mut out = Effects::default();
    let mut node = recovery.finish(Mono(0), &mut out).unwrap();
    assert!(out.reached.is_none(), "`log.end` waits for `tav.sum`");
    let Some(written) = out.persist.iter().find(|p| matches!(p.write, Write::TermVote(_))) else {
        panic!("no `tav.sum`");
    };
    let ticket = written.ticket;
    node.handle_durable(ticket, Mono(1), &mut out);
    assert_eq!(out.reached.unwrap().end, node.last());
}

#[test]
fn one_damaged_vote_file_is_restored_from_its_copy() {
    let mut cluster = three_with_entries();
    cluster.restart(1, config(1), |found, _| found.term_vote = Some(Bytes::from_static(b"?")));
    assert_eq!((cluster.node(1).term(), cluster.node(1).quarantine()), (Term(1), None));
}

#[test]
fn without_any_vote_file_a_node_asks_everybody_before_it_votes() {
    let mut cluster = three_with_entries();
    cluster.servers[2].down = true;
    cluster.restart(1, config(1), |found, _| {
        (found.term_vote, found.vote_guard) = (None, None);
    });
    cluster.advance(3 * SECOND);
    assert!(cluster.node(1).quarantine().unwrap().vote_lost);
    cluster.servers[0].down = true;
    cluster.advance(30 * SECOND);
    assert_eq!(cluster.node(1).role(), Role::Follower);
    cluster.servers[0].down = false;
    cluster.servers[2].down = false;
    cluster.advance(30 * SECOND);
    assert_eq!(cluster.node(1).quarantine(), None);
    assert!(cluster.leader().is_some());
}

#[test]
fn a_damaged_snapshot_is_replaced_by_the_leaders() {
    let mut cluster = three_with_entries();
    for n in 0..2 {
        let checkpoint = cluster.node(n).create_checkpoint(false).unwrap();
        cluster.input(n, |node, now, out| {
            node.install_snapshot(checkpoint, Bytes::from_static(b"abc"), now, out).unwrap();
        });
    }
    cluster.restart(1, config(1), |found, _| {
        let mut bytes = found.snapshot.take().unwrap().to_vec();
        bytes[30] ^= 4;
        found.snapshot = Some(bytes.into());
    });
    assert!(cluster.servers[1].notices.contains(&Notice::Quarantined(true)));
    cluster.advance(5 * SECOND);
    assert_eq!(cluster.servers[1].applied, ["abc"]);
    assert_eq!(cluster.node(1).quarantine(), None);
}

// Contract: RAFT-022
#[test]
fn a_memory_log_starts_over_without_its_snapshot() {
    let mut cluster = three_with_entries();
    let checkpoint = cluster.node(1).create_checkpoint(false).unwrap();
    cluster.input(1, |node, now, out| {
        node.install_snapshot(checkpoint, Bytes::from_static(b"abc"), now, out).unwrap();
    });
    let mut memory = config(1);
    memory.memory_log = true;
    cluster.restart(1, memory, |_, log| log.clear());
    assert_eq!(cluster.servers[1].node.base().index, LogIndex(0));
    assert!(cluster.servers[1].notices.contains(&Notice::Quarantined(true)));
    cluster.advance(5 * SECOND);
    assert_eq!(cluster.servers[1].applied, ["a", "b", "c"]);
}

#[test]
fn without_peers_there_is_no_group() {
    let sum = super::cluster::sum();
    let found = Found { peers: Some(Bytes::from_static(b"short")), ..Found::default() };
    let start = |found: &Found| {
        let recovery = Recovery::new(config(0), Sound, &sum, found);
        recovery.finish(Mono(0), &mut Effects::default()).map(|node| node.peers().to_vec())
    };
    assert_eq!(start(&found), Err(RecoverError::PeersLost));
    let whole = PeerState::of(&[peer(0)]).encode();
    let found = Found { peers: Some(whole.into()), ..Found::default() };
    assert_eq!(start(&found), Ok(vec![peer(0)]));
}

#[test]
fn the_log_knows_the_peers_better_than_an_unchecked_file() {
    let mut cluster = three_with_entries();
    let everybody = [peer(0), peer(1), peer(2)];
    let ghost = PeerState::of(&[peer(0), peer(1), peer(9)]).encode();
    let seat_lost = PeerState { cluster_size: 3, ..PeerState::of(&[peer(1)]) }.encode();
    for damaged in [ghost, seat_lost, b"short".to_vec()] {
        cluster.restart(1, config(1), |found, _| found.peers = Some(damaged.into()));
        assert_eq!(cluster.node(1).peers(), everybody);
        assert_eq!((cluster.node(1).cluster_size(), cluster.node(1).quarantine()), (3, None));
    }
}

#[test]
fn a_crash_right_after_the_log_was_cut_back_costs_no_trust() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "both");
    cluster.isolate(0);
    for text in ["lost1", "lost2", "lost3"] {
        cluster.propose(0, text);
    }
    // Its next campaign writes down how far the log reaches.
    while cluster.servers[0].guard.unwrap().log.index != LogIndex(5) {
        cluster.advance(SECOND);
    }
    let mut contradiction = AppendEntry {
        leader: peer(1),
        term: Term(99),
        commit: LogIndex(2),
        prev: Position::new(Term(1), LogIndex(2)),
        entries: Entries::new(),
        leader_term: Term(0),
    };
    contradiction.entries.push(Entry::new(EntryKind::Normal, Bytes::from_static(b"won")));
    let mut out = Effects::default();
    let (payload, now) = (Bytes::from(contradiction.encode()), Mono(cluster.now));
    let node = cluster.node(0);
    node.handle_message(Channel::Append, &payload, ReplySubject::NONE, now, &mut out).unwrap();
    // Whatever a crash leaves of these writes, `tav.sum` never remembers more than the log holds.
    let (mut remembered, mut held) = (LogIndex(5), LogIndex(5));
    let mut cut = false;
    for persist in &out.persist {
        match persist.write {
            Write::TermVote(guard) => remembered = guard.log.index,
            Write::Truncate { last } => (held, cut) = (last, true),
            Write::Append { index, .. } => held = index,
            _ => {}
        }
        assert!(remembered <= held, "{:?}", out.persist);
    }
    assert!(cut);
}

#[test]
fn a_crash_after_a_snapshot_replaced_a_log_of_a_later_term_costs_no_trust() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.isolate(0);
    cluster.propose(0, "b");
    // Server 2 leads a later term, but nobody stores what it sends.
    cluster.node(1).set_out_of_resources(true);
    cluster.elect(2);
    cluster.isolate(2);
    while cluster.servers[2].guard.unwrap().log.term < Term(2) {
        cluster.advance(SECOND);
    }
    // Server 0 leads again, and "b" is committed after all.
    cluster.node(1).set_out_of_resources(false);
    cluster.cut.retain(|&(from, to)| from == 2 || to == 2);
    cluster.servers[0].stuck = true;
    while cluster.leader() != Some(0) || cluster.node(0).commit() < LogIndex(4) {
        if cluster.node(0).role() != Role::Leader {
            cluster.input(0, |node, now, _| node.campaign_immediately(now));
        }
        cluster.advance(SECOND);
    }
    let (b, commit) = (LogIndex(3), cluster.node(0).commit());
    cluster.input(0, |node, now, out| {
        node.processed(b, b, now, out);
    });
    let checkpoint = cluster.node(0).create_checkpoint(false).unwrap();
    assert_eq!(checkpoint.position, Position::new(Term(1), b));
    cluster.input(0, |node, now, out| {
        node.install_snapshot(checkpoint, Bytes::from_static(b"ab"), now, out).unwrap();
        node.processed(commit, commit, now, out);
    });
    cluster.servers[0].stuck = false;
    let longer = cluster.node(2).last();
    cluster.cut.clear();
    while !cluster.servers[2].applied.contains(&"ab".to_owned()) {
        cluster.advance(SECOND / 100);
    }
    cluster.restart(2, config(2), |_, log| log.clear());
    assert!(cluster.node(2).base() < longer);
    assert_eq!(cluster.node(2).quarantine(), None);
}

#[test]
fn a_leader_that_cannot_read_what_nobody_else_has_lets_go_of_it() {
    let tune = |_: usize, config: &mut Config| config.limits.cached_entries = 3;
    let mut cluster = Cluster::with(3, tune);
    cluster.elect(0);
    cluster.isolate(0);
    for n in 0..10 {
        cluster.propose(0, &format!("{n}"));
    }
    cluster.servers[0].log.insert(5, Bytes::from_static(b"rotten"));
    cluster.cut.clear();
    cluster.advance(SECOND);
    assert!(cluster.servers[0].notices.contains(&Notice::Quarantined(true)));
    cluster.advance(30 * SECOND);
    let leader = cluster.leader().unwrap();
    cluster.propose(leader, "goes on");
    for server in &cluster.servers {
        assert_eq!(server.applied.last().map(String::as_str), Some("goes on"));
        assert_eq!(server.node.quarantine(), None);
    }
}

#[test]
fn a_read_that_nobody_needs_any_more_may_fail() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.isolate(1);
    for _ in 0..100 {
        cluster.propose(0, "x");
    }
    // A peer asks for what is no longer in memory, and shows that it has it before it is read.
    let to = ReplySubject::new(b"$NRG.CR.whoasked").unwrap();
    let position = |index| Position::new(Term(1), LogIndex(index));
    let ask = AppendResponse { position: position(1), peer: peer(1), success: false };
    let mut stream = Effects::default();
    cluster.isolate(2);
    cluster.node(0).propose(Bytes::from_static(b"last")).unwrap();
    cluster.input(0, Node::poll);
    let now = Mono(cluster.now);
    let leader = cluster.node(0);
    let (last, commit) = (leader.last().index.0, leader.commit().0);
    assert!(last > commit);
    let tell = |leader: &mut Node, response: AppendResponse, out: &mut Effects| {
        let bytes = Bytes::copy_from_slice(&response.encode());
        leader.handle_message(Channel::AppendReply, &bytes, to, now, out).unwrap();
    };
    tell(leader, ask, &mut stream);
    let read = stream.read[0].id;
    let ack = AppendResponse { position: position(commit), peer: peer(1), success: true };
    tell(leader, ack, &mut Effects::default());
    leader.handle_entries_read(read, None, now, &mut Effects::default());
    assert_eq!((leader.role(), leader.quarantine()), (Role::Leader, None));
    assert_eq!(leader.last().index.0, last);
}

#[test]
fn a_leader_that_cannot_read_what_it_applied_asks_for_a_snapshot() {
    let tune = |_: usize, config: &mut Config| config.limits.cached_entries = 3;
    let mut cluster = Cluster::with(3, tune);
    cluster.elect(0);
    cluster.isolate(2);
    for n in 0..10 {
        cluster.propose(0, &format!("{n}"));
    }
    cluster.servers[0].log.insert(5, Bytes::from_static(b"rotten"));
    cluster.cut.clear();
    cluster.advance(2 * SECOND);
    assert!(cluster.servers[0].notices.contains(&Notice::SnapshotNeeded));
    assert_eq!(cluster.node(0).quarantine(), None);
    let checkpoint = cluster.node(0).create_checkpoint(true).unwrap();
    cluster.input(0, |node, now, out| {
        node.install_snapshot(checkpoint, Bytes::from_static(b"all"), now, out).unwrap();
    });
    // An unreadable snapshot is replaced by another of the same entries.
    let again = cluster.node(0).create_checkpoint(true).unwrap();
    assert_eq!(again.position, cluster.node(0).base());
    cluster.input(0, |node, now, out| {
        node.install_snapshot(again, Bytes::from_static(b"all"), now, out).unwrap();
    });
    assert_eq!(cluster.node(0).create_checkpoint(false), Err(SnapshotError::NothingApplied));
}
