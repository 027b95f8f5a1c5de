//! A directory of the file system whose device can be held back, and is told apart from the
//! system's memory: what may not wait finds nothing there.
//!
//! A test turns the dial of its store directory; directories nobody has a dial for are as they are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use store::disk::real::{OpenFiles, RealDisk};
use store::disk::{Disk, DiskFile, Entry, Open};

/// Longer than anything takes that does not hang.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
    /// Nothing is in the system's memory.
    is_cold: bool,
    /// Of so many reads that may not wait one has to; 0: none.
    cold_one_in: u64,
    asked: u64,
    is_held: bool,
    fails: bool,
    waiting: usize,
    reads: usize,
    /// Shards that waited.
    guilty: Vec<String>,
}

/// What one test does to its disk.
#[derive(Default)]
pub(super) struct Dial {
    state: Mutex<State>,
    turned: Condvar,
}

static DIALS: Mutex<Vec<(PathBuf, Arc<Dial>)>> = Mutex::new(Vec::new());

impl Dial {
    /// The dial of a store directory.
    pub(super) fn of(dir: &Path) -> Arc<Self> {
        let dial = Arc::new(Self::default());
        DIALS.lock().unwrap().push((dir.to_owned(), dial.clone()));
        dial
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads have to wait for the device, which is as fast as ever.
    pub(super) fn cool(&self) {
        self.state().is_cold = true;
    }

    /// One in so many reads has to wait for the device.
    pub(super) fn cool_some(&self, one_in: u64) {
        self.state().cold_one_in = one_in;
    }

    /// The device gives nothing until [`Self::release`].
    pub(super) fn hold(&self) {
        let mut state = self.state();
        (state.is_cold, state.is_held) = (true, true);
    }

    pub(super) fn release(&self) {
        self.state().is_held = false;
        self.turned.notify_all();
    }

    /// What is read from now on is in the system's memory.
    pub(super) fn warm(&self) {
        self.state().is_cold = false;
    }

    pub(super) fn fail(&self, on: bool) {
        self.state().fails = on;
    }

    /// Returns once so many reads are held back.
    pub(super) fn await_waiting(&self, n: usize) {
        let state = self.state();
        let waited =
            self.turned.wait_timeout_while(state, PATIENCE, |state| state.waiting < n).unwrap();
        assert!(!waited.1.timed_out(), "{n} reads are not under way, but {}", waited.0.waiting);
    }

    /// Reads of the device so far.
    pub(super) fn reads(&self) -> usize {
        self.state().reads
    }

    /// No shard has waited for the device.
    pub(super) fn check(&self) {
        let guilty = std::mem::take(&mut self.state().guilty);
        assert!(guilty.is_empty(), "waited: {}", guilty.join("\n"));
    }

    /// Whether something is in the system's memory.
    fn check_warm(&self) -> io::Result<()> {
        let mut state = self.state();
        state.asked += 1;
        let some = state.cold_one_in > 0 && state.asked.is_multiple_of(state.cold_one_in);
        if state.is_cold || some { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    /// What reading from the device comes to.
    fn read_device(&self, what: &str) -> io::Result<()> {
        let mut state = self.state();
        state.reads += 1;
        let thread = thread::current().name().unwrap_or_default().to_owned();
        if state.is_held {
            if thread.starts_with("js-shard") {
                let whence = std::backtrace::Backtrace::force_capture();
                state.guilty.push(format!("{thread} {what} {whence}"));
            } else {
                state.waiting += 1;
                self.turned.notify_all();
                let waited = self.turned.wait_while(state, |state| state.is_held);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                state.waiting -= 1;
            }
        }
        if state.fails { Err(io::Error::other("the device is broken")) } else { Ok(()) }
    }
}

/// The disk of one stream.
#[derive(Clone)]
pub(crate) struct SlowDisk {
    base: RealDisk,
    dial: Option<Arc<Dial>>,
}

pub(crate) struct SlowFile {
    base: <RealDisk as Disk>::File,
    dial: Option<Arc<Dial>>,
    path: String,
}

impl SlowDisk {
    pub(crate) fn held(root: impl Into<PathBuf>, files: OpenFiles) -> Self {
        let root = root.into();
        let dials = DIALS.lock().unwrap_or_else(PoisonError::into_inner);
        let dial = dials.iter().find(|(dir, _)| root.starts_with(dir)).map(|(_, d)| d.clone());
        Self { base: RealDisk::held(root, files), dial }
    }

    fn file(&self, path: &str, base: <RealDisk as Disk>::File) -> SlowFile {
        SlowFile { base, dial: self.dial.clone(), path: path.to_owned() }
    }
}

impl Disk for SlowDisk {
    type File = SlowFile;
    type Lock = <RealDisk as Disk>::Lock;

    fn open(&self, path: &str, how: Open) -> io::Result<SlowFile> {
        Ok(self.file(path, self.base.open(path, how)?))
    }
    fn open_now(&self, path: &str) -> io::Result<SlowFile> {
        if let Some(dial) = &self.dial {
            dial.check_warm()?;
        }
        self.open(path, Open::Read)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.base.list(dir)
    }
    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        self.base.create_dir_all(dir)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.base.rename(from, to)
    }
    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.base.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        self.base.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.base.sync_dir(dir)
    }
    fn lock(&self, dir: &str) -> io::Result<Self::Lock> {
        self.base.lock(dir)
    }
    fn check_writable(&self, dir: &str) -> io::Result<()> {
        self.base.check_writable(dir)
    }
    fn room(&self) -> io::Result<u64> {
        self.base.room()
    }
    fn random(&self, out: &mut [u8]) -> io::Result<()> {
        self.base.random(out)
    }
    fn parallel(&self, n: usize, job: &(dyn Fn(usize) + Sync)) {
        self.base.parallel(n, job);
    }
}

impl DiskFile for SlowFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        // Other files are small, and read when a stream or a consumer is opened.
        if let Some(dial) = self.dial.as_ref().filter(|_| self.path.ends_with(".blk")) {
            dial.read_device(&self.path)?;
        }
        self.base.read_at(buf, offset)
    }
    fn read_now(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(dial) = &self.dial {
            dial.check_warm()?;
        }
        self.base.read_now(buf, offset)
    }
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.base.write_at(data, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.base.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.base.set_len(len)
    }
    fn size(&self) -> io::Result<u64> {
        self.base.size()
    }
    fn standing(&self) -> io::Result<(u64, bool)> {
        self.base.standing()
    }
}
