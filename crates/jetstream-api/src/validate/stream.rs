//! Streams: what a create or an update asks for, and whether it may have it.
//!
//! Reference: jetstream_api.go `jsStreamCreateRequest`, `jsStreamUpdateRequest`; stream.go
//! `checkStreamCfg`, `configUpdateCheck`, `updateWithAdvisory`.

use std::sync::Arc;

use super::limits::{self, AccountLimits, ServerLimits, Used, reservation};
use super::name::{MAX_DESCRIPTION, MAX_METADATA, MAX_NAME, is_asset_name, metadata_len};
use super::{Streams, stream_source, stream_subject};
use crate::consumer_config::ConsumerConfig;
use crate::error::ApiError;
use crate::level;
use crate::stream_config::{
    DiscardPolicy, PersistMode, Placement, RetentionPolicy, StorageType, StreamConfig,
    StreamConfigRequest,
};
use crate::time::Nanos;

/// Replicas of one asset.
pub const MAX_REPLICAS: i64 = 5;
/// How long message ids are remembered if nothing is said.
pub const DUPLICATE_WINDOW: Nanos = Nanos::from_secs(120);

const SHORTEST: Nanos = Nanos::from_millis(100);

/// What rules look at beyond the configuration itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Of the server.
    pub server: &'a ServerLimits,
    /// What is reserved on the server.
    pub used: Used,
    /// Of the account.
    pub account: &'a AccountLimits,
    /// Of the account.
    pub streams: &'a dyn Streams,
    /// The server is part of a cluster.
    pub clustered: bool,
}

/// What a create comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// A stream with this configuration is to be made.
    New(Box<StreamConfig>),
    /// It is there already, and the same.
    Same(Arc<StreamConfig>),
}

/// Decides about `STREAM.CREATE.<name>`.
///
/// # Errors
/// What the answer carries.
pub fn create(
    name: &str,
    request: &StreamConfigRequest,
    context: &Context<'_>,
) -> Result<Created, ApiError> {
    let mut config = request.config.clone();
    level::stamp_stream(&mut config);
    if name != config.name {
        return Err(ApiError::stream_mismatch());
    }
    if name.contains(['\\', '/']) {
        return Err(ApiError::stream_name_contains_path_separators());
    }
    if config.sealed {
        return Err(invalid("stream configuration for create can not be sealed"));
    }
    if config.mirror_direct && config.mirror.is_none() {
        return Err(invalid("stream has no mirror but does have mirror direct"));
    }
    if !context.clustered {
        check_count(&config, context)?;
        if request.storage_given {
            check_reservation(&config, context)?;
        }
    }
    let mut config = check(&config, context, request.pedantic)?;
    if !context.clustered && config.num_replicas > 1 {
        return Err(ApiError::stream_replicas_not_supported());
    }
    if let Some(there) = context.streams.stream(name) {
        level::copy(&mut config.metadata, &there.metadata);
        return if config == *there {
            Ok(Created::Same(there))
        } else {
            Err(ApiError::stream_name_exist())
        };
    }
    check_reservation(&config, context)?;
    stream_source::check_filters(&config).map_err(ApiError::stream_create)?;
    if context.streams.overlaps(&config.subjects, name) {
        return Err(ApiError::stream_subject_overlap());
    }
    Ok(Created::New(Box::new(config)))
}

/// Decides about `STREAM.RESTORE.<name>`.
///
/// # Errors
/// What the answer carries.
pub fn restore(
    name: &str,
    config: &StreamConfig,
    context: &Context<'_>,
) -> Result<StreamConfig, ApiError> {
    if name != config.name {
        return Err(ApiError::stream_mismatch());
    }
    if name.contains(['\\', '/']) {
        return Err(ApiError::stream_name_contains_path_separators());
    }
    let config = check(config, context, false)?;
    if !context.clustered {
        check_count(&config, context)?;
        check_reservation(&config, context)?;
    }
    if context.streams.stream(name).is_some() {
        return Err(ApiError::stream_name_exist_restore_failed());
    }
    Ok(config)
}

/// Decides about a stream that [`restore`] let begin, once all of it is there.
///
/// # Errors
/// What the answer carries.
pub fn restored(config: &StreamConfig, context: &Context<'_>) -> Result<(), ApiError> {
    if context.streams.stream(&config.name).is_some() {
        return Err(ApiError::stream_name_exist_restore_failed());
    }
    if !context.clustered && config.num_replicas > 1 {
        return Err(ApiError::stream_replicas_not_supported());
    }
    check_reservation(config, context)?;
    stream_source::check_filters(config).map_err(ApiError::stream_create)?;
    if context.streams.overlaps(&config.subjects, &config.name) {
        return Err(ApiError::stream_subject_overlap());
    }
    Ok(())
}

/// How many streams an account may have.
fn check_count(config: &StreamConfig, context: &Context<'_>) -> Result<(), ApiError> {
    let (limits, tier) =
        context.account.select(config.num_replicas).ok_or_else(ApiError::no_limits)?;
    if limits.max_streams > 0 {
        let others = context.streams.count(&tier, config.num_replicas, &config.name);
        if i64::try_from(others).unwrap_or(i64::MAX) >= limits.max_streams {
            return Err(ApiError::maximum_streams_limit());
        }
    }
    Ok(())
}

fn check_reservation(config: &StreamConfig, context: &Context<'_>) -> Result<(), ApiError> {
    let (limits, tier) =
        context.account.select(config.num_replicas).ok_or_else(ApiError::no_limits)?;
    let reserved =
        context.streams.reserved(&tier, config.num_replicas, config.storage, &config.name);
    limits::check(limits, &tier, config, context.server, context.used, reserved)
}

/// Fills in what was left open and refuses what cannot be.
///
/// # Errors
/// The first rule that is broken.
pub fn check(
    config: &StreamConfig,
    context: &Context<'_>,
    pedantic: bool,
) -> Result<StreamConfig, ApiError> {
    check_texts(config)?;
    let mut config = config.clone();
    check_replicas(&mut config)?;
    unlimited(&mut config, pedantic)?;
    check_age(&config)?;
    check_duplicates(&mut config, context.server.duplicate_window, pedantic)?;
    check_features(&mut config, pedantic)?;
    check_persistence(&config)?;
    stream_source::check(&mut config, context.streams, pedantic)?;
    stream_subject::check_subjects(&mut config)?;
    check_max_bytes(&config, context.account)?;
    stream_subject::check_transform(&config)?;
    stream_subject::check_republish(&mut config, pedantic)?;
    if config.placement.as_deref() == Some(&Placement::default()) {
        config.placement = None;
    }
    if config.placement.as_ref().is_some_and(|p| !p.preferred.is_empty()) {
        return Err(invalid("preferred server not permitted in placement"));
    }
    Ok(config)
}

/// A configuration that cannot be, for a reason without an error of its own.
pub(crate) fn invalid(text: impl std::fmt::Display) -> ApiError {
    ApiError::stream_invalid_config(text)
}

fn check_texts(config: &StreamConfig) -> Result<(), ApiError> {
    if !is_asset_name(&config.name) {
        return Err(invalid(
            r"stream name is required and can not contain '.', '*', '>', '\', '/'",
        ));
    }
    if config.name.len() > MAX_NAME {
        return Err(invalid(format!("stream name is too long, maximum allowed is {MAX_NAME}")));
    }
    if config.description.len() > MAX_DESCRIPTION {
        return Err(invalid(format!(
            "stream description is too long, maximum allowed is {MAX_DESCRIPTION}"
        )));
    }
    if metadata_len(&config.metadata) > MAX_METADATA {
        return Err(invalid(format!(
            "stream metadata exceeds maximum size of {MAX_METADATA} bytes"
        )));
    }
    Ok(())
}

fn check_replicas(config: &mut StreamConfig) -> Result<(), ApiError> {
    match config.num_replicas {
        0 => config.num_replicas = 1,
        1..=MAX_REPLICAS => {}
        ..0 => return Err(ApiError::replicas_count_cannot_be_negative()),
        _ => return Err(invalid(format!("maximum replicas is {MAX_REPLICAS}"))),
    }
    Ok(())
}

/// -1 is the only spelling of "no limit" from here on.
fn unlimited(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    let mut size = i64::from(config.max_msg_size);
    let limits = [
        ("max_msgs", &mut config.max_msgs),
        ("max_msgs_per_subject", &mut config.max_msgs_per_subject),
        ("max_bytes", &mut config.max_bytes),
        ("max_msg_size", &mut size),
        ("max_consumers", &mut config.max_consumers),
    ];
    for (name, limit) in limits {
        if *limit < -1 && pedantic {
            return Err(ApiError::pedantic(format!("{name} must be set to -1")));
        }
        if *limit == 0 || *limit < -1 {
            *limit = -1;
        }
    }
    config.max_msg_size = i32::try_from(size).unwrap_or(-1);
    Ok(())
}

fn check_age(config: &StreamConfig) -> Result<(), ApiError> {
    if config.max_age < Nanos::ZERO {
        return Err(invalid("max age can not be negative"));
    }
    if config.max_age != Nanos::ZERO && config.max_age < SHORTEST {
        return Err(invalid("max age needs to be >= 100ms"));
    }
    Ok(())
}

fn check_duplicates(
    config: &mut StreamConfig,
    most: Nanos,
    pedantic: bool,
) -> Result<(), ApiError> {
    let aged = config.max_age != Nanos::ZERO;
    let own = config.mirror.is_none() && config.sources.is_empty();
    if config.duplicate_window == Nanos::ZERO && own {
        let mut window = DUPLICATE_WINDOW;
        if most > Nanos::ZERO && window > most {
            if pedantic {
                let text = "duplicate window limits are higher than current limits";
                return Err(ApiError::pedantic(text));
            }
            window = most;
        }
        if aged && config.max_age < window {
            if pedantic {
                return Err(ApiError::pedantic("duplicate window cannot be bigger than max age"));
            }
            window = config.max_age;
        }
        config.duplicate_window = window;
    }
    let window = config.duplicate_window;
    if window < Nanos::ZERO {
        return Err(invalid("duplicates window can not be negative"));
    }
    if aged && window > config.max_age {
        return Err(invalid("duplicates window can not be larger then max age"));
    }
    if most > Nanos::ZERO && window > most {
        return Err(invalid(format!(
            "duplicates window can not be larger then server limit of {most}"
        )));
    }
    if window > Nanos::ZERO && window < SHORTEST {
        return Err(invalid("duplicates window needs to be >= 100ms"));
    }
    Ok(())
}

/// Which features go together.
fn check_features(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    if config.deny_purge && config.allow_rollup_hdrs {
        return Err(invalid("roll-ups require the purge permission"));
    }
    check_counter(config)?;
    check_discard_new_per_subject(config)?;
    check_delete_marker(config, pedantic)?;
    if config.allow_msg_schedules {
        if config.discard == DiscardPolicy::New {
            return Err(invalid("message scheduling cannot use discard new"));
        }
        let refusal = "message scheduling cannot be set if roll-ups are disabled";
        force_rollups(config, pedantic, refusal)?;
    }
    Ok(())
}

fn check_counter(config: &StreamConfig) -> Result<(), ApiError> {
    if !config.allow_msg_counter {
        return Ok(());
    }
    if config.discard == DiscardPolicy::New {
        return Err(invalid("counter stream cannot use discard new"));
    }
    if config.allow_msg_ttl {
        return Err(invalid("counter stream cannot use message TTLs"));
    }
    if config.allow_msg_schedules {
        return Err(invalid("counter stream cannot use message schedules"));
    }
    if config.retention != RetentionPolicy::Limits {
        return Err(invalid("counter stream can only use limits retention"));
    }
    Ok(())
}

fn check_discard_new_per_subject(config: &StreamConfig) -> Result<(), ApiError> {
    if !config.discard_new_per_subject {
        return Ok(());
    }
    if config.discard != DiscardPolicy::New {
        return Err(invalid("discard new per subject requires discard new policy to be set"));
    }
    if config.max_msgs_per_subject <= 0 {
        return Err(invalid("discard new per subject requires max msgs per subject > 0"));
    }
    Ok(())
}

fn check_delete_marker(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    let ttl = config.subject_delete_marker_ttl;
    if ttl < Nanos::ZERO {
        return Err(invalid("subject delete marker TTL must not be negative"));
    }
    if ttl == Nanos::ZERO {
        return Ok(());
    }
    if ttl < Nanos::from_secs(1) {
        return Err(invalid("subject delete marker TTL must be at least 1 second"));
    }
    if !config.allow_msg_ttl {
        if pedantic {
            let text = "subject delete marker cannot be set if message TTLs are disabled";
            return Err(invalid(text));
        }
        config.allow_msg_ttl = true;
    }
    let refusal = "subject delete marker cannot be set if roll-ups are disabled";
    force_rollups(config, pedantic, refusal)
}

fn force_rollups(config: &mut StreamConfig, pedantic: bool, refusal: &str) -> Result<(), ApiError> {
    if !config.allow_rollup_hdrs {
        if pedantic {
            return Err(invalid(refusal));
        }
        config.allow_rollup_hdrs = true;
        config.deny_purge = false;
    }
    Ok(())
}

fn check_persistence(config: &StreamConfig) -> Result<(), ApiError> {
    if config.persist_mode != PersistMode::Async {
        return Ok(());
    }
    if config.storage != StorageType::File {
        return Err(invalid("async persist mode is only supported on file storage"));
    }
    if config.num_replicas > 1 {
        return Err(invalid("async persist mode is not supported on replicated streams"));
    }
    if config.allow_atomic {
        return Err(invalid("async persist mode is not supported with atomic batch publish"));
    }
    Ok(())
}

fn check_max_bytes(config: &StreamConfig, account: &AccountLimits) -> Result<(), ApiError> {
    let Some((limits, _)) = account.select(config.num_replicas) else { return Ok(()) };
    let most = match config.storage {
        StorageType::Memory => limits.memory_max_stream_bytes,
        StorageType::File => limits.storage_max_stream_bytes,
    };
    if limits.max_bytes_required && config.max_bytes <= 0 {
        return Err(ApiError::stream_max_bytes_required());
    }
    if most > 0 && config.max_bytes > most {
        return Err(ApiError::stream_max_stream_bytes_exceeded());
    }
    Ok(())
}

/// Decides about `STREAM.UPDATE.<name>`. `consumers` are the stream's, for limits that get
/// tighter.
///
/// # Errors
/// What the answer carries.
pub fn update<'c>(
    name: &str,
    request: &StreamConfigRequest,
    consumers: impl IntoIterator<Item = (&'c str, &'c ConsumerConfig)>,
    context: &Context<'_>,
) -> Result<StreamConfig, ApiError> {
    let mut config = check(&request.config, context, request.pedantic)?;
    if name != config.name {
        return Err(ApiError::stream_mismatch());
    }
    let old = context.streams.stream(name).ok_or_else(ApiError::stream_not_found)?;
    level::stamp_stream(&mut config);
    let config = change(&old, &config, context, request.pedantic)?;
    check_consumers(&old, &config, consumers)?;
    if context.streams.overlaps(&config.subjects, name) {
        return Err(ApiError::stream_subject_overlap());
    }
    Ok(config)
}

/// Turns `old` into `new`, as far as that is allowed.
///
/// # Errors
/// The first rule that is broken.
pub fn change(
    old: &StreamConfig,
    new: &StreamConfig,
    context: &Context<'_>,
    pedantic: bool,
) -> Result<StreamConfig, ApiError> {
    let mut config = check(new, context, pedantic)?;
    check_change(old, &config)?;
    // Also when pedantic: a sealed stream is worth more than the letter.
    if config.sealed {
        config.max_age = Nanos::ZERO;
        config.discard = DiscardPolicy::New;
        config.deny_delete = true;
        config.deny_purge = true;
        config.allow_rollup_hdrs = false;
    }
    check_growth(old, &config, context)?;
    Ok(config)
}

fn check_change(old: &StreamConfig, new: &StreamConfig) -> Result<(), ApiError> {
    if new.name != old.name {
        return Err(invalid("stream configuration name must match original"));
    }
    if new.storage != old.storage {
        return Err(invalid("stream configuration update can not change storage type"));
    }
    let queue = RetentionPolicy::WorkQueue;
    if new.retention != old.retention && (new.retention == queue || old.retention == queue) {
        return Err(invalid(
            "stream configuration update can not change retention policy to/from workqueue",
        ));
    }
    if old.sealed && !new.sealed {
        return Err(invalid("stream configuration update can not unseal a sealed stream"));
    }
    if old.deny_delete && !new.deny_delete {
        return Err(invalid("stream configuration update can not cancel deny message deletes"));
    }
    if old.deny_purge && !new.deny_purge {
        return Err(invalid("stream configuration update can not cancel deny purge"));
    }
    if new.mirror.is_some() && new.mirror != old.mirror {
        return Err(ApiError::stream_mirror_not_updatable());
    }
    check_discard_new_per_subject(new)?;
    if old.allow_msg_ttl && !new.allow_msg_ttl {
        return Err(invalid("message TTL status can not be disabled"));
    }
    if new.allow_msg_counter != old.allow_msg_counter {
        let text = "stream configuration update can not change message counter setting";
        return Err(invalid(text));
    }
    if old.allow_msg_schedules && !new.allow_msg_schedules {
        return Err(invalid("message schedules can not be disabled"));
    }
    if new.persist_mode != old.persist_mode {
        return Err(invalid("stream configuration update can not change persist mode"));
    }
    Ok(())
}

/// Only what `max_bytes` grows by must be there.
fn check_growth(
    old: &StreamConfig,
    new: &StreamConfig,
    context: &Context<'_>,
) -> Result<(), ApiError> {
    let account = context.account;
    let (limits, tier) = account
        .select(new.num_replicas)
        .or_else(|| account.select(old.num_replicas))
        .ok_or_else(ApiError::no_limits)?;
    let growth = (new.max_bytes.max(0) - old.max_bytes.max(0)).max(0);
    let others = context.streams.reserved(&tier, new.num_replicas, new.storage, &new.name);
    let kept = reservation(&tier, new.num_replicas, new.max_bytes.saturating_sub(growth));
    let reserved = others.saturating_add(kept);
    let grown = StreamConfig { max_bytes: growth, ..new.clone() };
    limits::check(limits, &tier, &grown, context.server, context.used, reserved)
}

fn check_consumers<'c>(
    old: &StreamConfig,
    new: &StreamConfig,
    consumers: impl IntoIterator<Item = (&'c str, &'c ConsumerConfig)>,
) -> Result<(), ApiError> {
    let (was, is) = (old.consumer_limits, new.consumer_limits);
    let idle = is.inactive_threshold;
    let pending = is.max_ack_pending;
    let changed = (idle > Nanos::ZERO && idle != was.inactive_threshold)
        || (pending > 0 && pending != was.max_ack_pending);
    if !changed {
        return Ok(());
    }
    let violated: Vec<&str> = consumers
        .into_iter()
        .filter(|(_, consumer)| {
            (idle > Nanos::ZERO && consumer.inactive_threshold > idle)
                || (pending > 0 && consumer.max_ack_pending > pending)
        })
        .map(|(name, _)| name)
        .collect();
    if violated.is_empty() {
        return Ok(());
    }
    let names = violated.join(", ");
    Err(ApiError::stream_update(format!("change to limits violates consumers: {names}")))
}
