//! The system account, by what its users see: answers and events, written down with what changes
//! from run to run taken out, and compared with what the reference answers.
//!
//! The golden files are the reference's own words (`UPDATE=1` with `NATS_PEER` set writes them);
//! ours must say the same, and the reference must still, where it is at hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod events;
mod jetstream;
mod requests;
mod single;

use serde_json::json;
use testkit::binary::{Which, peer_of_version};
use testkit::client::Client;
use testkit::frame::{Frame, Msg};
use testkit::server::Server;

/// The system account, an account with an unlimited and a limited user, and the global one.
const CONFIG: &str = r#"
server_name: s1
server_tags: ["eu", "az:1"]
accounts {
  SYS { users: [{user: sys, password: pw}] }
  A {
    users: [
      {user: a, password: pw}
      {user: lim, password: pw, permissions: {
        publish: ["x", "$SYS.REQ.USER.INFO"]
        subscribe: {allow: ["_INBOX.>"], deny: "z"}
        allow_responses: true
      }}
    ]
  }
}
system_account: SYS
"#;

fn connect(server: &Server, user: &str) -> Client {
    server.client_with(&json!({"user": user, "pass": "pw"}))
}

/// Waits until what the server was told before is told to who listens: it answers in that order.
fn settle(client: &mut Client) {
    client.sub("_INBOX.settle", 99);
    ask(client, "$SYS.REQ.USER.INFO", "_INBOX.settle", "", "");
    message(client).unwrap();
    client.send("UNSUB 99\r\n");
}

/// The server's id, as its INFO says it.
fn id(client: &Client) -> String {
    client.info["server_id"].as_str().unwrap().to_owned()
}

/// Sends a request whose answer comes to `inbox`.
fn ask(client: &mut Client, subject: &str, inbox: &str, header: &str, body: &str) {
    let (h, all) = (header.len(), header.len() + body.len());
    client.send(if header.is_empty() {
        format!("PUB {subject} {inbox} {all}\r\n{body}\r\n")
    } else {
        format!("HPUB {subject} {inbox} {h} {all}\r\n{header}{body}\r\n")
    });
}

/// The next message, or the line that came instead.
fn message(client: &mut Client) -> Result<Msg, String> {
    match client.frame() {
        Frame::Msg(message) => Ok(message),
        other => Err(other.to_string()),
    }
}

/// Runs `scene` with our server, and with the peer if there is one, and compares each with the
/// golden file, which the peer writes.
fn play(name: &str, config: &str, scene: impl Fn(&Server) -> String) {
    let path = format!("testdata/system/{name}.txt");
    let start = |which| Server::builder(which).config(config).start();
    let updating = std::env::var_os("UPDATE").is_some();
    if peer_of_version("2.14", name).is_some() {
        testkit::golden::golden(&path, &scene(&start(Which::Peer)));
    }
    let ours = scene(&start(Which::Ours));
    if updating {
        let written = std::fs::read_to_string(&path).unwrap();
        let difference = testkit::golden::difference(&written, &ours);
        assert_eq!(difference, None, "{name}: only the peer writes golden files");
    } else {
        testkit::golden::golden(&path, &ours);
    }
}
