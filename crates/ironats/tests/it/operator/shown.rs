//! What operators see of operator mode: monitoring and the log.

use super::house::{Account, House, Login, Peer, now};
use crate::within;
use ironats::{Log, Server};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use stdx::log::{Level, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn get(server: &Server, path: &str) -> Value {
    let mut stream = tokio::net::TcpStream::connect(server.http_address().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

// Contract: AUTH-034, MON-011
#[tokio::test]
async fn monitoring_shows_tokens_but_no_secrets() {
    let (mut house, mut account) = (House::new(), Account::new("acme"));
    account.claims.nats.tags = vec!["red".into()];
    let signing = nkeys::KeyPair::new_account();
    account.claims.nats.signing_keys.0.insert(signing.public_key(), None);
    account.claims.nats.revocations.insert("*".into(), 1_600_000_000);
    let conf = house.memory(&[&account]);
    house.start(&format!("{conf}\nhttp: 127.0.0.1:-1"));
    let plain = Login::of(&account, &signing, |claims| claims.nats.tags = vec!["t".into()]);
    let bearer = Login::of(&account, &account.key, |claims| claims.nats.limits.bearer_token = true);
    let _first = Peer::enter(house.server(), &plain).await;
    let _second = Peer::enter(house.server(), &bearer).await;
    let connz = get(house.server(), "/connz?auth=1&sort=cid").await;
    let [first, second] = [0, 1].map(|i| connz["connections"][i].clone());
    assert_eq!(first["authorized_user"], plain.key.public_key());
    assert_eq!(
        (&first["jwt"], &first["issuer_key"]),
        (&json!(plain.jwt), &json!(signing.public_key()))
    );
    assert_eq!((&first["account"], &first["name_tag"]), (&json!(account.id()), &json!("acme")));
    assert_eq!(first["tags"], json!(["t"]));
    assert_eq!(second["issuer_key"], account.id());
    assert!(!connz.to_string().contains(&bearer.jwt));
    let id = account.id();
    let accountz = get(house.server(), &format!("/accountz?acc={id}")).await;
    let detail = &accountz["account_detail"];
    assert_eq!((&detail["name_tag"], &detail["tags"]), (&json!("acme"), &json!(["red"])));
    assert_eq!(detail["issuer_key"], house.operator.public_key());
    assert_eq!((&detail["complete"], &detail["expired"]), (&json!(true), &json!(false)));
    assert_eq!(detail["decoded_jwt"]["sub"], account.id());
    assert_eq!(detail["revoked_user"]["*"], "2020-09-13T12:26:40Z");
    let varz = get(house.server(), "/varz").await;
    assert_eq!(varz["trusted_operators_claim"][0]["sub"], house.operator.public_key());
    assert_eq!(varz["system_account"], house.system.id());
}

/// Keeps what is written.
struct Kept(Arc<Mutex<Vec<String>>>);

impl Sink for Kept {
    fn write(&self, _: Level, text: std::fmt::Arguments<'_>) {
        self.0.lock().unwrap().push(text.to_string());
    }
}

/// The lines of a server that starts and ends with this configuration.
fn lines(conf: &str) -> Vec<String> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let text = format!("listen: 127.0.0.1:-1\n{conf}");
    let loaded = config::load_text(text.as_bytes(), "x", &ironats::files::System).unwrap();
    let log = Log::new(Box::new(Kept(lines.clone())));
    Server::start(loaded.options, log).unwrap().shutdown();
    std::mem::take(&mut *lines.lock().unwrap())
}

// Contract: AUTH-035, AUTH-011
#[test]
fn the_log_tells_who_is_trusted_and_what_is_wrong() {
    let (mut house, mut account) = (House::new(), Account::new("A"));
    account.claims.expires = now() - 60;
    let with = lines(&house.memory(&[&account]));
    let has = |lines: &[String], text: &str| lines.iter().any(|line| line == text);
    for line in ["Trusted Operators", "  Operator: \"O\"", "  Expires : Never"] {
        assert!(has(&with, line), "{with:?}");
    }
    assert!(has(&with, &format!("Account [{}] has validation issues:", account.id())));
    assert!(has(&with, "  - claim is expired"));
    let warning = "Trusted Operators should utilize a System Account";
    assert!(!has(&with, warning));
    house.claims.nats.system_account.clear();
    assert!(has(&lines(&house.memory(&[])), warning));
}
