//! Tokens of operator mode: as text, and as claims that somebody signed.

use crate::{Shape, Target};
use auth::authenticate::jwt::TrustedAccount;
use auth::jwt::{
    AccountClaims, ActivationClaims, GenericClaims, Issues, OperatorClaims, UserClaims,
    decode_generic, template, undecorated, window,
};
use nkeys::KeyPair;
use std::sync::OnceLock;

/// Texts that say to be tokens. Hardly any is signed.
pub(super) const TOKENS: Target = Target {
    name: "tokens",
    words: &[
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ",
        "eyJ0eXAiOiJqd3QiLCJhbGciOiJlZDI1NTE5In0",
        ".",
        "-----BEGIN NATS USER JWT-----\n",
        "------END NATS USER JWT------\n",
        "\n",
    ],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let token = undecorated(&text);
        match (UserClaims::decode(token), decode_generic(token)) {
            (Ok(_), Ok(_)) => Shape::of("signed"),
            (Err(why), _) => Shape::of(&why.to_string()),
            (Ok(_), Err(why)) => Shape::of(&why.to_string()).and(Shape::count(1)),
        }
    },
};

/// The key that signs whatever it is given.
fn signer() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(KeyPair::new_account)
}

/// Claims of every kind, signed by a key that they do not name.
pub(super) const CLAIMS: Target = Target {
    name: "claims",
    words: &[
        "{\"type\":\"user\",",
        "{\"type\":\"account\",",
        "{\"type\":\"operator\",",
        "{\"type\":\"activation\",",
        "\"version\":2",
        "\"pub\":{\"allow\":[\"a.*\"],\"deny\":[\"{{tag(x)}}.>\"]}",
        "\"sub\":{}",
        "\"resp\":{\"max\":1,\"ttl\":-1}",
        "\"src\":[\"10.0.0.0/8\"]",
        "\"src\":\"10.0.0.0/8,::/0\"",
        "\"times\":[{\"start\":\"22:00:00\",\"end\":\"06:00:00\"}]",
        "\"times_location\":\"UTC\"",
        "\"subs\":-1",
        "\"payload\":0",
        "\"bearer_token\":true",
        "\"allowed_connection_types\":[\"STANDARD\"]",
        "\"limits\":{\"conn\":-1,\"tiered_limits\":{\"R1\":{}}}",
        "\"signing_keys\":[{\"kind\":\"user_scope\",\"key\":\"A\",\"template\":{}}]",
        "\"imports\":[{\"subject\":\"a\",\"account\":\"A\",\"type\":\"stream\",\"local_subject\":\"b.$1\"}]",
        "\"exports\":[{\"subject\":\"a.*\",\"type\":\"service\",\"account_token_position\":2}]",
        "\"mappings\":{\"a\":[{\"subject\":\"b\",\"weight\":100}]}",
        "\"service_latency\":{\"sampling\":\"headers\",\"results\":\"l\"}",
        "\"revocations\":{\"*\":1}",
        "null",
    ],
    run: |bytes| {
        let Ok(serde_json::Value::Object(body)) = serde_json::from_slice(bytes) else {
            return Shape::of("no object");
        };
        let mut claims = GenericClaims::about(signer().public_key());
        claims.nats = body;
        let Ok(token) = claims.encode(signer(), 1_700_000_000) else {
            return Shape::of("unwritten");
        };
        let user = UserClaims::decode(&token).map(|user| look_at_user(&user));
        let account = AccountClaims::decode(&token).map(look_at_account);
        let activation = ActivationClaims::decode(&token)
            .map(|claims| Shape::count(claims.validate(Some(0)).0.len()));
        let operator =
            OperatorClaims::decode(&token).map(|claims| Shape::count(claims.trusted_keys().len()));
        let first_word = |text: String| Shape::of(text.split([':', '"', '`']).next().unwrap_or(""));
        [user, account, activation, operator]
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|why| first_word(why.to_string())))
            .fold(Shape::count(0), Shape::and)
    },
};

fn issues(all: &Issues) -> Shape {
    let words = all.0.iter().filter_map(|issue| issue.description.split('"').next());
    words.map(Shape::of).fold(Shape::count(0), |all, one| Shape(all.0 | (1 << (one.0 % 64))))
}

fn look_at_user(user: &UserClaims) -> Shape {
    let limits = &user.nats.limits;
    let _ = (limits.permissions(), user.has_empty_permissions(), user.account());
    let _ = window::remaining(&limits.times, 3600);
    let admitted = window::admits(&limits.src, Some([10, 1, 2, 3].into()));
    let values = template::Values {
        name: &user.name,
        subject: &user.subject,
        tags: &user.nats.tags,
        account_name: "a",
        account_subject: "b",
        account_tags: &[],
    };
    let filled = match template::fill(limits, values) {
        Ok(filled) => {
            assert!(filled.publish.allow.len() <= 4096 || !limits.publish.allow.is_empty());
            Shape::count(filled.publish.allow.len() + filled.subscribe.deny.len())
        }
        Err(why) => Shape::of(why.to_string().split('"').next().unwrap_or("")),
    };
    issues(&user.validate(0)).and(filled).and(Shape::count(usize::from(admitted)))
}

fn look_at_account(claims: AccountClaims) -> Shape {
    let found = issues(&claims.validate(0));
    let account = TrustedAccount::new(claims, false);
    let _ = account.altered_signers(&account);
    found.and(Shape::count(usize::from(account.default_permissions.is_some())))
}
