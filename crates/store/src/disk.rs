//! What the store needs from an operating system, and nothing else.
//!
//! Paths are relative to the store's directory, with forward slashes.
//! Laws: data is durable after `sync_data`, names after `sync_dir` of their directory; nothing
//! else promises either.

use std::io;

use rustix::io::Errno;

pub(crate) mod files;
pub(crate) mod queue;
pub mod real;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod slot;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing, empty; it is created or emptied.
    Create,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// File or directory name.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// A directory tree that holds one stream's files.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// Holds a lock until dropped.
    type Lock: Send + Sync;

    /// Opens a file.
    fn open(&self, path: &str, how: Open) -> io::Result<Self::File>;
    /// Opens a file for reading unless that would wait for the device: `WouldBlock` then.
    fn open_now(&self, path: &str) -> io::Result<Self::File> {
        self.open(path, Open::Read)
    }
    /// Lists a directory, in no order.
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>>;
    /// Creates a directory and its parents.
    fn create_dir_all(&self, dir: &str) -> io::Result<()>;
    /// Renames a file or directory, replacing a file of the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &str) -> io::Result<()>;
    /// Removes a directory and everything in it; it may be absent.
    fn remove_dir_all(&self, dir: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Takes the directory for this process; `WouldBlock` if another one has it.
    fn lock(&self, dir: &str) -> io::Result<Self::Lock>;
    /// Whether names in a directory may be created and removed; the error says why not.
    fn check_writable(&self, dir: &str) -> io::Result<()>;
    /// Bytes that can still be written; an estimate, from which nothing follows but what to say no to.
    fn room(&self) -> io::Result<u64>;
    /// Fills `out` with bytes fit for keys.
    fn random(&self, out: &mut [u8]) -> io::Result<()>;
    /// Runs `job(0)`..`job(n - 1)`, several at a time where that helps, started in that order.
    fn parallel(&self, n: usize, job: &(dyn Fn(usize) + Sync));
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads at an offset; fewer bytes only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// The same, unless that would wait for the device: `WouldBlock` then.
    fn read_now(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buf, offset)
    }
    /// Has the system read ahead what will be asked for next; nothing waits for it.
    fn read_ahead(&self, _offset: u64, _len: u64) {}
    /// Writes everything at an offset.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Bytes in the file.
    fn size(&self) -> io::Result<u64>;
    /// The same, and whether the file still has a name.
    fn standing(&self) -> io::Result<(u64, bool)> {
        Ok((self.size()?, true))
    }
}

/// A file is not as this process left it: somebody else writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    /// It ends elsewhere.
    #[error("it ended at byte {left} and now ends at {found}")]
    Longer { left: u64, found: u64 },
    /// Its name stands for another file, or for none.
    #[error("it was replaced or removed")]
    Replaced,
}

/// Reads a whole file, refusing more than `limit` bytes.
pub(crate) fn read_all<D: Disk>(disk: &D, path: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let size = file.size()?;
    if size > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "file is larger than its kind can be",
        ));
    }
    let mut bytes = vec![0; size as usize];
    let n = file.read_at(&mut bytes, 0)?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Whether a file can be opened for reading.
pub(crate) fn exists<D: Disk>(disk: &D, path: &str) -> io::Result<bool> {
    match disk.open(path, Open::Read) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Replaces a file so that a crash leaves either the old or the new content: written beside it,
/// synced, renamed. The directory is left to the caller to sync.
pub fn replace<D: Disk>(disk: &D, path: &str, bytes: &[u8]) -> io::Result<()> {
    let staged = format!("{path}.tmp");
    let result = (|| {
        let file = disk.open(&staged, Open::Create)?;
        file.write_at(bytes, 0)?;
        file.sync_data()?;
        disk.rename(&staged, path)
    })();
    if result.is_err() {
        // The staged copy holds nothing that is not elsewhere.
        let _ = disk.remove_file(&staged);
    }
    result
}

/// `<path>-<n>`, the first that is not taken: nothing that was set aside is written over.
pub(crate) fn free_name<D: Disk>(disk: &D, path: &str) -> String {
    let taken = disk.list(parent(path)).unwrap_or_default();
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let numbers = taken.iter().filter_map(|e| e.name.strip_prefix(name)?.strip_prefix('-'));
    let last = numbers.filter_map(|n| n.parse::<u32>().ok()).max().unwrap_or(0);
    format!("{path}-{}", last.saturating_add(1))
}

/// Whether there is no room, on the disk or in the table of open files, so that the same may
/// succeed later. A limit on the size of files, which whoever set it may lift, is the same.
pub(crate) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || is_out_of_files(e)
        || e.raw_os_error() == Some(Errno::FBIG.raw_os_error())
}

/// Whether the process, or the system, has too many open files.
pub(crate) fn is_out_of_files(e: &io::Error) -> bool {
    let of = |errno: Errno| e.raw_os_error() == Some(errno.raw_os_error());
    of(Errno::MFILE) || of(Errno::NFILE)
}

/// The directory a path lies in.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
