//! Tokens, written here and by the reference's library.

use super::*;
use nkeys::{KeyPair, KeyPairType};

const NOW: i64 = 1_700_000_000;

fn user(account: &KeyPair) -> (UserClaims, String) {
    let mut claims = UserClaims::about(KeyPair::new_user().public_key());
    claims.name = "bob <b>".to_owned();
    claims.nats.limits = limits::UserLimits::unlimited();
    let token = claims.encode(account, NOW).unwrap();
    (claims, token)
}

// Contract: AUTH-012
#[test]
fn what_is_written_is_read() {
    let account = KeyPair::new_account();
    let (claims, token) = user(&account);
    let read = UserClaims::decode(&token).unwrap();
    assert_eq!(read, claims);
    assert_eq!((read.issuer.as_str(), read.issued_at), (account.public_key().as_str(), NOW));
    assert_eq!(read.account(), account.public_key());
    assert_eq!(read.id.len(), 52);
    assert!(!read.has_empty_permissions());
}

// Contract: AUTH-012
#[test]
fn ends_of_lines_and_large_letters_change_nothing() {
    let account = KeyPair::new_account();
    let (claims, token) = user(&account);
    assert_eq!(UserClaims::decode(&format!("{token}\r\n")).unwrap(), claims);

    let mut claims = UserClaims::about(KeyPair::new_user().public_key());
    claims.nats.limits = limits::UserLimits::unlimited();
    let token = claims.encode(&account, NOW).unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let payload = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    let large = payload.replacen("\"pub\":{", "\"PUB\":{\"DENY\":[\"no.>\"]", 1);
    assert_ne!(large, payload);
    let head = token.split('.').next().unwrap();
    let signed = |payload: &str| {
        let body = data_encoding::BASE64URL_NOPAD.encode(payload.as_bytes());
        let signature = account.sign(format!("{head}.{body}").as_bytes()).unwrap();
        format!("{head}.{body}.{}", data_encoding::BASE64URL_NOPAD.encode(&signature))
    };
    let token = signed(&large);
    let read = UserClaims::decode(&token).unwrap();
    let list = signed(&payload.replacen("\"pub\":{}", "\"pub\":[]", 1));
    assert!(matches!(UserClaims::decode(&list), Err(JwtError::Json(_))));
    assert_eq!(format!("{:?}", read.nats.limits.permissions()).matches("no.>").count(), 1);
}

/// A key of the tokens that the reference's library wrote.
fn fixed(kind: KeyPairType, byte: u8) -> KeyPair {
    KeyPair::new_from_raw(kind, [byte; 32]).unwrap()
}

/// A token that the reference's library wrote.
fn foreign(name: &str) -> &'static str {
    let lines = include_str!("testdata/tokens.txt").lines();
    let mut named = lines.filter_map(|line| line.split_once(' '));
    named.find(|(other, _)| *other == name).unwrap().1
}

fn written_again<T: Body + Clone>(name: &str, key: &KeyPair) -> Claims<T> {
    let token = foreign(name);
    let mut claims = Claims::<T>::decode(token).unwrap();
    let read = claims.clone();
    let issued_at = claims.issued_at;
    let again = claims.encode(key, issued_at).unwrap();
    let payload = |token: &str| {
        let part = token.split('.').nth(1).unwrap().to_owned();
        String::from_utf8(data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
    };
    assert_eq!(payload(&again), payload(token), "{name}");
    assert_eq!(again, token, "{name}");
    read
}

// Contract: AUTH-011, AUTH-012, AUTH-013
#[test]
fn tokens_of_the_official_library_are_read_and_written_byte_for_byte() {
    use KeyPairType::{Account, Operator};
    let operator: OperatorClaims = written_again("operator", &fixed(Operator, 1));
    assert_eq!(operator.trusted_keys(), [fixed(Operator, 2).public_key()]);
    let activation: ActivationClaims = written_again("activation", &fixed(Account, 5));
    assert_eq!(activation.validate(Some(NOW)), Issues::default());
    let account: AccountClaims = written_again("account", &fixed(Operator, 2));
    assert_eq!(account.nats.limits.tiers["R1"].max_ack_pending, 7);
    assert_eq!(account.nats.imports[2].local_subject, "mine.$1");
    let scope = account.nats.scope(&fixed(Account, 5).public_key()).unwrap().unwrap();
    assert_eq!(scope.template.publish.allow, ["a.{{name()}}"]);
    assert_eq!(account.nats.scope(&fixed(Account, 4).public_key()), Some(None));
    let user: UserClaims = written_again("user", &fixed(Account, 4));
    assert_eq!(user.nats.limits.src, ["10.0.0.0/8", "1.2.3.4/32"]);
    assert_eq!(user.account(), account.subject);
    let scoped: UserClaims = written_again("scoped_user", &fixed(Account, 5));
    assert!(scoped.has_empty_permissions() && !user.has_empty_permissions());
    let generic = decode_generic(foreign("generic")).unwrap();
    assert_eq!(generic.nats["accounts"][0], account.subject);
}

/// A token as the first version of the library wrote it.
fn version_1(key: &KeyPair, claims: &serde_json::Value) -> String {
    use data_encoding::BASE64URL_NOPAD as BASE64;
    let header = BASE64.encode(br#"{"typ":"jwt","alg":"ed25519"}"#);
    let mut claims = claims.clone();
    claims["iss"] = key.public_key().into();
    let payload = BASE64.encode(claims.to_string().as_bytes());
    let signature = BASE64.encode(&key.sign(payload.as_bytes()).unwrap());
    format!("{header}.{payload}.{signature}")
}

// Contract: AUTH-012
#[test]
fn tokens_of_the_first_version_say_the_same() {
    use serde_json::json;
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let (id, user) = (account.public_key(), KeyPair::new_user().public_key());
    let token = version_1(
        &operator,
        &json!({"sub": id, "type": "account", "tags": ["x"], "iat": 1, "nats": {
            "limits": {"subs": -1, "conn": 7, "wildcards": true, "disk_storage": 5},
            "signing_keys": [id, {"kind": "user_scope", "key": id}],
            "exports": [{"subject": "a", "type": "service"}],
            "mappings": {"a": []},
        }}),
    );
    let read = AccountClaims::decode(&token).unwrap();
    assert_eq!((read.nats.version, read.nats.limits.conn, read.nats.exports.len()), (1, 7, 1));
    assert!(!read.nats.limits.has_jetstream() && read.nats.mappings.is_empty());
    assert_eq!((read.nats.signing_keys.0.len(), read.nats.tags.len()), (1, 1));
    let token = version_1(
        &account,
        &json!({"sub": user, "type": "user", "issuer_account": id, "nats": {
            "pub": {"allow": ["a"]}, "src": "10.0.0.0/8", "bearer_token": true,
        }}),
    );
    let read = UserClaims::decode(&token).unwrap();
    assert_eq!((read.account(), read.nats.limits.subs), (id.as_str(), -1));
    assert!(read.nats.limits.bearer_token && read.nats.limits.src == ["10.0.0.0/8"]);
    let token = version_1(
        &account,
        &json!({"sub": id, "type": "activation", "nats": {"subject": "a", "type": "stream"}}),
    );
    let read = ActivationClaims::decode(&token).unwrap();
    assert_eq!(
        (read.nats.import_kind.as_str(), read.nats.import_subject.as_str()),
        ("stream", "a")
    );
}

// Contract: AUTH-012
#[test]
fn what_is_not_signed_well_is_no_token() {
    use data_encoding::BASE64URL_NOPAD as BASE64;
    let account = KeyPair::new_account();
    let (_, token) = user(&account);
    let [header, payload, signature] = [0, 1, 2].map(|n| token.split('.').nth(n).unwrap());
    let encode = |text: &str| BASE64.encode(text.as_bytes());
    let with =
        |header: &str, payload: &str, signature: &str| format!("{header}.{payload}.{signature}");
    let swapped = |from: &str, to: &str| {
        let text = String::from_utf8(BASE64.decode(payload.as_bytes()).unwrap()).unwrap();
        assert!(text.contains(from), "{text}");
        with(header, &encode(&text.replacen(from, to, 1)), signature)
    };
    let none = with(&encode(r#"{"typ":"JWT","alg":"none"}"#), payload, "");
    let old = with(&encode(r#"{"typ":"JWT","alg":"ed25519"}"#), payload, signature);
    let badge = with(&encode(r#"{"typ":"BADGE","alg":"ed25519-nkey"}"#), payload, signature);
    for (token, want) in [
        (String::new(), "expected 3 chunks"),
        ("a.b".into(), "expected 3 chunks"),
        ("a.b.c.d".into(), "expected 3 chunks"),
        ("!.b.c".into(), "illegal base64 data at input byte 0"),
        (none, "unexpected \"none\" algorithm"),
        (badge, "not supported type \"BADGE\""),
        (old, "claim failed V2 signature verification"),
        (with(header, payload, &BASE64.encode(&[0; 64])), "claim failed V2 signature verification"),
        (with(header, payload, ""), "claim failed V2 signature verification"),
        (swapped("bob", "eve"), "claim failed V2 signature verification"),
        (swapped("\"version\":2", "\"version\":3"), "JWT was generated by a newer version "),
        (swapped("\"version\":2", "\"version\":1"), "claim failed V1 signature verification"),
        (
            "x".repeat(token::MAX_SIZE + 1),
            "token size 1048577 exceeds maximum of 1048576 bytes: token too large",
        ),
    ] {
        assert_eq!(UserClaims::decode(&token).unwrap_err().to_string(), want);
    }
    assert_eq!(AccountClaims::decode(&token).unwrap_err().to_string(), "not account claim");
    // Signed well, by a key that may not: a user, an operator.
    for key in [KeyPair::new_user(), KeyPair::new_operator()] {
        let mut claims = GenericClaims::about(KeyPair::new_user().public_key());
        claims.nats.insert("type".into(), "user".into());
        let token = claims.encode(&key, NOW).unwrap();
        let want = "unable to validate expected prefixes - [account]";
        assert_eq!(UserClaims::decode(&token).unwrap_err().to_string(), want);
    }
}

#[test]
fn the_token_in_a_file_is_found() {
    let file =
        "-----BEGIN NATS USER JWT-----\neyJ.a.b\n------END NATS USER JWT------\n\n---\nS\n---\n";
    for (text, want) in [
        (file, "eyJ.a.b"),
        (" eyJ.a.b \n", "eyJ.a.b"),
        ("---x\r\n\r\neyJ.a.b\r\n---y\r\n", "eyJ.a.b"),
        ("---\n---\n", ""),
        ("", ""),
    ] {
        assert_eq!(undecorated(text), want, "{text:?}");
    }
}
