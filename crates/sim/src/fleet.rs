//! Several groups on the same servers: one `raft::Groups` per process ticks them all, messages travel by
//! the text of their subjects, a crash or a cut meets all groups of a server at once.
//!
//! Groups have different members, and some messages arrive on a subject of another group, of which
//! their sender is no member: they must change nothing there. Append entries are exempt: a follower
//! that is behind cannot know who leads (docs/consensus.md).
//!
//! Laws: as in `world`: one seed decides everything, the checks know what a driver sees. Disks are
//!       instant and sound here; what they do wrong is `world`'s subject.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use raft::{
    Apply, Bug, Channel, Checksum, Config, Dest, Effects, EntryKind, Found, GroupId, GroupSubjects,
    Groups, Inbox, LogEnd, LogIndex, Node, PeerId, PeerState, Position, Recovery, ReplySubject,
    Role, Timing, VoteGuard, VoteRequest, Write,
};
use stdx::time::Mono;

use crate::check::{Checked, Checks, broken, hash};
use crate::forge::Unmoved;
use crate::plan::MS;
use crate::planted::Planted;
use crate::rng::Rng;

const SERVERS: usize = 6;
/// Who belongs to which group.
const MEMBERS: [&[usize]; 5] = [&[0, 1, 2], &[3, 4, 5], &[0, 2, 4], &[1, 3, 5], &[0, 1, 2, 3, 4]];

fn id(server: usize) -> PeerId {
    let mut id = *b"fleet--0";
    id[7] = b'0' + server as u8;
    PeerId(id)
}

fn name(group: usize) -> String {
    format!("S-R3F-fleet{group}")
}

/// What one server has of one group.
#[derive(Default)]
struct Replica {
    slot: Option<GroupId>,
    guard: Option<VoteGuard>,
    end: Option<LogEnd>,
    log: Vec<Bytes>,
    catchup: Option<Inbox>,
    applied: LogIndex,
    digest: u64,
    commit: LogIndex,
}

struct Server {
    /// None while it is down.
    groups: Option<Groups<Planted>>,
    replicas: Vec<Replica>,
    up_at: u64,
}

/// On its way: when, in which order, from, to, subject, reply, payload.
type Mail = (u64, u64, usize, usize, String, ReplySubject, Bytes);

/// All servers, all groups.
pub struct Fleet {
    rng: Rng,
    bug: Option<Bug>,
    now: u64,
    sent: u64,
    servers: Vec<Server>,
    mail: BinaryHeap<Reverse<(u64, u64, usize)>>,
    letters: Vec<Option<Mail>>,
    checks: Vec<Checks>,
    cut: u64,
    /// Messages that arrived on another group's subject.
    pub strayed: u64,
    calm: bool,
}

/// Runs a seed; how many messages went astray.
pub fn run(seed: u64, bug: Option<Bug>) -> Result<u64, crate::check::Violation> {
    let replicas = || (0..MEMBERS.len()).map(|_| Replica::default()).collect();
    let server = |_| Server { groups: None, replicas: replicas(), up_at: 0 };
    let mut fleet = Fleet {
        rng: Rng::new(seed),
        bug,
        now: 0,
        sent: 0,
        servers: (0..SERVERS).map(server).collect(),
        mail: BinaryHeap::new(),
        letters: Vec::new(),
        checks: vec![Checks::default(); MEMBERS.len()],
        cut: 0,
        strayed: 0,
        calm: false,
    };
    fleet.trouble(6000 * MS)?;
    fleet.calm_down()?;
    Ok(fleet.strayed)
}

impl Fleet {
    fn trouble(&mut self, until: u64) -> Checked {
        while self.now < until {
            let next = self.now + self.rng.around(150 * MS);
            self.run_until(next)?;
            let server = self.rng.below(SERVERS as u64) as usize;
            match self.rng.below(8) {
                0 if self.servers[server].groups.is_some() => {
                    self.servers[server].groups = None;
                    self.servers[server].up_at = self.now + self.rng.around(400 * MS);
                }
                1 => self.cut = 1 << server,
                2 | 3 => self.cut = 0,
                _ => self.propose()?,
            }
        }
        Ok(())
    }

    /// Every group finds a leader and agrees, once nothing goes wrong any more.
    fn calm_down(&mut self) -> Checked {
        (self.cut, self.calm) = (0, true);
        for server in &mut self.servers {
            server.up_at = 0;
        }
        let deadline = self.now + 60_000 * MS;
        while self.now < deadline {
            self.run_until(self.now + 500 * MS)?;
            self.propose()?;
            self.run_until(self.now + 500 * MS)?;
            if (0..MEMBERS.len()).all(|group| self.is_level(group)) {
                return Ok(());
            }
        }
        broken("liveness", "a group of the fleet does not agree".into())
    }

    fn node(&self, server: usize, group: usize) -> Option<&Node<Planted>> {
        let host = self.servers.get(server)?;
        host.groups.as_ref()?.get(host.replicas[group].slot?)
    }

    fn is_level(&self, group: usize) -> bool {
        let nodes: Vec<_> = MEMBERS[group].iter().filter_map(|&s| self.node(s, group)).collect();
        let leads = nodes.iter().filter(|node| node.is_leading()).count();
        let commit = nodes.first().map_or(LogIndex(0), |node| node.commit());
        let same = nodes.iter().all(|node| node.commit() == commit && node.applied() == commit);
        nodes.len() == MEMBERS[group].len() && leads == 1 && same && commit > LogIndex(1)
    }

    /// Starts every server that is due, with all its groups.
    fn start(&mut self) -> Checked {
        for server in 0..SERVERS {
            if self.servers[server].groups.is_some() || self.servers[server].up_at > self.now {
                continue;
            }
            self.servers[server].groups = Some(Groups::new(Duration::from_millis(5)));
            for (group, members) in MEMBERS.iter().enumerate() {
                if members.contains(&server) {
                    self.recover(server, group)?;
                }
            }
        }
        Ok(())
    }

    fn recover(&mut self, server: usize, group: usize) -> Checked {
        let mut config = Config::new(id(server), self.rng.draw());
        let full = Timing::default();
        (config.timing.election_min, config.timing.election_max) =
            (full.election_min / 10, full.election_max / 10);
        (config.timing.heartbeat, config.timing.lost_quorum) =
            (full.heartbeat / 10, full.lost_quorum / 10);
        (config.timing.campaign_min, config.timing.campaign_max) =
            (full.campaign_min / 10, full.campaign_max / 10);
        config.timing.catchup_stall = full.catchup_stall / 10;
        let sum = Checksum::new(&name(group));
        let replica = &mut self.servers[server].replicas[group];
        let ids: Vec<PeerId> = MEMBERS[group].iter().map(|&s| id(s)).collect();
        let found = Found {
            term_vote: replica.guard.map(|guard| guard.voted.encode().into()),
            vote_guard: replica.guard.map(|guard| guard.encode(&sum).into()),
            log_end: replica.end.map(|end| Bytes::copy_from_slice(&end.encode(&sum))),
            peers: Some(PeerState::of(&ids).encode().into()),
            ..Found::default()
        };
        let planted = Planted { bug: self.bug, add_at_once: false };
        let mut recovery = Recovery::new(config, planted, &sum, &found);
        for (at, record) in replica.log.iter().enumerate() {
            recovery.record(LogIndex(at as u64 + 1), record);
        }
        let mut effects = Effects::default();
        let Ok(node) = recovery.finish(Mono(self.now), &mut effects) else {
            return broken("recovery", format!("server {server} of group {group}"));
        };
        (replica.applied, replica.digest, replica.commit) = (LogIndex(0), 0, LogIndex(0));
        replica.catchup = None;
        let groups = self.servers[server].groups.as_mut();
        let slot = groups.map(|groups| groups.insert(node));
        self.servers[server].replicas[group].slot = slot;
        self.carry_out(server, group, effects)
    }

    fn run_until(&mut self, until: u64) -> Checked {
        while self.now < until {
            self.start()?;
            let mail = self.mail.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
            let due = |s: &Server| s.groups.as_ref().and_then(Groups::next_deadline).map(|d| d.0);
            let tick = self.servers.iter().filter_map(due).min().unwrap_or(u64::MAX);
            let up = self.servers.iter().filter(|s| s.groups.is_none()).map(|s| s.up_at).min();
            let next = mail.min(tick).min(up.unwrap_or(u64::MAX)).max(self.now + 1);
            self.now = next.min(until);
            while let Some(&Reverse((at, _, slot))) = self.mail.peek()
                && at <= self.now
            {
                self.mail.pop();
                if let Some(mail) = self.letters[slot].take() {
                    self.deliver(mail)?;
                }
            }
            for server in 0..SERVERS {
                self.tick(server)?;
            }
        }
        Ok(())
    }

    fn tick(&mut self, server: usize) -> Checked {
        let Some(groups) = self.servers[server].groups.as_mut() else { return Ok(()) };
        let mut due: Vec<(GroupId, Effects)> = Vec::new();
        groups.tick(Mono(self.now), |slot, effects| due.push((slot, std::mem::take(effects))));
        for (slot, effects) in due {
            let replicas = &self.servers[server].replicas;
            if let Some(group) = replicas.iter().position(|r| r.slot == Some(slot)) {
                self.carry_out(server, group, effects)?;
            }
        }
        Ok(())
    }

    fn input(
        &mut self,
        server: usize,
        group: usize,
        act: impl FnOnce(&mut Node<Planted>, Mono, &mut Effects),
    ) -> Checked {
        let (host, now) = (&mut self.servers[server], Mono(self.now));
        let (Some(groups), Some(slot)) = (&mut host.groups, host.replicas[group].slot) else {
            return Ok(());
        };
        let mut effects = Effects::default();
        groups.with(slot, |node| act(node, now, &mut effects));
        self.carry_out(server, group, effects)
    }

    fn propose(&mut self) -> Checked {
        for (group, members) in MEMBERS.iter().enumerate() {
            let leads = |&s: &usize| self.node(s, group).is_some_and(Node::is_leading);
            let Some(leader) = members.iter().copied().find(leads) else { continue };
            let words = [group as u64, self.rng.draw()];
            let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.input(leader, group, |node, now, out| {
                let _ = node.propose(data.into());
                node.poll(now, out);
            })?;
        }
        Ok(())
    }

    fn carry_out(&mut self, server: usize, group: usize, mut effects: Effects) -> Checked {
        self.check(server, group)?;
        let mut ticket = None;
        for persist in effects.persist.drain(..) {
            ticket = Some(persist.ticket);
            if let Write::Append { record, .. } = &persist.write {
                self.checks[group].stored(server, record)?;
                self.checks[group].durable(server, record);
            }
            self.servers[server].replicas[group].write(persist.write);
        }
        let replica = &mut self.servers[server].replicas[group];
        replica.end = effects.reached.take().or(replica.end);
        for notice in effects.notices.drain(..) {
            match notice {
                raft::Notice::Listen(inbox) => replica.catchup = Some(inbox),
                raft::Notice::Unlisten(_) => replica.catchup = None,
                raft::Notice::Diverged(index) => {
                    return broken("no divergence", format!("server {server} at {index}"));
                }
                _ => {}
            }
        }
        for send in effects.send.drain(..) {
            let subject = subject(group, send.dest);
            self.post(server, &subject, send.reply, &send.payload);
            if !self.calm && self.rng.chance(60) {
                self.stray(server, group, send.dest, &send.payload);
            }
        }
        let reads: Vec<_> = effects.read.drain(..).collect();
        for apply in std::mem::take(&mut effects.apply) {
            self.apply(server, group, &apply)?;
        }
        for read in reads {
            if let raft::Read::Entries { first, last, .. } = read.what {
                let log = &self.servers[server].replicas[group].log;
                let range = (first.0 - 1) as usize..(last.0 as usize).min(log.len());
                let records: Option<Vec<Bytes>> = log.get(range).map(<[Bytes]>::to_vec);
                self.input(server, group, |node, now, out| {
                    node.handle_entries_read(read.id, records.as_deref(), now, out);
                })?;
            }
        }
        match ticket {
            Some(t) => self.input(server, group, |node, now, out| node.handle_durable(t, now, out)),
            None => Ok(()),
        }
    }

    fn check(&mut self, server: usize, group: usize) -> Checked {
        let host = &self.servers[server];
        let slot = host.groups.as_ref().zip(host.replicas[group].slot);
        let Some(node) = slot.and_then(|(groups, slot)| groups.get(slot)) else { return Ok(()) };
        let (from, to) = (host.replicas[group].commit, node.commit());
        let check = &mut self.checks[group];
        if node.role() == Role::Leader {
            check.led(server, node)?;
        }
        if to > from {
            let ids: Vec<PeerId> = (0..SERVERS).map(id).collect();
            let servers = &self.servers;
            let holds = |s: usize, at: Position, _: bool| {
                let log = &servers[s].replicas[group].log;
                let record = (at.index.0 as usize).checked_sub(1).and_then(|i| log.get(i));
                record.is_some_and(|r| r.get(8..16) == Some(&at.term.0.to_le_bytes()))
            };
            check.committed(server, node, from, &ids, holds)?;
        }
        self.servers[server].replicas[group].commit = to;
        Ok(())
    }

    fn apply(&mut self, server: usize, group: usize, apply: &Apply) -> Checked {
        let Apply::Committed { position, entries } = apply else { return Ok(()) };
        let replica = &mut self.servers[server].replicas[group];
        if position.index != replica.applied.next() {
            return broken("applied without holes", format!("server {server} at {position}"));
        }
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Normal) {
            if entry.data.first() != Some(&(group as u8)) {
                let detail = format!("server {server} applies a stranger's entry in {group}");
                return broken("groups are separate", detail);
            }
            replica.digest = (replica.digest ^ hash(&entry.data)).rotate_left(9);
        }
        replica.applied = position.index;
        let (index, state) = (position.index, replica.digest | 1);
        self.checks[group].applied(server, index, state)?;
        self.input(server, group, |node, now, out| {
            node.processed(index, index, now, out);
        })
    }

    /// A message on its way to everybody who listens to its subject.
    fn post(&mut self, from: usize, subject: &str, reply: ReplySubject, payload: &Bytes) {
        for to in (0..SERVERS).filter(|to| *to != from) {
            if self.route(to, subject).is_none() {
                continue;
            }
            self.sent += 1;
            let at = self.now + self.rng.range(MS / 5, 8 * MS);
            let mail = (at, self.sent, from, to, subject.to_owned(), reply, payload.clone());
            self.letters.push(Some(mail));
            self.mail.push(Reverse((at, self.sent, self.letters.len() - 1)));
        }
    }

    /// The same message on the subject of a group the sender is no member of.
    fn stray(&mut self, from: usize, group: usize, dest: Dest, payload: &Bytes) {
        let other = self.rng.below(MEMBERS.len() as u64) as usize;
        // Who acknowledges what the leader holds asks to become a member (RAFT-016).
        let joins = raft::AppendResponse::decode(payload).is_ok_and(|response| response.success);
        if other == group || MEMBERS[other].contains(&from) || dest == Dest::Append || joins {
            return;
        }
        let subject = match dest {
            Dest::Reply(_) => {
                let to = MEMBERS[other][self.rng.below(MEMBERS[other].len() as u64) as usize];
                let Some(node) = self.node(to, other) else { return };
                let inbox = match payload.len() {
                    25 => node.append_inbox(),
                    _ => node.vote_inbox(),
                };
                subject(other, Dest::Reply(ReplySubject::answers(inbox)))
            }
            dest => subject(other, dest),
        };
        self.post(from, &subject, ReplySubject::NONE, payload);
    }

    /// Which of a server's groups listens to `subject`, and as what.
    fn route(&self, server: usize, subject: &str) -> Option<(usize, Channel)> {
        (0..MEMBERS.len()).find_map(|group| {
            let node = self.node(server, group)?;
            let own = GroupSubjects::new(&name(group));
            let reply = |text: ReplySubject| text.as_bytes() == subject.as_bytes();
            let catchup = self.servers[server].replicas[group].catchup;
            let channel = if subject == own.vote {
                Channel::Vote
            } else if subject == own.append {
                Channel::Append
            } else if reply(ReplySubject::answers(node.vote_inbox())) {
                Channel::VoteReply
            } else if reply(ReplySubject::answers(node.append_inbox())) {
                Channel::AppendReply
            } else {
                Channel::Catchup(catchup.filter(|&i| reply(ReplySubject::catchup(i)))?)
            };
            Some((group, channel))
        })
    }

    fn deliver(&mut self, mail: Mail) -> Checked {
        let (_, _, from, to, subject, reply, payload) = mail;
        let apart = (self.cut >> from & 1) != (self.cut >> to & 1);
        let Some((group, channel)) = self.route(to, &subject).filter(|_| !apart) else {
            return Ok(());
        };
        let astray = !MEMBERS[group].contains(&from);
        let before = self.node(to, group).filter(|_| astray).filter(|node| {
            // A campaign with a longer log might be one of a member that was added.
            let request = VoteRequest::decode(&payload).ok().filter(|_| channel == Channel::Vote);
            request.is_none_or(|r| r.last < node.last() || node.role() == Role::Leader)
        });
        let before = before.map(Unmoved::of);
        self.strayed += u64::from(before.is_some());
        self.input(to, group, |node, now, out| {
            let _ = node.handle_message(channel, &payload, reply, now, out);
        })?;
        let after = self.node(to, group).map(Unmoved::of);
        if before.is_some() && after != before {
            let detail = format!("server {to}, group {group}: {before:?} became {after:?}");
            return broken("other groups change nothing", detail);
        }
        Ok(())
    }
}

fn subject(group: usize, dest: Dest) -> String {
    let own = GroupSubjects::new(&name(group));
    match dest {
        Dest::Vote => own.vote,
        Dest::Append => own.append,
        Dest::Proposal => own.proposal,
        Dest::RemovePeer => own.remove_peer,
        Dest::Reply(to) => String::from_utf8_lossy(to.as_bytes()).into_owned(),
    }
}

impl Replica {
    fn write(&mut self, write: Write) {
        match write {
            Write::TermVote(guard) => self.guard = Some(guard),
            Write::Append { record, .. } => self.log.push(record),
            Write::Truncate { last } => self.log.truncate(last.0 as usize),
            Write::ResetLog { .. } => self.log.clear(),
            Write::Peers(_)
            | Write::SaveSnapshot(_)
            | Write::DropSnapshot
            | Write::Compact { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_one_process_agree_each_for_itself() {
        let strayed: u64 = (0..40).map(|seed| run(seed, None).unwrap()).sum();
        assert!(strayed > 60, "{strayed} messages went astray");
    }

    #[test]
    fn a_mistake_is_seen_here_too() {
        crate::run::silence_panics();
        for bug in [
            Bug::HeedStrangersCampaign,
            Bug::HeedStrangersAnswer,
            Bug::SkipLogCheck,
            Bug::AckUnmatched,
        ] {
            let fails = |seed| {
                let told = std::panic::catch_unwind(|| run(seed, Some(bug)));
                !matches!(told, Ok(Ok(_)))
            };
            assert!((0..200).any(fails), "{bug:?} goes unnoticed");
        }
    }
}
