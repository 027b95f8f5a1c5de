//! The outcome of a login.
//!
//! Reference: client.go getRawAuthUser, getAuthUser, getAuthUserLabel.

use crate::jwt::UserClaims;
use crate::permission::Permissions;
use std::sync::Arc;
use std::time::Duration;

/// Who a client turned out to be.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The account it belongs to.
    pub account: Arc<str>,
    /// How logs and monitoring call it.
    pub who: Who,
    /// What it may do; `None` for everything.
    pub permissions: Option<Arc<Permissions>>,
    /// The user name of its CONNECT that its certificate took precedence over: worth a warning.
    // Compat(AUTH-009): `User "x" found in connect proto, but user required from cert`.
    pub overridden_user: Option<String>,
    /// What the token it came in with says, where users have tokens.
    pub token: Option<Arc<TokenFacts>>,
    /// The key of the trusted proxy it came through.
    pub proxy: Option<Arc<str>>,
}

/// What a session keeps of the token it came in with.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// The user's key.
    pub subject: String,
    /// The user's name.
    pub name: String,
    /// What people call its account; empty if nothing.
    pub account_name: String,
    /// The user's tags.
    pub tags: Vec<String>,
    /// The key that signed the token.
    pub issuer: String,
    /// Whether that is a signing key, not the account itself.
    pub signing_key: bool,
    /// When, in Unix seconds.
    pub issued_at: i64,
    /// Whether it is good without a signature of the nonce: a secret.
    pub bearer: bool,
    /// The token itself.
    pub jwt: String,
    /// Whether it says nothing of permissions, so that the account's own count.
    pub default_permissions: bool,
    /// Subscriptions it may have; `None`: no limit of its own.
    pub subscriptions: Option<u64>,
    /// Bytes of a message; `None`: no limit of its own.
    pub payload: Option<u64>,
    /// After how long it has to go.
    pub ends_in: Option<Duration>,
}

impl TokenFacts {
    /// The token as others may see it: who sees a bearer's could use it.
    pub fn shown_jwt(&self) -> &str {
        if self.bearer { "" } else { &self.jwt }
    }

    /// The key that signed it: the account's own, or one of its signing keys.
    pub fn signer<'a>(&'a self, account: &'a str) -> &'a str {
        if self.signing_key { &self.issuer } else { account }
    }
}

/// A token that was presented in vain, as others may see it: nothing, unless it reads and says that
/// it is good for nothing without a signature. A template of its signing key may say otherwise.
pub fn shown_in_vain(jwt: &str) -> &str {
    let is_harmless =
        |user: &UserClaims| !user.nats.limits.bearer_token && !user.has_empty_permissions();
    if UserClaims::decode(jwt).is_ok_and(|user| is_harmless(&user)) { jwt } else { "" }
}

/// The token is a secret, or nearly one.
impl std::fmt::Debug for TokenFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenFacts")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// The name of a client towards operators. Never a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Who {
    /// It presented nothing, or nothing was asked for.
    #[default]
    Nobody,
    /// A public nkey.
    Nkey(Arc<str>),
    /// A user name.
    User(Arc<str>),
    /// The key of a user with a token.
    Jwt(Arc<str>),
    /// Somebody with the token.
    Token,
}

impl Who {
    /// The name by what was presented: the nkey goes before the user name, that before the user
    /// with a `jwt` (its key; empty as long as the token was not found good), that before the token.
    pub fn of(nkey: &str, username: &str, jwt: Option<&str>, token: &str) -> Self {
        if !nkey.is_empty() {
            Self::Nkey(nkey.into())
        } else if !username.is_empty() {
            Self::User(username.into())
        } else if let Some(key) = jwt {
            Self::Jwt(key.into())
        } else if !token.is_empty() {
            Self::Token
        } else {
            Self::Nobody
        }
    }

    /// As `authorized_user` shows it; empty for nobody.
    pub fn raw(&self) -> &str {
        match self {
            Self::Nobody => "",
            Self::Nkey(text) | Self::User(text) | Self::Jwt(text) => text,
            Self::Token => "[REDACTED]",
        }
    }

    /// As error lines show it: `User "x"`.
    pub fn describe(&self) -> String {
        let quote = |text: &str| stdx::go_text::quote(text.as_bytes());
        match self {
            Self::Nobody => r#"User "N/A""#.to_owned(),
            Self::Nkey(text) => format!("Nkey {}", quote(text)),
            Self::User(text) => format!("User {}", quote(text)),
            Self::Jwt(text) => format!("JWT User {}", quote(text)),
            Self::Token => r#"Token "[REDACTED]""#.to_owned(),
        }
    }

    /// As the label of a connection in log lines: `user:x`; empty for nobody.
    pub fn label(&self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::Nkey(text) => format!("nkey:{text}"),
            Self::User(text) => format!("user:{text}"),
            Self::Jwt(text) => format!("jwt:{text}"),
            Self::Token => "token".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_three_forms() {
        for (who, raw, describe, label) in [
            (Who::Jwt("UK".into()), "UK", r#"JWT User "UK""#, "jwt:UK"),
            (Who::of("", "", None, ""), "", r#"User "N/A""#, ""),
            (Who::of("UK", "u", Some("UJ"), "t"), "UK", r#"Nkey "UK""#, "nkey:UK"),
            (Who::of("", "u\"", Some("UJ"), "t"), "u\"", r#"User "u\"""#, "user:u\""),
            (Who::of("", "", Some("UJ"), "t"), "UJ", r#"JWT User "UJ""#, "jwt:UJ"),
            (Who::of("", "", Some(""), "t"), "", r#"JWT User """#, "jwt:"),
            (Who::of("", "", None, "t"), "[REDACTED]", r#"Token "[REDACTED]""#, "token"),
        ] {
            assert_eq!(
                (who.raw(), who.describe().as_str(), who.label().as_str()),
                (raw, describe, label)
            );
        }
    }
}
