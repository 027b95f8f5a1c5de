//! One replica whose disk and peers say anything.
//!
//! Laws: whatever comes, the replica's own laws hold, what it asks for stays in proportion to what it
//!       was given, and a message it refuses changes nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::{
    Apply, Channel, Checksum, Config, Effects, Found, Inbox, LogIndex, Node, Notice, PeerId,
    PeerState, Read, Recovery, ReplySubject, Role, Sound, Verdict, Write,
};
use stdx::time::Mono;

use crate::Shape;

const SELF: PeerId = PeerId(*b"peer0000");
const PEERS: [PeerId; 3] = [SELF, PeerId(*b"peer0001"), PeerId(*b"peer0002")];

/// More than any one message may cause to be sent, in bytes, for each byte there is.
const OUT_OF_PROPORTION: usize = 64;

/// Takes up to `most` bytes off the front, as many as the first one says.
fn piece<'a>(bytes: &mut &'a [u8], most: usize) -> Option<&'a [u8]> {
    let (&len, rest) = bytes.split_first()?;
    let (piece, rest) = rest.split_at(usize::from(len).min(most).min(rest.len()));
    *bytes = rest;
    Some(piece)
}

/// Starts from files and records cut from `bytes`: a length, then the file, five times; then records.
pub(super) fn recover(mut bytes: &[u8]) -> Shape {
    let sum = Checksum::new("fuzz");
    let (&flags, rest) = bytes.split_first().unwrap_or((&0, &[]));
    bytes = rest;
    let mut file = |sealed: bool| {
        let body = piece(&mut bytes, 255).filter(|body| !body.is_empty())?;
        let end: &[u8] = if sealed { &sum.hash(body) } else { &[] };
        Some(Bytes::from([body, end].concat()))
    };
    let found = Found {
        term_vote: file(false),
        vote_guard: file(true),
        peers: file(false),
        snapshot: file(true),
        log_end: file(true),
        log_lost: flags & 1 != 0,
    };
    let mut config = Config::new(SELF, 1);
    (config.recovering, config.joining) = (flags & 2 != 0, flags & 4 != 0);
    (config.changed, config.memory_log) = (flags & 8 != 0, flags & 16 != 0);
    let mut recovery = Recovery::new(config, Sound, &sum, &found);
    let first = found.snapshot.as_ref().map_or(0, |_| u64::from(flags));
    let mut kept = 0;
    for index in first + 1.. {
        let Some(record) = piece(&mut bytes, 255) else { break };
        match recovery.record(LogIndex(index), &Bytes::copy_from_slice(record)) {
            Verdict::Kept => kept += 1,
            Verdict::Covered => {}
            Verdict::Stop => break,
        }
    }
    let mut out = Effects::default();
    match recovery.finish(Mono(0), &mut out) {
        Ok(node) => {
            node.check();
            let trusted = usize::from(node.quarantine().is_none());
            Shape::count(kept).and(Shape::count(trusted)).and(Shape::count(out.persist.len()))
        }
        Err(why) => Shape::of(&why.to_string()),
    }
}

/// A replica with its log in memory.
struct Replica {
    node: Node,
    log: BTreeMap<u64, Bytes>,
    inbox: Option<Inbox>,
    now: Mono,
    given: usize,
}

impl Replica {
    fn new(peers: &[PeerId]) -> Option<Self> {
        let found = Found { peers: Some(PeerState::of(peers).encode().into()), ..Found::default() };
        let recovery = Recovery::new(Config::new(SELF, 1), Sound, &Checksum::new("fuzz"), &found);
        let node = recovery.finish(Mono(0), &mut Effects::default()).ok()?;
        Some(Self { node, log: BTreeMap::new(), inbox: None, now: Mono(0), given: 100 })
    }

    /// Carries out what one input asked for, and what that causes.
    fn settle(&mut self, mut out: Effects) {
        for _ in 0..1000 {
            if out.is_empty() {
                self.node.check();
                return;
            }
            let sent: usize = out.send.iter().map(|send| 64 + send.payload.len()).sum();
            assert!(sent <= OUT_OF_PROPORTION * self.given, "{sent} bytes for {}", self.given);
            let asked = std::mem::take(&mut out);
            for persist in asked.persist {
                self.write(persist.write);
                self.node.handle_durable(persist.ticket, self.now, &mut out);
            }
            for notice in asked.notices {
                match notice {
                    Notice::Listen(inbox) => self.inbox = Some(inbox),
                    Notice::Unlisten(_) => self.inbox = None,
                    _ => {}
                }
            }
            for read in asked.read {
                match read.what {
                    Read::Entries { first, last, .. } => {
                        let records: Vec<Bytes> =
                            self.log.range(first.0..=last.0).map(|(_, r)| r.clone()).collect();
                        let found = (!records.is_empty()).then_some(records.as_slice());
                        self.node.handle_entries_read(read.id, found, self.now, &mut out);
                    }
                    Read::Snapshot => {
                        self.node.handle_snapshot_read(read.id, None, self.now, &mut out);
                    }
                }
            }
            for apply in asked.apply {
                if let Apply::Committed { position, .. } | Apply::Snapshot { position, .. } = apply
                {
                    let index = position.index;
                    self.node.processed(index, index, self.now, &mut out);
                }
            }
        }
        panic!("the replica keeps itself busy for ever");
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Append { index, record } => {
                let _ = self.log.insert(index.0, record);
            }
            Write::Truncate { last } => self.log.retain(|&index, _| index <= last.0),
            Write::Compact { up_to } => self.log.retain(|&index, _| index > up_to.0),
            Write::ResetLog { .. } => self.log.clear(),
            Write::TermVote(_) | Write::Peers(_) | Write::SaveSnapshot(_) | Write::DropSnapshot => {
            }
        }
    }

    fn hear(&mut self, kind: u8, payload: &[u8]) -> &'static str {
        let inbox = self.inbox.unwrap_or(Inbox(*b"inbox000"));
        let channel = match kind & 7 {
            0 => Channel::Append,
            1 => Channel::AppendReply,
            2 => Channel::Catchup(inbox),
            3 => Channel::Proposal,
            4 => Channel::Vote,
            5 => Channel::VoteReply,
            6 => Channel::RemovePeer,
            _ => return self.wait(payload),
        };
        let reply = if kind & 8 == 0 { ReplySubject::NONE } else { ReplySubject::catchup(inbox) };
        let before = (self.node.term(), self.node.last(), self.node.commit(), self.node.role());
        let mut out = Effects::default();
        self.given += payload.len();
        let payload = Bytes::copy_from_slice(payload);
        let refused = self.node.handle_message(channel, &payload, reply, self.now, &mut out);
        if refused.is_err() {
            let after = (self.node.term(), self.node.last(), self.node.commit(), self.node.role());
            assert!(before == after && out.is_empty(), "a refused message changed something");
        }
        self.settle(out);
        match self.node.role() {
            _ if refused.is_err() => "refused",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
            Role::Closed => "closed",
        }
    }

    /// Time passes: a tenth of a second for each unit.
    fn wait(&mut self, units: &[u8]) -> &'static str {
        let tenths = units.first().copied().unwrap_or(1);
        for _ in 0..tenths {
            self.now.0 += 100_000_000;
            let mut out = Effects::default();
            self.given += 10;
            self.node.tick(self.now, &mut out);
            self.settle(out);
        }
        "waited"
    }
}

/// A group of one (which leads) or of three, and any messages: a kind, a length, the bytes.
pub(super) fn listen(mut bytes: &[u8]) -> Shape {
    let (&first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    bytes = rest;
    let peers = if first & 1 == 0 { &PEERS[..] } else { &PEERS[..1] };
    let Some(mut replica) = Replica::new(peers) else { return Shape::of("no replica") };
    let (mut shape, mut heard) = (Shape::count(usize::from(first & 1)), 0);
    if first & 1 == 1 {
        replica.wait(&[100]);
    }
    while let Some((&kind, rest)) = bytes.split_first() {
        bytes = rest;
        let Some(payload) = piece(&mut bytes, 255) else { break };
        let what = replica.hear(kind, payload);
        heard += 1;
        if heard <= 4 {
            shape = shape.and(Shape::of(what));
        }
        if heard > 200 {
            break;
        }
    }
    shape.and(Shape::count(replica.log.len()))
}
