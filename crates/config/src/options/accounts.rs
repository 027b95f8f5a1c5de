//! `accounts` and `mappings`.
//!
//! Not here: imports and exports (`account_links`).
//! Reference: opts.go parseAccounts, parseAccountMappings, parseAccountMapDest, parseAccountLimits,
//! parseAccountMsgTrace, parseJetStreamForAccount; accounts.go AddWeightedMappings.

use super::account_links;
use super::account_parts::{
    Account, AccountJetStream, AccountLimits, ClusterTraffic, MapDestination, Mapping, MessageTrace,
};
use super::authorization::{NkeyUser, User, apply_default, users};
use super::jetstream::{plain_size, switch};
use super::permissions::Permissions;
use super::reader::{Reader, quote, text};
use super::{GLOBAL_ACCOUNT, Options, nkey, subjects};
use crate::diagnostic::Diagnostic;
use crate::lang::{Map, Token, Value};

const KEYS: &[&str] = &[
    "nkey",
    "imports",
    "exports",
    "jetstream",
    "users",
    "default_permissions",
    "mappings",
    "maps",
    "limits",
    "msg_trace",
    "trace_dest",
];

/// Reads `accounts`.
pub(super) fn read(options: &mut Options, token: &Token, r: &mut Reader<'_>) {
    match &token.value {
        Value::Array(items) => read_names(options, items, r),
        Value::Map(map) => {
            for (name, token) in map.written() {
                // A key that only exists to be a variable is no account.
                if !token.used {
                    read_account(options, name, token, r);
                }
            }
        }
        _ => {}
    }
    // Links are only looked at when all there is to link is sound.
    if r.found.errors.is_empty() {
        account_links::check(options, token, r);
    }
}

/// Reads top-level `mappings`, which are the global account's.
pub(super) fn read_global_mappings(options: &mut Options, token: &Token, r: &mut Reader<'_>) {
    let mut account = Account::named(GLOBAL_ACCOUNT);
    read_mappings(&mut account, token, r);
    options.accounts.push(account);
}

fn read_names(options: &mut Options, items: &[Token], r: &mut Reader<'_>) {
    for item in items {
        let Some(name) = r.string(item) else { continue };
        if name == GLOBAL_ACCOUNT {
            r.error(item, format!("{} is a Reserved Account", quote(&name)));
        } else if options.account(&name).is_some() {
            r.error(item, format!("Duplicate Account Entry: {name}"));
        } else {
            options.accounts.push(Account::named(name));
        }
    }
}

fn read_account(options: &mut Options, name: &str, token: &Token, r: &mut Reader<'_>) {
    let Value::Map(map) = &token.value else {
        return r.error(token, "Expected map entries for accounts");
    };
    if name == GLOBAL_ACCOUNT {
        return r.error(token, format!("{} is a Reserved Account", quote(name)));
    }
    let mut account = Account::named(name);
    let mut members = (Vec::new(), Vec::new());
    let mut users_token = token;
    for (key, token) in map.written() {
        if key.eq_ignore_ascii_case("users") {
            users_token = token;
            if let Some(read) = users(token, r) {
                members = read;
            }
        } else {
            read_key(&mut account, key, token, r);
        }
    }
    apply_default(&mut members.0, &mut members.1, account.default_permissions.as_ref());
    options.accounts.push(account);
    add_members(options, name, members, users_token, r);
}

fn read_key(account: &mut Account, key: &str, token: &Token, r: &mut Reader<'_>) {
    match key.to_lowercase().as_str() {
        "nkey" => match token.value.as_text() {
            Some(key) if nkey::is_public_account(&key) => account.nkey = Some(key),
            _ => {
                let found = quote(&token.value.display());
                r.error(token, format!("Not a valid public nkey for an account: {found}"));
            }
        },
        "imports" => account_links::read_imports(account, token, r),
        "exports" => account_links::read_exports(account, token, r),
        "jetstream" => {
            r.keys.record("accounts.jetstream", &token.position);
            let read = read_jetstream(token, r);
            if let Some(read) = r.keep(read) {
                account.jetstream = read;
            }
        }
        "default_permissions" => account.default_permissions = Permissions::read(token, r),
        "mappings" | "maps" => read_mappings(account, token, r),
        "limits" => read_limits(&mut account.limits, token, r),
        "msg_trace" | "trace_dest" => read_message_trace(account, key, token, r),
        _ => r.unknown(key, token, KEYS),
    }
}

/// Adds an account's users to all users; names and keys must be unique among them.
fn add_members(
    options: &mut Options,
    name: &str,
    (mut users, mut nkeys): (Vec<User>, Vec<NkeyUser>),
    token: &Token,
    r: &mut Reader<'_>,
) {
    let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if !users.is_empty() || !nkeys.is_empty() {
        let auth = options.authorization.as_ref();
        if auth.is_some_and(|auth| set(&auth.username)) {
            return r.error(token, "Can not have a single user/pass and accounts");
        }
        if auth.is_some_and(|auth| set(&auth.token)) {
            return r.error(token, "Can not have a token and accounts");
        }
    }
    let mut taken: std::collections::HashSet<String> =
        options.users.iter().map(|user| user.username.clone()).collect();
    taken.extend(options.nkeys.iter().map(|user| user.nkey.clone()));
    nkeys.retain(|user| {
        let new = taken.insert(user.nkey.clone());
        if !new {
            r.error(token, format!("Duplicate nkey {} detected", quote(&user.nkey)));
        }
        new
    });
    users.retain(|user| {
        let new = taken.insert(user.username.clone());
        if !new {
            r.error(token, format!("Duplicate user {} detected", quote(&user.username)));
        }
        new
    });
    nkeys.iter_mut().for_each(|user| user.account = Some(name.into()));
    users.iter_mut().for_each(|user| user.account = Some(name.into()));
    options.nkeys.append(&mut nkeys);
    options.users.append(&mut users);
}

// === mappings ===

fn read_mappings(account: &mut Account, token: &Token, r: &mut Reader<'_>) {
    let Some(map) = r.map(token) else { return };
    for (source, entry) in map.written() {
        if !subjects::is_valid(source) {
            r.error(token, format!("Subject {} is not a valid subject", quote(source)));
            continue;
        }
        let source: String = source.into();
        let (destinations, to) = match &entry.value {
            Value::String(_) => {
                let subject = text(entry);
                let to = format!(" to {}", quote(&subject));
                (vec![MapDestination { subject, weight: 100, cluster: None }], to)
            }
            Value::Array(items) => {
                let read = items.iter().filter_map(|item| read_destination(item, r));
                (read.collect(), String::new())
            }
            _ => match read_destination(entry, r) {
                Some(destination) => (vec![destination], String::new()),
                None => continue,
            },
        };
        match check_destinations(&source, &destinations) {
            Ok(()) => {
                account.mappings.retain(|mapping| mapping.source != source);
                account.mappings.push(Mapping { source, destinations });
            }
            Err(e) => {
                let text = format!("Error adding mapping for {}{to} : {e}", quote(&source));
                r.error(entry, text);
            }
        }
    }
}

fn read_destination(token: &Token, r: &mut Reader<'_>) -> Option<MapDestination> {
    const KEYS: &[&str] = &["dest", "destination", "weight", "cluster"];
    let Value::Map(map) = &token.value else {
        r.error(token, "Expected an entry for the mapping destination");
        return None;
    };
    let mut destination = MapDestination::default();
    let mut weighted = false;
    let before = r.found.errors.len();
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "dest" | "destination" => r.put(token, &mut destination.subject),
            "weight" => {
                let read = weight(token);
                destination.weight = r.keep(read)?;
                weighted = true;
            }
            "cluster" => r.put(token, &mut destination.cluster),
            _ => {
                let hint = crate::suggest::suffix(key, KEYS);
                let text = format!("Unknown field {} for mapping destination", quote(key));
                r.error(token, format!("{text}{hint}"));
                return None;
            }
        }
    }
    if r.mismatched_since(before) {
        return None;
    }
    if !weighted {
        let subject = quote(&destination.subject);
        r.error(token, format!("Missing weight for mapping destination {subject}"));
        return None;
    }
    Some(destination)
}

fn weight(token: &Token) -> Result<u8, Diagnostic> {
    let fail = |text: String| Err(Diagnostic::at(&token.position, text));
    let number = match &token.value {
        Value::Integer(n) => *n,
        Value::String(_) => {
            let spelled = text(token);
            let spelled = spelled.strip_suffix('%').unwrap_or(&spelled);
            match spelled.parse() {
                Ok(n) => n,
                Err(_) => {
                    let spelled = quote(spelled);
                    return fail(format!("Invalid weight {spelled} for mapping destination"));
                }
            }
        }
        // Compat: the line break is part of the text.
        other => return fail(format!("Unknown entry type for weight of {}\n", other.display())),
    };
    match u8::try_from(number) {
        Ok(weight) if weight <= 100 => Ok(weight),
        _ => fail(format!("Invalid weight {number} for mapping destination")),
    }
}

fn check_destinations(source: &str, destinations: &[MapDestination]) -> Result<(), String> {
    for (i, destination) in destinations.iter().enumerate() {
        let before = destinations.get(..i).unwrap_or_default();
        if before.iter().any(|other| other.subject == destination.subject) {
            return Err(format!("duplicate entry for {}", quote(&destination.subject)));
        }
        let same = before.iter().filter(|other| other.cluster == destination.cluster);
        let total: u32 = same.map(|other| u32::from(other.weight)).sum();
        if total + u32::from(destination.weight) > 100 {
            return Err("total weight needs to be <= 100".into());
        }
        subjects::check_mapping(source, &destination.subject).map_err(|e| e.to_string())?;
    }
    Ok(())
}

// === limits, trace, JetStream ===

fn read_limits(limits: &mut AccountLimits, token: &Token, r: &mut Reader<'_>) {
    const KEYS: &[&str] = &[
        "max_connections",
        "max_conn",
        "max_subscriptions",
        "max_subs",
        "max_payload",
        "max_pay",
        "max_leafnodes",
        "max_leafs",
    ];
    let Value::Map(map) = &token.value else {
        let found = token.value.display();
        let text = format!("Expected account limits to be a map/struct, got {found}");
        return r.error(token, text);
    };
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "max_connections" | "max_conn" => r.put(token, &mut limits.max_connections),
            "max_subscriptions" | "max_subs" => r.put(token, &mut limits.max_subscriptions),
            "max_payload" | "max_pay" => r.put(token, &mut limits.max_payload),
            "max_leafnodes" | "max_leafs" => r.put(token, &mut limits.max_leafnodes),
            _ => {
                let text = format!("Unknown field {} parsing account limits", quote(key));
                r.unknown_as(key, token, KEYS, &text);
            }
        }
    }
}

fn read_message_trace(account: &mut Account, key: &str, token: &Token, r: &mut Reader<'_>) {
    let read = message_trace(key, token);
    let Some((destination, sampling)) = r.keep(read) else { return };
    account.message_trace = match (destination, sampling) {
        (Some(destination), sampling) => {
            Some(MessageTrace { destination, sampling: sampling.unwrap_or(100) })
        }
        (None, Some(_)) => {
            r.warn(token, "Trace destination sampling ignored since no destination was set");
            None
        }
        (None, None) => None,
    };
}

fn message_trace(top: &str, token: &Token) -> Result<(Option<String>, Option<u8>), Diagnostic> {
    let fail = |token: &Token, text: String| Diagnostic::at(&token.position, text);
    let map = match &token.value {
        Value::String(_) => return Ok((Some(trace_destination(top, token)?), None)),
        Value::Map(map) => map,
        other => {
            let (top, found) = (quote(top), other.type_name());
            let text = format!(
                "Expected account message trace {top} to be a string or a map/struct, got {found}"
            );
            return Err(fail(token, text));
        }
    };
    let (mut destination, mut sampling) = (None, None);
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "dest" => destination = Some(trace_destination(key, token)?),
            "sampling" => sampling = Some(trace_sampling(key, token)?),
            _ if token.used => {}
            _ => {
                let hint = crate::suggest::suffix(key, &["dest", "sampling"]);
                let (key, top) = (quote(key), quote(top));
                let text =
                    format!("Unknown field {key} parsing account message trace map/struct {top}");
                return Err(fail(token, format!("{text}{hint}")));
            }
        }
    }
    Ok((destination, sampling))
}

fn trace_destination(key: &str, token: &Token) -> Result<String, Diagnostic> {
    let fail = |text: String| Err(Diagnostic::at(&token.position, text));
    match token.value.as_text() {
        None => {
            let found = token.value.type_name();
            fail(format!("Field {} should be a string, got {found}", quote(key)))
        }
        Some(subject) if subjects::is_publishable(&subject) => Ok(subject),
        Some(subject) => fail(format!("Trace destination {} is not valid", quote(&subject))),
    }
}

fn trace_sampling(key: &str, token: &Token) -> Result<u8, Diagnostic> {
    let fail = |text: String| Err(Diagnostic::at(&token.position, text));
    let number: i64 = match &token.value {
        Value::Integer(n) => *n,
        Value::String(_) => {
            let spelled = text(token);
            match spelled.strip_suffix('%').unwrap_or(&spelled).parse() {
                Ok(n) => n,
                Err(_) => {
                    let spelled = quote(&spelled);
                    return fail(format!("Invalid trace destination sampling value {spelled}"));
                }
            }
        }
        other => {
            let (key, found) = (quote(key), other.type_name());
            return fail(format!(
                "Trace destination sampling field {key} should be an integer or a percentage, got \
                 {found}"
            ));
        }
    };
    match u8::try_from(number) {
        Ok(percent @ 1..=100) => Ok(percent),
        // Compat: the reference's spelling.
        _ => fail(format!(
            "Ttrace destination sampling value {number} is invalid, needs to be [1..100]"
        )),
    }
}

fn read_jetstream(
    token: &Token,
    r: &mut Reader<'_>,
) -> Result<Option<AccountJetStream>, Diagnostic> {
    match &token.value {
        Value::Bool(on) => Ok(on.then(AccountJetStream::default)),
        Value::String(_) => match text(token).to_lowercase().as_str() {
            "enabled" | "enable" => Ok(Some(AccountJetStream::default())),
            "disabled" | "disable" => Ok(None),
            _ => Err(switch(token)),
        },
        Value::Map(map) => read_jetstream_limits(map, r).map(Some),
        other => {
            let found = other.type_name();
            let text = format!("Expected map, bool or string to define JetStream, got {found}");
            Err(Diagnostic::at(&token.position, text))
        }
    }
}

fn read_jetstream_limits(map: &Map, r: &mut Reader<'_>) -> Result<AccountJetStream, Diagnostic> {
    const KEYS: &[&str] = &[
        "max_memory",
        "max_mem",
        "mem",
        "memory",
        "max_store",
        "max_file",
        "max_disk",
        "store",
        "disk",
        "max_streams",
        "streams",
        "max_consumers",
        "consumers",
        "max_bytes_required",
        "max_stream_bytes",
        "max_bytes",
        "mem_max_stream_bytes",
        "memory_max_stream_bytes",
        "disk_max_stream_bytes",
        "store_max_stream_bytes",
        "max_ack_pending",
        "cluster_traffic",
    ];
    let mut limits = AccountJetStream::default();
    for (key, token) in map.written() {
        let slot = match key.to_lowercase().as_str() {
            "max_memory" | "max_mem" | "mem" | "memory" => &mut limits.max_memory,
            "max_store" | "max_file" | "max_disk" | "store" | "disk" => &mut limits.max_store,
            "max_streams" | "streams" => &mut limits.max_streams,
            "max_consumers" | "consumers" => &mut limits.max_consumers,
            "mem_max_stream_bytes" | "memory_max_stream_bytes" => {
                &mut limits.memory_max_stream_bytes
            }
            "disk_max_stream_bytes" | "store_max_stream_bytes" => {
                &mut limits.store_max_stream_bytes
            }
            "max_ack_pending" => &mut limits.max_ack_pending,
            "max_bytes_required" | "max_stream_bytes" | "max_bytes" => {
                let Value::Bool(on) = token.value else {
                    let (key, found) = (quote(key), token.value.display());
                    let text = format!("Expected a parseable bool for {key}, got {found}");
                    return Err(Diagnostic::at(&token.position, text));
                };
                limits.max_bytes_required = on;
                continue;
            }
            "cluster_traffic" => {
                limits.cluster_traffic = cluster_traffic(key, token)?;
                continue;
            }
            _ => {
                r.unknown(key, token, KEYS);
                continue;
            }
        };
        *slot = plain_size(key, token)?;
    }
    Ok(limits)
}

fn cluster_traffic(key: &str, token: &Token) -> Result<ClusterTraffic, Diagnostic> {
    let found = token.value.display();
    let key = quote(key);
    let text = match token.value.as_text().as_deref() {
        Some("system" | "") => return Ok(ClusterTraffic::System),
        Some("owner") => return Ok(ClusterTraffic::Owner),
        Some(_) => format!("Expected 'system' or 'owner' string value for {key}, got {found}"),
        None => {
            format!("Expected either 'system' or 'owner' string value for {key}, got {found}")
        }
    };
    Err(Diagnostic::at(&token.position, text))
}
