//! What a consumer's configuration may be, once defaults are filled in.

use subject::{is_literal, is_subset, is_valid};

use super::SOURCE_HEARTBEAT;
use crate::account_info::JetStreamAccountLimits;
use crate::consumer_config::{AckPolicy, ConsumerConfig, DeliverPolicy, PriorityPolicy};
use crate::error::ApiError;
use crate::stream_config::{RetentionPolicy, StreamConfig};
use crate::time::Nanos;
use crate::validate::limits::ServerLimits;
use crate::validate::name::{MAX_DESCRIPTION, MAX_METADATA, is_asset_name, metadata_len};
use crate::validate::stream::invalid;

/// Refuses what cannot be.
///
/// # Errors
/// The first rule that is broken.
pub fn check(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    server: &ServerLimits,
    account: &JetStreamAccountLimits,
) -> Result<(), ApiError> {
    check_names(config)?;
    check_replicas(config, stream)?;
    check_acks(config)?;
    check_backoff(config)?;
    if config.description.len() > MAX_DESCRIPTION {
        return Err(ApiError::consumer_description_too_long(MAX_DESCRIPTION));
    }
    if config.is_pull() {
        check_pull(config, stream, server)?;
    } else {
        check_push(config, stream)?;
    }
    check_ceilings(config, stream, server, account)?;
    check_direct(config)?;
    check_filters(config)?;
    check_start(config)?;
    check_sampling(config)?;
    if config.flow_control && config.idle_heartbeat == Nanos::ZERO {
        return Err(ApiError::consumer_with_flow_control_needs_heartbeats());
    }
    let (durable, name) = (&config.durable_name, &config.name);
    if !durable.is_empty() && !name.is_empty() && durable != name {
        return Err(ApiError::consumer_create_durable_and_name_mismatch());
    }
    if metadata_len(&config.metadata) > MAX_METADATA {
        return Err(ApiError::consumer_metadata_length(format!("{}KB", MAX_METADATA / 1024)));
    }
    check_groups(config)?;
    if stream.placement.as_ref().is_some_and(|p| !p.preferred.is_empty()) {
        return Err(invalid("preferred server not permitted in placement"));
    }
    Ok(())
}

fn check_names(config: &ConsumerConfig) -> Result<(), ApiError> {
    if !config.name.is_empty() && !is_asset_name(&config.name) {
        return Err(invalid(r"consumer name can not contain '.', '*', '>', '\', '/'"));
    }
    if !config.durable_name.is_empty() && !is_asset_name(&config.durable_name) {
        return Err(invalid(r"consumer durable name can not contain '.', '*', '>', '\', '/'"));
    }
    Ok(())
}

fn check_replicas(config: &ConsumerConfig, stream: &StreamConfig) -> Result<(), ApiError> {
    if config.num_replicas > 0 && config.num_replicas > stream.num_replicas {
        return Err(ApiError::consumer_replicas_exceeds_stream());
    }
    if config.num_replicas < 0 {
        return Err(ApiError::replicas_count_cannot_be_negative());
    }
    let acked = stream.retention != RetentionPolicy::Limits;
    if acked && config.num_replicas != 0 && config.num_replicas != stream.num_replicas {
        return Err(ApiError::consumer_replicas_should_match_stream());
    }
    Ok(())
}

fn check_acks(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.backoff.iter().any(|wait| *wait < Nanos::ZERO) {
        return Err(ApiError::consumer_back_off_negative());
    }
    if config.ack_wait < Nanos::ZERO {
        return Err(ApiError::consumer_ack_wait_negative());
    }
    if config.ack_policy != AckPolicy::FlowControl {
        return Ok(());
    }
    if config.is_pull() {
        return Err(ApiError::consumer_ack_fc_requires_push());
    }
    if !config.flow_control {
        return Err(ApiError::consumer_ack_fc_requires_fc());
    }
    if config.idle_heartbeat != SOURCE_HEARTBEAT {
        return Err(invalid("flow control ack policy heartbeat needs to be 1s"));
    }
    if config.max_ack_pending <= 0 {
        return Err(ApiError::consumer_ack_fc_requires_max_ack_pending());
    }
    if config.ack_wait != Nanos::ZERO || !config.backoff.is_empty() {
        return Err(ApiError::consumer_ack_fc_requires_no_ack_wait());
    }
    if config.max_deliver > 0 {
        return Err(ApiError::consumer_ack_fc_requires_no_max_deliver());
    }
    Ok(())
}

/// Every wait must have a delivery that it can follow.
pub(super) fn check_backoff(config: &ConsumerConfig) -> Result<(), ApiError> {
    let waits = i64::try_from(config.backoff.len()).unwrap_or(i64::MAX);
    if waits > 0 && config.max_deliver != -1 && waits > config.max_deliver {
        return Err(ApiError::consumer_max_deliver_backoff());
    }
    Ok(())
}

fn check_push(config: &ConsumerConfig, stream: &StreamConfig) -> Result<(), ApiError> {
    let deliver = config.deliver_subject.as_bytes();
    if !is_literal(deliver) {
        return Err(ApiError::consumer_deliver_to_wildcards());
    }
    if !is_valid(deliver) {
        return Err(ApiError::consumer_invalid_deliver_subject());
    }
    if stream.subjects.iter().any(|s| is_subset(deliver, s.as_bytes())) {
        return Err(ApiError::consumer_deliver_cycle());
    }
    if config.max_waiting != 0 {
        return Err(ApiError::consumer_push_max_waiting());
    }
    if config.max_ack_pending > 0 && config.ack_policy == AckPolicy::None {
        return Err(ApiError::consumer_max_pending_ack_policy_required());
    }
    let heartbeat = config.idle_heartbeat;
    if heartbeat > Nanos::ZERO && heartbeat < Nanos::from_millis(100) {
        return Err(ApiError::consumer_small_heartbeat());
    }
    Ok(())
}

fn check_pull(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    server: &ServerLimits,
) -> Result<(), ApiError> {
    let queue = stream.retention == RetentionPolicy::WorkQueue;
    if config.ack_policy == AckPolicy::None && queue {
        return Err(ApiError::consumer_pull_requires_ack());
    }
    if config.rate_limit_bps > 0 {
        return Err(ApiError::consumer_pull_with_rate_limit());
    }
    if config.max_waiting < 0 {
        return Err(ApiError::consumer_max_waiting_negative());
    }
    if config.idle_heartbeat > Nanos::ZERO {
        return Err(ApiError::consumer_hb_requires_push());
    }
    if config.flow_control {
        return Err(ApiError::consumer_fc_requires_push());
    }
    if config.max_batch < 0 {
        return Err(ApiError::consumer_max_request_batch_negative());
    }
    if config.max_expires != Nanos::ZERO && config.max_expires < Nanos::from_millis(1) {
        return Err(ApiError::consumer_max_request_expires_too_small());
    }
    if server.max_request_batch > 0 && config.max_batch > server.max_request_batch {
        return Err(ApiError::consumer_max_request_batch_exceeded(server.max_request_batch));
    }
    Ok(())
}

fn check_ceilings(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    server: &ServerLimits,
    account: &JetStreamAccountLimits,
) -> Result<(), ApiError> {
    let limits = stream.consumer_limits;
    for most in [server.max_ack_pending, account.max_ack_pending, limits.max_ack_pending] {
        if most > 0 && config.max_ack_pending > most {
            return Err(ApiError::consumer_max_pending_ack_excess(most));
        }
    }
    let most = limits.inactive_threshold;
    if most > Nanos::ZERO && config.inactive_threshold > most {
        return Err(ApiError::consumer_inactive_threshold_excess(most));
    }
    Ok(())
}

fn check_direct(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.direct && config.is_pull() {
        return Err(ApiError::consumer_direct_requires_push());
    }
    if config.direct && config.is_durable() {
        return Err(ApiError::consumer_direct_requires_ephemeral());
    }
    Ok(())
}

fn check_filters(config: &ConsumerConfig) -> Result<(), ApiError> {
    if !config.filter_subject.is_empty() && !config.filter_subjects.is_empty() {
        return Err(ApiError::consumer_duplicate_filter_subjects());
    }
    if !config.filter_subject.is_empty() && !is_valid(config.filter_subject.as_bytes()) {
        return Err(invalid("invalid subject"));
    }
    if config.filter_subjects.iter().any(String::is_empty) {
        return Err(ApiError::consumer_empty_filter());
    }
    let filters = config.filters();
    for (at, filter) in filters.iter().enumerate() {
        if !is_valid(filter.as_bytes()) {
            return Err(invalid("invalid subject"));
        }
        let inside =
            |(i, other): (usize, &&str)| i != at && is_subset(filter.as_bytes(), other.as_bytes());
        if filters.iter().enumerate().any(inside) {
            return Err(ApiError::consumer_overlapping_subject_filters());
        }
    }
    Ok(())
}

/// Where to begin must be said once.
fn check_start(config: &ConsumerConfig) -> Result<(), ApiError> {
    let (seq, time) = (config.opt_start_seq > 0, config.opt_start_time.is_some());
    let refuse = |policy: &str, problem: &str| {
        let text = format!("consumer delivery policy is deliver {policy}, but optional {problem}");
        Err(ApiError::consumer_invalid_policy(text))
    };
    let policy = match config.deliver_policy {
        DeliverPolicy::All => "all",
        DeliverPolicy::Last => "last",
        DeliverPolicy::LastPerSubject => "last per subject",
        DeliverPolicy::New => "new",
        DeliverPolicy::ByStartSequence => {
            return match (seq, time) {
                (false, _) => refuse("by start sequence", "start sequence is not set"),
                (true, true) => refuse("by start sequence", "start time is also set"),
                (true, false) => Ok(()),
            };
        }
        DeliverPolicy::ByStartTime => {
            return match (seq, time) {
                (_, false) => refuse("by start time", "start time is not set"),
                (true, true) => refuse("by start time", "start start sequence is also set"),
                (false, true) => Ok(()),
            };
        }
    };
    if seq {
        return refuse(policy, "start sequence is also set");
    }
    if time {
        return refuse(policy, "start time is also set");
    }
    if config.deliver_policy == DeliverPolicy::LastPerSubject && config.filters().is_empty() {
        return refuse(policy, "filter subject is not set");
    }
    Ok(())
}

/// Per cent of acknowledgements to report, as the configuration's text says; 0 for none.
///
/// # Errors
/// The text is no number, or a negative one.
pub fn sampling(text: &str) -> Result<i64, ApiError> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.strip_suffix('%').unwrap_or(text);
    match digits.parse::<i64>() {
        Ok(percent) if percent >= 0 => Ok(percent),
        // The reference prints an error that is not there.
        Ok(_) => Err(ApiError::consumer_invalid_sampling("<nil>")),
        Err(e) => {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let why = match e.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            let quoted = stdx::go_text::quote(digits.as_bytes());
            let text = format!("strconv.Atoi: parsing {quoted}: {why}");
            Err(ApiError::consumer_invalid_sampling(text))
        }
    }
}

fn check_sampling(config: &ConsumerConfig) -> Result<(), ApiError> {
    sampling(&config.sample_freq).map(|_| ())
}

fn check_groups(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.priority_policy == PriorityPolicy::None {
        if !config.priority_groups.is_empty() {
            return Err(ApiError::consumer_priority_group_with_policy_none());
        }
        if config.priority_timeout > Nanos::ZERO {
            return Err(ApiError::consumer_pinned_ttl_without_priority_policy_none());
        }
        return Ok(());
    }
    if !config.is_pull() {
        return Err(ApiError::consumer_push_with_priority_group());
    }
    if config.priority_groups.is_empty() {
        return Err(ApiError::consumer_priority_policy_without_group());
    }
    for group in &config.priority_groups {
        if group.is_empty() {
            return Err(ApiError::consumer_empty_group_name());
        }
        if !is_group_name(group) {
            return Err(ApiError::consumer_invalid_group_name());
        }
    }
    Ok(())
}

/// True for a name that a group of pulling clients may have.
pub fn is_group_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'=' | b'-');
    (1..=16).contains(&name.len()) && name.bytes().all(legal)
}
