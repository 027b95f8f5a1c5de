//! Answers to requests about claims.
//!
//! Law: the texts are the reference's; every error is logged as well.
//! Reference: accounts.go respondToUpdate.   Contract: SYS-023.

use crate::system::{Context, OwnedRequest};
use serde_json::json;

/// What became of a request about an account's claims; an account that is empty is left out.
pub fn answer_update<E: std::fmt::Display>(
    context: &mut Context<'_>,
    request: &OwnedRequest,
    account: &str,
    message: &str,
    outcome: Result<(), E>,
) {
    let log = context.node().log().clone();
    let named = if account.is_empty() { String::new() } else { format!(" - {account}") };
    match &outcome {
        Ok(()) => stdx::debug!(log, "{message}{named}"),
        Err(error) => stdx::error!(log, "{message}{named} - {error}"),
    }
    if request.reply.is_none() {
        return;
    }
    let mut status = serde_json::Map::new();
    if !account.is_empty() {
        status.insert("account".to_owned(), json!(account));
    }
    let (name, code, text, told) = match outcome {
        Ok(()) => ("data", 200, "message", message.to_owned()),
        Err(error) => ("error", 500, "description", format!("{message} - {error}")),
    };
    status.insert("code".to_owned(), json!(code));
    status.insert(text.to_owned(), json!(told));
    answer_document(context, request, name, &json!(status));
}

/// A document behind the server's own block.
pub fn answer_document(
    context: &mut Context<'_>,
    request: &OwnedRequest,
    name: &str,
    document: &serde_json::Value,
) {
    if request.reply.is_none() {
        return;
    }
    let server = context.server_json();
    let document = stdx::go_text::escape_json(&document.to_string());
    let answer = format!("{{\"server\":{server},\"{name}\":{document}}}");
    context.answer(request, answer.as_bytes());
}
