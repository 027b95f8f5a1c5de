//! Rules for other servers, other protocols and operators.
//!
//! What these links can follow while they are up is theirs to say when they are built; until then
//! a server that has them does not start.

use super::rule::{Rule, judged, refused};
use super::show::{hidden, refusal, switch};
use super::{Pair, Plan, Step};
use crate::options::{
    ClusterOptions, GatewayOptions, LeafNodeOptions, MqttOptions, Options, WebsocketOptions,
};

/// Other servers.
pub(super) const SERVERS: &[Rule] = &[
    judged("Cluster", &["cluster"], cluster),
    refused("Gateway", &["gateway"], |o| {
        hidden(&GatewayOptions { tls: None, ..o.gateway.clone() })
    }),
    refused("LeafNode", &["leaf", "leafnodes"], |o| {
        hidden(&LeafNodeOptions { tls: None, ..o.leafnode.clone() })
    }),
];

/// Other protocols, and operators.
pub(super) const PROTOCOLS: &[Rule] = &[
    refused("Websocket", &["websocket", "ws"], |o| {
        hidden(&WebsocketOptions { tls: None, ..o.websocket.clone() })
    }),
    refused("MQTT", &["mqtt"], |o| {
        hidden(&MqttOptions {
            tls: None,
            ack_wait: None,
            max_ack_pending: None,
            stream_replicas: None,
            consumer_memory_storage: false,
            consumer_inactive_threshold: None,
            ..o.mqtt.clone()
        })
    }),
    judged("MQTT", &["mqtt"], mqtt),
    judged("Routes", &["cluster"], |pair, plan| {
        if pair.old.cluster.routes != pair.new.cluster.routes {
            plan.add("Routes", Step::Links, "Reloaded: cluster routes".into());
        }
        Ok(())
    }),
    refused("TrustedKeys", &["trusted_keys", "trusted"], |o| hidden(&o.operator.trusted_keys)),
    refused(
        "TrustedOperators",
        &["operator", "operators", "roots", "root", "root_operators", "root_operator"],
        |o| hidden(&o.operator.operators),
    ),
    judged(
        "AccountResolver",
        &[
            "resolver",
            "account_resolver",
            "accounts_resolver",
            "resolver_tls",
            "resolver_preload",
            "resolver_pinned_accounts",
        ],
        resolver,
    ),
];

fn cluster(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let (old, new) = (&pair.old.cluster, &pair.new.cluster);
    let without_routes = |of: &ClusterOptions| ClusterOptions { routes: vec![], ..of.clone() };
    if without_routes(old) == without_routes(new) {
        return Ok(());
    }
    let host = |of: &ClusterOptions| match of.listen.is_set() {
        true => of.listen.host_or_any().to_owned(),
        false => of.listen.host.clone().unwrap_or_default(),
    };
    if host(old) != host(new) {
        let (old, new) = (host(old), host(new));
        return Err(refusal("cluster host", &old, &new));
    }
    let (before, after) = (old.listen.port.unwrap_or(0), new.listen.port.unwrap_or(0));
    if before != after {
        return Err(refusal("cluster port", &before.to_string(), &after.to_string()));
    }
    plan.add("Cluster", Step::Links, "Reloaded: cluster".into());
    Ok(())
}

fn mqtt(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let (old, new) = (&pair.old.mqtt, &pair.new.mqtt);
    if old == new {
        return Ok(());
    }
    let time = |value: Option<crate::lang::unit::Nanos>| value.unwrap_or_default().to_string();
    for (name, value) in [
        ("ack_wait", time(new.ack_wait)),
        ("max_ack_pending", new.max_ack_pending.unwrap_or(0).to_string()),
        ("stream_replicas", new.stream_replicas.unwrap_or(0).to_string()),
        ("consumer_memory_storage", switch(new.consumer_memory_storage)),
        ("consumer_inactive_threshold", time(new.consumer_inactive_threshold)),
    ] {
        plan.add("MQTT", Step::Links, format!("Reloaded: MQTT {name} = {value}"));
    }
    Ok(())
}

/// Which kind of server this is does not change; what the resolver holds may.
fn resolver(pair: &Pair<'_>, plan: &mut Plan) -> Result<(), String> {
    let (old, new) = (&pair.old.operator, &pair.new.operator);
    if old.resolver.is_some() != new.resolver.is_some() {
        return Err("config reload does not support moving to or from an account resolver".into());
    }
    let parts = |o: &Options| {
        let operator = &o.operator;
        hidden(&(
            &operator.resolver,
            &operator.resolver_tls,
            &operator.resolver_preload,
            &operator.resolver_pinned_accounts,
        ))
    };
    if parts(pair.old) != parts(pair.new) {
        plan.add("AccountResolver", Step::Accounts, "Reloaded: accounts".into());
    }
    Ok(())
}
