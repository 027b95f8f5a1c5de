//! Telling the system account of peers that OCSP keeps out.
//!
//! Reference: events.go sendOCSPPeerRejectEvent, sendOCSPPeerChainlinkInvalidEvent.
//! Contract: TLS-016.

use monitor::event::{CertificateFacts, Head, ocsp_link_invalid, ocsp_peer_rejected};
use net::ocsp::{Facts, Rejected};
use node::Node;
use std::sync::Arc;

/// What clients are turned away with.
const REASON: &str = "client not OCSP valid";

/// Tells of the link that is not good, and of the peer that is kept out.
pub(crate) fn rejected(node: &Arc<Node>, rejected: &Rejected) {
    let Rejected { peer, link, reason } = rejected;
    if peer.raw.is_empty() {
        stdx::error!(node.log(), "Peer certificate is nil, cannot send OCSP peer reject event");
        return;
    }
    let (peer, link, reason) = (facts(peer), facts(link), reason.clone());
    let id = node.broker.info().server_id.clone();
    node.system().post(move |context| {
        let head = Head { id: context.event_id(), at: context.now().wall };
        let server = context.server_json();
        let event = ocsp_link_invalid(&head, &server, &link, &peer, &reason);
        context.publish(format!("$SYS.SERVER.{id}.OCSP.PEER.LINK.INVALID").as_bytes(), &event);
        let head = Head { id: context.event_id(), at: context.now().wall };
        let server = context.server_json();
        let event = ocsp_peer_rejected(&head, &server, "Client", &peer, REASON);
        context.publish(format!("$SYS.SERVER.{id}.OCSP.PEER.CONN.REJECT").as_bytes(), &event);
    });
}

fn facts(of: &Facts) -> CertificateFacts {
    CertificateFacts {
        subject: of.subject.clone(),
        issuer: of.issuer.clone(),
        fingerprint: of.fingerprint.clone(),
        raw: data_encoding::BASE64.encode(&of.raw),
    }
}
