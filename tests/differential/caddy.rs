//! Random configs of Caddy. In: choices. Out: cases; [`crate::harness`] shows how one is written.

mod requests;

use std::sync::OnceLock;

use llmguard::dialect::{Options, Variables, caddy};
use llmguard::gateway::Gateway;

use crate::harness::{Case, File, Generator, Part};
use crate::random::Random;
use crate::real::Given;

struct Caddy;

/// The generator.
pub fn generator() -> Option<&'static dyn Generator> {
    Some(&Caddy)
}

const PATHS: &[&str] = &[
    "/",
    "/api",
    "/api/",
    "/api/chat",
    "/api/pull",
    "/v1/models",
    "/v1//x",
    "/a b",
    "/A",
    "/private",
    "/priv",
    "/x.php",
    "/a%2fb",
    "/é",
    "/health",
    "/api/v1/x",
];
const HOSTS: &[&str] = &["a.test", "b.test", "*.c.test", "x.c.test", "localhost"];
const METHODS: &[&str] = &["GET", "POST", "HEAD", "DELETE", "OPTIONS", "PUT"];
const KEYS: &[&str] = &["secret", "Bearer k1", "k*", "*", "", "a,b", "{x}"];
const NAMES: &[&str] = &["X-Key", "Authorization", "Origin", "Host", "X-A.B", "X_Key", "Content-Type"];
const STATUSES: &[&str] = &["200", "204", "401", "403", "404", "418", "500", "503"];
const EXPRESSIONS: &[&str] = &[
    "^/api/",
    "^/api/(chat|pull)$",
    "(?i)^/API",
    r"\.php$",
    r"^/v1/(\w+)",
    "x",
    "^$",
    r"^/(?P<first>[^/]+)",
    r"[\d.]+",
    "é|%",
];
const TEMPLATES: &[&str] = &[
    "{path}",
    "{uri}",
    "{host}",
    "{method}",
    "{query}",
    "{http.request.uri.query.a}",
    "{http.request.header.X-Key}",
    "{http.request.orig_uri}",
    "{env.KEY}",
    "{env.NONE}",
    "{http.vars.v}",
    "{http.unknown}",
    "{scheme}",
    "{hostport}",
    "{http.request.uri.path.0}",
    "{http.request.uri.path.dir}",
    "{http.request.uri.path.file}",
    "{re.1}",
    "{re.r.1}",
    "{re.first}",
    "{http.request.cookie.c}",
    "{labels.0}",
    "{m}",
    "{http.request.port}",
    "{http.error.status_code}",
    "{vars.v}",
    "{?query}",
    "{http.auth.user.id}",
    "{client_ip}",
    "{http.request.body}",
    "{http.error.message}",
    "{http.request.uri.path_escaped}",
    "{http.request.orig_uri.path}",
    "{http.request.uri.prefixed_query}",
    "{http.request.proto}",
    "{http.request.remote.host}",
];

/// What a case holds so far.
struct Grammar<'r> {
    random: &'r mut Random,
    /// Texts that requests are aimed at.
    paths: Vec<String>,
    headers: Vec<(String, String)>,
    queries: Vec<String>,
    matchers: usize,
    depth: usize,
    named: usize,
    in_errors: bool,
    users: bool,
}

impl Grammar<'_> {
    fn path(&mut self) -> String {
        let path = self.random.pick(PATHS).to_owned();
        self.paths.push(path.clone());
        path
    }

    fn pattern(&mut self) -> String {
        let path = self.path();
        let path = path.replace(' ', "?");
        match self.random.below(12) {
            0..=4 => path,
            5..=7 => format!("{}*", path),
            8 => format!("{}/*", path.trim_end_matches('/')),
            9 => format!("*{}", path.trim_start_matches('/')),
            10 => format!("*{path}*"),
            _ => self
                .random
                .pick(&[
                    "/api/*/x",
                    "/?pi",
                    "/[a-c]*",
                    "*",
                    "/v1/*",
                    "*.php",
                    "/{host}/*",
                    "/{env.KEY}*",
                    "/%61*",
                    "/a%2f*",
                    "//*",
                ])
                .to_owned(),
        }
    }

    fn template(&mut self) -> String {
        match self.random.below(3) {
            0 => self.random.pick(TEMPLATES).to_owned(),
            1 => format!("{}-{}", self.random.pick(&["a", "secret", ""]), self.random.pick(TEMPLATES)),
            _ => self.random.pick(KEYS).to_owned(),
        }
    }

    fn quoted(text: &str) -> String {
        format!("\"{}\"", text.replace('"', "\\\""))
    }

    /// One line of a matcher.
    fn matcher_line(&mut self, inside_not: bool) -> String {
        match self.random.below(if inside_not { 12 } else { 15 }) {
            0..=2 => {
                let patterns: Vec<String> = (0..1 + self.random.below(3)).map(|_| self.pattern()).collect();
                format!("path {}", patterns.join(" "))
            }
            3 => {
                let name = if self.random.chance(50) { "r " } else { "" };
                format!("path_regexp {name}{}", Self::quoted(self.random.pick(EXPRESSIONS)))
            }
            4 => format!("method {}", self.random.some(METHODS, 30).join(" ")).trim_end().to_owned() + " GET",
            5 => format!("host {}", self.random.pick(HOSTS)),
            6..=7 => {
                let name = self.random.pick(NAMES).to_owned();
                if self.random.chance(15) {
                    return format!("header !{name}");
                }
                let value = if self.random.chance(70) { self.random.pick(KEYS).to_owned() } else { self.template() };
                self.headers.push((name.clone(), value.clone()));
                format!("header {name} {}", Self::quoted(&value))
            }
            8 => {
                let name = self.random.pick(NAMES);
                self.headers.push((name.to_owned(), "secret1".to_owned()));
                format!(
                    "header_regexp {name} {}",
                    Self::quoted(self.random.pick(&["^sec(.*)$", "k", r"^\s*$", "^Bearer (.+)$"]))
                )
            }
            9 => {
                let pair = self.random.pick(&["a=1", "a=*", "b=x y", "c=", "a=1 a=2"]);
                self.queries.extend(pair.split(' ').map(str::to_owned));
                if pair.contains("x y") { "query \"b=x y\"".to_owned() } else { format!("query {pair}") }
            }
            10 => {
                let key = self.random.pick(TEMPLATES);
                let value = self.template();
                format!("vars {} {}", key, Self::quoted(&value))
            }
            11 => {
                format!("vars_regexp r {} {}", self.random.pick(TEMPLATES), Self::quoted(self.random.pick(EXPRESSIONS)))
            }
            12 => self
                .random
                .pick(&[
                    "remote_ip 127.0.0.1",
                    "remote_ip 10.0.0.0/8 ::1",
                    "client_ip 127.0.0.0/8",
                    "protocol http",
                    "protocol https",
                    "protocol http/2+",
                    "protocol http/1.1",
                    "tls",
                ])
                .to_owned(),
            13 => format!("not {}", self.matcher_line(true)),
            _ => format!("vars v {}", Self::quoted(&self.template())),
        }
    }

    /// A named matcher, and how it is used.
    fn matcher(&mut self, parts: &mut Vec<Part>) -> String {
        if self.random.chance(25) {
            return String::new();
        }
        if self.random.chance(40) {
            let pattern = self.pattern();
            return if pattern.starts_with('/') && !pattern.contains('{') {
                format!("{pattern} ")
            } else {
                String::new()
            };
        }
        self.matchers += 1;
        let name = format!("@m{}", self.matchers);
        if self.random.chance(12) {
            let expression = self.cel();
            parts.push(Part::line(format!("{name} expression `{expression}`")));
            return format!("{name} ");
        }
        let count = self.random.pick(&[1, 1, 1, 2, 2, 3, 0]);
        let mut lines: Vec<Part> = Vec::new();
        let mut kinds: Vec<String> = Vec::new();
        for _ in 0..count {
            let line = self.matcher_line(false);
            // In which order Caddy asks the matchers of a set is chance: of one that fails, groups may be kept or not.
            let line = if count > 1 && line.contains("_regexp") { "path_regexp x".to_owned() } else { line };
            let kind = line.split(' ').next().unwrap().to_owned();
            if kind == "path_regexp" && kinds.contains(&kind) || kind == "header_regexp" && kinds.contains(&kind) {
                continue;
            }
            kinds.push(kind);
            lines.push(Part::line(line));
        }
        if self.random.chance(15) {
            let inner: Vec<Part> = vec![Part::line(self.matcher_line(true))];
            lines.push(Part::block("not {", inner, "}"));
        }
        parts.push(Part::block(format!("{name} {{"), lines, "}").fixed());
        format!("{name} ")
    }

    fn cel(&mut self) -> String {
        let atoms = [
            "{method} == 'GET'",
            "{path}.startsWith('/api')",
            "{http.request.header.X-Key} == 'secret'",
            "path('/api/*')",
            "method('GET', 'POST')",
            "header({'X-Key': 'secret*'})",
            "{host} in ['a.test', 'b.test']",
            "{path}.endsWith('.php')",
            "{query}.contains('a=1')",
            "{path}.matches('^/v1/')",
            "path_regexp('^/api/(chat)')",
            "query({'a': '1'})",
            "{env.NONE} == ''",
            "{http.request.header.X-Key} != {env.KEY}",
            "host('a.test')",
            "remote_ip('127.0.0.1')",
            "protocol('http')",
            "{http.request.uri.query.a} == '1'",
            "vars({'v': ['x', 'secret']})",
            "header_regexp('X-Key', '^sec')",
            "{http.request.uri} == '/api'",
            "true",
        ];
        let mut atom = || {
            let atom = self.random.pick(&atoms).to_owned();
            if self.random.chance(20) { format!("!({atom})") } else { atom }
        };
        let (one, two, three) = (atom(), atom(), atom());
        match self.random.below(4) {
            0 => one,
            1 => format!("{one} && {two}"),
            2 => format!("{one} || {two}"),
            _ => format!("({one} || {two}) && {three}"),
        }
    }

    fn target(&mut self) -> String {
        match self.random.below(8) {
            0 => self.path().replace(' ', "%20"),
            1 => format!("{}?a={}", self.path().replace(' ', ""), self.random.pick(TEMPLATES)),
            2 => format!("?{}&b=1", self.random.pick(&["{query}", "a=2", "{http.request.uri.query}", "{host}={path}"])),
            3 => format!("/new{}", self.random.pick(TEMPLATES)),
            4 => self
                .random
                .pick(&[
                    "/new{uri}",
                    "/x{path}?{query}",
                    "{path}?",
                    "/p{http.request.uri.path}",
                    "rel",
                    "/a?b=c&d=e=f",
                    "/a#b",
                    "/%41{path}",
                ])
                .to_owned(),
            5 => format!("/{}{}", self.random.pick(&["a", "%2f"]), self.random.pick(TEMPLATES)),
            6 => self
                .random
                .pick(&["/{http.request.header.X-Key}", "/q?{http.request.header.X-Key}", "/{re.1}", "/{re.first}/x"])
                .to_owned(),
            _ => self.random.pick(PATHS).replace(' ', "+"),
        }
    }

    /// One directive, with the matcher that it needs.
    fn directive(&mut self, parts: &mut Vec<Part>) {
        let deep = self.depth >= 3;
        let matcher = self.matcher(parts);
        let kind = self.random.below(if deep { 26 } else { 36 });
        let line = match kind {
            0..=4 => format!(
                "respond {matcher}{}",
                self.random.pick(&[
                    "200",
                    "204",
                    "401",
                    "403",
                    "404",
                    "\"body\"",
                    "\"body\" 418",
                    "\"x\" {http.error.status_code}",
                    "503"
                ])
            ),
            5..=8 => {
                let upstream = self.random.pick(&["@UPSTREAM@", "@UPSTREAM2@"]);
                let mut inner = Vec::new();
                for _ in 0..self.random.below(4) {
                    inner.push(Part::line(self.proxy_line()));
                }
                parts.push(if inner.is_empty() {
                    Part::line(format!("reverse_proxy {matcher}{upstream}"))
                } else {
                    Part::block(format!("reverse_proxy {matcher}{upstream} {{"), inner, "}")
                });
                return;
            }
            9..=10 => {
                let status = self.random.pick(STATUSES);
                match self.random.below(3) {
                    0 => format!("error {matcher}{}", status),
                    1 => format!("error {matcher}\"refused {{path}}\" {status}"),
                    _ => format!("error {matcher}\"x\""),
                }
            }
            11..=12 => {
                format!("rewrite {}{}", if matcher.is_empty() { "* " } else { &matcher }, Self::quoted(&self.target()))
            }
            13..=14 => {
                let path = self.path().replace(' ', "%20");
                match self.random.below(7) {
                    0 => format!("uri {matcher}strip_prefix {path}"),
                    1 => {
                        format!("uri {matcher}strip_suffix {}", self.random.pick(&[".php", "/", "chat", "%2fb", "/x"]))
                    }
                    2 => format!(
                        "uri {matcher}replace {} {}",
                        self.random.pick(&["/api", "a", "//", "é", "%2f"]),
                        self.random.pick(&["/b", "{host}", "%20", "x"])
                    ),
                    3 => format!(
                        "uri {matcher}path_regexp {} {}",
                        Self::quoted(self.random.pick(&["/api/(.*)", "/+", "a", "(\\w+)$"])),
                        self.random.pick(&["/$1", "/", "x", "${1}y"])
                    ),
                    4 => format!("uri {matcher}query a 2"),
                    5 => format!("uri {matcher}query {}", self.random.pick(&["-a", "+a 3", "a>z", "b {host}"])),
                    _ => format!(
                        "uri {matcher}strip_prefix {}",
                        self.random.pick(&["/api", "api", "/API/", "/v1//", "/%61pi", "{env.PREFIX}"])
                    ),
                }
            }
            15 => format!("method {matcher}{}", self.random.pick(&["GET", "post", "{http.request.header.X-Key}"])),
            16 => format!(
                "request_header {matcher}{}",
                self.random.pick(&[
                    "X-Key secret",
                    "-X-Key",
                    "Host {env.HOST}",
                    "+X-Key more",
                    "X-New {path}",
                    "X-Key sec none",
                    "Origin \"\"",
                    "-X-*",
                    "-Host"
                ])
            ),
            17 => format!(
                "header {matcher}{}",
                self.random.pick(&["X-Out 1", "-Server", "+Vary Origin", "?X-Out 2", ">X-Late {host}"])
            ),
            18..=19 => format!("vars {matcher}v {}", Self::quoted(&self.template())),
            20 => format!(
                "redir {}{} {}",
                if matcher.is_empty() { "* " } else { &matcher },
                self.random.pick(&["https://{host}{uri}", "/new", "//x"]),
                self.random.pick(&["301", "302", "308", "permanent", "temporary", "html", ""])
            ),
            21 => format!("request_body {matcher}{{\n  max_size {}\n}}", self.random.pick(&["10", "1KB"])),
            22 => format!("abort {matcher}"),
            23 => {
                if self.random.chance(50) {
                    self.users = true;
                    let hash = hash();
                    let line = format!("basic_auth {matcher}{{\n  alice {hash}\n}}");
                    parts.push(Part::line(line).fixed());
                    return;
                }
                format!("root {}@DIR@/nothing\nfile_server {matcher}", if matcher.is_empty() { "* " } else { &matcher })
            }
            24 => {
                let source = self.random.pick(&TEMPLATES[..TEMPLATES.len() - 10]);
                let (one, two) =
                    (self.random.pick(&["secret", "/api", "GET"]), Self::quoted(self.random.pick(EXPRESSIONS)));
                parts.push(Part::block(
                    format!("map {matcher}{source} {{m}} {{m2}} {{"),
                    vec![
                        Part::line(format!("{one} first \"{{path}}\"")),
                        Part::line(format!("~{two} $0-x ${{1}}")),
                        Part::line("default secret -"),
                    ],
                    "}",
                ));
                return;
            }
            25 if self.named > 0 => format!("invoke {matcher}named{}", self.random.below(self.named)),
            25 => match self.random.below(4) {
                0 => format!("encode {matcher}gzip"),
                1 => format!("log_append {matcher}k {{path}}"),
                2 => format!(
                    "try_files {matcher}{}",
                    self.random.pick(&["{path} /x{path}", "/none =404", "/a /b?{query}"])
                ),
                _ => format!("log_skip {matcher}"),
            },
            26..=29 => {
                let inner = self.block();
                parts.push(Part::block(format!("handle {matcher}{{"), inner, "}"));
                return;
            }
            30..=31 => {
                let path = self.path().replace(' ', "");
                let inner = self.block();
                parts.push(Part::block(format!("handle_path {}/* {{", path.trim_end_matches('/')), inner, "}"));
                return;
            }
            _ => {
                let inner = self.block();
                parts.push(Part::block(format!("route {matcher}{{"), inner, "}"));
                return;
            }
        };
        parts.push(Part::line(line));
    }

    fn block(&mut self) -> Vec<Part> {
        self.depth += 1;
        let mut parts = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            self.directive(&mut parts);
        }
        self.depth -= 1;
        parts
    }

    fn proxy_line(&mut self) -> String {
        match self.random.below(9) {
            0 => "header_up Host {upstream_hostport}".to_owned(),
            1 => format!(
                "header_up Host {}",
                self.random.pick(&["internal.test", "{env.HOST}", "{host}", "{http.request.header.X-Key}x"])
            ),
            2 => "header_up -Authorization".to_owned(),
            3 => format!("rewrite {}", Self::quoted(&self.target())),
            4 => "method POST".to_owned(),
            5 => "header_down -Server".to_owned(),
            6 => format!("header_up X-Key {}", Self::quoted(&self.template())),
            7 => "header_up X-Forwarded-Host {host}".to_owned(),
            _ => "flush_interval -1".to_owned(),
        }
    }

    fn handle_errors(&mut self) -> Part {
        let statuses = self.random.pick(&["", "", "401 403", "4xx", "5xx", "404"]);
        self.in_errors = true;
        let inner = self.block();
        self.in_errors = false;
        Part::block(format!("handle_errors {statuses} {{"), inner, "}")
    }
}

fn hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| bcrypt::hash("pw", 4).unwrap())
}

impl Generator for Caddy {
    fn case(&self, random: &mut Random) -> Case {
        let sites = random.pick(&[1, 1, 2, 3]);
        let named = random.pick(&[0, 0, 1, 2]);
        let mut grammar = Grammar {
            random,
            paths: vec!["/".to_owned()],
            headers: Vec::new(),
            queries: Vec::new(),
            matchers: 0,
            depth: 0,
            named: 0,
            in_errors: false,
            users: false,
        };
        let trusted = grammar.random.pick(&["", "", "", "  servers {\n    trusted_proxies static 127.0.0.0/8\n  }\n", "  servers {\n    trusted_proxies static 127.0.0.0/8 10.1.0.0/16\n    trusted_proxies_strict\n  }\n", "  servers {\n    trusted_proxies static 10.0.0.0/8\n    client_ip_headers X-Real-IP X-Forwarded-For\n  }\n"]);
        let mut parts = vec![Part::line(format!("{{\n  auto_https off\n  persist_config off\n{trusted}}}")).fixed()];
        for at in 0..named {
            grammar.depth = 1;
            let inner = grammar.block();
            parts.push(Part::block(format!("&(named{at}) {{"), inner, "}").fixed());
            grammar.named = at + 1;
        }
        grammar.depth = 0;
        let mut hosts = vec!["other.test".to_owned()];
        for (at, host) in HOSTS.iter().enumerate().take(sites) {
            let host = if at == 0 && grammar.random.chance(60) { String::new() } else { (*host).to_owned() };
            if !host.is_empty() {
                hosts.push(host.replace('*', "y"));
            }
            let mut inner = vec![Part::line("bind 127.0.0.1").fixed()];
            for _ in 0..2 + grammar.random.below(6) {
                grammar.directive(&mut inner);
            }
            for _ in 0..grammar.random.pick(&[0, 0, 1, 2]) {
                let errors = grammar.handle_errors();
                inner.push(errors);
            }
            parts.push(Part::block(format!("http://{host}:@PORT@ {{"), inner, "}"));
        }
        let requests = grammar.requests(&hosts);
        let variables = [("KEY", "secret"), ("HOST", "env.test:99"), ("PREFIX", "/api"), ("HASH", hash())];
        Case {
            main: "Caddyfile",
            files: vec![File::new("Caddyfile", parts)],
            requests,
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Case::default()
        }
    }

    fn read(&self, given: &Given) -> Gateway {
        let values = given.variables.clone();
        let options =
            Options { variables: Variables { values, complete: true, ..Default::default() }, ..Options::default() };
        caddy::read_caddyfile(&given.main, "Caddyfile", &options).gateway
    }
}
