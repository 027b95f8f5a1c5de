//! The endpoints, and how often each was asked over HTTP (`http_req_stats` of `/varz`).
//!
//! Laws: a count never goes back; reading never blocks a request.
//! Reference: server.go `VarzPath` and its neighbours, `httpReqStats`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A monitoring endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the path it is named after, see `path`")]
pub enum Endpoint {
    Root,
    Varz,
    Connz,
    Routez,
    Gatewayz,
    Leafz,
    Subsz,
    Stacksz,
    Accountz,
    AccountStatz,
    Jsz,
    Healthz,
    IpQueuesz,
    Raftz,
    Expvarz,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 15] = [
        Self::Root,
        Self::Varz,
        Self::Connz,
        Self::Routez,
        Self::Gatewayz,
        Self::Leafz,
        Self::Subsz,
        Self::Stacksz,
        Self::Accountz,
        Self::AccountStatz,
        Self::Jsz,
        Self::Healthz,
        Self::IpQueuesz,
        Self::Raftz,
        Self::Expvarz,
    ];

    /// The path below the base path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Varz => "/varz",
            Self::Connz => "/connz",
            Self::Routez => "/routez",
            Self::Gatewayz => "/gatewayz",
            Self::Leafz => "/leafz",
            Self::Subsz => "/subsz",
            Self::Stacksz => "/stacksz",
            Self::Accountz => "/accountz",
            Self::AccountStatz => "/accstatz",
            Self::Jsz => "/jsz",
            Self::Healthz => "/healthz",
            Self::IpQueuesz => "/ipqueuesz",
            Self::Raftz => "/raftz",
            Self::Expvarz => "/debug/vars",
        }
    }

    /// The endpoint at `path` (below the base path), aliases included.
    pub(crate) fn at(path: &str) -> Option<Self> {
        if path == "/subscriptionsz" {
            return Some(Self::Subsz);
        }
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}

/// HTTP requests per endpoint since start. One per server, shared by its listeners.
#[derive(Debug, Default)]
pub struct RequestCounts {
    counts: [AtomicU64; Endpoint::ALL.len()],
}

impl RequestCounts {
    /// Counts one request.
    pub fn add(&self, endpoint: Endpoint) {
        if let Some(count) = self.counts.get(endpoint as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Paths that were asked at least once, in the order Go prints a map.
    pub(crate) fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        Endpoint::ALL
            .iter()
            .zip(&self.counts)
            .map(|(endpoint, count)| (endpoint.path(), count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
