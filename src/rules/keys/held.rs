//! The keys that a config holds as text.
//!
//! In: a gateway. Out: each key once, what it is for, and its place. Invariant: a text counts if it is compared with a header or an argument
//! that carries keys, whole; patterns count where they are nothing but the key.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use regex_syntax::hir::{Hir, HirKind};

use crate::analysis::caller::is_key_name;
use crate::finding::Place;
use crate::gateway::value::Row;
use crate::gateway::{Clause, Edit, Function, Lookup, Origin, Pattern, Predicate, Proof, Step, Test, Value};
use crate::rules::Context;
use crate::rules::leaks::spelled;
use crate::source::Span;

/// How many keys are looked for in the files.
const MOST_PLACED: usize = 64;

/// A key.
pub struct Held {
    /// The header or argument that carries it, as it is called there.
    pub carrier: String,
    /// Whether it is sent to the upstream, instead of asked from callers.
    pub upstream: bool,
    /// The key. It is shown to nobody.
    pub text: String,
    origin: Origin,
}

/// The keys of a gateway, without those of the policy.
pub fn held(context: &Context<'_>) -> Vec<Held> {
    let mut search = Search { found: Vec::new(), known: HashSet::new(), tables: HashSet::new() };
    for clause in context.gateway.chains.iter().flat_map(|chain| &chain.clauses) {
        search.clause(clause);
    }
    let policys = context.measure.plan.clients.iter().flat_map(|client| &client.keys);
    let policys: Vec<_> = policys.filter_map(|key| key.value.as_ref()).collect();
    search.found.retain(|held| !policys.iter().any(|own| own.equals(held.text.as_bytes())));
    search.found
}

impl Held {
    /// Its place: where it stands as text, else where it is compared.
    pub fn place(&self, context: &Context<'_>) -> Option<Place> {
        self.written(context)
            .or_else(|| (self.origin.span() != Span::default()).then(|| context.place(&self.origin)).flatten())
    }

    /// Where it stands as text; absent: in none of the files, it comes from elsewhere.
    pub fn written(&self, context: &Context<'_>) -> Option<Place> {
        let files = &context.gateway.files;
        let nearest = files.get(self.origin.file());
        nearest.into_iter().chain(files).find_map(|file| {
            let start = file.text.match_indices(&self.text).map(|(at, _)| at).find(|at| {
                let end = at + self.text.len();
                let inside = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
                let bytes = file.text.as_bytes();
                !inside(at.checked_sub(1).and_then(|before| bytes.get(before))) && !inside(bytes.get(end))
            })?;
            Some(Place { file: file.clone(), span: Span { start, end: start + self.text.len() } })
        })
    }
}

impl Held {
    /// Whether the file itself holds it: what a template is filled with stands in none. Yes where it can't be read.
    pub fn stands_in(&self, path: &std::path::Path) -> bool {
        std::fs::read(path).map_or(true, |bytes| bytes.windows(self.text.len()).any(|own| own == self.text.as_bytes()))
    }
}

/// The first of these keys, as many as it is worth to look for.
pub fn some(keys: Vec<Held>) -> impl Iterator<Item = Held> {
    keys.into_iter().take(MOST_PLACED)
}

struct Search {
    found: Vec<Held>,
    known: HashSet<(String, String)>,
    tables: HashSet<*const Lookup>,
}

impl Search {
    fn clause(&mut self, clause: &Clause) {
        clause.when.any(&mut |part| {
            self.predicate(part, &clause.origin);
            false
        });
        for step in &clause.steps {
            match step {
                Step::Set(said) => self.value(&said.what.1, &said.origin),
                Step::RequestHeader(said) => {
                    let edit = &said.what;
                    if let (true, Edit::Set(value) | Edit::Add(value)) = (is_key_name(&edit.name), &edit.edit) {
                        self.value(value, &said.origin);
                        let text = value.as_literal().unwrap_or_default();
                        self.key(&edit.name, text, true, &said.origin);
                    }
                }
                _ => {}
            }
        }
    }

    fn predicate(&mut self, predicate: &Predicate, origin: &Origin) {
        match predicate {
            Predicate::Header(name, _, test) if is_key_name(name) => self.test(name, test, origin),
            Predicate::Argument(name, test) => {
                let name = String::from_utf8_lossy(name).into_owned();
                if is_key_name(&name) {
                    self.test(&format!("?{name}="), test, origin);
                }
            }
            Predicate::Value(value, test) => {
                self.value(value, origin);
                if let Some(carrier) = carrier(value) {
                    self.test(&carrier, test, origin);
                }
                if let Test::Same(with) = test
                    && let Some(carrier) = carrier(with)
                {
                    self.key(&carrier, value.as_literal().unwrap_or_default(), false, origin);
                }
            }
            Predicate::Authenticated(who) => {
                for credential in who.credentials.iter() {
                    if let Some(Proof::Key(key)) = &credential.proof {
                        self.key("key", key.reveal().as_bytes(), false, origin);
                    }
                }
            }
            _ => {}
        }
    }

    /// The tables inside a value that are looked up by a credential.
    fn value(&mut self, value: &Value, origin: &Origin) {
        match value {
            Value::Lookup(table) => self.table(table, origin),
            Value::Concat(parts) | Value::First(parts) => parts.iter().for_each(|part| self.value(part, origin)),
            Value::Apply(_, inner) => self.value(inner, origin),
            _ => {}
        }
    }

    fn table(&mut self, table: &Arc<Lookup>, origin: &Origin) {
        if !self.tables.insert(Arc::as_ptr(table)) {
            return;
        }
        if let Some(carrier) = carrier(&table.on) {
            let mut keys: Vec<&Vec<u8>> = table.exact.keys().collect();
            keys.sort();
            keys.into_iter().for_each(|key| self.key(&carrier, key, false, origin));
            for (row, _) in &table.rows {
                if let Row::Test(test) = row {
                    self.test(&carrier, test, origin);
                }
            }
        }
        self.value(&table.on, origin);
        for (row, value) in &table.rows {
            if let Row::When(predicate) = row {
                predicate.any(&mut |part| {
                    self.predicate(part, origin);
                    false
                });
            }
            self.value(value, origin);
        }
        self.value(&table.otherwise, origin);
    }

    fn test(&mut self, carrier: &str, test: &Test, origin: &Origin) {
        match test {
            Test::Equals(text) => self.key(carrier, text, false, origin),
            Test::OneOf(texts) => texts.iter().for_each(|text| self.key(carrier, text, false, origin)),
            Test::Same(value) => self.key(carrier, value.as_literal().unwrap_or_default(), false, origin),
            Test::AnyCase(inner) => self.test(carrier, inner, origin),
            Test::Regex(pattern, _) => {
                let source = match pattern.as_ref() {
                    Pattern::Regular(regex) => regex.as_str(),
                    Pattern::Fancy(regex) => regex.as_str(),
                    Pattern::Opaque(_) => return,
                };
                let parsed = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(source);
                let texts = parsed.ok().and_then(|hir| texts(&hir)).unwrap_or_default();
                texts.iter().for_each(|text| self.key(carrier, text, false, origin));
            }
            _ => {}
        }
    }

    fn key(&mut self, carrier: &str, text: &[u8], upstream: bool, origin: &Origin) {
        let (scheme, key) = parted(text);
        let Ok(mut key) = std::str::from_utf8(key).map(str::to_owned) else { return };
        if scheme.eq_ignore_ascii_case("basic") {
            let login = base64::engine::general_purpose::STANDARD.decode(&key).ok();
            let login = login.and_then(|login| String::from_utf8(login).ok());
            if let Some((_, password)) = login.as_deref().and_then(|login| login.split_once(':')) {
                key = password.to_owned();
            }
        }
        let nothing = key.is_empty() || ["bearer", "basic"].contains(&key.to_ascii_lowercase().as_str());
        // What has blanks in it is no key but a question, and nginx asks for `0` where it wants to know whether there is anything.
        let nothing = nothing || key == "0";
        if !nothing && !key.contains([' ', '*']) && self.known.insert((carrier.to_ascii_lowercase(), key.clone())) {
            let carrier = if carrier.starts_with('?') { carrier.to_owned() } else { spelled(carrier) };
            self.found.push(Held { carrier, upstream, text: key, origin: origin.clone() });
        }
    }
}

/// The scheme of an `Authorization` header and what follows it.
fn parted(text: &[u8]) -> (&'static str, &[u8]) {
    for scheme in ["Bearer", "Basic"] {
        if let Some((start, rest)) = text.split_at_checked(scheme.len())
            && start.eq_ignore_ascii_case(scheme.as_bytes())
            && rest.first().is_none_or(|byte| *byte == b' ')
        {
            return (scheme, rest.trim_ascii());
        }
    }
    ("", text.trim_ascii())
}

/// The texts that a pattern matches, where it says nothing but them.
fn texts(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => texts(&capture.sub),
        // PCRE's `$` may stand before a final line feed.
        HirKind::Repetition(end) if end.min == 0 && texts(&end.sub)? == [b"\n"] => Some(vec![Vec::new()]),
        HirKind::Alternation(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(texts).collect();
            Some(all?.concat())
        }
        HirKind::Concat(parts) => parts.iter().try_fold(vec![Vec::new()], |starts, part| {
            let ends = texts(part)?;
            let joined = starts.iter().flat_map(|start| ends.iter().map(move |end| [start.as_slice(), end].concat()));
            Some(joined.take(MOST_PLACED).collect())
        }),
        HirKind::Class(_) | HirKind::Repetition(_) => None,
    }
}

/// The header or argument of credentials that a value is, whole. What a table makes of one isn't it.
fn carrier(value: &Value) -> Option<String> {
    match value {
        Value::Header(name, _) | Value::Cookie(name) if is_key_name(name) => Some(name.clone()),
        Value::Argument(name) | Value::Parameter(name) if is_key_name(name) => Some(format!("?{name}=")),
        Value::First(parts) | Value::Concat(parts) => {
            let all: Option<Vec<String>> = parts.iter().map(carrier).collect();
            all?.into_iter().next()
        }
        Value::Apply(Function::Lower | Function::StripPrefix(_) | Function::After(_), inner) => carrier(inner),
        _ => None,
    }
}
