//! The result of a match: plain subscriptions, and queue groups of which one member each is due.
//!
//! Laws: a queue group that several filters brought in is one group; members keep no order.
//! Hot path: reused by its owner, so that a match allocates only while it grows.

use super::Entry;

/// Who wants a subject.
#[derive(Clone, Debug)]
pub struct Matched<E> {
    plain: Vec<E>,
    members: Vec<E>,
    /// End of each group in `members`.
    groups: Vec<u32>,
    /// Queue subscriptions as they were found, until `finish` groups them.
    found: Vec<E>,
}

impl<E> Default for Matched<E> {
    fn default() -> Self {
        Self { plain: Vec::new(), members: Vec::new(), groups: Vec::new(), found: Vec::new() }
    }
}

impl<E: Entry> Matched<E> {
    /// Subscriptions that each get the message.
    #[inline]
    pub fn plain(&self) -> &[E] {
        &self.plain
    }

    /// Queue groups, each a slice of members of which one gets the message.
    #[inline]
    pub fn queues(&self) -> impl Iterator<Item = &[E]> {
        let mut start = 0;
        self.groups.iter().map(move |&end| {
            let range = start..end as usize;
            start = end as usize;
            self.members.get(range).unwrap_or_default()
        })
    }

    /// Whether nobody wants the subject.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_empty()
    }

    /// Number of plain subscriptions plus queue groups: how many deliveries a message makes.
    pub fn fanout(&self) -> usize {
        self.plain.len() + self.groups.len()
    }

    /// Every subscription, whatever its kind.
    pub fn all(&self) -> impl Iterator<Item = &E> {
        self.plain.iter().chain(self.members.iter())
    }

    /// Forgets everything, keeping the room.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.members.clear();
        self.groups.clear();
        self.found.clear();
    }

    pub(super) fn add(&mut self, entry: &E) {
        match entry.queue() {
            None => self.plain.push(entry.clone()),
            Some(_) => self.found.push(entry.clone()),
        }
    }

    pub(super) fn add_plain(&mut self, entry: &E) {
        self.plain.push(entry.clone());
    }

    pub(super) fn add_queue(&mut self, _name: &[u8], members: &[E]) {
        self.found.extend(members.iter().cloned());
    }

    /// Groups the queue subscriptions found by queue name.
    pub(super) fn finish(&mut self) {
        if self.found.is_empty() {
            return;
        }
        // Usually already grouped; a stable sort then costs one pass.
        self.found.sort_by(|a, b| a.queue().cmp(&b.queue()));
        for entry in self.found.drain(..) {
            let same = self.members.last().is_some_and(|last| last.queue() == entry.queue());
            self.members.push(entry);
            let end = self.members.len() as u32;
            match self.groups.last_mut() {
                Some(last) if same => *last = end,
                _ => self.groups.push(end),
            }
        }
    }
}
