//! Rules for JetStream: it may be turned on and off, and its limits may grow.
//!
//! Compat(RELOAD-003): limits that were found out rather than set do not change, and a set limit
//! goes only together with JetStream.

use super::rule::{Rule, Verdict, judged, refused};
use super::show::{hidden, map, number, refusal, switch, text, time};
use super::{Pair, Plan, Step};
use crate::lang::unit::Nanos;
use crate::options::Options;

pub(super) const RULES: &[Rule] = &[
    judged("JetStream", &["jetstream"], enabled),
    refused("NoJetStreamStrict", &["jetstream.strict"], |o| {
        switch(!o.jetstream.strict.unwrap_or(true))
    }),
    judged(
        "JetStreamMaxMemory",
        &["jetstream.max_memory_store", "jetstream.max_mem_store", "jetstream.max_mem"],
        |pair, plan| limit("JetStreamMaxMemory", "max_mem_store", memory, pair, plan),
    ),
    judged(
        "JetStreamMaxStore",
        &["jetstream.max_file_store", "jetstream.max_file"],
        |pair, plan| limit("JetStreamMaxStore", "max_file_store", store, pair, plan),
    ),
    refused("JetStreamDomain", &["jetstream.domain"], |o| text(o.jetstream.domain.as_ref())),
    refused("JetStreamExtHint", &["jetstream.extension_hint"], |o| {
        text(o.jetstream.extension_hint.as_ref())
    }),
    refused("JetStreamKey", &["jetstream.key", "jetstream.ek", "jetstream.encryption_key"], |o| {
        hidden(&o.jetstream.key)
    }),
    refused(
        "JetStreamOldKey",
        &["jetstream.prev_key", "jetstream.prev_ek", "jetstream.prev_encryption_key"],
        |o| hidden(&o.jetstream.prev_key),
    ),
    refused("JetStreamCipher", &["jetstream.cipher"], |o| {
        o.jetstream.cipher.map_or_else(String::new, |cipher| format!("{cipher:?}"))
    }),
    refused("JetStreamUniqueTag", &["jetstream.unique_tag"], |o| {
        text(o.jetstream.unique_tag.as_ref())
    }),
    refused("JetStreamLimits", &["jetstream.limits"], limits),
    refused("JetStreamTpm", &["jetstream.tpm"], |o| hidden(&o.jetstream.tpm)),
    refused("JetStreamMaxCatchup", &["jetstream.max_outstanding_catchup"], |o| {
        number(o.jetstream.max_outstanding_catchup)
    }),
    refused("JetStreamRequestQueueLimit", &["jetstream.request_queue_limit"], |o| {
        o.jetstream_request_queue_limit().to_string()
    }),
    refused("JetStreamInfoQueueLimit", &["jetstream.info_queue_limit"], |o| {
        o.jetstream_info_queue_limit().to_string()
    }),
    Rule {
        field: "JetStreamMetaCompact",
        keys: &[
            "jetstream.meta_compact",
            "jetstream.meta_compact_size",
            "jetstream.meta_compact_sync",
        ],
        value: |o| {
            let js = &o.jetstream;
            hidden(&(js.meta_compact, js.meta_compact_size, js.meta_compact_sync))
        },
        verdict: Verdict::Silent,
    },
    judged("JetStreamConcurrentIOs", &["jetstream.max_concurrent_io"], |pair, _| {
        let value = |o: &Options| o.jetstream_max_concurrent_io().to_string();
        let (old, new) = (value(pair.old), value(pair.new));
        // Gone with the whole section, it is not asked for.
        if old == new || !pair.new.jetstream.enabled {
            return Ok(());
        }
        Err(refusal("JetStreamConcurrentIOs", &old, &new))
    }),
    refused("StreamMaxBufferedMsgs", &["jetstream.max_buffered_msgs"], |o| {
        number(o.jetstream.max_buffered_msgs)
    }),
    refused("StreamMaxBufferedSize", &["jetstream.max_buffered_size"], |o| {
        number(o.jetstream.max_buffered_size)
    }),
    judged(
        "StoreDir",
        &["store_dir", "storedir", "jetstream.store", "jetstream.store_dir", "jetstream.storedir"],
        store_dir,
    ),
    refused("SyncInterval", &["jetstream.sync", "jetstream.sync_interval"], |o| {
        time(o.jetstream_sync_interval())
    }),
    refused("SyncAlways", &["jetstream.sync"], |o| switch(o.jetstream.sync_always)),
    refused("JsAccDefaultDomain", &["default_js_domain"], |o| map(&o.jetstream.default_domains)),
];

/// All limits in the reference's order.
fn limits(options: &Options) -> String {
    let (limits, batch) = (&options.jetstream.limits, &options.jetstream.limits.batch);
    let wait = |of: Option<Nanos>| time(of.map(Nanos::to_std).unwrap_or_default());
    let all = [
        number(limits.max_request_batch),
        number(limits.max_ack_pending),
        number(limits.max_ha_assets),
        wait(limits.duplicate_window),
        number(batch.max_inflight_per_stream),
        number(batch.max_inflight_total),
        number(batch.max_msgs),
        wait(batch.timeout),
    ];
    format!("{{{}}}", all.join(" "))
}

fn memory(options: &Options) -> i64 {
    options.jetstream.max_memory.unwrap_or(-1)
}

fn store(options: &Options) -> i64 {
    options.jetstream.max_store.unwrap_or(-1)
}

fn enabled(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let (old, new) = (pair.old.jetstream.enabled, pair.new.jetstream.enabled);
    if old != new || (new && !pair.running.jetstream) {
        plan.add("JetStream", Step::JetStream, "Reloaded: JetStream".into());
    }
    Ok(())
}

fn limit(
    field: &'static str,
    key: &str,
    value: fn(&Options) -> i64,
    pair: &Pair<'_>,
    plan: &mut Plan,
) -> Result<(), String> {
    let (old, new) = (value(pair.old), value(pair.new));
    if !pair.running.jetstream || old == new {
        return Ok(());
    }
    if old == -1 {
        return Err("config reload not supported for jetstream dynamic max memory and store".into());
    }
    // Gone altogether: `check` tells whether JetStream goes as well.
    if new == -1 {
        return Ok(());
    }
    if new < old {
        return Err(
            "config reload not supported for decreasing jetstream max memory and store".into()
        );
    }
    let line = format!("Reloaded: JetStream {key} = {}", friendly(new));
    plan.add(field, Step::JetStream, line);
    Ok(())
}

fn store_dir(pair: &Pair<'_>, _: &mut Plan) -> Result<(), String> {
    let value = |o: &Options| text(o.jetstream.store_dir.as_ref());
    let new = value(pair.new);
    if pair.running.jetstream && value(pair.old) != new && !new.is_empty() {
        return Err("config reload not supported for jetstream storage directory".into());
    }
    Ok(())
}

/// What may only change if JetStream is turned off as well.
pub(super) fn check(pair: &Pair<'_>) -> Result<(), String> {
    let Pair { old, new, running } = pair;
    if !running.jetstream || !new.jetstream.enabled {
        return Ok(());
    }
    let gone = |value: fn(&Options) -> i64| value(old) != -1 && value(new) == -1;
    if gone(memory) || gone(store) {
        return Err("config reload not supported for jetstream max memory and max store".into());
    }
    let dir = |o: &Options| text(o.jetstream.store_dir.as_ref());
    if dir(old) != dir(new) {
        return Err("config reload not supported for jetstream storage dir".into());
    }
    Ok(())
}

/// Bytes as the reference's log prints them.
fn friendly(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    let mut amount = bytes as f64;
    if amount < 1024.0 {
        return format!("{bytes} B");
    }
    let mut unit = "";
    for name in UNITS {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = name;
    }
    format!("{amount:.2} {unit}")
}
