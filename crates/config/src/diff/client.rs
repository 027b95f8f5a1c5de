//! Rules for clients: names, users, limits, log, files.

use super::rule::{Rule, Verdict, judged, live, refused};
use super::show::{hidden, list, map, number, refusal, switch, text, time};
use super::{Pair, Plan, Step};
use crate::options::{Authorization, Options, SYSTEM_ACCOUNT, host_and_number};

/// Name, listener, levels of the log.
pub(super) const FIRST: &[Rule] = &[
    refused("ServerName", &["server_name"], |o| text(o.server_name.as_ref())),
    refused("Host", &["listen", "host", "net"], |o| o.client_host().to_owned()),
    judged("Port", &["listen", "port"], port),
    refused("DontListen", &[], |o| switch(o.client.dont_listen)),
    judged("ClientAdvertise", &["client_advertise"], client_advertise),
    live("Trace", &["trace"], Step::LogLevels, "Reloaded: trace = {}", |o| {
        switch(o.logging.trace.unwrap_or(false))
    }),
    live("Debug", &["debug"], Step::LogLevels, "Reloaded: debug = {}", |o| {
        switch(o.logging.debug.unwrap_or(false))
    }),
    live("TraceVerbose", &["trace_verbose"], Step::Limits, "Reloaded: trace_verbose = {}", |o| {
        switch(o.logging.trace_verbose.unwrap_or(false))
    }),
    live("TraceHeaders", &["trace_headers"], Step::Limits, "Reloaded: trace_headers = {}", |o| {
        switch(o.logging.trace_headers.unwrap_or(false))
    }),
    refused("NoLog", &[], |o| switch(o.logging.disabled)),
    refused("NoSublistCache", &["disable_sublist_cache", "no_sublist_cache"], |o| {
        switch(o.client.no_sublist_cache)
    }),
    refused("NoHeaderSupport", &["no_header_support"], |o| switch(o.client.no_header_support)),
    live("Logtime", &["logtime"], Step::Log, "Reloaded: logtime = {}", |o| switch(o.logtime())),
    live("LogtimeUTC", &["logtime_utc"], Step::Log, "Reloaded: logtime_utc = {}", |o| {
        switch(o.logging.logtime_utc.unwrap_or(false))
    }),
    live("LogFormat", &["log_format"], Step::Log, "Reloaded: log_format = {}", |o| {
        if o.logging.json.unwrap_or(false) { "json" } else { "text" }.to_owned()
    }),
    judged("MaxConn", &["max_connections", "max_conn"], max_connections),
    refused("MaxSubs", &["max_subscriptions", "max_subs"], |o| o.max_subscriptions().to_string()),
    refused("MaxSubTokens", &["max_sub_tokens", "max_subscription_tokens"], |o| {
        o.limits.max_sub_tokens.unwrap_or(0).to_string()
    }),
];

/// Who may log in, and where to.
pub(super) const USERS: &[Rule] = &[
    live("Nkeys", &["authorization"], Step::Auth, "Reloaded: authorization nkey users", |o| {
        hidden(&o.nkeys)
    }),
    Rule {
        field: "Users",
        keys: &["authorization"],
        value: |o| hidden(&o.users),
        verdict: Verdict::Announced(Step::Auth, "Reloaded: authorization users"),
    },
    Rule {
        field: "Accounts",
        keys: &["accounts", "mappings", "maps"],
        value: |o| hidden(&o.accounts),
        verdict: Verdict::Announced(Step::Accounts, "Reloaded: accounts"),
    },
    judged("NoAuthUser", &["no_auth_user"], no_auth_user),
    live(
        "DefaultSentinel",
        &["default_sentinel"],
        Step::Auth,
        "Reloaded: default_sentinel = {}",
        |o| text(o.operator.default_sentinel.as_ref()),
    ),
    judged("SystemAccount", &["system_account", "system"], system_account),
    refused("NoSystemAccount", &["no_system_account", "no_system", "no_sys_acc"], |o| {
        switch(o.system.disabled)
    }),
    live("Username", &["authorization"], Step::Auth, "Reloaded: authorization username", |o| {
        text(block(o).and_then(|a| a.username.as_ref()))
    }),
    live("Password", &["authorization"], Step::Auth, "Reloaded: authorization password", |o| {
        text(block(o).and_then(|a| a.password.as_ref()))
    }),
    refused("ProxyRequired", &["authorization"], |o| {
        switch(block(o).is_some_and(|a| a.proxy_required))
    }),
    refused("ProxyProtocol", &["proxy_protocol"], |o| switch(o.client.proxy_protocol)),
    live("Authorization", &["authorization"], Step::Auth, "Reloaded: authorization token", |o| {
        text(block(o).and_then(|a| a.token.as_ref()))
    }),
    refused("AuthCallout", &["authorization"], |o| {
        hidden(&block(o).and_then(|a| a.callout.as_ref()))
    }),
    // Users without permissions of their own have these; whether somebody has to log in at all may
    // hang on the block's being there.
    Rule {
        field: "DefaultPermissions",
        keys: &["authorization"],
        value: |o| hidden(&block(o).map(|a| a.default_permissions.as_ref())),
        verdict: Verdict::Live(Step::Auth, ""),
    },
];

/// Limits, times and monitoring.
pub(super) const LIMITS: &[Rule] = &[
    live("PingInterval", &["ping_interval"], Step::Limits, "Reloaded: ping_interval = {}", |o| {
        time(o.ping_interval())
    }),
    live("MaxPingsOut", &["ping_max"], Step::Limits, "Reloaded: ping_max = {}", |o| {
        o.ping_max().to_string()
    }),
    refused("HTTPHost", &["http", "https"], |o| o.monitoring_host().to_owned()),
    refused("HTTPPort", &["http", "http_port", "monitor_port"], |o| number(o.monitoring.http_port)),
    refused("HTTPBasePath", &["http_base_path"], |o| text(o.monitoring.base_path.as_ref())),
    refused("HTTPSPort", &["https", "https_port"], |o| number(o.monitoring.https_port)),
    // Our own: pages ask for it each time.
    Rule {
        field: "HTTPMetrics",
        keys: &["http_metrics"],
        value: |o| hidden(&o.monitoring.metrics),
        verdict: Verdict::Live(Step::Facts, ""),
    },
    live(
        "AuthTimeout",
        &["authorization"],
        Step::Limits,
        "Reloaded: authorization timeout = {}",
        |o| o.auth_timeout().as_secs_f64().to_string(),
    ),
    live(
        "MaxControlLine",
        &["max_control_line"],
        Step::Limits,
        "Reloaded: max_control_line = {}",
        |o| o.max_control_line().to_string(),
    ),
    live("MaxPayload", &["max_payload"], Step::Limits, "Reloaded: max_payload = {}", |o| {
        o.max_payload().to_string()
    }),
    refused("MaxPending", &["max_pending"], |o| o.max_pending().to_string()),
    live(
        "NoFastProducerStall",
        &["no_fast_producer_stall"],
        Step::Limits,
        "Reloaded: fast producers will {}be stalled",
        |o| if o.client.no_fast_producer_stall { "not ".into() } else { String::new() },
    ),
];

/// Profiles, files, deadlines, facts.
pub(super) const LAST: &[Rule] = &[
    refused("ProfPort", &["prof_port"], |o| number(o.monitoring.prof_port)),
    live(
        "ProfBlockRate",
        &["prof_block_rate"],
        Step::Facts,
        "Reloaded: prof_block_rate = {}",
        |o| number(o.monitoring.prof_block_rate),
    ),
    judged("PidFile", &["pidfile", "pid_file"], pid_file),
    live(
        "PortsFileDir",
        &["ports_file_dir"],
        Step::PortsFile,
        "Reloaded: ports_file_dir = {}",
        |o| text(o.process.ports_file_dir.as_ref()),
    ),
    live("LogFile", &["logfile", "log_file"], Step::Log, "Reloaded: log_file = {}", |o| {
        text(o.logging.file.as_ref())
    }),
    refused("LogSizeLimit", &["logfile_size_limit", "log_size_limit"], |o| {
        number(o.logging.size_limit)
    }),
    refused("LogMaxFiles", &["logfile_max_num", "log_max_num"], |o| number(o.logging.max_files)),
    live("Syslog", &["syslog"], Step::Log, "Reloaded: syslog = {}", |o| {
        switch(o.logging.syslog.unwrap_or(false))
    }),
    live("RemoteSyslog", &["remote_syslog"], Step::Log, "Reloaded: remote_syslog = {}", |o| {
        text(o.logging.remote_syslog.as_ref())
    }),
    live(
        "WriteDeadline",
        &["write_deadline"],
        Step::Limits,
        "Reloaded: write_deadline = {}",
        |o| time(o.write_deadline()),
    ),
    refused("WriteTimeout", &["write_timeout"], |o| match o.write_timeout() {
        crate::options::WriteTimeout::Default => String::new(),
        crate::options::WriteTimeout::Close => "close".into(),
        crate::options::WriteTimeout::Retry => "retry".into(),
    }),
    refused("MaxClosedClients", &["max_closed_clients"], |o| o.max_closed_clients().to_string()),
    refused("LameDuckDuration", &["lame_duck_duration"], |o| time(o.lame_duck_duration())),
    refused("LameDuckGracePeriod", &["lame_duck_grace_period"], |o| {
        time(o.lame_duck_grace_period())
    }),
    live(
        "MaxTracedMsgLen",
        &["max_traced_msg_len"],
        Step::Limits,
        "Reloaded: max_traced_msg_len = {}",
        |o| number(o.logging.max_traced_msg_len),
    ),
    live(
        "ConnectErrorReports",
        &["connect_error_reports"],
        Step::Links,
        "Reloaded: connect_error_reports = {}",
        |o| o.connect_error_reports().to_string(),
    ),
    live(
        "ReconnectErrorReports",
        &["reconnect_error_reports"],
        Step::Links,
        "Reloaded: reconnect_error_reports = {}",
        |o| o.reconnect_error_reports().to_string(),
    ),
    live("Tags", &["server_tags"], Step::Facts, "Reloaded: tags", |o| list(&o.server_tags)),
    live("Metadata", &["server_metadata"], Step::Facts, "Reloaded: metadata", |o| {
        map(&o.server_metadata)
    }),
    refused("FeatureFlags", &["feature_flags"], |o| map(&o.feature_flags)),
    judged("Proxies", &["proxies"], proxies),
];

fn block(options: &Options) -> Option<&Authorization> {
    options.authorization.as_ref()
}

/// A port of the system's choice stays; one that was chosen may be written down.
fn port(pair: &Pair<'_>, _: &mut Plan) -> Result<(), String> {
    let (old, new) = (pair.old.client_port(), pair.new.client_port());
    let old = if old == 0 { pair.running.client_port } else { old };
    if new == 0 || new == old {
        return Ok(());
    }
    Err(refusal("Port", &old.to_string(), &new.to_string()))
}

fn client_advertise(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let value = |o: &Options| text(o.client.advertise.as_ref());
    let new = value(pair.new);
    if value(pair.old) == new {
        return Ok(());
    }
    if !new.is_empty()
        && let Err(cause) = host_and_number(&new)
    {
        return Err(format!("invalid ClientAdvertise value of {new}, err={cause}"));
    }
    // Compat(RELOAD-008): this one line begins differently.
    plan.add("ClientAdvertise", Step::Info, format!("Reload: client_advertise = {new}"));
    Ok(())
}

fn max_connections(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let value = |o: &Options| o.max_connections();
    if value(pair.old) != value(pair.new) {
        let line = format!("Reloaded: max_connections = {}", value(pair.new));
        plan.add("MaxConn", Step::MaxConnections, line);
    }
    Ok(())
}

/// It may only go, and only together with its user.
fn no_auth_user(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let value = |o: &Options| text(o.no_auth_user.as_ref());
    let (old, new) = (value(pair.old), value(pair.new));
    if old == new {
        return Ok(());
    }
    if !new.is_empty() || pair.new.users.iter().any(|user| user.username == old) {
        return Err(refusal("NoAuthUser", &old, &new));
    }
    plan.add("NoAuthUser", Step::Auth, String::new());
    Ok(())
}

fn system_account(pair: &Pair<'_>, _: &mut Plan) -> Result<(), String> {
    let value = |o: &Options| text(o.system.account.as_ref());
    let (old, new) = (value(pair.old), value(pair.new));
    if old == new || (old == SYSTEM_ACCOUNT && new.is_empty()) {
        return Ok(());
    }
    Err(refusal("SystemAccount", &old, &new))
}

/// A file that is no longer named stays as it is.
fn pid_file(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let value = |o: &Options| text(o.process.pid_file.as_ref());
    let new = value(pair.new);
    if value(pair.old) != new && !new.is_empty() {
        plan.add("PidFile", Step::PidFile, format!("Reloaded: pid_file = {new}"));
    }
    Ok(())
}

fn proxies(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let keys = |o: &Options| o.trusted_proxies.clone().unwrap_or_default();
    let (old, new) = (keys(pair.old), keys(pair.new));
    let without = |of: &[String], other: &[String]| -> Vec<String> {
        of.iter().filter(|key| !other.contains(key)).map(|key| format!("{key:?}")).collect()
    };
    for (keys, what) in [(without(&old, &new), "removed"), (without(&new, &old), "added")] {
        if !keys.is_empty() {
            let line = format!("Reloaded: proxies trusted keys {} were {what}", list(keys));
            plan.add("Proxies", Step::Auth, line);
        }
    }
    Ok(())
}
