//! Advisories: what the server tells those who watch it.
//!
//! Each is an [`Advisory`] around one of the documents here; `subject::Event` has where it goes.
//! Reference: jetstream_events.go.

use stdx::time::Timestamp;

use crate::client_info::ClientInfo;
use crate::json::{
    Bool, Codec, DecodeError, Decoder, Document, Int64, Key, List, Some_, Struct, Text, Time,
    Uint64, Writer, document, text_enum,
};
use crate::stream_config::Pointed;
use crate::stream_info::{PeerInfo, StreamState};

/// What follows `type`, `id` and `timestamp`.
pub trait Fact: Document {
    /// The value of `type`.
    const TYPE: &'static str;
}

/// An advisory or metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advisory<F> {
    /// A NUID.
    pub id: String,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What happened.
    pub fact: F,
}

impl<F: Fact> Document for Advisory<F> {
    const GO: &'static str = F::GO;

    fn write_members(&self, out: &mut Writer) {
        out.key("type");
        out.string(F::TYPE);
        Text::write_member(&self.id, "id", false, out);
        Time::write_member(&self.timestamp, "timestamp", false, out);
        self.fact.write_members(out);
    }

    fn read_member(&mut self, key: &Key<'_>, from: &mut Decoder<'_>) -> Result<bool, DecodeError> {
        let mut kind = String::new();
        Ok(Text::read_member(&mut kind, "type", key, from)?
            || Text::read_member(&mut self.id, "id", key, from)?
            || Time::read_member(&mut self.timestamp, "timestamp", key, from)?
            || self.fact.read_member(key, from)?)
    }
}

/// `fact!`: a document that an advisory holds.
macro_rules! fact {
    ($type:ident as $go:literal, $kind:literal { $($members:tt)* }) => {
        document!($type as $go { $($members)* });

        impl Fact for $type {
            const TYPE: &'static str = concat!("io.nats.jetstream.advisory.v1.", $kind);
        }
    };
}

/// Every answered request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiAudit {
    /// The server that answered.
    pub server: String,
    /// Who asked.
    pub client: Option<ClientInfo>,
    /// What for.
    pub subject: String,
    /// The request's body.
    pub request: String,
    /// The answer.
    pub response: String,
    /// The domain.
    pub domain: String,
}

fact!(ApiAudit as "JSAPIAudit", "api_audit" {
    server: Text;
    client: Some_<Struct>;
    subject: Text;
    request: Text, omit;
    response: Text;
    domain: Text, omit;
});

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// It was made.
    #[default]
    Create,
    /// It was deleted.
    Delete,
    /// It was changed.
    Modify,
}

text_enum!(Action, "ActionAdvisoryType", crate::stream_config::cannot_unmarshal, {
    Create => "create", Delete => "delete", Modify => "modify",
});

/// A stream was made, deleted or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamAction {
    /// The stream.
    pub stream: String,
    /// What was done.
    pub action: Action,
    /// The domain.
    pub domain: String,
}

fact!(StreamAction as "JSStreamActionAdvisory", "stream_action" {
    stream: Text;
    action: Action;
    domain: Text, omit;
});

/// A consumer was made or deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerAction {
    /// Its stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// What was done.
    pub action: Action,
    /// The domain.
    pub domain: String,
}

fact!(ConsumerAction as "JSConsumerActionAdvisory", "consumer_action" {
    stream: Text;
    consumer: Text;
    action: Action;
    domain: Text, omit;
});

/// A consumer was paused or goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerPause {
    /// Its stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// It was paused.
    pub paused: bool,
    /// Until then.
    pub pause_until: Option<Timestamp>,
    /// The domain.
    pub domain: String,
}

fact!(ConsumerPause as "JSConsumerPauseAdvisory", "consumer_pause" {
    stream: Text;
    consumer: Text;
    paused: Bool;
    pause_until: Time, omit;
    domain: Text, omit;
});

/// A message was delivered as often as it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaxDeliver {
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// The message.
    pub stream_seq: u64,
    /// How often.
    pub deliveries: u64,
    /// The domain.
    pub domain: String,
}

fact!(MaxDeliver as "JSConsumerDeliveryExceededAdvisory", "max_deliver" {
    stream: Text;
    consumer: Text;
    stream_seq: Uint64;
    deliveries: Uint64;
    domain: Text, omit;
});

/// A message was refused for now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nak {
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// The delivery.
    pub consumer_seq: u64,
    /// The message.
    pub stream_seq: u64,
    /// Deliveries so far.
    pub deliveries: u64,
    /// The domain.
    pub domain: String,
}

fact!(Nak as "JSConsumerDeliveryNakAdvisory", "nak" {
    stream: Text;
    consumer: Text;
    consumer_seq: Uint64;
    stream_seq: Uint64;
    deliveries: Uint64;
    domain: Text, omit;
});

/// A message was refused for good, or is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminated {
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// The delivery.
    pub consumer_seq: u64,
    /// The message.
    pub stream_seq: u64,
    /// Deliveries so far.
    pub deliveries: u64,
    /// Why.
    pub reason: String,
    /// The domain.
    pub domain: String,
}

impl Terminated {
    /// The reason if a limit of the stream took the message.
    pub const BY_LIMITS: &'static str = "Message deleted by stream limits";
    /// The reason if the message was deleted before it was acknowledged.
    pub const UNACKNOWLEDGED: &'static str = "Unacknowledged message was deleted";
}

fact!(Terminated as "JSConsumerDeliveryTerminatedAdvisory", "terminated" {
    stream: Text;
    consumer: Text;
    consumer_seq: Uint64;
    stream_seq: Uint64;
    deliveries: Uint64;
    reason: Text, omit;
    domain: Text, omit;
});

/// A snapshot has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotCreate {
    /// The stream.
    pub stream: String,
    /// What it holds.
    pub state: StreamState,
    /// Who asked.
    pub client: Option<ClientInfo>,
    /// The domain.
    pub domain: String,
}

fact!(SnapshotCreate as "JSSnapshotCreateAdvisory", "snapshot_create" {
    stream: Text;
    state: Struct;
    client: Some_<Struct>;
    domain: Text, omit;
});

/// A snapshot has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotComplete {
    /// The stream.
    pub stream: String,
    /// When it began.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// Who asked.
    pub client: Option<ClientInfo>,
    /// The domain.
    pub domain: String,
}

fact!(SnapshotComplete as "JSSnapshotCompleteAdvisory", "snapshot_complete" {
    stream: Text;
    start: Time;
    end: Time;
    client: Some_<Struct>;
    domain: Text, omit;
});

/// A restore has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreCreate {
    /// The stream.
    pub stream: String,
    /// Who asked.
    pub client: Option<ClientInfo>,
    /// The domain.
    pub domain: String,
}

fact!(RestoreCreate as "JSRestoreCreateAdvisory", "restore_create" {
    stream: Text;
    client: Some_<Struct>;
    domain: Text, omit;
});

/// A restore has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreComplete {
    /// The stream.
    pub stream: String,
    /// When it began.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// What was received.
    pub bytes: i64,
    /// Who asked.
    pub client: Option<ClientInfo>,
    /// The domain.
    pub domain: String,
}

fact!(RestoreComplete as "JSRestoreCompleteAdvisory", "restore_complete" {
    stream: Text;
    start: Time;
    end: Time;
    bytes: Int64;
    client: Some_<Struct>;
    domain: Text, omit;
});

/// Why a batch was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BatchAbandonReason {
    /// Nothing came for too long.
    #[default]
    Timeout,
    /// It has too many messages.
    Large,
    /// Messages are missing.
    Incomplete,
    /// It asks for more than this server has.
    Unsupported,
}

text_enum!(BatchAbandonReason, "BatchAbandonReason", crate::stream_config::cannot_unmarshal, {
    Timeout => "timeout", Large => "large", Incomplete => "incomplete", Unsupported => "unsupported",
});

/// A batch was given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchAbandoned {
    /// Only in the system account.
    pub account: String,
    /// The stream.
    pub stream: String,
    /// The domain.
    pub domain: String,
    /// The batch.
    pub batch: String,
    /// Why.
    pub reason: BatchAbandonReason,
}

fact!(BatchAbandoned as "JSStreamBatchAbandonedAdvisory", "stream_batch_abandoned" {
    account: Text, omit;
    stream: Text;
    domain: Text, omit;
    batch: Text;
    reason: BatchAbandonReason;
});

/// A group has a new pinned client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerPinned {
    /// Only in the system account.
    pub account: String,
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// The domain.
    pub domain: String,
    /// The group.
    pub group: String,
    /// The id that the client must show.
    pub pinned_id: String,
}

fact!(ConsumerPinned as "JSConsumerGroupPinnedAdvisory", "consumer_group_pinned" {
    account: Text, omit;
    stream: Text;
    consumer: Text;
    domain: Text, omit;
    group: Text;
    pinned_id: Text;
});

/// A group's client is pinned no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerUnpinned {
    /// Only in the system account.
    pub account: String,
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// The domain.
    pub domain: String,
    /// The group.
    pub group: String,
    /// `admin` or `timeout`.
    pub reason: String,
}

fact!(ConsumerUnpinned as "JSConsumerGroupUnpinnedAdvisory", "consumer_group_unpinned" {
    account: Text, omit;
    stream: Text;
    consumer: Text;
    domain: Text, omit;
    group: Text;
    reason: Text;
});

/// Requests were dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiLimitReached {
    /// The server.
    pub server: String,
    /// The domain.
    pub domain: String,
    /// How many.
    pub dropped: i64,
}

fact!(ApiLimitReached as "JSAPILimitReachedAdvisory", "api_limit_reached" {
    server: Text;
    domain: Text, omit;
    dropped: Int64;
});

/// A server has no space left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerOutOfSpace {
    /// The server.
    pub server: String,
    /// Its id.
    pub server_id: String,
    /// The stream that noticed.
    pub stream: String,
    /// Its cluster.
    pub cluster: String,
    /// The domain.
    pub domain: String,
}

fact!(ServerOutOfSpace as "JSServerOutOfSpaceAdvisory", "server_out_of_space" {
    server: Text;
    server_id: Text;
    stream: Text, omit;
    cluster: Text;
    domain: Text, omit;
});

/// A server was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerRemoved {
    /// The server.
    pub server: String,
    /// Its id.
    pub server_id: String,
    /// Its cluster.
    pub cluster: String,
    /// The domain.
    pub domain: String,
}

fact!(ServerRemoved as "JSServerRemovedAdvisory", "server_removed" {
    server: Text;
    server_id: Text;
    cluster: Text;
    domain: Text, omit;
});

/// The domain has a new leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainLeaderElected {
    /// The leader.
    pub leader: String,
    /// The others.
    pub replicas: Vec<PeerInfo>,
    /// The cluster.
    pub cluster: String,
    /// The domain.
    pub domain: String,
}

fact!(DomainLeaderElected as "JSDomainLeaderElectedAdvisory", "domain_leader_elected" {
    leader: Text;
    replicas: List<Pointed>;
    cluster: Text;
    domain: Text, omit;
});

/// A stream has a new leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamLeaderElected {
    /// Only in the system account.
    pub account: String,
    /// The stream.
    pub stream: String,
    /// The leader.
    pub leader: String,
    /// The others.
    pub replicas: Vec<PeerInfo>,
    /// The domain.
    pub domain: String,
}

fact!(StreamLeaderElected as "JSStreamLeaderElectedAdvisory", "stream_leader_elected" {
    account: Text, omit;
    stream: Text;
    leader: Text;
    replicas: List<Pointed>;
    domain: Text, omit;
});

/// A stream has no leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamQuorumLost {
    /// Only in the system account.
    pub account: String,
    /// The stream.
    pub stream: String,
    /// The servers.
    pub replicas: Vec<PeerInfo>,
    /// The domain.
    pub domain: String,
}

fact!(StreamQuorumLost as "JSStreamQuorumLostAdvisory", "stream_quorum_lost" {
    account: Text, omit;
    stream: Text;
    replicas: List<Pointed>;
    domain: Text, omit;
});

/// A consumer has a new leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerLeaderElected {
    /// Only in the system account.
    pub account: String,
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// The leader.
    pub leader: String,
    /// The others.
    pub replicas: Vec<PeerInfo>,
    /// The domain.
    pub domain: String,
}

fact!(ConsumerLeaderElected as "JSConsumerLeaderElectedAdvisory", "consumer_leader_elected" {
    account: Text, omit;
    stream: Text;
    consumer: Text;
    leader: Text;
    replicas: List<Pointed>;
    domain: Text, omit;
});

/// A consumer has no leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerQuorumLost {
    /// Only in the system account.
    pub account: String,
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// The servers.
    pub replicas: Vec<PeerInfo>,
    /// The domain.
    pub domain: String,
}

fact!(ConsumerQuorumLost as "JSConsumerQuorumLostAdvisory", "consumer_quorum_lost" {
    account: Text, omit;
    stream: Text;
    consumer: Text;
    replicas: List<Pointed>;
    domain: Text, omit;
});
