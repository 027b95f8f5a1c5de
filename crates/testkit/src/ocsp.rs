//! A small OCSP responder, and a TLS client that keeps what was stapled for it.
//!
//! Laws: it answers on loopback, on a port of the system's choice, until it is dropped; what it says
//!       is what the test told it last.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::SigningKey;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::certs::Authority;

/// What a responder says of every certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// All is well.
    Good,
    /// It was taken back.
    Revoked,
    /// Never heard of it.
    Unknown,
    /// `tryLater`.
    TryLater,
    /// An answer that somebody else signed.
    Forged,
    /// Bytes that are no answer.
    Nonsense,
}

/// How a responder answers now.
#[derive(Clone, Copy, Debug)]
struct Mood {
    says: Says,
    /// Seconds until there is news; negative: there should have been news already.
    valid: i64,
}

/// A responder for the certificates of one authority.
pub struct Responder {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicUsize>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Answers for `authority`.
    pub fn start(authority: &Arc<Authority>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Arc::new(Mutex::new(Mood { says: Says::Good, valid: 3600 }));
        let (asked, ending) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let thread = {
            let (authority, mood) = (authority.clone(), mood.clone());
            let (asked, ending) = (asked.clone(), ending.clone());
            let stranger = Authority::new("stranger");
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if ending.load(Ordering::SeqCst) {
                        return;
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    let mood = *mood.lock().unwrap();
                    // A server that went away meanwhile is none of the responder's business.
                    let _ = stream.and_then(|stream| answer(stream, &authority, &stranger, mood));
                }
            })
        };
        Self { address, mood, asked, ending, thread: Some(thread) }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it says this, good for so many seconds.
    pub fn says(&self, says: Says, valid: i64) {
        *self.mood.lock().unwrap() = Mood { says, valid };
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(
    mut stream: TcpStream,
    authority: &Authority,
    stranger: &Authority,
    mood: Mood,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut part = [0; 4096];
    let (head, body) = loop {
        let n = stream.read(&mut part)?;
        request.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_owned();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                })
                .unwrap_or(0);
            let begin = request.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            while request.len() < begin + length {
                let n = stream.read(&mut part)?;
                request.extend_from_slice(&part[..n]);
            }
            break (head, request[begin..].to_vec());
        }
        if n == 0 {
            return Ok(());
        }
    };
    let question = match head.strip_prefix("GET /") {
        Some(rest) => unescape(rest.split(' ').next().unwrap()),
        None => body,
    };
    let response = respond(&question, authority, stranger, mood);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        response.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&response)
}

/// A question from a path: percent signs, then base64.
fn unescape(path: &str) -> Vec<u8> {
    let text = path.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().filter(|b| *b != b'=') {
        let value = digits.iter().position(|d| *d == byte).unwrap_or_default() as u32;
        bits = bits << 6 | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

/// What stands in an element, and what stands behind it.
fn open(data: &[u8]) -> (&[u8], &[u8]) {
    let (length, head) = match data[1] {
        0x81 => (usize::from(data[2]), 3),
        0x82 => (usize::from(data[2]) << 8 | usize::from(data[3]), 4),
        short => (usize::from(short), 2),
    };
    (&data[head..head + length], &data[head + length..])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        0..=0x7f => out.push(content.len() as u8),
        0x80..=0xff => out.extend([0x81, content.len() as u8]),
        long => out.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    out.extend(content);
    out
}

fn respond(question: &[u8], authority: &Authority, stranger: &Authority, mood: Mood) -> Vec<u8> {
    match mood.says {
        Says::Nonsense => return b"nonsense".to_vec(),
        Says::TryLater => return element(0x30, &[&[0x0a, 1, 3]]),
        _ => {}
    }
    // OCSPRequest, TBSRequest, requestList, Request: the certificate is named inside.
    let mut id = question;
    for _ in 0..4 {
        id = open(id).0;
    }
    let id = &id[..id.len() - open(id).1.len()];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let this = element(0x18, &[time(now - 60).as_bytes()]);
    let next = element(0xa0, &[&element(0x18, &[time(now + mood.valid).as_bytes()])]);
    let status = match mood.says {
        Says::Revoked => element(0xa1, &[&element(0x18, &[time(now - 3600).as_bytes()])]),
        Says::Unknown => vec![0x82, 0],
        _ => vec![0x80, 0],
    };
    let single = element(0x30, &[id, &status, &this, &next]);
    let responder = element(0xa2, &[&element(0x04, &[&[7; 20]])]);
    let data = element(0x30, &[&responder, &this, &element(0x30, &[&single])]);
    let signer = if mood.says == Says::Forged { stranger } else { authority };
    let signature = signer.key().sign(&data).unwrap();
    // ecdsa-with-SHA256
    let algorithm = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let basic = element(0x30, &[&data, &algorithm, &element(0x03, &[&[0], &signature])]);
    let kind = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
    let bytes = element(0x30, &[&kind, &element(0x04, &[&basic])]);
    element(0x30, &[&[0x0a, 1, 0], &element(0xa0, &[&bytes])])
}

/// `YYYYMMDDHHMMSSZ`.
fn time(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// What a server showed in a handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// What it stapled; empty for nothing.
    pub staple: Vec<u8>,
}

impl Shown {
    /// Whether the staple says that the certificate is good; `None` without a staple.
    pub fn is_good(&self) -> Option<bool> {
        // `good` is written like this between an id and a time.
        let good = self.staple.windows(4).any(|w| w == [0x80, 0, 0x18, 0x0f]);
        (!self.staple.is_empty()).then_some(good)
    }
}

/// Keeps what servers show.
#[derive(Debug)]
struct Keeper {
    inner: Arc<WebPkiServerVerifier>,
    shown: Arc<Mutex<Shown>>,
}

impl ServerCertVerifier for Keeper {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        staple: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.shown.lock().unwrap() =
            Shown { certificate: certificate.to_vec(), staple: staple.to_vec() };
        self.inner.verify_server_cert(certificate, chain, name, staple, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// A client configuration that trusts `authority`, and what the last server showed to it.
pub fn keeping_config(authority: &Authority) -> (Arc<rustls::ClientConfig>, Arc<Mutex<Shown>>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    let shown = Arc::<Mutex<Shown>>::default();
    let keeper = Keeper { inner: inner.build().unwrap(), shown: shown.clone() };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(keeper))
        .with_no_client_auth();
    (Arc::new(config), shown)
}
