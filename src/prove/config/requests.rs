//! The requests that a config is asked: those that meet each of its rules, and those that just miss it.
//!
//! In: what its gateway tells apart. Out: requests, in an order that brings every kind early. Invariant: the same gateway gets the same
//! requests; a credential in them is the config's own or made for this run.

use std::net::IpAddr;

use base64::Engine as _;

use crate::analysis::boundary::{Boundaries, Texts};
use crate::http::{Request, Sni, Version};
use crate::prove::moved::known_password;
use crate::prove::questions;

/// Texts of a kind are taken up to here: a config of ten thousand rules is asked about some of each.
const MOST_OF_A_KIND: usize = 400;

/// Methods that every config is asked with.
const METHODS: &[&str] = &["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get"];

/// Paths that gateways in front of language models are there for.
const PATHS: &[&str] =
    &["/", "/health", "/healthz", "/api/tags", "/api/pull", "/v1/models", "/v1/chat/completions", "/nope"];

/// Headers that carry credentials, in lower case.
const CREDENTIALS: &[&str] = &["authorization", "x-api-key", "api-key", "x-auth-token"];

/// Headers that say how a message is framed or who it is for: others are asked with as they are.
const FRAMING: &[&str] =
    &["host", "transfer-encoding", "content-length", "connection", "expect", "te", "trailer", "upgrade", "keep-alive"];

/// Header lines.
type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// At most so many requests.
pub fn requests(of: &Boundaries, most: usize) -> Vec<Request> {
    let asker = Asker { of, host: host(of), credentials: credentials(of), paths: paths(of) };
    let groups = [
        asker.plain(),
        asker.with_credentials(),
        asker.hosts(),
        asker.headers(),
        asker.methods(),
        asker.queries(),
        asker.bodies(),
        asker.spellings(),
        asker.versions(),
    ];
    spread(groups.into(), most)
}

struct Asker<'a> {
    of: &'a Boundaries,
    /// The host that most requests name.
    host: Vec<u8>,
    /// Header lines that may show who is asking.
    credentials: Vec<Lines>,
    paths: Vec<Vec<u8>>,
}

impl Asker<'_> {
    /// A request that can be sent: a line end in a target or a header would begin another line.
    fn ask(&self, method: &[u8], target: &[u8], headers: Lines) -> Request {
        let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let (target, headers) = (without(target, ends), headers.into_iter());
        let headers: Lines = headers.map(|(name, value)| (name, without(&value, ends))).collect();
        let own_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        let host = (!own_host).then(|| (b"Host".to_vec(), self.host.clone()));
        Request {
            method: method.to_vec(),
            target,
            // HTTP/1 takes off what is blank around a value.
            headers: host.into_iter().chain(headers).map(|(name, value)| (name, value.trim_ascii().to_vec())).collect(),
            version: Version::Http11,
            client_ip: IpAddr::from([127, 0, 0, 1]),
            to: None,
            body: None,
            body_bytes: 0,
            port: None,
            tls: None,
            sni: Sni::AsHost,
            as_client: None,
        }
    }

    fn plain(&self) -> Vec<Request> {
        let both = |path: &Vec<u8>| [self.ask(b"GET", path, Vec::new()), self.ask(b"POST", path, Vec::new())];
        self.paths.iter().flat_map(both).collect()
    }

    fn with_credentials(&self) -> Vec<Request> {
        let each = |lines: &Lines| {
            let ask = |path: &Vec<u8>| [self.ask(b"GET", path, lines.clone()), self.ask(b"POST", path, lines.clone())];
            self.paths.iter().flat_map(ask).collect::<Vec<_>>()
        };
        self.credentials.iter().flat_map(each).collect()
    }

    /// The first credential that may be good, or none.
    fn good(&self) -> Lines {
        self.credentials.first().cloned().unwrap_or_default()
    }

    fn some_paths(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.paths.iter().take(12)
    }

    fn hosts(&self) -> Vec<Request> {
        let own = self.of.hosts.iter().flat_map(|host| {
            let upper = host.to_ascii_uppercase();
            [
                host.clone(),
                upper,
                [host, &b":8443"[..]].concat(),
                [host, &b"."[..]].concat(),
                [b"x.", &host[..]].concat(),
            ]
        });
        let odd = ["evil.example", "127.0.0.1", "[::1]", "a..b", "localhost"].map(|host| host.as_bytes().to_vec());
        let hosts = own.filter(|host| !host.is_empty()).chain(odd).take(MOST_OF_A_KIND);
        let each = |host: Vec<u8>| {
            let mut lines = self.good();
            lines.insert(0, (b"Host".to_vec(), host));
            self.some_paths().map(move |path| self.ask(b"GET", path, lines.clone())).collect::<Vec<_>>()
        };
        hosts.flat_map(each).collect()
    }

    fn headers(&self) -> Vec<Request> {
        let mut out = Vec::new();
        let lists = self.of.headers.iter().filter(|(name, _)| !FRAMING.contains(&name.as_str()));
        for (name, values) in lists {
            let any = b"something".to_vec();
            for value in values.iter().chain([&Vec::new(), &any]).take(MOST_OF_A_KIND) {
                for path in self.some_paths() {
                    for base in [Vec::new(), self.good()] {
                        let mut lines = base;
                        lines.push((name.clone().into_bytes(), value.clone()));
                        out.push(self.ask(b"GET", path, lines.clone()));
                    }
                }
            }
        }
        for (name, values) in &self.of.cookies {
            for value in values {
                let cookie = [name.as_bytes(), b"=", value].concat();
                out.extend(
                    self.some_paths().map(|path| self.ask(b"GET", path, vec![(b"Cookie".to_vec(), cookie.clone())])),
                );
            }
        }
        out
    }

    fn methods(&self) -> Vec<Request> {
        let own = self.of.methods.iter().cloned().chain(METHODS.iter().map(|method| method.as_bytes().to_vec()));
        let methods: Texts = own.filter(|method| !method.is_empty()).collect();
        let each = |method: &Vec<u8>| {
            let ask = |path: &Vec<u8>| [self.ask(method, path, Vec::new()), self.ask(method, path, self.good())];
            self.some_paths().flat_map(ask).collect::<Vec<_>>()
        };
        methods.iter().flat_map(each).collect()
    }

    fn queries(&self) -> Vec<Request> {
        let named = self.of.arguments.iter().flat_map(|(name, values)| {
            let none = [b"x".to_vec()];
            values.iter().cloned().chain(none).map(move |value| [name.as_bytes(), b"=", &value].concat())
        });
        let usual = ["", "a=b&c=%20", "x=/../y", "a?b"].map(|query| query.as_bytes().to_vec());
        let queries: Vec<Vec<u8>> = self.of.queries.iter().cloned().chain(named).chain(usual).collect();
        let each = |query: &Vec<u8>| {
            let ask = |path: &Vec<u8>| self.ask(b"GET", &[path, &b"?"[..], query].concat(), self.good());
            self.some_paths().map(ask).collect::<Vec<_>>()
        };
        queries.iter().take(MOST_OF_A_KIND).flat_map(each).collect()
    }

    fn bodies(&self) -> Vec<Request> {
        let lengths = self.of.bodies.iter().copied().filter(|&length| length <= 4 << 20).chain([10]);
        let with = |length: u64| {
            let ask = move |path: &Vec<u8>| Request { body_bytes: length, ..self.ask(b"POST", path, self.good()) };
            self.some_paths().take(4).map(ask).collect::<Vec<_>>()
        };
        lengths.flat_map(with).collect()
    }

    fn spellings(&self) -> Vec<Request> {
        let mut out = Vec::new();
        for path in &self.paths {
            let Some(path) = std::str::from_utf8(path).ok().filter(|path| path.is_ascii() && path.len() > 1) else {
                continue;
            };
            for target in questions::respelled(path) {
                let target = target.as_bytes();
                out.push(self.ask(b"POST", target, Vec::new()));
                out.push(self.ask(b"POST", target, self.good()));
            }
        }
        out
    }

    fn versions(&self) -> Vec<Request> {
        let old = |path: &Vec<u8>| Request { version: Version::Http10, ..self.ask(b"GET", path, self.good()) };
        let absolute = |path: &Vec<u8>| self.ask(b"GET", &[b"http://", &self.host[..], path].concat(), self.good());
        self.some_paths().flat_map(|path| [old(path), absolute(path)]).collect()
    }
}

fn without(bytes: &[u8], taken: impl Fn(&u8) -> bool) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !taken(byte)).collect()
}

/// The host that most requests name: one that the config names, if any.
fn host(of: &Boundaries) -> Vec<u8> {
    let plain = |host: &&Vec<u8>| {
        !host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    of.hosts.iter().find(plain).cloned().unwrap_or_else(|| b"localhost".to_vec())
}

/// Paths that are compared with, as targets, and some that every config is asked for.
fn paths(of: &Boundaries) -> Vec<Vec<u8>> {
    let target = |path: &Vec<u8>| {
        let mut out = Vec::with_capacity(path.len() + 1);
        if path.first() != Some(&b'/') {
            out.push(b'/');
        }
        for &byte in path {
            match byte {
                0x21..=0x7e if byte != b'%' => out.push(byte),
                _ => out.extend(format!("%{byte:02X}").bytes()),
            }
        }
        out
    };
    let own: Texts = of.paths.iter().take(MOST_OF_A_KIND).map(target).collect();
    let usual = PATHS.iter().map(|path| path.as_bytes().to_vec()).filter(|path| !own.contains(path));
    let usual: Vec<Vec<u8>> = usual.collect();
    own.into_iter().chain(usual).collect()
}

/// What may show who is asking: users with the passwords of this run, and what credential headers are compared with.
fn credentials(of: &Boundaries) -> Vec<Lines> {
    let basic = |user: &String| {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", known_password(user)));
        vec![(b"Authorization".to_vec(), format!("Basic {login}").into_bytes())]
    };
    let mut list: Vec<Lines> = of.clients.iter().take(4).map(basic).collect();
    for name in CREDENTIALS {
        let values = of.headers.get(*name).into_iter().flatten().filter(|value| !value.is_empty()).take(6);
        list.extend(values.map(|value| vec![(name.as_bytes().to_vec(), value.clone())]));
    }
    list.push(vec![(b"Authorization".to_vec(), b"Bearer wrong".to_vec()), (b"X-API-Key".to_vec(), b"wrong".to_vec())]);
    list
}

/// Some of each group, up to so many in all; small groups as a whole.
fn spread(mut groups: Vec<Vec<Request>>, most: usize) -> Vec<Request> {
    let mut out = Vec::new();
    groups.sort_by_key(Vec::len);
    let mut left = groups.len();
    for group in groups {
        let share = most.saturating_sub(out.len()) / left.max(1);
        left -= 1;
        let length = group.len().max(1);
        let taken = share.min(group.len());
        // Evenly, so that what stands at the end of a config is asked for too.
        let wanted: Vec<usize> = (0..taken).map(|at| at * length / taken.max(1)).collect();
        let mut wanted = wanted.into_iter().peekable();
        out.extend(group.into_iter().enumerate().filter(|(at, _)| wanted.next_if_eq(at).is_some()).map(|(_, ask)| ask));
    }
    out
}
