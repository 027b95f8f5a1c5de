//! Cached match results and the changes they must not outlive.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, RwLock};
use loom::thread;
use subject::sublist::{Generations, Stamp};

/// An account's interest, as far as a cache needs it: who wants `a.b`, and the generations.
#[derive(Default)]
struct Interest {
    wanted: RwLock<u32>,
    generations: Generations,
    /// How many changes are complete: their SUB or UNSUB has been answered.
    answered: [AtomicBool; 2],
}

impl Interest {
    fn change(&self, filter: &[u8], bit: u32) {
        let mut wanted = self.wanted.write().unwrap();
        *wanted |= 1 << bit;
        self.generations.changed(filter);
        drop(wanted);
        self.answered[bit as usize].store(true, Ordering::Release);
    }

    fn all_answered(&self) -> u32 {
        let answered = self.answered.iter().enumerate();
        answered.fold(0, |all, (bit, a)| all | (u32::from(a.load(Ordering::Acquire)) << bit))
    }
}

/// A worker's memory of one subject.
#[derive(Default)]
struct Cache(Option<(Stamp, u32)>);

impl Cache {
    /// As `dispatch::cache` does it: stamp, compare, else match under the lock and remember.
    fn lookup(&mut self, interest: &Interest) -> u32 {
        let stamp = interest.generations.stamp(b"a.b");
        match self.0 {
            Some((of, result)) if of == stamp => result,
            _ => {
                let result = *interest.wanted.read().unwrap();
                self.0 = Some((stamp, result));
                result
            }
        }
    }
}

fn nothing_answered_is_missed(filters: [&'static [u8]; 2]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(move || {
        let interest = Arc::new(Interest::default());
        let writers: Vec<_> = (0..2)
            .map(|bit| {
                let interest = interest.clone();
                thread::spawn(move || interest.change(filters[bit as usize], bit))
            })
            .collect();
        let mut cache = Cache::default();
        for _ in 0..2 {
            let answered = interest.all_answered();
            let result = cache.lookup(&interest);
            assert_eq!(result & answered, answered, "a subscription that was answered is missed");
        }
        writers.into_iter().for_each(|w| w.join().unwrap());
        assert_eq!(cache.lookup(&interest), 3, "a result outlived what it was made from");
    });
}

#[test]
fn two_changes_of_one_bucket() {
    nothing_answered_is_missed([b"a.b", b"a.>"]);
}

#[test]
fn a_change_of_the_bucket_and_one_of_all() {
    nothing_answered_is_missed([b"a.*", b"*.b"]);
}
