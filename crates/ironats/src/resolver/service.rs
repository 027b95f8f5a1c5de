//! Requests about the tokens of a directory: update, look up, list, pack, delete.
//!
//! Laws: only what reads as an account's token, makes sense and is signed by a trusted key is kept;
//!       only the operator deletes; what was changed is in force before the answer.
//! Reference: accounts.go DirAccResolver.Start, handleListRequest, handleDeleteRequest.
//! Contract: AUTH-019, AUTH-020, SYS-023.

use super::directory::Directory;
use super::store::Deletion;
use auth::jwt::{AccountClaims, OperatorClaims, decode_generic};
use config::options::nkey;
use node::Node;
use node::claims::answer::{answer_document, answer_update};
use node::claims::{ClaimsError, update};
use node::resolver::FetchError;
use node::system::{Context, OwnedRequest};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Answers to one request for a package that are sent in one go.
const SYNC_TASK: usize = 256;

/// Whose tokens are taken.
struct Signers {
    /// The operator's own key, if it signs nothing but itself.
    strict: Option<String>,
    /// Keys that vouch for accounts.
    trusted: BTreeSet<String>,
    /// Keys that may delete.
    keys: BTreeSet<String>,
}

impl Signers {
    fn new(node: &Node) -> Result<Self, FetchError> {
        let options = node.options();
        let Some(operator) = options.operator.claims.first() else {
            return Err(FetchError("no operator key found".to_owned()));
        };
        let keys = OperatorClaims::trusted_keys(operator).into_iter().collect();
        let strict = operator.nats.strict.then(|| operator.subject.clone());
        let trusted = options.operator.all_trusted_keys().into_iter().collect();
        Ok(Self { strict, trusted, keys })
    }
}

/// Serves the requests of a directory.
pub(super) fn register(directory: &Arc<Directory>, node: &Arc<Node>) -> Result<(), FetchError> {
    let signers = Arc::new(Signers::new(node)?);
    let system = node.system();
    let updates = update::SUBJECTS.into_iter().map(|(subject, at)| (subject, Some(at)));
    for (subject, position) in updates.chain([("$SYS.REQ.CLAIMS.UPDATE", None)]) {
        let (directory, signers) = (directory.clone(), signers.clone());
        let serve = move |context: &mut Context<'_>, request: &OwnedRequest| {
            let key = position.map(|at| request.token(at).to_owned());
            take(&directory, &signers, context, request, key);
        };
        system.serve(subject, serve).keep();
    }
    let listed = directory.clone();
    system.serve("$SYS.REQ.CLAIMS.LIST", move |c, request| list(&listed, c, request)).keep();
    let deleted = directory.clone();
    let serve = move |context: &mut Context<'_>, request: &OwnedRequest| {
        delete(&deleted, &signers, context, request);
    };
    system.serve("$SYS.REQ.CLAIMS.DELETE", serve).keep();
    let place = directory.store.directory().display();
    if !directory.full {
        stdx::notice!(node.log(), "Managing some jwt in exclusive directory {place}");
        return Ok(());
    }
    let looked_up = directory.clone();
    system
        .serve("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", move |c, request| {
            look_up(&looked_up, c, request);
        })
        .keep();
    let packed = directory.clone();
    system.serve("$SYS.REQ.CLAIMS.PACK", move |c, request| pack(&packed, c, request)).keep();
    stdx::notice!(node.log(), "Managing all jwt in exclusive directory {place}");
    Ok(())
}

/// Why a pushed token is not taken: whose, what, and why.
struct Refusal {
    account: String,
    message: String,
    error: String,
}

/// Takes a pushed token. `key`: whom it must be of.
fn take(
    directory: &Arc<Directory>,
    signers: &Signers,
    context: &mut Context<'_>,
    request: &OwnedRequest,
    key: Option<String>,
) {
    let token = String::from_utf8_lossy(&request.payload).into_owned();
    let account = match check(directory, signers, &token, key) {
        Ok(account) => account,
        Err(Refusal { account, message, error }) => {
            return answer_update(context, request, &account, &message, Err(error));
        }
    };
    let Some(known) = context.node().claims().cloned() else { return };
    let in_use = known.has(&account);
    let good = Ok::<(), ClaimsError>(());
    if !directory.full && !in_use {
        return answer_update(context, request, &account, "jwt update cache skipped", good);
    }
    let changed = match directory.store.save(&account, &token, directory.nanos()) {
        Ok(changed) => changed,
        Err(error) => {
            let message = format!("{} resulted in error", word(directory));
            return answer_update(context, request, &account, &message, Err(error));
        }
    };
    let done = if directory.full { "jwt updated" } else { "jwt updated cache" };
    if !(changed && in_use) {
        return answer_update(context, request, &account, done, good);
    }
    known.update(&account, token, request.clone(), move |account, outcome, context, request| {
        if let Err(error) = outcome {
            stdx::error!(
                context.node().log(),
                "DirResolver - Update for account \"{account}\" resulted in error {error}"
            );
        }
        // Compat: it is kept, whatever came of putting it in force.
        answer_update(context, request, account, done, Ok::<(), ClaimsError>(()));
    });
}

fn word(directory: &Directory) -> &'static str {
    if directory.full { "jwt update" } else { "jwt update cache" }
}

/// Whether a pushed token may be taken, and whose it is.
fn check(
    directory: &Directory,
    signers: &Signers,
    token: &str,
    key: Option<String>,
) -> Result<String, Refusal> {
    let word = word(directory);
    let refusal = |account: &str, message: &str, error: String| Refusal {
        account: account.to_owned(),
        message: message.to_owned(),
        error,
    };
    let failed = format!("{word} resulted in error");
    let claims = AccountClaims::decode(token).map_err(|error| {
        let shown = key.as_deref().filter(|_| !directory.full).unwrap_or("n/a");
        refusal(shown, &failed, error.to_string())
    })?;
    let account = key.unwrap_or_else(|| claims.subject.clone());
    let issues = claims.validate(directory.nanos().div_euclid(1_000_000_000));
    if issues.block(false) {
        let word = if directory.full { "jwt" } else { word };
        let error = format!("validation errors: [{}]", issues.errors_text());
        return Err(refusal(&claims.subject, &format!("{word} validation failed"), error));
    }
    let error = if claims.subject != account {
        "subject does not match jwt content"
    } else if signers.strict.as_ref() == Some(&claims.issuer) {
        "operator requires issuer to be a signing key"
    } else if !signers.trusted.contains(&claims.issuer) {
        "account jwt is not signed by a trusted operator"
    } else {
        return Ok(account);
    };
    Err(refusal(&account, &failed, error.to_owned()))
}

/// The token of an account; nothing if it is not here.
fn look_up(directory: &Directory, context: &mut Context<'_>, request: &OwnedRequest) {
    let key = request.token(3);
    let token = directory.store.load(key, directory.nanos());
    if token.is_none() {
        stdx::debug!(context.node().log(), "DirResolver - Could not find account {key:?}");
    }
    context.answer(request, token.unwrap_or_default().as_bytes());
}

fn list(directory: &Directory, context: &mut Context<'_>, request: &OwnedRequest) {
    let keys = directory.store.keys();
    stdx::debug!(context.node().log(), "list request responded with {} account ids", keys.len());
    answer_document(context, request, "data", &json!(keys));
}

/// Every token in an answer of its own and an empty one behind them; only that if who asks has the
/// same ones.
fn pack(directory: &Arc<Directory>, context: &mut Context<'_>, request: &OwnedRequest) {
    if request.reply.is_none() {
        return;
    }
    let ours = directory.store.hash();
    if *request.payload == ours {
        return context.answer(request, b"");
    }
    pack_some(directory.clone(), directory.store.keys(), context, request.clone());
}

/// Sends some, and the rest when others had their turn.
fn pack_some(
    directory: Arc<Directory>,
    mut keys: Vec<String>,
    context: &mut Context<'_>,
    request: OwnedRequest,
) {
    let rest = keys.split_off(keys.len().min(SYNC_TASK));
    for line in keys.iter().filter_map(|key| directory.store.line(key, directory.nanos())) {
        context.answer(&request, line.as_bytes());
    }
    if rest.is_empty() {
        return context.answer(&request, b"");
    }
    let system = context.system().clone();
    system.post(move |context| pack_some(directory, rest, context, request));
}

/// Deletes accounts, if the operator asks for it.
fn delete(
    directory: &Directory,
    signers: &Signers,
    context: &mut Context<'_>,
    request: &OwnedRequest,
) {
    let system = context.system().account().map(|account| account.name.clone());
    let text = String::from_utf8_lossy(&request.payload);
    let (subject, accounts) = match decode_generic(&text) {
        Err(error) => (String::new(), Err(error.to_string())),
        Ok(claims) => {
            let allowed = if directory.store.deletion() == Deletion::Refused {
                Err("delete must be enabled in server config")
            } else if claims.subject != claims.issuer {
                Err("not self signed")
            } else if !signers.keys.contains(&claims.issuer) {
                Err("not trusted")
            } else {
                accounts(claims.nats.get("accounts"), system.as_deref())
            };
            (claims.subject, allowed.map_err(str::to_owned))
        }
    };
    let accounts = match accounts {
        Ok(accounts) => accounts,
        Err(error) => {
            let message = format!("delete accounts request by {subject} failed");
            return answer_update(context, request, "", &message, Err(error));
        }
    };
    let (mut passed, mut errors) = (0, Vec::new());
    for account in &accounts {
        match directory.store.delete(account) {
            Ok(was_there) => {
                passed += 1;
                let claims = context.node().claims().filter(|_| was_there);
                if let Some(claims) = claims {
                    claims.remove(account);
                }
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    if errors.is_empty() {
        let message = format!("deleted {passed} accounts");
        return answer_update(context, request, "", &message, Ok::<(), ClaimsError>(()));
    }
    let message = format!("deleted {passed} accounts, failed for {}", errors.len());
    answer_update(context, request, "", &message, Err(errors.join("\n")));
}

/// The accounts that are to be deleted.
fn accounts(list: Option<&Value>, system: Option<&str>) -> Result<Vec<String>, &'static str> {
    const MALFORMED: &str = "malformed request";
    let list = list.and_then(Value::as_array).ok_or(MALFORMED)?;
    let mut accounts = Vec::new();
    for entry in list {
        let key = entry.as_str().filter(|key| nkey::is_public_account(key)).ok_or(MALFORMED)?;
        if system == Some(key) {
            return Err("not allowed to delete system account");
        }
        accounts.push(key.to_owned());
    }
    Ok(accounts)
}
