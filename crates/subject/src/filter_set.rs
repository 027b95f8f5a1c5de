//! Many filters, asked whether another one collides with any of them.
//!
//! Not here: one filter against one (`overlap`), who listens to what (`sublist`).
//! Laws: `collisions` counts exactly the members `f` with `collides(f, filter)`, as far as it
//!       counts; it looks at no node twice, and along one path only where nothing is a wildcard.

use std::collections::HashMap;

use crate::token::{ANY_TAIL, ANY_TOKEN, tokens};

/// Filters by their tokens. All of them, and those asked about, are expected to be valid.
#[derive(Clone, Debug)]
pub struct FilterSet {
    /// The first one is the root. One flat list, because a subject may have very many tokens.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    named: HashMap<Box<[u8]>, usize>,
    any: Option<usize>,
    /// Members that end here.
    ends: usize,
    /// Members that end here with a token for the whole tail.
    tails: usize,
}

impl Default for FilterSet {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl FilterSet {
    /// Adds `filter`; a second one that is equal counts as another member.
    pub fn insert(&mut self, filter: &[u8]) {
        let mut at = 0;
        for token in tokens(filter) {
            if token == ANY_TAIL {
                self.nodes[at].tails += 1;
                return;
            }
            let new = self.nodes.len();
            let node = &mut self.nodes[at];
            at = if token == ANY_TOKEN {
                *node.any.get_or_insert(new)
            } else if let Some(next) = node.named.get(token) {
                *next
            } else {
                node.named.insert(token.into(), new);
                new
            };
            if at == new {
                self.nodes.push(Node::default());
            }
        }
        self.nodes[at].ends += 1;
    }

    /// How many members collide with `filter`; counts up to `most`.
    pub fn collisions(&self, filter: &[u8], most: usize) -> usize {
        let mut found = 0;
        // Nodes that fit so far, each with what is left of the filter; `None`: all below fits.
        let mut open = vec![(0, Some(tokens(filter)))];
        while let Some((at, rest)) = open.pop() {
            if found >= most {
                return most;
            }
            let node = &self.nodes[at];
            let token = match &rest {
                Some(rest) => rest.clone().next(),
                None => Some(ANY_TAIL),
            };
            let Some(token) = token else {
                found += node.ends;
                continue;
            };
            // A tail takes whatever stands in its place.
            found += node.tails;
            if rest.is_none() {
                found += node.ends;
            }
            let rest = rest.filter(|_| token != ANY_TAIL).map(|mut rest| {
                rest.next();
                rest
            });
            if token == ANY_TAIL || token == ANY_TOKEN {
                open.extend(node.named.values().map(|next| (*next, rest.clone())));
            } else {
                open.extend(node.named.get(token).map(|next| (*next, rest.clone())));
            }
            open.extend(node.any.map(|next| (next, rest.clone())));
        }
        found.min(most)
    }

    /// Whether any member collides with `filter`.
    pub fn collides(&self, filter: &[u8]) -> bool {
        self.collisions(filter, 1) > 0
    }
}

impl<'a, T: AsRef<[u8]> + 'a> FromIterator<&'a T> for FilterSet {
    fn from_iter<I: IntoIterator<Item = &'a T>>(filters: I) -> Self {
        let mut all = Self::default();
        for filter in filters {
            all.insert(filter.as_ref());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlap::collides;
    use proptest::prelude::*;

    fn filter() -> impl Strategy<Value = String> {
        let token = prop_oneof![Just("a"), Just("b"), Just("*")];
        (prop::collection::vec(token, 1..=4), any::<bool>()).prop_map(|(mut tokens, tail)| {
            if tail && let Some(last) = tokens.last_mut() {
                *last = ">";
            }
            tokens.join(".")
        })
    }

    #[test]
    fn a_subject_of_very_many_tokens_is_a_subject() {
        let (long, mut set) = ("a.".repeat(300_000) + "a", FilterSet::default());
        set.insert(long.as_bytes());
        assert!(set.collides(b"a.*.>") && !set.collides(b"a.*"));
    }

    proptest! {
        #[test]
        fn every_pair_agrees(all in prop::collection::vec(filter(), 0..8), asked in filter()) {
            let set: FilterSet = all.iter().collect();
            let hits = all.iter().filter(|f| collides(f.as_bytes(), asked.as_bytes())).count();
            prop_assert_eq!(set.collisions(asked.as_bytes(), usize::MAX), hits);
            prop_assert_eq!(set.collisions(asked.as_bytes(), 2), hits.min(2));
            prop_assert_eq!(set.collides(asked.as_bytes()), hits > 0);
        }
    }
}
