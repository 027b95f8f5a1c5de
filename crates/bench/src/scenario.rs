//! The scenarios, their goals against the reference, and the figures a run yields.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use testkit::ServerBuilder;

use crate::flow::Flow;
use crate::measure::Reading;
use crate::stream::{Kind, Stream};
use crate::{hold, request};

/// Named figures of one run. Known names: see [`unit_of`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(pub(crate) Vec<(&'static str, f64)>);

impl Figures {
    pub(crate) fn of(reading: &Reading, messages: u64) -> Self {
        let count = messages.max(1) as f64;
        let mut figures = Self::default();
        figures.set("rate", count / reading.wall.as_secs_f64());
        figures.set("cpu", reading.server_ns as f64 / count);
        figures.set("client_cpu", reading.client_ns as f64 / count);
        figures.set("foreign", reading.foreign);
        figures
    }

    pub(crate) fn set(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

/// What is wanted of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Ours divided by the peer's is at most this.
    RatioAtMost(f64),
    /// Ours divided by the peer's is at least this.
    RatioAtLeast(f64),
    /// Ours alone is at most this.
    AtMost(f64),
    /// Ours alone is at least this.
    AtLeast(f64),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtMost(x) => write!(f, "<= {x:.2}x"),
            Self::RatioAtLeast(x) => write!(f, ">= {x:.2}x"),
            Self::AtMost(x) => write!(f, "<= {x:.0}"),
            Self::AtLeast(x) => write!(f, ">= {x:.0}"),
        }
    }
}

#[derive(Clone, Debug)]
enum Load {
    Flow(Flow),
    Requests { clients: usize },
    Subscriptions { count: usize },
    Connections { count: usize },
    Stream(Stream),
}

/// One row of the comparison.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) goals: Vec<(&'static str, Goal)>,
    load: Load,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<18}", self.name)?;
        for (name, goal) in &self.goals {
            write!(f, " {name} {goal};")?;
        }
        Ok(())
    }
}

impl Scenario {
    /// Starts `binary` afresh and runs this load against it.
    pub(crate) fn run(&self, binary: &Path, conf: &str, length: Duration) -> io::Result<Figures> {
        let dir = tempfile::tempdir()?;
        let mut text = conf.to_owned();
        if let Load::Stream(stream) = &self.load {
            text.push('\n');
            text.push_str(&stream.conf(dir.path()));
        }
        let server = ServerBuilder::of(binary).config(&text).start();
        let (pid, addr) = (server.pid(), server.addr());
        match &self.load {
            Load::Flow(flow) => flow.run(pid, addr, length),
            Load::Requests { clients } => request::run(pid, addr, *clients, length),
            Load::Subscriptions { count } => hold::subscriptions(pid, addr, *count),
            Load::Connections { count } => hold::connections(pid, addr, *count),
            Load::Stream(stream) => stream.run(pid, addr, length),
        }
    }
}

fn flow(name: &str, cpu: f64, rate: f64, flow: Flow) -> Scenario {
    Scenario {
        name: name.to_owned(),
        goals: vec![("cpu", Goal::RatioAtMost(cpu)), ("rate", Goal::RatioAtLeast(rate))],
        load: Load::Flow(flow),
    }
}

/// Every scenario, in the order of the table.
pub(crate) fn all() -> Vec<Scenario> {
    let base = Flow {
        publishers: 1,
        subscribers: 1,
        groups: 1,
        size: 128,
        queue: false,
        single_writes: false,
        subjects: 1,
    };
    let one = |size| Flow { size, ..base.clone() };
    let mut list = vec![
        flow("pub-16", 0.15, 3.0, Flow { subscribers: 0, ..one(16) }),
        flow("1:1-16", 0.12, 5.0, one(16)),
        flow("1:1-128", 0.18, 5.0, one(128)),
        flow("1:1-1k", 0.45, 2.0, one(1024)),
        flow("1:1-16k", 0.75, 1.2, one(16 * 1024)),
        flow("1:10-128", 0.12, 6.0, Flow { subscribers: 10, ..base.clone() }),
        flow("1:100-128", 0.15, 6.0, Flow { subscribers: 100, ..base.clone() }),
        flow("8:1-128", 0.20, 4.0, Flow { publishers: 8, ..base.clone() }),
        flow(
            "4:4-128",
            0.20,
            4.0,
            Flow { publishers: 4, subscribers: 4, groups: 4, ..base.clone() },
        ),
        flow("queue-8-128", 0.20, 4.0, Flow { subscribers: 8, queue: true, ..base.clone() }),
        flow("1:1-128-write", 0.8, 1.2, Flow { single_writes: true, ..base.clone() }),
        flow(
            "8:8-128-write",
            0.8,
            1.2,
            Flow { publishers: 8, subscribers: 8, groups: 8, single_writes: true, ..base.clone() },
        ),
    ];
    for clients in [1, 16, 64, 1000] {
        list.push(Scenario {
            name: format!("request-{clients}"),
            goals: vec![
                ("cpu", Goal::RatioAtMost(0.55)),
                ("rate", Goal::RatioAtLeast(1.3)),
                ("p50", Goal::RatioAtMost(0.8)),
                ("p99", Goal::RatioAtMost(0.5)),
            ],
            load: Load::Requests { clients },
        });
    }
    list.push(flow("subjects-100k", 0.10, 6.0, Flow { subjects: 100_000, ..base }));
    list.push(Scenario {
        name: "subs-1m".to_owned(),
        goals: vec![("bytes_each", Goal::AtMost(250.0)), ("rate", Goal::RatioAtLeast(4.0))],
        load: Load::Subscriptions { count: 1_000_000 },
    });
    list.push(Scenario {
        name: "idle-10k".to_owned(),
        goals: vec![
            ("bytes_each", Goal::AtMost(4096.0)),
            ("process_rss", Goal::AtMost(6.0 * 1024.0 * 1024.0)),
            ("rate", Goal::RatioAtLeast(1.5)),
        ],
        load: Load::Connections { count: 10_000 },
    });
    list.extend(streams());
    list
}

/// JetStream, in the order of its issue's list.
fn streams() -> Vec<Scenario> {
    let load = |name: &str, rate: f64, kind, storage, sync_always| Scenario {
        name: format!("js-{name}"),
        goals: vec![("rate", Goal::RatioAtLeast(rate))],
        load: Load::Stream(Stream { kind, storage, size: 128, sync_always }),
    };
    let pipelined = Kind::Publish { window: 4096 };
    let mut keys = load("keys-200k", 3.0, Kind::Keys { count: 200_000 }, "file", false);
    keys.goals.push(("bytes_each", Goal::RatioAtMost(0.25)));
    let mut source = load("source", 1.0, Kind::Source, "file", false);
    source.goals.push(("rate", Goal::AtLeast(100_000.0)));
    vec![
        load("pub-one", 1.3, Kind::Publish { window: 1 }, "file", false),
        load("pub-file", 3.0, pipelined, "file", false),
        load("pub-memory", 3.0, pipelined, "memory", false),
        keys,
        load("pub-always", 8.0, pipelined, "file", true),
        load("pull-ack", 3.0, Kind::Pull { acks: true }, "file", false),
        load("pull", 3.0, Kind::Pull { acks: false }, "file", false),
        load("get", 3.0, Kind::Get { window: 64 }, "file", false),
        load("consumers-50", 1.0, Kind::Crowd { consumers: 50 }, "file", false),
        source,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_scenario_has_goals() {
        let list = all();
        for (i, s) in list.iter().enumerate() {
            assert!(!s.goals.is_empty(), "{}", s.name);
            assert!(list[..i].iter().all(|o| o.name != s.name), "{} twice", s.name);
        }
    }
}
