//! A raw protocol client: bytes out, frames in, every read with a deadline.
//!
//! Not here: conveniences of a real client library; tests that want those use `async-nats`.
//! Laws: no background thread; nothing is read that the test did not ask for; the server's PINGs
//!       are answered only when [`Client::frame`] skips them (see `auto_pong`).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use serde_json::Value;

use crate::frame::{self, Frame, Msg};
use crate::wait::DEADLINE;

enum Socket {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(s) => s,
            Self::Tls(s) => &s.sock,
        }
    }
}

/// Why a read ended without a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFrame {
    /// Nothing (whole) came within the time given.
    Timeout,
    /// The server closed the connection.
    Closed,
    /// The server closed a TLS connection without saying so inside it, as if it had been cut.
    Cut,
}

/// One connection to a server.
pub struct Client {
    socket: Socket,
    buf: Vec<u8>,
    at: usize,
    /// The first INFO received, or null if none was read yet.
    pub info: Value,
    /// Whether `frame` and what is built on it answer and skip the server's PINGs (default yes).
    pub auto_pong: bool,
    /// Patience of every read (default [`DEADLINE`]).
    pub deadline: Duration,
}

impl Client {
    /// Connects without reading anything.
    pub fn open(addr: SocketAddr) -> Self {
        Self::try_open(addr).unwrap_or_else(|e| panic!("connecting to {addr}: {e}"))
    }

    /// As [`Client::open`], for servers that may be gone.
    pub fn try_open(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&addr, DEADLINE)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket: Socket::Plain(socket),
            buf: Vec::new(),
            at: 0,
            info: Value::Null,
            auto_pong: true,
            deadline: DEADLINE,
        })
    }

    /// Connects and reads the INFO, sending nothing.
    pub fn greeted(addr: SocketAddr) -> Self {
        let mut client = Self::open(addr);
        client.read_info();
        client
    }

    /// Connects, reads the INFO, sends CONNECT with the fields of `connect` over quiet defaults
    /// (`verbose` and `pedantic` off, protocol 1, headers), then PING, and waits for the PONG and
    /// the INFO that may follow it.
    pub fn connected(addr: SocketAddr, connect: &Value) -> Self {
        let mut client = Self::greeted(addr);
        client.connect(connect);
        client.flush();
        client
    }

    /// Sends CONNECT as [`Client::connected`] does, and waits for nothing.
    pub fn connect(&mut self, fields: &Value) {
        let mut all = serde_json::json!({
            "verbose": false, "pedantic": false, "tls_required": false, "name": "testkit",
            "lang": "testkit", "version": "1", "protocol": 1, "echo": true,
            "headers": true, "no_responders": true,
        });
        if let Value::Object(more) = fields {
            for (k, v) in more {
                all[k] = v.clone();
            }
        }
        self.send(format!("CONNECT {all}\r\n"));
    }

    /// Reads one INFO frame and keeps it in `info`.
    pub fn read_info(&mut self) {
        match self.frame() {
            Frame::Info(json) => self.info = json,
            other => panic!("expected INFO, got {other}"),
        }
    }

    /// Upgrades to TLS in place, checking the server against `config` under `name`.
    pub fn start_tls(mut self, config: Arc<rustls::ClientConfig>, name: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let conn = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
        let tcp = self.socket.tcp().try_clone()?;
        tcp.set_read_timeout(Some(self.deadline))?;
        let mut stream = rustls::StreamOwned::new(conn, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.socket = Socket::Tls(Box::new(stream));
        Ok(self)
    }

    /// Sends bytes as they are; panics if the connection is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("sending to the server");
    }

    /// Sends bytes as they are.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.socket {
            Socket::Plain(s) => s.write_all(bytes.as_ref()),
            Socket::Tls(s) => s.write_all(bytes.as_ref()).and_then(|()| s.flush()),
        }
    }

    /// `SUB subject sid`, `PUB subject payload`: the two lines nearly every test sends.
    pub fn sub(&mut self, subject: &str, sid: u64) {
        self.send(format!("SUB {subject} {sid}\r\n"));
    }

    /// Publishes without a reply subject.
    pub fn publish(&mut self, subject: &str, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        let mut bytes = format!("PUB {subject} {}\r\n", payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        self.send(bytes);
    }

    /// The next frame; answers and skips PINGs if `auto_pong`. Panics on deadline or close.
    pub fn frame(&mut self) -> Frame {
        let patience = self.deadline;
        self.try_frame(patience).unwrap_or_else(|why| {
            let rest = String::from_utf8_lossy(&self.buf[self.at..]).into_owned();
            panic!("no frame: {why:?} after {patience:?}; unread bytes: {rest:?}")
        })
    }

    /// The next frame within `patience`, or why there is none.
    pub fn try_frame(&mut self, patience: Duration) -> Result<Frame, NoFrame> {
        let end = Instant::now() + patience;
        loop {
            if let Some((found, used)) = frame::cut(&self.buf[self.at..]) {
                self.at += used;
                if self.auto_pong && found == Frame::Ping {
                    let _ = self.try_send("PONG\r\n");
                    continue;
                }
                return Ok(found);
            }
            self.fill(end)?;
        }
    }

    /// The next line without its end (CRLF or LF), or why there is none. With `auto_pong`, a line
    /// that is `PING` is answered and passed over.
    pub fn try_line(&mut self, patience: Duration) -> Result<Vec<u8>, NoFrame> {
        let end = Instant::now() + patience;
        loop {
            let unread = &self.buf[self.at..];
            if let Some(eol) = unread.iter().position(|&b| b == b'\n') {
                let line = unread[..eol].strip_suffix(b"\r").unwrap_or(&unread[..eol]).to_vec();
                self.at += eol + 1;
                if self.auto_pong && line == b"PING" {
                    let _ = self.try_send("PONG\r\n");
                    continue;
                }
                return Ok(line);
            }
            self.fill(end)?;
        }
    }

    /// Reads exactly `n` raw bytes (no framing).
    pub fn raw(&mut self, n: usize) -> Result<Vec<u8>, NoFrame> {
        let end = Instant::now() + self.deadline;
        while self.buf.len() - self.at < n {
            self.fill(end)?;
        }
        let bytes = self.buf[self.at..self.at + n].to_vec();
        self.at += n;
        Ok(bytes)
    }

    /// The next frame, which must be a message.
    pub fn msg(&mut self) -> Msg {
        self.frame().msg()
    }

    /// Asserts that the next frame prints as `text` (see [`Frame`]'s display form).
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        assert_eq!(self.frame().to_string(), text);
    }

    /// PING, then every frame up to the PONG; afterwards the server has handled all that was
    /// sent, and delivered all that this connection itself caused. A first PONG is followed by
    /// an INFO on servers since 2.12; use [`Client::flush`] right after CONNECT to take both.
    pub fn ping(&mut self) -> Vec<Frame> {
        self.send("PING\r\n");
        let mut seen = Vec::new();
        loop {
            match self.frame() {
                Frame::Pong => return seen,
                other => seen.push(other),
            }
        }
    }

    /// Two PINGs; returns what came besides the PONGs and any INFO.
    pub fn flush(&mut self) -> Vec<Frame> {
        let mut seen = self.ping();
        seen.extend(self.ping());
        seen.retain(|f| !matches!(f, Frame::Info(_)));
        seen
    }

    /// Asserts that nothing but PONG answers a PING.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        let seen: Vec<String> = self.ping().iter().map(ToString::to_string).collect();
        assert!(seen.is_empty(), "expected nothing, got {seen:?}");
    }

    /// Asserts that the server closes the connection, and returns the frames read before that.
    #[track_caller]
    pub fn expect_closed(&mut self) -> Vec<Frame> {
        let mut seen = Vec::new();
        let end = Instant::now() + self.deadline;
        loop {
            match self.try_frame(end.saturating_duration_since(Instant::now())) {
                Ok(f) => seen.push(f),
                Err(NoFrame::Closed) => return seen,
                Err(why) => panic!("not closed but {why:?}; got {seen:?}"),
            }
        }
    }

    /// The local address, as the server's monitoring shows this client.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.tcp().local_addr().unwrap()
    }

    /// The socket itself, for options and half-closes.
    pub fn tcp(&self) -> &TcpStream {
        self.socket.tcp()
    }

    /// Ends our half of the connection; reads still work.
    pub fn shutdown_write(&self) {
        let _ = self.socket.tcp().shutdown(Shutdown::Write);
    }

    fn fill(&mut self, end: Instant) -> Result<(), NoFrame> {
        if self.at > 0 {
            self.buf.drain(..self.at);
            self.at = 0;
        }
        let left = end.saturating_duration_since(Instant::now());
        // A zero timeout means "forever" to the socket; one millisecond is the least we ask.
        let left = left.max(Duration::from_millis(1));
        self.socket.tcp().set_read_timeout(Some(left)).unwrap();
        let mut chunk = [0; 16 * 1024];
        let got = match &mut self.socket {
            Socket::Plain(s) => s.read(&mut chunk),
            Socket::Tls(s) => s.read(&mut chunk),
        };
        match got {
            Ok(0) => Err(NoFrame::Closed),
            Ok(n) => {
                self.buf.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if Instant::now() >= end {
                    Err(NoFrame::Timeout)
                } else {
                    Ok(())
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(NoFrame::Cut),
            Err(_) => Err(NoFrame::Closed),
        }
    }
}
