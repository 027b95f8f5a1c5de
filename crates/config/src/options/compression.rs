//! `compression` between servers (CONF-102).
//!
//! Laws: which modes exist is decided when the server starts (`normalized`), not while reading.
//! Reference: opts.go parseCompression; server.go validateAndNormalizeCompressionOption.

use super::reader::{Reader, array, quote, string};
use crate::diagnostic::Diagnostic;
use crate::lang::unit::{self, Nanos};
use crate::lang::{Token, Value};
use crate::suggest;

/// `compression` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// Mode by name; empty if unset.
    pub mode: String,
    /// Round-trip times from which the next stronger level is used.
    pub rtt_thresholds: Vec<Nanos>,
}

/// `compression` as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompressionMode {
    /// This server pretends not to know compression.
    NotSupported,
    /// No compression.
    Off,
    /// Whatever the other side asks for.
    Accept,
    /// By round-trip time: uncompressed, fast, better, best.
    Auto(Vec<Nanos>),
    /// Fast.
    Fast,
    /// Better.
    Better,
    /// Best.
    Best,
}

/// Why a compression setting cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// No such mode.
    #[error("unsupported compression mode {0}")]
    Unsupported(String),
    /// Thresholds that fall.
    #[error("RTT threshold values {0} should be in ascending order")]
    Order(String),
    /// More thresholds than levels.
    #[error("compression mode {0} should have no more than 4 RTT thresholds: {1}")]
    TooMany(String, String),
    /// Only zeros.
    #[error("compression mode {0} requires at least one RTT threshold")]
    None(String),
}

impl Compression {
    /// Whether anything was written.
    pub fn is_set(&self) -> bool {
        !self.mode.is_empty()
    }

    pub(super) fn read(&mut self, key: &str, on: &str, token: &Token, r: &mut Reader<'_>) {
        let read = self.try_read(key, on, token);
        r.keep(read);
    }

    fn try_read(&mut self, key: &str, on: &str, token: &Token) -> Result<(), Diagnostic> {
        const KEYS: &[&str] = &["mode", "rtt_thresholds", "thresholds", "rtts", "rtt"];
        let fail = |token: &Token, text: String| Err(Diagnostic::at(&token.position, text));
        match &token.value {
            Value::String(_) => self.mode = string(token)?,
            Value::Bool(true) => self.mode = on.into(),
            Value::Bool(false) => self.mode = "off".into(),
            Value::Map(map) => {
                for (key, token) in map.written() {
                    match key.to_lowercase().as_str() {
                        "mode" => self.mode = string(token)?,
                        "rtt_thresholds" | "thresholds" | "rtts" | "rtt" => {
                            for item in array(token)? {
                                match unit::duration(&string(item)?) {
                                    Ok(nanos) => self.rtt_thresholds.push(nanos),
                                    Err(e) => return fail(token, e.to_string()),
                                }
                            }
                        }
                        _ if token.used => {}
                        _ => {
                            let hint = suggest::suffix(key, KEYS);
                            return fail(token, format!("unknown field {}{hint}", quote(key)));
                        }
                    }
                }
            }
            other => {
                let (key, found) = (quote(key), other.type_name());
                return fail(
                    token,
                    format!("field {key} should be a boolean or a structure, got {found}"),
                );
            }
        }
        Ok(())
    }

    /// The mode to use; `on` is what "on" means here (`s2_fast` for routes, `s2_auto` for leafs),
    /// `unset` what no setting means.
    pub fn normalized(
        &self,
        on: CompressionMode,
        unset: CompressionMode,
    ) -> Result<CompressionMode, CompressionError> {
        match self.mode.to_lowercase().as_str() {
            "" => Ok(unset),
            "on" | "enabled" | "true" => match on {
                CompressionMode::Auto(_) => self.auto(),
                mode => Ok(mode),
            },
            "not supported" | "not_supported" => Ok(CompressionMode::NotSupported),
            "disabled" | "off" | "false" => Ok(CompressionMode::Off),
            "accept" => Ok(CompressionMode::Accept),
            "auto" | "s2_auto" => self.auto(),
            "fast" | "s2_fast" => Ok(CompressionMode::Fast),
            "better" | "s2_better" => Ok(CompressionMode::Better),
            "best" | "s2_best" => Ok(CompressionMode::Best),
            _ => Err(CompressionError::Unsupported(quote(&self.mode))),
        }
    }

    fn auto(&self) -> Result<CompressionMode, CompressionError> {
        if self.rtt_thresholds.is_empty() {
            return Ok(CompressionMode::Auto(Self::default_thresholds()));
        }
        let mut rtts: Vec<Nanos> = Vec::new();
        for rtt in &self.rtt_thresholds {
            let rtt = (*rtt).max(Nanos(0));
            // A zero anywhere says that this level is not used.
            if rtt != Nanos(0) && rtts.iter().any(|earlier| rtt < *earlier) {
                return Err(CompressionError::Order(self.thresholds_text()));
            }
            rtts.push(rtt);
        }
        let used = rtts.iter().rposition(|rtt| *rtt != Nanos(0)).map_or(0, |at| at + 1);
        rtts.truncate(used);
        match rtts.len() {
            0 => Err(CompressionError::None(quote(&self.mode))),
            1..=4 => Ok(CompressionMode::Auto(rtts)),
            _ => Err(CompressionError::TooMany(quote(&self.mode), self.thresholds_text())),
        }
    }

    /// 10, 50 and 100 ms.
    pub fn default_thresholds() -> Vec<Nanos> {
        [10, 50, 100].map(Nanos::from_millis).to_vec()
    }

    fn thresholds_text(&self) -> String {
        let all: Vec<String> = self.rtt_thresholds.iter().map(ToString::to_string).collect();
        format!("[{}]", all.join(" "))
    }
}
