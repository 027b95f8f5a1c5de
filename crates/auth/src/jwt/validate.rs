//! What is wrong with claims that are signed well.
//!
//! Laws: all that is wrong is listed, in the reference's words; pure: the time comes in.
//! Reference: jwt v2 *_claims.go Validate, validation.go.

use super::account::{Account, AccountClaims};
use super::activation::ActivationClaims;
use super::limits::{OperatorLimits, Subjects, UserLimits};
use super::share::{Export, Import};
use super::subject::{self, faults, has_wildcards, is_contained};
use super::token::is_key_of;
use super::user::UserClaims;
use super::window;
use nkeys::KeyPairType;
use std::collections::{BTreeMap, BTreeSet};
use stdx::go_text::quote;

/// Something wrong with claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// What.
    pub description: String,
    /// Whether the claims cannot be used.
    pub blocking: bool,
    /// Whether it is a matter of time.
    pub time_check: bool,
}

/// All that is wrong with claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issues(pub Vec<Issue>);

impl Issues {
    fn error(&mut self, description: impl Into<String>) {
        let description = description.into();
        self.0.push(Issue { description, blocking: true, time_check: false });
    }

    fn errors(&mut self, all: Vec<String>) {
        all.into_iter().for_each(|description| self.error(description));
    }

    fn warning(&mut self, description: &str) {
        let description = description.to_owned();
        self.0.push(Issue { description, blocking: false, time_check: false });
    }

    fn time(&mut self, untimely: Option<&str>) {
        if let Some(text) = untimely {
            let description = text.to_owned();
            self.0.push(Issue { description, blocking: false, time_check: true });
        }
    }

    /// Whether the claims cannot be used; `timely`: because of the time, too.
    pub fn block(&self, timely: bool) -> bool {
        self.0.iter().any(|issue| issue.blocking || (timely && issue.time_check))
    }

    /// All that is wrong, for a line of the log.
    pub fn text(&self) -> String {
        let all = self.0.iter().map(|issue| issue.description.as_str());
        all.collect::<Vec<_>>().join(", ")
    }

    /// The errors, as the reference prints the list.
    pub fn errors_text(&self) -> String {
        let all = self.0.iter().filter(|issue| issue.blocking);
        all.map(|issue| issue.description.as_str()).collect::<Vec<_>>().join(" ")
    }
}

fn is_account(key: &str) -> bool {
    is_key_of(key, &[KeyPairType::Account])
}

impl UserClaims {
    /// What is wrong with them at `now` (Unix seconds).
    pub fn validate(&self, now: i64) -> Issues {
        let mut issues = Issues::default();
        issues.time(self.untimely(now));
        self.nats.limits.validate(&mut issues);
        if !self.nats.issuer_account.is_empty() && !is_account(&self.nats.issuer_account) {
            issues.error("account_id is not an account public key");
        }
        issues
    }
}

impl UserLimits {
    fn validate(&self, issues: &mut Issues) {
        permissions(&self.publish, &self.subscribe, issues);
        for network in &self.src {
            if window::network(network).is_none() {
                issues.error(format!(
                    "invalid cidr {} in user src limits",
                    quote(network.as_bytes())
                ));
            }
        }
        for range in &self.times {
            for (what, text) in [("start", &range.start), ("end", &range.end)] {
                if text.is_empty() {
                    issues.error(format!("time ranges {what} must contain a {what}"));
                } else if window::seconds(text).is_none() {
                    let text = quote(text.as_bytes());
                    issues.error(format!("{what} in time range is invalid {text}"));
                }
            }
        }
    }
}

fn permissions(publish: &Subjects, subscribe: &Subjects, issues: &mut Issues) {
    for (list, queues) in [(subscribe, true), (publish, false)] {
        for entry in list.allow.iter().chain(&list.deny) {
            permission(entry, queues, issues);
        }
    }
}

fn permission(entry: &str, queues: bool, issues: &mut Issues) {
    let parts: Vec<&str> = entry.split(' ').collect();
    match parts[..] {
        [subject] => issues.errors(faults(subject)),
        [subject, queue] => {
            issues.errors(faults(subject));
            issues.errors(faults(queue));
            if !queues {
                issues.error(format!(
                    "Permission Subject \"{entry}\" is not allowed to contain queue"
                ));
            }
        }
        _ => issues.error(format!("Permission Subject \"{entry}\" contains too many spaces")),
    }
}

impl ActivationClaims {
    /// What is wrong with them at `now` (Unix seconds); `None`: whatever the time.
    pub fn validate(&self, now: Option<i64>) -> Issues {
        let mut issues = Issues::default();
        issues.time(now.and_then(|now| self.untimely(now)));
        if !is_kind(&self.nats.import_kind) {
            issues
                .error(format!("invalid import type: {}", quote(self.nats.import_kind.as_bytes())));
        }
        issues.errors(faults(&self.nats.import_subject));
        if !self.nats.issuer_account.is_empty() && !is_account(&self.nats.issuer_account) {
            issues.error("account_id is not an account public key");
        }
        issues
    }
}

fn is_kind(kind: &str) -> bool {
    matches!(kind, "stream" | "service")
}

impl AccountClaims {
    /// What is wrong with them at `now` (Unix seconds).
    pub fn validate(&self, now: i64) -> Issues {
        let mut issues = Issues::default();
        issues.time(self.untimely(now));
        self.nats.validate(&self.subject, &mut issues);
        if is_account(&self.issuer) && self.nats.limits != OperatorLimits::default() {
            issues.warning("self-signed account JWTs shouldn't contain operator limits");
        }
        issues
    }
}

impl Account {
    fn validate(&self, own: &str, issues: &mut Issues) {
        imports(&self.imports, own, issues);
        exports(&self.exports, issues);
        if !self.limits.tiers.is_empty() && self.limits.tiers.contains_key("") {
            issues.error("Tiered JetStream Limits can not contain a blank \"\" tier name");
        }
        permissions(&self.default_permissions.publish, &self.default_permissions.subscribe, issues);
        self.validate_mappings(issues);
        self.validate_callout(issues);
        self.validate_trace(issues);
        self.validate_counts(issues);
        for (key, scope) in &self.signing_keys.0 {
            if !is_account(key) {
                issues.error(match scope {
                    Some(_) => format!("{key} is not an account public key"),
                    None => format!("{} is not a valid account signing key", quote(key.as_bytes())),
                });
            }
        }
        if !matches!(self.cluster_traffic.as_str(), "" | "system" | "owner") {
            let found = quote(self.cluster_traffic.as_bytes());
            issues.error(format!("unknown cluster traffic option: {found}"));
        }
    }

    fn validate_counts(&self, issues: &mut Issues) {
        let beyond = |limit: i64, count: usize| limit != -1 && limit < count as i64;
        if beyond(self.limits.imports, self.imports.len()) {
            let text = "the account contains more imports than allowed by the operator";
            // Compat(AUTH-013): said twice, unless no limit says anything.
            if self.limits.imports >= 0 && self.limits != OperatorLimits::default() {
                issues.error(text);
            }
            issues.error(text);
        }
        if self.limits.exports == -1 {
            return;
        }
        if beyond(self.limits.exports, self.exports.len()) {
            issues.error("the account contains more exports than allowed by the operator");
        }
        if !self.limits.wildcard_exports && self.exports.iter().any(|e| has_wildcards(&e.subject)) {
            issues.error(
                "the account contains wildcard exports that are not allowed by the operator",
            );
        }
    }

    fn validate_mappings(&self, issues: &mut Issues) {
        for (source, destinations) in &self.mappings {
            issues.errors(faults(source));
            let shown = quote(source.as_bytes());
            let mut shares: BTreeMap<&str, u32> = BTreeMap::new();
            for to in destinations {
                issues.errors(faults(&to.subject));
                if to.share() > 100 {
                    issues.error(format!(
                        "Mapping {shown} has a weight {} that exceeds 100",
                        to.share()
                    ));
                }
                let share = shares.entry(&to.cluster).or_default();
                *share += u32::from(to.share());
            }
            for (cluster, share) in shares {
                if share > 100 {
                    let place = if cluster.is_empty() {
                        String::new()
                    } else {
                        format!(" in cluster {}", quote(cluster.as_bytes()))
                    };
                    issues.error(format!(
                        "Mapping {shown}{place} exceeds 100% among all of it's weighted to mappings"
                    ));
                }
            }
        }
    }

    fn validate_callout(&self, issues: &mut Issues) {
        let callout = &self.authorization;
        if !callout.allowed_accounts.is_empty() && callout.auth_users.is_empty() {
            issues.error("External authorization cannot have accounts without users specified");
        }
        for user in &callout.auth_users {
            if !is_key_of(user, &[KeyPairType::User]) {
                let user = quote(user.as_bytes());
                issues.error(format!("AuthUser {user} is not a valid user public key"));
            }
        }
        for account in &callout.allowed_accounts {
            if account == "*" {
                if callout.allowed_accounts.len() > 1 {
                    issues.error("AllowedAccounts can only be a list of accounts or \"*\"");
                }
            } else if !is_account(account) {
                let account = quote(account.as_bytes());
                issues.error(format!("Account {account} is not a valid account public key"));
            }
        }
        let xkey = &callout.xkey;
        if !xkey.is_empty() && nkeys::XKey::from_public_key(xkey).is_err() {
            issues.error(format!("XKey {} is not a valid public xkey", quote(xkey.as_bytes())));
        }
    }

    fn validate_trace(&self, issues: &mut Issues) {
        let Some(trace) = &self.trace else { return };
        if let Some(fault) = faults(&trace.destination).first() {
            issues.error(format!("the account Trace.Destination {fault}"));
        }
        if has_wildcards(&trace.destination) {
            let shown = quote(trace.destination.as_bytes());
            issues.error(format!(
                "the account Trace.Destination subject {shown} is not a valid publish subject"
            ));
        }
        if !(0..=100).contains(&trace.sampling) {
            issues.error(format!(
                "the account Trace.Sampling value '{}' is not valid, should be in the range \
                 [1..100]",
                trace.sampling
            ));
        }
    }
}

fn imports(all: &[Import], own: &str, issues: &mut Issues) {
    let mut services: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for import in all {
        if import.kind == "service" {
            let local = subject::without_references(&import.local_subject);
            let subject = [&import.to, &local].into_iter().find(|s| !s.is_empty());
            let subject = subject.unwrap_or(&import.subject).clone();
            let others = services.entry(&import.account).or_default();
            for other in others.iter() {
                if is_contained(&subject, other) || is_contained(other, &subject) {
                    issues.error(format!(
                        "overlapping subject namespace for {} and {} in same account {}",
                        quote(subject.as_bytes()),
                        quote(other.as_bytes()),
                        quote(import.account.as_bytes())
                    ));
                }
            }
            others.insert(subject);
        }
        import.validate(own, issues);
    }
}

impl Import {
    /// What is wrong with it as an import of the account `own`, whatever the time.
    pub fn validate(&self, own: &str, issues: &mut Issues) {
        let service = self.kind == "service";
        let shown = quote(self.subject.as_bytes());
        if !is_kind(&self.kind) {
            issues.error(format!("invalid import type: {}", quote(self.kind.as_bytes())));
        }
        if service && self.allow_trace {
            issues.error("AllowTrace only valid for stream import");
        }
        if self.account.is_empty() {
            issues.error("account to import from is not specified");
        }
        if !self.to.is_empty() {
            issues.warning("the field to has been deprecated (use LocalSubject instead)");
        }
        issues.errors(faults(&self.subject));
        if !self.local_subject.is_empty() {
            issues.errors(subject::renaming_faults(&self.local_subject, &self.subject));
            if !self.to.is_empty() {
                issues.error("Local Subject replaces To");
            }
        }
        if self.share && !service {
            issues.error(format!(
                "sharing information (for latency tracking) is only valid for services: {shown}"
            ));
        }
        if self.token.is_empty() {
            return;
        }
        match ActivationClaims::decode(&self.token) {
            Ok(activation) => self.validate_activation(&activation, own, issues),
            Err(_) => issues.error(format!("import {shown} contains an invalid activation token")),
        }
    }

    fn validate_activation(&self, token: &ActivationClaims, own: &str, issues: &mut Issues) {
        let shown = quote(self.subject.as_bytes());
        if token.issuer != self.account && token.nats.issuer_account != self.account {
            issues.error(format!("activation token doesn't match account for import {shown}"));
        }
        if token.subject != own {
            issues.error(format!(
                "activation token doesn't match account it is being included in, {shown}"
            ));
        }
        if token.nats.import_kind != self.kind {
            issues.error(format!(
                "mismatch between token import type {} and type of import {}",
                token.nats.import_kind, self.kind
            ));
        }
        issues.0.extend(token.validate(None).0);
        let theirs =
            if self.kind == "service" && !self.to.is_empty() { &self.to } else { &self.subject };
        if !is_contained(theirs, &token.nats.import_subject) {
            issues.error(format!(
                "activation token import subject {} doesn't match import {shown}",
                quote(token.nats.import_subject.as_bytes())
            ));
        }
    }
}

fn exports(all: &[Export], issues: &mut Issues) {
    for export in all {
        export.validate(issues);
    }
    for kind in ["service", "stream"] {
        let of_kind = |e: &&Export| (e.kind == "service") == (kind == "service");
        let subjects: Vec<&str> =
            all.iter().filter(of_kind).map(|export| export.subject.as_str()).collect();
        let mut told = BTreeSet::new();
        for (i, subject) in subjects.iter().enumerate() {
            for (j, other) in subjects.iter().enumerate() {
                if i != j && is_contained(subject, other) && told.insert(other) {
                    issues.error(format!(
                        "{kind} export subject {} already exports {}",
                        quote(other.as_bytes()),
                        quote(subject.as_bytes())
                    ));
                }
            }
        }
    }
}

impl Export {
    fn validate(&self, issues: &mut Issues) {
        let (service, stream) = (self.kind == "service", self.kind == "stream");
        if !is_kind(&self.kind) {
            issues.error(format!("invalid export type: {}", quote(self.kind.as_bytes())));
        }
        let response = quote(self.response_type.as_bytes());
        if service
            && !matches!(self.response_type.as_str(), "" | "Singleton" | "Stream" | "Chunked")
        {
            issues.error(format!("invalid response type for service: {response}"));
        }
        if stream && !self.response_type.is_empty() {
            issues.error(format!("invalid response type for stream: {response}"));
        }
        if stream && self.allow_trace {
            issues.error("AllowTrace only valid for service export");
        }
        if let Some(latency) = &self.service_latency {
            if !service {
                issues.error("latency tracking only permitted for services");
            }
            if !(0..=100).contains(&latency.sampling) {
                issues.error("sampling percentage needs to be between 1-100");
            }
            issues.errors(faults(&latency.results));
            if has_wildcards(&latency.results) {
                issues.error("results subject can not contain wildcards");
            }
        }
        if self.response_threshold < 0 {
            issues.error("negative response threshold is invalid");
        }
        if self.response_threshold > 0 && !service {
            issues.error("response threshold only valid for services");
        }
        issues.errors(faults(&self.subject));
        self.validate_position(issues);
    }

    fn validate_position(&self, issues: &mut Issues) {
        let position = self.account_token_position;
        if position == 0 {
            return;
        }
        let subject = &self.subject;
        if !has_wildcards(subject) {
            issues.error(format!(
                "Account Token Position can only be used with wildcard subjects: {subject}"
            ));
            return;
        }
        let at = usize::try_from(position - 1).unwrap_or(usize::MAX);
        match subject.split('.').nth(at) {
            None => issues.error(format!(
                "Account Token Position {position} exceeds length of subject '{subject}'"
            )),
            Some("*") => {}
            Some(token) => issues.error(format!(
                "Account Token Position {position} matches '{token}' but must match a * in: \
                 {subject}"
            )),
        }
    }
}
