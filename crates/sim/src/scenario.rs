//! Stories from users and from the literature, told as scripts on quiet clusters.
//!
//! Laws: every scenario ends with liveness; a planted bug may turn one into its finder.
//! Sources: Jepsen's analysis of the reference at 2.12.1 and the damage reproduced on 2.14.5
//! (users' findings), Ongaro's erratum on single-server membership changes.

use raft::{Bug, Node, PeerId};

use crate::check::Checked;
use crate::disk::{Crash, Damage};
use crate::plan::{MS, Plan};
use crate::world::World;

/// One story.
pub type Story = fn(Option<Bug>) -> Checked;

/// Every story by name.
pub const STORIES: &[(&str, Story)] = &[
    ("ack_before_fsync_and_power_failure", ack_before_fsync_and_power_failure),
    ("one_power_failure_and_a_partition", one_power_failure_and_a_partition),
    ("flipped_bit_in_a_minority_log", flipped_bit_in_a_minority_log),
    ("truncated_log_must_not_lead", truncated_log_must_not_lead),
    ("flipped_bit_in_a_snapshot", flipped_bit_in_a_snapshot),
    ("kill_all_and_restart", kill_all_and_restart),
    ("membership_change_kill_and_partition", membership_change_kill_and_partition),
    ("stale_members_and_a_wiped_one", stale_members_and_a_wiped_one),
    ("change_before_the_noop", change_before_the_noop),
];

fn world(
    members: usize,
    spares: usize,
    sync: bool,
    bug: Option<Bug>,
) -> Result<World, crate::check::Violation> {
    let mut world = World::new(6, Plan::quiet(members, spares, sync), bug, false);
    world.boot()?;
    world.run_until(2000 * MS)?;
    Ok(world)
}

fn wait(world: &mut World, millis: u64) -> Checked {
    world.run_until(world.now + millis * MS)
}

fn leads(world: &World) -> Option<usize> {
    world.leader().filter(|&s| world.hosts[s].node().is_some_and(Node::is_leading))
}

fn only(world: &mut World, side: &[usize]) {
    world.net.split(side.iter().fold(0, |set, s| set | 1 << s));
}

fn finish(mut world: World) -> Checked {
    world.calm_down()?;
    world.check_liveness()
}

/// nats-server#7564: acknowledged before synced, then one machine loses power.
fn ack_before_fsync_and_power_failure(bug: Option<Bug>) -> Checked {
    let mut world = world(3, 0, false, bug)?;
    for round in 0..6 {
        wait(&mut world, 700)?;
        let victim = if round % 2 == 0 { leads(&world) } else { Some(round % 3) };
        let Some(victim) = victim.filter(|&v| world.may_lose(v)) else { continue };
        world.stop(victim, Crash::Power);
        wait(&mut world, 100)?;
        world.start(victim)?;
    }
    finish(world)
}

/// nats-server#7567: one power failure, and then only the loser and a stale member see each other.
fn one_power_failure_and_a_partition(bug: Option<Bug>) -> Checked {
    // How much a power failure takes is a matter of chance.
    for extra in 0..8 {
        let mut world = world(3, 0, false, bug)?;
        wait(&mut world, extra * 37)?;
        let Some(leader) = leads(&world) else { return world.expect(false, "a leader") };
        let (loser, stale) = ((leader + 1) % 3, (leader + 2) % 3);
        only(&mut world, &[stale]);
        wait(&mut world, 900)?;
        world.stop(loser, Crash::Power);
        world.net.heal();
        only(&mut world, &[leader]);
        world.start(loser)?;
        wait(&mut world, 8000)?;
        finish(world)?;
    }
    Ok(())
}

/// nats-server#7549: a flipped bit in the log of a minority, which would then lead.
fn flipped_bit_in_a_minority_log(bug: Option<Bug>) -> Checked {
    damaged_member(Damage::Log, bug)
}

/// nats-server#7556: a flipped bit in a snapshot must neither stop the server nor lose anything.
fn flipped_bit_in_a_snapshot(bug: Option<Bug>) -> Checked {
    damaged_member(Damage::Snapshot, bug)
}

fn damaged_member(what: Damage, bug: Option<Bug>) -> Checked {
    for victim in 0..3 {
        let mut world = world(3, 0, true, bug)?;
        world.snapshot(victim, true)?;
        wait(&mut world, 500)?;
        world.stop(victim, Crash::Kill);
        world.damage_at_rest(victim, what);
        // Only the damaged server and one other remain.
        let other = (victim + 1) % 3;
        only(&mut world, &[victim, other]);
        world.start(victim)?;
        wait(&mut world, 6000)?;
        finish(world)?;
    }
    Ok(())
}

/// Reproduced on 2.14.5: a truncated store was allowed to lead and served the holes.
fn truncated_log_must_not_lead(bug: Option<Bug>) -> Checked {
    let mut world = world(3, 0, true, bug)?;
    let Some(leader) = leads(&world) else { return world.expect(false, "a leader") };
    let (victim, stale) = ((leader + 1) % 3, (leader + 2) % 3);
    only(&mut world, &[stale]);
    wait(&mut world, 1000)?;
    world.stop(victim, Crash::Kill);
    for _ in 0..8 {
        world.damage_at_rest(victim, Damage::Log);
    }
    only(&mut world, &[leader]);
    world.start(victim)?;
    wait(&mut world, 10_000)?;
    world.expect(leads(&world).is_none_or(|l| l == leader), "a damaged majority elects nobody")?;
    finish(world)
}

/// nats-server#6888: killing everything at once forgets nothing.
fn kill_all_and_restart(bug: Option<Bug>) -> Checked {
    let mut world = world(5, 0, true, bug)?;
    for how in [Crash::Kill, Crash::Power, Crash::Kill] {
        wait(&mut world, 1000)?;
        for server in 0..5 {
            world.stop(server, how);
        }
        wait(&mut world, 200)?;
        for server in [3, 1, 4, 0, 2] {
            world.start(server)?;
            wait(&mut world, 50)?;
        }
    }
    finish(world)
}

/// nats-server#7545: membership changes, kills and partitions together.
fn membership_change_kill_and_partition(bug: Option<Bug>) -> Checked {
    let mut world = world(3, 2, true, bug)?;
    for round in 0..8usize {
        world.add_peer()?;
        wait(&mut world, 40)?;
        if let Some(leader) = world.leader() {
            world.crash(leader, Crash::Power);
        }
        wait(&mut world, 300)?;
        only(&mut world, &[round % 3]);
        world.inject(crate::plan::Fault::RemovePeer)?;
        wait(&mut world, 1500)?;
        world.net.heal();
        wait(&mut world, 2500)?;
    }
    finish(world)
}

/// Found by this simulator: a server is removed, wiped and added again while a stale member still
/// counts it; its fresh vote must not make the stale member leader.
fn stale_members_and_a_wiped_one(bug: Option<Bug>) -> Checked {
    let mut world = world(3, 0, true, bug)?;
    let Some(leader) = leads(&world) else { return world.expect(false, "a leader") };
    let (stale, wiped) = ((leader + 1) % 3, (leader + 2) % 3);
    only(&mut world, &[stale]);
    let remove = |world: &mut World, who: usize| {
        let id: PeerId = world.ids()[who];
        world.input(leader, |node, now, out| {
            let _ = node.propose_remove_peer(id);
            node.poll(now, out);
        })
    };
    wait(&mut world, 500)?;
    remove(&mut world, stale)?;
    wait(&mut world, 500)?;
    remove(&mut world, wiped)?;
    wait(&mut world, 500)?;
    world.retire(wiped);
    world.add_peer()?;
    // The newcomer hears only the stale member.
    only(&mut world, &[leader]);
    wait(&mut world, 10_000)?;
    finish(world)
}

/// Ongaro's erratum: two leaders of different terms remove different members, neither having
/// committed anything in its term before; both smaller groups can then decide on their own.
fn change_before_the_noop(bug: Option<Bug>) -> Checked {
    for extra in 0..20 {
        let mut world = world(4, 0, true, bug)?;
        wait(&mut world, extra * 37)?;
        let Some(first) = leads(&world) else { continue };
        let others: Vec<usize> = (0..4).filter(|&s| s != first).collect();
        let gone = others[2];
        let remove = |world: &mut World, at: usize, who: usize| {
            let id: PeerId = world.ids()[who];
            world.input(at, |node, now, out| {
                let _ = node.propose_remove_peer(id);
                node.poll(now, out);
            })
        };
        // Cut off, the first leader removes one member; nobody hears of it.
        only(&mut world, &[first]);
        remove(&mut world, first, gone)?;
        let mut next = None;
        while next.is_none() && world.now < 8000 * MS {
            world.run_until(world.now + MS / 5)?;
            let leads =
                |&s: &usize| world.hosts[s].node().is_some_and(|n| n.role() == raft::Role::Leader);
            next = others.iter().copied().find(leads);
        }
        let Some(next) = next.filter(|&next| next != gone) else { continue };
        // The next leader removes another at once, reaching only the one the first removed.
        let silent = if next == others[0] { others[1] } else { others[0] };
        only(&mut world, &[first, silent]);
        remove(&mut world, next, silent)?;
        wait(&mut world, 8000)?;
        finish(world)?;
    }
    Ok(())
}
