//! `proxy_pass` and its relatives: where a request goes, and as what.
//!
//! In: a scope and the URL. Out: the chain that makes the content. Invariant: the target is what `ngx_http_proxy_create_request` writes:
//! the client's own bytes unless the path was changed or the URL has a path (measured on nginx 1.22.1 and 1.31.3).

use std::rc::Rc;
use std::sync::Arc;

use crate::gateway::value::{Replace, Row};
use crate::gateway::{
    Captures, Chain, ChainId, Clause, Edit, Forward, Function, Gateway, HeaderEdit, Lookup, Origin, Pattern, Predicate,
    Rewrite, Step, Terminal, Test, Value,
};

use super::block::Line;
use super::scope::{Pass, Scope};
use super::upstream::with_port;
use super::{Reader, state};

/// What a list of `proxy_set_header`s became.
pub struct Headers {
    /// The list, kept alive.
    pub list: Rc<[Step]>,
    /// The chain of its steps; absent: it was met once.
    chain: Option<ChainId>,
    /// The Host header.
    host: Rc<Value>,
}

/// The parts of a URL that are known.
pub struct Url {
    upstream: Value,
    /// What [`state::PROXY_HOST`] is.
    host: Value,
    target: Value,
    /// What is refused at run time.
    refusals: Vec<Clause>,
}

impl<'c> Reader<'c> {
    /// The chain of a `proxy_pass`.
    pub fn proxy(&mut self, server: &Origin, scope: &Scope, pass: &Pass) -> Chain {
        let line = lone(pass);
        let Some(url) = (match pass.url.contains(&b'$') {
            true => self.computed(&line, scope, pass).map(Rc::new),
            false => self.fixed(&line, pass),
        }) else {
            let why = format!("`proxy_pass` at {} is not understood", self.place(&line));
            return Chain { clauses: Vec::new(), otherwise: Terminal::unknown(why), origin: pass.origin.clone() };
        };
        let mut clauses: Vec<Clause> = self.read_limit(server, scope).into_iter().collect();
        clauses.extend(url.refusals.iter().cloned());
        let mut steps = vec![self.proxy_host(&url.host)];
        if let Some(method) = scope.method.as_deref() {
            let rewrite = Rewrite { method: Some(method.clone()), ..Rewrite::default() };
            steps.push(Step::rewrite(rewrite, pass.origin.noted("`proxy_method` makes the method")));
        }
        let (headers, host) = self.headers(scope);
        steps.extend(headers);
        let target = match url.target.as_literal().is_some() || matches!(url.target, Value::Target) {
            true => url.target.clone(),
            false => {
                steps.insert(0, Step::set(" target".into(), url.target.clone(), Origin::default()));
                state::variable(" target")
            }
        };
        clauses.push(Clause::steps(steps, Origin::default()));
        let forward = self.forward(&pass.url, &url.upstream, target, &host);
        Chain { clauses, otherwise: Terminal::Forward(forward), origin: pass.origin.clone() }
    }

    /// Where a URL leads, one for all locations that pass the same on.
    fn forward(&mut self, url: &[u8], upstream: &Value, target: Value, host: &Value) -> Arc<Forward> {
        let known = self.forwards.get(url);
        let same = |known: &&Arc<Forward>| [&known.upstream, &known.target, &known.host] == [upstream, &target, host];
        if let Some(known) = known.filter(same) {
            return known.clone();
        }
        let forward = Arc::new(Forward { upstream: upstream.clone(), target, host: host.clone() });
        self.forwards.insert(url.to_vec(), forward.clone());
        forward
    }

    /// Sets [`state::PROXY_HOST`]; many upstreams have the same.
    fn proxy_host(&mut self, host: &Value) -> Step {
        let key = host.as_literal();
        if let Some(&known) = key.and_then(|key| self.proxy_hosts.get(key)) {
            return Step::Call(known);
        }
        let set = Step::set(state::PROXY_HOST.into(), host.clone(), Origin::default());
        let Some(key) = key else { return set };
        let clauses = vec![Clause::steps(vec![set], Origin::default())];
        let chain = self.gateway.add(Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() });
        self.proxy_hosts.insert(key.to_vec(), chain);
        Step::Call(chain)
    }

    /// A URL without variables. What the location has no part in is read once.
    fn fixed(&mut self, line: &Line<'c>, pass: &Pass) -> Option<Rc<Url>> {
        if let Some(known) = self.urls.get(&pass.url) {
            return Some(known.clone());
        }
        let told = self.sink.list.len();
        let url = Rc::new(self.read_url(line, pass)?);
        if matches!(url.target, Value::Target) && self.sink.list.len() == told {
            self.urls.insert(pass.url.clone(), url.clone());
        }
        Some(url)
    }

    fn read_url(&mut self, line: &Line<'c>, pass: &Pass) -> Option<Url> {
        let Some((rest, port)) = scheme(&pass.url) else {
            self.error(line, "invalid URL prefix", "begin it with `http://` or `https://`");
            return None;
        };
        let (authority, uri) = if rest.starts_with(b"unix:") {
            // `unix:/path:/uri`
            let end = rest[5..].iter().position(|&byte| byte == b':').map_or(rest.len(), |at| at + 5);
            (&rest[..end], rest.get(end + 1..).unwrap_or_default())
        } else {
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
            rest.split_at(end)
        };
        if authority.is_empty() {
            self.error(line, "no host in upstream", "write `http://host:port`");
            return None;
        }
        let before_port = authority.split(|&byte| byte == b':').next().unwrap_or_default();
        if before_port.len() < authority.len() && self.upstreams.contains_key(before_port) {
            let message = format!("the upstream `{}` has its own ports", String::from_utf8_lossy(before_port));
            self.error(line, message, "take the port out of `proxy_pass`");
        }
        let upstream = match self.upstreams.get(authority) {
            Some(upstream) => upstream.first.clone(),
            None => with_port(authority, port),
        };
        let host: &[u8] = if authority.starts_with(b"unix:") { b"localhost" } else { without_default(authority, port) };
        let target = match uri {
            b"" => Value::Target,
            uri => replaced(uri, &pass.prefix),
        };
        let (upstream, host) = (Value::literal(upstream), Value::literal(host));
        Some(Url { upstream, host, target, refusals: Vec::new() })
    }

    /// A URL with variables: its parts are known only when it is.
    fn computed(&mut self, line: &Line<'c>, scope: &Scope, pass: &Pass) -> Option<Url> {
        let url = self.template(line, &pass.url);
        let cut = |pattern: &str| {
            let replace = Replace { pattern: Pattern::of(pattern), with: b"$1".to_vec(), all: false };
            Value::Apply(Function::Replace(Box::new(replace)), Box::new(url.clone()))
        };
        let authority = cut(r"(?is-u)^https?://([^/?]*).*$");
        let uri = cut(r"(?is-u)^https?://[^/?]*(.*)$");
        let tls =
            Predicate::Value(Value::Apply(Function::Lower, Box::new(url.clone())), Test::Prefix(b"https://".to_vec()));
        let http = Predicate::Value(Value::Apply(Function::Lower, Box::new(url)), Test::Prefix(b"http://".to_vec()));
        let port = state::either("port", vec![(tls.clone(), Value::literal(":443"))], Value::literal(":80"));
        let has_port = pattern_test(r"(?-u):[0-9]+$");
        let address = pattern_test(r"(?-u)^([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|\[.*\])(:[0-9]+)?$");
        let exact =
            self.upstreams.iter().map(|(name, upstream)| (name.clone(), Value::literal(upstream.first.clone())));
        let upstream = Value::Lookup(Arc::new(Lookup {
            name: "upstream".to_owned(),
            on: authority.clone(),
            exact: exact.collect(),
            any_case: false,
            rows: vec![(Row::Test(has_port), authority.clone())],
            otherwise: Value::concat(vec![authority.clone(), port]),
            volatile: true,
        }));
        let mut refusals = Vec::new();
        let wrong = Predicate::All(vec![tls.negated(), http.negated()]);
        refusals.push(Clause::new(wrong, Terminal::Error(500), pass.origin.noted("the computed URL is none (500)")));
        let nobody = Predicate::Value(authority.clone(), Test::Equals(Vec::new()));
        refusals.push(Clause::new(
            nobody,
            Terminal::Error(500),
            pass.origin.noted("the computed URL has no host (500)"),
        ));
        if !scope.resolver {
            let names: Arc<[Vec<u8>]> = self.upstreams.keys().cloned().collect();
            let named = Predicate::All(vec![
                Predicate::Value(authority.clone(), Test::OneOf(names)).negated(),
                Predicate::Value(authority.clone(), address).negated(),
            ]);
            let note = "the computed host is a name, and no `resolver` is there (502)";
            refusals.push(Clause::new(named, Terminal::Error(502), pass.origin.noted(note)));
        }
        let mark = Predicate::Value(uri.clone(), Test::Prefix(b"?".to_vec()));
        let with_slash = Value::concat(vec![Value::literal("/"), uri.clone()]);
        let none = Predicate::Value(uri.clone(), Test::Equals(Vec::new()));
        let target = state::either("target", vec![(none, Value::Target), (mark, with_slash)], uri);
        let strip =
            Function::Replace(Box::new(Replace { pattern: Pattern::of(r"(?-u):80$"), with: Vec::new(), all: false }));
        let host = Value::Apply(strip, Box::new(authority));
        Some(Url { upstream, host, target, refusals })
    }

    /// What changes headers, and the Host header: steps, or from the second time on a chain of these, since most lists are for one location
    /// and others for very many.
    fn headers(&mut self, scope: &Scope) -> (Vec<Step>, Rc<Value>) {
        let key = (scope.headers.as_ptr() as usize, scope.pass_headers);
        let met = self.headers.get(&key);
        if let Some(Headers { chain: Some(chain), host, .. }) = met {
            return (vec![Step::Call(*chain)], host.clone());
        }
        let again = met.is_some();
        let (mut steps, host) = self.header_steps(scope);
        let mut chain = None;
        if again {
            let clauses = vec![Clause::steps(steps, Origin::default())];
            let id = self.gateway.add(Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() });
            (steps, chain) = (vec![Step::Call(id)], Some(id));
        }
        self.headers.insert(key, Headers { list: scope.headers.clone(), chain, host: host.clone() });
        (steps, host)
    }

    /// The steps that change headers, and the Host header. All values are computed from the headers as the client sent them.
    fn header_steps(&mut self, scope: &Scope) -> (Vec<Step>, Rc<Value>) {
        let mut host = None;
        let (mut steps, mut edits) = (Vec::new(), Vec::with_capacity(scope.headers.len() + 2));
        let edit = |name: &str, edit: Edit, origin: Origin| {
            Step::request_header(HeaderEdit { name: name.to_owned(), edit }, origin)
        };
        if !scope.pass_headers {
            edits.push(edit("*", Edit::Remove, Origin::default()));
        }
        edits.push(self.not_passed());
        for (index, step) in scope.headers.iter().enumerate() {
            let Step::RequestHeader(said) = step else { continue };
            let HeaderEdit { name, edit: Edit::Set(value) } = &*said.what else { continue };
            let mut now = None;
            if !is_same_always(value) {
                let own = format!(" header {index}");
                steps.push(Step::set(own.as_str().into(), value.clone(), Origin::default()));
                now = Some(state::variable(&own));
            }
            if name.eq_ignore_ascii_case("host") && host.is_none() {
                host = Some(now.as_ref().unwrap_or(value).clone());
            }
            edits.push(match now {
                Some(now) => edit(name, Edit::Set(now), said.origin.clone()),
                None => step.clone(),
            });
        }
        // Without a line of the config's own nginx 1.22.1 looks at `$proxy_host`, which `set` may have changed, and 1.31.3 doesn't.
        let usual = match self.since((1, 29, 7)) {
            true => state::variable(state::PROXY_HOST),
            false => self.variable(&Line::lone("proxy_pass", &[], &Origin::default()), "proxy_host"),
        };
        if host.is_none() {
            edits.push(edit("Host", Edit::Set(usual.clone()), Origin::default()));
        }
        if steps.is_empty() {
            steps = edits;
        } else {
            steps.extend(edits);
        }
        (steps, Rc::new(host.unwrap_or(usual)))
    }

    /// Removes the headers that nginx itself doesn't pass on.
    fn not_passed(&mut self) -> Step {
        let remove = |name: &&str| {
            Step::request_header(HeaderEdit { name: (*name).to_owned(), edit: Edit::Remove }, Origin::default())
        };
        let add = |gateway: &mut Gateway| {
            let clauses = vec![Clause::steps(NOT_PASSED.iter().map(remove).collect(), Origin::default())];
            gateway.add(Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() })
        };
        Step::Call(*self.not_passed.get_or_insert_with(|| add(&mut self.gateway)))
    }

    /// A body in chunks is measured when it is read.
    pub fn read_limit(&mut self, server: &Origin, scope: &Scope) -> Option<Clause> {
        let at = scope.body_limit_at.as_ref().unwrap_or(server);
        let chain = self.body_limit(scope.body_limit?, at, true);
        Some(Clause::steps(vec![Step::Call(chain)], Origin::default()))
    }

    /// The chain of `fastcgi_pass` and the like.
    pub fn other_pass(&mut self, server: &Origin, scope: &Scope, scheme: &'static str, pass: &Pass) -> Chain {
        let mut url = pass.url.as_slice();
        for prefix in [&b"grpc://"[..], b"grpcs://"] {
            url = url.strip_prefix(prefix).unwrap_or(url);
        }
        let upstream = match (url.contains(&b'$'), self.upstreams.get(url)) {
            (true, _) => {
                Value::Opaque(format!("depends on the computed address at {}", self.place(&lone(pass))).into())
            }
            (false, Some(upstream)) => Value::literal(upstream.first.clone()),
            (false, None) => Value::literal(with_port(url, if scheme == "grpc" { 80 } else { 0 })),
        };
        let forward = Forward { upstream, target: Value::Target, host: Value::Authority };
        let clauses = self.read_limit(server, scope).into_iter().collect();
        Chain { clauses, otherwise: Terminal::Forward(Arc::new(forward)), origin: pass.origin.clone() }
    }
}

/// Request headers that nginx itself doesn't pass on, unless `proxy_set_header` says so (`ngx_http_proxy_headers`, 1.22.1 and 1.31.3).
const NOT_PASSED: &[&str] = &["Connection", "Keep-Alive", "TE", "Expect", "Upgrade"];

/// Whether changes to headers leave a value as it is.
fn is_same_always(value: &Value) -> bool {
    match value {
        Value::Literal(_) | Value::Scheme | Value::Host | Value::ClientIp | Value::Port | Value::Protocol => true,
        Value::Variable(name) => name.starts_with(' '),
        Value::First(parts) | Value::Concat(parts) => parts.iter().all(is_same_always),
        _ => false,
    }
}

/// The target of a URL with a path: the path of the URL in place of the location's name, then the rest of the path, then the query.
fn replaced(uri: &[u8], prefix: &[u8]) -> Value {
    // A URL such as `http://host?x` has no path: the target begins with its `?` (measured on nginx 1.22.1).
    let uri = uri.to_vec();
    let whole = |path: Value| Value::concat(vec![Value::literal(uri.clone()), path, state::query_with_mark()]);
    let rest = Value::Apply(Function::StripPrefix(prefix.to_vec()), Box::new(Value::Path));
    let cases = vec![
        // After `rewrite … break` the URL's path is not used.
        (state::is_set(state::MOVED), Value::Target),
        (state::is_set(state::INTERNAL), whole(state::escaped(rest.clone()))),
        (state::quoted(), whole(state::escaped(rest.clone()))),
    ];
    state::either("target", cases, whole(rest))
}

fn pattern_test(pattern: &str) -> Test {
    Test::Regex(Pattern::of(pattern), Captures::Dropped)
}

/// What follows the scheme, and the scheme's port.
fn scheme(url: &[u8]) -> Option<(&[u8], u16)> {
    let starts = |scheme: &[u8]| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    match (starts(b"http://"), starts(b"https://")) {
        (true, _) => Some((&url[7..], 80)),
        (_, true) => Some((&url[8..], 443)),
        _ => None,
    }
}

fn without_default(authority: &[u8], port: u16) -> &[u8] {
    authority.strip_suffix(format!(":{port}").as_bytes()).unwrap_or(authority)
}

/// The directive as a line, for messages.
fn lone<'c>(pass: &Pass) -> Line<'c> {
    Line::lone("proxy_pass", &[], &pass.origin)
}
