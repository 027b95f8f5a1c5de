//! Puts account definitions in force, at start and at reload.
//!
//! Laws: a definition with a fault changes nothing; accounts that stay keep their clients, interest
//!       and awaited answers; imports that stay the same are not touched, so that a reload loses
//!       no message to them; a new import is in place before an old one goes; where a limit on
//!       connections falls, the latest go.
//! Reference: server.go configureAccounts.

use super::definition::AccountDefinition;
use super::draft::{Draft, Drafts, draft};
use super::error::AccountError;
use super::import::{ServiceImport, ServiceTerms, StreamImport, StreamTerms};
use super::{Account, GLOBAL, SYSTEM, Service, flag};
use crate::broker::Broker;
use crate::outbox::Pool;
use crate::sub::{Sub, Target};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use wire::encode;
use wire::error::{CloseReason, text};

/// What defining accounts changed.
#[derive(Default)]
pub struct Changed {
    /// Accounts that are not defined any more; their clients are the caller's to close.
    pub removed: Vec<Arc<Account>>,
}

impl Broker {
    /// Makes the account `name` the system account, in place of `$SYS`; `None`: there is none.
    pub fn set_system_account(&self, name: Option<&str>) {
        for account in self.accounts() {
            account.set_flag(flag::SYSTEM, false);
            if account.name == SYSTEM && name != Some(SYSTEM) {
                self.forget_account(&account);
            }
        }
        let system = name.map(|name| self.account_or_new(name));
        if let Some(system) = &system {
            system.set_flag(flag::SYSTEM, true);
        }
        self.system.store(system);
    }

    /// Checks `definitions` without putting them in force.
    pub fn check_accounts(
        &self,
        definitions: &[AccountDefinition],
    ) -> Result<(), Vec<AccountError>> {
        self.draft_accounts(definitions).map(|_| ())
    }

    fn draft_accounts(
        &self,
        definitions: &[AccountDefinition],
    ) -> Result<Drafts, Vec<AccountError>> {
        let system = self.system_account();
        let known = [Some(GLOBAL), system.as_ref().map(|account| account.name.as_str())];
        let known: Vec<&str> = known.into_iter().flatten().collect();
        draft(definitions, &known)
    }

    /// Puts `definitions` in force: all accounts of the configuration, the global account too if it
    /// has mappings. Without a fault in any, or not at all.
    pub fn define_accounts(
        &self,
        definitions: &[AccountDefinition],
    ) -> Result<Changed, Vec<AccountError>> {
        let accounts = self.put_in_force(self.draft_accounts(definitions)?);
        let mut changed = Changed::default();
        for account in self.accounts() {
            if drafts_lack(&accounts, &account) {
                account.wire_streams(self, Vec::new());
                account.wire_services(self, Vec::new());
                self.forget_account(&account);
                changed.removed.push(account);
            }
        }
        Ok(changed)
    }

    /// Gives each account what its draft says: all of them first what others may find there, then
    /// their imports, which look at that.
    pub(super) fn put_in_force(&self, drafts: Drafts) -> Vec<Arc<Account>> {
        let cluster = self.info().cluster.clone();
        let mut accounts = Vec::with_capacity(drafts.all.len());
        for draft in &drafts.all {
            let account = self.account_or_new(&draft.name);
            account.limits.set(draft.limits);
            self.close_excess(&account);
            account.trace.store(draft.trace.clone().map(Arc::new));
            account.exports.store(Arc::new(draft.exports.clone()));
            account.set_mappings(draft.mappings.clone(), &cluster);
            accounts.push(account);
        }
        for (account, draft) in accounts.iter().zip(drafts.all) {
            let Draft { streams, services, .. } = draft;
            account.wire_streams(self, streams);
            account.wire_services(self, services);
        }
        accounts
    }
}

impl Broker {
    /// Closes the clients beyond what the account may have now; those that came first stay.
    pub(super) fn close_excess(&self, account: &Account) {
        let Some(limit) = account.limits.connections() else { return };
        if account.clients.load(Ordering::Relaxed) <= limit {
            return;
        }
        let mut clients = self.connections();
        clients.retain(|conn| !conn.is_closed() && conn.facts.lock().account == account.name);
        clients.sort_unstable_by_key(|conn| conn.id);
        for conn in clients.iter().skip(usize::try_from(limit).unwrap_or(usize::MAX)) {
            stdx::error!(self.log, "{} - {}", conn.label(), text::MAX_ACCOUNT_CONNECTIONS);
            let mut out = conn.outbox.lock();
            out.push(&encode::error_line(text::MAX_ACCOUNT_CONNECTIONS), &mut Pool::default());
            out.close(CloseReason::MaxAccountConnectionsExceeded);
        }
    }
}

fn drafts_lack(defined: &[Arc<Account>], account: &Arc<Account>) -> bool {
    !defined.iter().any(|other| Arc::ptr_eq(other, account))
}

fn exporter(broker: &Broker, name: &str) -> Weak<Account> {
    broker.account(name).map_or_else(Weak::new, |account| Arc::downgrade(&account))
}

/// Whether an import leads to the account that now has the name.
fn still_leads(to: &Weak<Account>, broker: &Broker, name: &str) -> bool {
    Weak::ptr_eq(to, &exporter(broker, name))
}

impl Account {
    /// Makes `terms` the stream imports in force.
    pub(super) fn wire_streams(self: &Arc<Self>, broker: &Broker, terms: Vec<StreamTerms>) {
        let current = self.shadows.lock().imports.clone();
        let imports = terms.into_iter().map(|terms| {
            let same = current.iter().find(|import| {
                import.terms == terms && still_leads(&import.exporter, broker, &terms.account)
            });
            same.cloned().unwrap_or_else(|| {
                let exporter = exporter(broker, &terms.account);
                Arc::new(StreamImport { terms, exporter })
            })
        });
        self.set_stream_imports(imports.collect());
    }

    /// Makes `terms` the service imports in force.
    pub(super) fn wire_services(self: &Arc<Self>, broker: &Broker, terms: Vec<ServiceTerms>) {
        let mut services = self.services.lock();
        let mut old = std::mem::take(&mut *services);
        for terms in terms {
            let same = old.iter().position(|(import, _)| {
                import.terms == terms && still_leads(&import.exporter, broker, &terms.account)
            });
            services.push(match same {
                Some(at) => old.swap_remove(at),
                None => self.wire_service(broker, terms),
            });
        }
        for (_, entry) in old {
            entry.close();
            self.leave(&entry);
        }
    }

    fn wire_service(&self, broker: &Broker, terms: ServiceTerms) -> Service {
        let from = terms.from.clone().into_bytes();
        let exporter = exporter(broker, &terms.account);
        let import = Arc::new(ServiceImport { terms, exporter });
        let target = Target::Service(import.clone());
        let entry = Arc::new(Sub::new(target, b"", &from, None, None));
        self.enter(&entry);
        (import, entry)
    }
}
