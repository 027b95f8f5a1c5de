//! Rules across sections: what fails only when a server really starts (CONF-016).
//!
//! Laws: the first broken rule is reported, in the reference's order and words.
//! Reference: server.go validateOptions, validateCluster, configureAccounts; leafnode.go
//! validateLeafNode; auth.go validateAuth, validateNoAuthUser; gateway.go, mqtt.go, websocket.go,
//! jetstream.go validate*Options; jwt.go validateTrustedOperators.

use auth::jwt::operator::parse_version;
use auth::jwt::{OperatorClaims, UserClaims};

use crate::lang::unit::Nanos;
use crate::options::{
    CompressionError, GLOBAL_ACCOUNT, LimitOptions, Options, RemoteLeaf, Resolver, SYSTEM_ACCOUNT,
    is_valid_subject, nkey, quote, split_host_port, url,
};

/// The version of the reference's server that operators may assert.
pub const COMPATIBLE_VERSION: [u64; 3] = [2, 14, 5];

/// A rule that the options break; the text follows `nats-server: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

type Checked = Result<(), Invalid>;

fn fail<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}

fn set(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

impl From<CompressionError> for Invalid {
    fn from(error: CompressionError) -> Self {
        Self(error.to_string())
    }
}

/// Whether a server can start with these options.
pub fn validate(options: &Options) -> Checked {
    validate_but_system(options)?;
    check_system_account(options)
}

/// The same but for the system account, which a reload refuses to change before it looks for it.
pub fn validate_but_system(options: &Options) -> Checked {
    check_limits(options)?;
    if options.server_name.as_deref().is_some_and(|name| name.contains(' ')) {
        return fail("server name cannot contain spaces");
    }
    check_operators(options)?;
    check_leafnodes(options)?;
    check_no_auth_user(options, options.no_auth_user.as_ref())?;
    check_gateway(options)?;
    check_cluster(options)?;
    check_mqtt(options)?;
    check_jetstream(options)?;
    check_websocket(options)?;
    check_preloads(options)
}

fn check_limits(options: &Options) -> Checked {
    let LimitOptions { lame_duck_duration, lame_duck_grace_period, .. } = &options.limits;
    let duration = lame_duck_duration.unwrap_or(Nanos::from_secs(120));
    let grace = lame_duck_grace_period.filter(|grace| *grace != Nanos(0));
    let grace = grace.unwrap_or(Nanos::from_secs(10));
    if grace >= duration {
        return fail(format!(
            "lame duck grace period ({grace}) should be strictly lower than lame duck duration \
             ({duration})"
        ));
    }
    let (payload, pending) = (options.max_payload(), options.max_pending());
    if payload > pending {
        return fail(format!(
            "max_payload ({payload}) cannot be higher than max_pending ({pending})"
        ));
    }
    Ok(())
}

fn check_operators(options: &Options) -> Checked {
    let operator = &options.operator;
    if operator.operators.is_empty() {
        if set(operator.default_sentinel.as_ref()) {
            return fail("default sentinel requires operators and accounts");
        }
        return Ok(());
    }
    check_sentinel(operator.default_sentinel.as_deref().unwrap_or_default())?;
    if operator.account_resolver().is_none() {
        return fail("operators require an account resolver to be configured");
    }
    if !options.accounts.is_empty() {
        return fail("operators do not allow Accounts to be configured directly");
    }
    if !options.users.is_empty() || !options.nkeys.is_empty() {
        return fail("operators do not allow users to be configured directly");
    }
    if !operator.trusted_keys.is_empty() {
        return fail("conflicting options for 'TrustedKeys' and 'TrustedOperators'");
    }
    check_operator_system(options)?;
    for claims in &operator.claims {
        check_server_version(claims)?;
    }
    for key in operator.all_trusted_keys() {
        if !nkey::is_public_operator(&key) {
            let key = quote(&key);
            return fail(format!(
                "trusted Keys {key} are required to be a valid public operator nkey"
            ));
        }
    }
    for key in &operator.resolver_pinned_accounts {
        if !nkey::is_public_account(key) {
            let key = quote(key);
            return fail(format!("pinned account key {key} is not a valid public account nkey"));
        }
    }
    if options.authorization.as_ref().is_some_and(|auth| auth.callout.is_some()) {
        return fail("operators do not allow authorization callouts to be configured directly");
    }
    Ok(())
}

/// A token that stands in for a missing one needs no signature.
fn check_sentinel(token: &str) -> Checked {
    if token.is_empty() {
        return Ok(());
    }
    let Ok(claims) = UserClaims::decode(token) else {
        return fail("default sentinel JWT not valid");
    };
    let scoped = !claims.nats.issuer_account.is_empty() && claims.has_empty_permissions();
    if claims.nats.limits.bearer_token || scoped {
        Ok(())
    } else {
        fail("default sentinel must be a bearer token")
    }
}

fn check_operator_system(options: &Options) -> Checked {
    let operator = &options.operator;
    let of = |claims: &OperatorClaims| claims.nats.system_account.clone();
    if let Some(system) = options.system_account().filter(|name| *name != SYSTEM_ACCOUNT) {
        let named: Vec<_> =
            operator.claims.iter().map(of).filter(|name| !name.is_empty()).collect();
        if !named.is_empty() && !named.iter().any(|name| name == system) {
            return fail("system_account in config and operator JWT must be identical");
        }
    } else if operator.claims.first().is_some_and(|claims| of(claims).is_empty())
        && matches!(
            operator.account_resolver(),
            Some(Resolver::Full { .. } | Resolver::Cache { .. })
        )
    {
        return fail(
            "using nats based account resolver - the system account needs to be specified in \
             configuration or the operator jwt",
        );
    }
    Ok(())
}

/// An operator may want a server of some version at least.
fn check_server_version(claims: &OperatorClaims) -> Checked {
    let (subject, wanted) = (&claims.subject, &claims.nats.assert_server_version);
    let asserted = match parse_version(wanted) {
        Ok((major, minor, update)) => [major, minor, update],
        Err(error) => {
            return fail(format!(
                "operator {subject} expects version {wanted} got error instead: {error}"
            ));
        }
    };
    for ((what, expected), ours) in
        ["major", "minor", "update"].iter().zip(asserted).zip(COMPATIBLE_VERSION)
    {
        if expected > ours {
            return fail(format!(
                "operator {subject} expected {what} version {expected} > server {what} version \
                 {ours}"
            ));
        } else if expected < ours {
            break;
        }
    }
    Ok(())
}

/// Preloaded account tokens need a resolver that takes them.
fn check_preloads(options: &Options) -> Checked {
    let operator = &options.operator;
    match operator.account_resolver() {
        _ if operator.resolver_preload.is_empty() => Ok(()),
        None => Ok(()),
        Some(Resolver::Url(_)) => {
            fail("resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR")
        }
        Some(_) => Ok(()),
    }
}

fn check_no_auth_user(options: &Options, user: Option<&String>) -> Checked {
    let Some(name) = user.filter(|name| !name.is_empty()) else { return Ok(()) };
    if !options.operator.operators.is_empty() {
        return fail("no_auth_user not compatible with Trusted Operator");
    }
    if options.users.is_empty() && options.nkeys.is_empty() {
        return fail(format!("no_auth_user: \"{name}\" present, but users/nkeys are not defined"));
    }
    let known = options.users.iter().any(|user| user.username == *name)
        || options.nkeys.iter().any(|user| user.nkey == *name);
    if !known {
        return fail(format!(
            "no_auth_user: \"{name}\" not present as user or nkey in authorization block or \
             account configuration"
        ));
    }
    Ok(())
}

/// A system account that is named must exist; `$SYS` is made when needed.
pub fn check_system_account(options: &Options) -> Checked {
    let Some(name) = options.system.account.as_deref() else { return Ok(()) };
    let exists = [GLOBAL_ACCOUNT, ""].contains(&name) || options.account(name).is_some();
    if options.operator.is_trusting() || exists {
        return Ok(());
    }
    fail("error resolving system account: account missing")
}

// === leafnodes ===

fn check_leafnodes(options: &Options) -> Checked {
    let leafnode = &options.leafnode;
    if let Some(auth) = &leafnode.authorization {
        auth.check().map_err(Invalid)?;
    }
    if options.operator.operators.is_empty() {
        check_leaf_accounts(options)?;
    } else {
        check_leaf_operator(options)?;
    }
    options.leafnode_compression()?;
    for remote in &leafnode.remotes {
        check_remote(remote)?;
    }
    let gateway = set(options.gateway.name.as_ref()) || options.gateway.listen.is_set();
    if leafnode.listen.is_set() && gateway && !set(options.system.account.as_ref()) {
        return fail(
            "leaf nodes and gateways (both being defined) require a system account to also be \
             configured",
        );
    }
    Ok(())
}

fn check_remote(remote: &RemoteLeaf) -> Checked {
    remote.check_proxy().map_err(Invalid)?;
    let websockets = remote.urls.iter().filter(|url| url.is_websocket()).count();
    if websockets > 0 && websockets < remote.urls.len() {
        let urls: Vec<String> = remote.urls.iter().map(|url| quote(&url.redacted())).collect();
        return fail(format!(
            "remote leaf node configuration cannot have a mix of websocket and non-websocket \
             urls: [{}]",
            urls.join(" ")
        ));
    }
    remote.effective_compression()?;
    Ok(())
}

fn check_leaf_accounts(options: &Options) -> Checked {
    let leafnode = &options.leafnode;
    let default_system = !set(options.system.account.as_ref()) && !options.system.disabled;
    let exists = |name: &str| {
        name.is_empty()
            || name == GLOBAL_ACCOUNT
            || (name == SYSTEM_ACCOUNT && default_system)
            || options.account(name).is_some()
    };
    let auth = leafnode.authorization.as_ref();
    let users = auth.into_iter().flat_map(|auth| &auth.users).map(|user| &user.account);
    let named = auth.map(|auth| &auth.account).into_iter().chain(users);
    let accepted = named.map(|account| (account, "authorization"));
    let remotes = leafnode.remotes.iter().map(|remote| (&remote.local_account, "remote"));
    for (account, what) in accepted.chain(remotes) {
        let name = account.as_deref().unwrap_or_default();
        if !exists(name) {
            let name = quote(name);
            return fail(format!("cannot find local account {name} specified in leafnode {what}"));
        }
    }
    Ok(())
}

fn check_leaf_operator(options: &Options) -> Checked {
    let leafnode = &options.leafnode;
    let auth = leafnode.authorization.as_ref();
    if auth.is_some_and(|auth| !auth.users.is_empty()) {
        return fail("operator mode does not allow specifying users in leafnode config");
    }
    let keyed = |account: &Option<String>| account.as_deref().is_some_and(nkey::is_public_account);
    if !leafnode.remotes.iter().all(|remote| keyed(&remote.local_account)) {
        return fail(
            "operator mode requires account nkeys in remotes. Please add an `account` key to each \
             remote in your `leafnodes` section, to assign it to an account. Each account value \
             should be a 56 character public key, starting with the letter 'A'",
        );
    }
    let account = auth.map(|auth| &auth.account);
    let named = account.is_some_and(|account| set(account.as_ref()) && !keyed(account));
    if leafnode.listen.is_set() && named {
        return fail("operator mode and non account nkeys are incompatible");
    }
    Ok(())
}

// === gateway and cluster ===

fn check_gateway(options: &Options) -> Checked {
    let gateway = &options.gateway;
    let name = gateway.name.as_deref().filter(|name| !name.is_empty());
    let Some(name) = name else {
        return if gateway.listen.is_set() { fail("gateway has no name") } else { Ok(()) };
    };
    if !gateway.listen.is_set() {
        let name = quote(name);
        return fail(format!("gateway {name} has no port specified (select -1 for random port)"));
    }
    for (i, remote) in gateway.gateways.iter().enumerate() {
        if remote.name.is_empty() {
            return fail(format!("gateway in the list {i} has no name"));
        }
        if remote.urls.is_empty() {
            return fail(format!("gateway {} has no URL", quote(&remote.name)));
        }
    }
    Ok(())
}

fn check_cluster(options: &Options) -> Checked {
    let cluster = &options.cluster;
    let name = cluster.name.as_deref().unwrap_or_default();
    if name.contains(' ') {
        return fail("cluster name cannot contain spaces");
    }
    options.cluster_compression()?;
    let gateway = options.gateway.name.as_deref().unwrap_or_default();
    if !gateway.is_empty() && !name.is_empty() && gateway != name {
        return fail("cluster name conflicts between cluster and gateway definitions");
    }
    let pinned = if cluster.listen.is_set() {
        options.cluster_pinned_accounts()
    } else {
        cluster.pinned_accounts.clone()
    };
    if !pinned.is_empty() && cluster.pool_size.is_some_and(|size| size < 0) {
        return fail("pool_size cannot be negative if pinned accounts are specified");
    }
    for (i, account) in pinned.iter().enumerate() {
        if pinned.iter().take(i).any(|other| other == account) {
            let all: Vec<String> = pinned.iter().map(|name| quote(name)).collect();
            return fail(format!(
                "found duplicate account name {} in pinned accounts list [{}]",
                quote(account),
                all.join(" ")
            ));
        }
    }
    Ok(())
}

// === mqtt, jetstream, websocket ===

fn check_mqtt(options: &Options) -> Checked {
    let mqtt = &options.mqtt;
    if !mqtt.listen.is_set() {
        return Ok(());
    }
    let clustered = options.cluster.listen.is_set() || options.gateway.listen.is_set();
    if !set(options.server_name.as_ref()) && clustered {
        return fail("mqtt requires server name to be explicitly set");
    }
    check_no_auth_user(options, mqtt.no_auth_user.as_ref())?;
    check_simple_auth(options, mqtt.authorization.as_ref(), "mqtt")?;
    if mqtt.ack_wait.is_some_and(|wait| wait < Nanos(0)) {
        return fail("ack wait must be a positive value");
    }
    if mqtt.js_api_timeout.is_some_and(|timeout| timeout < Nanos(0)) {
        return fail("JS API timeout must be a positive value");
    }
    let leafs = options.leafnode.listen.is_set() || !options.leafnode.remotes.is_empty();
    if !options.jetstream.enabled && !clustered && !leafs {
        return fail("mqtt requires JetStream to be enabled if running in standalone mode");
    }
    Ok(())
}

/// One user or token of a section makes no sense beside users of the server.
fn check_simple_auth(
    options: &Options,
    auth: Option<&crate::options::SimpleAuth>,
    section: &str,
) -> Checked {
    let Some(auth) = auth.filter(|_| !options.users.is_empty() || !options.nkeys.is_empty()) else {
        return Ok(());
    };
    for (text, what) in [(&auth.username, "username"), (&auth.token, "token")] {
        if set(text.as_ref()) {
            return fail(format!(
                "{section} authentication {what} not compatible with presence of users/nkeys"
            ));
        }
    }
    Ok(())
}

fn check_jetstream(options: &Options) -> Checked {
    check_default_domains(options)?;
    let jetstream = &options.jetstream;
    if let Some(domain) = jetstream.domain.as_deref().filter(|domain| !domain.is_empty()) {
        let subject = format!("$JS.{domain}.API.>");
        if !is_valid_subject(&subject) {
            let subject = quote(&subject);
            return fail(format!("invalid domain name: derived {subject} is not a valid subject"));
        }
        if domain.contains(['.', '*', '>', ' ', '\t', '\r', '\n', '\x0c']) {
            return fail("invalid domain name: may not contain ., * or >");
        }
    }
    if !jetstream.enabled || !options.cluster.listen.is_set() {
        return Ok(());
    }
    if !set(options.server_name.as_ref()) {
        return fail("jetstream cluster requires `server_name` to be set");
    }
    if !set(options.cluster.name.as_ref()) && !set(options.gateway.name.as_ref()) {
        return fail("jetstream cluster requires `cluster.name` to be set");
    }
    let hint = jetstream.extension_hint.as_deref().unwrap_or_default().to_lowercase();
    if !["", "will_extend", "no_extend"].contains(&hint.as_str()) {
        return fail(format!("expected 'no_extend' for string value, got '{hint}'"));
    }
    if jetstream.max_outstanding_catchup.is_some_and(|n| n < 0) {
        return fail("jetstream max catchup cannot be negative");
    }
    Ok(())
}

fn check_default_domains(options: &Options) -> Checked {
    let operator_mode = !options.operator.operators.is_empty();
    for (name, domain) in &options.jetstream.default_domains {
        let quoted = quote(name);
        if operator_mode {
            if !nkey::is_public_account(name) {
                return fail(format!(
                    "default_js_domain contains account name {quoted}, which is not a valid \
                     public account nkey"
                ));
            }
        } else if name != GLOBAL_ACCOUNT {
            let Some(account) = options.account(name) else {
                return fail(format!(
                    "in non operator mode, `default_js_domain` references non existing account \
                     {quoted}"
                ));
            };
            if account.jetstream.is_some() && !domain.is_empty() {
                return fail(format!(
                    "default_js_domain contains account name {quoted} with enabled JetStream"
                ));
            }
        }
        if name == options.system.account.as_deref().unwrap_or(SYSTEM_ACCOUNT) {
            return fail(format!("system account {quoted} can not be in default_js_domain"));
        }
        if !domain.is_empty() && !is_valid_subject(&format!("$JS.{domain}.API.>")) {
            let domain = quote(domain);
            return fail(format!(
                "default_js_domain contains account {quoted} with invalid domain name {domain}"
            ));
        }
    }
    Ok(())
}

fn check_websocket(options: &Options) -> Checked {
    let websocket = &options.websocket;
    if !websocket.listen.is_set() {
        return Ok(());
    }
    if websocket.tls.is_none() && !websocket.no_tls {
        return fail("websocket requires TLS configuration");
    }
    for origin in &websocket.allowed_origins {
        check_origin(origin)?;
    }
    check_no_auth_user(options, websocket.no_auth_user.as_ref())?;
    check_simple_auth(options, websocket.authorization.as_ref(), "websocket")?;
    if let Some(cookie) = websocket.jwt_cookie.as_ref().filter(|cookie| !cookie.is_empty())
        && options.operator.operators.is_empty()
        && options.operator.trusted_keys.is_empty()
    {
        let cookie = quote(cookie);
        return fail(format!(
            "trusted operators or trusted keys configuration is required for JWT authentication \
             via cookie {cookie}"
        ));
    }
    for key in websocket.headers.keys() {
        let lower = key.to_lowercase();
        let key = quote(key);
        if ["host", "content-length", "connection", "upgrade", "nats-no-masking"]
            .contains(&lower.as_str())
        {
            return fail(format!("websocket: invalid header {key} not allowed"));
        }
        if lower.starts_with("sec-websocket-") {
            return fail(format!(
                "websocket: invalid header {key}, \"Sec-WebSocket-\" prefix not allowed"
            ));
        }
    }
    Ok(())
}

fn check_origin(origin: &str) -> Checked {
    let quoted = quote(origin);
    if origin.is_empty() {
        return fail("unable to parse allowed origin: parse \"\": empty url");
    }
    let url = match url::parse(origin) {
        Ok(url) if !url.scheme.is_empty() || origin.starts_with('/') => url,
        Ok(_) => {
            let text =
                format!("unable to parse allowed origin: parse {quoted}: invalid URI for request");
            return fail(text);
        }
        Err(e) => return fail(format!("unable to parse allowed origin: {e}")),
    };
    if url.scheme != "http" && url.scheme != "https" {
        return fail(format!(
            "unable to parse allowed origin {quoted}: allowed origins must be absolute URLs with \
             http or https scheme"
        ));
    }
    if url.host.is_empty() {
        return fail(format!("unable to parse allowed origin {quoted}: host is required"));
    }
    if url.host.contains(':') && split_host_port(&url.host).is_none() && !url.host.ends_with(']') {
        let host = &url.host;
        let text =
            format!("unable to parse allowed origin: address {host}: too many colons in address");
        return fail(text);
    }
    Ok(())
}
