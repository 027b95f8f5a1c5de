//! The configuration of identities as plain data.
//!
//! Not here: reading it from a file (`config`), using it (`authenticate`).
//! Reference: auth.go User, NkeyUser, validateAuth, validateNoAuthUser.

use crate::authenticate::proxy::ProxyConfig;
use crate::connection_type::ConnectionTypes;
use crate::password::Secret;
use crate::permission::{PermissionError, PermissionsConfig};

/// Everything that decides who may connect as a client.
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    /// Users with a name, of all accounts.
    pub users: Vec<User>,
    /// Users with an nkey, of all accounts.
    pub nkeys: Vec<NkeyUser>,
    /// Name of the only user, if there is just one and no users list; empty for none.
    pub username: String,
    /// Password of the only user.
    pub password: Secret,
    /// Token that everybody presents; empty for none.
    pub token: Secret,
    /// User or nkey that stands in for clients without credentials; empty for none.
    pub no_auth_user: String,
    /// Whether INFO asks for credentials although `no_auth_user` stands in for those without.
    pub hides_no_auth_user: bool,
    /// Whether users are told by their client certificate (`verify_and_map`).
    pub tls_map: bool,
    /// Proxies that are trusted, and who needs one.
    pub proxies: ProxyConfig,
}

/// A user with a name.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// Its name: anything, a distinguished name for certificates included.
    pub name: String,
    /// Plain password or bcrypt hash; empty for none.
    pub password: Secret,
    /// Its account; empty for the global account.
    pub account: String,
    /// What it may do; `None` for everything. See `apply_default_permissions`.
    pub permissions: Option<PermissionsConfig>,
    /// The ways it may come in.
    pub connection_types: ConnectionTypes,
}

/// A user with an nkey.
#[derive(Clone, Debug, Default)]
pub struct NkeyUser {
    /// Public user nkey.
    pub nkey: String,
    /// Its account; empty for the global account.
    pub account: String,
    /// What it may do; `None` for everything.
    pub permissions: Option<PermissionsConfig>,
    /// The ways it may come in.
    pub connection_types: ConnectionTypes,
}

/// What is wrong with an `AuthConfig`; the texts are those of the reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthConfigError {
    /// A user's permissions hold an illegal subject.
    #[error("invalid permissions for user {}: {cause}", stdx::go_text::quote(.user.as_bytes()))]
    UserPermissions {
        /// Its name.
        user: String,
        /// The subject, and where it is.
        cause: PermissionError,
    },
    /// An nkey's permissions hold an illegal subject.
    #[error("invalid permissions for nkey {}: {cause}", stdx::go_text::quote(.nkey.as_bytes()))]
    NkeyPermissions {
        /// Its public key.
        nkey: String,
        /// The subject, and where it is.
        cause: PermissionError,
    },
    /// An nkey is not a public user key.
    #[error("Not a valid public nkey for a user")]
    BadNkey(String),
    /// Two users have one name, or two nkeys are the same.
    #[error("Duplicate user {} detected", stdx::go_text::quote(.0.as_bytes()))]
    Duplicate(String),
    /// There is a `no_auth_user` but nobody it could be.
    #[error("no_auth_user: \"{0}\" present, but users/nkeys are not defined")]
    NoAuthUserAlone(String),
    /// The `no_auth_user` does not exist.
    #[error(
        "no_auth_user: \"{0}\" not present as user or nkey in authorization block or account \
         configuration"
    )]
    NoAuthUserMissing(String),
}

impl AuthConfig {
    /// Whether clients must present credentials at all (before `no_auth_user` is considered).
    pub fn requires_auth(&self) -> bool {
        !self.users.is_empty()
            || !self.nkeys.is_empty()
            || !self.username.is_empty()
            || !self.token.is_empty()
    }

    /// Checks what can be wrong beyond a single value.
    // Compat(AUTH-004, AUTH-007)
    pub fn check(&self) -> Result<(), AuthConfigError> {
        let mut seen = std::collections::HashSet::new();
        for user in &self.users {
            if !seen.insert(user.name.as_str()) {
                return Err(AuthConfigError::Duplicate(user.name.clone()));
            }
            check_permissions(user.permissions.as_ref()).map_err(|cause| {
                AuthConfigError::UserPermissions { user: user.name.clone(), cause }
            })?;
        }
        for user in &self.nkeys {
            if !seen.insert(user.nkey.as_str()) {
                return Err(AuthConfigError::Duplicate(user.nkey.clone()));
            }
            if !crate::nkey::is_user_key(&user.nkey) {
                return Err(AuthConfigError::BadNkey(user.nkey.clone()));
            }
            check_permissions(user.permissions.as_ref()).map_err(|cause| {
                AuthConfigError::NkeyPermissions { nkey: user.nkey.clone(), cause }
            })?;
        }
        self.check_no_auth_user()
    }

    fn check_no_auth_user(&self) -> Result<(), AuthConfigError> {
        let name = &self.no_auth_user;
        if name.is_empty() {
            return Ok(());
        }
        if self.users.is_empty() && self.nkeys.is_empty() {
            return Err(AuthConfigError::NoAuthUserAlone(name.clone()));
        }
        let known = self.users.iter().any(|u| u.name == *name)
            || self.nkeys.iter().any(|u| u.nkey == *name);
        if known { Ok(()) } else { Err(AuthConfigError::NoAuthUserMissing(name.clone())) }
    }

    /// Whether some password or token stands in the configuration in plain text, which is worth a
    /// warning at start. Users without a password that come by certificate do not count.
    // Compat(AUTH-003): the reference warns for the token's neighbour `password`, not for a token.
    pub fn has_plaintext_passwords(&self) -> bool {
        let single = !self.password.is_empty() && !self.password.is_bcrypt();
        let by_certificate = |u: &User| {
            u.password.is_empty()
                && self.tls_map
                && u.connection_types.allows(crate::ConnectionType::Standard)
        };
        single || self.users.iter().any(|u| !by_certificate(u) && !u.password.is_bcrypt())
    }
}

/// Gives the users of one block the block's default permissions where they have none of their own.
// Compat(AUTH-005)
pub fn apply_default_permissions(
    users: &mut [User],
    nkeys: &mut [NkeyUser],
    default: &PermissionsConfig,
) {
    let users = users.iter_mut().map(|u| &mut u.permissions);
    let nkeys = nkeys.iter_mut().map(|u| &mut u.permissions);
    for permissions in users.chain(nkeys) {
        permissions.get_or_insert_with(|| default.clone());
    }
}

fn check_permissions(permissions: Option<&PermissionsConfig>) -> Result<(), PermissionError> {
    permissions.map_or(Ok(()), PermissionsConfig::check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::SubjectPermission;

    fn user(name: &str, password: &str) -> User {
        User { name: name.into(), password: password.into(), ..User::default() }
    }

    fn allow(publish: &str, subscribe: &str) -> PermissionsConfig {
        PermissionsConfig {
            publish: SubjectPermission::allow([publish]),
            subscribe: SubjectPermission::allow([subscribe]),
            responses: None,
        }
    }

    // Contract: AUTH-004, AUTH-007
    #[test]
    fn bad_configurations_are_refused_with_the_reference_texts() {
        let nkey = nkeys::KeyPair::new_user().public_key();
        let keyed = || NkeyUser { nkey: nkey.clone(), ..NkeyUser::default() };
        let with = |permissions| User { permissions: Some(permissions), ..user("a", "x") };
        let cases = [
            (AuthConfig { users: vec![user("a", "x"), user("a", "y")], ..Default::default() }, r#"Duplicate user "a" detected"#.to_owned()),
            (AuthConfig { nkeys: vec![keyed(), keyed()], ..Default::default() }, format!("Duplicate user \"{nkey}\" detected")),
            (AuthConfig { nkeys: vec![NkeyUser { nkey: "UX".into(), ..Default::default() }], ..Default::default() }, "Not a valid public nkey for a user".into()),
            (AuthConfig { no_auth_user: "a".into(), ..Default::default() }, r#"no_auth_user: "a" present, but users/nkeys are not defined"#.into()),
            (AuthConfig { no_auth_user: "b".into(), users: vec![user("a", "x")], ..Default::default() }, r#"no_auth_user: "b" not present as user or nkey in authorization block or account configuration"#.into()),
            (AuthConfig { users: vec![with(allow("a..b", "x"))], ..Default::default() }, r#"invalid permissions for user "a": publish allow: subject "a..b" is not a valid subject"#.into()),
            (AuthConfig { users: vec![with(allow("a q", "x"))], ..Default::default() }, r#"invalid permissions for user "a": publish allow: subject "a q" is not a valid subject"#.into()),
            (AuthConfig { users: vec![with(allow("a", "x q.."))], ..Default::default() }, r#"invalid permissions for user "a": subscribe allow: queue "q.." is not a valid queue"#.into()),
        ];
        for (config, want) in cases {
            assert_eq!(config.check().unwrap_err().to_string(), want);
        }
        let good = AuthConfig {
            no_auth_user: nkey.clone(),
            users: vec![with(allow("a.>", "x q.*"))],
            nkeys: vec![keyed()],
            ..Default::default()
        };
        assert_eq!(good.check(), Ok(()));
    }

    // Contract: AUTH-003
    #[test]
    fn plain_passwords_are_noticed() {
        let hash = "$2a$04$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuuabcdefghij";
        let config =
            |users: Vec<User>, tls_map| AuthConfig { users, tls_map, ..Default::default() };
        for (config, want) in [
            (config(vec![user("a", "x")], false), true),
            (config(vec![user("a", hash)], false), false),
            (config(vec![user("a", hash), user("b", "")], false), true),
            (config(vec![user("a", "")], true), false),
            (config(vec![user("a", "x")], true), true),
            (AuthConfig { username: "a".into(), password: "x".into(), ..Default::default() }, true),
            (
                AuthConfig { username: "a".into(), password: hash.into(), ..Default::default() },
                false,
            ),
            (AuthConfig { token: "t".into(), ..Default::default() }, false),
        ] {
            assert_eq!(config.has_plaintext_passwords(), want, "{config:?}");
        }
    }
}
