//! Signals: what each one makes a server do, and sending them (`--signal`).
//!
//! Not here: doing it (the host), the command line (`config`).
//! Laws: a signal is logged before it is acted on; sending refuses a pid that would reach more
//!       than one process group member (0 and below).
//! Reference: server/signal.go; opts.go processSignal, maybeReadPidFile.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};
use stdx::log::Log;
use tokio::signal::unix::{SignalKind, signal};

/// The name `--signal` looks for when no pid is given.
const PROCESS_NAME: &str = "nats-server";

/// A signal that a server handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGHUP.
    Hangup,
    /// SIGQUIT.
    Quit,
    /// SIGABRT.
    Abort,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Shut down in good order, then exit with status 0.
    Shutdown,
    /// Open the log file again.
    ReopenLog,
    /// Enter lame duck mode.
    LameDuck,
    /// Read the configuration again.
    Reload,
    /// Say what every thread does, and exit with status 2 at once.
    Dump,
    /// Nothing.
    Ignore,
}

impl Received {
    /// Compat(CLI-008): what a signal means. Lame duck mode ends by itself; until then it cannot
    /// be cut short by SIGTERM, which is what orchestrators send next.
    pub fn action(self, in_lame_duck: bool) -> Action {
        match self {
            Self::Interrupt => Action::Shutdown,
            Self::Terminate if in_lame_duck => Action::Ignore,
            Self::Terminate => Action::Shutdown,
            Self::User1 => Action::ReopenLog,
            Self::User2 => Action::LameDuck,
            Self::Hangup => Action::Reload,
            // Compat(CLI-008): what Go's runtime does with them.
            Self::Quit | Self::Abort => Action::Dump,
        }
    }

    /// The name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Terminate => "terminated",
            Self::User1 => "user defined signal 1",
            Self::User2 => "user defined signal 2",
            Self::Hangup => "hangup",
            Self::Quit => "quit",
            Self::Abort => "aborted",
        }
    }
}

/// Handlers for these signals, which replace the default of ending the process.
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    user1: tokio::signal::unix::Signal,
    user2: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    abort: tokio::signal::unix::Signal,
}

impl Signals {
    /// Installs the handlers; needs a tokio runtime with I/O. One per process is enough.
    pub fn install() -> io::Result<Self> {
        for number in meaningless() {
            // Taken is enough; where one cannot be, it keeps its meaning.
            let _ = signal(SignalKind::from_raw(number));
        }
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            abort: signal(SignalKind::from_raw(Signal::ABORT.as_raw()))?,
        })
    }

    /// Waits for the next signal and logs it. Cancel safe.
    pub async fn next(&mut self, log: &Log) -> Received {
        let received = tokio::select! {
            _ = self.interrupt.recv() => Received::Interrupt,
            _ = self.terminate.recv() => Received::Terminate,
            _ = self.user1.recv() => Received::User1,
            _ = self.user2.recv() => Received::User2,
            _ = self.hangup.recv() => Received::Hangup,
            _ = self.quit.recv() => Received::Quit,
            _ = self.abort.recv() => Received::Abort,
        };
        stdx::notice!(log, "Trapped \"{}\" signal", received.name());
        received
    }
}

/// Signals that end a process unless somebody takes them, and that mean nothing to a server: those
/// of timers, limits and power, and the real-time ones behind those the C library keeps for itself.
#[cfg(target_os = "linux")]
fn meaningless() -> impl Iterator<Item = i32> {
    let named = [
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::XCPU,
        Signal::XFSZ,
        Signal::IO,
        Signal::POWER,
    ];
    named.map(Signal::as_raw).into_iter().chain(35..=64)
}

/// Signals that end a process unless somebody takes them, and that mean nothing to a server.
#[cfg(not(target_os = "linux"))]
fn meaningless() -> impl Iterator<Item = i32> {
    let named = [Signal::ALARM, Signal::VTALARM, Signal::PROF, Signal::XCPU, Signal::XFSZ];
    named.map(Signal::as_raw).into_iter()
}

/// Why `--signal` failed. The text follows `nats-server: ` on stderr; the exit status is 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// More than one `=`.
    #[error("invalid signal parameters: [{0}]")]
    Parameters(String),
    /// Neither a pid nor a file that holds one.
    #[error("invalid pid: {0}")]
    Pid(String),
    /// No pid was given and several servers run. Remedy: give one, or a pattern like `12*`.
    #[error("multiple {PROCESS_NAME} processes running:{0}")]
    Several(String),
    /// No pid was given and no server runs.
    #[error("no {PROCESS_NAME} processes running")]
    None,
    /// Processes cannot be listed here. Remedy: give a pid.
    #[error("unable to resolve pid, try providing one")]
    Unresolved,
    /// Not stop, quit, reopen, reload, ldm or term.
    #[error("unknown signal \"{0}\"")]
    Unknown(String),
    /// The system refused; one line per process.
    #[error("{0}")]
    Refused(String),
}

/// Sends the signal that `argument` (`command`, `command=pid`, `command=pidfile`, `command=12*`)
/// stands for.
pub fn send(argument: &str) -> Result<(), SignalError> {
    let mut parts = argument.split('=');
    let command = parts.next().unwrap_or_default();
    let pid = parts.next().unwrap_or_default();
    let surplus: Vec<&str> = parts.collect();
    if !surplus.is_empty() {
        return Err(SignalError::Parameters(surplus.join(" ")));
    }
    // Compat(CLI-009): a name that can be read as a file is a pid file, whatever it looks like.
    let pid = match fs::read_to_string(pid) {
        Ok(content) if !pid.is_empty() => content,
        _ => pid.to_owned(),
    };
    send_to(command, &pid, &running, &mut kill)
}

/// Chooses processes among `running` and lets `kill` signal them.
fn send_to(
    command: &str,
    pid: &str,
    running: &dyn Fn() -> Result<Vec<i32>, SignalError>,
    kill: &mut dyn FnMut(i32, Signal) -> Result<(), String>,
) -> Result<(), SignalError> {
    let (wanted, is_pattern) = match pid.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (pid, false),
    };
    let given = match wanted {
        "" => None,
        text => Some(parse_pid(text).ok_or_else(|| SignalError::Pid(text.to_owned()))?),
    };
    let candidates = match given {
        Some(pid) if !is_pattern => vec![pid],
        _ => running()?,
    };
    if candidates.len() > 1 && !is_pattern {
        let list = candidates.iter().map(|pid| format!("\n{pid}")).collect();
        return Err(SignalError::Several(list));
    }
    if candidates.is_empty() {
        return Err(SignalError::None);
    }
    let number = number(command).ok_or_else(|| SignalError::Unknown(command.to_owned()))?;
    let mut refusals = String::new();
    for pid in candidates {
        if is_pattern && !pid.to_string().starts_with(wanted) {
            continue;
        }
        if let Err(error) = kill(pid, number) {
            refusals.push_str(&format!("\nsignal \"{command}\" {pid}: {error}"));
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(SignalError::Refused(refusals)) }
}

/// A pid above zero: 0 and negative numbers mean groups of processes to the system.
fn parse_pid(text: &str) -> Option<i32> {
    text.parse().ok().filter(|pid| *pid > 0)
}

// Compat(CLI-009): the commands and their signals.
fn number(command: &str) -> Option<Signal> {
    match command {
        "stop" => Some(Signal::KILL),
        "quit" => Some(Signal::INT),
        "reopen" => Some(Signal::USR1),
        "reload" => Some(Signal::HUP),
        "ldm" => Some(Signal::USR2),
        "term" => Some(Signal::TERM),
        _ => None,
    }
}

fn kill(pid: i32, signal: Signal) -> Result<(), String> {
    let pid = Pid::from_raw(pid).ok_or("no such process")?;
    kill_process(pid, signal).map_err(|error| match error {
        rustix::io::Errno::SRCH => "no such process".to_owned(),
        rustix::io::Errno::PERM => "operation not permitted".to_owned(),
        other => other.to_string(),
    })
}

/// Processes named like the server, this one left out, lowest pid first.
#[cfg(target_os = "linux")]
fn running() -> Result<Vec<i32>, SignalError> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").map_err(|_| SignalError::Unresolved)?;
    let mut found: Vec<i32> = processes
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| *name != own)
        .filter_map(|name| {
            let pid = parse_pid(&name)?;
            let command = fs::read_to_string(format!("/proc/{name}/comm")).ok()?;
            command.contains(PROCESS_NAME).then_some(pid)
        })
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Processes named like the server, this one left out.
#[cfg(not(target_os = "linux"))]
fn running() -> Result<Vec<i32>, SignalError> {
    let output = std::process::Command::new("pgrep")
        .arg(PROCESS_NAME)
        .output()
        .map_err(|_| SignalError::Unresolved)?;
    let own = std::process::id();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| !line.is_empty() && **line != own.to_string())
        .map(|line| parse_pid(line).ok_or(SignalError::Unresolved))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: CLI-008
    #[test]
    fn each_signal_has_its_action() {
        for (received, action, in_lame_duck) in [
            (Received::Interrupt, Action::Shutdown, Action::Shutdown),
            (Received::Terminate, Action::Shutdown, Action::Ignore),
            (Received::User1, Action::ReopenLog, Action::ReopenLog),
            (Received::User2, Action::LameDuck, Action::LameDuck),
            (Received::Hangup, Action::Reload, Action::Reload),
            (Received::Quit, Action::Dump, Action::Dump),
            (Received::Abort, Action::Dump, Action::Dump),
        ] {
            assert_eq!(received.action(false), action);
            assert_eq!(received.action(true), in_lame_duck);
        }
    }

    /// What is sent, and what is said.
    fn attempt(
        command: &str,
        pid: &str,
        running: &[i32],
    ) -> (Vec<(i32, Signal)>, Result<(), SignalError>) {
        let mut sent = Vec::new();
        let mut kill = |pid: i32, signal: Signal| {
            sent.push((pid, signal));
            if pid == 66 { Err("operation not permitted".to_owned()) } else { Ok(()) }
        };
        let result = send_to(command, pid, &|| Ok(running.to_vec()), &mut kill);
        (sent, result)
    }

    // Contract: CLI-009
    #[test]
    fn commands_are_signals() {
        for (command, signal) in [
            ("stop", Signal::KILL),
            ("quit", Signal::INT),
            ("reopen", Signal::USR1),
            ("reload", Signal::HUP),
            ("ldm", Signal::USR2),
            ("term", Signal::TERM),
        ] {
            assert_eq!(attempt(command, "7", &[]), (vec![(7, signal)], Ok(())));
        }
    }

    // Contract: CLI-009
    #[test]
    fn processes_are_chosen_by_pid_pattern_or_name() {
        let sent = |pid: &str, running: &[i32]| -> Vec<i32> {
            let (sent, result) = attempt("quit", pid, running);
            result.unwrap();
            sent.into_iter().map(|(pid, _)| pid).collect()
        };
        assert_eq!(sent("", &[5]), [5]);
        assert_eq!(sent("12*", &[12, 123, 212]), [12, 123]);
        assert_eq!(sent("*", &[12, 123, 212]), [12, 123, 212]);
        assert_eq!(sent("9*", &[12]), [0; 0]);
        assert_eq!(sent("7", &[1, 2, 3]), [7]);
    }

    // Contract: CLI-009
    #[test]
    fn what_cannot_be_sent_is_told() {
        let told = |command: &str, pid: &str, running: &[i32]| {
            let (_, result) = attempt(command, pid, running);
            result.unwrap_err().to_string()
        };
        assert_eq!(told("quit", "", &[12, 13]), "multiple nats-server processes running:\n12\n13");
        assert_eq!(told("quit", "", &[]), "no nats-server processes running");
        assert_eq!(told("quit", "*", &[]), "no nats-server processes running");
        assert_eq!(told("quit", "x", &[]), "invalid pid: x");
        assert_eq!(told("quit", "x*", &[]), "invalid pid: x");
        assert_eq!(told("quit", "12\n", &[]), "invalid pid: 12\n");
        assert_eq!(told("quit", "-1", &[]), "invalid pid: -1");
        assert_eq!(told("quit", "0", &[]), "invalid pid: 0");
        assert_eq!(told("huh", "7", &[]), "unknown signal \"huh\"");
        assert_eq!(told("quit", "66", &[]), "\nsignal \"quit\" 66: operation not permitted");
        assert_eq!(send("quit=1=2").unwrap_err().to_string(), "invalid signal parameters: [2]");
    }

    // Contract: CLI-009
    #[test]
    fn a_pid_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        fs::write(&path, "nonsense").unwrap();
        let told = send(&format!("quit={}", path.display())).unwrap_err();
        assert_eq!(told, SignalError::Pid("nonsense".into()));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        fs::write(&path, child.id().to_string()).unwrap();
        send(&format!("term={}", path.display())).unwrap();
        assert!(!child.wait().unwrap().success());
    }

    // Contract: CLI-008
    #[tokio::test]
    async fn signals_arrive() {
        let mut signals = Signals::install().unwrap();
        let own = Pid::from_raw(i32::try_from(std::process::id()).unwrap()).unwrap();
        for (signal, received) in [
            (Signal::USR1, Received::User1),
            (Signal::USR2, Received::User2),
            (Signal::HUP, Received::Hangup),
            (Signal::TERM, Received::Terminate),
            (Signal::INT, Received::Interrupt),
            (Signal::QUIT, Received::Quit),
        ] {
            // Would end the process, if it were not taken.
            kill_process(own, Signal::ALARM).unwrap();
            kill_process(own, signal).unwrap();
            assert_eq!(signals.next(&Log::discard()).await, received);
        }
    }
}
