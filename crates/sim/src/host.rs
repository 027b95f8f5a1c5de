//! One server: its disk, its clock, its process with one node, and the driver between them.
//!
//! Laws: the driver follows the order in `raft::Effects`: writes in ticket order, messages at once,
//!       applies in order. It interprets nothing.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::{Apply, Inbox, LogIndex, Node, PeerId};
use stdx::time::Mono;

use crate::disk::Disk;
use crate::machine::Register;
use crate::planted::Planted;

/// A running process.
#[derive(Clone, Debug)]
pub struct Process {
    /// The node.
    pub node: Node<Planted>,
    /// The layer above.
    pub register: Register,
    /// The catch-up inbox listened to.
    pub catchup: Option<Inbox>,
    /// Applies not yet carried out, when applying is slow.
    pub backlog: VecDeque<Apply>,
    /// An apply event is scheduled.
    pub applying: bool,
    /// The earliest scheduled tick, in world time.
    pub tick_at: u64,
    /// Commit when last checked.
    pub seen_commit: LogIndex,
    /// Client operations proposed here and not yet applied: id and floor.
    pub waiting: Vec<(u64, LogIndex)>,
}

/// What a stopped process knew of its group.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// The peers its log told, effective at once.
    pub peers: Vec<PeerId>,
    /// The size it counted quorums against.
    pub size: usize,
    /// It did not vouch for its past.
    pub quarantined: bool,
}

impl Left {
    /// What `node` knows.
    pub fn of(node: &Node<Planted>) -> Self {
        Self {
            peers: node.peers().to_vec(),
            size: node.cluster_size(),
            quarantined: node.quarantine().is_some(),
        }
    }
}

/// One server.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its node id.
    pub id: PeerId,
    /// Its disk.
    pub disk: Disk,
    /// Its process, if it runs and hosts the group.
    pub process: Option<Process>,
    /// Grows with every start.
    pub incarnation: u32,
    /// The group was created here.
    pub created: bool,
    /// Deleted while its addition may have been on its way.
    pub withdrawn: bool,
    /// Created by an addition: campaign only once the log holds something.
    pub joining: bool,
    /// Its disk was wiped: it is known to have been a member before.
    pub wiped: bool,
    /// Its state may lack promises it made, and it has not been seen to recover.
    pub suspect: bool,
    /// What the layer above says about the members: what it created the replica with, and later news.
    pub told: Bytes,
    /// What the last process knew when it stopped.
    pub left: Left,
    /// Not scheduled before this time.
    pub paused_until: u64,
    /// Disk slowness factor.
    pub disk_factor: u64,
    /// Writes fail.
    pub full: bool,
    /// Delay of applying, zero for at once.
    pub apply_delay: u64,
    /// Local clock: base in local time, base in world time, rate per mille.
    pub clock: (u64, u64, u64),
}

impl Host {
    /// A server that does not run yet.
    pub fn new(id: PeerId, disk: Disk, told: Bytes) -> Self {
        Self {
            id,
            disk,
            process: None,
            incarnation: 0,
            created: false,
            withdrawn: false,
            joining: false,
            wiped: false,
            suspect: false,
            told,
            left: Left::default(),
            paused_until: 0,
            disk_factor: 1,
            full: false,
            apply_delay: 0,
            clock: (1_000_000_000, 0, 1000),
        }
    }

    /// World time as this server's clock shows it.
    pub fn local(&self, now: u64) -> Mono {
        let (local, world, rate) = self.clock;
        Mono(local + (now - world) * rate / 1000)
    }

    /// When this server's clock will show `local`, in world time.
    pub fn world(&self, local: Mono) -> u64 {
        let (base, world, rate) = self.clock;
        let ahead = local.0.saturating_sub(base);
        if ahead > u64::MAX / 2000 { u64::MAX } else { world + ahead * 1000 / rate + 1 }
    }

    /// Changes how fast the clock runs.
    pub fn set_rate(&mut self, now: u64, rate: u64) {
        self.clock = (self.local(now).0, now, rate);
    }

    /// What it knows of its group, or knew when it stopped.
    pub fn knows(&self) -> Left {
        self.node().map_or_else(|| self.left.clone(), Left::of)
    }

    /// The node, if it runs.
    pub fn node(&self) -> Option<&Node<Planted>> {
        self.process.as_ref().map(|p| &p.node)
    }
}
