//! From committed to applied: advancing the commit, handing entries to the layer above.
//!
//! Laws: entries are handed out once, in log order, without holes, committed ones only; a snapshot
//!       is handed out before any entry it does not cover.
//! Reference: raft.go applyCommit, Processed, Applied, PauseApply, ResumeApply.

use bytes::Bytes;
use stdx::time::Mono;

use super::{Node, Quarantine, Role};
use crate::codec::append::{AppendEntry, Entries, Entry, EntryKind};
use crate::effects::{Apply, Effects, Notice, Read, ReadId, ReadRequest};
use crate::id::LogIndex;
use crate::membership::Change;
use crate::mutation::{Bug, Mutation};

/// Bytes asked for at once when committed entries are no longer in memory.
const COLD_READ_BYTES: usize = 256 * 1024;

impl<M: Mutation> Node<M> {
    /// Everything up to `index` is committed.
    pub(super) fn advance_commit(&mut self, index: LogIndex, now: Mono, out: &mut Effects) {
        self.commit = index.min(self.log.last().index).max(self.commit);
        let done = self.members.commit(self.commit, now);
        if done.is_empty() {
            return;
        }
        self.peers_logged |= done.iter().any(|change| matches!(change, Change::Replace(_)));
        self.persist_peers(out);
        let id = self.config.id;
        self.leaving |= done.contains(&Change::Remove(id)) && !self.is_newcomer();
        self.leaving &= !self.belongs();
        if self.leaving && self.role == Role::Leader {
            self.leave_group(now, out);
        } else if self.role == Role::Leader {
            self.refresh_progress();
        }
    }

    /// Compat(RAFT-015): tell the followers that our own removal is committed, hand over, stop.
    fn leave_group(&mut self, now: Mono, out: &mut Effects) {
        self.send_heartbeat(now, out);
        self.step_down(None, now, out);
        self.tell_removal(out);
    }

    /// Says once that we are no member any more. Old entries that bring us up to date may remove us
    /// before later ones add us again, so a follower waits for a live one that follows its log; what
    /// a newcomer reads there of an earlier membership is no news.
    pub(super) fn tell_removal(&mut self, out: &mut Effects) {
        if self.leaving && !self.belongs() {
            self.leaving = false;
            out.notices.push(Notice::Removed);
        }
    }

    /// Whether this node is a member, as far as it knows, or may be.
    pub(super) fn belongs(&self) -> bool {
        self.members.contains(self.config.id) || self.members.is_partial()
    }

    /// The layer above has processed everything up to `processed`, and applied it up to `applied`
    /// (which a snapshot may then cover). Returns how many entries a snapshot would free.
    pub fn processed(
        &mut self,
        processed: LogIndex,
        applied: LogIndex,
        now: Mono,
        out: &mut Effects,
    ) -> u64 {
        if processed <= self.emitted {
            self.processed = self.processed.max(processed);
            self.applied = self.applied.max(applied.min(self.processed));
            self.log.release(self.emitted);
            self.announce_if_ready(out);
            self.settle(now, out);
        }
        self.applied.distance(self.log.base().index)
    }

    /// Stops handing out entries. A leader steps down first.
    pub fn pause_apply(&mut self, now: Mono, out: &mut Effects) {
        if self.role == Role::Leader || self.role == Role::Candidate {
            self.become_follower(None, now, out);
        }
        self.paused = true;
    }

    /// Hands out entries again.
    pub fn resume_apply(&mut self, now: Mono, out: &mut Effects) {
        if !self.paused {
            return;
        }
        self.paused = false;
        self.elect_at = match self.transfer_target {
            true => now + self.config.timing.transfer,
            false => self.election_timeout(now),
        };
        self.settle(now, out);
    }

    pub(super) fn emit_applies(&mut self, out: &mut Effects) {
        if self.paused || self.role == Role::Closed {
            return;
        }
        if let Some((position, data)) = self.pending_snapshot.take() {
            self.emitted = position.index;
            out.apply.push(Apply::Snapshot { position, data });
        }
        let end = match self.planted(Bug::ApplyUncommitted) {
            true => self.log.last().index,
            false => self.commit,
        };
        while self.emitted < end {
            let index = self.emitted.next();
            let apply = if let Some(cached) = self.log.cached(index) {
                committed(&cached.entry)
            } else if let Some(entry) = self.cold.front().filter(|e| e.end().index == index) {
                committed(entry)
            } else {
                self.read_cold(index, out);
                return;
            };
            if self.cold.front().is_some_and(|e| e.end().index <= index) {
                self.cold.pop_front();
            }
            self.emitted = index;
            out.apply.push(apply);
        }
    }

    fn read_cold(&mut self, first: LogIndex, out: &mut Effects) {
        if self.apply_read.is_some() {
            return;
        }
        self.cold.clear();
        let id = self.next_read_id();
        self.apply_read = Some(id);
        let what = Read::Entries { first, last: self.commit, max_bytes: COLD_READ_BYTES };
        out.read.push(ReadRequest { id, what });
    }

    pub(super) fn next_read_id(&mut self) -> ReadId {
        self.next_read += 1;
        ReadId(self.next_read)
    }

    /// Log records read back, from the index asked for; `None` if the first is unreadable.
    pub fn handle_entries_read(
        &mut self,
        id: ReadId,
        records: Option<&[Bytes]>,
        now: Mono,
        out: &mut Effects,
    ) {
        // A record that is not the one the log knows is as bad as an unreadable one.
        let decoded: Option<Vec<(AppendEntry, Bytes)>> = records.and_then(|records| {
            let decode = |record: &Bytes| {
                let entry = AppendEntry::decode(record).ok()?;
                let end = entry.end();
                let ours = self.log.term_at(end.index).is_none_or(|term| term == end.term);
                (ours && entry.stores()).then(|| (entry, record.clone()))
            };
            records.iter().map(decode).collect()
        });
        if self.apply_read == Some(id) {
            self.apply_read = None;
            match decoded {
                Some(entries) if !entries.is_empty() => {
                    self.cold.extend(entries.into_iter().map(|(entry, _)| entry));
                }
                Some(_) | None => self.lose_log_from(self.emitted.next(), now, out),
            }
        } else {
            self.catchup_entries_read(id, decoded, now, out);
        }
        self.settle(now, out);
    }

    /// A record that is needed, by us or by a peer, is damaged: forget it and what follows, vouch for nothing, and
    /// let the leader send it again.
    pub(super) fn lose_log_from(&mut self, index: LogIndex, now: Mono, out: &mut Effects) {
        if self.role == Role::Leader || self.role == Role::Candidate {
            self.become_follower(None, now, out);
        }
        self.cancel_catchup(out);
        self.commit = self.commit.min(index.prev());
        let term = self.term;
        let vote_lost = self.quarantine.as_ref().is_some_and(|q| q.vote_lost);
        let joining = self.quarantine.as_ref().is_some_and(|q| q.joining);
        if self.quarantine.is_none() {
            out.notices.push(Notice::Quarantined(true));
        }
        let told = self.quarantine.take().and_then(|q| q.told);
        let lost = Quarantine::new(term, true, vote_lost, joining);
        self.quarantine = Some(Quarantine { told, ..lost });
        self.stored = self.stored.min(self.log.base());
        self.persist_vote(out);
        self.truncate_log(index.prev(), out);
    }
}

/// What the layer above must know of a committed append entry.
fn committed(entry: &AppendEntry) -> Apply {
    let mut entries = Entries::new();
    for item in &entry.entries {
        match item.kind {
            EntryKind::Normal
            | EntryKind::Snapshot
            | EntryKind::AddPeer
            | EntryKind::RemovePeer => entries.push(item.clone()),
            EntryKind::OldSnapshot => {
                entries.push(Entry::new(EntryKind::Snapshot, item.data.clone()));
            }
            EntryKind::PeerState | EntryKind::LeaderTransfer | EntryKind::Other(_) => {}
        }
    }
    Apply::Committed { position: entry.end(), entries }
}

impl<M: Mutation> Node<M> {
    /// Whether a planted bug lets a snapshot claim more than was applied.
    pub(super) fn snapshot_index(&self) -> LogIndex {
        if self.planted(Bug::SnapshotTooNew) { self.commit } else { self.applied }
    }
}
