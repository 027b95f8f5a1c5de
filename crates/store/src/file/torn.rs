//! The end of an append that a kill cut short, and damage that there is no room to mend.
//!
//! ```text
//! bytes behind the last record ─┬─ the beginning of the next one ─► cut off: nobody was answered
//!                               └─ anything else ─► set aside (damage.rs) ─┬─► cut off
//!                                                      no room: a new block ┘  once there is room
//! ```
//! Laws: nothing is appended behind damage; as long as damage waits to be mended there is no index,
//!       so that the next open finds it again.

use stdx::{notice, warning};

use crate::block::scan::Hole;
use crate::block::shape::extent;
use crate::disk::{Disk, DiskFile, Open, exists};
use crate::error::{Error, Result};
use crate::file::full::ROOM;
use crate::file::gather::Spare;
use crate::file::recover::{Damage, Prior};
use crate::file::{FileStore, block_path};
use crate::record::is_cut_short;

/// A block to be mended.
pub(super) struct Late {
    pub(super) index: u32,
    /// `None` if it could not be read.
    holes: Option<Vec<Hole>>,
    salvaged: bool,
    /// Bytes of it that are to be copied.
    len: u64,
}

impl Late {
    fn of(damage: &Damage) -> Self {
        Self {
            index: damage.index,
            holes: damage.scan.as_ref().map(|scan| scan.holes.clone()),
            salvaged: damage.salvaged,
            len: damage.plain.len() as u64,
        }
    }
}

impl<D: Disk> FileStore<D> {
    /// Whether a block waits to be mended.
    pub(super) fn is_late(&self, index: u32) -> bool {
        self.late.iter().any(|late| late.index == index)
    }

    /// Cuts an append off that was not finished; how many bytes of it there were.
    pub(super) fn cut_unfinished(&mut self, damage: &mut Damage, prior: &Prior) -> u64 {
        let Some(hole) = self.unfinished(damage, prior) else { return 0 };
        let index = damage.index;
        if let Err(e) = self.cut_end(index, hole.offset) {
            let name = &self.settings.name;
            warning!(
                self.options.log,
                "Filestore [{name}] could not cut an unfinished write off block {index}: {e}"
            );
            return 0;
        }
        notice!(
            self.options.log,
            "Filestore [{}] an unfinished write was removed: {} bytes at byte {} of {}",
            self.settings.name,
            hole.len,
            hole.offset,
            block_path(index)
        );
        if let Some(scan) = &mut damage.scan {
            scan.holes.pop();
        }
        damage.plain.truncate(hole.offset as usize);
        hole.len
    }

    /// The end of the last block, if it is the beginning of a record whose end was never there.
    fn unfinished(&self, damage: &Damage, prior: &Prior) -> Option<Hole> {
        let block = self.blocks.back().filter(|b| b.index == damage.index && !damage.salvaged)?;
        let hole = *damage.scan.as_ref()?.holes.last()?;
        let rest = damage.plain.get(hole.offset as usize..)?;
        let is_end = hole.offset + hole.len == damage.plain.len() as u64;
        if !is_end || prior.last_seq > self.last_seq {
            return None;
        }
        // It was there once, whole.
        let noted = self.read_shape(damage.index).and_then(|file| extent(&file, &block.hash));
        let is_new = noted.is_none_or(|end| end <= hole.offset);
        (is_new && is_cut_short(rest, &block.hash, self.last_seq + 1)).then_some(hole)
    }

    fn cut_end(&mut self, index: u32, len: u64) -> Result<()> {
        let path = block_path(index);
        self.index_on_disk = true;
        self.invalidate_index()?;
        let file = self.disk.open(&path, Open::Write).map_err(|e| Error::io("open", &path, e))?;
        file.set_len(len).map_err(|e| Error::io("truncate", &path, e))?;
        file.sync_data().map_err(|e| Error::io("sync", &path, e))?;
        if let Some(at) = self.position_of(index) {
            self.blocks[at].len = len;
        }
        self.forget_reads(index);
        Ok(())
    }

    /// Sets a damaged block aside and writes it anew, or has that wait.
    pub(super) fn mend(&mut self, damage: Damage) {
        let late = Late::of(&damage);
        let has_room = !self.disk.is_deferred() || self.has_room_for(&late);
        let outcome = if has_room {
            self.set_aside(damage)
        } else {
            Err(Error::DiskFull { file: block_path(late.index), what: crate::error::NO_SPACE })
        };
        if let Err(e) = outcome {
            warning!(
                self.options.log,
                "Filestore [{}] could not set block {} aside: {e}",
                self.settings.name,
                late.index
            );
            self.late.push(late);
        }
    }

    /// Whether a copy of a block can be written, and the block anew.
    fn has_room_for(&self, late: &Late) -> bool {
        let needed = late.len.saturating_mul(2).saturating_add(ROOM);
        !self.is_full() && self.disk.room().is_ok_and(|room| room >= needed)
    }

    /// Mends what had to wait, if there is room now.
    pub(super) fn mend_late(&mut self) {
        for late in std::mem::take(&mut self.late) {
            let is_gone = match late.holes {
                Some(_) => self.position_of(late.index).is_none(),
                None => exists(&self.disk, &block_path(late.index)).is_ok_and(|is_there| !is_there),
            };
            if is_gone {
                continue;
            }
            if !self.has_room_for(&late) {
                self.late.push(late);
                continue;
            }
            let index = late.index;
            match self.damage_of(late) {
                Ok(damage) => self.mend(damage),
                Err((late, e)) => {
                    let name = &self.settings.name;
                    warning!(self.options.log, "Filestore [{name}] cannot mend block {index}: {e}");
                    self.late.push(late);
                }
            }
        }
    }

    /// Reads the block again. Nothing was appended to it, but it may have been written anew or cut
    /// since: then what is found now counts.
    fn damage_of(&self, late: Late) -> std::result::Result<Damage, (Late, Error)> {
        let (index, salvaged) = (late.index, late.salvaged);
        let Some(holes) = &late.holes else {
            return Ok(Damage { index, scan: None, plain: Vec::new(), why: None, salvaged });
        };
        let hasher = self.subjects.hasher();
        match self.scan_block(index, &hasher, &Prior::default(), &mut Spare::default()) {
            Ok(outcome) => {
                let mut scan = outcome.scan;
                if outcome.plain.len() as u64 == late.len {
                    scan.holes.clone_from(holes);
                }
                Ok(Damage { index, scan: Some(scan), plain: outcome.plain, why: None, salvaged })
            }
            Err(e) => Err((late, e)),
        }
    }
}
