//! What monitoring says of an account's exports, imports, mappings and awaited answers.
//!
//! Law: a snapshot is the caller's own; nothing in it changes afterwards.
//! Reference: monitor.go accountInfo, newExtImport.   Contract: MON-019.

use super::Account;
use super::definition::{LatencyDefinition, ResponseType};

/// One export; services come before streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportSnapshot {
    /// The exported subject.
    pub subject: String,
    /// How a service answers; `None` for streams.
    pub response: Option<ResponseType>,
    /// Latency sampling of a service.
    pub latency: Option<LatencyDefinition>,
    /// Accounts that may import it; empty for any.
    pub accounts: Vec<String>,
}

/// One import, or an answer that is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportSnapshot {
    /// The subject in the other account.
    pub subject: String,
    /// The other account.
    pub account: String,
    /// The subject in the account itself.
    pub local_subject: String,
    /// Service (or answer of one) rather than stream.
    pub service: bool,
    /// Whether the other account is gone.
    pub invalid: bool,
    /// Whether the exporter learns who asked.
    pub share: bool,
    /// Whether the request is being measured.
    pub tracking: bool,
    /// The headers that started the measurement.
    pub tracking_header: Vec<(String, Vec<String>)>,
    /// Latency sampling of the service.
    pub latency: Option<LatencyDefinition>,
}

/// One destination of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingSnapshot {
    /// The mapped subject.
    pub source: String,
    /// Destinations: subject, upper end of its share in percent, cluster.
    pub destinations: Vec<(String, u8, String)>,
}

impl Account {
    /// What the account offers: services, then streams.
    pub fn export_snapshot(&self) -> Vec<ExportSnapshot> {
        let exports = self.exports.load();
        let services = exports.services.iter().map(|export| ExportSnapshot {
            subject: export.subject.clone(),
            response: Some(export.response),
            latency: export.latency.clone(),
            accounts: export.audience.accounts.clone(),
        });
        let streams = exports.streams.iter().map(|export| ExportSnapshot {
            subject: export.subject.clone(),
            response: None,
            latency: None,
            accounts: export.audience.accounts.clone(),
        });
        services.chain(streams).collect()
    }

    /// What the account uses: streams, then services.
    pub fn import_snapshot(&self) -> Vec<ImportSnapshot> {
        let mut all = Vec::new();
        for import in &self.shadows.lock().imports {
            all.push(ImportSnapshot {
                subject: import.terms.from.clone(),
                account: import.terms.account.clone(),
                local_subject: import.terms.to.clone(),
                service: false,
                invalid: import.exporter.strong_count() == 0,
                share: false,
                tracking: false,
                tracking_header: Vec::new(),
                latency: None,
            });
        }
        for (import, _) in &*self.services.lock() {
            let terms = &import.terms;
            all.push(ImportSnapshot {
                subject: terms.to.clone(),
                account: terms.account.clone(),
                local_subject: terms.from.clone(),
                service: true,
                invalid: import.exporter.strong_count() == 0,
                share: terms.share,
                tracking: false,
                tracking_header: Vec::new(),
                latency: terms.export.as_ref().and_then(|export| export.latency.clone()),
            });
        }
        all
    }

    /// Whether it imports a service under a subject of which that holds.
    pub fn imports_service(&self, holds: impl Fn(&[u8]) -> bool) -> bool {
        self.services.lock().iter().any(|(import, _)| holds(import.terms.from.as_bytes()))
    }

    /// The answers its services owe, by the subject they will come on.
    pub fn response_snapshot(&self) -> Vec<ImportSnapshot> {
        let mut all = Vec::new();
        self.responses.for_each(|subject, response| {
            let tracking = response.tracking.as_ref();
            let header = tracking.map(|t| t.header.clone()).unwrap_or_default();
            let export = response.export.as_ref().filter(|_| tracking.is_some());
            let requester = response.requester.upgrade();
            all.push(ImportSnapshot {
                subject: String::from_utf8_lossy(&response.to).into_owned(),
                account: requester.as_ref().map(|a| a.name.clone()).unwrap_or_default(),
                local_subject: String::from_utf8_lossy(subject).into_owned(),
                service: true,
                invalid: requester.is_none(),
                share: response.share,
                tracking: tracking.is_some(),
                tracking_header: header.into_iter().collect(),
                latency: export.and_then(|export| export.latency.clone()),
            });
        });
        all
    }

    /// Number of answers its services owe, and of reply subjects its requesters wait on.
    pub fn pending_responses(&self) -> (usize, usize) {
        (self.responses.len(), self.expected.len())
    }

    /// The mappings, in the order in which they are tried.
    pub fn mapping_snapshot(&self) -> Vec<MappingSnapshot> {
        let current = self.mappings.load();
        let of = |mapping: &subject::Mapping| MappingSnapshot {
            source: mapping.source().to_owned(),
            destinations: mapping
                .destinations()
                .map(|(to, below, cluster)| (to.to_owned(), below, cluster.to_owned()))
                .collect(),
        };
        current.mappings.iter().map(of).collect()
    }
}
