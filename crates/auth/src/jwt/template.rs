//! Templates of scoped signing keys: subjects with `{{name()}}` and the like, filled in for a user.
//!
//! Laws: what one entry or list grows to is bounded; an allow entry whose value is missing or makes
//!       no subject is left out, a deny entry refuses the user; a list that lost every allow entry
//!       allows nothing.
//! Reference: auth.go processUserPermissionsTemplate.   Contract: AUTH-013.

use super::limits::UserLimits;
use stdx::go_text::quote;

/// Subjects a list may grow to.
const MOST: usize = 4096;

/// What templates are filled in with.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The user's name.
    pub name: &'a str,
    /// Its key.
    pub subject: &'a str,
    /// Its tags.
    pub tags: &'a [String],
    /// The account's name.
    pub account_name: &'a str,
    /// The account's key.
    pub account_subject: &'a str,
    /// The account's tags.
    pub account_tags: &'a [String],
}

/// Why a template cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A deny entry names a tag that the user lacks.
    #[error("generated invalid subject {}: {} is not defined", quote(.0.as_bytes()), quote(.1.as_bytes()))]
    NoTag(String, String),
    /// A deny entry makes no subject.
    #[error("generated invalid subject")]
    BadSubject,
    /// There is no such function.
    #[error("template operation in {}: {} is not defined", quote(.0.as_bytes()), quote(.1.as_bytes()))]
    NoFunction(String, String),
    /// Too many subjects come of it.
    #[error("template expansion exceeds limit: 4096")]
    TooMany,
}

/// The limits of a scope, filled in.
///
/// # Errors
/// A list cannot be filled in; the user must not come in.
pub fn fill(template: &UserLimits, values: Values<'_>) -> Result<UserLimits, TemplateError> {
    let mut limits = template.clone();
    for side in [&mut limits.subscribe, &mut limits.publish] {
        let had = !side.allow.is_empty();
        side.allow = fill_list(&side.allow, false, values)?;
        side.deny = fill_list(&side.deny, true, values)?;
        if had && side.allow.is_empty() && !side.deny.iter().any(|entry| entry == ">") {
            side.deny.push(">".to_owned());
        }
    }
    Ok(limits)
}

fn fill_list(
    list: &[String],
    strict: bool,
    values: Values<'_>,
) -> Result<Vec<String>, TemplateError> {
    if !list.iter().any(|entry| next_call(entry).is_some()) {
        return Ok(list.to_vec());
    }
    let mut out = Vec::new();
    for entry in list {
        fill_entry(entry, strict, values, &mut out)?;
    }
    Ok(out)
}

/// The first `{{…}}`: where it begins and ends, and what is inside.
fn next_call(text: &str) -> Option<(usize, usize, &str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find("{{")?;
        let inside = text.get(start + 2..)?;
        let len = inside.find('}')?;
        if len > 0 && inside.get(len..)?.starts_with("}}") {
            return Some((start, start + 2 + len + 2, inside.get(..len)?));
        }
        from = start + 1;
    }
}

fn fill_entry(
    entry: &str,
    strict: bool,
    values: Values<'_>,
    out: &mut Vec<String>,
) -> Result<(), TemplateError> {
    let mut parts: Vec<(&str, Vec<String>)> = Vec::new();
    let mut rest = entry;
    while let Some((start, end, call)) = next_call(rest) {
        let before = rest.get(..start).unwrap_or_default();
        parts.push((before, call_values(entry, call.trim(), strict, values)?));
        rest = rest.get(end..).unwrap_or_default();
    }
    let mut count = 1usize;
    for (_, values) in &parts {
        count = count.saturating_mul(values.len());
    }
    if count > MOST || out.len() > MOST - count {
        return Err(TemplateError::TooMany);
    }
    for number in 0..count {
        let subject = combine(&parts, rest, number);
        if subject::is_valid(subject.as_bytes()) {
            out.push(subject);
        } else if strict {
            return Err(TemplateError::BadSubject);
        }
    }
    Ok(())
}

/// The `number`th combination; the last value changes first.
fn combine(parts: &[(&str, Vec<String>)], tail: &str, mut number: usize) -> String {
    let mut chosen = vec![""; parts.len()];
    for (at, (_, values)) in parts.iter().enumerate().rev() {
        let len = values.len().max(1);
        chosen[at] = values.get(number % len).map_or("", String::as_str);
        number /= len;
    }
    let mut subject = String::new();
    for ((before, _), value) in parts.iter().zip(chosen) {
        subject.push_str(before);
        subject.push_str(value);
    }
    subject.push_str(tail);
    subject
}

fn call_values(
    entry: &str,
    call: &str,
    strict: bool,
    values: Values<'_>,
) -> Result<Vec<String>, TemplateError> {
    let one = |text: &str| Ok(vec![text.to_owned()]);
    let argument = |name: &str| {
        let head = call.get(..name.len())?;
        let rest = call.get(name.len()..)?;
        head.eq_ignore_ascii_case(name).then_some(rest)?.strip_suffix(')')
    };
    if call.eq_ignore_ascii_case("name()") {
        return one(values.name);
    } else if call.eq_ignore_ascii_case("subject()") {
        return one(values.subject);
    } else if call.eq_ignore_ascii_case("account-name()") {
        return one(values.account_name);
    } else if call.eq_ignore_ascii_case("account-subject()") {
        return one(values.account_subject);
    }
    let (tags, key) = if let Some(key) = argument("tag(") {
        (values.tags, key)
    } else if let Some(key) = argument("account-tag(") {
        (values.account_tags, key)
    } else {
        return Err(TemplateError::NoFunction(entry.to_owned(), call.to_owned()));
    };
    let prefix = format!("{}:", key.to_lowercase());
    let found: Vec<String> =
        tags.iter().filter_map(|tag| tag.strip_prefix(&prefix)).map(str::to_owned).collect();
    match (found.is_empty(), strict) {
        (false, _) => Ok(found),
        (true, true) => Err(TemplateError::NoTag(entry.to_owned(), key.to_owned())),
        // Makes no subject of the entry.
        (true, false) => one(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::limits::Subjects;

    fn values<'a>(tags: &'a [String], account_tags: &'a [String]) -> Values<'a> {
        Values {
            name: "bob",
            subject: "UBOB",
            tags,
            account_name: "acme",
            account_subject: "AACME",
            account_tags,
        }
    }

    fn list(of: &[&str]) -> Vec<String> {
        of.iter().map(|s| (*s).to_owned()).collect()
    }

    fn filled(allow: &[&str], deny: &[&str]) -> Result<Subjects, TemplateError> {
        let tags = list(&["dept:one", "dept:two", "role:x", "bad:a b"]);
        let account_tags = list(&["acct:red", "acct:blue"]);
        let template = UserLimits {
            publish: Subjects { allow: list(allow), deny: list(deny) },
            ..UserLimits::default()
        };
        fill(&template, values(&tags, &account_tags)).map(|limits| limits.publish)
    }

    // Contract: AUTH-013
    #[test]
    fn functions_are_filled_in() {
        let got = filled(
            &[
                "plain",
                "{{name()}}.{{ Subject() }}.x",
                "{{account-name()}}.{{account-subject()}}",
                "t.{{tag(dept)}}.{{account-tag(ACCT)}}",
                "{{tag(none)}}.gone",
                "{{tag(bad)}}.gone",
            ],
            &["{{tag(role)}}.no"],
        )
        .unwrap();
        let want = [
            "plain",
            "bob.UBOB.x",
            "acme.AACME",
            "t.one.red",
            "t.one.blue",
            "t.two.red",
            "t.two.blue",
        ];
        assert_eq!(got.allow, want);
        assert_eq!(got.deny, ["x.no"]);
    }

    // Contract: AUTH-013
    #[test]
    fn what_cannot_be_filled_in_takes_nothing_away() {
        let got = filled(&["{{tag(none)}}.x"], &[]).unwrap();
        assert_eq!((got.allow, got.deny), (Vec::new(), list(&[">"])));
        let no_tag = TemplateError::NoTag("{{tag(none)}}.x".into(), "none".into());
        assert_eq!(filled(&[], &["{{tag(none)}}.x"]), Err(no_tag));
        assert_eq!(filled(&[], &["{{tag(bad)}}.x"]), Err(TemplateError::BadSubject));
        let no_function = TemplateError::NoFunction("{{what()}}".into(), "what()".into());
        assert_eq!(filled(&["{{what()}}"], &[]), Err(no_function));
        assert_eq!(filled(&["{{}}", "a.{{b", "{name()}"], &[]).unwrap().allow.len(), 3);
    }

    // Contract: AUTH-013
    #[test]
    fn tags_multiply_only_so_far() {
        let tags: Vec<String> = (0..17).map(|n| format!("t:{n}")).collect();
        let template = |entry: &str| UserLimits {
            publish: Subjects { allow: list(&[entry]), deny: Vec::new() },
            ..UserLimits::default()
        };
        let two = fill(&template("{{tag(t)}}.{{tag(t)}}"), values(&tags, &[])).unwrap();
        assert_eq!(two.publish.allow.len(), 17 * 17);
        let three = fill(&template("{{tag(t)}}.{{tag(t)}}.{{tag(t)}}"), values(&tags, &[]));
        assert_eq!(three, Err(TemplateError::TooMany));
    }
}
