//! Metrics: how long an acknowledgement took.
//!
//! Reference: `JSConsumerAckMetric`.

use crate::advisory::Fact;
use crate::json::{Int64, Text, Uint64, document};

/// One acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerAck {
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// The delivery.
    pub consumer_seq: u64,
    /// The message.
    pub stream_seq: u64,
    /// Nanoseconds from the delivery to the acknowledgement.
    pub ack_time: i64,
    /// Deliveries.
    pub deliveries: u64,
    /// The domain.
    pub domain: String,
}

document!(ConsumerAck as "JSConsumerAckMetric" {
    stream: Text;
    consumer: Text;
    consumer_seq: Uint64;
    stream_seq: Uint64;
    ack_time: Int64;
    deliveries: Uint64;
    domain: Text, omit;
});

impl Fact for ConsumerAck {
    const TYPE: &'static str = "io.nats.jetstream.metric.v1.consumer_ack";
}
