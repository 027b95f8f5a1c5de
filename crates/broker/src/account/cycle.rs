//! Imports that would lead messages back to where they started.
//!
//! Law: a configuration that passes has no import by which a message can come back to an account
//!      on a subject that sends it round again.
//! Reference: accounts.go checkServiceImportsForCycles, checkStreamImportsForCycles.
//! Contract: ACC-009.

use super::draft::Drafts;
use super::error::EntryError;
use hashbrown::HashSet;

/// Accounts searched before giving up.
const MAX_ACCOUNTS: usize = 1024;

/// Whether sending what `importer` publishes on `from` to `exporter` can come back.
pub(super) fn of_services(
    drafts: &Drafts,
    importer: &str,
    exporter: &str,
    from: &str,
) -> Result<(), EntryError> {
    let mut seen = HashSet::from([importer.to_owned()]);
    search(drafts, exporter, from, &mut seen, &|drafts, account, _| {
        let services = drafts.get(account).map(|draft| draft.services.as_slice());
        let services = services.unwrap_or_default().iter();
        services.map(|s| (s.account.clone(), s.to.clone(), s.from.clone())).collect()
    })
}

/// Whether letting `importer` hear `to` from `exporter` can come back.
pub(super) fn of_streams(
    drafts: &Drafts,
    importer: &str,
    exporter: &str,
    to: &str,
) -> Result<(), EntryError> {
    let mut seen = HashSet::from([importer.to_owned()]);
    search(drafts, exporter, to, &mut seen, &|drafts, account, subject| {
        let Some(draft) = drafts.get(account) else { return Vec::new() };
        if !draft.exports.has_stream(subject) {
            return Vec::new();
        }
        draft.streams.iter().map(|s| (s.account.clone(), s.to.clone(), s.to.clone())).collect()
    })
}

/// An import as the search sees it: the account it leads to, the subjects it passes on, and the
/// subjects by which the search narrows itself.
type Edge = (String, String, String);

fn search(
    drafts: &Drafts,
    account: &str,
    subject: &str,
    seen: &mut HashSet<String>,
    edges: &dyn Fn(&Drafts, &str, &str) -> Vec<Edge>,
) -> Result<(), EntryError> {
    if seen.len() >= MAX_ACCOUNTS {
        return Err(EntryError::CycleDepth);
    }
    for (next, passes, narrows) in edges(drafts, account, subject) {
        if !subject::collides(subject.as_bytes(), passes.as_bytes()) {
            continue;
        }
        if seen.contains(&next) {
            return Err(EntryError::Cycle);
        }
        seen.insert(account.to_owned());
        let narrower = subject::is_subset(narrows.as_bytes(), subject.as_bytes());
        search(drafts, &next, if narrower { &narrows } else { subject }, seen, edges)?;
    }
    Ok(())
}
