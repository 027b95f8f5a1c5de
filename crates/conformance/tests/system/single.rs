//! Which system account there is, and that others keep out of it.

use super::{ask, connect, message, play};
use testkit::binary::Which;
use testkit::frame::Frame;
use testkit::server::Server;

// Contract: SYS-001
#[test]
fn without_a_system_account_of_ones_own_nobody_gets_in() {
    play("default_account", "", |server| {
        let mut listener = server.client();
        listener.sub("$SYS.ACCOUNT.>", 1);
        listener.sub("$SYS.SERVER.>", 2);
        listener.flush();
        let mut client = server.client();
        client.sub("in", 1);
        let mut out = String::new();
        for subject in ["$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.USER.INFO"] {
            ask(&mut client, subject, "in", "", "");
            let answer = message(&mut client).unwrap();
            let header = answer.header_text().replace("\r\n", "|");
            let text = conformance::redact::redact(&answer.text(), true);
            out.push_str(&format!("{subject} -> {header}{text}\n"));
        }
        // Whatever there was to tell has been told by now: the thread has answered.
        assert_eq!(listener.flush(), []);
        out
    });
}

// Contract: SYS-001
#[test]
fn a_server_may_have_none() {
    play("no_system_account", "no_system_account: true", |server| {
        let mut client = server.client();
        client.sub("in", 1);
        let mut out = String::new();
        for subject in ["$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$SYS.REQ.ACCOUNT.PING.CONNZ"]
        {
            ask(&mut client, subject, "in", "", "");
            let answer = message(&mut client).unwrap();
            let header = answer.header_text().replace("\r\n", "|");
            out.push_str(&format!("{subject} -> {header}{}\n", answer.text()));
        }
        out
    });
}

// Contract: SYS-001
#[test]
fn the_system_account_has_to_exist() {
    let told = Server::builder(Which::Ours).config("system_account: NOBODY").run();
    let complaint = "error resolving system account: account missing";
    assert!(told.stderr.contains(complaint), "{}", told.stderr);
}

// Contract: SYS-018
#[test]
fn a_request_to_reload_says_what_came_of_it() {
    let config = "accounts { SYS { users: [{user: sys, password: pw}] } }\nsystem_account: SYS";
    let server = Server::ours(config);
    let mut client = connect(&server, "sys");
    client.sub("in", 1);
    let reload = format!("$SYS.REQ.SERVER.{}.RELOAD", super::id(&client));
    server.write_config("accounts {");
    ask(&mut client, &reload, "in", "", "");
    let answer: serde_json::Value =
        serde_json::from_slice(&message(&mut client).unwrap().payload).unwrap();
    assert_eq!(answer["error"]["code"], 500, "{answer}");
    assert!(answer["server"].is_object() && answer.get("data").is_none(), "{answer}");
}

// Contract: SYS-028
#[test]
fn names_with_dots_are_accounts_like_others() {
    let config = r#"accounts {
        SYS { users: [{user: sys, password: pw}] }
        "a.b": { users: [{user: d, password: pw}] }
    }
    system_account: SYS"#;
    play("names", config, |server| {
        let mut watcher = connect(server, "sys");
        super::settle(&mut watcher);
        watcher.sub("$SYS.ACCOUNT.>", 1);
        watcher.flush();
        let mut client = connect(server, "d");
        let mut subjects: Vec<String> =
            (0..2).map(|_| message(&mut watcher).unwrap().subject).collect();
        subjects.sort();
        client.sub("in", 1);
        ask(&mut client, "$SYS.REQ.ACCOUNT.PING.CONNZ", "in", "", "");
        let answer = match client.frame() {
            Frame::Msg(message) => message.header_text().replace("\r\n", "|"),
            other => other.to_string(),
        };
        format!("{}\n{answer}\n", subjects.join("\n"))
    });
}

// Contract: SYS-001
#[test]
fn who_logs_in_learns_whether_that_is_the_system_account() {
    play("login", super::CONFIG, |server| {
        let mut out = String::new();
        for user in ["sys", "a"] {
            let mut client = testkit::client::Client::greeted(server.addr());
            client.connect(&serde_json::json!({"user": user, "pass": "pw"}));
            client.send("PING\r\n");
            client.expect("PONG");
            client.read_info();
            let (account, system) = (&client.info["remote_account"], &client.info["acc_is_sys"]);
            out.push_str(&format!("{user}: {account} {system}\n"));
        }
        out
    });
}
