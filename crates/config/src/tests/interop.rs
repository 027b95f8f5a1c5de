//! The reference itself (`NATS_PEER`, a path to its binary) over every fixture: what the committed
//! `.out` files say must still be what it prints.

use std::process::Command;

use super::fixtures::{directory, expected, names, report};

#[test]
fn the_reference_prints_what_the_fixtures_say() {
    let Ok(peer) = std::env::var("NATS_PEER") else {
        eprintln!("SKIPPED: NATS_PEER is unset, the reference's -t was not compared");
        return;
    };
    let version = Command::new(&peer).arg("-v").output().expect("the peer runs");
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    if !version.starts_with("nats-server: v2.14.") {
        eprintln!("SKIPPED: the fixtures are those of 2.14, the peer is {version}");
        return;
    }
    let mut wrong = Vec::new();
    for name in names() {
        let output = Command::new(&peer)
            .args(["-t", "-c", &format!("{name}.conf")])
            .current_dir(directory())
            .output()
            .expect("the peer runs");
        let exit_code = output.status.code().unwrap();
        let found = report(exit_code, &String::from_utf8_lossy(&output.stderr));
        if found != expected(&name) {
            wrong.push(format!("--- {name}\nexpected {}found {found}", expected(&name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
