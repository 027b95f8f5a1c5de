//! Rules for TLS of clients and for OCSP.

use super::rule::judged;
use super::rule::{Rule, live, refused};
use super::show::{hidden, switch};
use super::{Pair, Plan, Step};
use crate::options::{HandshakeFirst, Options, TlsOptions};

pub(super) const RULES: &[Rule] = &[
    live("TLSTimeout", &["tls.timeout"], Step::Tls, "Reloaded: tls timeout = {}", |o| {
        o.tls_timeout().as_secs_f64().to_string()
    }),
    refused("TLSMap", &["tls.verify_and_map"], |o| switch(tls(o).is_some_and(|tls| tls.map))),
    judged("TLSConfig", &["tls"], certificates),
    judged("TLSPinnedCerts", &["tls.pinned_certs"], pinned),
    refused("TLSRateLimit", &["tls.connection_rate_limit"], |o| {
        tls(o).map_or(0, |tls| tls.rate_limit).to_string()
    }),
    live(
        "TLSHandshakeFirst",
        &["tls.handshake_first"],
        Step::Tls,
        "Reloaded: Client TLS handshake first: {}",
        |o| switch(first(o) != HandshakeFirst::Off),
    ),
    live(
        "TLSHandshakeFirstFallback",
        &["tls.handshake_first"],
        Step::Tls,
        "Reloaded: Client TLS handshake first fallback delay: {}",
        |o| match first(o) {
            HandshakeFirst::Fallback(delay) => delay.to_string(),
            HandshakeFirst::Off | HandshakeFirst::On => "0s".into(),
        },
    ),
    refused("AllowNonTLS", &["allow_non_tls"], |o| switch(o.client.allow_non_tls)),
    live("OCSPConfig", &["ocsp"], Step::Ocsp, "Reloaded: OCSP", |o| hidden(&o.ocsp)),
    live("OCSPCacheConfig", &["ocsp_cache"], Step::Ocsp, "Reloaded OCSP peer cache", |o| {
        hidden(&o.ocsp_cache)
    }),
];

fn tls(options: &Options) -> Option<&TlsOptions> {
    options.tls.as_ref()
}

fn first(options: &Options) -> HandshakeFirst {
    tls(options).map(|tls| tls.handshake_first).unwrap_or_default()
}

/// Files are compared by name; what is in them is the host's to look at.
fn certificates(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let value = |o: &Options| {
        tls(o).map(|tls| TlsOptions {
            timeout: None,
            pinned_certs: Default::default(),
            handshake_first: HandshakeFirst::Off,
            ..tls.clone()
        })
    };
    if value(pair.old) != value(pair.new) || pair.running.tls_files_changed {
        let state = if pair.new.tls.is_some() { "enabled" } else { "disabled" };
        plan.add("TLSConfig", Step::Tls, format!("Reloaded: tls = {state}"));
    }
    Ok(())
}

fn pinned(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let pins = |o: &Options| tls(o).map(|tls| tls.pinned_certs.clone()).unwrap_or_default();
    let new = pins(pair.new);
    if pins(pair.old) != new {
        plan.add("TLSPinnedCerts", Step::Tls, format!("Reloaded: {} pinned_certs", new.len()));
    }
    Ok(())
}
