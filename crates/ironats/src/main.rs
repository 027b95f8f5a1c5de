//! `nats-server`: read the command line and the configuration, run, leave with an exit status.

use config::flags::{self, Command, Run};
use config::{Diagnostics, LoadError, Options};
use ironats::files::System;
use ironats::log::{self, LogConfig, LogControl, Target};
use ironats::signal::{self, Action, Signals};
use ironats::{Server, ports};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use stdx::log::Log;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
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
fn options(run: &Run) -> Result<Options, String> {
    let mut options = match &run.config {
        None => Options::default(),
        Some(path) => match config::load(path, &System) {
            Ok(loaded) => {
                if !loaded.warnings.is_empty() {
                    let warnings = Diagnostics { errors: vec![], warnings: loaded.warnings };
                    eprint!("{warnings}");
                }
                loaded.options
            }
            Err(LoadError::Invalid(found)) => return Err(found.to_string()),
            Err(LoadError::Syntax(error)) => return Err(error.to_string()),
        },
    };
    options.apply_flags(&run.flags, &System).map_err(|error| error.to_string())?;
    config::validate(&options).map_err(|error| error.to_string())?;
    let unbuilt = config::unbuilt(&options);
    if unbuilt.is_empty() {
        Ok(options)
    } else {
        Err(unbuilt.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
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
    let (log, control) = match log::open(&log_config(&options)) {
        Ok(opened) => opened,
        Err(error) => return fail(&error),
    };
    let logging = &options.logging;
    log.set_levels(logging.debug.unwrap_or(false), logging.trace.unwrap_or(false));
    let code = run(options, &log, &control);
    control.flush(Duration::from_secs(2));
    control.close();
    code
}

fn run(options: Options, log: &Log, control: &LogControl) -> ExitCode {
    let process = options.process.clone();
    if let Some(path) = process.pid_file.as_deref().filter(|path| !path.is_empty())
        && let Err(error) = ports::write_pid(Path::new(path))
    {
        stdx::fatal!(log, "Could not write pidfile: {error}");
        return ExitCode::FAILURE;
    }
    let server = match Server::start(options, log.clone()) {
        Ok(server) => server,
        Err(error) => {
            stdx::fatal!(log, "{error}");
            return ExitCode::FAILURE;
        }
    };
    let directory = process.ports_file_dir.filter(|dir| !dir.is_empty());
    let ports_file = directory.and_then(|directory| {
        let written = ports::PortsFile::write(Path::new(&directory), &program(), &server.ports());
        written.map_err(|error| stdx::error!(log, "Error writing ports file {error}")).ok()
    });
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(until_stopped(&server, log, control)));
    server.shutdown();
    if let Some(file) = ports_file {
        let _ = file.remove();
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Handles signals until one of them ends the server.
async fn until_stopped(server: &Server, log: &Log, control: &LogControl) -> std::io::Result<()> {
    let mut signals = Signals::install()?;
    let mut lame_duck = None;
    loop {
        let received = tokio::select! {
            received = signals.next(log) => received,
            () = async {
                match lame_duck.as_mut() {
                    Some(leaving) => std::pin::Pin::new(leaving).await,
                    None => std::future::pending().await,
                }
            } => return Ok(()),
        };
        match received.action(lame_duck.is_some()) {
            Action::Shutdown => return Ok(()),
            Action::ReopenLog => control.reopen(),
            Action::LameDuck if lame_duck.is_none() => {
                lame_duck = Some(Box::pin(server.lame_duck()));
            }
            Action::Reload => {
                stdx::error!(
                    log,
                    "Failed to reload server configuration: reload is not built yet; restart the \
                     server to apply a new configuration"
                );
            }
            Action::Dump => {
                control.flush(Duration::from_secs(2));
                eprintln!("{}\n\n{}", received.name(), ironats::process::threads());
                std::process::exit(2);
            }
            Action::LameDuck | Action::Ignore => {}
        }
    }
}
