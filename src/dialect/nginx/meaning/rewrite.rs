//! The rewrite module: `set`, `if`, `rewrite`, `return`, `break`, run from top to bottom as one program.
//!
//! In: the directives of a server or a location. Out: clauses. Invariant: what stands inside an `if` is part of the same program; that its
//! settings hold is remembered in a variable, and the last `if` that was true counts (facts: `ngx_http_rewrite_module.c`,
//! `ngx_http_script.c`; measured on nginx 1.22.1 and 1.31.3).

use crate::gateway::{Captures, Chain, ChainId, Clause, Origin, Predicate, Rewrite, Step, Terminal, Test, Value};

use super::block::Line;
use super::scope::{Content, Scope};
use super::server::Server;
use super::template::{Groups, Part, group_value, parts};
use super::{Reader, content, state};

/// How deep `if` may nest before nobody can be expected to read it.
const MOST_NESTED: usize = 64;

/// The location whose program is read.
pub struct Around {
    /// Where it goes on after the program.
    pub end: ChainId,
    /// The location's name.
    pub name: Vec<u8>,
    /// The chains of its `if`s, by what [`state::IF`] holds for them.
    pub ifs: Vec<(Vec<u8>, ChainId)>,
}

impl<'c> Reader<'c> {
    /// The program of a server (no `around`) or a location.
    pub fn program(
        &mut self,
        server: &mut Server<'c>,
        lines: &[Line<'c>],
        scope: &Scope,
        around: Option<&mut Around>,
    ) -> Vec<Clause> {
        let mut around = around;
        self.link = match &scope.secure_link {
            Some(link) => link.value(),
            None => Some(Value::literal("")),
        };
        let mut clauses = self.block(server, lines, scope, &mut around, 0);
        self.link = None;
        if !clauses.is_empty() {
            clauses.insert(0, Clause::steps(vec![state::set(state::UNQUOTED, "")], Origin::default()));
        }
        clauses
    }

    fn block(
        &mut self,
        server: &mut Server<'c>,
        lines: &[Line<'c>],
        scope: &Scope,
        around: &mut Option<&mut Around>,
        depth: usize,
    ) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for line in lines {
            match line.name {
                "set" => clauses.extend(self.set(line)),
                "return" => {
                    let mut answer = self.return_(line);
                    if let Some(clause) = &mut answer {
                        clause.steps.push(Step::Call(self.settings_chain(&scope.settings)));
                    }
                    clauses.extend(answer);
                }
                "rewrite" => self.rewrite(server, line, around, &mut clauses),
                "break" => clauses.extend(self.break_(server, line, around)),
                "if" if depth < MOST_NESTED => clauses.extend(self.if_(server, line, scope, around, depth)),
                "if" => {
                    let why = format!("`if` nests too deep at {}", self.place(line));
                    clauses.push(Clause::new(Predicate::Always, Terminal::unknown(why), line.silent()));
                }
                _ => {}
            }
        }
        clauses
    }

    fn set(&mut self, line: &Line<'c>) -> Option<Clause> {
        let Some(name) = line.arg(0).strip_prefix(b"$") else {
            self.error(line, format!("`{}` is not a variable", line.text(0)), "write `set $name value;`");
            return None;
        };
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = self.template_with(line, line.arg(1), Groups::Quoted);
        let origin = line.origin(format!("`set ${name}`"));
        if name == "args" {
            // What goes upstream follows the new query.
            let rewrite = Rewrite { query: Some(value), ..Rewrite::default() };
            return Some(Clause::steps(
                vec![Step::rewrite(rewrite, origin), state::target_takes_query()],
                line.silent(),
            ));
        }
        let mark =
            self.known(&name).map(|_| Step::set(state::assigned(&name).into(), Value::literal("1"), Origin::default()));
        let steps = std::iter::once(Step::set(name.into(), value, origin)).chain(mark).collect();
        Some(Clause::steps(steps, line.silent()))
    }

    fn return_(&mut self, line: &Line<'c>) -> Option<Clause> {
        let note =
            format!("`{}`: the rewrite phase ends the request, before limits and access are asked", line.shown());
        let first = line.text(0);
        let Ok(status) = first.parse::<u16>() else {
            if line.args.len() == 1 && ["http://", "https://", "$scheme"].iter().any(|start| first.starts_with(start)) {
                return Some(Clause::new(Predicate::Always, Terminal::Error(302), line.origin(note)));
            }
            self.error(line, format!("`{first}` is not a status"), "write `return 403;` or `return 302 https://…;`");
            return None;
        };
        if status > 999 {
            self.error(line, format!("`{first}` is not a status"), "write three digits");
            return None;
        }
        for arg in line.args.iter().skip(1) {
            self.template(line, arg);
        }
        let text = line.args.len() > 1 && !line.arg(1).is_empty();
        let then = match status {
            408 | 444 | 499 if !text => return Some(closed(line, note)),
            // Redirects go through the handlers of errors whatever stands behind them.
            301 | 302 | 303 | 307 | 308 => Terminal::Error(status),
            400.. if !text => Terminal::Error(status),
            _ => Terminal::Respond(status),
        };
        Some(Clause::new(Predicate::Always, then, line.origin(note)))
    }

    fn break_(&mut self, server: &Server<'c>, line: &Line<'c>, around: &Option<&mut Around>) -> Vec<Clause> {
        let changed = state::is_set(state::CHANGED);
        let steps = vec![state::set(state::MOVED, "1"), state::set(state::CHANGED, "")];
        let stays = Clause { steps, ..Clause::new(changed, Terminal::Next, line.silent()) };
        vec![stays, Clause::new(Predicate::Always, end(server, around), line.origin("`break` ends the rewriting"))]
    }

    fn rewrite(
        &mut self,
        server: &mut Server<'c>,
        line: &Line<'c>,
        around: &mut Option<&mut Around>,
        clauses: &mut Vec<Clause>,
    ) {
        let mut text = line.arg(1).to_vec();
        if text.is_empty() {
            return self.error(line, "`rewrite` without a replacement", "write `rewrite regex replacement;`");
        }
        let add_args = text.last() != Some(&b'?');
        if !add_args {
            text.pop();
        }
        let flag = line.text(2).into_owned();
        let elsewhere = [&b"http://"[..], b"https://", b"$scheme"].iter().any(|start| text.starts_with(start));
        let pattern = self.pattern(line, line.arg(0), false);
        let when = Predicate::Value(Value::Path, Test::Regex(pattern, Captures::Renewed));
        let note = format!("`{}`", line.shown());
        let redirect = match flag.as_str() {
            "permanent" => Some(301),
            "redirect" => Some(302),
            "" | "last" | "break" => elsewhere.then_some(302),
            other => {
                return self.error(
                    line,
                    format!("`{other}` is not a flag of `rewrite`"),
                    "write `last`, `break`, `redirect` or `permanent`",
                );
            }
        };
        if let Some(status) = redirect {
            self.template(line, &text);
            let note = format!("{note}: the rewrite phase ends the request with {status}");
            return clauses.push(Clause::new(when, Terminal::Error(status), line.origin(note)));
        }
        let (path, args) = self.replacement(line, &text);
        let may_be_empty = path.as_literal().is_none_or(<[u8]>::is_empty);
        let query = match (args, add_args) {
            (Some(args), true) => {
                let more = state::where_set(Value::Query, Value::concat(vec![Value::literal("&"), Value::Query]));
                Some(Value::concat(vec![args, more]))
            }
            (Some(args), false) => Some(args),
            (None, true) => None,
            (None, false) => Some(Value::literal("")),
        };
        let new = Rewrite { path: Some(path), query, ..Rewrite::default() };
        let mut steps = state::moved_to(new, line.origin(format!("{note} makes the path")));
        if flag == "break" {
            steps.extend([state::set(state::MOVED, "1"), state::set(state::CHANGED, "")]);
        } else {
            steps.push(state::set(state::CHANGED, "1"));
        }
        steps.push(state::set(state::UNQUOTED, "1"));
        let then = match (flag.as_str(), around.is_some()) {
            ("break", _) | ("last", false) => end(server, around),
            ("last", true) => Terminal::Restart(server.find),
            _ => Terminal::Next,
        };
        let empty = Predicate::Value(Value::Path, Test::Equals(Vec::new()));
        let zero = || Clause::new(empty.clone(), Terminal::Error(500), line.origin("the new path is empty (500)"));
        if !may_be_empty {
            return clauses.push(Clause { steps, ..Clause::new(when, then, line.silent()) });
        }
        if matches!(then, Terminal::Next) {
            clauses.push(Clause { steps, ..Clause::new(when, then, line.silent()) });
            return clauses.push(zero());
        }
        let after = self.gateway.add(Chain { clauses: vec![zero()], otherwise: then, origin: Origin::default() });
        clauses.push(Clause { steps, ..Clause::new(when, Terminal::Then(after), line.silent()) });
    }

    /// What a replacement makes of path and query: the first `?` that is written divides them.
    fn replacement(&mut self, line: &Line<'c>, text: &[u8]) -> (Value, Option<Value>) {
        let mut path = Vec::new();
        let mut args: Option<Vec<Value>> = None;
        for part in parts(text) {
            let value = match part {
                Part::Text(bytes) if args.is_none() => match bytes.iter().position(|&byte| byte == b'?') {
                    Some(at) => {
                        path.push(Value::literal(&bytes[..at]));
                        args = Some(vec![Value::literal(&bytes[at + 1..])]);
                        continue;
                    }
                    None => Value::literal(bytes),
                },
                Part::Text(bytes) => Value::literal(bytes),
                Part::Group(group) if args.is_none() => group_value(group, Groups::Plain),
                Part::Group(group) => group_value(group, Groups::Quoted),
                Part::Variable(name) => self.variable(line, &String::from_utf8_lossy(name).to_ascii_lowercase()),
                Part::Bad => {
                    self.error(line, "a `$` without the name of a variable", "take it out");
                    Value::Opaque("a `$` without the name of a variable".into())
                }
            };
            args.as_mut().unwrap_or(&mut path).push(value);
        }
        (Value::concat(path), args.map(Value::concat))
    }

    fn if_(
        &mut self,
        server: &mut Server<'c>,
        line: &Line<'c>,
        scope: &Scope,
        around: &mut Option<&mut Around>,
        depth: usize,
    ) -> Option<Clause> {
        let when = self.condition(line, scope)?;
        let inner = self.inner(line);
        let mut steps = Vec::new();
        let mut own = scope.clone();
        if let Some(location) = around {
            own = self.inherit_inside(scope, &inner, &location.name);
            let passes = |scope: &Scope| matches!(scope.content.as_deref(), Some(Content::Proxy(_)));
            if inner.iter().any(|line| line.is("proxy_pass")) {
                steps.push(state::set(state::PROXIED, "1"));
            } else {
                own.stale = !passes(scope);
            }
            let chain = self.phases(server, &own);
            let key = (location.ifs.len() + 1).to_string().into_bytes();
            steps.push(Step::OnError(self.errors(server, &own)));
            steps.push(Step::set(state::IF.into(), Value::literal(key.clone()), Origin::default()));
            location.ifs.push((key, chain));
        }
        let clauses = self.block(server, &inner, &own, around, depth + 1);
        if !clauses.is_empty() {
            let body = Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() };
            steps.push(Step::Call(self.gateway.add(body)));
        }
        // Blanks beside the parentheses are words of their own.
        let note = format!("`if {}` holds", line.shown_args().replacen("( ", "(", 1).replace(" )", ")"));
        Some(Clause { steps, ..Clause::new(when, Terminal::Next, line.origin(note)) })
    }

    /// The condition of an `if`.
    fn condition(&mut self, line: &Line<'c>, scope: &Scope) -> Option<Predicate> {
        let mut words: Vec<Vec<u8>> = line.args.iter().map(|arg| arg.to_vec()).collect();
        let wrong = |reader: &mut Self| {
            reader.error(line, format!("`{}` is not a condition", line.shown_args()), "write `if ($variable = value)`");
            None
        };
        let (Some(first), true) = (words.first_mut(), line.block.is_some()) else { return wrong(self) };
        if first.first() != Some(&b'(') {
            return wrong(self);
        }
        first.remove(0);
        match words.last_mut() {
            Some(last) if last.last() == Some(&b')') => last.pop(),
            _ => return wrong(self),
        };
        words.retain(|word| !word.is_empty());
        // An empty word in quotes is a value.
        if words.len() == 2 && line.args.len() >= 3 && matches!(words[1].as_slice(), b"=" | b"!=") {
            words.push(Vec::new());
        }
        match words.as_slice() {
            [variable] if variable.first() == Some(&b'$') => {
                let value = self.template_with(line, variable, Groups::Quoted);
                let zero = Predicate::Value(value.clone(), Test::Equals(b"0".to_vec()));
                Some(Predicate::All(vec![Predicate::Value(value, Test::NotEmpty), zero.negated()]))
            }
            [variable, sign, with] if variable.first() == Some(&b'$') => {
                let value = self.template_with(line, variable, Groups::Quoted);
                let caseless = sign.ends_with(b"*");
                match sign.as_slice() {
                    b"=" | b"!=" => {
                        let with = self.template_with(line, with, Groups::Quoted);
                        let test = match with.as_literal() {
                            Some(bytes) => Test::Equals(bytes.to_vec()),
                            None => Test::Same(Box::new(with)),
                        };
                        let same = Predicate::Value(value, test);
                        Some(if sign.len() == 2 { same.negated() } else { same })
                    }
                    b"~" | b"~*" | b"!~" | b"!~*" => {
                        let pattern = self.pattern(line, with, caseless);
                        let matches = Predicate::Value(value, Test::Regex(pattern, Captures::Renewed));
                        Some(if sign.first() == Some(&b'!') { matches.negated() } else { matches })
                    }
                    _ => wrong(self),
                }
            }
            [test, path] => {
                let (not, kind) = match test.as_slice() {
                    [b'!', b'-', kind] => (true, *kind),
                    [b'-', kind] => (false, *kind),
                    _ => return wrong(self),
                };
                if !matches!(kind, b'f' | b'd' | b'e' | b'x') {
                    return wrong(self);
                }
                let below = [&b"$request_filename"[..], b"$document_root"].iter().any(|start| path.starts_with(start));
                let folder = if below { self.folder(&scope.root) } else { content::Folder::Unknown };
                let never = match folder {
                    content::Folder::Absent => true,
                    content::Folder::Empty => matches!(kind, b'f' | b'x'),
                    content::Folder::Unknown => false,
                };
                if never {
                    return Some(if not { Predicate::Always } else { Predicate::Always.negated() });
                }
                let why =
                    format!("depends on whether `{}` is there, at {}", String::from_utf8_lossy(path), self.place(line));
                Some(Predicate::Opaque(why.into()))
            }
            _ => wrong(self),
        }
    }

    /// A rewrite by a module that isn't evaluated.
    pub fn opaque_rewrite(&mut self, scope: &Scope) -> Option<Clause> {
        let (why, origin) = scope.opaque_rewrite.as_deref()?;
        Some(Clause::new(Predicate::Opaque(why.clone().into()), Terminal::unknown(why.clone()), origin.clone()))
    }
}

/// Where a program goes on when it is over.
fn end(server: &Server<'_>, around: &Option<&mut Around>) -> Terminal {
    Terminal::Then(around.as_ref().map_or(server.find, |around| around.end))
}

/// The connection is closed without an answer.
fn closed(line: &Line<'_>, note: String) -> Clause {
    let steps = vec![Step::OnError(None)];
    Clause { steps, ..Clause::new(Predicate::Always, Terminal::Error(444), line.origin(note)) }
}
