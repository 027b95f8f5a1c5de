//! Account tokens that a reload brings or takes away.
//!
//! Reference: reload.go reloadAuthorization (resolver part).   Contract: RELOAD-002, RELOAD-009.

use super::Registry;
use config::Options;
use std::sync::Arc;

impl Registry {
    /// Follows the tokens that the configuration lists or a directory holds: those that changed are
    /// put in force, and where it lists all there are, accounts that it lacks now go.
    pub(crate) fn follow(self: &Arc<Self>, before: &Options, now: &Options) {
        let (Some(node), Some(resolver)) = (self.node(), self.surroundings.resolver.clone()) else {
            return;
        };
        let (before, now) = (&before.operator.resolver_preload, &now.operator.resolver_preload);
        for (key, token) in now {
            if before.get(key) == Some(token) {
                continue;
            }
            if let Err(error) = resolver.keep(key, token) {
                stdx::warning!(node.log(), "Preloaded account [{key}] is not kept: {error}");
                continue;
            }
            if !self.has(key) {
                continue;
            }
            let (claims, key, token) = (self.clone(), key.clone(), token.clone());
            // Nobody waits for it.
            drop((self.surroundings.spawn)(Box::pin(async move {
                let Err(error) = claims.refresh(&key, Some(token)).await else { return };
                let Some(node) = claims.node() else { return };
                stdx::notice!(
                    node.log(),
                    "Reloaded: deleting account [bad claims]: {key:?}: {error}"
                );
                claims.remove(&key);
            })));
        }
        // Known accounts are asked for again after this.
        resolver.rescan();
        if !resolver.is_fixed() {
            return;
        }
        for key in before.keys().filter(|key| !now.contains_key(*key)) {
            resolver.forget(key);
            if self.has(key) {
                stdx::notice!(node.log(), "Reloaded: deleting account [removed]: {key:?}");
                self.remove(key);
            }
        }
    }
}
