//! Locations: the tree of a server's, and the chains that look for one as `ngx_http_core_find_location` does.
//!
//! In: a server's directives. Out: chains. Invariant: at each level a table finds the longest prefix; the expressions of a level are one
//! chain that all its prefixes call, so that the size stays linear.
//!
//! For a location X that the tables found, expressions are tried in this order: those inside X, then, unless X is `^~`, those beside X, then,
//! unless the location around is `^~`, those beside that, and so on outwards, up to the server or the next location that is an expression.
//! So `^~` spares a path the expressions of its own level only (measured on nginx 1.22.1 and 1.31.3).

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use crate::gateway::{
    Captures, Chain, ChainId, Clause, Origin, Pattern, Predicate, Select, Step, Terminal, Test, Value,
};

use super::Reader;
use super::block::Line;
use super::scope::{Content, Scope};
use super::server::Server;

/// A location while its server is read.
pub struct Location<'c> {
    /// Which paths it is for.
    pub kind: Kind,
    /// Its name: the path, the expression, `@name`.
    pub name: Vec<u8>,
    /// What holds in it.
    pub scope: Rc<Scope>,
    /// Its directives.
    pub lines: Rc<[Line<'c>]>,
    /// The location around it.
    pub parent: Option<usize>,
    /// The locations in it.
    pub children: Vec<usize>,
    /// Its head.
    pub origin: Origin,
    /// Its chains.
    pub ids: Ids,
}

/// Which paths a location is for.
#[derive(Clone)]
pub enum Kind {
    /// The server itself.
    Server,
    /// `=`
    Exact,
    /// A prefix; whether it is `^~`.
    Prefix(bool),
    /// `~`, `~*`
    Regex(Arc<Pattern>),
    /// `@name`
    Named,
}

/// The chains of a location.
#[derive(Clone, Copy)]
pub struct Ids {
    /// Where the tables lead: the table of the locations inside, else `fall`.
    pub level: ChainId,
    /// Expressions, then `enter`.
    fall: ChainId,
    /// The location's own work.
    pub enter: ChainId,
    /// Expressions beside and outwards; absent: none.
    outer: Option<ChainId>,
    /// Expressions inside, then `outer`; absent: none.
    outwards: Option<ChainId>,
}

impl<'c> Reader<'c> {
    /// Reads the tree of a server's locations.
    pub fn locations(&mut self, server: &mut Server<'c>, scope: &Rc<Scope>, lines: &[Line<'c>]) {
        let ids = self.ids(None);
        server.locations.push(Location {
            kind: Kind::Server,
            name: Vec::new(),
            scope: Rc::clone(scope),
            lines: lines.to_vec().into(),
            parent: None,
            children: Vec::new(),
            origin: server.origin.clone(),
            ids,
        });
        // Depth first, without recursion: nothing limits how deep locations nest.
        let mut open =
            vec![(0, lines.iter().filter(|line| line.is("location")).cloned().collect::<Vec<_>>().into_iter())];
        while let Some((parent, rest)) = open.last_mut() {
            let parent = *parent;
            let Some(line) = rest.next() else {
                open.pop();
                continue;
            };
            let Some(index) = self.location(server, parent, &line) else { continue };
            let inner: Vec<Line<'c>> =
                server.locations[index].lines.iter().filter(|line| line.is("location")).cloned().collect();
            open.push((index, inner.into_iter()));
        }
    }

    fn ids(&mut self, enter: Option<ChainId>) -> Ids {
        let enter = enter.unwrap_or_else(|| self.reserve());
        Ids { level: enter, fall: enter, enter, outer: None, outwards: None }
    }

    fn location(&mut self, server: &mut Server<'c>, parent: usize, line: &Line<'c>) -> Option<usize> {
        let (kind, name) = self.kind(line)?;
        let around = server.locations.get(parent)?;
        let outside = !matches!(kind, Kind::Regex(_)) && !name.starts_with(&around.name);
        let wrong = match (&around.kind, &kind) {
            (Kind::Server, _) => None,
            (Kind::Exact, _) => Some("a location can't stand inside of an exact one"),
            (Kind::Named, _) => Some("a location can't stand inside of a named one"),
            (_, Kind::Named) => Some("a named location stands in the server only"),
            _ if outside => Some("this location is outside of the one around it"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.error(line, wrong, "move it to the level of the server");
            return None;
        }
        let class = match kind {
            Kind::Exact => 0,
            Kind::Prefix(_) => 1,
            Kind::Named => 2,
            Kind::Regex(_) | Kind::Server => 3,
        };
        if class < 3 && !server.seen.insert((parent, class, name.clone())) {
            self.error(
                line,
                format!("duplicate location `{}`", String::from_utf8_lossy(&name)),
                "take one of them out",
            );
            return None;
        }
        let outer = Rc::clone(&around.scope);
        let lines: Rc<[Line<'c>]> = self.inner(line).into();
        let scope = Rc::new(self.inherit_named(&outer, &lines, &name));
        let ids = self.ids(None);
        if matches!(kind, Kind::Named) {
            server.named.insert(name.clone(), ids.enter);
        }
        let note = match &kind {
            Kind::Server => Cow::Borrowed(""),
            Kind::Exact => format!("`location {}` is exactly this path", line.shown_args()).into(),
            Kind::Prefix(_) => format!("`location {}` is the longest prefix of the path", line.shown_args()).into(),
            Kind::Regex(_) => format!("`location {}` matches the path", line.shown_args()).into(),
            Kind::Named => format!("`location {}` is named by another place", line.shown_args()).into(),
        };
        let index = server.locations.len();
        server.locations.push(Location {
            kind,
            name,
            scope,
            lines,
            parent: Some(parent),
            children: Vec::new(),
            origin: line.origin(note),
            ids,
        });
        server.locations[parent].children.push(index);
        Some(index)
    }

    /// What a `location` line says: `location [=|~|~*|^~] name`, the sign perhaps glued to the name.
    fn kind(&mut self, line: &Line<'c>) -> Option<(Kind, Vec<u8>)> {
        let first = line.arg(0);
        let (sign, name): (&[u8], &[u8]) = match line.args.len() {
            2 => (first, line.arg(1)),
            1 => match first {
                [b'=', rest @ ..] => (b"=", rest),
                [b'^', b'~', rest @ ..] => (b"^~", rest),
                [b'~', b'*', rest @ ..] => (b"~*", rest),
                [b'~', rest @ ..] => (b"~", rest),
                rest => (b"", rest),
            },
            _ => {
                self.error(line, "`location` takes a path", "write `location /path/ { … }`");
                return None;
            }
        };
        let kind = match sign {
            b"=" => Kind::Exact,
            b"^~" => Kind::Prefix(true),
            b"" if name.first() == Some(&b'@') => Kind::Named,
            b"" => Kind::Prefix(false),
            b"~" | b"~*" => Kind::Regex(self.pattern(line, name, sign == b"~*")),
            _ => {
                self.error(
                    line,
                    format!("`{}` is not a sign of a location", line.text(0)),
                    "write `=`, `~`, `~*` or `^~`",
                );
                return None;
            }
        };
        Some((kind, name.to_vec()))
    }

    /// A location around lines that stand alone in a file.
    pub fn lone_location(&mut self, lines: &[Line<'c>]) -> Line<'c> {
        let first = lines.first().map(Line::silent).unwrap_or_default();
        Line { block: Some(self.config.top()), ..Line::lone("location", &[b"/"], &first) }
    }

    /// The chains of all locations.
    pub fn location_chains(&mut self, server: &mut Server<'c>) {
        // Outwards first: what is around a location is known before it.
        for index in 0..server.locations.len() {
            self.expressions(server, index);
        }
        for index in 0..server.locations.len() {
            self.level(server, index);
        }
        for index in 0..server.locations.len() {
            self.enter(server, index);
        }
        // Reserved only after every level has its table.
        for index in 0..server.locations.len() {
            self.expression_list(server, index);
        }
        for index in 0..server.locations.len() {
            self.fill_level(server, index);
        }
    }

    /// The chain of the expressions inside a location and outwards, and the one that tries them before entering.
    fn expressions(&mut self, server: &mut Server<'c>, index: usize) {
        let location = &server.locations[index];
        let own = location.children.iter().any(|&child| matches!(server.locations[child].kind, Kind::Regex(_)));
        let outer = match (&location.kind, location.parent) {
            (Kind::Prefix(false), Some(parent)) => server.locations[parent].ids.outwards,
            (Kind::Prefix(true), Some(parent)) => server.locations[parent].ids.outer,
            _ => None,
        };
        if matches!(location.kind, Kind::Exact | Kind::Named) {
            return;
        }
        let outwards = match own {
            false => outer,
            true => Some(self.reserve()),
        };
        let enter = server.locations[index].ids.enter;
        let fall = match outwards {
            None => enter,
            Some(expressions) => {
                let clause = Clause::steps(vec![Step::Call(expressions)], Origin::default());
                self.gateway.add(Chain {
                    clauses: vec![clause],
                    otherwise: Terminal::Then(enter),
                    origin: Origin::default(),
                })
            }
        };
        let ids = &mut server.locations[index].ids;
        ids.outer = outer;
        ids.outwards = outwards;
        ids.fall = fall;
        ids.level = fall;
    }

    /// Reserves the table of a location that has some inside.
    fn level(&mut self, server: &mut Server<'c>, index: usize) {
        let has = |child: &usize| matches!(server.locations[*child].kind, Kind::Exact | Kind::Prefix(_));
        if server.locations[index].children.iter().any(has) {
            server.locations[index].ids.level = self.reserve();
        }
    }

    /// Fills the chain of the expressions inside a location.
    fn expression_list(&mut self, server: &mut Server<'c>, index: usize) {
        let location = &server.locations[index];
        let mut clauses = Vec::new();
        for &child in &location.children {
            let child = &server.locations[child];
            let Kind::Regex(pattern) = &child.kind else { continue };
            let when = Predicate::Value(Value::Path, Test::Regex(pattern.clone(), Captures::Numbered));
            clauses.push(Clause::new(when, Terminal::Then(child.ids.level), Origin::default()));
        }
        let Some(id) = location.ids.outwards.filter(|_| !clauses.is_empty()) else { return };
        if let Some(outer) = location.ids.outer {
            clauses.push(Clause::steps(vec![Step::Call(outer)], Origin::default()));
        }
        self.fill(id, Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() });
    }

    /// Fills the table of a location that has some inside.
    fn fill_level(&mut self, server: &mut Server<'c>, index: usize) {
        let location = &server.locations[index];
        if location.ids.level == location.ids.fall {
            return;
        }
        let (mut exact, mut prefixes) = (HashMap::new(), HashMap::new());
        for &child in &location.children {
            let child = &server.locations[child];
            match child.kind {
                Kind::Exact => {
                    exact.insert(child.name.clone(), child.ids.enter);
                }
                Kind::Prefix(_) => {
                    prefixes.entry(child.name.clone()).or_insert(child.ids.level);
                }
                _ => {}
            }
        }
        let (level, fall) = (location.ids.level, location.ids.fall);
        let mut redirects: std::collections::BTreeMap<Vec<u8>, usize> = std::collections::BTreeMap::new();
        for &at in &location.children {
            let child = &server.locations[at];
            let Some(short) =
                child.name.strip_suffix(b"/").filter(|_| matches!(child.kind, Kind::Exact | Kind::Prefix(_)))
            else {
                continue;
            };
            if exact.contains_key(short) || prefixes.contains_key(short) || !passes(&child.scope) {
                continue;
            }
            // Of `= /x/` and `/x/` the first's settings hold, whichever passes requests on.
            let exact = |&&other: &&usize| {
                let other = &server.locations[other];
                matches!(other.kind, Kind::Exact) && other.name == child.name
            };
            redirects.insert(short.to_vec(), location.children.iter().find(exact).copied().unwrap_or(at));
        }
        for (short, at) in redirects {
            let chain = self.redirect_to_folder(server, at);
            exact.insert(short, chain);
        }
        let (exact, prefixes) = (exact.into_iter().collect(), prefixes.into_iter().collect());
        let select = Select::new(Value::Path, exact, prefixes, Terminal::Then(fall));
        self.fill(
            level,
            Chain { clauses: Vec::new(), otherwise: Terminal::Select(Arc::new(select)), origin: Origin::default() },
        );
    }

    /// The chain for `/x` where only `/x/` is there: 301.
    fn redirect_to_folder(&mut self, server: &mut Server<'c>, index: usize) -> ChainId {
        let location = &server.locations[index];
        let (scope, origin) = (Rc::clone(&location.scope), location.origin.clone());
        let mut clauses = self.head(server, &scope, &origin.noted(""), true);
        let note = "nginx redirects to the same path with a `/` at its end (301)";
        clauses.push(Clause::new(Predicate::Always, Terminal::Error(301), origin.noted(note)));
        self.gateway.add(Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() })
    }
}

/// Whether the location passes requests on, so that a missing `/` at the end is redirected.
fn passes(scope: &Scope) -> bool {
    matches!(scope.content.as_deref(), Some(Content::Proxy(_) | Content::Other(..)))
}

impl Line<'_> {
    /// The arguments, for people.
    pub fn shown_args(&self) -> String {
        self.shown().split_once(' ').map(|(_, args)| args.to_owned()).unwrap_or_default()
    }
}
