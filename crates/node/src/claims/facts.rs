//! What operators see of an account's token.
//!
//! Contract: MON-*, ACC-021.

use super::{Registry, Standing};
use auth::jwt::{AccountClaims, Issue};
use monitor::{AccountFacts, ExportKind};
use serde_json::json;
use std::sync::Arc;
use stdx::time::Timestamp;

/// An account's token and how it stands.
#[derive(Clone, Debug)]
pub struct AccountToken {
    /// The token.
    pub token: Arc<str>,
    /// What it says.
    pub claims: AccountClaims,
    /// When it was put in force.
    pub updated: Timestamp,
    /// Whether it ended.
    pub expired: bool,
    /// Whether everything it imports is there.
    pub complete: bool,
    /// What is wrong with it.
    pub issues: Vec<Issue>,
}

impl Registry {
    /// The token of a known account.
    pub fn token(&self, key: &str) -> Option<AccountToken> {
        let entry = self.accounts.read().get(key).cloned()?;
        let claims = entry.account.claims.clone();
        Some(AccountToken {
            token: entry.token,
            updated: entry.updated,
            expired: entry.standing != Standing::Good,
            complete: !entry.incomplete,
            issues: claims.validate(self.now()).0,
            claims,
        })
    }

    /// Whether an account that was known ended or was deleted.
    pub(crate) fn has_ended(&self, key: &str) -> bool {
        let accounts = self.accounts.read();
        accounts.get(key).is_some_and(|entry| entry.standing != Standing::Good)
    }

    /// What people call an account; its key if it has no name.
    pub fn name_of(&self, key: &str) -> String {
        let accounts = self.accounts.read();
        let name = accounts.get(key).map(|entry| entry.account.claims.name.as_str());
        name.filter(|name| !name.is_empty()).unwrap_or(key).to_owned()
    }
}

/// What monitoring says of an account, with what its token says.
pub(crate) fn account_facts(token: AccountToken, facts: AccountFacts) -> AccountFacts {
    let issue = |issue: &Issue| {
        json!({
            "description": issue.description,
            "blocking": issue.blocking,
            "time_check": issue.time_check,
        })
    };
    let AccountToken { token, claims, updated, expired, complete, issues } = token;
    let mut facts = facts;
    for export in &mut facts.exports {
        let kind = match export.kind {
            ExportKind::Stream => "stream",
            ExportKind::Service => "service",
        };
        let mut said = claims.nats.exports.iter();
        export.token_required =
            said.any(|said| said.token_req && said.subject == export.subject && said.kind == kind);
    }
    let revoked = claims.nats.revocations.iter();
    let seconds = |n: i64| Timestamp(n.saturating_mul(1_000_000_000));
    AccountFacts {
        updated,
        expired,
        complete,
        jwt: token.to_string(),
        issuer_key: claims.issuer.clone(),
        name_tag: Some(claims.name.clone()).filter(|n| !n.is_empty()).unwrap_or(facts.name_tag),
        tags: claims.nats.tags.clone(),
        jwt_issues: issues.iter().map(issue).collect(),
        revoked_users: revoked.map(|(user, at)| (user.clone(), seconds(*at))).collect(),
        decoded_jwt: serde_json::to_value(&claims).ok(),
        ..facts
    }
}
