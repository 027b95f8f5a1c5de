//! A small crowd before login; `ironats-abuse crowd` gathers ten thousand.

use abuse::crowd::{BOUND, Manner, gather, server};
use abuse::memory;
use testkit::{ServerBuilder, Which};

const SOCKETS: usize = 400;

fn a_crowd_is_cheap(manner: Manner) {
    memory::raise_file_limit();
    let server = server(ServerBuilder::new(Which::Ours), manner);
    let cost = gather(&server, manner, SOCKETS);
    assert!(cost.bytes_each <= BOUND, "{cost:?}");
    assert!(cost.bystander.messages > 0, "{cost:?}");
}

#[test]
fn silent_sockets_are_cheap() {
    a_crowd_is_cheap(Manner::Silent);
}

#[test]
fn long_unfinished_connects_are_cheap() {
    a_crowd_is_cheap(Manner::AlmostConnect);
}

#[test]
fn unfinished_handshakes_are_cheap() {
    a_crowd_is_cheap(Manner::HalfHandshake);
}
