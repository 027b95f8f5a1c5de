//! Bodies of requests.
//!
//! Which bodies are decoded at all is part of the contract: see [`is_empty`] and [`is_document`].
//! Not here: create requests (`stream_config`, `consumer_config`), pulls (`pull`).

use stdx::time::Timestamp;

use crate::json::{Bool, Embed, Int, List, Some_, Struct, Text, Time, Uint64, document};
use crate::stream_config::{Placement, StreamConfig};
use crate::stream_info::StreamState;

/// True for bodies that say nothing: no bytes, or an object without members.
pub fn is_empty(body: &[u8]) -> bool {
    let mut rest = body.iter().filter(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    body.is_empty()
        || (rest.next() == Some(&b'{') && rest.next() == Some(&b'}') && rest.next().is_none())
}

/// True for bodies that list, info, purge and pause requests decode; others count as nothing.
pub fn is_document(body: &[u8]) -> bool {
    let first = body.iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    matches!(first, Some(b'{' | b'['))
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagedRequest {
    /// Entries to pass over.
    pub offset: i64,
}

document!(PagedRequest as "ApiPagedRequest" { offset: Int; });

/// `STREAM.NAMES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamNamesRequest {
    /// Where the page begins.
    pub page: PagedRequest,
    /// Only streams that store what this matches.
    pub subject: String,
}

document!(StreamNamesRequest as "JSApiStreamNamesRequest" {
    page: Embed;
    subject: Text, omit;
});

/// `STREAM.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamListRequest {
    /// Where the page begins.
    pub page: PagedRequest,
    /// Only streams that store what this matches.
    pub subject: String,
}

document!(StreamListRequest as "JSApiStreamListRequest" {
    page: Embed;
    subject: Text, omit;
});

/// `STREAM.INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamInfoRequest {
    /// Where the page of subjects begins.
    pub page: PagedRequest,
    /// List the gaps.
    pub deleted_details: bool,
    /// Count the messages of each subject that this matches.
    pub subjects_filter: String,
}

document!(StreamInfoRequest as "JSApiStreamInfoRequest" {
    page: Embed;
    deleted_details: Bool, omit;
    subjects_filter: Text, omit;
});

/// `STREAM.PURGE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPurgeRequest {
    /// Up to this sequence, which stays; 0 for all.
    pub seq: u64,
    /// Only what this matches.
    pub filter: String,
    /// This many stay.
    pub keep: u64,
}

document!(StreamPurgeRequest as "JSApiStreamPurgeRequest" {
    seq: Uint64, omit;
    filter: Text, omit;
    keep: Uint64, omit;
});

/// `STREAM.MSG.DELETE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsgDeleteRequest {
    /// The message.
    pub seq: u64,
    /// Leave its bytes on the disk until the space is used again.
    pub no_erase: bool,
}

document!(MsgDeleteRequest as "JSApiMsgDeleteRequest" {
    seq: Uint64;
    no_erase: Bool, omit;
});

/// `STREAM.MSG.GET` and `DIRECT.GET`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MsgGetRequest {
    /// This message, or the first one to look at.
    pub seq: u64,
    /// The last one of this subject.
    pub last_by_subj: String,
    /// The next one that this matches.
    pub next_by_subj: String,
    /// This many.
    pub batch: i64,
    /// This many bytes.
    pub max_bytes: i64,
    /// From this time on.
    pub start_time: Option<Timestamp>,
    /// The last one of each subject that one of these matches.
    pub multi_last: Vec<String>,
    /// As things were at this sequence.
    pub up_to_seq: u64,
    /// As things were at this time.
    pub up_to_time: Option<Timestamp>,
    /// Without the header.
    pub no_hdr: bool,
}

document!(MsgGetRequest as "JSApiMsgGetRequest" {
    seq: Uint64, omit;
    last_by_subj: Text, omit;
    next_by_subj: Text, omit;
    batch: Int, omit;
    max_bytes: Int, omit;
    start_time: Some_<Time>, omit;
    multi_last: List<Text>, omit;
    up_to_seq: Uint64, omit;
    up_to_time: Some_<Time>, omit;
    no_hdr: Bool, omit;
});

/// `STREAM.SNAPSHOT`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSnapshotRequest {
    /// Where the chunks go.
    pub deliver_subject: String,
    /// Without the consumers.
    pub no_consumers: bool,
    /// Bytes of a chunk; 0 for the default.
    pub chunk_size: i64,
    /// Bytes on the way; 0 for the default.
    pub window_size: i64,
    /// Check every message first.
    pub jsck: bool,
}

document!(StreamSnapshotRequest as "JSApiStreamSnapshotRequest" {
    deliver_subject: Text;
    no_consumers: Bool, omit;
    chunk_size: Int, omit;
    window_size: Int, omit;
    jsck: Bool, omit;
});

/// `STREAM.RESTORE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRestoreRequest {
    /// What the stream was.
    pub config: StreamConfig,
    /// What it held.
    pub state: StreamState,
}

document!(StreamRestoreRequest as "JSApiStreamRestoreRequest" {
    config: Struct;
    state: Struct;
});

/// `STREAM.PEER.REMOVE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRemovePeerRequest {
    /// Server name or id.
    pub peer: String,
}

document!(StreamRemovePeerRequest as "JSApiStreamRemovePeerRequest" { peer: Text; });

/// Every `LEADER.STEPDOWN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderStepdownRequest {
    /// Who shall lead next.
    pub placement: Option<Placement>,
}

document!(LeaderStepdownRequest as "JSApiLeaderStepdownRequest" {
    placement: Some_<Struct>, omit;
});

/// `SERVER.REMOVE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaServerRemoveRequest {
    /// Server name.
    pub peer: String,
    /// Server id, which counts if given.
    pub peer_id: String,
}

document!(MetaServerRemoveRequest as "JSApiMetaServerRemoveRequest" {
    peer: Text;
    peer_id: Text, omit;
});

/// `ACCOUNT.STREAM.MOVE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaServerStreamMoveRequest {
    /// The server to leave.
    pub server: String,
    /// Its cluster.
    pub cluster: String,
    /// Its domain.
    pub domain: String,
    /// Where to go.
    pub tags: Vec<String>,
}

document!(MetaServerStreamMoveRequest as "JSApiMetaServerStreamMoveRequest" {
    server: Text, omit;
    cluster: Text, omit;
    domain: Text, omit;
    tags: List<Text>, omit;
});

/// `CONSUMER.NAMES` and `CONSUMER.LIST`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumersRequest {
    /// Where the page begins.
    pub page: PagedRequest,
}

document!(ConsumersRequest as "JSApiConsumersRequest" { page: Embed; });

/// `CONSUMER.PAUSE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerPauseRequest {
    /// Until then; none to go on at once.
    pub pause_until: Option<Timestamp>,
}

document!(ConsumerPauseRequest as "JSApiConsumerPauseRequest" { pause_until: Time, omit; });

/// `CONSUMER.UNPIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerUnpinRequest {
    /// The group.
    pub group: String,
}

document!(ConsumerUnpinRequest as "JSApiConsumerUnpinRequest" { group: Text; });

/// `CONSUMER.RESET`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerResetRequest {
    /// Where to go on; 0 for right after the acknowledgement floor.
    pub seq: u64,
}

document!(ConsumerResetRequest as "JSApiConsumerResetRequest" { seq: Uint64, omit; });
