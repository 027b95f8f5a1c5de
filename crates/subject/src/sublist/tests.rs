//! The interest index against the definition of matching.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
struct Sub(Arc<(u32, String, Option<String>)>);

impl Sub {
    fn new(id: u32, filter: &str, queue: Option<&str>) -> Self {
        Self(Arc::new((id, filter.into(), queue.map(Into::into))))
    }
}

impl Entry for Sub {
    fn filter(&self) -> &[u8] {
        self.0.1.as_bytes()
    }
    fn queue(&self) -> Option<&[u8]> {
        self.0.2.as_deref().map(str::as_bytes)
    }
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The definition of matching, as plainly as it can be written.
fn naive(subject: &str, filter: &str) -> bool {
    let (s, f): (Vec<_>, Vec<_>) = (subject.split('.').collect(), filter.split('.').collect());
    for (i, token) in f.iter().enumerate() {
        match *token {
            ">" => return s.len() > i,
            "*" if i < s.len() => {}
            t if s.get(i) == Some(&t) => {}
            _ => return false,
        }
    }
    s.len() == f.len()
}

fn ids(matched: &Matched<Sub>) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut plain: Vec<u32> = matched.plain().iter().map(|s| s.0.0).collect();
    plain.sort_unstable();
    let mut queues: Vec<Vec<u32>> = matched
        .queues()
        .map(|members| {
            let mut ids: Vec<u32> = members.iter().map(|s| s.0.0).collect();
            ids.sort_unstable();
            ids
        })
        .collect();
    queues.sort();
    (plain, queues)
}

// Contract: SUBJ-001, SUBJ-002
#[test]
fn wildcards_only_as_whole_tokens() {
    let mut list = Sublist::default();
    for (id, filter) in ["foo.*", "foo.>", "foo*", "*", "foo.bar", ">"].iter().enumerate() {
        list.insert(Sub::new(id as u32, filter, None));
    }
    let mut out = Matched::default();
    let mut plain = |subject: &str| {
        list.matches(subject.as_bytes(), &mut out);
        ids(&out).0
    };
    assert_eq!(plain("foo.bar"), [0, 1, 4, 5]);
    assert_eq!(plain("foo*"), [2, 3, 5]);
    assert_eq!(plain("foo"), [3, 5]);
    assert_eq!(plain("foo.*"), [0, 1, 5], "a published wildcard is literal text");
    assert_eq!(plain("foo.a.b"), [1, 5]);
}

fn token() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("*"), Just(">")]
}

fn filter() -> impl Strategy<Value = String> {
    proptest::collection::vec(token(), 1..5).prop_map(|mut tokens| {
        // `>` may only stand last.
        if let Some(at) = tokens.iter().position(|t| *t == ">") {
            tokens.truncate(at + 1);
        }
        tokens.join(".")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    // Contract: SUBJ-001, SUBJ-003
    #[test]
    fn matches_agree_with_the_definition(
        subs in proptest::collection::vec((filter(), proptest::option::of(0u8..3)), 0..40),
        removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        subjects in proptest::collection::vec(filter(), 1..10),
    ) {
        let mut list = Sublist::default();
        let generations = Generations::default();
        let mut live = Vec::new();
        for (id, (filter, queue)) in subs.iter().enumerate() {
            let queue = queue.map(|q| format!("q{q}"));
            let sub = Sub::new(id as u32, filter, queue.as_deref());
            list.insert(sub.clone());
            live.push(sub);
        }
        for index in &removed {
            if live.is_empty() { break }
            let sub = live.swap_remove(index.index(live.len()));
            let mut before = Matched::default();
            let subject = subjects[0].as_bytes();
            list.matches(subject, &mut before);
            let stamp = generations.stamp(subject);
            prop_assert!(list.remove(&sub));
            generations.changed(sub.filter());
            prop_assert!(!list.remove(&sub));
            let mut after = Matched::default();
            list.matches(subject, &mut after);
            if ids(&before) != ids(&after) {
                prop_assert_ne!(stamp, generations.stamp(subject));
            }
        }
        prop_assert_eq!(list.len(), live.len());
        let mut out = Matched::default();
        for subject in &subjects {
            list.matches(subject.as_bytes(), &mut out);
            let mut plain = Vec::new();
            let mut queues: std::collections::BTreeMap<String, Vec<u32>> = Default::default();
            for sub in &live {
                // A published wildcard token is literal text, so the definition applies as it is.
                if naive(subject, &sub.0.1) {
                    match &sub.0.2 {
                        None => plain.push(sub.0.0),
                        Some(q) => queues.entry(q.clone()).or_default().push(sub.0.0),
                    }
                }
            }
            plain.sort_unstable();
            let mut queues: Vec<Vec<u32>> = queues.into_values().map(|mut q| { q.sort_unstable(); q }).collect();
            queues.sort();
            prop_assert_eq!(ids(&out), (plain, queues));
        }
        let mut count = 0;
        list.for_each(|_| count += 1);
        prop_assert_eq!(count, live.len());
    }
}
