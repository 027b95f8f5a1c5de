//! From `config::Options` to each room's own small configuration.
//!
//! Law: defaults that the configuration leaves out are the reference's (wire/core.md, defaults).

use crate::claims::{Lookup, Registry};
use crate::{Host, VERSION};
use auth::authenticate::jwt::Operators;
use auth::authenticate::proxy::ProxyConfig;
use auth::{AuthConfig, ConnectionTypes};
use broker::settings::Settings;
use config::Options;
use std::sync::Arc;
use wire::info::Info;

/// JetStream API level of this line; told to clients even without JetStream.
const API_LEVEL: u64 = 4;

/// A count or size of the configuration; negative ones mean no limit, which the broker spells 0.
fn bounded(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

/// Limits and switches of client connections.
pub fn settings(options: &Options) -> Settings {
    Settings {
        max_control_line: bounded(options.max_control_line()),
        max_payload: options.max_payload(),
        max_pending: bounded(options.max_pending()),
        max_connections: match options.limits.max_connections {
            // Compat(CORE-034): zero and below mean that nobody may connect.
            Some(n) if n <= 0 => Some(0),
            _ => u64::try_from(options.max_connections()).ok(),
        },
        max_subscriptions: bounded(options.max_subscriptions()),
        max_sub_tokens: options.limits.max_sub_tokens.map_or(0, usize::from),
        ping_interval: options.ping_interval(),
        ping_max: u32::try_from(options.ping_max()).unwrap_or(2),
        write_deadline: options.write_deadline(),
        write_retry: options.limits.write_timeout == Some(config::options::WriteTimeout::Retry),
        auth_timeout: options.auth_timeout(),
        no_fast_producer_stall: options.client.no_fast_producer_stall,
        headers: !options.client.no_header_support,
        no_match_cache: options.client.no_sublist_cache,
        max_closed_clients: bounded(options.max_closed_clients()),
        max_traced_msg_len: bounded(options.logging.max_traced_msg_len.unwrap_or(0)),
        trace_headers: options.logging.trace_headers.unwrap_or(false),
        trace_verbose: options.logging.trace_verbose.unwrap_or(false),
    }
}

/// What INFO says of the server.
pub fn info(options: &Options, facts: &Host, auth_required: bool) -> Result<Info, Unadvertised> {
    let tls = options.tls.as_ref();
    let (host, port) = advertised(options)?;
    Ok(Info {
        server_id: facts.server_id.clone(),
        server_name: options.server_name.clone().unwrap_or_else(|| facts.server_id.clone()),
        version: VERSION.into(),
        proto: 1,
        go: concat!("ironats-", env!("CARGO_PKG_VERSION")).into(),
        host,
        port,
        headers: !options.client.no_header_support,
        auth_required,
        tls_required: tls.is_some() && !options.client.allow_non_tls,
        tls_available: tls.is_some() && options.client.allow_non_tls,
        tls_verify: tls.is_some_and(|tls| tls.verify || tls.map),
        max_payload: settings(options).max_payload,
        api_level: API_LEVEL,
        jetstream: options.jetstream.enabled,
        domain: options.jetstream.domain.clone().unwrap_or_default(),
        xkey: facts.xkey.clone(),
        ..Info::default()
    })
}

/// `client_advertise` is not an address. Remedy: `host`, `host:port`, or `[v6]:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Error setting server INFO with ClientAdvertise value of {value}, err={cause}")]
pub struct Unadvertised {
    value: String,
    cause: String,
}

/// Host and port that clients are told: those of `client_advertise`, where it names them.
pub fn advertised(options: &Options) -> Result<(String, i64), Unadvertised> {
    let own = i64::from(port_number(options.client_port()));
    let Some(advertise) = options.client.advertise.as_deref().filter(|a| !a.is_empty()) else {
        return Ok((options.client_host().to_owned(), own));
    };
    let refused = |cause| Unadvertised { value: advertise.to_owned(), cause };
    let (host, port) = config::options::host_and_number(advertise).map_err(refused)?;
    // Compat(CONF-021): these two stand for the listener's own.
    let port = if matches!(port, 0 | -1) { own } else { port };
    Ok((host.trim().to_owned(), port))
}

fn port_number(port: i64) -> u16 {
    u16::try_from(port).unwrap_or(0)
}

/// Who may log in.
///
/// With nothing but the system account configured, everybody else is a user of the global account
/// whose name nobody knows (ACC-002); `stand_in` is that name.
pub fn auth(options: &Options, stand_in: &str) -> AuthConfig {
    let block = options.authorization.as_ref();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    let mut config = AuthConfig {
        users: options.users.iter().map(user).collect(),
        nkeys: options.nkeys.iter().map(nkey_user).collect(),
        username: text(block.and_then(|b| b.username.as_ref())),
        password: auth::password::Secret::new(text(block.and_then(|b| b.password.as_ref()))),
        token: auth::password::Secret::new(text(block.and_then(|b| b.token.as_ref()))),
        no_auth_user: text(options.no_auth_user.as_ref()),
        hides_no_auth_user: false,
        tls_map: options.tls.as_ref().is_some_and(|tls| tls.map),
        proxies: proxies(options),
    };
    if only_system_account(options) {
        config.users.push(auth::User { name: stand_in.to_owned(), ..auth::User::default() });
        config.no_auth_user = stand_in.to_owned();
        config.hides_no_auth_user = true;
    }
    config
}

fn proxies(options: &Options) -> ProxyConfig {
    let users = options.users.iter().filter(|user| user.proxy_required);
    let nkeys = options.nkeys.iter().filter(|user| user.proxy_required);
    ProxyConfig {
        trusted: options.trusted_proxies.clone().unwrap_or_default(),
        required: options.authorization.as_ref().is_some_and(|block| block.proxy_required),
        users: users
            .map(|user| user.username.clone())
            .chain(nkeys.map(|user| user.nkey.clone()))
            .collect(),
    }
}

/// How users with tokens log in.
pub fn operators(options: &Options, claims: &Arc<Registry>) -> Operators {
    let sentinel = options.operator.default_sentinel.clone();
    Operators {
        directory: Arc::new(Lookup(claims.clone())),
        pinned: options.operator.pinned_accounts(options.system_account()),
        pinned_fails: claims.pinned_fails().clone(),
        default_sentinel: sentinel.unwrap_or_default(),
    }
}

fn only_system_account(options: &Options) -> bool {
    let system = options.system_account();
    let named =
        |account: &config::options::Account| account.name != config::options::GLOBAL_ACCOUNT;
    let mut accounts = options.accounts.iter().filter(|account| named(account)).peekable();
    accounts.peek().is_some()
        && accounts.all(|account| Some(account.name.as_str()) == system)
        && !(options.users.is_empty() && options.nkeys.is_empty())
        && options.authorization.is_none()
        && options.no_auth_user.as_deref().unwrap_or_default().is_empty()
}

fn user(user: &config::options::User) -> auth::User {
    auth::User {
        name: user.username.clone(),
        password: auth::password::Secret::new(user.password.clone()),
        account: user.account.clone().unwrap_or_default(),
        permissions: user.permissions.as_ref().map(permissions),
        connection_types: connection_types(user.allowed_connection_types.as_ref()),
    }
}

fn nkey_user(user: &config::options::NkeyUser) -> auth::NkeyUser {
    auth::NkeyUser {
        nkey: user.nkey.clone(),
        account: user.account.clone().unwrap_or_default(),
        permissions: user.permissions.as_ref().map(permissions),
        connection_types: connection_types(user.allowed_connection_types.as_ref()),
    }
}

/// The configuration has refused unknown names already.
fn connection_types(names: Option<&std::collections::BTreeSet<String>>) -> ConnectionTypes {
    names.map(|names| ConnectionTypes::from_names(names).0).unwrap_or_default()
}

fn permissions(from: &config::options::Permissions) -> auth::PermissionsConfig {
    let subjects = |from: Option<&config::options::SubjectPermission>| match from {
        None => auth::SubjectPermission::default(),
        Some(from) => auth::SubjectPermission {
            allow: from.allow.clone().unwrap_or_default(),
            deny: from.deny.clone().unwrap_or_default(),
        },
    };
    auth::PermissionsConfig {
        publish: subjects(from.publish.as_ref()),
        subscribe: subjects(from.subscribe.as_ref()),
        responses: from
            .responses
            .as_ref()
            .map(|r| auth::ResponsePermission::new(r.max_msgs, r.expires.0)),
    }
}
