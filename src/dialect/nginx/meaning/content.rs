//! The phases of a location, one after the other, up to its content.
//!
//! In: locations and scopes. Out: their chains. Invariant: body limit and `internal` are asked where a location is found, before anything
//! else; named locations skip both (measured on nginx 1.22.1).

use std::sync::Arc;

use crate::gateway::{Chain, ChainId, Clause, Lines, Origin, Predicate, Select, Step, Terminal, Test, Value};

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
        let steps = vec![self.on_error(server, scope), state::set(state::IF, "")];
        let mut clauses = vec![Clause::steps(steps, origin.clone())];
        if !found {
            return clauses;
        }
        if let Some(origin) = &scope.internal {
            let outside = state::is_set(state::INTERNAL).negated();
            clauses.push(Clause::new(outside, Terminal::Error(404), origin.clone()));
        }
        if let Some(limit) = scope.body_limit {
            let at = scope.body_limit_at.as_ref().unwrap_or(origin);
            let note = format!("the body is longer than `client_max_body_size` allows ({limit} bytes): 413");
            let when = Predicate::All(vec![
                Predicate::BodyOver(limit),
                chunked().negated(),
                state::is_set(state::DISCARDED).negated(),
            ]);
            let steps = vec![state::set(state::DISCARDED, "1")];
            clauses.push(Clause { steps, ..Clause::new(when, Terminal::Error(413), at.noted(note)) });
        }
        clauses
    }

    /// Fills the chain of a location's own work.
    pub fn enter(&mut self, server: &mut Server<'c>, index: usize) {
        let location = &server.locations[index];
        let (scope, lines, origin) = (location.scope.clone(), location.lines.clone(), location.origin.clone());
        let (ids, name, kind) = (location.ids, location.name.clone(), location.kind.clone());
        let origin = match kind {
            Kind::Server => origin.noted("no location fits: the server's own settings hold"),
            _ => origin,
        };
        let mut clauses = self.head(server, &scope, &origin, !matches!(kind, Kind::Named));
        if matches!(kind, Kind::Server) {
            let phases = self.phases(server, &scope, false);
            let chain = Chain { clauses, otherwise: Terminal::Then(phases), origin: Origin::default() };
            return self.fill(ids.enter, chain);
        }
        for line in lines.iter().filter(|line| line.is("limit_except")) {
            let mut methods: Vec<Vec<u8>> = line.args.iter().map(|arg| arg.to_ascii_uppercase()).collect();
            if methods.contains(&b"GET".to_vec()) {
                methods.push(b"HEAD".to_vec());
            }
            let inner = self.inner(line);
            let own = self.inherit_inside(&scope, &inner, &name);
            let phases = self.phases(server, &own, true);
            let other = Predicate::Value(Value::Method, Test::OneOf(methods.into())).negated();
            let note = format!("`{}`: its block holds for this method", line.shown());
            clauses.push(Clause::new(other, Terminal::Then(phases), line.origin(note)));
        }
        clauses.extend(self.opaque_rewrite(&scope));
        let end = self.reserve();
        let mut around = Around { end, name, ifs: Vec::new() };
        clauses.extend(self.program(server, &lines, &scope, Some(&mut around)));
        let changed = state::is_set(state::CHANGED);
        if lines.iter().any(|line| line.is("rewrite") || line.is("if")) {
            let note = "the path changed: a location is looked for again";
            clauses.push(Clause::new(changed, Terminal::Restart(server.find), origin.noted(note)));
        }
        self.fill(ids.enter, Chain { clauses, otherwise: Terminal::Then(end), origin: Origin::default() });
        let phases = self.phases(server, &scope, false);
        let otherwise = match around.ifs.is_empty() {
            true => Terminal::Then(phases),
            false => {
                let mut select = Select::new(state::variable(state::IF), Terminal::Then(phases));
                select.exact.extend(around.ifs);
                Terminal::Select(Arc::new(select))
            }
        };
        self.fill(end, Chain { clauses: Vec::new(), otherwise, origin: Origin::default() });
    }

    /// What follows the rewriting: limits, access, `try_files`, content.
    pub fn phases(&mut self, server: &mut Server<'c>, scope: &Scope, inside: bool) -> ChainId {
        let _ = inside;
        let content = self.content(server, scope);
        let rest = self.try_files(server, scope, content);
        let mut clauses =
            vec![Clause::steps(vec![Step::Call(self.settings_chain(&scope.settings))], Origin::default())];
        let own_trust =
            server.locations.first().is_none_or(|null| !std::rc::Rc::ptr_eq(&null.scope.trusted, &scope.trusted));
        if let Some(trust) = scope.trust().filter(|_| own_trust) {
            let origin = server.origin.noted("a trusted peer says the client's address");
            clauses.push(Clause::steps(vec![Step::ClientIp(Box::new(trust), origin)], Origin::default()));
        }
        clauses.extend(limits(&scope.limit_req, state::LIMITED));
        clauses.extend(limits(&scope.limit_conn, state::CONNECTED));
        clauses.extend(self.access(server, scope, rest));
        self.gateway.add(Chain { clauses, otherwise: Terminal::Then(rest), origin: Origin::default() })
    }

    /// The chain that makes the content.
    fn content(&mut self, server: &mut Server<'c>, scope: &Scope) -> ChainId {
        let chain = match scope.content.as_deref() {
            None => self.files(scope, &server.origin.clone()),
            Some(Content::Proxy(pass)) => self.proxy(scope, pass),
            Some(Content::Other(scheme, pass)) => self.other_pass(scope, scheme, pass),
            Some(Content::Fixed(status, get_only, origin)) => {
                let other = Predicate::method(&["GET", "HEAD"]).negated();
                let clause =
                    Clause::new(other, Terminal::Error(405), origin.noted("only GET and HEAD are answered here"));
                let clauses = if *get_only { vec![clause] } else { Vec::new() };
                Chain { clauses, otherwise: Terminal::Respond(*status), origin: origin.clone() }
            }
            Some(Content::Opaque(why, origin)) => {
                Chain { clauses: Vec::new(), otherwise: Terminal::Unknown(why.clone().into()), origin: origin.clone() }
            }
        };
        self.gateway.add(chain)
    }

    /// Files below the root.
    fn files(&mut self, scope: &Scope, server: &Origin) -> Chain {
        let root = String::from_utf8_lossy(&scope.root.name).into_owned();
        let origin = scope.root.origin.as_ref().unwrap_or(server);
        let folder = self.folder(&scope.root);
        if folder == Folder::Unknown || scope.other_methods {
            let why = format!("depends on the files in `{root}`");
            let note = format!("nginx answers with a file below `{root}`");
            return Chain { clauses: Vec::new(), otherwise: Terminal::Unknown(why.into()), origin: origin.noted(note) };
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
            clauses.push(Clause::new(folders, Terminal::Unknown("depends on a folder".into()), origin.clone()));
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
        let path = self.path(&root.name);
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
        self.folders.insert(path, folder);
        folder
    }
}

/// The body comes in chunks: its length isn't known beforehand.
pub fn chunked() -> Predicate {
    Predicate::Header("transfer-encoding".to_owned(), Lines::Any, Test::NotEmpty)
}

/// Limits, which are asked once for each request of a client.
fn limits(limits: &[(crate::gateway::Limit, Origin)], asked: &'static str) -> Option<Clause> {
    if limits.is_empty() {
        return None;
    }
    let mut steps: Vec<Step> =
        limits.iter().map(|(limit, origin)| Step::Limit(limit.clone(), origin.clone())).collect();
    steps.push(state::set(asked, "1"));
    Some(Clause { steps, ..Clause::new(state::is_set(asked).negated(), Terminal::Next, Origin::default()) })
}
