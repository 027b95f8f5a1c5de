//! What a consumer says of itself.
//!
//! Reference: `ConsumerInfo`.

use stdx::time::Timestamp;

use crate::consumer_config::ConsumerConfig;
use crate::json::{Bool, Duration, Int, List, Some_, Struct, Text, Time, Uint64, document};
use crate::stream_info::ClusterInfo;
use crate::time::Nanos;

/// A consumer: what it shall do and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its stream.
    pub stream_name: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its configuration, with the server's metadata.
    pub config: Option<ConsumerConfig>,
    /// Last delivered.
    pub delivered: SequenceInfo,
    /// Everything up to here is acknowledged.
    pub ack_floor: SequenceInfo,
    /// Deliveries that wait for acknowledgement.
    pub num_ack_pending: i64,
    /// Messages delivered more than once and still waiting.
    pub num_redelivered: i64,
    /// Pull requests that wait.
    pub num_waiting: i64,
    /// Messages not yet delivered.
    pub num_pending: u64,
    /// Its replicas; none on a single server.
    pub cluster: Option<ClusterInfo>,
    /// Somebody listens on its deliver subject.
    pub push_bound: bool,
    /// Nothing is delivered for now.
    pub paused: bool,
    /// How long that goes on.
    pub pause_remaining: Nanos,
    /// When this was said.
    pub ts: Option<Timestamp>,
    /// Its groups.
    pub priority_groups: Vec<PriorityGroupState>,
}

document!(ConsumerInfo as "ConsumerInfo" {
    stream_name: Text;
    name: Text;
    created: Time;
    config: Some_<Struct>, omit;
    delivered: Struct;
    ack_floor: Struct;
    num_ack_pending: Int;
    num_redelivered: Int;
    num_waiting: Int;
    num_pending: Uint64;
    cluster: Some_<Struct>, omit;
    push_bound: Bool, omit;
    paused: Bool, omit;
    pause_remaining: Duration, omit;
    ts: Time;
    priority_groups: List<Struct>, omit;
});

/// A place in the consumer's and the stream's count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceInfo {
    /// Deliveries.
    pub consumer_seq: u64,
    /// Sequence in the stream.
    pub stream_seq: u64,
    /// When it last moved.
    pub last_active: Option<Timestamp>,
}

document!(SequenceInfo as "SequenceInfo" {
    consumer_seq: Uint64;
    stream_seq: Uint64;
    last_active: Some_<Time>, omit;
});

/// Who has a group's messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriorityGroupState {
    /// The group.
    pub group: String,
    /// The id that the pinned client must show; empty if there is none.
    pub pinned_client_id: String,
    /// Since when.
    pub pinned_ts: Option<Timestamp>,
}

document!(PriorityGroupState as "PriorityGroupState" {
    group: Text;
    pinned_client_id: Text, omit;
    pinned_ts: Time, omit;
});
