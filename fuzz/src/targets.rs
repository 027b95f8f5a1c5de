//! Every target. A room that takes bytes from outside adds one here.

mod configuration;
mod protocol;
mod subjects;

use crate::{Shape, Target};

/// All targets, by name.
pub const ALL: &[Target] = &[
    protocol::PARSER,
    protocol::CONNECT,
    protocol::HEADERS,
    configuration::CONFIG,
    configuration::FLAGS,
    configuration::NAMES,
    subjects::MAPPING,
    subjects::MATCHING,
    SCRIPT,
];

/// The target called `name`.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|t| t.name == name)
}

/// The language of conformance scripts.
const SCRIPT: Target = Target {
    name: "script",
    words: &["server", "client A", "A> ", "A< ", "A>> ", "| ", "GET /", "# contract: X-1\n", "\\x"],
    run: |bytes| match conformance::Script::parse("fuzz", &String::from_utf8_lossy(bytes)) {
        Ok(script) => Shape::of("script").and(Shape::count(script.steps.len())),
        Err(why) => Shape::of(why.rsplit_once(": ").map_or(why.as_str(), |(reason, _)| reason)),
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (i, target) in ALL.iter().enumerate() {
            assert!(ALL[..i].iter().all(|t| t.name != target.name), "{} twice", target.name);
        }
    }
}
