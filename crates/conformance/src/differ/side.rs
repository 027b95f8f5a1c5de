//! One of the two servers: sends steps, gathers answers, keeps what came unasked.

use std::time::{Duration, Instant};

use testkit::{Client, DEADLINE, Frame, Msg, Server};

use super::generate::{self, End, Step};
use super::plain;

/// Where what comes unasked is delivered.
const ADVISORIES: u64 = 1;
const PUSHES: u64 = 2;
const FIRST: u64 = 10;

/// How long an answer that may not come is waited for.
const QUIET: Duration = Duration::from_millis(400);

/// The least that is waited: the other side's wait may have used up the time.
const MOMENT: Duration = Duration::from_millis(80);

/// How many deliveries are remembered, to be acknowledged.
const ACKS: usize = 64;

pub(super) struct Side {
    server: Server,
    client: Client,
    sid: u64,
    /// When the latest step was sent.
    sent: Instant,
    acks: Vec<String>,
    aside: Vec<String>,
}

impl Side {
    pub(super) fn new(server: Server) -> Self {
        let mut client = server.client();
        client.send(format!("SUB $JS.EVENT.> {ADVISORIES}\r\n"));
        // One consumer's subject in a queue group, one without, the last under a wildcard only.
        let pushes = ["push.c0 g", "push.c1", "*.c2", "push.a", "push.re.>", "push.all.>"];
        for (push, sid) in pushes.iter().zip(PUSHES..) {
            client.send(format!("SUB {push} {sid}\r\n"));
        }
        client.flush();
        let sent = Instant::now();
        Self { server, client, sid: FIRST, sent, acks: Vec::new(), aside: Vec::new() }
    }

    /// How many deliveries there are to acknowledge.
    pub(super) fn acks(&self) -> usize {
        self.acks.len()
    }

    /// The step as this side has to take it: deliveries that nobody asked for come when they come,
    /// so the one that an acknowledgement means stands elsewhere here. `None` if it is not here yet.
    pub(super) fn own(&self, step: &Step, other: &Self) -> Option<Step> {
        let Step::Ack { which, body } = step else { return Some(step.clone()) };
        let wanted = plain::subject(other.acks.get(*which)?);
        let which = self.acks.iter().position(|reply| plain::subject(reply) == wanted)?;
        Some(Step::Ack { which, body: body.clone() })
    }

    pub(super) fn send(&mut self, step: &Step) {
        self.sid += 1;
        self.sent = Instant::now();
        let sid = self.sid;
        match step {
            Step::Wait(_) => {}
            Step::Ask { subject, headers, payload, suffix, .. } => {
                let (inbox, all) =
                    (format!("inbox.{sid}"), if suffix.is_empty() { "" } else { ".>" });
                let mut bytes = format!("SUB {inbox}{all} {sid}\r\n").into_bytes();
                if headers.is_empty() {
                    let line = format!("PUB {subject} {inbox}{suffix} {}\r\n", payload.len());
                    bytes.extend(line.bytes());
                } else {
                    let block = format!("NATS/1.0\r\n{headers}\r\n");
                    let (h, n) = (block.len(), block.len() + payload.len());
                    let line = format!("HPUB {subject} {inbox}{suffix} {h} {n}\r\n{block}");
                    bytes.extend(line.bytes());
                }
                bytes.extend_from_slice(payload);
                bytes.extend_from_slice(b"\r\n");
                self.write(bytes);
            }
            Step::Ack { which, body } => {
                let Some(reply) = self.acks.get(*which) else { return };
                let n = body.len();
                let bytes =
                    format!("SUB inbox.{sid} {sid}\r\nPUB {reply} inbox.{sid} {n}\r\n{body}\r\n");
                self.write(bytes);
            }
        }
    }

    fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.client.try_send(bytes);
        assert!(sent.is_ok(), "a server is gone; its log:\n{}", self.server.log());
    }

    pub(super) fn answer(&mut self, step: &Step) -> String {
        let end = match step {
            Step::Wait(length) => {
                self.gather(&End::Nothing, *length);
                return String::new();
            }
            Step::Ask { end: End::Later, .. } => {
                self.gather(&End::Nothing, Duration::from_millis(5));
                return String::new();
            }
            Step::Ask { end, .. } => end.clone(),
            Step::Ack { .. } => End::Fetch(1),
        };
        let patience = match end {
            End::One => DEADLINE,
            _ => QUIET,
        };
        let got = self.gather(&end, patience);
        self.write(format!("UNSUB {}\r\n", self.sid));
        let mut texts: Vec<String> = Vec::new();
        for m in got {
            let text = plain::message(&m);
            // How many heartbeats come in time is chance.
            if !generate::is_heartbeat(&m) || !texts.contains(&text) {
                texts.push(text);
            }
            self.delivered(m);
        }
        if texts.is_empty() { "(nothing)".into() } else { texts.join("\n--\n") }
    }

    /// Reads until the answer is whole, or nothing has come for `patience`.
    fn gather(&mut self, end: &End, patience: Duration) -> Vec<Msg> {
        let sid = self.sid.to_string();
        let mut got: Vec<Msg> = Vec::new();
        let mut until = (self.sent + patience).max(Instant::now() + patience.min(MOMENT));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(frame) = self.client.try_frame(left) else { return got };
            match frame {
                Frame::Msg(m) if m.sid == sid => {
                    got.push(m);
                    if end.is_reached(&got) {
                        return got;
                    }
                    until = Instant::now() + patience;
                }
                Frame::Msg(m) => {
                    let kind = match m.sid.parse().unwrap_or(FIRST) {
                        ADVISORIES => "advisory",
                        PUSHES..FIRST => "push",
                        _ => "late",
                    };
                    // How often a question is asked is chance, and so are the audits that follow.
                    // One backup more or less.
                    if !m.subject.starts_with("$JS.EVENT.ADVISORY.STREAM.SNAPSHOT_")
                        && !is_of_own_removal(&m.subject)
                        && (m.subject != "$JS.EVENT.ADVISORY.API" || !is_of_question(&m))
                    {
                        self.aside.push(format!("{kind} {}", plain::message(&m)));
                    }
                    self.delivered(m);
                }
                Frame::Err(text) => self.aside.push(format!("-ERR {text}")),
                _ => {}
            }
        }
    }

    /// Keeps what can be acknowledged.
    fn delivered(&mut self, m: Msg) {
        if let Some(reply) = m.reply.filter(|r| r.starts_with("$JS.ACK.")) {
            if self.acks.len() == ACKS {
                self.acks.remove(0);
            }
            self.acks.push(reply);
        }
    }

    /// What came unasked since the last time, in an order that does not depend on threads.
    pub(super) fn aside(&mut self) -> Vec<String> {
        self.sid += 1;
        self.gather(&End::Nothing, Duration::from_millis(20));
        let mut lines = self.aside.clone();
        lines.sort();
        lines
    }

    pub(super) fn forget_aside(&mut self) {
        self.aside.clear();
    }

    pub(super) fn forget(&mut self) {
        self.sid += 1;
        self.sent = Instant::now();
        self.gather(&End::Nothing, Duration::from_millis(200));
        self.aside.clear();
        self.acks.clear();
    }
}

/// Whether an advisory tells that a consumer of the server's own is gone: the reference leaves it
/// to its timeout.
fn is_of_own_removal(subject: &str) -> bool {
    subject.strip_prefix("$JS.EVENT.ADVISORY.CONSUMER.DELETED.").is_some_and(is_own)
}

/// Whether it names a consumer of the server's own.
fn is_own(subject: &str) -> bool {
    subject.split('.').any(|token| token.starts_with("JS_SRC_") || token.starts_with("JS_MIRROR_"))
}

/// Whether an audit tells of a request that changes nothing, or that asks to remove a consumer of
/// the server's own.
fn is_of_question(audit: &Msg) -> bool {
    let is_passed_over = |subject: &str| {
        generate::is_question(subject)
            || subject.starts_with("$JS.API.CONSUMER.DELETE.") && is_own(subject)
    };
    serde_json::from_slice::<serde_json::Value>(&audit.payload)
        .ok()
        .and_then(|json| json["subject"].as_str().map(is_passed_over))
        .unwrap_or(true)
}
