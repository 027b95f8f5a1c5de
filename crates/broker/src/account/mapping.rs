//! An account's subject mappings in force.
//!
//! Not here: weights and transforms (`subject::mapping`), when they apply (`session::publish`,
//! `dispatch::service`).
//! Law: an account without mappings costs its publishers one relaxed load.
//! Reference: accounts.go selectMappedSubject.   Contract: SUBJ-009, SUBJ-010, SUBJ-016.

use super::{Account, flag};
use std::sync::Arc;
use subject::{Mappings, Selection};

/// Mappings and the cluster they are looked up for.
#[derive(Default)]
pub(crate) struct AccountMappings {
    pub mappings: Mappings,
    pub cluster: String,
}

impl Account {
    /// Whether subjects are mapped at all.
    #[inline]
    pub(crate) fn has_mappings(&self) -> bool {
        self.has(flag::MAPPED)
    }

    /// Puts what `subject` is mapped to in `out`, which is cleared first; `false` if it is not
    /// mapped. Messages that nobody is to get have an empty subject afterwards.
    // Compat(SUBJ-016): so a requester whose message is dropped hears that nobody is there.
    pub(crate) fn map_subject(
        &self,
        subject: &[u8],
        mut random: impl FnMut() -> u64,
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.has_mappings() {
            return false;
        }
        let current = self.mappings.load();
        let Some(mapping) = current.mappings.find(subject) else { return false };
        out.clear();
        let mut dice = || (random() >> 32) as u32;
        match mapping.choose(&current.cluster, || ((u64::from(dice()) * 100) >> 32) as u32) {
            Selection::Transform(transform) => transform.apply(subject, dice, out),
            Selection::Drop => {}
        }
        true
    }

    /// Replaces all mappings.
    pub(super) fn set_mappings(&self, mappings: Mappings, cluster: &str) {
        let any = !mappings.is_empty();
        self.mappings.store(Arc::new(AccountMappings { mappings, cluster: cluster.to_owned() }));
        self.set_flag(flag::MAPPED, any);
    }
}
