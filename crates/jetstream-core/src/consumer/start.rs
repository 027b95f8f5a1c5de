//! Where a new consumer begins.
//!
//! Laws: a sequence in the future is kept for a consumer that names it, except for the internal
//!       ones of mirrors and sources; everything else begins within the stream or right behind it.
//! Reference: consumer.go selectStartingSeqNo.

use std::collections::VecDeque;

use jetstream_api::{ConsumerConfig, DeliverPolicy};
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
pub(super) fn select<S: MessageStore, O>(
    config: &ConsumerConfig,
    filter: &Filter,
    cx: &mut Cx<'_, S, O>,
) -> store::Result<Start> {
    let state = cx.store.state();
    let (first, last) = (state.first_seq.max(1), state.last_seq);
    let mut skip = None;
    let chosen = match config.deliver_policy {
        _ if config.opt_start_seq > 0 => config.opt_start_seq,
        DeliverPolicy::All => first,
        DeliverPolicy::Last => match filter {
            Filter::All => last,
            some => cx.store.filtered_state(some, 1)?.last,
        },
        // One message per subject: the last one is all there is.
        DeliverPolicy::LastPerSubject if cx.stream.max_msgs_per_subject == 1 => first,
        DeliverPolicy::LastPerSubject => {
            let seqs = VecDeque::from(cx.store.multi_last(filter, 0, 0)?);
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
    time: stdx::time::Timestamp,
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
