//! From `config::Options` to each room's own small configuration.
//!
//! Law: defaults that the configuration leaves out are the reference's (wire/core.md, defaults).

use crate::{Host, VERSION};
use auth::{AuthConfig, ConnectionTypes};
use broker::settings::Settings;
use config::Options;
use config::options::WriteTimeout;
use std::time::Duration;
use wire::info::Info;

/// Default port of clients.
pub const CLIENT_PORT: u16 = 4222;
/// JetStream API level of this line; told to clients even without JetStream.
const API_LEVEL: u64 = 4;

fn nanos(value: Option<i64>, default: Duration) -> Duration {
    match value.and_then(|ns| u64::try_from(ns).ok()).filter(|ns| *ns > 0) {
        Some(ns) => Duration::from_nanos(ns),
        None => default,
    }
}

fn size(value: Option<i64>, default: usize) -> usize {
    match value {
        None | Some(0) => default,
        // Negative: no limit, which the broker spells 0.
        Some(n) => usize::try_from(n).unwrap_or(0),
    }
}

/// Limits and switches of client connections.
pub fn settings(options: &Options) -> Settings {
    let defaults = Settings::default();
    let limits = &options.limits;
    Settings {
        max_control_line: size(limits.max_control_line, defaults.max_control_line),
        max_payload: limits.max_payload.filter(|n| *n != 0).unwrap_or(defaults.max_payload),
        max_pending: size(limits.max_pending, defaults.max_pending),
        max_connections: match limits.max_connections {
            None => defaults.max_connections,
            // Compat(CORE-034): zero means that nobody may connect.
            Some(n) if n <= 0 => Some(0),
            Some(n) => u64::try_from(n).ok(),
        },
        max_subscriptions: size(limits.max_subscriptions, 0),
        max_sub_tokens: limits.max_sub_tokens.map_or(0, usize::from),
        ping_interval: nanos(limits.ping_interval, defaults.ping_interval),
        ping_max: limits
            .ping_max
            .filter(|n| *n > 0)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(defaults.ping_max),
        write_deadline: nanos(limits.write_deadline, defaults.write_deadline),
        write_timeout_retry: limits.write_timeout == Some(WriteTimeout::Retry),
        auth_timeout: auth_timeout(options),
        no_fast_producer_stall: options.client.no_fast_producer_stall,
        headers: !options.client.no_header_support,
        max_closed_clients: limits
            .max_closed_clients
            .filter(|n| *n != 0)
            .map_or(defaults.max_closed_clients, |n| usize::try_from(n).unwrap_or(0)),
        max_traced_msg_len: options
            .logging
            .max_traced_msg_len
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(0),
        trace_headers: options.logging.trace_headers.unwrap_or(false),
        trace_verbose: options.logging.trace_verbose.unwrap_or(false),
    }
}

/// Seconds a client has to authenticate: 2, or one more than a TLS handshake (CORE-023).
pub fn auth_timeout(options: &Options) -> Duration {
    let configured = options.authorization.as_ref().and_then(|a| a.timeout).filter(|s| *s > 0.0);
    let seconds = configured.unwrap_or_else(|| match &options.tls {
        Some(tls) => tls_timeout(tls) + 1.0,
        None => 2.0,
    });
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(2))
}

/// Seconds a TLS handshake may take.
pub fn tls_timeout(tls: &config::options::TlsOptions) -> f64 {
    tls.timeout.filter(|s| *s > 0.0).unwrap_or(2.0)
}

/// What INFO says of the server.
pub fn info(options: &Options, host: &Host, auth_required: bool) -> Info {
    let listen = &options.client.listen;
    let tls = options.tls.as_ref();
    Info {
        server_id: host.server_id.clone(),
        server_name: options.server_name.clone().unwrap_or_else(|| host.server_id.clone()),
        version: VERSION.into(),
        proto: 1,
        go: concat!("ironats-", env!("CARGO_PKG_VERSION")).into(),
        host: listen.host_or_any().into(),
        port: port(listen.port),
        headers: !options.client.no_header_support,
        auth_required,
        tls_required: tls.is_some() && !options.client.allow_non_tls,
        tls_available: tls.is_some() && options.client.allow_non_tls,
        tls_verify: tls.is_some_and(|tls| tls.verify || tls.map),
        max_payload: settings(options).max_payload,
        api_level: API_LEVEL,
        xkey: host.xkey.clone(),
        ..Info::default()
    }
}

/// A configured port; the default where none is set, 0 where a random one is asked for.
pub fn port(configured: Option<i64>) -> u16 {
    match configured {
        None | Some(0) => CLIENT_PORT,
        Some(n) => u16::try_from(n).unwrap_or(0),
    }
}

/// Who may log in.
pub fn auth(options: &Options) -> AuthConfig {
    let block = options.authorization.as_ref();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    AuthConfig {
        users: options.users.iter().map(user).collect(),
        nkeys: options.nkeys.iter().map(nkey_user).collect(),
        username: text(block.and_then(|b| b.username.as_ref())),
        password: auth::password::Secret::new(text(block.and_then(|b| b.password.as_ref()))),
        token: auth::password::Secret::new(text(block.and_then(|b| b.token.as_ref()))),
        no_auth_user: text(options.no_auth_user.as_ref()),
        hides_no_auth_user: false,
        tls_map: options.tls.as_ref().is_some_and(|tls| tls.map),
    }
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
    names.and_then(|names| ConnectionTypes::from_names(names).ok()).unwrap_or_default()
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
            .map(|r| auth::ResponsePermission::new(r.max_msgs, r.expires)),
    }
}
