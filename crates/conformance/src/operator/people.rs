//! Users and accounts as a seed makes them: mostly good, each odd in one or two ways.

use nkeys::KeyPair;
use serde_json::{Value, json};

use super::world::{World, claims, free, merge, token, unlimited};
use crate::random::Random;

/// Subjects that probes are about.
pub(super) const SUBJECTS: &[&str] = &[
    "a", "a.b", "b", "st.x", "st.y", "svc.x", "svc.y", "imp.x", "to.x", "m.1", "m.2", "u.ann.x",
    "u.bob.x", "lat", "tr",
];

/// Subjects that are subscribed to.
pub(super) const FILTERS: &[&str] = &[
    ">", "a", "a.*", "*", "st.x", "st.>", "svc.x", "svc.*", "imp.>", "to.*", "m.*", "m.1", "u.*.x",
    "u.ann.>", "lat", "$SYS.>",
];

/// `15:04:05` so many seconds after `now`.
fn clock(now: i64, after: i64) -> String {
    let second = (now + after).rem_euclid(24 * 3600);
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// One odd thing in a user's token: its name, and what it changes under `nats` and beside that.
fn oddity(r: &mut Random, now: i64) -> (&'static str, Value, Value) {
    let hour = 3600;
    let none = json!({});
    match r.below(42) {
        0 => ("expired", none, json!({"exp": now - 10})),
        1 => ("expires late", none, json!({"exp": now + hour})),
        2 => ("not yet", none, json!({"nbf": now + hour})),
        3 => ("already", none, json!({"nbf": now - hour})),
        4 => ("long ago", none, json!({"iat": now - 1000})),
        5 => ("never issued", none, json!({"iat": 0})),
        6 | 7 => ("bearer", json!({"bearer_token": true}), none),
        8 | 9 => {
            let kinds: &[&Value] = &[
                &json!(["STANDARD"]),
                &json!(["standard", "WEBSOCKET"]),
                &json!(["WEBSOCKET"]),
                &json!(["MQTT", "bogus"]),
                &json!(["bogus"]),
                &json!(["bogus", "STANDARD"]),
                &json!(["IN_PROCESS", "LEAFNODE"]),
                &json!([""]),
            ];
            ("connection types", json!({"allowed_connection_types": r.of(kinds)}), none)
        }
        10 | 11 => {
            let networks: &[&Value] = &[
                &json!(["127.0.0.0/8"]),
                &json!(["10.0.0.0/8"]),
                &json!(["10.0.0.0/8", "127.0.0.1/32"]),
                &json!("10.0.0.0/8,127.0.0.1/32"),
                &json!("127.0.0.1/32, 10.0.0.0/8"),
                &json!(["::ffff:127.0.0.0/104"]),
                &json!(["::ffff:127.0.0.1/128"]),
                &json!(["::ffff:127.0.0.0/8"]),
                &json!(["::/0"]),
                &json!(["0.0.0.0/0"]),
                &json!(["127.0.0.1"]),
                &json!(["nonsense", "127.0.0.0/8"]),
                &json!(["127.0.0.0/8", "nonsense"]),
                &json!([""]),
                &json!(""),
            ];
            ("networks", json!({"src": r.of(networks)}), none)
        }
        12..=14 => {
            let (a, b) = (clock(now, -2 * hour), clock(now, 2 * hour));
            let (c, d) = (clock(now, 3 * hour), clock(now, 4 * hour));
            let times: &[&Value] = &[
                &json!([{"start": a, "end": b}]),
                &json!([{"start": b, "end": a}]),
                &json!([{"start": c, "end": d}]),
                &json!([{"start": c, "end": d}, {"start": a, "end": b}]),
                &json!([{"start": a}]),
                &json!([{"start": "x", "end": "y"}]),
                &json!([]),
            ];
            let mut body = json!({"times": r.of(times)});
            if r.one_in(2) {
                let zones: &[&str] = &["UTC", "America/New_York", "Nowhere/None", "Local", ""];
                body["times_location"] = r.of(zones).into();
            }
            ("times", body, none)
        }
        15 => ("zone without times", json!({"times_location": "America/New_York"}), none),
        16 => ("no such zone", json!({"times_location": "Nowhere/None"}), none),
        17 | 18 => ("subs", json!({"subs": r.of(&[&0, &1, &2, &-2])}), none),
        19 | 20 => ("payload", json!({"payload": r.of(&[&0, &1, &5, &99_999_999])}), none),
        21 => ("data", json!({"data": r.of(&[&0, &10, &-2])}), none),
        22..=25 => ("publish", json!({"pub": subjects(r)}), none),
        26..=29 => ("subscribe", json!({"sub": filters(r)}), none),
        30 | 31 => {
            let ways: &[&Value] = &[
                &json!({"max": 1, "ttl": 0}),
                &json!({"max": 0, "ttl": 0}),
                &json!({"max": 2, "ttl": 60_000_000_000u64}),
                &json!({"max": -1, "ttl": -1}),
            ];
            ("answers", json!({"resp": r.of(ways), "pub": subjects(r)}), none)
        }
        32 => ("audience", none, json!({"aud": "somebody"})),
        33 => ("tags", json!({"tags": ["team:red", "a"]}), none),
        34 => ("no name", none, json!({"name": ""})),
        35 => ("name with a blank", none, json!({"name": "a b"})),
        36 => ("through a proxy", json!({"proxy_required": true}), none),
        37 => ("another kind", json!({"type": "account"}), none),
        38 => ("version", json!({"version": r.of(&[&0, &1, &3])}), none),
        39 => ("a wrong type", json!({"subs": "many"}), none),
        40 => ("nobody's key", none, json!({"sub": "UNOBODY"})),
        _ => ("no subject", none, json!({"sub": ""})),
    }
}

fn subjects(r: &mut Random) -> Value {
    let mut some = || json!([r.of(FILTERS), r.of(SUBJECTS)]);
    let (allow, deny) = (some(), some());
    list(r, &allow, &deny)
}

fn filters(r: &mut Random) -> Value {
    let mut one = || match r.below(5) {
        0 => json!([format!("{} q", r.of(FILTERS))]),
        1 => json!([format!("{} q.*", r.of(FILTERS)), r.of(FILTERS)]),
        _ => json!([r.of(FILTERS), r.of(FILTERS)]),
    };
    let (allow, deny) = (one(), one());
    list(r, &allow, &deny)
}

fn list(r: &mut Random, allow: &Value, deny: &Value) -> Value {
    match r.below(4) {
        0 => json!({"deny": deny}),
        1 => json!({"allow": allow, "deny": deny}),
        2 => json!({"allow": ["in.>", allow[0]]}),
        _ => json!({"allow": allow}),
    }
}

/// Makes a user, and tells which one it is.
pub(super) fn user(r: &mut Random, world: &mut World) -> usize {
    let at = 1 + r.below(3) as usize;
    let name = r.of(&["ann", "bob", "a.b", "ann"]).to_owned();
    let (mut body, mut frame) = (free(), json!({"name": name}));
    let mut label = String::new();
    // An operator that wants signing keys wants them of accounts, too.
    let signer = if world.strict && r.one_in(2) { 4 } else { r.below(12) };
    let scoped = signer < 3 && world.accounts[at].body.pointer("/signing_keys/1").is_some();
    if scoped {
        body = json!({"pub": {}, "sub": {}});
        if r.one_in(2) {
            body["tags"] = json!(["team:red", "team:blue", "x"]);
        }
        label.push_str("scoped ");
    }
    let odd = if scoped { u64::from(r.one_in(4)) } else { [0, 0, 0, 1, 1, 2][r.below(6) as usize] };
    for _ in 0..odd {
        let (what, under, beside) = oddity(r, world.now);
        merge(&mut body, &under);
        merge(&mut frame, &beside);
        label.push_str(&format!("{what}: {under} {beside} "));
    }
    let kind = body.as_object_mut().and_then(|body| body.shift_remove("type"));
    let version = body.as_object_mut().and_then(|body| body.shift_remove("version"));
    let issued = frame["iat"].as_i64().unwrap_or(world.now - 60);
    let odd_issuer = r.below(5);
    label.push_str(match signer {
        0..3 if !scoped => "of the scoped key, which is none (yet) ",
        3..5 => "by the signing key ",
        5 => "by another's key ",
        _ => "",
    });
    world.add_user(r, &format!("{} {name} {label}", world_name(at)), |world, key| {
        let account = &world.accounts[at];
        let by: &KeyPair = match signer {
            0..3 => &account.scoped,
            3..5 => &account.signing,
            5 => &world.accounts[1 + at % 3].key,
            _ => &account.key,
        };
        if signer < 5 {
            body["issuer_account"] = account.id().into();
        } else if signer == 5 {
            match odd_issuer {
                0 => body["issuer_account"] = account.id().into(),
                1 => body["issuer_account"] = "nobody".into(),
                _ => {}
            }
        }
        let mut all = claims("user", &by.public_key(), key, issued, &body, &frame);
        if let Some(kind) = kind {
            all["nats"]["type"] = kind;
        }
        if let Some(version) = version {
            all["nats"]["version"] = version;
        }
        token(by, &all)
    })
}

/// Makes a user whose token limits nothing.
pub(super) fn plain(r: &mut Random, world: &mut World, at: usize) -> usize {
    world.add_user(r, world_name(at), |world, key| {
        let (by, mut body) = (&world.accounts[at].signing, free());
        body["issuer_account"] = world.accounts[at].id().into();
        let name = json!({"name": "ann"});
        token(by, &claims("user", &by.public_key(), key, world.now - 60, &body, &name))
    })
}

fn world_name(at: usize) -> &'static str {
    ["SYS", "A", "B", "C"][at]
}

/// Changes what an account's token says, and tells what.
pub(super) fn change(r: &mut Random, world: &mut World, at: usize) -> String {
    if r.one_in(8) {
        let name = world.accounts[at].name;
        world.accounts[at].body = unlimited(&world.accounts[at].signing);
        world.accounts[at].frame = json!({"name": name});
        return "as at first".into();
    }
    let (what, pointer, value) = match r.below(30) {
        0 | 1 => ("conn", "limits/conn", json!(r.of(&[&0, &1, &2, &-1, &-1]))),
        2 | 3 => ("subs", "limits/subs", json!(r.of(&[&0, &1, &3, &-1, &-1, &-2]))),
        4 | 5 => ("payload", "limits/payload", json!(r.of(&[&0, &4, &20, &-1, &-1]))),
        6 => ("leaf", "limits/leaf", json!(r.of(&[&0, &1, &-1]))),
        7 => ("data", "limits/data", json!(r.of(&[&0, &1, &-1]))),
        8 => ("bearers", "limits/disallow_bearer", json!(r.one_in(2))),
        9 => ("imports", "limits/imports", json!(r.of(&[&0, &1, &-1, &-1]))),
        10 => ("exports", "limits/exports", json!(r.of(&[&0, &1, &-1, &-1]))),
        11 => ("wildcards", "limits/wildcards", json!(r.one_in(2))),
        12..=14 => ("revocations", "revocations", revocations(r, world)),
        15..=17 => {
            let mut permissions = json!({"pub": subjects(r), "sub": filters(r)});
            if r.one_in(3) {
                permissions = json!({"pub": {}, "sub": {}});
            }
            ("permissions", "default_permissions", permissions)
        }
        18..=20 => ("signing keys", "signing_keys", signing_keys(r, world, at)),
        21..=23 => ("exports", "exports", exports(r, world)),
        24..=27 => ("imports", "imports", imports(r, world, at)),
        28 => ("mappings", "mappings", mappings(r)),
        _ => return frame(r, world, at),
    };
    let label = format!("{what} {value}");
    put(&mut world.accounts[at].body, pointer, value);
    label
}

fn put(body: &mut Value, pointer: &str, value: Value) {
    match pointer.split_once('/') {
        Some((first, second)) => body[first][second] = value,
        None => body[pointer] = value,
    }
}

/// Changes what is not under `nats`.
fn frame(r: &mut Random, world: &mut World, at: usize) -> String {
    let now = world.now;
    let change = match r.below(6) {
        0 => json!({"exp": now + 3600}),
        1 => json!({"exp": now - 5}),
        2 => json!({"nbf": now + 3600}),
        3 => json!({"name": "another"}),
        _ => json!({"exp": 0, "nbf": 0}),
    };
    merge(&mut world.accounts[at].frame, &change);
    change.to_string()
}

fn revocations(r: &mut Random, world: &World) -> Value {
    let mut all = json!({});
    for _ in 0..=r.below(2) {
        let times = [world.now, world.now - 30, world.now - 100];
        let until = times[r.below(3) as usize];
        let whom = match r.below(5) {
            0 => "*".to_owned(),
            _ => {
                let at = 1 + r.below(world.users.len() as u64) as usize;
                world.users.get(at).map_or("*".to_owned(), |user| user.key.public_key())
            }
        };
        all[whom] = until.into();
    }
    if r.one_in(4) { json!({}) } else { all }
}

fn signing_keys(r: &mut Random, world: &World, at: usize) -> Value {
    let account = &world.accounts[at];
    let plain = json!(account.signing.public_key());
    let mut template = free();
    let templates: &[&str] = &[
        "u.{{name()}}.>",
        "u.{{tag(team)}}.>",
        "u.{{account-name()}}.x",
        "{{subject()}}.x",
        "{{account-subject()}}",
        "u.{{tag(none)}}.x",
        "u.{{account-tag(team)}}.x",
        "u.{{nonsense()}}.x",
        "a",
    ];
    for side in ["pub", "sub"] {
        if r.one_in(2) {
            template[side] = json!({r.of(&["allow", "allow", "deny"]): [r.of(templates), "st.>"]});
        }
    }
    if r.one_in(3) {
        let (_, under, _) = oddity(r, world.now);
        merge(&mut template, &under);
        for odd in ["type", "version", "tags"] {
            template.as_object_mut().and_then(|all| all.shift_remove(odd));
        }
    }
    let scope = json!({
        "kind": "user_scope", "key": account.scoped.public_key(), "role": "r", "template": template,
    });
    match r.below(6) {
        0 => json!([plain]),
        1 => json!([]),
        _ => json!([plain, scope]),
    }
}

fn exports(r: &mut Random, world: &World) -> Value {
    let mut all = Vec::new();
    for _ in 0..r.below(3) + 1 {
        let service = r.one_in(2);
        let subject = if service {
            r.of(&["svc.x", "svc.*", "svc.>"])
        } else {
            r.of(&["st.x", "st.*", "st.>", "a"])
        };
        let kind = if service { "service" } else { "stream" };
        let mut export = json!({"name": subject, "subject": subject, "type": kind});
        match r.below(12) {
            0..3 => export["token_req"] = true.into(),
            3 if service => export["response_type"] = r.of(&["Stream", "Chunked", "Odd"]).into(),
            4 if service => {
                export["service_latency"] = json!({"sampling": 100, "results": "lat"});
            }
            5 => export["account_token_position"] = 2.into(),
            6 => {
                let importer = world.accounts[1 + r.below(3) as usize].id();
                export["revocations"] = json!({importer: world.now});
                export["token_req"] = true.into();
            }
            7 if service => export["response_threshold"] = json!(r.of(&[&1, &1_000_000_000])),
            8 => export["advertise"] = true.into(),
            9 => export["allow_trace"] = true.into(),
            _ => {}
        }
        all.push(export);
    }
    all.into()
}

fn imports(r: &mut Random, world: &World, at: usize) -> Value {
    let mut all = Vec::new();
    for _ in 0..r.below(3) + 1 {
        let from = match r.below(9) {
            0 => at,
            _ => 1 + (at + r.below(2) as usize) % 3,
        };
        let service = r.one_in(2);
        let kind = if service { "service" } else { "stream" };
        let subject = if service {
            r.of(&["svc.x", "svc.y", "svc.*", "svc.>"])
        } else {
            r.of(&["st.x", "st.*", "st.>", "a"])
        };
        let exporter = &world.accounts[from];
        let mut import =
            json!({"name": subject, "subject": subject, "account": exporter.id(), "type": kind});
        match r.below(8) {
            0 if !subject.contains('*') && !subject.contains('>') => import["to"] = "to.x".into(),
            1 if !subject.contains('*') && !subject.contains('>') => {
                import["local_subject"] = "imp.x".into();
            }
            2 | 3 if subject.ends_with(".*") => import["local_subject"] = "imp.$1".into(),
            4 if !service => import["to"] = "to".into(),
            5 => import["share"] = true.into(),
            6 => import["allow_trace"] = true.into(),
            7 if subject.ends_with(".>") => import["local_subject"] = "imp.>".into(),
            _ => {}
        }
        if r.one_in(2) {
            import["token"] = activation(r, world, at, from, subject, kind).into();
        }
        all.push(import);
    }
    all.into()
}

fn activation(
    r: &mut Random,
    world: &World,
    importer: usize,
    exporter: usize,
    subject: &str,
    kind: &str,
) -> String {
    let (from, to) = (&world.accounts[exporter], &world.accounts[importer]);
    let mut body = json!({"subject": subject, "kind": kind});
    let mut frame = json!({"name": subject});
    let (mut by, mut whom) = (&from.key, to.id());
    match r.below(10) {
        0 => frame["exp"] = (world.now - 10).into(),
        1 => frame["exp"] = (world.now + 3600).into(),
        2 => body["subject"] = r.of(&["st.>", "svc.>", "other"]).into(),
        3 => by = &world.accounts[1 + exporter % 3].key,
        4 => whom = world.accounts[1 + importer % 3].id(),
        5 => {
            by = &from.signing;
            body["issuer_account"] = from.id().into();
        }
        6 => frame["nbf"] = (world.now + 3600).into(),
        7 => return "nonsense".into(),
        _ => {}
    }
    let issuer = by.public_key();
    token(by, &claims("activation", &issuer, &whom, world.now - 20, &body, &frame))
}

fn mappings(r: &mut Random) -> Value {
    let all: &[&Value] = &[
        &json!({}),
        &json!({"m.1": [{"subject": "m.2"}]}),
        &json!({"m.*": [{"subject": "a.{{wildcard(1)}}"}]}),
        &json!({"m.1": [{"subject": "a", "weight": 100}]}),
        &json!({"m.1": [{"subject": "a", "weight": 60}, {"subject": "b", "weight": 60}]}),
        &json!({"m.1": []}),
        &json!({"svc.x": [{"subject": "svc.y"}], "a": [{"subject": "st.x"}]}),
    ];
    r.of(all).clone()
}
