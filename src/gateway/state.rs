//! What is known about one request on its way, and the values and conditions that follow from it.
//!
//! In: a request as its listener read it, and what steps changed. Out: bytes for values, true or false for conditions, nothing where the
//! files don't tell. Invariant: asking changes nothing but what the model says it keeps (groups of a match, who it is, table answers).

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::auth::{Headers, basic_credentials};
use super::bytes::*;
use super::outcome::Verdict;
use super::value::{Join, Row};
use super::wire::{Read, unescape};
use super::*;
use crate::http::{Request, Version};

/// The state of one request.
#[derive(Debug, Clone)]
pub(super) struct State<'r> {
    pub request: &'r Request,
    pub listener: &'r Listener,
    pub method: Vec<u8>,
    /// What goes upstream as things stand.
    pub target: Option<Vec<u8>>,
    pub original: Vec<u8>,
    pub path: Option<Vec<u8>>,
    pub query: Option<Vec<u8>>,
    pub host: String,
    pub authority: Vec<u8>,
    pub headers: HeaderLines,
    pub variables: HashMap<Arc<str>, Option<Vec<u8>>>,
    pub captures: Vec<Vec<u8>>,
    tables: HashMap<*const Lookup, Option<Vec<u8>>>,
    pub client: Option<String>,
    pub client_ip: IpAddr,
    pub error: Option<u16>,
    /// Why the last thing that couldn't be known can't be known.
    pub why: Option<String>,
}

impl<'r> State<'r> {
    pub fn new(request: &'r Request, listener: &'r Listener, read: Read<'r>) -> State<'r> {
        let target = read.target.origin_form();
        State {
            request,
            listener,
            method: request.method.clone(),
            original: target.clone(),
            target: Some(target),
            path: Some(read.path),
            query: Some(listener.wire.path.query(&read.target).to_vec()),
            host: read.host.unwrap_or_default(),
            authority: read.authority,
            headers: read.headers,
            variables: HashMap::new(),
            captures: Vec::new(),
            tables: HashMap::new(),
            client: None,
            client_ip: request.client_ip,
            error: None,
            why: None,
        }
    }

    /// The same with variables that were set before.
    pub fn with(self, variables: HashMap<Arc<str>, Option<Vec<u8>>>) -> State<'r> {
        State { variables, ..self }
    }

    /// Whether the request came by TLS.
    fn is_tls(&self) -> bool {
        self.request.tls.unwrap_or(self.listener.tls)
    }

    pub fn unknown<T>(&mut self, why: impl Into<String>) -> Option<T> {
        self.why = Some(why.into());
        None
    }

    /// The bytes of a value; `None`: not to be known (`why` says it).
    pub fn value(&mut self, value: &Value) -> Option<Vec<u8>> {
        Some(match value {
            Value::Literal(bytes) => bytes.to_vec(),
            Value::Concat(parts) => {
                let mut out = Vec::new();
                for part in parts {
                    out.extend(self.value(part)?);
                }
                out
            }
            Value::Method => self.method.clone(),
            Value::Target => return self.target.clone(),
            Value::RawPath => return self.target.as_ref().map(|target| before(target, b'?').to_vec()),
            Value::Path => return self.path.clone(),
            Value::Query => return self.query.clone(),
            Value::SentTarget => self.request.target.clone(),
            Value::OriginalTarget => self.original.clone(),
            Value::Host => self.host.clone().into_bytes(),
            Value::ServerName if !self.is_tls() => Vec::new(),
            Value::ServerName => self.request.server_name().unwrap_or_default().into_bytes(),
            Value::Authority => self.authority.clone(),
            Value::Header(name, join) => self.header(name, *join),
            Value::Cookie(name) => self.cookie(name),
            Value::Argument(name) => argument(self.query.as_deref()?, name),
            Value::FirstParameter(name) => self.parameters(name.as_bytes())?.0.into_iter().next().unwrap_or_default(),
            Value::Parameter(name) => self.parameters(name.as_bytes())?.0.join(&b','),
            Value::Scheme => if self.is_tls() { "https" } else { "http" }.into(),
            Value::Protocol => match self.request.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
                Version::Http2 => "HTTP/2.0",
            }
            .into(),
            Value::ClientIp => self.client_ip.to_string().into_bytes(),
            Value::Port => self.listener.port.to_string().into_bytes(),
            Value::Client => self.client.clone().unwrap_or_default().into_bytes(),
            Value::Capture(group) => self.captures.get(*group).cloned().unwrap_or_default(),
            Value::Variable(name) => return self.variables.get(name).cloned().unwrap_or(Some(Vec::new())),
            Value::ErrorStatus => self.error.map(|status| status.to_string()).unwrap_or_default().into_bytes(),
            Value::Body => match (&self.request.body, self.request.body_bytes) {
                (Some(body), _) => body.clone(),
                (None, 0) => Vec::new(),
                (None, _) => return self.unknown("depends on the body, which the request does not give"),
            },
            Value::BodyLength if self.request.body_bytes == 0 => Vec::new(),
            Value::BodyLength => self.request.body_bytes.to_string().into_bytes(),
            Value::Lookup(table) => return self.lookup(table),
            Value::First(values) => {
                for value in values {
                    let bytes = self.value(value)?;
                    if !bytes.is_empty() {
                        return Some(bytes);
                    }
                }
                Vec::new()
            }
            Value::Joined(between, values) => {
                let mut out: Vec<Vec<u8>> = Vec::new();
                for value in values {
                    out.extend(Some(self.value(value)?).filter(|bytes| !bytes.is_empty()));
                }
                out.join(between.as_bytes())
            }
            Value::Apply(function, value) => {
                let bytes = self.value(value)?;
                return self.apply(function, bytes);
            }
            Value::Opaque(why) => return self.unknown(why.clone()),
        })
    }

    pub fn header(&self, name: &str, join: Join) -> Vec<u8> {
        let mut lines = Headers(&self.headers).all(name);
        match join {
            Join::First => lines.next().unwrap_or_default().to_vec(),
            Join::Last => lines.last().unwrap_or_default().to_vec(),
            Join::With(between) => lines.collect::<Vec<_>>().join(between.as_bytes()),
        }
    }

    fn cookie(&self, name: &str) -> Vec<u8> {
        let lines = Headers(&self.headers).all("cookie").flat_map(|line| line.split(|&byte| byte == b';'));
        // Names in any case (nginx 1.22.1, Caddy 2.11.9).
        let mut pairs = lines.filter_map(|pair| {
            let (own, rest) = pair.trim_ascii().split_at_checked(name.len())?;
            rest.strip_prefix(b"=").filter(|_| own.eq_ignore_ascii_case(name.as_bytes()))
        });
        pairs.next().unwrap_or_default().to_vec()
    }

    fn lookup(&mut self, table: &Arc<Lookup>) -> Option<Vec<u8>> {
        let key = Arc::as_ptr(table);
        if !table.volatile
            && let Some(answer) = self.tables.get(&key)
        {
            return answer.clone();
        }
        let answer = self.look_up(table);
        self.tables.insert(key, answer.clone());
        answer
    }

    fn look_up(&mut self, table: &Lookup) -> Option<Vec<u8>> {
        let on = self.value(&table.on)?;
        let key = if table.any_case { on.to_ascii_lowercase() } else { on.clone() };
        if let Some(value) = table.exact.get(&key) {
            return self.value(value);
        }
        for (row, value) in &table.rows {
            let fits = match row {
                Row::Test(test) => self.test(test, &on),
                Row::When(predicate) => self.holds_simple(predicate),
            };
            match fits {
                Some(true) => return self.value(value),
                Some(false) => {}
                None => return None,
            }
        }
        self.value(&table.otherwise)
    }

    fn apply(&mut self, function: &Function, bytes: Vec<u8>) -> Option<Vec<u8>> {
        Some(match function {
            Function::Lower => bytes.to_ascii_lowercase(),
            Function::Upper => bytes.to_ascii_uppercase(),
            Function::Unescape => unescape(&bytes).unwrap_or(bytes),
            Function::Escape(kept) => escape(&bytes, kept),
            Function::StripPrefix(prefix) => bytes.strip_prefix(prefix.as_slice()).map(<[u8]>::to_vec).unwrap_or(bytes),
            Function::ReplaceStart(parts) => match bytes.strip_prefix(parts.0.as_slice()) {
                Some(rest) => [parts.1.as_slice(), rest].concat(),
                None => bytes,
            },
            Function::StripSuffix(suffix) => bytes.strip_suffix(suffix.as_slice()).map(<[u8]>::to_vec).unwrap_or(bytes),
            Function::CleanRooted if bytes.starts_with(b"/") => url::clean(&bytes, true),
            Function::CleanRooted => bytes,
            Function::NormalizeEscapes => normalize_escapes(&bytes),
            Function::EscapedPath => url::escaped_path(&bytes),
            Function::UnescapeExcept(kept) => {
                unescape_if(&bytes, |escape, byte| !(kept.as_bytes().contains(&byte) && is_upper(escape)))
            }
            Function::LeadingSlash if bytes.is_empty() || bytes.starts_with(b"/") => bytes,
            Function::LeadingSlash => [b"/", bytes.as_slice()].concat(),
            Function::Skip(value) => {
                let count = self.value(value)?.len();
                skip_characters(&bytes, count).to_vec()
            }
            Function::Replace(replace) => match replace.pattern.as_ref() {
                Pattern::Regular(regex) if replace.all => {
                    regex.replace_all(&bytes, replace.with.as_slice()).into_owned()
                }
                Pattern::Regular(regex) => regex.replace(&bytes, replace.with.as_slice()).into_owned(),
                Pattern::Fancy(_) => return self.unknown("depends on a replacement with look-around"),
                Pattern::Opaque(why) => return self.unknown(why.clone()),
            },
            Function::ReplaceText(pairs) => replace_text(&bytes, pairs),
            Function::ReplaceValue(values, most) => {
                let (find, with) = (self.value(&values.0)?, self.value(&values.1)?);
                url::replace(&bytes, &find, &with, *most)
            }
            Function::Before(stop) => before(&bytes, *stop).to_vec(),
            Function::From(start) => bytes[before(&bytes, *start).len()..].to_vec(),
            Function::FromEnd(place) => {
                let items: Vec<&[u8]> = bytes.split(|&byte| byte == b',').collect();
                let item = items.len().checked_sub(*place).and_then(|at| items.get(at));
                item.map(|item| item.trim_ascii().to_vec()).unwrap_or_default()
            }
            Function::LastOutside(networks) => {
                let mut items = bytes.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii);
                items.find(|item| !item.is_empty() && !in_network(item, networks)).unwrap_or_default().to_vec()
            }
            Function::BasicUser => basic_credentials(&bytes, true, false).map(|(user, _)| user).unwrap_or_default(),
            Function::AddressBytes => match parse_address(&bytes) {
                Some(IpAddr::V4(address)) => address.octets().to_vec(),
                Some(IpAddr::V6(address)) => address.octets().to_vec(),
                None => Vec::new(),
            },
            Function::After(stop) => match bytes.iter().position(|byte| byte == stop) {
                Some(at) => bytes[at + 1..].to_vec(),
                None => Vec::new(),
            },
            Function::Lead(lead) if !bytes.is_empty() => [lead.as_slice(), &bytes].concat(),
            Function::Lead(_) => bytes,
            Function::Part(separator, at, from_end) => {
                let mut parts: Vec<&[u8]> = bytes.split(|byte| byte == separator).collect();
                if *from_end {
                    parts.reverse();
                }
                parts.get(*at).copied().unwrap_or_default().to_vec()
            }
            Function::LowerText => url::lower(&bytes),
            Function::Lossy => url::lossy(&bytes),
            Function::Clean(merge) => url::clean(&bytes, *merge),
            Function::EscapePath => url::escape_path(&bytes),
            Function::EscapeForm => url::escape_form(&bytes),
            Function::WithoutPort => url::without_port(&bytes).to_vec(),
            Function::PortOf => url::split_port(&bytes).map(|(_, port)| port.to_vec()).unwrap_or_default(),
            Function::Path(change) => return self.change_path(change, &bytes),
            Function::Query(changes) => return self.change_query(changes, &bytes),
            Function::MurmurHash2 => digest::murmur2(&bytes).to_string().into_bytes(),
            Function::Md5 => digest::md5(&[&bytes]).to_vec(),
            Function::Hex => digest::hex(&bytes),
            Function::FromBase64Url => digest::from_base64_url(&bytes),
            Function::Believed(trust) => match parse_address(&bytes) {
                Some(address) => self.believed(trust, address)?.to_string().into_bytes(),
                None => bytes,
            },
            Function::Forwarded(trusted) => forwarded_for(&bytes, trusted.as_deref()),
        })
    }

    fn change_path(&mut self, change: &ChangePath, path: &[u8]) -> Option<Vec<u8>> {
        let change = match change {
            ChangePath::Prefix(prefix) => url::PathChange::Prefix(self.value(prefix)?),
            ChangePath::Suffix(suffix) => url::PathChange::Suffix(self.value(suffix)?),
            ChangePath::Text(find, with, most) => url::PathChange::Text(self.value(find)?, self.value(with)?, *most),
            ChangePath::Pattern(pattern, with) => {
                let with = self.value(with)?;
                return match pattern.as_ref() {
                    Pattern::Regular(regex) => Some(url::changed(path, &|path| {
                        regex.replace_all(&url::lossy(path), with.as_slice()).into_owned()
                    })),
                    Pattern::Fancy(_) => self.unknown("depends on a replacement with look-around"),
                    Pattern::Opaque(why) => self.unknown(why.clone()),
                };
            }
        };
        Some(change.apply(path))
    }

    fn change_query(&mut self, changes: &[QueryChange], query: &[u8]) -> Option<Vec<u8>> {
        let (mut pairs, _) = url::parse_query(query);
        for change in changes {
            match change {
                QueryChange::Rename(from, to) => {
                    let (from, to) = (self.value(from)?, self.value(to)?);
                    if from != to && !to.is_empty() && pairs.iter().any(|(key, _)| *key == from) {
                        pairs.retain(|(key, _)| *key != to);
                        pairs.iter_mut().filter(|(key, _)| *key == from).for_each(|(key, _)| key.clone_from(&to));
                    }
                }
                QueryChange::Set(name, value) | QueryChange::Add(name, value) => {
                    let (name, value) = (self.value(name)?, self.value(value)?);
                    if matches!(change, QueryChange::Set(..)) && !name.is_empty() {
                        pairs.retain(|(key, _)| *key != name);
                    }
                    pairs.extend(Some((name, value)).filter(|(name, _)| !name.is_empty()));
                }
                QueryChange::Delete(name) => {
                    let name = self.value(name)?;
                    pairs.retain(|(key, _)| *key != name || name.is_empty());
                }
            }
        }
        Some(url::write_query(pairs))
    }

    /// The decoded values of a query argument, and whether the whole query is well formed.
    pub fn parameters(&self, name: &[u8]) -> Option<(Vec<Vec<u8>>, bool)> {
        let (pairs, well) = url::parse_query(self.query.as_deref()?);
        Some((pairs.into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect(), well))
    }

    /// The client's address becomes what a trusted peer says; whether it did.
    pub fn take_client_ip(&mut self, trust: &Trust) -> bool {
        let before = self.client_ip;
        self.client_ip = self.believed(trust, before).unwrap_or(before);
        self.client_ip != before
    }

    /// Whom this address stands for, as far as it is trusted.
    fn believed(&mut self, trust: &Trust, address: IpAddr) -> Option<IpAddr> {
        let trusted = |address: IpAddr| trust.peers.iter().any(|network| network.contains(&address));
        if !trusted(address) {
            return Some(address);
        }
        let mut nearest = address;
        let said = self.value(&trust.says)?;
        for word in said.split(|byte| matches!(byte, b',' | b' ')).rev().filter(|word| !word.is_empty()) {
            let Some(address) = parse_address(word) else { break };
            nearest = address;
            if !(trust.recursive && trusted(address)) {
                break;
            }
        }
        Some(nearest)
    }

    /// Changes a request header.
    pub fn edit(&mut self, edit: &HeaderEdit) {
        let name = edit.name.as_bytes();
        let is = |own: &[u8]| match (edit.name.strip_suffix('*'), edit.name.strip_prefix('*')) {
            (Some(_), Some(part)) => {
                let part = part.strip_suffix('*').unwrap_or(part).to_ascii_lowercase();
                own.to_ascii_lowercase().windows(part.len().max(1)).any(|own| own == part.as_bytes()) || part.is_empty()
            }
            (Some(start), _) => own.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start.as_bytes())),
            (_, Some(end)) => own.to_ascii_lowercase().ends_with(end.to_ascii_lowercase().as_bytes()),
            _ => own.eq_ignore_ascii_case(name),
        };
        match &edit.edit {
            Edit::Change(function) => {
                for at in 0..self.headers.len() {
                    let (own, line) = self.headers[at].clone();
                    if name == b"*" || own.eq_ignore_ascii_case(name) {
                        self.headers[at].1 = self.apply(function, line).unwrap_or_default();
                    }
                }
            }
            Edit::Remove => self.headers.retain(|(own, _)| !is(own)),
            Edit::RemoveListed => {
                let lines: Vec<Vec<u8>> = Headers(&self.headers).all(&edit.name).map(<[u8]>::to_vec).collect();
                let mut listed: Vec<&[u8]> = lines.iter().flat_map(|line| line.split(|&byte| byte == b',')).collect();
                listed.push(name);
                self.headers.retain(|(own, _)| !listed.iter().any(|item| own.eq_ignore_ascii_case(item.trim_ascii())));
            }
            Edit::Default(_) if self.headers.iter().any(|(own, _)| is(own)) => {}
            Edit::Set(value) | Edit::SetLate(value) | Edit::Add(value) | Edit::Default(value) => {
                let bytes = self.value(value).unwrap_or_default();
                let sets = matches!(edit.edit, Edit::Set(_) | Edit::SetLate(_));
                if sets {
                    self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
                }
                if !(bytes.is_empty() && sets) {
                    self.headers.push((name.to_vec(), bytes));
                }
            }
        }
    }
}

/// An address, perhaps with a port.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The client in a list of addresses: the first, or with trusted networks the last that is in none of them.
fn forwarded_for(list: &[u8], trusted: Option<&[ipnet::IpNet]>) -> Vec<u8> {
    let address = |part: &[u8]| {
        let host = std::str::from_utf8(url::without_port(part)).ok()?.trim();
        host.split('%').next()?.parse::<IpAddr>().ok()
    };
    let mut all = list.split(|&byte| byte == b',').filter_map(address);
    let found = match trusted {
        None => all.next(),
        Some(trusted) => all.rfind(|address| !trusted.iter().any(|network| network.contains(address))),
    };
    found.map(|address| address.to_string().into_bytes()).unwrap_or_default()
}

/// The value of the first argument of this name, in any case (nginx 1.22.1 `$arg_`).
fn argument(query: &[u8], name: &str) -> Vec<u8> {
    let named = |pair: &'_ [u8]| -> Option<Vec<u8>> {
        let (own, rest) = pair.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b"=")?;
        own.eq_ignore_ascii_case(name.as_bytes()).then(|| value.to_vec())
    };
    query.split(|&byte| byte == b'&').find_map(named).unwrap_or_default()
}

fn replace_text(bytes: &[u8], pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        match pairs.iter().find(|(from, _)| !from.is_empty() && rest.starts_with(from)) {
            Some((from, to)) => {
                out.extend_from_slice(to);
                rest = &rest[from.len()..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// What can't be known, for people.
pub(super) fn reason(state: &State<'_>) -> Cow<'static, str> {
    state.why.clone().map_or(Cow::Borrowed("not to be known from the files"), Cow::Owned)
}

/// A header of the answer with its value, where that depends on the request. It is computed apart: nothing else sees it done.
/// `ended`: the request has come to its end.
pub(super) fn computed(state: &State<'_>, setting: &Setting, ended: bool) -> Option<Setting> {
    let Setting::ResponseHeader(edit, answers) = setting else { return None };
    let (Edit::Set(value) | Edit::SetLate(value) | Edit::Add(value) | Edit::Default(value)) = &edit.edit else {
        return None;
    };
    if matches!(value, Value::Literal(_)) {
        return None;
    }
    let mut state = state.clone();
    let value = match state.value(value) {
        Some(bytes) => Value::literal(bytes),
        None => Value::Opaque(reason(&state).into_owned().into()),
    };
    let made = match &edit.edit {
        Edit::SetLate(_) if !ended => return None,
        Edit::Add(_) => Edit::Add(value),
        Edit::Default(_) => Edit::Default(value),
        _ => Edit::Set(value),
    };
    Some(Setting::ResponseHeader(HeaderEdit { name: edit.name.clone(), edit: made }, *answers))
}

/// The decision that the upstream gets it.
pub(super) fn forwarded(state: &mut State<'_>, forward: &Forward) -> Verdict {
    let mut get = |value: &Value| state.value(value);
    match (get(&forward.upstream), get(&forward.target), get(&forward.host)) {
        (Some(upstream), Some(target), Some(host)) => Verdict::Proxied {
            upstream: String::from_utf8_lossy(&upstream).into_owned(),
            target,
            host: host.iter().map(|&byte| char::from(byte)).collect(),
        },
        _ => Verdict::Unknown { reason: reason(state).into_owned(), reached: true },
    }
}
