//! What lies in a store's directory, and what a backup brings.

use crate::{Shape, Target};

const fn target(
    name: &'static str,
    words: &'static [&'static str],
    run: fn(&[u8]) -> Shape,
) -> Target {
    Target { name, words, run }
}

/// Block files.
pub(super) const BLOCK: Target = target("block", &["cmp\x01", "NATS/1.0\r\n"], |bytes| {
    Shape::count(::store::fuzz::block(bytes))
});

/// Our own files beside blocks.
pub(super) const LENGTHS: Target =
    target("lengths", &["\x01", "\x7e\x00"], |bytes| Shape::count(::store::fuzz::lengths(bytes)));

/// `index.db`, and the `.idx` files of old servers.
pub(super) const INDEX: Target =
    target("index", &["\x0b\x04", "\x16\x02"], |bytes| Shape::count(::store::fuzz::index(bytes)));

/// When messages expire.
pub(super) const WHEEL: Target =
    target("wheel", &["\x01"], |bytes| Shape::count(::store::fuzz::wheel(bytes)));

/// When schedules fire.
pub(super) const SCHEDULES: Target =
    target("schedules", &["\x01"], |bytes| Shape::count(::store::fuzz::schedules(bytes)));

/// Progress of a consumer.
pub(super) const CONSUMER: Target = target("consumer", &["\x16\x01", "\x16\x02"], |bytes| {
    Shape::count(::store::fuzz::consumer(bytes))
});

/// The state replicas exchange.
pub(super) const REPLICATED: Target =
    target("replicated", &["\x2a\x01", "\x16\x02", "{\"messages\":", "\"deleted\":["], |bytes| {
        Shape::count(::store::fuzz::replicated(bytes))
    });

/// Documents, their hashes, their keys.
pub(super) const META: Target = target("meta", &["{\"name\":", "[{\"file\":"], |bytes| {
    Shape::count(::store::fuzz::meta(bytes))
});

/// Backups.
pub(super) const ARCHIVE: Target =
    target("archive", &["\x06\x00\x00sNaPpY", "ustar", "meta.inf", "msgs/1.blk"], |bytes| {
        Shape::count(::store::fuzz::archive(bytes))
    });
