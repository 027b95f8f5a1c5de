//! Where a new consumer begins.
//!
//! Laws: a sequence in the future is kept for a consumer that names it, except for the internal
//!       ones of mirrors and sources; everything else begins within the stream or right behind it.
//! Reference: consumer.go selectStartingSeqNo.

use std::collections::VecDeque;

use jetstream_api::{ConsumerConfig, DeliverPolicy};
use stdx::time::Timestamp;
use store::{Filter, MessageStore};

use super::Cx;

/// The last message of each subject, which a consumer delivers before it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SkipList {
    /// Ascending; never empty.
    pub(super) seqs: VecDeque<u64>,
    /// The stream's last sequence when the list was made.
    pub(super) resume: u64,
}

/// Where to begin.
pub(super) struct Start {
    pub(super) next: u64,
    pub(super) skip: Option<Box<SkipList>>,
}

/// Chooses the first sequence to look at.
///
/// `made` is when a consumer was made whose state was lost: it begins where it did then, so that it
/// passes nothing it never delivered.
pub(super) fn select<S: MessageStore, O>(
    config: &ConsumerConfig,
    filter: &Filter,
    made: Option<Timestamp>,
    cx: &mut Cx<'_, S, O>,
) -> store::Result<Start> {
    let state = cx.store.state();
    let first = state.first_seq.max(1);
    let last = match made {
        Some(time) => (cx.store.seq_at_time(time)?.max(first) - 1).min(state.last_seq),
        None => state.last_seq,
    };
    let mut skip = None;
    let chosen = match config.deliver_policy {
        _ if config.opt_start_seq > 0 => config.opt_start_seq,
        DeliverPolicy::All => first,
        DeliverPolicy::Last if last < first => first,
        DeliverPolicy::Last => match filter {
            Filter::All => last,
            some if made.is_some() => cx.store.prev(some, last)?.map_or(last + 1, |m| m.seq),
            some => cx.store.filtered_state(some, 1)?.last,
        },
        DeliverPolicy::LastPerSubject if made.is_some() && last < first => first,
        // One message per subject: the last one is all there is.
        DeliverPolicy::LastPerSubject if cx.stream.max_msgs_per_subject == 1 => first,
        DeliverPolicy::LastPerSubject => {
            let up_to = made.map_or(0, |_| last);
            let seqs = VecDeque::from(cx.store.multi_last(filter, up_to, 0)?);
            let next = seqs.front().copied().unwrap_or(last);
            skip = (!seqs.is_empty()).then(|| Box::new(SkipList { seqs, resume: last }));
            next
        }
        _ => match config.opt_start_time {
            Some(time) => by_time(time, filter, first, last, cx)?,
            None => last + 1,
        },
    };
    let may_wait = config.opt_start_seq > 0 && !config.direct;
    let next = if chosen > last && !may_wait { last + 1 } else { chosen.max(first) };
    Ok(Start { next, skip })
}

/// The first message at or after a time; the first match, so that nobody walks there.
fn by_time<S: MessageStore, O>(
    time: Timestamp,
    filter: &Filter,
    first: u64,
    last: u64,
    cx: &mut Cx<'_, S, O>,
) -> store::Result<u64> {
    let from = cx.store.seq_at_time(time)?;
    if *filter == Filter::All || from > last {
        return Ok(from);
    }
    let match_first = cx.store.filtered_state(filter, first)?.first;
    Ok(if match_first > from && match_first < last { match_first } else { from })
}
