//! Accounts that change while they are used: pushed to a directory, revoked, expired, deleted.

use super::house::{Account, House, Login, Peer, eventually, now};
use crate::within;
use auth::jwt::share::{Export, Import};
use auth::jwt::{ActivationClaims, GenericClaims};
use futures_lite::StreamExt;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A house with a directory of tokens, and a client of the system account.
struct Directory {
    house: House,
    dir: TempDir,
    system: async_nats::Client,
}

impl Directory {
    async fn open(kind: &str) -> Self {
        Self::open_in(House::new(), tempfile::tempdir().unwrap(), kind).await
    }

    /// The server of `house` over `dir`, which may have been used before.
    async fn open_in(mut house: House, dir: TempDir, kind: &str) -> Self {
        let path = dir.path().join("jwt");
        let store = dir.path().join("js");
        let (id, token) = (house.system.id(), house.sign(&house.system));
        house.start(&format!(
            "{}\nresolver {{ dir: {path:?}, {kind} }}\nresolver_preload {{ {id}: {token} }}\n\
             jetstream {{ store_dir: {store:?} }}",
            house.operator_conf()
        ));
        let system = house.client(&Login::plain(&house.system)).await;
        Self { house, dir, system }
    }

    async fn ask(&self, subject: &str, body: impl Into<String>) -> Value {
        let body = body.into().into_bytes();
        let answer = within(self.system.request(subject.to_owned(), body.into())).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap_or(Value::Null)
    }

    /// Pushes an account's token as it is now.
    async fn push(&self, account: &Account) {
        let answer = self.ask("$SYS.REQ.CLAIMS.UPDATE", self.house.sign(account)).await;
        assert_eq!(answer["data"]["message"], "jwt updated", "{answer}");
    }

    async fn enter(&self, login: &Login) -> Peer {
        Peer::enter(self.house.server(), login).await
    }

    /// The same after a restart.
    async fn again(mut self, kind: &str) -> Self {
        self.house.server.take().unwrap().shutdown();
        Self::open_in(self.house, self.dir, kind).await
    }

    fn file(&self, account: &Account) -> std::path::PathBuf {
        self.dir.path().join("jwt").join(format!("{}.jwt", account.id()))
    }
}

fn export(subject: &str, kind: &str) -> Export {
    Export { subject: subject.into(), kind: kind.into(), ..Export::default() }
}

fn import(of: &Account, subject: &str, kind: &str) -> Import {
    let (subject, kind) = (subject.to_owned(), kind.to_owned());
    Import { account: of.id(), subject, kind, ..Import::default() }
}

// Contract: AUTH-019, SYS-023, AUTH-022
#[tokio::test]
async fn tokens_are_pushed_looked_up_listed_and_deleted() {
    let d = Directory::open("type: full, allow_delete: true").await;
    let account = Account::new("A");
    let (id, token) = (account.id(), d.house.sign(&account));
    assert_eq!(d.house.try_login(&Login::plain(&account)).await, "-ERR 'Authorization Violation'");
    let answer = d.ask(&format!("$SYS.REQ.ACCOUNT.{id}.CLAIMS.UPDATE"), token.as_str()).await;
    assert_eq!(answer["data"], json!({"account": id, "code": 200, "message": "jwt updated"}));
    assert!(answer["server"]["id"].as_str().unwrap().starts_with('N'), "{answer}");
    assert_eq!(std::fs::read_to_string(d.file(&account)).unwrap(), token);
    let mut peer = d.enter(&Login::plain(&account)).await;
    let found = d.system.request(format!("$SYS.REQ.ACCOUNT.{id}.CLAIMS.LOOKUP"), "".into());
    assert_eq!(within(found).await.unwrap().payload, token);
    let mut listed = d.ask("$SYS.REQ.CLAIMS.LIST", "").await["data"].as_array().unwrap().clone();
    listed.sort_by_key(ToString::to_string);
    let mut want = vec![json!(id), json!(d.house.system.id())];
    want.sort_by_key(ToString::to_string);
    assert_eq!(listed, want);
    // Only the operator deletes.
    let mut request = GenericClaims::about(d.house.operator.public_key());
    request.nats.insert("accounts".into(), json!([id]));
    let mut stranger = request.clone();
    let by_stranger = stranger.encode(&KeyPair::new_operator(), now()).unwrap();
    let refused = d.ask("$SYS.REQ.CLAIMS.DELETE", by_stranger).await;
    assert!(refused["error"]["description"].as_str().unwrap().ends_with("not self signed"));
    let signed = request.encode(&d.house.operator, now()).unwrap();
    let answer = d.ask("$SYS.REQ.CLAIMS.DELETE", signed).await;
    assert_eq!(answer["data"], json!({"code": 200, "message": "deleted 1 accounts"}));
    assert_eq!(peer.rest().await, "-ERR 'Account Authentication Expired'\r\n");
    assert_eq!(d.house.try_login(&Login::plain(&account)).await, "-ERR 'Authorization Violation'");
    assert!(!d.file(&account).exists());
    // Pushed again, it is back.
    d.push(&account).await;
    d.enter(&Login::plain(&account)).await;
}

// Contract: AUTH-019, SYS-023
#[tokio::test]
async fn what_is_no_token_of_the_account_is_not_kept() {
    let d = Directory::open("type: full").await;
    let account = Account::new("A");
    let (id, token) = (account.id(), d.house.sign(&account));
    let foreign = account.claims.clone().encode(&KeyPair::new_operator(), now()).unwrap();
    let mut senseless = Account::new("C");
    senseless.claims.nats.exports.push(export("a..b", "stream"));
    let other = Account::new("B").id();
    let update = |id: &str| format!("$SYS.REQ.ACCOUNT.{id}.CLAIMS.UPDATE");
    for (subject, body, want) in [
        (update(&id), "x".to_owned(), "jwt update resulted in error - expected 3 chunks"),
        (update(&other), token.clone(), "subject does not match jwt content"),
        (update(&id), foreign, "not signed by a trusted operator"),
        (
            update(&senseless.id()),
            d.house.sign(&senseless),
            "jwt validation failed - validation errors:",
        ),
        ("$SYS.REQ.CLAIMS.DELETE".to_owned(), "x".to_owned(), "expected 3 chunks"),
    ] {
        let answer = d.ask(&subject, body).await;
        let error = &answer["error"];
        assert_eq!(error["code"], 500);
        assert!(error["description"].as_str().unwrap().contains(want), "{answer}");
    }
    let mut request = GenericClaims::about(d.house.operator.public_key());
    request.nats.insert("accounts".into(), json!([id]));
    let signed = request.encode(&d.house.operator, now()).unwrap();
    let refused = d.ask("$SYS.REQ.CLAIMS.DELETE", signed).await;
    let text = refused["error"]["description"].as_str().unwrap();
    assert!(text.ends_with("delete must be enabled in server config"), "{text}");
    assert!(!d.file(&account).exists());
}

// Contract: ACC-019, CORE-025
#[tokio::test]
async fn revoked_users_go_at_once() {
    let d = Directory::open("type: full").await;
    let mut account = Account::new("A");
    d.push(&account).await;
    let (one, two) = (Login::plain(&account), Login::plain(&account));
    let (mut first, mut second) = (d.enter(&one).await, d.enter(&two).await);
    account.claims.nats.revocations.insert(one.key.public_key(), now());
    d.push(&account).await;
    assert_eq!(first.rest().await, "-ERR 'User Authentication Revoked'\r\n");
    assert!(second.is_served().await);
    account.claims.nats.revocations.insert("*".into(), now());
    d.push(&account).await;
    assert_eq!(second.rest().await, "-ERR 'User Authentication Revoked'\r\n");
    assert_eq!(d.house.try_login(&two).await, "-ERR 'Authorization Violation'");
}

// Contract: ACC-019
#[tokio::test]
async fn signing_keys_bearers_and_connections_are_looked_at_again() {
    let d = Directory::open("type: full").await;
    let mut account = Account::new("A");
    let signing = KeyPair::new_account();
    account.claims.nats.signing_keys.0.insert(signing.public_key(), None);
    d.push(&account).await;
    let bearer = Login::of(&account, &account.key, |c| c.nats.limits.bearer_token = true);
    let mut first = d.enter(&Login::plain(&account)).await;
    let mut signed = d.enter(&Login::of(&account, &signing, |_| {})).await;
    let mut bearing = d.enter(&bearer).await;
    account.claims.nats.signing_keys.0.clear();
    account.claims.nats.limits.disallow_bearer = true;
    d.push(&account).await;
    assert_eq!(signed.rest().await, "");
    assert_eq!(bearing.rest().await, "-ERR 'Authorization Violation'\r\n");
    assert!(first.is_served().await);
    let mut last = d.enter(&Login::plain(&account)).await;
    account.claims.nats.limits.conn = 1;
    d.push(&account).await;
    assert_eq!(last.rest().await, "-ERR 'maximum account active connections exceeded'\r\n");
    assert!(first.is_served().await);
}

// Contract: ACC-020, CORE-025
#[tokio::test]
async fn an_account_ends_with_its_token_and_comes_back_with_a_new_one() {
    let d = Directory::open("type: full").await;
    let mut account = Account::new("A");
    account.claims.expires = now() + 2;
    d.push(&account).await;
    let login = Login::plain(&account);
    let mut peer = d.enter(&login).await;
    assert_eq!(peer.rest().await, "-ERR 'Account Authentication Expired'\r\n");
    assert_eq!(d.house.try_login(&login).await, "-ERR 'Authorization Violation'");
    account.claims.expires = 0;
    d.push(&account).await;
    d.enter(&login).await;
}

// Contract: ACC-018, ACC-019
#[tokio::test]
async fn activations_let_in_until_they_end_or_are_revoked() {
    let d = Directory::open("type: full").await;
    let (mut exporter, mut importer) = (Account::new("E"), Account::new("I"));
    exporter.claims.nats.exports = vec![Export { token_req: true, ..export("pub.>", "stream") }];
    importer.claims.nats.imports = vec![import(&exporter, "pub.x", "stream")];
    d.push(&exporter).await;
    d.push(&importer).await;
    let source = d.house.client(&Login::plain(&exporter)).await;
    let sink = d.house.client(&Login::plain(&importer)).await;
    let mut sub = sink.subscribe("pub.x").await.unwrap();
    let mut own = sink.subscribe("end").await.unwrap();
    sink.flush().await.unwrap();
    // Whether a message arrives that the exporter publishes now.
    let mut arrives = async || {
        source.publish("pub.x", "m".into()).await.unwrap();
        source.request("nobody", "".into()).await.unwrap_err();
        sink.publish("end", "".into()).await.unwrap();
        let got = async { sub.next().await.is_some() };
        let end = async { own.next().await.is_none() };
        let arrived = within(futures_lite::future::or(got, end)).await;
        if arrived {
            within(own.next()).await.unwrap();
        }
        arrived
    };
    assert!(!arrives().await, "without a token");
    let mut activation = ActivationClaims::about(importer.id());
    activation.nats.import_subject = "pub.x".into();
    activation.nats.import_kind = "stream".into();
    let mut with_token = async |activation: &mut ActivationClaims, signer: &KeyPair| {
        importer.claims.nats.imports[0].token = activation.encode(signer, now()).unwrap();
        d.push(&importer).await;
    };
    // A stranger who says to sign for the exporter.
    activation.nats.issuer_account = exporter.id();
    with_token(&mut activation, &KeyPair::new_account()).await;
    assert!(!arrives().await, "a stranger's token");
    activation.nats.issuer_account.clear();
    with_token(&mut activation, &exporter.key).await;
    assert!(arrives().await);
    exporter.claims.nats.exports[0].revocations.insert(importer.id(), now());
    d.push(&exporter).await;
    assert!(!arrives().await, "revoked");
    exporter.claims.nats.exports[0].revocations.clear();
    d.push(&exporter).await;
    assert!(arrives().await);
    activation.expires = now() + 2;
    let mut short = importer;
    short.claims.nats.imports[0].token = activation.encode(&exporter.key, now()).unwrap();
    d.push(&short).await;
    eventually("the activation ends", async || !arrives().await).await;
}

// Contract: ACC-021
#[tokio::test]
async fn an_account_waits_for_its_exporter() {
    let d = Directory::open("type: full").await;
    let (mut exporter, mut importer) = (Account::new("E"), Account::new("I"));
    exporter.claims.nats.exports = vec![export("svc", "service")];
    importer.claims.nats.imports = vec![import(&exporter, "svc", "service")];
    d.push(&importer).await;
    let asking = d.house.client(&Login::plain(&importer)).await;
    let claims = d.house.server().node().claims().unwrap();
    assert!(!claims.token(&importer.id()).unwrap().complete);
    let nobody = within(asking.request("svc", "".into())).await.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::RequestErrorKind::NoResponders);
    d.push(&exporter).await;
    let answering = d.house.client(&Login::plain(&exporter)).await;
    let mut requests = answering.subscribe("svc").await.unwrap();
    answering.flush().await.unwrap();
    answering.request("nobody", "".into()).await.unwrap_err();
    assert!(claims.token(&importer.id()).unwrap().complete);
    let answer = tokio::spawn(async move { asking.request("svc", "hello".into()).await });
    let request = within(requests.next()).await.unwrap();
    answering.publish(request.reply.unwrap(), request.payload).await.unwrap();
    assert_eq!(within(answer).await.unwrap().unwrap().payload, "hello");
}

// Contract: AUTH-020
#[tokio::test]
async fn a_cache_asks_others_for_what_it_lacks() {
    let d = Directory::open("type: cache, timeout: \"5s\"").await;
    let account = Account::new("A");
    let (id, token) = (account.id(), d.house.sign(&account));
    assert_eq!(d.house.try_login(&Login::plain(&account)).await, "-ERR 'Authorization Violation'");
    let skipped = d.ask("$SYS.REQ.CLAIMS.UPDATE", token.as_str()).await;
    assert_eq!(skipped["data"]["message"], "jwt update cache skipped");
    let mut asked = d.system.subscribe("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP").await.unwrap();
    d.ask("$SYS.REQ.CLAIMS.LIST", "").await;
    let login = Login::plain(&account);
    let mut peer = d.house.peer().await;
    peer.login(&login, "").await;
    let request = within(asked.next()).await.unwrap();
    assert_eq!(request.subject.as_str(), format!("$SYS.REQ.ACCOUNT.{id}.CLAIMS.LOOKUP"));
    d.system.publish(request.reply.unwrap(), token.into()).await.unwrap();
    assert_eq!(peer.line().await, "PONG");
    assert!(d.file(&account).exists());
    let answer = d.ask("$SYS.REQ.CLAIMS.UPDATE", d.house.sign(&account)).await;
    assert_eq!(answer["data"]["message"], "jwt updated cache");
}

// Contract: ACC-019
#[tokio::test]
async fn limits_and_default_permissions_reach_who_is_connected() {
    let d = Directory::open("type: full").await;
    let mut account = Account::new("A");
    d.push(&account).await;
    let unsaid = Login::of(&account, &account.key, |_| {});
    let said = Login::of(&account, &account.key, |claims| {
        claims.nats.limits.publish.allow = vec!["a".into(), "b".into()];
    });
    let (mut first, mut second) = (d.enter(&unsaid).await, d.enter(&said).await);
    first.send("SUB a 1\r\nSUB b 2\r\n").await;
    assert!(first.is_served().await && second.is_served().await);
    account.claims.nats.default_permissions.publish.deny = vec!["a".into()];
    account.claims.nats.default_permissions.subscribe.deny = vec!["b".into()];
    account.claims.nats.limits.payload = 10;
    d.push(&account).await;
    let removed = "-ERR 'Permissions Violation for Subscription to \"b\" (sid \"2\")'";
    assert_eq!(first.line().await, removed);
    first.send("PUB a 1\r\nx\r\n").await;
    assert_eq!(first.line().await, "-ERR 'Permissions Violation for Publish to \"a\"'");
    second.send("PUB a 1\r\nx\r\n").await;
    assert_eq!(first.line().await, "MSG a 1 1");
    assert_eq!(first.line().await, "x");
    second.send("PUB a 11\r\n").await;
    assert_eq!(second.line().await, "-ERR 'Maximum Payload Violation'");
}

// Contract: ACC-019, RET-016
#[tokio::test]
async fn jetstream_is_what_the_token_says() {
    let d = Directory::open("type: full").await;
    let (mut account, plain) = (Account::new("A"), Account::new("B"));
    account.claims.nats.limits.jetstream.disk_storage = 1 << 20;
    account.claims.nats.limits.jetstream.mem_storage = -1;
    account.claims.nats.limits.jetstream.streams = 1;
    account.claims.nats.limits.jetstream.consumer = -1;
    d.push(&account).await;
    d.push(&plain).await;
    let login = Login::plain(&account);
    let ask = async |client: &async_nats::Client, subject: &str, body: Value| -> Value {
        let subject = format!("$JS.API.{subject}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = within(client.request(subject, body.into())).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    };
    let stream = |name: &str| json!({"name": name, "subjects": [name], "storage": "file"});
    let client = d.house.client(&login).await;
    let info = ask(&client, "INFO", Value::Null).await;
    assert_eq!(
        (&info["limits"]["max_storage"], &info["limits"]["max_streams"]),
        (&json!(1 << 20), &json!(1))
    );
    let made = ask(&client, "STREAM.CREATE.s", stream("s")).await;
    assert_eq!(made["config"]["name"], "s", "{made}");
    let refused = ask(&client, "STREAM.CREATE.t", stream("t")).await;
    assert_eq!(refused["error"]["err_code"], 10027, "{refused}");
    account.claims.nats.limits.jetstream.streams = 2;
    d.push(&account).await;
    let made = ask(&client, "STREAM.CREATE.t", stream("t")).await;
    assert_eq!(made["config"]["name"], "t", "{made}");
    let stranger = d.house.client(&Login::plain(&plain)).await;
    let none = ask(&stranger, "INFO", Value::Null).await;
    assert_eq!(none["error"]["err_code"], 10039, "{none}");
    within(client.request("s", "stored".into())).await.unwrap();
    // After a restart the account's streams are there before anybody asks.
    let d = d.again("type: full").await;
    let jetstream = d.house.server().node().claims().unwrap();
    assert!(jetstream.has(&account.id()));
    let client = d.house.client(&login).await;
    let info = ask(&client, "STREAM.INFO.s", Value::Null).await;
    assert_eq!(info["state"]["messages"], 1, "{info}");
    // Taken away and given back.
    let given = std::mem::take(&mut account.claims.nats.limits.jetstream);
    d.push(&account).await;
    let none = ask(&client, "INFO", Value::Null).await;
    assert_eq!(none["error"]["err_code"], 10039, "{none}");
    account.claims.nats.limits.jetstream = given;
    d.push(&account).await;
    let put = within(client.request("s", "stored again".into())).await.unwrap();
    let put: Value = serde_json::from_slice(&put.payload).unwrap();
    assert_eq!(put["seq"], 2, "{put}");
    // Tiers.
    let tier = std::mem::take(&mut account.claims.nats.limits.jetstream);
    account.claims.nats.limits.tiers.insert("R1".into(), tier);
    d.push(&account).await;
    let info = ask(&client, "INFO", Value::Null).await;
    assert_eq!(info["tiers"]["R1"]["limits"]["max_streams"], 2, "{info}");
    assert_eq!(info["tiers"]["R1"]["streams"], 2, "{info}");
    // Without a tier for its replicas a stream may have nothing.
    let tier = account.claims.nats.limits.tiers.remove("R1").unwrap();
    account.claims.nats.limits.tiers.insert("R3".into(), tier);
    d.push(&account).await;
    let none = ask(&client, "STREAM.CREATE.N", json!({"name": "N"})).await;
    assert_eq!(none["error"]["err_code"], 10120, "{none}");
}

// Contract: AUTH-022
#[tokio::test]
async fn a_system_account_can_be_pushed_to_a_server_without_one() {
    let mut house = House::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwt");
    house.start(&format!("{}\nresolver {{ dir: {path:?}, type: full }}", house.operator_conf()));
    let login = Login::plain(&house.system);
    let system = house.client(&login).await;
    let token = house.sign(&house.system);
    let pushed = system.request("$SYS.REQ.CLAIMS.UPDATE", token.clone().into());
    let answer: Value = serde_json::from_slice(&within(pushed).await.unwrap().payload).unwrap();
    assert_eq!(answer["data"]["message"], "jwt updated", "{answer}");
    let claims = house.server().node().claims().unwrap();
    let known = claims.token(&house.system.id()).unwrap();
    assert_eq!(&*known.token, token.as_str());
}

// Contract: API-048, ACC-019
#[tokio::test]
async fn an_account_with_a_token_reaches_jetstream_by_its_domain() {
    let (mut house, mut account) = (House::new(), Account::new("A"));
    account.claims.nats.limits.jetstream.disk_storage = -1;
    account.claims.nats.limits.jetstream.streams = -1;
    account.claims.nats.limits.jetstream.consumer = -1;
    let dir = tempfile::tempdir().unwrap();
    let (conf, store) = (house.memory(&[&account]), dir.path().join("js"));
    house.start(&format!("{conf}\njetstream {{ store_dir: {store:?}, domain: hub }}"));
    let client = house.client(&Login::plain(&account)).await;
    let ask = async |subject: &str, body: Value| -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = within(client.request(subject.to_owned(), body.into())).await;
        let answer = answer.unwrap_or_else(|error| panic!("{subject}: {error}"));
        serde_json::from_slice(&answer.payload).unwrap()
    };
    let stream = json!({
        "name": "KV_b", "subjects": ["$KV.b.>"], "storage": "file", "allow_direct": true,
    });
    let made = ask("$JS.hub.API.STREAM.CREATE.KV_b", stream).await;
    assert_eq!(made["config"]["name"], "KV_b", "{made}");
    let put = ask("$JS.hub.API.$KV.b.k", json!("v")).await;
    assert_eq!((&put["seq"], &put["domain"]), (&json!(1), &json!("hub")), "{put}");
    let consumer =
        json!({"stream_name": "KV_b", "config": {"durable_name": "c", "ack_policy": "none"}});
    let made = ask("$JS.hub.API.CONSUMER.DURABLE.CREATE.KV_b.c", consumer).await;
    assert_eq!(made["name"], "c", "{made}");
    assert_eq!(ask("$JS.hub.API.DIRECT.GET.KV_b.$KV.b.k", Value::Null).await, "v");
    // What is delivered shows the subject that was stored, which no request waits for.
    let mut inbox = client.subscribe("in").await.unwrap();
    let next = "$JS.hub.API.CONSUMER.MSG.NEXT.KV_b.c";
    client.publish_with_reply(next, "in", "".into()).await.unwrap();
    assert_eq!(within(inbox.next()).await.unwrap().payload, "\"v\"");
}
