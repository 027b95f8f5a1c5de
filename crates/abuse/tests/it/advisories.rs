//! The published advisories of the Go server, tried as their attackers would: nothing reproduces.
//! `docs/advisories.md` lists all of them, and what the others wait for.

use crate::token::{everywhere, now, signed};
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::binary::peer_of_version;
use testkit::client::NoFrame;
use testkit::{Client, Frame, Server, ServerBuilder, Which};

const VIOLATION: &str = "Authorization Violation";

#[track_caller]
fn refused(mut client: Client, what: &str) {
    let frames = client.expect_closed();
    assert!(frames.contains(&Frame::Err(VIOLATION.to_owned())), "{what}: {frames:?}");
}

fn knock(server: &Server, connect: &Value) -> Client {
    let mut client = Client::greeted(server.addr());
    client.connect(connect);
    client.send("PING\r\n");
    client
}

/// The answer to a request; `None` if nobody is there, or nobody answers.
fn ask(client: &mut Client, subject: &str, header: &str, body: &str) -> Option<Value> {
    client.sub("_INBOX.ask", 77);
    if header.is_empty() {
        client.send(format!("PUB {subject} _INBOX.ask {}\r\n{body}\r\n", body.len()));
    } else {
        let block = format!("NATS/1.0\r\n{header}\r\n\r\n");
        let (head, total) = (block.len(), block.len() + body.len());
        client.send(format!("HPUB {subject} _INBOX.ask {head} {total}\r\n{block}{body}\r\n"));
    }
    let answer = loop {
        match client.try_frame(Duration::from_millis(500)) {
            Ok(Frame::Msg(message)) if message.subject == "_INBOX.ask" => break Some(message),
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    client.send("UNSUB 77\r\n");
    serde_json::from_slice(&answer?.payload).ok()
}

/// Two accounts with JetStream, and the system's.
fn tenants(which: Which) -> Server {
    let config = "jetstream { store_dir: \"{dir}/js\" }
        accounts {
          A { jetstream: enabled, users: [ { user: a, password: p } ] }
          B { jetstream: enabled, users: [ { user: b, password: p } ] }
          SYS { users: [ { user: s, password: p } ] }
        }
        system_account: SYS";
    ServerBuilder::new(which).config(config).monitoring().start()
}

fn user(server: &Server, name: &str) -> Client {
    server.client_with(&json!({"user": name, "pass": "p"}))
}

/// secnote-2026-08, secnote-2026-09: a client that says who asks.
#[test]
fn nobody_asks_in_another_name() {
    everywhere("secnote-2026-08", |which| {
        let server = tenants(which);
        let mut a = user(&server, "a");
        let created =
            ask(&mut a, "$JS.API.STREAM.CREATE.S", "", r#"{"name":"S","subjects":["s"]}"#);
        assert!(created.unwrap()["error"].is_null());
        let mut b = user(&server, "b");
        for name in ["Nats-Request-Info", "nats-request-info"] {
            for info in [r#"{"acc":"A"}"#, r#"{"acc":"B","svc":"A"}"#, r#"{"acc":"SYS"}"#] {
                let header = format!("{name}: {info}");
                let info = ask(&mut b, "$JS.API.INFO", &header, "").unwrap();
                assert_eq!(info["streams"], 0, "{header}");
                let gone = ask(&mut b, "$JS.API.STREAM.DELETE.S", &header, "").unwrap();
                assert_eq!(gone["error"]["err_code"], 10059, "{header}");
                let who = ask(&mut b, "$SYS.REQ.USER.INFO", &header, "").unwrap();
                assert_eq!(who["data"]["account"], "B", "{header}");
                let conns = ask(&mut b, "$SYS.REQ.ACCOUNT.PING.CONNZ", &header, "").unwrap();
                let rows = conns["data"]["connections"].as_array().unwrap();
                assert_eq!(rows.len(), 1, "{header}: {rows:?}");
            }
        }
        assert_eq!(ask(&mut a, "$JS.API.INFO", "", "").unwrap()["streams"], 1);
    });
}

/// CVE-2025-30215: requests of administrators, from any account with JetStream.
#[test]
fn nobody_administers_another_account() {
    everywhere("CVE-2025-30215", |which| {
        let server = tenants(which);
        let mut a = user(&server, "a");
        let body = r#"{"name":"S","subjects":["s"]}"#;
        assert!(ask(&mut a, "$JS.API.STREAM.CREATE.S", "", body).unwrap()["error"].is_null());
        let mut b = user(&server, "b");
        for (subject, body) in [
            ("$JS.API.ACCOUNT.PURGE.A", ""),
            ("$JS.API.ACCOUNT.STREAM.MOVE.A.S", r#"{"server":"x"}"#),
            ("$JS.API.ACCOUNT.STREAM.CANCEL_MOVE.A.S", ""),
            ("$JS.API.SERVER.REMOVE", r#"{"peer":"x"}"#),
            ("$JS.API.META.LEADER.STEPDOWN", ""),
        ] {
            for header in ["", r#"Nats-Request-Info: {"acc":"SYS"}"#] {
                let answer = ask(&mut b, subject, header, body);
                let done = answer.is_some_and(|answer| answer["error"].is_null());
                assert!(!done, "{subject} {header}");
            }
        }
        let info = ask(&mut a, "$JS.API.STREAM.INFO.S", "", "").unwrap();
        assert_eq!(info["config"]["name"], "S");
    });
}

/// CVE-2022-26652, CVE-2022-28357, secnote-2026-12: names that are paths, and restoring what one
/// may not touch.
#[test]
fn streams_stay_in_their_directory() {
    everywhere("CVE-2022-26652", |which| {
        let server = tenants(which);
        let outside = || std::fs::read_dir(server.dir()).unwrap().count();
        let before = outside();
        for name in ["..", "../x", "../../x", "a/b", "a\\b", "/tmp/x", ".hidden.x"] {
            let escaped = json!({"name": name, "subjects": ["s"]}).to_string();
            let api = format!("$JS.API.STREAM.CREATE.{name}");
            let restore = json!({"config": {"name": name, "subjects": ["s"]}, "state": {}});
            for (subject, body) in [
                (api.as_str(), escaped.as_str()),
                ("$JS.API.STREAM.CREATE.x", &escaped),
                ("$JS.API.STREAM.RESTORE.x", &restore.to_string()),
                (&format!("$JS.API.STREAM.RESTORE.{name}"), &restore.to_string()),
            ] {
                // Some of these are no subjects at all.
                let mut a = user(&server, "a");
                let done = ask(&mut a, subject, "", body).is_some_and(|a| a["error"].is_null());
                assert!(!done, "{subject} {body}");
            }
        }
        // A name that is not the one that was asked for: whoever may restore one stream may not
        // thereby touch another.
        let other = json!({"config": {"name": "other", "subjects": ["s"]}, "state": {}});
        let mut a = user(&server, "a");
        let answer = ask(&mut a, "$JS.API.STREAM.RESTORE.mine", "", &other.to_string());
        assert_eq!(answer.unwrap()["error"]["err_code"], 10056);
        assert_eq!(outside(), before);
        assert_eq!(ask(&mut a, "$JS.API.INFO", "", "").unwrap()["streams"], 0);
    });
}

/// CVE-2022-42708: numbers of replicas nobody has.
#[test]
fn replica_counts_are_numbers_like_others() {
    everywhere("CVE-2022-42708", |which| {
        let server = tenants(which);
        let mut a = user(&server, "a");
        for replicas in ["-1", "2", "6", "1000000", "9223372036854775807", "-9223372036854775808"] {
            let stream = format!(r#"{{"name":"R","subjects":["r"],"num_replicas":{replicas}}}"#);
            let answer = ask(&mut a, "$JS.API.STREAM.CREATE.R", "", &stream).unwrap();
            assert!(!answer["error"].is_null(), "{replicas}");
        }
        let stream = r#"{"name":"R","subjects":["r"]}"#;
        assert!(ask(&mut a, "$JS.API.STREAM.CREATE.R", "", stream).unwrap()["error"].is_null());
        for replicas in ["-1", "6", "9223372036854775807"] {
            let update = format!(r#"{{"name":"R","subjects":["r"],"num_replicas":{replicas}}}"#);
            let answer = ask(&mut a, "$JS.API.STREAM.UPDATE.R", "", &update).unwrap();
            assert!(!answer["error"].is_null(), "{replicas}");
            let consumer = format!(
                r#"{{"stream_name":"R","config":{{"durable_name":"c","num_replicas":{replicas}}}}}"#
            );
            let answer = ask(&mut a, "$JS.API.CONSUMER.CREATE.R.c", "", &consumer).unwrap();
            assert!(!answer["error"].is_null(), "{replicas}");
        }
        a.expect_nothing();
    });
}

/// CVE-2022-24450: a client that chooses its account, or makes one.
#[test]
fn nobody_chooses_an_account() {
    everywhere("CVE-2022-24450", |which| {
        let server = tenants(which);
        for connect in [
            json!({"user": "a", "pass": "p", "account": "SYS"}),
            json!({"user": "a", "pass": "p", "account": "$SYS", "new_account": true}),
            json!({"user": "a", "pass": "p", "new_account": true}),
            json!({"account": "A"}),
            json!({}),
        ] {
            refused(knock(&server, &connect), &connect.to_string());
        }
    });
}

/// CVE-2023-47090: only a system account is configured; whoever shows wrong credentials is nobody,
/// and whoever shows none is not in the system account.
#[test]
fn a_system_account_alone_opens_nothing() {
    everywhere("CVE-2023-47090", |which| {
        let config = "accounts { $SYS { users: [ { user: admin, password: p } ] } }";
        let server = ServerBuilder::new(which).config(config).start();
        for (user, password) in [("admin", "x"), ("admin", ""), ("nobody", "p"), ("nobody", "")] {
            let connect = json!({"user": user, "pass": password});
            refused(knock(&server, &connect), &connect.to_string());
        }
        let mut anonymous = server.client();
        anonymous.sub("$SYS.>", 1);
        assert_eq!(ask(&mut anonymous, "$SYS.REQ.SERVER.PING", "", ""), None);
        let mut admin = server.client_with(&json!({"user": "admin", "pass": "p"}));
        assert!(ask(&mut admin, "$SYS.REQ.SERVER.PING", "", "").is_some());
    });
}

/// secnote-2026-17, secnote-2026-18, CVE-2022-29946: wildcards that overlap what is denied, and
/// queue groups.
#[test]
fn what_is_denied_is_not_had_by_a_wildcard_or_a_group() {
    everywhere("secnote-2026-18", |which| {
        let config = r#"authorization { users: [
            { user: p, password: p }
            { user: s, password: p, permissions { subscribe { deny: [ "a.secret.>", "b.*.x", "q.s q" ] } } }
            { user: g, password: p, permissions { subscribe { allow: [ "foo.*", "w.> grp" ] } } }
        ] }"#;
        let server = ServerBuilder::new(which).config(config).start();
        let mut publisher = user(&server, "p");
        let mut s = user(&server, "s");
        for (sid, line) in [
            "a.*.>",
            "a.> q",
            "a.*.* q2",
            "*.secret.x",
            "> all",
            "b.> q",
            "b.y.* q",
            "q.> q",
            "*.* q",
        ]
        .iter()
        .enumerate()
        {
            s.send(format!("SUB {line} {sid}\r\n"));
        }
        s.flush();
        let direct = ["a.secret.x", "a.secret.x q", "a.secret.>", "b.*.x", "b.1.x any", "q.s q"];
        for (sid, line) in direct.iter().enumerate() {
            s.send(format!("SUB {line} 9{sid}\r\n"));
            assert!(matches!(s.frame(), Frame::Err(_)), "{line}");
        }
        for subject in ["a.secret.x", "a.secret.y.z", "b.y.x", "b.1.x"] {
            publisher.publish(subject, "no");
        }
        publisher.flush();
        s.expect_nothing();
        // `q.s` is denied to members of `q` only.
        publisher.publish("q.s", "to all");
        publisher.flush();
        let frames = s.flush();
        assert!(frames.iter().all(|f| matches!(f, Frame::Msg(m) if m.sid == "4")), "{frames:?}");
        assert_eq!(frames.len(), 1);
        // What is allowed to a group is not allowed to others, nor is more than a pattern covers.
        let mut g = user(&server, "g");
        for line in ["w.a", "w.>", "w.a other", ">", "foo.a.b", "*", "foo.*.*"] {
            g.send(format!("SUB {line} 1\r\n"));
            assert!(matches!(g.frame(), Frame::Err(_)), "{line}");
        }
    });
}

/// secnote-2026-15: a trace is published where its asker may not publish.
#[test]
fn a_trace_goes_only_where_its_asker_may_publish() {
    everywhere("secnote-2026-15", |which| {
        let config = r#"authorization { users: [
            { user: p, password: p }
            { user: s, password: p, permissions { publish: [ "ok.>" ] } }
        ] }"#;
        let server = ServerBuilder::new(which).config(config).start();
        let mut listener = user(&server, "p");
        listener.sub(">", 1);
        listener.flush();
        let mut s = user(&server, "s");
        for dest in ["secret", "$SYS.REQ.SERVER.PING", "$JS.API.STREAM.DELETE.S", "ok"] {
            let block = format!("NATS/1.0\r\nNats-Trace-Dest: {dest}\r\n\r\n");
            let size = block.len();
            s.send(format!("HPUB ok.a {size} {size}\r\n{block}\r\n"));
            let expected = format!("Permissions Violation for Publish to \"{dest}\"");
            assert_eq!(s.frame(), Frame::Err(expected));
        }
        listener.expect_nothing();
    });
}

/// secnote-2026-24: somebody who stands in for others is bound by its own restrictions.
#[test]
fn whoever_stands_in_is_bound() {
    everywhere("secnote-2026-24", |which| {
        let config = r#"authorization { users: [
            { user: u, password: p, allowed_connection_types: [ "WEBSOCKET" ] }
        ] }
        no_auth_user: u"#;
        let server = ServerBuilder::new(which).config(config).start();
        for connect in [json!({}), json!({"user": "u", "pass": "p"})] {
            refused(knock(&server, &connect), "another way in");
        }
        let mut silent = Client::greeted(server.addr());
        silent.send("PUB a 0\r\n\r\nPING\r\n");
        refused(silent, "no CONNECT at all");
        let config = r#"authorization { users: [
            { user: u, password: p, permissions { publish: "a", subscribe: "a" } }
        ] }
        no_auth_user: u"#;
        let server = ServerBuilder::new(which).config(config).start();
        for bytes in ["PUB b 0\r\n\r\n", "SUB b 1\r\n"] {
            let mut client = Client::greeted(server.addr());
            client.send(bytes);
            assert!(matches!(client.frame(), Frame::Err(e) if e.starts_with("Permissions")));
        }
    });
}

/// secnote-2026-28: pages that begin behind the last number.
#[test]
fn pages_have_no_end_that_kills() {
    everywhere("secnote-2026-28", |which| {
        let server = tenants(which);
        let (max, min) = (i64::MAX, i64::MIN);
        for page in ["connz", "subsz", "jsz", "gatewayz", "routez", "leafz", "accountz"] {
            for (offset, limit) in [(max, max), (max, 1), (1, max), (min, min), (-1, -1), (0, min)]
            {
                let path =
                    format!("/{page}?offset={offset}&limit={limit}&subs=1&streams=1&accounts=1");
                let status = server.get(&path).status;
                assert!([200, 400].contains(&status), "{path}: {status}");
            }
        }
        let mut system = user(&server, "s");
        for kind in ["CONNZ", "SUBSZ", "JSZ"] {
            for (offset, limit) in [(max, max), (1, max), (min, min)] {
                let body = json!({"offset": offset, "limit": limit}).to_string();
                let subject = format!("$SYS.REQ.SERVER.PING.{kind}");
                assert!(ask(&mut system, &subject, "", &body).is_some(), "{kind} {body}");
            }
        }
    });
}

/// secnote-2026-14: secrets on the command line are not told by `/debug/vars`.
#[test]
fn the_command_line_keeps_its_secrets() {
    everywhere("secnote-2026-14", |which| {
        let server = ServerBuilder::new(which)
            .args(["--user", "u", "--pass", "s3cret-word"])
            .monitoring()
            .start();
        let vars = server.get("/debug/vars");
        assert_eq!(vars.status, 200);
        let text = String::from_utf8_lossy(&vars.body).into_owned();
        assert!(text.contains("cmdline") && !text.contains("s3cret-word"), "{text}");
    });
}

/// secnote-2026-23, CVE-2020-26521, CVE-2020-26892, CVE-2021-3127: tokens that are cut, empty,
/// ended, or somebody else's.
#[test]
fn tokens_that_are_none_harm_nobody() {
    let test = |which: Which| {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
        let unlimited = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1});
        let account_token = signed(
            &operator,
            &json!({"sub": account.public_key(), "name": "A",
                "nats": {"limits": unlimited, "type": "account", "version": 2}}),
        );
        let operator_token = signed(
            &operator,
            &json!({"sub": operator.public_key(), "name": "O",
                "nats": {"type": "operator", "version": 2}}),
        );
        let config = format!(
            "operator: {operator_token}\nresolver: MEMORY\nresolver_preload {{ {}: {account_token} }}",
            account.public_key()
        );
        let server = ServerBuilder::new(which).config(&config).start();
        let user = KeyPair::new_user();
        let good = json!({"sub": user.public_key(), "nats": {"pub": {}, "sub": {}, "subs": -1,
            "data": -1, "payload": -1, "bearer_token": true, "type": "user", "version": 2}});
        let with = |field: &str, value: Value| {
            let mut claims = good.clone();
            claims[field] = value;
            signed(&account, &claims)
        };
        let stranger = KeyPair::new_account();
        let mut bad = vec![
            signed(&stranger, &good),
            with("exp", json!(now() - 5)),
            with("nbf", json!(now() + 500)),
            with("nats", Value::Null),
            with("nats", json!({})),
            with("nats", json!([])),
            with("nats", json!({"type": "user", "version": 99})),
            with("nats", json!({"type": "account", "version": 2})),
            String::new(),
            ".".into(),
            "..".into(),
            "a.b.c".into(),
            "eyJ.eyJ.eyJ".into(),
        ];
        for issuer in
            ["", "A", "AA", "AAAAAAAA", "A2345678", &"A".repeat(56), &"A".repeat(1500), "\u{0}"]
        {
            bad.push(with("iss", json!(issuer)));
        }
        for token in bad {
            refused(knock(&server, &json!({"jwt": token})), &token);
        }
        let mut client = knock(&server, &json!({"jwt": signed(&account, &good)}));
        client.expect("PONG");
        // One that ends goes when it does.
        let mut ending = knock(&server, &json!({"jwt": with("exp", json!(now() + 2))}));
        ending.expect("PONG");
        ending.flush();
        let frames = ending.expect_closed();
        assert_eq!(frames, [Frame::Err("User Authentication Expired".to_owned())]);
    };
    test(Which::Ours);
    if peer_of_version("2.14", "secnote-2026-23").is_some() {
        test(Which::Peer);
    }
}

/// CVE-2020-28466, CVE-2022-42709: accounts that import from each other in a circle.
#[test]
fn circles_of_imports_end() {
    everywhere("CVE-2020-28466", |which| {
        let config = "accounts {
          A { users: [ { user: a, password: p } ], exports: [ { service: x } ],
              imports: [ { service: { account: B, subject: x } } ] }
          B { users: [ { user: b, password: p } ], exports: [ { service: x } ],
              imports: [ { service: { account: A, subject: x } } ] }
        }";
        // Either it does not start, or a request does not go round for ever.
        if let Ok(server) = ServerBuilder::new(which).config(config).try_start() {
            let mut a = user(&server, "a");
            a.send("PUB x r 0\r\n\r\nPING\r\n");
            assert_ne!(a.try_frame(testkit::DEADLINE), Err(NoFrame::Timeout));
        }
    });
}
