//! A whole run: boot, faults, quiet, and the liveness that must follow. Also a summary for traces.
//!
//! Laws: after `calm_down` nothing is lost, nobody stops and every disk is well; the layer above
//!       deletes groups where they no longer belong and keeps newcomers informed.

use raft::PeerId;
use raft::PeerState;

use crate::check::{Checked, broken};
use crate::host::Host;
use crate::plan::MS;
use crate::world::{Event, World};

impl World {
    /// Runs the plan: faults, then quiet, then liveness.
    pub fn run(&mut self) -> Checked {
        self.boot()?;
        let end = self.plan.fault_time;
        self.run_until(end)?;
        self.calm_down()?;
        self.check_liveness()?;
        self.history.check()
    }

    /// Starts all members and the background activity.
    pub fn boot(&mut self) -> Checked {
        for server in 0..self.plan.members {
            self.start(server)?;
            let after = self.rng.below(self.plan.sync_every);
            self.schedule(after, Event::SyncAll { server });
        }
        self.schedule(100 * MS, Event::Client);
        if !self.plan.faults.is_empty() {
            let after = self.rng.around(self.plan.fault_every);
            self.schedule(after, Event::Fault);
        }
        Ok(())
    }

    /// Ends all faults: links heal, servers run, disks are well.
    pub fn calm_down(&mut self) -> Checked {
        self.note(|| "calm".into());
        self.active = false;
        self.net.heal();
        self.net.calm = true;
        for server in 0..self.hosts.len() {
            let now = self.now;
            let host = &mut self.hosts[server];
            host.paused_until = 0;
            host.disk_factor = 1;
            host.full = false;
            host.apply_delay = 0;
            host.set_rate(now, 1000);
            self.start(server)?;
            let incarnation = self.hosts[server].incarnation;
            self.schedule(MS, Event::DiskDone { server, incarnation });
            self.input(server, |node, now, out| {
                node.resume_apply(now, out);
                node.set_observer(false, now);
            })?;
            self.drain_applies(server, usize::MAX)?;
            if let Some(process) = &mut self.hosts[server].process {
                process.tick_at = u64::MAX;
            }
            self.schedule_tick(server);
        }
        Ok(())
    }

    /// Servers that are members by the most recent commit anybody has.
    fn members(&self) -> Vec<usize> {
        let newest = (self.hosts.iter().filter_map(Host::node)).max_by_key(|n| n.commit());
        let Some(newest) = newest else { return Vec::new() };
        let member = |s: &usize| newest.peers().contains(&self.ids[*s]);
        (0..self.hosts.len()).filter(member).collect()
    }

    /// One leader, everybody level, and it works.
    fn level(&self) -> Result<(), String> {
        let members = self.members();
        let leaders: Vec<usize> = (0..self.hosts.len())
            .filter(|&s| self.hosts[s].node().is_some_and(raft::Node::is_leading))
            .collect();
        let [leader] = leaders.as_slice() else { return Err(format!("leaders {leaders:?}")) };
        let Some(commit) = self.hosts[*leader].node().map(raft::Node::commit) else {
            return Err("no leader".into());
        };
        let Some(leading) = self.hosts[*leader].node() else { return Err("no leader".into()) };
        for &server in &members {
            let Some(node) = self.hosts[server].node() else { continue };
            if node.peers() != leading.peers() || node.membership_change_in_progress() {
                return Err(format!("member {server} sees other peers"));
            }
        }
        if commit < self.check.commit() {
            return Err(format!("leader commits {commit}, known {}", self.check.commit()));
        }
        for &server in &members {
            let Some(process) = &self.hosts[server].process else {
                return Err(format!("member {server} does not run"));
            };
            if process.register.applied != commit {
                return Err(format!(
                    "member {server} applied {}, leader commits {commit}",
                    process.register.applied
                ));
            }
        }
        Ok(())
    }

    /// After the faults, within a bounded time: level, a new operation completes, and whoever was
    /// in quarantine is trusted again after the next election.
    pub fn check_liveness(&mut self) -> Checked {
        const ROUND: u64 = 1000 * MS;
        let unit = self.plan.timing.election_max.as_nanos() as u64;
        self.await_level(0, unit * 30 + 10 * ROUND, "after the faults")?;
        let leader = (0..self.hosts.len())
            .find(|&s| self.hosts[s].node().is_some_and(raft::Node::is_leading));
        let completions = self.check.completions + 1;
        self.await_level(completions, unit * 5 + 5 * ROUND, "after a new operation")?;
        if self.hosts.iter().filter_map(Host::node).any(|n| n.quarantine().is_some()) {
            if let Some(leader) = leader {
                self.input(leader, |node, now, out| {
                    node.step_down(None, now, out);
                })?;
            }
            self.await_level(0, unit * 20 + 10 * ROUND, "after a step-down")?;
            for server in self.members() {
                if self.hosts[server].node().is_some_and(|n| n.quarantine().is_some()) {
                    return broken("liveness", format!("server {server} stays in quarantine"));
                }
            }
        }
        Ok(())
    }

    fn await_level(&mut self, completions: u64, within: u64, when: &str) -> Checked {
        let deadline = self.now + within;
        let slice = (self.plan.timing.heartbeat.as_nanos() as u64).max(MS);
        // At least two rounds, so that what is on its way arrives.
        let mut good = 0;
        loop {
            // Servers that are no members any more are deleted by the layer above.
            let members = self.members();
            for server in 0..self.hosts.len() {
                let runs = self.hosts[server].process.is_some();
                if !self.hosts[server].created && members.contains(&server) {
                    // Taken back into the group after it was deleted here.
                    self.create(server)?;
                }
                if runs && members.contains(&server) {
                    // The layer above keeps newcomers informed.
                    let ids: Vec<PeerId> = members.iter().map(|&s| self.ids[s]).collect();
                    let peers = PeerState::of(&ids);
                    self.hosts[server].told = peers.encode().into();
                    self.input(server, |node, _, out| node.update_known_peers(&peers, out))?;
                }
                if runs && !members.contains(&server) && self.member_count_settled() {
                    self.retire(server);
                }
            }
            if self.check.completions < completions
                && let Some(leader) = self.leader()
            {
                // A leader that loses its office loses what was proposed to it: try again.
                self.propose(leader)?;
            }
            self.run_until(self.now + slice)?;
            match self.level() {
                Ok(()) if self.check.completions >= completions => good += 1,
                Ok(()) | Err(_) => good = 0,
            }
            if good >= 3 {
                return Ok(());
            }
            if self.now > deadline {
                let why = self.level().err().unwrap_or_else(|| "nothing completed".into());
                return broken("liveness", format!("{when}: {why}"));
            }
        }
    }

    /// Nobody has an uncommitted membership change.
    fn member_count_settled(&self) -> bool {
        let mut nodes = self.hosts.iter().filter_map(Host::node);
        nodes.all(|n| !n.membership_change_in_progress() && n.peers().len() == n.cluster_size())
            && self.hosts.iter().filter_map(Host::node).any(raft::Node::is_leading)
    }

    /// Every server in one line each, for the end of a trace.
    pub fn summary(&self) -> Vec<String> {
        let line = |(server, host): (usize, &Host)| {
            let Some(process) = &host.process else {
                return format!("server {server} down, created {}", host.created);
            };
            let status = process.node.status(host.local(self.now));
            let peers: Vec<PeerId> = status.peers.iter().map(|p| p.id).collect();
            format!(
                "server {server} {:?} term {} vote {:?} last {} base {} progress {:?} applied {} peers {peers:?} of {} change {} observer {} paused {} quarantine {:?} catching up {}",
                status.role,
                status.term,
                status.vote,
                status.last,
                status.base,
                status.progress,
                process.register.applied,
                process.node.cluster_size(),
                process.node.membership_change_in_progress(),
                status.observer,
                status.paused,
                process.node.quarantine(),
                status.catching_up,
            )
        };
        self.hosts.iter().enumerate().map(line).collect()
    }
}
