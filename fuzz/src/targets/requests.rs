//! Bodies of requests in the system account.

use crate::{Shape, Target};

const SERVICES: [&str; 6] = ["VARZ", "CONNZ", "SUBSZ", "JSZ", "STATZ", "PROFILEZ"];

/// The first byte picks the request, the rest is its body.
pub(super) const OPTIONS: Target = Target {
    name: "options",
    words: &[
        "{\"",
        "\":",
        "server_name",
        "tags",
        "[\"",
        "cid",
        "sort",
        "state",
        "limit",
        "accounts",
        "duration",
        "null",
        "1e0",
        "-0",
        "99999999999999999999",
        "\\ud800",
        "\"}",
        ",",
        "true",
    ],
    run: |bytes| {
        let (first, body) = bytes.split_first().unwrap_or((&0, b""));
        let service = SERVICES[usize::from(*first) % SERVICES.len()];
        match node::system::check_body(service, body) {
            Ok(read) => {
                // What was understood is understood again, as the same.
                let again = node::system::check_body(service, &read);
                assert_eq!(again.as_deref(), Ok(&*read), "{service}");
                Shape::of(service).and(Shape::count(read.len()))
            }
            Err(why) => Shape::of(why.split('\'').next().unwrap_or("")),
        }
    },
};
