//! Bytes that are no protocol: what is said, which reason is remembered, who stays.
//!
//! The same table is held against the reference where there is one.

use abuse::bystander::Bystander;
use abuse::random::Random;
use serde_json::json;
use testkit::client::NoFrame;
use testkit::{Client, DEADLINE, Frame, Server, ServerBuilder, Which, eventually};

/// What becomes of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It may go on.
    Stays,
    /// It is closed, and this is listed as the reason.
    Closed(&'static str),
}

struct Case {
    name: &'static str,
    /// Fields of CONNECT before the bytes; `None`: nothing goes before them.
    login: Option<serde_json::Value>,
    bytes: Vec<u8>,
    said: &'static [&'static str],
    end: End,
}

const UNKNOWN: &[&str] = &["-ERR 'Unknown Protocol Operation'"];
const PROTOCOL: End = End::Closed("Protocol Violation");
const LINE: &[&str] = &["-ERR 'maximum control line exceeded'"];

fn case(
    name: &'static str,
    bytes: impl Into<Vec<u8>>,
    said: &'static [&'static str],
    end: End,
) -> Case {
    Case { name, login: Some(json!({})), bytes: bytes.into(), said, end }
}

fn cases() -> Vec<Case> {
    let long = |head: &str, n: usize| [head.as_bytes(), &vec![b'x'; n]].concat();
    let mut noise = vec![0x9c];
    noise.extend(Random::new(11).bytes(5000));
    let mut cases = vec![
        case("noise", noise, UNKNOWN, PROTOCOL),
        case("a web browser", "GET / HTTP/1.1\r\nHost: nats\r\n\r\n", UNKNOWN, PROTOCOL),
        case("a TLS client", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", UNKNOWN, PROTOCOL),
        case("zeroes", vec![0; 3000], UNKNOWN, PROTOCOL),
        case("empty lines", "\r\n\r\n", UNKNOWN, PROTOCOL),
        case("a server's verb", "RS+ $G foo\r\n", UNKNOWN, PROTOCOL),
        case("an answer's verb", "MSG a 1 2\r\nhi\r\n", UNKNOWN, PROTOCOL),
        case("PUB without anything", "PUB\r\n", UNKNOWN, PROTOCOL),
        case("PUB without a size", "PUB a\r\n", &[], PROTOCOL),
        case("a size below zero", "PUB a -1\r\n", &[], PROTOCOL),
        case("a size of 20 digits", "PUB a 99999999999999999999\r\n", &[], PROTOCOL),
        case("a size in letters", "PUB a ten\r\n", &[], PROTOCOL),
        case(
            "a size above the limit",
            "PUB a 1048577\r\n",
            &["-ERR 'Maximum Payload Violation'"],
            End::Closed("Maximum Message Payload Exceeded"),
        ),
        case("more payload than announced", "PUB a 2\r\nhello\r\n", UNKNOWN, PROTOCOL),
        case("no line end after the payload", "PUB a 2\r\nhiPING\r\n", UNKNOWN, PROTOCOL),
        case("a header longer than the message", "HPUB a 20 10\r\n", &[], PROTOCOL),
        case("a header of no length", "HPUB a x 10\r\n", &[], PROTOCOL),
        case("SUB without a sid", "SUB a\r\n", &[], PROTOCOL),
        case("SUB with four arguments", "SUB a b c d\r\n", &[], PROTOCOL),
        case("UNSUB with three arguments", "UNSUB 1 2 3\r\n", &[], PROTOCOL),
        case("a line without end", long("SUB ", 9000), LINE, CLOSED_LINE),
        case("a PUB line without end", long("PUB ", 9000), LINE, CLOSED_LINE),
        case("CONNECT that is no JSON", "CONNECT {nope}\r\n", &[], PROTOCOL),
        case("CONNECT of wrong types", "CONNECT {\"verbose\":\"yes\"}\r\n", &[], PROTOCOL),
        case("a client's error", "-ERR 'go away'\r\n", &[], End::Closed("Parse Error")),
        // Strange, but no offence.
        case(
            "a name that is not UTF-8",
            b"CONNECT {\"verbose\":false,\"name\":\"\xff\xfe\"}\r\n",
            &[],
            End::Stays,
        ),
        case(
            "a subject that is not UTF-8",
            b"SUB \xff\xfe 1\r\nUNSUB 1\r\nPUB \xc3 0\r\n\r\n",
            &[],
            End::Stays,
        ),
        case("an empty token", "SUB a..b 1\r\n", &["-ERR 'Invalid Subject'"], End::Stays),
        case("UNSUB of nothing", "UNSUB 99\r\n", &[], End::Stays),
        case("lower case", "sub a 1\r\nunsub 1\r\npub a 2\r\nhi\r\n", &[], End::Stays),
    ];
    cases.push(Case {
        login: Some(json!({"headers": false, "no_responders": false})),
        ..case("headers that were not agreed on", "HPUB a 12 12\r\n", &[], PROTOCOL)
    });
    cases.push(Case { login: None, ..case("noise at first", vec![0xff; 100], UNKNOWN, PROTOCOL) });
    cases.push(Case {
        login: None,
        ..case("a CONNECT without end", long("CONNECT {\"name\":\"", 9000), LINE, CLOSED_LINE)
    });
    cases
}

const CLOSED_LINE: End = End::Closed("Maximum Control Line Exceeded");

/// Offends and returns what was said and what became of the offender.
fn offend(server: &Server, case: &Case) -> (Vec<String>, Option<String>) {
    let mut client = Client::greeted(server.addr());
    if let Some(fields) = &case.login {
        client.connect(fields);
        client.flush();
    }
    let id = client.info["client_id"].as_u64().unwrap();
    // The server may close before it has read it all.
    let _ = client.try_send(&case.bytes);
    if case.end == End::Stays {
        let said = client.flush();
        return (said.iter().map(ToString::to_string).collect(), None);
    }
    let mut said = Vec::new();
    loop {
        match client.try_frame(DEADLINE) {
            Ok(Frame::Info(_)) => {}
            Ok(frame) => said.push(frame.to_string()),
            Err(NoFrame::Closed | NoFrame::Cut) => break,
            Err(NoFrame::Timeout) => panic!("{}: not closed, said {said:?}", case.name),
        }
    }
    let reason = eventually(DEADLINE, "a line in the list of closed connections", || {
        let closed = server.json(&format!("/connz?state=closed&cid={id}"));
        closed["connections"][0]["reason"].as_str().map(str::to_owned)
    });
    (said, Some(reason))
}

fn offenders_get_what_they_deserve(which: Which) {
    let server = ServerBuilder::new(which).monitoring().start();
    let bystander = Bystander::anonymous(server.addr());
    for case in cases() {
        let (said, reason) = offend(&server, &case);
        // What was unread when the server closed may have cost the client the last words.
        let lost = said.is_empty() && case.bytes.len() > 1000;
        assert!(lost || said == case.said, "{}: said {said:?}", case.name);
        let end = match case.end {
            End::Stays => None,
            End::Closed(reason) => Some(reason.to_owned()),
        };
        assert_eq!(reason, end, "{}", case.name);
    }
    abuse::crowd::wait_connections(&server, 2);
    assert!(bystander.finish().messages > 0);
}

// Contract: CORE-002, CORE-003, CORE-005, CORE-006, CORE-007, CORE-008, CORE-009
#[test]
fn offenders_are_told_and_closed() {
    offenders_get_what_they_deserve(Which::Ours);
}

#[test]
fn offenders_of_the_reference_are_told_and_closed_alike() {
    if testkit::binary::peer_of_version("2.14", "offenders of the reference").is_some() {
        offenders_get_what_they_deserve(Which::Peer);
    }
}
