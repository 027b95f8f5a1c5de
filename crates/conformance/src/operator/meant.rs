//! Differences that docs/differences.md names.

/// Whether the reference closed a client that has as many subscriptions as a changed account allows;
/// who has more goes in both.
pub(super) fn is_full(theirs: &str, mine: &str) -> bool {
    let full = |text: &str| text.matches("Maximum Subscriptions Exceeded").count();
    full(theirs) > full(mine)
}

/// Both texts without what may differ.
pub(super) fn without(theirs: &str, mine: &str) -> (String, String) {
    let lines = theirs.lines().map(|line| {
        // The token of a bearer, and one that may be a bearer's, is shown to nobody here.
        let tells = line.starts_with("event ") || line.starts_with("  $SYS.");
        if tells && !mine.lines().any(|own| own == line) {
            let bare = without_token(line);
            if mine.lines().any(|own| own == bare) {
                return bare;
            }
        }
        line.to_owned()
    });
    let mut theirs: Vec<String> = lines.map(|line| without_api(&line)).collect();
    let mut mine: Vec<String> = mine.lines().map(str::to_owned).collect();
    // A client that goes with something unread resets the connection, or not.
    for line in theirs.iter_mut().chain(&mut mine) {
        *line = line.replace("\"reason\":\"Read Error\"", "\"reason\":\"Client Closed\"");
    }
    // Texts of Go's JSON.
    if let (Some(theirs), Some(mine)) = (theirs.first_mut(), mine.first())
        && theirs.contains(" - json: ")
        && mine.starts_with("answer {\"error\"")
    {
        theirs.clone_from(mine);
    }
    // Limits below zero are nothing, and shown so.
    for line in &mut theirs {
        *line = line.replace("\"max_payload\":-2", "\"max_payload\":0");
    }
    // Who may have no subscription goes; there a moment later, here at once.
    let goes = |side: &[String]| side.iter().any(|line| line.contains(EXCEEDED));
    if goes(&theirs) && goes(&mine) {
        for side in [&mut theirs, &mut mine] {
            side.retain(|line| !line.starts_with("  INFO") && !line.starts_with("  +OK"));
        }
    }
    // Who finds no room at all need not be told that it could not subscribe either.
    if mine.iter().any(|line| line.contains("maximum account active connections exceeded")) {
        theirs.retain(|line| !line.contains(EXCEEDED));
    }
    // What is left of an account that ended or was deleted.
    for line in theirs.iter_mut().chain(&mut mine) {
        if line.starts_with("answer ")
            && line.contains("\"expired\":true")
            && let Some(at) = line.find("\"subscriptions\":")
        {
            line.truncate(at);
        }
    }
    // Which order events come in is nobody's business.
    for side in [&mut theirs, &mut mine] {
        let events = side.iter().take_while(|line| !line.starts_with("event ")).count();
        side[events..].sort();
    }
    (theirs.join("\n"), mine.join("\n"))
}

const EXCEEDED: &str = "-ERR 'maximum subscriptions exceeded'";

/// Accounts import JetStream's API from the system account there.
fn without_api(line: &str) -> String {
    const START: &str = "{\"subject\":\"$JS.API.>\"";
    let mut line = line.to_owned();
    while let Some(at) = line.find(START)
        && let Some(length) = line[at..].find("},")
    {
        line.replace_range(at..at + length + 2, "");
    }
    line
}

fn without_token(line: &str) -> String {
    let Some(at) = line.find("\"jwt\":\"") else { return line.to_owned() };
    let (before, from) = line.split_at(at);
    let Some(end) = from.find("\",") else { return line.to_owned() };
    format!("{before}{}", &from[end + 2..])
}
