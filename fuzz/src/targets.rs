//! Every target. A room that takes bytes from outside adds one here.

use crate::{Shape, Target};

/// All targets, by name.
pub const ALL: &[Target] = &[Target {
    name: "script",
    words: &["server", "client A", "A> ", "A< ", "A>> ", "| ", "GET /", "# contract: X-1\n", "\\x"],
    run: script,
}];

/// The target called `name`.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|t| t.name == name)
}

fn script(bytes: &[u8]) -> Shape {
    let text = String::from_utf8_lossy(bytes);
    match conformance::Script::parse("fuzz", &text) {
        Ok(script) => Shape::of("script").and(Shape::count(script.steps.len())),
        Err(why) => Shape::of(why.rsplit_once(": ").map_or(why.as_str(), |(reason, _)| reason)),
    }
}
