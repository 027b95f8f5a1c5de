//! Logins that a service of an operator's account decides.

use crate::token::{everywhere, signed, verified};
use nkeys::KeyPair;
use serde_json::{Value, json};
use testkit::{Client, Frame, Server, ServerBuilder, Which};

const SUBJECT: &str = "$SYS.REQ.USER.AUTH";

/// An operator's server with the accounts AUTH, APP, OTHER.
struct House {
    server: Server,
    auth: KeyPair,
    app: KeyPair,
    other: KeyPair,
    service: Client,
    /// What clients show: a bearer of AUTH.
    sentinel: String,
}

fn limits() -> Value {
    json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1})
}

fn user(account: &KeyPair, key: &KeyPair, bearer: bool) -> String {
    let claims = json!({"sub": key.public_key(), "name": "keeper", "nats": {
        "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "bearer_token": bearer,
        "tags": ["eu", "red"], "type": "user", "version": 2}});
    signed(account, &claims)
}

impl House {
    fn new(which: Which, wide: bool) -> Self {
        let operator = KeyPair::new_operator();
        let [auth, app, other, system] = [(); 4].map(|()| KeyPair::new_account());
        let (service, sentinel) = (KeyPair::new_user(), KeyPair::new_user());
        let allowed = if wide { "*".to_owned() } else { app.public_key() };
        let of_auth = json!({"limits": limits(), "type": "account", "version": 2,
            "authorization": {"auth_users": [service.public_key()], "allowed_accounts": [allowed]}});
        let plain = json!({"limits": limits(), "type": "account", "version": 2});
        let mut preload = String::new();
        let others = [("APP", &app), ("OTHER", &other), ("SYS", &system)];
        let others = others.map(|(name, key)| (name, key, &plain));
        for (name, key, body) in [("AUTH", &auth, &of_auth)].into_iter().chain(others) {
            let claims = json!({"sub": key.public_key(), "name": name, "nats": body});
            preload.push_str(&format!("{}: {}\n", key.public_key(), signed(&operator, &claims)));
        }
        let bearer = user(&auth, &sentinel, true);
        let operator_token = signed(
            &operator,
            &json!({"sub": operator.public_key(), "name": "O",
                "nats": {"type": "operator", "version": 2}}),
        );
        let config = format!(
            "operator: {operator_token}\nresolver: MEMORY\nresolver_preload {{\n{preload}}}
             system_account: {}\nauthorization {{ timeout: 2 }}\ndefault_sentinel: {bearer}",
            system.public_key()
        );
        let server = ServerBuilder::new(which).config(&config).monitoring().start();
        let own = user(&auth, &service, true);
        let mut client = server.client_with(&json!({"jwt": own}));
        client.sub(SUBJECT, 1);
        client.flush();
        Self { server, auth, app, other, service: client, sentinel: bearer }
    }

    fn knock(&self) -> Client {
        let mut client = Client::greeted(self.server.addr());
        client.connect(&json!({"jwt": self.sentinel, "user": "u", "pass": "secret"}));
        client.send("PING\r\n");
        client
    }

    fn question(&mut self) -> (Value, String) {
        let message = self.service.msg();
        (verified(&String::from_utf8(message.payload).unwrap()), message.reply.unwrap())
    }

    /// Answers with a user of `account`, the answer signed by `signer`.
    fn answer(&mut self, (question, reply): &(Value, String), account: &KeyPair, signer: &KeyPair) {
        let nkey = &question["nats"]["user_nkey"];
        let user = signed(
            account,
            &json!({"sub": nkey, "name": "bob", "nats": {"pub": {}, "sub": {}, "subs": -1,
                "data": -1, "payload": -1, "type": "user", "version": 2}}),
        );
        let answer = signed(
            signer,
            &json!({"sub": nkey, "aud": question["nats"]["server_id"]["id"],
                "nats": {"jwt": user, "type": "authorization_response", "version": 2}}),
        );
        self.service.publish(reply, answer);
    }
}

/// The server lets the client in, and tells it where it is.
#[track_caller]
fn admitted(client: &mut Client) {
    client.expect("PONG");
    client.flush();
}

/// The server refuses, and hangs up.
#[track_caller]
fn refused(mut client: Client) {
    let frames = client.expect_closed();
    assert!(frames.contains(&Frame::Err("Authorization Violation".to_owned())), "{frames:?}");
    assert!(!frames.contains(&Frame::Pong), "{frames:?}");
}

// Contract: AUTH-027
#[test]
fn an_operators_account_decides_about_its_users() {
    everywhere("an operator's callout", |which| {
        let mut house = House::new(which, false);
        let [auth, app, other] = [&house.auth, &house.app, &house.other]
            .map(|key| KeyPair::from_seed(&key.seed().unwrap()).unwrap());
        // Into the account that is allowed.
        let mut client = house.knock();
        let question = house.question();
        let (claims, _) = &question;
        assert_eq!(claims["sub"], auth.public_key());
        assert_eq!(claims["nats"]["connect_opts"]["jwt"], house.sentinel);
        assert_eq!(claims["nats"]["connect_opts"]["pass"], "secret");
        house.answer(&question, &app, &auth);
        admitted(&mut client);
        let id = client.info["client_id"].clone();
        let connz = house.server.json(&format!("/connz?auth=1&cid={id}"));
        let row = &connz["connections"][0];
        assert_eq!(row["account"], app.public_key());
        assert_eq!(row["authorized_user"], "bob");
        // Into the account itself, where nobody may answer for it.
        let mut client = house.knock();
        let question = house.question();
        house.answer(&question, &auth, &auth);
        admitted(&mut client);
        client.send(format!("PUB {SUBJECT} 0\r\n\r\n"));
        let denied = format!("Permissions Violation for Publish to \"{SUBJECT}\"");
        assert_eq!(client.frame(), Frame::Err(denied));
        // Not into another, not by another's word, and not by a stranger's.
        let stranger = KeyPair::new_account();
        for (account, signer) in
            [(&other, &auth), (&app, &app), (&app, &stranger), (&stranger, &auth)]
        {
            let client = house.knock();
            let question = house.question();
            house.answer(&question, account, signer);
            refused(client);
        }
    });
}

// Contract: AUTH-027
#[test]
fn an_operators_account_may_send_users_anywhere() {
    everywhere("an operator's callout for any account", |which| {
        let mut house = House::new(which, true);
        let [auth, other] = [&house.auth, &house.other]
            .map(|key| KeyPair::from_seed(&key.seed().unwrap()).unwrap());
        let mut client = house.knock();
        let question = house.question();
        house.answer(&question, &other, &auth);
        client.expect("PONG");
        // But not into one that no operator vouches for.
        let client = house.knock();
        let question = house.question();
        house.answer(&question, &KeyPair::new_account(), &auth);
        refused(client);
    });
}

// Contract: AUTH-015, AUTH-025, AUTH-027
#[test]
fn who_shows_no_token_comes_with_the_sentinels() {
    everywhere("a callout behind a default sentinel", |which| {
        let mut house = House::new(which, false);
        let sentinel = house.sentinel.clone();
        let key = verified(&sentinel)["sub"].clone();
        for (shown, named) in [
            (json!({"jwt": sentinel}), &key),
            (json!({}), &key),
            (json!({"user": "u", "pass": "secret"}), &json!("u")),
            (json!({"jwt": "none", "auth_token": "t"}), &key),
        ] {
            let mut client = Client::greeted(house.server.addr());
            client.connect(&shown);
            client.send("PING\r\n");
            let (question, reply) = house.question();
            let nats = &question["nats"];
            let mut said = json!({"jwt": sentinel, "name": "testkit", "lang": "testkit",
                "version": "1", "protocol": 1});
            for (name, value) in shown.as_object().unwrap().iter().filter(|(n, _)| *n != "jwt") {
                said[name] = value.clone();
            }
            assert_eq!(nats["connect_opts"], said, "{which:?} {shown}");
            assert_eq!(
                nats["client_info"],
                json!({"host": "127.0.0.1", "id": client.info["client_id"], "user": named,
                    "name": "testkit", "name_tag": "keeper", "tags": ["eu", "red"],
                    "kind": "Client", "type": "nats"}),
                "{which:?} {shown}"
            );
            house.service.publish(&reply, "no");
            refused(client);
        }
    });
}
