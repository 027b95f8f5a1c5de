//! A server process: started on ports of the system's choice, ready when its log says so, killed
//! when dropped.
//!
//! Laws: the handle owns the process and its temporary directory; readiness is the "Server is
//!       ready" line (or the ports file when the log goes elsewhere), never a pause.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use rustix::process::Signal;

use crate::binary::Which;
use crate::certs::Authority;
use crate::client::Client;
use crate::http;
use crate::wait::{DEADLINE, eventually};

/// How a server is to be started.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    binary: PathBuf,
    config: Option<String>,
    listen: bool,
    monitoring: bool,
    args: Vec<String>,
    envs: Vec<(String, String)>,
    ports_file: bool,
    files: Vec<(String, String)>,
}

/// A server that refused to start, or ended before it was ready.
#[derive(Debug)]
pub struct Refused {
    /// How the process ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

#[derive(Default)]
struct Output {
    text: Mutex<(String, bool)>,
    changed: Condvar,
}

/// A running server.
pub struct Server {
    child: Child,
    err: Arc<Output>,
    out: Arc<Output>,
    dir: tempfile::TempDir,
    client_addr: Option<SocketAddr>,
    http_addr: Option<SocketAddr>,
}

impl ServerBuilder {
    /// A server of `which` kind with `listen: 127.0.0.1:-1` and nothing else.
    pub fn new(which: Which) -> Self {
        Self::of(which.path())
    }

    /// As [`ServerBuilder::new`] for a given binary.
    pub fn of(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            config: Some(String::new()),
            listen: true,
            monitoring: false,
            args: Vec::new(),
            envs: Vec::new(),
            ports_file: false,
            files: Vec::new(),
        }
    }

    /// The configuration text. `{dir}` in it stands for the server's temporary directory.
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Uses the configuration text as it is: no `listen` line is put before it.
    pub fn as_is(mut self) -> Self {
        self.listen = false;
        self
    }

    /// Starts without any configuration file; the arguments must choose the port.
    pub fn no_config(mut self) -> Self {
        self.config = None;
        self
    }

    /// Adds `http: 127.0.0.1:-1`, for [`Server::get`].
    pub fn monitoring(mut self) -> Self {
        self.monitoring = true;
        self
    }

    /// Adds command line arguments. `{dir}` stands for the server's temporary directory.
    pub fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable for the process.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Learns ports and readiness from the ports file, for servers whose log goes to a file.
    pub fn ports_file(mut self) -> Self {
        self.ports_file = true;
        self
    }

    /// Puts a file into the server's temporary directory before it starts.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Puts `ca.pem`, `server.pem` and `server-key.pem` into the server's temporary directory.
    pub fn with_certs(self, authority: &Authority) -> Self {
        let id = authority.server();
        self.file("ca.pem", &authority.pem())
            .file("server.pem", &id.cert_pem)
            .file("server-key.pem", &id.key_pem)
    }

    /// Starts and waits for readiness; panics with the log if the server does not get there.
    pub fn start(self) -> Server {
        let shown = format!("{self:?}");
        self.try_start().unwrap_or_else(|refused| {
            panic!(
                "server ended with {}:\n{}{}\nstarted as {shown}",
                refused.status, refused.stdout, refused.stderr
            )
        })
    }

    /// Runs to the end (for `-t`, `-v`, bad configurations) and returns how it ended.
    pub fn run(self) -> Refused {
        let mut server = self.spawn();
        let status = server.wait_exit(DEADLINE);
        server.refused(status)
    }

    /// Starts and waits for readiness, or returns what the server said when it refused.
    pub fn try_start(self) -> Result<Server, Refused> {
        let by_file = self.ports_file;
        let mut server = self.spawn();
        let found = if by_file { server.ready_by_file() } else { server.ready_by_log() };
        match found {
            Ok(()) => Ok(server),
            Err(status) => Err(server.refused(status)),
        }
    }

    /// Starts the process and waits for nothing.
    pub fn spawn(self) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_str().unwrap().to_owned();
        for (name, text) in &self.files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut command = Command::new(&self.binary);
        if let Some(text) = &self.config {
            let mut all = String::new();
            if self.listen {
                all.push_str("listen: \"127.0.0.1:-1\"\n");
            }
            if self.monitoring {
                all.push_str("http: \"127.0.0.1:-1\"\n");
            }
            all.push_str(&text.replace("{dir}", &here));
            let path = dir.path().join("server.conf");
            fs::write(&path, all).unwrap();
            command.arg("-c").arg(path);
        }
        if self.ports_file {
            command.arg("--ports_file_dir").arg(dir.path());
        }
        command.args(self.args.iter().map(|a| a.replace("{dir}", &here)));
        command.envs(self.envs.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|e| panic!("starting {}: {e}", self.binary.display()));
        let err = Output::follow(child.stderr.take().unwrap());
        let out = Output::follow(child.stdout.take().unwrap());
        Server { child, err, out, dir, client_addr: None, http_addr: None }
    }
}

impl Server {
    /// A builder for `which` server.
    pub fn builder(which: Which) -> ServerBuilder {
        ServerBuilder::new(which)
    }

    /// Starts our server with this configuration text.
    pub fn ours(config: &str) -> Self {
        ServerBuilder::new(Which::Ours).config(config).start()
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.client_addr.expect("the server has a client listener")
    }

    /// Where monitoring listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr.expect("the server was built with monitoring")
    }

    /// A connected client with default options.
    pub fn client(&self) -> Client {
        Client::connected(self.addr(), &json!({}))
    }

    /// A connected client with these CONNECT fields.
    pub fn client_with(&self, connect: &Value) -> Client {
        Client::connected(self.addr(), connect)
    }

    /// GET on the monitoring port.
    pub fn get(&self, path: &str) -> http::Response {
        http::get(self.http_addr(), path)
    }

    /// The JSON of a monitoring document.
    pub fn json(&self, path: &str) -> Value {
        self.get(path).json()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The server's temporary directory (holds `server.conf`).
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Rewrites the configuration file (for reload); `{dir}` is replaced as at the start.
    pub fn write_config(&self, text: &str) {
        let here = self.dir.path().to_str().unwrap();
        fs::write(self.dir.path().join("server.conf"), text.replace("{dir}", here)).unwrap();
    }

    /// Everything written to standard error so far.
    pub fn log(&self) -> String {
        self.err.text.lock().unwrap().0.clone()
    }

    /// Waits until the log holds `needle`; panics with the log after [`DEADLINE`].
    #[track_caller]
    pub fn wait_log(&self, needle: &str) {
        let found = self.err.wait(DEADLINE, |text, _| text.contains(needle).then_some(()));
        assert!(found.is_some(), "no {needle:?} in the log:\n{}", self.log());
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("signalling the server");
    }

    /// From now on no file of the process may grow beyond so many bytes; `None` lifts that.
    #[cfg(target_os = "linux")]
    pub fn limit_files(&self, bytes: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let limit = Rlimit { current: bytes, maximum: None };
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::Fsize, limit).expect("limiting the server's files");
    }

    /// Waits for the process to end by itself; panics after `deadline`.
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually(deadline, "the server exits", || child.try_wait().unwrap())
    }

    /// As [`Server::wait_exit`], returning `None` instead of panicking.
    pub fn exit_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the process is still running.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How a process that has ended ended, with all it wrote.
    pub fn refused(&self, status: ExitStatus) -> Refused {
        let whole = |o: &Output| {
            o.wait(DEADLINE, |_, done| done.then_some(()));
            o.text.lock().unwrap().0.clone()
        };
        Refused { status, stdout: whole(&self.out), stderr: whole(&self.err) }
    }

    fn ready_by_log(&mut self) -> Result<(), ExitStatus> {
        let ready = self.err.wait(DEADLINE, |text, done| {
            (done || text.contains("Server is ready")).then(|| text.contains("Server is ready"))
        });
        match ready {
            Some(true) => {
                let log = self.log();
                self.client_addr = addr_after(&log, "Listening for client connections on ");
                self.http_addr = addr_after(&log, "Starting http monitor on ");
                Ok(())
            }
            Some(false) => Err(self.wait_exit(DEADLINE)),
            None => panic!("server not ready within {DEADLINE:?}:\n{}", self.log()),
        }
    }

    fn ready_by_file(&mut self) -> Result<(), ExitStatus> {
        let dir = self.dir.path().to_owned();
        let child = &mut self.child;
        let found = eventually(DEADLINE, "a ports file", || {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(Err(status));
            }
            let ports = fs::read_dir(&dir).unwrap().flatten().map(|e| e.path());
            let file = ports.into_iter().find(|p| p.extension().is_some_and(|x| x == "ports"))?;
            let json: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
            Some(Ok(json))
        })?;
        let first = |key: &str| {
            let url = found[key][0].as_str()?;
            url.rsplit_once("//")?.1.parse().ok()
        };
        self.client_addr = first("nats");
        self.http_addr = first("monitoring");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    fn follow(from: impl Read + Send + 'static) -> Arc<Self> {
        let shared = Arc::new(Self::default());
        let writer = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                writer.text.lock().unwrap().0.push_str(&String::from_utf8_lossy(&line));
                writer.changed.notify_all();
                line.clear();
            }
            writer.text.lock().unwrap().1 = true;
            writer.changed.notify_all();
        });
        shared
    }

    fn wait<T>(&self, patience: Duration, probe: impl Fn(&str, bool) -> Option<T>) -> Option<T> {
        let end = Instant::now() + patience;
        let mut guard = self.text.lock().unwrap();
        loop {
            if let Some(found) = probe(&guard.0, guard.1) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            guard = self.changed.wait_timeout(guard, left).unwrap().0;
        }
    }
}

fn addr_after(log: &str, label: &str) -> Option<SocketAddr> {
    let at = log.find(label)? + label.len();
    log[at..].split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_log() {
        let log = "[1] [INF] Listening for client connections on 127.0.0.1:4222\n[1] x";
        let addr = addr_after(log, "Listening for client connections on ").unwrap();
        assert_eq!(addr.to_string(), "127.0.0.1:4222");
        assert_eq!(addr_after(log, "Starting http monitor on "), None);
    }
}
