//! A resolver that asks a web server.
//!
//! Laws: one question at a time for one account, and a bounded number in all; whoever waits for the
//!       same account shares the answer; an answer is bounded and has to come in time.
//! Reference: accounts.go URLAccResolver.   Contract: AUTH-018.

use auth::jwt::token::MAX_SIZE;
use net::http::{ClientTls, get};
use node::resolver::{FetchError, Fetching, Resolver};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_millis(1900);
/// Questions at a time.
const AT_ONCE: usize = 64;
/// Questions that may wait for their turn; who would wait longer is refused.
const WAITING: usize = 4096;

type Answer = Result<String, FetchError>;
type Flights = Mutex<HashMap<String, watch::Receiver<Option<Answer>>>>;

/// A web server that has account tokens.
pub(super) struct UrlResolver {
    base: String,
    tls: ClientTls,
    turns: Arc<Semaphore>,
    flights: Arc<Flights>,
}

impl UrlResolver {
    /// The server at `url`, which the keys of accounts are appended to.
    pub(super) fn new(url: &str, tls: ClientTls) -> Self {
        let slash = if url.ends_with('/') { "" } else { "/" };
        Self {
            base: format!("{url}{slash}"),
            tls,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            flights: Arc::default(),
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

async fn ask(url: &str, tls: &ClientTls) -> Answer {
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

/// Ends a flight, however it ends.
struct Landing {
    flights: Arc<Flights>,
    key: String,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

impl Resolver for UrlResolver {
    fn fetch(&self, key: &str) -> Fetching {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(key) {
            let mut flight = flight.clone();
            return Box::pin(async move {
                let landed = flight.wait_for(Option::is_some).await;
                let landed = landed.ok().and_then(|answer| answer.clone());
                landed.unwrap_or_else(|| Err(FetchError("the question was given up".to_owned())))
            });
        }
        if flights.len() >= WAITING {
            let refused = FetchError("too many accounts are being asked for".to_owned());
            return Box::pin(std::future::ready(Err(refused)));
        }
        let (told, flight) = watch::channel(None);
        flights.insert(key.to_owned(), flight);
        drop(flights);
        let landing = Landing { flights: self.flights.clone(), key: key.to_owned() };
        let (url, tls) = (format!("{}{key}", self.base), self.tls.clone());
        let turns = self.turns.clone();
        Box::pin(async move {
            let turn = turns.acquire().await;
            let answer = match &turn {
                Ok(_) => ask(&url, &tls).await,
                Err(_) => Err(FetchError("the server ends".to_owned())),
            };
            drop(landing);
            told.send_replace(Some(answer.clone()));
            answer
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
