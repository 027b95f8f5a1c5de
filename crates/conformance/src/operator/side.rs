//! One of the two servers: connections that come and go, and what each of them hears.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use testkit::{Client, Frame, Msg, Server};

use super::plain;
use super::step::{SLOTS, Signature};
use super::world::World;

/// What the system account's user listens to: who comes and goes, and how many there are.
const EVENTS: &[(&str, u64)] = &[
    ("$SYS.ACCOUNT.*.CONNECT", 1),
    ("$SYS.ACCOUNT.*.DISCONNECT", 2),
    ("$SYS.SERVER.*.CLIENT.AUTH.ERR", 3),
    ("$SYS.SERVER.ACCOUNT.*.CONNS", CONNS),
];
const CONNS: u64 = 4;
const ANSWERS: u64 = 5;

/// How long an answer that may not come is waited for.
const QUIET: Duration = Duration::from_millis(500);

/// A connection and what it heard in this step.
#[derive(Default)]
struct Slot {
    client: Option<Client>,
    /// PINGs that are not answered yet.
    open: usize,
    heard: Vec<String>,
}

pub(super) struct Side {
    server: Server,
    system: Slot,
    slots: Vec<Slot>,
    events: Vec<String>,
    /// The latest count of each account: how many there are on the way to it is nobody's business.
    counts: BTreeMap<String, String>,
    answers: Vec<Msg>,
    asked: usize,
    /// Where the answer comes to.
    inbox: String,
    /// The system account.
    own: String,
}

impl Side {
    pub(super) fn new(server: Server, world: &World) -> Self {
        let mut side = Self {
            server,
            system: Slot::default(),
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            events: Vec::new(),
            counts: BTreeMap::new(),
            answers: Vec::new(),
            asked: 0,
            inbox: String::new(),
            own: "none".into(),
        };
        let mut client = Client::greeted(side.server.addr());
        login(&mut client, world, 0, Signature::Good, &json!({}));
        side.system.client = Some(client);
        let mut bytes = String::new();
        for (subject, sid) in EVENTS {
            bytes.push_str(&format!("SUB {subject} {sid}\r\n"));
        }
        bytes.push_str(&format!("SUB sys.in.* {ANSWERS}\r\n"));
        side.system.say(&bytes);
        // Its own coming is told soon after.
        let until = Instant::now() + QUIET;
        let own = world.accounts[0].id();
        while !side.events.iter().any(|e| e.contains(".CONNECT")) && Instant::now() < until {
            side.system_frame(world, Duration::from_millis(5));
            if side.asked == 0 {
                side.ask("$SYS.REQ.USER.INFO", "", world);
            }
        }
        side.look(world);
        side.begin();
        side.system.heard.clear();
        side.counts.retain(|subject, _| !subject.contains(&own));
        side.own = own;
        side
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// What the server wrote.
    pub(super) fn log(&self) -> String {
        self.server.log()
    }

    /// Begins a step: what was heard is forgotten.
    pub(super) fn begin(&mut self) {
        self.events.clear();
        self.answers.clear();
        self.inbox.clear();
        for slot in &mut self.slots {
            slot.heard.clear();
        }
    }

    pub(super) fn leave(&mut self, slot: usize) {
        self.slots[slot].client = None;
        self.slots[slot].open = 0;
    }

    /// Whether somebody is there.
    pub(super) fn is_live(&self, slot: usize) -> bool {
        self.slots[slot].client.is_some()
    }

    pub(super) fn enter(
        &mut self,
        world: &World,
        slot: usize,
        user: usize,
        signature: Signature,
        more: &Value,
    ) {
        self.leave(slot);
        let mut client = Client::greeted(self.server.addr());
        let greeting = plain::info(&client.info);
        login(&mut client, world, user, signature, more);
        let slot = &mut self.slots[slot];
        slot.client = Some(client);
        slot.heard.push(greeting);
        // The INFO that says who one is follows the first PONG.
        slot.say("PING\r\n");
        slot.open += 1;
    }

    pub(super) fn say(&mut self, slot: usize, bytes: &str) {
        self.slots[slot].say(bytes);
    }

    /// Asks as the system account's user, and takes what answers.
    pub(super) fn ask(&mut self, subject: &str, body: &str, world: &World) {
        self.asked += 1;
        self.answers.clear();
        self.inbox = format!("sys.in.{}", self.asked);
        let (n, length) = (self.asked, body.len());
        self.system.say(&format!("PUB {subject} sys.in.{n} {length}\r\n{body}\r\n"));
        let until = Instant::now() + QUIET;
        let inbox = self.inbox.clone();
        let is_whole = |answers: &[Msg]| {
            let mut own = answers.iter().filter(|m| m.subject == inbox);
            if subject.ends_with(".PACK") {
                own.any(|m| m.payload.is_empty())
            } else {
                own.next().is_some()
            }
        };
        while !is_whole(&self.answers) && Instant::now() < until {
            self.system_frame(world, Duration::from_millis(5));
        }
    }

    /// Reads everything that is there, answers requests, and reads what comes of that.
    pub(super) fn look(&mut self, world: &World) {
        loop {
            let mut answered = false;
            for slot in &mut self.slots {
                answered |= slot.look(world);
            }
            if !answered {
                break;
            }
        }
        self.system.say("PING\r\n");
        self.system.open += 1;
        while self.system.open > 0 {
            assert!(
                self.system_frame(world, testkit::DEADLINE),
                "the system account's user is gone: {:?}; the log:\n{}",
                self.system.heard,
                self.server.log()
            );
        }
    }

    /// Takes a frame of the system account's user.
    fn system_frame(&mut self, world: &World, patience: Duration) -> bool {
        let Some(client) = &mut self.system.client else { return false };
        match client.try_frame(patience) {
            Ok(Frame::Pong) => self.system.open -= 1,
            Ok(Frame::Msg(m)) if m.sid == ANSWERS.to_string() => {
                // What comes too late is nobody's any more.
                if m.subject == self.inbox {
                    self.answers.push(m);
                }
            }
            Ok(Frame::Msg(m)) => {
                let text = world.readable(&plain::message(&m));
                if m.sid == CONNS.to_string() && m.subject.contains(&self.own) {
                    // Who looks is not looked at.
                } else if m.sid == CONNS.to_string() {
                    // An account that is gone has no subscriptions any more, or still has them.
                    let text = match text.split_once("\"num_subscriptions\":") {
                        Some((before, _)) if text.contains("\"conns\":0,") => before.to_owned(),
                        _ => text,
                    };
                    self.counts.insert(m.subject, text);
                } else {
                    self.events.push(text);
                }
            }
            Ok(Frame::Info(_)) => {}
            Ok(other) => self.system.heard.push(other.to_string()),
            Err(_) => return false,
        }
        true
    }

    /// All that was heard in this step, ready to be compared.
    pub(super) fn heard(&mut self, world: &World) -> String {
        let mut out = String::new();
        for m in &self.answers {
            out.push_str(&format!("answer {}\n", world.readable(&plain::answer(m))));
        }
        for (n, slot) in self.slots.iter().enumerate() {
            let there = if slot.client.is_some() { "" } else { " (nobody)" };
            out.push_str(&format!("slot {n}{there}\n"));
            for line in &slot.heard {
                out.push_str(&format!("  {line}\n"));
            }
        }
        // Threads that race tell of it.
        self.events.sort();
        for event in self.events.iter().chain(self.counts.values()) {
            out.push_str(&format!("event {event}\n"));
        }
        for line in &self.system.heard {
            out.push_str(&format!("system {line}\n"));
        }
        out
    }
}

/// Sends the CONNECT of a user, with `more` over it.
pub(super) fn login(
    client: &mut Client,
    world: &World,
    user: usize,
    signature: Signature,
    more: &Value,
) {
    let Some(user) = world.users.get(user) else { return };
    let nonce = client.info["nonce"].as_str().unwrap_or_default().to_owned();
    let mut fields = json!({"jwt": user.jwt});
    let sign = |key: &nkeys::KeyPair| {
        BASE64URL_NOPAD.encode(&key.sign(nonce.as_bytes()).expect("signing"))
    };
    match signature {
        Signature::Good => fields["sig"] = sign(&user.key).into(),
        Signature::Wrong => fields["sig"] = sign(&world.stranger).into(),
        Signature::Garbage => fields["sig"] = "garbage".into(),
        Signature::Missing => {}
    }
    super::world::merge(&mut fields, more);
    client.connect(&fields);
}

impl Slot {
    fn say(&mut self, bytes: &str) {
        if let Some(client) = &mut self.client {
            // What was told before the end is read by who looks.
            let _ = client.try_send(bytes);
        }
    }

    /// Reads up to the PONG; true if it has answered somebody.
    fn look(&mut self, world: &World) -> bool {
        self.say("PING\r\n");
        self.open += 1;
        let mut answered = false;
        while self.open > 0 {
            let Some(client) = &mut self.client else { return answered };
            let patience = client.deadline;
            match client.try_frame(patience) {
                Ok(Frame::Pong) => self.open -= 1,
                Ok(Frame::Info(json)) => self.heard.push(plain::info(&json)),
                Ok(Frame::Msg(m)) => {
                    self.heard.push(world.readable(&plain::message(&m)));
                    // Whoever is asked answers, in few words.
                    if let Some(reply) = m.reply.filter(|_| m.payload.is_empty()) {
                        let _ = client.try_send(format!("PUB {reply} 2\r\nOK\r\n"));
                        answered = true;
                    }
                }
                Ok(other) => self.heard.push(world.readable(&other.to_string())),
                Err(why) => {
                    self.heard.push(format!("closed {}", why == testkit::client::NoFrame::Timeout));
                    self.client = None;
                    self.open = 0;
                }
            }
        }
        answered
    }
}
