//! Keys whose feature is not built yet. A server refuses to start with them, by name; nothing is
//! silently ignored.
//!
//! Laws: every entry is a key the options read; building a feature removes its entries, and nothing
//!       else changes.

use std::fmt;

use crate::lang::Position;
use crate::options::{Options, TlsOptions};

/// A key that was set and cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbuilt {
    /// The key, dotted.
    pub key: &'static str,
    /// Where it stands; `None` if a flag set it.
    pub position: Option<Position>,
    /// What is missing.
    pub feature: &'static str,
}

impl fmt::Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        let Self { key, feature, .. } = self;
        write!(
            f,
            "{key:?} is set, but this version does not have {feature} yet; remove it to start"
        )
    }
}

struct Entry {
    key: &'static str,
    /// Other spellings under which the key may stand.
    aliases: &'static [&'static str],
    feature: &'static str,
    is_set: fn(&Options) -> bool,
}

/// The table. An entry says when a key asks for something, not merely that it was written.
const UNBUILT: &[Entry] = &[
    Entry {
        key: "cluster",
        aliases: &[],
        feature: "clustering",
        is_set: |o| o.cluster.listen.is_set() || !o.cluster.routes.is_empty(),
    },
    Entry {
        key: "gateway",
        aliases: &[],
        feature: "gateways",
        is_set: |o| o.gateway.listen.is_set() || o.gateway.name.is_some(),
    },
    Entry {
        key: "leafnodes",
        aliases: &["leaf"],
        feature: "leaf nodes",
        is_set: |o| o.leafnode.listen.is_set() || !o.leafnode.remotes.is_empty(),
    },
    Entry {
        key: "websocket",
        aliases: &["ws"],
        feature: "WebSocket",
        is_set: |o| o.websocket.listen.is_set(),
    },
    Entry { key: "mqtt", aliases: &[], feature: "MQTT", is_set: |o| o.mqtt.listen.is_set() },
    Entry {
        key: "jetstream.tpm",
        aliases: &["jetstream"],
        feature: "keys in a TPM",
        is_set: |o| {
            let tpm = o.jetstream.tpm.as_ref();
            tpm.and_then(|tpm| tpm.keys_file.as_ref()).is_some_and(|file| !file.is_empty())
        },
    },
    Entry {
        key: "tls.cert_match",
        aliases: &["tls.cert_match_by", "tls.ca_certs_match"],
        feature: "certificate stores",
        is_set: |o| {
            any_tls(o, |tls| {
                tls.cert_match.is_some()
                    || tls.cert_match_by.is_some()
                    || !tls.ca_certs_match.is_empty()
            })
        },
    },
    Entry {
        key: "prof_block_rate",
        aliases: &[],
        feature: "profiling endpoints",
        is_set: |o| o.monitoring.prof_block_rate.is_some_and(|rate| rate != 0),
    },
];

fn any_tls(options: &Options, check: fn(&TlsOptions) -> bool) -> bool {
    let blocks = [
        &options.tls,
        &options.cluster.tls,
        &options.gateway.tls,
        &options.leafnode.tls,
        &options.websocket.tls,
        &options.mqtt.tls,
        &options.operator.resolver_tls,
    ];
    let remotes = options.leafnode.remotes.iter().map(|remote| &remote.tls);
    blocks.into_iter().chain(remotes).flatten().any(check)
}

/// Every key that is set and cannot be honoured, in table order.
pub fn unbuilt(options: &Options) -> Vec<Unbuilt> {
    UNBUILT
        .iter()
        .filter(|entry| (entry.is_set)(options))
        .map(|entry| {
            let mut names = std::iter::once(&entry.key).chain(entry.aliases);
            let position = names.find_map(|name| options.keys.position(name)).cloned();
            Unbuilt { key: entry.key, position, feature: entry.feature }
        })
        .collect()
}
