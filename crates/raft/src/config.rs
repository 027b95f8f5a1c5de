//! What a node is told when it starts: who it is, its timers, its limits.
//!
//! Laws: nothing here reads a clock or the environment; the defaults are NRG's.
//! Reference: raft.go RaftConfig, minElectionTimeoutDefault and its neighbours.

use std::time::Duration;

use crate::id::PeerId;

/// One replica's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// This server's node id.
    pub id: PeerId,
    /// Start of the node's random sequence; different on every start and every server.
    pub seed: u64,
    /// Timers.
    pub timing: Timing,
    /// Limits.
    pub limits: Limits,
    /// Never campaign, but vote and store.
    pub observer: bool,
    /// The group existed before: an empty log means lost state, not a new member.
    pub recovering: bool,
    /// The group has members already and this server was just added to it, perhaps not for the
    /// first time: it may have forgotten promises of an earlier membership.
    pub joining: bool,
    /// With `recovering`: members came or went since the group was created.
    pub changed: bool,
    /// The group is being scaled up: do not campaign before the log holds something.
    pub scale_up: bool,
    /// The log is kept in memory: snapshots found at start are discarded with it.
    pub memory_log: bool,
}

impl Config {
    /// NRG's defaults for `id`.
    pub fn new(id: PeerId, seed: u64) -> Self {
        Self {
            id,
            seed,
            timing: Timing::default(),
            limits: Limits::default(),
            observer: false,
            recovering: false,
            joining: false,
            changed: false,
            scale_up: false,
            memory_log: false,
        }
    }
}

/// NRG's timers.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Shortest silence of a leader before a campaign: 4 s.
    pub election_min: Duration,
    /// Longest: 9 s.
    pub election_max: Duration,
    /// Shortest delay of an early campaign: 100 ms.
    pub campaign_min: Duration,
    /// Longest: 800 ms.
    pub campaign_max: Duration,
    /// Delay of the campaign of a leadership transfer's target: 10 ms.
    pub transfer: Duration,
    /// A leader's heartbeat when idle: 1 s.
    pub heartbeat: Duration,
    /// A leader steps down after hearing from no quorum for this long: 10 s.
    pub lost_quorum: Duration,
    /// How often an observer looks at its election timer: 48 h.
    pub observer: Duration,
    /// A removed peer that keeps answering is taken back after this long: 5 min.
    pub removed_rejoin: Duration,
    /// A catch-up without progress is given up, on both sides: 2 s.
    pub catchup_stall: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            election_min: Duration::from_secs(4),
            election_max: Duration::from_secs(9),
            campaign_min: Duration::from_millis(100),
            campaign_max: Duration::from_millis(800),
            transfer: Duration::from_millis(10),
            heartbeat: Duration::from_secs(1),
            lost_quorum: Duration::from_secs(10),
            observer: Duration::from_secs(48 * 3600),
            removed_rejoin: Duration::from_secs(300),
            catchup_stall: Duration::from_secs(2),
        }
    }
}

/// NRG's limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most entries in one append entry: 512.
    pub batch_entries: usize,
    /// Bytes after which an append entry is full: 256 KiB.
    pub batch_bytes: usize,
    /// Bytes sent to a peer being caught up before it must show progress: 2 MiB.
    pub catchup_window: usize,
    /// Append entries kept in memory until committed: 20,000.
    pub cached_entries: usize,
    /// Applies may lag commits by this many before the node stops taking part: 100,000.
    pub pause_quorum: u64,
    /// ... and takes part again at this many: 10,000.
    pub resume_quorum: u64,
    /// Proposals waiting to be cut into append entries; more are refused: 65,536.
    pub queued_proposals: usize,
    /// Peers outside the group that may be caught up at once: 16.
    pub guests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_entries: 512,
            batch_bytes: 256 * 1024,
            catchup_window: 2 * 1024 * 1024,
            cached_entries: 20_000,
            pause_quorum: 100_000,
            resume_quorum: 10_000,
            queued_proposals: 65_536,
            guests: 16,
        }
    }
}
