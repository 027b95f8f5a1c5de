//! Tokens of the first version, rewritten to say the same in the second.
//!
//! There, kind, tags and the issuer's account stood beside the body, accounts had no JetStream, and
//! an activation's own `type` said what it was for.
//! Reference: jwt v2 decoder_*.go.

use serde_json::{Map, Value};

/// Rewrites the claims of a token of `kind`.
pub(super) fn migrate(kind: &str, claims: &mut Value) {
    let Some(claims) = claims.as_object_mut() else { return };
    let moved = ["tags", "issuer_account"].map(|name| (name, claims.shift_remove(name)));
    claims.shift_remove("type");
    let mut body = match claims.shift_remove("nats") {
        Some(Value::Object(body)) => body,
        _ => Map::new(),
    };
    match kind {
        "operator" => {
            keep(
                &mut body,
                &["signing_keys", "account_server_url", "operator_service_urls", "system_account"],
            );
        }
        "account" => account(&mut body),
        "user" => {
            keep(&mut body, USER);
            for limit in ["subs", "data", "payload"] {
                body.entry(limit).or_insert_with(|| (-1).into());
            }
        }
        "activation" => {
            let what = body.shift_remove("type");
            keep(&mut body, &["subject"]);
            body.extend(what.map(|what| ("kind".to_owned(), what)));
        }
        _ => {}
    }
    for (name, value) in moved {
        // Only these two kinds are issued on behalf of an account.
        if name == "tags" || kind == "user" || kind == "activation" {
            body.extend(value.map(|value| (name.to_owned(), value)));
        }
    }
    body.insert("type".to_owned(), kind.into());
    body.insert("version".to_owned(), 1.into());
    claims.insert("nats".to_owned(), Value::Object(body));
}

const USER: &[&str] = &[
    "pub",
    "sub",
    "resp",
    "src",
    "times",
    "times_location",
    "subs",
    "data",
    "payload",
    "bearer_token",
];

const ACCOUNT_LIMITS: &[&str] = &[
    "subs",
    "data",
    "payload",
    "imports",
    "exports",
    "wildcards",
    "disallow_bearer",
    "conn",
    "leaf",
];

fn account(body: &mut Map<String, Value>) {
    keep(body, &["imports", "exports", "limits", "signing_keys", "revocations"]);
    if let Some(Value::Object(limits)) = body.get_mut("limits") {
        keep(limits, ACCOUNT_LIMITS);
    }
    // Keys had no scopes.
    if let Some(Value::Array(keys)) = body.get_mut("signing_keys") {
        keys.retain(Value::is_string);
    }
}

fn keep(body: &mut Map<String, Value>, names: &[&str]) {
    body.retain(|name, _| names.contains(&name.as_str()));
}
