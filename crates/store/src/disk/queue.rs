//! A disk whose changes may wait in a queue until somebody carries them out.
//!
//! ```text
//! store ── changes ──► queue ── take() ──► Steps::carry_out() on an I/O thread ──► finish()
//!   ▲                    │
//!   └───── reads ────────┴── what waits lies over what is on the disk
//! ```
//! Direct at first: every change happens at once. After [`Queue::defer`] changes wait, and whoever
//! reads here sees the disk as it will be.
//! Not here: who carries steps out, and when (`file::job`).
//! Laws: steps are carried out in the order in which they were queued, so that a crash between any
//! two leaves what it would have left had nothing ever waited; a step leaves the view only after
//! it was carried out; a directory that is renamed takes along only files that wait.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::slot::Slot;
use super::{Disk, DiskFile, Entry, Open};

/// A disk with its queue.
pub(crate) struct Queue<D: Disk> {
    base: D,
    state: Arc<State<D>>,
}

impl<D: Disk> Clone for Queue<D> {
    fn clone(&self) -> Self {
        Self { base: self.base.clone(), state: Arc::clone(&self.state) }
    }
}

struct State<D: Disk> {
    deferred: AtomicBool,
    /// Bytes of data that wait or are on their way.
    bytes: AtomicUsize,
    inner: Mutex<Inner<D::File>>,
}

struct Inner<F> {
    steps: VecDeque<(u64, Step<F>)>,
    /// Number of the last step queued.
    last: u64,
    /// Steps that want to be alone.
    heavy: usize,
    names: HashMap<String, Named<F>>,
    /// Directories of which the disk shows what no longer is.
    hidden: Vec<(String, u64)>,
}

/// What a name stands for once everything up to a step is carried out.
struct Named<F> {
    slot: Option<Arc<Slot<F>>>,
    until: u64,
}

/// Files to be replaced, and their new content.
pub(crate) type Files = Vec<(&'static str, Vec<u8>)>;

/// Makes files that can be done without: where there is no room for them, they are left out.
pub(crate) type Make = Arc<dyn Fn() -> io::Result<Files> + Send + Sync>;

/// One change.
pub(crate) enum Step<F> {
    Create {
        slot: Arc<Slot<F>>,
        path: String,
    },
    Write {
        slot: Arc<Slot<F>>,
        offset: u64,
        data: Bytes,
        /// The file ends where this begins.
        appends: bool,
    },
    SetLen {
        slot: Arc<Slot<F>>,
        len: u64,
    },
    SyncFile(Arc<Slot<F>>),
    SyncDir(String),
    MakeDir(String),
    RemoveTree(String),
    Rename {
        from: String,
        to: String,
    },
    Unlink(String),
    /// This file is to be part of the next sync.
    Touch(Arc<Slot<F>>),
    /// The same for the names in a directory.
    TouchDir(String),
    /// This file is to go after the next sync.
    Doom(String),
    /// Files made when it is their turn, each replaced whole.
    Make(Make),
    /// What tells of another file, written whole, if that file is still there.
    Tell {
        of: String,
        path: String,
        data: Bytes,
    },
    /// Everything until now is made durable before anything later: up to this ticket.
    Settle(u64),
}

impl<F> Step<F> {
    /// Whether nothing else may be under way beside it: it moves names that others use, or waits
    /// for the device.
    fn is_heavy(&self) -> bool {
        !matches!(
            self,
            Self::Create { .. }
                | Self::Write { .. }
                | Self::Touch(_)
                | Self::TouchDir(_)
                | Self::Doom(_)
        )
    }

    fn bytes(&self) -> usize {
        if let Self::Write { data, .. } = self { data.len() } else { 0 }
    }
}

/// What was changed and is not durable yet.
pub(crate) struct Dirty<F> {
    pub(crate) files: Vec<Arc<Slot<F>>>,
    pub(crate) dirs: BTreeSet<String>,
    /// Files that go once the rest is durable.
    pub(crate) doomed: Vec<String>,
}

impl<F> Default for Dirty<F> {
    fn default() -> Self {
        Self { files: Vec::new(), dirs: BTreeSet::new(), doomed: Vec::new() }
    }
}

impl<F: DiskFile> Dirty<F> {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.dirs.is_empty() && self.doomed.is_empty()
    }

    pub(crate) fn touch(&mut self, slot: &Arc<Slot<F>>) {
        if !self.files.iter().any(|f| Arc::ptr_eq(f, slot)) {
            self.files.push(Arc::clone(slot));
        }
    }

    pub(crate) fn touch_dir(&mut self, dir: &str) {
        if !self.dirs.contains(dir) {
            self.dirs.insert(dir.into());
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for slot in &other.files {
            self.touch(slot);
        }
        self.dirs.extend(other.dirs);
        self.doomed.extend(other.doomed);
    }

    /// Makes all of it durable, then lets the doomed files go.
    pub(crate) fn settle<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        for file in self.files.drain(..) {
            file.sync()?;
        }
        for dir in std::mem::take(&mut self.dirs) {
            disk.sync_dir(&dir)?;
        }
        // What tells of a block goes for good before the block: alone it would tell of a loss.
        let (lengths, others) = self.doomed.drain(..).partition(|path| path.ends_with(".len"));
        unlink(disk, lengths)?;
        unlink(disk, others)
    }
}

/// Removes files for good, in this order.
fn unlink<D: Disk>(disk: &D, paths: Vec<String>) -> io::Result<()> {
    let mut parents = BTreeSet::new();
    for path in paths {
        absent(disk.remove_file(&path))?;
        parents.insert(super::parent(&path).to_string());
    }
    parents.iter().try_for_each(|dir| disk.sync_dir(dir))
}

/// Going twice is going.
fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Writes; what there is no room for leaves no part of it behind.
fn write<F: DiskFile>(slot: &Slot<F>, data: &[u8], offset: u64, appends: bool) -> io::Result<()> {
    let written = slot.put(data, offset);
    if appends && written.as_ref().is_err_and(super::is_full) {
        // A part that stays is a record that is torn, or not known to be refused.
        slot.cut(offset)?;
    }
    written
}

/// Steps to carry out, in this order.
pub(crate) struct Steps<F> {
    steps: VecDeque<(u64, Step<F>)>,
    pub(crate) is_heavy: bool,
}

/// What became of them.
pub(crate) struct Carried<F> {
    done: u64,
    bytes: usize,
    slots: Vec<Arc<Slot<F>>>,
    left: VecDeque<(u64, Step<F>)>,
    pub(crate) dirty: Dirty<F>,
    /// Files were not made for want of room.
    pub(crate) left_out: bool,
    /// The last ticket that was settled.
    pub(crate) settled: Option<u64>,
    pub(crate) result: io::Result<()>,
}

impl<F: DiskFile> Steps<F> {
    /// Bytes of data to be written.
    pub(crate) fn bytes(&self) -> usize {
        self.steps.iter().map(|(_, step)| step.bytes()).sum()
    }

    /// Carries the steps out until one fails; blocks for as long as the device takes. `dirty` is
    /// what earlier steps changed.
    pub(crate) fn carry_out<D: Disk<File = F>>(self, disk: &D, dirty: Dirty<F>) -> Carried<F> {
        let mut out = Carried {
            done: 0,
            bytes: 0,
            slots: Vec::new(),
            left: self.steps,
            dirty,
            left_out: false,
            settled: None,
            result: Ok(()),
        };
        while let Some((number, step)) = out.left.pop_front() {
            if let Err(e) = out.carry_out(disk, &step) {
                out.left.push_front((number, step));
                out.result = Err(e);
                break;
            }
            out.done = number;
            out.bytes += step.bytes();
            if let Step::Create { slot, .. }
            | Step::Write { slot, .. }
            | Step::SetLen { slot, .. } = step
            {
                out.slots.push(slot);
            }
        }
        out
    }
}

impl<F: DiskFile> Carried<F> {
    fn carry_out<D: Disk<File = F>>(&mut self, disk: &D, step: &Step<F>) -> io::Result<()> {
        match step {
            Step::Create { slot, path } => slot.create(|| disk.open(path, Open::Create)),
            Step::Write { slot, offset, data, appends } => write(slot, data, *offset, *appends),
            Step::SetLen { slot, len } => slot.cut(*len),
            Step::SyncFile(slot) => slot.sync(),
            Step::SyncDir(dir) => disk.sync_dir(dir),
            Step::MakeDir(dir) => disk.create_dir_all(dir),
            Step::RemoveTree(dir) => disk.remove_dir_all(dir),
            Step::Rename { from, to } => disk.rename(from, to),
            Step::Unlink(path) => absent(disk.remove_file(path)),
            Step::Touch(slot) => {
                self.dirty.touch(slot);
                Ok(())
            }
            Step::TouchDir(dir) => {
                self.dirty.touch_dir(dir);
                Ok(())
            }
            Step::Doom(path) => {
                self.dirty.doomed.push(path.clone());
                Ok(())
            }
            Step::Make(make) => {
                let files = make()?;
                let done = files.iter().try_for_each(|(path, b)| super::replace(disk, path, b));
                match done {
                    // What is needed must not wait for it.
                    Err(e) if super::is_full(&e) => {
                        self.left_out = true;
                        Ok(())
                    }
                    other => other,
                }
            }
            // Files may have gone to make room since this was asked for.
            Step::Tell { of, path, data } => match super::exists(disk, of)? {
                true => super::replace(disk, path, data),
                false => Ok(()),
            },
            Step::Settle(ticket) => {
                self.dirty.settle(disk)?;
                self.settled = Some(*ticket);
                Ok(())
            }
        }
    }
}

impl<F> Inner<F> {
    fn push(&mut self, step: Step<F>) -> u64 {
        self.last += 1;
        self.heavy += usize::from(step.is_heavy());
        self.steps.push_back((self.last, step));
        self.last
    }

    fn name(&mut self, path: &str, slot: Option<Arc<Slot<F>>>, until: u64) {
        self.names.insert(path.into(), Named { slot, until });
    }

    fn is_hidden(&self, path: &str) -> bool {
        self.hidden.iter().any(|(dir, _)| is_within(path, dir))
    }

    /// Takes every name below `dir` out.
    fn take_below(&mut self, dir: &str) -> Vec<(String, Named<F>)> {
        let below: Vec<String> = self.names.keys().filter(|p| is_within(p, dir)).cloned().collect();
        below.into_iter().filter_map(|p| self.names.remove_entry(&p)).collect()
    }
}

fn is_within(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl<D: Disk> State<D> {
    fn is_deferred(&self) -> bool {
        self.deferred.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<D::File>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> Queue<D> {
    pub(crate) fn new(base: D) -> Self {
        let inner = Inner {
            steps: VecDeque::new(),
            last: 0,
            heavy: 0,
            names: HashMap::new(),
            hidden: Vec::new(),
        };
        let state = State {
            deferred: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            inner: Mutex::new(inner),
        };
        Self { base, state: Arc::new(state) }
    }

    /// The disk itself.
    pub(crate) fn base(&self) -> &D {
        &self.base
    }

    /// From now on changes wait (or no longer: then nothing may be waiting).
    pub(crate) fn defer(&self, on: bool) {
        self.state.deferred.store(on, Ordering::Release);
    }

    pub(crate) fn is_deferred(&self) -> bool {
        self.state.is_deferred()
    }

    /// Bytes of data that wait or are on their way.
    pub(crate) fn bytes(&self) -> usize {
        self.state.bytes.load(Ordering::Relaxed)
    }

    /// Gives back memory that only a busy queue needs.
    pub(crate) fn rest(&self) {
        let mut inner = self.state.lock();
        inner.steps.shrink_to_fit();
        inner.names.shrink_to_fit();
        inner.hidden.shrink_to_fit();
    }

    /// Whether no step waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().steps.is_empty()
    }

    /// Whether a file waits to be put in this place.
    pub(crate) fn renames_to(&self, path: &str) -> bool {
        let is_it = |step: &Step<_>| matches!(step, Step::Rename { to, .. } if to == path);
        self.state.lock().steps.iter().any(|(_, step)| is_it(step))
    }

    /// Whether a step waits that must be alone.
    pub(crate) fn is_heavy(&self) -> bool {
        self.state.lock().heavy > 0
    }

    /// Queues something that is no change of the disk by itself.
    pub(crate) fn note(&self, step: Step<D::File>) {
        self.state.lock().push(step);
    }

    /// Queues files that are made only then; until it is carried out the disk shows the old ones.
    pub(crate) fn make(&self, paths: &[&str], make: Make) {
        let mut inner = self.state.lock();
        inner.push(Step::Make(make));
        // One of them that goes earlier can go again later.
        paths.iter().for_each(|path| drop(inner.names.remove(*path)));
    }

    /// Writes what tells of the file `of`, which is durable by then; not if that went meanwhile.
    pub(crate) fn tell(&self, of: &str, path: &str, data: Vec<u8>) -> io::Result<()> {
        if !self.is_deferred() {
            return super::replace(&self.base, path, &data);
        }
        let mut inner = self.state.lock();
        inner.push(Step::Tell { of: of.into(), path: path.into(), data: data.into() });
        inner.names.remove(path);
        Ok(())
    }

    /// Everything that waits, or only what does not mind company; `None` if that is nothing.
    pub(crate) fn take(&self, alone: bool) -> Option<Steps<D::File>> {
        let mut inner = self.state.lock();
        let n = if alone {
            inner.steps.len()
        } else {
            inner.steps.iter().take_while(|(_, step)| !step.is_heavy()).count()
        };
        let steps: VecDeque<_> = inner.steps.drain(..n).collect();
        let heavy = steps.iter().filter(|(_, step)| step.is_heavy()).count();
        inner.heavy -= heavy;
        (n > 0).then_some(Steps { steps, is_heavy: heavy > 0 })
    }

    /// Has steps carried out before all that wait, in place of writes to a file that will not be read
    /// again; false if more than writes waits for it.
    pub(crate) fn preempt(&self, slot: &Arc<Slot<D::File>>, steps: Vec<Step<D::File>>) -> bool {
        let mut inner = self.state.lock();
        let is_it = |other: &Arc<Slot<D::File>>| Arc::ptr_eq(other, slot);
        let others = inner.steps.iter().any(|(_, step)| match step {
            Step::Create { slot, .. } | Step::SetLen { slot, .. } | Step::SyncFile(slot) => {
                is_it(slot)
            }
            _ => false,
        });
        if others || slot.base().is_err() {
            return false;
        }
        // What comes before the first that waits is carried out already.
        let number = inner.steps.front().map_or(inner.last, |(first, _)| first - 1);
        let mut dropped = 0;
        inner.steps.retain(|(_, step)| match step {
            Step::Write { slot, data, .. } if is_it(slot) => {
                dropped += data.len();
                false
            }
            _ => true,
        });
        for step in steps.into_iter().rev() {
            inner.heavy += usize::from(step.is_heavy());
            if let Step::Write { data, .. } = &step {
                self.state.bytes.fetch_add(data.len(), Ordering::Relaxed);
            }
            inner.steps.push_front((number, step));
        }
        self.state.bytes.fetch_sub(dropped, Ordering::Relaxed);
        true
    }

    /// Takes what was carried out off the view; what was not waits again if there was no room for
    /// it, otherwise it never will be carried out.
    pub(crate) fn finish(&self, carried: &mut Carried<D::File>) {
        let done = carried.done;
        let mut inner = self.state.lock();
        if carried.result.as_ref().is_err_and(super::is_full) {
            inner.heavy += carried.left.iter().filter(|(_, step)| step.is_heavy()).count();
            while let Some(step) = carried.left.pop_back() {
                inner.steps.push_front(step);
            }
        }
        inner.names.retain(|_, n| n.until > done);
        inner.hidden.retain(|(_, until)| *until > done);
        drop(inner);
        for slot in carried.slots.drain(..) {
            slot.settle(done);
        }
        self.state.bytes.fetch_sub(carried.bytes, Ordering::Relaxed);
    }

    /// Gives a file that somebody wrote on the disk itself a place in the view.
    pub(crate) fn adopt(&self, path: &str, file: D::File) {
        let mut inner = self.state.lock();
        let last = inner.last;
        inner.name(path, Some(Arc::new(Slot::open(path, file))), last + 1);
    }

    fn open_by(
        &self,
        path: &str,
        how: Open,
        open: impl FnOnce(&D) -> io::Result<D::File>,
    ) -> io::Result<QueuedFile<D>> {
        if self.is_deferred() {
            let mut inner = self.state.lock();
            if how == Open::Create {
                let slot = Arc::new(Slot::new(path));
                let number =
                    inner.push(Step::Create { slot: Arc::clone(&slot), path: path.into() });
                slot.start(number);
                inner.name(path, Some(Arc::clone(&slot)), number);
                return Ok(self.file(slot));
            }
            match inner.names.get(path) {
                Some(Named { slot: Some(slot), .. }) => return Ok(self.file(Arc::clone(slot))),
                Some(_) => return Err(missing()),
                None if inner.is_hidden(path) => return Err(missing()),
                None => {}
            }
        }
        let file = open(&self.base)?;
        Ok(self.file(Arc::new(Slot::open(path, file))))
    }

    fn file(&self, slot: Arc<Slot<D::File>>) -> QueuedFile<D> {
        QueuedFile { state: Arc::clone(&self.state), slot }
    }
}

impl<D: Disk> Disk for Queue<D> {
    type File = QueuedFile<D>;
    type Lock = D::Lock;

    fn open(&self, path: &str, how: Open) -> io::Result<QueuedFile<D>> {
        self.open_by(path, how, |base| base.open(path, how))
    }

    fn open_now(&self, path: &str) -> io::Result<QueuedFile<D>> {
        self.open_by(path, Open::Read, |base| base.open_now(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        if !self.is_deferred() {
            return self.base.list(dir);
        }
        let inner = self.state.lock();
        let mut found: Vec<Entry> = if inner.is_hidden(dir) {
            Vec::new()
        } else {
            match self.base.list(dir) {
                Ok(found) => found,
                Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(e) => return Err(e),
            }
        };
        for (path, named) in &inner.names {
            let Some(rest) = path.strip_prefix(dir).and_then(|r| r.strip_prefix('/')) else {
                continue;
            };
            let (name, is_dir) = rest.split_once('/').map_or((rest, false), |(d, _)| (d, true));
            match &named.slot {
                None if !is_dir => found.retain(|e| e.name != name),
                Some(_) if !found.iter().any(|e| e.name == name) => {
                    found.push(Entry { name: name.into(), is_dir });
                }
                _ => {}
            }
        }
        if found.is_empty() { Err(missing()) } else { Ok(found) }
    }

    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        if !self.is_deferred() {
            return self.base.create_dir_all(dir);
        }
        self.note(Step::MakeDir(dir.into()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if !self.is_deferred() {
            return self.base.rename(from, to);
        }
        let mut inner = self.state.lock();
        let is_dir = !inner.names.contains_key(from)
            && (inner.names.keys().any(|p| is_within(p, from)) || self.base.list(from).is_ok());
        let step = Step::Rename { from: from.into(), to: to.into() };
        if is_dir {
            let number = inner.push(step);
            for (path, Named { slot, .. }) in inner.take_below(from) {
                let path = format!("{to}{}", &path[from.len()..]);
                if let Some(slot) = &slot {
                    slot.move_to(&path);
                }
                inner.name(&path, slot, number);
            }
            inner.hidden.extend([(from.to_string(), number), (to.to_string(), number)]);
            return Ok(());
        }
        let slot = match inner.names.get(from) {
            Some(Named { slot: Some(slot), .. }) => Arc::clone(slot),
            Some(_) => return Err(missing()),
            None if inner.is_hidden(from) => return Err(missing()),
            None => {
                let file = self.base.open(from, Open::Write);
                Arc::new(Slot::open(from, file.or_else(|_| self.base.open(from, Open::Read))?))
            }
        };
        let number = inner.push(step);
        slot.move_to(to);
        inner.name(from, None, number);
        inner.name(to, Some(slot), number);
        Ok(())
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        if !self.is_deferred() {
            return self.base.remove_file(path);
        }
        let mut inner = self.state.lock();
        if inner.names.get(path).is_some_and(|n| n.slot.is_none()) {
            return Err(missing());
        }
        let number = inner.push(Step::Unlink(path.into()));
        inner.name(path, None, number);
        Ok(())
    }

    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        if !self.is_deferred() {
            return self.base.remove_dir_all(dir);
        }
        let mut inner = self.state.lock();
        let number = inner.push(Step::RemoveTree(dir.into()));
        inner.take_below(dir);
        inner.hidden.push((dir.into(), number));
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        if !self.is_deferred() {
            return self.base.sync_dir(dir);
        }
        self.note(Step::SyncDir(dir.into()));
        Ok(())
    }

    fn lock(&self, dir: &str) -> io::Result<D::Lock> {
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

/// An open file, with what waits for it.
pub(crate) struct QueuedFile<D: Disk> {
    state: Arc<State<D>>,
    slot: Arc<Slot<D::File>>,
}

impl<D: Disk> QueuedFile<D> {
    pub(crate) fn slot(&self) -> &Arc<Slot<D::File>> {
        &self.slot
    }

    /// Queues bytes without copying them.
    pub(crate) fn write_owned(&self, data: Bytes, offset: u64) -> io::Result<()> {
        if !self.state.is_deferred() {
            return self.slot.put(&data, offset);
        }
        let mut inner = self.state.lock();
        let number = inner.last + 1;
        // The length it had is asked for before anything waits.
        let appends = self.slot.write(number, offset, data.clone())?;
        self.state.bytes.fetch_add(data.len(), Ordering::Relaxed);
        let slot = Arc::clone(&self.slot);
        inner.push(Step::Write { slot, offset, data, appends });
        self.show(&mut inner, number);
        Ok(())
    }

    /// Keeps the name pointing here until this step is carried out, unless it is another's.
    fn show(&self, inner: &mut Inner<D::File>, number: u64) {
        let path = self.slot.path();
        let ours = match inner.names.get(&*path) {
            Some(named) => named.slot.as_ref().is_some_and(|s| Arc::ptr_eq(s, &self.slot)),
            None => !inner.is_hidden(&path),
        };
        if ours {
            inner.name(&path, Some(Arc::clone(&self.slot)), number);
        }
    }
}

impl<D: Disk> DiskFile for QueuedFile<D> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.slot.read_at(buf, offset)
    }

    fn read_now(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.slot.read_now(buf, offset)
    }

    fn read_ahead(&self, offset: u64, len: u64) {
        if let Ok(file) = self.slot.base() {
            file.read_ahead(offset, len);
        }
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if !self.state.is_deferred() {
            return self.slot.put(data, offset);
        }
        self.write_owned(Bytes::copy_from_slice(data), offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        if !self.state.is_deferred() {
            return self.slot.base()?.sync_data();
        }
        self.state.lock().push(Step::SyncFile(Arc::clone(&self.slot)));
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.state.is_deferred() {
            return self.slot.cut(len);
        }
        let mut inner = self.state.lock();
        let number = inner.last + 1;
        self.slot.set_len(number, len)?;
        inner.push(Step::SetLen { slot: Arc::clone(&self.slot), len });
        self.show(&mut inner, number);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.slot.size()
    }
}

#[cfg(test)]
#[path = "queue_test.rs"]
mod tests;
