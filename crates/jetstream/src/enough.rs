//! Whether the server has what an account is to be given.
//!
//! Law: what accounts may use is never more, all together, than the server may; accounts without a
//!      limit, and tiers without one, ask for nothing.
//! Reference: jetstream.go sufficientResources.   Contract: ACC-019.

use std::sync::atomic::Ordering;

use broker::account::Account;
use jetstream_api::StorageType;
use jetstream_api::validate::AccountLimits;

use crate::account::JsAccount;
use crate::shared::{Room, Shared};

/// The server has less than an account is to be given. Remedy: a larger `max_mem` or `max_file` of
/// the server, or less for accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Insufficient {
    /// In memory.
    #[error("insufficient memory resources available (10028)")]
    Memory,
    /// On the disk.
    #[error("insufficient storage resources available (10047)")]
    Storage,
}

/// Bytes in memory and on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bytes {
    memory: i64,
    store: i64,
}

impl Bytes {
    fn and(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            store: self.store.saturating_add(other.store),
        }
    }

    /// What limits come to.
    fn of(limits: &AccountLimits) -> Self {
        let tiers = limits.tiers.values();
        tiers
            .map(|tier| Self { memory: tier.max_memory.max(0), store: tier.max_storage.max(0) })
            .fold(Self::default(), Self::and)
    }

    /// What `new` limits ask for that `old` ones did not, tier by tier: a tier that shrinks makes no
    /// room for another within one change.
    fn grown(old: &AccountLimits, new: &AccountLimits) -> Self {
        let zero = Default::default();
        let gone = old.tiers.keys().filter(|name| !new.tiers.contains_key(*name));
        let names = new.tiers.keys().chain(gone);
        names
            .map(|name| {
                let (old, new) = (old.tiers.get(name), new.tiers.get(name));
                let (old, new) = (old.unwrap_or(&zero), new.unwrap_or(&zero));
                Self {
                    memory: new.max_memory.saturating_sub(old.max_memory).max(0),
                    store: new.max_storage.saturating_sub(old.max_storage).max(0),
                }
            })
            .fold(Self::default(), Self::and)
    }

    fn fits(self, room: Room) -> Result<(), Insufficient> {
        let exceeds = |bytes: i64, room: Option<u64>| {
            room.is_some_and(|room| u64::try_from(bytes).is_ok_and(|bytes| bytes > room))
        };
        if exceeds(self.memory, room.memory) {
            Err(Insufficient::Memory)
        } else if exceeds(self.store, room.store) {
            Err(Insufficient::Storage)
        } else {
            Ok(())
        }
    }
}

/// Whether accounts with these limits fit in `room` all together.
pub(crate) fn all_fit<'a>(
    limits: impl Iterator<Item = &'a AccountLimits>,
    room: Room,
) -> Result<(), Insufficient> {
    limits.map(Bytes::of).fold(Bytes::default(), Bytes::and).fits(room)
}

impl Shared {
    /// Whether an account can be given `new` limits, where it had `old` ones.
    pub(crate) fn has_enough(
        &self,
        old: Option<&AccountLimits>,
        new: &AccountLimits,
    ) -> Result<(), Insufficient> {
        let more = old.map_or_else(|| Bytes::of(new), |old| Bytes::grown(old, new));
        let room = self.room();
        self.reserved_by_streams().and(more).fits(room)?;
        self.given_to_accounts().and(more).fits(room)
    }

    /// Whether these limits of an account are more than what it has.
    pub fn is_growth(&self, account: &Account, limits: Option<&AccountLimits>) -> bool {
        let Some(limits) = limits else { return false };
        let more = match self.account(&account.name) {
            Some(known) => Bytes::grown(&known.limits.lock(), limits),
            None => Bytes::of(limits),
        };
        more != Bytes::default()
    }

    /// What streams reserved that are not asleep.
    fn reserved_by_streams(&self) -> Bytes {
        let all = self.reserved();
        let asleep = self.asleep.lock();
        let idle = |storage| {
            let each = asleep.values().map(|a| JsAccount::reserved(&a.streams(), storage));
            i64::try_from(each.fold(0, u64::saturating_add)).unwrap_or(i64::MAX)
        };
        Bytes {
            memory: all.memory.saturating_sub(idle(StorageType::Memory)),
            store: all.storage.saturating_sub(idle(StorageType::File)),
        }
    }

    fn given_to_accounts(&self) -> Bytes {
        let accounts = self.accounts.read();
        let counted = accounts.values().filter(|a| !a.expired.load(Ordering::Relaxed));
        counted.map(|a| Bytes::of(&a.limits.lock())).fold(Bytes::default(), Bytes::and)
    }

    /// Notes whether an account's time is over: what it was given may be given to others.
    pub fn set_expired(&self, account: &str, expired: bool) {
        if let Some(account) = self.account(account) {
            account.expired.store(expired, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetstream_api::JetStreamAccountLimits;

    fn limits(tiers: &[(&str, i64, i64)]) -> AccountLimits {
        let tier = |(name, max_memory, max_storage): &(&str, i64, i64)| {
            let base = JetStreamAccountLimits::default();
            let (max_memory, max_storage) = (*max_memory, *max_storage);
            ((*name).to_owned(), JetStreamAccountLimits { max_memory, max_storage, ..base })
        };
        AccountLimits { tiers: tiers.iter().map(tier).collect() }
    }

    const ROOM: Room = Room { memory: Some(10), store: Some(20) };

    #[test]
    fn limits_of_all_accounts_and_tiers_count_but_none_does_not() {
        let fit = |all: &[AccountLimits]| all_fit(all.iter(), ROOM);
        let endless = limits(&[("", -1, -1)]);
        assert_eq!(fit(&[limits(&[("", 10, 20)]), endless.clone()]), Ok(()));
        assert_eq!(
            fit(&[limits(&[("", 10, 0)]), limits(&[("", 1, 0)])]),
            Err(Insufficient::Memory)
        );
        let tiers = limits(&[("R1", -1, 15), ("R3", -1, 6)]);
        assert_eq!(fit(&[tiers]), Err(Insufficient::Storage));
        let huge = limits(&[("", i64::MAX, i64::MAX)]);
        assert_eq!(fit(&[huge.clone(), huge.clone()]), Err(Insufficient::Memory));
        assert_eq!(all_fit([&huge, &endless].into_iter(), Room::default()), Ok(()));
    }

    #[test]
    fn a_change_asks_for_what_grows() {
        let grown = |old: &[_], new: &[_]| {
            let bytes = Bytes::grown(&limits(old), &limits(new));
            (bytes.memory, bytes.store)
        };
        assert_eq!(grown(&[("", 4, 9)], &[("", 6, 3)]), (2, 0));
        assert_eq!(grown(&[("R1", 4, 9)], &[("R3", 5, 6)]), (5, 6));
        assert_eq!(grown(&[("", 4, 9)], &[("", -1, -1)]), (0, 0));
    }
}
