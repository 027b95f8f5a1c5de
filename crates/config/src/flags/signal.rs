//! `--signal`: which signal goes to which processes (CLI-009).
//!
//! Not here: reading the pid file, listing processes, sending (the host).
//! Reference: opts.go processSignal; signal.go ProcessSignal, CommandToSignal.

/// What a signal asks a server to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalCommand {
    /// SIGKILL.
    Stop,
    /// SIGINT.
    Quit,
    /// SIGTERM.
    Term,
    /// SIGUSR1: reopen the log file.
    Reopen,
    /// SIGHUP: reload the configuration.
    Reload,
    /// SIGUSR2: lame duck mode.
    LameDuck,
}

impl SignalCommand {
    /// The signal's name without `SIG`.
    pub fn signal_name(self) -> &'static str {
        match self {
            Self::Stop => "KILL",
            Self::Quit => "INT",
            Self::Term => "TERM",
            Self::Reopen => "USR1",
            Self::Reload => "HUP",
            Self::LameDuck => "USR2",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "stop" => Self::Stop,
            "quit" => Self::Quit,
            "term" => Self::Term,
            "reopen" => Self::Reopen,
            "reload" => Self::Reload,
            "ldm" => Self::LameDuck,
            _ => return None,
        })
    }
}

/// Why nothing can be signalled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// More than one `=`.
    #[error("invalid signal parameters: [{0}]")]
    Parameters(String),
    /// No number.
    #[error("invalid pid: {0}")]
    Pid(String),
    /// Several servers run and none is named.
    #[error("multiple nats-server processes running:{}", list(.0))]
    Several(Vec<i64>),
    /// None runs.
    #[error("no nats-server processes running")]
    NoneRunning,
    /// No such command.
    #[error("unknown signal {}", stdx::go_text::quote(.0.as_bytes()))]
    Unknown(String),
    /// The processes cannot be listed.
    #[error("unable to resolve pid, try providing one")]
    Unresolved,
}

fn list(pids: &[i64]) -> String {
    pids.iter().map(|pid| format!("\n{pid}")).collect()
}

/// `--signal` as given: `command` or `command=target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRequest {
    /// Name of the command, not yet known to exist.
    pub command: String,
    /// A pid, a pid with `*`, or the path of a pid file. If a file with this name can be read, the
    /// host replaces the target by its contents before it calls `plan`.
    pub target: Option<String>,
}

impl SignalRequest {
    /// Takes the flag's value apart.
    pub fn parse(text: &str) -> Result<Self, SignalError> {
        let mut parts = text.split('=');
        let command = parts.next().unwrap_or_default().to_owned();
        let target = parts.next().map(str::to_owned);
        let rest: Vec<&str> = parts.collect();
        if !rest.is_empty() {
            return Err(SignalError::Parameters(rest.join(" ")));
        }
        Ok(Self { command, target })
    }

    /// What to send, and to which processes. `running` lists the servers that run; it is asked
    /// only when the target does not name one process.
    pub fn plan(
        &self,
        running: impl FnOnce() -> Result<Vec<i64>, SignalError>,
    ) -> Result<(SignalCommand, Vec<i64>), SignalError> {
        let target = self.target.as_deref().unwrap_or_default();
        let (number, glob) = match target.strip_suffix('*') {
            Some(number) => (number, true),
            None => (target, false),
        };
        let named = match number {
            "" => None,
            _ => Some(number.parse::<i64>().map_err(|_| SignalError::Pid(number.into()))?),
        };
        let pids = match named {
            Some(pid) if !glob => vec![pid],
            _ => running()?,
        };
        if pids.len() > 1 && !glob {
            return Err(SignalError::Several(pids));
        }
        if pids.is_empty() {
            return Err(SignalError::NoneRunning);
        }
        let command = SignalCommand::named(&self.command)
            .ok_or_else(|| SignalError::Unknown(self.command.clone()))?;
        let fits = |pid: &i64| {
            let pid = pid.to_string();
            number.is_empty() || pid == number || glob && pid.starts_with(number)
        };
        Ok((command, pids.into_iter().filter(fits).collect()))
    }
}
