//! `server_name` → which server a request's host belongs to.
//!
//! In: the names of the servers on a socket. Out: a chain that ends in one of their chains. Invariant: the whole name, then the longest
//! `*.x`, then the longest `x.*`, then expressions in file order, then the default server (measured on nginx 1.22.1 and 1.31.3).

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use crate::gateway::{
    Captures, Chain, ChainId, Clause, Function, Origin, Predicate, Select, Table, Terminal, Test, Value,
};

use super::Reader;
use super::block::Line;

/// What a server is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The Host of a request.
    Host,
    /// The name in the TLS handshake.
    Handshake,
}

impl std::fmt::Display for By {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            By::Host => "the host",
            By::Handshake => "the name in the TLS handshake",
        })
    }
}

/// The names of a server.
#[derive(Debug, Default)]
pub struct ServerNames {
    /// As written, with the line.
    names: Vec<(Vec<u8>, Origin)>,
    /// The first, as `$server_name` has it.
    pub first: Vec<u8>,
}

impl ServerNames {
    /// The names as written, in small letters but for expressions.
    pub fn all(&self) -> Vec<Vec<u8>> {
        self.names.iter().map(|(name, _)| name.clone()).collect()
    }
}

impl<'c> Reader<'c> {
    /// The names of a server.
    pub fn server_names(&mut self, lines: &[Line<'c>]) -> ServerNames {
        let mut all = ServerNames::default();
        for line in lines.iter().filter(|line| line.is("server_name")) {
            for arg in line.args.iter() {
                let wrong = match arg {
                    [b'*', dot @ ..] => dot.len() < 2 || dot.first() != Some(&b'.'),
                    [b'.', rest @ ..] => rest.is_empty(),
                    _ => false,
                };
                if wrong {
                    let message = format!("`{}` is not a server name", String::from_utf8_lossy(arg));
                    self.error(line, message, "write a name such as `*.example.com`");
                }
                let name = match arg.first() {
                    Some(b'~') => arg.to_vec(),
                    _ => arg.to_ascii_lowercase(),
                };
                if all.names.is_empty() {
                    all.first = name.strip_prefix(b".").unwrap_or(&name).to_vec();
                }
                all.names.push((name, line.silent()));
            }
        }
        if all.names.is_empty() {
            all.names.push((Vec::new(), Origin::default()));
        }
        all
    }

    /// The chain that chooses among servers by a name: their names and chains, in file order.
    pub fn choose_server(
        &mut self,
        by: By,
        servers: &[(&ServerNames, ChainId)],
        default: ChainId,
        origin: &Origin,
    ) -> ChainId {
        if let [(names, only)] = servers
            && names.names.iter().all(|(name, _)| name.first() != Some(&b'~'))
        {
            return if by == By::Host { *only } else { default };
        }
        let (on, captures) = match by {
            By::Host => (Value::Host, Captures::Numbered),
            By::Handshake => (Value::Apply(Function::Lower, Box::new(Value::ServerName)), Captures::Dropped),
        };
        let mut exact: HashMap<&[u8], ChainId> = HashMap::new();
        let mut suffixes: Vec<(Vec<u8>, ChainId, Origin)> = Vec::new();
        let mut prefixes: Vec<(Vec<u8>, ChainId, Origin)> = Vec::new();
        let mut patterns: Vec<Clause> = Vec::new();
        for &(names, chain) in servers {
            for (name, at) in &names.names {
                match name.as_slice() {
                    [b'~', pattern @ ..] => {
                        let caseless = pattern.iter().any(u8::is_ascii_uppercase);
                        let pattern = crate::dialect::pcre::pattern(pattern, caseless)
                            .unwrap_or_else(|why| Arc::new(crate::gateway::Pattern::Opaque(why.into())));
                        let there = Predicate::Value(on.clone(), Test::NotEmpty);
                        let when = Predicate::Value(on.clone(), Test::Regex(pattern, captures.clone()));
                        let note = format!("{by} matches `server_name {}`", String::from_utf8_lossy(name));
                        patterns.push(Clause::new(
                            Predicate::All(vec![there, when]),
                            Terminal::Then(chain),
                            at.noted(note),
                        ));
                    }
                    [b'*', suffix @ ..] if !suffix.is_empty() => suffixes.push((suffix.to_vec(), chain, at.clone())),
                    [b'.', host @ ..] => {
                        // Where the name itself is taken, nginx overlooks all of `.name`.
                        if !exact.contains_key(host) {
                            exact.insert(host, chain);
                            suffixes.push((name.clone(), chain, at.clone()));
                        }
                    }
                    [prefix @ .., b'*'] if !prefix.is_empty() => prefixes.push((prefix.to_vec(), chain, at.clone())),
                    // A handshake without a name is the default server's (measured on 1.22.1 and 1.31.3).
                    [] if by == By::Handshake => {}
                    name => {
                        exact.entry(name).or_insert(chain);
                    }
                }
            }
        }
        // The first of two equal names counts: sorting keeps their order.
        suffixes.sort_by_key(|(part, ..)| std::cmp::Reverse(part.len()));
        prefixes.sort_by_key(|(part, ..)| std::cmp::Reverse(part.len()));
        let wildcard = |(part, chain, at): (Vec<u8>, ChainId, Origin), suffix: bool| {
            let shown = String::from_utf8_lossy(&part).into_owned();
            let (name, test) = match suffix {
                true => (format!("*{shown}"), Test::Suffix(part)),
                false => (format!("{shown}*"), Test::Prefix(part)),
            };
            let note = format!("{by} matches `server_name {name}`");
            Clause::new(Predicate::Value(on.clone(), test), Terminal::Then(chain), at.noted(note))
        };
        let mut clauses: Vec<Clause> = suffixes.into_iter().map(|one| wildcard(one, true)).collect();
        clauses.extend(prefixes.into_iter().map(|one| wildcard(one, false)));
        clauses.extend(patterns);
        let others = match clauses.is_empty() {
            true => default,
            false => self.gateway.add(Chain { clauses, otherwise: Terminal::Then(default), origin: Origin::default() }),
        };
        let select = Select::new(on, exact.into_iter().collect(), Table::default(), Terminal::Then(others));
        self.end(Terminal::Select(Arc::new(select)), origin.noted(""))
    }
}
