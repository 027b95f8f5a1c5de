//! A stream whose disk is full: who hears of it, what waits, and when the disk is asked again.
//!
//! | while it is full | |
//! |---|---|
//! | new messages | are refused and leave nothing behind |
//! | those stored since the last write | are answered once they are written, however late |
//! | a removal that needs no room, or makes it | is carried out, and answered once it is safe |
//! | any other removal that is asked for | is refused |
//! | reads, deliveries, acknowledgements | go on; consumers hear of new messages when those are safe |
//!
//! Laws: the log hears of it once when it begins and once when it ends.
//! Not here: what the store does meanwhile (`store::file::full`).

use std::time::Duration;

use stdx::time::Mono;
use store::Error;

use crate::member::Member;
use crate::place::Place;
use crate::shard::Shard;

/// A full disk is asked again after this.
const AGAIN: Duration = Duration::from_millis(500);

/// A disk without room.
pub(crate) struct Full {
    since: Mono,
    again: Mono,
    /// It is in the line of those that are asked again.
    in_line: bool,
    tries: u64,
    cause: String,
}

impl Place {
    /// Whether there is no use in trying to write yet.
    pub(crate) fn waits_for_room(&self, now: Mono) -> bool {
        self.full.as_ref().is_some_and(|full| now < full.again)
            && !self.stream.store_ref().can_make_room()
    }

    /// Why it takes no messages, for those who look after the server.
    pub(crate) fn trouble(&self) -> Option<String> {
        let failure = self.stream.failure().map(str::to_owned);
        let full = || self.full.as_ref().map(|full| full.cause.clone());
        let of_consumer = || {
            let mut consumers = self.members.values().map(|member| &**member);
            consumers.find_map(|Member { consumer, trouble, .. }| {
                Some(format!("state of consumer '{}': {}", consumer.name(), trouble.as_ref()?))
            })
        };
        failure.or_else(full).or_else(of_consumer)
    }

    fn called(&self) -> String {
        format!("{} > {}", self.account.account.name, self.name())
    }
}

impl Shard {
    /// There was no room for what a stream stored.
    pub(crate) fn disk_is_full(&mut self, at: u32, error: &Error) {
        let now = self.now.mono;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        let again = now + AGAIN;
        if place.full.is_none() {
            // What was refused before is another story.
            let _ = place.stream.take_without_room();
            let (name, cause) = (place.called(), error.to_string());
            stdx::error!(
                self.lent.worker.broker.log,
                "JetStream cannot write stream '{name}': {cause}; until then it refuses new messages"
            );
            place.full =
                Some(Box::new(Full { since: now, again, in_line: false, tries: 0, cause }));
        }
        let generation = place.generation;
        if let Some(full) = &mut place.full {
            full.tries += 1;
            full.again = again;
            if !std::mem::replace(&mut full.in_line, true) {
                self.fulls.push_back((again, at, generation));
            }
        }
    }

    /// A stream was written: if its disk was full, that is over.
    pub(crate) fn note_writable(&mut self, at: u32) {
        let now = self.now.mono;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        if place.full.is_none() || place.stream.store_ref().is_full() {
            return;
        }
        let Some(full) = place.full.take() else { return };
        let (name, refused) = (place.called(), place.stream.take_without_room());
        let (spent, tries) = (now.since(full.since).as_secs(), full.tries);
        stdx::notice!(
            self.lent.worker.broker.log,
            "JetStream writes stream '{name}' again after {spent} s: {refused} messages were refused, {tries} attempts failed"
        );
        self.release_held(at);
        // Consumers hear of what is safe now.
        self.touch(at);
    }

    /// Asks disks again that were full.
    pub(crate) fn ask_full_disks(&mut self) {
        while self.fulls.front().is_some_and(|(due, ..)| *due <= self.now.mono) {
            let Some((_, at, generation)) = self.fulls.pop_front() else { break };
            let now = self.now.mono;
            let Some(place) = self.place(at).filter(|p| p.generation == generation) else {
                continue;
            };
            let Some(full) = &mut place.full else { continue };
            if now < full.again {
                // It was asked meanwhile.
                let again = full.again;
                self.fulls.push_back((again, at, generation));
                continue;
            }
            full.in_line = false;
            self.touch(at);
        }
    }
}
