//! Asking for an account's token, and for those of the accounts it imports from.
//!
//! Laws: how many accounts one question can bring in is bounded; an account that cannot be had
//!       makes those that import from it incomplete, no more.
//! Reference: server.go fetchAccount, updateAccount.   Contract: ACC-021, AUTH-012.

use super::{ClaimsError, Registry, Standing};
use crate::resolver::FetchError;
use auth::authenticate::jwt::TrustedAccount;
use auth::jwt::AccountClaims;
use auth::jwt::limits::OperatorLimits;
use auth::jwt::token::MAX_SIZE;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Accounts that one question brings in at most.
const AT_ONCE: usize = 1024;
/// A question that takes longer is worth a warning.
const SLOW: Duration = Duration::from_secs(1);

/// An account whose token is to be put in force.
pub(super) struct Learned {
    pub(super) token: Arc<str>,
    pub(super) account: Arc<TrustedAccount>,
}

impl Registry {
    /// Puts the account `key` in force: with `token`, or with what the resolver has.
    ///
    /// # Errors
    /// There is no token, or it does not count.
    pub async fn refresh(
        self: &Arc<Self>,
        key: &str,
        token: Option<String>,
    ) -> Result<(), ClaimsError> {
        let token = match token {
            Some(token) => token,
            None => self.ask(key).await?,
        };
        if self.is_in_force(key, &token) {
            return Ok(());
        }
        let first = self.learn(key, token)?;
        let mut asked = BTreeSet::from([key.to_owned()]);
        let mut wanted: VecDeque<String> = VecDeque::new();
        self.want_exporters(&first, &mut asked, &mut wanted);
        let mut batch = vec![first];
        while let Some(key) = wanted.pop_front().filter(|_| batch.len() < AT_ONCE) {
            let Ok(token) = self.ask(&key).await else { continue };
            let Ok(learned) = self.learn(&key, token) else { continue };
            self.want_exporters(&learned, &mut asked, &mut wanted);
            batch.push(learned);
        }
        let keys = batch.iter().map(|learned| learned.account.claims.subject.clone()).collect();
        self.apply(batch)?;
        self.admit_apart(keys).await;
        Ok(())
    }

    /// Lets users of the system account in whom its identity key signed, until its token is had.
    // Compat(AUTH-022)
    pub(super) fn stand_in(&self, key: &str) {
        let mut claims = AccountClaims::about(key);
        claims.nats.limits = OperatorLimits::unlimited();
        let account = Arc::new(TrustedAccount::new(claims, false));
        // Fails when the server ends only.
        let _ = self.apply(vec![Learned { token: "".into(), account }]);
    }

    fn is_in_force(&self, key: &str, token: &str) -> bool {
        self.accounts.read().get(key).is_some_and(|entry| {
            *entry.token == *token && !entry.incomplete && entry.standing == Standing::Good
        })
    }

    fn learn(&self, key: &str, token: String) -> Result<Learned, ClaimsError> {
        let account = Arc::new(self.verify(key, &token)?);
        Ok(Learned { token: token.into(), account })
    }

    fn want_exporters(
        &self,
        learned: &Learned,
        asked: &mut BTreeSet<String>,
        wanted: &mut VecDeque<String>,
    ) {
        let known = self.accounts.read();
        for import in &learned.account.claims.nats.imports {
            if !known.contains_key(&import.account) && asked.insert(import.account.clone()) {
                wanted.push_back(import.account.clone());
            }
        }
    }

    /// Asks the resolver.
    async fn ask(&self, key: &str) -> Result<String, ClaimsError> {
        let resolver = self.surroundings.resolver.clone().ok_or(ClaimsError::NoResolver)?;
        let node = self.node().ok_or(ClaimsError::Ending)?;
        let before = (self.surroundings.now)();
        let found = if config::options::nkey::is_public_account(key) {
            resolver.fetch(key).await
        } else {
            Err(FetchError("will only fetch valid account keys".to_owned()))
        };
        let took = (self.surroundings.now)().0.saturating_sub(before.0);
        let took = Duration::from_nanos(u64::try_from(took).unwrap_or(0));
        let shown = stdx::go_text::duration(took);
        if took > SLOW {
            stdx::warning!(node.log(), "Account [{key}] fetch took {shown}");
        } else {
            stdx::debug!(node.log(), "Account [{key}] fetch took {shown}");
        }
        match found {
            Ok(token) if token.len() > MAX_SIZE => {
                stdx::warning!(node.log(), "Account fetch failed: the token is too large");
                Err(ClaimsError::Fetch("the token is too large".to_owned()))
            }
            Ok(token) => Ok(token),
            Err(error) => {
                stdx::warning!(node.log(), "Account fetch failed: {error}");
                Err(ClaimsError::Fetch(error.to_string()))
            }
        }
    }
}
