//! An atomic batch that the end of the server cut in two.
//!
//! Nobody was told that such a batch is stored. A reference that wrote it left the messages that were to
//! follow beside the stream: then they follow now. Otherwise those that came first go.
//! Laws: after a start a batch is there as a whole or not at all.
//! Reference: jetstream.go enableJetStream.   Parity: BATCH-006, BATCH-011.

use stdx::time::Now;
use store::disk::Disk;
use store::{Filter, Message, MessageStore};

use super::header::{self, Fields, number};
use super::ingest::{Incoming, Limits, Via};
use super::{Storage, Stream};
use crate::out::Out;

const COMMIT: &[u8] = b"Nats-Batch-Commit";

/// A batch without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutBatch {
    /// Its name.
    pub id: Vec<u8>,
    /// How many of its messages are stored: the last ones of the stream.
    pub stored: u64,
}

/// The batch that a stream ends in the middle of.
pub fn cut_batch<D: Disk>(store: &mut Storage<D>) -> Option<CutBatch> {
    let end = store.state().last_seq;
    let last = store.prev(&Filter::All, u64::MAX).ok().flatten().filter(|m| m.seq == end)?;
    let (id, stored) = member(&last)?;
    let id = id.to_vec();
    if stored == 0 || stored > end || Fields::of(&last.header).batch_commit.is_some() {
        return None;
    }
    // Messages of it may be gone by a limit; others may not be among them.
    for before in 1..stored {
        if let Ok(m) = store.load(end - before)
            && member(&m) != Some((&id, stored - before))
        {
            return None;
        }
    }
    Some(CutBatch { id, stored })
}

/// Which batch a message came with, and as which one of it.
fn member(m: &Message) -> Option<(&[u8], u64)> {
    let fields = Fields::of(&m.header);
    // What was drawn from elsewhere is none of a batch here.
    if fields.stream_source.is_some() {
        return None;
    }
    Some((fields.batch_id.filter(|id| !id.is_empty())?, fields.batch_seq.and_then(number)?))
}

impl<D: Disk> Stream<D> {
    /// Makes whole what was cut: `rest` follows, or what is stored goes.
    pub fn mend_batch<O: Out>(&mut self, cut: &CutBatch, rest: &[Message], now: Now, out: &mut O) {
        if rest.is_empty() {
            let before = self.last_seq.saturating_sub(cut.stored);
            if let Err(error) = self.store.truncate(before) {
                self.note_trouble(&error);
            }
            self.refresh();
            return;
        }
        let only_end = rest.last().and_then(|m| Fields::of(&m.header).batch_commit) == Some(b"eob");
        let count = rest.len() - usize::from(only_end);
        for (at, m) in rest.iter().take(count).enumerate() {
            let is_last = only_end && at + 1 == count;
            let end = is_last.then(|| header::append(&m.header, COMMIT, b"1"));
            let m = Incoming {
                subject: &m.subject,
                reply: None,
                header: end.as_deref().unwrap_or(&m.header),
                payload: &m.payload,
            };
            self.take_own(&m, Via::Server, &Limits::default(), now, out);
        }
    }
}
