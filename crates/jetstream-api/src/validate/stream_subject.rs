//! What a stream stores and where it publishes again.

use std::collections::HashSet;

use stdx::go_text::quote;
use subject::{FilterSet, Transform, collides, is_subset, is_valid};

use super::stream::invalid;
use super::stream_source::check_mapping;
use crate::error::ApiError;
use crate::stream_config::StreamConfig;

/// Subjects of the server itself.
const API: [&[u8]; 3] = [b"$JS.>", b"$JSC.>", b"$NRG.>"];

pub(super) fn check_subjects(config: &mut StreamConfig) -> Result<(), ApiError> {
    if config.subjects.is_empty() {
        if config.mirror.is_none() && config.sources.is_empty() {
            config.subjects.push(config.name.clone());
        }
        return Ok(());
    }
    let valid = |s: &&String| is_valid(s.as_bytes());
    let all: FilterSet = config.subjects.iter().filter(valid).collect();
    let mut seen = HashSet::new();
    for (at, subject) in config.subjects.iter().enumerate() {
        if !is_valid(subject.as_bytes()) {
            return Err(invalid("invalid subject"));
        }
        if !seen.insert(subject) {
            return Err(invalid("duplicate subjects detected"));
        }
        if subject == ">" {
            check_everything(config)?;
        }
        if !config.no_ack {
            check_reserved(subject.as_bytes())?;
        }
        // It collides with itself.
        if all.collisions(subject.as_bytes(), 2) > 1 {
            check_overlap(subject, &config.subjects[at + 1..])?;
        }
    }
    Ok(())
}

fn check_overlap(subject: &str, others: &[String]) -> Result<(), ApiError> {
    let Some(other) = others.iter().find(|s| collides(s.as_bytes(), subject.as_bytes())) else {
        return Ok(());
    };
    let (one, other) = (quote(subject.as_bytes()), quote(other.as_bytes()));
    Err(invalid(format!("subject {one} overlaps with {other}")))
}

fn check_everything(config: &StreamConfig) -> Result<(), ApiError> {
    if !config.no_ack {
        return Err(invalid("capturing all subjects requires no-ack to be true"));
    }
    if config.num_replicas != 1 {
        return Err(invalid("capturing all subjects requires replicas of 1"));
    }
    Ok(())
}

/// An answer to a publisher on the server's own subjects would come back to the server.
fn check_reserved(subject: &[u8]) -> Result<(), ApiError> {
    let api = API.iter().any(|space| collides(subject, space));
    if api && !is_subset(subject, b"$JS.EVENT.>") {
        let text = "subjects that overlap with jetstream api require no-ack to be true";
        return Err(invalid(text));
    }
    if collides(subject, b"$SYS.>") && !is_subset(subject, b"$SYS.ACCOUNT.>") {
        return Err(invalid("subjects that overlap with system api require no-ack to be true"));
    }
    Ok(())
}

pub(super) fn check_transform(config: &StreamConfig) -> Result<(), ApiError> {
    let Some(transform) = &config.subject_transform else { return Ok(()) };
    if !transform.src.is_empty() && !is_valid(transform.src.as_bytes()) {
        let text = format!("invalid subject {}", transform.src);
        return Err(ApiError::stream_transform_invalid_source(text));
    }
    check_mapping(&transform.src, &transform.dest)
        .map_err(ApiError::stream_transform_invalid_destination)
}

pub(super) fn check_republish(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    let Some(republish) = &mut config.republish else { return Ok(()) };
    if republish.src.is_empty() {
        if pedantic {
            return Err(ApiError::pedantic("republish source can not be empty"));
        }
        republish.src = ">".to_owned();
    }
    // Everything to everything can only mean: as transformed, if that is what is stored.
    if republish.src == ">"
        && republish.dest == ">"
        && let Some(transform) = &config.subject_transform
        && matches!(config.subjects.as_slice(), [only] if *only == transform.src)
    {
        if pedantic {
            return Err(ApiError::pedantic("implicit republish based on subject transform"));
        }
        republish.src.clone_from(&transform.dest);
        republish.dest.clone_from(&transform.dest);
    }
    let (src, dest) = (&republish.src, &republish.dest);
    if config.subjects.iter().any(|s| collides(dest.as_bytes(), s.as_bytes())) {
        return Err(invalid("stream configuration for republish destination forms a cycle"));
    }
    if !dest.is_empty() && Transform::new(src, dest).is_err() {
        return Err(invalid(format!(
            "stream configuration for republish with transform from '{src}' to '{dest}' not valid"
        )));
    }
    Ok(())
}
