//! Limits on messages, bytes and messages per subject, and what is done at them.
//!
//! Not here: age (`expire.rs`).
//! Laws: with discard old, after every append no limit is exceeded.
//! Reference: filestore.go enforceMsgLimit, enforceBytesLimit, enforceMsgPerSubjectLimit.
//! Parity: RET-001, RET-002.

use stdx::time::Timestamp;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file::FileStore;
use crate::file::append::NewMessage;
use crate::file::remove::Why;
use crate::message::header_value;
use crate::settings::Settings;
use crate::subjects::SubjectId;

impl<D: Disk> FileStore<D> {
    /// Whether a new message would break a limit, with discard new.
    pub(super) fn check_discard_new(&mut self, m: &NewMessage<'_>, len: u64) -> Result<()> {
        let id = self.subjects.find(m.subject);
        let total = id.map_or(0, |id| self.subjects.totals(id).total);
        let over = self.settings.max_msgs_per_subject.is_some_and(|max| max > 0 && total + 1 > max);
        let mut frees = None;
        if over {
            if self.settings.discard_new_per_subject
                && header_value(m.header, b"Nats-Rollup").is_none()
            {
                return Err(Error::MaxMsgsPerSubject);
            }
            // The subject's own oldest message makes room.
            if let Some(id) = id
                && let Some(first) = self.again(|s| s.first_of(id))?
            {
                let old = self.load(first)?;
                frees = Some(crate::record::record_len(
                    old.subject.len(),
                    old.header.len(),
                    old.payload.len(),
                ));
            }
        }
        if self.settings.max_msgs.is_some_and(|max| max > 0 && self.msgs >= max) && frees.is_none()
        {
            return Err(Error::MaxMsgs);
        }
        if self.settings.max_bytes.is_some_and(|max| max > 0 && self.bytes + len > max)
            && frees.is_none_or(|freed| freed < len)
        {
            return Err(Error::MaxBytes);
        }
        Ok(())
    }

    pub(super) fn enforce_after_append(&mut self, subject: &[u8]) -> Result<()> {
        if let Some(max) = self.settings.max_msgs_per_subject.filter(|&max| max > 0)
            && let Some(id) = self.subjects.find(subject)
        {
            match self.enforce_subject(id, max) {
                Err(Error::Rescanned) => self.enforce_all()?,
                other => other?,
            }
        }
        self.enforce_totals()
    }

    fn enforce_subject(&mut self, id: SubjectId, max: u64) -> Result<()> {
        while self.subjects.totals(id).total > max {
            let Some(first) = self.first_of(id)? else { return Ok(()) };
            let epoch = self.epoch;
            self.take(first, Why::Limit)?;
            if self.epoch != epoch {
                // Damage was found and subjects were numbered anew.
                return Err(Error::Rescanned);
            }
        }
        Ok(())
    }

    fn enforce_totals(&mut self) -> Result<()> {
        if self.settings.discard_new {
            return Ok(());
        }
        if let Some(max) = self.settings.max_msgs.filter(|&max| max > 0) {
            while self.msgs > max {
                self.shed(|s, block| s.msgs - block.0 > max)?;
            }
        }
        if let Some(max) = self.settings.max_bytes.filter(|&max| max > 0) {
            while self.bytes > max && self.msgs > 0 {
                self.shed(|s, block| s.bytes - block.1 > max)?;
            }
        }
        Ok(())
    }

    /// Removes the first block if that is not too much, otherwise the first message.
    fn shed(&mut self, whole: impl Fn(&Self, (u64, u64)) -> bool) -> Result<()> {
        let Some(first) = self.blocks.iter().position(|b| b.msgs > 0) else { return Ok(()) };
        let totals = (self.blocks[first].msgs, self.blocks[first].bytes);
        if first + 1 < self.blocks.len() && whole(self, totals) {
            self.drop_whole(first)?;
            self.settle_first();
            return Ok(());
        }
        let seq = self.first_seq;
        if !self.take(seq, Why::Limit)? && self.first_seq == seq {
            self.settle_first();
        }
        Ok(())
    }

    /// Applies everything that may not have survived a crash.
    pub(super) fn enforce_on_open(&mut self, now: Timestamp) -> Result<()> {
        if self.settings.first_seq > 1 && self.first_seq < self.settings.first_seq {
            self.purge_to(self.settings.first_seq)?;
        }
        self.again(Self::enforce_all)?;
        if self.settings.subject_delete_marker_ttl.is_none() {
            self.expire_aged(now)?;
        }
        Ok(())
    }

    /// Subjects first, as at every append: counted before, messages a subject had given up long ago
    /// would push out others.
    fn enforce_all(&mut self) -> Result<()> {
        if let Some(max) = self.settings.max_msgs_per_subject.filter(|&max| max > 0) {
            let over: Vec<SubjectId> = self
                .subjects
                .iter()
                .map(|(id, _)| id)
                .filter(|&id| self.subjects.totals(id).total > max)
                .collect();
            for id in over {
                self.enforce_subject(id, max)?;
            }
        }
        self.enforce_totals()
    }

    /// Takes over new settings; lowered limits apply at once.
    pub fn update(&mut self, settings: Settings, now: Timestamp) -> Result<()> {
        self.check_open()?;
        // What the old limits removed must not come back under the new ones.
        self.mark_limits()?;
        self.barrier()?;
        let old = std::mem::replace(&mut self.settings, settings);
        self.settings.name = old.name;
        self.oldest = None;
        if self.settings.allow_msg_ttl != old.allow_msg_ttl
            || self.settings.allow_schedules != old.allow_schedules
        {
            self.recover_wheels()?;
        }
        self.again(Self::enforce_all)?;
        if self.settings.subject_delete_marker_ttl.is_none() {
            self.expire_aged(now)?;
        }
        self.changed();
        Ok(())
    }
}
