//! The layer above the log: applying, and the clients that propose.
//!
//! Laws: applies are carried out in order; an operation completes when the server it was proposed at
//!       applies it; clients ask once, and what is forwarded, which may arrive twice, changes nothing
//!       that is read.

use raft::{Apply, Dest, LogIndex, ReplySubject, Send};

use crate::check::{Checked, broken};
use crate::machine::{Applied, Op, encode};
use crate::world::{Event, World};

impl World {
    pub(crate) fn apply(&mut self, server: usize, applies: Vec<Apply>) -> Checked {
        let host = &mut self.hosts[server];
        let Some(process) = &mut host.process else { return Ok(()) };
        if applies.is_empty() {
            return Ok(());
        }
        process.backlog.extend(applies);
        if host.apply_delay == 0 {
            return self.drain_applies(server, usize::MAX);
        }
        if !process.applying {
            process.applying = true;
            let (after, incarnation) = (host.apply_delay, host.incarnation);
            self.schedule(after, Event::ApplyDone { server, incarnation });
        }
        Ok(())
    }

    pub(crate) fn apply_done(&mut self, server: usize, incarnation: u32) -> Checked {
        let host = &mut self.hosts[server];
        let delay = host.apply_delay;
        let Some(process) = &mut host.process else { return Ok(()) };
        if host.incarnation != incarnation {
            return Ok(());
        }
        process.applying = false;
        let count = if delay == 0 { usize::MAX } else { 2 };
        self.drain_applies(server, count)?;
        if let Some(process) = &mut self.hosts[server].process
            && !process.backlog.is_empty()
            && !process.applying
        {
            process.applying = true;
            self.schedule(delay, Event::ApplyDone { server, incarnation });
        }
        Ok(())
    }

    pub(crate) fn drain_applies(&mut self, server: usize, count: usize) -> Checked {
        for _ in 0..count {
            let Some(process) = &mut self.hosts[server].process else { return Ok(()) };
            let Some(apply) = process.backlog.pop_front() else { break };
            let waiting = &mut process.waiting;
            let (history, now) = (&mut self.history, self.now);
            let mut floor: Option<LogIndex> = None;
            let mut once = Ok(());
            let first = process.register.applied >= self.applied;
            let value = &mut self.last_value;
            let applied = process.register.apply(&apply, |id, op, before| {
                if first && once.is_ok() {
                    once = history.applied(id, op);
                }
                if let Some(at) = waiting.iter().position(|(w, _)| *w == id) {
                    floor = Some(waiting.swap_remove(at).1.max(floor.unwrap_or_default()));
                    history.respond(id, before, now);
                    *value = before;
                }
            });
            once?;
            self.applied = self.applied.max(process.register.applied);
            let state = process.register.state();
            match applied {
                Applied::Entry(index) => {
                    self.check.applied(server, index, state)?;
                    if let Some(floor) = floor {
                        self.check.completed(index, floor)?;
                    }
                    self.digest = self.digest.wrapping_add(state);
                    self.input(server, |node, now, out| {
                        node.processed(index, index, now, out);
                    })?;
                }
                Applied::Hole(expected, found) => {
                    let detail = format!("server {server} expected {expected}, got {found}");
                    return broken("applied without holes", detail);
                }
                Applied::Nothing => {}
            }
        }
        Ok(())
    }

    pub(crate) fn client_operation(&mut self) -> Checked {
        if self.active {
            let after = self.rng.around(self.plan.op_every);
            self.schedule(after, Event::Client);
        }
        let server = self.rng.below(self.hosts.len() as u64) as usize;
        let leading = self.hosts[server].node().is_some_and(raft::Node::is_leading);
        if !leading && self.rng.chance(950) {
            // Ask whoever leads, if anybody does.
            let leader = (0..self.hosts.len())
                .find(|&s| self.hosts[s].node().is_some_and(raft::Node::is_leading));
            return leader.map_or(Ok(()), |leader| self.propose(leader));
        }
        if leading {
            return self.propose(server);
        }
        // Forwarded: at least once, nobody waits for it.
        let (id, _) = self.new_operation();
        let op = Op::Touch;
        let send =
            Send { dest: Dest::Proposal, reply: ReplySubject::NONE, payload: encode(id, op) };
        if self.hosts[server].process.is_some() {
            self.send(server, &send);
        }
        Ok(())
    }

    pub(crate) fn new_operation(&mut self) -> (u64, Op) {
        self.next_op += 1;
        let op = match self.rng.below(3) {
            0 => Op::Write,
            1 => Op::Swap(self.last_value),
            _ => Op::Read,
        };
        (self.next_op, op)
    }

    /// A client proposes a few operations at a server.
    pub fn propose(&mut self, server: usize) -> Checked {
        if self.hosts[server].paused_until > self.now {
            return Ok(());
        }
        let burst = if self.rng.chance(100) { self.rng.range(2, 30) } else { 1 };
        for _ in 0..burst {
            let (id, op) = self.new_operation();
            let floor = self.check.completed;
            let Some(process) = &mut self.hosts[server].process else { return Ok(()) };
            if process.node.propose(encode(id, op)).is_ok() {
                process.waiting.push((id, floor));
                self.history.invoke(id, op, self.now);
            }
        }
        self.input(server, raft::Node::poll)
    }
}
