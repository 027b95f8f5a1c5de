//! Reloads from one configuration to another: both servers follow, or refuse in the same words.

use testkit::server::Signal;
use testkit::{Server, Which, binary};

const PAIRS: &str = include_str!("../../config/testdata/reload/pairs.txt");

/// What the server says of a reload from `before` to `after`, as it says it of itself.
fn outcome(which: Which, before: &str, after: &str) -> (bool, Vec<String>) {
    let local = |text: &str| text.replace("/tmp/", "{dir}/");
    let server = Server::builder(which).config(&local(before)).start();
    // What the fixture put before it stays there.
    server.write_config(&format!("listen: \"127.0.0.1:-1\"\n{}", local(after)));
    server.signal(Signal::HUP);
    let ends = ["Reloaded server configuration", "Failed to reload server configuration"];
    let what = format!("a reload from {before} to {after} ends");
    testkit::eventually(testkit::DEADLINE, &what, || {
        let log = server.log();
        ends.iter().any(|end| log.contains(end)).then_some(())
    });
    let log = server.log();
    let about = |line: &str| {
        let text = line.split_once("] ").and_then(|(_, rest)| rest.split_once("] "))?.1;
        let told = text.starts_with("Reload") || text.starts_with("Failed to reload");
        told.then(|| text.split(" (sha256:").next().unwrap_or(text).to_owned())
    };
    let lines: Vec<String> = log.lines().filter_map(about).collect();
    (log.contains(ends[1]), lines)
}

// Contract: RELOAD-002, RELOAD-003, RELOAD-008
#[test]
fn both_servers_follow_and_refuse_the_same() {
    let peer = binary::peer_of_version("2.14", "reload pairs").is_some();
    let mut seen = 0;
    for line in PAIRS.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<_> = line.split('|').map(str::trim).collect();
        let [key, before, after, want] = parts.try_into().unwrap();
        if ["listen", "host", "port"].contains(&key) {
            // The fixture chooses these.
            continue;
        }
        let (refused, lines) = outcome(Which::Ours, before, after);
        assert_eq!(refused, want.starts_with("refused: "), "{before} -> {after}: {lines:?}");
        let want = want.replace("refused: ", "Failed to reload server configuration: ");
        assert!(lines.contains(&want), "{before} -> {after}: {lines:?}");
        if peer {
            assert_eq!(
                (refused, lines),
                outcome(Which::Peer, before, after),
                "{before} -> {after}"
            );
        }
        seen += 1;
    }
    assert!(seen > 40, "{seen} pairs");
}
