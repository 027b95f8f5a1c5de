//! What an account offers, and to whom.
//!
//! Not here: what importers make of it (`import`).
//! Laws: the export that stands first decides where several cover a subject; an export without
//!       named accounts and without an account token is for everybody.
//! Reference: accounts.go exportAuth, checkAuth, getServiceExport, TrackServiceExportWithSampling.
//! Contract: ACC-005..008, ACC-015.

use super::definition::{
    ExportDefinition, ExportKind, LatencyDefinition, ResponseType, Sampling, ServiceDefinition,
};
use super::error::EntryError;
use std::sync::Arc;
use std::time::Duration;
use subject::token;

/// How long an answer may take where nothing is configured.
const THRESHOLD: Duration = Duration::from_secs(120);

/// All that one account offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exports {
    pub streams: Vec<StreamExport>,
    pub services: Vec<Arc<ServiceExport>>,
}

/// A stream on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamExport {
    pub subject: String,
    pub audience: Audience,
}

/// A service on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceExport {
    pub subject: String,
    pub audience: Audience,
    pub response: ResponseType,
    pub threshold: Duration,
    pub latency: Option<LatencyDefinition>,
    pub allow_trace: bool,
}

/// Who may import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audience {
    /// Names; empty for everybody.
    pub accounts: Vec<String>,
    /// The token (from one) that must be the importer's name; 0 for none.
    pub token_position: usize,
}

impl Audience {
    /// `exact`: the import names the very subject of the export.
    fn admits(&self, importer: &str, subject: &str, exact: bool) -> bool {
        if self.token_position > 0 {
            // Compat(ACC-008): the exported pattern itself names nobody.
            let token = token::nth(subject.as_bytes(), self.token_position - 1);
            return !exact && token == Some(importer.as_bytes());
        }
        self.accounts.is_empty() || self.accounts.iter().any(|name| name == importer)
    }

    fn add(&mut self, definition: &ExportDefinition) -> Result<(), EntryError> {
        let position = definition.account_token_position;
        if position > 0 {
            if token::nth(definition.subject.as_bytes(), position - 1) != Some(token::ANY_TOKEN) {
                return Err(EntryError::InvalidSubject);
            }
            self.token_position = position;
        }
        self.accounts.extend(definition.accounts.iter().cloned());
        Ok(())
    }
}

/// The export that covers `subject`: the one of that very subject, else the first wider one.
fn covering<'a, E>(
    exports: &'a [E],
    of: impl Fn(&E) -> &str,
    subject: &str,
) -> Option<(&'a E, bool)> {
    if let Some(export) = exports.iter().find(|export| of(export) == subject) {
        return Some((export, true));
    }
    let wider = |export: &&E| subject::is_subset(subject.as_bytes(), of(export).as_bytes());
    exports.iter().find(wider).map(|export| (export, false))
}

impl Exports {
    /// Adds what `definition` offers; a second export of the same subject adds to the first.
    pub(crate) fn add(&mut self, definition: &ExportDefinition) -> Result<(), EntryError> {
        match &definition.kind {
            ExportKind::Stream => self.add_stream(definition),
            ExportKind::Service(service) => self.add_service(definition, service),
        }
    }

    fn add_stream(&mut self, definition: &ExportDefinition) -> Result<(), EntryError> {
        let same = self.streams.iter_mut().find(|export| export.subject == definition.subject);
        if let Some(export) = same {
            return export.audience.add(definition);
        }
        let mut audience = Audience::default();
        audience.add(definition)?;
        self.streams.push(StreamExport { subject: definition.subject.clone(), audience });
        Ok(())
    }

    fn add_service(
        &mut self,
        definition: &ExportDefinition,
        service: &ServiceDefinition,
    ) -> Result<(), EntryError> {
        let at = self.services.iter().position(|export| export.subject == definition.subject);
        let mut export = match at {
            Some(at) => (*self.services[at]).clone(),
            None => ServiceExport {
                subject: definition.subject.clone(),
                audience: Audience::default(),
                response: ResponseType::Singleton,
                threshold: THRESHOLD,
                latency: None,
                allow_trace: false,
            },
        };
        export.audience.add(definition)?;
        if service.response != ResponseType::Singleton {
            export.response = service.response;
        }
        export.threshold = service.threshold.filter(|t| !t.is_zero()).unwrap_or(THRESHOLD);
        export.allow_trace |= service.allow_trace;
        match at {
            Some(at) => self.services[at] = Arc::new(export),
            None => self.services.push(Arc::new(export)),
        }
        Ok(())
    }

    /// Has the service `subject` measured.
    pub(crate) fn track(
        &mut self,
        subject: &str,
        latency: &LatencyDefinition,
    ) -> Result<(), EntryError> {
        if matches!(latency.sampling, Sampling::Percent(0 | 101..)) {
            return Err(EntryError::BadSampling);
        }
        // Samples that are requests to a service of the account would be measured in turn.
        if !subject::is_valid_publish(latency.subject.as_bytes())
            || self.service(&latency.subject).is_some()
        {
            return Err(EntryError::BadResultSubject);
        }
        for export in &mut self.services {
            if export.subject == subject {
                if export.response != ResponseType::Singleton {
                    return Err(EntryError::BadResponseType);
                }
                Arc::make_mut(export).latency = Some(latency.clone());
            }
        }
        Ok(())
    }

    /// The service that answers requests on `subject`, which may have wildcards.
    pub(crate) fn service(&self, subject: &str) -> Option<&Arc<ServiceExport>> {
        covering(&self.services, |export| &export.subject, subject).map(|(export, _)| export)
    }

    /// Whether `importer` may import the service `subject`.
    pub(crate) fn offers_service(&self, subject: &str, importer: &str) -> bool {
        subject::is_valid(subject.as_bytes())
            && covering(&self.services, |export| &export.subject, subject)
                .is_some_and(|(export, exact)| export.audience.admits(importer, subject, exact))
    }

    /// Whether `importer` may import the stream `subject`.
    pub(crate) fn offers_stream(&self, subject: &str, importer: &str) -> bool {
        subject::is_valid(subject.as_bytes())
            && covering(&self.streams, |export| &export.subject, subject)
                .is_some_and(|(export, exact)| export.audience.admits(importer, subject, exact))
    }

    /// Whether some stream on offer covers `subject`.
    pub(crate) fn has_stream(&self, subject: &str) -> bool {
        covering(&self.streams, |export| &export.subject, subject).is_some()
    }
}
