//! A resolver that asks a web server.
//!
//! Laws: one question at a time for one account, and a bounded number in all; whoever waits for the
//!       same account shares the answer; an answer is bounded and has to come in time.
//! Reference: accounts.go URLAccResolver.   Contract: AUTH-018.

use super::flight::Flights;
use auth::jwt::token::MAX_SIZE;
use net::http::{ClientTls, get};
use node::resolver::{FetchError, Fetching, Resolver};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_millis(1900);
/// Questions at a time.
const AT_ONCE: usize = 64;
/// A web server that has account tokens.
pub(super) struct UrlResolver {
    base: String,
    tls: ClientTls,
    turns: Arc<Semaphore>,
    flights: Flights,
}

impl UrlResolver {
    /// The server at `url`, which the keys of accounts are appended to.
    pub(super) fn new(url: &str, tls: ClientTls) -> Self {
        let slash = if url.ends_with('/') { "" } else { "/" };
        Self {
            base: format!("{url}{slash}"),
            tls,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            flights: Flights::default(),
        }
    }

    /// Whether anybody is there.
    pub(super) fn probe(&self) -> Fetching {
        let (url, tls) = (self.base.clone(), self.tls.clone());
        Box::pin(async move { ask(&url, &tls).await })
    }
}

/// Without a password.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:xxxxx@{host}{path}")
        }
        None => url.to_owned(),
    }
}

async fn ask(url: &str, tls: &ClientTls) -> Result<String, FetchError> {
    let failed = |cause: String| {
        let url = stdx::go_text::quote(shown(url).as_bytes());
        FetchError(format!("could not fetch <{url}>: {cause}"))
    };
    let answer = tokio::time::timeout(TIMEOUT, get(url, tls, MAX_SIZE)).await;
    let answer = answer
        .map_err(|_| failed("timeout awaiting the response".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    if answer.status != 200 {
        return Err(failed(format!("{} {}", answer.status, answer.reason)));
    }
    String::from_utf8(answer.body).map_err(|_| failed("the response is no text".to_owned()))
}

impl Resolver for UrlResolver {
    fn fetch(&self, key: &str) -> Fetching {
        let (url, tls) = (format!("{}{key}", self.base), self.tls.clone());
        let turns = self.turns.clone();
        self.flights.share(key, move || {
            Box::pin(async move {
                match turns.acquire().await {
                    Ok(_turn) => ask(&url, &tls).await,
                    Err(_) => Err(FetchError("the server ends".to_owned())),
                }
            })
        })
    }

    fn keep(&self, _: &str, _: &str) -> Result<(), FetchError> {
        Err(FetchError("store operation not supported for URL Resolver".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("http://u:p@h/x@y"), "http://u:xxxxx@h/x@y");
        assert_eq!(shown("http://h:1/x"), "http://h:1/x");
    }
}
