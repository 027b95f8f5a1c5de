//! Misfortunes in several steps: what chance alone would bring together too rarely.
//!
//! Every act is a short script with chance in its choices and its timing; the other faults go on
//! meanwhile, so an act may come to nothing. Each was written for a rule that nothing else put to
//! the test; `planted` names the mistakes.
//!
//! Laws: an act destroys acknowledged data only of a minority of the group as its furthest commit has
//!       it, and the network it leaves behind is healed by the next step or by `Heal`.

use raft::{Channel, LogIndex, PeerId, ReplySubject, Role, Send, VoteRequest};

use crate::check::Checked;
use crate::disk::{Crash, Damage};
use crate::plan::{Fault, MS};
use crate::world::{Event, World};

/// One step of an act, due later.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Kill a server; it starts again soon.
    Kill { server: usize },
    /// Only those in the set hear each other, and the rest each other.
    Split { side: u64 },
    /// Everybody hears everybody.
    Heal,
    /// The leader removes a server.
    Remove { server: usize },
    /// Delete the replica of a server that was removed, and add the server again.
    Anew { server: usize },
    /// The leader adds a server.
    Add,
    /// Lose all that tells of votes, and start again at once.
    Forget { server: usize },
    /// Campaign.
    Campaign { server: usize },
    /// A campaign's question arrives once more, late.
    Again { from: usize, to: usize, request: VoteRequest, reply: ReplySubject },
    /// These servers lose the ends of their logs while they do not run.
    Lose { servers: Vec<usize>, stale: usize },
}

impl World {
    fn later(&mut self, after: u64, act: Act) {
        self.schedule(after * MS, Event::Act(act));
    }

    /// The next step of an act.
    pub(crate) fn perform(&mut self, act: Act) -> Checked {
        if !self.active {
            return Ok(());
        }
        self.note(|| format!("act     {act:?}"));
        match act {
            Act::Kill { server } => self.crash(server, Crash::Kill),
            Act::Split { side } => self.net.split(side),
            Act::Heal => self.net.heal(),
            Act::Remove { server } => {
                let id = self.ids[server];
                if let Some(leader) = self.leader() {
                    return self.remove_at(leader, id);
                }
            }
            Act::Anew { server } => {
                let agreed = self.assigned.0 > LogIndex(0);
                if agreed && !self.assigned.1.peers.contains(&self.ids[server]) {
                    self.retire(server);
                    return self.add_peer();
                }
            }
            Act::Add => return self.add_peer(),
            Act::Forget { server } => {
                if self.hosts[server].process.is_some() && self.may_lose(server) {
                    self.stop(server, Crash::Kill);
                    self.damage_at_rest(server, Damage::Votes);
                    return self.start(server);
                }
            }
            Act::Campaign { server } => {
                return self.input(server, |node, now, _| node.campaign(now));
            }
            Act::Again { from, to, request, reply } => {
                let payload = request.encode().to_vec().into();
                let send = Send { dest: raft::Dest::Vote, reply, payload };
                self.net.set(from, to, false);
                self.net.set(to, from, false);
                self.publish(from, Some(to), Channel::Vote, &send);
            }
            Act::Lose { servers, stale } => return self.lose_ends(&servers, stale),
        }
        Ok(())
    }

    /// A leader that nobody hears changes the members, takes a snapshot, and is forgotten.
    pub(crate) fn half_change(&mut self) -> Checked {
        let Some(leader) = self.leader() else { return Ok(()) };
        self.net.split(1 << leader);
        let Some(peer) = self.another_peer(leader) else { return Ok(()) };
        self.remove_at(leader, peer)?;
        self.snapshot(leader, true)?;
        let wait = self.rng.range(50, 400);
        self.later(wait, Act::Kill { server: leader });
        self.later(wait + 1500, Act::Heal);
        Ok(())
    }

    /// A stale member meets one that was removed, wiped and added again.
    pub(crate) fn estrange(&mut self) -> Checked {
        let Some(leader) = self.leader() else { return Ok(()) };
        let mut others = self.others(leader);
        if others.len() != 2 {
            return Ok(());
        }
        if self.rng.chance(500) {
            others.swap(0, 1);
        }
        let (stale, wiped) = (others[0], others[1]);
        self.net.split(1 << stale);
        let mut wait = 0;
        for act in [
            Act::Remove { server: stale },
            Act::Remove { server: wiped },
            Act::Anew { server: wiped },
            Act::Split { side: 1 << leader },
            Act::Campaign { server: stale },
            Act::Heal,
        ] {
            wait += self.rng.range(60, 300) * self.slowness();
            self.later(wait, act);
        }
        Ok(())
    }

    /// A member misses two additions; then the others that it knows lose the ends of their logs, and
    /// it meets only them.
    pub(crate) fn unsure(&mut self) -> Checked {
        let Some(leader) = self.leader() else { return Ok(()) };
        let others = self.others(leader);
        let Some(&stale) = self.rng.pick(&others) else { return Ok(()) };
        if others.len() != 2 {
            return Ok(());
        }
        self.net.split(1 << stale);
        let known = others.iter().fold(1 << leader, |set, server| set | 1 << server);
        let lose: Vec<usize> =
            others.iter().copied().filter(|s| *s != stale).chain([leader]).collect();
        let mut wait = 0;
        for act in [
            Act::Add,
            Act::Add,
            Act::Add,
            Act::Split { side: known },
            Act::Lose { servers: lose, stale },
            Act::Campaign { server: stale },
            Act::Heal,
        ] {
            wait += self.rng.range(100, 500) * self.slowness();
            self.later(wait, act);
        }
        Ok(())
    }

    /// Stops servers whose loss the group survives by its furthest commit, cuts their logs, starts them.
    fn lose_ends(&mut self, servers: &[usize], stale: usize) -> Checked {
        // In every group that anybody counts by, but the one this act is about, which missed the changes
        // altogether, what is lost is a minority.
        let agreed = self.assigned.1.clone();
        let seen = (0..self.hosts.len()).filter(|&s| s != stale && self.hosts[s].created);
        let groups = seen.map(|s| self.hosts[s].knows()).map(|left| (left.peers, left.size));
        let bears = |(peers, size): (Vec<PeerId>, usize)| {
            let hurt = |s: &usize| {
                let host = &self.hosts[*s];
                let doubtful = host.suspect || !host.created || host.knows().quarantined;
                peers.contains(&self.ids[*s]) && (servers.contains(s) || doubtful)
            };
            let lost = (0..self.hosts.len()).filter(hurt).count();
            peers.len() == size && lost <= (size - 1) / 2
        };
        let run = servers.iter().all(|&s| self.hosts[s].process.is_some());
        if !run || !groups.chain([(agreed.peers.to_vec(), agreed.cluster_size)]).all(bears) {
            return Ok(());
        }
        for &server in servers {
            self.stop(server, Crash::Kill);
            self.damage_at_rest(server, Damage::End);
        }
        for &server in servers {
            self.start(server)?;
        }
        Ok(())
    }

    /// A voter tells its vote: now and then it forgets it at once, and the candidate is cut off, so that
    /// nobody else has heard of its term when the voter asks.
    pub(crate) fn amnesia(&mut self, voter: usize, to: ReplySubject, term: raft::Term) {
        let wanted = self.active && self.plan.faults.contains(&Fault::Amnesia);
        if !wanted || !self.rng.chance(300) {
            return;
        }
        let Some((candidate, _)) = self.listener(to.as_bytes()) else { return };
        let Some(node) = self.hosts[candidate].node() else { return };
        if node.role() != Role::Candidate || node.term() != term || !self.may_lose(voter) {
            return;
        }
        let request = VoteRequest { term, last: node.last(), candidate: node.id() };
        let mut rest = self.others(candidate);
        rest.retain(|s| *s != voter);
        if rest.len() != 3 {
            return;
        }
        let first = self.rng.below(3) as usize;
        let (rival, late) = (rest[first], rest[(first + 1) % 3]);
        for &server in &rest {
            self.net.set(candidate, server, true);
            self.net.set(server, candidate, true);
        }
        let now = self.now;
        self.hosts[candidate].set_rate(now, 100);
        let crowd = (0..self.hosts.len()).filter(|s| *s != candidate);
        let crowd = crowd.fold(0, |set, s| set | 1 << s);
        let arrived = self.plan.delay.1 / MS + 5;
        self.later(arrived, Act::Forget { server: voter });
        self.later(arrived + 1, Act::Split { side: crowd });
        let asked = arrived + self.rng.range(20, 200) * self.slowness();
        self.later(asked, Act::Split { side: crowd & !(1 << late) });
        self.later(asked + 1, Act::Campaign { server: rival });
        let voted = asked + self.rng.range(20, 300) * self.slowness();
        self.later(voted, Act::Again { from: candidate, to: late, request, reply: to });
        self.later(voted + 500 * self.slowness(), Act::Heal);
    }

    /// Ten for the reference's timers, one for those divided by ten.
    fn slowness(&self) -> u64 {
        (self.plan.timing.heartbeat.as_nanos() as u64 / (100 * MS)).max(1)
    }

    /// The servers that are members beside `server`, as it sees them.
    fn others(&self, server: usize) -> Vec<usize> {
        let Some(node) = self.hosts[server].node() else { return Vec::new() };
        let member = |s: &usize| *s != server && node.peers().contains(&self.ids[*s]);
        (0..self.hosts.len()).filter(member).collect()
    }

    /// A name nobody here has.
    pub(crate) fn stranger(&mut self) -> PeerId {
        let mut id = *b"strange0";
        id[7] = b'0' + self.rng.below(8) as u8;
        PeerId(id)
    }
}
