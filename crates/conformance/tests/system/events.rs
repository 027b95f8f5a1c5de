//! Events: clients that come, go and are turned away, and what is told of accounts and servers.

use super::{CONFIG, ask, connect, id, message, play, settle};
use conformance::redact::{names, redact};
use serde_json::json;
use testkit::client::Client;
use testkit::server::{Server, Signal};

/// The next `count` events, in the order of their subjects: some are told by threads that race.
fn events(step: &str, watcher: &mut Client, count: usize) -> String {
    let mut lines: Vec<String> = (0..count)
        .map(|_| {
            let message = message(watcher).unwrap();
            format!("{} {}", names(&message.subject), redact(&message.text(), false))
        })
        .collect();
    lines.sort();
    format!("== {step}\n{}\n", lines.join("\n"))
}

/// Subscribes, and lets what the subscriber's own coming caused pass.
fn watch(server: &Server, user: &str, subjects: &[&str]) -> Client {
    let mut client = connect(server, user);
    settle(&mut client);
    for (at, subject) in subjects.iter().enumerate() {
        client.sub(subject, at as u64 + 1);
    }
    client.flush();
    client
}

const CLIENTS: [&str; 3] =
    ["$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT", "$SYS.SERVER.*.CLIENT.AUTH.ERR"];

// Contract: SYS-002, SYS-027
#[test]
fn clients_come_and_go() {
    play("clients", CONFIG, |server| {
        let mut watcher = watch(server, "sys", &CLIENTS);
        let who = json!({"user": "a", "pass": "pw", "name": "n", "lang": "rs", "version": "7"});
        let mut client = server.client_with(&who);
        let mut out = events("comes", &mut watcher, 1);
        client.sub("x", 1);
        client.publish("x", "abc");
        client.publish("nobody", "hello");
        client.flush();
        client.shutdown_write();
        client.expect_closed();
        out.push_str(&events("goes", &mut watcher, 1));
        let mut client = connect(server, "a");
        out.push_str(&events("comes again", &mut watcher, 1));
        client.send("NONSENSE\r\n");
        client.expect_closed();
        out.push_str(&events("speaks another language", &mut watcher, 1));
        out
    });
}

// Contract: SYS-002, SYS-004
#[test]
fn the_global_account_has_clients_but_is_not_counted() {
    let config = "accounts { SYS { users: [{user: sys, password: pw}] } }
        system_account: SYS\nauthorization { users: [{user: g, password: pw}] }";
    play("global", config, |server| {
        let mut watcher = watch(server, "sys", &["$SYS.ACCOUNT.$G.>", "$SYS.SERVER.ACCOUNT.$G.>"]);
        let mut client = connect(server, "g");
        client.shutdown_write();
        client.expect_closed();
        events("comes and goes", &mut watcher, 2)
    });
}

// Contract: SYS-008, AUTH-032
#[test]
fn who_is_turned_away_is_told() {
    play("refusals", CONFIG, |server| {
        let mut watcher = watch(server, "sys", &CLIENTS);
        let mut out = String::new();
        for (step, who) in [
            ("a wrong password", json!({"user": "a", "pass": "bad"})),
            ("nobody's name", json!({"user": "nobody", "pass": "bad"})),
            ("a token", json!({"auth_token": "zz"})),
            ("nothing", json!({})),
        ] {
            let mut client = Client::greeted(server.addr());
            client.connect(&who);
            client.expect_closed();
            out.push_str(&events(step, &mut watcher, 2));
        }
        let mut client = Client::greeted(server.addr());
        client.send("PING\r\n");
        client.expect_closed();
        out.push_str(&events("not even CONNECT", &mut watcher, 2));
        out
    });
}

// Contract: SYS-008, AUTH-032
#[test]
fn the_account_that_was_meant_is_told_too() {
    let config = "accounts { SYS { users: [{user: sys, password: pw}] } }
        system_account: SYS\nauthorization { users: [{user: g, password: pw}] }";
    play("refusals_in_the_account", config, |server| {
        let mut watcher = watch(server, "g", &["$SYS.ACCOUNT.CLIENT.AUTH.ERR"]);
        let mut client = Client::greeted(server.addr());
        client.connect(&json!({"user": "g", "pass": "bad"}));
        client.expect_closed();
        events("a wrong password", &mut watcher, 1)
    });
}

// Contract: SYS-004
#[test]
fn accounts_are_counted() {
    play("counts", CONFIG, |server| {
        let mut watcher =
            watch(server, "sys", &["$SYS.SERVER.ACCOUNT.A.CONNS", "$SYS.ACCOUNT.A.SERVER.CONNS"]);
        let mut out = String::new();
        let mut first = connect(server, "a");
        out.push_str(&events("one", &mut watcher, 2));
        let _second = connect(server, "lim");
        out.push_str(&events("two", &mut watcher, 2));
        first.shutdown_write();
        first.expect_closed();
        out.push_str(&events("one again", &mut watcher, 2));
        out
    });
}

// Contract: CORE-060, SYS-019
#[test]
fn one_client_is_kicked_or_asked_to_leave() {
    play("kick", CONFIG, |server| {
        let mut watcher = watch(server, "sys", &["in", "$SYS.ACCOUNT.A.DISCONNECT"]);
        let id = id(&watcher);
        let mut client = connect(server, "a");
        let cid = client.info["client_id"].as_u64().unwrap();
        let mut out = String::new();
        let act = |watcher: &mut Client, what: &str, body: &str| {
            ask(watcher, &format!("$SYS.REQ.SERVER.{id}.{what}"), "in", "", body);
            let message = message(watcher).unwrap();
            format!("{what}: {} {}\n", message.subject, redact(&message.text(), false))
        };
        for what in ["KICK", "LDM"] {
            for body in ["{}", r#"{"cid":999999}"#, r#"{"cid":999999,"domain":1}"#] {
                out.push_str(&act(&mut watcher, what, body));
            }
        }
        out.push_str(&act(&mut watcher, "LDM", &format!(r#"{{"cid":{cid}}}"#)));
        client.read_info();
        out.push_str(&format!("ldm: {}\n", client.info["ldm"]));
        // Not for clients that cannot be told.
        let mut old = server.client_with(&json!({"user": "a", "pass": "pw", "protocol": 0}));
        let number = old.info["client_id"].as_u64().unwrap();
        out.push_str(&act(&mut watcher, "LDM", &format!(r#"{{"cid":{number}}}"#)));
        assert_eq!(old.flush(), []);
        let kick = format!("$SYS.REQ.SERVER.{id}.KICK");
        ask(&mut watcher, &kick, "in", "", &format!(r#"{{"cid":{cid}}}"#));
        client.expect_closed();
        out.push_str(&events("kicked", &mut watcher, 2));
        out
    });
}

// Contract: SYS-006, CORE-048
#[test]
fn a_lame_duck_says_so() {
    let config = format!("{CONFIG}\nlame_duck_duration: 30s\nlame_duck_grace_period: 1s");
    play("lame_duck", &config, |server| {
        let mut watcher = watch(server, "sys", &["$SYS.SERVER.*.LAMEDUCK"]);
        server.signal(Signal::USR2);
        said(&mut watcher)
    });
}

// Contract: SYS-006
#[test]
fn a_server_that_ends_says_so() {
    play("shutdown", CONFIG, |server| {
        let mut watcher = watch(server, "sys", &["$SYS.SERVER.*.SHUTDOWN"]);
        server.signal(Signal::TERM);
        said(&mut watcher)
    });
}

/// The next event; INFO may come before.
fn said(watcher: &mut Client) -> String {
    loop {
        match message(watcher) {
            Ok(message) => {
                let text = redact(&message.text(), false);
                return format!("{} {text}\n", names(&message.subject));
            }
            Err(line) => assert!(line.starts_with("INFO"), "{line}"),
        }
    }
}

// Contract: SYS-026, SYS-006
#[test]
fn other_servers_are_known_by_their_numbered_messages() {
    play("others", CONFIG, |server| {
        let mut client = watch(server, "sys", &["in"]);
        let mut out = String::new();
        let mut say = |subject: &str, body: &str| {
            client.publish(subject, body);
            // Whoever hears other servers gives documents, too; statistics may be another's.
            ask(&mut client, "$SYS.REQ.SERVER.PING.HEALTHZ", "in", "", "");
            message(&mut client).unwrap();
            ask(&mut client, "$SYS.REQ.SERVER.PING.STATSZ", "in", "", "{}");
            let answer = message(&mut client).unwrap();
            let told: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
            out.push_str(&format!("{subject} {body}: {}\n", told["statsz"]["active_servers"]));
        };
        say("$SYS.SERVER.X.STATSZ", "");
        say("$SYS.SERVER.X.STATSZ", "x");
        say("$SYS.SERVER.X.STATSZ", r#"{"server":{"name":"x","id":"X","seq":5,"ver":"2.14.5"}}"#);
        say("$SYS.SERVER.X.STATSZ", r#"{"server":{"name":"x","id":"X","seq":5,"ver":"2.14.5"}}"#);
        server.wait_log("Received out of order remote server update from: \"X\"");
        say("$SYS.SERVER.X.SHUTDOWN", "x");
        say("$SYS.SERVER.X.SHUTDOWN", r#"{"name":"x","id":"X"}"#);
        out
    });
}

// Contract: SYS-005
#[test]
fn statistics_come_by_themselves_to_who_listens() {
    play("statistics", CONFIG, |server| {
        let mut watcher = watch(server, "sys", &["$SYS.SERVER.*.STATSZ"]);
        let message = message(&mut watcher).unwrap();
        let mut text = format!("{} {}\n", names(&message.subject), redact(&message.text(), true));
        // Asked for without a reply subject, they come to all at once.
        watcher.publish("$SYS.REQ.SERVER.PING.STATSZ", "");
        let again = super::message(&mut watcher).unwrap();
        text.push_str(&format!("asked: {}\n", names(&again.subject)));
        text
    });
}
