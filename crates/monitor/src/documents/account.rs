//! `/accountz` and `/accstatz`: what accounts are, and what passed through them.
//!
//! Reference: monitor.go `Accountz`, `AccountInfo`, `ExtImport`, `ExtExport`, accountInfo,
//! newExtImport; events.go `AccountStat`; jwt v2 `Import`, `Export`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use stdx::time::{Now, Timestamp};

use super::subsz::{SublistFacts, SublistStats};
use crate::error::Error;
use crate::json::{self, is_empty};
use crate::source::Source;

/// One account in detail.
#[derive(Clone, Debug, Default)]
pub struct AccountFacts {
    /// When its definition last changed.
    pub updated: Timestamp,
    /// Whether its JWT has expired.
    pub expired: bool,
    /// Whether everything it imports could be resolved.
    pub complete: bool,
    /// Whether it has JetStream.
    pub jetstream: bool,
    /// Leafnodes connected to this server.
    pub leafnodes: u64,
    /// Clients connected to this server.
    pub clients: u64,
    /// Subscriptions on this server.
    pub subscriptions: u64,
    /// Subject mappings: source to targets, in the order they are tried.
    pub mappings: BTreeMap<String, Vec<MappingTarget>>,
    /// What it offers: services, then streams.
    pub exports: Vec<ExportFacts>,
    /// What it uses: streams, then services.
    pub imports: Vec<ImportFacts>,
    /// Its JWT; empty for accounts of a configuration file.
    pub jwt: String,
    /// Who signed that JWT.
    pub issuer_key: String,
    /// Its tag; its name when it has none.
    pub name_tag: String,
    /// Tags of its JWT.
    pub tags: Vec<String>,
    /// Its JWT decoded.
    pub decoded_jwt: Option<serde_json::Value>,
    /// Complaints about that JWT.
    pub jwt_issues: Vec<serde_json::Value>,
    /// Revoked users and since when.
    pub revoked_users: BTreeMap<String, Timestamp>,
    /// Its interest index.
    pub sublist: SublistFacts,
    /// Service responses it waits for, by the subject they will come back on.
    pub responses: BTreeMap<String, ImportFacts>,
}

/// Where a mapping leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MappingTarget {
    /// The destination as configured.
    pub subject: String,
    /// The upper bound of this target's share, in percent: shares are shown accumulated, lowest
    /// first, so the last one is 100 (a rest that stays on the source is a target of its own).
    pub weight: u8,
    /// Only in this cluster; empty for any.
    #[serde(skip_serializing_if = "is_empty")]
    pub cluster: String,
}

/// Stream or service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the kinds speak for themselves")]
pub enum ExportKind {
    #[default]
    Stream,
    Service,
}

/// Where latency samples go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LatencyFacts {
    /// Percent of requests; 0 for those that carry a tracing header.
    #[serde(serialize_with = "sampling")]
    pub sampling: u8,
    /// The subject of the samples.
    pub results: String,
}

fn sampling<S: Serializer>(percent: &u8, to: S) -> Result<S::Ok, S::Error> {
    match percent {
        0 => to.serialize_str("headers"),
        percent => to.serialize_u8(*percent),
    }
}

/// One export.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ExportFacts {
    /// The exported subject.
    pub subject: String,
    /// Stream or service.
    #[serde(rename = "type")]
    pub kind: ExportKind,
    /// Whether importers need an activation token.
    #[serde(rename = "token_req", skip_serializing_if = "is_empty")]
    pub token_required: bool,
    /// `Singleton`, `Streamed` or `Chunked`; empty for streams.
    #[serde(skip_serializing_if = "is_empty")]
    pub response_type: String,
    /// Latency sampling of a service.
    #[serde(rename = "service_latency", skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyFacts>,
    /// Accounts that may import it; empty for any.
    #[serde(skip_serializing_if = "is_empty")]
    pub approved_accounts: Vec<String>,
    /// Revoked activations and since when.
    #[serde(
        rename = "revoked_activations",
        skip_serializing_if = "is_empty",
        serialize_with = "times"
    )]
    pub revoked: BTreeMap<String, Timestamp>,
}

/// One import, or a response that is awaited.
#[derive(Clone, Debug, Default)]
pub struct ImportFacts {
    /// The subject in the exporter's account.
    pub subject: String,
    /// The exporter.
    pub account: String,
    /// The subject in the importer's account.
    pub local_subject: String,
    /// Stream or service.
    pub kind: ExportKind,
    /// Whether the import no longer matches an export.
    pub invalid: bool,
    /// Whether the exporter learns who asked.
    pub share: bool,
    /// Whether this request is being measured.
    pub tracking: bool,
    /// The headers that started the measurement.
    pub tracking_header: BTreeMap<String, Vec<String>>,
    /// Latency sampling of the service.
    pub latency: Option<LatencyFacts>,
}

/// Messages and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MsgBytes {
    /// Messages.
    pub msgs: u64,
    /// Payload bytes.
    pub bytes: u64,
}

/// Traffic of one account on this server.
#[derive(Clone, Debug, Default)]
pub struct AccountStat {
    /// The account's name.
    pub account: String,
    /// Its tag; its name when it has none.
    pub name_tag: String,
    /// Clients.
    pub clients: u64,
    /// Leafnodes.
    pub leafnodes: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// To all: in total, by gateways, routes, leafnodes.
    pub sent: [MsgBytes; 4],
    /// From all: in total, by gateways, routes, leafnodes.
    pub received: [MsgBytes; 4],
    /// Connections closed for being too slow.
    pub slow_consumers: u64,
}

#[derive(Debug, Serialize)]
struct ImportLine {
    #[serde(skip_serializing_if = "is_empty")]
    subject: String,
    #[serde(skip_serializing_if = "is_empty")]
    account: String,
    #[serde(skip_serializing_if = "is_empty")]
    to: String,
    #[serde(skip_serializing_if = "is_empty")]
    local_subject: String,
    #[serde(rename = "type")]
    kind: KindForm,
    invalid: bool,
    share: bool,
    tracking: bool,
    #[serde(skip_serializing_if = "is_empty")]
    tracking_header: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyFacts>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum KindForm {
    Word(ExportKind),
    Number(u8),
}

impl From<ImportFacts> for ImportLine {
    fn from(import: ImportFacts) -> Self {
        let service = import.kind == ExportKind::Service;
        Self {
            subject: import.subject,
            account: import.account,
            // Compat(MON-019): services repeat the local subject under its old name.
            to: if service { import.local_subject.clone() } else { String::new() },
            local_subject: import.local_subject,
            kind: KindForm::Word(import.kind),
            invalid: import.invalid,
            share: import.share,
            tracking: import.tracking,
            tracking_header: import.tracking_header,
            latency: import.latency,
        }
    }
}

impl ImportLine {
    /// Compat(MON-019): in the map of responses the reference prints the kind's number.
    fn response(import: ImportFacts) -> Self {
        let number = match import.kind {
            ExportKind::Stream => 1,
            ExportKind::Service => 2,
        };
        Self { kind: KindForm::Number(number), ..import.into() }
    }
}

#[derive(Debug, Serialize)]
struct AccountDetail {
    account_name: String,
    #[serde(serialize_with = "json::time")]
    update_time: Timestamp,
    #[serde(skip_serializing_if = "is_empty")]
    is_system: bool,
    expired: bool,
    complete: bool,
    jetstream_enabled: bool,
    leafnode_connections: u64,
    client_connections: u64,
    subscriptions: u64,
    #[serde(skip_serializing_if = "is_empty")]
    mappings: BTreeMap<String, Vec<MappingTarget>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<ExportFacts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<ImportLine>,
    #[serde(skip_serializing_if = "is_empty")]
    jwt: String,
    #[serde(skip_serializing_if = "is_empty")]
    issuer_key: String,
    #[serde(skip_serializing_if = "is_empty")]
    name_tag: String,
    #[serde(skip_serializing_if = "is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded_jwt: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    validation_result_jwt: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "is_empty", serialize_with = "times")]
    revoked_user: BTreeMap<String, Timestamp>,
    sublist_stats: SublistStats,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    responses: BTreeMap<String, ImportLine>,
}

fn times<S: Serializer>(at: &BTreeMap<String, Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(at.iter().map(|(name, at)| (name, at.rfc3339())))
}

/// The `/accountz` document.
#[derive(Debug, Serialize)]
pub(crate) struct Accountz {
    server_id: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    #[serde(skip_serializing_if = "is_empty")]
    system_account: String,
    #[serde(skip_serializing_if = "is_empty")]
    accounts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_detail: Option<AccountDetail>,
}

/// Makes the `/accountz` document: the list, or `name` in detail.
pub(crate) fn accountz(name: &str, source: &dyn Source, now: Now) -> Result<Accountz, Error> {
    let mut document = Accountz {
        server_id: source.server_id(),
        now: now.wall,
        system_account: source.system_account().unwrap_or_default(),
        accounts: Vec::new(),
        account_detail: None,
    };
    if name.is_empty() {
        document.accounts = sorted(source.account_names());
        return Ok(document);
    }
    let facts = source.account(name).ok_or_else(|| Error::UnknownAccount(name.to_owned()))?;
    let is_system = document.system_account == name;
    document.account_detail = Some(detail(name, is_system, facts));
    Ok(document)
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

/// One account as it is told to who asks for it alone.
pub(crate) fn account_info(name: &str, source: &dyn Source) -> Result<impl Serialize, Error> {
    let facts = source.account(name).ok_or_else(|| Error::UnknownAccount(name.to_owned()))?;
    Ok(detail(name, source.system_account().as_deref() == Some(name), facts))
}

fn detail(name: &str, is_system: bool, facts: AccountFacts) -> AccountDetail {
    AccountDetail {
        account_name: name.to_owned(),
        update_time: facts.updated,
        is_system,
        expired: facts.expired,
        complete: facts.complete,
        jetstream_enabled: facts.jetstream,
        leafnode_connections: facts.leafnodes,
        client_connections: facts.clients,
        subscriptions: facts.subscriptions,
        mappings: facts.mappings,
        exports: facts.exports,
        imports: facts.imports.into_iter().map(ImportLine::from).collect(),
        jwt: facts.jwt,
        issuer_key: facts.issuer_key,
        name_tag: facts.name_tag,
        tags: facts.tags,
        decoded_jwt: facts.decoded_jwt,
        validation_result_jwt: facts.jwt_issues,
        revoked_user: facts.revoked_users,
        sublist_stats: SublistStats::of(&[facts.sublist]),
        responses: facts
            .responses
            .into_iter()
            .map(|(subject, response)| (subject, ImportLine::response(response)))
            .collect(),
    }
}

#[derive(Debug, Serialize)]
struct Traffic {
    #[serde(flatten)]
    all: MsgBytes,
    gateways: MsgBytes,
    routes: MsgBytes,
    leafs: MsgBytes,
}

impl From<[MsgBytes; 4]> for Traffic {
    fn from([all, gateways, routes, leafs]: [MsgBytes; 4]) -> Self {
        Self { all, gateways, routes, leafs }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct StatLine {
    acc: String,
    name: String,
    conns: u64,
    leafnodes: u64,
    total_conns: u64,
    num_subscriptions: u64,
    sent: Traffic,
    received: Traffic,
    slow_consumers: u64,
}

impl From<AccountStat> for StatLine {
    fn from(stat: AccountStat) -> Self {
        Self {
            acc: stat.account,
            name: stat.name_tag,
            conns: stat.clients,
            leafnodes: stat.leafnodes,
            total_conns: stat.clients.saturating_add(stat.leafnodes),
            num_subscriptions: stat.subscriptions,
            sent: stat.sent.into(),
            received: stat.received.into(),
            slow_consumers: stat.slow_consumers,
        }
    }
}

/// The `/accstatz` document.
#[derive(Debug, Serialize)]
pub(crate) struct AccountStatz {
    server_id: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    account_statz: Vec<StatLine>,
}

impl AccountStatz {
    /// Whether there is no account in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.account_statz.is_empty()
    }
}

/// Makes the `/accstatz` document for `names`, or for every account if there are none.
pub(crate) fn account_statz(
    names: &[String],
    include_unused: bool,
    source: &dyn Source,
    now: Now,
) -> AccountStatz {
    let all = if names.is_empty() { sorted(source.account_names()) } else { names.to_vec() };
    let lines = all
        .iter()
        .filter_map(|name| source.account_stat(name))
        .filter(|stat| include_unused || stat.clients > 0 || stat.leafnodes > 0)
        .map(StatLine::from)
        .collect();
    AccountStatz { server_id: source.server_id(), now: now.wall, account_statz: lines }
}
