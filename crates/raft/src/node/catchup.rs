//! Bringing a peer up to date, the leader's side.
//!
//! Laws: at most one stream per peer; a stream sends at most one window of bytes without progress, and
//!       all streams to one peer three windows in the time after which a stream is given up, to a
//!       stranger nobody invited one, and then one entry for each of a few more requests: who looks for
//!       where the logs part asks several times. The number of strangers served is bounded. Progress is a request
//!       from where the stream stopped, or an acknowledgement of more than before: asking again, in
//!       whosever name, makes the leader send nothing twice.
//! Reference: raft.go catchupFollower, runCatchup, sendSnapshotToFollower.

use bytes::Bytes;
use stdx::time::Mono;

use super::{Node, Role};
use crate::codec::append::{AppendEntry, Entries, Entry, EntryKind};
use crate::codec::snapshot::Snapshot;
use crate::codec::subject::ReplySubject;
use crate::effects::{Dest, Effects, Notice, Read, ReadId, ReadRequest, Send};
use crate::id::{LogIndex, PeerId, Position, Term};
use crate::mutation::{Bug, Mutation};

/// One stream of old entries to one peer.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    reply: ReplySubject,
    next: LogIndex,
    last: LogIndex,
    outstanding: usize,
    /// A read under way, and where it begins.
    read: Option<ReadId>,
    reads_from: LogIndex,
    pub(super) deadline: Mono,
}

/// What was streamed to one peer since it last showed progress, over all its streams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    bytes: usize,
    /// Entries beyond the allowance.
    extra: u32,
    /// When the first of it went out.
    since: Mono,
}

impl Spent {
    fn add(&mut self, bytes: usize, now: Mono) {
        if self.bytes == 0 {
            self.since = now;
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// How many windows a member may ask for again before a stream would be given up: messages get lost.
const WINDOWS_AGAIN: usize = 3;

/// How many requests more are answered with one entry each.
const EXTRA: u32 = 64;

/// What to do next for one stream.
enum Step {
    Send(Bytes, LogIndex),
    Read(Read),
    Wait,
    Done,
}

impl<M: Mutation> Node<M> {
    /// A peer's log ends at `from`, or it wants to go back to there.
    pub(super) fn start_catchup(
        &mut self,
        peer: PeerId,
        from: Position,
        reply: ReplySubject,
        now: Mono,
        out: &mut Effects,
    ) {
        let last = self.log.last().index;
        if from.index >= last {
            // A longer log than ours is not committed beyond ours; the peer finds out by matching.
            return;
        }
        self.welcome(peer);
        let deadline = now + self.config.timing.catchup_stall;
        let stall = self.config.timing.catchup_stall;
        let Some(progress) = self.leading.as_mut().and_then(|l| l.find(peer)) else { return };
        progress.level = false;
        let went_on = |c: &Outgoing| c.outstanding > 0 && from.index.next() == c.next;
        let old = progress.spent.bytes == 0 || now.since(progress.spent.since) >= stall;
        if old || progress.catchup.as_ref().is_some_and(went_on) {
            progress.spent = Spent::default();
        }
        progress.catchup = Some(Outgoing {
            reply,
            next: from.index.next(),
            last,
            outstanding: 0,
            read: None,
            reads_from: LogIndex(0),
            deadline,
        });
        self.pump(peer, now, out);
    }

    /// How many bytes may be streamed to `peer` before it must show progress.
    fn allowance(&self, peer: PeerId) -> usize {
        let window = self.config.limits.catchup_window;
        let invited = self.leading.as_ref().is_some_and(|l| l.has_invited(peer));
        let again = if self.is_stranger(peer) && !invited { 1 } else { WINDOWS_AGAIN };
        if self.planted(Bug::EndlessCatchUp) { usize::MAX } else { window.saturating_mul(again) }
    }

    /// Whether `peer` was streamed all that it may ask for without progress.
    fn has_spent(&mut self, peer: PeerId) -> bool {
        let allowance = self.allowance(peer);
        let progress = self.leading.as_mut().and_then(|l| l.find(peer));
        progress.is_none_or(|p| p.spent.bytes > allowance)
    }

    /// A live acknowledgement shows how far a peer being caught up has come.
    pub(super) fn catchup_progress(
        &mut self,
        peer: PeerId,
        index: LogIndex,
        now: Mono,
        out: &mut Effects,
    ) {
        let deadline = now + self.config.timing.catchup_stall;
        let Some(progress) = self.leading.as_mut().and_then(|l| l.find(peer)) else { return };
        let Some(catchup) = &mut progress.catchup else { return };
        catchup.deadline = deadline;
        catchup.outstanding = 0;
        catchup.next = catchup.next.max(index.next());
        progress.spent = Spent::default();
        self.pump(peer, now, out);
    }

    fn pump(&mut self, peer: PeerId, now: Mono, out: &mut Effects) {
        loop {
            match self.next_step(peer) {
                Step::Send(payload, index) => self.stream(peer, payload, index, now, out),
                Step::Read(what) => {
                    let id = self.next_read_id();
                    if let Some(catchup) = self.outgoing(peer) {
                        (catchup.read, catchup.reads_from) = (Some(id), catchup.next);
                        out.read.push(ReadRequest { id, what });
                    }
                    return;
                }
                Step::Wait => return,
                Step::Done => {
                    if let Some(progress) = self.leading.as_mut().and_then(|l| l.find(peer)) {
                        progress.catchup = None;
                    }
                    return;
                }
            }
        }
    }

    /// Sends one message of a stream; what follows `index` is next.
    fn stream(
        &mut self,
        peer: PeerId,
        payload: Bytes,
        index: LogIndex,
        now: Mono,
        out: &mut Effects,
    ) {
        let Some(progress) = self.leading.as_mut().and_then(|l| l.find(peer)) else { return };
        let Some(catchup) = &mut progress.catchup else { return };
        catchup.outstanding += payload.len();
        catchup.next = index.next();
        progress.spent.add(payload.len(), now);
        let to = catchup.reply;
        let reply = ReplySubject::answers(self.append_inbox);
        out.send.push(Send { dest: Dest::Reply(to), reply, payload });
    }

    fn next_step(&mut self, peer: PeerId) -> Step {
        let (base, window) = (self.log.base(), self.config.limits.catchup_window);
        let (term, allowance) = (self.term, self.allowance(peer));
        let Some(progress) = self.leading.as_mut().and_then(|l| l.find(peer)) else {
            return Step::Done;
        };
        let spent = progress.spent.bytes;
        let Some(catchup) = &mut progress.catchup else { return Step::Done };
        let (next, last) = (catchup.next, catchup.last);
        if catchup.read.is_some() || catchup.outstanding > window {
            return Step::Wait;
        }
        if next > last {
            return Step::Done;
        }
        if spent > allowance {
            let first = catchup.outstanding == 0 && next > base.index;
            if !first || progress.spent.extra >= EXTRA {
                return Step::Wait;
            }
            progress.spent.extra += 1;
        }
        if next <= base.index {
            return Step::Read(Read::Snapshot);
        }
        match self.log.cached(next) {
            Some(cached) => Step::Send(restamp(&cached.entry, &cached.record, term), next),
            None => Step::Read(Read::Entries { first: next, last, max_bytes: window }),
        }
    }

    fn outgoing(&mut self, peer: PeerId) -> Option<&mut Outgoing> {
        self.leading.as_mut()?.find(peer)?.catchup.as_mut()
    }

    fn reader_of(&mut self, id: ReadId) -> Option<PeerId> {
        let leading = self.leading.as_mut()?;
        let reading = |c: &Outgoing| c.read == Some(id);
        let progress =
            leading.progress.iter_mut().find(|p| p.catchup.as_ref().is_some_and(reading))?;
        if let Some(catchup) = &mut progress.catchup {
            catchup.read = None;
        }
        Some(progress.peer)
    }

    pub(super) fn catchup_entries_read(
        &mut self,
        id: ReadId,
        entries: Option<Vec<(AppendEntry, Bytes)>>,
        now: Mono,
        out: &mut Effects,
    ) {
        let Some(peer) = self.reader_of(id) else { return };
        let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
            let wanted = self.outgoing(peer).map(|catchup| (catchup.next, catchup.reads_from));
            match wanted.map(|(next, from)| (next, next == from)) {
                // The peer needs it no more, and nobody has read what it needs now.
                Some((_, false)) => self.pump(peer, now, out),
                // A snapshot has replaced it meanwhile.
                Some((next, _)) if next <= self.log.base().index => self.pump(peer, now, out),
                // Nobody may ever have it from us, and no snapshot can stand in for it.
                Some((next, _)) if next > self.emitted => self.lose_log_from(next, now, out),
                Some(_) | None => self.give_up_serving(now, out),
            }
            return;
        };
        let (base, window, term) = (self.log.base(), self.config.limits.catchup_window, self.term);
        for (entry, record) in entries {
            let index = entry.end().index;
            let spent = self.has_spent(peer);
            let Some(catchup) = self.outgoing(peer) else { return };
            let over = catchup.outstanding > window || catchup.outstanding > 0 && spent;
            if index != catchup.next || index <= base.index || over {
                break;
            }
            self.stream(peer, restamp(&entry, &record, term), index, now, out);
        }
        self.pump(peer, now, out);
    }

    /// The newest snapshot, read back for a peer; `None` if it is unreadable.
    pub fn handle_snapshot_read(
        &mut self,
        id: ReadId,
        snapshot: Option<&Snapshot>,
        now: Mono,
        out: &mut Effects,
    ) {
        if let Some(peer) = self.reader_of(id) {
            match snapshot {
                Some(snapshot) => self.stream_snapshot(peer, snapshot, now, out),
                None => self.give_up_serving(now, out),
            }
        }
        self.settle(now, out);
    }

    fn stream_snapshot(&mut self, peer: PeerId, snapshot: &Snapshot, now: Mono, out: &mut Effects) {
        let mut entries = Entries::new();
        entries.push(Entry::new(EntryKind::Snapshot, snapshot.data.clone()));
        entries.push(Entry::new(EntryKind::PeerState, Bytes::from(snapshot.peers.encode())));
        let entry = AppendEntry {
            leader: self.config.id,
            term: self.term,
            commit: self.commit,
            prev: snapshot.position,
            entries,
            leader_term: Term(0),
        };
        self.stream(peer, Bytes::from(entry.encode()), snapshot.position.index, now, out);
        // An old snapshot cannot bring the peer to where our log begins: wait for the next request.
        if snapshot.position.index >= self.log.base().index {
            self.pump(peer, now, out);
        }
    }

    /// What a peer needs cannot be read here: let somebody else lead, and ask for a new snapshot.
    fn give_up_serving(&mut self, now: Mono, out: &mut Effects) {
        out.notices.push(Notice::SnapshotNeeded);
        if self.role == Role::Leader {
            self.step_down(None, now, out);
        }
    }

    /// Whether any peer is being caught up.
    pub(super) fn serves_catchup(&self) -> bool {
        self.leading.as_ref().is_some_and(|l| l.progress.iter().any(|p| p.catchup.is_some()))
    }
}

/// A stored entry's bytes as a catch-up sends them.
fn restamp(entry: &AppendEntry, record: &Bytes, term: Term) -> Bytes {
    if entry.leader_term == term {
        return record.clone();
    }
    Bytes::from(entry.with_leader_term(record, term))
}
