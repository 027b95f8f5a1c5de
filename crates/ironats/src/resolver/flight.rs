//! One question at a time for one account: whoever asks for the same shares the answer.
//!
//! Law: how many accounts can be asked for at a time is bounded; who would be one too many is
//!       refused.

use node::resolver::{FetchError, Fetching};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Accounts that may be asked for at a time.
const MOST: usize = 4096;

type Answer = Result<String, FetchError>;
type Open = Mutex<HashMap<String, watch::Receiver<Option<Answer>>>>;

/// The questions that are open.
#[derive(Default)]
pub(super) struct Flights(Arc<Open>);

/// Ends a question, however it ends.
struct Landing {
    open: Arc<Open>,
    key: String,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.open.lock().remove(&self.key);
    }
}

impl Flights {
    /// The answer to the question about `key` that is open, or else to `ask`.
    pub(super) fn share(&self, key: &str, ask: impl FnOnce() -> Fetching) -> Fetching {
        let mut open = self.0.lock();
        if let Some(flight) = open.get(key) {
            let mut flight = flight.clone();
            return Box::pin(async move {
                let landed = flight.wait_for(Option::is_some).await;
                let landed = landed.ok().and_then(|answer| answer.clone());
                landed.unwrap_or_else(|| Err(FetchError("the question was given up".to_owned())))
            });
        }
        if open.len() >= MOST {
            let refused = FetchError("too many accounts are being asked for".to_owned());
            return Box::pin(std::future::ready(Err(refused)));
        }
        let (told, flight) = watch::channel(None);
        open.insert(key.to_owned(), flight);
        drop(open);
        let landing = Landing { open: self.0.clone(), key: key.to_owned() };
        let asking = ask();
        Box::pin(async move {
            let answer = asking.await;
            drop(landing);
            told.send_replace(Some(answer.clone()));
            answer
        })
    }
}
