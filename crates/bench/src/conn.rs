//! One raw connection: the handshake, then bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connected, authenticated, quiet (`verbose: false`) connection.
pub(crate) struct Conn {
    pub(crate) tcp: TcpStream,
}

const HELLO: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\
\"version\":\"1\",\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\nPING\r\n";

impl Conn {
    /// Connects and takes everything the server says at first: the INFO that may follow the first
    /// PONG comes before the answer to a second PING.
    pub(crate) fn new(addr: SocketAddr) -> io::Result<Self> {
        let mut conn = Self::hello(addr)?;
        conn.flush()?;
        Ok(conn)
    }

    /// Connects and waits for the first PONG.
    pub(crate) fn hello(addr: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect(addr)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut conn = Self { tcp };
        conn.tcp.write_all(HELLO)?;
        conn.until_pongs(1)?;
        Ok(conn)
    }

    /// PING, and read up to its PONG, dropping whatever comes before.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.tcp.write_all(b"PING\r\n")?;
        self.until_pongs(1)
    }

    fn until_pongs(&mut self, count: usize) -> io::Result<()> {
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let n = self.tcp.read(&mut chunk)?;
            if n == 0 {
                let said = String::from_utf8_lossy(&seen).into_owned();
                return Err(io::Error::other(format!("server closed the connection: {said}")));
            }
            seen.extend_from_slice(&chunk[..n]);
            let pongs = seen.windows(6).filter(|w| w == b"PONG\r\n").count();
            if pongs >= count {
                return Ok(());
            }
        }
    }
}

/// The bytes of one `PUB`.
pub(crate) fn publication(subject: &str, reply: &str, size: usize) -> Vec<u8> {
    let gap = if reply.is_empty() { "" } else { " " };
    let mut bytes = format!("PUB {subject}{gap}{reply} {size}\r\n").into_bytes();
    bytes.resize(bytes.len() + size, b'x');
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The length of the `MSG` a subscriber gets for it.
pub(crate) fn delivery_len(subject: &str, sid: &str, reply: &str, size: usize) -> usize {
    let gap = usize::from(!reply.is_empty());
    4 + subject.len()
        + 1
        + sid.len()
        + gap
        + reply.len()
        + 1
        + size.to_string().len()
        + 2
        + size
        + 2
}
