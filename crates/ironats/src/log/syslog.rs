//! Syslog, local and remote.
//!
//! Wire: local `<PRI>Jan _2 15:04:05 tag[pid]: text\n`, remote
//!       `<PRI>2006-01-02T15:04:05+01:00 host tag[pid]: text\n`.
//! Laws: a daemon that is gone costs at most one attempt to reconnect per second; lines meanwhile
//!       are lost, and how many is told when it is back.
//! Reference: logger/syslog.go; log/syslog.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use stdx::log::Level;
use stdx::time::Timestamp;

use super::line::{Line, local, offset_seconds};
use super::writer::complain;
use super::{LogError, wall_clock};

const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);
/// Where daemons listen, in the order they are tried.
const SOCKETS: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];
/// The facility of local lines: system daemons. Remote lines have none (kernel), as in the
/// reference.
const DAEMON: u8 = 3 << 3;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    Local,
    Udp(String),
    Tcp(String),
    Unix(PathBuf),
}

#[derive(Debug)]
enum Connection {
    Datagram(UnixDatagram),
    Stream(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// An open connection to a daemon.
#[derive(Debug)]
pub(super) struct Syslog {
    address: Address,
    connection: Option<Connection>,
    /// When to try again, and how many lines were lost since.
    retry_at: Option<Instant>,
    lost: u64,
    tag: String,
    host: String,
    zone: TimeZone,
}

impl Syslog {
    pub(super) fn local(tag: &str) -> Result<Self, LogError> {
        Self::open(Address::Local, tag)
    }

    pub(super) fn remote(address: &str, tag: &str) -> Result<Self, LogError> {
        Self::open(Address::parse(address)?, tag)
    }

    fn open(address: Address, tag: &str) -> Result<Self, LogError> {
        let connection = address.connect().map_err(LogError::Syslog)?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host = if host.is_empty() { "localhost".to_owned() } else { host };
        Ok(Self {
            address,
            connection: Some(connection),
            retry_at: None,
            lost: 0,
            tag: tag.to_owned(),
            host,
            zone: TimeZone::system(),
        })
    }

    pub(super) fn write(&mut self, line: &Line) {
        let bytes = self.encode(line);
        if self.send(&bytes) {
            self.tell_losses();
        } else {
            self.lost += 1;
        }
    }

    /// Sends, reconnecting once if that fails.
    fn send(&mut self, bytes: &[u8]) -> bool {
        if let Some(connection) = &mut self.connection
            && connection.send(bytes).is_ok()
        {
            return true;
        }
        self.connection = None;
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let again = self.address.connect().and_then(|mut connection| {
            connection.send(bytes)?;
            Ok(connection)
        });
        match again {
            Ok(connection) => {
                self.connection = Some(connection);
                self.retry_at = None;
                true
            }
            Err(error) => {
                if self.retry_at.is_none() {
                    complain("syslog is gone", &error);
                }
                self.retry_at = Some(Instant::now() + RETRY);
                false
            }
        }
    }

    fn tell_losses(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let text = format!("Syslog was gone: {lost} lines lost");
            let bytes = self.encode(&Line { level: Level::Warn, at: wall_clock(), text });
            if !self.send(&bytes) {
                self.lost = lost;
            }
        }
    }

    fn encode(&self, line: &Line) -> Vec<u8> {
        let pid = std::process::id();
        let (tag, text) = (&self.tag, line.text.trim_end_matches('\n'));
        let severity = severity(line.level);
        let text = match self.address {
            Address::Local => {
                let at = stamp(line.at, &self.zone);
                format!("<{}>{at} {tag}[{pid}]: {text}\n", DAEMON | severity)
            }
            Address::Unix(_) => {
                let at = stamp(line.at, &self.zone);
                format!("<{severity}>{at} {tag}[{pid}]: {text}\n")
            }
            Address::Udp(_) | Address::Tcp(_) => {
                let at = rfc3339(line.at, &self.zone);
                format!("<{severity}>{at} {} {tag}[{pid}]: {text}\n", self.host)
            }
        };
        text.into_bytes()
    }
}

/// Compat(LOG-005): trace lines are notices.
fn severity(level: Level) -> u8 {
    match level {
        Level::Fatal => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Notice | Level::Trace => 5,
        Level::Debug => 7,
    }
}

impl Address {
    fn parse(text: &str) -> Result<Self, LogError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let host = || rest.split('/').next().unwrap_or_default().to_owned();
        match scheme {
            "udp" => Ok(Self::Udp(host())),
            "tcp" => Ok(Self::Tcp(host())),
            "unix" => {
                let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
                Ok(Self::Unix(PathBuf::from(path)))
            }
            other => Err(LogError::Network(other.to_owned())),
        }
    }

    fn connect(&self) -> io::Result<Connection> {
        match self {
            Self::Local => connect_local(),
            Self::Unix(path) => UnixStream::connect(path).and_then(patient_unix),
            Self::Udp(host) => {
                let to = resolve(host)?;
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Ok(Connection::Udp(socket))
            }
            Self::Tcp(host) => {
                let stream = TcpStream::connect_timeout(&resolve(host)?, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Connection::Tcp(stream))
            }
        }
    }
}

fn resolve(host: &str) -> io::Result<std::net::SocketAddr> {
    host.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))
}

fn patient_unix(stream: UnixStream) -> io::Result<Connection> {
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Connection::Stream(stream))
}

fn connect_local() -> io::Result<Connection> {
    let datagram = SOCKETS.iter().find_map(|path| {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok()?;
        socket.set_write_timeout(Some(PATIENCE)).ok()?;
        Some(Connection::Datagram(socket))
    });
    datagram
        .or_else(|| {
            SOCKETS.iter().find_map(|path| UnixStream::connect(path).and_then(patient_unix).ok())
        })
        .ok_or_else(|| io::Error::other("Unix syslog delivery error"))
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagram(socket) => socket.send(bytes).map(drop),
            Self::Udp(socket) => socket.send(bytes).map(drop),
            Self::Stream(stream) => stream.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
        }
    }
}

/// `Jan _2 15:04:05`.
fn stamp(at: Timestamp, zone: &TimeZone) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = local(at, zone);
    let index = usize::try_from(at.month).unwrap_or(0).saturating_sub(1);
    let month = MONTHS.get(index).copied().unwrap_or("Jan");
    format!("{month} {:2} {:02}:{:02}:{:02}", at.day, at.hour, at.minute, at.second)
}

/// `2006-01-02T15:04:05+01:00`, with `Z` for UTC.
fn rfc3339(instant: Timestamp, zone: &TimeZone) -> String {
    let at = local(instant, zone);
    let offset = offset_seconds(instant, zone);
    let suffix = if offset == 0 {
        "Z".to_owned()
    } else {
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.unsigned_abs() / 60;
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{suffix}",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    )
}
