//! From the text of a script to its steps.
//!
//! Laws: every line is understood or refused with its number; nothing is guessed.

use std::time::Duration;

use crate::version::{self, Version};

/// A parsed script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its path below `conformance/`, without extension.
    pub name: String,
    /// Contract rows it shows.
    pub rows: Vec<String>,
    /// The oldest reference version it is true of.
    pub peer_min: Option<Version>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One step and where it stands.
#[derive(Clone, Debug)]
pub struct Step {
    /// Line number, from 1.
    pub line: usize,
    /// The line as written.
    pub text: String,
    /// What to do.
    pub op: Op,
}

/// A check below a `GET`, `check` or `refuse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The line as written, without its bar.
    pub text: String,
    /// What is looked at: `status`, `body`, `exit`, a header name or a JSON path.
    pub what: String,
    /// What it must be.
    pub expected: String,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Op {
    /// Starts a server, replacing the one before.
    Server { config: String, args: Vec<String> },
    /// Runs a server that must end by itself; `test` adds `-t`.
    Process { config: String, args: Vec<String>, test: bool, checks: Vec<Check> },
    /// Replaces the configuration file of the running server.
    Rewrite { config: String },
    /// Connects: `raw` reads nothing, `open` the INFO, `client` does the whole handshake.
    Connect { client: String, how: How, fields: String },
    /// Upgrades a connection to TLS.
    Tls { client: String },
    /// Sends text; a line gets CRLF, bytes do not.
    Send { client: String, text: String, line: bool },
    /// Expects the next line.
    Expect { client: String, pattern: String },
    /// PING answered by PONG with nothing between.
    Quiet { client: String },
    /// Nothing arrives for this long.
    Silent { client: String, time: Duration },
    /// The server closes the connection; nothing is left unread.
    Closed { client: String },
    /// The client closes the connection.
    Close { client: String },
    /// No more automatic answers to PING.
    Manual { client: String },
    /// Counts MSG and HMSG up to a PONG into a name.
    Count { client: String, name: String },
    /// A sum of counted names lies in a range.
    Total { names: Vec<String>, least: u64, most: u64 },
    /// HTTP GET (POST, HEAD), repeated until every check holds.
    Get { method: String, path: String, checks: Vec<Check> },
    /// Sends a signal to the server.
    Signal { name: String },
    /// The server ends with this exit code.
    Exits { code: i32 },
    /// The log comes to hold a line matching this pattern somewhere.
    Log { pattern: String },
    /// No line of the log so far matches.
    NoLog { pattern: String },
    /// Patience of the steps that follow.
    Deadline { time: Duration },
    /// Time that must pass because nothing observable marks its end.
    Pause { time: Duration },
}

/// How far a connection goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// TCP only.
    Raw,
    /// TCP and the first INFO.
    Open,
    /// CONNECT and PING as well.
    Client,
}

impl Script {
    /// Parses `text`; the error names the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut script =
            Self { name: name.to_owned(), rows: Vec::new(), peer_min: None, steps: Vec::new() };
        let lines: Vec<&str> = text.lines().collect();
        let mut at = 0;
        while at < lines.len() {
            let (number, line) = (at + 1, lines[at]);
            let fail = |why: String| format!("{name}:{number}: {why}: {line:?}");
            at += 1;
            if let Some(comment) = line.strip_prefix('#') {
                script.header(comment.trim()).map_err(fail)?;
                continue;
            }
            if line.trim().is_empty() {
                continue;
            }
            let block = take(&lines, &mut at, "  ");
            let bars = take(&lines, &mut at, "|");
            let (config, has_block) = (block.join("\n"), !block.is_empty());
            let has_bars = !bars.is_empty();
            let checks = bars.iter().map(|b| check(b.trim())).collect::<Result<Vec<_>, _>>();
            let op = parse_op(line, config, checks.map_err(fail)?).map_err(fail)?;
            let wants_block =
                matches!(op, Op::Server { .. } | Op::Process { .. } | Op::Rewrite { .. });
            let wants_bars = matches!(op, Op::Get { .. } | Op::Process { .. });
            if has_block && !wants_block {
                return Err(fail("takes no indented lines".into()));
            }
            if has_bars != wants_bars {
                return Err(fail("needs `|` lines exactly if it is a GET, check or refuse".into()));
            }
            script.steps.push(Step { line: number, text: line.to_owned(), op });
        }
        if script.rows.is_empty() {
            return Err(format!("{name}: names no contract row"));
        }
        Ok(script)
    }

    fn header(&mut self, comment: &str) -> Result<(), String> {
        if let Some(rows) = comment.strip_prefix("contract:") {
            self.rows.extend(rows.split(',').map(|r| r.trim().to_owned()));
        } else if let Some(min) = comment.strip_prefix("peer-min ") {
            self.peer_min = Some(version::parse(min).ok_or("not a version")?);
        }
        Ok(())
    }
}

fn take(lines: &[&str], at: &mut usize, prefix: &str) -> Vec<String> {
    let mut taken = Vec::new();
    while let Some(rest) = lines.get(*at).and_then(|l| l.strip_prefix(prefix)) {
        taken.push(rest.to_owned());
        *at += 1;
    }
    taken
}

fn check(text: &str) -> Result<Check, String> {
    let (what, expected) = text.split_once(' ').ok_or("a check is `what expected`")?;
    Ok(Check { text: text.to_owned(), what: what.to_owned(), expected: expected.trim().to_owned() })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Command line arguments; a space inside one is written `\\s`.
fn arguments(text: &str) -> Result<Vec<String>, String> {
    text.split_whitespace().map(unescape).collect()
}

fn parse_op(line: &str, config: String, checks: Vec<Check>) -> Result<Op, String> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if let Some(client) = first.strip_suffix(">>") {
        return Ok(Op::Send { client: name(client)?, text: unescape(rest)?, line: false });
    }
    if let Some(client) = first.strip_suffix('>') {
        return Ok(Op::Send { client: name(client)?, text: rest.to_owned(), line: true });
    }
    if let Some(client) = first.strip_suffix('<') {
        return Ok(Op::Expect { client: name(client)?, pattern: rest.to_owned() });
    }
    let connect = |how| -> Result<Op, String> {
        let (client, fields) = rest.split_once(' ').unwrap_or((rest, ""));
        Ok(Op::Connect { client: name(client)?, how, fields: fields.trim().to_owned() })
    };
    match first {
        "server" => Ok(Op::Server { config, args: arguments(rest)? }),
        "refuse" => Ok(Op::Process { config, args: arguments(rest)?, test: false, checks }),
        "check" => Ok(Op::Process { config, args: arguments(rest)?, test: true, checks }),
        "rewrite" => Ok(Op::Rewrite { config }),
        "client" => connect(How::Client),
        "open" => connect(How::Open),
        "raw" => connect(How::Raw),
        "GET" | "POST" | "HEAD" => {
            Ok(Op::Get { method: first.to_owned(), path: rest.to_owned(), checks })
        }
        "signal" => Ok(Op::Signal { name: rest.to_owned() }),
        "exits" => Ok(Op::Exits { code: rest.parse().map_err(|_| "not an exit code")? }),
        "log" => Ok(Op::Log { pattern: rest.to_owned() }),
        "nolog" => Ok(Op::NoLog { pattern: rest.to_owned() }),
        "deadline" => Ok(Op::Deadline { time: duration(rest)? }),
        "pause" => Ok(Op::Pause { time: duration(rest)? }),
        "total" => total(rest),
        _ => about_client(first, rest),
    }
}

fn about_client(client: &str, rest: &str) -> Result<Op, String> {
    let client = name(client)?;
    let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match (verb, rest) {
        ("quiet", "") => Ok(Op::Quiet { client }),
        ("closed", "") => Ok(Op::Closed { client }),
        ("close", "") => Ok(Op::Close { client }),
        ("manual", "") => Ok(Op::Manual { client }),
        ("tls", "") => Ok(Op::Tls { client }),
        ("silent", time) => Ok(Op::Silent { client, time: duration(time)? }),
        ("count", n) => Ok(Op::Count { client, name: n.to_owned() }),
        _ => Err("not understood".into()),
    }
}

fn name(text: &str) -> Result<String, String> {
    let ok = text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if ok { Ok(text.to_owned()) } else { Err("a client is named like A or B2".into()) }
}

/// `total a b = 100` or `total a = 20..80`.
fn total(text: &str) -> Result<Op, String> {
    let (names, range) = text.split_once('=').ok_or("needs `= range`")?;
    let (least, most) = range.trim().split_once("..").unwrap_or((range.trim(), range.trim()));
    let number = |t: &str| t.parse::<u64>().map_err(|_| "not a number".to_owned());
    Ok(Op::Total { names: words(names), least: number(least)?, most: number(most)? })
}

fn duration(text: &str) -> Result<Duration, String> {
    let (value, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let value: u64 = value.parse().map_err(|_| "not a duration")?;
    match unit {
        "ms" => Ok(Duration::from_millis(value)),
        "s" => Ok(Duration::from_secs(value)),
        _ => Err("a duration ends in ms or s".into()),
    }
}

/// Resolves `\r \n \t \0 \\ \xNN`. Bytes above 0x7f become the characters U+0080 to U+00FF and
/// leave as single bytes.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('r') => out.push('\r'),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            Some('\\') => out.push('\\'),
            Some('s') => out.push(' '),
            Some('x') => {
                let hex: String = chars.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&hex, 16).map_err(|_| "bad \\x escape")?;
                out.push(char::from(byte));
            }
            _ => return Err("unknown escape".into()),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_parsed_line_by_line() {
        let text = "# contract: CORE-001, CORE-002\n# peer-min 2.12\nserver -D\n  port: -1\n\n\
                    client A {\"echo\":false}\nA> SUB a 1\nA>> PI\\x4eG\\r\\n\nA< PONG\nA closed\n\
                    GET /varz\n| status 200\ntotal x y = 1..3\n";
        let script = Script::parse("t", text).unwrap();
        assert_eq!(script.rows, ["CORE-001", "CORE-002"]);
        assert_eq!(script.peer_min, Some((2, 12, 0)));
        assert_eq!(script.steps.len(), 8);
        assert!(matches!(&script.steps[0].op, Op::Server { config, args }
            if config == "port: -1" && args == &["-D"]));
        assert!(matches!(&script.steps[3].op, Op::Send { text, line: false, .. }
            if text == "PING\r\n"));
    }

    #[test]
    fn mistakes_are_refused_with_their_line() {
        for (text, why) in [
            ("# contract: X-1\nA bar", "not understood"),
            ("# contract: X-1\nfoo bar", "a client is named"),
            ("client A", "names no contract row"),
            ("# contract: X-1\nGET /varz", "needs `|` lines"),
            ("# contract: X-1\nA quiet\n  x: 1", "takes no indented lines"),
            ("# contract: X-1\npause 5", "ends in ms or s"),
        ] {
            let error = Script::parse("t", text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
