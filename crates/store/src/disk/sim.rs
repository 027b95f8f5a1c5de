//! A disk in memory that can crash: what was not synced may be lost, torn or kept, in any mix.
//!
//! Two images are kept: what a running process sees, and what a power cut leaves for certain.
//! Between them lie unsynced writes (each survives, is lost, or is torn at sector bounds,
//! independently) and unsynced name changes (a prefix of them survives, as on a journal).
//! Laws: the same seed and the same operations give the same crash image.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Entry, Open};

const SECTOR: usize = 512;

/// A shared handle to one simulated disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameOp>,
    rng: u64,
    /// Changing operations left before the power goes; `None` is a steady supply.
    fuel: Option<u64>,
    capacity: Option<u64>,
    /// Of 16 changes that need room so many find none, whatever there is.
    flaky: u64,
    /// Writes and syncs fail for another reason.
    broken: bool,
    syncs: u64,
    writes: u64,
    locked: bool,
    /// Of 16 reads that must not wait, so many would.
    cold: u64,
    /// Reads fail.
    unreadable: bool,
}

#[derive(Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

enum NameOp {
    Link { path: String, inode: usize },
    Unlink { path: String },
    Rename { from: String, to: String },
    RemoveTree { dir: String },
}

impl NameOp {
    fn touches(&self, dir: &str) -> bool {
        let parent_is = |p: &str| super::parent(p) == dir;
        match self {
            Self::Link { path, .. } | Self::Unlink { path } => parent_is(path),
            Self::Rename { from, to } => parent_is(from) || parent_is(to),
            Self::RemoveTree { dir: gone } => parent_is(gone),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link { path, inode } => {
                names.insert(path.clone(), *inode);
            }
            Self::Unlink { path } => {
                names.remove(path);
            }
            Self::RemoveTree { dir } => {
                let prefix = format!("{dir}/");
                names.retain(|p, _| !p.starts_with(&prefix));
            }
            Self::Rename { from, to } => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                    return;
                }
                let prefix = format!("{from}/");
                let moved: Vec<String> =
                    names.keys().filter(|p| p.starts_with(&prefix)).cloned().collect();
                for path in moved {
                    if let Some(inode) = names.remove(&path) {
                        names.insert(format!("{to}/{}", &path[prefix.len()..]), inode);
                    }
                }
            }
        }
    }
}

/// An open file of a simulated disk.
pub struct SimFile {
    inner: Arc<Mutex<Inner>>,
    inode: usize,
}

impl SimDisk {
    /// An empty disk whose crashes are decided by `seed`.
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.state().rng = seed | 1;
        disk
    }

    /// Cuts the power after `ops` more changing operations: from then on everything fails.
    pub fn crash_after(&self, ops: u64) {
        self.state().fuel = Some(ops);
    }

    /// Whether the power was cut.
    pub fn crashed(&self) -> bool {
        self.state().fuel == Some(0)
    }

    /// Limits the total bytes the disk takes; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Of 16 changes that need room so many find none from now on, whatever there is.
    pub fn set_flaky(&self, chance: u64) {
        self.state().flaky = chance;
    }

    /// From now on writes and syncs fail, or no longer.
    pub fn set_broken(&self, on: bool) {
        self.state().broken = on;
    }

    /// Of 16 reads that must not wait for the device so many would have to from now on; 16: all.
    pub fn set_cold(&self, chance: u64) {
        self.state().cold = chance;
    }

    /// From now on reads fail, or no longer.
    pub fn set_unreadable(&self, on: bool) {
        self.state().unreadable = on;
    }

    /// Bytes in its files.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// `(writes, syncs)` so far.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.writes, state.syncs)
    }

    /// The disk as found after power returns.
    pub fn after_crash(&self) -> Self {
        let mut old = self.state();
        let mut names = old.durable_names.clone();
        let choices = old.pending_names.len() as u64 + 1;
        let kept = old.random(choices) as usize;
        for op in &old.pending_names[..kept] {
            op.apply(&mut names);
        }
        let mut new = Inner { rng: old.rng, ..Inner::default() };
        let mut image: BTreeMap<usize, usize> = BTreeMap::new();
        for (path, inode) in names {
            let slot = *image.entry(inode).or_insert_with(|| {
                let file = old.inodes[inode].clone();
                let content = file.crash(&mut old.rng);
                new.inodes.push(Inode { live: content.clone(), durable: content, pending: vec![] });
                new.inodes.len() - 1
            });
            new.names.insert(path.clone(), slot);
            new.durable_names.insert(path, slot);
        }
        Self { inner: Arc::new(Mutex::new(new)) }
    }

    /// An independent copy of what a running process sees, all of it durable.
    pub fn copy(&self) -> Self {
        let old = self.state();
        let mut new = Inner { rng: old.rng, ..Inner::default() };
        for (path, &inode) in &old.names {
            let live = old.inodes[inode].live.clone();
            new.inodes.push(Inode { durable: live.clone(), live, pending: vec![] });
            new.names.insert(path.clone(), new.inodes.len() - 1);
        }
        new.durable_names = new.names.clone();
        Self { inner: Arc::new(Mutex::new(new)) }
    }

    /// Every file path, in order.
    pub fn paths(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// A file's content; empty if there is none.
    pub fn content(&self, path: &str) -> Vec<u8> {
        let state = self.state();
        state.names.get(path).map(|&i| state.inodes[i].live.clone()).unwrap_or_default()
    }

    /// Puts a file there, durably.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut state = self.state();
        let inode = Inode { live: bytes.to_vec(), durable: bytes.to_vec(), pending: vec![] };
        state.inodes.push(inode);
        let slot = state.inodes.len() - 1;
        state.names.insert(path.into(), slot);
        state.durable_names.insert(path.into(), slot);
    }

    /// Takes a file away, durably.
    pub fn delete(&self, path: &str) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inode {
    /// The content after a crash: durable bytes plus some of what was on its way.
    fn crash(&self, rng: &mut u64) -> Vec<u8> {
        let mut out = self.durable.clone();
        for change in &self.pending {
            match change {
                Change::SetLen(len) => {
                    if next(rng).is_multiple_of(2) {
                        out.resize(*len, 0);
                    }
                }
                Change::Write { offset, data } => match next(rng) % 4 {
                    0 => {}
                    1 | 2 => write(&mut out, *offset, data),
                    _ => {
                        // Torn: some sectors arrive; the length may have grown over the rest.
                        for (i, part) in data.chunks(SECTOR).enumerate() {
                            if next(rng).is_multiple_of(2) {
                                write(&mut out, offset + i * SECTOR, part);
                            }
                        }
                    }
                },
            }
        }
        out
    }
}

fn write(out: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if out.len() < offset + data.len() {
        out.resize(offset + data.len(), 0);
    }
    out[offset..offset + data.len()].copy_from_slice(data);
}

fn next(rng: &mut u64) -> u64 {
    // xorshift64*: good enough to vary crashes, and needs no dependency.
    *rng ^= *rng >> 12;
    *rng ^= *rng << 25;
    *rng ^= *rng >> 27;
    rng.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
}

impl Inner {
    fn random(&mut self, below: u64) -> u64 {
        next(&mut self.rng) % below
    }

    fn burn(&mut self) -> io::Result<()> {
        match &mut self.fuel {
            Some(0) => Err(io::Error::other("power is gone")),
            Some(fuel) => {
                *fuel -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// How many of so many new bytes there is room for; nothing at all for a name without room.
    fn room_for(&mut self, bytes: u64) -> io::Result<u64> {
        if self.broken {
            return Err(io::Error::other("the disk is broken"));
        }
        if self.flaky > 0 && self.random(16) < self.flaky {
            return Ok(self.random(bytes.max(1)));
        }
        let Some(capacity) = self.capacity else { return Ok(bytes) };
        Ok(capacity.saturating_sub(self.used()).min(bytes))
    }

    /// A name needs room too.
    fn room_for_name(&mut self) -> io::Result<()> {
        if self.room_for(1)? == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Whether a read has to wait for the device.
    fn check_warm(&mut self) -> io::Result<()> {
        let cold = self.cold > 0 && self.random(16) < self.cold;
        if cold { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    fn lit(&self) -> io::Result<()> {
        if self.fuel == Some(0) { Err(io::Error::other("power is gone")) } else { Ok(()) }
    }

    fn name(&mut self, op: NameOp) {
        op.apply(&mut self.names);
        self.pending_names.push(op);
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&i| self.inodes[i].live.len() as u64).sum()
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

/// Releases the simulated lock.
pub struct SimLock(Arc<Mutex<Inner>>);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).locked = false;
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn open(&self, path: &str, how: Open) -> io::Result<SimFile> {
        let mut state = self.state();
        state.lit()?;
        let inode = match (state.names.get(path).copied(), how) {
            (Some(inode), Open::Create) => {
                state.burn()?;
                state.inodes[inode].live.clear();
                state.inodes[inode].pending.push(Change::SetLen(0));
                inode
            }
            (Some(inode), _) => inode,
            (None, Open::Create) => {
                state.room_for_name()?;
                state.burn()?;
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.name(NameOp::Link { path: path.into(), inode });
                inode
            }
            (None, _) => return Err(missing()),
        };
        Ok(SimFile { inner: Arc::clone(&self.inner), inode })
    }

    fn open_now(&self, path: &str) -> io::Result<SimFile> {
        self.state().check_warm()?;
        self.open(path, Open::Read)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let state = self.state();
        state.lit()?;
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let mut entries: Vec<Entry> = Vec::new();
        for rest in state.names.keys().filter_map(|p| p.strip_prefix(&prefix)) {
            let (name, is_dir) = rest.split_once('/').map_or((rest, false), |(d, _)| (d, true));
            let entry = Entry { name: name.into(), is_dir };
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        if entries.is_empty() { Err(missing()) } else { Ok(entries) }
    }

    fn create_dir_all(&self, _: &str) -> io::Result<()> {
        self.state().lit()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.flaky > 0 {
            state.room_for_name()?;
        }
        state.burn()?;
        let prefix = format!("{from}/");
        if !state.names.keys().any(|p| p == from || p.starts_with(&prefix)) {
            return Err(missing());
        }
        state.name(NameOp::Rename { from: from.into(), to: to.into() });
        Ok(())
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.burn()?;
        if !state.names.contains_key(path) {
            return Err(missing());
        }
        state.name(NameOp::Unlink { path: path.into() });
        Ok(())
    }

    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        state.burn()?;
        state.name(NameOp::RemoveTree { dir: dir.into() });
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        state.burn()?;
        let upto = state.pending_names.iter().rposition(|op| op.touches(dir)).map_or(0, |i| i + 1);
        let done: Vec<NameOp> = state.pending_names.drain(..upto).collect();
        for op in done {
            op.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn lock(&self, _: &str) -> io::Result<SimLock> {
        let mut state = self.state();
        state.lit()?;
        if std::mem::replace(&mut state.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(SimLock(Arc::clone(&self.inner)))
    }

    fn check_writable(&self, _: &str) -> io::Result<()> {
        self.state().lit()
    }

    fn room(&self) -> io::Result<u64> {
        let state = self.state();
        state.lit()?;
        Ok(state.capacity.map_or(u64::MAX, |all| all.saturating_sub(state.used())))
    }

    fn random(&self, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        for b in out {
            *b = next(&mut state.rng) as u8;
        }
        Ok(())
    }

    fn parallel(&self, n: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..n).for_each(job);
    }
}

impl SimFile {
    fn state(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state();
        state.lit()?;
        if state.unreadable {
            return Err(io::Error::other("the disk cannot be read"));
        }
        let live = &state.inodes[self.inode].live;
        let from = live.get((offset as usize).min(live.len())..).unwrap_or_default();
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }

    fn read_now(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.state().check_warm()?;
        self.read_at(buf, offset)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state();
        let end = offset + data.len() as u64;
        let old = state.inodes[self.inode].live.len() as u64;
        // What overwrites needs no room; of the rest, as much is written as there is room for.
        let grows = end.saturating_sub(old.max(offset));
        let missing = grows - if grows > 0 { state.room_for(grows)? } else { 0 };
        let data = &data[..data.len() - missing as usize];
        state.burn()?;
        state.writes += 1;
        let inode = &mut state.inodes[self.inode];
        if !data.is_empty() {
            write(&mut inode.live, offset as usize, data);
            inode.pending.push(Change::Write { offset: offset as usize, data: data.to_vec() });
        }
        if missing > 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.broken {
            return Err(io::Error::other("the disk is broken"));
        }
        state.burn()?;
        state.syncs += 1;
        let inode = &mut state.inodes[self.inode];
        inode.durable = inode.live.clone();
        inode.pending.clear();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.burn()?;
        let inode = &mut state.inodes[self.inode];
        inode.live.resize(len as usize, 0);
        inode.pending.push(Change::SetLen(len as usize));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.state();
        state.lit()?;
        Ok(state.inodes[self.inode].live.len() as u64)
    }
}
