//! Messages no honest server of the group would send: nonsense, strangers, absurd numbers, and what
//! another group's servers say on its own subjects.
//!
//! Laws: what is marked as forged must change nothing at all, which `harmless` decides when it arrives.
//!       A group still being discovered knows no names and cannot tell strangers; and whoever takes a
//!       member's name is a member (docs/consensus.md).

use bytes::Bytes;
use raft::{
    AppendEntry, AppendResponse, Channel, Entries, Entry, EntryKind, LogIndex, Node, PeerId,
    Position, ReplySubject, Role, Send, Term, VoteRequest, VoteResponse,
};

use crate::check::{Checked, broken};
use crate::planted::Planted;
use crate::world::{Message, World};

/// What a forged message must leave as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmoved {
    role: Role,
    term: Term,
    last: Position,
    commit: LogIndex,
    peers: Vec<PeerId>,
}

impl Unmoved {
    pub(crate) fn of(node: &Node<Planted>) -> Self {
        Self {
            role: node.role(),
            term: node.term(),
            last: node.last(),
            commit: node.commit(),
            peers: node.peers().to_vec(),
        }
    }
}

impl World {
    /// Sends a server something it should not believe.
    pub(crate) fn forge(&mut self, to: usize) {
        let Some(node) = self.hosts[to].node() else { return };
        let (term, whole) = (node.term(), node.peers().len() == node.cluster_size());
        // Groups of one process share its subjects' prefix and nothing else: what another group's
        // servers tell each other never names our members.
        let stranger = self.stranger();
        let member = *self.rng.pick(&self.ids).unwrap_or(&stranger);
        let past = Term(self.rng.below(term.0.max(1)));
        let absurd = LogIndex(self.rng.draw() >> 1);
        let later = self.later_term(term);
        let last_term = Term(Term::MAX.0 - 1 - self.rng.below(2));
        let (channel, payload): (Channel, Vec<u8>) = match self.rng.below(13) {
            0 => self.nonsense(),
            1 => acknowledge(Position::new(term, absurd), stranger, true),
            2 => acknowledge(Position::new(term, absurd), member, true),
            3 => vote(term, stranger, whole),
            4 => campaign(past, Position::new(past, absurd), stranger),
            5 if term > Term(0) => {
                (Channel::Append, append(past, absurd, stranger, Position::default()).encode())
            }
            // Nobody's campaign may waste votes and raise terms, but decides nothing.
            6 => campaign(term.next(), Position::new(term, absurd), stranger),
            7 => campaign(later, Position::ZERO, stranger),
            8 => acknowledge(Position::new(later, LogIndex(1)), stranger, false),
            9 => vote(later, stranger, false),
            10 => campaign(last_term, Position::new(last_term, absurd), member),
            11 => match self.rng.below(3) {
                0 => acknowledge(Position::new(last_term, absurd), member, false),
                1 => vote(last_term, member, false),
                _ => {
                    let prev = Position::new(term, LogIndex(1));
                    (Channel::Append, append(last_term, absurd, member, prev).encode())
                }
            },
            _ => {
                // A count of 65,535 entries in a message of a few bytes.
                let mut bytes = vec![0; 42];
                bytes[40] = 0xff;
                bytes[41] = 0xff;
                (Channel::Append, bytes)
            }
        };
        let from = (to + 1) % self.hosts.len();
        let send =
            Send { dest: raft::Dest::Append, reply: ReplySubject::NONE, payload: payload.into() };
        self.forging = true;
        self.publish(from, Some(to), channel, &send);
        self.forging = false;
    }

    /// Many requests to be caught up, all alike: what is streamed for them stays within bounds.
    pub(crate) fn flood(&mut self) -> Checked {
        const REQUESTS: usize = 300;
        let Some(leader) = self.leader() else { return Ok(()) };
        let stranger = self.stranger();
        let peer = *self.rng.pick(&self.ids).unwrap_or(&stranger);
        let peer = if self.rng.chance(500) { peer } else { stranger };
        let Some(base) = self.hosts[leader].node().map(Node::base) else { return Ok(()) };
        let request = AppendResponse { position: base, peer, success: false };
        let payload = Bytes::copy_from_slice(&request.encode());
        let nobody = ReplySubject::catchup(raft::Inbox::from_random(self.rng.draw()));
        let before = self.streamed;
        for _ in 0..REQUESTS {
            self.input(leader, |node, now, out| {
                let _ = node.handle_message(Channel::AppendReply, &payload, nobody, now, out);
            })?;
        }
        let streamed = self.streamed - before;
        // Three windows, each overrun by at most one message, and 64 messages more.
        let limits = &self.plan.limits;
        let most = 3 * limits.catchup_window + 68 * self.largest;
        if streamed > most {
            let detail =
                format!("server {leader} streams {streamed} bytes, {most} would be enough");
            return broken("streams are bounded", detail);
        }
        Ok(())
    }

    /// Terms of another group, or of somebody who wants the group to run out of them.
    fn later_term(&mut self, term: Term) -> Term {
        match self.rng.below(3) {
            0 => Term(term.0 + 1 + self.rng.below(20)),
            1 => Term(term.0 + (1 << self.rng.below(60))),
            _ => Term(Term::MAX.0 - 1),
        }
    }

    fn nonsense(&mut self) -> (Channel, Vec<u8>) {
        let channels = [
            Channel::Append,
            Channel::AppendReply,
            Channel::Vote,
            Channel::VoteReply,
            Channel::RemovePeer,
        ];
        let len = *self.rng.pick(&[0, 8, 17, 25, 32, 43, 60]).unwrap_or(&0);
        let mut bytes: Vec<u8> = (0..len).map(|_| self.rng.draw() as u8).collect();
        // Random terms are implausible terms: keep the top bit set.
        for at in [7, 15] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte |= 0x80;
            }
        }
        (*self.rng.pick(&channels).unwrap_or(&Channel::Vote), bytes)
    }

    /// What `message` must not change at its receiver, if it must change nothing there.
    pub(crate) fn harmless(&self, message: &Message) -> Option<Unmoved> {
        let node = self.hosts[message.to].node().filter(|_| message.forged)?;
        // Who asks for terms learns them from members only, but asks everybody.
        let whole = node.peers().len() == node.cluster_size() && node.quarantine().is_none();
        if let Ok(request) = VoteRequest::decode(&message.payload)
            && message.channel == Channel::Vote
            && request.term > Term(0)
        {
            let absurd = request.term.0 >= Term::MAX.0 - 2;
            let intrudes = whole
                && !node.peers().contains(&request.candidate)
                && (node.role() == Role::Leader || request.last < node.last());
            return (absurd || intrudes).then(|| Unmoved::of(node));
        }
        whole.then(|| Unmoved::of(node))
    }

    pub(crate) fn check_unmoved(&self, server: usize, before: &Unmoved) -> Checked {
        let Some(node) = self.hosts[server].node() else { return Ok(()) };
        let after = Unmoved::of(node);
        if after != *before {
            let detail = format!("server {server} was {before:?} and is {after:?}");
            return broken("forgeries change nothing", detail);
        }
        Ok(())
    }
}

fn acknowledge(position: Position, peer: PeerId, success: bool) -> (Channel, Vec<u8>) {
    (Channel::AppendReply, AppendResponse { position, peer, success }.encode().to_vec())
}

/// A group still being discovered counts votes of names it does not know.
fn vote(term: Term, peer: PeerId, granted: bool) -> (Channel, Vec<u8>) {
    (Channel::VoteReply, VoteResponse { term, peer, granted, unsure: false }.encode().to_vec())
}

fn campaign(term: Term, last: Position, candidate: PeerId) -> (Channel, Vec<u8>) {
    (Channel::Vote, VoteRequest { term, last, candidate }.encode().to_vec())
}

fn append(term: Term, commit: LogIndex, leader: PeerId, prev: Position) -> AppendEntry {
    let mut entries = Entries::new();
    entries.push(Entry::new(EntryKind::Other(200), Bytes::from_static(b"?")));
    AppendEntry { leader, term, commit, prev, entries, leader_term: Term(0) }
}
