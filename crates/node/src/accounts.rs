//! Accounts: from the configuration into the broker, and from the broker to what operators see.
//!
//! Not here: users (`translate::auth`), checking (`config` refuses what the broker would refuse).

use broker::account::definition::{
    AccountDefinition, ExportDefinition, ExportKind, ImportDefinition, ImportKind,
    LatencyDefinition, LimitsDefinition, MappingDefinition, Rename, ResponseType, Sampling,
    ServiceDefinition,
};
use broker::account::snapshot::{ExportSnapshot, ImportSnapshot};
use broker::account::{Account, GLOBAL};
use broker::tracing::TraceTarget;
use config::Options;
use config::options as from;
use monitor::{ExportFacts, ImportFacts, LatencyFacts, MappingTarget};
use std::collections::BTreeMap;
use std::time::Duration;
use subject::mapping::Destination;

/// All accounts of the configuration.
pub fn definitions(options: &Options) -> Vec<AccountDefinition> {
    let mut all: Vec<_> = options.accounts.iter().map(definition).collect();
    if !all.iter().any(|account| account.name == GLOBAL) {
        all.push(AccountDefinition { name: GLOBAL.into(), ..AccountDefinition::default() });
    }
    let system = options.system_account();
    for account in all.iter_mut().filter(|account| Some(account.name.as_str()) != system) {
        let mut with_jetstream = options.accounts.iter().filter(|a| a.jetstream.is_some());
        let has_jetstream = with_jetstream.any(|a| a.name == account.name);
        map_domains(account, options, has_jetstream);
    }
    if let Some(system) = system {
        crate::system::offer(&mut all, system);
    }
    all
}

/// What JetStream and the views on it are asked by, without and with `$JS.<domain>.API.` before it.
const API: &[(&str, &str)] = &[
    ("INFO", "$JS.API.INFO"),
    ("STREAM.>", "$JS.API.STREAM.>"),
    ("CONSUMER.>", "$JS.API.CONSUMER.>"),
    ("DIRECT.>", "$JS.API.DIRECT.>"),
    ("META.>", "$JS.API.META.>"),
    ("SERVER.>", "$JS.API.SERVER.>"),
    ("ACCOUNT.>", "$JS.API.ACCOUNT.>"),
    ("$KV.>", "$KV.>"),
    ("$OBJ.>", "$OBJ.>"),
];

/// A server reached by its own domain answers as if the domain had not been named (API-048); an
/// account without JetStream may have another domain as its default.
pub(crate) fn map_domains(account: &mut AccountDefinition, options: &Options, has_jetstream: bool) {
    let own = options.jetstream.domain.as_ref().filter(|d| !d.is_empty());
    let has_jetstream = options.jetstream.enabled && has_jetstream;
    let default = options.jetstream.default_domains.get(&account.name);
    let default = default.filter(|d| !d.is_empty() && !has_jetstream);
    let own = own.filter(|_| options.jetstream.enabled).into_iter().flat_map(|domain| {
        API.iter().map(move |(end, plain)| (format!("$JS.{domain}.API.{end}"), (*plain).to_owned()))
    });
    let default = default.into_iter().flat_map(|domain| {
        API.iter().map(move |(end, plain)| ((*plain).to_owned(), format!("$JS.{domain}.API.{end}")))
    });
    for (source, to) in own.chain(default) {
        // What the configuration maps itself stays.
        if !account.mappings.iter().any(|m| m.source == source) {
            let destinations = vec![Destination::new(to)];
            account.mappings.push(MappingDefinition { source, destinations });
        }
    }
}

fn definition(account: &from::Account) -> AccountDefinition {
    let streams = account.stream_exports.iter().map(|export| ExportDefinition {
        subject: export.subject.clone(),
        accounts: export.accounts.clone().unwrap_or_default(),
        account_token_position: position(export.account_token_position),
        kind: ExportKind::Stream,
    });
    let imported_streams = account.stream_imports.iter().map(|import| ImportDefinition {
        account: import.account.clone(),
        subject: import.subject.clone(),
        kind: ImportKind::Stream {
            rename: match (&import.prefix, &import.to) {
                (Some(prefix), _) => Rename::Prefix(prefix.clone()),
                (None, Some(to)) => Rename::To(to.clone()),
                (None, None) => Rename::Keep,
            },
            allow_trace: import.allow_trace,
        },
    });
    let imported_services = account.service_imports.iter().map(|import| ImportDefinition {
        account: import.account.clone(),
        subject: import.subject.clone(),
        kind: ImportKind::Service { to: Some(import.to.clone()), share: import.share },
    });
    AccountDefinition {
        name: account.name.clone(),
        exports: streams.chain(account.service_exports.iter().map(service)).collect(),
        imports: imported_streams.chain(imported_services).collect(),
        automatic: Vec::new(),
        mappings: account.mappings.iter().map(mapping).collect(),
        limits: LimitsDefinition {
            connections: limit(account.limits.max_connections),
            subscriptions: limit(account.limits.max_subscriptions),
            payload: limit(account.limits.max_payload),
            leafnodes: limit(account.limits.max_leafnodes),
        },
        trace: account.message_trace.as_ref().map(|trace| TraceTarget {
            subject: trace.destination.clone(),
            sampling: trace.sampling,
        }),
    }
}

/// A negative limit means none.
fn limit(n: Option<i64>) -> Option<u64> {
    n.and_then(|n| u64::try_from(n).ok())
}

fn position(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn service(export: &from::ServiceExport) -> ExportDefinition {
    let latency = export.latency.as_ref().map(|latency| LatencyDefinition {
        subject: latency.subject.clone(),
        sampling: match latency.sampling {
            from::Sampling::Percent(share) => Sampling::Percent(share),
            from::Sampling::Headers => Sampling::Headers,
        },
    });
    let threshold = export.response_threshold.and_then(|t| u64::try_from(t.0).ok());
    ExportDefinition {
        subject: export.subject.clone(),
        accounts: export.accounts.clone().unwrap_or_default(),
        account_token_position: position(export.account_token_position),
        kind: ExportKind::Service(ServiceDefinition {
            response: match export.response_type {
                from::ResponseType::Singleton => ResponseType::Singleton,
                from::ResponseType::Stream => ResponseType::Streamed,
                from::ResponseType::Chunked => ResponseType::Chunked,
            },
            threshold: threshold.map(Duration::from_nanos),
            latency,
            allow_trace: export.allow_trace,
        }),
    }
}

fn mapping(mapping: &from::Mapping) -> MappingDefinition {
    let destinations = mapping.destinations.iter().map(|to| Destination {
        subject: to.subject.clone(),
        weight: to.weight,
        cluster: to.cluster.clone().unwrap_or_default(),
    });
    MappingDefinition { source: mapping.source.clone(), destinations: destinations.collect() }
}

// === what operators see ===

/// Mappings by source.
pub(crate) fn mappings(account: &Account) -> BTreeMap<String, Vec<MappingTarget>> {
    let all = account.mapping_snapshot().into_iter().map(|mapping| {
        let targets = mapping.destinations.into_iter();
        let targets =
            targets.map(|(subject, weight, cluster)| MappingTarget { subject, weight, cluster });
        (mapping.source, targets.collect())
    });
    all.collect()
}

/// Exports: services, then streams.
pub(crate) fn exports(account: &Account) -> Vec<ExportFacts> {
    account.export_snapshot().into_iter().map(export_facts).collect()
}

fn export_facts(export: ExportSnapshot) -> ExportFacts {
    ExportFacts {
        subject: export.subject,
        kind: kind(export.response.is_some()),
        response_type: export.response.map(|r| r.name().to_owned()).unwrap_or_default(),
        latency: export.latency.as_ref().map(latency_facts),
        approved_accounts: export.accounts,
        ..ExportFacts::default()
    }
}

/// Imports: streams, then services.
pub(crate) fn imports(account: &Account) -> Vec<ImportFacts> {
    account.import_snapshot().into_iter().map(import_facts).collect()
}

/// Answers that are awaited, by the subject they will come on.
pub(crate) fn responses(account: &Account) -> BTreeMap<String, ImportFacts> {
    let all = account.response_snapshot().into_iter();
    all.map(|response| (response.local_subject.clone(), import_facts(response))).collect()
}

fn import_facts(import: ImportSnapshot) -> ImportFacts {
    ImportFacts {
        subject: import.subject,
        account: import.account,
        local_subject: import.local_subject,
        kind: kind(import.service),
        invalid: import.invalid,
        share: import.share,
        tracking: import.tracking,
        tracking_header: import.tracking_header.into_iter().collect(),
        latency: import.latency.as_ref().map(latency_facts),
    }
}

fn kind(service: bool) -> monitor::ExportKind {
    if service { monitor::ExportKind::Service } else { monitor::ExportKind::Stream }
}

fn latency_facts(latency: &LatencyDefinition) -> LatencyFacts {
    let sampling = match latency.sampling {
        Sampling::Percent(share) => share,
        Sampling::Headers => 0,
    };
    LatencyFacts { sampling, results: latency.subject.clone() }
}
