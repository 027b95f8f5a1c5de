//! A consumer's configuration.
//!
//! Laws: members are in the order in which they are written.
//! Not here: what is allowed and what is assumed (`validate::consumer`).
//! Reference: `ConsumerConfig`.

use stdx::time::Timestamp;

use crate::json::{
    Bool, Duration, Int, List, Map, Some_, Struct, Text, Time, Uint64, document, text_enum,
};
use crate::metadata::Metadata;
use crate::stream_config::cannot_unmarshal;
use crate::time::Nanos;

/// What a consumer delivers, to whom, and when it gives up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Its name if it outlives its clients.
    pub durable_name: String,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Where it begins.
    pub deliver_policy: DeliverPolicy,
    /// Begin at this sequence.
    pub opt_start_seq: u64,
    /// Begin at this time.
    pub opt_start_time: Option<Timestamp>,
    /// How deliveries are acknowledged.
    pub ack_policy: AckPolicy,
    /// How long an acknowledgement may take.
    pub ack_wait: Nanos,
    /// Deliveries of one message; -1 for no limit.
    pub max_deliver: i64,
    /// How long each acknowledgement may take, the last for all further ones.
    pub backoff: Vec<Nanos>,
    /// Only these subjects.
    pub filter_subject: String,
    /// Only these subjects.
    pub filter_subjects: Vec<String>,
    /// How fast the backlog is delivered.
    pub replay_policy: ReplayPolicy,
    /// Bits per second.
    pub rate_limit_bps: u64,
    /// Per cent of acknowledgements that are reported, as a text.
    pub sample_freq: String,
    /// Pull requests that may wait.
    pub max_waiting: i64,
    /// Deliveries that may wait for acknowledgement; -1 for no limit.
    pub max_ack_pending: i64,
    /// Deliveries wait for the client.
    pub flow_control: bool,
    /// Without the payload.
    pub headers_only: bool,
    /// Messages of one pull request.
    pub max_batch: i64,
    /// Time of one pull request.
    pub max_expires: Nanos,
    /// Bytes of one pull request.
    pub max_bytes: i64,
    /// Where a push consumer delivers to; empty for a pull consumer.
    pub deliver_subject: String,
    /// The queue group that shares deliveries.
    pub deliver_group: String,
    /// A sign of life this often.
    pub idle_heartbeat: Nanos,
    /// How long it may be idle.
    pub inactive_threshold: Nanos,
    /// Copies; 0 for those of the stream.
    pub num_replicas: i64,
    /// State in memory only.
    pub mem_storage: bool,
    /// The server's own, for a mirror or source.
    pub direct: bool,
    /// The server's own or a client's, for a mirror or source.
    pub sourcing: bool,
    /// For people and tools; `_nats.` keys are the server's.
    pub metadata: Metadata,
    /// Nothing is delivered until then.
    pub pause_until: Option<Timestamp>,
    /// Groups of pulling clients; only the first is used.
    pub priority_groups: Vec<String>,
    /// Who in a group gets messages.
    pub priority_policy: PriorityPolicy,
    /// How long a pinned client may be silent.
    pub priority_timeout: Nanos,
}

document!(ConsumerConfig as "ConsumerConfig" {
    durable_name: Text, omit;
    name: Text, omit;
    description: Text, omit;
    deliver_policy: DeliverPolicy;
    opt_start_seq: Uint64, omit;
    opt_start_time: Some_<Time>, omit;
    ack_policy: AckPolicy;
    ack_wait: Duration, omit;
    max_deliver: Int, omit;
    backoff: List<Duration>, omit;
    filter_subject: Text, omit;
    filter_subjects: List<Text>, omit;
    replay_policy: ReplayPolicy;
    rate_limit_bps: Uint64, omit;
    sample_freq: Text, omit;
    max_waiting: Int, omit;
    max_ack_pending: Int, omit;
    flow_control: Bool, omit;
    headers_only: Bool, omit;
    max_batch: Int, omit;
    max_expires: Duration, omit;
    max_bytes: Int, omit;
    deliver_subject: Text, omit;
    deliver_group: Text, omit;
    idle_heartbeat: Duration, omit;
    inactive_threshold: Duration, omit;
    num_replicas: Int;
    mem_storage: Bool, omit;
    direct: Bool, omit;
    sourcing: Bool, omit;
    metadata: Map<Text>, omit;
    pause_until: Some_<Time>, omit;
    priority_groups: List<Text>, omit;
    priority_policy: PriorityPolicy, omit;
    priority_timeout: Duration, omit;
});

impl ConsumerConfig {
    /// True if clients pull.
    pub fn is_pull(&self) -> bool {
        self.deliver_subject.is_empty()
    }

    /// True if it outlives its clients.
    pub fn is_durable(&self) -> bool {
        !self.durable_name.is_empty()
    }

    /// Its filters, whichever member holds them; none for everything.
    pub fn filters(&self) -> Vec<&str> {
        if !self.filter_subjects.is_empty() {
            return self.filter_subjects.iter().map(String::as_str).collect();
        }
        Some(self.filter_subject.as_str()).filter(|f| !f.is_empty()).into_iter().collect()
    }
}

/// The body of a create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateConsumerRequest {
    /// The stream, which must be the one in the subject.
    pub stream_name: String,
    /// What is wanted.
    pub config: ConsumerConfig,
    /// Whether it may or must exist.
    pub action: ConsumerAction,
    /// Refuse rather than adjust.
    pub pedantic: bool,
}

document!(CreateConsumerRequest as "CreateConsumerRequest" {
    stream_name: Text;
    config: Struct;
    action: ConsumerAction;
    pedantic: Bool, omit;
});

/// Whether a consumer may or must exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConsumerAction {
    /// It may.
    #[default]
    CreateOrUpdate,
    /// It must.
    Update,
    /// It must not, unless it is the same.
    Create,
}

text_enum!(ConsumerAction, "ConsumerAction", |raw| {
    format!("unknown consumer action: {}", String::from_utf8_lossy(raw))
}, {
    CreateOrUpdate => "", Update => "update", Create => "create",
});

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeliverPolicy {
    /// At the first message.
    #[default]
    All,
    /// At the last one.
    Last,
    /// After the last one.
    New,
    /// At a sequence.
    ByStartSequence,
    /// At a time.
    ByStartTime,
    /// At the last one of each subject.
    LastPerSubject,
}

text_enum!(DeliverPolicy, "DeliverPolicy", cannot_unmarshal, {
    All => "all" | "undefined",
    Last => "last",
    New => "new",
    ByStartSequence => "by_start_sequence",
    ByStartTime => "by_start_time",
    LastPerSubject => "last_per_subject",
});

/// How deliveries are acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckPolicy {
    /// Not at all.
    #[default]
    None,
    /// Each covers all before it.
    All,
    /// One by one.
    Explicit,
    /// By the answers to flow control, each covering all before it.
    FlowControl,
}

text_enum!(AckPolicy, "AckPolicy", cannot_unmarshal, {
    None => "none", All => "all", Explicit => "explicit", FlowControl => "flow_control",
});

/// How fast the backlog is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReplayPolicy {
    /// As fast as can be.
    #[default]
    Instant,
    /// As it came in.
    Original,
}

text_enum!(ReplayPolicy, "ReplayPolicy", cannot_unmarshal, {
    Instant => "instant", Original => "original",
});

/// Who in a group of pulling clients gets messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PriorityPolicy {
    /// There are no groups.
    #[default]
    None,
    /// Those whose thresholds are passed.
    Overflow,
    /// One client, until it is silent.
    PinnedClient,
    /// Those with the lowest number first.
    Prioritized,
}

text_enum!(PriorityPolicy, "PriorityPolicy", |raw| {
    format!("unknown priority policy: {}", String::from_utf8_lossy(raw))
}, {
    None => "none",
    Overflow => "overflow",
    PinnedClient => "pinned_client",
    Prioritized => "prioritized",
});
