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

/// What opening a stream or a consumer costs whatever is in it, in bytes that could be read instead.
const EACH: u64 = 1 << 20;

/// How far opening has come.
pub(crate) struct Progress {
    streams: Vec<Opening>,
    begun: Instant,
    /// What there is to each; looked up when the start turns out to be a long one.
    sizes: Vec<Size>,
}

/// What there is to a stream on the disk.
struct Size {
    /// In blocks.
    bytes: u64,
    /// The stream and its consumers.
    assets: u64,
}

impl Progress {
    pub(crate) fn new(streams: Vec<Opening>) -> Self {
        Self { streams, begun: Instant::now(), sizes: Vec::new() }
    }

    /// How far it has come, in words.
    pub(crate) fn tell(&mut self) -> String {
        if self.sizes.is_empty() {
            self.sizes = self.streams.iter().map(|s| Size::of(&s.dir)).collect();
        }
        let (mut open, mut read, mut assets) = (0, 0, 0);
        for (stream, size) in self.streams.iter().zip(&self.sizes) {
            let bytes = stream.read.load(Ordering::Relaxed);
            if bytes == ALL {
                open += 1;
                assets += size.assets;
            }
            // What was written compressed is counted by what it expands to.
            read += bytes.min(size.bytes);
        }
        let all: u64 = self.sizes.iter().map(|size| size.bytes).sum();
        let all_assets: u64 = self.sizes.iter().map(|size| size.assets).sum();
        let (done, work) = (read + assets * EACH, all + all_assets * EACH);
        let left = left(self.begun.elapsed(), done, work)
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

impl Size {
    fn of(dir: &Path) -> Self {
        let list = |name| std::fs::read_dir(dir.join(name)).into_iter().flatten().flatten();
        let is_block = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|x| x == "blk");
        let blocks = list("msgs").filter(is_block);
        Self {
            bytes: blocks.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum(),
            assets: 1 + list("obs").count() as u64,
        }
    }
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
        // Streams with hardly anything in them take their time, too.
        let open =
            |read| Opening { dir: dir.path().join("none"), read: Arc::new(AtomicU64::new(read)) };
        let mut progress = Progress::new(vec![open(ALL), open(0), open(0)]);
        progress.begun -= Duration::from_secs(5);
        let text = progress.tell();
        assert!(text.contains("1 of 3 open, 0 of 0 MiB read, about 10 s left"), "{text}");
    }
}
