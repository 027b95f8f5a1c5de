//! Peers that OCSP keeps out.
//!
//! Reference: events.go `OCSPPeerRejectEventMsg`, `OCSPPeerChainlinkInvalidEventMsg`.

use serde::Serialize;
use serde_json::value::RawValue;
use stdx::time::Timestamp;

use super::Head;
use crate::json::{self, is_empty};

const REJECT: &str = "io.nats.server.advisory.v1.ocsp_peer_reject";
const LINK_INVALID: &str = "io.nats.server.advisory.v1.ocsp_peer_link_invalid";

/// A certificate as events describe it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CertificateFacts {
    /// Its subject.
    #[serde(skip_serializing_if = "is_empty")]
    pub subject: String,
    /// Who signed it.
    #[serde(skip_serializing_if = "is_empty")]
    pub issuer: String,
    /// Base64 of its SHA-256.
    #[serde(skip_serializing_if = "is_empty")]
    pub fingerprint: String,
    /// Base64 of its DER.
    #[serde(skip_serializing_if = "is_empty")]
    pub raw: String,
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    id: &'a str,
    #[serde(serialize_with = "json::time")]
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a CertificateFacts>,
    peer: &'a CertificateFacts,
    server: &'a RawValue,
    reason: &'a str,
}

/// A connection of `kind` was turned away; empty if `server` is no JSON.
pub fn ocsp_peer_rejected(
    head: &Head,
    server: &str,
    kind: &str,
    peer: &CertificateFacts,
    reason: &str,
) -> Vec<u8> {
    write(REJECT, head, server, Some(kind), None, peer, reason)
}

/// A certificate of a peer's chain is not good; empty if `server` is no JSON.
pub fn ocsp_link_invalid(
    head: &Head,
    server: &str,
    link: &CertificateFacts,
    peer: &CertificateFacts,
    reason: &str,
) -> Vec<u8> {
    write(LINK_INVALID, head, server, None, Some(link), peer, reason)
}

fn write(
    event_type: &'static str,
    head: &Head,
    server: &str,
    kind: Option<&str>,
    link: Option<&CertificateFacts>,
    peer: &CertificateFacts,
    reason: &str,
) -> Vec<u8> {
    let Ok(server) = serde_json::from_str(server) else { return Vec::new() };
    let (id, timestamp) = (&head.id, head.at);
    json::compact(&Event { event_type, id, timestamp, kind, link, peer, server, reason })
}
