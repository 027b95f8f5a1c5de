//! Reports of traced messages on their way out: numbered and signed on the system account's thread,
//! as everything the server says of itself.
//!
//! Not here: what a report says (`broker::tracing`).
//! Laws: without a system account nothing is told; what waits is bounded, and what finds no room is
//!       lost, as a trace may be.
//! Reference: events.go sendInternalAccountSysMsg, internalSendLoop.   Contract: TRACE-003, TRACE-011.

use crate::system::System;
use broker::tracing::{Herald, Report};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of reports that may wait.
const BYTES_MOST: usize = 32 << 20;

/// Hands reports over to the system account's thread.
pub(crate) struct Reports {
    system: Arc<System>,
    waiting: Arc<AtomicUsize>,
}

impl Reports {
    pub(crate) fn new(system: Arc<System>) -> Self {
        Self { system, waiting: Arc::default() }
    }
}

impl Herald for Reports {
    fn publish(&self, report: Report) {
        if self.system.account().is_none() {
            return;
        }
        let bytes = report.members.len() + report.accept.len() + report.dest.len();
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MOST {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        let waiting = self.waiting.clone();
        let posted = self.system.post(move |context| {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            let Report { account, dest, accept, members } = report;
            let document = format!("{{\"server\":{},{members}}}", context.server_json());
            let (body, coding) = encode(&accept, document.into_bytes());
            let header = coding.map(|name| format!("NATS/1.0\r\nContent-Encoding: {name}\r\n\r\n"));
            let header = header.unwrap_or_default();
            // Wire: the reference writes an empty reply here, which shows as two blanks.
            context.publish_in(&account, &dest, Some(b""), header.as_bytes(), &body);
        });
        if !posted {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// The document as a reader who accepts `accept` wants it, and what that is called.
fn encode(accept: &str, document: Vec<u8>) -> (Vec<u8>, Option<&'static str>) {
    let accept = accept.to_lowercase();
    // Writing into memory does not fail; if it did, the plain document serves as well.
    if accept.is_empty() {
        (document, None)
    } else if accept.contains("snappy") || accept.contains("s2") {
        let mut out = snap::write::FrameEncoder::new(Vec::new());
        let written = out.write_all(&document).is_ok();
        match out.into_inner() {
            Ok(body) if written => (body, Some("snappy")),
            _ => (document, Some("identity")),
        }
    } else if accept.contains("gzip") {
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        match out.write_all(&document).and_then(|()| out.finish()) {
            Ok(body) => (body, Some("gzip")),
            Err(_) => (document, Some("identity")),
        }
    } else {
        // Compat(TRACE-011): what is not understood is said so.
        (document, Some("identity"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    // Contract: TRACE-011
    #[test]
    fn reports_are_compressed_as_asked_for() {
        let plain = br#"{"server":{"name":"a"}}"#.repeat(20);
        for (accept, want) in [
            ("", None),
            ("gzip", Some("gzip")),
            ("GZip, br", Some("gzip")),
            ("gzip, snappy", Some("snappy")),
            ("S2", Some("snappy")),
            ("br", Some("identity")),
        ] {
            let (body, coding) = encode(accept, plain.clone());
            assert_eq!(coding, want, "{accept}");
            let mut read = Vec::new();
            match coding {
                Some("gzip") => {
                    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut read).unwrap();
                }
                Some("snappy") => {
                    snap::read::FrameDecoder::new(&body[..]).read_to_end(&mut read).unwrap();
                }
                _ => read = body.clone(),
            }
            assert_eq!(read, plain, "{accept}");
            assert_eq!(matches!(coding, Some("gzip" | "snappy")), body.len() < plain.len());
        }
    }
}
