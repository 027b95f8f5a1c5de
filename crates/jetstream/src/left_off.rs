//! Where a stream left off with its sources, for when none of its messages tells any more: a work
//! queue that is drained, or messages that grew too old.
//!
//! Wire: `sources.json` beside the stream's document: `{"last_seq":N,"sources":{"<index name>":N}}`.
//! Laws: a file that is ahead of the stream counts for nothing and goes; one write at a time.
//! Parity: SRC-004. The reference begins anew in that case, and stores everything twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jetstream_api::RetentionPolicy;
use jetstream_core::stream::Role;
use serde::{Deserialize, Serialize};
use stdx::time::Mono;
use store::MessageStore;
use store::disk::{Disk as _, replace};

use crate::event::Event;
use crate::place::{Disk, Place};
use crate::shard::Shard;

/// It is written at most this often.
const WRITE_EVERY: Duration = Duration::from_millis(100);
const FILE: &str = "sources.json";
/// More than any file of ours has.
const MAX_FILE: u64 = 16 << 20;

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOff {
    /// The stream's last sequence when it was written.
    last_seq: u64,
    /// Sequences at the sources, by what tells them apart.
    sources: BTreeMap<String, u64>,
}

/// How far the writing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Noting {
    /// What the file says is so.
    #[default]
    Done,
    /// It will be written.
    Due,
    /// It is being written; `true` if it changed meanwhile.
    UnderWay(bool),
}

/// Reads it; a file that cannot be is none.
fn read(dir: &Path) -> Option<LeftOff> {
    let path = dir.join(FILE);
    if std::fs::metadata(&path).ok()?.len() > MAX_FILE {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(disk: &Disk, left_off: &LeftOff) -> std::io::Result<()> {
    replace(disk, FILE, &serde_json::to_vec(left_off)?)?;
    disk.sync_dir("")
}

impl Place {
    /// Whether its messages may all be gone while its sources go on.
    fn forgets_sources(&self) -> bool {
        let config = self.config();
        let empties = config.retention != RetentionPolicy::Limits || config.max_age.0 > 0;
        empties && !config.sources.is_empty() && self.stream.store_ref().is_file()
    }

    fn left_off(&self) -> LeftOff {
        let origins = self.links.iter().flat_map(|links| links.origins());
        let origins = origins.filter(|o| o.role() == Role::Source && o.seq() > 0);
        LeftOff {
            last_seq: self.stream.store_ref().state().last_seq,
            sources: origins.map(|o| (o.index_name().to_owned(), o.seq())).collect(),
        }
    }
}

impl Shard {
    /// A stream that was found goes on where the file says, if its messages do not say more.
    pub(crate) fn recall_sources(&mut self, at: u32) {
        let shared = self.shared.clone();
        let Some(place) = self.place(at) else { return };
        if place.config().sources.is_empty() || !place.stream.store_ref().is_file() {
            return;
        }
        let dir = shared.stream_dir(&place.account.account.name, place.name());
        let Some(left_off) = read(&dir) else { return };
        if left_off.last_seq > place.stream.store_ref().state().last_seq {
            // The end of the stream was lost: what it drew then is to be drawn again.
            let _ = std::fs::remove_file(dir.join(FILE));
            return;
        }
        let Some(links) = &mut place.links else { return };
        for origin in links.origins_mut() {
            if let Some(seq) = left_off.sources.get(origin.index_name()) {
                origin.go_on_behind(*seq);
            }
        }
    }

    /// Notes that a stream drew something.
    pub(crate) fn note_drawn(&mut self, at: u32) {
        let due = self.now.mono + WRITE_EVERY;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        if !place.forgets_sources() {
            return;
        }
        match &mut place.noting {
            noting @ Noting::Done => {
                *noting = Noting::Due;
                self.drawn.push_back((due, at, place.generation));
            }
            Noting::Due => {}
            Noting::UnderWay(again) => *again = true,
        }
    }

    /// Writes what is due.
    pub(crate) fn write_left_off(&mut self) {
        while self.drawn.front().is_some_and(|(due, ..)| *due <= self.now.mono) {
            let Some((_, at, generation)) = self.drawn.pop_front() else { return };
            let (shared, queue) = (self.shared.clone(), self.queue.clone());
            let log = self.lent.worker.broker.log.clone();
            let Some(place) = self.place(at).filter(|p| p.generation == generation) else {
                continue;
            };
            place.noting = Noting::UnderWay(false);
            let left_off = place.left_off();
            let dir = shared.stream_dir(&place.account.account.name, place.name());
            let disk = shared.disk(dir.clone());
            shared.io.run(move || {
                if let Err(error) = write(&disk, &left_off) {
                    stdx::warning!(log, "JetStream cannot write '{}': {error}", dir.display());
                }
                queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                    shard.left_off_written(at, generation);
                })));
            });
        }
    }

    fn left_off_written(&mut self, at: u32, generation: u32) {
        let Some(place) = self.place(at).filter(|p| p.generation == generation) else { return };
        let again = place.noting == Noting::UnderWay(true);
        place.noting = Noting::Done;
        if again {
            self.note_drawn(at);
        }
    }

    /// When something has to be written.
    pub(crate) fn next_left_off(&self) -> Option<Mono> {
        self.drawn.front().map(|(due, ..)| *due)
    }

    /// The server ends: what was not written yet.
    pub(crate) fn close_left_off(&mut self, at: u32) {
        let shared = self.shared.clone();
        let Some(place) = self.place(at).filter(|p| p.noting != Noting::Done) else { return };
        let dir = shared.stream_dir(&place.account.account.name, place.name());
        let left_off = place.left_off();
        if let Err(error) = write(&shared.disk(dir.clone()), &left_off) {
            let log = &self.lent.worker.broker.log;
            stdx::warning!(log, "JetStream cannot write '{}': {error}", dir.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::disk::real::OpenFiles;

    #[test]
    fn what_was_written_is_read_and_what_is_damaged_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, disk) = (dir.path(), Disk::held(dir.path(), OpenFiles::at_most(0)));
        assert_eq!(read(dir), None);
        let sources = BTreeMap::from([("O > >".to_owned(), 7)]);
        let left_off = LeftOff { last_seq: 9, sources };
        write(&disk, &left_off).unwrap();
        assert_eq!(read(dir), Some(left_off));
        std::fs::write(dir.join(FILE), b"{\"last_seq\":").unwrap();
        assert_eq!(read(dir), None);
    }
}
