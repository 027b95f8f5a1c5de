//! Secrets in the command line, before anyone shows it.
//!
//! Laws: the value of `user`, `pass` and `auth` and the user part of route and cluster URLs never
//!       leave this function.
//! Reference: opts.go RedactArgs, redactURLUser.

const REDACTED: &str = "[REDACTED]";

/// The arguments as `/debug/vars` may show them.
pub fn redact(arguments: &[String]) -> Vec<String> {
    let mut out = arguments.to_vec();
    // One flag may have been the value of the one before it; the later decision wins, as both
    // only ever hide.
    for (index, argument) in arguments.iter().enumerate() {
        let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let Some(hide) = hider(name) else { continue };
        match value {
            Some(value) => {
                let lead = argument.strip_suffix(value).unwrap_or_default();
                if let Some(slot) = out.get_mut(index) {
                    *slot = format!("{lead}{}", hide(value));
                }
            }
            None => {
                if let Some(slot) = out.get_mut(index + 1) {
                    *slot = hide(slot);
                }
            }
        }
    }
    out
}

fn hider(name: &str) -> Option<fn(&str) -> String> {
    match name {
        "user" | "pass" | "auth" => Some(|_| REDACTED.to_owned()),
        "routes" => Some(|list| list.split(',').map(hide_user).collect::<Vec<_>>().join(",")),
        "cluster" | "cluster_listen" => Some(hide_user),
        _ => None,
    }
}

/// `nats://user:pass@host:1` without what is before the `@`.
fn hide_user(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| rest.get(..end).unwrap_or(rest));
    match authority.rfind('@') {
        Some(at) => {
            let host = rest.get(at..).unwrap_or_default();
            format!("{scheme}{REDACTED}{host}")
        }
        // A password may hold a slash by mistake: then everything before the last `@` goes.
        None => match rest.rfind('@') {
            Some(at) => format!("{scheme}{REDACTED}{}", rest.get(at..).unwrap_or_default()),
            None => url.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: CLI-007
    #[test]
    fn secrets_are_hidden_however_they_are_given() {
        for (given, shown) in [
            ("nats-server --pass=secret", "nats-server --pass=[REDACTED]"),
            (
                "x -pass secret -user me --auth tok",
                "x -pass [REDACTED] -user [REDACTED] --auth [REDACTED]",
            ),
            ("x --auth=a=b", "x --auth=[REDACTED]"),
            ("x --pass=", "x --pass=[REDACTED]"),
            ("x -p 4222 --password z", "x -p 4222 --password z"),
            ("x --routes nats://u:p@h:1,nats://h:2", "x --routes nats://[REDACTED]@h:1,nats://h:2"),
            ("x --routes=nats-route://u:p/@h:1", "x --routes=nats-route://[REDACTED]@h:1"),
            ("x --cluster nats://u:p@h:-1", "x --cluster nats://[REDACTED]@h:-1"),
            ("x -cluster_listen=nats://h:1", "x -cluster_listen=nats://h:1"),
            ("x --user", "x --user"),
        ] {
            let split = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(redact(&split(given)), split(shown));
        }
    }
}
