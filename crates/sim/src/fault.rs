//! The nemesis: what goes wrong, and when.
//!
//! Laws: what destroys acknowledged data (damage, wiped disks, power failures of logs that
//!       acknowledge before syncing) hits at most a minority that has not recovered yet; everything
//!       else may hit anybody at any time. Why each limit is one: docs/consensus.md.

use raft::{Node, PeerId, PeerState, Role};

use crate::check::{Checked, broken};
use crate::disk::{Crash, Damage, Disk};
use crate::host::{Host, Left};
use crate::plan::{Fault, MS};
use crate::world::{Event, World};

impl World {
    /// One fault of the plan, and the next one later.
    pub(crate) fn fault(&mut self) -> Checked {
        if !self.active {
            return Ok(());
        }
        let after = self.rng.around(self.plan.fault_every);
        self.schedule(after, Event::Fault);
        let Some(&fault) = self.rng.pick(&self.plan.faults) else { return Ok(()) };
        self.inject(fault)
    }

    /// Makes `fault` happen now, somewhere.
    pub fn inject(&mut self, fault: Fault) -> Checked {
        let server = self.rng.below(self.hosts.len() as u64) as usize;
        self.note(|| format!("fault   {fault:?}"));
        match fault {
            Fault::Kill => self.crash(server, Crash::Kill),
            Fault::Power => self.crash(server, Crash::Power),
            Fault::Blackout => self.blackout(),
            Fault::Pause => {
                let until = self.now + self.rng.around(2000 * MS);
                self.hosts[server].paused_until = until;
            }
            Fault::Split => {
                let side = self.rng.draw();
                self.net.split(side);
            }
            Fault::Cut => {
                for _ in 0..self.rng.range(1, 3) {
                    let from = self.rng.below(self.hosts.len() as u64) as usize;
                    let to = self.rng.below(self.hosts.len() as u64) as usize;
                    self.net.set(from, to, true);
                }
            }
            Fault::Isolate => {
                let alone = self.leader().unwrap_or(server);
                self.net.split(1 << alone);
            }
            Fault::Heal => self.net.heal(),
            Fault::SlowDisk => {
                let factor = *self.rng.pick(&[1, 1, 5, 50, 300]).unwrap_or(&1);
                self.hosts[server].disk_factor = factor;
            }
            Fault::FullDisk => {
                if !self.plan.memory_log && self.hosts[server].process.is_some() {
                    self.hosts[server].full = true;
                }
            }
            Fault::Damage => self.damage(server),
            Fault::StepDown => return self.step_down(),
            Fault::AddPeer => return self.add_peer(),
            Fault::RemovePeer => return self.remove_peer(),
            Fault::Snapshot => {
                let force = self.rng.chance(200);
                return self.snapshot(server, force);
            }
            Fault::Rivals => return self.first_rival(),
            Fault::HalfChange => return self.half_change(),
            Fault::Estrange => return self.estrange(),
            Fault::Unsure => return self.unsure(),
            // Waits for a vote.
            Fault::Amnesia => {}
            Fault::Withdraw => self.withdraw(),
            Fault::Replay => self.replay(),
            Fault::Forge if self.rng.chance(100) => return self.flood(),
            Fault::Forge => self.forge(server),
            Fault::Skew => {
                let rate = *self.rng.pick(&[1000, 1000, 900, 1100, 500, 2000, 100]).unwrap_or(&1);
                let now = self.now;
                self.hosts[server].set_rate(now, rate);
            }
            Fault::Observe => {
                if let Some(observer) = self.hosts[server].node().map(Node::is_observer) {
                    return self.input(server, |node, now, _| node.set_observer(!observer, now));
                }
            }
            Fault::PauseApply => {
                let incarnation = self.hosts[server].incarnation;
                let after = self.rng.around(2000 * MS);
                self.schedule(after, Event::ResumeApply { server, incarnation });
                return self.input(server, Node::pause_apply);
            }
            Fault::SlowApply => {
                let delay = *self.rng.pick(&[0, 0, 20, 200]).unwrap_or(&0);
                self.hosts[server].apply_delay = delay * MS;
            }
        }
        Ok(())
    }

    /// Who leads at the moment, as far as one of several says so.
    pub fn leader(&self) -> Option<usize> {
        let leads = |s: &usize| self.hosts[*s].node().is_some_and(|n| n.role() == Role::Leader);
        (0..self.hosts.len()).filter(leads).max_by_key(|&s| self.hosts[s].node().map(Node::term))
    }

    /// Whether losing what `server` acknowledged leaves a majority that has not lost anything, in
    /// every group that anybody, running or not, may still count by.
    pub fn may_lose(&self, server: usize) -> bool {
        let PeerState { peers, cluster_size, .. } = &self.assigned.1;
        let agreed = Left { peers: peers.to_vec(), size: *cluster_size, quarantined: false };
        let known = self.hosts.iter().filter(|host| host.created).map(Host::knows);
        known.chain([agreed]).filter(|group| group.size > 0).all(|group| {
            let known =
                |s: usize| group.peers.len() < group.size || group.peers.contains(&self.ids()[s]);
            // Who is new and not level yet has nothing to vouch for.
            let hurt = |s: usize| {
                let host = &self.hosts[s];
                host.suspect || !host.created || host.knows().quarantined
            };
            let lost: Vec<usize> =
                (0..self.hosts.len()).filter(|&s| s == server || hurt(s)).collect();
            // The addition of a guest may be on its way.
            let guest = |s: usize| {
                let host = &self.hosts[s];
                !known(s) && (host.created || host.withdrawn)
            };
            let guests = lost.iter().filter(|&&s| guest(s)).count();
            let members = lost.iter().filter(|&&s| known(s)).count();
            let survives = |lost: usize, size: usize| lost <= (size - 1) / 2;
            (!known(server) || survives(members, group.size))
                && survives(members + guests, group.size + guests)
        })
    }

    /// Stops a server, to be started again later.
    pub fn crash(&mut self, server: usize, how: Crash) {
        let loses = self.plan.memory_log
            || (how == Crash::Power && self.hosts[server].disk.at_risk() && !self.plan.sync);
        if self.hosts[server].process.is_none() || (loses && !self.may_lose(server)) {
            return;
        }
        self.stop(server, how);
        self.restart_later(server);
    }

    fn restart_later(&mut self, server: usize) {
        let after =
            if self.rng.chance(300) { self.rng.below(20 * MS) } else { self.rng.around(2000 * MS) };
        self.schedule(after, Event::Restart { server });
    }

    /// Cuts everybody's power, but for those whose loss would be one too many.
    fn blackout(&mut self) {
        for server in 0..self.hosts.len() {
            self.crash(server, Crash::Power);
        }
    }

    /// Stops a server and damages its disk.
    fn damage(&mut self, server: usize) {
        if self.hosts[server].process.is_none() || !self.may_lose(server) {
            return;
        }
        if self.rng.chance(200) {
            // A bit flips under a running process, which finds out when it reads.
            let what = *self.rng.pick(&[Damage::Log, Damage::Snapshot]).unwrap_or(&Damage::Log);
            self.damage_at_rest(server, what);
            return;
        }
        self.stop(server, Crash::Kill);
        self.restart_later(server);
        let kinds = [
            Damage::Log,
            Damage::Log,
            Damage::Log,
            Damage::End,
            Damage::End,
            Damage::TermVote,
            Damage::VoteGuard,
            Damage::Votes,
            Damage::Snapshot,
            Damage::NoSnapshot,
            Damage::Peers,
            Damage::Wipe,
        ];
        for _ in 0..self.rng.range(1, 2) {
            let Some(&what) = self.rng.pick(&kinds) else { return };
            self.damage_at_rest(server, what);
        }
    }

    /// Damages a server's disk in one way.
    pub fn damage_at_rest(&mut self, server: usize, what: Damage) {
        self.note(|| format!("damage  {server} {what:?}"));
        let host = &mut self.hosts[server];
        if host.disk.damage(what, &mut self.rng) {
            host.suspect = true;
            // A replica without anything is new, unless somebody knows better.
            host.wiped |= what == Damage::Wipe || host.disk.is_blank();
        }
    }

    fn step_down(&mut self) -> Checked {
        let Some(leader) = self.leader() else { return Ok(()) };
        let preferred = self.rng.pick(&self.ids).copied();
        let preferred = if self.rng.chance(500) { preferred } else { None };
        self.input(leader, |node, now, out| {
            node.step_down(preferred, now, out);
        })
    }

    /// Creates the group on a server that does not have it, and has the leader add it.
    pub fn add_peer(&mut self) -> Checked {
        let Some(server) = (0..self.hosts.len()).find(|&s| !self.hosts[s].created) else {
            return Ok(());
        };
        let Some(leader) = self.leader() else { return Ok(()) };
        let id = self.ids()[server];
        self.create(server)?;
        self.changed = true;
        self.input(leader, |node, now, out| {
            let _ = node.propose_add_peer(id);
            node.poll(now, out);
        })
    }

    /// Creates the group on a server, as a newcomer that knows the members.
    pub(crate) fn create(&mut self, server: usize) -> Checked {
        let id = self.ids()[server];
        let newest = (self.hosts.iter().filter_map(|h| h.node())).max_by_key(|n| n.commit());
        let mut peers: Vec<PeerId> = newest.map_or(Vec::new(), |node| node.peers().to_vec());
        peers.push(id);
        let sum = raft::Checksum::new(crate::world::GROUP);
        let snapshot_max = self.hosts[server].disk.snapshot_max;
        let host = &mut self.hosts[server];
        host.told = PeerState::of(&peers).encode().into();
        host.disk = Disk::new(sum, host.told.clone());
        host.disk.snapshot_max = snapshot_max;
        host.created = true;
        host.withdrawn = false;
        host.joining = true;
        if !self.plan.sync {
            self.schedule(MS, Event::SyncAll { server });
        }
        self.start(server)
    }

    fn remove_peer(&mut self) -> Checked {
        let Some(leader) = self.leader() else { return Ok(()) };
        let Some(node) = self.hosts[leader].node() else { return Ok(()) };
        let Some(&peer) = self.rng.pick(node.peers()) else { return Ok(()) };
        self.remove_at(leader, peer)
    }

    /// Proposes at `leader` that `peer` leaves.
    pub(crate) fn remove_at(&mut self, leader: usize, peer: PeerId) -> Checked {
        let Some(node) = self.hosts[leader].node() else { return Ok(()) };
        // Losses that a group survives may be too many for a smaller one.
        let remain = |s: &usize| self.ids[*s] != peer && node.peers().contains(&self.ids[*s]);
        let hurt = (0..self.hosts.len()).filter(remain).filter(|&s| self.hosts[s].suspect);
        if hurt.count() > node.peers().len().saturating_sub(2) / 2 {
            return Ok(());
        }
        self.changed = true;
        self.input(leader, |node, now, out| {
            let _ = node.propose_remove_peer(peer);
            node.poll(now, out);
        })
    }

    /// The layer above changes its mind about a server that was to join.
    fn withdraw(&mut self) {
        let guest = |s: &usize| {
            let id = self.ids[*s];
            let counted = |host: &Host| host.created && host.knows().peers.contains(&id);
            let mut others = (0..self.hosts.len()).filter(|other| other != s);
            // Not a seat of a group being discovered, which has no name yet but counts.
            self.hosts[*s].created
                && self.hosts[*s].joining
                && !self.assigned.1.peers.contains(&id)
                && !others.any(|other| counted(&self.hosts[other]))
        };
        let found = (0..self.hosts.len()).find(guest);
        if let Some(server) = found.filter(|&server| self.may_lose(server)) {
            self.retire(server);
            self.hosts[server].withdrawn = true;
        }
    }

    /// Ongaro's erratum, first part: a leader is cut off and removes somebody, which only it knows.
    fn first_rival(&mut self) -> Checked {
        let Some(leader) = self.leader() else { return Ok(()) };
        self.net.split(1 << leader);
        self.rivals = Some(leader);
        let Some(peer) = self.another_peer(leader) else { return Ok(()) };
        self.remove_at(leader, peer)
    }

    /// Second part: the next leader removes somebody else at once, and the servers part.
    pub(crate) fn second_rival(&mut self, second: usize) -> Checked {
        let Some(first) = self.rivals.take() else { return Ok(()) };
        let side = (self.rng.draw() | 1 << second) & !(1 << first);
        self.net.split(side);
        let Some(peer) = self.another_peer(second) else { return Ok(()) };
        self.remove_at(second, peer)
    }

    pub(crate) fn another_peer(&mut self, server: usize) -> Option<PeerId> {
        let node = self.hosts[server].node()?;
        let others: Vec<PeerId> =
            node.peers().iter().copied().filter(|peer| *peer != self.ids[server]).collect();
        self.rng.pick(&others).copied()
    }

    /// Takes a snapshot on one server.
    pub fn snapshot(&mut self, server: usize, force: bool) -> Checked {
        let Some(process) = &mut self.hosts[server].process else { return Ok(()) };
        if !process.backlog.is_empty() {
            return Ok(());
        }
        let Ok(checkpoint) = process.node.create_checkpoint(force) else { return Ok(()) };
        if checkpoint.peers.peers.as_slice() != process.node.committed_peers() {
            let detail = format!("server {server} puts {:?} into one", checkpoint.peers);
            return broken("a snapshot tells committed members", detail);
        }
        let data = process.register.snapshot();
        self.input(server, |node, now, out| {
            let _ = node.install_snapshot(checkpoint, data, now, out);
        })
    }

    /// Delivers some old messages again.
    fn replay(&mut self) {
        for _ in 0..self.rng.range(1, 8) {
            let Some(old) = self.rng.pick(&self.old).cloned() else { return };
            let after = self.rng.below(50 * MS);
            self.schedule(after, Event::Deliver { message: old });
        }
    }
}
