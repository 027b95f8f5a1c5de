//! What happens when messages become too old.
//!
//! Parity: PUB-012, RET-001.

use stdx::time::{Now, Timestamp};
use store::disk::Disk;
use store::{Error, Expired, Filter, MessageStore, NewMessage};

use super::Stream;

impl<D: Disk> Stream<D> {
    /// Removes what is too old; the last message of a subject leaves a marker, if the
    /// configuration wants one. Also forgets message ids that left the window. False if the disk has
    /// to be waited for.
    pub fn expire(&mut self, now: Now) -> bool {
        self.expire_ids(now.wall);
        self.store.defer_reads(true);
        let expired = self.store.expire(now.wall);
        self.store.defer_reads(false);
        match expired {
            Err(Error::Cold(_)) => return false,
            Ok(proposed) => {
                for expired in proposed {
                    if let Err(error) = self.replace(&expired, now) {
                        self.note_trouble(&error);
                    }
                }
            }
            Err(error) => self.note_trouble(&error),
        }
        true
    }

    fn replace(&mut self, expired: &Expired, now: Now) -> Result<(), Error> {
        if expired.marker {
            let ttl = self.config.subject_delete_marker_ttl.as_duration();
            let header = format!(
                "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: {}\r\nNats-Rollup: sub\r\n\r\n",
                stdx::go_text::duration(ttl)
            );
            let secs = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
            let marker = NewMessage {
                ttl: secs,
                ..NewMessage::new(&expired.subject, header.as_bytes(), b"")
            };
            let (seq, _) = self.store.append(&marker, now.wall)?;
            self.note_stored(seq, &expired.subject);
            self.store.purge(&Filter::Literal((&*expired.subject).into()), 0, 1)?;
        } else {
            self.store.remove(expired.seq, false)?;
        }
        self.store.expired(expired.seq, &expired.subject);
        Ok(())
    }

    /// When [`Self::expire`] or [`Self::fire_schedules`] has something to do.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let times = [self.store.next_expiry(), self.next_id_expiry(), self.store.next_schedule()];
        times.into_iter().flatten().min()
    }

    /// Notes that the store could not do something: a message that is gone is none.
    pub fn note_trouble(&mut self, error: &Error) {
        if !matches!(error, Error::NotFound | Error::Eof | Error::DiskFull { .. }) {
            self.fail(&error.to_string());
        }
    }
}
