//! What other threads may know of, and do to, a connection.
//!
//! Its protocol state lives in `session::Session` and has one owner; this is the rest.
//! Laws: `id` is unique in the server's life; counters are written by the owner only (plain
//!       loads and stores), read by monitoring.

use crate::outbox::{Lock, Outbox};
use crate::sub::Sub;
use hashbrown::HashTable;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use stdx::time::{Mono, Now, Timestamp};
use wire::error::CloseReason;

/// What kind of peer a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client of any transport.
    Client,
    /// The server itself.
    System,
}

/// How a client reached us (AUTH-008, MON-013).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain or TLS over TCP.
    Tcp,
    /// A pipe inside the process.
    InProcess,
}

/// Flags other threads read at delivery.
pub mod flag {
    /// The peer understands headers.
    pub const HEADERS: u32 = 1;
    /// The peer does not want its own messages back.
    pub const NO_ECHO: u32 = 1 << 1;
    /// Replies delivered to it open a temporary publish permission (SUBJ-008).
    pub const TRACK_RESPONSES: u32 = 1 << 2;
    /// Protocol tracing is on for it.
    pub const TRACE: u32 = 1 << 3;
    /// It sent CONNECT and may get asynchronous INFO.
    pub const ASYNC_INFO: u32 = 1 << 4;
    /// It has had its first PONG.
    pub const FIRST_PONG: u32 = 1 << 5;
    /// The message is dropped rather than its producer held back (CORE-041).
    pub const NO_STALL: u32 = 1 << 6;
    /// It has logged in.
    pub const ADMITTED: u32 = 1 << 7;
    /// What it may do changed since it subscribed: `Conn::denies` is asked at delivery.
    pub const REVISED: u32 = 1 << 8;
    /// Its account changed since its session last looked.
    pub const ACCOUNT_CHANGED: u32 = 1 << 9;
}

/// What monitoring and the log say of a connection; changes with CONNECT.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub name: String,
    pub lang: String,
    pub version: String,
    /// Account name; empty until authenticated.
    pub account: String,
    /// Who the user is.
    pub who: auth::Who,
    /// The token that it was turned away with, if others may see it.
    pub presented: String,
    /// What it may do; `None` for everything.
    pub permissions: Option<Arc<auth::Permissions>>,
    /// What the token says that it came in with.
    pub token: Option<Arc<auth::TokenFacts>>,
    /// When that ends; it has to log in again then.
    pub expires: Option<Mono>,
    /// The key of the trusted proxy it came through.
    pub proxy: Option<Arc<str>>,
    /// Round trip time, once measured.
    pub rtt: Option<Duration>,
    /// TLS facts, if the connection is encrypted.
    pub tls: Option<Box<TlsFacts>>,
    /// ` - "v1.2:go:app" - "ACC/user"` of log lines (CORE-053).
    pub label: String,
}

/// TLS facts as monitoring shows them.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// `1.2` or `1.3`.
    pub version: String,
    /// IANA-style suite name.
    pub cipher_suite: String,
    /// Whether the handshake came before INFO.
    pub first: bool,
    /// Subject, SPKI SHA-256 and certificate SHA-256 of each client certificate.
    pub peer_certs: Vec<(String, String, String)>,
    /// The client certificates themselves, DER: they were verified.
    pub chain: Vec<Box<[u8]>>,
}

/// Temporary publish permissions of a connection.
pub struct Replies {
    /// What it may publish to anyway.
    pub permissions: Arc<auth::Permissions>,
    /// Replies it was given.
    pub tracker: auth::ResponseTracker,
}

/// A connection as the rest of the server sees it.
pub struct Conn {
    /// Unique number, `cid` in logs and monitoring.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// How it arrived.
    pub transport: Transport,
    peer: Option<SocketAddr>,
    /// The address a proxy in front of the server says the peer has.
    proxied: OnceLock<Box<SocketAddr>>,
    /// When it was accepted.
    pub start: Timestamp,
    /// The same on the monotonic clock.
    pub start_mono: Mono,
    flags: AtomicU32,
    /// Bytes owed to it.
    pub outbox: Lock<Outbox>,
    /// Its subscriptions by sid.
    pub subs: Mutex<SubTable>,
    /// What monitoring says of it.
    pub facts: Mutex<Facts>,
    /// Replies it may answer to, if its user is limited that way (SUBJ-008).
    pub replies: Mutex<Option<Box<Replies>>>,
    /// What it may not be sent, if it is `REVISED`.
    pub denies: Mutex<Option<Arc<auth::Permissions>>>,
    /// The configuration that its session lives by.
    pub revision: AtomicU64,
    /// Messages it published.
    pub in_msgs: AtomicU64,
    /// Payload bytes it published.
    pub in_bytes: AtomicU64,
    /// Unix nanoseconds of its last activity.
    pub last_activity: AtomicU64,
}

impl Conn {
    /// A new connection without a socket yet.
    pub fn new(
        id: u64,
        kind: Kind,
        transport: Transport,
        peer: Option<SocketAddr>,
        max_pending: usize,
        now: Now,
    ) -> Self {
        Self {
            id,
            kind,
            transport,
            peer,
            proxied: OnceLock::new(),
            start: now.wall,
            start_mono: now.mono,
            flags: AtomicU32::new(0),
            outbox: Lock::new(Outbox::new(max_pending)),
            subs: Mutex::new(SubTable::default()),
            facts: Mutex::new(Facts::default()),
            replies: Mutex::new(None),
            denies: Mutex::new(None),
            revision: AtomicU64::new(0),
            in_msgs: AtomicU64::new(0),
            in_bytes: AtomicU64::new(0),
            last_activity: AtomicU64::new(now.wall.0 as u64),
        }
    }

    /// Whether all of `bits` are set.
    #[inline]
    pub fn has(&self, bits: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & bits == bits
    }

    /// All flags.
    #[inline]
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Sets or clears `bits`.
    pub fn set(&self, bits: u32, on: bool) {
        if on {
            self.flags.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Asks the owner to close it; the first reason counts.
    pub fn close(&self, reason: CloseReason) -> bool {
        self.outbox.lock().close(reason)
    }

    /// Whether it is closing or closed.
    pub fn is_closed(&self) -> bool {
        self.outbox.lock().is_closed()
    }

    /// The peer's address, if it has one: what a proxy said it is, else the socket's.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.proxied.get().map(|addr| **addr).or(self.peer)
    }

    /// Takes a proxy's word for the peer's address. The first word counts.
    pub fn set_proxied(&self, address: SocketAddr) {
        let _ = self.proxied.set(Box::new(address));
    }

    /// Its subscriptions, in no particular order. Who has very many is looked through in turns, so
    /// that nobody waits for its table for long; what comes or goes meanwhile may be missing.
    pub fn subscriptions(&self) -> Vec<Arc<Sub>> {
        let (size, len) = {
            let subs = self.subs.lock();
            (subs.buckets(), subs.len())
        };
        let mut found = Vec::with_capacity(len);
        let mut from = 0;
        while from < size {
            let subs = self.subs.lock();
            if subs.buckets() != size {
                // It grew or shrank, and all have moved.
                found.clear();
                found.extend(subs.iter().cloned());
                break;
            }
            found.extend(subs.within(from..from.saturating_add(COPIED_AT_ONCE)).cloned());
            from += COPIED_AT_ONCE;
        }
        found
    }

    /// The start of its log lines: `ip:port - cid:N` (CORE-053, CORE-054).
    pub fn label(&self) -> String {
        let facts = self.facts.lock();
        match self.peer() {
            Some(peer) => format!("{peer} - cid:{}{}", self.id, facts.label),
            None => format!("pipe - cid:{}{}", self.id, facts.label),
        }
    }

    /// Whether its user may not have a message on `subject`, though the filter of `sub` matches
    /// it: the one check that every way to a subscriber passes.
    #[inline]
    pub fn is_denied(&self, sub: &Sub, subject: &[u8]) -> bool {
        if self.has(flag::REVISED) {
            let denies = self.denies.lock();
            return denies.as_ref().is_some_and(|all| all.denies_delivery(subject, sub.queue()));
        }
        sub.denies(subject)
    }
}

/// Places of the table that are looked at in one turn.
const COPIED_AT_ONCE: usize = 4096;

/// A connection's subscriptions by sid.
#[derive(Default)]
pub struct SubTable {
    table: HashTable<Arc<Sub>>,
    hasher: foldhash::fast::RandomState,
}

impl SubTable {
    /// Number of subscriptions.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The subscription with this sid.
    pub fn get(&self, sid: &[u8]) -> Option<&Arc<Sub>> {
        self.table.find(self.hash(sid), |sub| sub.sid() == sid)
    }

    /// Adds one whose sid is known to be new.
    pub fn insert(&mut self, sub: Arc<Sub>) {
        let hash = self.hash(sub.sid());
        let hasher = &self.hasher;
        self.table.insert_unique(hash, sub, |sub| hash_with(hasher, sub.sid()));
    }

    /// Removes exactly this subscription.
    pub fn remove(&mut self, sub: &Arc<Sub>) -> bool {
        let hash = self.hash(sub.sid());
        match self.table.find_entry(hash, |other| Arc::ptr_eq(other, sub)) {
            Ok(found) => {
                found.remove();
                if self.table.capacity() > 1024 && self.table.len() < self.table.capacity() / 8 {
                    let hasher = &self.hasher;
                    let keep = self.table.len() * 2;
                    self.table.shrink_to(keep, |sub| hash_with(hasher, sub.sid()));
                }
                true
            }
            Err(_) => false,
        }
    }

    /// Takes them all.
    pub fn take(&mut self) -> HashTable<Arc<Sub>> {
        std::mem::take(&mut self.table)
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Sub>> {
        self.table.iter()
    }

    /// Places it has, empty ones included.
    fn buckets(&self) -> usize {
        self.table.num_buckets()
    }

    /// Those in some of its places.
    fn within(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = &Arc<Sub>> {
        let end = places.end.min(self.buckets());
        (places.start..end).filter_map(|place| self.table.get_bucket(place))
    }

    fn hash(&self, sid: &[u8]) -> u64 {
        hash_with(&self.hasher, sid)
    }
}

fn hash_with(hasher: &foldhash::fast::RandomState, sid: &[u8]) -> u64 {
    std::hash::BuildHasher::hash_one(hasher, sid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sub::Target;
    use std::collections::BTreeSet;

    #[test]
    fn all_subscriptions_are_found_in_turns() {
        let now = Now { mono: Mono(0), wall: Timestamp(0) };
        let conn = Arc::new(Conn::new(1, Kind::Client, Transport::Tcp, None, 0, now));
        for count in [0, 1, 3 * COPIED_AT_ONCE] {
            let mut subs = SubTable::default();
            for sid in 0..count {
                let sid = sid.to_string();
                let target = Target::Conn(conn.clone());
                subs.insert(Arc::new(Sub::new(target, sid.as_bytes(), b"a", None, None)));
            }
            *conn.subs.lock() = subs;
            let found = conn.subscriptions();
            let sids: BTreeSet<_> = found.iter().map(|sub| sub.sid().to_vec()).collect();
            assert_eq!((found.len(), sids.len()), (count, count));
        }
        drop(conn.subs.lock().take());
    }
}
