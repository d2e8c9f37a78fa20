//! What a gateway tells apart: every literal that its conditions and tables compare with, sorted by what is compared.
//!
//! In: a [`Gateway`]. Out: [`Boundaries`], from which requests are made that meet each rule and just miss it. Invariant: every chain is
//! looked at once; for a regular expression there are examples that it matches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::live::Behind;
use crate::gateway::auth::UNLISTED;
use crate::gateway::step::Step;
use crate::gateway::value::Row;
use crate::gateway::{Function, Gateway, Lookup, Pattern, Predicate, Select, Terminal, Test, Value};

/// Texts, as bytes.
pub type Texts = BTreeSet<Vec<u8>>;

/// How many examples of a regular expression are made.
const MOST_EXAMPLES: usize = 8;
/// How often what may repeat is repeated at most, where it must.
const MOST_REPEATS: u32 = 40;
/// How many variables are followed that are set to each other.
const MOST_VARIABLES: usize = 3;

/// What is compared with what.
#[derive(Debug, Clone, Default)]
pub struct Boundaries {
    /// Paths, whole or in part.
    pub paths: Texts,
    /// Hosts.
    pub hosts: Texts,
    /// Methods.
    pub methods: Texts,
    /// Queries, whole or in part.
    pub queries: Texts,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, Texts>,
    /// Cookies by their names.
    pub cookies: BTreeMap<String, Texts>,
    /// Query arguments by their names.
    pub arguments: BTreeMap<String, Texts>,
    /// Users and clients whose credentials are asked for.
    pub clients: BTreeSet<String>,
    /// Lengths of bodies.
    pub bodies: BTreeSet<u64>,
    /// Addresses of clients: one in each network that is told apart.
    pub addresses: BTreeSet<IpAddr>,
    /// The networks themselves.
    pub networks: BTreeSet<IpNet>,
    /// Headers that claim the address of a client, by their names in lower case, where the config believes one.
    pub claims: BTreeSet<String>,
    /// Texts whose source isn't found: of groups of a match, for example.
    pub loose: Texts,
    /// Variables by their names: what they are compared with is compared with what they are set to.
    variables: BTreeMap<Arc<str>, Texts>,
}

/// What a gateway tells apart.
pub fn boundaries(gateway: &Gateway) -> Boundaries {
    boundaries_of(&Behind::of(&gateway.chains))
}

/// What clauses and ends tell apart.
pub fn boundaries_of(behind: &Behind<'_>) -> Boundaries {
    let mut found = Boundaries::default();
    behind.ends.iter().for_each(|end| found.terminal(end));
    for clause in &behind.clauses {
        found.predicate(&clause.when);
        clause.steps.iter().for_each(|step| found.step(step));
    }
    found.follow(behind);
    found.cookies_in_header();
    found
}

impl Boundaries {
    /// Follows variables to what they are set to.
    fn follow(&mut self, behind: &Behind<'_>) {
        for _ in 0..MOST_VARIABLES {
            let known = std::mem::take(&mut self.variables);
            if known.is_empty() {
                return;
            }
            let mut set = BTreeSet::new();
            for step in behind.clauses.iter().flat_map(|clause| &clause.steps) {
                let Step::Set(said) = step else { continue };
                if let Some(texts) = known.get(&said.what.0) {
                    set.insert(&said.what.0);
                    let texts: Vec<Vec<u8>> = texts.iter().cloned().collect();
                    self.compared(&said.what.1, &texts);
                }
            }
            let unset = known.iter().filter(|(name, _)| !set.contains(name));
            self.loose.extend(unset.flat_map(|(_, texts)| texts.iter().cloned()));
        }
        self.variables.clear();
    }

    /// Cookies that are cut out of their header by an expression: what ends in `=` is a name, and the rest may be its value.
    fn cookies_in_header(&mut self) {
        let Some(texts) = self.headers.get("cookie") else { return };
        let (names, values): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) = texts.iter().partition(|text| text.ends_with(b"="));
        for name in names {
            let name = String::from_utf8_lossy(&name[..name.len() - 1]).trim_matches([' ', ';', ',']).to_owned();
            let values = values.iter().copied().chain(&self.loose).cloned();
            self.cookies.entry(name).or_default().extend(values);
        }
    }

    fn predicate(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::Value(value, test) => {
                self.value(value);
                self.network(test);
                self.compared(value, &examples(test));
            }
            // `*` is no header's name, but any.
            Predicate::Header(name, ..) if name == "*" => {}
            Predicate::Header(name, _, test) => self.header(name).extend(examples(test)),
            Predicate::Argument(name, test) => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.arguments.entry(name).or_default().extend(examples(test));
            }
            Predicate::Parameter(name, test) => {
                let name = String::from_utf8_lossy(name.as_literal().unwrap_or_default()).into_owned();
                self.arguments.entry(name).or_default().extend(examples(test));
            }
            Predicate::Authenticated(who) => {
                self.clients.extend(who.credentials.iter().map(|credential| credential.client.clone()));
                self.clients.extend(who.incomplete.as_ref().map(|_| UNLISTED.to_owned()));
            }
            Predicate::BodyOver(bytes) => {
                self.bodies.extend([*bytes, bytes + 1]);
            }
            Predicate::All(parts) | Predicate::Any(parts) => parts.iter().for_each(|part| self.predicate(part)),
            Predicate::Not(part) => self.predicate(part),
            Predicate::Client(networks) => {
                self.networks.extend(networks.iter().copied());
                self.addresses.extend(networks.iter().map(one_of_network));
            }
            Predicate::Always | Predicate::Model(_) | Predicate::Subrequest(..) | Predicate::Opaque(_) => {}
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::ClientIp(said) => self.claim(&said.what.says),
            Step::Set(said) => self.value(&said.what.1),
            Step::Rewrite(said) => {
                let rewrite = &said.what;
                let parts = [&rewrite.method, &rewrite.path, &rewrite.query, &rewrite.target];
                parts.into_iter().flatten().for_each(|value| self.value(value));
            }
            _ => {}
        }
    }

    fn terminal(&mut self, terminal: &Terminal) {
        match terminal {
            Terminal::Select(select) => self.select(select),
            Terminal::RespondWith(value) => self.value(value),
            Terminal::Forward(forward) => {
                [&forward.upstream, &forward.target, &forward.host].into_iter().for_each(|value| self.value(value));
            }
            _ => {}
        }
    }

    fn select(&mut self, select: &Select) {
        let exact = select.exact.texts().map(<[u8]>::to_vec);
        let prefixes = select.prefixes.texts().flat_map(begun);
        let keys: Vec<Vec<u8>> = exact.chain(prefixes).collect();
        self.value(&select.on);
        self.compared(&select.on, &keys);
        self.terminal(&select.otherwise);
    }

    /// Adds what the tables inside a value tell apart.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Lookup(table) => self.table(table),
            Value::Concat(parts) | Value::First(parts) => parts.iter().for_each(|part| self.value(part)),
            Value::Apply(_, inner) => self.value(inner),
            _ => {}
        }
    }

    fn table(&mut self, table: &Lookup) {
        let mut keys: Vec<Vec<u8>> = table.exact.keys().cloned().collect();
        for (row, value) in &table.rows {
            match row {
                Row::Test(test) => {
                    self.network(test);
                    keys.extend(examples(test));
                }
                Row::When(predicate) => self.predicate(predicate),
            }
            self.value(value);
        }
        self.value(&table.on);
        self.compared(&table.on, &keys);
    }

    fn network(&mut self, test: &Test) {
        if let Test::Network(networks) = test {
            self.networks.extend(networks.iter().copied());
        }
    }

    /// Texts that a value is compared with.
    fn compared(&mut self, value: &Value, texts: &[Vec<u8>]) {
        let own = texts.iter().cloned();
        match value {
            Value::Variable(name) => self.variables.entry(Arc::clone(name)).or_default().extend(own),
            Value::Path | Value::RawPath | Value::Target | Value::OriginalTarget => self.paths.extend(own),
            Value::Host | Value::Authority => self.hosts.extend(own),
            Value::Method => self.methods.extend(own),
            Value::ClientIp => {
                let addresses = own.filter_map(|text| std::str::from_utf8(&text).ok()?.parse::<IpAddr>().ok());
                self.addresses.extend(addresses);
            }
            Value::Query => self.queries.extend(own),
            Value::Header(name, _) => self.header(name).extend(own),
            Value::Cookie(name) => self.cookies.entry(name.clone()).or_default().extend(own),
            Value::Argument(name) => self.arguments.entry(name.clone()).or_default().extend(own),
            Value::Apply(Function::LastOutside(networks), inner) => {
                let inside = networks.iter().map(|network| one_of_network(network).to_string().into_bytes());
                self.compared(inner, &own.chain(inside).collect::<Vec<_>>());
            }
            Value::Apply(Function::Believed(trust), inner) => {
                self.claim(&trust.says);
                self.compared(inner, texts);
            }
            Value::Apply(_, inner) => self.compared(inner, texts),
            Value::Lookup(table) => {
                self.compared(&table.on, texts);
                table.rows.iter().for_each(|(_, value)| self.compared(value, texts));
            }
            Value::Concat(parts) | Value::First(parts) => {
                parts.iter().for_each(|part| self.compared(part, texts));
            }
            _ => {}
        }
    }

    /// Headers that say the address of a client.
    fn claim(&mut self, says: &Value) {
        says.any(&mut |part| {
            if let Value::Header(name, _) = part {
                self.claims.insert(name.to_ascii_lowercase());
            }
            false
        });
    }

    fn header(&mut self, name: &str) -> &mut Texts {
        self.headers.entry(name.to_ascii_lowercase()).or_default()
    }
}

/// An address in a network, the first that a host may have.
fn one_of_network(network: &IpNet) -> IpAddr {
    network.hosts().next().unwrap_or(network.addr())
}

/// What begins with a text: itself, a path below, and a longer word.
fn begun(prefix: &[u8]) -> [Vec<u8>; 3] {
    let below: &[u8] = if prefix.ends_with(b"/") { b"x" } else { b"/x" };
    [prefix.to_vec(), [prefix, below].concat(), [prefix, b"x"].concat()]
}

/// Texts that pass a test.
pub fn examples(test: &Test) -> Vec<Vec<u8>> {
    match test {
        Test::Equals(text) => vec![text.clone()],
        Test::OneOf(texts) => texts.to_vec(),
        Test::Prefix(prefix) => begun(prefix).to_vec(),
        Test::Suffix(suffix) => vec![suffix.clone(), [b"/x", suffix.as_slice()].concat()],
        Test::Contains(part) => vec![part.clone(), [b"/x", part.as_slice(), b"x"].concat()],
        Test::AnyCase(inner) => {
            let inner = examples(inner);
            let capitals: Vec<Vec<u8>> = inner.iter().map(|text| text.to_ascii_uppercase()).collect();
            [inner, capitals].concat()
        }
        Test::Regex(pattern, _) => match pattern.as_ref() {
            Pattern::Regular(regex) => matching(regex.as_str()),
            Pattern::Fancy(regex) => matching(regex.as_str()),
            Pattern::Opaque(_) => Vec::new(),
        },
        Test::Scheme(scheme) => vec![format!("{scheme} x").into_bytes()],
        Test::Network(networks) => {
            networks.iter().map(|network| one_of_network(network).to_string().into_bytes()).collect()
        }
        _ => Vec::new(),
    }
}

/// Texts that a regular expression matches; none if it isn't understood.
fn matching(regex: &str) -> Vec<Vec<u8>> {
    let bytes = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(regex).ok();
    let Some(hir) = bytes.or_else(|| regex_syntax::parse(regex).ok()) else { return Vec::new() };
    let mut found = samples(&hir);
    found.truncate(MOST_EXAMPLES);
    found
}

/// Some texts that match; at least one.
fn samples(hir: &Hir) -> Vec<Vec<u8>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![Vec::new()],
        HirKind::Literal(literal) => vec![literal.0.to_vec()],
        HirKind::Class(class) => vec![one_of(class)],
        HirKind::Repetition(repetition) => {
            let times = repetition.min.min(MOST_REPEATS) as usize;
            let once = samples(&repetition.sub);
            let mut found: Vec<Vec<u8>> = once.iter().map(|text| text.repeat(times.max(1))).collect();
            if times == 0 {
                found.push(Vec::new());
            }
            found.truncate(MOST_EXAMPLES);
            found
        }
        HirKind::Capture(capture) => samples(&capture.sub),
        HirKind::Alternation(parts) => {
            let mut found: Vec<Vec<u8>> = parts.iter().flat_map(samples).collect();
            found.truncate(MOST_EXAMPLES);
            found
        }
        HirKind::Concat(parts) => parts.iter().fold(vec![Vec::new()], |starts, part| {
            let ends = samples(part);
            // Every start with one end, and the first start with every end: each alternative once, not all products.
            let most = starts.len().max(ends.len());
            let pick = |list: &[Vec<u8>], at: usize| list.get(at.min(list.len() - 1)).cloned().unwrap_or_default();
            (0..most).map(|at| [pick(&starts, at), pick(&ends, at)].concat()).collect()
        }),
    }
}

/// A byte of a class, one that reads well where there is one.
fn one_of(class: &Class) -> Vec<u8> {
    let wanted = b"amx01-_./";
    let holds = |byte: u8| match class {
        Class::Bytes(class) => class.iter().any(|range| (range.start()..=range.end()).contains(&byte)),
        Class::Unicode(class) => class.iter().any(|range| (range.start()..=range.end()).contains(&char::from(byte))),
    };
    let any = || (0..=u8::MAX).find(|byte| holds(*byte));
    wanted.iter().copied().find(|byte| holds(*byte)).or_else(any).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_match() {
        for text in [
            r"^/v1/(chat/completions|models|embeddings)$",
            r"\A/api/(?:tags|ps)\z",
            r"^/v1/models/[A-Za-z0-9._:-]{1,128}$",
            r"(?i)^/API/.*\.txt$",
            r"^/(?P<a>[^/]+)/x{2,3}?",
        ] {
            let regex = regex::bytes::Regex::new(text).unwrap();
            let found = matching(text);
            assert!(!found.is_empty());
            for example in found {
                assert!(regex.is_match(&example), "{text}: {}", example.escape_ascii());
            }
        }
        assert_eq!(matching("^/(?:aa|bb|cc)$").len(), 3);
        assert!(matching("(").is_empty());
    }
}
