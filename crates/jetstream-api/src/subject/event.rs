//! Subjects of advisories and metrics.

/// Where an acknowledgement's metric goes, before `.<stream>.<consumer>`.
pub const METRIC_ACK: &str = "$JS.EVENT.METRIC.CONSUMER.ACK";

/// An advisory by its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Every answered request.
    Api,
    /// Requests were dropped.
    ApiLimitReached,
    /// A stream was made.
    StreamCreated { stream: &'a str },
    /// A stream was deleted.
    StreamDeleted { stream: &'a str },
    /// A stream was updated.
    StreamUpdated { stream: &'a str },
    /// A snapshot has begun.
    SnapshotCreate { stream: &'a str },
    /// A snapshot has ended.
    SnapshotComplete { stream: &'a str },
    /// A restore has begun.
    RestoreCreate { stream: &'a str },
    /// A restore has ended.
    RestoreComplete { stream: &'a str },
    /// A stream has a new leader.
    StreamLeaderElected { stream: &'a str },
    /// A stream has no leader.
    StreamQuorumLost { stream: &'a str },
    /// A batch was given up.
    BatchAbandoned { stream: &'a str },
    /// A consumer was made.
    ConsumerCreated { stream: &'a str, consumer: &'a str },
    /// A consumer was deleted.
    ConsumerDeleted { stream: &'a str, consumer: &'a str },
    /// A consumer was paused or goes on.
    ConsumerPause { stream: &'a str, consumer: &'a str },
    /// A client was pinned.
    ConsumerPinned { stream: &'a str, consumer: &'a str },
    /// A client is pinned no more.
    ConsumerUnpinned { stream: &'a str, consumer: &'a str },
    /// A message was delivered as often as it may be.
    MaxDeliveries { stream: &'a str, consumer: &'a str },
    /// A message was refused for now.
    MsgNaked { stream: &'a str, consumer: &'a str },
    /// A message was refused for good.
    MsgTerminated { stream: &'a str, consumer: &'a str },
    /// A consumer has a new leader.
    ConsumerLeaderElected { stream: &'a str, consumer: &'a str },
    /// A consumer has no leader.
    ConsumerQuorumLost { stream: &'a str, consumer: &'a str },
    /// The domain has a new leader.
    DomainLeaderElected,
    /// A server has no space left.
    ServerOutOfStorage,
    /// A server was removed.
    ServerRemoved,
    /// An acknowledgement's metric.
    AckMetric { stream: &'a str, consumer: &'a str },
}

impl Event<'_> {
    /// The whole subject.
    pub fn subject(&self) -> String {
        let (suffix, names) = self.parts();
        let prefix = match self {
            Self::AckMetric { .. } => "$JS.EVENT.METRIC.",
            _ => "$JS.EVENT.ADVISORY.",
        };
        match names {
            (None, _) => format!("{prefix}{suffix}"),
            (Some(stream), None) => format!("{prefix}{suffix}.{stream}"),
            (Some(stream), Some(consumer)) => format!("{prefix}{suffix}.{stream}.{consumer}"),
        }
    }

    fn parts(&self) -> (&'static str, (Option<&str>, Option<&str>)) {
        let none = (None, None);
        match *self {
            Self::Api => ("API", none),
            Self::ApiLimitReached => ("API.LIMIT_REACHED", none),
            Self::DomainLeaderElected => ("DOMAIN.LEADER_ELECTED", none),
            Self::ServerOutOfStorage => ("SERVER.OUT_OF_STORAGE", none),
            Self::ServerRemoved => ("SERVER.REMOVED", none),
            Self::StreamCreated { stream } => ("STREAM.CREATED", (Some(stream), None)),
            Self::StreamDeleted { stream } => ("STREAM.DELETED", (Some(stream), None)),
            Self::StreamUpdated { stream } => ("STREAM.UPDATED", (Some(stream), None)),
            Self::SnapshotCreate { stream } => ("STREAM.SNAPSHOT_CREATE", (Some(stream), None)),
            Self::SnapshotComplete { stream } => ("STREAM.SNAPSHOT_COMPLETE", (Some(stream), None)),
            Self::RestoreCreate { stream } => ("STREAM.RESTORE_CREATE", (Some(stream), None)),
            Self::RestoreComplete { stream } => ("STREAM.RESTORE_COMPLETE", (Some(stream), None)),
            Self::StreamLeaderElected { stream } => ("STREAM.LEADER_ELECTED", (Some(stream), None)),
            Self::StreamQuorumLost { stream } => ("STREAM.QUORUM_LOST", (Some(stream), None)),
            Self::BatchAbandoned { stream } => ("STREAM.BATCH_ABANDONED", (Some(stream), None)),
            Self::ConsumerCreated { stream, consumer } => {
                ("CONSUMER.CREATED", (Some(stream), Some(consumer)))
            }
            Self::ConsumerDeleted { stream, consumer } => {
                ("CONSUMER.DELETED", (Some(stream), Some(consumer)))
            }
            Self::ConsumerPause { stream, consumer } => {
                ("CONSUMER.PAUSE", (Some(stream), Some(consumer)))
            }
            Self::ConsumerPinned { stream, consumer } => {
                ("CONSUMER.PINNED", (Some(stream), Some(consumer)))
            }
            Self::ConsumerUnpinned { stream, consumer } => {
                ("CONSUMER.UNPINNED", (Some(stream), Some(consumer)))
            }
            Self::MaxDeliveries { stream, consumer } => {
                ("CONSUMER.MAX_DELIVERIES", (Some(stream), Some(consumer)))
            }
            Self::MsgNaked { stream, consumer } => {
                ("CONSUMER.MSG_NAKED", (Some(stream), Some(consumer)))
            }
            Self::MsgTerminated { stream, consumer } => {
                ("CONSUMER.MSG_TERMINATED", (Some(stream), Some(consumer)))
            }
            Self::ConsumerLeaderElected { stream, consumer } => {
                ("CONSUMER.LEADER_ELECTED", (Some(stream), Some(consumer)))
            }
            Self::ConsumerQuorumLost { stream, consumer } => {
                ("CONSUMER.QUORUM_LOST", (Some(stream), Some(consumer)))
            }
            Self::AckMetric { stream, consumer } => {
                ("CONSUMER.ACK", (Some(stream), Some(consumer)))
            }
        }
    }
}
