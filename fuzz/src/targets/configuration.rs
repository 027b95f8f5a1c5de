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
