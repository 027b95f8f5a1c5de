//! Whether a client that is connected may stay when who may connect changes.
//!
//! Laws: nobody stays that could not log in again with what it presented; a secret that did not
//!       change is not verified again, because hashes take long and clients are many.
//! Reference: reload.go clientHasMovedToDifferentAccount, reloadAuthorization.
//! Contract: RELOAD-006.

use super::proxy::Proxied;
use super::{AuthError, AuthRequest, Authenticator, Credential};
use crate::identity::{Identity, Who};

/// What becomes of a client.
#[derive(Debug)]
pub enum Review {
    /// It stays, as whom it is now.
    Stays(Identity),
    /// Its secret has to be verified anew, which takes milliseconds of CPU: `authenticate`.
    Slow,
    /// Its user is gone, or in another account: it may come back and find out.
    Gone,
    /// It would not be let in any more.
    Refused(AuthError),
}

impl Authenticator {
    /// Looks at a client again that came in with `request` while `old` was in force, and is in
    /// `account`.
    pub fn review(&self, old: &Self, request: &AuthRequest<'_>, account: &str) -> Review {
        if self.operators.is_some() {
            return if self.is_slow(request) {
                Review::Slow
            } else {
                Review::Refused(AuthError::NoToken)
            };
        }
        let proxied = self.proxies.check(request.nonce, request.proxy_signature);
        // Who came through a proxy that is trusted no more has to go.
        let lost = proxied == Proxied::No && old.is_proxied(request).is_some();
        if lost || proxied == Proxied::Falsely {
            return Review::Refused(AuthError::ProxyNotTrusted);
        }
        if self.calls_out() {
            return Review::Slow;
        }
        let before = old.choose(request).ok();
        let was = before.and_then(|credential| old.name(credential));
        let now = match self.choose(request) {
            Ok(now) => now,
            Err(AuthError::ConnectionType) => return Review::Refused(AuthError::ConnectionType),
            Err(_) if was.is_some() => return Review::Gone,
            Err(error) => return Review::Refused(error),
        };
        if was.is_some_and(|was| self.name(now) != Some(was)) {
            return Review::Gone;
        }
        if proxied == Proxied::No && self.needs_proxy(&now) {
            return Review::Refused(AuthError::ProxyRequired);
        }
        let proven = before.is_some_and(|before| self.asks_the_same(now, old, before));
        let identity = match proven.then(|| self.proven(now)).flatten() {
            Some(identity) => identity,
            None if self.is_slow(request) => return Review::Slow,
            None => match self.authenticate(request) {
                Ok(identity) => identity,
                Err(error) => return Review::Refused(error),
            },
        };
        if *identity.account != *account {
            return Review::Gone;
        }
        let proxy = proxied.by();
        Review::Stays(Identity { proxy, ..identity })
    }

    /// Whose credential it is, if it is somebody's in particular.
    fn name<'a>(&'a self, credential: Credential<'a>) -> Option<&'a str> {
        match credential {
            Credential::Open | Credential::SingleToken => None,
            Credential::NoAuthUser(user)
            | Credential::Password(user)
            | Credential::Certificate(user) => Some(&user.name),
            Credential::NoAuthNkey(user) | Credential::Nkey(user) => Some(user.key.as_str()),
            Credential::SingleUser => Some(&self.username),
        }
    }

    /// Whether a client that proved `before` to `old` has thereby proved `now`.
    fn asks_the_same(&self, now: Credential<'_>, old: &Self, before: Credential<'_>) -> bool {
        match (now, before) {
            (Credential::Password(now), Credential::Password(before))
            | (Credential::Certificate(now), Credential::Certificate(before)) => {
                now.name == before.name && now.password.is(&before.password)
            }
            (Credential::Nkey(now), Credential::Nkey(before)) => {
                now.key.as_str() == before.key.as_str()
            }
            (Credential::SingleToken, Credential::SingleToken) => self.token.is(&old.token),
            (Credential::SingleUser, Credential::SingleUser) => {
                self.username == old.username && self.password.is(&old.password)
            }
            _ => false,
        }
    }

    /// Who somebody is that has proved this credential.
    fn proven(&self, credential: Credential<'_>) -> Option<Identity> {
        match credential {
            Credential::Password(user) | Credential::Certificate(user) => {
                Some(user.grant.identity(Who::User(user.name.as_str().into())))
            }
            Credential::Nkey(user) => {
                Some(user.grant.identity(Who::Nkey(user.key.as_str().into())))
            }
            Credential::SingleToken => Some(self.global_identity(Who::Token)),
            Credential::SingleUser => {
                Some(self.global_identity(Who::User(self.username.as_str().into())))
            }
            Credential::Open | Credential::NoAuthUser(_) | Credential::NoAuthNkey(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Secret;
    use crate::{AuthConfig, ConnectionType, ConnectionTypes, User};

    fn user(name: &str, password: &str, account: &str) -> User {
        User {
            name: name.into(),
            password: Secret::new(password),
            account: account.into(),
            ..User::default()
        }
    }

    fn of(users: Vec<User>) -> Authenticator {
        Authenticator::new(AuthConfig { users, ..AuthConfig::default() }).unwrap()
    }

    fn request<'a>(name: &'a str, password: &'a str) -> AuthRequest<'a> {
        AuthRequest {
            username: name,
            password,
            token: "",
            nkey: "",
            signature: "",
            proxy_signature: "",
            nonce: b"",
            connection_type: ConnectionType::Standard,
            certificate: None,
            jwt: "",
            address: None,
            now: 0,
        }
    }

    fn shown(review: Review) -> String {
        match review {
            Review::Stays(identity) => format!("stays as {}", identity.who.raw()),
            Review::Slow => "slow".into(),
            Review::Gone => "gone".into(),
            Review::Refused(error) => error.to_string(),
        }
    }

    // Contract: RELOAD-006
    #[test]
    fn users_stay_go_or_are_refused() {
        let old = of(vec![user("a", "p", "A"), user("b", "p", "A")]);
        let elsewhere = User {
            connection_types: ConnectionTypes::from_names(["WEBSOCKET"]).0,
            ..user("a", "p", "A")
        };
        // A hash nobody can have made: whoever asks for it would have to wait for the answer.
        let hash = "$2a$11$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        for (users, outcome) in [
            (vec![user("a", "p", "A")], "stays as a"),
            (vec![user("a", "q", "A")], "Password or token not valid"),
            (vec![user("a", hash, "A")], "slow"),
            (vec![user("a", "p", "B")], "gone"),
            (vec![user("b", "p", "A")], "gone"),
            (vec![], "gone"),
            (vec![elsewhere], "Connection type not allowed"),
        ] {
            let now = of(users);
            assert_eq!(shown(now.review(&old, &request("a", "p"), "A")), outcome);
        }
    }

    /// A hash that did not change is not computed again, and proves what it proved.
    #[test]
    fn a_hash_that_did_not_change_is_taken_as_verified() {
        let hash = "$2a$11$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let (old, now) = (of(vec![user("a", hash, "A")]), of(vec![user("a", hash, "A")]));
        assert_eq!(shown(now.review(&old, &request("a", "p"), "A")), "stays as a");
    }

    #[test]
    fn a_token_a_single_user_and_nobody() {
        let token = |text: &str| {
            let config = AuthConfig { token: Secret::new(text), ..AuthConfig::default() };
            Authenticator::new(config).unwrap()
        };
        let single = |name: &str, password: &str| {
            Authenticator::new(AuthConfig {
                username: name.into(),
                password: Secret::new(password),
                ..AuthConfig::default()
            })
            .unwrap()
        };
        let open = of(vec![]);
        let with_token = AuthRequest { token: "t", ..request("", "") };
        let global = crate::GLOBAL_ACCOUNT;
        let stays = "stays as [REDACTED]";
        assert_eq!(shown(token("t").review(&token("t"), &with_token, global)), stays);
        let refused = "Password or token not valid";
        assert_eq!(shown(token("u").review(&token("t"), &with_token, global)), refused);
        let named = request("a", "p");
        for (now, outcome) in [
            (single("a", "p"), "stays as a"),
            (single("a", "q"), refused),
            (single("b", "p"), "gone"),
        ] {
            assert_eq!(shown(now.review(&single("a", "p"), &named, global)), outcome);
        }
        let nobody = request("", "");
        assert_eq!(shown(open.review(&open, &nobody, global)), "stays as ");
        assert_eq!(shown(token("t").review(&open, &nobody, global)), "Password or token not valid");
    }
}
