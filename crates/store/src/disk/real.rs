//! The one file of this crate that touches the operating system.
//!
//! Not here: any decision; each function is one system call.
//! Laws: writes and syncs are never retried after the system reported failure; a file that cannot be
//!       opened because too many are is asked for again for a moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::fs::{
    Access, Advice, AtFlags, CWD, FlockOperation, FsWord, Mode, OFlags, ResolveFlags, accessat,
    fadvise, flock, fstatfs, openat2, statvfs,
};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::rand::{GetRandomFlags, getrandom};

use super::files::Held;
pub use super::files::OpenFiles;
use super::{Disk, DiskFile, Entry, Open, is_out_of_files};

/// Looks for a free descriptor, and the pause between two.
const LOOKS: usize = 20;
const LOOK: Duration = Duration::from_millis(5);

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: PathBuf,
    files: OpenFiles,
    /// A [`StoreLock`] holds all of it.
    is_held: bool,
}

/// An open file.
#[derive(Debug)]
pub struct RealFile {
    file: File,
    _held: Held,
}

/// Keeps other servers out of a store directory, with all its accounts and streams, until dropped.
#[derive(Debug)]
pub struct StoreLock(#[expect(dead_code, reason = "held, not used")] File);

impl StoreLock {
    /// Takes the directory; `WouldBlock` if another server has it, or a stream in it.
    pub fn take(dir: &Path) -> io::Result<Self> {
        let handle = File::open(dir)?;
        flock(&handle, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self(handle))
    }
}

/// What [`Disk::lock`] gives: the stream's directory, and a share of the store directory above it.
#[derive(Debug)]
pub struct RealLock {
    _own: Option<File>,
    _store: Option<File>,
}

impl RealDisk {
    /// The tree at `root`, which need not exist yet; it is locked by itself.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), files: OpenFiles::at_most(usize::MAX), is_held: false }
    }

    /// A tree within a directory that the caller holds by a [`StoreLock`]: it takes no lock of its
    /// own.
    pub fn held(root: impl Into<PathBuf>, files: OpenFiles) -> Self {
        Self { root: root.into(), files, is_held: true }
    }

    /// The store directory of `<store>/<account>/streams/<stream>`.
    fn store_dir(&self) -> Option<&Path> {
        let streams = self.root.parent()?;
        streams.ends_with("streams").then(|| streams.parent()?.parent())?
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for RealDisk {
    type File = RealFile;
    type Lock = RealLock;

    fn open(&self, path: &str, how: Open) -> io::Result<RealFile> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match how {
            Open::Read => {}
            Open::Write => {
                options.write(true);
            }
            Open::Create => {
                options.write(true).create(true).truncate(true);
            }
        }
        let path = self.path(path);
        let file = patiently(|| options.open(&path))?;
        Ok(RealFile { file, _held: self.files.hold() })
    }

    fn open_now(&self, path: &str) -> io::Result<RealFile> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let found = openat2(CWD, self.path(path), flags, Mode::empty(), ResolveFlags::CACHED);
        match found {
            Ok(file) => Ok(RealFile { file: file.into(), _held: self.files.hold() }),
            Err(Errno::NOENT) => Err(io::ErrorKind::NotFound.into()),
            // Not known without the device; or a system that cannot tell; or there are too many.
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        patiently(|| fs::read_dir(self.path(dir)))?
            .map(|entry| {
                let entry = entry?;
                let is_dir = entry.file_type()?.is_dir();
                Ok(Entry { name: entry.file_name().to_string_lossy().into_owned(), is_dir })
            })
            .collect()
    }

    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.path(dir))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.path(dir)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        patiently(|| File::open(self.path(dir)))?.sync_all()
    }

    fn lock(&self, dir: &str) -> io::Result<RealLock> {
        if self.is_held {
            return Ok(RealLock { _own: None, _store: None });
        }
        let handle = patiently(|| File::open(self.path(dir)))?;
        flock(&handle, FlockOperation::NonBlockingLockExclusive)?;
        // A server holds the store directory as a whole. Who may not look at it runs none there.
        let store = self.store_dir().and_then(|dir| File::open(dir).ok());
        if let Some(store) = &store {
            flock(store, FlockOperation::NonBlockingLockShared)?;
        }
        Ok(RealLock { _own: Some(handle), _store: store })
    }

    fn check_writable(&self, dir: &str) -> io::Result<()> {
        Ok(accessat(CWD, self.path(dir), Access::WRITE_OK, AtFlags::EACCESS)?)
    }

    fn room(&self) -> io::Result<u64> {
        let found = statvfs(&self.root)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn random(&self, out: &mut [u8]) -> io::Result<()> {
        let mut at = 0;
        while let Some(rest) = out.get_mut(at..).filter(|r| !r.is_empty()) {
            at += getrandom(rest, GetRandomFlags::empty())?;
        }
        Ok(())
    }

    fn parallel(&self, n: usize, job: &(dyn Fn(usize) + Sync)) {
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(n);
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n {
                    return;
                }
                job(i);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// Asks again for a moment where too many files are open: others come and go.
fn patiently<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..LOOKS {
        match open() {
            Err(e) if is_out_of_files(&e) => std::thread::sleep(LOOK),
            other => return other,
        }
    }
    open()
}

/// The kind of a file system that has no device, as `statfs` tells it: tmpfs.
const IN_MEMORY: FsWord = 0x0102_1994;

impl RealFile {
    fn is_memory(&self) -> bool {
        fstatfs(&self.file).is_ok_and(|found| found.f_type == IN_MEMORY)
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn read_now(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let mut parts = [IoSliceMut::new(rest)];
            let flags = ReadWriteFlags::NOWAIT;
            match preadv2(&self.file, &mut parts, offset + done as u64, flags) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                // A file system, or a kernel, that cannot tell.
                Err(Errno::OPNOTSUPP) if self.is_memory() => return self.read_at(buf, offset),
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(done)
    }

    fn read_ahead(&self, offset: u64, len: u64) {
        // Whoever reads will find out.
        let _ = fadvise(&self.file, offset, NonZeroU64::new(len), Advice::WillNeed);
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn standing(&self) -> io::Result<(u64, bool)> {
        let found = self.file.metadata()?;
        Ok((found.len(), found.nlink() > 0))
    }
}
