//! Operator mode: what goes together, and what is refused.

use super::options;
use crate::options::Resolver;
use crate::{load_text, validate};
use auth::jwt::{AccountClaims, OperatorClaims, UserClaims};
use nkeys::KeyPair;

/// An operator with its keys and its token.
struct Operator {
    key: KeyPair,
    claims: OperatorClaims,
}

impl Operator {
    fn new() -> Self {
        let key = KeyPair::new_operator();
        let claims = OperatorClaims::about(key.public_key());
        Self { key, claims }
    }

    fn conf(&self) -> String {
        format!("operator: {}\n", self.claims.clone().encode(&self.key, 1_700_000_000).unwrap())
    }
}

fn account() -> String {
    KeyPair::new_account().public_key()
}

fn refusal(conf: &str) -> String {
    match load_text(conf.as_bytes(), "x", &crate::lang::Nothing) {
        Err(why) => why.to_string(),
        Ok(loaded) => {
            validate(&loaded.options).err().map(|why| why.to_string()).unwrap_or_default()
        }
    }
}

// Contract: AUTH-011
#[test]
fn an_operator_does_not_go_with_everything() {
    let mut operator = Operator::new();
    let subject = operator.key.public_key();
    let with = |operator: &Operator, more: &str| refusal(&(operator.conf() + more));
    assert_eq!(with(&operator, "resolver: MEM"), "");
    for (more, want) in [
        ("", "operators require an account resolver to be configured"),
        (
            "resolver: MEM, accounts { A {} }",
            "operators do not allow Accounts to be configured directly",
        ),
        (
            "resolver: MEM, authorization { users: [{user: a, password: b}] }",
            "operators do not allow users to be configured directly",
        ),
        ("resolver: MEM, no_auth_user: a", "no_auth_user not compatible with Trusted Operator"),
        (
            "resolver: MEM, resolver_pinned_accounts: [A]",
            "pinned account key \"A\" is not a valid public account nkey",
        ),
        ("resolver: MEM, default_sentinel: x", "default sentinel JWT not valid"),
        (
            "resolver { type: full, dir: x }",
            "using nats based account resolver - the system account needs to be specified in \
             configuration or the operator jwt",
        ),
    ] {
        assert_eq!(with(&operator, more), want, "{more}");
    }
    let trusted = format!("resolver: MEM, trusted_keys: [{subject}]");
    let conflict = "conflicting options for 'TrustedKeys' and 'TrustedOperators'";
    assert_eq!(with(&operator, &trusted), conflict);
    for (version, want) in [
        ("2.14.5", String::new()),
        ("1.99.99", String::new()),
        ("3.0.0", format!("operator {subject} expected major version 3 > server major version 2")),
        (
            "2.15.0",
            format!("operator {subject} expected minor version 15 > server minor version 14"),
        ),
        (
            "2.14.6",
            format!("operator {subject} expected update version 6 > server update version 5"),
        ),
        (
            "2.x.0",
            format!(
                "operator {subject} expects version 2.x.0 got error instead: asserted server \
                 version cant parse x to int"
            ),
        ),
    ] {
        operator.claims.nats.assert_server_version = version.into();
        assert_eq!(with(&operator, "resolver: MEM"), want);
    }
    operator.claims.nats.assert_server_version.clear();
    let (system, other) = (account(), account());
    operator.claims.nats.system_account = system.clone();
    assert_eq!(with(&operator, &format!("resolver: MEM, system_account: {system}")), "");
    let different = "system_account in config and operator JWT must be identical";
    assert_eq!(with(&operator, &format!("resolver: MEM, system_account: {other}")), different);
}

// Contract: AUTH-011, AUTH-018
#[test]
fn an_operators_token_names_what_the_configuration_does_not() {
    let mut operator = Operator::new();
    let (system, signing) = (account(), KeyPair::new_operator().public_key());
    operator.claims.nats.system_account = system.clone();
    operator.claims.nats.account_server_url = "http://127.0.0.1:9/jwt".into();
    operator.claims.nats.signing_keys = vec![signing.clone()];
    let options = options(&operator.conf());
    assert_eq!(options.system_account(), Some(system.as_str()));
    let resolver = options.operator.account_resolver();
    assert_eq!(resolver, Some(Resolver::Url("http://127.0.0.1:9/jwt/accounts".into())));
    assert_eq!(options.operator.all_trusted_keys(), [operator.key.public_key(), signing.clone()]);
    let pinned = options.operator.pinned_accounts(options.system_account());
    assert_eq!(pinned, None);
    operator.claims.nats.strict = true;
    let options = super::options(&(operator.conf() + "resolver: MEM"));
    assert_eq!(options.operator.all_trusted_keys(), [signing]);
    assert_eq!(options.operator.account_resolver(), Some(Resolver::Memory));
}

// Contract: AUTH-015
#[test]
fn a_sentinel_needs_no_signature() {
    let (operator, account) = (Operator::new(), KeyPair::new_account());
    let conf = |claims: &mut UserClaims| {
        let token = claims.encode(&account, 1_700_000_000).unwrap();
        operator.conf() + "resolver: MEM, default_sentinel: " + &token
    };
    let user = || UserClaims::about(KeyPair::new_user().public_key());
    let mut plain = user();
    assert_eq!(refusal(&conf(&mut plain)), "default sentinel must be a bearer token");
    let mut bearer = user();
    bearer.nats.limits.bearer_token = true;
    assert_eq!(refusal(&conf(&mut bearer)), "");
    let mut scoped = user();
    scoped.nats.issuer_account = super::operator::account();
    assert_eq!(refusal(&conf(&mut scoped)), "");
}

// Contract: AUTH-021
#[test]
fn resolvers_that_make_no_sense_are_refused() {
    for (resolver, want) in [
        ("{ type: cache, dir: x, interval: \"1s\" }", "CACHE does not accept sync"),
        ("{ type: cache, dir: x, allow_delete: true }", "CACHE does not accept allow_delete"),
        ("{ type: cache, dir: x, hard_delete: false }", "CACHE does not accept hard_delete"),
        ("{ type: full, dir: x, ttl: \"1s\" }", "FULL does not accept ttl"),
        ("{ type: full, dir: x, hard_delete: true }", "hard_delete has no effect without delete"),
        ("{ type: full }", "dir has no value and needs to point to a directory"),
        (
            "nonsense",
            "error parsing account resolver, should be MEM or  URL(\"url\") or a map containing dir and type state=[FULL|CACHE])",
        ),
        (
            "{ type: x, dir: y }",
            "error parsing account resolver, should be MEM or  URL(\"url\") or a map containing dir and type state=[FULL|CACHE])",
        ),
        ("5", "error parsing operator resolver, wrong type int64"),
    ] {
        let refused = refusal(&format!("resolver: {resolver}"));
        assert!(refused.contains(want), "{resolver}: {refused}");
    }
}

// Contract: AUTH-011, AUTH-017
#[test]
fn tokens_of_other_kinds_are_not_taken() {
    let operator = Operator::new();
    let account = AccountClaims::about(account()).encode(&operator.key, 1).unwrap();
    let refused = refusal(&format!("operator: {account}\nresolver: MEM"));
    assert!(refused.contains("error parsing operator JWT: not operator claim"), "{refused}");
    let mut tampered = operator.conf();
    tampered.truncate(tampered.len() - 3);
    let refused = refusal(&format!("{tampered}\nresolver: MEM"));
    assert!(refused.contains("error parsing operator JWT: "), "{refused}");
    let preload = format!("resolver: MEM, resolver_preload {{ A: {} }}", &operator.conf()[10..]);
    let refused = refusal(&(operator.conf() + &preload));
    assert!(refused.contains("invalid account JWT"), "{refused}");
    let preload = format!("resolver: URL(http://127.0.0.1), resolver_preload {{ A: {account} }}");
    let refused = refusal(&(operator.conf() + &preload));
    let read_only =
        "resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR";
    assert_eq!(refused, read_only);
}
