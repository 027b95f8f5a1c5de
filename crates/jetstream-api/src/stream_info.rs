//! What a stream says of itself.
//!
//! Reference: `StreamInfo`, `StreamState`, `ClusterInfo`.

use std::collections::BTreeMap;

use stdx::time::Timestamp;

use crate::error::ApiError;
use crate::json::{
    Base64, Bool, Duration, Int, List, Map, Some_, Struct, Text, Time, Uint64, document,
};
use crate::stream_config::{ExternalStream, Pointed, StreamConfig, SubjectTransformConfig};
use crate::time::Nanos;

/// A stream: what it shall do, what it holds, where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its configuration, with the server's metadata.
    pub config: StreamConfig,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What it holds.
    pub state: StreamState,
    /// The domain it lives in.
    pub domain: String,
    /// Its replicas; none on a single server.
    pub cluster: Option<ClusterInfo>,
    /// The stream it copies.
    pub mirror: Option<StreamSourceInfo>,
    /// The streams it draws from.
    pub sources: Vec<StreamSourceInfo>,
    /// The same messages elsewhere, nearest first.
    pub alternates: Vec<StreamAlternate>,
    /// When this was said.
    pub ts: Option<Timestamp>,
}

document!(StreamInfo as "StreamInfo" {
    config: Struct;
    created: Time;
    state: Struct;
    domain: Text, omit;
    cluster: Some_<Struct>, omit;
    mirror: Some_<Struct>, omit;
    sources: List<Pointed>, omit;
    alternates: List<Struct>, omit;
    ts: Time;
});

/// What a stream holds. Times are none while it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Messages.
    pub messages: u64,
    /// Their bytes, as the store counts them.
    pub bytes: u64,
    /// First sequence.
    pub first_seq: u64,
    /// Its time.
    pub first_ts: Option<Timestamp>,
    /// Last sequence.
    pub last_seq: u64,
    /// Its time.
    pub last_ts: Option<Timestamp>,
    /// Distinct subjects.
    pub num_subjects: i64,
    /// Messages of each subject, if asked for.
    pub subjects: BTreeMap<String, u64>,
    /// Gaps between first and last.
    pub num_deleted: i64,
    /// The gaps, if asked for.
    pub deleted: Vec<u64>,
    /// What the store could not read.
    pub lost: Option<LostStreamData>,
    /// Consumers.
    pub consumer_count: i64,
}

document!(StreamState as "StreamState" {
    messages: Uint64;
    bytes: Uint64;
    first_seq: Uint64;
    first_ts: Time;
    last_seq: Uint64;
    last_ts: Time;
    num_subjects: Int, omit;
    subjects: Map<Uint64>, omit;
    num_deleted: Int, omit;
    deleted: List<Uint64>, omit;
    lost: Some_<Struct>, omit;
    consumer_count: Int;
});

/// What a store could not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostStreamData {
    /// Sequences.
    pub msgs: Vec<u64>,
    /// Their bytes.
    pub bytes: u64,
}

document!(LostStreamData as "LostStreamData" {
    msgs: List<Uint64>;
    bytes: Uint64;
});

/// The same messages elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamAlternate {
    /// The stream.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// Its cluster.
    pub cluster: String,
}

document!(StreamAlternate as "StreamAlternate" {
    name: Text;
    domain: Text, omit;
    cluster: Text;
});

/// The servers behind a stream or consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// The cluster.
    pub name: String,
    /// Its Raft group.
    pub raft_group: String,
    /// The leader's server name.
    pub leader: String,
    /// Since when it leads.
    pub leader_since: Option<Timestamp>,
    /// Replication runs in the system account.
    pub system_account: bool,
    /// Replication runs in this account.
    pub traffic_account: String,
    /// The others.
    pub replicas: Vec<PeerInfo>,
}

document!(ClusterInfo as "ClusterInfo" {
    name: Text, omit;
    raft_group: Text, omit;
    leader: Text, omit;
    leader_since: Some_<Time>, omit;
    system_account: Bool, omit;
    traffic_account: Text, omit;
    replicas: List<Pointed>, omit;
});

/// One other server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its name.
    pub name: String,
    /// Seen lately and caught up.
    pub current: bool,
    /// Not seen lately.
    pub offline: bool,
    /// Time since it was seen.
    pub active: Nanos,
    /// Operations behind.
    pub lag: u64,
    /// Its id.
    pub peer: String,
}

document!(PeerInfo as "PeerInfo" {
    name: Text;
    current: Bool;
    offline: Bool, omit;
    active: Duration;
    lag: Uint64, omit;
    peer: Text;
});

/// How far a mirror or source has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSourceInfo {
    /// The stream drawn from.
    pub name: String,
    /// The way to it.
    pub external: Option<ExternalStream>,
    /// Messages behind.
    pub lag: u64,
    /// Time since it was heard; -1 before the first time.
    pub active: Nanos,
    /// What went wrong last.
    pub error: Option<ApiError>,
    /// Only these subjects.
    pub filter_subject: String,
    /// Only what one of these matches.
    pub subject_transforms: Vec<SubjectTransformConfig>,
}

document!(StreamSourceInfo as "StreamSourceInfo" {
    name: Text;
    external: Some_<Struct>, omit;
    lag: Uint64;
    active: Duration;
    error: Some_<Struct>, omit;
    filter_subject: Text, omit;
    subject_transforms: List<Struct>, omit;
});

/// A message as `STREAM.MSG.GET` gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredMsg {
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    pub seq: u64,
    /// Its header block.
    pub hdrs: Vec<u8>,
    /// Its payload.
    pub data: Vec<u8>,
    /// When it was stored.
    pub time: Timestamp,
}

document!(StoredMsg as "StoredMsg" {
    subject: Text;
    seq: Uint64;
    hdrs: Base64, omit;
    data: Base64, omit;
    time: Time;
});
