//! `map`, `geo`, `split_clients` → tables.
//!
//! In: a block. Out: a [`Value`]. Invariant: precedence is in the order of the rows: whole values (in any case), then host names by
//! suffix and by prefix where `hostnames` stands, then expressions in file order, then `default` (measured on nginx 1.22.1).

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::dialect::nginx::config::Directive;
use crate::dialect::pcre;
use crate::gateway::value::{Join, Row};
use crate::gateway::{Captures, Function, Lookup, Pattern, Predicate, Test, Trust, Value};

use super::block::Line;
use super::{Reader, inherit};

/// All shares together, in hundredths of a percent.
const ALL: i64 = 10_000;

impl<'c> Reader<'c> {
    /// What a table gives.
    pub fn table(&mut self, name: &str, directive: &'c Directive) -> Value {
        let line = self.line(directive);
        match line.name {
            "map" => self.map(name, &line),
            "geo" => self.geo(name, &line),
            _ => self.split_clients(name, &line),
        }
    }

    fn map(&mut self, name: &str, line: &Line<'c>) -> Value {
        let entries = self.inner(line);
        let source = self.template(line, line.arg(0));
        let longest = self.names.longest_key();
        let hostnames = entries.iter().any(|entry| entry.is("hostnames") && entry.args.is_empty());
        let mut table = Lookup {
            name: name.to_owned(),
            on: source,
            exact: HashMap::new(),
            any_case: true,
            rows: Vec::new(),
            otherwise: Value::literal(""),
            volatile: entries.iter().any(|entry| entry.is("volatile") && entry.args.is_empty()),
        };
        if hostnames {
            table.on = Value::Apply(Function::StripSuffix(b".".to_vec()), Box::new(table.on));
        }
        let mut wildcards: Vec<(Vec<u8>, bool, Value)> = Vec::new();
        let mut patterns = Vec::new();
        let mut has_default = false;
        for entry in &entries {
            if entry.args.is_empty() && matches!(entry.name, "hostnames" | "volatile") {
                continue;
            }
            if entry.args.len() != 1 {
                self.error(entry, "an entry of `map` is a value and what it stands for", "write `value result;`");
                continue;
            }
            let result = self.template(entry, entry.arg(0));
            let key = entry.key();
            match key {
                b"default" => {
                    if std::mem::replace(&mut has_default, true) {
                        self.error(entry, format!("`default` stands twice in `map ${name}`"), "take one of them out");
                    }
                    table.otherwise = result;
                }
                [b'~', pattern @ ..] => {
                    let (pattern, caseless) = match pattern {
                        [b'*', pattern @ ..] => (pattern, true),
                        pattern => (pattern, false),
                    };
                    let pattern = self.pattern(entry, pattern, caseless);
                    patterns.push((Row::Test(Test::Regex(pattern, Captures::Numbered)), result));
                }
                key => {
                    if key.len() > longest {
                        let message = format!("a key of `map ${name}` is longer than {longest} bytes");
                        self.error(entry, message, "write `map_hash_bucket_size 256;` in `http`");
                    }
                    let key = key.strip_prefix(b"\\").unwrap_or(key).to_ascii_lowercase();
                    match (hostnames, key.as_slice()) {
                        (true, [b'*', suffix @ ..]) => wildcards.push((suffix.to_vec(), true, result)),
                        (true, [b'.', host @ ..]) => {
                            table.exact.insert(host.to_vec(), result.clone());
                            wildcards.push((key, true, result));
                        }
                        (true, [prefix @ .., b'*']) => wildcards.push((prefix.to_vec(), false, result)),
                        _ => {
                            if table.exact.insert(key, result).is_some() {
                                let message =
                                    format!("`{}` stands twice in `map ${name}`; case does not matter", entry.name);
                                self.error(entry, message, "take one of them out");
                            }
                        }
                    }
                }
            }
        }
        wildcards.sort_by_key(|(part, suffix, _)| (!suffix, std::cmp::Reverse(part.len())));
        let rows = wildcards.into_iter().map(|(part, suffix, result)| {
            let test = if suffix { Test::Suffix(part) } else { Test::Prefix(part) };
            (Row::Test(Test::AnyCase(Box::new(test))), result)
        });
        table.rows.extend(rows);
        // An empty value is asked of no expression.
        if !patterns.is_empty() && !table.exact.contains_key(&b""[..]) {
            table.exact.insert(Vec::new(), table.otherwise.clone());
        }
        table.rows.extend(patterns);
        Value::Lookup(Arc::new(table))
    }

    /// `split_clients`: shares of the numbers that a digest can be, one after the other (`ngx_http_split_clients_module.c`).
    fn split_clients(&mut self, name: &str, line: &Line<'c>) -> Value {
        let source = self.template(line, line.arg(0));
        let mut table = Lookup {
            name: name.to_owned(),
            on: Value::Apply(Function::MurmurHash2, Box::new(source)),
            exact: HashMap::new(),
            any_case: false,
            rows: Vec::new(),
            otherwise: Value::literal(""),
            volatile: false,
        };
        // In hundredths of a percent, and as numbers.
        let (mut sum, mut last) = (0, 0);
        for entry in self.inner(line) {
            let result = Value::literal(entry.arg(0));
            let most = match (entry.name, entry.name.strip_suffix('%').and_then(hundredths)) {
                ("*", _) => i64::MAX,
                (_, Some(share @ 1..)) if sum + share <= ALL => {
                    sum += share;
                    last += share * i64::from(u32::MAX) / ALL;
                    if sum == ALL { i64::MAX } else { last - 1 }
                }
                (_, Some(1..)) => {
                    self.error(&entry, "the shares are more than 100%", "make them smaller");
                    continue;
                }
                _ => {
                    self.error(&entry, format!("`{}` is not a share", entry.name), "write `12.5%` or `*`");
                    continue;
                }
            };
            table.rows.push((Row::Test(Test::Between(0, most)), result));
        }
        Value::Lookup(Arc::new(table))
    }

    fn geo(&mut self, name: &str, line: &Line<'c>) -> Value {
        let entries = self.inner(line);
        let opaque = |why: String| Value::Opaque(why.into());
        let source = (line.args.len() > 1).then(|| line.arg(0));
        let source = match source {
            None | Some(b"$remote_addr") => None,
            Some(source) => Some(self.template(line, source)),
        };
        let proxies = self.proxies(&entries);
        let source = match proxies {
            None => source,
            Some(trust) => {
                let address = source.unwrap_or(Value::ClientIp);
                Some(Value::Apply(Function::Believed(Arc::new(trust)), Box::new(address)))
            }
        };
        let mut table = Lookup {
            name: name.to_owned(),
            on: source.clone().unwrap_or_else(|| Value::literal("0")),
            exact: HashMap::new(),
            any_case: false,
            rows: Vec::new(),
            otherwise: Value::literal(""),
            volatile: true,
        };
        let mut networks: Vec<(Vec<IpNet>, Value)> = Vec::new();
        let ranges = entries.iter().any(|entry| entry.is("ranges") && entry.args.is_empty());
        for entry in &entries {
            match (entry.name, entry.args.len()) {
                ("ranges" | "proxy_recursive" | "volatile", 0) | ("proxy", 1) => {}
                ("default", 1) => table.otherwise = Value::literal(entry.arg(0)),
                ("delete", 1) => match inherit::network(entry.arg(0)) {
                    Some(gone) => networks.retain(|(networks, _)| *networks != gone),
                    None => return opaque(format!("depends on `geo` at {}", self.place(entry))),
                },
                (_, 1) if ranges => match range(entry.name) {
                    Some(range) => networks.push((range, Value::literal(entry.arg(0)))),
                    None => self.error(
                        entry,
                        format!("`{}` is not a range of addresses", entry.name),
                        "write `10.0.0.1-10.0.0.9`",
                    ),
                },
                (_, 1) => match inherit::network(entry.name.as_bytes()) {
                    Some(network) => {
                        // The last of two for the same network counts.
                        networks.retain(|(others, _)| *others != network);
                        networks.push((network, Value::literal(entry.arg(0))));
                    }
                    None => self.error(
                        entry,
                        format!("`{}` is not an address or network", entry.name),
                        "write `10.0.0.0/8`",
                    ),
                },
                _ => self.error(
                    entry,
                    "an entry of `geo` is a network and what it stands for",
                    "write `10.0.0.0/8 value;`",
                ),
            }
        }
        if !ranges {
            let length = |networks: &[IpNet]| networks.first().map_or(0, IpNet::prefix_len);
            networks.sort_by_key(|(networks, _)| std::cmp::Reverse(length(networks)));
        }
        // What is no address is taken for 255.255.255.255 (measured on nginx 1.22.1 and 1.31.3).
        let broadcast = std::net::IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
        let of_all = networks.iter().find(|(networks, _)| networks.iter().any(|network| network.contains(&broadcast)));
        let none = of_all.map_or_else(|| table.otherwise.clone(), |(_, value)| value.clone());
        table.exact.insert(Vec::new(), none.clone());
        let rows = networks.into_iter().map(|(networks, value)| {
            let when = match &source {
                None => inherit::from_networks(&networks),
                Some(source) => {
                    let outside = Function::LastOutside(networks.into());
                    Predicate::Value(Value::Apply(outside, Box::new(source.clone())), Test::Equals(Vec::new()))
                }
            };
            (Row::When(when), value)
        });
        table.rows.extend(rows);
        if source.is_some() {
            let address = self.pattern(line, b"^([0-9]+\\.[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$", false);
            let default = std::mem::replace(&mut table.otherwise, none);
            table.rows.push((Row::Test(Test::Regex(address, Captures::Dropped)), default));
        }
        Value::Lookup(Arc::new(table))
    }

    /// Whose `X-Forwarded-For` a `geo` believes; absent: nobody's.
    fn proxies(&mut self, entries: &[Line<'c>]) -> Option<Trust> {
        let mut peers = Vec::new();
        for entry in entries.iter().filter(|entry| entry.is("proxy") && entry.args.len() == 1) {
            match inherit::network(entry.arg(0)) {
                Some(networks) => peers.extend(networks),
                None => self.error(
                    entry,
                    format!("`{}` is not an address or network", entry.text(0)),
                    "write `proxy 10.0.0.0/8;`",
                ),
            }
        }
        let recursive = entries.iter().any(|entry| entry.is("proxy_recursive") && entry.args.is_empty());
        let says = Value::Header("x-forwarded-for".to_owned(), Join::With(", "));
        (!peers.is_empty()).then(|| Trust { peers: peers.into(), says, recursive })
    }

    /// A regular expression; one that nginx refuses is an error and matches nobody knows what.
    pub fn pattern(&mut self, line: &Line<'c>, text: &[u8], caseless: bool) -> Arc<Pattern> {
        match pcre::pattern(text, caseless) {
            Ok(pattern) => match &*pattern {
                Pattern::Opaque(why) => {
                    Arc::new(Pattern::Opaque(format!("depends on {why}, at {}", self.place(line)).into()))
                }
                _ => pattern,
            },
            Err(message) => {
                self.error(line, message, "write a regular expression of PCRE");
                Arc::new(Pattern::Opaque("a regular expression is malformed".into()))
            }
        }
    }
}

/// A percentage with at most two digits behind its point, in hundredths.
fn hundredths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then_some(());
    digits(whole).and(digits(part)).filter(|()| part.len() <= 2 && !(whole.is_empty() && part.is_empty()))?;
    format!("{whole}{part:0<2}").parse().ok()
}

/// The networks that a range of IPv4 addresses is made of.
fn range(text: &str) -> Option<Vec<IpNet>> {
    let (first, last) = text.split_once('-')?;
    let subnets = ipnet::Ipv4Subnets::new(first.parse().ok()?, last.parse().ok()?, 0);
    Some(subnets.map(IpNet::V4).collect())
}
