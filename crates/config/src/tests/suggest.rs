//! Suggestions for unknown keys.

use super::messages;
use crate::suggest::nearest;

#[test]
fn the_nearest_key_is_suggested() {
    let known = ["port", "host", "listen", "max_payload", "server_name", "tls"];
    let cases = [
        ("prot", Some("port")),
        ("hots", Some("host")),
        ("lsten", Some("listen")),
        ("max_paylaod", Some("max_payload")),
        ("servername", Some("server_name")),
        ("Tsl", Some("tls")),
        ("completely_else", None),
        ("", None),
        ("x", None),
    ];
    for (unknown, expected) in cases {
        assert_eq!(nearest(unknown, &known), expected, "{unknown}");
    }
}

// Contract: CONF-014
#[test]
fn a_suggestion_follows_the_reference_text() {
    let cases = [
        ("prot: 1", "t.conf:1:0: unknown field \"prot\" (did you mean \"port\"?)\n"),
        (
            "tls { cert_fil: a }",
            "t.conf:1:6: error parsing tls config, unknown field \"cert_fil\" \
             (did you mean \"cert_file\"?)\n",
        ),
        ("cluster { nmae: x }", "t.conf:1:10: unknown field \"nmae\" (did you mean \"name\"?)\n"),
        ("qqqqqqqq: 1", "t.conf:1:0: unknown field \"qqqqqqqq\"\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(messages(text), expected, "{text}");
    }
}
