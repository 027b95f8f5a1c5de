//! Clients behind proxies: only a trusted proxy's signature makes one.

use crate::token::now;
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use testkit::binary::peer_of_version;
use testkit::{Client, Frame, ServerBuilder, Which, eventually};

fn signature(key: &KeyPair, client: &Client) -> String {
    let nonce = client.info["nonce"].as_str().unwrap();
    BASE64URL_NOPAD.encode(&key.sign(nonce.as_bytes()).unwrap())
}

fn a_proxy_is_who_signs(which: Which) {
    let (trusted, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let config = format!(
        "proxies {{ trusted: [ {{ key: {} }} ] }}
         authorization {{ users: [ {{ user: open, password: p }},
           {{ user: shut, password: p, proxy_required: true }} ] }}",
        trusted.public_key()
    );
    let server = ServerBuilder::new(which).config(&config).monitoring().start();
    let knock = |user: &str, sign: &dyn Fn(&Client) -> Option<String>| {
        let mut client = Client::greeted(server.addr());
        let mut connect = json!({"user": user, "pass": "p"});
        if let Some(signature) = sign(&client) {
            connect["proxy_sig"] = json!(signature);
        }
        client.connect(&connect);
        client.send("PING\r\n");
        client
    };
    let by_trusted = |client: &Client| Some(signature(&trusted, client));
    for (user, sign) in [("open", None), ("open", Some(&by_trusted)), ("shut", Some(&by_trusted))] {
        let nobody = |_: &Client| None;
        let mut client = match sign {
            None => knock(user, &nobody),
            Some(sign) => knock(user, sign),
        };
        client.expect("PONG");
        let id = client.info["client_id"].clone();
        let connz = server.json(&format!("/connz?cid={id}"));
        let expected = sign.map(|_| json!({"key": trusted.public_key()}));
        assert_eq!(connz["connections"][0].get("proxy").cloned(), expected, "{user}");
    }
    let by_stranger = |client: &Client| Some(signature(&stranger, client));
    let of_another = |_: &Client| Some(BASE64URL_NOPAD.encode(&trusted.sign(b"x").unwrap()));
    let garbage = |_: &Client| Some(format!("!{}", now()));
    let long = |_: &Client| Some("A".repeat(3000));
    let nobody = |_: &Client| None;
    type Sign<'a> = &'a dyn Fn(&Client) -> Option<String>;
    let cases: [(&str, Sign<'_>, &str); 6] = [
        ("open", &by_stranger, "Proxy Not Trusted"),
        ("open", &of_another, "Proxy Not Trusted"),
        ("open", &garbage, "Proxy Not Trusted"),
        ("open", &long, "Proxy Not Trusted"),
        ("shut", &by_stranger, "Proxy Not Trusted"),
        ("shut", &nobody, "Proxy Required"),
    ];
    for (user, sign, reason) in cases {
        let mut client = knock(user, sign);
        let id = client.info["client_id"].clone();
        let frames = client.expect_closed();
        assert_eq!(frames, [Frame::Err("Authorization Violation".to_owned())], "{user} {reason}");
        eventually(testkit::DEADLINE, "the closed connection is listed", || {
            let connz = server.json(&format!("/connz?state=closed&cid={id}"));
            let told: Value = connz["connections"][0]["reason"].clone();
            (!told.is_null()).then(|| assert_eq!(told, reason, "{user}"))
        });
    }
}

// Contract: AUTH-030, MISC-008
#[test]
fn a_proxy_is_who_signs_the_nonce() {
    a_proxy_is_who_signs(Which::Ours);
    if peer_of_version("2.14", "trusted proxies").is_some() {
        a_proxy_is_who_signs(Which::Peer);
    }
}
