//! The client of all consumers: bad at first, then good.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Frame, Msg, Server};

use super::cast::{Cast, Member, SUBJECTS};
use crate::random::Random;

pub(super) struct Player {
    client: Client,
    cast: Cast,
    by_name: BTreeMap<String, usize>,
    random: Random,
    asked: u64,
    published: u64,
    delivered: u64,
    /// Acknowledges everything.
    good: bool,
}

const REQUESTS: u64 = 1;
const PULLS: u64 = 2;
const PUSHES: u64 = 10;

impl Player {
    pub(super) fn new(server: &Server, cast: Cast, seed: u64) -> Self {
        let by_name = cast.members.iter().enumerate().map(|(at, m)| (m.name.clone(), at)).collect();
        let mut player = Self {
            client: server.client(),
            cast,
            by_name,
            random: Random::new(seed),
            asked: 0,
            published: 0,
            delivered: 0,
            good: false,
        };
        player.subscribe();
        player
    }

    /// Makes streams and consumers.
    pub(super) fn stage(&mut self) {
        for at in 0..self.cast.streams.len() {
            let stream = &self.cast.streams[at];
            let (subject, body) =
                (format!("STREAM.CREATE.{}", stream.name), stream.config.to_string());
            self.must(&subject, &body);
        }
        for at in 0..self.cast.members.len() {
            let m = &self.cast.members[at];
            let body = json!({"stream_name": m.stream, "config": m.config}).to_string();
            let subject = format!("CONSUMER.CREATE.{}.{}", m.stream, m.name);
            self.must(&subject, &body);
        }
    }

    pub(super) fn consumers(&self) -> Vec<usize> {
        (0..self.cast.members.len()).collect()
    }

    pub(super) fn published(&self) -> u64 {
        self.published
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    fn subscribe(&mut self) {
        self.client.send(format!("SUB api.> {REQUESTS}\r\nSUB in.> {PULLS}\r\n"));
        for at in 0..self.cast.members.len() {
            self.listen(at);
        }
    }

    fn listen(&mut self, at: usize) {
        let m = &self.cast.members[at];
        if m.is_push() {
            let group = m.config["deliver_group"].as_str().unwrap_or("");
            self.client.send(format!("SUB push.{} {group} {}\r\n", m.name, PUSHES + at as u64));
        }
    }

    /// Asks, and handles what comes meanwhile.
    fn ask(&mut self, subject: &str, body: &str) -> Value {
        self.asked += 1;
        let reply = format!("api.{}", self.asked);
        self.client.send(format!("PUB $JS.API.{subject} {reply} {}\r\n{body}\r\n", body.len()));
        let end = Instant::now() + testkit::DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.client.try_frame(left) {
                Ok(Frame::Msg(m)) if m.subject == reply => {
                    return serde_json::from_slice(&m.payload).unwrap_or_default();
                }
                Ok(Frame::Msg(m)) => self.handle(&m),
                Ok(_) => {}
                Err(e) => panic!("no answer to {subject} {body}: {e:?}"),
            }
        }
    }

    fn must(&mut self, subject: &str, body: &str) -> Value {
        let answer = self.ask(subject, body);
        assert!(answer.get("error").is_none(), "{subject} {body}: {answer}");
        answer
    }

    /// Handles what comes for a while.
    fn listen_for(&mut self, length: Duration) {
        let end = Instant::now() + length;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.client.try_frame(left) {
                Ok(Frame::Msg(m)) => self.handle(&m),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    fn handle(&mut self, m: &Msg) {
        let header = m.header_text();
        let Some(reply) = &m.reply else {
            return self.handle_status(&m.subject, &header);
        };
        let Some(rest) = reply.strip_prefix("$JS.ACK.") else {
            // A request of flow control; a bad client is late with some answers, for ever.
            if self.good || self.random.below(4) > 0 {
                self.client.send(format!("PUB {reply} 0\r\n\r\n"));
            }
            return;
        };
        let tokens: Vec<&str> = rest.split('.').collect();
        let (Some(name), Some(seq)) = (tokens.get(1), tokens.get(3)) else { return };
        let (Some(&at), Ok(seq)) = (self.by_name.get(*name), seq.parse()) else { return };
        self.delivered += 1;
        let member = &mut self.cast.members[at];
        member.seen.insert(seq);
        if let Some(pin) = field(&header, "Nats-Pin-Id") {
            member.pin = Some(pin.to_owned());
        }
        let body = if self.good { "+ACK" } else { self.answer() };
        if body != "(nothing)" {
            self.client.send(format!("PUB {reply} {}\r\n{body}\r\n", body.len()));
        }
    }

    /// What a bad client says to a delivery.
    fn answer(&mut self) -> &'static str {
        let all = [
            "+ACK",
            "+ACK",
            "+ACK",
            "+ACK",
            "+ACK",
            "+ACK",
            "-NAK",
            r#"-NAK {"delay":200000000}"#,
            "+WPI",
            "+TERM",
            "(nothing)",
            "(nothing)",
            "+NXT",
            "what?",
        ];
        all[self.random.below(all.len() as u64) as usize]
    }

    fn handle_status(&mut self, subject: &str, header: &str) {
        if header.contains(" 423 ") {
            let at = subject.split('.').nth(1).and_then(|at| at.parse::<usize>().ok());
            if let Some(member) = at.and_then(|at| self.cast.members.get_mut(at)) {
                member.pin = None;
            }
        } else if let Some(stalled) = field(header, "Nats-Consumer-Stalled") {
            self.client.send(format!("PUB {stalled} 0\r\n\r\n"));
        }
    }

    /// One thing after another that no consumer may suffer from.
    pub(super) fn misbehave(&mut self, server: &Server) {
        let at = self.random.below(self.cast.members.len() as u64) as usize;
        match self.random.below(100) {
            0..45 => self.publish(),
            45..80 => self.pull(at),
            80..84 => self.pause(at),
            84..86 => self.reset_or_unpin(at),
            86..88 => self.remove_something(),
            88..91 => {
                let subject = self.path("CONSUMER.INFO", at);
                let _ = self.ask(&subject, "");
            }
            91..93 => self.change(at),
            93..95 if self.cast.members[at].is_push() => {
                self.client.send(format!("UNSUB {}\r\n", PUSHES + at as u64));
                let gone = Duration::from_millis(self.random.below(20));
                self.listen_for(gone);
                self.listen(at);
            }
            95 if self.random.below(10) == 0 => {
                // Whatever was on its way to the old connection is lost.
                self.client = server.client();
                self.subscribe();
                self.cast.members.iter_mut().for_each(|m| m.pin = None);
            }
            _ => {
                let length = Duration::from_millis(self.random.below(10));
                self.listen_for(length);
            }
        }
    }

    fn publish(&mut self) {
        for _ in 0..=self.random.below(8) {
            let at = self.random.below(self.cast.streams.len() as u64) as usize;
            let (name, subject) =
                (self.cast.streams[at].name, SUBJECTS[self.random.below(3) as usize]);
            let payload = "x".repeat(self.random.below(200) as usize);
            if name == "KV" && self.random.below(10) == 0 {
                let h = "NATS/1.0\r\nNats-Rollup: sub\r\n\r\n";
                let (n, all) = (h.len(), h.len() + payload.len());
                self.client.send(format!("HPUB {name}.{subject} {n} {all}\r\n{h}{payload}\r\n"));
            } else {
                self.client
                    .send(format!("PUB {name}.{subject} {}\r\n{payload}\r\n", payload.len()));
            }
            self.published += 1;
        }
    }

    fn path(&self, verb: &str, at: usize) -> String {
        let m = &self.cast.members[at];
        format!("{verb}.{}.{}", m.stream, m.name)
    }

    fn pull(&mut self, at: usize) {
        let r = &mut self.random;
        let mut body = json!({"batch": 1 + r.below(10)});
        match r.below(3) {
            0 => body["no_wait"] = true.into(),
            1 => body["expires"] = (1 + r.below(300) * 1_000_000).into(),
            _ => {
                body["expires"] = 2_000_000_000.into();
                body["idle_heartbeat"] = 500_000_000.into();
            }
        }
        if r.below(5) == 0 {
            body["max_bytes"] = (1 + r.below(2000)).into();
        }
        if r.below(5) == 0 {
            body["min_pending"] = r.below(20).into();
        }
        self.request(at, body);
    }

    fn request(&mut self, at: usize, mut body: Value) {
        let m: &Member = &self.cast.members[at];
        if m.is_push() {
            return;
        }
        if let Some(group) = m.group() {
            body["group"] = group.into();
            if let Some(pin) = &m.pin {
                body["id"] = pin.as_str().into();
            }
        } else if let Some(fields) = body.as_object_mut() {
            fields.remove("min_pending");
        }
        self.asked += 1;
        let (subject, body) = (self.path("CONSUMER.MSG.NEXT", at), body.to_string());
        let (n, asked) = (body.len(), self.asked);
        self.client.send(format!("PUB $JS.API.{subject} in.{at}.{asked} {n}\r\n{body}\r\n"));
    }

    fn pause(&mut self, at: usize) {
        let subject = self.path("CONSUMER.PAUSE", at);
        let far = r#"{"pause_until":"2100-01-01T00:00:00Z"}"#;
        let body = if self.random.below(2) == 0 { far } else { "" };
        let _ = self.ask(&subject, body);
    }

    fn reset_or_unpin(&mut self, at: usize) {
        if self.cast.members[at].group().is_some() {
            let subject = self.path("CONSUMER.UNPIN", at);
            let _ = self.ask(&subject, r#"{"group":"g"}"#);
        } else {
            // To the first message that is not acknowledged: nothing is skipped.
            let subject = self.path("CONSUMER.RESET", at);
            let _ = self.ask(&subject, "");
        }
    }

    fn remove_something(&mut self) {
        let at = self.random.below(self.cast.streams.len() as u64) as usize;
        let name = self.cast.streams[at].name;
        let (last, roll) = (self.published / 7, self.random.below(4));
        let body = match roll {
            0 => format!("{{\"filter\":\"{name}.a\",\"keep\":3}}"),
            1 => format!("{{\"seq\":{}}}", last / 2),
            _ => format!("{{\"seq\":{}}}", 1 + self.random.below(last.max(1))),
        };
        let verb = if roll < 2 { "PURGE" } else { "MSG.DELETE" };
        let _ = self.ask(&format!("STREAM.{verb}.{name}"), &body);
    }

    fn change(&mut self, at: usize) {
        let m = &mut self.cast.members[at];
        if m.config["ack_policy"] == "none" || m.config["max_ack_pending"] == 1 {
            return;
        }
        m.config["max_ack_pending"] = (2 + self.random.below(30)).into();
        let body = json!({"stream_name": m.stream, "config": m.config}).to_string();
        let subject = self.path("CONSUMER.CREATE", at);
        let _ = self.ask(&subject, &body);
    }

    /// From here on everything is acknowledged, and nobody is paused.
    pub(super) fn make_up(&mut self) {
        self.good = true;
        for at in self.consumers() {
            let subject = self.path("CONSUMER.PAUSE", at);
            self.must(&subject, "");
        }
    }

    /// Asks for what is left, and acknowledges it.
    pub(super) fn serve(&mut self, left: &[usize]) {
        for &at in left {
            self.request(at, json!({"batch": 50, "expires": 400_000_000}));
        }
        self.listen_for(Duration::from_millis(300));
    }

    /// Whether nothing is left to be delivered or acknowledged.
    pub(super) fn is_done(&mut self, at: usize) -> bool {
        let subject = self.path("CONSUMER.INFO", at);
        let info = self.must(&subject, "");
        info["num_pending"] == 0 && info["num_ack_pending"] == 0
    }

    pub(super) fn describe(&mut self, at: usize) -> String {
        let subject = self.path("CONSUMER.INFO", at);
        let info = self.must(&subject, "");
        format!("{}: {}\n  {info}", self.cast.members[at].name, self.cast.members[at].config)
    }

    /// What clients should have seen and have not, and messages that nobody needs any more.
    pub(super) fn owed(&mut self) -> Vec<String> {
        let mut owed = Vec::new();
        for at in 0..self.cast.streams.len() {
            let name = self.cast.streams[at].name;
            let info = self.must(&format!("STREAM.INFO.{name}"), r#"{"deleted_details":true}"#);
            let state = &info["state"];
            if name.starts_with('W') && state["messages"] != 0 {
                owed.push(format!("{name} keeps what was acknowledged: {state}"));
            }
            if !name.starts_with('L') {
                continue;
            }
            let number = |v: &Value| v.as_u64().unwrap_or(0);
            let deleted: Vec<u64> =
                state["deleted"].as_array().into_iter().flatten().map(number).collect();
            for seq in number(&state["first_seq"])..=number(&state["last_seq"]) {
                if deleted.binary_search(&seq).is_ok() {
                    continue;
                }
                let got =
                    self.must(&format!("STREAM.MSG.GET.{name}"), &format!("{{\"seq\":{seq}}}"));
                let subject = got["message"]["subject"].as_str().unwrap_or("").to_owned();
                for m in self.cast.members.iter().filter(|m| m.stream == name && m.owes) {
                    if m.selects(&subject) && !m.seen.contains(&seq) {
                        owed.push(format!("{} never delivered {seq} of {name}", m.name));
                    }
                }
            }
        }
        owed
    }
}

/// A field of a header block.
fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
