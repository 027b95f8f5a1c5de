//! Who made a request, as advisories and the server's own headers say it.
//!
//! Reference: events.go `ClientInfo`.

use stdx::time::Timestamp;

use crate::json::{Duration, List, Some_, Text, Time, Uint64, document};
use crate::time::Nanos;

/// A client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// When it connected.
    pub start: Option<Timestamp>,
    /// Its address.
    pub host: String,
    /// Its id on its server.
    pub id: u64,
    /// Its account.
    pub acc: String,
    /// The account of the service that it called.
    pub svc: String,
    /// Its user.
    pub user: String,
    /// Its name.
    pub name: String,
    /// Its library's language.
    pub lang: String,
    /// Its library's version.
    pub ver: String,
    /// Time to it and back.
    pub rtt: Nanos,
    /// Its server.
    pub server: String,
    /// Its cluster.
    pub cluster: String,
    /// Clusters that it may be served from.
    pub alts: Vec<String>,
    /// When it went.
    pub stop: Option<Timestamp>,
    /// Its token.
    pub jwt: String,
    /// Who signed that.
    pub issuer_key: String,
    /// The account's name tag.
    pub name_tag: String,
    /// Tags of its user.
    pub tags: Vec<String>,
    /// Client, leaf node and so on.
    pub kind: String,
    /// NATS, MQTT or websocket.
    pub client_type: String,
    /// Its id in MQTT.
    pub client_id: String,
    /// What it signed.
    pub nonce: String,
    /// Where the answer goes in the end.
    pub reply: String,
}

document!(ClientInfo as "ClientInfo" {
    start: Some_<Time>, omit;
    host: Text, omit;
    id: Uint64, omit;
    acc: Text, omit;
    svc: Text, omit;
    user: Text, omit;
    name: Text, omit;
    lang: Text, omit;
    ver: Text, omit;
    rtt: Duration, omit;
    server: Text, omit;
    cluster: Text, omit;
    alts: List<Text>, omit;
    stop: Some_<Time>, omit;
    jwt: Text, omit;
    issuer_key: Text, omit;
    name_tag: Text, omit;
    tags: List<Text>, omit;
    kind: Text, omit;
    client_type: Text, omit;
    client_id: Text, omit;
    nonce: Text, omit;
    reply: Text, omit;
});
