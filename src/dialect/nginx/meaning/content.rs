//! The phases of a location, one after the other, up to its content.
//!
//! In: locations and scopes. Out: their chains. Invariant: body limit and `internal` are asked where a location is found, before anything
//! else; named locations skip both (measured on nginx 1.22.1).

use std::rc::Rc;
use std::sync::Arc;

use crate::diag::{Diagnostic, Severity};
use crate::gateway::{
    Chain, ChainId, Clause, Lines, Origin, Predicate, Select, Setting, Step, Table, Terminal, Test, Value,
};

use super::block::Line;
use super::location::Kind;
use super::rewrite::Around;
use super::scope::{Content, Root, Scope};
use super::server::Server;
use super::{Reader, state};

/// What is known of a folder with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// It isn't there.
    Absent,
    /// Nothing is in it.
    Empty,
    /// Answers depend on what is in it.
    Unknown,
}

impl<'c> Reader<'c> {
    /// What begins the work of a location: its error handlers, `internal`, the body limit.
    pub fn head(&mut self, server: &mut Server<'c>, scope: &Scope, origin: &Origin, found: bool) -> Vec<Clause> {
        let mut clauses = vec![Clause::steps(vec![self.on_error(server, scope)], origin.clone())];
        if let Some(first) = clauses.first_mut() {
            first.steps.extend(self.take_referers(server, scope));
        }
        if !found {
            return clauses;
        }
        if let Some(origin) = &scope.internal {
            let outside = state::is_set(state::INTERNAL).negated();
            clauses.push(Clause::new(outside, Terminal::Error(404), origin.clone()));
            clauses.push(Clause::steps(vec![Step::setting(Setting::Inner, origin.noted(""))], Origin::default()));
        }
        if let Some(limit) = scope.body_limit {
            let at = scope.body_limit_at.as_ref().unwrap_or(&server.origin);
            let call = Step::Call(self.body_limit(limit, at, false));
            match clauses.last_mut() {
                Some(last) if scope.internal.is_none() => last.steps.push(call),
                _ => clauses.push(Clause::steps(vec![call], Origin::default())),
            }
        }
        clauses
    }

    /// The chain that measures bodies whose length is known beforehand, or those in chunks, which are measured when they are read.
    pub fn body_limit(&mut self, limit: u64, at: &Origin, read: bool) -> ChainId {
        let key = (limit, at.file(), at.span().start, read);
        if let Some(&chain) = self.body_limits.get(&key) {
            return chain;
        }
        let clause = self.too_long.entry((limit, read)).or_insert_with(|| too_long(limit, read)).at(at);
        let chain = Chain { clauses: vec![clause], otherwise: Terminal::Return, origin: Origin::default() };
        let chain = self.gateway.add(chain);
        self.body_limits.insert(key, chain);
        chain
    }

    /// Fills the chain of a location's own work.
    pub fn enter(&mut self, server: &mut Server<'c>, index: usize) {
        let location = &server.locations[index];
        let (scope, lines, origin) = (Rc::clone(&location.scope), location.lines.clone(), location.origin.clone());
        let (ids, name, kind) = (location.ids, location.name.clone(), location.kind.clone());
        let origin = match kind {
            Kind::Server => origin.noted("no location fits: the server's own settings hold"),
            _ => origin,
        };
        let mut clauses = self.head(server, &scope, &origin, !matches!(kind, Kind::Named));
        let mut around = Around { end: ids.enter, name, ifs: Vec::new() };
        if !matches!(kind, Kind::Server) {
            for line in lines.iter().filter(|line| line.is("limit_except")) {
                clauses.push(self.limit_except(server, &scope, line, &around.name));
            }
            clauses.extend(self.opaque_rewrite(&scope));
        }
        let runs = |line: &Line<'_>| matches!(line.name, "set" | "if" | "rewrite" | "return" | "break");
        if matches!(kind, Kind::Server) || !lines.iter().any(runs) {
            let tail = self.tail(server, &scope);
            clauses.extend(tail.clauses);
            return self.fill(ids.enter, Chain { clauses, ..tail });
        }
        around.end = self.reserve();
        let program = self.program(server, &lines, &scope, Some(&mut around));
        if let (Some(first), false) = (clauses.first_mut(), around.ifs.is_empty()) {
            first.steps.extend([state::set(state::IF, ""), state::set(state::PROXIED, "")]);
        }
        clauses.extend(program);
        if lines.iter().any(|line| line.is("rewrite") || line.is("if")) {
            let changed = state::is_set(state::CHANGED);
            let note = "the path changed: a location is looked for again";
            clauses.push(Clause::new(changed, Terminal::Restart(server.find), origin.noted(note)));
        }
        self.fill(ids.enter, Chain { clauses, otherwise: Terminal::Then(around.end), origin: Origin::default() });
        let mut tail = self.tail(server, &scope);
        if !around.ifs.is_empty() {
            let own = self.gateway.add(tail);
            let ifs = around.ifs.into_iter().collect();
            let select = Select::new(state::variable(state::IF), ifs, Table::default(), Terminal::Then(own));
            let otherwise = Terminal::Select(Arc::new(select));
            tail = Chain { clauses: Vec::new(), otherwise, origin: Origin::default() };
        }
        self.fill(around.end, tail);
    }

    /// The clause for methods that a `limit_except` doesn't name.
    fn limit_except(&mut self, server: &mut Server<'c>, scope: &Scope, line: &Line<'c>, name: &[u8]) -> Clause {
        let mut methods: Vec<Vec<u8>> = line.args.iter().map(|arg| arg.to_ascii_uppercase()).collect();
        if methods.contains(&b"GET".to_vec()) {
            methods.push(b"HEAD".to_vec());
        }
        let inner = self.inner(line);
        let mut own = self.inherit_inside(scope, &inner, name);
        // What answers by itself doesn't reach in here (measured on nginx 1.31.3).
        if matches!(own.content.as_deref(), Some(Content::Fixed(..))) {
            own.content = None;
        }
        let phases = self.phases(server, &own);
        let other = Predicate::Value(Value::Method, Test::OneOf(methods.into())).negated();
        let note = format!("`{}`: its block holds for this method", line.shown());
        Clause::new(other, Terminal::Then(phases), line.origin(note))
    }

    /// What follows the rewriting: limits, access, `try_files`, content.
    pub fn phases(&mut self, server: &mut Server<'c>, scope: &Scope) -> ChainId {
        let tail = self.tail(server, scope);
        self.gateway.add(tail)
    }

    /// The same, not added yet.
    fn tail(&mut self, server: &mut Server<'c>, scope: &Scope) -> Chain {
        let gate = self.gate(server, scope);
        let mut content = self.content(server, scope);
        if scope.stale {
            let note = "an `if` before this one passes requests on, this one has no address for that (500)";
            let proxied = state::is_set(state::PROXIED);
            content.clauses.insert(0, Clause::new(proxied, Terminal::Error(500), content.origin.noted(note)));
        }
        let mut chain = self.try_files(server, scope, content);
        let steps = vec![Step::Call(self.settings_chain(&scope.settings)), Step::Call(gate)];
        chain.clauses.insert(0, Clause::steps(steps, Origin::default()));
        chain
    }

    /// Limits and access; locations that say nothing of these share one.
    fn gate(&mut self, server: &mut Server<'c>, scope: &Scope) -> ChainId {
        let key = scope.gate();
        if let Some((_, chain)) = server.gates.get(&key) {
            return *chain;
        }
        let mut clauses = Vec::new();
        let own_trust = server.locations.first().is_none_or(|null| !Rc::ptr_eq(&null.scope.trusted, &scope.trusted));
        if let Some(trust) = scope.trust().filter(|_| own_trust) {
            let origin = server.origin.noted("a trusted peer says the client's address");
            clauses.push(Clause::steps(vec![Step::client_ip(trust, origin)], Origin::default()));
        }
        clauses.extend(limits(&scope.limit_req, state::LIMITED));
        clauses.extend(limits(&scope.limit_conn, state::CONNECTED));
        clauses.extend(self.access(server, scope));
        let chain = self.gateway.add(Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() });
        server.gates.insert(key, (Rc::new(scope.clone()), chain));
        chain
    }

    /// The chain that makes the content.
    fn content(&mut self, server: &mut Server<'c>, scope: &Scope) -> Chain {
        match scope.content.as_deref() {
            None => self.files(scope, &server.origin.clone()),
            Some(Content::Proxy(pass)) => self.proxy(&server.origin, scope, pass),
            Some(Content::Other(scheme, pass)) => self.other_pass(&server.origin, scope, scheme, pass),
            Some(Content::Fixed(status, get_only, shows, origin)) => {
                let other = Predicate::method(&["GET", "HEAD"]).negated();
                let clause =
                    Clause::new(other, Terminal::Error(405), origin.noted("only GET and HEAD are answered here"));
                let mut clauses = if *get_only { vec![clause] } else { Vec::new() };
                if let Some(own) = shows {
                    let shows = Step::setting(Setting::Shows(*own), origin.noted(""));
                    clauses.push(Clause::steps(vec![shows], Origin::default()));
                }
                Chain { clauses, otherwise: Terminal::Respond(*status), origin: origin.clone() }
            }
            Some(Content::Choice(choice)) => self.choice(server, scope, choice),
            Some(Content::Opaque(why, origin)) => {
                Chain { clauses: Vec::new(), otherwise: Terminal::unknown(why.clone()), origin: origin.clone() }
            }
        }
    }

    /// Files below the root.
    fn files(&mut self, scope: &Scope, server: &Origin) -> Chain {
        let root = String::from_utf8_lossy(&scope.root.name).into_owned();
        let origin = scope.root.origin.as_ref().unwrap_or(server);
        let folder = self.folder(&scope.root);
        if folder == Folder::Unknown || scope.other_methods {
            let why = format!("depends on the files in `{root}`");
            let note = format!("nginx answers with a file below `{root}`");
            return Chain { clauses: Vec::new(), otherwise: by_itself(why), origin: origin.noted(note) };
        }
        let known = Predicate::method(&["GET", "HEAD", "POST"]);
        let note = "files are read by GET and HEAD only (405)";
        let mut clauses = vec![Clause::new(known.negated(), Terminal::Error(405), origin.noted(note))];
        let top = Predicate::Value(Value::Path, Test::Equals(b"/".to_vec()));
        if folder == Folder::Empty && !scope.root.alias {
            let note = format!("`{root}` holds no index file (403)");
            clauses.push(Clause::new(top, Terminal::Error(403), origin.noted(note)));
        } else if folder == Folder::Empty {
            let folders = Predicate::Value(Value::Path, Test::Suffix(b"/".to_vec()));
            clauses.push(Clause::new(folders, by_itself("depends on a folder".to_owned()), origin.clone()));
        }
        let note = match folder {
            Folder::Empty => format!("`{root}` holds no such file (404)"),
            _ => format!("there is no folder `{root}` here, so no file is found (404)"),
        };
        Chain { clauses, otherwise: Terminal::Error(404), origin: origin.noted(note) }
    }

    /// What is known of a folder.
    pub fn folder(&mut self, root: &Root) -> Folder {
        if root.name.contains(&b'$') {
            return Folder::Unknown;
        }
        let path = self.below_prefix(&root.name);
        if let Some(&known) = self.folders.get(&path) {
            return known;
        }
        let folder = match std::fs::read_dir(&path) {
            Ok(mut entries) => match entries.next() {
                None => Folder::Empty,
                Some(_) => Folder::Unknown,
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Folder::Absent,
            Err(_) => Folder::Unknown,
        };
        if let (Folder::Absent, Some(origin)) = (folder, &root.origin) {
            let name = String::from_utf8_lossy(&root.name);
            let message = format!("the folder `{name}` is not here: its files are taken for absent");
            let mut problem = Diagnostic::new(Severity::Warning, message);
            if let Some(file) = self.config.files.get(origin.file()) {
                problem = problem.at(file, origin.span(), "");
            }
            self.sink.push(problem.help(
                "where the server runs it may answer with a file; run this there, or name a copied tree with --root",
            ));
        }
        self.folders.insert(path, folder);
        folder
    }
}

/// nginx answers by itself, with a status that isn't known. An index file is another request inside, to a path that anybody may ask for.
fn by_itself(why: String) -> Terminal {
    Terminal::RespondWith(Box::new(Value::Opaque(why.into())))
}

/// The body comes in chunks: its length isn't known beforehand.
fn chunked() -> Predicate {
    Predicate::Header("transfer-encoding".to_owned(), Lines::Any, Test::NotEmpty)
}

/// The clause for a body that is too long, said nowhere yet.
fn too_long(limit: u64, read: bool) -> Clause {
    let when = Predicate::All(vec![
        Predicate::BodyOver(limit),
        if read { chunked() } else { chunked().negated() },
        // Over HTTP/2 a body that was thrown away keeps its length (measured on 1.22.1 and 1.31.3).
        Predicate::Any(vec![
            state::is_set(state::DISCARDED).negated(),
            Predicate::Value(Value::Protocol, Test::Equals(b"HTTP/2.0".to_vec())),
        ]),
    ]);
    let note = format!("the body is longer than `client_max_body_size` allows ({limit} bytes): 413");
    let steps = vec![state::set(state::DISCARDED, "1")];
    Clause { steps, ..Clause::new(when, Terminal::Error(413), Origin::default().noted(note)) }
}

/// Limits, which are asked once for each request of a client.
fn limits(limits: &[(crate::gateway::Limit, Origin)], asked: &'static str) -> Option<Clause> {
    if limits.is_empty() {
        return None;
    }
    let mut steps: Vec<Step> =
        limits.iter().map(|(limit, origin)| Step::limit(limit.clone(), origin.clone())).collect();
    steps.push(state::set(asked, "1"));
    Some(Clause { steps, ..Clause::new(state::is_set(asked).negated(), Terminal::Next, Origin::default()) })
}
