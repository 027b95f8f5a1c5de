//! What decides who comes in: answers of whoever is asked about a login.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use auth::authenticate::callout::{
    Answer, Asked, Asker, CalloutConfig, Callouts, Question, ServerKeys,
};
use auth::authenticate::jwt::Waiting;
use auth::jwt::Claims;
use auth::jwt::authorization::{RequestClaims, ResponseClaims, Server};
use auth::{AuthConfig, AuthRequest, Authenticator, ConnectionType, User};
use nkeys::{KeyPair, XKey};
use serde_json::{Map, Value};

use crate::{Shape, Target};

/// Keeps what was asked; the answer is put in by who fuzzes.
#[derive(Default)]
struct Kept(Mutex<Option<(Question, Arc<Answer>)>>);

impl Asker for Kept {
    fn ask(&self, question: Question, _: Duration, answer: Arc<Answer>) -> Waiting {
        if let Ok(mut kept) = self.0.lock() {
            *kept = Some((question, answer));
        }
        Box::pin(std::future::ready(()))
    }

    fn knows(&self, account: &str) -> bool {
        account == "APP"
    }

    fn server(&self) -> Server {
        Server::default()
    }

    fn second_of_day(&self, zone: &str, now: i64) -> Option<u32> {
        let second = u32::try_from(now.rem_euclid(86_400)).ok();
        second.filter(|_| zone.is_empty() || zone == "UTC")
    }
}

struct House {
    authenticator: Authenticator,
    kept: Arc<Kept>,
    issuer: KeyPair,
    server: String,
}

const NOW: i64 = 1_795_219_200;

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let issuer = KeyPair::new_account();
        let keys = ServerKeys { pair: KeyPair::new_server(), curve: XKey::new() };
        let server = keys.pair.public_key();
        let kept = Arc::new(Kept::default());
        let callouts = Callouts {
            config: Some(CalloutConfig {
                issuer: issuer.public_key(),
                account: "AUTH".to_owned(),
                auth_users: vec!["auth".to_owned()],
                ..CalloutConfig::default()
            }),
            asker: kept.clone(),
            keys: Arc::new(keys),
            patience: Duration::from_secs(1),
            tags: Vec::new(),
        };
        let users = vec![User { name: "auth".to_owned(), ..User::default() }];
        let config = AuthConfig { users, ..AuthConfig::default() };
        let authenticator = Authenticator::new(config)
            .map(|users| users.with_callouts(callouts))
            .unwrap_or_else(|error| unreachable!("the users of this target make sense: {error}"));
        House { authenticator, kept, issuer, server }
    })
}

fn request() -> AuthRequest<'static> {
    AuthRequest {
        username: "u",
        password: "",
        token: "",
        nkey: "",
        jwt: "",
        signature: "",
        proxy_signature: "",
        nonce: b"",
        connection_type: ConnectionType::Standard,
        certificate: None,
        address: None,
        now: NOW,
    }
}

/// JSON with the particulars of this login put in where it leaves them out.
fn claims(bytes: &[u8], user: &str, audience: &str) -> Option<Claims<Map<String, Value>>> {
    let Value::Object(mut all) = serde_json::from_slice(bytes).ok()? else { return None };
    all.entry("sub").or_insert_with(|| user.into());
    all.entry("aud").or_insert_with(|| audience.into());
    if !all.get("nats").is_some_and(Value::is_object) {
        all.insert("nats".to_owned(), Map::new().into());
    }
    serde_json::from_value(Value::Object(all)).ok()
}

fn signed(mut claims: Claims<Map<String, Value>>, kind: &str, key: &KeyPair) -> Option<String> {
    claims.nats.entry("type").or_insert_with(|| kind.into());
    claims.encode(key, NOW).ok()
}

/// Answers of a callout: the first byte says whether the rest is the answer itself, the claims of a
/// user's token in a good answer, or the claims of the answer.
pub(super) const CALLOUT: Target = Target {
    name: "callout",
    words: &[
        "eyJ",
        "\"nats\":{",
        "\"jwt\":\"",
        "\"error\":\"",
        "\"sub\":\"",
        "\"aud\":\"APP\"",
        "\"exp\":1",
        "\"nbf\":",
        "\"pub\":{\"allow\":[",
        "\"deny\":[\"a.>\"]",
        "\"resp\":{\"max\":1,\"ttl\":1}",
        "\"subs\":-1",
        "\"payload\":-1",
        "\"src\":[\"10.0.0.0/8\"]",
        "\"times\":[{\"start\":\"00:00:00\",\"end\":\"23:59:59\"}]",
        "\"times_location\":\"UTC\"",
        "\"allowed_connection_types\":[\"STANDARD\"]",
        "\"issuer_account\":\"A",
        "\"type\":\"user\"",
        "\"version\":2",
        "null",
        "{}",
    ],
    run: |bytes| {
        let house = house();
        let request = request();
        let outcome = house.authenticator.authenticate(&request);
        let Ok(Some(delegation)) = house.authenticator.delegate(&request, &outcome) else {
            return Shape::of("not delegated");
        };
        if house.authenticator.ask(&delegation, Asked::default(), NOW).is_err() {
            return Shape::of("not asked");
        }
        let Some((question, answer)) = house.kept.0.lock().ok().and_then(|mut kept| kept.take())
        else {
            return Shape::of("nothing kept");
        };
        let user = std::str::from_utf8(&question.body)
            .ok()
            .and_then(|token| RequestClaims::decode(token).ok())
            .map(|claims| claims.nats.user_nkey)
            .unwrap_or_default();
        let (how, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let text = match how % 3 {
            0 => Some(rest.to_vec()),
            1 => claims(rest, &user, "APP").and_then(|claims| {
                let mut answer = ResponseClaims::about(user.clone());
                answer.audience.clone_from(&house.server);
                answer.nats.jwt = signed(claims, "user", &house.issuer)?;
                answer.encode(&house.issuer, NOW).ok().map(String::into_bytes)
            }),
            _ => claims(rest, &user, &house.server).and_then(|claims| {
                let kind = "authorization_response";
                signed(claims, kind, &house.issuer).map(String::into_bytes)
            }),
        };
        let Some(text) = text else { return Shape::of("no claims") };
        let is_set = answer.set(text).is_ok();
        assert!(is_set, "an answer is put in once");
        match house.authenticator.settle(&delegation, &request) {
            Ok(identity) => {
                // Nobody comes in anywhere but where the signed token says, and never for ever
                // against its word.
                assert_eq!(&*identity.account, "APP");
                let limited = identity.token.is_some_and(|token| token.ends_in.is_some());
                Shape::of("in").and(Shape::count(usize::from(limited)))
            }
            Err(error) => {
                let text = error.to_string();
                let words: Vec<&str> =
                    text.split('"').next().unwrap_or("").split(' ').take(6).collect();
                Shape::of(&words.join(" "))
            }
        }
    },
};
