//! The invariants, checked after every step against what every server does.
//!
//! - one leader per term
//! - log matching: the same index and term is the same entry after the same entry
//! - leader completeness: a new leader's log holds everything committed
//! - committed entries never change, and were durable on a quorum when first committed
//! - state machine safety: every server's state after an index is the same
//! - linearizability of the register: completed operations are in the log in real-time order, and the
//!   answers of the whole run are those of one register (`history`)
//! - a forged message changes nothing (`forge`), a cut log is noticed, a sound one is not doubted
//! - liveness, once faults stop: one leader, everybody level, new operations complete
//!
//! Laws: a checker knows nothing of the core's internals but what a driver sees.

use raft::{Bug, LogIndex, Node, PeerId, Position, Role, Term};

use crate::planted::Planted;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub rule: &'static str,
    /// Who and where.
    pub detail: String,
}

/// Fails a check.
pub type Checked = Result<(), Violation>;

/// A violated rule.
pub fn broken(rule: &'static str, detail: String) -> Checked {
    Err(Violation { rule, detail })
}

#[derive(Clone, Debug)]
struct Known {
    term: Term,
    prev: Term,
    hash: u64,
    /// Servers that ever had it as durable as configured, by number.
    durable: u32,
}

/// What is known of all servers together.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Who led which term.
    leaders: Vec<(Term, usize)>,
    /// By index: the distinct entries ever stored there.
    entries: Vec<Vec<Known>>,
    /// By index: the term of the committed entry (zero if unknown), and the term of the leader
    /// that first committed it.
    committed: Vec<(Term, Term)>,
    /// By index: the state after it.
    states: Vec<u64>,
    /// The highest index of any completed client operation.
    pub completed: LogIndex,
    /// How many operations completed.
    pub completions: u64,
    /// Checks passed, for the report.
    pub elections: u64,
}

fn slot<T: Clone + Default>(items: &mut Vec<T>, index: usize) -> &mut T {
    if items.len() <= index {
        items.resize(index + 1, T::default());
    }
    &mut items[index]
}

/// A quick hash of bytes.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    for &byte in rest {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash ^ (hash >> 31)
}

/// The position, previous term and content of a record, without the commit it was sent with.
fn dissect(record: &[u8]) -> Option<(Position, Term, u64)> {
    let word = |at: usize| {
        let bytes: [u8; 8] = record.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    let (term, prev_term, prev_index) = (word(8)?, word(24)?, word(32)?);
    // Drop the trailing leader term, which catch-up rewrites: find the end of the entries.
    let count = u16::from_le_bytes(record.get(40..42)?.try_into().ok()?);
    let mut end = 42;
    for _ in 0..count {
        let len: [u8; 4] = record.get(end..end + 4)?.try_into().ok()?;
        end += 4 + u32::from_le_bytes(len) as usize;
    }
    let content = hash(record.get(40..end)?);
    Some((Position::new(Term(term), LogIndex(prev_index + 1)), Term(prev_term), content))
}

impl Checks {
    /// A server stores a record.
    pub fn stored(&mut self, server: usize, record: &[u8]) -> Checked {
        let Some((at, prev, content)) = dissect(record) else {
            return broken("record", format!("server {server} stores an undecodable record"));
        };
        let known = slot(&mut self.entries, at.index.0 as usize);
        match known.iter().find(|k| k.term == at.term) {
            Some(k) if k.prev == prev && k.hash == content => Ok(()),
            Some(_) => broken("log matching", format!("server {server} stores another {at}")),
            None => {
                known.push(Known { term: at.term, prev, hash: content, durable: 0 });
                Ok(())
            }
        }
    }

    /// A record is as durable as configured on a server.
    pub fn durable(&mut self, server: usize, record: &[u8]) {
        if let Some((at, ..)) = dissect(record) {
            let known = slot(&mut self.entries, at.index.0 as usize);
            if let Some(k) = known.iter_mut().find(|k| k.term == at.term) {
                k.durable |= 1 << server;
            }
        }
    }

    /// A node leads: nobody else did in its term, and nothing committed is missing.
    pub fn led(&mut self, server: usize, node: &Node<Planted>) -> Checked {
        let term = node.term();
        match self.leaders.iter().rev().find(|(t, _)| *t == term) {
            Some((_, other)) if *other == server => return Ok(()),
            Some((_, other)) => {
                let detail = format!("servers {other} and {server} both lead term {term}");
                return broken("one leader per term", detail);
            }
            None => self.leaders.push((term, server)),
        }
        self.elections += 1;
        for index in node.base().index.0 + 1..self.committed.len() as u64 {
            let (committed, by) = self.committed.get(index as usize).copied().unwrap_or_default();
            let held = node.term_at(LogIndex(index));
            // A leader elected late in an earlier term owes later terms nothing.
            if by < term && committed != Term(0) && held != Some(committed) {
                return broken(
                    "leader completeness",
                    format!(
                        "server {server} leads term {term} with {held:?} at {index}, committed is {committed}"
                    ),
                );
            }
        }
        Ok(())
    }

    /// A node's commit moved from `from`. `holds` tells whether a server's disk holds an entry, given
    /// whether it ever did: a server whose disk was damaged since is excused.
    pub fn committed(
        &mut self,
        server: usize,
        node: &Node<Planted>,
        from: LogIndex,
        ids: &[PeerId],
        holds: impl Fn(usize, Position, bool) -> bool,
    ) -> Checked {
        if node.role() == Role::Leader && node.term_at(node.commit()) != Some(node.term()) {
            let detail =
                format!("server {server} commits up to {} in term {}", node.commit(), node.term());
            return broken("commit by an entry of the own term", detail);
        }
        let first = from.max(node.base().index.prev()).0 + 1;
        for index in first.max(1)..=node.commit().0 {
            let Some(term) = node.term_at(LogIndex(index)) else { continue };
            let (known, by) = slot(&mut self.committed, index as usize);
            if *known == term {
                continue;
            }
            if *known != Term(0) {
                let detail =
                    format!("server {server} commits {term}:{index}, committed was {known}");
                return broken("committed entries never change", detail);
            }
            (*known, *by) = (term, node.term());
            // A leader is the first to know, but it may have stepped down in the same moment.
            self.check_quorum(server, node, Position::new(term, LogIndex(index)), ids, &holds)?;
        }
        Ok(())
    }

    fn check_quorum(
        &mut self,
        server: usize,
        node: &Node<Planted>,
        at: Position,
        ids: &[PeerId],
        holds: &impl Fn(usize, Position, bool) -> bool,
    ) -> Checked {
        let known = slot(&mut self.entries, at.index.0 as usize);
        let mask = known.iter().find(|k| k.term == at.term).map_or(0, |k| k.durable);
        let partial = node.peers().len() < node.cluster_size();
        let holders = (0..ids.len())
            .filter(|&s| partial || node.peers().contains(&ids[s]))
            .filter(|&s| holds(s, at, mask & (1 << s) != 0))
            .count();
        if holders < node.cluster_size() / 2 + 1 {
            return broken(
                "durable on a quorum when committed",
                format!(
                    "server {server} commits {at} held by {holders} of {}",
                    node.cluster_size()
                ),
            );
        }
        Ok(())
    }

    /// A server's state after applying `index` is `state`.
    pub fn applied(&mut self, server: usize, index: LogIndex, state: u64) -> Checked {
        let known = slot(&mut self.states, index.0 as usize);
        if *known != 0 && *known != state {
            let detail = format!("server {server} has another state after {index}");
            return broken("state machine safety", detail);
        }
        *known = state;
        Ok(())
    }

    /// The state after `index`, if any server reached it.
    pub fn state_after(&self, index: LogIndex) -> Option<u64> {
        self.states.get(index.0 as usize).copied().filter(|&s| s != 0)
    }

    /// A client's operation completed at `index`, having been invoked when everything up to
    /// `floor` had completed.
    pub fn completed(&mut self, index: LogIndex, floor: LogIndex) -> Checked {
        self.completions += 1;
        if index <= floor {
            let detail = format!("an operation took effect at {index}, before {floor}");
            return broken("linearizability", detail);
        }
        self.completed = self.completed.max(index);
        Ok(())
    }

    /// The term of the entry at `index` that was committed in a term up to `within`, if any. Before
    /// a server hears of the committing term, it may still follow a leader that knows nothing of it.
    pub fn committed_term(&self, index: LogIndex, within: Term) -> Option<Term> {
        let (term, by) = self.committed.get(index.0 as usize)?;
        (*term != Term(0) && *by <= within).then_some(*term)
    }

    /// The highest index known to be committed.
    pub fn commit(&self) -> LogIndex {
        LogIndex(self.committed.len().saturating_sub(1) as u64)
    }
}

/// Whether a planted bug breaks liveness only.
pub fn is_liveness_bug(bug: Bug) -> bool {
    matches!(bug, Bug::NeverCatchUp | Bug::NeverRetryCatchUp | Bug::NeverRecover)
}
