//! Logins that a service decides: what it is asked, and that nothing but its right answer lets
//! anybody in.

use crate::token::{everywhere, now, signed, verified};
use nkeys::{KeyPair, XKey};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Client, Frame, Server, ServerBuilder, Which};

const SUBJECT: &str = "$SYS.REQ.USER.AUTH";
const VIOLATION: &str = "Authorization Violation";

/// The service, and the server that asks it.
struct House {
    server: Server,
    issuer: KeyPair,
    service: Client,
}

/// One question.
struct Question {
    claims: Value,
    reply: String,
    headers: String,
    /// What it came as.
    payload: Vec<u8>,
}

impl House {
    /// `more` goes into `auth_callout`.
    fn new(which: Which, more: &str, rest: &str) -> Self {
        let issuer = KeyPair::new_account();
        let config = format!(
            "accounts {{
               AUTH {{ users: [ {{ user: auth, password: p }}, {{ user: other, password: p }} ] }}
               APP {{ users: [ {{ user: app, password: p }} ] }}
               SYS {{ }}
             }}
             system_account: SYS
             authorization {{
               timeout: 1
               auth_callout {{ issuer: {}, account: AUTH, auth_users: [ auth ] {more} }}
             }}
             server_tags: [ \"a:b\" ]
             {rest}",
            issuer.public_key()
        );
        let server = ServerBuilder::new(which).config(&config).monitoring().start();
        let mut service = server.client_with(&json!({"user": "auth", "pass": "p"}));
        service.sub(SUBJECT, 1);
        service.flush();
        Self { server, issuer, service }
    }

    fn question(&mut self) -> Question {
        let message = self.service.msg();
        let headers = String::from_utf8(message.headers).unwrap();
        let text = String::from_utf8(message.payload.clone()).unwrap_or_default();
        let claims = if text.starts_with("eyJ") { verified(&text) } else { Value::Null };
        Question { claims, reply: message.reply.unwrap(), headers, payload: message.payload }
    }

    /// A client that has sent its CONNECT.
    fn knock(&self, connect: &Value) -> Client {
        let mut client = Client::greeted(self.server.addr());
        client.connect(connect);
        client.send("PING\r\n");
        client
    }

    /// The user's token for a question.
    fn user(&self, question: &Question, changed: &Value) -> Value {
        let mut claims = json!({
            "sub": question.claims["nats"]["user_nkey"], "aud": "APP", "name": "bob",
            "nats": {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
                     "type": "user", "version": 2},
        });
        merge(&mut claims, changed);
        claims
    }

    /// The answer's claims around a user's token.
    fn around(question: &Question, user: &str) -> Value {
        json!({
            "sub": question.claims["nats"]["user_nkey"],
            "aud": question.claims["nats"]["server_id"]["id"],
            "nats": {"jwt": user, "type": "authorization_response", "version": 2},
        })
    }

    fn answer(&mut self, question: &Question, payload: impl AsRef<[u8]>) {
        self.service.publish(&question.reply, payload);
    }

    /// Lets the client in, with these changes to its token.
    fn admit(&mut self, question: &Question, changed: &Value) {
        let user = signed(&self.issuer, &self.user(question, changed));
        let answer = signed(&self.issuer, &Self::around(question, &user));
        self.answer(question, answer);
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
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
fn refused(mut client: Client, what: &str) {
    let frames = client.expect_closed();
    let violation = Frame::Err(VIOLATION.to_owned());
    assert!(frames.contains(&violation), "{what}: {frames:?}");
    assert!(!frames.contains(&Frame::Pong), "{what}: {frames:?}");
}

// Contract: AUTH-024, AUTH-025
#[test]
fn the_service_is_asked_and_its_word_counts() {
    everywhere("callout", |which| {
        let mut house = House::new(which, "", "");
        let connect = json!({"user": "u", "pass": "secret", "auth_token": "t", "name": "n"});
        let mut client = house.knock(&connect);
        let question = house.question();
        let claims = &question.claims;
        assert_eq!(claims["sub"], house.issuer.public_key());
        assert_eq!(claims["aud"], "nats-authorization-request");
        let left = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert!(left <= 2, "{left}");
        let nats = &claims["nats"];
        assert_eq!(claims["iss"], nats["server_id"]["id"]);
        assert_eq!(nats["server_id"]["id"], client.info["server_id"]);
        assert_eq!(nats["server_id"]["tags"], json!(["a:b"]));
        assert_eq!(nats["server_id"].get("xkey"), None);
        let client_id = client.info["client_id"].clone();
        assert_eq!(
            nats["client_info"],
            json!({"host": "127.0.0.1", "id": client_id, "user": "u", "name": "n",
                   "kind": "Client", "type": "nats"})
        );
        assert_eq!(
            nats["connect_opts"],
            json!({"auth_token": "t", "user": "u", "pass": "secret", "name": "n",
                   "lang": "testkit", "version": "1", "protocol": 1})
        );
        assert_eq!((&nats["type"], &nats["version"]), (&json!("authorization_request"), &json!(2)));
        assert!(question.reply.starts_with("$SYS._INBOX."));
        assert_eq!(question.headers, "");

        house.admit(&question, &json!({"nats": {"pub": {"allow": ["ok"]}}}));
        admitted(&mut client);
        client.send("PUB ok 0\r\n\r\nPUB no 0\r\n\r\nPING\r\n");
        client.expect("-ERR 'Permissions Violation for Publish to \"no\"'");
        client.expect("PONG");
        let connz = house.server.json(&format!("/connz?auth=1&cid={client_id}"));
        let row = &connz["connections"][0];
        assert_eq!((&row["account"], &row["authorized_user"]), (&json!("APP"), &json!("bob")));
        assert_eq!(row.get("jwt"), None);
    });
}

// Contract: AUTH-025
#[test]
fn a_wrong_answer_lets_nobody_in() {
    everywhere("wrong answers of a callout", |which| {
        let mut house = House::new(which, "", "");
        let stranger = KeyPair::new_account();
        let user_key = KeyPair::new_user().public_key();
        let server_key = KeyPair::new_server().public_key();
        let account_key = KeyPair::new_account().public_key();
        // Changes to the user's token, changes to the answer, and what the log says.
        let cases = [
            (json!({"sub": user_key}), json!({}), "Expected authorized user of"),
            (json!({"aud": "NONE"}), json!({}), "No valid account \"NONE\""),
            (json!({"aud": ""}), json!({}), "No valid account \"\""),
            (
                json!({"nats": {"issuer_account": account_key}}),
                json!({}),
                "attempted to use issuer_account",
            ),
            (json!({"exp": now() - 10}), json!({}), "Error validating user JWT: claim is expired"),
            (json!({"nbf": now() + 99}), json!({}), "claim is not yet valid"),
            (
                json!({"nats": {"times": [{"start": "x", "end": "y"}]}}),
                json!({}),
                "Error validating user JWT",
            ),
            (
                json!({"nats": {"allowed_connection_types": ["LEAFNODE2"]}}),
                json!({}),
                "using invalid connection type",
            ),
            (json!({"nats": {"type": "account"}}), json!({}), ""),
            (json!({}), json!({"sub": user_key}), "is not for expected user"),
            (json!({}), json!({"aud": server_key}), "is not for server"),
            (json!({}), json!({"sub": "x"}), "Subject must be a user public key"),
            (json!({}), json!({"aud": "x"}), "Audience must be a server public key"),
            (json!({}), json!({"nats": {"jwt": ""}}), "Error or Jwt is required"),
            (json!({}), json!({"nats": {"error": "no"}}), "Only Error or Jwt can be set"),
            (
                json!({}),
                json!({"nats": {"jwt": "", "error": "go away"}}),
                "Auth callout service returned an error: go away",
            ),
            (json!({}), json!({"nats": {"jwt": "eyJ.eyJ.x"}}), ""),
            (json!({}), json!({"nats": {"type": "user"}}), ""),
            (json!({}), json!({"exp": now() - 10}), "claim is expired"),
        ];
        for (user, around, log) in cases {
            let client = house.knock(&json!({"user": "u", "pass": "secret"}));
            let question = house.question();
            let user = signed(&house.issuer, &house.user(&question, &user));
            let mut answer = House::around(&question, &user);
            merge(&mut answer, &around);
            let answer = signed(&house.issuer, &answer);
            house.answer(&question, answer);
            refused(client, log);
            house.server.wait_log(log);
        }
        // Signed by somebody else: the answer may be, the user's token may not.
        let client = house.knock(&json!({"user": "u"}));
        let question = house.question();
        let user = signed(&stranger, &house.user(&question, &json!({})));
        let answer = signed(&house.issuer, &House::around(&question, &user));
        house.answer(&question, answer);
        refused(client, "a stranger's token");
        house.server.wait_log("Wrong issuer for auth callout response on account \"AUTH\"");
        // What is no token at all; the last one is more than any token may be.
        let huge = vec![b'e'; 1 << 20];
        for payload in [&b""[..], b"no", b"eyJ", b"eyJ.eyJ.eyJ", b"\xff\xfe\x00", &huge] {
            let client = house.knock(&json!({"user": "u"}));
            let question = house.question();
            house.answer(&question, payload);
            refused(client, &String::from_utf8_lossy(&payload[..payload.len().min(20)]));
        }
        // A replayed answer is for another question, and a second answer is too late.
        let client = house.knock(&json!({"user": "u"}));
        let first = house.question();
        house.answer(&first, "no");
        house.admit(&first, &json!({}));
        refused(client, "the first answer counts");
        let client = house.knock(&json!({"user": "u"}));
        let second = house.question();
        let user = signed(&house.issuer, &house.user(&first, &json!({})));
        let replayed = signed(&house.issuer, &House::around(&first, &user));
        house.answer(&second, replayed);
        refused(client, "replayed");
        // Nothing of this hurt anybody: the service is still served.
        let mut client = house.knock(&json!({"user": "u"}));
        let question = house.question();
        house.admit(&question, &json!({}));
        client.expect("PONG");
    });
}

// Contract: AUTH-025
#[test]
fn a_service_that_does_not_answer_keeps_nobody_else() {
    everywhere("a silent callout", |which| {
        let mut house = House::new(which, "", "");
        let silent: Vec<Client> = (0..20).map(|_| house.knock(&json!({"user": "u"}))).collect();
        let questions: Vec<Question> = silent.iter().map(|_| house.question()).collect();
        let mut app = house.server.client_with(&json!({"user": "auth", "pass": "p"}));
        app.send("PING\r\n");
        app.expect("PONG");
        for client in silent {
            refused(client, "silence");
        }
        // Too late now, and nobody listens.
        house.admit(&questions[0], &json!({}));
        house.service.flush();
        let mut client = house.knock(&json!({"user": "u"}));
        let question = house.question();
        house.admit(&question, &json!({}));
        client.expect("PONG");
    });
}

// Contract: AUTH-025
#[test]
fn a_user_goes_when_its_token_ends() {
    everywhere("a callout's user that expires", |which| {
        let mut house = House::new(which, "", "");
        let mut client = house.knock(&json!({"user": "u"}));
        let question = house.question();
        house.admit(&question, &json!({"exp": now() + 2}));
        admitted(&mut client);
        let frames = client.expect_closed();
        assert_eq!(frames, [Frame::Err("User Authentication Expired".to_owned())]);
    });
}

// Contract: AUTH-025
#[test]
fn a_token_for_other_networks_lets_nobody_in() {
    everywhere("a callout's networks", |which| {
        let mut house = House::new(which, "", "");
        for (src, theirs) in [("192.0.2.0/24", false), ("192.0.2.0/24,127.0.0.0/8", true)] {
            let mut client = house.knock(&json!({"user": "u"}));
            let question = house.question();
            house.admit(&question, &json!({"nats": {"src": src}}));
            // The reference does not look at them (docs/differences.md).
            if theirs || which == Which::Peer {
                admitted(&mut client);
            } else {
                refused(client, src);
            }
        }
    });
}

// Contract: AUTH-026
#[test]
fn questions_and_answers_can_be_secret() {
    everywhere("an encrypted callout", |which| {
        let own = XKey::new();
        let stranger = XKey::new();
        let mut house = House::new(which, &format!(", xkey: {}", own.public_key()), "");
        for how in ["sealed", "plain", "sealed by a stranger", "cut"] {
            let mut client = house.knock(&json!({"user": "u", "pass": "secret"}));
            let mut question = house.question();
            assert!(!question.payload.starts_with(b"eyJ") && question.payload.starts_with(b"xkv1"));
            let theirs = question.headers.trim_end().rsplit(": ").next().unwrap().to_owned();
            assert!(question.headers.starts_with("NATS/1.0\r\nNats-Server-Xkey: X"));
            let theirs = XKey::from_public_key(&theirs).unwrap();
            let opened = own.open(&question.payload, &theirs).unwrap();
            question.claims = verified(&String::from_utf8(opened).unwrap());
            let xkey = &question.claims["nats"]["server_id"]["xkey"];
            assert_eq!(*xkey, theirs.public_key());
            let user = signed(&house.issuer, &house.user(&question, &json!({})));
            let answer = signed(&house.issuer, &House::around(&question, &user));
            let sealed = |by: &XKey| by.seal(answer.as_bytes(), &theirs).unwrap();
            match how {
                "plain" => house.answer(&question, &answer),
                "sealed" => house.answer(&question, sealed(&own)),
                "cut" => house.answer(&question, &sealed(&own)[..30]),
                _ => house.answer(&question, sealed(&stranger)),
            }
            match how {
                "plain" | "sealed" => client.expect("PONG"),
                _ => {
                    refused(client, how);
                    house.server.wait_log("Error decrypting auth callout response");
                }
            }
        }
    });
}

// Contract: AUTH-028
#[test]
fn nobody_in_the_services_account_can_take_its_place() {
    everywhere("a callout's own account", |which| {
        let mut house = House::new(which, "", "");
        let mut inside = house.knock(&json!({"user": "u"}));
        let question = house.question();
        house.admit(&question, &json!({"aud": "AUTH"}));
        admitted(&mut inside);
        let denied = format!("-ERR 'Permissions Violation for Publish to \"{SUBJECT}\"'");
        for client in [&mut inside, &mut house.service] {
            client.send(format!("PUB {SUBJECT} 0\r\n\r\nPUB ok 0\r\n\r\nPING\r\n"));
            client.expect(&denied);
            client.expect("PONG");
        }
    });
}

// Contract: AUTH-029
#[test]
fn only_users_of_allowed_accounts_are_asked_about() {
    everywhere("a callout's allowed accounts", |which| {
        let mut house = House::new(which, ", allowed_accounts: [ APP ]", "");
        // Not of an allowed account: the configuration decides.
        let mut other = house.knock(&json!({"user": "other", "pass": "p"}));
        other.expect("PONG");
        // A user of the service is never asked about, whatever its password.
        refused(house.knock(&json!({"user": "auth", "pass": "wrong"})), "the service's user");
        // Of an allowed account, though the password is right; unknown; wrong password.
        for connect in [
            json!({"user": "app", "pass": "p"}),
            json!({"user": "nobody", "pass": "p"}),
            json!({"user": "other", "pass": "wrong"}),
            json!({}),
        ] {
            let client = house.knock(&connect);
            let question = house.question();
            let asked = question.claims["nats"]["connect_opts"].get("user").cloned();
            assert_eq!(asked, connect.get("user").cloned());
            house.answer(&question, "no");
            refused(client, "asked about");
        }
        assert_eq!(house.service.try_frame(Duration::from_millis(50)).ok(), None);
    });
}

// Contract: AUTH-032, SYS-008
#[test]
fn the_account_of_the_service_hears_of_whom_it_turned_away() {
    everywhere("callout refusals", |which| {
        let mut house = House::new(which, "", "");
        house.service.sub("$SYS.ACCOUNT.CLIENT.AUTH.ERR", 2);
        house.service.flush();
        let client = house.knock(&json!({"user": "u", "pass": "secret"}));
        let question = house.question();
        let no = json!({
            "sub": question.claims["nats"]["user_nkey"],
            "aud": question.claims["nats"]["server_id"]["id"],
            "nats": {"error": "no", "type": "authorization_response", "version": 2},
        });
        let no = signed(&house.issuer, &no);
        house.answer(&question, no);
        refused(client, "told no");
        let event: Value = serde_json::from_slice(&house.service.msg().payload).unwrap();
        let told = &event["client"];
        assert_eq!(event["type"], "io.nats.server.advisory.v1.client_disconnect");
        assert_eq!(event["reason"], "Auth callout service returned an error: no");
        assert_eq!((&told["acc"], &told["user"]), (&"AUTH".into(), &"u".into()), "{event}");
        assert_eq!(told["name_tag"], "$G", "{event}");
    });
}
