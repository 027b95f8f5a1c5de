//! Running one script against one server.
//!
//! Laws: a run never hangs; a failure carries the transcript up to it and the server's log.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use regex_lite::Regex;
use serde_json::{Value, json};
use testkit::certs::Authority;
use testkit::client::NoFrame;
use testkit::server::Signal;
use testkit::{Client, Server, ServerBuilder, http};

use crate::pattern::{self, Names};
use crate::script::{Check, How, Op, Script, Step};

/// A script that did not go as written.
#[derive(Debug)]
pub struct Failure {
    /// The step, as `file:line: text`.
    pub step: String,
    /// What happened instead.
    pub why: String,
    /// What happened before.
    pub transcript: String,
    /// The server's log, if one was running.
    pub log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n  {}\ntranscript:", self.step, self.why)?;
        self.transcript.lines().try_for_each(|l| writeln!(f, "    {l}"))?;
        let lines: Vec<&str> = self.log.lines().collect();
        writeln!(f, "server log (its end):")?;
        lines[lines.len().saturating_sub(15)..].iter().try_for_each(|l| writeln!(f, "    {l}"))
    }
}

struct Runner<'a> {
    binary: &'a Path,
    server: Option<Server>,
    clients: BTreeMap<String, Client>,
    names: Names,
    counts: BTreeMap<String, u64>,
    deadline: Duration,
    authority: Option<Authority>,
    transcript: String,
}

/// Runs `script` against `binary` and returns the transcript.
pub fn run(script: &Script, binary: &Path) -> Result<String, Box<Failure>> {
    let mut runner = Runner {
        binary,
        server: None,
        clients: BTreeMap::new(),
        names: Names::new(),
        counts: BTreeMap::new(),
        deadline: Duration::from_secs(5),
        authority: None,
        transcript: String::new(),
    };
    for step in &script.steps {
        if let Err(why) = runner.step(step) {
            return Err(Box::new(Failure {
                step: format!("conformance/{}.nats:{}: {}", script.name, step.line, step.text),
                why,
                transcript: runner.transcript,
                log: runner.server.as_ref().map(Server::log).unwrap_or_default(),
            }));
        }
    }
    Ok(runner.transcript)
}

type Step0 = Result<(), String>;

impl Runner<'_> {
    fn step(&mut self, step: &Step) -> Step0 {
        match &step.op {
            Op::Server { config, args } => self.start(config, args)?,
            Op::Process { config, args, test, checks } => {
                return self.process(&step.text, config, args, *test, checks);
            }
            Op::Rewrite { config } => {
                let listen = format!("listen: \"{}\"\n", self.server()?.addr());
                self.server()?.write_config(&format!("{listen}{config}"));
            }
            Op::Connect { client, how, fields } => self.connect(client, *how, fields)?,
            Op::Tls { client } => self.tls(client)?,
            Op::Send { client, text, line } => self.send(client, text, *line)?,
            Op::Expect { client, pattern } => self.expect(client, pattern)?,
            Op::Quiet { client } => self.quiet(client)?,
            Op::Silent { client, time } => self.silent(client, *time)?,
            Op::Closed { client } => self.closed(client)?,
            Op::Close { client } => {
                self.clients.remove(client).ok_or("no such client")?;
            }
            Op::Manual { client } => self.client(client)?.auto_pong = false,
            Op::Count { client, name } => self.count(client, name)?,
            Op::Total { names, least, most } => self.total(names, *least, *most)?,
            Op::Get { method, path, checks } => return self.get(method, path, checks),
            Op::Signal { name } => self.signal(name)?,
            Op::Exits { code } => self.exits(*code)?,
            Op::Log { pattern } => self.log(pattern)?,
            Op::NoLog { pattern } => self.no_log(pattern)?,
            Op::Deadline { time } => self.deadline = *time,
            Op::Pause { time } => std::thread::sleep(*time),
        }
        let _ = writeln!(self.transcript, "{}", step.text);
        Ok(())
    }

    fn builder(&mut self, config: &str, args: &[String]) -> ServerBuilder {
        let config = self.substitute(config);
        let args: Vec<String> = args.iter().map(|a| self.substitute(a)).collect();
        let builder = ServerBuilder::of(self.binary).config(&config).args(&args);
        // A script that asks about certificates gets them beside its configuration file.
        if config.contains("{dir}/server.pem") {
            builder.with_certs(self.authority())
        } else {
            builder
        }
    }

    fn authority(&mut self) -> &Authority {
        self.authority.get_or_insert_with(|| Authority::new("conformance"))
    }

    fn start(&mut self, config: &str, args: &[String]) -> Step0 {
        self.clients.clear();
        self.server = None;
        let builder = self.builder(config, args).monitoring();
        let server = builder.try_start().map_err(|r| {
            format!("the server ended with {}:\n{}{}", r.status, r.stdout, r.stderr)
        })?;
        self.server = Some(server);
        Ok(())
    }

    fn process(
        &mut self,
        text: &str,
        config: &str,
        args: &[String],
        test: bool,
        checks: &[Check],
    ) -> Step0 {
        let mut builder = self.builder(config, args);
        if test {
            builder = builder.args(["-t"]);
        }
        let mut process = builder.spawn();
        let Some(status) = process.exit_within(self.deadline) else {
            return Err(format!("still running:\n{}", process.log()));
        };
        let ended = process.refused(status);
        let _ = writeln!(self.transcript, "{text}");
        for check in checks {
            let expected = self.substitute(&check.expected);
            let holds = match check.what.as_str() {
                "exit" => ended.status.code() == expected.parse().ok(),
                "stderr" => ended.stderr.contains(&expected),
                "stdout" => ended.stdout.contains(&expected),
                other => return Err(format!("a process has no {other:?}")),
            };
            if !holds {
                let (code, out, err) = (ended.status.code(), ended.stdout, ended.stderr);
                return Err(format!("not `{}`: exit {code:?}\n{out}{err}", check.text));
            }
            let _ = writeln!(self.transcript, "| {}", check.text);
        }
        Ok(())
    }

    fn connect(&mut self, client: &str, how: How, fields: &str) -> Step0 {
        let mut connection = Client::open(self.server()?.addr());
        connection.deadline = self.deadline;
        if how != How::Raw {
            match connection.try_frame(self.deadline) {
                Ok(testkit::Frame::Info(json)) => connection.info = json,
                other => return Err(format!("expected INFO, got {other:?}")),
            }
        }
        self.clients.insert(client.to_owned(), connection);
        if how == How::Client {
            let fields =
                if fields.is_empty() { "{}".to_owned() } else { self.fill(client, fields)? };
            let fields: Value = serde_json::from_str(&fields).map_err(|e| e.to_string())?;
            self.client(client)?.connect(&fields);
            // Twice: the INFO that recent servers send after the first PONG is passed over.
            for round in 0..2 {
                self.client(client)?.send("PING\r\n");
                loop {
                    let line = self.line(client)?;
                    match line.as_str() {
                        "PONG" => break,
                        info if info.starts_with("INFO ") => {}
                        ok if ok == "+OK" && round == 0 => {}
                        other => return Err(format!("during the handshake: {other}")),
                    }
                }
            }
        }
        Ok(())
    }

    fn tls(&mut self, client: &str) -> Step0 {
        let plain = self.clients.remove(client).ok_or("no such client")?;
        let config = self.authority().client_config(None);
        let tls = plain.start_tls(config, "localhost").map_err(|e| format!("TLS: {e}"))?;
        self.clients.insert(client.to_owned(), tls);
        Ok(())
    }

    fn send(&mut self, client: &str, text: &str, line: bool) -> Step0 {
        let mut text = self.fill(client, text)?;
        if line {
            text.push_str("\r\n");
        }
        // Characters up to U+00FF written as escapes leave as the bytes they name.
        let latin = !line && text.chars().all(|c| (c as u32) < 0x100);
        let bytes = if latin { text.chars().map(|c| c as u8).collect() } else { text.into_bytes() };
        self.client(client)?.try_send(bytes).map_err(|e| format!("sending: {e}"))
    }

    fn expect(&mut self, client: &str, expected: &str) -> Step0 {
        let expected = self.substitute(expected);
        let line = self.line(client)?;
        let holds = match expected.strip_prefix("INFO") {
            Some(fields) => info_matches(fields, &line, &mut self.names)?,
            None => pattern::matches(&expected, &line, &mut self.names),
        };
        if !holds {
            return Err(format!("got {:?}", line.chars().take(1000).collect::<String>()));
        }
        Ok(())
    }

    fn quiet(&mut self, client: &str) -> Step0 {
        self.client(client)?.try_send("PING\r\n").map_err(|e| format!("sending: {e}"))?;
        match self.line(client)?.as_str() {
            "PONG" => Ok(()),
            other => Err(format!("not quiet: got {other:?}")),
        }
    }

    fn silent(&mut self, client: &str, time: Duration) -> Step0 {
        match self.client(client)?.try_line(time) {
            Err(NoFrame::Timeout) => Ok(()),
            Err(NoFrame::Closed | NoFrame::Cut) => Err("closed".into()),
            Ok(line) => Err(format!("not silent: got {:?}", String::from_utf8_lossy(&line))),
        }
    }

    fn closed(&mut self, client: &str) -> Step0 {
        let patience = self.deadline;
        match self.client(client)?.try_line(patience) {
            Err(NoFrame::Closed) => Ok(()),
            Err(NoFrame::Timeout) => Err("still open".into()),
            Err(NoFrame::Cut) => Err("closed without TLS's own farewell".into()),
            Ok(line) => Err(format!("got {:?} first", String::from_utf8_lossy(&line))),
        }
    }

    fn count(&mut self, client: &str, name: &str) -> Step0 {
        let seen = self.client(client)?.ping();
        let messages = seen.iter().filter(|f| matches!(f, testkit::Frame::Msg(_))).count();
        if messages != seen.len() {
            return Err(format!("not only messages: {seen:?}"));
        }
        self.counts.insert(name.to_owned(), messages as u64);
        Ok(())
    }

    fn total(&self, names: &[String], least: u64, most: u64) -> Step0 {
        let each = |n: &String| self.counts.get(n).copied().ok_or(format!("{n} was not counted"));
        let sum: u64 = names.iter().map(each).sum::<Result<u64, _>>()?;
        if (least..=most).contains(&sum) { Ok(()) } else { Err(format!("counted {sum}")) }
    }

    fn get(&mut self, method: &str, path: &str, checks: &[Check]) -> Step0 {
        let written = path;
        let path = self.substitute(path);
        let addr = self.server()?.http_addr();
        let checks: Vec<Check> = checks
            .iter()
            .map(|c| Check { expected: self.substitute(&c.expected), ..c.clone() })
            .collect();
        let end = Instant::now() + self.deadline;
        loop {
            let response = http::request(addr, method, &path);
            let mut names = self.names.clone();
            let failed = checks.iter().find_map(|c| holds(c, &response, &mut names).err());
            let Some(why) = failed else {
                self.names = names;
                break;
            };
            if Instant::now() > end {
                return Err(format!("{why}\n{}", String::from_utf8_lossy(&response.body)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = writeln!(self.transcript, "{method} {written}");
        checks.iter().for_each(|c| {
            let _ = writeln!(self.transcript, "| {}", c.text);
        });
        Ok(())
    }

    fn signal(&mut self, name: &str) -> Step0 {
        let signal = match name {
            "TERM" => Signal::TERM,
            "INT" => Signal::INT,
            "HUP" => Signal::HUP,
            "USR1" => Signal::USR1,
            "USR2" => Signal::USR2,
            "QUIT" => Signal::QUIT,
            "ABRT" => Signal::ABORT,
            "ALRM" => Signal::ALARM,
            "PWR" => Signal::POWER,
            _ => return Err("unknown signal".into()),
        };
        self.server()?.signal(signal);
        Ok(())
    }

    fn exits(&mut self, code: i32) -> Step0 {
        let deadline = self.deadline;
        let server = self.server.as_mut().ok_or("no server")?;
        let status = server.exit_within(deadline).ok_or("still running")?;
        if status.code() == Some(code) { Ok(()) } else { Err(format!("ended with {status}")) }
    }

    fn log(&mut self, expected: &str) -> Step0 {
        let expected = format!("{{*}}{}{{*}}", self.substitute(expected));
        let end = Instant::now() + self.deadline;
        loop {
            let log = self.server()?.log();
            let mut names = self.names.clone();
            if log.lines().any(|l| pattern::matches(&expected, l, &mut names)) {
                self.names = names;
                return Ok(());
            }
            if Instant::now() > end {
                return Err("no such line in the log".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn no_log(&mut self, unexpected: &str) -> Step0 {
        let unexpected = format!("{{*}}{}{{*}}", self.substitute(unexpected));
        let log = self.server()?.log();
        let found = log.lines().find(|l| pattern::matches(&unexpected, l, &mut self.names.clone()));
        found.map_or(Ok(()), |line| Err(format!("in the log: {line}")))
    }

    fn line(&mut self, client: &str) -> Result<String, String> {
        let patience = self.deadline;
        match self.client(client)?.try_line(patience) {
            Ok(line) => Ok(String::from_utf8_lossy(&line).into_owned()),
            Err(NoFrame::Closed | NoFrame::Cut) => Err(format!("{client} was closed")),
            Err(NoFrame::Timeout) => Err(format!("nothing from {client} within {patience:?}")),
        }
    }

    fn server(&self) -> Result<&Server, String> {
        self.server.as_ref().ok_or_else(|| "no server was started".to_owned())
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        self.clients.get_mut(name).ok_or_else(|| format!("no client {name}"))
    }

    /// `${name}` for what was captured, `<<N:text>>` for repetition.
    fn substitute(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, value) in &self.names {
            out = out.replace(&format!("${{{name}}}"), value);
        }
        for (client, connection) in &self.clients {
            // `${A.client_id}`: a field of the INFO that A was greeted with.
            let mark = format!("${{{client}.");
            while let Some(at) = out.find(&mark) {
                let Some(end) = out[at..].find('}') else { break };
                let field = select(&connection.info, &out[at + mark.len()..at + end]);
                out.replace_range(at..=at + end, &field.as_ref().map(show).unwrap_or_default());
            }
        }
        // The last opening is an innermost one, so nesting unfolds from the inside.
        while let Some(open) = out.rfind("<<") {
            let Some(end) = out[open..].find(">>").map(|i| open + i) else { break };
            let Some((count, body)) = out[open + 2..end].split_once(':') else { break };
            let Ok(count) = count.parse::<usize>() else { break };
            let repeated = body.repeat(count);
            out.replace_range(open..end + 2, &repeated);
        }
        out
    }

    /// As `substitute`, and `${sign:SEED}` for the client's nonce signed with an nkey seed.
    fn fill(&mut self, client: &str, text: &str) -> Result<String, String> {
        let mut text = self.substitute(text);
        for (mark, encoding) in
            [("${sign:", data_encoding::BASE64URL_NOPAD), ("${sign64:", data_encoding::BASE64)]
        {
            while let Some(at) = text.find(mark) {
                let end = at + text[at..].find('}').ok_or("unclosed ${sign:")?;
                let key = nkeys::KeyPair::from_seed(&text[at + mark.len()..end])
                    .map_err(|e| e.to_string())?;
                let nonce = self.client(client)?.info["nonce"].as_str().unwrap_or("").to_owned();
                let sig = key.sign(nonce.as_bytes()).map_err(|e| e.to_string())?;
                text.replace_range(at..=end, &encoding.encode(&sig));
            }
        }
        Ok(text)
    }
}

/// `INFO a=1 b.c=absent d={s}`: fields of the JSON by path, everything else is free.
fn info_matches(fields: &str, line: &str, names: &mut Names) -> Result<bool, String> {
    let Some(text) = line.strip_prefix("INFO ") else { return Ok(false) };
    let json: Value = serde_json::from_str(text).map_err(|e| format!("INFO is not JSON: {e}"))?;
    for field in fields.split_whitespace() {
        let (path, expected) = field.split_once('=').ok_or("INFO fields are path=value")?;
        value_matches(&json, path, expected, names)?;
    }
    Ok(true)
}

fn holds(check: &Check, response: &http::Response, names: &mut Names) -> Step0 {
    let expected = check.expected.as_str();
    match check.what.as_str() {
        "status" if response.status.to_string() == expected => Ok(()),
        "status" => Err(format!("status {}", response.status)),
        "body" => text_matches(&String::from_utf8_lossy(&response.body), expected, names),
        what if what.ends_with(':') => {
            let value = response.header(what.trim_end_matches(':')).unwrap_or("absent");
            text_matches(value, expected, names)
        }
        path => {
            let json: Value =
                serde_json::from_slice(&response.body).map_err(|e| format!("not JSON: {e}"))?;
            value_matches(&json, path, expected, names)
        }
    }
}

/// Text against `~regex` or a pattern.
fn text_matches(actual: &str, expected: &str, names: &mut Names) -> Step0 {
    let ok = match expected.strip_prefix('~') {
        Some(regex) => Regex::new(regex).map_err(|e| e.to_string())?.is_match(actual),
        None => pattern::matches(expected, actual.trim_end(), names),
    };
    if ok { Ok(()) } else { Err(format!("{actual:?} is not {expected}")) }
}

/// A value by path (`a.0.b`, `a.#` for a length, `a.*.b` for a list of every b) against
/// `absent`, `present`, `~regex`, `>= n`, or text with placeholders.
fn value_matches(json: &Value, path: &str, expected: &str, names: &mut Names) -> Step0 {
    let found = select(json, path);
    let shown = found.as_ref().map_or_else(|| "absent".to_owned(), show);
    let ok = match (expected, &found) {
        ("absent", None) => true,
        ("absent", Some(_)) | (_, None) => false,
        ("present", Some(_)) => true,
        (e, Some(value)) => {
            if let Some(least) = e.strip_prefix(">= ") {
                let least: f64 = least.parse().map_err(|_| "not a number")?;
                value.as_f64().is_some_and(|v| v >= least)
            } else {
                return text_matches(&shown, e, names).map_err(|why| format!("{path}: {why}"));
            }
        }
    };
    if ok { Ok(()) } else { Err(format!("{path} is {shown}, not {expected}")) }
}

fn show(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn select(json: &Value, path: &str) -> Option<Value> {
    if path.is_empty() || path == "." {
        return Some(json.clone());
    }
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    match head {
        "#" => Some(json!(
            json.as_array().map(Vec::len).or(json.as_object().map(serde_json::Map::len))?
        )),
        "*" => {
            let all: Vec<Value> = json.as_array()?.iter().filter_map(|v| select(v, rest)).collect();
            Some(Value::Array(all))
        }
        "keys" if json.get("keys").is_none() => {
            Some(json!(json.as_object()?.keys().collect::<Vec<_>>()))
        }
        key => {
            let next = match key.parse::<usize>() {
                Ok(i) if json.is_array() => json.get(i)?,
                _ => json.get(key)?,
            };
            select(next, rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_selected_by_path() {
        let json = json!({"a": [{"b": 1}, {"b": 2}], "c": {"d": "x"}});
        for (path, expected) in
            [("a.0.b", "1"), ("a.#", "2"), ("a.*.b", "[1,2]"), ("c.d", "x"), ("c.keys", r#"["d"]"#)]
        {
            assert_eq!(select(&json, path).map(|v| show(&v)).unwrap(), expected, "{path}");
        }
        assert_eq!(select(&json, "a.5.b"), None);
        let mut names = Names::new();
        assert!(value_matches(&json, "a.#", ">= 2", &mut names).is_ok());
        assert!(value_matches(&json, "e", "absent", &mut names).is_ok());
        assert!(value_matches(&json, "c.d", "~^y$", &mut names).is_err());
    }
}
