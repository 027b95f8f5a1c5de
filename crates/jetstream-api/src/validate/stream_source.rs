//! Mirrors and sources: what they may ask for, and that no message comes back to where it was.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use subject::{Transform, collides, is_literal, is_subset, is_valid, is_valid_publish};

use super::Streams;
use super::name::{consumer_source_key, is_asset_name, source_index_name};
use super::stream::invalid;
use crate::error::ApiError;
use crate::stream_config::{StreamConfig, StreamConsumerSource, StreamSource};

/// What a source or mirror uses outside of this account.
#[derive(Default)]
struct Outside {
    /// Subjects of the streams drawn from, as far as they can be seen.
    subjects: Vec<String>,
    deliver: Vec<String>,
    api: Vec<String>,
}

impl Outside {
    fn add(&mut self, source: &StreamSource) {
        let Some(external) = &source.external else { return };
        if !external.deliver.is_empty() {
            self.deliver.push(external.deliver.clone());
        }
        if !external.api.is_empty() {
            self.api.push(external.api.clone());
        }
    }
}

pub(super) fn check(
    config: &mut StreamConfig,
    streams: &dyn Streams,
    pedantic: bool,
) -> Result<(), ApiError> {
    let mut outside = Outside::default();
    if let Some(mirror) = config.mirror.clone() {
        check_mirror(config, &mirror)?;
        check_mirror_origin(config, &mirror, streams, pedantic, &mut outside)?;
    }
    if !config.sources.is_empty() && config.allow_msg_schedules {
        return Err(ApiError::source_with_msg_schedules());
    }
    check_sources(config, streams, &mut outside)?;
    check_outside(&outside)?;
    check_cycle(config, streams)
}

fn check_mirror(config: &StreamConfig, mirror: &StreamSource) -> Result<(), ApiError> {
    if config.first_seq > 0 {
        return Err(ApiError::mirror_with_first_seq());
    }
    if !config.subjects.is_empty() {
        return Err(ApiError::mirror_with_subjects());
    }
    if !config.sources.is_empty() {
        return Err(ApiError::mirror_with_sources());
    }
    if config.allow_msg_counter {
        return Err(ApiError::mirror_with_counters());
    }
    if config.allow_atomic {
        return Err(ApiError::mirror_with_atomic_publish());
    }
    if config.allow_batched {
        return Err(ApiError::mirror_with_batch_publish());
    }
    if config.allow_msg_schedules {
        return Err(ApiError::mirror_with_msg_schedules());
    }
    if mirror.consumer.as_ref().is_some_and(|consumer| !is_sourcing(consumer, mirror)) {
        return Err(ApiError::mirror_durable_consumer_cfg_invalid());
    }
    if !mirror.filter_subject.is_empty() && !mirror.subject_transforms.is_empty() {
        return Err(ApiError::mirror_multiple_filters_not_allowed());
    }
    if config.subject_delete_marker_ttl.0 > 0 {
        return Err(invalid("subject delete markers forbidden on mirrors"));
    }
    for (at, transform) in mirror.subject_transforms.iter().enumerate() {
        if !transform.src.is_empty() && !is_valid(transform.src.as_bytes()) {
            let text = format!("invalid subject {}", transform.src);
            return Err(ApiError::mirror_invalid_subject_filter(text));
        }
        check_mapping(&transform.src, &transform.dest)
            .map_err(ApiError::mirror_invalid_transform_destination)?;
        let hits = |other: &crate::SubjectTransformConfig| {
            collides(transform.src.as_bytes(), other.src.as_bytes())
        };
        if others(&mirror.subject_transforms, at).any(hits) {
            return Err(ApiError::mirror_overlapping_subject_filters());
        }
    }
    Ok(())
}

/// Everything but the element at `at`.
fn others<T>(all: &[T], at: usize) -> impl Iterator<Item = &T> {
    all.iter().enumerate().filter(move |(i, _)| *i != at).map(|(_, element)| element)
}

/// True for a durable consumer that can be drawn from.
fn is_sourcing(consumer: &StreamConsumerSource, source: &StreamSource) -> bool {
    let deliver = consumer.deliver_subject.as_bytes();
    is_asset_name(&consumer.name)
        && is_literal(deliver)
        && is_valid(deliver)
        && source.opt_start_seq == 0
        && source.opt_start_time.is_none()
        && source.filter_subject.is_empty()
}

/// A destination that can be made from the source; an empty one changes nothing.
pub(super) fn check_mapping(src: &str, dest: &str) -> Result<(), subject::TransformError> {
    if dest.is_empty() {
        return Ok(());
    }
    Transform::for_mapping(if src.is_empty() { ">" } else { src }, dest).map(|_| ())
}

fn check_mirror_origin(
    config: &mut StreamConfig,
    mirror: &StreamSource,
    streams: &dyn Streams,
    pedantic: bool,
    outside: &mut Outside,
) -> Result<(), ApiError> {
    if mirror.external.is_some() {
        outside.add(mirror);
        return Ok(());
    }
    if !is_asset_name(&mirror.name) {
        return Err(ApiError::mirror_invalid_stream_name());
    }
    let Some(origin) = streams.stream(&mirror.name) else { return Ok(()) };
    outside.subjects.extend_from_slice(&origin.subjects);
    if is_smaller(config, &origin) {
        return Err(ApiError::mirror_max_message_size_too_big());
    }
    if pedantic && config.mirror_direct != origin.allow_direct {
        let text = "origin stream has direct get set, mirror has it disabled";
        return Err(ApiError::pedantic(text));
    }
    config.mirror_direct = origin.allow_direct;
    Ok(())
}

fn is_smaller(config: &StreamConfig, origin: &StreamConfig) -> bool {
    config.max_msg_size > 0 && origin.max_msg_size > 0 && config.max_msg_size < origin.max_msg_size
}

fn check_sources(
    config: &StreamConfig,
    streams: &dyn Streams,
    outside: &mut Outside,
) -> Result<(), ApiError> {
    let mut names = HashSet::new();
    let mut consumers = HashSet::new();
    for source in &config.sources {
        if !is_asset_name(&source.name) {
            return Err(ApiError::source_invalid_stream_name());
        }
        if !names.insert(source_index_name(source)) {
            return Err(ApiError::source_duplicate_detected());
        }
        check_source_filters(source)?;
        if let Some(consumer) = &source.consumer {
            if !is_sourcing(consumer, source) {
                return Err(ApiError::source_durable_consumer_cfg_invalid());
            }
            if !consumers.insert(consumer_source_key(source)) {
                return Err(ApiError::source_durable_consumer_duplicate_detected());
            }
        }
        if source.external.is_some() {
            outside.add(source);
        } else if let Some(origin) = streams.stream(&source.name) {
            outside.subjects.extend_from_slice(&origin.subjects);
            if is_smaller(config, &origin) {
                return Err(ApiError::source_max_message_size_too_big());
            }
        }
    }
    Ok(())
}

fn check_source_filters(source: &StreamSource) -> Result<(), ApiError> {
    let transforms = &source.subject_transforms;
    if !source.filter_subject.is_empty() && !transforms.is_empty() {
        return Err(ApiError::source_multiple_filters_not_allowed());
    }
    for transform in transforms {
        if !transform.src.is_empty() && !is_valid(transform.src.as_bytes()) {
            let text = format!("invalid subject {}", transform.src);
            return Err(ApiError::source_invalid_subject_filter(text));
        }
        check_mapping(&transform.src, &transform.dest)
            .map_err(ApiError::source_invalid_transform_destination)?;
    }
    for (at, transform) in transforms.iter().enumerate() {
        let hits = |other: &crate::SubjectTransformConfig| {
            is_subset(transform.src.as_bytes(), other.src.as_bytes())
        };
        if others(transforms, at).any(hits) {
            return Err(ApiError::source_overlapping_subject_filters());
        }
    }
    Ok(())
}

fn check_outside(outside: &Outside) -> Result<(), ApiError> {
    for prefix in &outside.deliver {
        if !is_valid_publish(prefix.as_bytes()) {
            return Err(ApiError::stream_invalid_external_delivery_subj(prefix));
        }
        for subject in &outside.subjects {
            if collides(subject.as_bytes(), format!("{prefix}.{subject}").as_bytes()) {
                return Err(ApiError::stream_external_del_prefix_overlaps(prefix, subject));
            }
        }
    }
    for prefix in &outside.api {
        if !is_valid_publish(prefix.as_bytes()) {
            let quoted = stdx::go_text::quote(prefix.as_bytes());
            return Err(invalid(format!(
                "stream external api prefix {quoted} must be a valid subject without wildcards"
            )));
        }
        if collides(prefix.as_bytes(), b"$JS.API") {
            return Err(ApiError::stream_external_api_overlap(prefix, "$JS.API"));
        }
    }
    Ok(())
}

/// Walks from stream to stream as messages flow back.
fn check_cycle(config: &StreamConfig, streams: &dyn Streams) -> Result<(), ApiError> {
    let mut visited = HashSet::new();
    let mut ahead = VecDeque::from([Arc::new(config.clone())]);
    while let Some(at) = ahead.pop_front() {
        visited.insert(at.name.clone());
        for source in at.sources.iter().filter(|s| s.external.is_none()) {
            if visited.contains(&source.name) {
                if takes(&at.subjects, &source.filter_subject) {
                    return Err(invalid("detected cycle"));
                }
            } else {
                ahead.extend(streams.stream(&source.name));
            }
        }
        if let Some(mirror) = at.mirror.as_ref().filter(|m| m.external.is_none()) {
            if visited.contains(&mirror.name) {
                return Err(invalid("detected cycle"));
            }
            ahead.extend(streams.stream(&mirror.name));
        }
    }
    Ok(())
}

fn takes(subjects: &[String], filter: &str) -> bool {
    filter.is_empty() || subjects.iter().any(|s| collides(s.as_bytes(), filter.as_bytes()))
}

/// Filters that only a create looks at, after everything else; the text is the whole complaint.
pub(super) fn check_filters(config: &StreamConfig) -> Result<(), String> {
    let bad = |source: &&StreamSource| {
        source.subject_transforms.is_empty()
            && !source.filter_subject.is_empty()
            && !is_valid(source.filter_subject.as_bytes())
    };
    if let Some(mirror) = config.mirror.as_deref().filter(bad) {
        let filter = &mirror.filter_subject;
        return Err(format!("subject filter '{filter}' for the mirror invalid subject"));
    }
    match config.sources.iter().find(bad) {
        Some(source) => {
            let filter = &source.filter_subject;
            Err(format!("subject filter '{filter}' for the source: invalid subject"))
        }
        None => Ok(()),
    }
}
