//! The same documents for `$SYS` requests: options as a JSON body, the document as compact JSON.
//!
//! Not here: subjects, server filters and the envelope (whoever serves `$SYS`).
//! Laws: an empty body asks with default options.
//! Reference: events.go zReq, initEventTracking.

use serde::Serialize;
use serde::de::DeserializeOwned;
use stdx::time::Now;
use thiserror::Error;

use crate::counts::Endpoint;
use crate::documents::account::{account_info, account_statz, accountz};
use crate::documents::connz::{ConnzOptions, connz};
use crate::documents::expvar::expvarz;
use crate::documents::gatewayz::gatewayz;
use crate::documents::healthz::healthz;
use crate::documents::jsz::{JszOptions, jsz, jsz_account};
use crate::documents::leafz::{LeafzOptions, leafz};
use crate::documents::queuez::queuez;
use crate::documents::routez::routez;
use crate::documents::subsz::{SubszOptions, subsz};
use crate::documents::varz::varz;
use crate::json;
use crate::source::Source;

/// Why a `$SYS` request gets an error instead of a document.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The body is not the JSON object of options that this endpoint takes (code 400).
    #[error("{0}")]
    Body(#[from] serde_json::Error),
    /// The options are refused (code 500, as in the reference).
    #[error(transparent)]
    Refused(#[from] crate::Error),
    /// This endpoint has no `$SYS` form here; the requester gets no answer.
    #[error("no such request")]
    NoSuchRequest,
    /// There is nothing to say of the accounts that were asked about; the requester gets no answer.
    #[error("nothing to say")]
    Nothing,
    /// Only the meta leader was asked and this server is not it; the requester gets no answer.
    #[error("not the leader")]
    NotLeader,
}

impl RequestError {
    /// The code for the envelope; `None` if there must be no answer at all.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Body(_) => Some(400),
            Self::Refused(_) => Some(500),
            Self::NoSuchRequest | Self::Nothing | Self::NotLeader => None,
        }
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct AccountzOptions {
    account: String,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct StatzOptions {
    accounts: Vec<String>,
    include_unused: bool,
}

/// Answers the request for `endpoint` with options `body`: the document as compact JSON, which
/// is the envelope's `data`.
pub fn request(
    endpoint: Endpoint,
    body: &[u8],
    source: &dyn Source,
    now: Now,
) -> Result<Vec<u8>, RequestError> {
    match endpoint {
        Endpoint::Varz => {
            options::<serde_json::Value>(body)?;
            ok(&varz(source, now))
        }
        Endpoint::Connz => ok(&connz(&options(body)?, source, now)?),
        Endpoint::Routez => ok(&routez(options(body)?, source, now)),
        Endpoint::Gatewayz => ok(&gatewayz(&options(body)?, source, now)),
        Endpoint::Leafz => ok(&leafz(&options(body)?, source, now)),
        Endpoint::Subsz => ok(&subsz(&options(body)?, source, now)?),
        Endpoint::Accountz => {
            let asked: AccountzOptions = options(body)?;
            ok(&accountz(&asked.account, source, now)?)
        }
        Endpoint::AccountStatz => {
            let asked: StatzOptions = options(body)?;
            ok(&account_statz(&asked.accounts, asked.include_unused, source, now))
        }
        Endpoint::Jsz => match jsz(&options(body)?, source, now) {
            Err(crate::Error::NotLeader) => Err(RequestError::NotLeader),
            document => ok(&document?),
        },
        Endpoint::Healthz => ok(&healthz(&options(body)?, source)),
        Endpoint::IpQueuesz => ok(&queuez(&options(body)?, source)),
        Endpoint::Expvarz => {
            options::<serde_json::Value>(body)?;
            ok(&expvarz(source))
        }
        Endpoint::Raftz => {
            options::<serde_json::Value>(body)?;
            // Compat(MON-023): over `$SYS` nothing is an empty map, not an error.
            Ok(b"{}".to_vec())
        }
        Endpoint::Root | Endpoint::Stacksz => Err(RequestError::NoSuchRequest),
    }
}

/// Answers the request for `service` of one account, `$SYS.REQ.ACCOUNT.<account>.<service>`.
pub(crate) fn request_of(
    account: &str,
    service: &str,
    body: &[u8],
    source: &dyn Source,
    now: Now,
) -> Result<Vec<u8>, RequestError> {
    let name = account.to_owned();
    match service {
        "SUBSZ" => {
            let asked: SubszOptions = options(body)?;
            ok(&subsz(&SubszOptions { subscriptions: true, account: name, ..asked }, source, now)?)
        }
        "CONNZ" => {
            let asked: ConnzOptions = options(body)?;
            ok(&connz(&ConnzOptions { acc: name, ..asked }, source, now)?)
        }
        "LEAFZ" => ok(&leafz(&options::<LeafzOptions>(body)?.of(account), source, now)),
        "JSZ" => {
            let asked: JszOptions = options(body)?;
            ok(&jsz_account(&JszOptions { account: name, ..asked }, source)?)
        }
        "INFO" => ok(&account_info(account, source)?),
        // Compat(SYS-014): `PING` is no account, it stands for all.
        "STATZ" => {
            let asked: StatzOptions = options(body)?;
            let names = if account == "PING" { asked.accounts } else { vec![name] };
            let document = account_statz(&names, asked.include_unused, source, now);
            if document.is_empty() && !asked.include_unused {
                return Err(RequestError::Nothing);
            }
            ok(&document)
        }
        _ => Err(RequestError::NoSuchRequest),
    }
}

fn options<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, RequestError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    Ok(serde_json::from_slice(body)?)
}

fn ok<T: Serialize>(document: &T) -> Result<Vec<u8>, RequestError> {
    Ok(json::compact(document))
}
