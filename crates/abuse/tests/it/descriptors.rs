//! A server that runs out of file descriptors: it says so, serves those it has, and accepts again
//! once there are some.

use abuse::memory::{limit_descriptors, next_descriptor};
use serde_json::json;
use testkit::{Client, Server, ServerBuilder, Which, binary};

/// Ours, and the reference if there is one.
fn servers() -> Vec<Server> {
    let peer = binary::peer_or_notice("descriptors").map(|_| Which::Peer);
    let kinds = [Some(Which::Ours), peer];
    kinds.into_iter().flatten().map(|which| ServerBuilder::new(which).start()).collect()
}

// Contract: CORE-049
#[test]
fn a_server_without_descriptors_waits_longer_and_longer() {
    for server in servers() {
        let mut early = server.client();
        let before = limit_descriptors(server.pid(), next_descriptor(server.pid()));
        // The kernel completes the connection; nobody greets it.
        let late = Client::open(server.addr());
        server.wait_log("Temporary Client Accept Error(");
        for wait in ["10ms", "20ms", "40ms", "80ms"] {
            server.wait_log(&format!("sleeping {wait}"));
        }
        early.sub("here", 1);
        early.publish("here", "still");
        assert_eq!(early.msg().payload, b"still");
        limit_descriptors(server.pid(), before);
        let mut late = late;
        late.read_info();
        late.connect(&json!({}));
        assert!(late.flush().is_empty());
        assert!(server.client().flush().is_empty());
    }
}
