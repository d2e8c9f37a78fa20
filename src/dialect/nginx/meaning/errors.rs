//! `error_page`, and the ways on from one URI to another: internal redirects and named locations.
//!
//! In: the pages of a scope. Out: [`Errors`] and chains. Invariant: an internal redirect begins with the server's own rewriting, a named
//! location with its own; both count against the ten that nginx allows (facts: `ngx_http_special_response.c`, measured on nginx 1.22.1
//! and 1.31.3).

use std::rc::Rc;
use std::sync::Arc;

use crate::gateway::{
    Chain, ChainId, Clause, ErrorCase, Errors, Function, Origin, Predicate, Rewrite, Statuses, Step, Terminal, Test,
    Value,
};

use super::block::Line;
use super::scope::{ErrorPage, Scope};
use super::server::Server;
use super::template::{Groups, Part, group_value, parts};
use super::{Reader, state};

/// nginx's own statuses, which are 400 for the client (measured on 1.22.1 and 1.31.3).
pub const SHOWN: &[(u16, u16)] = &[(494, 400), (495, 400), (496, 400), (497, 400)];

impl<'c> Reader<'c> {
    /// The pages that one `error_page` line names.
    pub fn error_pages(&mut self, line: &Line<'c>) -> Vec<ErrorPage> {
        let mut args: Vec<&[u8]> = line.args.iter().collect();
        let Some(target) = args.pop().filter(|_| !args.is_empty()) else {
            self.error(line, "`error_page` takes statuses and a target", "write `error_page 404 /404.html;`");
            return Vec::new();
        };
        let mut overwrite = None;
        if let Some(code) = args.last().and_then(|last| last.strip_prefix(b"=")) {
            overwrite = Some(match code {
                b"" => None,
                code => std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()),
            });
            args.pop();
        }
        let target = Rc::new(target.to_vec());
        let mut pages = Vec::new();
        for status in args {
            match std::str::from_utf8(status).ok().and_then(|status| status.parse().ok()) {
                Some(status @ 300..=599) if status != 499 => {
                    let note = format!("`{}`: this handles the status {status}", line.shown());
                    pages.push(ErrorPage { status, overwrite, target: target.clone(), origin: line.origin(note) });
                }
                _ => {
                    let message = format!("`{}` is not a status from 300 to 599", String::from_utf8_lossy(status));
                    self.error(line, message, "write statuses such as `404`");
                }
            }
        }
        pages
    }

    /// Who handles errors in a scope.
    pub fn errors(&mut self, server: &mut Server<'c>, scope: &Scope) -> Option<Arc<Errors>> {
        if scope.errors.is_empty() {
            return None;
        }
        let key = (scope.errors.as_ptr(), scope.recursive_errors);
        if let Some((_, errors)) = server.errors.get(&key) {
            return Some(errors.clone());
        }
        let mut cases: Vec<ErrorCase> = Vec::new();
        for page in scope.errors.iter() {
            if cases.iter().any(|case| case.statuses.contain(page.status)) {
                continue;
            }
            cases.push(self.error_case(server, page));
        }
        let errors = Arc::new(Errors { cases, recursive: scope.recursive_errors });
        server.errors.insert(key, (scope.errors.clone(), errors.clone()));
        Some(errors)
    }

    fn error_case(&mut self, server: &mut Server<'c>, page: &ErrorPage) -> ErrorCase {
        let mut case = ErrorCase {
            statuses: Statuses::one(page.status),
            chain: server.start,
            restart: true,
            steps: Vec::new(),
            status: match page.overwrite {
                None => match SHOWN.iter().find(|(own, _)| *own == page.status) {
                    Some((_, shown)) => Some(Value::literal(shown.to_string())),
                    None => Some(Value::ErrorStatus),
                },
                Some(None) => None,
                Some(Some(status)) => Some(Value::literal(status.to_string())),
            },
            origin: page.origin.clone(),
        };
        match page.target.first() {
            Some(b'/') => case.chain = self.error_redirect(server, page),
            Some(b'@') => case.chain = self.named(server, &page.target, &page.origin.noted("")),
            Some(b'$') => {
                // Only the value tells which of the three it is; without a `/` it is an address for the client.
                let target = self.template(&lone(page), &page.target);
                let path = Predicate::Value(target.clone(), Test::Prefix(b"/".to_vec()));
                let inside = self.error_redirect(server, page);
                let status = redirect_status(page);
                let why = "depends on a computed named location";
                let named = Predicate::Value(target, Test::Prefix(b"@".to_vec()));
                let clauses = vec![
                    Clause::new(path, Terminal::Then(inside), Origin::default()),
                    Clause::new(named, Terminal::unknown(why), Origin::default()),
                ];
                case.chain = self.gateway.add(Chain {
                    clauses,
                    otherwise: Terminal::Respond(status),
                    origin: Origin::default(),
                });
                case.restart = false;
            }
            _ => {
                let status = redirect_status(page);
                case.chain = self.end(Terminal::Respond(status), page.origin.noted("the client is sent elsewhere"));
                case.restart = false;
                case.status = None;
            }
        }
        case
    }

    /// An internal redirect of an error: the method becomes GET, if it isn't HEAD.
    fn error_redirect(&mut self, server: &mut Server<'c>, page: &ErrorPage) -> ChainId {
        let (path, query) = self.split_target(&lone(page), &page.target);
        let head = Predicate::Value(Value::Method, Test::Equals(b"HEAD".to_vec()));
        let method = state::either("method", vec![(head, Value::Method)], Value::literal("GET"));
        let rewrite = Rewrite { method: Some(method), path: Some(path), query: Some(query), target: None };
        let origin = page.origin.noted("an internal redirect, by GET, to");
        let clause = Clause::steps(state::moved_to(rewrite, origin), Origin::default());
        self.gateway.add(Chain {
            clauses: vec![clause],
            otherwise: Terminal::Then(server.start),
            origin: Origin::default(),
        })
    }

    /// An internal redirect by `try_files`: whatever stands before the first `?` is the path, the rest the query.
    pub fn redirect(&mut self, server: &mut Server<'c>, line: &Line<'c>, target: &[u8], origin: Origin) -> ChainId {
        let (path, query) = self.split_target(line, target);
        let rewrite = Rewrite { path: Some(path), query: Some(query), ..Rewrite::default() };
        let clause = Clause::steps(state::moved_to(rewrite, origin), Origin::default());
        self.gateway.add(Chain {
            clauses: vec![clause],
            otherwise: Terminal::Restart(server.start),
            origin: Origin::default(),
        })
    }

    /// Path and query of a target whose variables may hold `?` as well (`ngx_http_split_args`).
    pub fn split_target(&mut self, line: &Line<'c>, target: &[u8]) -> (Value, Value) {
        let literal = !target.contains(&b'$');
        let at = target.iter().position(|&byte| byte == b'?');
        if literal {
            let (path, query) = target.split_at(at.unwrap_or(target.len()));
            return (Value::literal(path), Value::literal(query.get(1..).unwrap_or_default()));
        }
        let mut values = Vec::new();
        for part in parts(target) {
            values.push(match part {
                Part::Text(bytes) => Value::literal(bytes),
                Part::Group(group) => group_value(group, Groups::Plain),
                Part::Variable(name) => self.variable(line, &String::from_utf8_lossy(name).to_ascii_lowercase()),
                Part::Bad => Value::Opaque("a `$` without the name of a variable".into()),
            });
        }
        let whole = Value::concat(values);
        let part = |function: Function, value: Value| Value::Apply(function, Box::new(value));
        (part(Function::Before(b'?'), whole.clone()), part(Function::After(b'?'), whole))
    }

    /// The chain that goes on in a named location.
    pub fn named(&mut self, server: &mut Server<'c>, name: &[u8], origin: &Origin) -> ChainId {
        if let Some(&chain) = server.redirects.get(name) {
            return chain;
        }
        let clause = Clause::new(
            Predicate::Value(Value::Path, Test::Equals(Vec::new())),
            Terminal::Error(500),
            origin.noted("a request without a path can't go to a named location (500)"),
        );
        let internal = vec![state::set(state::INTERNAL, "1"), state::set(state::CHANGED, "")];
        let otherwise = match server.named.get(name) {
            Some(&chain) => Terminal::Then(chain),
            None => Terminal::Error(500),
        };
        let origin = match otherwise {
            Terminal::Error(_) => {
                origin.noted(format!("there is no location `{}` (500)", String::from_utf8_lossy(name)))
            }
            _ => Origin::default(),
        };
        let clauses = vec![clause, Clause::steps(internal, Origin::default())];
        let chain = self.gateway.add(Chain { clauses, otherwise, origin });
        server.redirects.insert(name.to_vec(), chain);
        chain
    }

    /// The step that makes a scope's handlers hold.
    pub fn on_error(&mut self, server: &mut Server<'c>, scope: &Scope) -> Step {
        Step::OnError(self.errors(server, scope))
    }
}

/// The status with which a client is sent elsewhere.
fn redirect_status(page: &ErrorPage) -> u16 {
    match page.overwrite {
        Some(Some(status @ (301 | 302 | 303 | 307 | 308))) => status,
        _ => 302,
    }
}

/// The page as a line, for messages.
fn lone<'c>(page: &ErrorPage) -> Line<'c> {
    Line::lone("error_page", &[], &page.origin)
}
