//! How many files the stores of a process hold open, and how many they should.
//!
//! Most of what a process may open is left to its connections. The bound is soft: a store that
//! needs a file opens it, and whoever owns the stores lets those rest that were used least lately.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

/// One file in so many that the process may open is a store's.
const SHARE: u64 = 4;
/// Even then no more than this: a store that rests is opened again within microseconds.
const MOST: u64 = 8192;
const LEAST: u64 = 16;

/// Counts the files that stores hold open; stores share one.
#[derive(Clone, Debug)]
pub struct OpenFiles {
    held: Arc<AtomicUsize>,
    most: usize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(Arc<AtomicUsize>);

impl Default for OpenFiles {
    /// Of what this process may open now.
    fn default() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::at_most((limit / SHARE).clamp(LEAST, MOST) as usize)
    }
}

impl OpenFiles {
    /// A bound of its own.
    pub fn at_most(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// Whether some should be closed before others are opened.
    pub fn is_full(&self) -> bool {
        self.held() >= self.most
    }

    /// Files that are open.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn hold(&self) -> Held {
        self.held.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(&self.held))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_makes_room() {
        let files = OpenFiles::at_most(2);
        let first = files.hold();
        assert!(!files.is_full());
        let second = files.clone().hold();
        assert!(files.is_full());
        drop((first, second));
        assert_eq!(files.held(), 0);
        assert!((16..=8192).contains(&OpenFiles::default().most));
    }
}
