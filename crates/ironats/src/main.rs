//! `nats-server`: read the command line and the configuration, run, leave with an exit status.

mod allocator;
mod program_pages;

use config::flags::{self, Command, Run};
use config::{Diagnostics, Options};
use ironats::files::System;
use ironats::load::{self, Unusable};
use ironats::log::{self, LogConfig, LogControl, LogError, Target};
use ironats::reload::Process;
use ironats::signal::{self, Action, Received, Signals};
use ironats::{Server, ports};
use std::collections::VecDeque;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stdx::log::Log;

fn main() -> ExitCode {
    allocator::give_back_soon();
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    match flags::parse_args(&args) {
        Command::Help => {
            println!("{}", flags::usage());
            ExitCode::SUCCESS
        }
        Command::Version => {
            println!("{}", flags::version(node::VERSION));
            ExitCode::SUCCESS
        }
        Command::HelpTls => {
            println!("{}", flags::tls_usage());
            ExitCode::SUCCESS
        }
        Command::Signal(request) => match signal::send(&signal_argument(&request)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        Command::Error { stdout, stderr, exit_code } => {
            print!("{stdout}");
            eprint!("{stderr}");
            ExitCode::from(u8::try_from(exit_code).unwrap_or(1))
        }
        Command::Run(run) if run.check => {
            let outcome = config::check(run.config.as_deref().unwrap_or_default(), &System);
            eprint!("{}", outcome.stderr);
            ExitCode::from(u8::try_from(outcome.exit_code).unwrap_or(1))
        }
        Command::Run(run) => match options(&run) {
            Ok(options) => serve(options),
            Err(text) => fail(&text),
        },
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("nats-server: {}", error.to_string().trim_end());
    ExitCode::FAILURE
}

/// The configuration with the command line over it.
fn options(run: &Run) -> Result<Options, Unusable> {
    let (options, warnings) = load::options(run.config.as_deref(), &run.flags)?;
    eprint!("{}", Diagnostics { errors: vec![], warnings });
    Ok(options)
}

fn signal_argument(request: &flags::SignalRequest) -> String {
    match &request.target {
        Some(target) => format!("{}={target}", request.command),
        None => request.command.clone(),
    }
}

fn program() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn log_config(options: &Options) -> LogConfig {
    let logging = &options.logging;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    LogConfig {
        target: Target::choose(
            &text(&logging.file),
            logging.size_limit.unwrap_or(0),
            logging.max_files.unwrap_or(0),
            &text(&logging.remote_syslog),
            logging.syslog.unwrap_or(false),
        ),
        time: options.logtime(),
        utc: logging.logtime_utc.unwrap_or(false),
        json: logging.json.unwrap_or(false),
        tag: program(),
    }
}

fn serve(options: Options) -> ExitCode {
    ironats::process::raise_file_limit();
    let (log, control) = match log::open(&log_config(&options)) {
        Ok((log, control)) => (log, Arc::new(control)),
        Err(error) => return fail(&error),
    };
    let logging = &options.logging;
    log.set_levels(logging.debug.unwrap_or(false), logging.trace.unwrap_or(false));
    let code = run(options, &log, &control);
    control.flush(Duration::from_secs(2));
    control.close();
    code
}

/// The log and the files of this process, for reloads.
struct Files {
    log: Arc<LogControl>,
    ports: ports::Ports,
    file: Mutex<Option<ports::PortsFile>>,
}

impl Files {
    fn remove_ports(&self) {
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Somebody else removed it.
            let _ = file.remove();
        }
    }
}

impl Process for Files {
    fn reconfigure_log(&self, options: &Options) -> Result<(), LogError> {
        self.log.reconfigure(&log_config(options))
    }

    fn write_pid(&self, options: &Options) -> std::io::Result<()> {
        match options.process.pid_file.as_deref().filter(|path| !path.is_empty()) {
            Some(path) => ports::write_pid(Path::new(path)),
            None => Ok(()),
        }
    }

    fn write_ports(&self, options: &Options) -> std::io::Result<()> {
        self.remove_ports();
        let directory = options.process.ports_file_dir.as_deref().filter(|dir| !dir.is_empty());
        let Some(directory) = directory else { return Ok(()) };
        let file = ports::PortsFile::write(Path::new(directory), &program(), &self.ports)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

fn run(options: Options, log: &Log, control: &Arc<LogControl>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(start_and_serve(options, log, control)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Starts the server, serves until a signal ends it, and shuts it down.
///
/// The handlers stand before anybody can know of the server (its ports, its log): a signal sent on
/// that news must not find the default, which ends the process.
async fn start_and_serve(
    options: Options,
    log: &Log,
    control: &Arc<LogControl>,
) -> std::io::Result<ExitCode> {
    let mut signals = Signals::install()?;
    if let Some(path) = options.process.pid_file.as_deref().filter(|path| !path.is_empty())
        && let Err(error) = ports::write_pid(Path::new(path))
    {
        stdx::fatal!(log, "Could not write pidfile: {error}");
        return Ok(ExitCode::FAILURE);
    }
    let starting = {
        let log = log.clone();
        tokio::task::spawn_blocking(move || Server::start(options, log))
    };
    let mut early = VecDeque::new();
    let Some(started) = unless_stopped(starting, &mut signals, &mut early, log, control).await?
    else {
        // A start is left as a crash would leave it: nothing on disk depends on its end.
        control.flush(Duration::from_secs(2));
        std::process::exit(0);
    };
    let server = match started {
        Ok(server) => server,
        Err(error) => {
            stdx::fatal!(log, "{error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let files =
        Arc::new(Files { log: control.clone(), ports: server.ports(), file: Mutex::default() });
    if let Err(error) = files.write_ports(&server.node().options()) {
        stdx::error!(log, "Error writing ports file {error}");
    }
    server.reloader().set_process(files.clone());
    program_pages::release();
    until_stopped(&server, &mut signals, early, log, control).await;
    server.shutdown();
    files.remove_ports();
    Ok(ExitCode::SUCCESS)
}

/// How long a start that is to end may take to become a server that can be shut down.
const NEARLY_THERE: Duration = Duration::from_secs(2);

/// Waits for a start, which can be long where much is recovered; `None` once a signal ended it.
/// Signals for a server that runs are kept in `early`: who sent them may have seen it run.
async fn unless_stopped<T>(
    mut starting: tokio::task::JoinHandle<T>,
    signals: &mut Signals,
    early: &mut VecDeque<Received>,
    log: &Log,
    control: &LogControl,
) -> std::io::Result<Option<T>> {
    loop {
        let received = tokio::select! {
            started = &mut starting => return Ok(Some(started.map_err(std::io::Error::other)?)),
            received = signals.next(log) => received,
        };
        match received.action(false) {
            Action::Shutdown => {
                early.push_back(received);
                let started = tokio::time::timeout(NEARLY_THERE, &mut starting).await;
                return started.ok().transpose().map_err(std::io::Error::other);
            }
            Action::Reload | Action::LameDuck => early.push_back(received),
            Action::ReopenLog => control.reopen(),
            Action::Dump => dump(received, control),
            Action::Ignore => {}
        }
    }
}

/// Says where every thread stands, and ends the process as a Go program does.
fn dump(received: Received, control: &LogControl) -> ! {
    control.flush(Duration::from_secs(2));
    eprintln!("{}\n\n{}", received.name(), ironats::process::threads());
    std::process::exit(2);
}

/// Handles signals, `early` ones first, until one of them ends the server.
async fn until_stopped(
    server: &Server,
    signals: &mut Signals,
    mut early: VecDeque<Received>,
    log: &Log,
    control: &LogControl,
) {
    let mut lame_duck = None;
    loop {
        let first = early.pop_front();
        let received = tokio::select! {
            received = async {
                match first {
                    Some(early) => early,
                    None => signals.next(log).await,
                }
            } => received,
            () = async {
                match lame_duck.as_mut() {
                    Some(leaving) => std::pin::Pin::new(leaving).await,
                    None => std::future::pending().await,
                }
            } => return,
            () = server.must_end() => return,
        };
        match received.action(lame_duck.is_some()) {
            Action::Shutdown => return,
            Action::ReopenLog => control.reopen(),
            Action::LameDuck if lame_duck.is_none() => {
                lame_duck = Some(Box::pin(server.lame_duck()));
            }
            Action::Reload => {
                if let Err(error) = server.reloader().reload() {
                    let error = error.to_string();
                    stdx::error!(log, "Failed to reload server configuration: {error}");
                }
            }
            Action::Dump => dump(received, control),
            Action::LameDuck | Action::Ignore => {}
        }
    }
}
