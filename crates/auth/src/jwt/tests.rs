//! Tokens, written here and by the reference's library.

use super::*;
use nkeys::KeyPair;

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
