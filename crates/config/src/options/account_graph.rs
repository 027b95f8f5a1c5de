//! Whether imports and exports of all accounts fit together.
//!
//! Reference: accounts.go addStreamExportWithAccountPos, addServiceExportWithResponseAndAccountPos,
//! checkAuth, streamImportFormsCycle, serviceImportFormsCycle.

use std::collections::BTreeSet;

use super::account_parts::{Account, ResponseType, ServiceExport, ServiceImport, StreamImport};
use super::reader::quote;
use super::{Options, subjects};

/// How far a chain of imports is followed.
const DEPTH_MAX: usize = 1024;

/// Every misfit, in the order exports, then imports, each in file order.
pub(super) fn check(options: &Options) -> Vec<String> {
    let mut graph = Graph { options, streams: Vec::new(), services: Vec::new() };
    let mut found = Vec::new();
    for account in &options.accounts {
        found.extend(graph.check_stream_exports(account));
    }
    for account in &options.accounts {
        found.extend(graph.check_service_exports(account));
    }
    for account in &options.accounts {
        for import in &account.stream_imports {
            found.extend(graph.add_stream_import(account, import).err());
        }
    }
    for account in &options.accounts {
        for import in &account.service_imports {
            found.extend(graph.add_service_import(account, import).err());
        }
    }
    found
}

/// An import that was found good: importing account, exporting account, subject there and here.
struct Edge<'o> {
    importer: &'o str,
    exporter: &'o str,
    subject: String,
    to: String,
}

struct Graph<'o> {
    options: &'o Options,
    streams: Vec<Edge<'o>>,
    services: Vec<Edge<'o>>,
}

impl<'o> Graph<'o> {
    // === exports ===

    fn check_stream_exports(&self, account: &Account) -> Vec<String> {
        let mut found = Vec::new();
        for export in &account.stream_exports {
            let names = export.accounts.as_deref().unwrap_or_default();
            found.extend(self.missing(names, "stream"));
            if !position_fits(&export.subject, export.account_token_position) {
                let subject = quote(&export.subject);
                found.push(format!(
                    "Error adding stream export {subject}: sublist: invalid subject"
                ));
            }
        }
        found
    }

    fn check_service_exports(&self, account: &Account) -> Vec<String> {
        let mut found = Vec::new();
        for export in &account.service_exports {
            let names = export.accounts.as_deref().unwrap_or_default();
            found.extend(self.missing(names, "service"));
            let subject = quote(&export.subject);
            if !position_fits(&export.subject, export.account_token_position) {
                found.push(format!(
                    "Error adding service export {subject}: sublist: invalid subject"
                ));
                continue;
            }
            found.extend(self.check_latency(account, export).err());
        }
        found
    }

    fn check_latency(&self, account: &Account, export: &ServiceExport) -> Result<(), String> {
        let Some(latency) = &export.latency else { return Ok(()) };
        let subject = quote(&export.subject);
        if self.options.system.disabled {
            return Err(format!(
                "Error adding service latency sampling for {subject}: system account not setup"
            ));
        }
        let results = latency.subject.as_str();
        let exported = account
            .service_exports
            .iter()
            .take_while(|other| !std::ptr::eq(*other, export))
            .chain(std::iter::once(export))
            .any(|other| subjects::is_subset(results, &other.subject));
        let cause = if !subjects::is_publishable(results) || exported {
            "invalid publish subject"
        } else if export.response_type != ResponseType::Singleton {
            "bad service response type"
        } else {
            return Ok(());
        };
        let results = quote(results);
        Err(format!(
            "Error adding service latency sampling for {subject} on subject {results}: {cause}"
        ))
    }

    fn missing(&self, names: &[String], what: &str) -> Vec<String> {
        let unknown = names.iter().filter(|name| self.options.account(name).is_none());
        unknown
            .map(|name| format!("{} account not defined for {what} export", quote(name)))
            .collect()
    }

    // === imports ===

    fn exporter(&self, name: &str, what: &str) -> Result<&'o Account, String> {
        self.options
            .account(name)
            .ok_or_else(|| format!("{} account not defined for {what} import", quote(name)))
    }

    fn add_stream_import(
        &mut self,
        account: &'o Account,
        import: &'o StreamImport,
    ) -> Result<(), String> {
        let exporter = self.exporter(&import.account, "stream")?;
        let subject = quote(&import.subject);
        let edge = self
            .stream_edge(account, exporter, import)
            .map_err(|cause| format!("Error adding stream import {subject}: {cause}"))?;
        self.streams.push(edge);
        Ok(())
    }

    fn stream_edge(
        &self,
        account: &'o Account,
        exporter: &'o Account,
        import: &StreamImport,
    ) -> Result<Edge<'o>, String> {
        let from = import.subject.as_str();
        let exports = exporter.stream_exports.iter().map(|e| Offer {
            subject: &e.subject,
            accounts: e.accounts.as_deref(),
            position: e.account_token_position,
        });
        if !subjects::is_valid(from) || !approved(&exports, &account.name, from) {
            return Err("stream import not authorized".into());
        }
        let to = match (&import.prefix, &import.to) {
            (Some(prefix), _) if subjects::has_wildcard(prefix) => {
                return Err("stream import prefix can not contain wildcard tokens".into());
            }
            (Some(prefix), _) if prefix.ends_with('.') => format!("{prefix}{from}"),
            (Some(prefix), _) => format!("{prefix}.{from}"),
            (None, Some(to)) => to.clone(),
            (None, None) => from.to_owned(),
        };
        for subject in [to.as_str(), from] {
            self.stream_cycle(exporter, subject, &mut BTreeSet::from([account.name.as_str()]))?;
        }
        if subjects::has_wildcard(from) && to != from {
            subjects::check_import(from, &to).map_err(|cause| {
                let (from, to) = (quote(from), quote(&to));
                format!(
                    "failed to create mapping transform for stream import subject from {from} to \
                     {to}: {cause}"
                )
            })?;
        }
        let twice = self.streams.iter().any(|edge| {
            edge.importer == account.name && edge.exporter == exporter.name && edge.subject == from
        });
        if twice {
            return Err("stream import already exists".into());
        }
        Ok(Edge { importer: &account.name, exporter: &exporter.name, subject: from.into(), to })
    }

    fn stream_cycle(
        &self,
        at: &'o Account,
        subject: &str,
        visited: &mut BTreeSet<&'o str>,
    ) -> Result<(), String> {
        if visited.len() >= DEPTH_MAX {
            return Err("search cycle depth exhausted".into());
        }
        if !at.stream_exports.iter().any(|e| subjects::is_subset(subject, &e.subject)) {
            return Ok(());
        }
        for edge in self.streams.iter().filter(|edge| edge.importer == at.name) {
            if !subjects::collide(subject, &edge.to) {
                continue;
            }
            if visited.contains(edge.exporter) {
                return Err("import forms a cycle".into());
            }
            visited.insert(&at.name);
            let next = if subjects::is_subset(&edge.to, subject) { &edge.to } else { subject };
            if let Some(account) = self.options.account(edge.exporter) {
                self.stream_cycle(account, next, visited)?;
            }
        }
        Ok(())
    }

    fn add_service_import(
        &mut self,
        account: &'o Account,
        import: &'o ServiceImport,
    ) -> Result<(), String> {
        let exporter = self.exporter(&import.account, "service")?;
        let subject = quote(&import.subject);
        let edge = self
            .service_edge(account, exporter, import)
            .map_err(|cause| format!("Error adding service import {subject}: {cause}"))?;
        self.services.push(edge);
        Ok(())
    }

    fn service_edge(
        &self,
        account: &'o Account,
        exporter: &'o Account,
        import: &ServiceImport,
    ) -> Result<Edge<'o>, String> {
        // `from` is the subject here, `to` the subject at the exporter.
        let (from, to) = (import.to.as_str(), import.subject.as_str());
        if !subjects::is_valid(from) || !subjects::is_valid(to) {
            return Err("sublist: invalid subject".into());
        }
        let exports = exporter.service_exports.iter().map(|e| Offer {
            subject: &e.subject,
            accounts: e.accounts.as_deref(),
            position: e.account_token_position,
        });
        if !approved(&exports, &account.name, to) {
            return Err("service import not authorized".into());
        }
        let here = if subjects::has_wildcard(to) {
            subjects::placeholders_to_wildcards(from)
        } else {
            from.to_owned()
        };
        self.service_cycle(exporter, &here, &mut BTreeSet::from([account.name.as_str()]))?;
        self.service_is_free(account, exporter, from)?;
        if subjects::has_wildcard(to) && to != from {
            subjects::check_import(to, from).map_err(|cause| {
                let (from, to) = (quote(from), quote(to));
                format!(
                    "failed to create mapping transform for service import subject from {from} to \
                     {to}: {cause}"
                )
            })?;
        }
        let (importer, exporter) = (account.name.as_str(), exporter.name.as_str());
        Ok(Edge { importer, exporter, subject: to.into(), to: here })
    }

    /// Compat(ACC-010): what is written here is looked for among those found good, whose
    /// placeholders are wildcards by then.
    fn service_is_free(
        &self,
        importer: &Account,
        exporter: &Account,
        from: &str,
    ) -> Result<(), String> {
        let taken = self.services.iter().find(|edge| {
            edge.importer == importer.name && edge.exporter == exporter.name && edge.to == from
        });
        let Some(taken) = taken else { return Ok(()) };
        Err(format!(
            "duplicate service import subject {}, previously used in import for account {}, \
             subject {}",
            quote(from),
            quote(taken.exporter),
            quote(&taken.subject)
        ))
    }

    fn service_cycle(
        &self,
        at: &'o Account,
        subject: &str,
        visited: &mut BTreeSet<&'o str>,
    ) -> Result<(), String> {
        if visited.len() >= DEPTH_MAX {
            return Err("search cycle depth exhausted".into());
        }
        for edge in self.services.iter().filter(|edge| edge.importer == at.name) {
            if !subjects::collide(subject, &edge.subject) {
                continue;
            }
            if visited.contains(edge.exporter) {
                return Err("import forms a cycle".into());
            }
            visited.insert(&at.name);
            let next = if subjects::is_subset(&edge.to, subject) { &edge.to } else { subject };
            if let Some(account) = self.options.account(edge.exporter) {
                self.service_cycle(account, next, visited)?;
            }
        }
        Ok(())
    }
}

struct Offer<'a> {
    subject: &'a str,
    accounts: Option<&'a [String]>,
    position: u64,
}

/// Whether one of the exports covers `subject` and allows `importer`.
fn approved<'a>(
    exports: &(impl Iterator<Item = Offer<'a>> + Clone),
    importer: &str,
    subject: &str,
) -> bool {
    // An exact match decides alone.
    let exact = exports.clone().filter(|offer| offer.subject == subject).last();
    let found = exact.map(|offer| (offer, false)).or_else(|| {
        let covers = |offer: &Offer<'_>| subjects::is_subset(subject, offer.subject);
        exports.clone().find(covers).map(|offer| (offer, true))
    });
    let Some((offer, by_tokens)) = found else { return false };
    if offer.position > 0 {
        let token =
            usize::try_from(offer.position - 1).ok().and_then(|at| subject.split('.').nth(at));
        return by_tokens && token == Some(importer);
    }
    offer.accounts.is_none_or(|names| names.iter().any(|name| name == importer))
}

/// Whether the token that must name the importing account is a wildcard.
fn position_fits(subject: &str, position: u64) -> bool {
    let Some(at) = position.checked_sub(1) else { return true };
    usize::try_from(at).ok().and_then(|at| subject.split('.').nth(at)) == Some("*")
}
