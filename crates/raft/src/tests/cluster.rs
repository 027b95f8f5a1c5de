//! A few nodes in memory: instant disks, messages delivered in order unless a link is cut.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use stdx::time::Mono;

use crate::checksum::Checksum;
use crate::codec::append::EntryKind;
use crate::codec::end::LogEnd;
use crate::codec::peers::PeerState;
use crate::codec::snapshot::Snapshot;
use crate::codec::subject::{Inbox, ReplySubject};
use crate::codec::vote::VoteGuard;
use crate::config::Config;
use crate::effects::{Apply, Dest, Effects, Notice, Read, Send, Ticket, Write};
use crate::id::{LogIndex, PeerId};
use crate::mutation::Sound;
use crate::node::recover::{Found, Recovery, Verdict};
use crate::node::{Channel, Node, Role};

pub(super) const SECOND: u64 = 1_000_000_000;

/// One server: node, files, and what its layer above saw.
pub(super) struct Server {
    pub(super) node: Node,
    pub(super) log: BTreeMap<u64, Bytes>,
    pub(super) guard: Option<VoteGuard>,
    pub(super) end: Option<LogEnd>,
    pub(super) peers: PeerState,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) applied: Vec<String>,
    pub(super) notices: Vec<Notice>,
    /// Tickets wait until `sync`.
    pub(super) slow: bool,
    pub(super) waiting: Option<Ticket>,
    /// Applies wait.
    pub(super) stuck: bool,
    catchup: Option<Inbox>,
    pub(super) down: bool,
}

pub(super) struct Cluster {
    pub(super) now: u64,
    pub(super) servers: Vec<Server>,
    pub(super) cut: Vec<(usize, usize)>,
    /// Messages sent, in order: from, to (none for a broadcast), channel name, payload.
    pub(super) sent: Vec<(usize, String, Bytes)>,
    mail: VecDeque<(usize, usize, Channel, Bytes, ReplySubject)>,
}

pub(super) fn peer(n: usize) -> PeerId {
    let mut id = *b"server-0";
    id[7] = b'0' + n as u8;
    PeerId(id)
}

pub(super) fn sum() -> Checksum {
    Checksum::new("S-R3F-test")
}

impl Cluster {
    pub(super) fn new(members: usize) -> Self {
        Self::with(members, |_, _| {})
    }

    pub(super) fn with(members: usize, tune: impl Fn(usize, &mut Config)) -> Self {
        let ids: Vec<PeerId> = (0..members).map(peer).collect();
        let mut cluster =
            Self { now: 0, servers: vec![], cut: vec![], sent: vec![], mail: VecDeque::new() };
        for n in 0..members {
            let mut config = Config::new(peer(n), n as u64 + 1);
            tune(n, &mut config);
            cluster.add(config, PeerState::of(&ids));
        }
        cluster
    }

    /// Adds a fresh server.
    pub(super) fn add(&mut self, config: Config, peers: PeerState) {
        let found = Found { peers: Some(peers.encode().into()), ..Found::default() };
        let mut out = Effects::default();
        let node =
            Recovery::new(config, Sound, &sum(), &found).finish(Mono(self.now), &mut out).unwrap();
        self.servers.push(Server {
            node,
            log: BTreeMap::new(),
            guard: None,
            end: None,
            peers,
            snapshot: None,
            applied: vec![],
            notices: vec![],
            slow: false,
            waiting: None,
            stuck: false,
            catchup: None,
            down: false,
        });
        let n = self.servers.len() - 1;
        self.carry_out(n, out);
    }

    /// Restarts a server from its files, as changed by `damage`.
    pub(super) fn restart(
        &mut self,
        n: usize,
        config: Config,
        damage: impl FnOnce(&mut Found, &mut BTreeMap<u64, Bytes>),
    ) {
        let server = &mut self.servers[n];
        let mut found = Found {
            term_vote: server.guard.map(|g| g.voted.encode().into()),
            vote_guard: server.guard.map(|g| g.encode(&sum()).into()),
            log_end: server.end.map(|end| Bytes::copy_from_slice(&end.encode(&sum()))),
            peers: Some(server.peers.encode().into()),
            snapshot: server.snapshot.as_ref().map(|s| s.encode(&sum()).into()),
            log_lost: false,
        };
        damage(&mut found, &mut server.log);
        let mut recovery = Recovery::new(config, Sound, &sum(), &found);
        for (&index, record) in &server.log {
            if recovery.record(LogIndex(index), record) == Verdict::Stop {
                break;
            }
        }
        let mut out = Effects::default();
        server.notices.clear();
        server.applied.clear();
        server.down = false;
        server.node = recovery.finish(Mono(self.now), &mut out).unwrap();
        self.carry_out(n, out);
        self.settle();
    }

    pub(super) fn node(&mut self, n: usize) -> &mut Node {
        &mut self.servers[n].node
    }

    pub(super) fn input(&mut self, n: usize, act: impl FnOnce(&mut Node, Mono, &mut Effects)) {
        let mut out = Effects::default();
        act(&mut self.servers[n].node, Mono(self.now), &mut out);
        self.carry_out(n, out);
    }

    fn carry_out(&mut self, n: usize, mut out: Effects) {
        loop {
            let server = &mut self.servers[n];
            let mut last = None;
            for persist in out.persist.drain(..) {
                server.write(persist.write);
                last = Some(persist.ticket);
            }
            server.end = out.reached.take().or(server.end);
            let applies: Vec<Apply> = out.apply.drain(..).collect();
            server.notices.append(&mut out.notices.clone());
            for notice in out.notices.drain(..) {
                match notice {
                    Notice::Listen(inbox) => server.catchup = Some(inbox),
                    Notice::Unlisten(_) => server.catchup = None,
                    _ => {}
                }
            }
            let reads: Vec<_> = out.read.drain(..).collect();
            let sends: Vec<Send> = out.send.drain(..).collect();
            for send in sends {
                self.post(n, &send);
            }
            let now = Mono(self.now);
            let server = &mut self.servers[n];
            match last {
                Some(ticket) if server.slow => server.waiting = Some(ticket),
                Some(ticket) => server.node.handle_durable(ticket, now, &mut out),
                None => {}
            }
            for read in reads {
                match read.what {
                    Read::Entries { first, last, .. } => {
                        let records: Vec<Bytes> =
                            server.log.range(first.0..=last.0).map(|(_, r)| r.clone()).collect();
                        let found = (!records.is_empty()).then_some(records.as_slice());
                        server.node.handle_entries_read(read.id, found, now, &mut out);
                    }
                    Read::Snapshot => {
                        let snapshot = server.snapshot.clone();
                        server.node.handle_snapshot_read(read.id, snapshot.as_ref(), now, &mut out);
                    }
                }
            }
            for apply in applies {
                server.apply(apply, now, &mut out);
            }
            if out.is_empty() {
                return;
            }
        }
    }

    /// Lets a slow disk finish.
    pub(super) fn sync(&mut self, n: usize) {
        if let Some(ticket) = self.servers[n].waiting.take() {
            self.input(n, |node, now, out| node.handle_durable(ticket, now, out));
        }
    }

    fn post(&mut self, from: usize, send: &Send) {
        let name = match send.dest {
            Dest::Vote => "vote",
            Dest::Append => "append",
            Dest::Proposal => "proposal",
            Dest::RemovePeer => "remove",
            Dest::Reply(_) => "reply",
        };
        self.sent.push((from, name.into(), send.payload.clone()));
        for to in 0..self.servers.len() {
            let server = &self.servers[to];
            let channel = match send.dest {
                Dest::Vote => Some(Channel::Vote),
                Dest::Append => Some(Channel::Append),
                Dest::Proposal => Some(Channel::Proposal),
                Dest::RemovePeer => Some(Channel::RemovePeer),
                Dest::Reply(reply) => server.listens(reply),
            };
            if let Some(channel) = channel
                && to != from
                && !server.down
                && !self.cut.contains(&(from, to))
            {
                self.mail.push_back((from, to, channel, send.payload.clone(), send.reply));
            }
        }
    }

    /// Delivers everything under way.
    pub(super) fn settle(&mut self) {
        while let Some((from, to, channel, payload, reply)) = self.mail.pop_front() {
            if !self.servers[to].down && !self.cut.contains(&(from, to)) {
                self.input(to, |node, now, out| {
                    node.handle_message(channel, &payload, reply, now, out).unwrap();
                });
            }
        }
    }

    /// Lets time pass in steps of 10 ms.
    pub(super) fn advance(&mut self, nanos: u64) {
        let end = self.now + nanos;
        while self.now < end {
            self.now += 10_000_000;
            for n in 0..self.servers.len() {
                if !self.servers[n].down {
                    self.input(n, Node::tick);
                }
            }
            self.settle();
        }
    }

    /// Makes one server campaign and win.
    pub(super) fn elect(&mut self, n: usize) {
        self.input(n, |node, now, _| node.campaign_immediately(now));
        self.advance(SECOND / 4);
        assert_eq!(self.node(n).role(), Role::Leader);
    }

    pub(super) fn propose(&mut self, n: usize, text: &str) {
        let data = Bytes::copy_from_slice(text.as_bytes());
        self.node(n).propose(data).unwrap();
        self.input(n, Node::poll);
        self.settle();
    }

    /// Cuts a server off from all others.
    pub(super) fn isolate(&mut self, n: usize) {
        for other in 0..self.servers.len() {
            self.cut.extend([(n, other), (other, n)]);
        }
    }

    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |s: &Server| !s.down && s.node.role() == Role::Leader;
        let term = |n: &usize| self.servers[*n].node.term();
        (0..self.servers.len()).filter(|&n| leads(&self.servers[n])).max_by_key(term)
    }
}

impl Server {
    fn listens(&self, reply: ReplySubject) -> Option<Channel> {
        if reply == ReplySubject::answers(self.node.append_inbox()) {
            return Some(Channel::AppendReply);
        }
        if reply == ReplySubject::answers(self.node.vote_inbox()) {
            return Some(Channel::VoteReply);
        }
        let inbox = self.catchup.filter(|&inbox| reply == ReplySubject::catchup(inbox))?;
        Some(Channel::Catchup(inbox))
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::TermVote(guard) => self.guard = Some(guard),
            Write::Peers(state) => self.peers = state,
            Write::Append { index, record } => {
                if let Some((&last, _)) = self.log.last_key_value() {
                    assert_eq!(index.0, last + 1, "the log has no holes");
                }
                self.log.insert(index.0, record);
            }
            Write::Truncate { last } => self.log.retain(|&i, _| i <= last.0),
            Write::SaveSnapshot(snapshot) => self.snapshot = Some(snapshot),
            Write::DropSnapshot => self.snapshot = None,
            Write::Compact { up_to } => self.log.retain(|&i, _| i > up_to.0),
            Write::ResetLog { .. } => self.log.clear(),
        }
    }

    fn apply(&mut self, apply: Apply, now: Mono, out: &mut Effects) {
        let index = match apply {
            Apply::Committed { position, entries } => {
                for entry in entries {
                    if entry.kind == EntryKind::Normal {
                        self.applied.push(String::from_utf8_lossy(&entry.data).into());
                    }
                }
                position.index
            }
            Apply::Snapshot { position, data } => {
                self.applied = vec![String::from_utf8_lossy(&data).into()];
                position.index
            }
            Apply::CatchupStarted | Apply::CatchupEnded => return,
        };
        if !self.stuck {
            self.node.processed(index, index, now, out);
        }
    }
}
