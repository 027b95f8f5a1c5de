//! One file as its reader sees it: what is on the disk, and over it the changes that wait.
//!
//! Not here: the queue itself (`queue.rs`).
//! Laws: reading gives what the file will hold when everything queued before is carried out,
//!       however much of it already is.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::{DiskFile, Foreign};

const UNKNOWN: u64 = u64::MAX;

/// A file that may not be created yet.
pub(crate) struct Slot<F> {
    file: OnceLock<F>,
    /// Where the file ended when this process last had to do with it; [`UNKNOWN`] if that cannot be
    /// told.
    end: AtomicU64,
    view: Mutex<View>,
}

struct View {
    path: Box<str>,
    /// Writes that wait: step, offset, bytes.
    writes: Vec<(u64, u64, Bytes)>,
    /// The length once all is carried out; `None` when nothing waits.
    len: Option<u64>,
    /// Until a step is carried out, only so much of the disk's own bytes shows.
    cuts: Vec<(u64, u64)>,
    /// Last step that waits.
    until: u64,
}

impl<F: DiskFile> Slot<F> {
    /// A file that a step will create.
    pub(crate) fn new(path: &str) -> Self {
        let view =
            View { path: path.into(), writes: Vec::new(), len: None, cuts: Vec::new(), until: 0 };
        Self { file: OnceLock::new(), end: AtomicU64::new(UNKNOWN), view: Mutex::new(view) }
    }

    /// A file that is there.
    pub(crate) fn open(path: &str, file: F) -> Self {
        let slot = Self::new(path);
        slot.end.store(file.size().unwrap_or(UNKNOWN), Ordering::Relaxed);
        let _ = slot.file.set(file);
        slot
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Step `number` creates it, or empties it.
    pub(crate) fn start(&self, number: u64) {
        let mut view = self.view();
        view.writes.clear();
        view.cuts.push((number, 0));
        (view.len, view.until) = (Some(0), number);
    }

    pub(crate) fn path(&self) -> Box<str> {
        self.view().path.clone()
    }

    pub(crate) fn move_to(&self, path: &str) {
        self.view().path = path.into();
    }

    /// Carries the creation out; once, even if what followed failed.
    pub(crate) fn create(&self, open: impl FnOnce() -> io::Result<F>) -> io::Result<()> {
        if self.file.get().is_none() {
            let _ = self.file.set(open()?);
            self.end.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes to the file on the disk. Where it goes on, it must end as it was left: whoever wrote
    /// more, cut it or put another in its place would be mixed up with us.
    pub(crate) fn put(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let file = self.base()?;
        let end = self.end.swap(UNKNOWN, Ordering::Relaxed);
        if end == offset {
            let (size, has_name) = file.standing()?;
            if size != end || !has_name {
                self.end.store(end, Ordering::Relaxed);
                let longer = Foreign::Longer { left: end, found: size };
                return Err(io::Error::other(if has_name { longer } else { Foreign::Replaced }));
            }
        }
        file.write_at(data, offset)?;
        // After a failure nobody knows how much of it arrived.
        if end != UNKNOWN {
            self.end.store(end.max(offset + data.len() as u64), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Cuts or extends the file on the disk.
    pub(crate) fn cut(&self, len: u64) -> io::Result<()> {
        self.base()?.set_len(len)?;
        self.end.store(len, Ordering::Relaxed);
        Ok(())
    }

    /// The file on the disk.
    pub(crate) fn base(&self) -> io::Result<&F> {
        self.file.get().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.base()?.sync_data()
    }

    /// The length with everything that waits.
    pub(crate) fn size(&self) -> io::Result<u64> {
        match self.view().len {
            Some(len) => Ok(len),
            None => self.base()?.size(),
        }
    }

    /// A write that waits; whether it begins where the file ends.
    pub(crate) fn write(&self, number: u64, offset: u64, data: Bytes) -> io::Result<bool> {
        let mut view = self.view();
        let len = match (view.len, self.end.load(Ordering::Relaxed)) {
            (Some(len), _) => len,
            (None, UNKNOWN) => self.base()?.size()?,
            // Whether it still ends there is looked at when it is written.
            (None, end) => end,
        };
        view.len = Some(len.max(offset.saturating_add(data.len() as u64)));
        view.writes.push((number, offset, data));
        view.until = number;
        Ok(offset == len)
    }

    pub(crate) fn set_len(&self, number: u64, len: u64) -> io::Result<()> {
        let mut view = self.view();
        view.cuts.push((number, len));
        for (_, offset, data) in &mut view.writes {
            data.truncate(len.saturating_sub(*offset) as usize);
        }
        (view.len, view.until) = (Some(len), number);
        Ok(())
    }

    /// Steps up to `done` are carried out.
    pub(crate) fn settle(&self, done: u64) {
        let mut view = self.view();
        view.writes.retain(|(number, ..)| *number > done);
        view.cuts.retain(|(number, _)| *number > done);
        if view.until <= done {
            (view.writes, view.cuts) = (Vec::new(), Vec::new());
            view.len = None;
        }
    }

    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_by(buf, offset, F::read_at)
    }

    /// The same, unless the disk would have to be waited for.
    pub(crate) fn read_now(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_by(buf, offset, F::read_now)
    }

    /// The view is not held while the disk reads, for somebody may write meanwhile: what is carried
    /// out until then is over the same bytes once more.
    fn read_by(
        &self,
        buf: &mut [u8],
        offset: u64,
        read: impl Fn(&F, &mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let view = self.view();
        let Some(len) = view.len else {
            drop(view);
            return read(self.base()?, buf, offset);
        };
        let wanted = len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let Some(buf) = buf.get_mut(..wanted) else { return Ok(0) };
        let end = offset + wanted as u64;
        let shown = view.cuts.iter().map(|c| c.1).min().unwrap_or(u64::MAX);
        let shown = shown.saturating_sub(offset).min(wanted as u64) as usize;
        let over = |(_, at, data): &&(u64, u64, Bytes)| {
            *at < end && offset < at.saturating_add(data.len() as u64)
        };
        let over: Vec<_> = view.writes.iter().filter(over).cloned().collect();
        drop(view);
        let mut found = 0;
        if let (Some(file), Some(part)) = (self.file.get(), buf.get_mut(..shown))
            && !part.is_empty()
        {
            found = read(file, part, offset)?;
        }
        buf.get_mut(found..).unwrap_or_default().fill(0);
        for (_, at, data) in &over {
            let from = offset.max(*at);
            let to = end.min(at + data.len() as u64);
            if from < to
                && let Some(place) = buf.get_mut((from - offset) as usize..(to - offset) as usize)
                && let Some(bytes) = data.get((from - at) as usize..(to - at) as usize)
            {
                place.copy_from_slice(bytes);
            }
        }
        Ok(wanted)
    }
}
