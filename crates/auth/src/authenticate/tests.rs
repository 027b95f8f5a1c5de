//! Logins as tables: a configuration, what is presented, what comes of it.

use super::*;
use crate::dn::{Attribute, Value};
use crate::permission::SubjectPermission;
use crate::user::apply_default_permissions;
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;

const NONCE: &[u8] = b"PXoWU7zWAMt75FY";

fn user(name: &str, password: &str) -> User {
    User { name: name.into(), password: password.into(), ..User::default() }
}

fn request<'a>(username: &'a str, password: &'a str) -> AuthRequest<'a> {
    AuthRequest {
        username,
        password,
        token: "",
        nkey: "",
        jwt: "",
        signature: "",
        proxy_signature: "",
        nonce: NONCE,
        connection_type: ConnectionType::Standard,
        certificate: None,
        address: None,
        now: 0,
    }
}

fn token(token: &str) -> AuthRequest<'_> {
    AuthRequest { token, ..request("", "") }
}

/// `account label`, or the error's text.
fn outcome(config: AuthConfig, request: &AuthRequest<'_>) -> String {
    match Authenticator::new(config).unwrap().authenticate(request) {
        Ok(identity) => format!("{} {}", identity.account, identity.who.label()),
        Err(error) => error.to_string(),
    }
}

// Contract: AUTH-002
#[test]
fn a_single_user_or_a_token_opens_the_global_account() {
    let single = || AuthConfig { username: "u".into(), password: "p".into(), ..Default::default() };
    let tokened = || AuthConfig { token: "t".into(), ..Default::default() };
    let unknown = AuthError::Unknown.to_string();
    let wrong = AuthError::WrongSecret.to_string();
    for (config, request, want) in [
        (AuthConfig::default(), request("", ""), "$G "),
        (AuthConfig::default(), request("whoever", "x"), "$G user:whoever"),
        (single(), request("u", "p"), "$G user:u"),
        (single(), request("u", ""), wrong.as_str()),
        (single(), request("u", "pp"), wrong.as_str()),
        (single(), request("x", "p"), unknown.as_str()),
        (single(), request("", ""), unknown.as_str()),
        (single(), token("p"), unknown.as_str()),
        (tokened(), token("t"), "$G token"),
        (tokened(), token("x"), wrong.as_str()),
        (tokened(), request("t", "t"), wrong.as_str()),
        (tokened(), request("", ""), wrong.as_str()),
    ] {
        assert_eq!(outcome(config, &request), want, "{request:?}");
    }
}

// Contract: AUTH-003, AUTH-004
#[test]
fn users_log_in_with_their_password() {
    let hash = bcrypt::hash("s3cr3t", 4).unwrap();
    let config = || AuthConfig {
        users: vec![
            User { account: "A".into(), ..user("a", "pa") },
            user("b", &hash),
            user("open", ""),
        ],
        ..Default::default()
    };
    let wrong = AuthError::WrongSecret.to_string();
    for (request, want, slow) in [
        (request("a", "pa"), "A user:a", false),
        (request("a", "pb"), wrong.as_str(), false),
        (request("b", "s3cr3t"), "$G user:b", true),
        (request("b", &hash), wrong.as_str(), true),
        (request("open", ""), "$G user:open", false),
        (request("open", "x"), wrong.as_str(), false),
        (request("nobody", "x"), "User, nkey or token not known", false),
        (request("", ""), "Credentials missing", false),
        (token("pa"), "Credentials missing", false),
    ] {
        assert_eq!(outcome(config(), &request), want, "{request:?}");
        assert_eq!(Authenticator::new(config()).unwrap().is_slow(&request), slow, "{request:?}");
    }
}

// Contract: AUTH-004, AUTH-006
#[test]
fn nkeys_log_in_by_signing_the_nonce() {
    let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let (nkey, strange) = (known.public_key(), stranger.public_key());
    let sign = |pair: &KeyPair, text: &[u8]| BASE64URL_NOPAD.encode(&pair.sign(text).unwrap());
    let config = || AuthConfig {
        nkeys: vec![NkeyUser { nkey: nkey.clone(), account: "A".into(), ..Default::default() }],
        users: vec![user("a", "pa")],
        ..Default::default()
    };
    let good = sign(&known, NONCE);
    let (other_nonce, other_key) = (sign(&known, b"0000000000other"), sign(&stranger, NONCE));
    let with = |nkey, signature| AuthRequest { nkey, signature, ..request("", "") };
    for (request, want) in [
        (with(&nkey, &good), format!("A nkey:{nkey}")),
        (with(&nkey, ""), "Signature missing".into()),
        (with(&nkey, "%%%"), "Signature not valid base64".into()),
        (with(&nkey, &other_nonce), "Signature not verified".into()),
        (with(&nkey, &other_key), "Signature not verified".into()),
        (with(&strange, &other_key), "User, nkey or token not known".into()),
        // An nkey goes before a user with a good password.
        (
            AuthRequest { nkey: &strange, ..request("a", "pa") },
            "User, nkey or token not known".into(),
        ),
        (request("a", "pa"), "$G user:a".into()),
    ] {
        assert_eq!(outcome(config(), &request), want, "{request:?}");
    }
    assert!(Authenticator::new(config()).unwrap().needs_nonce());
    // Without nkeys in the configuration, an nkey beside a user is ignored, and names nobody.
    let users_only = AuthConfig { users: vec![user("a", "pa")], ..Default::default() };
    let both = AuthRequest { nkey: &strange, ..request("a", "pa") };
    assert_eq!(outcome(users_only, &both), "$G user:a");
}

// Contract: AUTH-001
#[test]
fn methods_have_an_order() {
    let config = || AuthConfig {
        users: vec![user("a", "pa")],
        token: "t".into(),
        username: "u".into(),
        password: "p".into(),
        ..Default::default()
    };
    for (request, want) in [
        (request("a", "pa"), "$G user:a"),
        (AuthRequest { token: "t", ..request("a", "pa") }, "$G user:a"),
        (AuthRequest { token: "t", ..request("a", "wrong") }, "Password or token not valid"),
        (token("t"), "$G token"),
        (request("u", "p"), "User, nkey or token not known"),
    ] {
        assert_eq!(outcome(config(), &request), want, "{request:?}");
    }
}

// Contract: AUTH-007
#[test]
fn no_auth_user_stands_in_for_those_without_credentials() {
    let pair = KeyPair::new_user();
    let nkey = pair.public_key();
    let config = |no_auth_user: &str| AuthConfig {
        users: vec![User { account: "A".into(), ..user("a", "pa") }, user("b", "pb")],
        nkeys: vec![NkeyUser { nkey: nkey.clone(), account: "K".into(), ..Default::default() }],
        no_auth_user: no_auth_user.into(),
        ..Default::default()
    };
    let by_key = AuthRequest { nkey: &nkey, ..request("", "") };
    let nkey_label = format!("K nkey:{nkey}");
    for (no_auth_user, request, want) in [
        ("a", request("", ""), "A user:a"),
        ("a", request("b", "pb"), "$G user:b"),
        ("a", request("a", ""), "Password or token not valid"),
        ("a", request("", "x"), "Credentials missing"),
        ("a", token("x"), "Credentials missing"),
        ("a", by_key, "Signature missing"),
        (&nkey, request("", ""), &nkey_label),
        (&nkey, by_key, &nkey_label),
        (&nkey, request("a", "pa"), "A user:a"),
    ] {
        assert_eq!(outcome(config(no_auth_user), &request), want, "{no_auth_user} {request:?}");
        assert!(!Authenticator::new(config(no_auth_user)).unwrap().auth_required());
    }
    let hashed = || AuthConfig {
        users: vec![user("a", &bcrypt::hash("pa", 4).unwrap())],
        no_auth_user: "a".into(),
        ..Default::default()
    };
    assert_eq!(outcome(hashed(), &request("", "")), "Password or token not valid");
    assert_eq!(outcome(hashed(), &request("a", "pa")), "$G user:a");
    let hidden = AuthConfig { hides_no_auth_user: true, ..config("a") };
    assert!(Authenticator::new(hidden).unwrap().auth_required());
    assert!(Authenticator::new(config("")).unwrap().auth_required());
    assert!(!Authenticator::new(AuthConfig::default()).unwrap().auth_required());
}

// Contract: AUTH-007, AUTH-008
#[test]
fn nobody_comes_in_by_a_way_that_is_not_allowed() {
    let pair = KeyPair::new_user();
    let nkey = pair.public_key();
    let signature = BASE64URL_NOPAD.encode(&pair.sign(NONCE).unwrap());
    let (connection_types, _) = ConnectionTypes::from_names(["WEBSOCKET", "IN_PROCESS"]);
    let config = |no_auth_user: &str| AuthConfig {
        users: vec![User { connection_types, ..user("a", "pa") }],
        nkeys: vec![NkeyUser { nkey: nkey.clone(), connection_types, ..Default::default() }],
        no_auth_user: no_auth_user.into(),
        ..Default::default()
    };
    let by_key = AuthRequest { nkey: &nkey, signature: &signature, ..request("", "") };
    let ways =
        [("", request("a", "pa")), ("", by_key), ("a", request("", "")), (&nkey, request("", ""))];
    for (no_auth_user, request) in ways {
        let auth = Authenticator::new(config(no_auth_user)).unwrap();
        for connection_type in ConnectionType::ALL {
            let result = auth.authenticate(&AuthRequest { connection_type, ..request });
            match connection_types.allows(connection_type) {
                true => assert!(result.is_ok(), "{no_auth_user:?} {connection_type:?}"),
                false => assert_eq!(result.unwrap_err(), AuthError::ConnectionType),
            }
        }
    }
}

// Contract: AUTH-005
#[test]
fn default_permissions_are_for_users_without_their_own() {
    let only = |subject: &str| PermissionsConfig {
        publish: SubjectPermission::allow([subject]),
        ..PermissionsConfig::default()
    };
    let pair = KeyPair::new_user();
    let mut users =
        vec![user("a", "pa"), User { permissions: Some(only("own")), ..user("b", "pb") }];
    let mut nkeys = vec![NkeyUser { nkey: pair.public_key(), ..Default::default() }];
    apply_default_permissions(&mut users, &mut nkeys, &only("default"));
    users.push(user("c", "pc"));

    let nkey = pair.public_key();
    let signature = BASE64URL_NOPAD.encode(&pair.sign(NONCE).unwrap());
    let auth = Authenticator::new(AuthConfig { users, nkeys, ..Default::default() }).unwrap();
    let may = |request: &AuthRequest<'_>, subject: &[u8]| {
        let permissions = auth.authenticate(request).unwrap().permissions;
        permissions.is_none_or(|p| p.can_publish(subject))
    };
    let by_key = AuthRequest { nkey: &nkey, signature: &signature, ..request("", "") };
    for (request, default, own) in [
        (request("a", "pa"), true, false),
        (request("b", "pb"), false, true),
        (request("c", "pc"), true, true),
        (by_key, true, false),
    ] {
        assert_eq!(
            (may(&request, b"default"), may(&request, b"own")),
            (default, own),
            "{request:?}"
        );
    }
}

/// A certificate of `/C=US/O=NATS/CN=localhost/DC=foo1/DC=foo2` with one name of each kind.
fn certificate() -> CertificateFacts {
    let names = [
        ("2.5.4.6", "US"),
        ("2.5.4.10", "NATS"),
        ("2.5.4.3", "localhost"),
        ("0.9.2342.19200300.100.1.25", "foo1"),
        ("0.9.2342.19200300.100.1.25", "foo2"),
    ];
    let rdns = names.map(|(oid, v)| vec![Attribute::new(oid, Value::Text(v.into()))]);
    CertificateFacts {
        emails: vec!["x@example.com".into(), "a@example.com".into()],
        dns_names: vec!["host.example.com".into()],
        uris: vec!["spiffe://localhost/a".into()],
        subject: DistinguishedName::new(rdns.into()),
        ..CertificateFacts::default()
    }
}

// Contract: AUTH-009
#[test]
fn certificates_stand_for_users_in_order() {
    // Each attempt in its order: with these users, the first is taken.
    let names = [
        "a@example.com",
        "host.example.com",
        "spiffe://localhost/a",
        "DC=foo2,DC=foo1,CN=localhost,O=NATS,C=US",
        "DC=foo1,DC=foo2,CN=localhost,C=US,O=NATS",
        "CN=localhost,O=NATS,C=US",
    ];
    let facts = certificate();
    for (i, name) in names.iter().enumerate() {
        let config = AuthConfig {
            // The list backwards: the order of the configuration must not matter.
            users: names[i..].iter().rev().map(|n| user(n, "")).collect(),
            tls_map: true,
            ..Default::default()
        };
        let request = AuthRequest { certificate: Some(&facts), ..request("", "") };
        assert_eq!(outcome(config, &request), format!("$G user:{name}"));
    }
    let nobody =
        AuthConfig { users: vec![user("CN=other", "")], tls_map: true, ..Default::default() };
    let with = AuthRequest { certificate: Some(&facts), ..request("CN=other", "") };
    assert_eq!(outcome(nobody.clone(), &with), "User in cert not found");
    assert_eq!(
        outcome(nobody, &request("CN=other", "")),
        "User required in cert, no peer certificates found"
    );
}

// Contract: AUTH-009
#[test]
fn attributes_without_a_name_leave_the_text_forms() {
    let mut facts = CertificateFacts::default();
    let text = |v: &str| Value::Text(v.into());
    facts.subject = DistinguishedName::new(vec![
        vec![Attribute::new("2.5.4.3", text("localhost"))],
        vec![Attribute::new("0.9.2342.19200300.100.1.25", text("foo"))],
        vec![Attribute::new("1.2.840.113549.1.9.1", text("a@b.c"))],
    ]);
    for (users, want) in [
        (vec!["CN=localhost", "CN=localhost,DC=foo"], "$G user:CN=localhost,DC=foo"),
        (vec!["CN=localhost"], "$G user:CN=localhost"),
        (vec!["DC=foo,CN=localhost"], "User in cert not found"),
    ] {
        let users = users.into_iter().map(|n| user(n, "")).collect();
        let config = AuthConfig { users, tls_map: true, ..Default::default() };
        let request = AuthRequest { certificate: Some(&facts), ..request("", "") };
        assert_eq!(outcome(config, &request), want);
    }
}

// Contract: AUTH-009
#[test]
fn the_certificate_goes_before_the_name_in_connect() {
    let facts = certificate();
    let config = AuthConfig {
        users: vec![user("host.example.com", ""), user("admin", "pa")],
        tls_map: true,
        ..Default::default()
    };
    let auth = Authenticator::new(config).unwrap();
    let with = AuthRequest { certificate: Some(&facts), ..request("admin", "") };
    let identity = auth.authenticate(&with).unwrap();
    assert_eq!(identity.who.raw(), "host.example.com");
    assert_eq!(identity.overridden_user.as_deref(), Some("admin"));
    assert_eq!(
        auth.authenticate(&request("admin", "pa")).unwrap_err(),
        AuthError::NoCertificate,
        "a password does not replace the certificate"
    );
}

// Contract: AUTH-009
#[test]
fn a_refused_client_is_named_by_its_certificate() {
    let facts = certificate();
    let config = AuthConfig {
        users: vec![user("host.example.com", "pa")],
        tls_map: true,
        ..Default::default()
    };
    let auth = Authenticator::new(config).unwrap();
    let with = AuthRequest { certificate: Some(&facts), ..request("admin", "wrong") };
    assert_eq!(auth.authenticate(&with).unwrap_err(), AuthError::WrongSecret);
    assert_eq!(auth.who(&with).raw(), "host.example.com");
    assert_eq!(auth.who(&request("admin", "wrong")).raw(), "admin", "no certificate to go by");
}

// Contract: AUTH-008, AUTH-009
#[test]
fn a_mapped_user_must_be_allowed_to_come_in_this_way() {
    let (connection_types, _) = ConnectionTypes::from_names(["WEBSOCKET"]);
    let facts = certificate();
    let config = AuthConfig {
        users: vec![
            User { connection_types, ..user("a@example.com", "") },
            user("spiffe://localhost/a", ""),
        ],
        tls_map: true,
        ..Default::default()
    };
    let request = AuthRequest { certificate: Some(&facts), ..request("", "") };
    assert_eq!(outcome(config, &request), "$G user:spiffe://localhost/a");
}

#[test]
fn every_failure_looks_the_same_from_outside() {
    for error in [
        AuthError::Missing,
        AuthError::Unknown,
        AuthError::WrongSecret,
        AuthError::ConnectionType,
        AuthError::Signature(SignatureError::Missing),
    ] {
        assert_eq!(error.close_reason(), "Authentication Failure");
    }
    assert_eq!(AuthError::CLIENT_ERROR, "Authorization Violation");
}
