//! Values as the reference prints them, and values that are nobody's business.

use std::fmt::{Debug, Display, Write};

/// Begins the text of a value that is compared but not shown.
const HIDDEN: char = '\u{0}';

/// A text that may be absent.
pub(super) fn text(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}

/// A number that may be absent, and then is zero.
pub(super) fn number(value: Option<i64>) -> String {
    value.unwrap_or(0).to_string()
}

pub(super) fn switch(on: bool) -> String {
    on.to_string()
}

pub(super) fn time(value: std::time::Duration) -> String {
    stdx::go_text::duration(value)
}

/// A list, as Go prints one.
pub(super) fn list<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    format!("[{}]", values.join(" "))
}

/// A map, as Go prints one.
pub(super) fn map<K: Display, V: Display>(values: impl IntoIterator<Item = (K, V)>) -> String {
    let mut out = String::from("map[");
    for (n, (key, value)) in values.into_iter().enumerate() {
        let _ = write!(out, "{}{key}:{value}", if n == 0 { "" } else { " " });
    }
    out.push(']');
    out
}

/// A value that is compared but not shown: it may hold a secret, or be a whole section.
pub(super) fn hidden<T: Debug>(value: &T) -> String {
    format!("{HIDDEN}{value:?}")
}

/// Why an option is not followed.
pub(super) fn refusal(field: &str, old: &str, new: &str) -> String {
    let shown = |value: &str| match value.strip_prefix(HIDDEN) {
        None => value.to_owned(),
        Some("None" | "[]" | "{}" | "\"\"") => "[none]".to_owned(),
        Some(_) => "[not shown]".to_owned(),
    };
    format!("config reload not supported for {field}: old={}, new={}", shown(old), shown(new))
}
