//! Those who take their time, or never come back.

use abuse::bystander::Bystander;
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::certs::Authority;
use testkit::client::NoFrame;
use testkit::{Client, DEADLINE, Server, ServerBuilder, Which, eventually};

const DRIP: Duration = Duration::from_millis(5);

fn reason(server: &Server, id: u64) -> String {
    eventually(DEADLINE, "a line in the list of closed connections", || {
        let closed = server.json(&format!("/connz?state=closed&cid={id}"));
        closed["connections"][0]["reason"].as_str().map(str::to_owned)
    })
}

/// Sends one byte after the other, again and again, until the server ends it; returns what it said
/// and how long it took.
fn drip(client: &mut Client, bytes: &[u8]) -> (Vec<String>, Duration) {
    let (start, mut said) = (Instant::now(), Vec::new());
    for byte in bytes.iter().cycle() {
        let _ = client.try_send([*byte]);
        match client.try_frame(DRIP) {
            Ok(frame) => said.push(frame.to_string()),
            Err(NoFrame::Timeout) => {}
            Err(NoFrame::Closed | NoFrame::Cut) => break,
        }
        assert!(start.elapsed() < DEADLINE, "it drips on and on");
    }
    (said, start.elapsed())
}

// Contract: CORE-023
#[test]
fn a_connect_byte_by_byte_does_not_outlive_the_time_for_it() {
    let config = "authorization { user: u, password: p, timeout: 0.3 }";
    let server = ServerBuilder::new(Which::Ours).monitoring().config(config).start();
    let bystander = Bystander::start(server.addr(), &json!({"user": "u", "pass": "p"}));
    let mut client = Client::greeted(server.addr());
    let line = [b"CONNECT {\"name\":\"".as_slice(), &[b'n'; 4000]].concat();
    let (said, took) = drip(&mut client, &line);
    assert_eq!(said, ["-ERR 'Authentication Timeout'"]);
    assert!(took >= Duration::from_millis(250), "{took:?}");
    let id = client.info["client_id"].as_u64().unwrap();
    assert_eq!(reason(&server, id), "Authentication Timeout");
    bystander.finish();
}

// Contract: TLS-008
#[test]
fn a_handshake_byte_by_byte_does_not_outlive_the_time_for_it() {
    let config = "tls { cert_file: \"{dir}/server.pem\", key_file: \"{dir}/server-key.pem\", timeout: 0.3 }\nallow_non_tls: true";
    let authority = Authority::new("slow");
    let server =
        ServerBuilder::new(Which::Ours).monitoring().with_certs(&authority).config(config).start();
    let bystander = Bystander::anonymous(server.addr());
    let mut client = Client::greeted(server.addr());
    // A record that announces 16 KiB of a first message, and never gets there.
    let hello =
        [[0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3].as_slice(), &[7; 12_000]].concat();
    let (said, took) = drip(&mut client, &hello);
    assert_eq!(said, [""; 0]);
    assert!(took >= Duration::from_millis(250), "{took:?}");
    let id = client.info["client_id"].as_u64().unwrap();
    assert_eq!(reason(&server, id), "TLS Handshake Failure");
    bystander.finish();
}

/// Slowness alone is no offence: with a login, a message may arrive byte by byte.
#[test]
fn a_message_byte_by_byte_arrives() {
    let server = Server::ours("");
    let mut subscriber = server.client();
    subscriber.sub("slow.>", 1);
    subscriber.flush();
    let mut client = server.client();
    for byte in b"PUB slow.one 5\r\nhello\r\n" {
        client.send([*byte]);
        assert_eq!(client.try_frame(Duration::from_millis(1)), Err(NoFrame::Timeout));
    }
    subscriber.expect("MSG slow.one 1 \"hello\"");
}

// Contract: CORE-036, CORE-037
#[test]
fn peers_that_vanished_are_found_and_forgotten() {
    let config = "ping_interval: \"200ms\"\nping_max: 1";
    let server = ServerBuilder::new(Which::Ours).monitoring().config(config).start();
    let bystander = Bystander::anonymous(server.addr());
    // A peer whose machine is gone looks like this from here: it never answers again.
    let gone: Vec<Client> = (0..30)
        .map(|n| {
            let mut client = server.client();
            client.send(format!("SUB gone.{n} 1\r\n"));
            client
        })
        .collect();
    abuse::crowd::wait_connections(&server, 2);
    for client in &gone {
        let id = client.info["client_id"].as_u64().unwrap();
        assert_eq!(reason(&server, id), "Stale Connection");
    }
    assert_eq!(abuse::crowd::subscriptions(&server), 2);
    bystander.finish();
}

// Contract: CORE-043
#[test]
fn half_closed_sockets_get_what_they_are_owed_and_are_closed() {
    let server = ServerBuilder::new(Which::Ours).monitoring().start();
    let bystander = Bystander::anonymous(server.addr());
    let mut client = server.client();
    client.send("SUB mine 1\r\nPUB mine 2\r\nhi\r\n");
    client.shutdown_write();
    let seen: Vec<String> = client.expect_closed().iter().map(ToString::to_string).collect();
    assert_eq!(seen, ["MSG mine 1 \"hi\""]);
    let id = client.info["client_id"].as_u64().unwrap();
    assert_eq!(reason(&server, id), "Client Closed");
    bystander.finish();
}
