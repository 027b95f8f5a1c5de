//! Names of streams and consumers, and the names by which a stream tells its sources apart.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::metadata::Metadata;
use crate::stream_config::StreamSource;

/// Bytes of a name.
pub const MAX_NAME: usize = 255;
/// Bytes of a description.
pub const MAX_DESCRIPTION: usize = 4096;
/// Bytes of all keys and values of metadata.
pub const MAX_METADATA: usize = 128 * 1024;

/// True for a name that can be a token of a subject and a directory.
pub fn is_asset_name(name: &str) -> bool {
    let illegal =
        |b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0x0c | b'.' | b'*' | b'>' | b'\\' | b'/');
    !name.is_empty() && !name.bytes().any(illegal)
}

/// Bytes of all keys and values.
pub(crate) fn metadata_len(metadata: &Metadata) -> usize {
    metadata.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// Eight letters and digits that stand for a name wherever it would be too long or secret.
pub fn short_hash(name: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha256::digest(name.as_bytes());
    let digit = |b: &u8| DIGITS.get(usize::from(*b) % DIGITS.len()).map_or('0', |d| char::from(*d));
    digest.iter().take(8).map(digit).collect()
}

/// The name of a source in `Nats-Stream-Source` and among its siblings:
/// `stream[:hash][:C=hash] filters dests`, lists joined by form feeds.
pub fn source_index_name(source: &StreamSource) -> String {
    let mut name = base_name(source);
    if let Some(consumer) = &source.consumer {
        let _ = write!(name, ":C={}", short_hash(&consumer.name));
    }
    let or_all = |text: &str| if text.is_empty() { ">".to_owned() } else { text.to_owned() };
    if source.subject_transforms.is_empty() {
        let _ = write!(name, " {} >", or_all(&source.filter_subject));
        return name;
    }
    let joined = |part: fn(&crate::SubjectTransformConfig) -> &str| {
        let parts: Vec<_> = source.subject_transforms.iter().map(|t| or_all(part(t))).collect();
        parts.join("\u{c}")
    };
    let _ = write!(name, " {} {}", joined(|t| &t.src), joined(|t| &t.dest));
    name
}

/// What tells two durable sourcing consumers apart.
pub fn consumer_source_key(source: &StreamSource) -> String {
    let consumer = source.consumer.as_ref().map_or("", |c| c.name.as_str());
    format!("{} {consumer}", base_name(source))
}

fn base_name(source: &StreamSource) -> String {
    match &source.external {
        Some(external) => format!("{}:{}", source.name, short_hash(&external.api)),
        None => source.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExternalStream, StreamConsumerSource, SubjectTransformConfig};

    #[test]
    fn names_are_single_tokens_without_path_separators() {
        for good in ["a", "A-b_9", "ü", "a\u{b}b", "$x"] {
            assert!(is_asset_name(good), "{good:?}");
        }
        for bad in ["", "a b", "a.b", "*", "a>", "a/b", "a\\b", "a\tb", "a\u{c}b", "a\n"] {
            assert!(!is_asset_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn short_hashes_are_the_servers() {
        // The node id of a server named n1.
        assert_eq!(short_hash("n1"), "fjFyEjc1");
    }

    #[test]
    fn sources_are_told_apart_by_everything_that_selects() {
        let mut source = StreamSource { name: "S".into(), ..StreamSource::default() };
        assert_eq!(source_index_name(&source), "S > >");
        source.filter_subject = "a.>".into();
        assert_eq!(source_index_name(&source), "S a.> >");
        source.filter_subject.clear();
        source.subject_transforms = vec![
            SubjectTransformConfig { src: "a".into(), dest: "b".into() },
            SubjectTransformConfig { src: String::new(), dest: String::new() },
        ];
        assert_eq!(source_index_name(&source), "S a\u{c}> b\u{c}>");
        source.subject_transforms.clear();
        source.external = Some(ExternalStream { api: "n1".into(), deliver: String::new() });
        source.consumer =
            Some(StreamConsumerSource { name: "n1".into(), deliver_subject: "d".into() });
        assert_eq!(source_index_name(&source), "S:fjFyEjc1:C=fjFyEjc1 > >");
        assert_eq!(consumer_source_key(&source), "S:fjFyEjc1 n1");
    }
}
