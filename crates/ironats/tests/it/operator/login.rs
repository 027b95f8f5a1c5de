//! Who is let in, and for how long.

use super::house::{Account, House, Login, Peer, now};
use auth::jwt::limits::TimeRange;
use auth::jwt::scope::Scope;
use futures_lite::StreamExt;
use nkeys::KeyPair;

const REFUSED: &str = "-ERR 'Authorization Violation'";

// Contract: AUTH-011, AUTH-012, AUTH-017
#[tokio::test]
async fn the_official_client_logs_in_with_credentials() {
    let (mut house, account, other) = (House::new(), Account::new("A"), Account::new("B"));
    house.start(&house.memory(&[&account, &other]));
    let (a, b) = (Login::plain(&account), Login::plain(&other));
    let (client, stranger) = (house.client(&a).await, house.client(&b).await);
    let mut here = client.subscribe("x").await.unwrap();
    let mut there = stranger.subscribe("x").await.unwrap();
    client.flush().await.unwrap();
    stranger.publish("x", "from B".into()).await.unwrap();
    client.publish("x", "from A".into()).await.unwrap();
    let message = crate::within(here.next()).await.unwrap();
    assert_eq!(message.payload, "from A");
    assert_eq!(crate::within(there.next()).await.unwrap().payload, "from B");
}

// Contract: AUTH-012, AUTH-014
#[tokio::test]
async fn only_users_that_a_trusted_account_vouches_for_come_in() {
    let mut house = House::new();
    let (mut account, unknown) = (Account::new("A"), Account::new("B"));
    let signing = KeyPair::new_account();
    account.claims.nats.signing_keys.0.insert(signing.public_key(), None);
    let revoked = Login::plain(&account);
    account.claims.nats.revocations.insert(revoked.key.public_key(), now());
    house.start(&house.memory(&[&account]));
    let of = |change: fn(&mut auth::jwt::UserClaims)| Login::of(&account, &account.key, change);
    let mut tampered = Login::plain(&account);
    tampered.jwt = tampered.jwt.replacen('.', ".A", 1);
    let mut stolen = Login::plain(&account);
    stolen.key = KeyPair::new_user();
    let second_of_day = |seconds: i64| {
        let at = (now() + seconds).rem_euclid(86_400);
        format!("{:02}:{:02}:{:02}", at / 3600, at / 60 % 60, at % 60)
    };
    let daily = |from: i64, to: i64| {
        Login::of(&account, &account.key, |claims| {
            let (start, end) = (second_of_day(from), second_of_day(to));
            claims.nats.limits.times = vec![TimeRange { start, end }];
            claims.nats.limits.locale = "UTC".to_owned();
        })
    };
    for (what, login, want) in [
        ("plain", Login::plain(&account), "PONG"),
        ("signing key", Login::of(&account, &signing, |_| {}), "PONG"),
        ("unknown signer", Login::of(&account, &KeyPair::new_account(), |_| {}), REFUSED),
        ("unknown account", Login::plain(&unknown), REFUSED),
        ("revoked", revoked, REFUSED),
        ("tampered", tampered, REFUSED),
        ("another's", stolen, REFUSED),
        ("expired", of(|c| c.expires = 1_000_000_000), REFUSED),
        ("not yet", of(|c| c.not_before = now() + 3600), REFUSED),
        ("not expired", of(|c| c.expires = now() + 3600), "PONG"),
        ("from here", of(|c| c.nats.limits.src = vec!["127.0.0.0/8".into()]), "PONG"),
        ("from elsewhere", of(|c| c.nats.limits.src = vec!["10.0.0.0/8".into()]), REFUSED),
        ("now", daily(-3600, 3600), "PONG"),
        ("at another time", daily(3600, 7200), REFUSED),
        (
            "this way",
            of(|c| c.nats.limits.allowed_connection_types = vec!["standard".into()]),
            "PONG",
        ),
        (
            "another way",
            of(|c| c.nats.limits.allowed_connection_types = vec!["MQTT".into()]),
            REFUSED,
        ),
        ("no way", of(|c| c.nats.limits.allowed_connection_types = vec!["PIGEON".into()]), REFUSED),
    ] {
        assert_eq!(house.try_login(&login).await, want, "{what}");
    }
}

// Contract: AUTH-012
#[tokio::test]
async fn a_bearer_need_not_sign() {
    let (mut house, account, mut strict) = (House::new(), Account::new("A"), Account::new("B"));
    strict.claims.nats.limits.disallow_bearer = true;
    house.start(&house.memory(&[&account, &strict]));
    let bearer = |account: &Account| {
        Login::of(account, &account.key, |claims| claims.nats.limits.bearer_token = true)
    };
    for (login, want) in
        [(bearer(&account), "PONG"), (bearer(&strict), REFUSED), (Login::plain(&account), REFUSED)]
    {
        let mut peer = house.peer().await;
        let connect =
            format!("CONNECT {{\"verbose\":false,\"jwt\":\"{}\"}}\r\nPING\r\n", login.jwt);
        peer.send(&connect).await;
        assert_eq!(peer.line().await, want);
    }
}

// Contract: CORE-025, AUTH-012
#[tokio::test]
async fn a_token_ends_the_connection_when_it_ends() {
    let (mut house, account) = (House::new(), Account::new("A"));
    house.start(&house.memory(&[&account]));
    let short = Login::of(&account, &account.key, |claims| claims.expires = now() + 2);
    let mut peer = Peer::enter(house.server(), &short).await;
    assert_eq!(peer.rest().await, "-ERR 'User Authentication Expired'\r\n");
}

// Contract: AUTH-013
#[tokio::test]
async fn a_scoped_key_gives_its_users_what_its_template_says() {
    let (mut house, mut account) = (House::new(), Account::new("A"));
    let (scoped, plain) = (KeyPair::new_account(), KeyPair::new_account());
    let mut template = auth::jwt::limits::UserLimits::unlimited();
    template.publish.allow = vec!["to.{{name()}}.>".into()];
    template.subscribe.allow = vec!["to.{{tag(team)}}.>".into()];
    template.payload = 10;
    let scope = Scope::new(scoped.public_key(), template);
    account.claims.nats.signing_keys.0.insert(scoped.public_key(), Some(scope));
    account.claims.nats.signing_keys.0.insert(plain.public_key(), None);
    house.start(&house.memory(&[&account]));
    let user = |signer: &KeyPair, limits: bool| {
        Login::of(&account, signer, |claims| {
            claims.name = "ann".into();
            claims.nats.tags = vec!["team:red".into()];
            if !limits {
                claims.nats.limits = Default::default();
            }
        })
    };
    assert_eq!(house.try_login(&user(&scoped, true)).await, REFUSED, "with limits of its own");
    let mut peer = Peer::enter(house.server(), &user(&scoped, false)).await;
    peer.send(
        "SUB to.red.> 1\r\nSUB to.blue.> 2\r\nPUB to.bob.x 0\r\n\r\nPUB to.ann.x 0\r\n\r\nPING\r\n",
    )
    .await;
    assert_eq!(peer.line().await, "-ERR 'Permissions Violation for Subscription to \"to.blue.>\"'");
    assert_eq!(peer.line().await, "-ERR 'Permissions Violation for Publish to \"to.bob.x\"'");
    assert_eq!(peer.line().await, "PONG");
    peer.send("PUB to.ann.x 11\r\n").await;
    assert_eq!(peer.line().await, "-ERR 'Maximum Payload Violation'");
}

// Contract: AUTH-015
#[tokio::test]
async fn who_has_no_token_is_the_sentinel() {
    let (mut house, account) = (House::new(), Account::new("A"));
    let sentinel = Login::of(&account, &account.key, |claims| {
        claims.nats.limits.bearer_token = true;
        claims.nats.limits.publish.deny = vec![">".into()];
    });
    let conf = house.memory(&[&account]);
    house.start(&format!("{conf}\ndefault_sentinel: {}", sentinel.jwt));
    for credentials in ["", ",\"jwt\":\"nonsense\"", ",\"user\":\"x\",\"pass\":\"y\""] {
        let mut peer = house.peer().await;
        peer.send(&format!("CONNECT {{\"verbose\":false{credentials}}}\r\nPUB x 0\r\n\r\n")).await;
        let want = "-ERR 'Permissions Violation for Publish to \"x\"'";
        assert_eq!(peer.line().await, want, "{credentials}");
    }
}

// Contract: AUTH-016
#[tokio::test]
async fn only_pinned_accounts_and_the_system_account_log_in() {
    let (mut house, account, other) = (House::new(), Account::new("A"), Account::new("B"));
    let conf = house.memory(&[&account, &other]);
    house.start(&format!("{conf}\nresolver_pinned_accounts: [{}]", account.id()));
    assert_eq!(house.try_login(&Login::plain(&account)).await, "PONG");
    assert_eq!(house.try_login(&Login::plain(&house.system)).await, "PONG");
    assert_eq!(house.try_login(&Login::plain(&other)).await, REFUSED);
    let fails = house.server().node().claims().unwrap().pinned_fails().clone();
    assert_eq!(fails.load(std::sync::atomic::Ordering::Relaxed), 1);
}

// Contract: AUTH-023
#[tokio::test]
async fn keys_are_trusted_without_an_operators_token() {
    let (mut house, account) = (House::new(), Account::new("A"));
    let conf = house.memory(&[&account]).replace(&house.operator_conf(), "");
    let key = house.operator.public_key();
    house.start(&format!("{conf}\ntrusted_keys: [{key}]\nsystem_account: {}", house.system.id()));
    assert_eq!(house.try_login(&Login::plain(&account)).await, "PONG");
    assert_eq!(house.try_login(&Login::plain(&Account::new("B"))).await, REFUSED);
}

// Contract: AUTH-014
#[tokio::test]
async fn an_operator_can_want_signing_keys_used() {
    let (mut house, account) = (House::new(), Account::new("A"));
    let signing = KeyPair::new_operator();
    house.claims.nats.signing_keys = vec![signing.public_key()];
    house.claims.nats.strict = true;
    let by_identity = house.memory(&[&account]);
    let loaded = config::load_text(by_identity.as_bytes(), "x", &ironats::files::System).unwrap();
    let refused = ironats::Server::start(loaded.options, ironats::Log::discard()).err().unwrap();
    assert_eq!(refused.to_string(), "error resolving system account: account validation failed");
    let identity = std::mem::replace(&mut house.operator, signing);
    let mut by_signing = house.memory(&[&account]);
    house.operator = identity;
    let conf = house.operator_conf();
    let line = by_signing.lines().next().unwrap().to_owned();
    by_signing = by_signing.replace(&line, &conf);
    house.start(&by_signing);
    // The account's identity key does not sign users either.
    assert_eq!(house.try_login(&Login::plain(&account)).await, REFUSED);
}
