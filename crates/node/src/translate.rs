//! From `config::Options` to each room's own small configuration.
//!
//! Law: defaults that the configuration leaves out are the reference's (wire/core.md, defaults).

use crate::{Host, VERSION};
use auth::{AuthConfig, ConnectionTypes};
use broker::settings::Settings;
use config::Options;
use config::options::WriteTimeout;
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
        write_timeout_retry: options.limits.write_timeout == Some(WriteTimeout::Retry),
        auth_timeout: options.auth_timeout(),
        no_fast_producer_stall: options.client.no_fast_producer_stall,
        headers: !options.client.no_header_support,
        max_closed_clients: bounded(options.max_closed_clients()),
        max_traced_msg_len: bounded(options.logging.max_traced_msg_len.unwrap_or(0)),
        trace_headers: options.logging.trace_headers.unwrap_or(false),
        trace_verbose: options.logging.trace_verbose.unwrap_or(false),
    }
}

/// What INFO says of the server.
pub fn info(options: &Options, host: &Host, auth_required: bool) -> Info {
    let tls = options.tls.as_ref();
    Info {
        server_id: host.server_id.clone(),
        server_name: options.server_name.clone().unwrap_or_else(|| host.server_id.clone()),
        version: VERSION.into(),
        proto: 1,
        go: concat!("ironats-", env!("CARGO_PKG_VERSION")).into(),
        host: options.client_host().into(),
        port: u16::try_from(options.client_port()).unwrap_or(0),
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
