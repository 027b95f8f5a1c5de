//! `/`: links to the other pages, for people.
//!
//! Laws: every link is relative, so the page works below a base path and behind a proxy.
//! Reference: monitor.go HandleRoot (the set of links is contract, the looks are not).

use std::fmt::Write;

use crate::counts::Endpoint;
use crate::json::html;

const LINKS: [(Endpoint, &str); 12] = [
    (Endpoint::Varz, "General"),
    (Endpoint::Jsz, "JetStream"),
    (Endpoint::Connz, "Connections"),
    (Endpoint::Accountz, "Accounts"),
    (Endpoint::AccountStatz, "Account Stats"),
    (Endpoint::Subsz, "Subscriptions"),
    (Endpoint::Routez, "Routes"),
    (Endpoint::Leafz, "LeafNodes"),
    (Endpoint::Gatewayz, "Gateways"),
    (Endpoint::Raftz, "Raft Groups"),
    (Endpoint::Healthz, "Health Probe"),
    (Endpoint::Expvarz, "Expvar"),
];

/// Makes the page. `base` is the normalised base path, `version` what clients see.
pub(crate) fn page(base: &str, version: &str) -> String {
    let prefix = base.trim_end_matches('/');
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>NATS server</title>\n\
         <style>body{font-family:system-ui,sans-serif;margin:2em}li{margin:.4em 0}</style>\n\
         </head>\n<body>\n<h1>NATS server</h1>\n",
    );
    let _ = writeln!(page, "<p>v{}</p>\n<ul>", html(version));
    for (endpoint, label) in LINKS {
        let path = endpoint.path();
        let _ = writeln!(page, "<li><a href=\".{}{path}\">{label}</a> {path}</li>", html(prefix));
    }
    page.push_str("</ul>\n</body>\n</html>\n");
    page
}
