//! What the log says while streams are opened.
//!
//! Not here: opening them (`recover.rs`).
//! Laws: a start that is over soon says nothing of its progress, and pays nothing for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The log hears of it this often.
pub(crate) const TELL_EVERY: Duration = Duration::from_secs(5);

/// A stream that is opened, or waits for it.
pub(crate) struct Opening {
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// Bytes of it that were read; [`ALL`] once it is open.
    pub(crate) read: Arc<AtomicU64>,
}

/// It is open, however much of it was read.
pub(crate) const ALL: u64 = u64::MAX;

/// How far opening has come.
pub(crate) struct Progress {
    streams: Vec<Opening>,
    begun: Instant,
    /// Bytes on disk of each; looked up when the start turns out to be a long one.
    sizes: Vec<u64>,
}

impl Progress {
    pub(crate) fn new(streams: Vec<Opening>) -> Self {
        Self { streams, begun: Instant::now(), sizes: Vec::new() }
    }

    /// How far it has come, in words.
    pub(crate) fn tell(&mut self) -> String {
        if self.sizes.is_empty() {
            self.sizes = self.streams.iter().map(|s| size_of_blocks(&s.dir)).collect();
        }
        let (mut open, mut read) = (0, 0);
        for (stream, &size) in self.streams.iter().zip(&self.sizes) {
            let bytes = stream.read.load(Ordering::Relaxed);
            open += usize::from(bytes == ALL);
            // What was written compressed is counted by what it expands to.
            read += bytes.min(size);
        }
        let all: u64 = self.sizes.iter().sum();
        let left = left(self.begun.elapsed(), read, all)
            .map_or_else(String::new, |left| format!(", about {} s left", left.as_secs()));
        format!(
            "Restoring streams: {open} of {} open, {} of {} MiB read{left}",
            self.streams.len(),
            read >> 20,
            all >> 20
        )
    }
}

/// How long the rest takes if it goes on like this; unknown at the beginning.
fn left(spent: Duration, read: u64, all: u64) -> Option<Duration> {
    let rest = all.saturating_sub(read);
    (read > 0).then(|| spent.mul_f64(rest as f64 / read as f64))
}

fn size_of_blocks(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir.join("msgs")) else { return 0 };
    let is_block = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|x| x == "blk");
    let blocks = entries.flatten().filter(is_block);
    blocks.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_what_was_read() {
        let spent = Duration::from_secs(10);
        assert_eq!(left(spent, 0, 100), None);
        assert_eq!(left(spent, 25, 100), Some(Duration::from_secs(30)));
        assert_eq!(left(spent, 100, 100), Some(Duration::ZERO));
    }

    #[test]
    fn it_says_how_far_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut streams = Vec::new();
        for (name, read) in [("A", ALL), ("B", 1 << 20), ("C", 0)] {
            let dir = dir.path().join(name);
            std::fs::create_dir_all(dir.join("msgs")).unwrap();
            std::fs::write(dir.join("msgs/1.blk"), vec![0; 2 << 20]).unwrap();
            std::fs::write(dir.join("msgs/index.db"), b"not counted").unwrap();
            streams.push(Opening { dir, read: Arc::new(AtomicU64::new(read)) });
        }
        let text = Progress::new(streams).tell();
        assert!(text.contains("1 of 3 open, 3 of 6 MiB read, about 0 s left"), "{text}");
    }
}
