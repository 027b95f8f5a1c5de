//! Clients that come and go.
//!
//! Laws: what is `sent` and `received` is seen from the client (SYS-027).
//! Reference: events.go `ConnectEventMsg`, `DisconnectEventMsg`, `ClientInfo`.

use serde::Serialize;
use stdx::time::Timestamp;

use super::{Head, typed};
use crate::documents::account::MsgBytes;
use crate::json::{self, is_empty};

const CONNECT: &str = "io.nats.server.advisory.v1.client_connect";
const DISCONNECT: &str = "io.nats.server.advisory.v1.client_disconnect";

/// A client as events describe it, in the reference's order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientFacts {
    /// When it was accepted.
    #[serde(serialize_with = "json::time")]
    pub start: Timestamp,
    /// Its address.
    #[serde(skip_serializing_if = "is_empty")]
    pub host: String,
    /// Its number.
    #[serde(skip_serializing_if = "is_empty")]
    pub id: u64,
    /// Its account.
    #[serde(skip_serializing_if = "is_empty")]
    pub acc: String,
    /// Its user.
    #[serde(skip_serializing_if = "is_empty")]
    pub user: String,
    /// What it calls itself.
    #[serde(skip_serializing_if = "is_empty")]
    pub name: String,
    /// Its library's language.
    #[serde(skip_serializing_if = "is_empty")]
    pub lang: String,
    /// Its library's version.
    #[serde(skip_serializing_if = "is_empty")]
    pub ver: String,
    /// The last measured round trip, in nanoseconds; 0 where it is not told.
    #[serde(skip_serializing_if = "is_empty")]
    pub rtt: u64,
    /// When it went.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::time_or_zero")]
    pub stop: Option<Timestamp>,
    /// The JWT it showed.
    #[serde(skip_serializing_if = "is_empty")]
    pub jwt: String,
    /// Who signed that.
    #[serde(skip_serializing_if = "is_empty")]
    pub issuer_key: String,
    /// The account's tag; its name when it has none.
    #[serde(skip_serializing_if = "is_empty")]
    pub name_tag: String,
    /// Tags of its JWT.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `Client` or `Leafnode`.
    #[serde(skip_serializing_if = "is_empty")]
    pub kind: String,
    /// `nats`, `mqtt` or `websocket`.
    #[serde(skip_serializing_if = "is_empty")]
    pub client_type: String,
    /// Its MQTT client id.
    #[serde(skip_serializing_if = "is_empty")]
    pub client_id: String,
}

#[derive(Serialize)]
struct Connect<'a> {
    client: &'a ClientFacts,
}

/// A client logged in.
pub fn connected(head: &Head, server: &str, client: &ClientFacts) -> Vec<u8> {
    typed(CONNECT, head, server, Connect { client })
}

/// How a client left.
#[derive(Clone, Debug)]
pub struct Disconnected {
    /// The client.
    pub client: ClientFacts,
    /// What it sent.
    pub sent: MsgBytes,
    /// What it received.
    pub received: MsgBytes,
    /// Why it left.
    pub reason: String,
}

#[derive(Serialize)]
struct Disconnect<'a> {
    client: &'a ClientFacts,
    sent: MsgBytes,
    received: MsgBytes,
    reason: &'a str,
}

/// A client left, or was turned away.
pub fn disconnected(head: &Head, server: &str, gone: &Disconnected) -> Vec<u8> {
    let Disconnected { client, sent, received, reason } = gone;
    typed(DISCONNECT, head, server, Disconnect { client, sent: *sent, received: *received, reason })
}
