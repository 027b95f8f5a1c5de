//! One file per document: its options, its facts, its fields in order.

pub(crate) mod account;
pub(crate) mod connz;
pub(crate) mod expvar;
pub(crate) mod gatewayz;
pub(crate) mod healthz;
pub(crate) mod jsz;
pub(crate) mod leafz;
pub(crate) mod metrics;
pub(crate) mod queuez;
pub(crate) mod root;
pub(crate) mod routez;
pub(crate) mod subsz;
pub(crate) mod varz;

/// The part of `len` items that a page shows, as `start..end` within `0..=len`.
///
/// Laws: cannot overflow, whatever the two numbers are (a published advisory against the
/// reference was `offset + limit` wrapping around).
pub(crate) fn page(len: usize, offset: i64, limit: i64) -> std::ops::Range<usize> {
    let start = usize::try_from(offset.max(0)).unwrap_or(usize::MAX).min(len);
    let count = usize::try_from(limit.max(0)).unwrap_or(usize::MAX).min(len - start);
    start..start + count
}
