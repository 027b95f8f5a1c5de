//! Which streams and consumers there are.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// A stream.
pub(super) struct Stream {
    pub(super) name: &'static str,
    pub(super) config: Value,
}

/// A consumer, and what came of it.
pub(super) struct Member {
    pub(super) stream: &'static str,
    pub(super) name: String,
    pub(super) config: Value,
    /// Everything it selects is owed to its client: nothing is lost with a connection, or given
    /// up after some deliveries.
    pub(super) owes: bool,
    /// The pin its client has.
    pub(super) pin: Option<String>,
    /// Sequences its client has seen.
    pub(super) seen: BTreeSet<u64>,
}

/// Everybody.
pub(super) struct Cast {
    pub(super) streams: Vec<Stream>,
    pub(super) members: Vec<Member>,
}

/// What messages are published to, under the stream's name.
pub(super) const SUBJECTS: [&str; 3] = ["a", "b", "c"];

const MILLIS: u64 = 1_000_000;

impl Member {
    pub(super) fn is_push(&self) -> bool {
        self.config.get("deliver_subject").is_some()
    }

    /// The priority group its client asks in.
    pub(super) fn group(&self) -> Option<&str> {
        self.config["priority_groups"][0].as_str()
    }

    /// Whether it selects a subject of its stream.
    pub(super) fn selects(&self, subject: &str) -> bool {
        let one = self.config["filter_subject"].as_str();
        let some = self.config["filter_subjects"].as_array();
        match (one, some) {
            (Some(one), _) => one == subject,
            (None, Some(some)) => some.iter().any(|f| f == subject),
            (None, None) => true,
        }
    }
}

impl Cast {
    pub(super) fn new() -> Self {
        let mut cast = Self { streams: Vec::new(), members: Vec::new() };
        for (name, storage, retention) in [
            ("LF", "file", "limits"),
            ("LM", "memory", "limits"),
            ("KV", "file", "limits"),
            ("IF", "file", "interest"),
            ("IM", "memory", "interest"),
            ("WF", "file", "workqueue"),
            ("WM", "memory", "workqueue"),
        ] {
            let mut config = json!({"name": name, "subjects": [format!("{name}.>")], "storage": storage, "retention": retention});
            if name == "KV" {
                config["max_msgs_per_subject"] = 5.into();
                config["allow_rollup_hdrs"] = true.into();
            }
            cast.streams.push(Stream { name, config });
            match retention {
                "workqueue" => cast.work_queue(name),
                _ => cast.everyone(name),
            }
        }
        cast
    }

    fn add(&mut self, stream: &'static str, more: Value) {
        let name = format!("c{}", self.members.len());
        let mut config = json!({
            "durable_name": name, "ack_policy": "explicit", "ack_wait": 400 * MILLIS,
            "deliver_policy": "all", "max_ack_pending": 20,
        });
        if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
            config.extend(more);
        }
        if config.get("deliver_subject").is_some() {
            config["deliver_subject"] = format!("push.{name}").into();
        }
        if config["ack_policy"] == "none"
            && let Some(fields) = config.as_object_mut()
        {
            fields.retain(|key, _| key != "max_ack_pending" && key != "ack_wait");
        }
        let lossless = config["ack_policy"] == "explicit" && config.get("max_deliver").is_none();
        // Among several with the same message the last one may be all that is there.
        let owes = lossless && config["deliver_policy"] == "all" && stream != "KV";
        let (pin, seen) = (None, BTreeSet::new());
        self.members.push(Member { stream, name, config, owes, pin, seen });
    }

    /// Of each kind one; each sees everything, or what it selects.
    fn everyone(&mut self, s: &'static str) {
        let (a, b, c) = (format!("{s}.a"), format!("{s}.b"), format!("{s}.c"));
        for more in [
            json!({}),
            json!({"filter_subject": a}),
            json!({"filter_subjects": [a, c]}),
            json!({"max_ack_pending": 1}),
            json!({"max_deliver": 3}),
            json!({"backoff": [100 * MILLIS, 300 * MILLIS, 600 * MILLIS], "max_deliver": 5}),
            json!({"ack_policy": "all"}),
            json!({"ack_policy": "none"}),
            json!({"max_waiting": 1}),
            json!({"deliver_policy": "last_per_subject", "filter_subject": format!("{s}.>")}),
            json!({"deliver_policy": "new", "headers_only": true}),
            json!({"priority_policy": "overflow", "priority_groups": ["g"]}),
            json!({"priority_policy": "prioritized", "priority_groups": ["g"]}),
            json!({"priority_policy": "pinned_client", "priority_groups": ["g"], "priority_timeout": 1000 * MILLIS}),
            json!({"deliver_subject": ""}),
            json!({"deliver_subject": "", "deliver_group": "q", "filter_subject": b}),
            json!({"deliver_subject": "", "flow_control": true, "idle_heartbeat": 200 * MILLIS}),
            json!({"deliver_subject": "", "rate_limit_bps": 1_000_000, "max_ack_pending": 5}),
            json!({"deliver_subject": "", "ack_policy": "none"}),
            json!({"deliver_subject": "", "max_deliver": 2}),
        ] {
            self.add(s, more);
        }
    }

    fn work_queue(&mut self, s: &'static str) {
        self.add(s, json!({"filter_subject": format!("{s}.a")}));
        self.add(s, json!({"filter_subject": format!("{s}.b"), "deliver_subject": ""}));
        self.add(
            s,
            json!({"filter_subject": format!("{s}.c"), "priority_policy": "pinned_client",
                   "priority_groups": ["g"], "priority_timeout": 1000 * MILLIS}),
        );
    }
}
