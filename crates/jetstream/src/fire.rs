//! What streams do by themselves because a time has come: schedules fire, silent batches end.
//!
//! Not here: messages that become too old (`shard.rs`).

use crate::shard::Shard;

impl Shard {
    /// Publishes what a stream's schedules have due, and ends batches that fell silent.
    pub(crate) fn fire(&mut self, at: u32) {
        let now = self.now;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        let limits = place.limits(&self.shared);
        let mut out = self.lent.out(at, &place.account.account);
        place.stream.expire_batches(now, &mut out);
        place.stream.fire_schedules(&limits, now, &mut out);
    }
}
