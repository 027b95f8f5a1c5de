//! Thousands of sockets that never log in, each holding on to what a server allows before that.
//!
//! Laws: memory is counted per socket while all of them are open, and again when all are gone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::bystander::{Bystander, Seen};
use crate::memory;
use crate::random::Random;
use serde_json::json;
use testkit::certs::Authority;
use testkit::{DEADLINE, Server, ServerBuilder};

/// What each socket of a crowd does before it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Says nothing.
    Silent,
    /// Sends nearly all of a CONNECT that is as long as one may be.
    AlmostConnect,
    /// Sends the start of a TLS handshake (the server must have TLS).
    HalfHandshake,
}

/// What a crowd cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Sockets open at once.
    pub sockets: usize,
    /// Resident bytes more for each of them.
    pub bytes_each: u64,
    /// Resident bytes before, while they were there, and after they went.
    pub rss: [u64; 3],
    /// What the honest pair saw meanwhile.
    pub bystander: Seen,
}

/// The most resident bytes a socket may cost before it has logged in.
pub const BOUND: u64 = 64 * 1024;

/// A server for a crowd: logins are asked for and patient, so that nobody is let go meanwhile.
pub fn server(builder: ServerBuilder, manner: Manner) -> Server {
    let mut config = "authorization { user: honest, password: pw, timeout: 300 }\n".to_owned();
    let mut builder = builder.monitoring();
    if manner == Manner::HalfHandshake {
        config.push_str(
            "tls { cert_file: \"{dir}/server.pem\", key_file: \"{dir}/server-key.pem\", timeout: 300 }\n\
             allow_non_tls: true\n",
        );
        builder = builder.with_certs(&Authority::new("crowd"));
    }
    builder.config(&config).start()
}

/// Opens `count` sockets that all behave in one manner, measures, and lets them go.
pub fn gather(server: &Server, manner: Manner, count: usize) -> Cost {
    let honest = json!({"user": "honest", "pass": "pw"});
    let bystander = Bystander::start(server.addr(), &honest);
    let pid = server.pid();
    let before = memory::rss(pid);
    let sockets: Vec<TcpStream> = (0..count).map(|_| open(server.addr())).collect();
    for socket in &sockets {
        behave(socket, manner);
    }
    wait_connections(server, count + 2);
    let during = memory::settled(pid);
    drop(sockets);
    wait_connections(server, 2);
    let after = memory::rss_at_most(pid, before + (during - before.min(during)) / 2, DEADLINE);
    let bystander = bystander.finish();
    let bytes_each = during.saturating_sub(before) / count as u64;
    Cost { sockets: count, bytes_each, rss: [before, during, after], bystander }
}

fn open(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&addr, DEADLINE).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn behave(mut socket: &TcpStream, manner: Manner) {
    // The greeting has arrived: the server has done all it does of its own accord.
    let mut byte = [0];
    assert_eq!(socket.read(&mut byte).unwrap(), 1);
    match manner {
        Manner::Silent => {}
        Manner::AlmostConnect => {
            let mut line = b"CONNECT {\"user\":\"honest\",\"name\":\"".to_vec();
            line.resize(4090, b'n');
            socket.write_all(&line).unwrap();
        }
        Manner::HalfHandshake => socket.write_all(&half_hello()).unwrap(),
    }
}

/// A handshake record that promises 16 KiB and brings most of it.
fn half_hello() -> Vec<u8> {
    let mut record = vec![0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3];
    record.extend(Random::new(1).bytes(12_000));
    record
}

/// Waits until the server counts this many connections.
pub fn wait_connections(server: &Server, count: usize) {
    let mut last = 0;
    let patience = DEADLINE + Duration::from_millis(count as u64);
    let end = std::time::Instant::now() + patience;
    while std::time::Instant::now() < end {
        last = server.json("/varz")["connections"].as_u64().unwrap() as usize;
        if last == count {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{last} connections instead of {count}");
}

/// Subscriptions of the global account's clients, as its own list counts them.
///
/// Four are the server's: services of the system account that every account is offered (ACC-022).
pub fn subscriptions(server: &Server) -> u64 {
    let detail = &server.json("/accountz?acc=$G")["account_detail"];
    detail["subscriptions"].as_u64().unwrap() - 4
}
