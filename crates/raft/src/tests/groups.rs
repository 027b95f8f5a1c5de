//! Many groups sharing one timer queue.

use std::time::Duration;

use stdx::time::Mono;

use super::cluster::{peer, sum};
use crate::codec::peers::PeerState;
use crate::config::Config;
use crate::effects::Effects;
use crate::groups::Groups;
use crate::mutation::Sound;
use crate::node::recover::{Found, Recovery};
use crate::node::{Node, Role};

fn single(seed: u64) -> Node {
    let peers = PeerState::of(&[peer(0)]).encode();
    let found = Found { peers: Some(peers.into()), ..Found::default() };
    let recovery = Recovery::new(Config::new(peer(0), seed), Sound, &sum(), &found);
    recovery.finish(Mono(0), &mut Effects::default()).unwrap()
}

/// Runs all groups until `end`; returns wake-ups and node ticks.
fn run(groups: &mut Groups, end: Mono) -> (usize, usize) {
    let (mut wakes, mut ticks) = (0, 0);
    while let Some(at) = groups.next_deadline().filter(|&at| at <= end) {
        wakes += 1;
        let mut done = Vec::new();
        groups.tick(at, |id, effects| {
            ticks += 1;
            done.push((id, effects.persist.last().map(|p| p.ticket)));
        });
        for (id, ticket) in done {
            if let Some(ticket) = ticket {
                let mut out = Effects::default();
                groups.with(id, |node| {
                    node.handle_durable(ticket, at, &mut out);
                    while let Some(last) = out.persist.pop() {
                        out.persist.clear();
                        node.handle_durable(last.ticket, at, &mut out);
                    }
                });
            }
        }
    }
    (wakes, ticks)
}

#[test]
fn neighbours_share_wake_ups_and_nobody_is_forgotten() {
    let mut groups = Groups::new(Duration::from_millis(50));
    let ids: Vec<_> = (0..200).map(|n| groups.insert(single(n))).collect();
    run(&mut groups, Mono(12_000_000_000));
    for &id in &ids {
        assert_eq!(groups.get(id).unwrap().role(), Role::Leader);
    }
    let (wakes, ticks) = run(&mut groups, Mono(22_000_000_000));
    assert!(ticks >= 10 * 200, "every group sends its heartbeat each second: {ticks}");
    assert!(wakes <= 10 * 21, "groups due within a slot share a wake-up: {wakes}");
}

#[test]
fn a_removed_group_is_not_ticked_and_its_slot_is_reused() {
    let mut groups = Groups::new(Duration::from_millis(10));
    let first = groups.insert(single(1));
    assert!(groups.remove(first).is_some());
    assert!(groups.is_empty());
    assert_eq!(groups.insert(single(2)), first);
    run(&mut groups, Mono(12_000_000_000));
    assert_eq!(groups.get(first).unwrap().role(), Role::Leader);
}
