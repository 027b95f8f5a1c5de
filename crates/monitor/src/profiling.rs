//! The profiling port (`prof_port`): the addresses of Go's `net/http/pprof`, as far as they have a
//! meaning here.
//!
//! Laws: what cannot be given is refused with the way to get it, never faked.
//! Reference: server.go StartProfiler; net/http/pprof.

use crate::counts::Endpoint;
use crate::documents::expvar;
use crate::respond::{HTML, Response, TEXT};
use crate::source::Source;

/// Why there is no CPU or heap profile.
pub(crate) const NO_SAMPLER: &str =
    "this server has no sampling profiler built in; use perf or another system profiler";

const INDEX: &str = "<html>\n<head><title>/debug/pprof/</title></head>\n<body>\n\
    <p>/debug/pprof/</p>\n<ul>\n\
    <li><a href=\"cmdline\">cmdline</a>: the command line</li>\n\
    <li><a href=\"goroutine?debug=1\">goroutine</a>: what the threads do</li>\n\
    <li><a href=\"threadcreate?debug=1\">threadcreate</a>: the same</li>\n\
    </ul>\n<p>CPU and memory: use a system profiler.</p>\n</body>\n</html>\n";

/// Answers a request to the profiling port for `path` (without the query).
pub fn respond_profiling(path: &str, source: &dyn Source) -> Response {
    if path == Endpoint::Expvarz.path() {
        return Response::plain(200, "application/json; charset=utf-8", expvar::body(source));
    }
    if path == "/debug/pprof" {
        return Response::redirect("/debug/pprof/");
    }
    let Some(name) = path.strip_prefix("/debug/pprof/") else { return Response::not_found() };
    let mut response = match name {
        "" => Response::plain(200, HTML, INDEX),
        "cmdline" => Response::plain(200, TEXT, source.expvar().command_line.join("\0")),
        "symbol" => Response::plain(200, TEXT, "num_symbols: 0\n"),
        "goroutine" | "threadcreate" => Response::plain(200, TEXT, source.stacks()),
        "profile" | "trace" | "heap" | "allocs" | "block" | "mutex" => {
            Response::plain(501, TEXT, format!("{NO_SAMPLER}\n"))
        }
        _ => {
            let mut unknown = Response::plain(404, TEXT, "Unknown profile\n");
            unknown.headers.push(("X-Go-Pprof", "1".into()));
            unknown
        }
    };
    response.headers.push(("X-Content-Type-Options", "nosniff".into()));
    response
}
