//! What is known about one request on its way, and the values and conditions that follow from it.
//!
//! In: a request as its listener read it, and what steps changed. Out: bytes for values, true or false for conditions, nothing where the
//! files don't tell. Invariant: asking changes nothing but what the model says it keeps (groups of a match, who it is, table answers).

mod urls;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::auth::{Headers, Who, basic_credentials, credentials_of};
use super::bytes::*;
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
            query: Some(read.target.query.unwrap_or_default().to_vec()),
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

    fn unknown<T>(&mut self, why: impl Into<String>) -> Option<T> {
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
            Value::OriginalTarget => self.original.clone(),
            Value::Host => self.host.clone().into_bytes(),
            Value::Authority => self.authority.clone(),
            Value::Header(name, join) => self.header(name, *join),
            Value::Cookie(name) => self.cookie(name),
            Value::Argument(name) => argument(self.query.as_deref()?, name),
            Value::Parameter(name) => self.parameters(name.as_bytes())?.0.join(&b','),
            Value::Scheme => if self.listener.tls { "https" } else { "http" }.into(),
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

    fn header(&self, name: &str, join: Join) -> Vec<u8> {
        let mut lines = Headers(&self.headers).all(name);
        match join {
            Join::First => lines.next().unwrap_or_default().to_vec(),
            Join::Last => lines.last().unwrap_or_default().to_vec(),
            Join::With(between) => lines.collect::<Vec<_>>().join(between.as_bytes()),
        }
    }

    fn cookie(&self, name: &str) -> Vec<u8> {
        let lines = Headers(&self.headers).all("cookie").flat_map(|line| line.split(|&byte| byte == b';'));
        let mut pairs = lines.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
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
            Function::ReplaceStart(from, to) => match bytes.strip_prefix(from.as_slice()) {
                Some(rest) => [to.as_slice(), rest].concat(),
                None => bytes,
            },
            Function::StripSuffix(suffix) => bytes.strip_suffix(suffix.as_slice()).map(<[u8]>::to_vec).unwrap_or(bytes),
            Function::CleanPath => clean_path(bytes),
            Function::NormalizeEscapes => normalize_escapes(&bytes),
            Function::EscapedPath => escaped_path(bytes),
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
            Function::Before(stop) => before(&bytes, *stop).to_vec(),
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
            Function::ResendPath => url::resend_path(&bytes),
            Function::EscapePath => url::escape_path(&bytes),
            Function::EscapeForm => url::escape_form(&bytes),
            Function::WithoutPort => url::without_port(&bytes).to_vec(),
            Function::PortOf => url::split_port(&bytes).map(|(_, port)| port.to_vec()).unwrap_or_default(),
            Function::Path(change) => return self.change_path(change, &bytes),
            Function::Query(changes) => return self.change_query(changes, &bytes),
            Function::Forwarded(trusted) => urls::forwarded_for(&bytes, trusted.as_deref()),
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
        })
    }

    /// Whether bytes pass a test.
    pub fn test(&mut self, test: &Test, bytes: &[u8]) -> Option<bool> {
        Some(match test {
            Test::Anything => true,
            Test::NotEmpty => !bytes.is_empty(),
            Test::Equals(other) => bytes == other.as_slice(),
            Test::OneOf(others) => others.iter().any(|other| other.as_slice() == bytes),
            Test::Same(value) => return self.same(value, bytes),
            Test::Affix(value) => {
                let pattern = Test::of_affix(&self.value(value)?);
                return self.test(&pattern, bytes);
            }
            Test::Glob(pattern) => url::glob(pattern, bytes),
            Test::EscapedGlob(pattern) => url::escaped_glob(pattern, bytes),
            Test::Prefix(prefix) => bytes.starts_with(prefix),
            Test::Begins(value) => bytes.starts_with(&self.value(value)?),
            Test::Network(networks) => in_network(bytes, networks),
            Test::Suffix(suffix) => bytes.ends_with(suffix),
            Test::Contains(part) => {
                part.is_empty() || bytes.windows(part.len()).any(|window| window == part.as_slice())
            }
            Test::AnyCase(inner) => return self.any_case(inner, bytes),
            Test::Regex(pattern, captures) => return self.matches(pattern, captures, bytes),
            Test::Scheme(word) => credentials_of(bytes, word).is_some(),
        })
    }

    fn any_case(&mut self, test: &Test, bytes: &[u8]) -> Option<bool> {
        let lower = bytes.to_ascii_lowercase();
        Some(match test {
            Test::Equals(other) => lower == other.to_ascii_lowercase(),
            Test::OneOf(others) => others.iter().any(|other| other.to_ascii_lowercase() == lower),
            Test::Same(value) => self.value(value)?.to_ascii_lowercase() == lower,
            Test::Prefix(prefix) => lower.starts_with(&prefix.to_ascii_lowercase()),
            Test::Suffix(suffix) => lower.ends_with(&suffix.to_ascii_lowercase()),
            Test::Contains(part) => return self.test(&Test::Contains(part.to_ascii_lowercase()), &lower),
            other => return self.test(other, bytes),
        })
    }

    fn matches(&mut self, pattern: &Pattern, captures: &Captures, bytes: &[u8]) -> Option<bool> {
        let (groups, names): (Vec<Vec<u8>>, Vec<Option<String>>) = match pattern {
            Pattern::Regular(regex) => {
                if *captures == Captures::Dropped {
                    return Some(regex.is_match(bytes));
                }
                let Some(found) = regex.captures(bytes) else { return self.no_match(captures) };
                let group = |group: Option<regex::bytes::Match<'_>>| group.map(|part| part.as_bytes().to_vec());
                (
                    found.iter().map(|part| group(part).unwrap_or_default()).collect(),
                    regex.capture_names().map(|name| name.map(str::to_owned)).collect(),
                )
            }
            Pattern::Fancy(regex) => {
                let Ok(text) = std::str::from_utf8(bytes) else {
                    return self.unknown("a regular expression with look-around meets bytes that are not UTF-8");
                };
                match regex.captures(text) {
                    Err(_) => return self.unknown("a regular expression takes too long"),
                    Ok(None) => return self.no_match(captures),
                    Ok(Some(found)) => (
                        found.iter().map(|part| part.map(|part| part.as_str().into()).unwrap_or_default()).collect(),
                        regex.capture_names().map(|name| name.map(str::to_owned)).collect(),
                    ),
                }
            }
            Pattern::Opaque(why) => return self.unknown(why.clone()),
        };
        match captures {
            Captures::Dropped => {}
            Captures::Numbered | Captures::Renewed => {
                for (name, group) in names.into_iter().zip(&groups) {
                    if let Some(name) = name {
                        self.variables.insert(name.into(), Some(group.clone()));
                    }
                }
                self.captures = groups;
            }
            Captures::Prefixed(prefixes) => {
                for prefix in prefixes.iter() {
                    for (at, (name, group)) in names.iter().zip(&groups).enumerate() {
                        self.variables.insert(format!("{prefix}{at}").into(), Some(group.clone()));
                        if let Some(name) = name {
                            self.variables.insert(format!("{prefix}{name}").into(), Some(group.clone()));
                        }
                    }
                }
            }
        }
        Some(true)
    }

    fn no_match(&mut self, captures: &Captures) -> Option<bool> {
        if *captures == Captures::Renewed {
            self.captures.clear();
        }
        Some(false)
    }

    /// The client's address becomes what a trusted peer says; whether it did.
    pub fn take_client_ip(&mut self, trust: &Trust) -> bool {
        let trusted = |address: IpAddr| trust.peers.iter().any(|network| network.contains(&address));
        let before = self.client_ip;
        let Some(said) = self.value(&trust.says).filter(|_| trusted(before)) else { return false };
        for word in said.split(|byte| matches!(byte, b',' | b' ')).rev().filter(|word| !word.is_empty()) {
            let Some(address) = parse_address(word) else { break };
            self.client_ip = address;
            if !(trust.recursive && trusted(address)) {
                break;
            }
        }
        self.client_ip != before
    }

    /// Whether a condition holds that needs no other chain.
    pub fn holds_simple(&mut self, predicate: &Predicate) -> Option<bool> {
        Some(match predicate {
            Predicate::Always => true,
            Predicate::Value(value, test) => {
                let bytes = self.value(value)?;
                return self.test(test, &bytes);
            }
            Predicate::Header(name, lines, test) => return self.header_passes(name, *lines, test),
            Predicate::Parameter(name, test) => {
                let name = self.value(name)?;
                let (values, well) = self.parameters(&name)?;
                return if well { self.one_passes(values, test) } else { Some(false) };
            }
            Predicate::Argument(name, test) => {
                let query = self.query.clone()?;
                return self.argument_passes(&query, name, test);
            }
            Predicate::Client(networks) => networks.iter().any(|network| network.contains(&self.client_ip)),
            Predicate::Authenticated(authenticate) => {
                match authenticate.who(self.request, &Headers(&self.headers)) {
                    Who::Client(name) => self.client = Some(name),
                    Who::Nobody => return Some(false),
                    Who::Unknown(why) => return self.unknown(why),
                }
                true
            }
            Predicate::BodyOver(bytes) => self.request.body_bytes > *bytes,
            Predicate::Model(models) => body::model(self.request).is_some_and(|model| {
                models.iter().any(|test| if test.prefix { model.starts_with(&test.text) } else { model == test.text })
            }),
            Predicate::Opaque(why) => return self.unknown(why.clone()),
            Predicate::All(_) | Predicate::Any(_) | Predicate::Not(_) | Predicate::Subrequest(..) => {
                return self.unknown("a condition inside a table");
            }
        })
    }

    fn header_passes(&mut self, name: &str, lines: Lines, test: &Test) -> Option<bool> {
        let values: Vec<Vec<u8>> = Headers(&self.headers).all(name).map(<[u8]>::to_vec).collect();
        if lines == Lines::Only && values.len() != 1 {
            return Some(false);
        }
        self.one_passes(values, test)
    }

    fn one_passes(&mut self, values: Vec<Vec<u8>>, test: &Test) -> Option<bool> {
        let mut known = true;
        for value in values {
            match self.test(test, &value) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => known = false,
            }
        }
        known.then_some(false)
    }

    /// The lines of a header with `, ` between them.
    pub fn lines(&self, name: &str) -> Vec<u8> {
        self.header(name, Join::With(", "))
    }

    fn argument_passes(&mut self, query: &[u8], name: &[u8], test: &Test) -> Option<bool> {
        let mut known = true;
        for pair in query.split(|&byte| byte == b'&').filter(|pair| !pair.contains(&b';')) {
            let key = before(pair, b'=');
            let value = pair.get(key.len() + 1..).unwrap_or_default();
            let (Some(key), Some(value)) = (form_decoded(key), form_decoded(value)) else { continue };
            if key != name {
                continue;
            }
            match self.test(test, &value) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => known = false,
            }
        }
        known.then_some(false)
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
            Edit::Set(value) | Edit::Add(value) | Edit::Default(value) => {
                let bytes = self.value(value).unwrap_or_default();
                if matches!(edit.edit, Edit::Set(_)) {
                    self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
                }
                if !(bytes.is_empty() && matches!(edit.edit, Edit::Set(_))) {
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
