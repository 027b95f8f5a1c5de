//! Asking a web server for a document: `GET`, redirects followed, the answer bounded.
//!
//! Not here: timeouts (the caller's: dropping the future ends the connection), what is asked for.
//! Laws: a head of at most 64 KiB and a body of at most `most` bytes are kept, whatever the server
//!       says; a redirect leads to `http` or `https`, not from `https` to `http`, at most ten times.
//!
//! Why not a framework: one method, one connection per request, no pool; heads by `httparse`.
//! Reference: net/http Client.Get, as URLAccResolver uses it.

use data_encoding::BASE64;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes of a head.
const HEAD_MOST: usize = 64 << 10;
/// Header lines of a head.
const HEADERS_MOST: usize = 64;
/// Redirects that are followed.
const REDIRECTS_MOST: usize = 10;

/// What a web server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 if all is well.
    pub status: u16,
    /// Its words for that.
    pub reason: String,
    /// The document.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// Not an address of the web.
    #[error("unsupported protocol scheme or address {0:?}")]
    Address(String),
    /// The server cannot be reached, or went away.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The answer is no HTTP.
    #[error("malformed HTTP response")]
    Malformed,
    /// The answer is larger than it may be.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// Redirected in a circle, or nearly.
    #[error("stopped after {REDIRECTS_MOST} redirects")]
    Redirects,
}

/// An address of the web.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    https: bool,
    /// Without the port, and without brackets.
    host: String,
    port: u16,
    /// As the `Host` header has it.
    authority: String,
    /// Path and query.
    target: String,
    /// `user:password`.
    login: Option<String>,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(login.to_owned()), authority),
            None => (None, authority),
        };
        if authority.is_empty() || !plain(authority) || !plain(&target) {
            return None;
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, if https { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let authority = authority.to_owned();
        Some(Self { https, host, port, authority, target, login })
    }

    /// Where a redirect from here leads.
    fn follow(&self, location: &str) -> Option<Self> {
        let scheme = if self.https { "https" } else { "http" };
        let target = if location.contains("://") {
            Self::parse(location)
        } else if location.starts_with("//") {
            Self::parse(&format!("{scheme}:{location}"))
        } else if location.starts_with('/') {
            Self::parse(&format!("{scheme}://{}{location}", self.authority))
        } else {
            let path = self.target.split('?').next().unwrap_or_default();
            let (directory, _) = path.rsplit_once('/')?;
            Self::parse(&format!("{scheme}://{}{directory}/{location}", self.authority))
        };
        target.filter(|target| target.https || !self.https).map(|mut target| {
            if target.login.is_none() && target.authority == self.authority {
                target.login.clone_from(&self.login);
            }
            target
        })
    }

    fn request(&self) -> String {
        let login = self.login.as_ref().map_or_else(String::new, |login| {
            format!("Authorization: Basic {}\r\n", BASE64.encode(login.as_bytes()))
        });
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: ironats\r\n{login}Connection: close\r\n\r\n",
            self.target, self.authority
        )
    }
}

/// Asks for the document at `url`, over TLS as `tls` says.
///
/// # Errors
/// There is no answer, or none that could be one.
pub async fn get(url: &str, tls: &Arc<ClientConfig>, most: usize) -> Result<Answer, GetError> {
    let mut address = Address::parse(url).ok_or_else(|| GetError::Address(url.to_owned()))?;
    for _ in 0..=REDIRECTS_MOST {
        let (answer, location) = ask(&address, tls, most).await?;
        match location.filter(|_| matches!(answer.status, 301 | 302 | 303 | 307 | 308)) {
            None => return Ok(answer),
            Some(location) => {
                address = address.follow(&location).ok_or(GetError::Address(location))?;
            }
        }
    }
    Err(GetError::Redirects)
}

async fn ask(
    address: &Address,
    tls: &Arc<ClientConfig>,
    most: usize,
) -> Result<(Answer, Option<String>), GetError> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
    if !address.https {
        return exchange(socket, address, most).await;
    }
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| GetError::Address(address.host.clone()))?;
    let stream = TlsConnector::from(tls.clone()).connect(name, socket).await?;
    exchange(stream, address, most).await
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    address: &Address,
    most: usize,
) -> Result<(Answer, Option<String>), GetError> {
    stream.write_all(address.request().as_bytes()).await?;
    stream.flush().await?;
    let mut raw = Vec::new();
    let head = loop {
        if let Some(head) = Head::parse(&raw)? {
            break head;
        }
        if raw.len() > HEAD_MOST {
            return Err(GetError::Malformed);
        }
        if read_some(&mut stream, &mut raw).await? == 0 {
            return Err(GetError::Malformed);
        }
    };
    let mut body = raw.split_off(head.len.min(raw.len()));
    // Chunks have lines around them: no more than as much again.
    let bound = if head.chunked { most.saturating_mul(2) + HEAD_MOST } else { most };
    let enough = |body: &[u8]| match head.length {
        Some(length) => body.len() >= length,
        None => head.chunked && is_last_chunk(body),
    };
    if head.length.is_some_and(|length| length > most) {
        return Err(GetError::TooLarge(most));
    }
    while !enough(&body) {
        if body.len() > bound {
            return Err(GetError::TooLarge(most));
        }
        if read_some(&mut stream, &mut body).await? == 0 {
            break;
        }
    }
    if head.chunked {
        body = dechunk(&body).ok_or(GetError::Malformed)?;
    }
    if let Some(length) = head.length {
        if body.len() < length {
            return Err(GetError::Malformed);
        }
        body.truncate(length);
    }
    if body.len() > most {
        return Err(GetError::TooLarge(most));
    }
    Ok((Answer { status: head.status, reason: head.reason, body }, head.location))
}

/// Reads what is there; a server that ends without the farewell of TLS has ended as well.
async fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    into: &mut Vec<u8>,
) -> std::io::Result<usize> {
    match stream.read_buf(into).await {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
        other => other,
    }
}

struct Head {
    len: usize,
    status: u16,
    reason: String,
    length: Option<usize>,
    chunked: bool,
    location: Option<String>,
}

impl Head {
    /// `None`: there is more to come.
    fn parse(raw: &[u8]) -> Result<Option<Self>, GetError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MOST];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(raw) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(GetError::Malformed),
        };
        let find = |name: &str| {
            let header = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok().map(str::trim)
        };
        let chunked = find("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        let length = match find("content-length").filter(|_| !chunked) {
            None => None,
            Some(length) => Some(length.parse().map_err(|_| GetError::Malformed)?),
        };
        Ok(Some(Self {
            len,
            status: response.code.unwrap_or(0),
            reason: response.reason.unwrap_or_default().to_owned(),
            length,
            chunked,
            location: find("location").map(str::to_owned),
        }))
    }
}

fn is_last_chunk(body: &[u8]) -> bool {
    body.ends_with(b"\r\n0\r\n\r\n") || body == b"0\r\n\r\n"
}

/// The document of a body in chunks; `None` if it is none, or not whole.
fn dechunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut document = Vec::new();
    loop {
        let end = body.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(body.get(..end)?).ok()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        if size.is_empty() || size.len() > 8 {
            return None;
        }
        let size = usize::from_str_radix(size, 16).ok()?;
        body = body.get(end + 2..)?;
        if size == 0 {
            return Some(document);
        }
        document.extend_from_slice(body.get(..size)?);
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that gives these answers, one per connection, and the requests it had.
    async fn served(answers: Vec<Vec<u8>>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    socket.read_buf(&mut request).await.unwrap();
                }
                requests.push(String::from_utf8(request).unwrap());
                // The client may have had enough.
                let _ = socket.write_all(&answer).await;
            }
            requests
        });
        (address, serving)
    }

    fn plain() -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Arc::new(config)
    }

    // Contract: AUTH-018
    #[tokio::test]
    async fn documents_come_in_every_framing() {
        for (answer, want) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcde", Ok("abc")),
            ("HTTP/1.0 200 OK\r\n\r\nabc", Ok("abc")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n",
                Ok("abc"),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", Err("malformed HTTP response")),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc",
                Err("the response is larger than 10 bytes"),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nabcdefghijklmn", Err("the response is larger than 10 bytes")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                Err("malformed HTTP response"),
            ),
            ("nonsense\r\n\r\n", Err("malformed HTTP response")),
            ("", Err("malformed HTTP response")),
        ] {
            let (url, serving) = served(vec![answer.as_bytes().to_vec()]).await;
            let got = get(&format!("{url}/x"), &plain(), 10).await;
            let got = got.map(|a| String::from_utf8(a.body).unwrap()).map_err(|e| e.to_string());
            assert_eq!(got.as_deref().map_err(String::as_str), want, "{answer}");
            assert!(serving.await.unwrap()[0].starts_with("GET /x HTTP/1.1\r\nHost: 127.0.0.1:"));
        }
    }

    // Contract: AUTH-018
    #[tokio::test]
    async fn redirects_are_followed_but_not_for_ever() {
        let to = |place: &str| {
            format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {place}\r\n\r\n")
                .into_bytes()
        };
        let last = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
        let (url, serving) = served(vec![to("/b/c?d"), to("e"), last]).await;
        let url = url.replace("http://", "http://u:p@");
        let answer = get(&url, &plain(), 10).await.unwrap();
        assert_eq!((answer.status, answer.reason.as_str()), (404, "Not Found"));
        let requests = serving.await.unwrap();
        assert!(requests[2].starts_with("GET /b/e HTTP/1.1"), "{requests:?}");
        assert!(requests.iter().all(|r| r.contains("Authorization: Basic dTpw\r\n")));
        let (url, _serving) = served(vec![to("/"); 20]).await;
        assert!(matches!(get(&url, &plain(), 10).await, Err(GetError::Redirects)));
    }

    #[test]
    fn addresses_are_read() {
        let address = Address::parse("https://h.example?q=1#x").unwrap();
        assert_eq!((address.port, address.target.as_str()), (443, "/?q=1"));
        assert!(address.follow("http://h.example/").is_none(), "not out of TLS");
        let address = Address::parse("http://[::1]:81/a").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 81));
        for bad in ["", "ftp://x", "http://", "http://a b/", "http://x:y/", "x", "http://h/\r\nx"] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }
}
