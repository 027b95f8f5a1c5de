//! Arguments without their secrets (CLI-007).

/// Replaces passwords, users, tokens and the credentials in URLs by `[REDACTED]`.
pub fn redact(args: &mut [String]) {
    let mut at = 0;
    while at < args.len() {
        let Some(arg) = args.get(at) else { return };
        let bare = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).unwrap_or_default();
        let (name, value) = bare.split_once('=').map_or((bare, None), |(n, v)| (n, Some(v)));
        if let Some(hide) = hider(name) {
            match value.map(hide) {
                Some(hidden) => {
                    let flag = arg.split('=').next().unwrap_or_default().to_owned();
                    if let Some(slot) = args.get_mut(at) {
                        *slot = format!("{flag}={hidden}");
                    }
                }
                None => {
                    if let Some(slot) = args.get_mut(at + 1) {
                        *slot = hide(slot);
                    }
                }
            }
        }
        at += 1;
    }
}

fn hider(name: &str) -> Option<fn(&str) -> String> {
    match name {
        "user" | "pass" | "auth" => Some(|_| "[REDACTED]".into()),
        "cluster" | "cluster_listen" => Some(hide_login),
        "routes" => Some(|list| list.split(',').map(hide_login).collect::<Vec<_>>().join(",")),
        _ => None,
    }
}

fn hide_login(url: &str) -> String {
    let trimmed = url.trim();
    let Some((scheme, rest)) = trimmed.split_once("://") else { return url.into() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://[REDACTED]@{host}{path}"),
        None => url.into(),
    }
}
