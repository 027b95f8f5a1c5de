//! The simulated world: servers, links, time, and the loop that moves them.
//!
//! Laws: one seed decides everything; two runs of a seed take the same steps (`digest` shows it).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;

use bytes::Bytes;
use raft::{
    Bug, Channel, Checksum, Config, Dest, Effects, LogIndex, Notice, PeerId, PeerState, Position,
    Read, ReadId, ReadRequest, Recovery, ReplySubject, Role, Send, Ticket, Verdict, Write,
};

use crate::acts::Act;
use crate::check::{Checked, Checks, Violation, broken};
use crate::disk::{Crash, Disk};
use crate::history::History;
use crate::host::{Host, Process};
use crate::machine::Register;
use crate::net::Net;
use crate::plan::{Fault, MS, Plan};
use crate::planted::Planted;
use crate::rng::Rng;

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Deliver { message: Message },
    Tick { server: usize, incarnation: u32 },
    DiskDone { server: usize, incarnation: u32 },
    ReadDone { server: usize, incarnation: u32, request: ReadRequest, after: Ticket },
    ApplyDone { server: usize, incarnation: u32 },
    SyncAll { server: usize },
    Restart { server: usize },
    Client,
    Fault,
    ResumeApply { server: usize, incarnation: u32 },
    StopRemoved { server: usize },
    Snapshot { server: usize },
    Act(Act),
}

/// A message on its way, and the start of the receiver it was meant for.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) incarnation: u32,
    pub(crate) channel: Channel,
    pub(crate) payload: Bytes,
    pub(crate) reply: ReplySubject,
    /// No honest server sent it, and it must change nothing.
    pub(crate) forged: bool,
}

/// No seed needs as many events.
const MAX_STEPS: u64 = 300_000;

/// The world of one seed.
pub struct World {
    /// What the seed tests.
    pub plan: Plan,
    pub(crate) rng: Rng,
    /// Virtual nanoseconds since the start.
    pub now: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slots: Vec<Option<Event>>,
    free: Vec<u32>,
    /// The servers.
    pub hosts: Vec<Host>,
    pub(crate) ids: Vec<PeerId>,
    /// The links.
    pub net: Net,
    /// The invariants.
    pub check: Checks,
    sum: Checksum,
    bug: Option<Bug>,
    effects: Effects,
    pub(crate) old: Vec<Message>,
    /// What is published now is forged.
    pub(crate) forging: bool,
    /// Bytes of old entries streamed so far, and the largest record.
    pub(crate) streamed: usize,
    pub(crate) largest: usize,
    pub(crate) next_op: u64,
    /// What clients asked and were told.
    pub history: History,
    /// The furthest entry that took effect anywhere.
    pub(crate) applied: LogIndex,
    /// What somebody saw in the register last.
    pub(crate) last_value: u64,
    /// Who belongs to the group by the furthest commit anybody ever had: what the layer above, which
    /// agrees on it elsewhere, knows.
    pub(crate) assigned: (LogIndex, PeerState),
    /// A leader that removed a peer while it was cut off: the next one will remove another.
    pub(crate) rivals: Option<usize>,
    /// Members came or went.
    pub(crate) changed: bool,
    /// Clients and faults go on.
    pub(crate) active: bool,
    /// Events handled.
    pub steps: u64,
    /// A hash of everything that happened.
    pub digest: u64,
    pub(crate) trace: Option<Vec<String>>,
}

/// The group's name in every simulation.
pub const GROUP: &str = "S-R3F-simulate";

impl World {
    /// A world for `plan`, with every choice drawn from `seed`.
    pub fn new(seed: u64, plan: Plan, bug: Option<Bug>, trace: bool) -> Self {
        let servers = plan.members + plan.spares;
        let ids: Vec<PeerId> = (0..servers).map(|i| PeerId(*b"server0\0").with_digit(i)).collect();
        let sum = Checksum::new(GROUP);
        let mut hosts = Vec::new();
        for (i, &id) in ids.iter().enumerate() {
            let named = if plan.named == plan.members {
                PeerState::of(ids.get(..plan.members).unwrap_or(&ids))
            } else {
                PeerState { cluster_size: plan.members, ..PeerState::of(&[id]) }
            };
            let named = Bytes::from(named.encode());
            let mut host = Host::new(id, Disk::new(sum, named.clone()), named);
            host.created = i < plan.members;
            hosts.push(host);
        }
        Self {
            net: Net::new(servers),
            rng: Rng::new(seed),
            plan,
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hosts,
            ids,
            check: Checks::default(),
            sum,
            bug,
            effects: Effects::default(),
            old: Vec::new(),
            forging: false,
            streamed: 0,
            largest: 0,
            next_op: 0,
            history: History::default(),
            applied: LogIndex(0),
            last_value: 0,
            assigned: (LogIndex(0), PeerState::default()),
            rivals: None,
            changed: false,
            active: true,
            steps: 0,
            digest: seed,
            trace: trace.then(Vec::new),
        }
    }

    /// The server ids, by number.
    pub fn ids(&self) -> &[PeerId] {
        &self.ids
    }

    /// The trace, one line per event, if it was asked for.
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let mut text = String::new();
            let _ = write!(text, "{:>12.6} {}", self.now as f64 / 1e9, line());
            trace.push(text);
        }
    }

    pub(crate) fn schedule(&mut self, after: u64, event: Event) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some(event);
        self.sequence += 1;
        self.queue.push(Reverse((self.now.saturating_add(after), self.sequence, slot)));
    }

    /// Handles events until `until`.
    pub fn run_until(&mut self, until: u64) -> Checked {
        while let Some(&Reverse((at, _, slot))) = self.queue.peek() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = at;
            let Some(event) = self.slots[slot as usize].take() else { continue };
            self.free.push(slot);
            self.step(event)?;
        }
        self.now = until;
        Ok(())
    }

    fn step(&mut self, event: Event) -> Checked {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            let detail = format!("the servers keep each other busy for ever, last with {event:?}");
            return broken("liveness", detail);
        }
        self.digest = (self.digest.rotate_left(5) ^ self.now).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match event {
            Event::Deliver { message } => self.deliver(message),
            Event::Tick { server, incarnation } => self.tick(server, incarnation),
            Event::DiskDone { server, incarnation } => self.disk_done(server, incarnation),
            Event::ReadDone { server, incarnation, request, after } => {
                self.read_done(server, incarnation, request, after)
            }
            Event::ApplyDone { server, incarnation } => self.apply_done(server, incarnation),
            Event::SyncAll { server } => {
                self.hosts[server].disk.sync_all();
                let every = self.plan.sync_every;
                self.schedule(every, Event::SyncAll { server });
                Ok(())
            }
            Event::Restart { server } => self.start(server),
            Event::Client => self.client_operation(),
            Event::Fault => self.fault(),
            Event::ResumeApply { server, incarnation } => {
                if self.hosts[server].incarnation != incarnation {
                    return Ok(());
                }
                self.input(server, raft::Node::resume_apply)
            }
            Event::Snapshot { server } => self.snapshot(server, true),
            Event::Act(act) => self.perform(act),
            Event::StopRemoved { server } => {
                self.stop_removed(server);
                Ok(())
            }
        }
    }

    // --- processes ---

    /// Starts a server's process from what its disk holds.
    pub fn start(&mut self, server: usize) -> Checked {
        if self.hosts[server].process.is_some() || !self.hosts[server].created {
            return Ok(());
        }
        let now = self.now;
        let seed = self.rng.draw();
        let host = &mut self.hosts[server];
        host.incarnation += 1;
        let incarnation = host.incarnation;
        let mut config = Config::new(host.id, seed);
        config.timing = self.plan.timing.clone();
        config.limits = self.plan.limits.clone();
        config.memory_log = self.plan.memory_log;
        config.scale_up = host.joining;
        config.joining = host.joining;
        // Whoever creates a replica anew on a wiped server knows the group's history.
        config.changed = self.changed;
        config.recovering = host.wiped || (self.plan.memory_log && incarnation > 1);
        let local = host.local(now);
        if self.plan.sync {
            // What a killed process wrote may still be unsynced; it is about to be vouched for.
            host.disk.sync();
        }
        host.disk.adopt();
        host.disk.open();
        let mut found = host.disk.files();
        if host.joining || host.disk.is_empty() {
            // As it is now: what was told when the replica was created may long be wrong.
            let mut now = self.assigned.1.clone();
            if !now.peers.contains(&host.id) {
                now.peers.push(host.id);
                now.cluster_size = now.cluster_size.max(now.peers.len());
            }
            let known = self.assigned.0 > LogIndex(0);
            found.peers = Some(if known { now.encode().into() } else { host.told.clone() });
        }
        let planted = Planted { bug: self.bug, add_at_once: self.plan.add_at_once };
        let mut recovery = Recovery::new(config, planted, &self.sum, &found);
        let mut index = host.disk.live.base;
        for record in &host.disk.live.records {
            index = index.next();
            if record.damaged {
                break;
            }
            if recovery.record(index, &record.body) == Verdict::Stop {
                break;
            }
            self.check.durable(server, &record.body);
        }
        let mut effects = std::mem::take(&mut self.effects);
        let Ok(node) = recovery.finish(local, &mut effects) else {
            return broken("recovery", format!("server {server} does not know its peers"));
        };
        let alarmed = node.quarantine().is_some();
        let blind = self.bug == Some(Bug::IgnoreDamage) || self.bug == Some(Bug::IgnoreQuarantine);
        let cut = host.disk.was_cut();
        if cut && !alarmed && !blind {
            return broken("a cut log is noticed", format!("server {server} trusts its log"));
        }
        let known = host.joining || host.wiped || self.plan.memory_log || found.log_lost;
        if alarmed && !host.suspect && !known {
            return broken("no alarm without damage", format!("server {server} doubts itself"));
        }
        host.suspect |= alarmed;
        let seen_commit = LogIndex(0);
        host.process = Some(Process {
            node,
            register: Register::default(),
            catchup: None,
            backlog: Default::default(),
            applying: false,
            tick_at: u64::MAX,
            seen_commit,
            waiting: Vec::new(),
        });
        self.note(|| format!("start   {server} incarnation {incarnation}"));
        self.carry_out(server, effects)
    }

    /// Stops a server's process.
    pub fn stop(&mut self, server: usize, how: Crash) {
        let host = &mut self.hosts[server];
        host.left = host.knows();
        host.process = None;
        if how == Crash::Power && host.disk.at_risk() {
            host.suspect = true;
        }
        host.disk.crash(how, &mut self.rng);
        if self.plan.memory_log {
            host.disk.lose_memory_log();
            host.suspect = true;
        }
        host.full = false;
        self.note(|| format!("crash   {server} {how:?}"));
    }

    /// Gives a server's node an input and carries out what it asks for.
    pub fn input(
        &mut self,
        server: usize,
        act: impl FnOnce(&mut raft::Node<Planted>, stdx::time::Mono, &mut Effects),
    ) -> Checked {
        let host = &mut self.hosts[server];
        let now = host.local(self.now);
        let Some(process) = &mut host.process else { return Ok(()) };
        let mut effects = std::mem::take(&mut self.effects);
        act(&mut process.node, now, &mut effects);
        self.carry_out(server, effects)
    }

    fn carry_out(&mut self, server: usize, mut effects: Effects) -> Checked {
        self.check_node(server)?;
        for persist in effects.persist.drain(..) {
            match &persist.write {
                Write::Append { record, .. } => {
                    self.largest = self.largest.max(record.len() + 10);
                    self.check.stored(server, record)?;
                }
                Write::Truncate { last } => self.check_truncation(server, *last)?,
                _ => {}
            }
            self.hosts[server].disk.submit(persist);
        }
        if let Some(end) = effects.reached.take() {
            self.hosts[server].disk.reach(&end);
        }
        self.start_disk(server);
        for send in effects.send.drain(..) {
            if let Dest::Reply(to) = send.dest
                && to.as_bytes().starts_with(b"$NRG.CR.")
            {
                self.streamed += send.payload.len();
            }
            self.check_promise(server, &send)?;
            self.send(server, &send);
        }
        for notice in effects.notices.drain(..) {
            self.notice(server, &notice)?;
        }
        let incarnation = self.hosts[server].incarnation;
        for request in effects.read.drain(..) {
            let wait = self.rng.range(MS / 20, MS);
            let after = self.hosts[server].disk.submitted();
            self.schedule(wait, Event::ReadDone { server, incarnation, request, after });
        }
        let applies = std::mem::take(&mut effects.apply);
        effects.clear();
        self.effects = effects;
        self.apply(server, applies)?;
        self.schedule_tick(server);
        Ok(())
    }

    fn check_node(&mut self, server: usize) -> Checked {
        let Some(process) = self.hosts[server].process.as_mut() else { return Ok(()) };
        process.node.check();
        let (from, to) = (process.seen_commit, process.node.commit());
        if to < from && process.node.quarantine().is_none() {
            let detail = format!("server {server} goes from {from} back to {to}");
            return broken("the commit never goes back", detail);
        }
        process.seen_commit = to;
        let host = &self.hosts[server];
        let Some(node) = host.node() else { return Ok(()) };
        if node.role() == Role::Leader {
            self.check.led(server, node)?;
        }
        if to > self.assigned.0 {
            let mut state = PeerState::of(node.committed_peers());
            if node.peers().len() < node.cluster_size() {
                state.cluster_size = node.cluster_size();
            }
            self.assigned = (to, state);
        }
        if to > from {
            let hosts = &self.hosts;
            let sync = self.plan.sync;
            let holds = |s: usize, at: Position, ever: bool| {
                let host = &hosts[s];
                host.disk.snapshot_max >= at.index
                    || host.disk.holds(at, sync)
                    || (host.suspect && ever)
            };
            self.check.committed(server, node, from, &self.ids, holds)?;
        }
        let whole = node.quarantine().is_none() && node.commit() > LogIndex(0);
        if host.suspect && whole && host.disk.vouches() && !host.disk.is_damaged() {
            self.hosts[server].suspect = false;
        }
        Ok(())
    }

    /// No server that trusts its log cuts off an entry that is committed.
    fn check_truncation(&self, server: usize, last: LogIndex) -> Checked {
        let host = &self.hosts[server];
        let Some(node) = host.node().filter(|node| node.quarantine().is_none()) else {
            return Ok(());
        };
        let mut index = last.next();
        while index <= host.disk.live.last() {
            let term = self.check.committed_term(index, node.term());
            if term.is_some_and(|term| host.disk.holds(Position::new(term, index), false)) {
                let detail = format!("server {server} cuts {index} off");
                return broken("committed entries stay", detail);
            }
            index = index.next();
        }
        Ok(())
    }

    /// A vote is durable before it is told.
    fn check_promise(&mut self, server: usize, send: &Send) -> Checked {
        let Dest::Reply(to) = send.dest else { return Ok(()) };
        // Who may have promised itself to a later leader helps none.
        let acks = raft::AppendResponse::decode(&send.payload).is_ok_and(|answer| answer.success);
        let quarantine = self.hosts[server].node().and_then(raft::Node::quarantine);
        if acks && quarantine.is_some_and(raft::Quarantine::term_unknown) {
            let detail = format!("server {server} acknowledges without knowing its term");
            return broken("nobody acknowledges before it knows its term", detail);
        }
        let Ok(vote) = raft::VoteResponse::decode(&send.payload) else { return Ok(()) };
        let voted = self.hosts[server].disk.voted();
        // A later term on disk rules out a second vote just as well.
        let told = (vote.term, true);
        if vote.granted && voted.is_none_or(|v| (v.term, v.vote.is_some()) < told) {
            let detail = format!("server {server} tells its vote in term {}", vote.term);
            return broken("votes are durable before they are told", detail);
        }
        if vote.granted {
            self.amnesia(server, to, vote.term);
        }
        Ok(())
    }

    fn notice(&mut self, server: usize, notice: &Notice) -> Checked {
        self.note(|| format!("notice  {server} {notice:?}"));
        let Some(process) = &mut self.hosts[server].process else { return Ok(()) };
        match notice {
            Notice::Listen(inbox) => process.catchup = Some(*inbox),
            Notice::Unlisten(inbox) if process.catchup == Some(*inbox) => process.catchup = None,
            Notice::Diverged(index) => {
                return broken("no divergence", format!("server {server} at {index}"));
            }
            Notice::WriteFailed => {
                let after = self.rng.range(100 * MS, 2000 * MS);
                self.stop(server, Crash::Kill);
                self.schedule(after, Event::Restart { server });
            }
            Notice::ListenProposals(true)
                if self.rivals.is_some_and(|first| first != server) && self.active =>
            {
                return self.second_rival(server);
            }
            Notice::ListenProposals(true)
                if self.active && self.plan.faults.contains(&Fault::RemovePeer) =>
            {
                // An impatient operator.
                let fault =
                    *self.rng.pick(&[Fault::RemovePeer, Fault::AddPeer]).unwrap_or(&Fault::Heal);
                if self.rng.chance(250) {
                    return self.inject(fault);
                }
            }
            Notice::SnapshotNeeded => {
                let after = self.rng.range(MS, 200 * MS);
                self.schedule(after, Event::Snapshot { server });
            }
            Notice::Removed => {
                // The layer above deletes the group here, sooner or later.
                let after = self.rng.range(MS, 3000 * MS);
                self.schedule(after, Event::StopRemoved { server });
            }
            _ => {}
        }
        Ok(())
    }

    fn stop_removed(&mut self, server: usize) {
        // Unless somebody took it back meanwhile.
        let id = self.ids[server];
        let mut nodes = self.hosts.iter().filter_map(Host::node);
        if self.hosts[server].created
            && !self.assigned.1.peers.contains(&id)
            && nodes.all(|node| !node.peers().contains(&id))
        {
            self.retire(server);
        }
    }

    /// Deletes the group on a server.
    pub(crate) fn retire(&mut self, server: usize) {
        self.note(|| format!("retire  {server}"));
        let (id, sum) = (self.ids[server], self.sum);
        let snapshot_max = self.hosts[server].disk.snapshot_max;
        let host = &mut self.hosts[server];
        let incarnation = host.incarnation;
        *host = Host::new(id, Disk::new(sum, Bytes::new()), Bytes::new());
        host.incarnation = incarnation + 1;
        host.clock.1 = self.now;
        host.disk.snapshot_max = snapshot_max;
    }

    pub(crate) fn schedule_tick(&mut self, server: usize) {
        let now = self.now;
        let host = &mut self.hosts[server];
        let incarnation = host.incarnation;
        let Some(process) = &host.process else { return };
        let at = host.world(process.node.next_deadline()).max(now + 1);
        let Some(process) = &mut host.process else { return };
        if at < process.tick_at {
            process.tick_at = at;
            self.schedule(at - now, Event::Tick { server, incarnation });
        }
    }

    fn tick(&mut self, server: usize, incarnation: u32) -> Checked {
        let host = &mut self.hosts[server];
        if host.incarnation != incarnation || host.process.is_none() {
            return Ok(());
        }
        if host.paused_until > self.now {
            let wait = host.paused_until - self.now;
            self.schedule(wait, Event::Tick { server, incarnation });
            return Ok(());
        }
        if let Some(process) = &mut host.process {
            if process.tick_at > self.now {
                return Ok(());
            }
            process.tick_at = u64::MAX;
        }
        self.input(server, raft::Node::tick)
    }

    // --- disk ---

    fn start_disk(&mut self, server: usize) {
        let host = &mut self.hosts[server];
        let incarnation = host.incarnation;
        if host.process.is_some() && host.disk.start() {
            let latency = self.rng.range(self.plan.disk.0, self.plan.disk.1);
            let after = latency * self.hosts[server].disk_factor;
            self.schedule(after, Event::DiskDone { server, incarnation });
        }
    }

    fn disk_done(&mut self, server: usize, incarnation: u32) -> Checked {
        let host = &mut self.hosts[server];
        if host.incarnation != incarnation || host.process.is_none() {
            return Ok(());
        }
        if host.full {
            return self.input(server, |node, _, out| node.handle_write_error(out));
        }
        let check = &mut self.check;
        let sync = self.plan.sync;
        let done = host.disk.finish(sync, |record| check.durable(server, record));
        if let Some(ticket) = done {
            self.input(server, |node, now, out| node.handle_durable(ticket, now, out))?;
        }
        self.start_disk(server);
        Ok(())
    }

    fn read_done(
        &mut self,
        server: usize,
        incarnation: u32,
        request: ReadRequest,
        after: Ticket,
    ) -> Checked {
        let host = &self.hosts[server];
        if host.incarnation != incarnation || host.process.is_none() {
            return Ok(());
        }
        if host.disk.done() < after {
            self.schedule(30 * MS, Event::ReadDone { server, incarnation, request, after });
            return Ok(());
        }
        let id: ReadId = request.id;
        match request.what {
            Read::Entries { first, last, max_bytes } => {
                let records = host.disk.read(first, last, max_bytes);
                self.input(server, |node, now, out| {
                    node.handle_entries_read(id, records.as_deref(), now, out);
                })
            }
            Read::Snapshot => {
                let snapshot = host.disk.read_snapshot();
                self.input(server, |node, now, out| {
                    node.handle_snapshot_read(id, snapshot.as_ref(), now, out);
                })
            }
        }
    }

    /// A server's violation as an error, for scenarios.
    pub fn expect(&self, holds: bool, rule: &'static str) -> Checked {
        if holds {
            return Ok(());
        }
        Err(Violation { rule, detail: format!("at {:.3} s", self.now as f64 / 1e9) })
    }
}

/// Numbered ids.
trait WithDigit {
    fn with_digit(self, digit: usize) -> Self;
}

impl WithDigit for PeerId {
    fn with_digit(mut self, digit: usize) -> Self {
        self.0[7] = b'0' + digit as u8;
        self
    }
}
