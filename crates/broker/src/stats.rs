//! Counters that the message path writes without sharing a cache line between threads.
//!
//! Law: a cell is written by one worker (load, add, store) and summed by readers.

use std::sync::atomic::{AtomicU64, Ordering};

/// One direction's messages and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub msgs: u64,
    pub bytes: u64,
}

impl Traffic {
    /// Adds `n` messages of `bytes` in all.
    #[inline]
    pub fn add(&mut self, n: u64, bytes: u64) {
        self.msgs += n;
        self.bytes += bytes;
    }
}

/// One worker's counters of something.
#[derive(Default)]
#[repr(align(64))]
struct Cell {
    in_msgs: AtomicU64,
    in_bytes: AtomicU64,
    out_msgs: AtomicU64,
    out_bytes: AtomicU64,
    lookups: AtomicU64,
    hits: AtomicU64,
}

/// Messages in and out, counted per worker.
pub struct Counters {
    cells: Box<[Cell]>,
}

impl Counters {
    /// Counters for `workers` writers.
    pub fn new(workers: usize) -> Self {
        Self { cells: (0..workers.max(1)).map(|_| Cell::default()).collect() }
    }

    /// Adds what `worker` saw.
    #[inline]
    pub fn add(&self, worker: usize, received: Traffic, sent: Traffic) {
        let Some(cell) = self.cells.get(worker) else { return };
        bump(&cell.in_msgs, received.msgs);
        bump(&cell.in_bytes, received.bytes);
        bump(&cell.out_msgs, sent.msgs);
        bump(&cell.out_bytes, sent.bytes);
    }

    /// Counts a search for receivers, and whether a cache answered it.
    #[inline]
    pub fn looked_up(&self, worker: usize, hit: bool) {
        let Some(cell) = self.cells.get(worker) else { return };
        bump(&cell.lookups, 1);
        bump(&cell.hits, u64::from(hit));
    }

    /// Searches for receivers, and how many of them a cache answered.
    pub fn lookups(&self) -> (u64, u64) {
        let sum = |field: fn(&Cell) -> &AtomicU64| {
            self.cells.iter().map(|cell| field(cell).load(Ordering::Relaxed)).sum()
        };
        (sum(|cell| &cell.lookups), sum(|cell| &cell.hits))
    }

    /// Sums over the workers: received, sent.
    pub fn totals(&self) -> (Traffic, Traffic) {
        let (mut received, mut sent) = (Traffic::default(), Traffic::default());
        for cell in &self.cells {
            received.msgs += cell.in_msgs.load(Ordering::Relaxed);
            received.bytes += cell.in_bytes.load(Ordering::Relaxed);
            sent.msgs += cell.out_msgs.load(Ordering::Relaxed);
            sent.bytes += cell.out_bytes.load(Ordering::Relaxed);
        }
        (received, sent)
    }
}

#[inline]
fn bump(cell: &AtomicU64, n: u64) {
    if n != 0 {
        cell.store(cell.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }
}
