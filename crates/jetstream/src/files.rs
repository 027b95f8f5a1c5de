//! Open files of a shard's streams: no more than the process can spare, however many streams work.
//!
//! Laws: a stream opens what it needs; before it does so while too many are held, those close theirs
//!       that opened them first, once what they changed is on the disk.
//! Not here: how many may be held (`store::disk::real::OpenFiles`).

use crate::shard::Shard;

impl Shard {
    /// Notes that a stream may hold open files.
    pub(crate) fn note_open(&mut self, at: u32) {
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        if !std::mem::replace(&mut place.opened, true) {
            self.opened.push_back((at, place.generation));
        }
    }

    /// Before a stream opens files: others close theirs, if too many are held.
    pub(crate) fn make_room(&mut self, at: u32) {
        if self.shared.files.is_full()
            && self.place(at).is_some_and(|p| !p.stream.store_ref().holds_files())
        {
            self.close_others(at);
        }
    }

    /// Others close theirs until no more than may be are held, or nobody is left who can.
    pub(crate) fn close_others(&mut self, at: u32) {
        let mut left = self.opened.len();
        while left > 0 && self.shared.files.is_full() {
            left -= 1;
            let Some((other, generation)) = self.opened.pop_front() else { return };
            if self.place(other).is_none_or(|p| p.generation != generation) {
                continue;
            }
            if other == at || !self.close_files(other) {
                self.opened.push_back((other, generation));
            }
        }
    }

    /// Closes what a stream holds open; `false` if a job needs it.
    fn close_files(&mut self, at: u32) -> bool {
        if self.place(at).is_some_and(|p| p.touched) {
            self.flush(at);
        }
        // It would be sent off soon, and come back later than the files are needed.
        let sync = self.place(at).and_then(|p| Some((p.sync.take()?, p.generation)));
        if let Some((job, generation)) = sync {
            let result = job.run();
            self.handle_job(at, generation, result);
        }
        let Some(place) = self.place(at) else { return true };
        if place.stream.store_ref().is_under_way() {
            return false;
        }
        place.opened = false;
        place.stream.store().close_files();
        true
    }
}
