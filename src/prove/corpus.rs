//! Requests with the answers that the contract gives them.
//!
//! In: a `requests.jsonl`. Out: [`Entry`]s, and for each the request as bytes. Invariant: an answer stands in the file as its
//! author decided it; nothing here derives one. `fixtures/conformance/README.md` describes the format.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::question::usual_name;
use crate::http::line::Line;
use crate::http::{Request, Sni};
use crate::policy::plan::Plan;

/// One request and what must become of it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Unique in its file.
    pub name: String,
    /// What is asked.
    pub ask: Ask,
    /// What is right: any of these. At least one.
    pub expect: Vec<Expect>,
    /// What is right instead on one server (`nginx`, `caddy`, `traefik`), where the contract lists a difference.
    pub differs: BTreeMap<String, Vec<Expect>>,
}

/// A request line with what only a real server sees of it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The request, its placeholders not yet replaced.
    pub line: Line,
    /// Sent in chunks, without a Content-Length (HTTP/2: without that header).
    pub chunked: bool,
    /// The name in the TLS handshake; `Some(None)`: none. Absent: the first server name.
    pub sni: Option<Option<String>>,
}

/// One right answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The kind of answer.
    pub outcome: Kind,
    /// The statuses that are right, with `refused` and `answered`; 444 stands for a connection closed without an answer.
    #[serde(default, rename = "status", alias = "statuses", deserialize_with = "one_or_more")]
    pub statuses: Vec<u16>,
    /// The client that the gateway took it for; `Some(None)`: nobody; absent: not judged.
    #[serde(default, deserialize_with = "present")]
    pub client: Option<Option<String>>,
    /// The request target that the upstream gets, with `proxied`.
    pub target: Option<String>,
    /// Headers of the answer, names in lower case; `None`: absent.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// Headers of the request as the upstream gets it, likewise.
    #[serde(default)]
    pub seen: BTreeMap<String, Option<String>>,
}

/// The kind of an answer, as `decide` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A status from 400 on that the gateway gives by itself.
    Refused,
    /// Another status that it gives by itself.
    Answered,
    /// The upstream gets the request.
    Proxied,
}

/// What a placeholder asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The client's key, counted from 1: `{key:CLIENT}`, `{key:CLIENT:2}`.
    Key(&'a str, usize),
    /// The client's password: `{password:CLIENT}`, and inside `{basic:CLIENT}`.
    Password(&'a str),
}

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    ask: Value,
    #[serde(deserialize_with = "one_or_more")]
    expect: Vec<Expect>,
    #[serde(default)]
    differs: BTreeMap<String, OneOrMore<Expect>>,
}

/// Reads a whole file; blank lines are skipped. Errors: the number of the first line that is wrong, and why.
pub fn read(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let entry = entry(line).map_err(|reason| format!("line {}: {reason}", number + 1))?;
        if entries.iter().any(|other| other.name == entry.name) {
            return Err(format!("line {}: the name `{}` stands twice", number + 1, entry.name));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(line: &str) -> Result<Entry, String> {
    let written: Written = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let differs: BTreeMap<_, _> = written.differs.into_iter().map(|(server, list)| (server, list.into())).collect();
    let entry = Entry { name: written.name, ask: ask(written.ask)?, expect: written.expect, differs };
    if let Some(server) = entry.differs.keys().find(|server| !["nginx", "caddy", "traefik"].contains(&server.as_str()))
    {
        return Err(format!("no server `{server}`: nginx, caddy or traefik"));
    }
    for list in std::iter::once(&entry.expect).chain(entry.differs.values()) {
        let whole = |expect: &Expect| match expect.outcome {
            Kind::Proxied => expect.statuses.is_empty() && expect.target.is_some(),
            Kind::Refused | Kind::Answered => !expect.statuses.is_empty() && expect.target.is_none(),
        };
        if list.is_empty() || !list.iter().all(whole) {
            return Err("an answer is `proxied` with a target, or `refused` or `answered` with a status".to_owned());
        }
    }
    Ok(entry)
}

fn ask(mut object: Value) -> Result<Ask, String> {
    let mut take = |key: &str| object.as_object_mut().and_then(|object| object.remove(key));
    let chunked = take("chunked").is_some_and(|value| value == Value::Bool(true));
    let sni = take("sni").map(|value| value.as_str().map(str::to_owned));
    Ok(Ask { line: Line::read(object)?, chunked, sni })
}

impl Entry {
    /// The answers that are right on `server` (`nginx`, `caddy`, `traefik`).
    pub fn expected(&self, server: &str) -> &[Expect] {
        self.differs.get(server).unwrap_or(&self.expect)
    }
}

impl Ask {
    /// The name in the TLS handshake.
    pub fn sni(&self, plan: &Plan) -> Sni {
        self.sni.clone().map_or_else(|| usual_name(plan), |name| name.map_or(Sni::Absent, Sni::Name))
    }

    /// The request as bytes, placeholders replaced by what `secret` gives, a body that only has a length made of `x`.
    /// `host` is the Host of a request that names none. Errors: a placeholder without a value, or what can't be sent.
    pub fn request(&self, host: &str, secret: impl Fn(Wanted<'_>) -> Option<String>) -> Result<Request, String> {
        let mut line = self.line.clone();
        for (_, value) in &mut line.headers {
            *value = replace(value, &secret)?;
        }
        let mut request = line.request(host)?;
        if request.body.is_none() && request.body_bytes > 0 {
            let length = usize::try_from(request.body_bytes).map_err(|error| error.to_string())?;
            request.body = Some(vec![b'x'; length]);
        }
        Ok(request)
    }
}

/// Replaces the placeholders of one header value; other braces stay.
fn replace(value: &str, secret: &impl Fn(Wanted<'_>) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let parts = after.split_once('}').map(|(inner, tail)| (inner.split(':').collect::<Vec<_>>(), tail));
        let (filled, tail) = match &parts {
            Some((parts, tail)) => match parts.as_slice() {
                ["key", client] => (secret(Wanted::Key(client, 1)), tail),
                ["key", client, number] => (number.parse().ok().and_then(|n| secret(Wanted::Key(client, n))), tail),
                ["password", client] => (secret(Wanted::Password(client)).map(|text| wire(&text)), tail),
                ["basic", client] => (secret(Wanted::Password(client)).map(|password| basic(client, &password)), tail),
                _ => (Some("{".to_owned()), &after),
            },
            None => (Some("{".to_owned()), &after),
        };
        out.push_str(&filled.ok_or_else(|| format!("no value for a placeholder in `{value}`"))?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// Text as the characters that stand for its bytes.
fn wire(text: &str) -> String {
    crate::http::line::text(text.as_bytes())
}

fn basic(client: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{client}:{password}"))
}

/// A value, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> From<OneOrMore<T>> for Vec<T> {
    fn from(value: OneOrMore<T>) -> Self {
        match value {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(list) => list,
        }
    }
}

fn one_or_more<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    OneOrMore::deserialize(from).map(Into::into)
}

/// Tells `null` from absence: this runs only where the field stands.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_other_braces_stay() {
        let secret = |wanted: Wanted<'_>| match wanted {
            Wanted::Key("a", number) => Some(format!("k{number}")),
            Wanted::Password("a") => Some("p".to_owned()),
            _ => None,
        };
        let replaced = |value: &str| replace(value, &secret);
        assert_eq!(replaced("Bearer {key:a}, {key:a:2}").unwrap(), "Bearer k1, k2");
        assert_eq!(replaced("{password:a} {basic:a}").unwrap(), "p YTpw");
        assert_eq!(replaced("{env.KEY} {{key:a} {").unwrap(), "{env.KEY} {k1 {");
        assert!(replaced("{key:b}").is_err());
    }

    #[test]
    fn lines_that_say_nothing_are_refused() {
        let line = |expect: &str| {
            read(&format!(r#"{{"name": "n", "ask": {{"method": "GET", "target": "/"}}, "expect": {expect}}}"#))
        };
        assert!(line(r#"{"outcome": "refused", "statuses": [401, 400]}"#).is_ok());
        let entries =
            line(r#"[{"outcome": "proxied", "target": "/", "client": null}, {"outcome": "answered", "status": 200}]"#);
        let entries = entries.unwrap();
        assert_eq!(entries[0].expect[0].client, Some(None));
        assert_eq!(entries[0].expect[1].statuses, [200]);
        assert_eq!(entries[0].expect[1].client, None);
        for wrong in
            [r#"{"outcome": "refused"}"#, r#"{"outcome": "proxied"}"#, "[]", r#"{"outcome": "refused", "stat": 1}"#]
        {
            assert!(line(wrong).unwrap_err().starts_with("line 1: "), "{wrong}");
        }
    }
}
