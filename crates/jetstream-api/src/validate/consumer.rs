//! Consumers: what a create asks for, and whether it may have it.
//!
//! Reference: jetstream_api.go `jsConsumerCreateRequest`; consumer.go `setConsumerConfigDefaults`,
//! `checkConsumerCfg`, `addConsumerWithAssignment`, `checkNewConsumerConfig`.

use super::Consumers;
use super::limits::{AccountLimits, ServerLimits};
use super::name::MAX_NAME;
use crate::account_info::JetStreamAccountLimits;
use crate::consumer_config::{
    AckPolicy, ConsumerAction, ConsumerConfig, CreateConsumerRequest, DeliverPolicy, PriorityPolicy,
};
use crate::error::ApiError;
use crate::level;
use crate::stream_config::{RetentionPolicy, StorageType, StreamConfig};
use crate::subject::Request;
use crate::time::Nanos;

#[path = "consumer_rule.rs"]
mod rule;

pub use rule::{check, is_group_name, sampling};

/// Pull requests that may wait if nothing is said.
pub const MAX_WAITING: i64 = 512;
/// How long an acknowledgement may take if nothing is said.
pub const ACK_WAIT: Nanos = Nanos::from_secs(30);
/// Deliveries that may wait for acknowledgement if nothing is said.
pub const MAX_ACK_PENDING: i64 = 1000;
/// How long a pinned client may be silent if nothing is said.
pub const PINNED_TTL: Nanos = Nanos::from_secs(120);
/// How long an ephemeral may be idle if nothing is said.
pub const INACTIVE_THRESHOLD: Nanos = Nanos::from_secs(5);
/// The heartbeat of every consumer that a stream draws from.
pub const SOURCE_HEARTBEAT: Nanos = Nanos::from_secs(1);

/// What rules look at beyond the configuration itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Of the server.
    pub server: &'a ServerLimits,
    /// Of the account.
    pub account: &'a AccountLimits,
    /// The consumer's stream.
    pub stream: &'a StreamConfig,
    /// Its consumers.
    pub consumers: &'a dyn Consumers,
    /// The server is part of a cluster.
    pub clustered: bool,
}

/// What a create comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// A consumer with this name and configuration is to be made.
    New(String, Box<ConsumerConfig>),
    /// The one with this name gets this configuration, which may be the one it has.
    Changed(String, Box<ConsumerConfig>),
}

/// Checks a create against its subject and takes the consumer's name from there. Needs no stream,
/// so that it comes before "stream not found".
///
/// # Errors
/// What the answer carries.
pub fn check_subject(
    subject: &Request<'_>,
    request: &mut CreateConsumerRequest,
    clustered: bool,
) -> Result<(), ApiError> {
    let config = &mut request.config;
    let (stream, name, filter) = match *subject {
        Request::ConsumerCreateEphemeral { stream } => (stream, config.name.clone(), None),
        Request::ConsumerCreateDurable { stream, consumer } => (stream, consumer.to_owned(), None),
        Request::ConsumerCreate { stream, consumer, filter } => {
            (stream, consumer.to_owned(), filter)
        }
        _ => return Err(ApiError::bad_request()),
    };
    if stream != request.stream_name {
        return Err(ApiError::stream_mismatch());
    }
    if name.contains(['\\', '/']) {
        return Err(ApiError::consumer_name_contains_path_separators());
    }
    let durable = &config.durable_name;
    match subject {
        Request::ConsumerCreateDurable { .. } if durable.is_empty() => {
            return Err(ApiError::consumer_durable_name_not_set());
        }
        Request::ConsumerCreateEphemeral { .. } => {
            if !durable.is_empty() {
                return Err(ApiError::consumer_ephemeral_with_durable_name());
            }
        }
        _ => {
            if !durable.is_empty() && *durable != name {
                return Err(ApiError::consumer_durable_name_not_match_subject());
            }
            config.name = name;
        }
    }
    if let Some(filter) = filter {
        if !config.filter_subjects.is_empty() {
            return Err(ApiError::consumer_multiple_filters_not_allowed());
        }
        if config.filter_subject != filter {
            return Err(ApiError::consumer_create_filter_subject_mismatch());
        }
    }
    if !clustered && config.num_replicas > 1 {
        return Err(ApiError::stream_replicas_not_supported());
    }
    Ok(())
}

/// Decides about a create that passed [`check_subject`]. `random_name` gives a name that no consumer
/// of the stream has.
///
/// # Errors
/// What the answer carries.
pub fn create(
    request: CreateConsumerRequest,
    context: &Context<'_>,
    mut random_name: impl FnMut() -> String,
) -> Result<Created, ApiError> {
    let CreateConsumerRequest { mut config, action, pedantic, .. } = request;
    let config = &mut config;
    upgrade_sourcing(config, context.stream, &mut random_name);
    keep_from_existing(config, context.consumers);
    level::stamp_consumer(config);
    let limits = select_limits(config, context)?;
    set_defaults(config, context.stream, context.server, limits, pedantic)?;
    check(config, context.stream, context.server, limits)?;
    if let Some(changed) = change_existing(config, action, context)? {
        return Ok(changed);
    }
    if action == ConsumerAction::Update {
        return Err(ApiError::consumer_does_not_exist());
    }
    if !context.clustered {
        check_count(context, limits)?;
    }
    check_work_queue(config, context)?;
    let name = name_of(config, context.stream, &mut random_name)?;
    set_inactive_threshold(config, config.is_durable());
    Ok(Created::New(name, Box::new(std::mem::take(config))))
}

/// A stream that draws from this one wants a consumer that survives, if messages go once they are
/// acknowledged; otherwise one that nobody else has.
fn upgrade_sourcing(
    config: &mut ConsumerConfig,
    stream: &StreamConfig,
    random_name: &mut impl FnMut() -> String,
) {
    if !(config.direct && config.sourcing) || config.name.is_empty() {
        return;
    }
    if stream.retention == RetentionPolicy::Limits {
        config.name = format!("{}-{}", config.name, random_name());
        return;
    }
    config.direct = false;
    config.durable_name.clone_from(&config.name);
    config.ack_policy = AckPolicy::FlowControl;
    config.ack_wait = Nanos::ZERO;
    config.max_deliver = 0;
    config.inactive_threshold = Nanos::ZERO;
}

/// A create cannot change for how long a consumer is paused, nor where a sourcing one began.
fn keep_from_existing(config: &mut ConsumerConfig, consumers: &dyn Consumers) {
    let Some(there) = consumers.consumer(&config.name) else { return };
    config.pause_until = there.pause_until;
    if config.sourcing && config.is_durable() {
        config.deliver_policy = there.deliver_policy;
        config.opt_start_seq = there.opt_start_seq;
        config.opt_start_time = there.opt_start_time;
    }
}

fn select_limits<'a>(
    config: &ConsumerConfig,
    context: &Context<'a>,
) -> Result<&'a JetStreamAccountLimits, ApiError> {
    let replicas = replicas(config, context.stream);
    context.account.select(replicas).map(|(limits, _)| limits).ok_or_else(ApiError::no_limits)
}

/// Copies that a consumer has: those of its stream unless it asks for fewer; an old-style ephemeral
/// has one.
pub fn replicas(config: &ConsumerConfig, stream: &StreamConfig) -> i64 {
    if (1..=stream.num_replicas).contains(&config.num_replicas) {
        return config.num_replicas;
    }
    let ephemeral = !config.is_durable() && stream.retention == RetentionPolicy::Limits;
    if ephemeral && config.num_replicas == 0 { 1 } else { stream.num_replicas }
}

/// Fills in what was left open.
///
/// # Errors
/// What a pedantic client must say itself.
pub fn set_defaults(
    config: &mut ConsumerConfig,
    stream: &StreamConfig,
    server: &ServerLimits,
    account: &JetStreamAccountLimits,
    pedantic: bool,
) -> Result<(), ApiError> {
    drop_negatives(config, pedantic)?;
    if config.is_pull() && config.max_waiting == 0 {
        config.max_waiting = MAX_WAITING;
    }
    let waits = matches!(config.ack_policy, AckPolicy::Explicit | AckPolicy::All);
    if config.ack_wait == Nanos::ZERO && waits {
        config.ack_wait = ACK_WAIT;
    }
    if let Some(first) = config.backoff.first().copied() {
        if pedantic && config.ack_wait != first {
            return Err(ApiError::pedantic("first backoff value has to equal batch AckWait"));
        }
        config.ack_wait = first;
    }
    take_stream_limits(config, stream, pedantic)?;
    if config.max_ack_pending == 0 && config.ack_policy != AckPolicy::None {
        let ceilings = [server.max_ack_pending, account.max_ack_pending];
        let ceilings = ceilings.into_iter().filter(|ceiling| *ceiling > 0);
        config.max_ack_pending = ceilings.fold(MAX_ACK_PENDING, i64::min);
    }
    if config.is_pull() && config.max_batch == 0 && server.max_request_batch > 0 {
        if pedantic {
            let text = "max_request_batch must be set if it's JetStream limits are set";
            return Err(ApiError::pedantic(text));
        }
        config.max_batch = server.max_request_batch;
    }
    let pinned = config.priority_policy == PriorityPolicy::PinnedClient;
    if pinned && config.priority_timeout == Nanos::ZERO {
        config.priority_timeout = PINNED_TTL;
    }
    if config.ack_policy == AckPolicy::FlowControl && !pedantic {
        config.flow_control = true;
        config.idle_heartbeat = SOURCE_HEARTBEAT;
    }
    Ok(())
}

fn drop_negatives(config: &mut ConsumerConfig, pedantic: bool) -> Result<(), ApiError> {
    let refuse = |text: String| if pedantic { Err(ApiError::pedantic(text)) } else { Ok(()) };
    if config.max_deliver < -1 {
        refuse("max_deliver must be set to -1".to_owned())?;
    }
    if config.max_deliver == 0 || config.max_deliver < -1 {
        config.max_deliver = -1;
    }
    let negative = |name: &str, value: &mut i64| {
        if *value < 0 {
            refuse(format!("{name} must not be negative"))?;
            *value = 0;
        }
        Ok(())
    };
    negative("max_waiting", &mut config.max_waiting)?;
    if config.max_ack_pending < -1 {
        refuse("max_ack_pending must be set to -1".to_owned())?;
        config.max_ack_pending = -1;
    }
    negative("max_batch", &mut config.max_batch)?;
    negative("max_expires", &mut config.max_expires.0)?;
    negative("max_bytes", &mut config.max_bytes)?;
    negative("idle_heartbeat", &mut config.idle_heartbeat.0)?;
    negative("inactive_threshold", &mut config.inactive_threshold.0)?;
    negative("priority_timeout", &mut config.priority_timeout.0)
}

fn take_stream_limits(
    config: &mut ConsumerConfig,
    stream: &StreamConfig,
    pedantic: bool,
) -> Result<(), ApiError> {
    let limits = stream.consumer_limits;
    if config.max_ack_pending == 0 {
        if pedantic && limits.max_ack_pending > 0 {
            let text = "max_ack_pending must be set if it's configured in stream limits";
            return Err(ApiError::pedantic(text));
        }
        config.max_ack_pending = limits.max_ack_pending;
    }
    if config.inactive_threshold == Nanos::ZERO {
        if pedantic && limits.inactive_threshold > Nanos::ZERO {
            let text = "inactive_threshold must be set if it's configured in stream limits";
            return Err(ApiError::pedantic(text));
        }
        config.inactive_threshold = limits.inactive_threshold;
    }
    Ok(())
}

/// What becomes of a consumer that is there already.
fn change_existing(
    config: &mut ConsumerConfig,
    action: ConsumerAction,
    context: &Context<'_>,
) -> Result<Option<Created>, ApiError> {
    let name = if config.is_durable() { config.durable_name.clone() } else { config.name.clone() };
    if name.is_empty() {
        return Ok(None);
    }
    let Some(there) = context.consumers.consumer(&name) else { return Ok(None) };
    if action == ConsumerAction::Create {
        level::copy(&mut config.metadata, &there.metadata);
        if *config != *there {
            return Err(ApiError::consumer_already_exists());
        }
    }
    if context.stream.retention == RetentionPolicy::WorkQueue
        && !context.consumers.is_free(&config.filters(), &name)
    {
        return Err(ApiError::consumer_wq_consumer_not_unique());
    }
    change(&there, config, context.consumers)?;
    if config.inactive_threshold != there.inactive_threshold {
        // Compat(API-022): what it was decides, not what it becomes.
        set_inactive_threshold(config, there.is_durable());
    }
    Ok(Some(Created::Changed(name, Box::new(std::mem::take(config)))))
}

/// An ephemeral that nobody uses goes after a while.
fn set_inactive_threshold(config: &mut ConsumerConfig, durable: bool) {
    if !durable && config.inactive_threshold == Nanos::ZERO {
        config.inactive_threshold = INACTIVE_THRESHOLD;
    }
}

/// Refuses what an update cannot change.
///
/// # Errors
/// The first rule that is broken.
pub fn change(
    old: &ConsumerConfig,
    new: &ConsumerConfig,
    consumers: &dyn Consumers,
) -> Result<(), ApiError> {
    if old == new {
        return Ok(());
    }
    let fixed = [
        (old.deliver_policy == new.deliver_policy, "deliver policy can not be updated"),
        (old.mem_storage == new.mem_storage, "storage type can not be updated"),
        (old.opt_start_seq == new.opt_start_seq, "start sequence can not be updated"),
        (old.opt_start_time == new.opt_start_time, "start time can not be updated"),
        (old.ack_policy == new.ack_policy, "ack policy can not be updated"),
        (old.replay_policy == new.replay_policy, "replay policy can not be updated"),
        (old.idle_heartbeat == new.idle_heartbeat, "heart beats can not be updated"),
        (old.flow_control == new.flow_control, "flow control can not be updated"),
    ];
    if let Some((_, text)) = fixed.iter().find(|(same, _)| !same) {
        return Err(ApiError::consumer_create(text));
    }
    if old.deliver_subject != new.deliver_subject {
        if old.is_pull() {
            let text = "can not update pull consumer to push based";
            return Err(ApiError::consumer_create(text));
        }
        if new.is_pull() {
            let text = "can not update push consumer to pull based";
            return Err(ApiError::consumer_create(text));
        }
        if consumers.is_bound(&old.deliver_subject) {
            return Err(ApiError::consumer_name_exist());
        }
    }
    if old.max_waiting != new.max_waiting {
        return Err(ApiError::consumer_create("max waiting can not be updated"));
    }
    rule::check_backoff(new)
}

fn check_count(context: &Context<'_>, limits: &JetStreamAccountLimits) -> Result<(), ApiError> {
    let mut most = context.stream.max_consumers;
    if most <= 0 || (limits.max_consumers > 0 && limits.max_consumers < most) {
        most = limits.max_consumers;
    }
    let counted = i64::try_from(context.consumers.counted()).unwrap_or(i64::MAX);
    if most > 0 && counted >= most {
        return Err(ApiError::maximum_consumers_limit());
    }
    Ok(())
}

fn check_work_queue(config: &ConsumerConfig, context: &Context<'_>) -> Result<(), ApiError> {
    let queue = context.stream.retention == RetentionPolicy::WorkQueue;
    if !queue || config.direct || config.sourcing {
        return Ok(());
    }
    if !matches!(config.ack_policy, AckPolicy::Explicit | AckPolicy::FlowControl) {
        return Err(ApiError::consumer_wq_requires_explicit_ack());
    }
    if config.deliver_policy != DeliverPolicy::All {
        return Err(ApiError::consumer_wq_consumer_not_deliver_all());
    }
    if context.consumers.counted() == 0 {
        return Ok(());
    }
    let filters = config.filters();
    if filters.is_empty() {
        return Err(ApiError::consumer_wq_multiple_unfiltered());
    }
    let name = if config.is_durable() { &config.durable_name } else { &config.name };
    if !context.consumers.is_free(&filters, name) {
        return Err(ApiError::consumer_wq_consumer_not_unique());
    }
    Ok(())
}

/// The name of a new consumer. One that the server thinks of does not show in the configuration.
fn name_of(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    random_name: &mut impl FnMut() -> String,
) -> Result<String, ApiError> {
    if config.is_durable() {
        if config.durable_name.len() > MAX_NAME {
            return Err(ApiError::consumer_name_too_long(MAX_NAME));
        }
        return Ok(config.durable_name.clone());
    }
    // The reference finds out when it cannot make the directory.
    let on_disk = stream.storage == StorageType::File && !config.mem_storage && !config.direct;
    if config.name.len() > MAX_NAME && on_disk {
        return Err(ApiError::consumer_create("error creating store for consumer"));
    }
    Ok(if config.name.is_empty() { random_name() } else { config.name.clone() })
}
