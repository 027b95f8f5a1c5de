//! Requests and their answers.

use super::{CONFIG, ask, connect, id, message, play};
use conformance::redact::{names, redact, shape};
use testkit::client::Client;
use testkit::server::Server;

/// Who asks, where (`ID` stands for the server's), and with which body.
pub(crate) type Request = (&'static str, &'static str, &'static str);

const SERVICES: [&str; 15] = [
    "IDZ",
    "STATSZ",
    "VARZ",
    "SUBSZ",
    "CONNZ",
    "ROUTEZ",
    "GATEWAYZ",
    "LEAFZ",
    "ACCOUNTZ",
    "JSZ",
    "HEALTHZ",
    "PROFILEZ",
    "EXPVARZ",
    "IPQUEUESZ",
    "RAFTZ",
];

/// Asks everything and writes the answers down.
fn transcript(
    server: &Server,
    requests: impl IntoIterator<Item = (String, String, String)>,
) -> String {
    let mut clients: Vec<(&str, Client)> =
        ["sys", "a", "lim"].map(|user| (user, connect(server, user))).into();
    let id = id(&clients[0].1);
    for (_, client) in &mut clients {
        client.sub("_INBOX.r.*", 1);
        client.flush();
    }
    let mut out = String::new();
    for (n, (user, subject, body)) in requests.into_iter().enumerate() {
        let (_, client) = clients.iter_mut().find(|(name, _)| *name == user).unwrap();
        ask(
            client,
            &subject.replace(".ID.", &format!(".{id}.")),
            &format!("_INBOX.r.{n}"),
            "",
            &body,
        );
        out.push_str(&format!("> {user} {subject} {body}\n"));
        out.push_str(&format!("< {}\n", answer(client, n, &subject)));
    }
    out
}

/// The answer to request `n`. That there is none is known once a later one to the same thread of
/// the server is answered.
fn answer(client: &mut Client, n: usize, subject: &str) -> String {
    let fence = if subject.contains("STATSZ") || subject.ends_with("PING") {
        "$SYS.REQ.SERVER.PING.STATSZ"
    } else {
        "$SYS.REQ.SERVER.PING.VARZ"
    };
    let mut asked = false;
    loop {
        // Answers come at once; a request that has none costs this wait.
        let patience = if asked { client.deadline } else { std::time::Duration::from_millis(250) };
        let frame = match client.try_frame(patience) {
            Ok(frame) => frame,
            Err(_) if !asked => {
                asked = true;
                ask(client, fence, "_INBOX.r.fence", "", "");
                continue;
            }
            Err(why) => panic!("no answer to the fence: {why:?}"),
        };
        let testkit::frame::Frame::Msg(message) = frame else { return names(&frame.to_string()) };
        if message.subject == "_INBOX.r.fence" {
            return "silence".into();
        }
        if message.subject == format!("_INBOX.r.{n}") {
            let header = names(&message.header_text().replace("\r\n", "|"));
            let text = message.text();
            let free = subject.ends_with("EXPVARZ") || subject.ends_with("PROFILEZ");
            let shown = if free { shape(&text) } else { redact(&text, true) };
            return format!("{header}{shown}");
        }
    }
}

pub(crate) fn owned(requests: &[Request]) -> Vec<(String, String, String)> {
    requests.iter().map(|(user, s, b)| ((*user).into(), (*s).into(), (*b).into())).collect()
}

pub(crate) fn scene(requests: &[(String, String, String)]) -> impl Fn(&Server) -> String {
    move |server| transcript(server, requests.iter().cloned())
}

// Contract: SYS-010, SYS-013, SYS-020, SYS-021, SYS-022
#[test]
fn servers_answer_by_id_and_all_at_once() {
    let mut requests = owned(&[("sys", "$SYS.REQ.SERVER.PING", "")]);
    for service in SERVICES {
        for who in ["PING", "ID"] {
            let subject = format!("$SYS.REQ.SERVER.{who}.{service}");
            requests.push(("sys".into(), subject, String::new()));
        }
    }
    let profile = r#"{"name":"goroutine"}"#;
    requests.extend(owned(&[("sys", "$SYS.REQ.SERVER.ID.PROFILEZ", profile)]));
    play("servers", CONFIG, scene(&requests));
}

// Contract: SYS-010, SYS-011
#[test]
fn bodies_pick_servers_and_options() {
    let mut requests = Vec::new();
    for body in [
        r#"{"server_name":"s"}"#,
        r#"{"server_name":"s","exact_match":true}"#,
        r#"{"server_name":"s1","exact_match":true,"host":"127.0.0.1"}"#,
        r#"{"host":"127."}"#,
        r#"{"host":"10."}"#,
        r#"{"cluster":"C"}"#,
        r#"{"tags":["az:1","eu"]}"#,
        r#"{"tags":["us"]}"#,
        r#"{"tags":[null]}"#,
        r#"{"domain":"hub"}"#,
        r#"{"SERVER_NAME":"zz"}"#,
    ] {
        for service in ["HEALTHZ", "STATSZ"] {
            let subject = format!("$SYS.REQ.SERVER.PING.{service}");
            requests.push(("sys".into(), subject, body.into()));
        }
    }
    requests.extend(owned(&[
        ("sys", "$SYS.REQ.SERVER.PING.CONNZ", r#"{"auth":true,"subscriptions":true,"sort":"cid"}"#),
        (
            "sys",
            "$SYS.REQ.SERVER.PING.CONNZ",
            r#"{"subscriptions_detail":true,"user":"a","auth":true}"#,
        ),
        ("sys", "$SYS.REQ.SERVER.PING.CONNZ", r#"{"acc":"A","filter_subject":"_INBOX.r.1"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.CONNZ", r#"{"state":1,"limit":5,"unknown":[]}"#),
        ("sys", "$SYS.REQ.SERVER.PING.CONNZ", r#"{"sort":"nope"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.SUBSZ", r#"{"subscriptions":true,"account":"A"}"#),
        (
            "sys",
            "$SYS.REQ.SERVER.PING.SUBSZ",
            r#"{"subscriptions":true,"account":"A","test":"_INBOX.r.x"}"#,
        ),
        ("sys", "$SYS.REQ.SERVER.PING.SUBSZ", r#"{"test":"a.>"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.ACCOUNTZ", r#"{"account":"A"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.ACCOUNTZ", r#"{"account":"SYS"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.ACCOUNTZ", r#"{"account":"B"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.HEALTHZ", r#"{"js-enabled-only":true}"#),
        ("sys", "$SYS.REQ.SERVER.PING.HEALTHZ", r#"{"account":"A","stream":"x","details":true}"#),
        ("sys", "$SYS.REQ.SERVER.PING.JSZ", r#"{"leader_only":true}"#),
        ("sys", "$SYS.REQ.SERVER.PING.JSZ", r#"{"accounts":true}"#),
        ("sys", "$SYS.REQ.SERVER.PING.PROFILEZ", r#"{"name":"nope"}"#),
        ("sys", "$SYS.REQ.SERVER.PING.PROFILEZ", r#"{"name":"cpu","duration":16000000000}"#),
        ("sys", "$SYS.REQ.SERVER.PING.GATEWAYZ", r#"{"name":"x","accounts":true}"#),
        ("sys", "$SYS.REQ.SERVER.PING.RAFTZ", r#"{"account":"A"}"#),
    ]));
    play("options", CONFIG, scene(&requests));
}

// Contract: SYS-010
#[test]
fn bodies_that_cannot_be_read_are_told_why() {
    let mut requests = Vec::new();
    for (service, bodies) in [
        (
            "VARZ",
            &[
                "{",
                " ",
                "x",
                "[]",
                "1",
                "\"x\"",
                "true",
                "null",
                "{}x",
                "{\"a\":tru}",
                "{\"a\":1,}",
                "{\"a\" 1}",
                "{a:1}",
                "[1 2]",
                "{\"a\":01}",
                "{\"a\":\"\\x\"}",
                "{\"host\":{}}",
                "{\"tags\":{}}",
                "{\"tags\":[1]}",
                "{\"exact_match\":1}",
            ][..],
        ),
        (
            "CONNZ",
            &[
                "{\"cid\":\"x\"}",
                "{\"cid\":-1}",
                "{\"cid\":1.5}",
                "{\"cid\":1e0}",
                "{\"limit\":99999999999999999999}",
                "{\"limit\":\"a\",\"cid\":\"b\"}",
                "{\"state\":\"open\"}",
                "{\"sort\":1}",
                "{\"Cid\":\"x\"}",
                "{\"auth\":null}",
            ],
        ),
        ("STATSZ", &["x", "{\"domain\":1}"]),
        ("IDZ", &["x", "{\"server_name\":\"zz\"}"]),
        ("JSZ", &["{\"offset\":\"x\"}", "{\"raft\":1}"]),
        ("SUBSZ", &["{\"test\":1}"]),
        ("HEALTHZ", &["{\"js-enabled\":\"1\"}"]),
        ("ROUTEZ", &["{\"subscriptions\":1}"]),
        ("GATEWAYZ", &["{\"name\":1}"]),
        ("LEAFZ", &["{\"account\":1}"]),
        ("ACCOUNTZ", &["{\"account\":1}"]),
        ("IPQUEUESZ", &["{\"all\":1}"]),
        ("RAFTZ", &["{\"group\":1}"]),
        ("EXPVARZ", &["{\"domain\":1}"]),
        ("PROFILEZ", &["{\"duration\":\"1s\"}", "{\"debug\":\"1\"}"]),
    ] {
        for body in bodies {
            let subject = format!("$SYS.REQ.SERVER.PING.{service}");
            requests.push(("sys".into(), subject, (*body).into()));
        }
    }
    play("complaints", CONFIG, scene(&requests));
}

// Contract: SYS-014, SYS-015, SYS-016, ACC-022
#[test]
fn accounts_are_asked_about_by_operators_and_by_themselves() {
    let mut requests = Vec::new();
    for service in ["SUBSZ", "CONNZ", "LEAFZ", "JSZ", "INFO", "STATZ", "CONNS"] {
        for account in ["A", "B", "$G", "PING"] {
            let subject = format!("$SYS.REQ.ACCOUNT.{account}.{service}");
            requests.push(("sys".into(), subject, String::new()));
        }
        for body in ["x", "[]", r#"{"server_name":"zz"}"#, r#"{"acc":"B"}"#] {
            let subject = format!("$SYS.REQ.ACCOUNT.A.{service}");
            requests.push(("sys".into(), subject, body.into()));
        }
    }
    requests.extend(owned(&[
        ("sys", "$SYS.REQ.ACCOUNT.SYS.INFO", ""),
        ("sys", "$SYS.REQ.ACCOUNT.$G.STATZ", r#"{"include_unused":true}"#),
        ("sys", "$SYS.REQ.ACCOUNT.PING.STATZ", r#"{"include_unused":true}"#),
        ("sys", "$SYS.REQ.ACCOUNT.PING.STATZ", r#"{"accounts":["A","B"]}"#),
        ("sys", "$SYS.REQ.ACCOUNT.NSUBS", r#"{"acc":"A","subject":"_INBOX.r.5"}"#),
        ("sys", "$SYS.REQ.ACCOUNT.NSUBS", r#"{"acc":"A","subject":"_INBOX.>"}"#),
        ("sys", "$SYS.REQ.ACCOUNT.NSUBS", r#"{"acc":"A","subject":"_INBOX.r.5","queue":"cQ=="}"#),
        ("sys", "$SYS.REQ.ACCOUNT.NSUBS", r#"{"acc":"$G","subject":"x"}"#),
        ("sys", "$SYS.REQ.ACCOUNT.NSUBS", "{}"),
        ("sys", "$SYS.REQ.ACCOUNT.NSUBS", "x"),
        ("sys", "$SYS.REQ.ACCOUNT.NSUBS", ""),
        ("sys", "$SYS.DEBUG.SUBSCRIBERS", "_INBOX.r.1"),
        ("sys", "$SYS.DEBUG.SUBSCRIBERS", " _INBOX.> "),
        ("sys", "$SYS.DEBUG.SUBSCRIBERS", "_INBOX.> q"),
        ("sys", "$SYS.DEBUG.SUBSCRIBERS", ""),
        ("a", "$SYS.REQ.SERVER.PING.CONNZ", ""),
        ("a", "$SYS.REQ.SERVER.PING.CONNZ", r#"{"acc":"SYS","auth":true}"#),
        ("a", "$SYS.REQ.ACCOUNT.PING.CONNZ", ""),
        ("a", "$SYS.REQ.ACCOUNT.PING.STATZ", ""),
        ("a", "$SYS.REQ.ACCOUNT.PING.STATZ", r#"{"accounts":["SYS"]}"#),
        ("a", "$SYS.REQ.SERVER.PING", ""),
        ("a", "$SYS.REQ.SERVER.PING.VARZ", ""),
        ("a", "$SYS.REQ.ACCOUNT.SYS.CONNZ", ""),
        ("a", "$SYS.REQ.ACCOUNT.A.CONNZ", ""),
        ("a", "$SYS.REQ.ACCOUNT.A.INFO", ""),
        ("a", "$SYS.REQ.USER.A.INFO", ""),
        ("a", "$SYS.DEBUG.SUBSCRIBERS", "x"),
    ]));
    play("accounts", CONFIG, scene(&requests));
}

// Contract: SYS-017, ACC-022
#[test]
fn users_ask_who_they_are() {
    play(
        "users",
        CONFIG,
        scene(&owned(&[
            ("sys", "$SYS.REQ.USER.INFO", ""),
            ("a", "$SYS.REQ.USER.INFO", ""),
            ("lim", "$SYS.REQ.USER.INFO", ""),
            ("sys", "$SYS.REQ.USER.A.INFO", ""),
        ])),
    );
}

// Contract: SYS-012
#[test]
fn answers_are_packed_as_asked() {
    play("encodings", CONFIG, |server| {
        let mut client = connect(server, "sys");
        client.sub("in", 1);
        let mut out = String::new();
        for accept in ["gzip", "GZIP, br", "snappy", "S2, gzip", "br", ""] {
            let header = format!("NATS/1.0\r\nAccept-Encoding: {accept}\r\n\r\n");
            for service in ["HEALTHZ", "IDZ", "STATSZ"] {
                ask(&mut client, &format!("$SYS.REQ.SERVER.PING.{service}"), "in", &header, "");
                let message = message(&mut client).unwrap();
                let start: Vec<u8> = message.payload.iter().take(4).copied().collect();
                let header = message.header_text().replace("\r\n", "|");
                out.push_str(&format!("{accept} {service}: {header} {start:02x?}\n"));
            }
        }
        out
    });
}

// Contract: TRACE-011
#[test]
fn traces_are_packed_as_asked() {
    play("traces_packed", CONFIG, |server| {
        let mut client = connect(server, "a");
        client.sub("tr", 1);
        let mut out = String::new();
        for accept in ["gzip", "GZIP, br", "snappy", "S2, gzip", "br", ""] {
            let header =
                format!("NATS/1.0\r\nNats-Trace-Dest: tr\r\nAccept-Encoding: {accept}\r\n\r\n");
            ask(&mut client, "traced", "in", &header, "hello");
            let message = message(&mut client).unwrap();
            let start: Vec<u8> = message.payload.iter().take(4).copied().collect();
            let header = message.header_text().replace("\r\n", "|");
            out.push_str(&format!("{accept}: {header} {start:02x?}\n"));
        }
        out
    });
}
