//! Putting tokens in force: the broker's accounts, and the clients that are connected.
//!
//! Laws: an account's definition is in force before its clients are looked at again; who may not
//!       stay is told why, as the reference tells it.
//! Reference: accounts.go updateAccountClaimsWithRefresh, expiredTimeout, removeCb.
//! Contract: ACC-018..021, CORE-025.

use super::define::{Defined, define};
use super::fetch::Learned;
use super::{ClaimsError, Entry, NEVER, Registry, Standing};
use crate::Node;
use auth::authenticate::jwt::{Gone, TrustedAccount};
use broker::Conn;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wire::error::{CloseReason, text};

impl Registry {
    /// Puts what was learned in force.
    pub(super) fn apply(&self, batch: Vec<Learned>) -> Result<(), ClaimsError> {
        let node = self.node().ok_or(ClaimsError::Ending)?;
        let _one = self.changing.lock();
        let updated = (self.surroundings.now)();
        let mut changed: Vec<(String, BTreeSet<String>)> = Vec::new();
        let mut accounts = self.accounts.read().clone();
        for Learned { token, account } in batch {
            let claims = &account.claims;
            stdx::debug!(node.log(), "Updating account claims: {}/{}", claims.subject, claims.name);
            let key = claims.subject.clone();
            let altered = accounts
                .get(&key)
                .map(|before| before.account.altered_signers(&account))
                .unwrap_or_default();
            changed.push((key.clone(), altered));
            let (incomplete, until) = (false, None);
            let standing = Standing::Good;
            accounts.insert(key, Entry { token, account, updated, incomplete, standing, until });
        }
        let keys: Vec<&str> = changed.iter().map(|(key, _)| key.as_str()).collect();
        self.redefine(&node, accounts, &keys);
        for (key, altered) in &changed {
            self.recheck(&node, key, altered);
        }
        Ok(())
    }

    /// Defines the accounts `keys` anew, and those that share something with them.
    fn redefine(&self, node: &Node, mut accounts: HashMap<String, Entry>, keys: &[&str]) {
        let now = self.now();
        let mut affected = neighbours(&accounts, keys);
        // What it offers, everybody imports.
        let (system, options) = (node.system().account(), node.options());
        affected.extend(system.as_ref().map(|account| account.name.clone()));
        let mut definitions = Vec::new();
        for key in &affected {
            let Some(entry) = accounts.get(key).filter(|e| e.standing != Standing::Removed) else {
                continue;
            };
            let known = |name: &str| {
                let other = accounts.get(name).filter(|e| e.standing != Standing::Removed);
                other.map(|other| &*other.account)
            };
            let Defined { mut account, missing, until } = define(&entry.account, known, now);
            if system.as_ref().is_none_or(|system| system.name != *key) {
                let has_jetstream = entry.account.claims.nats.limits.has_jetstream();
                crate::accounts::map_domains(&mut account, &options, has_jetstream);
            }
            for import in &missing {
                let (exporter, subject, kind) = (&import.account, &import.subject, &import.kind);
                if import.unknown && keys.contains(&key.as_str()) {
                    stdx::error!(
                        node.log(),
                        "Can't locate account [{exporter}] for import of [{subject}] {kind} \
                         (err=account missing)"
                    );
                } else {
                    stdx::debug!(
                        node.log(),
                        "Error adding {kind} import to account [{key}]: {kind} import not authorized"
                    );
                }
            }
            definitions.push(account);
            if let Some(entry) = accounts.get_mut(key) {
                (entry.incomplete, entry.until) = (!missing.is_empty(), until);
            }
        }
        if let Some(system) = system {
            crate::system::offer(&mut definitions, &system.name);
        }
        for error in node.broker.redefine_accounts(&definitions) {
            stdx::debug!(node.log(), "Account [{}]: {error}", error.account());
            if let Some(entry) = accounts.get_mut(error.account()) {
                entry.incomplete = true;
            }
        }
        let next = accounts.values().filter_map(Entry::next_end).min().unwrap_or(NEVER);
        *self.accounts.write() = accounts;
        self.next_end.store(next, Ordering::Relaxed);
    }

    /// Asks for the tokens of all known accounts again, as after a reload.
    pub(crate) fn refresh_all(self: &Arc<Self>) {
        let keys: Vec<String> = self.accounts.read().keys().cloned().collect();
        let claims = self.clone();
        // It goes on by itself.
        drop((self.surroundings.spawn)(Box::pin(async move {
            for key in keys {
                if let Err(error) = claims.refresh(&key, None).await
                    && let Some(node) = claims.node()
                {
                    stdx::debug!(node.log(), "Account [{key}] stays as it is: {error}");
                }
            }
        })));
    }

    /// Looks at the clients of an account again. `altered`: signing keys that are gone or have
    /// another template.
    fn recheck(&self, node: &Node, key: &str, altered: &BTreeSet<String>) {
        let account = self.accounts.read().get(key).map(|entry| entry.account.clone());
        let Some(account) = account else { return };
        for conn in node.broker.clients_of(key) {
            let Some(token) = conn.facts.lock().token.clone() else { continue };
            let gone = match account.recheck(&token) {
                Err(gone) => gone,
                Ok(()) if token.signing_key && altered.contains(&token.issuer) => Gone::Signer,
                Ok(()) => {
                    node.broker.tell_account_changed(&conn);
                    continue;
                }
            };
            turn_away(node, &conn, gone);
        }
    }

    /// Ends accounts and imports whose time is over.
    pub(super) fn end_due(&self) {
        let Some(node) = self.node() else { return };
        let _one = self.changing.lock();
        let now = self.now();
        let mut accounts = self.accounts.read().clone();
        let mut expired = Vec::new();
        let mut again = Vec::new();
        for (key, entry) in &mut accounts {
            let expires = entry.account.claims.expires;
            if entry.standing == Standing::Good && expires > 0 && expires <= now {
                entry.standing = Standing::Expired;
                expired.push(key.clone());
            }
            if entry.until.is_some_and(|until| until <= now) {
                again.push(key.clone());
            }
        }
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        self.redefine(&node, accounts, &again);
        let jetstream = node.jetstream.load_full();
        for key in expired {
            if let Some(jetstream) = &jetstream {
                jetstream.set_expired(&key, true);
            }
            expire_clients(&node, &key);
        }
    }

    /// Takes an account away that was deleted where its token came from.
    pub fn remove(&self, key: &str) {
        let Some(node) = self.node() else { return };
        let _one = self.changing.lock();
        let mut accounts = self.accounts.read().clone();
        let Some(entry) = accounts.get_mut(key) else { return };
        stdx::debug!(node.log(), "Disable account {key} due to remove");
        (entry.standing, entry.updated) = (Standing::Removed, (self.surroundings.now)());
        entry.until = None;
        self.redefine(&node, accounts, &[key]);
        if let Some(account) = node.broker.account(key) {
            node.broker.disable_account(&account);
        }
        expire_clients(&node, key);
        self.admit(&node, key);
    }

    /// What is known of an account.
    pub fn account(&self, key: &str) -> Option<Arc<TrustedAccount>> {
        self.accounts.read().get(key).map(|entry| entry.account.clone())
    }
}

/// Accounts that are connected with `keys` by imports, in whichever direction, and `keys`.
fn neighbours(accounts: &HashMap<String, Entry>, keys: &[&str]) -> BTreeSet<String> {
    let mut links: HashMap<&str, Vec<&str>> = HashMap::new();
    for (key, entry) in accounts {
        for import in &entry.account.claims.nats.imports {
            links.entry(key).or_default().push(&import.account);
            links.entry(&import.account).or_default().push(key);
        }
    }
    let mut found: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let mut open: Vec<&str> = keys.to_vec();
    while let Some(key) = open.pop() {
        for other in links.get(key).into_iter().flatten() {
            if found.insert((*other).to_owned()) {
                open.push(other);
            }
        }
    }
    found
}

fn turn_away(node: &Node, conn: &Arc<Conn>, gone: Gone) {
    match gone {
        Gone::Revoked => {
            node.broker.evict(conn, Some(text::USER_REVOKED), CloseReason::Revocation);
        }
        Gone::Bearer => {
            stdx::debug!(node.log(), "{} - Bearer User JWT not allowed", conn.label());
            let reason = CloseReason::AuthenticationViolation;
            node.broker.evict(conn, Some(text::AUTHORIZATION), reason);
        }
        // Compat(ACC-019): without a word.
        Gone::Signer => node.broker.evict(conn, None, CloseReason::AuthenticationViolation),
    }
}

fn expire_clients(node: &Node, key: &str) {
    for conn in node.broker.clients_of(key) {
        node.broker.evict(&conn, Some(text::ACCOUNT_EXPIRED), CloseReason::AuthenticationExpired);
    }
}
