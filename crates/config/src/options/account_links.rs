//! Imports and exports: reading them, and whether they fit together.
//!
//! Laws: exports are added before imports are looked at; an import needs an export that covers it
//!       and allows its account; imports may not form a cycle.
//! Reference: opts.go parseAccountExports, parseAccountImports, parseExportStreamOrService,
//! parseServiceLatency, parseImportStreamOrService, parseAccounts (second half); accounts.go.

use super::account_parts::{
    Account, Latency, ResponseType, Sampling, ServiceExport, ServiceImport, StreamExport,
    StreamImport,
};
use super::reader::{Reader, quote, text};
use super::{Options, account_graph};
use crate::diagnostic::Diagnostic;
use crate::lang::unit;
use crate::lang::{Map, Token, Value};

/// Checks every link of every account, reporting at the `accounts` key.
pub(super) fn check(options: &Options, token: &Token, r: &mut Reader<'_>) {
    for text in account_graph::check(options) {
        r.error(token, text);
    }
}

// === exports ===

const EXPORT_KEYS: &[&str] = &[
    "stream",
    "service",
    "response",
    "response_type",
    "threshold",
    "response_threshold",
    "response_max_time",
    "response_time",
    "accounts",
    "latency",
    "account_token_position",
    "allow_trace",
];

pub(super) fn read_exports(account: &mut Account, token: &Token, r: &mut Reader<'_>) {
    let Value::Array(items) = &token.value else {
        let found = token.value.type_name();
        return r.error(token, format!("Exports should be an array, got {found}"));
    };
    for item in items.iter() {
        let expected = "Export Items should be a map with type entry";
        let Some(map) = r.section(item, expected) else { continue };
        read_export(account, map, r);
    }
}

/// Keys of one export that only a service may have, in reading order.
#[derive(Default)]
struct ServiceOnly<'t> {
    seen: Vec<(&'t Token, &'static str)>,
    response: Option<ResponseType>,
}

fn read_export(account: &mut Account, map: &Map, r: &mut Reader<'_>) {
    let mut export = ServiceExport::default();
    let mut stream = None;
    let mut service = None;
    let mut only = ServiceOnly::default();
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "stream" => subject_of(token, "stream", "service", service.is_some(), &mut stream, r),
            "service" => subject_of(token, "service", "stream", stream.is_some(), &mut service, r),
            "response" | "response_type" => {
                read_response_type(token, &mut only, r);
            }
            "threshold" | "response_threshold" | "response_max_time" | "response_time" => {
                only.seen.push((token, "response"));
                read_threshold(token, &mut export, r);
            }
            "accounts" => {
                let Some(items) = r.array(token) else { continue };
                let names = export.accounts.get_or_insert_default();
                names.extend(items.iter().filter_map(|item| r.string(item)));
            }
            "latency" => {
                only.seen.push((token, "latency"));
                let read = read_latency(token);
                export.latency = r.keep(read);
            }
            "account_token_position" => {
                if let Some(n) = r.integer(token) {
                    export.account_token_position = n as u64;
                }
            }
            "allow_trace" => {
                only.seen.push((token, "allow_trace"));
                r.put(token, &mut export.allow_trace);
            }
            _ => r.unknown(key, token, EXPORT_KEYS),
        }
    }
    export.accounts = export.accounts.filter(|names| !names.is_empty());
    if let Some(subject) = stream {
        for (token, what) in only.seen {
            r.error(token, format!("Detected {what} directive on non-service"));
        }
        account.stream_exports.push(StreamExport {
            subject,
            accounts: export.accounts,
            account_token_position: export.account_token_position,
        });
    } else if let Some(subject) = service {
        export.subject = subject;
        export.response_type = only.response.unwrap_or_default();
        account.service_exports.push(export);
    }
}

fn subject_of(
    token: &Token,
    what: &str,
    other: &str,
    other_seen: bool,
    slot: &mut Option<String>,
    r: &mut Reader<'_>,
) {
    if other_seen {
        let found = quote(&token.value.display());
        return r.error(token, format!("Detected {what} {found} but already saw a {other}"));
    }
    match token.value.as_text() {
        Some(subject) => *slot = Some(subject),
        None => {
            let found = token.value.type_name();
            r.error(token, format!("Expected {what} name to be string, got {found}"));
        }
    }
}

fn read_response_type<'t>(token: &'t Token, only: &mut ServiceOnly<'t>, r: &mut Reader<'_>) {
    if only.response.is_some() {
        return r.error(token, "Duplicate response type definition");
    }
    only.response = Some(ResponseType::Singleton);
    let Some(spelled) = token.value.as_text() else {
        let found = token.value.type_name();
        return r.error(token, format!("Expected response type to be string, got {found}"));
    };
    only.response = Some(match spelled.to_lowercase().as_str() {
        "single" | "singleton" => ResponseType::Singleton,
        "stream" => ResponseType::Stream,
        "chunk" | "chunked" => ResponseType::Chunked,
        _ => return r.error(token, format!("Unknown response type: {}", quote(&spelled))),
    });
    only.seen.push((token, "response"));
}

fn read_threshold(token: &Token, export: &mut ServiceExport, r: &mut Reader<'_>) {
    if export.response_threshold.is_some() {
        return r.error(token, "Duplicate response threshold detected");
    }
    let expected = "Expected response threshold to be a parseable time duration, got";
    let Some(spelled) = token.value.as_text() else {
        let found = token.value.type_name();
        return r.error(token, format!("{expected} {found}"));
    };
    match unit::duration(&spelled) {
        Ok(nanos) => export.response_threshold = Some(nanos),
        Err(_) => r.error(token, format!("{expected} {}", quote(&spelled))),
    }
}

fn read_latency(root: &Token) -> Result<Latency, Diagnostic> {
    let fail = |token: &Token, text: String| Err(Diagnostic::at(&token.position, text));
    let map = match &root.value {
        Value::String(_) => {
            return Ok(Latency { subject: text(root), sampling: Sampling::Percent(100) });
        }
        Value::Map(map) => map,
        other => {
            let found = other.type_name();
            return fail(
                root,
                format!("Expected latency entry to be a map/struct or string, got {found}"),
            );
        }
    };
    // Compat: exact spelling only; other keys are not looked at.
    let sampling = match map.get("sampling") {
        Some(token) => read_sampling(token)?,
        None => Sampling::Percent(100),
    };
    let Some(token) = map.get("subject") else {
        return fail(root, "Latency subject required, but missing".into());
    };
    match token.value.as_text() {
        Some(subject) => Ok(Latency { subject, sampling }),
        // Compat: the type named is the wanted one.
        None => fail(token, "Expected latency subject to be a string, got string".into()),
    }
}

fn read_sampling(token: &Token) -> Result<Sampling, Diagnostic> {
    let fail = |text: String| Err(Diagnostic::at(&token.position, text));
    let number = match &token.value {
        Value::Integer(n) => *n,
        Value::String(_) => {
            let spelled = text(token);
            if spelled.trim().eq_ignore_ascii_case("headers") {
                return Ok(Sampling::Headers);
            }
            let digits = spelled.strip_suffix('%').unwrap_or(&spelled);
            match digits.parse() {
                Ok(n) => n,
                Err(_) => {
                    let digits = quote(digits);
                    return fail(format!(
                        "Failed to parse latency sample: strconv.Atoi: parsing {digits}: invalid \
                         syntax"
                    ));
                }
            }
        }
        other => {
            let found = other.type_name();
            return fail(format!(
                "Expected latency sample to be a string or map/struct, got {found}"
            ));
        }
    };
    match u8::try_from(number) {
        Ok(percent @ 1..=100) => Ok(Sampling::Percent(percent)),
        _ => fail("bad sampling percentage, should be 1-100".into()),
    }
}

// === imports ===

const IMPORT_KEYS: &[&str] = &["stream", "service", "prefix", "to", "share", "allow_trace"];

pub(super) fn read_imports(account: &mut Account, token: &Token, r: &mut Reader<'_>) {
    let Value::Array(items) = &token.value else {
        let found = token.value.type_name();
        return r.error(token, format!("Imports should be an array, got {found}"));
    };
    for item in items.iter() {
        let expected = "Import Items should be a map with type entry";
        let Some(map) = r.section(item, expected) else { continue };
        read_import(account, item, map, r);
    }
}

fn read_import(account: &mut Account, item: &Token, map: &Map, r: &mut Reader<'_>) {
    let (mut stream, mut service) = (None, None);
    let (mut prefix, mut to) = (None, None::<(String, &Token)>);
    let (mut share, mut allow_trace) = (false, None::<(bool, &Token)>);
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "stream" if service.is_some() => {
                r.error(token, "Detected stream but already saw a service");
            }
            "service" if stream.is_some() => {
                r.error(token, "Detected service but already saw a stream");
            }
            "stream" => stream = read_source("Stream", token, r).or(stream),
            "service" => service = read_source("Service", token, r).or(service),
            "prefix" => r.put(token, &mut prefix),
            "to" => to = r.string(token).map(|to| (to, token)),
            "share" => r.put(token, &mut share),
            "allow_trace" => allow_trace = r.boolean(token).map(|on| (on, token)),
            _ => r.unknown(key, token, IMPORT_KEYS),
        }
    }
    let prefix = prefix.filter(|prefix: &String| !prefix.is_empty());
    if let Some((source, subject)) = stream {
        if let (Some(_), Some((_, token))) = (&prefix, &to) {
            r.error(token, "Stream import can not have a 'prefix' and a 'to' property");
        }
        account.stream_imports.push(StreamImport {
            account: source,
            subject,
            to: to.map(|(to, _)| to).filter(|to| !to.is_empty()),
            prefix,
            allow_trace: allow_trace.is_some_and(|(on, _)| on),
        });
    } else if let Some((source, subject)) = service {
        if let Some((_, token)) = allow_trace {
            r.error(token, "Detected allow_trace directive on a non-stream");
        }
        let to = to.map(|(to, _)| to).filter(|to| !to.is_empty());
        let to = to.unwrap_or_else(|| subject.clone());
        add_service(account, item, ServiceImport { account: source, subject, to, share }, r);
    }
}

fn add_service(account: &mut Account, item: &Token, import: ServiceImport, r: &mut Reader<'_>) {
    let same = |other: &&ServiceImport| other.to == import.to && other.account == import.account;
    if let Some(other) = account.service_imports.iter().find(same) {
        let text = format!(
            "Duplicate service import subject {}, previously used in import for account {}, \
             subject {}",
            quote(&import.to),
            quote(&other.account),
            quote(&other.subject)
        );
        return r.error(item, text);
    }
    account.service_imports.push(import);
}

/// Account and subject an import takes from.
fn read_source(what: &str, token: &Token, r: &mut Reader<'_>) -> Option<(String, String)> {
    let map = r.section(token, &format!("{what} entry should be an account map"))?;
    let (mut account, mut subject) = (String::new(), String::new());
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "account" => r.put(token, &mut account),
            "subject" => r.put(token, &mut subject),
            _ => r.unknown(key, token, &["account", "subject"]),
        }
    }
    if account.is_empty() || subject.is_empty() {
        r.error(token, "Expect an account name and a subject");
        return None;
    }
    Some((account, subject))
}
