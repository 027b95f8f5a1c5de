//! What a shard is asked besides taking messages.

use std::sync::Arc;

use broker::tracing::StreamTrace;
use bytes::Bytes;
use store::{Fetched, JobResult};

use crate::account::JsAccount;
use crate::gate::Line;
use crate::place::Disk;
use crate::shard::Shard;

/// A request on the API, out of its message.
pub(crate) struct ApiRequest {
    pub(crate) account: Arc<JsAccount>,
    /// The subject as it was published.
    pub(crate) subject: Bytes,
    /// Length of what stands before the verb: `$JS.API.` or that of a domain.
    pub(crate) prefix: usize,
    pub(crate) reply: Option<Bytes>,
    pub(crate) header: Bytes,
    pub(crate) payload: Bytes,
    /// Who asks, as JSON.
    pub(crate) client: Option<String>,
    /// How it waits to be handled.
    pub(crate) line: Line,
}

/// A message for a stream that is traced on its way.
pub(crate) struct TracedPublish {
    /// The stream's place.
    pub(crate) stream: u32,
    /// Which stream at that place.
    pub(crate) generation: u32,
    pub(crate) subject: Bytes,
    pub(crate) reply: Option<Bytes>,
    pub(crate) header: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) trace: StreamTrace,
}

/// Work on a shard's own thread.
pub(crate) type Task = Box<dyn FnOnce(&mut Shard) + Send>;

/// What a shard is asked.
pub(crate) enum Event {
    /// End: everything is written out and closed.
    Stop,
    /// A request on the API.
    Api(Box<ApiRequest>),
    /// What a job of a stream's store came to.
    Job {
        /// The stream's place.
        stream: u32,
        /// Which stream at that place.
        generation: u32,
        /// The outcome.
        result: JobResult,
    },
    /// What was read for a stream.
    Read {
        /// The stream's place.
        stream: u32,
        /// Which stream at that place.
        generation: u32,
        /// The outcome.
        fetched: Box<Fetched<Disk>>,
    },
    /// The interest in a push consumer's deliver subject changed.
    Interest {
        /// The stream's place.
        stream: u32,
        /// The consumer.
        consumer: u32,
    },
    /// A consumer's state was written.
    Written {
        /// The stream's place.
        stream: u32,
        /// The consumer.
        consumer: u32,
        /// Why it is not on the disk.
        failed: Option<Box<str>>,
    },
    /// A message that is traced.
    Traced(Box<TracedPublish>),
    /// Something that another shard or the control thread needs from this one.
    Run(Task),
}

impl ApiRequest {
    /// The same request, for an answer that comes later.
    pub(crate) fn again(&self) -> Self {
        Self {
            account: self.account.clone(),
            subject: self.subject.clone(),
            prefix: self.prefix,
            reply: self.reply.clone(),
            header: self.header.clone(),
            payload: self.payload.clone(),
            client: self.client.clone(),
            line: Line::None,
        }
    }
}
