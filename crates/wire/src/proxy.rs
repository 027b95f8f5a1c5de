//! The PROXY protocol's header, versions 1 and 2: who a connection comes from, said by the proxy
//! in front of the server.
//!
//! Laws: nothing is stored; a length said by the peer is never allocated.
//! Source: HAProxy's specification of the PROXY protocol.   Contract: CORE-055, MISC-009.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;

/// Bytes that tell whether a connection begins with a header at all.
pub const PROBE: usize = 6;
const V1: &[u8; PROBE] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, with its end.
const V1_LINE: usize = 107;
/// Signature, version and command, family and protocol, length of the rest.
const V2_FIXED: usize = 16;

/// What the bytes at the start of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No header: the client's own bytes.
    Absent,
    /// The beginning of a header: give at least this many bytes.
    More(usize),
    /// A header of `len` bytes, of which those after the ones given may be skipped unseen.
    Header {
        /// Its whole length.
        len: usize,
        /// The client's address; `None` for the proxy's own connections (health checks).
        source: Option<SocketAddr>,
    },
}

/// A header that cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProxyError {
    /// It breaks the format.
    #[error("invalid PROXY protocol header: {0}")]
    Invalid(String),
    /// It asks for what this server does not do.
    #[error("unsupported PROXY protocol feature: {0}")]
    Unsupported(String),
    /// A command that is not known.
    #[error("unknown PROXY protocol command: 0x{0:02x}")]
    Command(u8),
    /// A port that is none.
    #[error("invalid {0} port: {1:?}")]
    Port(&'static str, String),
    /// Fewer bytes of addresses than the family has.
    #[error("{0} address data too short: {1} bytes")]
    Short(&'static str, usize),
}

fn invalid(why: impl Into<String>) -> ProxyError {
    ProxyError::Invalid(why.into())
}

/// Looks at the first bytes of a connection.
pub fn decode(bytes: &[u8]) -> Result<Step, ProxyError> {
    let probe = bytes.get(..PROBE.min(bytes.len())).unwrap_or_default();
    let (v1, v2) = (V1.starts_with(probe), V2.starts_with(probe));
    if !v1 && !v2 {
        return Ok(Step::Absent);
    }
    if bytes.len() < PROBE {
        return Ok(Step::More(PROBE));
    }
    if v1 { version_1(bytes) } else { version_2(bytes) }
}

fn version_1(bytes: &[u8]) -> Result<Step, ProxyError> {
    let line = bytes.get(..bytes.len().min(V1_LINE)).unwrap_or_default();
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        if bytes.len() >= V1_LINE {
            return Err(invalid("v1 line too long"));
        }
        return Ok(Step::More(bytes.len() + 1));
    };
    let len = end + 2;
    let text = String::from_utf8_lossy(line.get(PROBE..end).unwrap_or_default());
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.first() == Some(&"UNKNOWN") {
        return Ok(Step::Header { len, source: None });
    }
    let [family, source, destination, source_port, destination_port] = fields.as_slice() else {
        return Err(invalid("invalid v1 format"));
    };
    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| invalid("invalid address"));
    let (from, to) = (address(source)?, address(destination)?);
    let port = |what, text: &str| {
        // Digits only: a sign is not a port's.
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let port = text.parse::<u16>().ok().filter(|_| digits);
        port.ok_or_else(|| ProxyError::Port(what, text.to_owned()))
    };
    let port_from = port("source", source_port)?;
    port("dest", destination_port)?;
    match *family {
        "TCP4" if from.is_ipv6() || to.is_ipv6() => Err(invalid("TCP4 with IPv6 address")),
        "TCP6" if from.is_ipv4() || to.is_ipv4() => Err(invalid("TCP6 with IPv4 address")),
        "TCP4" | "TCP6" => {
            // An IPv4 client of a proxy's IPv6 socket is shown as what it is.
            let source = Some(SocketAddr::new(from.to_canonical(), port_from));
            Ok(Step::Header { len, source })
        }
        other => Err(invalid(format!("invalid protocol {other}"))),
    }
}

fn version_2(bytes: &[u8]) -> Result<Step, ProxyError> {
    let signature = bytes.get(..V2.len().min(bytes.len())).unwrap_or_default();
    if !V2.starts_with(signature) {
        return Err(invalid("invalid signature"));
    }
    let Some(fixed) = bytes.first_chunk::<V2_FIXED>() else { return Ok(Step::More(V2_FIXED)) };
    let [.., command, family, high, low] = *fixed;
    if command & 0xf0 != 0x20 {
        return Err(invalid(format!("invalid version 0x{:02x}", command & 0xf0)));
    }
    let rest = usize::from(u16::from_be_bytes([high, low]));
    let len = V2_FIXED + rest;
    match command & 0x0f {
        0 => return Ok(Step::Header { len, source: None }),
        1 => {}
        other => return Err(ProxyError::Command(other)),
    }
    if family & 0x0f != 1 {
        return Err(ProxyError::Unsupported("only STREAM protocol supported".into()));
    }
    let (name, size) = match family & 0xf0 {
        0x00 => return Ok(Step::Header { len, source: None }),
        0x10 => ("IPv4", 12),
        0x20 => ("IPv6", 36),
        other => {
            let why = format!("unsupported address family 0x{other:02x}");
            return Err(ProxyError::Unsupported(why));
        }
    };
    if rest < size {
        return Err(ProxyError::Short(name, rest));
    }
    let Some(addresses) = bytes.get(V2_FIXED..V2_FIXED + size) else {
        return Ok(Step::More(V2_FIXED + size));
    };
    let source = source_of(addresses).ok_or_else(|| invalid("invalid address"))?;
    Ok(Step::Header { len, source: Some(source) })
}

/// The source in an address block: both addresses, then both ports.
fn source_of(block: &[u8]) -> Option<SocketAddr> {
    let (ip, port): (IpAddr, _) = if block.len() == 12 {
        (Ipv4Addr::from(*block.first_chunk::<4>()?).into(), block.get(8..)?)
    } else {
        (Ipv6Addr::from(*block.first_chunk::<16>()?).into(), block.get(32..)?)
    };
    let port = u16::from_be_bytes(*port.first_chunk::<2>()?);
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(bytes: &[u8]) -> (usize, Option<String>) {
        match decode(bytes) {
            Ok(Step::Header { len, source }) => (len, source.map(|s| s.to_string())),
            other => panic!("{other:?}"),
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [&V2[..], &[command, family], &len, rest].concat()
    }

    // Contract: CORE-055, MISC-009
    #[test]
    fn both_versions_name_the_source() {
        let line = b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 2222\r\n";
        assert_eq!(header(line), (line.len(), Some("1.2.3.4:1111".into())));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\nCONNECT {}\r\n";
        assert_eq!(header(line), (36, Some("[2001:db8::1]:1".into())));
        assert_eq!(header(b"PROXY UNKNOWN whatever\r\n"), (24, None));
        let four = v2(0x21, 0x11, &[9, 8, 7, 6, 1, 1, 1, 1, 0x12, 0x34, 0, 1]);
        assert_eq!(header(&four), (28, Some("9.8.7.6:4660".into())));
        let mapped = [&[0; 10][..], &[0xff, 0xff, 1, 2, 3, 4], &[0; 16], &[0, 7, 0, 8]].concat();
        assert_eq!(header(&v2(0x21, 0x21, &mapped)).1, Some("1.2.3.4:7".into()));
        assert_eq!(header(&v2(0x20, 0, &[1, 2, 3])), (19, None));
        assert_eq!(header(&v2(0x21, 0x01, &[])), (16, None));
    }

    // Contract: CORE-055
    #[test]
    fn what_is_no_header_is_the_clients() {
        assert_eq!(decode(b"CONNECT {}"), Ok(Step::Absent));
        assert_eq!(decode(b"PING\r\n"), Ok(Step::Absent));
        assert_eq!(decode(b"P"), Ok(Step::More(PROBE)));
        assert_eq!(decode(b""), Ok(Step::More(PROBE)));
        assert_eq!(decode(b"\x16\x03\x01"), Ok(Step::Absent));
    }

    // Contract: CORE-055
    #[test]
    fn a_header_that_breaks_the_format_says_how() {
        let text = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(
            text(b"PROXY TCP4 nonsense\r\n"),
            "invalid PROXY protocol header: invalid v1 format"
        );
        assert!(text(b"PROXY TCP4 1.2.3.4 5.6.7.8 70000 1\r\n").starts_with("invalid source port"));
        assert!(text(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 +1\r\n").starts_with("invalid dest port"));
        assert!(text(b"PROXY TCP4 ::1 ::2 1 1\r\n").ends_with("TCP4 with IPv6 address"));
        assert!(text(b"PROXY TCP6 1.2.3.4 5.6.7.8 1 1\r\n").ends_with("TCP6 with IPv4 address"));
        assert!(text(b"PROXY UDP4 1.2.3.4 5.6.7.8 1 1\r\n").ends_with("invalid protocol UDP4"));
        assert!(text(&[b"PROXY ".to_vec(), vec![b'x'; 200]].concat()).ends_with("too long"));
        assert!(text(&v2(0x31, 0x11, &[0; 12])).ends_with("invalid version 0x30"));
        assert_eq!(text(&v2(0x25, 0x11, &[0; 12])), "unknown PROXY protocol command: 0x05");
        assert!(text(&v2(0x21, 0x12, &[0; 12])).ends_with("only STREAM protocol supported"));
        assert!(text(&v2(0x21, 0x31, &[0; 216])).ends_with("unsupported address family 0x30"));
        assert_eq!(text(&v2(0x21, 0x11, &[0; 11])), "IPv4 address data too short: 11 bytes");
        assert!(text(b"\r\n\r\n\0\r\nQUIX\n\x21\x11").ends_with("invalid signature"));
    }

    proptest! {
        // The verdict on a prefix never contradicts the verdict on the whole.
        #[test]
        fn any_split_gives_the_same(rest in proptest::collection::vec(any::<u8>(), 0..60),
                                    kind in 0..4_usize, cut in 0..80_usize) {
            let start: &[u8] = [b"PROXY ".as_slice(), b"PROXY TCP4 1.2.3.4 ", V2, b""][kind];
            let whole = [start, &rest].concat();
            let part = whole.get(..cut.min(whole.len())).unwrap_or_default();
            match decode(part) {
                Ok(Step::More(n)) => prop_assert!(n > part.len()),
                verdict => prop_assert_eq!(verdict, decode(&whole)),
            }
        }
    }
}
