//! `/metrics`: the server's counters for Prometheus, as OpenMetrics text.
//!
//! Not here: per-connection and per-subject figures: a label takes only values that are known when
//! the server is built, so that a scrape stays small whatever clients do.
//! Laws: base units (seconds, bytes); a counter never goes back while the server lives; the text
//!       ends with `# EOF`.
//! Source: the OpenMetrics 1.0 text format; Prometheus' rules for names and units.

use super::jsz::{JetStreamAccount, JetStreamFacts, JszOptions};
use crate::source::Source;
use std::fmt::{Display, Write};

/// The text's content type.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The content type of the older text, for those who do not know OpenMetrics.
pub(crate) const PLAIN_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a reader who accepts `accept` wants the older text.
pub(crate) fn wants_plain(accept: &str) -> bool {
    let accept = accept.to_ascii_lowercase();
    accept.contains("text/plain") && !accept.contains("application/openmetrics-text")
}

/// What a family's samples are.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Info,
}

/// The text being written, and whether it is the older one.
struct Page(String, bool);

impl Page {
    /// A family: its name without suffix, what it is, its unit (or ""), and its samples as labels
    /// (`name="value"`, or "") and value.
    fn family<V: Display>(
        &mut self,
        name: &str,
        kind: Kind,
        unit: &str,
        help: &str,
        samples: &[(String, V)],
    ) {
        let (word, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Info => ("info", "_info"),
        };
        // The older text knows no units and no kind for facts, and declares a sample's whole name.
        let plain = self.1;
        let declared = if plain { format!("{name}{suffix}") } else { name.to_owned() };
        let word = if plain && word == "info" { "gauge" } else { word };
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# TYPE {declared} {word}");
        if !unit.is_empty() && !plain {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {declared} {help}");
        for (labels, value) in samples {
            let _ = if labels.is_empty() {
                writeln!(self.0, "{name}{suffix} {value}")
            } else {
                writeln!(self.0, "{name}{suffix}{{{labels}}} {value}")
            };
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, Kind::Counter, "", help, &[(String::new(), value)]);
    }

    fn gauge<V: Display>(&mut self, name: &str, unit: &str, help: &str, value: V) {
        self.family(name, Kind::Gauge, unit, help, &[(String::new(), value)]);
    }
}

/// A label, its value escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

/// The page.
pub(crate) fn page(source: &dyn Source) -> String {
    let mut page = families(source, false);
    page.push_str("# EOF\n");
    page
}

/// The page in the older text.
pub(crate) fn plain(source: &dyn Source) -> String {
    families(source, true)
}

fn families(source: &dyn Source, plain: bool) -> String {
    let varz = source.varz();
    let process = source.process();
    let mut page = Page(String::with_capacity(8 * 1024), plain);
    let mut who = vec![
        label("server_id", &varz.server_id),
        label("server_name", &varz.server_name),
        label("version", &varz.version),
    ];
    if !varz.cluster.name.is_empty() {
        who.push(label("cluster", &varz.cluster.name));
    }
    let help = "Which server this is.";
    page.family("nats_server", Kind::Info, "", help, &[(who.join(","), 1)]);
    let ready = u8::from(source.listener_faults().is_empty());
    page.gauge("nats_server_ready", "", "Whether every listener accepts (1) or not (0).", ready);
    let start = varz.start.0 as f64 / 1e9;
    let help = "When the server started, since the Unix epoch.";
    page.gauge("nats_server_start_time_seconds", "seconds", help, start);
    let help = "When its configuration was last read, since the Unix epoch.";
    let loaded = varz.config_load_time.0 as f64 / 1e9;
    page.gauge("nats_server_config_load_time_seconds", "seconds", help, loaded);
    let help = "Resident memory of the process.";
    page.gauge("nats_server_resident_memory_bytes", "bytes", help, process.mem);
    let help = "Cores in use, over the last second.";
    page.gauge("nats_server_cpu_cores", "", help, process.cpu / 100.0);
    page.gauge("nats_server_cores", "", "Cores of the machine.", process.cores);
    traffic(&mut page, &varz);
    connections(&mut page, &varz);
    if let Some(facts) = source.jetstream(&JszOptions::default()) {
        jetstream(&mut page, &facts);
    }
    let accounts = source.account_names().len();
    page.gauge("nats_server_accounts", "", "Accounts that are known.", accounts);
    page.gauge("nats_server_subscriptions", "", "Open subscriptions.", varz.subscriptions);
    let requests: Vec<_> = source
        .request_counts()
        .snapshot()
        .into_iter()
        .map(|(path, count)| (label("path", path), count))
        .collect();
    let help = "Requests to the monitoring endpoints.";
    page.family("nats_server_http_requests", Kind::Counter, "", help, &requests);
    page.0
}

fn traffic(page: &mut Page, varz: &super::varz::Varz) {
    let directions =
        |received, sent| [(label("direction", "in"), received), (label("direction", "out"), sent)];
    let help = "Messages received and sent.";
    let samples = directions(varz.in_msgs, varz.out_msgs);
    page.family("nats_server_messages", Kind::Counter, "", help, &samples);
    let help = "Bytes of messages received and sent.";
    let samples = directions(varz.in_bytes, varz.out_bytes);
    page.family("nats_server_message_bytes", Kind::Counter, "bytes", help, &samples);
    let help = "Largest message allowed.";
    page.gauge("nats_server_max_payload_bytes", "bytes", help, varz.max_payload);
}

/// JetStream as a whole: accounts and streams are no labels, however many there are.
fn jetstream(page: &mut Page, facts: &JetStreamFacts) {
    let streams = || facts.accounts.iter().flat_map(|account| &account.streams);
    let accounts = facts.accounts.len();
    page.gauge("nats_server_jetstream_accounts", "", "Accounts with JetStream.", accounts);
    page.gauge("nats_server_jetstream_streams", "", "Streams.", streams().count());
    let consumers: u64 = streams().map(|s| s.consumer_count).sum();
    page.gauge("nats_server_jetstream_consumers", "", "Consumers.", consumers);
    let messages: u64 = streams().map(|s| s.messages).sum();
    page.gauge("nats_server_jetstream_messages", "", "Messages that streams hold.", messages);
    let stores =
        |memory, file| [(label("store", "memory"), memory), (label("store", "file"), file)];
    let used = |bytes: fn(&JetStreamAccount) -> u64| facts.accounts.iter().map(bytes).sum::<u64>();
    let samples = stores(used(|a| a.memory), used(|a| a.storage));
    let help = "Bytes that streams hold.";
    page.family("nats_server_jetstream_bytes", Kind::Gauge, "bytes", help, &samples);
    let samples = stores(facts.reserved_memory, facts.reserved_storage);
    let help = "Bytes promised to streams.";
    page.family("nats_server_jetstream_reserved_bytes", Kind::Gauge, "bytes", help, &samples);
    let samples = [
        (label("store", "memory"), facts.config.max_memory),
        (label("store", "file"), facts.config.max_storage),
    ];
    let help = "Bytes that streams may hold.";
    page.family("nats_server_jetstream_max_bytes", Kind::Gauge, "bytes", help, &samples);
    let (total, errors) = facts.requests;
    let help = "Requests of the JetStream API that were answered.";
    page.counter("nats_server_jetstream_api_requests", help, total);
    let help = "Requests of the JetStream API that were refused.";
    page.counter("nats_server_jetstream_api_errors", help, errors);
}

fn connections(page: &mut Page, varz: &super::varz::Varz) {
    page.gauge("nats_server_connections", "", "Open client connections.", varz.connections);
    let help = "Client connections allowed at a time; -1 for any number.";
    page.gauge("nats_server_max_connections", "", help, varz.max_connections);
    let help = "Client connections accepted.";
    page.counter("nats_server_accepted_connections", help, varz.total_connections);
    page.gauge("nats_server_routes", "", "Open route connections.", varz.routes);
    page.gauge("nats_server_remotes", "", "Servers reached by routes.", varz.remotes);
    page.gauge("nats_server_leafnodes", "", "Open leafnode connections.", varz.leafnodes);
    let help = "Times a publisher was held back for a subscriber that is far behind.";
    page.counter("nats_server_stalled_clients", help, varz.stalled_clients);
    let kinds = |counts: super::varz::KindCounts| {
        [
            (label("kind", "client"), counts.clients),
            (label("kind", "route"), counts.routes),
            (label("kind", "gateway"), counts.gateways),
            (label("kind", "leafnode"), counts.leafs),
        ]
    };
    let help = "Connections that took their messages too slowly.";
    let slow = kinds(varz.slow_consumer_stats);
    page.family("nats_server_slow_consumers", Kind::Counter, "", help, &slow);
    let help = "Connections closed for not answering pings.";
    let stale = kinds(varz.stale_connection_stats);
    page.family("nats_server_stale_connections", Kind::Counter, "", help, &stale);
}
