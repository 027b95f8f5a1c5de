//! Every document of the JetStream API: types, subjects, errors, rules.
//!
//! | subject (after `$JS.API.`) | request | answer |
//! |---|---|---|
//! | `INFO` | empty | [`response::AccountInfoBody`] |
//! | `STREAM.CREATE.*`, `STREAM.UPDATE.*` | [`StreamConfigRequest`] | [`response::StreamCreate`], [`response::StreamUpdate`] |
//! | `STREAM.NAMES`, `STREAM.LIST`, `STREAM.INFO.*` | [`request`] | [`response`] |
//! | `CONSUMER.CREATE.>` | [`CreateConsumerRequest`] | [`response::ConsumerCreate`] |
//! | `CONSUMER.MSG.NEXT.*.*` | [`pull::NextRequest`] | messages |
//!
//! Not here: what a request does (the engine), streams and consumers themselves.
//! Laws: bytes out are the reference's; nothing that comes in can panic.

#![forbid(unsafe_code)]

pub mod account_info;
pub mod ack_body;
pub mod advisory;
pub mod client_info;
pub mod consumer_config;
pub mod consumer_info;
pub mod duration;
pub mod error;
pub mod fast_batch;
pub mod json;
pub mod level;
pub mod message_ttl;
pub mod metadata;
pub mod metric;
pub mod pub_ack;
pub mod pull;
pub mod request;
pub mod response;
pub mod schedule;
pub mod source_header;
pub mod stream_config;
pub mod stream_info;
pub mod subject;
pub mod time;
pub mod validate;

pub use account_info::{AccountInfo, ApiStats, JetStreamAccountLimits, JetStreamTier};
pub use consumer_config::{
    AckPolicy, ConsumerAction, ConsumerConfig, CreateConsumerRequest, DeliverPolicy,
    PriorityPolicy, ReplayPolicy,
};
pub use consumer_info::{ConsumerInfo, PriorityGroupState, SequenceInfo};
pub use error::ApiError;
pub use json::{DecodeError, Document, Unknown, to_json, unmarshal};
pub use pub_ack::PubAck;
pub use response::Response;
pub use stream_config::{
    Compression, ConsumerLimits, DiscardPolicy, ExternalStream, PersistMode, Placement, RePublish,
    RetentionPolicy, StorageType, StreamConfig, StreamConfigRequest, StreamConsumerSource,
    StreamSource, SubjectTransformConfig,
};
pub use stream_info::{
    ClusterInfo, LostStreamData, PeerInfo, StoredMsg, StreamAlternate, StreamInfo,
    StreamSourceInfo, StreamState,
};
pub use time::Nanos;

#[cfg(test)]
mod tests;
