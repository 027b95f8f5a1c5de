//! A set of filters, each plain or qualified by queue names, as a trie over tokens.
//!
//! Hot path: looking up allocates nothing and visits each node at most once.
//! Not here: what a match means (`super`).
//! Laws: `covers` implies `matches`; both agree for a subject without wildcards.

use subject::token::{ANY_TAIL, ANY_TOKEN, Tokens, has_empty_token, tokens};

/// The filters of one allow or deny list.
#[derive(Clone, Debug, Default)]
pub(super) struct FilterSet {
    nodes: Vec<Node>,
    filters: Vec<Filter>,
}

/// One configured entry.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) subject: Box<[u8]>,
    /// `None` for an entry without a queue.
    pub(super) queue: Option<Box<[u8]>>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Sorted by token.
    children: Vec<(Box<[u8]>, u32)>,
    any: Option<u32>,
    /// Filters that end here.
    here: Entry,
    /// Filters that go on with `>`.
    tail: Entry,
}

/// The filters that end in one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// One of them has no queue.
    pub(super) plain: bool,
    /// The queue names of the others.
    pub(super) queues: Vec<Box<[u8]>>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        !self.plain && self.queues.is_empty()
    }

    /// Whether some queue name or pattern here fits `queue`.
    pub(super) fn has_queue(&self, queue: &[u8]) -> bool {
        self.queues.iter().any(|pattern| queue_fits(queue, pattern))
    }
}

/// Whether the queue name is the one of the entry, or fits its pattern.
// Compat(SUBJ-006): `>` fits any name whose first tokens fit, empty tokens included.
pub(super) fn queue_fits(queue: &[u8], pattern: &[u8]) -> bool {
    if queue == pattern {
        return true;
    }
    let mut have = tokens(queue);
    for want in tokens(pattern) {
        if want == ANY_TAIL {
            return have.rest().is_some();
        }
        match have.next() {
            Some(token) if token == want => {}
            Some(token) if want == ANY_TOKEN && !token.is_empty() && token != ANY_TAIL => {}
            _ => return false,
        }
    }
    have.rest().is_none()
}

impl FilterSet {
    /// Builds the set from entries `subject` or `subject queue`; illegal entries are left out, the
    /// configuration has been checked before.
    pub(super) fn new<'a>(entries: impl IntoIterator<Item = &'a String>) -> Self {
        let mut set = Self { nodes: vec![Node::default()], filters: vec![] };
        for entry in entries {
            let mut fields = entry.split_whitespace();
            if let (Some(subject), queue, None) = (fields.next(), fields.next(), fields.next())
                && subject::is_valid(subject.as_bytes())
            {
                set.insert(subject.as_bytes(), queue.map(str::as_bytes));
            }
        }
        set
    }

    fn insert(&mut self, subject: &[u8], queue: Option<&[u8]>) {
        let (mut at, mut tail) = (0_usize, false);
        for token in tokens(subject) {
            if token == ANY_TAIL {
                tail = true;
                break;
            }
            let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            let Some(node) = self.nodes.get_mut(at) else { return };
            let found = if token == ANY_TOKEN {
                *node.any.get_or_insert(next)
            } else {
                match node.children.binary_search_by(|(t, _)| (**t).cmp(token)) {
                    Ok(i) => node.children.get(i).map_or(next, |(_, child)| *child),
                    Err(i) => {
                        node.children.insert(i, (token.into(), next));
                        next
                    }
                }
            };
            if found == next {
                self.nodes.push(Node::default());
            }
            at = found as usize;
        }
        let Some(node) = self.nodes.get_mut(at) else { return };
        let entry = if tail { &mut node.tail } else { &mut node.here };
        match queue {
            None => entry.plain = true,
            Some(queue) => entry.queues.push(queue.into()),
        }
        self.filters.push(Filter { subject: subject.into(), queue: queue.map(Into::into) });
    }

    /// The configured entries in their order.
    pub(super) fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether `test` holds for an entry whose filter `subject` matches when it is taken as text:
    /// a wildcard in it fits only a wildcard of the filter, but `>` fits a `*`, too.
    #[inline]
    pub(super) fn matches(&self, subject: &[u8], mut test: impl FnMut(&Entry) -> bool) -> bool {
        self.search(subject, false, &mut test)
    }

    /// Whether `test` holds for an entry whose filter covers all that `subject` stands for.
    #[inline]
    pub(super) fn covers(&self, subject: &[u8], mut test: impl FnMut(&Entry) -> bool) -> bool {
        self.search(subject, true, &mut test)
    }

    fn search(&self, subject: &[u8], strict: bool, test: &mut impl FnMut(&Entry) -> bool) -> bool {
        // A subject with an empty token matches nothing, wherever the token stands.
        !has_empty_token(subject) && self.walk(0, tokens(subject), strict, test)
    }

    fn walk(
        &self,
        at: u32,
        mut rest: Tokens<'_>,
        strict: bool,
        test: &mut impl FnMut(&Entry) -> bool,
    ) -> bool {
        let Some(node) = self.nodes.get(at as usize) else { return false };
        let Some(token) = rest.next() else { return !node.here.is_empty() && test(&node.here) };
        if !node.tail.is_empty() && test(&node.tail) {
            return true;
        }
        let child = node.children.binary_search_by(|(t, _)| (**t).cmp(token)).ok();
        if let Some((_, next)) = child.and_then(|i| node.children.get(i))
            && self.walk(*next, rest.clone(), strict, test)
        {
            return true;
        }
        // What `foo.>` stands for is more than `foo.*` covers.
        let too_wide = strict && token == ANY_TAIL && rest.rest().is_none();
        match node.any {
            Some(next) if !too_wide => self.walk(next, rest, strict, test),
            _ => false,
        }
    }
}
