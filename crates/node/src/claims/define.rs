//! From an account's token to the broker's definition of the account.
//!
//! Not here: whether the token is trusted (`super`).
//! Laws: an import that needs an activation and has none that is good now is left out; what was
//!       left out makes the account incomplete, not unusable.
//! Reference: accounts.go updateAccountClaimsWithRefresh, checkActivation.
//! Contract: ACC-018, ACC-019, ACC-021.

use auth::authenticate::jwt::TrustedAccount;
use auth::jwt::account::MessageTrace;
use auth::jwt::limits::limit;
use auth::jwt::share::{self, is_revoked};
use auth::jwt::{Account, ActivationClaims, Issues};
use broker::account::definition::{
    AccountDefinition, ExportDefinition, ExportKind, ImportDefinition, ImportKind,
    LatencyDefinition, LimitsDefinition, MappingDefinition, Rename, ResponseType, Sampling,
    ServiceDefinition,
};
use broker::tracing::TraceTarget;
use std::time::Duration;
use subject::mapping::Destination;

/// What comes of an account's token, given the others'.
#[derive(Debug, Default)]
pub(super) struct Defined {
    /// For the broker.
    pub(super) account: AccountDefinition,
    /// Imports that were left out: the exporter, the subject, and why.
    pub(super) missing: Vec<Missing>,
    /// When an activation ends (Unix seconds), and the account has to be defined anew.
    pub(super) until: Option<i64>,
}

/// An import that was left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// The exporter.
    pub(super) account: String,
    /// The subject in its account.
    pub(super) subject: String,
    /// `stream` or `service`.
    pub(super) kind: String,
    /// Whether the exporter itself is not known.
    pub(super) unknown: bool,
}

/// Defines `account` at `now` (Unix seconds); `known` finds the tokens of others.
pub(super) fn define<'a>(
    account: &TrustedAccount,
    known: impl Fn(&str) -> Option<&'a TrustedAccount>,
    now: i64,
) -> Defined {
    let claims = &account.claims;
    let body = &claims.nats;
    let mut defined = Defined {
        account: AccountDefinition {
            name: claims.subject.clone(),
            exports: body.exports.iter().filter_map(export).collect(),
            mappings: mappings(body),
            limits: limits(body),
            trace: body.trace.as_ref().map(trace),
            ..AccountDefinition::default()
        },
        ..Defined::default()
    };
    for import in &body.imports {
        let exporter = known(&import.account);
        let end = exporter.map(|exporter| admitted(exporter, import, &claims.subject, now));
        match end {
            Some(Some(end)) => {
                defined.until = [defined.until, end].into_iter().flatten().min();
                defined.account.imports.push(import_definition(import));
            }
            other => defined.missing.push(Missing {
                account: import.account.clone(),
                subject: theirs(import).to_owned(),
                kind: import.kind.clone(),
                unknown: other.is_none(),
            }),
        }
    }
    defined
}

/// Nothing said is everything traced.
fn trace(trace: &MessageTrace) -> TraceTarget {
    let sampling = u8::try_from(trace.sampling).ok().filter(|n| (1..=100).contains(n));
    TraceTarget { subject: trace.destination.clone(), sampling: sampling.unwrap_or(100) }
}

fn limits(body: &Account) -> LimitsDefinition {
    LimitsDefinition {
        connections: limit(body.limits.conn),
        subscriptions: limit(body.limits.subs),
        payload: limit(body.limits.payload),
        leafnodes: limit(body.limits.leaf),
    }
}

fn mappings(body: &Account) -> Vec<MappingDefinition> {
    let all = body.mappings.iter().map(|(source, to)| MappingDefinition {
        source: source.clone(),
        destinations: to
            .iter()
            .map(|to| Destination {
                subject: to.subject.clone(),
                weight: to.share(),
                cluster: to.cluster.clone(),
            })
            .collect(),
    });
    all.collect()
}

fn export(export: &share::Export) -> Option<ExportDefinition> {
    let kind = match export.kind.as_str() {
        "stream" => ExportKind::Stream,
        "service" => ExportKind::Service(ServiceDefinition {
            response: match export.response_type.as_str() {
                "Stream" => ResponseType::Streamed,
                "Chunked" => ResponseType::Chunked,
                _ => ResponseType::Singleton,
            },
            threshold: u64::try_from(export.response_threshold)
                .ok()
                .filter(|ns| *ns > 0)
                .map(Duration::from_nanos),
            latency: export.service_latency.as_ref().map(latency),
            allow_trace: export.allow_trace,
        }),
        _ => return None,
    };
    Some(ExportDefinition {
        subject: export.subject.clone(),
        // Whose import needs an activation is looked at when it is defined.
        accounts: Vec::new(),
        account_token_position: usize::try_from(export.account_token_position)
            .unwrap_or(usize::MAX),
        kind,
    })
}

fn latency(of: &share::Latency) -> LatencyDefinition {
    let share = u8::try_from(of.sampling).unwrap_or(0);
    LatencyDefinition {
        sampling: if share == 0 { Sampling::Headers } else { Sampling::Percent(share) },
        subject: of.results.clone(),
    }
}

/// The subject in the exporter's account.
fn theirs(import: &share::Import) -> &str {
    let service = import.kind == "service";
    if service && import.local_subject.is_empty() && !import.to.is_empty() {
        &import.to
    } else {
        &import.subject
    }
}

fn import_definition(import: &share::Import) -> ImportDefinition {
    let local = Some(&import.local_subject).filter(|local| !local.is_empty());
    let kind = if import.kind == "service" {
        ImportKind::Service {
            to: Some(local.unwrap_or(&import.subject).clone()),
            share: import.share,
        }
    } else {
        let rename = match local {
            Some(local) => Rename::To(local.clone()),
            None if import.to.is_empty() => Rename::Keep,
            None => Rename::Prefix(import.to.clone()),
        };
        ImportKind::Stream { rename, allow_trace: import.allow_trace }
    };
    ImportDefinition { account: import.account.clone(), subject: theirs(import).to_owned(), kind }
}

/// Whether the exporter lets `importer` have this, as far as activations say; the inner value is
/// when that ends. Everything else the broker looks at.
fn admitted(
    exporter: &TrustedAccount,
    import: &share::Import,
    importer: &str,
    now: i64,
) -> Option<Option<i64>> {
    let Some(export) = covering(exporter, import) else { return Some(None) };
    if !export.token_req || export.account_token_position > 0 {
        return Some(None);
    }
    let mut issues = Issues::default();
    import.validate(importer, &mut issues);
    let activation = ActivationClaims::decode(&import.token).ok()?;
    if issues.block(true) || activation.validate(Some(now)).block(true) {
        return None;
    }
    let issuer_account = &activation.nats.issuer_account;
    let vouched = issuer_account.is_empty()
        || (*issuer_account == exporter.claims.subject
            && exporter.knows_signer(&activation.issuer));
    let ended = activation.expires != 0 && activation.expires <= now;
    let revoked = is_revoked(&export.revocations, &activation.subject, activation.issued_at);
    if !vouched || ended || revoked {
        return None;
    }
    Some((activation.expires != 0).then_some(activation.expires))
}

/// The export that an import is of: that of the very subject, else the first wider one.
fn covering<'a>(exporter: &'a TrustedAccount, import: &share::Import) -> Option<&'a share::Export> {
    let subject = theirs(import);
    let same_kind = |export: &&share::Export| export.kind == import.kind;
    let all = || exporter.claims.nats.exports.iter().filter(same_kind);
    all().find(|export| export.subject == subject).or_else(|| {
        all().find(|export| subject::is_subset(subject.as_bytes(), export.subject.as_bytes()))
    })
}
