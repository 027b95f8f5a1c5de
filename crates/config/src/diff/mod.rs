//! What changes between two sets of options, and whether a running server can follow.
//!
//! `diff` goes through one table of rules, in the order in which the reference looks at its
//! options; the first change that cannot be followed refuses the whole reload.
//!
//! Not here: carrying the plan out (`node::reload`, the host), whether the new options are valid
//! by themselves (`validate`).
//! Laws: every key has a rule (`tests::every_key_has_a_rule`); a refusal names the option as the
//!       reference does, and prints no secret.
//! Reference: reload.go diffOptions.   Contract: RELOAD-002, RELOAD-003, RELOAD-008.

mod client;
mod jetstream;
mod links;
mod rule;
mod show;
#[cfg(test)]
mod tests;
mod tls;

use crate::options::Options;
use rule::{Rule, Verdict};

/// Whose business a change is. The order is that in which they are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Where lines go, and how they look.
    Log,
    /// Debug and trace, on or off.
    LogLevels,
    /// Limits and times of connections.
    Limits,
    /// Connections there may be.
    MaxConnections,
    /// What INFO says.
    Info,
    /// Certificates and rules of TLS.
    Tls,
    /// OCSP: stapling, checks of peers, their cache.
    Ocsp,
    /// Accounts, their links and mappings.
    Accounts,
    /// Users and how they log in.
    Auth,
    /// JetStream on or off, and its limits.
    JetStream,
    /// The pid file.
    PidFile,
    /// The ports file.
    PortsFile,
    /// Told by monitoring, and used when asked for: nothing to do now.
    Facts,
    /// Links to other servers, and gateways to other protocols.
    Links,
}

/// One option that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The option, as the reference's messages call it.
    pub field: &'static str,
    /// Whose business it is.
    pub step: Step,
    /// What the log says of it; empty for nothing.
    pub line: String,
    /// Whether anything really differs; the reference announces some options every time.
    pub real: bool,
}

/// What a reload has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which the log tells them.
    pub changes: Vec<Change>,
}

impl Plan {
    /// Whether `step` has anything to do.
    pub fn needs(&self, step: Step) -> bool {
        self.changes.iter().any(|change| change.real && change.step == step)
    }

    /// Whether `field` differs.
    pub fn changes(&self, field: &str) -> bool {
        self.changes.iter().any(|change| change.real && change.field == field)
    }

    /// What the log says, in order.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|change| change.line.as_str()).filter(|line| !line.is_empty())
    }
}

/// Why the options cannot be followed without a restart. Remedy: restart, or undo the change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReloadable(pub String);

/// What only the running server knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    /// The port clients connect to.
    pub client_port: i64,
    /// Whether JetStream runs.
    pub jetstream: bool,
    /// Whether there is something else in the same files of certificates.
    pub tls_files_changed: bool,
}

/// What the rules compare.
#[derive(Clone, Copy)]
struct Pair<'a> {
    old: &'a Options,
    new: &'a Options,
    running: Running,
}

/// All rules, in the reference's order.
fn rules() -> impl Iterator<Item = &'static Rule> {
    let parts: [&[Rule]; 8] = [
        client::FIRST,
        client::USERS,
        client::LIMITS,
        links::SERVERS,
        jetstream::RULES,
        links::PROTOCOLS,
        tls::RULES,
        client::LAST,
    ];
    parts.into_iter().flatten()
}

/// What it takes to go from `old` to `new`, or why that cannot be done.
pub fn diff(old: &Options, new: &Options, running: Running) -> Result<Plan, NotReloadable> {
    let pair = Pair { old, new, running };
    let mut plan = Plan::default();
    for rule in rules() {
        let (before, after) = ((rule.value)(old), (rule.value)(new));
        let same = before == after;
        match rule.verdict {
            Verdict::Live(_, _) | Verdict::Silent | Verdict::Refused if same => {}
            Verdict::Live(step, line) => plan.changes.push(Change {
                field: rule.field,
                step,
                line: line.replace("{}", &after),
                real: true,
            }),
            Verdict::Announced(step, line) => {
                let line = line.to_owned();
                plan.changes.push(Change { field: rule.field, step, line, real: !same });
            }
            Verdict::Silent => {}
            Verdict::Refused => {
                return Err(NotReloadable(show::refusal(rule.field, &before, &after)));
            }
            Verdict::Judged(judge) => judge(&pair, &mut plan).map_err(NotReloadable)?,
        }
    }
    jetstream::check(&pair).map_err(NotReloadable)?;
    Ok(plan)
}
