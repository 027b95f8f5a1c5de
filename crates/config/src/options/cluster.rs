//! `cluster` (CONF-101).
//!
//! Reference: opts.go parseCluster, checkClusterPermissionSubjects.

use super::authorization::{Authorization, Block};
use super::compression::Compression;
use super::limits::{WriteTimeout, put_write_timeout};
use super::listen::Listen;
use super::permissions::{Permissions, SubjectPermission, check_subjects};
use super::reader::Reader;
use super::tls::TlsOptions;
use super::url::{self, Url};
use crate::diagnostic::Diagnostic;
use crate::lang::Token;
use crate::lang::unit::Nanos;

/// Which interest crosses a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePermissions {
    /// Subjects we ask others for.
    pub import: Option<SubjectPermission>,
    /// Subjects others may ask us for.
    pub export: Option<SubjectPermission>,
}

/// What the configuration says about the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterOptions {
    /// `name`.
    pub name: Option<String>,
    /// Listener for routes.
    pub listen: Listen,
    /// `--cluster` as given, which replaces `listen`.
    pub listen_url: Option<String>,
    /// `authorization` of routes: user, password, timeout.
    pub authorization: Option<Authorization>,
    /// `routes` to connect to.
    pub routes: Vec<Url>,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// `advertise`.
    pub advertise: Option<String>,
    /// `no_advertise`.
    pub no_advertise: Option<bool>,
    /// `connect_retries` for routes learnt from others.
    pub connect_retries: Option<i64>,
    /// `connect_backoff`.
    pub connect_backoff: bool,
    /// `permissions`.
    pub permissions: Option<RoutePermissions>,
    /// `pool_size`; negative disables pooling.
    pub pool_size: Option<i64>,
    /// `accounts` with a route of their own.
    pub pinned_accounts: Vec<String>,
    /// `compression`.
    pub compression: Compression,
    /// `ping_interval`, at most 30 s in effect.
    pub ping_interval: Option<Nanos>,
    /// `ping_max`.
    pub ping_max: Option<i64>,
    /// `write_deadline`.
    pub write_deadline: Option<Nanos>,
    /// `write_timeout`.
    pub write_timeout: Option<WriteTimeout>,
}

/// Pings between servers are at least this frequent.
pub(crate) const ROUTE_PING_INTERVAL_MAX: Nanos = Nanos::from_secs(30);

impl ClusterOptions {
    pub(crate) const KEYS: &[&str] = &[
        "name",
        "listen",
        "port",
        "host",
        "net",
        "authorization",
        "routes",
        "tls",
        "cluster_advertise",
        "advertise",
        "no_advertise",
        "connect_retries",
        "connect_backoff",
        "permissions",
        "pool_size",
        "accounts",
        "compression",
        "ping_interval",
        "ping_max",
        "write_deadline",
        "write_timeout",
    ];

    pub(super) fn read(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(map) = r.section(token, "Expected map to define cluster") else { return };
        for (key, token) in map.written() {
            let lower = key.to_lowercase();
            if !self.listen.read(&lower, token, r) && !self.read_times(&lower, token, r) {
                self.read_key(key, &lower, token, r);
            }
        }
    }

    fn read_times(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) -> bool {
        match key {
            "ping_interval" => {
                r.put_duration(key, token, &mut self.ping_interval);
                if self.ping_interval.is_some_and(|interval| interval > ROUTE_PING_INTERVAL_MAX) {
                    let text = format!(
                        "Cluster 'ping_interval' will reset to {ROUTE_PING_INTERVAL_MAX} which is \
                         the max for routes"
                    );
                    r.warn(token, text);
                }
            }
            "ping_max" => r.put(token, &mut self.ping_max),
            "write_deadline" => r.put_duration(key, token, &mut self.write_deadline),
            "write_timeout" => put_write_timeout(token, r, &mut self.write_timeout),
            "connect_retries" => r.put(token, &mut self.connect_retries),
            "connect_backoff" => r.put(token, &mut self.connect_backoff),
            _ => return false,
        }
        true
    }

    fn read_key(&mut self, key: &str, lower: &str, token: &Token, r: &mut Reader<'_>) {
        match lower {
            "name" => {
                if let Some(name) = name(token, r, "cluster name cannot contain spaces") {
                    self.name = Some(name);
                }
            }
            "authorization" => self.read_authorization(key, token, r),
            "routes" => {
                if let Some(routes) = url::list(r, token, "route") {
                    self.routes = routes;
                }
            }
            "tls" => self.tls = TlsOptions::read(token, false, r),
            "cluster_advertise" | "advertise" => r.put(token, &mut self.advertise),
            "no_advertise" => r.put(token, &mut self.no_advertise),
            "permissions" => self.read_permissions(token, r),
            "pool_size" => r.put(token, &mut self.pool_size),
            "accounts" => {
                self.pinned_accounts = r.strings("accounts", token).unwrap_or_default();
            }
            "compression" => self.compression.read(key, "s2_fast", token, r),
            _ => r.unknown(key, token, Self::KEYS),
        }
    }

    fn read_authorization(&mut self, key: &str, token: &Token, r: &mut Reader<'_>) {
        let Some(mut auth) = single_user(token, r, "Cluster") else { return };
        if let Some(permissions) = auth.default_permissions.take() {
            if let Err(text) = check_route_permissions(&permissions) {
                return r.error(token, text);
            }
            let reason = "setting \"permissions\" within cluster authorization block is deprecated";
            r.warn_use(token, key, reason);
            self.permissions.get_or_insert_with(|| route_permissions(permissions));
        }
        self.authorization = Some(auth);
    }

    fn read_permissions(&mut self, token: &Token, r: &mut Reader<'_>) {
        let Some(permissions) = Permissions::read(token, r) else { return };
        if permissions.responses.is_some() {
            return r.error(token, "Cluster permissions do not support dynamic responses");
        }
        match check_route_permissions(&permissions) {
            Ok(()) => self.permissions = Some(route_permissions(permissions)),
            Err(text) => r.push(Diagnostic::at(&token.position, text)),
        }
    }
}

fn route_permissions(permissions: Permissions) -> RoutePermissions {
    RoutePermissions { import: permissions.publish, export: permissions.subscribe }
}

fn check_route_permissions(permissions: &Permissions) -> Result<(), String> {
    let sides = [("import", &permissions.publish), ("export", &permissions.subscribe)];
    for (side, permission) in sides {
        let Some(permission) = permission else { continue };
        for (list, subjects) in [("allow", &permission.allow), ("deny", &permission.deny)] {
            check_subjects(subjects.as_deref().unwrap_or_default(), false)
                .map_err(|e| format!("cluster {side} {list}: {e}"))?;
        }
    }
    Ok(())
}

/// Authorization between servers: one user and password, nothing else.
pub(super) fn single_user(token: &Token, r: &mut Reader<'_>, whose: &str) -> Option<Authorization> {
    let block = Block::read(token, r)?;
    let refused = if block.has_users {
        "does not allow multiple users"
    } else if block.auth.token.as_deref().is_some_and(|token| !token.is_empty()) {
        "does not support tokens"
    } else if block.auth.callout.is_some() {
        "does not support callouts"
    } else {
        return Some(block.auth);
    };
    r.error(token, format!("{whose} authorization {refused}"));
    None
}

/// A name without spaces.
pub(super) fn name(token: &Token, r: &mut Reader<'_>, refusal: &str) -> Option<String> {
    let name = r.string(token)?;
    if name.contains(' ') {
        r.error(token, refusal);
        return None;
    }
    Some(name)
}
