//! What of a configuration the store acts on.

use std::time::Duration;

use jetstream_api::{DiscardPolicy, RetentionPolicy, StreamConfig};
use store::{Retention, Settings};

fn limit(n: i64) -> Option<u64> {
    u64::try_from(n).ok().filter(|n| *n > 0)
}

/// The store's part of a stream's configuration.
pub fn settings(config: &StreamConfig) -> Settings {
    let some = |d: Duration| (!d.is_zero()).then_some(d);
    Settings {
        name: config.name.clone(),
        max_msgs: limit(config.max_msgs),
        max_bytes: limit(config.max_bytes),
        max_age: some(config.max_age.as_duration()),
        max_msgs_per_subject: limit(config.max_msgs_per_subject),
        discard_new: config.discard == DiscardPolicy::New,
        discard_new_per_subject: config.discard_new_per_subject,
        allow_msg_ttl: config.allow_msg_ttl,
        allow_schedules: config.allow_msg_schedules,
        subject_delete_marker_ttl: some(config.subject_delete_marker_ttl.as_duration()),
        first_seq: config.first_seq.max(1),
        retention: match config.retention {
            RetentionPolicy::Limits => Retention::Limits,
            RetentionPolicy::Interest => Retention::Interest,
            RetentionPolicy::WorkQueue => Retention::WorkQueue,
        },
    }
}
