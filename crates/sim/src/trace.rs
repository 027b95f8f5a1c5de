//! Messages in a few words, for the trace of a failing seed.

use bytes::Bytes;
use raft::Channel;

/// One message in a few words, for the trace.
pub(crate) fn describe(channel: Channel, payload: &Bytes) -> String {
    let unreadable = || format!("{channel:?} {} unreadable bytes", payload.len());
    match channel {
        Channel::Append | Channel::Catchup(_) => raft::AppendEntry::decode(payload).map_or_else(
            |_| unreadable(),
            |e| {
                let kinds: Vec<_> = e.entries.iter().map(|x| x.kind.code()).collect();
                let live = if channel == Channel::Append { "append" } else { "catchup" };
                format!(
                    "{live} term {} leader {} commit {} prev {} kinds {kinds:?} lterm {}",
                    e.term, e.leader, e.commit, e.prev, e.leader_term
                )
            },
        ),
        Channel::AppendReply => raft::AppendResponse::decode(payload).map_or_else(
            |_| unreadable(),
            |r| format!("answer {} {} success {}", r.peer, r.position, r.success),
        ),
        Channel::Vote => raft::VoteRequest::decode(payload).map_or_else(
            |_| unreadable(),
            |r| format!("campaign {} term {} last {}", r.candidate, r.term, r.last),
        ),
        Channel::VoteReply => raft::VoteResponse::decode(payload).map_or_else(
            |_| unreadable(),
            |r| {
                format!("vote {} term {} granted {} unsure {}", r.peer, r.term, r.granted, r.unsure)
            },
        ),
        Channel::Proposal | Channel::RemovePeer => format!("{channel:?}"),
    }
}
