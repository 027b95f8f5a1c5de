//! API levels: which server an asset or a request needs.
//!
//! Laws: `_nats.req.level` is stored and always the server's own; `_nats.ver` and `_nats.level` are
//! only ever shown.
//! Reference: jetstream_versioning.go.

use crate::consumer_config::{AckPolicy, ConsumerConfig, PriorityPolicy};
use crate::stream_config::{PersistMode, StreamConfig};
use crate::time;

/// The level of this server.
pub const API_LEVEL: i64 = 4;
/// The header by which a request asks for a level.
pub const REQUIRED_HEADER: &str = "Nats-Required-Api-Level";
/// The level that an asset needs.
pub const REQUIRED_KEY: &str = "_nats.req.level";
/// The version of the server that answers.
pub const VERSION_KEY: &str = "_nats.ver";
/// The level of the server that answers.
pub const LEVEL_KEY: &str = "_nats.level";

pub use crate::metadata::Metadata;

/// The level that a stream needs.
pub fn of_stream(config: &StreamConfig) -> i64 {
    if config.allow_batched {
        return 4;
    }
    if config.allow_msg_counter
        || config.allow_atomic
        || config.allow_msg_schedules
        || config.persist_mode == PersistMode::Async
    {
        return 2;
    }
    i64::from(config.allow_msg_ttl || config.subject_delete_marker_ttl.0 > 0)
}

/// The level that a consumer needs.
pub fn of_consumer(config: &ConsumerConfig) -> i64 {
    if config.ack_policy == AckPolicy::FlowControl {
        return 4;
    }
    let paused = config.pause_until.is_some_and(|until| until != time::ZERO);
    let grouped = config.priority_policy != PriorityPolicy::None
        || config.priority_timeout.0 != 0
        || !config.priority_groups.is_empty();
    i64::from(paused || grouped)
}

/// Writes what a stream needs into its metadata, whatever the client wrote there.
pub fn stamp_stream(config: &mut StreamConfig) {
    let level = of_stream(config);
    stamp(&mut config.metadata, level);
}

/// Writes what a consumer needs into its metadata, whatever the client wrote there.
pub fn stamp_consumer(config: &mut ConsumerConfig) {
    let level = of_consumer(config);
    stamp(&mut config.metadata, level);
}

fn stamp(metadata: &mut Metadata, level: i64) {
    drop_shown(metadata);
    metadata.insert(REQUIRED_KEY, level.to_string());
}

/// The metadata as an answer shows it.
pub fn shown(metadata: &Metadata, version: &str) -> Metadata {
    let mut shown = metadata.clone();
    shown.insert(VERSION_KEY, version);
    shown.insert(LEVEL_KEY, API_LEVEL.to_string());
    shown
}

/// Makes `metadata` say of levels what `stored` says, so that the two can be compared.
pub fn copy(metadata: &mut Metadata, stored: &Metadata) {
    drop_shown(metadata);
    match stored.get(REQUIRED_KEY) {
        Some(level) => metadata.insert(REQUIRED_KEY, level),
        None => metadata.remove(REQUIRED_KEY),
    }
}

/// Takes out what is only ever shown.
pub fn drop_shown(metadata: &mut Metadata) {
    metadata.remove(VERSION_KEY);
    metadata.remove(LEVEL_KEY);
}

/// The level that an asset says it needs, if it says so.
pub fn required(metadata: &Metadata) -> Option<&str> {
    metadata.get(REQUIRED_KEY).filter(|level| !level.is_empty())
}

/// True if this server can run an asset with this metadata.
pub fn is_supported(metadata: &Metadata) -> bool {
    required(metadata).is_none_or(|level| go_atoi(level).is_some_and(|level| level <= API_LEVEL))
}

/// True if the value of [`REQUIRED_HEADER`] asks for more than this server has, or for nothing
/// that is a number.
pub fn refuses(header: Option<&[u8]>) -> bool {
    let Some(value) = header.filter(|value| !value.is_empty()) else { return false };
    let level = std::str::from_utf8(value).ok().and_then(go_atoi);
    level.is_none_or(|level| level > API_LEVEL)
}

/// `strconv.Atoi`: like `parse`, which also takes one leading sign.
fn go_atoi(text: &str) -> Option<i64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: STREAM-037
    #[test]
    fn streams_need_the_level_of_their_newest_feature() {
        let base = StreamConfig::default();
        let cases = [
            (base.clone(), 0),
            (StreamConfig { allow_msg_ttl: true, ..base.clone() }, 1),
            (
                StreamConfig {
                    subject_delete_marker_ttl: crate::Nanos::from_secs(1),
                    ..base.clone()
                },
                1,
            ),
            (StreamConfig { allow_msg_counter: true, ..base.clone() }, 2),
            (StreamConfig { allow_atomic: true, allow_msg_ttl: true, ..base.clone() }, 2),
            (StreamConfig { allow_msg_schedules: true, ..base.clone() }, 2),
            (StreamConfig { persist_mode: PersistMode::Async, ..base.clone() }, 2),
            (StreamConfig { allow_batched: true, allow_atomic: true, ..base }, 4),
        ];
        for (config, level) in cases {
            assert_eq!(of_stream(&config), level, "{config:?}");
        }
    }

    #[test]
    fn consumers_need_the_level_of_their_newest_feature() {
        let base = ConsumerConfig::default();
        let cases = [
            (base.clone(), 0),
            (ConsumerConfig { pause_until: Some(time::ZERO), ..base.clone() }, 0),
            (ConsumerConfig { pause_until: Some(stdx::time::Timestamp(1)), ..base.clone() }, 1),
            (ConsumerConfig { priority_groups: vec!["a".into()], ..base.clone() }, 1),
            (ConsumerConfig { priority_timeout: crate::Nanos(1), ..base.clone() }, 1),
            (ConsumerConfig { ack_policy: AckPolicy::FlowControl, ..base }, 4),
        ];
        for (config, level) in cases {
            assert_eq!(of_consumer(&config), level, "{config:?}");
        }
    }

    #[test]
    fn what_clients_say_of_levels_is_overwritten_or_dropped() {
        let said = |pairs: &[(&str, &str)]| -> Metadata {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let mut config = StreamConfig {
            metadata: said(&[
                ("own", "kept"),
                (REQUIRED_KEY, "99"),
                (VERSION_KEY, "0.1"),
                (LEVEL_KEY, "99"),
            ]),
            ..StreamConfig::default()
        };
        stamp_stream(&mut config);
        assert_eq!(config.metadata, said(&[("own", "kept"), (REQUIRED_KEY, "0")]));
        let answer = shown(&config.metadata, "2.14.5");
        assert_eq!(answer.get(VERSION_KEY), Some("2.14.5"));
        assert_eq!(answer.get(LEVEL_KEY), Some("4"));

        let mut other = said(&[("own", "kept"), (VERSION_KEY, "x")]);
        copy(&mut other, &config.metadata);
        assert_eq!(other, config.metadata);
        copy(&mut other, &Metadata::new());
        assert_eq!(other, said(&[("own", "kept")]));
    }

    #[test]
    fn requests_and_assets_beyond_this_server_are_refused() {
        let cases: [(Option<&[u8]>, bool); 8] = [
            (None, false),
            (Some(b""), false),
            (Some(b"0"), false),
            (Some(b"4"), false),
            (Some(b"5"), true),
            (Some(b"-1"), false),
            (Some(b"x"), true),
            (Some(b"\xff"), true),
        ];
        for (header, want) in cases {
            assert_eq!(refuses(header), want, "{header:?}");
        }
        let asset = |level: &str| Metadata::from([(REQUIRED_KEY, level)]);
        assert!(is_supported(&asset("4")));
        assert!(is_supported(&asset("")));
        assert!(!is_supported(&asset("5")));
        assert!(!is_supported(&asset("four")));
    }
}
