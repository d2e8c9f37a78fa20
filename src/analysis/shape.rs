//! Which ways into a gateway are alike: the same machine behind them, but for the files that it comes from and the names that it has.
//!
//! In: a gateway and an [`Entry`]. Out: a number, equal for entries whose requests fare alike. Invariant: whatever a decision may depend on is
//! in the number, the host too where anything looks at it; places count by their order alone. What isn't sure to be alike is different.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher, RandomState};
use std::sync::Arc;

use super::entry::Entry;
use super::live::Live;
use super::measure::Measure;
use crate::gateway::by_host::ByHost;
use crate::gateway::value::{ChangePath, QueryChange, Row};
use crate::gateway::{
    Authenticate, Captures, ChainId, Clause, Edit, Errors, Forward, Function, Gateway, HeaderEdit, Lookup, Origin,
    Predicate, Setting, Step, Terminal, Test, Value, environment_variable,
};
use crate::source::Span;

/// What is behind an entry, as a number that is the same for entries like it; other ones have it by chance alone (64 bits, keyed anew for each
/// of `keys`).
pub fn shape(gateway: &Gateway, measure: &Measure, every_upstream: bool, entry: &Entry, keys: &RandomState) -> u64 {
    use std::hash::BuildHasher as _;
    let listener = &gateway.listeners[entry.listener];
    let plain = entry.request(gateway, "GET", "/");
    let mut found = Shaper {
        gateway,
        measure,
        every_upstream,
        sum: keys.build_hasher(),
        host: ByHost::new(listener, &plain),
        order: entry.live.chains().zip(0..).collect(),
        beyond: Vec::new(),
        places: HashMap::new(),
        reasons: HashMap::new(),
        tables: HashSet::new(),
        names: false,
        upstreams: Vec::new(),
        any_header: Vec::new(),
        edits: Vec::new(),
        read: HashSet::new(),
        sets: Vec::new(),
        looked: HashSet::new(),
    };
    found.entry(entry);
    found.sum.finish()
}

/// A walk over everything behind an entry.
struct Shaper<'g, 'h, H> {
    gateway: &'g Gateway,
    measure: &'g Measure,
    every_upstream: bool,
    sum: H,
    /// What the host alone decides.
    host: Option<ByHost<'h>>,
    /// Chains by the order in which they were met.
    order: HashMap<ChainId, usize>,
    /// Chains that only requests come to which are refused before any rule.
    beyond: Vec<ChainId>,
    places: HashMap<(usize, Span), usize>,
    reasons: HashMap<&'g str, usize>,
    /// Tables that were looked into.
    tables: HashSet<*const Lookup>,
    /// Whether a decision may depend on the host or the port.
    names: bool,
    /// Servers that are computed.
    upstreams: Vec<&'g Value>,
    /// Tests that every header passes through.
    any_header: Vec<&'g Test>,
    /// What request headers are set to, by their names in lower case.
    edits: Vec<(String, &'g Value)>,
    /// Request headers, in lower case, that are looked at.
    read: HashSet<String>,
    /// What variables are set to.
    sets: Vec<(&'g str, &'g Value)>,
    /// Variables that are looked at.
    looked: HashSet<&'g str>,
}

impl<'g, H: Hasher> Shaper<'g, '_, H> {
    fn entry(&mut self, entry: &'g Entry) {
        let listener = &self.gateway.listeners[entry.listener];
        (entry.listener, entry.host.is_some(), &entry.sni).hash(&mut self.sum);
        self.live(&entry.live);
        let opening = Live::opening(self.gateway, listener, &entry.request(self.gateway, "GET", "/"));
        for id in opening.chains() {
            let next = self.order.len();
            self.order.entry(id).or_insert(next);
        }
        self.live(&opening);
        self.any_header();
        self.computed();
        self.host = None;
        let mut at = 0;
        while let Some(id) = self.beyond.get(at).copied() {
            at += 1;
            let Some(chain) = self.gateway.chains.get(id.0) else { continue };
            self.part(id, &chain.origin, &chain.clauses.iter().collect::<Vec<_>>(), Some(&chain.otherwise));
        }
        self.computed();
        // A server's own name stands in variables and headers that hardly anybody looks at.
        loop {
            let looked = |(name, _): &(&str, &Value)| self.looked.contains(name);
            let read = |(name, _): &(String, &Value)| self.read.contains(name);
            let (kind, at, value) = match (self.sets.iter().position(looked), self.edits.iter().position(read)) {
                (Some(at), _) => (0, at, self.sets.remove(at).1),
                (None, Some(at)) => (1, at, self.edits.remove(at).1),
                (None, None) => break,
            };
            (kind, at).hash(&mut self.sum);
            self.value(value);
        }
        if self.names {
            entry.host.hash(&mut self.sum);
        }
    }

    fn live(&mut self, live: &Live) {
        for (id, (chain, clauses, end)) in live.chains().zip(live.parts(self.gateway)) {
            self.part(id, &chain.origin, &clauses, end.then_some(&chain.otherwise));
        }
    }

    /// Servers that were met and are computed.
    fn computed(&mut self) {
        for upstream in std::mem::take(&mut self.upstreams) {
            self.upstream(upstream);
        }
    }

    /// Whether a server that is computed is one that is guarded; of a variable, all that it is set to.
    fn upstream(&mut self, value: &'g Value) {
        let (function, name) = match value {
            Value::Variable(name) => (None, Some(name)),
            Value::Apply(function, inner) => match &**inner {
                Value::Variable(name) => (Some(function), Some(name)),
                _ => (None, None),
            },
            _ => (None, None),
        };
        let of_set = |set: &Value| match function {
            Some(function) => Value::Apply(function.clone(), Box::new(set.clone())),
            None => set.clone(),
        };
        let set =
            self.sets.iter().filter(|(own, _)| name.is_some_and(|name| *own == &**name)).map(|(_, set)| of_set(set));
        let set: Vec<Value> = set.collect();
        let known: Option<Vec<Vec<u8>>> = set.iter().map(|set| self.host.as_mut()?.value(set)).collect();
        match known.filter(|known| !known.is_empty()) {
            Some(known) => {
                let guarded = |own: &Vec<u8>| self.every_upstream || self.measure.guards(&String::from_utf8_lossy(own));
                known.iter().map(guarded).collect::<Vec<bool>>().hash(&mut self.sum);
            }
            None => self.value(value),
        }
    }

    /// What headers that the host decides make of tests that every header passes through.
    fn any_header(&mut self) {
        let edits: Vec<&Value> = self.edits.iter().map(|(_, value)| *value).collect();
        for test in std::mem::take(&mut self.any_header) {
            for value in std::iter::once(&Value::Authority).chain(edits.iter().copied()) {
                self.passes(value, test);
            }
        }
    }

    /// Whether a value passes a test; of a variable, all that it is set to.
    fn passes(&mut self, value: &'g Value, test: &'g Test) {
        if let Value::Variable(name) = value
            && self.sets.iter().all(|(own, value)| *own != &**name || !matches!(value, Value::Variable(_)))
        {
            let set: Vec<&Value> = self.sets.iter().filter(|(own, _)| *own == &**name).map(|(_, set)| *set).collect();
            return set.into_iter().for_each(|value| self.passes(value, test));
        }
        let mut passes = || {
            let host = self.host.as_mut()?;
            let value = host.value(value)?;
            host.passes(test, &value)
        };
        let passes = passes();
        passes.hash(&mut self.sum);
        if passes.is_none() {
            self.value(value);
        }
    }

    fn part(&mut self, id: ChainId, origin: &Origin, clauses: &[&'g Clause], end: Option<&'g Terminal>) {
        if let Some(errors) = self.gateway.refusals.get(&id) {
            self.errors(errors);
        }
        self.gateway.wires.get(&id).hash(&mut self.sum);
        clauses.len().hash(&mut self.sum);
        for clause in clauses {
            self.place(&clause.origin);
            self.predicate(&clause.when);
            self.steps(&clause.steps);
            self.terminal(&clause.then);
        }
        self.place(origin);
        end.is_some().hash(&mut self.sum);
        end.into_iter().for_each(|end| self.terminal(end));
    }

    /// Places that differ are told apart, whatever they are: causes are counted by them.
    fn place(&mut self, origin: &Origin) {
        let next = self.places.len() + 1;
        let own = (origin.file(), origin.span());
        let number = if own.1 == Span::default() { 0 } else { *self.places.entry(own).or_insert(next) };
        number.hash(&mut self.sum);
    }

    /// Reasons name places; variables of the environment are told apart by their names.
    fn reason(&mut self, why: &'g str) {
        let next = self.reasons.len();
        environment_variable(why).hash(&mut self.sum);
        self.reasons.entry(why).or_insert(next).hash(&mut self.sum);
    }

    fn chain(&mut self, id: ChainId) {
        let next = self.order.len();
        let number = *self.order.entry(id).or_insert(next);
        if number == next {
            self.beyond.push(id);
        }
        number.hash(&mut self.sum);
    }

    fn terminal(&mut self, terminal: &'g Terminal) {
        std::mem::discriminant(terminal).hash(&mut self.sum);
        match terminal {
            Terminal::Forward(forward) => self.forward(forward),
            Terminal::Respond(status) | Terminal::Error(status) => status.hash(&mut self.sum),
            Terminal::RespondWith(value) | Terminal::ErrorWith(value) => self.value(value),
            Terminal::Next | Terminal::Return => {}
            Terminal::Then(chain) | Terminal::Restart(chain) => self.chain(*chain),
            Terminal::Select(select) => {
                match self.host.as_mut().and_then(|host| host.selected(select)) {
                    Some(Cow::Borrowed(way)) => return self.terminal(way),
                    Some(Cow::Owned(Terminal::Then(chain))) => return self.chain(chain),
                    _ => {}
                }
                self.value(&select.on);
                for table in [&select.exact, &select.prefixes] {
                    table.len().hash(&mut self.sum);
                    for (key, chain) in table.texts().zip(table.chains()) {
                        key.hash(&mut self.sum);
                        self.chain(chain);
                    }
                }
                self.terminal(&select.otherwise);
            }
            Terminal::Unknown(why) => self.reason(why),
        }
    }

    /// Which server it is doesn't matter, only whether it is one that is guarded, nor does the Host that it gets.
    fn forward(&mut self, forward: &'g Forward) {
        match forward.upstream.as_literal().map(String::from_utf8_lossy) {
            Some(upstream) => (self.every_upstream || self.measure.guards(&upstream)).hash(&mut self.sum),
            None => self.upstreams.push(&forward.upstream),
        }
        self.value(&forward.target);
    }

    fn steps(&mut self, steps: &'g [Step]) {
        steps.len().hash(&mut self.sum);
        for step in steps {
            std::mem::discriminant(step).hash(&mut self.sum);
            if let Some(origin) = step.origin() {
                self.place(origin);
            }
            match step {
                // What it counts decides about no single request; its key may leave groups of a match behind.
                Step::Limit(said) => said.what.key.hash(&mut self.sum),
                Step::Set(said) => {
                    said.what.0.hash(&mut self.sum);
                    self.sets.push((&said.what.0, &said.what.1));
                }
                Step::Rewrite(said) => {
                    let rewrite = &said.what;
                    for part in [&rewrite.method, &rewrite.path, &rewrite.query, &rewrite.target] {
                        part.is_some().hash(&mut self.sum);
                        part.iter().for_each(|value| self.value(value));
                    }
                }
                Step::RequestHeader(said) => self.edit(&said.what),
                Step::OnError(errors) => {
                    errors.is_some().hash(&mut self.sum);
                    errors.iter().for_each(|errors| self.errors(errors));
                }
                Step::Guard(errors) => self.errors(errors),
                Step::Call(chain) => self.chain(*chain),
                Step::ClientIp(said) => {
                    (&said.what.peers, said.what.recursive).hash(&mut self.sum);
                    self.value(&said.what.says);
                }
                Step::Setting(said) => {
                    if let Setting::Shows(own) = &said.what {
                        own.hash(&mut self.sum);
                    }
                }
            }
        }
    }

    fn edit(&mut self, edit: &'g HeaderEdit) {
        let name = edit.name.to_ascii_lowercase();
        (&name, std::mem::discriminant(&edit.edit)).hash(&mut self.sum);
        match &edit.edit {
            Edit::Set(value) | Edit::SetLate(value) | Edit::Add(value) | Edit::Default(value) => {
                self.edits.push((name, value));
            }
            Edit::Change(function) => {
                function.hash(&mut self.sum);
                self.function(function);
            }
            Edit::Remove | Edit::RemoveListed => {}
        }
    }

    fn errors(&mut self, errors: &'g Arc<Errors>) {
        (errors.recursive, errors.cases.len()).hash(&mut self.sum);
        for case in &errors.cases {
            self.place(&case.origin);
            (&case.statuses, case.restart).hash(&mut self.sum);
            self.chain(case.chain);
            self.steps(&case.steps);
            case.status.is_some().hash(&mut self.sum);
            case.status.iter().for_each(|value| self.value(value));
        }
    }

    fn predicate(&mut self, predicate: &'g Predicate) {
        let decided = self.host.as_mut().and_then(|host| host.holds(predicate));
        decided.hash(&mut self.sum);
        if decided.is_some() {
            // What an expression's groups find in the host may matter later on.
            self.names |= predicate.any(&mut |part| {
                matches!(part, Predicate::Value(_, Test::Regex(_, captures)) if *captures != Captures::Dropped)
            });
            return;
        }
        std::mem::discriminant(predicate).hash(&mut self.sum);
        match predicate {
            Predicate::Always => {}
            Predicate::Value(value, test) => {
                self.value(value);
                self.test(test);
            }
            Predicate::Header(name, lines, test) => {
                match &**name {
                    "*" if self.host.is_some() => self.any_header.push(test),
                    name => self.header(name),
                }
                (name, lines).hash(&mut self.sum);
                self.test(test);
            }
            Predicate::Argument(name, test) => {
                name.hash(&mut self.sum);
                self.test(test);
            }
            Predicate::Client(networks) => networks.hash(&mut self.sum),
            Predicate::Parameter(name, test) => {
                self.value(name);
                self.test(test);
            }
            Predicate::Authenticated(who) => self.authenticate(who),
            Predicate::BodyOver(bytes) => bytes.hash(&mut self.sum),
            Predicate::Model(models) => models.hash(&mut self.sum),
            Predicate::Subrequest(chain, path, statuses) => {
                self.chain(*chain);
                path.is_some().hash(&mut self.sum);
                path.iter().for_each(|value| self.value(value));
                statuses.hash(&mut self.sum);
            }
            Predicate::All(parts) | Predicate::Any(parts) => {
                parts.len().hash(&mut self.sum);
                parts.iter().for_each(|part| self.predicate(part));
            }
            Predicate::Not(part) => self.predicate(part),
            Predicate::Opaque(why) => self.reason(why),
        }
    }

    fn authenticate(&mut self, who: &'g Authenticate) {
        let Authenticate {
            bearer,
            x_api_key,
            basic,
            padding_optional,
            first_line,
            blocking: _,
            credentials,
            incomplete,
        } = who;
        (bearer, x_api_key, basic, padding_optional, first_line, credentials).hash(&mut self.sum);
        self.read.extend(["authorization", "x-api-key"].map(str::to_owned));
        incomplete.is_some().hash(&mut self.sum);
        incomplete.iter().for_each(|why| self.reason(why));
    }

    fn test(&mut self, test: &'g Test) {
        test.hash(&mut self.sum);
        self.tested(test);
    }

    /// Looks for names in a test.
    fn tested(&mut self, test: &'g Test) {
        match test {
            Test::Same(value) | Test::Begins(value) | Test::Affix(value) | Test::PathPattern(value) => {
                self.parts(value)
            }
            Test::AnyCase(inner) => self.tested(inner),
            Test::Anything
            | Test::NotEmpty
            | Test::Equals(_)
            | Test::OneOf(_)
            | Test::Prefix(_)
            | Test::Network(_)
            | Test::Suffix(_)
            | Test::Contains(_)
            | Test::Glob(_)
            | Test::EscapedGlob(_)
            | Test::Between(..)
            | Test::Regex(..)
            | Test::Scheme(_) => {}
        }
    }

    fn value(&mut self, value: &'g Value) {
        value.hash(&mut self.sum);
        self.parts(value);
    }

    /// Looks for names in a value.
    fn parts(&mut self, value: &'g Value) {
        match value {
            Value::Host | Value::Authority | Value::ServerName => self.names = true,
            Value::Header(name, _) => self.header(name),
            Value::Concat(parts) | Value::First(parts) | Value::Joined(_, parts) => {
                parts.iter().for_each(|part| self.parts(part));
            }
            Value::Apply(function, inner) => {
                self.function(function);
                self.parts(inner);
            }
            Value::Lookup(table) => self.table(table),
            Value::Cookie(_) => self.header("cookie"),
            Value::Variable(name) => {
                self.looked.insert(name);
            }
            Value::Literal(_)
            | Value::Method
            | Value::Target
            | Value::RawPath
            | Value::Path
            | Value::Query
            | Value::OriginalTarget
            | Value::SentTarget
            | Value::Argument(_)
            | Value::Parameter(_)
            | Value::FirstParameter(_)
            | Value::Scheme
            | Value::Protocol
            | Value::ClientIp
            | Value::Port
            | Value::Client
            | Value::Capture(_)
            | Value::ErrorStatus
            | Value::Body
            | Value::BodyLength
            | Value::Opaque(_) => {}
        }
    }

    /// Looks for names in a table, once.
    fn table(&mut self, table: &'g Arc<Lookup>) {
        if !self.tables.insert(Arc::as_ptr(table)) {
            return;
        }
        self.parts(&table.on);
        table.exact.values().for_each(|value| self.parts(value));
        for (row, value) in &table.rows {
            match row {
                Row::Test(test) => self.tested(test),
                Row::When(predicate) => self.when(predicate),
            }
            self.parts(value);
        }
        self.parts(&table.otherwise);
    }

    /// Looks for names in a condition.
    fn when(&mut self, predicate: &'g Predicate) {
        match predicate {
            Predicate::Value(value, test) | Predicate::Parameter(value, test) => {
                self.parts(value);
                self.tested(test);
            }
            Predicate::Header(name, _, test) => {
                self.header(name);
                self.tested(test);
            }
            Predicate::Argument(_, test) => self.tested(test),
            Predicate::All(parts) | Predicate::Any(parts) => parts.iter().for_each(|part| self.when(part)),
            Predicate::Not(part) => self.when(part),
            // A request of the gateway to itself has the same host.
            Predicate::Subrequest(..) => self.names = true,
            Predicate::Always
            | Predicate::Client(_)
            | Predicate::Authenticated(_)
            | Predicate::BodyOver(_)
            | Predicate::Model(_)
            | Predicate::Opaque(_) => {}
        }
    }

    fn function(&mut self, function: &'g Function) {
        match function {
            Function::Skip(value) => self.parts(value),
            Function::ReplaceValue(pair, _) => [&pair.0, &pair.1].into_iter().for_each(|value| self.parts(value)),
            Function::Path(change) => match &**change {
                ChangePath::Prefix(value) | ChangePath::Suffix(value) | ChangePath::Pattern(_, value) => {
                    self.parts(value)
                }
                ChangePath::Text(from, to, _) => [from, to].into_iter().for_each(|value| self.parts(value)),
            },
            Function::Query(changes) => changes.iter().for_each(|change| match change {
                QueryChange::Rename(from, to) | QueryChange::Set(from, to) | QueryChange::Add(from, to) => {
                    [from, to].into_iter().for_each(|value| self.parts(value));
                }
                QueryChange::Delete(name) => self.parts(name),
            }),
            Function::Believed(trust) => self.parts(&trust.says),
            _ => {}
        }
    }

    fn header(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        self.names |= name == "host" || name.contains('*');
        self.read.insert(name);
    }
}
