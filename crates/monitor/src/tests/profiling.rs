//! The profiling port.

use super::fake::server;
use crate::*;

// Contract: CLI-015, MON-028
#[test]
fn profiles_are_given_or_refused_with_a_remedy() {
    for (path, status, start) in [
        ("/debug/pprof", 307, "<a href=\"/debug/pprof/\">"),
        ("/debug/pprof/", 200, "<html>"),
        ("/debug/pprof/cmdline", 200, "nats-server\0--pass=[REDACTED]"),
        ("/debug/pprof/goroutine", 200, "thread 1 main\n"),
        ("/debug/pprof/symbol", 200, "num_symbols: "),
        ("/debug/pprof/profile", 501, "this server has no sampling profiler"),
        ("/debug/pprof/heap", 501, "this server has no sampling profiler"),
        ("/debug/pprof/nope", 404, "Unknown profile\n"),
        ("/debug/vars", 200, "{\n\"cmdline\": "),
        ("/varz", 404, "404 page not found\n"),
        ("/", 404, "404 page not found\n"),
    ] {
        let response = respond_profiling(path, &server());
        let body = String::from_utf8(response.body).unwrap();
        assert_eq!(response.status, status, "{path}");
        assert!(body.starts_with(start), "{path}: {body}");
    }
}
