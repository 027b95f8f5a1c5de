//! What the system account offers every account, and every account takes of it unasked: its own
//! connections and counts, and what its users are.
//!
//! Laws: what the configuration exports or imports itself goes before; an account sees only itself,
//!       since its name is part of the subject its requests are sent on.
//! Reference: events.go addSystemAccountExports, registerSystemImports.
//! Contract: ACC-022, SYS-014, SYS-017.

use broker::account::definition::{
    AccountDefinition, ExportDefinition, ExportKind, ImportDefinition, ImportKind, ResponseType,
    ServiceDefinition,
};

/// Position of the account's name in `$SYS.REQ.ACCOUNT.<account>.<what>`.
const ACCOUNT_TOKEN: usize = 4;

/// What is exported, how it answers, and where the importing account's name must stand.
const OFFERED: [(&str, ResponseType, usize); 4] = [
    ("$SYS.REQ.ACCOUNT.*.CONNZ", ResponseType::Streamed, ACCOUNT_TOKEN),
    ("$SYS.REQ.ACCOUNT.*.STATZ", ResponseType::Streamed, ACCOUNT_TOKEN),
    ("$SYS.DEBUG.SUBSCRIBERS", ResponseType::Singleton, 0),
    ("$SYS.REQ.USER.*.INFO", ResponseType::Singleton, 0),
];

/// Adds the exports of `system`, which is defined here if it is not yet, and everybody's imports.
pub fn offer(accounts: &mut Vec<AccountDefinition>, system: &str) {
    if !accounts.iter().any(|account| account.name == system) {
        accounts.push(AccountDefinition { name: system.into(), ..AccountDefinition::default() });
    }
    for account in accounts {
        if account.name == system {
            let missing = OFFERED.iter().filter(|(subject, ..)| !is_exported(account, subject));
            let missing: Vec<_> = missing.map(export).collect();
            account.exports.extend(missing);
            account.automatic = vec![info(system, system)];
        } else {
            account.automatic = imports(&account.name, system);
        }
    }
}

fn is_exported(account: &AccountDefinition, subject: &str) -> bool {
    account.exports.iter().any(|export| {
        matches!(export.kind, ExportKind::Service(_))
            && subject::is_subset(subject.as_bytes(), export.subject.as_bytes())
    })
}

fn export((subject, response, position): &(&str, ResponseType, usize)) -> ExportDefinition {
    ExportDefinition {
        subject: (*subject).to_owned(),
        accounts: Vec::new(),
        account_token_position: *position,
        kind: ExportKind::Service(ServiceDefinition {
            response: *response,
            threshold: None,
            latency: None,
            allow_trace: false,
        }),
    }
}

fn imports(account: &str, system: &str) -> Vec<ImportDefinition> {
    let of_account = |what: &str| format!("$SYS.REQ.ACCOUNT.{account}.{what}");
    let service = |asked: &str, subject: String| import(system, asked, subject, false);
    vec![
        service("$SYS.REQ.ACCOUNT.PING.CONNZ", of_account("CONNZ")),
        service("$SYS.REQ.SERVER.PING.CONNZ", of_account("CONNZ")),
        service("$SYS.REQ.ACCOUNT.PING.STATZ", of_account("STATZ")),
        info(account, system),
    ]
}

/// Who a user is, is told with who asks.
fn info(account: &str, system: &str) -> ImportDefinition {
    import(system, "$SYS.REQ.USER.INFO", format!("$SYS.REQ.USER.{account}.INFO"), true)
}

fn import(system: &str, asked: &str, subject: String, share: bool) -> ImportDefinition {
    ImportDefinition {
        account: system.to_owned(),
        subject,
        kind: ImportKind::Service { to: Some(asked.to_owned()), share },
    }
}
