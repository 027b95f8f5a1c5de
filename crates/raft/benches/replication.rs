//! Cost of consensus alone: CPU and allocations from propose to commit with 3 and 5 nodes in memory,
//! and of 10,000 idle groups in one process.
#![allow(unsafe_code, clippy::unwrap_used, reason = "a counting allocator needs unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft::{
    Apply, Channel, Checksum, Config, Dest, Effects, Found, Groups, Node, PeerId, PeerState,
    Recovery, ReplySubject, Role, Sound,
};
use stdx::time::Mono;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn peer(n: usize) -> PeerId {
    let mut id = *b"bench--0";
    id[7] = b'0' + n as u8;
    PeerId(id)
}

fn node(n: usize, peers: &[PeerId], seed: u64, sum: &Checksum) -> Node {
    let peers = PeerState::of(peers).encode();
    let found = Found { peers: Some(peers.into()), ..Found::default() };
    let recovery = Recovery::new(Config::new(peer(n), seed), Sound, sum, &found);
    recovery.finish(Mono(0), &mut Effects::default()).unwrap()
}

type Mail = VecDeque<(usize, Channel, Bytes, ReplySubject)>;

struct Cluster {
    nodes: Vec<Node>,
    out: Effects,
    mail: Mail,
    applies: Vec<Apply>,
    now: Mono,
}

impl Cluster {
    fn new(count: usize) -> Self {
        let sum = Checksum::new("S-R3F-bench");
        let peers: Vec<PeerId> = (0..count).map(peer).collect();
        let nodes = (0..count).map(|n| node(n, &peers, n as u64, &sum)).collect();
        let mut cluster = Self {
            nodes,
            out: Effects::default(),
            mail: Mail::new(),
            applies: Vec::new(),
            now: Mono(0),
        };
        cluster.nodes[0].campaign_immediately(Mono(0));
        cluster.now = Mono(60_000_000);
        cluster.nodes[0].tick(cluster.now, &mut cluster.out);
        cluster.carry_out(0);
        cluster.settle();
        assert_eq!(cluster.nodes[0].role(), Role::Leader);
        cluster
    }

    fn carry_out(&mut self, n: usize) {
        loop {
            for send in self.out.send.drain(..) {
                for to in 0..self.nodes.len() {
                    let channel = match send.dest {
                        Dest::Vote => Channel::Vote,
                        Dest::Append => Channel::Append,
                        Dest::Reply(r)
                            if r == ReplySubject::answers(self.nodes[to].append_inbox()) =>
                        {
                            Channel::AppendReply
                        }
                        Dest::Reply(r)
                            if r == ReplySubject::answers(self.nodes[to].vote_inbox()) =>
                        {
                            Channel::VoteReply
                        }
                        _ => continue,
                    };
                    if to != n {
                        self.mail.push_back((to, channel, send.payload.clone(), send.reply));
                    }
                }
            }
            std::mem::swap(&mut self.applies, &mut self.out.apply);
            let ticket = self.out.persist.last().map(|p| p.ticket);
            self.out.clear();
            if ticket.is_none() && self.applies.is_empty() {
                return;
            }
            if let Some(ticket) = ticket {
                self.nodes[n].handle_durable(ticket, self.now, &mut self.out);
            }
            if let Some(Apply::Committed { position, .. }) = self.applies.drain(..).next_back() {
                self.nodes[n].processed(position.index, position.index, self.now, &mut self.out);
            }
        }
    }

    fn settle(&mut self) {
        while let Some((to, channel, payload, reply)) = self.mail.pop_front() {
            self.nodes[to]
                .handle_message(channel, &payload, reply, self.now, &mut self.out)
                .unwrap();
            self.carry_out(to);
        }
    }

    fn round(&mut self, entries: usize, data: &Bytes) {
        for _ in 0..entries {
            self.nodes[0].propose(data.clone()).unwrap();
        }
        self.nodes[0].poll(self.now, &mut self.out);
        self.carry_out(0);
        self.settle();
    }
}

fn replication(count: usize, batch: usize) {
    let data = Bytes::from(vec![7; 128]);
    let mut cluster = Cluster::new(count);
    for _ in 0..2000 {
        cluster.round(batch, &data);
    }
    let rounds = 200_000 / batch.max(10);
    let (allocations, start) = (ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
    for _ in 0..rounds {
        cluster.round(batch, &data);
    }
    let elapsed = start.elapsed();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
    let entries = (rounds * batch) as f64;
    println!(
        "{count} nodes, {batch:3} entries of 128 B per poll: {:7.0} ns and {:6.2} allocations per entry, all nodes together",
        elapsed.as_nanos() as f64 / entries,
        allocations as f64 / entries,
    );
}

/// Ten minutes of one server's view: it leads a third of the groups and follows the rest.
fn idle(count: u32) {
    let sum = Checksum::new("S-R3F-bench");
    let mut groups = Groups::new(Duration::from_millis(50));
    let peers = [peer(0), peer(1), peer(2)];
    let mut ids = Vec::new();
    for n in 0..count {
        let single = n % 3 == 0;
        let members = if single { &peers[..1] } else { &peers[..] };
        ids.push(groups.insert(node(0, members, u64::from(n), &sum)));
    }
    // The groups led need their own tickets; the others hear a leader's heartbeat each second.
    let heartbeat = |term: u64| {
        raft::AppendEntry {
            leader: peer(1),
            term: raft::Term(term),
            commit: raft::LogIndex(0),
            prev: raft::Position::ZERO,
            entries: raft::Entries::new(),
            leader_term: raft::Term(0),
        }
        .encode()
    };
    let beat = Bytes::from(heartbeat(1));
    let reply = ReplySubject::new(b"$NRG.R.abcdefgh").unwrap();
    let mut out = Effects::default();
    let (mut wakes, mut messages) = (0u64, 0u64);
    let start = Instant::now();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);
    const SECONDS: u64 = 60;
    for second in 1..=SECONDS {
        let end = Mono(second * 1_000_000_000);
        while let Some(at) = groups.next_deadline().filter(|&at| at <= end) {
            wakes += 1;
            let mut done = Vec::new();
            groups.tick(at, |id, effects| {
                messages += effects.send.len() as u64;
                if let Some(last) = effects.persist.last() {
                    done.push((id, last.ticket));
                }
            });
            for (id, mut ticket) in done {
                groups.with(id, |node| {
                    loop {
                        out.clear();
                        node.handle_durable(ticket, at, &mut out);
                        match out.persist.last() {
                            Some(next) => ticket = next.ticket,
                            None => break,
                        }
                    }
                });
            }
        }
        for (n, &id) in ids.iter().enumerate().filter(|(n, _)| n % 3 != 0) {
            let _ = n;
            out.clear();
            groups.with(id, |node| {
                let _ = node.handle_message(Channel::Append, &beat, reply, end, &mut out);
                if let Some(last) = out.persist.last().map(|p| p.ticket) {
                    node.handle_durable(last, end, &mut out);
                }
            });
            messages += 1 + out.send.len() as u64;
        }
    }
    let elapsed = start.elapsed();
    println!(
        "{count} idle groups: {:.2} % of one core ({:.1?} for {SECONDS} s), {} messages and {} wake-ups per second, {:.1} allocations per group and second",
        elapsed.as_secs_f64() / SECONDS as f64 * 100.0,
        elapsed,
        messages / SECONDS,
        wakes / SECONDS,
        (ALLOCATIONS.load(Ordering::Relaxed) - allocations) as f64
            / f64::from(count)
            / SECONDS as f64,
    );
}

fn main() {
    for count in [3, 5] {
        for batch in [1, 10, 100] {
            replication(count, batch);
        }
    }
    idle(10_000);
}
