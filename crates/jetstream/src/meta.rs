//! The documents kept beside a stream and a consumer.
//!
//! Wire: `{"Created":"<time>",<the configuration's members>}`; a consumer's has its name between.

use jetstream_api::{ConsumerConfig, DecodeError, StreamConfig, json};
use stdx::time::Timestamp;

/// The document of a stream.
pub(crate) fn stream(config: &StreamConfig, created: Timestamp) -> Vec<u8> {
    with_head(&format!("{{\"Created\":\"{}\"", created.rfc3339()), &json::to_json(config))
}

/// The document of a consumer.
pub(crate) fn consumer(name: &str, config: &ConsumerConfig, created: Timestamp) -> Vec<u8> {
    let name = stdx::go_text::quote(name.as_bytes());
    let head = format!("{{\"Created\":\"{}\",\"Name\":{name}", created.rfc3339());
    with_head(&head, &json::to_json(config))
}

fn with_head(head: &str, members: &[u8]) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    out.push(b',');
    out.extend_from_slice(members.get(1..).unwrap_or_default());
    out
}

/// When a document's asset was created.
fn created(text: &[u8]) -> Timestamp {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let text = value.get("Created").and_then(|v| v.as_str()).unwrap_or_default();
    jetstream_api::time::parse(text.as_bytes()).unwrap_or_default()
}

/// Reads a stream's document.
pub(crate) fn read_stream(text: &[u8]) -> Result<(StreamConfig, Timestamp), DecodeError> {
    Ok((json::unmarshal(text)?, created(text)))
}

/// Reads a consumer's document.
pub(crate) fn read_consumer(text: &[u8]) -> Result<(ConsumerConfig, Timestamp), DecodeError> {
    Ok((json::unmarshal(text)?, created(text)))
}
