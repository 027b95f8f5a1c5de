//! Checks account definitions against each other and compiles them, without touching what runs.
//!
//! Laws: exports come before imports, so that the order of accounts does not matter; every fault
//!       is reported, not only the first; what passes can be put in force without further checks.
//! Reference: opts.go parseAccounts; accounts.go addServiceImportWithClaim,
//! addMappedStreamImportWithClaim.   Contract: ACC-007..010, ACC-015, SUBJ-009.

use super::cycle;
use super::definition::{
    AccountDefinition, ExportKind, ImportDefinition, ImportKind, LimitsDefinition, Rename,
};
use super::error::{AccountError, Entry, EntryError};
use super::export::Exports;
use super::import::{ServiceTerms, StreamTerms, without_placeholders};
use crate::tracing::TraceTarget;
use hashbrown::HashMap;
use subject::{Mapping, Mappings};

/// One account, checked and compiled.
#[derive(Default)]
pub(super) struct Draft {
    pub name: String,
    pub exports: Exports,
    pub streams: Vec<StreamTerms>,
    pub services: Vec<ServiceTerms>,
    pub mappings: Mappings,
    pub limits: LimitsDefinition,
    pub trace: Option<TraceTarget>,
}

/// All accounts, in the order of their definitions.
#[derive(Default)]
pub(super) struct Drafts {
    pub all: Vec<Draft>,
    by_name: HashMap<String, usize>,
}

impl Drafts {
    /// The draft of the account `name`.
    pub(super) fn get(&self, name: &str) -> Option<&Draft> {
        self.all.get(*self.by_name.get(name)?)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Draft> {
        self.all.get_mut(*self.by_name.get(name)?)
    }
}

/// Checks all definitions without putting them in force (`nats-server -t`).
pub fn check(definitions: &[AccountDefinition]) -> Result<(), Vec<AccountError>> {
    draft(definitions, &[]).map(|_| ())
}

/// Compiles all definitions. `known` are accounts that exist without a definition of their own.
pub(super) fn draft(
    definitions: &[AccountDefinition],
    known: &[&str],
) -> Result<Drafts, Vec<AccountError>> {
    match draft_all(definitions, known) {
        (drafts, errors) if errors.is_empty() => Ok(drafts),
        (_, errors) => Err(errors),
    }
}

/// Compiles what can be compiled, and says what cannot.
pub(super) fn draft_all(
    definitions: &[AccountDefinition],
    known: &[&str],
) -> (Drafts, Vec<AccountError>) {
    let mut drafts = Drafts::default();
    let mut errors = Vec::new();
    for name in known.iter().copied().chain(definitions.iter().map(|d| d.name.as_str())) {
        drafts.by_name.entry_ref(name).or_insert_with(|| {
            drafts.all.push(Draft { name: name.to_owned(), ..Draft::default() });
            drafts.all.len() - 1
        });
    }
    for definition in definitions {
        compile_exports(&mut drafts, definition, &mut errors);
        compile_mappings(&mut drafts, definition, &mut errors);
    }
    for streams in [true, false] {
        for definition in definitions {
            for import in &definition.imports {
                if matches!(import.kind, ImportKind::Stream { .. }) == streams
                    && let Err(error) = compile_import(&mut drafts, &definition.name, import)
                {
                    errors.push(error);
                }
            }
        }
    }
    for definition in definitions {
        compile_automatic(&mut drafts, definition);
    }
    (drafts, errors)
}

fn compile_exports(
    drafts: &mut Drafts,
    definition: &AccountDefinition,
    errors: &mut Vec<AccountError>,
) {
    let account = &definition.name;
    for export in &definition.exports {
        let entry = match export.kind {
            ExportKind::Stream => Entry::StreamExport,
            ExportKind::Service(_) => Entry::ServiceExport,
        };
        for named in &export.accounts {
            if drafts.get(named).is_none() {
                let (account, named) = (account.clone(), named.clone());
                errors.push(AccountError::UnknownAccount { account, named, entry });
            }
        }
        let Some(draft) = drafts.get_mut(account) else { continue };
        if let Err(cause) = draft.exports.add(export) {
            let (account, subject) = (account.clone(), export.subject.clone());
            errors.push(AccountError::Entry { account, subject, entry, cause: cause.into() });
        } else if let ExportKind::Service(service) = &export.kind
            && let Some(latency) = &service.latency
            && let Err(cause) = draft.exports.track(&export.subject, latency)
        {
            let (account, service) = (account.clone(), export.subject.clone());
            let subject = latency.subject.clone();
            errors.push(AccountError::Latency { account, service, subject, cause: cause.into() });
        }
    }
    if let Some(draft) = drafts.get_mut(account) {
        draft.limits = definition.limits;
        draft.trace.clone_from(&definition.trace);
    }
}

fn compile_mappings(
    drafts: &mut Drafts,
    definition: &AccountDefinition,
    errors: &mut Vec<AccountError>,
) {
    let Some(draft) = drafts.get_mut(&definition.name) else { return };
    for mapping in &definition.mappings {
        match Mapping::new(&mapping.source, &mapping.destinations) {
            Ok(mapping) => draft.mappings.set(mapping),
            Err(cause) => {
                let (account, subject) = (definition.name.clone(), mapping.source.clone());
                errors.push(AccountError::Mapping { account, subject, cause });
            }
        }
    }
}

fn compile_import(
    drafts: &mut Drafts,
    account: &str,
    import: &ImportDefinition,
) -> Result<(), AccountError> {
    let entry = match import.kind {
        ImportKind::Stream { .. } => Entry::StreamImport,
        ImportKind::Service { .. } => Entry::ServiceImport,
    };
    if drafts.get(&import.account).is_none() {
        let (account, named) = (account.to_owned(), import.account.clone());
        return Err(AccountError::UnknownAccount { account, named, entry });
    }
    let done = match &import.kind {
        ImportKind::Stream { rename, allow_trace } => {
            import_stream(drafts, account, import, rename, *allow_trace)
        }
        ImportKind::Service { to, share } => {
            let from = to.as_deref().filter(|to| !to.is_empty()).unwrap_or(&import.subject);
            import_service(drafts, account, import, from, *share, false)
        }
    };
    done.map_err(|cause| {
        let (account, subject) = (account.to_owned(), import.subject.clone());
        AccountError::Entry { account, subject, entry, cause: cause.into() }
    })
}

/// Service imports nobody wrote: an account's own go before them, and none of them is a fault.
fn compile_automatic(drafts: &mut Drafts, definition: &AccountDefinition) {
    for import in &definition.automatic {
        if let ImportKind::Service { to: Some(from), share } = &import.kind {
            // What does not fit is left out.
            let _ = import_service(drafts, &definition.name, import, from, *share, true);
        }
    }
}

fn import_stream(
    drafts: &mut Drafts,
    account: &str,
    import: &ImportDefinition,
    rename: &Rename,
    allow_trace: bool,
) -> Result<(), EntryError> {
    let (exporter, from) = (&import.account, &import.subject);
    let offered = drafts.get(exporter).is_some_and(|d| d.exports.offers_stream(from, account));
    if !offered {
        return Err(EntryError::StreamNotAuthorized);
    }
    let to = match rename {
        Rename::Keep => from.clone(),
        Rename::To(to) if to.is_empty() => from.clone(),
        Rename::To(to) => to.clone(),
        Rename::Prefix(prefix) if subject::has_wildcard(prefix.as_bytes()) => {
            return Err(EntryError::PrefixHasWildcards);
        }
        Rename::Prefix(prefix) if prefix.is_empty() => from.clone(),
        Rename::Prefix(prefix) => format!("{}.{from}", prefix.strip_suffix('.').unwrap_or(prefix)),
    };
    cycle::of_streams(drafts, account, exporter, &to)?;
    cycle::of_streams(drafts, account, exporter, from)?;
    let terms = StreamTerms::new(exporter, from, &to, allow_trace)?;
    let Some(draft) = drafts.get_mut(account) else { return Ok(()) };
    if draft.streams.iter().any(|s| s.account == terms.account && s.from == terms.from) {
        return Err(EntryError::DuplicateStream);
    }
    draft.streams.push(terms);
    Ok(())
}

fn import_service(
    drafts: &mut Drafts,
    account: &str,
    import: &ImportDefinition,
    from: &str,
    share: bool,
    granted: bool,
) -> Result<(), EntryError> {
    let (exporter, to) = (&import.account, &import.subject);
    if !subject::is_valid(from.as_bytes()) || !subject::is_valid(to.as_bytes()) {
        return Err(EntryError::InvalidSubject);
    }
    let exports = drafts.get(exporter).map(|draft| &draft.exports);
    if !granted && !exports.is_some_and(|exports| exports.offers_service(to, account)) {
        return Err(EntryError::ServiceNotAuthorized);
    }
    let export = exports.and_then(|exports| exports.service(to)).cloned();
    let plain = if subject::has_wildcard(to.as_bytes()) {
        without_placeholders(from)
    } else {
        from.to_owned()
    };
    cycle::of_services(drafts, account, exporter, &plain)?;
    let terms = ServiceTerms::new(exporter, from, to, share, export)?;
    let Some(draft) = drafts.get_mut(account) else { return Ok(()) };
    // Compat(ACC-010): as it is written, so that of two with placeholders neither is in the way.
    let taken = draft.services.iter().find(|s| s.account == terms.account && s.from == from);
    if let Some(taken) = taken {
        let account = taken.account.clone();
        return Err(EntryError::DuplicateService {
            from: terms.from,
            account,
            to: taken.to.clone(),
        });
    }
    draft.services.push(terms);
    Ok(())
}
