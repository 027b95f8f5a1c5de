//! The one file of this crate that touches the operating system.
//!
//! Not here: any decision; each function is one system call.
//! Laws: writes and syncs are never retried after the system reported failure.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, accessat, flock, statvfs};
use rustix::rand::{GetRandomFlags, getrandom};

use super::{Disk, DiskFile, Entry, Open};

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// The tree at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for RealDisk {
    type File = File;
    type Lock = File;

    fn open(&self, path: &str, how: Open) -> io::Result<File> {
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
        options.open(self.path(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        fs::read_dir(self.path(dir))?
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
        File::open(self.path(dir))?.sync_all()
    }

    fn lock(&self, dir: &str) -> io::Result<File> {
        let handle = File::open(self.path(dir))?;
        flock(&handle, FlockOperation::NonBlockingLockExclusive)?;
        Ok(handle)
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

impl DiskFile for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            match FileExt::read_at(self, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
