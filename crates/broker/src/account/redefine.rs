//! Puts definitions of some accounts in force while the others stay as they are: accounts that are
//! defined by tokens, one by one.
//!
//! Laws: what an account's owner got wrong spoils neither the rest of the account nor others; an
//!       account that is taken away is no one's exporter any more.
//! Reference: accounts.go UpdateAccountClaims.   Contract: ACC-019, ACC-021.

use super::Account;
use super::definition::{AccountDefinition, LimitsDefinition};
use super::draft::draft_all;
use super::error::AccountError;
use super::export::Exports;
use crate::broker::Broker;
use std::sync::Arc;
use subject::Mappings;

impl Broker {
    /// Puts `definitions` in force as far as they make sense; what does not is left out and told.
    /// Accounts that they import from or export to have to be among them.
    pub fn redefine_accounts(&self, definitions: &[AccountDefinition]) -> Vec<AccountError> {
        let (drafts, errors) = draft_all(definitions, &[]);
        self.put_in_force(drafts);
        errors
    }

    /// Leaves nothing to the account: no clients, no imports, no exports.
    pub fn disable_account(&self, account: &Arc<Account>) {
        let nothing = Some(0);
        account.limits.set(LimitsDefinition {
            connections: nothing,
            subscriptions: nothing,
            payload: nothing,
            leafnodes: nothing,
        });
        account.exports.store(Arc::new(Exports::default()));
        account.set_mappings(Mappings::default(), &self.info().cluster);
        account.wire_streams(self, Vec::new());
        account.wire_services(self, Vec::new());
    }
}
