//! Subjects of the API, of acknowledgements and flow control, of advisories and metrics.

mod ack;
mod event;
mod request;
#[cfg(test)]
mod tests;

pub use ack::{ACK_PREFIX, Ack, AckPrefix, FLOW_PREFIX, FlowPrefix, FlowReply};
pub use event::{Event, METRIC_ACK};
pub use request::{API_PREFIX, Request};

/// A decimal number at the end of `out`, without an allocation.
fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (value % 10) as u8;
        }
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}
