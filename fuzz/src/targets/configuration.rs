//! What an operator may write: configuration files, flags, names in certificates.

use crate::{Shape, Target};

/// Configuration files, through every check up to the start.
pub(super) const CONFIG: Target = Target {
    name: "config",
    words: &[
        "listen: ",
        "port: ",
        "accounts {",
        "authorization {",
        "users: [",
        "permissions: {",
        "publish: ",
        "subscribe: ",
        "deny: ",
        "exports: [",
        "imports: [",
        "{ service: ",
        "{ stream: ",
        "account: ",
        "mappings: {",
        "include 'x'",
        "$VAR",
        "tls {",
        "cluster {",
        "leafnodes {",
        "jetstream {",
        "max_payload: 1MB",
        "(\n)\n",
        "true",
        "\"1m\"",
        "destination: ",
        "weight: ",
        "#",
        "//",
    ],
    run: |bytes| {
        config::parse_bytes(bytes);
        match config::load_text(bytes, "fuzz.conf", &config::lang::Nothing) {
            Ok(loaded) => Shape::of("valid").and(Shape::count(loaded.warnings.len())),
            Err(why) => {
                let text = why.to_string();
                let first = text.lines().next().unwrap_or("");
                // The first words of the message itself, without place and operator's words.
                let message = first.rsplit(": ").next().unwrap_or(first);
                let words: Vec<&str> =
                    message.split('"').next().unwrap_or("").split(' ').take(3).collect();
                Shape::of(&words.join(" "))
            }
        }
    },
};

/// Command lines, one argument per line.
pub(super) const FLAGS: Target = Target {
    name: "flags",
    words: &[
        "-p\n",
        "--port=",
        "-c\n",
        "-DV\n",
        "-sl\n",
        "reload=",
        "--cluster\n",
        "-m\n",
        "--user\n",
        "--pass\n",
        "nats://",
        "-t\n",
        "--tls",
        "=false",
        "--routes\n",
        "-js\n",
        "--help",
    ],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut args: Vec<String> = text.lines().map(str::to_owned).collect();
        let command = config::flags::parse_args(&args);
        config::flags::redact(&mut args);
        let shown = format!("{command:?}");
        Shape::of(shown.split(['(', ' ']).next().unwrap_or("")).and(Shape::count(args.len()))
    },
};

/// Distinguished names, as operators write them in `user`.
pub(super) const NAMES: Target = Target {
    name: "names",
    words: &["CN=", "OU=", "DC=", "O=", ",", "+", "\\2C", "#0403", "\"", "1.2.840.113549.1.9.1="],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match auth::DistinguishedName::parse(&text) {
            Ok(name) => {
                let silent = name.is_empty() || !name.is_comparable();
                assert!(silent || name.same(&name.clone()), "a name is itself");
                let _ = (name.to_rdn_sequence(), name.domain_components());
                Shape::count(name.to_rfc2253().matches(',').count())
            }
            Err(why) => Shape::of(&why.to_string()),
        }
    },
};

/// Reloads: two configurations with a line `---` between them, and what it takes to go from one to
/// the other.
pub(super) const RELOAD: Target = Target {
    name: "reload",
    words: &[
        "\n---\n",
        "listen: ",
        "server_name: ",
        "max_payload: 1MB\n",
        "max_connections: ",
        "authorization {",
        "users: [",
        "user: a, password: b",
        "accounts {",
        "no_auth_user: a\n",
        "system_account: A\n",
        "jetstream {",
        "max_mem: 1GB",
        "store_dir: ",
        "mappings { a: b }\n",
        "ping_interval: ",
        "write_deadline: \"2s\"\n",
        "server_tags: [a]\n",
        "ocsp: true\n",
        "proxies { trusted: [",
        "debug: true\n",
        "client_advertise: ",
    ],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (before, after) = text.split_once("\n---\n").unwrap_or((&text, &text));
        let load = |text: &str| {
            config::load_text(text.as_bytes(), "fuzz.conf", &config::lang::Nothing).ok()
        };
        let (Some(before), Some(after)) = (load(before), load(after)) else {
            return Shape::of("invalid");
        };
        let (old, new) = (&before.options, &after.options);
        for jetstream in [false, true] {
            let running =
                config::diff::Running { client_port: 4222, jetstream, ..Default::default() };
            // What is as it was is never refused, and nothing of it changes.
            let same = config::diff::diff(old, old, running);
            let turned_on = jetstream != old.jetstream.enabled;
            match same {
                Ok(plan) => {
                    let real = plan.changes.iter().any(|change| change.real);
                    assert!(turned_on || !real, "{plan:?}");
                }
                Err(why) => assert!(turned_on, "{why}"),
            }
        }
        let running =
            config::diff::Running { jetstream: old.jetstream.enabled, ..Default::default() };
        match config::diff::diff(old, new, running) {
            Ok(plan) => {
                let fields: Vec<&str> = plan
                    .changes
                    .iter()
                    .filter(|change| change.real)
                    .map(|change| change.field)
                    .collect();
                Shape::of(&fields.join(" "))
            }
            Err(why) => Shape::of(why.0.split(": old=").next().unwrap_or_default()),
        }
    },
};
