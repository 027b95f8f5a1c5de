//! The token trie of filters with wildcards.
//!
//! Law: depth is bounded by the number of tokens of a filter, which the control-line limit bounds;
//!      walks recurse per token of the *trie*, so a subject deeper than every filter costs nothing.

use super::{Entry, Group, Matched};
use hashbrown::HashMap;

/// Filters with at least one wildcard token.
pub(super) struct Trie<E> {
    root: Node<E>,
    len: usize,
}

struct Node<E> {
    literal: HashMap<Box<[u8]>, Self, foldhash::fast::RandomState>,
    any: Option<Box<Self>>,
    rest: Option<Box<Group<E>>>,
    here: Option<Box<Group<E>>>,
}

impl<E> Default for Node<E> {
    fn default() -> Self {
        Self { literal: HashMap::default(), any: None, rest: None, here: None }
    }
}

impl<E> Default for Trie<E> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<E: Entry> Trie<E> {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn insert(&mut self, entry: E) {
        self.len += 1;
        let mut node = &mut self.root;
        let filter = entry.clone();
        for token in filter.filter().split(|b| *b == b'.') {
            match token {
                b">" => {
                    node.rest.get_or_insert_default().push(entry);
                    return;
                }
                b"*" => node = node.any.get_or_insert_default(),
                // Looked up before inserting: the key is boxed only when it is new.
                _ if node.literal.contains_key(token) => match node.literal.get_mut(token) {
                    Some(next) => node = next,
                    None => return,
                },
                _ => node = node.literal.entry(token.into()).or_default(),
            }
        }
        node.here.get_or_insert_default().push(entry);
    }

    pub(super) fn remove(&mut self, entry: &E) -> bool {
        let removed = self.root.remove(entry.filter(), entry);
        self.len -= usize::from(removed);
        removed
    }

    pub(super) fn matches(&self, subject: &[u8], out: &mut Matched<E>) {
        self.root.matches(subject, out);
    }

    pub(super) fn for_each(&self, each: &mut impl FnMut(&E)) {
        self.root.for_each(each);
    }
}

impl<E: Entry> Node<E> {
    fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.any.is_none() && self.rest.is_none() && self.here.is_none()
    }

    /// `subject` is what remains, starting at this level's token.
    fn matches(&self, subject: &[u8], out: &mut Matched<E>) {
        if let Some(group) = &self.rest {
            group.collect(out);
        }
        let dot = memchr::memchr(b'.', subject);
        let token = subject.get(..dot.unwrap_or(subject.len())).unwrap_or_default();
        let next = dot.map(|at| subject.get(at + 1..).unwrap_or_default());
        for child in [self.literal.get(token), self.any.as_deref()].into_iter().flatten() {
            match next {
                Some(next) => child.matches(next, out),
                None => {
                    if let Some(group) = &child.here {
                        group.collect(out);
                    }
                }
            }
        }
    }

    fn remove(&mut self, filter: &[u8], entry: &E) -> bool {
        let dot = memchr::memchr(b'.', filter);
        let token = filter.get(..dot.unwrap_or(filter.len())).unwrap_or_default();
        if token == b">" {
            return remove_from(&mut self.rest, entry);
        }
        let next = dot.map(|at| filter.get(at + 1..).unwrap_or_default());
        let descend = |child: &mut Self| match next {
            Some(next) => child.remove(next, entry),
            None => remove_from(&mut child.here, entry),
        };
        if token == b"*" {
            let Some(child) = self.any.as_deref_mut() else { return false };
            let removed = descend(child);
            if child.is_empty() {
                self.any = None;
            }
            return removed;
        }
        let Some(child) = self.literal.get_mut(token) else { return false };
        let removed = descend(child);
        if child.is_empty() {
            self.literal.remove(token);
            if self.literal.capacity() > 1024 && self.literal.len() < self.literal.capacity() / 8 {
                self.literal.shrink_to(self.literal.len() * 2);
            }
        }
        removed
    }

    fn for_each(&self, each: &mut impl FnMut(&E)) {
        for group in [&self.rest, &self.here].into_iter().flatten() {
            group.for_each(each);
        }
        for child in self.literal.values().chain(self.any.as_deref()) {
            child.for_each(each);
        }
    }
}

fn remove_from<E: Entry>(slot: &mut Option<Box<Group<E>>>, entry: &E) -> bool {
    let Some(group) = slot else { return false };
    let removed = group.remove(entry);
    if group.is_empty() {
        *slot = None;
    }
    removed
}
