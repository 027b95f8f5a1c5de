//! Asking a responder.
//!
//! Laws: an answer ends at `MAX_ANSWER` bytes and at the time allowed.
//! Reference: RFC 6960 appendix A.1; ocsp_responder.go FetchOCSPResponse; ocsp.go getRemoteStatus.

use super::answer::MAX_ANSWER;
use crate::http::{self, GetError};
use crate::tls::{ClientTlsConfig, TlsConfigError, client};
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is nobody to ask.
    #[error("no available ocsp servers")]
    Nobody,
    /// It could not be reached, or what came is no answer.
    #[error(transparent)]
    Http(#[from] GetError),
    /// It cannot be asked over TLS.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// It did not answer in time.
    #[error("timeout after {}", stdx::go_text::duration(*.0))]
    Timeout(Duration),
    /// It refused.
    #[error("bad OCSP responder http status: [{0}]")]
    Status(u16),
}

/// Asks the responder at `url`, for `patience` at most.
///
/// # Errors
/// No answer came.
pub async fn fetch(url: &str, question: &[u8], patience: Duration) -> Result<Vec<u8>, FetchError> {
    // Answers are signed; only a responder that is reached over TLS has to show who it is.
    let plain = url.starts_with("http://");
    let tls = client(&ClientTlsConfig { insecure: plain, ..ClientTlsConfig::default() })?;
    let url = format!("{}/{}", url.trim_end_matches('/'), escaped(question));
    match tokio::time::timeout(patience, http::get(&url, &tls, MAX_ANSWER)).await {
        Err(_) => Err(FetchError::Timeout(patience)),
        Ok(answer) => match answer? {
            answer if answer.status == 200 => Ok(answer.body),
            answer => Err(FetchError::Status(answer.status)),
        },
    }
}

/// The question as a part of a path.
fn escaped(question: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(question);
    text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
