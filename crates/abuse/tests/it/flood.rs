//! Too much of what is allowed.

use abuse::bystander::Bystander;
use abuse::memory;
use socket2::SockRef;
use std::time::{Duration, Instant};
use testkit::{Client, DEADLINE, Server, ServerBuilder, Which, eventually};

/// Memory may be this much above what it was before, once an offender is gone.
const MARGIN: u64 = 24 << 20;

fn closed_reason(server: &Server, client: &Client) -> String {
    let id = client.info["client_id"].as_u64().unwrap();
    eventually(DEADLINE, "a line in the list of closed connections", || {
        let closed = server.json(&format!("/connz?state=closed&cid={id}"));
        closed["connections"][0]["reason"].as_str().map(str::to_owned)
    })
}

/// Checks that memory comes back, and that the honest were served all along.
fn afterwards(server: &Server, bystander: Bystander, before: u64) {
    abuse::crowd::wait_connections(server, 2);
    assert_eq!(abuse::crowd::subscriptions(server), 2);
    let bound = before + MARGIN;
    let after = memory::rss_at_most(server.pid(), bound, DEADLINE);
    assert!(after <= bound, "{before} bytes before, {after} after");
    let seen = bystander.finish();
    assert!(seen.messages > 0, "{seen:?}");
}

/// A client with a small window that reads nothing.
fn deaf(server: &Server) -> Client {
    let client = server.client();
    let _ = SockRef::from(client.tcp()).set_recv_buffer_size(4096);
    client
}

/// Sends `unit` over and over until the server ends the connection; returns how much it took.
fn flood(client: &mut Client, unit: &[u8]) -> usize {
    let block = unit.repeat(64 * 1024 / unit.len());
    let (end, mut sent) = (Instant::now() + 2 * DEADLINE, 0);
    while client.try_send(&block).is_ok() {
        sent += block.len();
        assert!(Instant::now() < end, "nobody stops it after {sent} bytes");
    }
    sent
}

#[test]
fn subscriptions_that_come_and_go_leave_nothing() {
    let server = ServerBuilder::new(Which::Ours).monitoring().start();
    let bystander = Bystander::anonymous(server.addr());
    let before = memory::rss(server.pid());
    let mut client = server.client();
    for round in 0..20 {
        let mut lines = String::new();
        for n in 0..2000 {
            let sid = round * 2000 + n;
            lines.push_str(&format!("SUB flood.{n}.> {sid}\r\nSUB flood.{sid} q {sid}a\r\n"));
            lines.push_str(&format!("UNSUB {sid}\r\nUNSUB {sid}a\r\n"));
        }
        client.send(&lines);
    }
    client.expect_nothing();
    assert_eq!(abuse::crowd::subscriptions(&server), 2);
    // And many that stay until the end.
    let mut lines = String::new();
    for n in 0..50_000 {
        lines.push_str(&format!("SUB flood.{n}.* {n}\r\n"));
    }
    client.send(&lines);
    client.expect_nothing();
    assert_eq!(abuse::crowd::subscriptions(&server), 50_002);
    drop(client);
    afterwards(&server, bystander, before);
}

// Contract: CORE-040, CORE-042
#[test]
fn a_subscriber_that_never_reads_is_closed_and_its_memory_returns() {
    let server = ServerBuilder::new(Which::Ours).monitoring().config("max_pending: 4MB").start();
    let bystander = Bystander::anonymous(server.addr());
    let before = memory::rss(server.pid());
    let mut client = deaf(&server);
    client.send("SUB flood.> 1\r\nPING\r\n");
    client.expect("PONG");
    let mut publisher = server.client();
    let block = format!("PUB flood.x 4096\r\n{}\r\n", "x".repeat(4096)).repeat(16);
    let end = Instant::now() + 2 * DEADLINE;
    while server.json("/varz")["slow_consumers"] == 0 {
        publisher.send(&block);
        assert!(Instant::now() < end, "nobody notices");
    }
    assert_eq!(closed_reason(&server, &client), "Slow Consumer (Pending Bytes)");
    publisher.expect_nothing();
    drop(publisher);
    afterwards(&server, bystander, before);
}

/// Answers count as messages do: who asks and never reads is closed, and holds no more than the
/// limit until then.
fn asks_and_never_reads(unit: &[u8]) {
    let server = ServerBuilder::new(Which::Ours).monitoring().config("max_pending: 4MB").start();
    let bystander = Bystander::anonymous(server.addr());
    let before = memory::rss(server.pid());
    let mut client = deaf(&server);
    client.send("SUB answers 1\r\n");
    flood(&mut client, unit);
    assert_eq!(closed_reason(&server, &client), "Slow Consumer (Pending Bytes)");
    assert_eq!(server.json("/varz")["slow_consumers"], 1);
    afterwards(&server, bystander, before);
}

// Contract: CORE-040
#[test]
fn a_flood_of_pings_is_answered_up_to_the_limit() {
    asks_and_never_reads(b"PING\r\n");
}

// Contract: CORE-040
#[test]
fn a_flood_of_mistakes_is_answered_up_to_the_limit() {
    asks_and_never_reads(b"SUB a..b 2\r\n");
}

// Contract: CORE-040
#[test]
fn a_flood_of_requests_to_nobody_is_answered_up_to_the_limit() {
    asks_and_never_reads(b"PUB nobody answers 0\r\n\r\n");
}

#[test]
fn a_crowd_that_connects_and_goes_leaves_nothing() {
    let server =
        ServerBuilder::new(Which::Ours).monitoring().config("max_closed_clients: 50").start();
    let bystander = Bystander::anonymous(server.addr());
    let before = memory::rss(server.pid());
    let fds = memory::descriptors(server.pid());
    for _ in 0..400 {
        let client = Client::greeted(server.addr());
        let _ = SockRef::from(client.tcp()).set_linger(Some(Duration::ZERO));
    }
    afterwards(&server, bystander, before);
    assert!(memory::descriptors(server.pid()) <= fds, "sockets are left");
}
