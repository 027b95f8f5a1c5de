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
    literal: Children<E>,
    any: Option<Box<Self>>,
    rest: Option<Box<Group<E>>>,
    here: Option<Box<Group<E>>>,
}

/// What follows a node by literal tokens. Most nodes have one child: the filters of one consumer,
/// of one request's inbox.
enum Children<E> {
    None,
    One(Box<(Box<[u8]>, Node<E>)>),
    Many(Box<Table<E>>),
}

type Table<E> = HashMap<Box<[u8]>, Node<E>, foldhash::fast::RandomState>;

/// A table that shrank to this many children gives way.
const FEW: usize = 1;

impl<E> Children<E> {
    #[inline]
    fn get(&self, token: &[u8]) -> Option<&Node<E>> {
        match self {
            Self::None => None,
            Self::One(child) => (*child.0 == *token).then_some(&child.1),
            Self::Many(table) => table.get(token),
        }
    }

    fn get_mut(&mut self, token: &[u8]) -> Option<&mut Node<E>> {
        match self {
            Self::None => None,
            Self::One(child) => (*child.0 == *token).then_some(&mut child.1),
            Self::Many(table) => table.get_mut(token),
        }
    }

    /// The child, made if it was not there.
    fn enter(&mut self, token: &[u8]) -> Option<&mut Node<E>> {
        if self.get(token).is_none() {
            let fresh = (Box::from(token), Node::default());
            match std::mem::replace(self, Self::None) {
                Self::None => *self = Self::One(Box::new(fresh)),
                Self::One(child) => {
                    *self = Self::Many(Box::new([*child, fresh].into_iter().collect()));
                }
                Self::Many(mut table) => {
                    table.insert(fresh.0, fresh.1);
                    *self = Self::Many(table);
                }
            }
        }
        self.get_mut(token)
    }

    fn remove(&mut self, token: &[u8]) {
        match self {
            Self::None => {}
            Self::One(child) => {
                if *child.0 == *token {
                    *self = Self::None;
                }
            }
            Self::Many(table) => {
                table.remove(token);
                if table.len() <= FEW {
                    let last = table.drain().next();
                    *self = last.map_or(Self::None, |child| Self::One(Box::new(child)));
                } else if table.capacity() > 1024 && table.len() < table.capacity() / 8 {
                    table.shrink_to(table.len() * 2);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    fn for_each(&self, mut each: impl FnMut(&Node<E>)) {
        match self {
            Self::None => {}
            Self::One(child) => each(&child.1),
            Self::Many(table) => table.values().for_each(each),
        }
    }
}

impl<E> Default for Node<E> {
    fn default() -> Self {
        Self { literal: Children::None, any: None, rest: None, here: None }
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
                _ => match node.literal.enter(token) {
                    Some(next) => node = next,
                    None => return,
                },
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
        }
        removed
    }

    fn for_each(&self, each: &mut impl FnMut(&E)) {
        for group in [&self.rest, &self.here].into_iter().flatten() {
            group.for_each(each);
        }
        self.literal.for_each(|child| child.for_each(each));
        if let Some(child) = self.any.as_deref() {
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
