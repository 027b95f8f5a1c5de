//! A subscriber that takes its bytes slowly, but takes them, under `write_timeout: retry`.

use std::io::Read;
use std::time::{Duration, Instant};
use testkit::{Client, Server, Which};

const CONFIG: &str = r#"
    listen: "127.0.0.1:-1"
    write_deadline: "150ms"
    write_timeout: "retry"
"#;
const MESSAGES: usize = 600;
/// Bytes the slow reader takes in a millisecond: enough for the socket to have room now and then.
const PACE: usize = 40_000;
const SIZE: usize = 64 * 1024;

/// A server, a reader that is owed more than sockets hold, and who published it.
fn flooded() -> (Server, Client, Client) {
    let server = Server::builder(Which::Ours).config(CONFIG).monitoring().start();
    let mut reader = server.client();
    socket2::SockRef::from(reader.tcp()).set_recv_buffer_size(16 * 1024).unwrap();
    reader.sub("big", 1);
    reader.flush();
    let mut publisher = server.client();
    for _ in 0..MESSAGES {
        publisher.publish("big", vec![b'x'; SIZE]);
    }
    publisher.flush();
    (server, reader, publisher)
}

// Contract: CORE-039
#[test]
fn a_slow_reader_is_kept_and_spoken_of() {
    let (server, mut reader, _publisher) = flooded();
    // Some bytes now and then, never all of them, until the server has said so twice.
    let mut taken = 0;
    let whole = MESSAGES * (SIZE + format!("MSG big 1 {SIZE}\r\n\r\n").len());
    reader.tcp().set_read_timeout(Some(testkit::DEADLINE)).unwrap();
    let mut buf = vec![0; 64 * 1024];
    let start = Instant::now();
    while server.json("/varz")["slow_consumers"].as_u64() < Some(2) {
        assert!(taken < whole, "{}", server.log());
        while taken < (start.elapsed().as_millis() as usize * PACE).min(whole) {
            taken += reader.tcp().read(&mut buf).unwrap();
        }
    }
    let log = server.log();
    assert!(log.contains("Slow Consumer Detected: WriteDeadline of 150ms exceeded with"), "{log}");
    assert!(log.contains("Slow Consumer State: WriteDeadline of 150ms exceeded with"), "{log}");
    while taken < whole {
        let rest = buf.len().min(whole - taken);
        taken += reader.tcp().read(&mut buf[..rest]).unwrap();
    }
    server.wait_log("Slow Consumer Recovered: Flush took ");
    still_served(&mut reader);
}

/// A reader that takes nothing at all is closed, whatever the policy.
// Contract: CORE-039
#[test]
fn a_reader_that_takes_nothing_is_closed() {
    let (server, _reader, mut publisher) = flooded();
    server.wait_log("Slow Consumer Detected: WriteDeadline of 150ms exceeded with");
    testkit::wait::eventually(Duration::from_secs(10), "the reader is closed", || {
        let closed = server.json("/connz?state=closed");
        let reason = closed["connections"][0]["reason"].as_str().map(str::to_owned)?;
        (reason == "Slow Consumer (Write Deadline)").then_some(())
    });
    still_served(&mut publisher);
}

fn still_served(client: &mut Client) {
    client.flush();
}
