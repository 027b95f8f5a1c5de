//! What one seed tests: cluster shape, timers, limits, network, disks, and which faults occur.
//!
//! Laws: everything here is drawn from the seed; each seed enables only some faults, so that rare
//!       combinations are reached that a mix of everything would drown.

use std::time::Duration;

use raft::{Limits, Timing};

use crate::rng::Rng;

/// One millisecond of virtual time, in nanoseconds.
pub const MS: u64 = 1_000_000;

/// One kind of fault or disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Kill a process, restart it later.
    Kill,
    /// Cut a machine's power, restart it later.
    Power,
    /// Cut every machine's power at once.
    Blackout,
    /// Stop scheduling a process for a while.
    Pause,
    /// Split the servers into two sides.
    Split,
    /// Cut single links, in one direction each.
    Cut,
    /// Cut the leader off.
    Isolate,
    /// Undo all cuts.
    Heal,
    /// Make a disk slow for a while.
    SlowDisk,
    /// Fill a disk: writes fail, the node closes.
    FullDisk,
    /// Damage a stopped server's files.
    Damage,
    /// Ask the leader to step down or hand over.
    StepDown,
    /// Add a server.
    AddPeer,
    /// Remove a server.
    RemovePeer,
    /// Take a snapshot somewhere.
    Snapshot,
    /// Deliver old messages again.
    Replay,
    /// Deliver nonsense and forgeries.
    Forge,
    /// Change how fast a clock runs.
    Skew,
    /// Make a server an observer, or a member again.
    Observe,
    /// Pause or resume applying.
    PauseApply,
    /// Make applying slow for a while.
    SlowApply,
    /// Delete the replica of a server that is no member yet.
    Withdraw,
    /// Have two leaders of different terms remove different servers.
    Rivals,
    /// Have a cut-off leader take a snapshot during a membership change.
    HalfChange,
    /// Have a stale member meet one that was removed, wiped and added again.
    Estrange,
    /// Have a stale member meet members that lost the ends of their logs.
    Unsure,
    /// Have a voter forget its vote while nobody else knows the candidate.
    Amnesia,
}

const ALL: &[(Fault, u64)] = &[
    (Fault::Kill, 600),
    (Fault::Power, 500),
    (Fault::Blackout, 150),
    (Fault::Pause, 400),
    (Fault::Split, 500),
    (Fault::Cut, 400),
    (Fault::Isolate, 500),
    (Fault::SlowDisk, 300),
    (Fault::FullDisk, 100),
    (Fault::Damage, 300),
    (Fault::StepDown, 400),
    (Fault::AddPeer, 400),
    (Fault::RemovePeer, 400),
    (Fault::Snapshot, 600),
    (Fault::Replay, 400),
    (Fault::Forge, 300),
    (Fault::Skew, 200),
    (Fault::Observe, 100),
    (Fault::PauseApply, 150),
    (Fault::SlowApply, 200),
    (Fault::Rivals, 250),
    (Fault::Withdraw, 150),
    (Fault::HalfChange, 120),
    (Fault::Estrange, 120),
    (Fault::Unsure, 80),
    (Fault::Amnesia, 150),
];

/// The plan of one seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Servers in the group at the start.
    pub members: usize,
    /// Servers that may join later.
    pub spares: usize,
    /// Members that are known by name at the start; fewer than all means discovery.
    pub named: usize,
    /// Leaders add peers before they have caught up, as the reference's do. Acknowledged data is then
    /// never destroyed: a newcomer that holds nothing is already one loss.
    pub add_at_once: bool,
    /// Log writes are acknowledged only when synced.
    pub sync: bool,
    /// Logs live in memory.
    pub memory_log: bool,
    /// Timers of every node.
    pub timing: Timing,
    /// Limits of every node.
    pub limits: Limits,
    /// Faults that may occur.
    pub faults: Vec<Fault>,
    /// Mean time between faults, in nanoseconds.
    pub fault_every: u64,
    /// How long faults go on.
    pub fault_time: u64,
    /// Mean time between client operations.
    pub op_every: u64,
    /// Shortest and usual longest message delay.
    pub delay: (u64, u64),
    /// Messages of a link may overtake each other.
    pub reorder: bool,
    /// Per mille of messages lost, duplicated, and greatly delayed.
    pub loss: u64,
    /// Per mille duplicated.
    pub duplicate: u64,
    /// Per mille delayed by up to a hundred times.
    pub straggle: u64,
    /// Usual disk latency.
    pub disk: (u64, u64),
    /// Mean time between background syncs when not `sync`.
    pub sync_every: u64,
}

impl Plan {
    /// The plan drawn from `rng`.
    pub fn draw(rng: &mut Rng) -> Self {
        let members = *rng.pick(&[3, 3, 3, 3, 5, 5, 2, 4, 4, 1]).unwrap_or(&3);
        let named = if rng.chance(50) { 1 } else { members };
        // A group still being discovered must not meet more servers than it was declared with.
        let spares = if named == 1 { 0 } else { *rng.pick(&[0, 0, 1, 1, 2]).unwrap_or(&0) };
        let add_at_once = rng.chance(150);
        let sync = rng.chance(650);
        let unit = if rng.chance(900) { 10 } else { 1 };
        let mut faults: Vec<Fault> = Vec::new();
        for &(fault, weight) in ALL {
            if rng.chance(weight) {
                faults.push(fault);
            }
        }
        if rng.chance(30) {
            faults.clear();
        }
        if faults.iter().any(|f| {
            matches!(
                f,
                Fault::Split | Fault::Cut | Fault::Isolate | Fault::Rivals | Fault::HalfChange
            )
        }) {
            faults.extend([Fault::Heal, Fault::Heal]);
        }
        let small = rng.chance(600);
        let slow = 10 / unit;
        if add_at_once {
            let destroys = |fault: &Fault| {
                matches!(fault, Fault::Damage | Fault::Estrange | Fault::Unsure | Fault::Amnesia)
            };
            faults.retain(|fault| !destroys(fault));
        }
        Self {
            members,
            spares,
            named,
            add_at_once,
            sync: sync || add_at_once,
            memory_log: rng.chance(40) && !add_at_once,
            timing: timing(unit as u32),
            limits: limits(rng, small),
            faults,
            fault_every: rng.range(100, 1500) * MS * slow,
            fault_time: rng.range(6, 16) * 1000 * MS * slow,
            op_every: rng.range(20, 200) * MS * slow,
            delay: *rng
                .pick(&[(MS / 5, 2 * MS), (MS, 10 * MS), (MS, 40 * MS)])
                .unwrap_or(&(MS, MS)),
            reorder: rng.chance(250),
            loss: *rng.pick(&[0, 0, 10, 50, 200]).unwrap_or(&0),
            duplicate: *rng.pick(&[0, 0, 10, 100]).unwrap_or(&0),
            straggle: *rng.pick(&[0, 0, 5, 30]).unwrap_or(&0),
            disk: *rng.pick(&[(MS / 10, MS), (MS, 5 * MS), (2 * MS, 60 * MS)]).unwrap_or(&(MS, MS)),
            sync_every: rng.range(200, 4000) * MS,
        }
    }

    /// A quiet cluster of `members`, for scenarios.
    pub fn quiet(members: usize, spares: usize, sync: bool) -> Self {
        Self {
            members,
            spares,
            named: members,
            add_at_once: false,
            sync,
            memory_log: false,
            timing: timing(10),
            limits: Limits::default(),
            faults: Vec::new(),
            fault_every: 1000 * MS,
            fault_time: 0,
            op_every: 50 * MS,
            delay: (MS, 5 * MS),
            reorder: false,
            loss: 0,
            duplicate: 0,
            straggle: 0,
            disk: (MS / 10, MS),
            sync_every: 1000 * MS,
        }
    }
}

/// NRG's timers divided by `unit`, so that virtual seconds hold more elections.
fn timing(unit: u32) -> Timing {
    let full = Timing::default();
    Timing {
        election_min: full.election_min / unit,
        election_max: full.election_max / unit,
        campaign_min: full.campaign_min / unit,
        campaign_max: full.campaign_max / unit,
        transfer: full.transfer,
        heartbeat: full.heartbeat / unit,
        lost_quorum: full.lost_quorum / unit,
        observer: Duration::from_secs(48 * 3600),
        removed_rejoin: full.removed_rejoin / unit,
        catchup_stall: full.catchup_stall / unit,
    }
}

fn limits(rng: &mut Rng, small: bool) -> Limits {
    let full = Limits::default();
    if !small {
        return full;
    }
    Limits {
        batch_entries: rng.range(1, 8) as usize,
        batch_bytes: rng.range(30, 400) as usize,
        catchup_window: rng.range(200, 2000) as usize,
        cached_entries: rng.range(1, 40) as usize,
        pause_quorum: rng.range(20, 60),
        resume_quorum: rng.range(2, 15),
        queued_proposals: rng.range(4, 100) as usize,
        guests: 4,
    }
}
