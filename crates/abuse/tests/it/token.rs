//! Tokens written and read without the product's own code.

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::Which;
use testkit::binary::peer_of_version;

/// Runs a test against our server, and against the reference where there is one.
pub(crate) fn everywhere(what: &str, test: impl Fn(Which)) {
    test(Which::Ours);
    if peer_of_version("2.14", what).is_some() {
        test(Which::Peer);
    }
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token that `key` signs, of these claims; `iss` and `iat` are filled in unless they are there.
pub(crate) fn signed(key: &KeyPair, claims: &Value) -> String {
    let mut claims = claims.clone();
    let all = claims.as_object_mut().unwrap();
    all.entry("iss").or_insert_with(|| json!(key.public_key()));
    all.entry("iat").or_insert_with(|| json!(now()));
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let header = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
    let body = format!("{}.{}", part(header), part(&claims.to_string()));
    let signature = key.sign(body.as_bytes()).unwrap();
    format!("{body}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// The claims of a token, whose signature must be its issuer's.
pub(crate) fn verified(token: &str) -> Value {
    let (body, signature) = token.rsplit_once('.').unwrap();
    let (_, claims) = body.split_once('.').unwrap();
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let issuer = KeyPair::from_public_key(claims["iss"].as_str().unwrap()).unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    issuer.verify(body.as_bytes(), &signature).unwrap();
    claims
}
