//! Subjects of the API, of acknowledgements and flow control, of advisories and metrics.

mod ack;
mod event;
mod request;
#[cfg(test)]
mod tests;

pub use ack::{ACK_PREFIX, Ack, AckPrefix, FLOW_PREFIX, FlowPrefix, FlowReply};
pub use event::{Event, METRIC_ACK};
pub use request::{API_PREFIX, Request};

use stdx::decimal::put as push_number;
