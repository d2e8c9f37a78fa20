//! Who may ask: nobody, strangers with something in their hands that should open nothing, and those whose credential a config accepts.
//!
//! In: what a gateway tells apart, and the policy. Out: [`Caller`]s, the plainest first. Invariant: a client is one whom the gateway itself
//! lets further than nobody; whose credential it is decides the policy.

use std::net::IpAddr;

use base64::Engine as _;

use super::boundary::{Boundaries, Texts};
use super::measure::{Measure, On};
use crate::gateway::predicate::is_credential;
use crate::gateway::{self, HeaderLines};
use crate::http::{Request, Version};

/// How many credentials of one kind are tried.
const MOST_TRIED: usize = 24;
/// How many clients who differ in what they reach are told apart.
const MOST_CLIENTS: usize = 6;

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What kind of caller.
    pub who: Who,
    /// What the policy takes this caller for.
    pub on: On,
    /// The headers that show it.
    pub headers: HeaderLines,
    /// A query argument that shows it.
    pub argument: Option<(String, Vec<u8>)>,
    /// The client whose credential the request carries, where only its owner knows that.
    pub as_client: Option<String>,
    /// The address that it comes from, and the one that it comes to, where they aren't those of everybody.
    pub way: Option<(IpAddr, IpAddr)>,
    /// Whether it comes by HTTP/2, which keeps the blanks around a header's value.
    pub http2: bool,
    /// Whether the credential is the value of an environment variable that isn't known here.
    pub knows_environment: bool,
    /// Of those variables the only one whose value it is; absent: any.
    pub variable: Option<String>,
}

/// Kinds of callers, the plainest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Without any credential.
    Nobody,
    /// With something that should open nothing.
    Stranger(Trick),
    /// With a credential that the config accepts.
    Client,
}

/// What a stranger shows, the plainest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trick {
    /// A key or a login that is nobody's.
    Wrong,
    /// A credential header without a credential.
    Empty,
    /// A header that is no credential, with a value that the config may look for; several with "` and `" between them.
    Header(String),
    /// A query argument that the config names.
    Argument(String),
    /// A cookie that the config names.
    Cookie(String),
    /// Nearly a key of the config: what differs.
    Nearly(&'static str),
}

impl Caller {
    fn new(who: Who, on: On, headers: HeaderLines) -> Caller {
        let (argument, as_client, variable) = (None, None, None);
        Caller { who, on, headers, argument, as_client, way: None, http2: false, knows_environment: false, variable }
    }

    /// Without any credential.
    pub fn nobody() -> Caller {
        Caller::new(Who::Nobody, On::Nobody, Vec::new())
    }

    /// A client whose credential only its owner knows.
    pub fn client(on: On, as_client: Option<String>) -> Caller {
        Caller { as_client, ..Caller::new(Who::Client, on, Vec::new()) }
    }

    /// The same with the header that a login has, for what looks at the name that it claims.
    pub fn logging_in(&self) -> Option<Caller> {
        let name = self.as_client.as_ref().filter(|_| self.headers.is_empty())?;
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{name}:its-password"));
        Some(Caller { headers: vec![line("Authorization", format!("Basic {login}"))], ..self.clone() })
    }

    /// A client who shows its key in this header.
    pub fn by_key(on: On, line: (Vec<u8>, Vec<u8>)) -> Caller {
        Caller::new(Who::Client, on, vec![line])
    }

    fn stranger(trick: Trick, headers: HeaderLines) -> Caller {
        Caller::new(Who::Stranger(trick), On::Nobody, headers)
    }

    /// The same from an address of its own to this one.
    pub fn by(self, way: (IpAddr, IpAddr)) -> Caller {
        Caller { way: Some(way), ..self }
    }

    /// The request as this caller sends it.
    pub fn sends(&self, mut request: Request) -> Request {
        // HTTP/1 takes off what is blank around a value.
        let keeps = request.version == Version::Http2;
        let value = |value: &Vec<u8>| if keeps { value.clone() } else { value.trim_ascii().to_vec() };
        request.headers.extend(self.headers.iter().map(|(name, own)| (name.clone(), value(own))));
        request.as_client.clone_from(&self.as_client);
        if let Some((from, to)) = self.way {
            (request.client_ip, request.to) = (from, Some(to));
        }
        if let Some((name, value)) = &self.argument {
            request.target.push(if request.target.contains(&b'?') { b'&' } else { b'?' });
            request.target.extend(name.bytes().chain([b'=']).chain(value.iter().copied()));
        }
        request
    }

    /// Whether this caller has the value of the variable that isn't known for this reason.
    pub fn knows(&self, why: &str) -> bool {
        self.knows_environment
            && self.variable.as_deref().is_none_or(|own| gateway::environment_variable(why) == Some(own))
    }

    /// Nearly a key, as a shell makes it of the key itself: `value` is that of its header. Absent: it is nothing of the kind.
    pub fn shown_key(&self, value: &[u8]) -> Option<String> {
        let Who::Stranger(Trick::Nearly(what)) = &self.who else { return None };
        let (_, made) = OF_KEY.iter().find(|(own, _)| own == what)?;
        let scheme = ["Bearer ", "Basic "].into_iter().find(|start| value.starts_with(start.as_bytes()));
        Some(format!("{}{made}", scheme.unwrap_or_default()))
    }

    /// The client's name in a request that is shown; absent: no client.
    pub fn shown_client(&self) -> Option<&str> {
        match &self.on {
            _ if self.who != Who::Client => None,
            On::Client(name) => Some(name),
            On::Nobody | On::SomeClient => Some(super::measure::SOME_CLIENT),
        }
    }
}

/// A header line, its name as people write it.
fn line(name: &str, value: impl Into<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    const USUAL: &[&str] = &["Authorization", "X-API-Key", "Api-Key", "Cookie", "User-Agent"];
    let usual = USUAL.iter().find(|usual| usual.eq_ignore_ascii_case(name));
    (usual.unwrap_or(&name).as_bytes().to_vec(), value.into())
}

/// Callers who should get nothing beyond what is public.
pub fn strangers(boundaries: &Boundaries) -> Vec<Caller> {
    const WRONG: &str = "not-a-key-of-this-gateway-0000000000";
    let login = base64::engine::general_purpose::STANDARD.encode("nobody:not-a-password");
    let mut list = vec![Caller::nobody()];
    let mut wrong = |headers: HeaderLines| list.push(Caller::stranger(Trick::Wrong, headers));
    wrong(vec![line("Authorization", format!("Bearer {WRONG}"))]);
    wrong(vec![line("X-API-Key", WRONG)]);
    wrong(vec![line("Authorization", format!("Basic {login}"))]);
    let others = boundaries.headers.keys().filter(|name| is_key_name(name));
    let others: Vec<&String> = others.filter(|name| !["authorization", "x-api-key"].contains(&name.as_str())).collect();
    others.iter().for_each(|name| wrong(vec![line(name, WRONG)]));
    let mut empty = |headers: HeaderLines| list.push(Caller::stranger(Trick::Empty, headers));
    empty(vec![line("X-API-Key", "")]);
    empty(vec![line("Authorization", "Bearer")]);
    empty(vec![line("Authorization", "")]);
    let blank = Caller::stranger(Trick::Empty, vec![line("Authorization", "Bearer ")]);
    list.push(Caller { http2: true, ..blank });
    let mut empty = |headers: HeaderLines| list.push(Caller::stranger(Trick::Empty, headers));
    others.iter().for_each(|name| empty(vec![line(name, "")]));
    for name in boundaries.arguments.keys().filter(|name| is_key_name(name)) {
        for (trick, value) in [(Trick::Wrong, WRONG), (Trick::Empty, "")] {
            let caller = Caller::stranger(trick, Vec::new());
            list.push(Caller { argument: Some((name.clone(), value.into())), ..caller });
        }
    }
    for name in boundaries.cookies.keys().filter(|name| is_key_name(name)) {
        list.push(Caller::stranger(Trick::Wrong, vec![cookie(name, WRONG.as_bytes())]));
    }
    list.extend(claims(boundaries));
    let open = |name: &str| !is_key_name(name) && !FRAMING.contains(&name);
    for (name, texts) in boundaries.headers.iter().filter(|(name, _)| open(name)) {
        for text in chosen(texts, if name == "referer" { pages(&boundaries.loose) } else { Vec::new() }) {
            list.push(Caller::stranger(Trick::Header(name.clone()), vec![line(name, text)]));
        }
    }
    // Where a config wants several of them at once.
    let named = |texts: &Texts| texts.iter().find(|text| !text.is_empty() && !looks_secret(text)).cloned();
    let all = boundaries.headers.iter().filter(|(name, _)| open(name));
    let all: Vec<(&String, Vec<u8>)> = all.filter_map(|(name, texts)| Some((name, named(texts)?))).collect();
    if all.len() > 1 {
        let names = all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("` and `");
        let headers = all.into_iter().map(|(name, text)| line(name, text)).collect();
        list.push(Caller::stranger(Trick::Header(names), headers));
    }
    for (name, texts) in boundaries.arguments.iter().filter(|(name, _)| !is_key_name(name)) {
        for text in chosen(texts, Vec::new()) {
            let caller = Caller::stranger(Trick::Argument(name.clone()), Vec::new());
            list.push(Caller { argument: Some((name.clone(), text)), ..caller });
        }
    }
    for (name, texts) in boundaries.cookies.iter().filter(|(name, _)| !is_key_name(name)) {
        for text in chosen(texts, Vec::new()) {
            list.push(Caller::stranger(Trick::Cookie(name.clone()), vec![cookie(name, &text)]));
        }
    }
    list
}

/// Headers that say how a message is framed or who it is for: another value makes another message.
const FRAMING: &[&str] =
    &["host", "connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// How many values of one name are tried.
const MOST_VALUES: usize = 4;

/// Values that strangers try: some that the config names, and any at all, where it only looks whether there is one.
fn chosen(texts: &Texts, more: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let named = texts.iter().filter(|text| !text.is_empty() && !looks_secret(text)).take(MOST_VALUES).cloned();
    let mut all: Vec<Vec<u8>> = named.chain(more).collect();
    let any = b"1".to_vec();
    if !all.contains(&any) {
        all.push(any);
    }
    all
}

/// Pages that a Referer may name, on hosts that stand somewhere in the config.
fn pages(hosts: &Texts) -> Vec<Vec<u8>> {
    let host = |text: &&Vec<u8>| text.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte));
    let named = hosts.iter().filter(|text| text.contains(&b'.')).filter(host).take(MOST_VALUES);
    named.map(|text| [b"https://", text.as_slice(), b"/"].concat()).collect()
}

fn cookie(name: &str, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    line("Cookie", [name.as_bytes(), b"=", value].concat())
}

/// Strangers who claim an address that the config tells apart, with the headers that it may believe.
fn claims(boundaries: &Boundaries) -> Vec<Caller> {
    let claim = |name: &String, address: &IpAddr| {
        Caller::stranger(Trick::Header(name.clone()), vec![line(name, address.to_string())])
    };
    let addresses = || boundaries.addresses.iter().take(MOST_VALUES);
    boundaries.claims.iter().flat_map(|name| addresses().map(move |address| claim(name, address))).collect()
}

/// Callers whose credential might be accepted.
pub fn candidates(boundaries: &Boundaries, measure: &Measure) -> Vec<Caller> {
    let mut list: Vec<Caller> = Vec::new();
    for name in &boundaries.clients {
        let known = measure.plan.clients.iter().any(|client| client.name == *name);
        let on = if known { On::Client(name.clone()) } else { On::SomeClient };
        list.push(Caller::client(on, Some(name.clone())));
    }
    // Of ten thousand clients the policy's own are the ones that matter, and some others.
    let (named, other): (Vec<Caller>, Vec<Caller>) =
        list.into_iter().partition(|caller| matches!(caller.on, On::Client(_)));
    let mut list: Vec<Caller> = named.into_iter().take(MOST_TRIED).chain(other.into_iter().take(MOST_TRIED)).collect();
    let mut firsts: HeaderLines = Vec::new();
    for (name, texts) in &boundaries.headers {
        let own = texts.iter().filter(|text| is_key_name(name) || looks_secret(text));
        let own: Vec<&Vec<u8>> = own.filter(|text| !text.is_empty()).collect();
        firsts.extend(own.first().map(|text| line(name, text.to_vec())));
        let (named, other): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) =
            own.into_iter().partition(|text| owner(text, measure).is_some());
        for text in named.into_iter().take(MOST_TRIED).chain(other.into_iter().take(MOST_TRIED)) {
            let on = owner(text, measure).map_or(On::SomeClient, On::Client);
            list.push(Caller::new(Who::Client, on, vec![line(name, text.clone())]));
        }
        if is_key_name(name) {
            let value = if name == "authorization" { "Bearer value-of-a-variable" } else { "value-of-a-variable" };
            let unknown = Caller::new(Who::Client, On::SomeClient, vec![line(name, value)]);
            list.push(Caller { knows_environment: true, ..unknown });
        }
    }
    if firsts.len() > 1 {
        list.push(Caller::new(Who::Client, On::SomeClient, firsts));
    }
    for (name, texts) in &boundaries.cookies {
        let own = texts.iter().filter(|text| !text.is_empty() && (is_key_name(name) || looks_secret(text)));
        for text in own.take(MOST_TRIED) {
            let on = owner(text, measure).map_or(On::SomeClient, On::Client);
            list.push(Caller::new(Who::Client, on, vec![cookie(name, text)]));
        }
    }
    for (name, texts) in boundaries.arguments.iter().filter(|(name, _)| is_key_name(name)) {
        for text in texts.iter().filter(|text| !text.is_empty()).take(MOST_TRIED) {
            let on = owner(text, measure).map_or(On::SomeClient, On::Client);
            let caller = Caller::new(Who::Client, on, Vec::new());
            list.push(Caller { argument: Some((name.clone(), text.clone())), ..caller });
        }
    }
    list
}

/// Those of the candidates whom the gateway lets further than nobody: for each set of endpoints and each client of the policy one.
///
/// `reaches` tells which of the asked endpoints a caller reaches, `nobody` is one at the same place.
pub fn accepted(candidates: Vec<Caller>, nobody: &Caller, reaches: &dyn Fn(&Caller) -> Vec<bool>) -> Vec<Caller> {
    let nobody = reaches(nobody);
    let mut known: Vec<(On, Vec<bool>)> = Vec::new();
    let mut list = Vec::new();
    for caller in candidates {
        let reached = reaches(&caller);
        let further = reached.iter().zip(&nobody).any(|(own, other)| *own && !other);
        let key = (caller.on.clone(), reached);
        if further && !known.contains(&key) && list.len() < MOST_CLIENTS {
            known.push(key);
            list.push(caller);
        }
    }
    list
}

/// Strangers with something that is nearly the credential of this client.
pub fn nearly(client: &Caller) -> Vec<Caller> {
    let [(name, value)] = client.headers.as_slice() else { return Vec::new() };
    if client.knows_environment {
        return Vec::new();
    }
    let start = ["Bearer ", "Basic "].iter().find(|start| value.starts_with(start.as_bytes())).map_or(0, |it| it.len());
    let (scheme, key) = value.split_at(start);
    if key.len() < 4 {
        return Vec::new();
    }
    let with = |key: Vec<u8>| [scheme, key.as_slice()].concat();
    let mut list: Vec<(&'static str, Vec<u8>)> = vec![
        (MORE, with([key, b"x"].concat())),
        (MORE_IN_FRONT, with([b"x", key].concat())),
        (LESS, with(key[..key.len() - 1].to_vec())),
    ];
    let other_case: Vec<u8> = key.iter().map(|&byte| flipped(byte)).collect();
    if other_case != key {
        list.push((OTHER_CASE, with(other_case)));
    }
    let tricks = list.into_iter();
    tricks.map(|(what, text)| Caller::stranger(Trick::Nearly(what), vec![(name.clone(), text)])).collect()
}

const MORE: &str = "it has a letter more";
const MORE_IN_FRONT: &str = "it has a letter more in front";
const LESS: &str = "its last letter is missing";
const OTHER_CASE: &str = "its letters have another case";
/// What differs, and how a shell makes it of the key, which isn't shown.
const OF_KEY: &[(&str, &str)] =
    &[(MORE, "${KEY}x"), (MORE_IN_FRONT, "x$KEY"), (LESS, "${KEY%?}"), (OTHER_CASE, "${KEY~~}")];

fn flipped(byte: u8) -> u8 {
    if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
}

/// The client of the policy whose key a text holds, in capitals or not: where a config overlooks that its texts are no longer the key's own.
fn owner(text: &[u8], measure: &Measure) -> Option<String> {
    let scheme = text.get(..7).filter(|start| start.eq_ignore_ascii_case(b"Bearer "));
    let key = &text[scheme.map_or(0, <[u8]>::len)..];
    let owns = |client: &&crate::policy::plan::Client| {
        client.keys.iter().any(|own| own.value.as_ref().is_some_and(|value| value.equals_in_any_case(key)))
    };
    measure.plan.clients.iter().find(owns).map(|client| client.name.clone())
}

/// Whether a header or an argument of this name carries a credential.
pub fn is_key_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_credential(&lower) || ["key", "token", "auth", "secret", "passw"].iter().any(|word| lower.contains(word))
}

/// Whether a text is a credential whatever its header is called.
fn looks_secret(text: &[u8]) -> bool {
    let kinds = [u8::is_ascii_digit as fn(&u8) -> bool, u8::is_ascii_alphabetic];
    text.len() >= 16
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=".contains(byte))
        && kinds.iter().all(|kind| text.iter().any(kind))
}

/// What a caller can be, as words: for whoever shows it.
pub fn words(caller: &Caller) -> String {
    match &caller.who {
        Who::Nobody => "anybody".to_owned(),
        Who::Stranger(Trick::Wrong) => "anybody with any key".to_owned(),
        Who::Stranger(Trick::Empty) => "anybody with an empty key".to_owned(),
        Who::Stranger(Trick::Header(name)) if name.contains('`') => format!("anybody who sends the headers `{name}`"),
        Who::Stranger(Trick::Header(name)) => format!("anybody who sends the header `{name}`"),
        Who::Stranger(Trick::Argument(name)) => format!("anybody who adds `?{name}=`"),
        Who::Stranger(Trick::Cookie(name)) => format!("anybody who sends the cookie `{name}`"),
        Who::Stranger(Trick::Nearly(what)) => format!("anybody with nearly a key ({what})"),
        Who::Client => match &caller.on {
            On::Client(name) => format!("client `{name}`"),
            On::Nobody | On::SomeClient => "every client".to_owned(),
        },
    }
}
