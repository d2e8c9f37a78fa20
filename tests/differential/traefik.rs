//! Random configs of Traefik. In: choices. Out: cases; [`crate::harness`] shows how one is written.
//!
//! A case has two entry points, up to nine routers with rules of every kind (some of them wrong), parents, priorities, every middleware
//! whose effect one answer shows, services of every kind, and requests at the boundaries of all that.

use std::sync::LazyLock;

use llmguard::dialect::traefik;
use llmguard::gateway::Gateway;
use serde_json::{Value, json};

use crate::harness::{Case, File, Generator, Part};
use crate::random::Random;
use crate::real::Given;

/// The generator.
pub fn generator() -> Option<&'static dyn Generator> {
    Some(&Traefik)
}

struct Traefik;

/// How many requests a case has: a start of Traefik costs as much as hundreds.
const REQUESTS: usize = 90;

const PATHS: [&str; 22] = [
    "/",
    "/api",
    "/api/",
    "/api/pull",
    "/api/chat",
    "/api/chat/",
    "/v1/models",
    "/v1",
    "/a b",
    "/a+b",
    "/x.y",
    "/API/pull",
    "/api/pull/x",
    "/health",
    "/aé",
    "/a/b/c",
    "/a;b",
    "/a%2Fb",
    "/app",
    "/api/tags",
    "/a:b@c",
    "/a!b",
];
const TARGETS: [&str; 45] = [
    "/",
    "/api",
    "/api/",
    "/api/pull",
    "/api/chat",
    "/api/chat/",
    "/v1/models",
    "/v1",
    "/a%20b",
    "/a+b",
    "/x.y",
    "/API/pull",
    "/api/pull/x",
    "/health",
    "/a%C3%A9",
    "/a/b/c",
    "/a;b",
    "/a%2Fb",
    "/a%2fb",
    "/app",
    "/api/tags",
    "/a:b@c",
    "/a!b",
    "//api//pull",
    "/api/../api/pull",
    "/api/%2e%2e/v1",
    "/%61pi/pull",
    "/api/pull/.",
    "/api/pull/..",
    "/..",
    "/api%2Fpull",
    "/a%5Cb",
    "/a\\b",
    "/a%00b",
    "/a%3Fb",
    "/a%23b",
    "/a%25b",
    "/a%zz",
    "/api/..%2fx",
    "/api%",
    "/a'b(c)",
    "/a%21b",
    "/api//..//x",
    "/apix",
    "/api..",
];
const QUERIES: [&str; 14] =
    ["", "", "", "", "?", "?k=v", "?k", "?k=", "?k=w&k=v", "?a;k=v", "?k=%76", "?k=%zz", "?x=1&k=v%20w", "?k=v+w"];
const HOSTS: [&str; 10] = [
    "h.test",
    "H.Test:8080",
    "h.test.",
    "a.h.test",
    "b.a.h.test",
    "other.example",
    "127.0.0.1",
    "[::1]:80",
    "test",
    "h.test:80",
];
const EXPRESSIONS: [&str; 14] = [
    "^/api/(pull|chat)$",
    "/api",
    "(?i)^/API",
    "^/v[0-9]+",
    "/chat$",
    r"^/a.b",
    "^/(?:a|x)",
    r"^/\w+$",
    "/(a)/(b)",
    "^/a[^/]*$",
    ".",
    "(",
    "(?!x)",
    "a**",
];
const HEADERS: [(&str, &str); 16] = [
    ("X-Key", "k1"),
    ("x-key", "k2"),
    ("X-Key", ""),
    ("X-A", "1"),
    ("X-A", "2"),
    ("Origin", "https://a.test"),
    ("Access-Control-Request-Method", "GET"),
    ("X-Forwarded-For", "10.1.2.3"),
    ("X-Forwarded-For", "10.1.2.3, 192.168.0.9"),
    ("X-Forwarded-Proto", "https"),
    ("Connection", "close, X-Key"),
    ("X_Key", "k1"),
    ("Authorization", "Basic !!"),
    ("X-Key", "Bearer "),
    ("X-Forwarded-Host", "h.test"),
    ("Authorization", "Digest username=\"x\""),
];

/// What tells that a file is loaded, in TOML.
const READY: &str = "# @READY@\n[http.routers.llmguard-ready]\nrule = \"Host(`ready.llmguard.invalid`)\"\npriority = 1000000\nservice = \"noop@internal\"";

/// A password hash that is quick to check: of `orange`.
static HASH: LazyLock<String> = LazyLock::new(|| bcrypt::hash_with_salt("orange", 4, [7; 16]).unwrap().to_string());

/// `NAME:PASSWORD` pairs in base64.
const LOGINS: [&str; 5] = ["YW5uOm9yYW5nZQ==", "YW5uOmxlbW9u", "Ym9iOm9yYW5nZQ==", "YW5uOm9yYW5nZQ", "YW5u"];

fn matcher(random: &mut Random) -> String {
    let path = random.pick(&PATHS);
    let most = if random.chance(4) { EXPRESSIONS.len() } else { EXPRESSIONS.len() - 3 };
    let expression = random.pick(&EXPRESSIONS[..most]);
    let host = random.pick(&["h.test", "*.test", "*.h.test", "H.TEST", "h.test.", "*", "other.example", "*test"]);
    let name =
        random.pick(&["X-Key", "x-a", "Origin", "Host", "X-Forwarded-Proto", "X-Forwarded-For", "Authorization"]);
    let value = random.pick(&["k1", "k2", "1", "https://a.test", "Bearer ", "http"]);
    match random.below(100) {
        0..=17 => format!("PathPrefix(`{path}`)"),
        18..=31 => format!("Path(`{path}`)"),
        32..=43 => format!("PathRegexp(`{expression}`)"),
        44..=53 => format!("Host(`{host}`)"),
        54..=58 => {
            let expression = random.pick(&["^[a-z]+\\.test$", ".+", "^h", "^$", "(?i)H\\.", "^.*$"]);
            format!("HostRegexp(`{expression}`)")
        }
        59..=66 => format!("Method(`{}`)", random.pick(&["GET", "POST", "post", "OPTIONS", "put"])),
        67..=73 => format!("Header(`{name}`, `{value}`)"),
        74..=79 => {
            format!("HeaderRegexp(`{name}`, `{}`)", random.pick(&["^k", ".", "^$", "^(?i:bearer) *", "k1$", "[0-9]"]))
        }
        80..=84 => random.pick(&["Query(`k`)", "Query(`k`,`v`)", "Query(`k`,`v w`)", "Query(`x`,`1`)"]).to_owned(),
        85..=87 => format!("QueryRegexp(`k`,`{}`)", random.pick(&["^v", "w$", "^$"])),
        88..=92 => format!("ClientIP(`{}`)", random.pick(&["127.0.0.1", "127.0.0.2/32", "127.0.0.0/8", "::1"])),
        93 => format!("pathprefix(\"{}\")", path.replace('"', "")),
        94 => format!("PATHPREFIX(`{path}`)"),
        95 => "pathPrefix(`/`)".to_owned(),
        96 => "Path('/a')".to_owned(),
        97 => "Path(`/a`, `/b`)".to_owned(),
        98 => format!("Headers(`{name}`, `{value}`)"),
        _ => {
            random.pick(&["Header(`X-Key`, ``)", "Path(`a`)", "ClientIP(`x`)", "Nope(`x`)", "Path(`/a`) &&"]).to_owned()
        }
    }
}

fn rule(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.chance(45) {
        let one = matcher(random);
        return if random.chance(12) { format!("!{one}") } else { one };
    }
    let (left, right) = (rule(random, depth - 1), rule(random, depth - 1));
    match random.below(6) {
        0 | 1 => format!("{left} && {right}"),
        2 => format!("{left} || {right}"),
        3 => format!("({left} || {right}) && {}", matcher(random)),
        4 => format!("!({left} && {right})"),
        _ => format!("{left} && ({right})"),
    }
}

/// A rule of Traefik 2.
fn old_rule(random: &mut Random) -> String {
    random
        .pick(&[
            "Path(`/api/pull`, `/api/chat`)",
            "PathPrefix(`/api`, `/v1`)",
            "Path(`/{n:[a-z]+}`)",
            "PathPrefix(`/v{n}`)",
            "Method(`GET`,`POST`) && PathPrefix(`/`)",
            "Headers(`X-Key`,`k1`)",
            "HeadersRegexp(`X-Key`,`^k`)",
            "HostHeader(`h.test`)",
            "HostRegexp(`{x:[a-z]+}.test`)",
            "Host(`h.test`,`other.example`)",
            "Header(`X-Key`,`k1`)",
            "PathRegexp(`/api`)",
        ])
        .to_owned()
}

/// A middleware, and whether its effect can't be known from the files.
fn middleware(random: &mut Random) -> (Value, bool) {
    let prefix = random.pick(&["/api", "/api/", "/a", "/v1", "/a b", "/a%2F", "/", "/x"]);
    let most = if random.chance(10) { EXPRESSIONS.len() } else { EXPRESSIONS.len() - 3 };
    let expression = random.pick(&EXPRESSIONS[..most]);
    let mut opaque = false;
    let value = match random.below(40) {
        0..=2 => json!({"stripPrefix": {"prefixes": [prefix, random.pick(&["/v1", "/api", "/api/pull"])]}}),
        3 => json!({"stripPrefix": {"prefixes": [prefix], "forceSlash": true}}),
        4 | 5 => json!({"stripPrefixRegex": {"regex": [expression, "/[a-z]+/"]}}),
        6 | 7 => json!({"addPrefix": {"prefix": random.pick(&["/p", "p", "/p/", "/p q", "/p/../q", ""])}}),
        8 | 9 => {
            json!({"replacePath": {"path": random.pick(&["/new", "/new%20x", "/a b", "/%zz", "/n?x", "/a/../b", "/é"])}})
        }
        10..=12 => {
            json!({"replacePathRegex": {"regex": random.pick(&["^/api/(.*)", "^/(a|v1)(.*)$", "/x", "^(.*)$", "%2F"]),
            "replacement": random.pick(&["/new/$1", "/$2/$1", "/n$1x", "/n${1}x", "/$1", "/%zz", "/../$1"])}})
        }
        13..=15 => {
            let ranges = random.pick(&["127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "127.0.0.2/32", "::1/128", "x"]);
            let mut list = json!({"sourceRange": [ranges, "192.168.0.9/32"]});
            if random.chance(30) {
                list["rejectStatusCode"] = random.pick(&[json!(401), json!(404), json!(204), json!(999), json!(0)]);
            }
            if random.chance(30) {
                list["ipStrategy"] = random.pick(&[
                    json!({"depth": 1}),
                    json!({"depth": 2}),
                    json!({"excludedIPs": ["192.168.0.0/16"]}),
                    json!({"excludedIPs": ["x"]}),
                    json!({"ipv6Subnet": 64}),
                    json!({"ipv6Subnet": 200}),
                ]);
            }
            if random.chance(20) { json!({"ipWhiteList": list}) } else { json!({"ipAllowList": list}) }
        }
        16 | 17 => {
            let users = random.pick(&[
                vec![format!("ann:{}", *HASH)],
                vec!["ann:plain".to_owned()],
                vec!["ann".to_owned()],
                vec![],
            ]);
            let mut basic = json!({"users": users});
            if random.chance(40) {
                basic["removeHeader"] = json!(true);
                basic["headerField"] = json!("X-A");
            }
            json!({"basicAuth": basic})
        }
        18 => json!({"digestAuth": {"users": ["ann:traefik:0123"]}}),
        19 => {
            opaque = true;
            json!({"forwardAuth": {"address": "http://@AUTH@/"}})
        }
        20..=22 => json!({"headers": {"customRequestHeaders": random.pick(&[
            json!({"X-Key": "k1"}), json!({"X-Key": ""}), json!({"Host": "set.test"}), json!({"host": "set.test:1", "X-A": "1"}),
        ])}}),
        23 => {
            json!({"headers": {"accessControlAllowOriginList": ["https://a.test"], "customResponseHeaders": {"X-R": "1"}}})
        }
        24 => json!({"headers": random.pick(&[
            json!({"allowedHosts": ["h.test"]}), json!({"allowedHosts": ["h.test"], "hostsProxyHeaders": ["X-Forwarded-Host"]}),
            json!({"sslRedirect": true}), json!({"frameDeny": false}), json!({"stsSeconds": 0}), json!({"accessControlMaxAge": 0}),
        ])}),
        25 | 26 => json!({"redirectScheme": {"scheme": random.pick(&["http", "https", ""]),
            "port": random.pick(&["", "80", "443", "8080"]), "permanent": random.chance(50)}}),
        27 | 28 => {
            json!({"redirectRegex": {"regex": random.pick(&["^http://h.test(:[0-9]+)?/api/(.*)", "^(.*)$", "/v1/", "("]),
            "replacement": random.pick(&["https://new.test/$2", "$1", "/new/"]), "permanent": random.chance(50)}})
        }
        29 => json!({"rateLimit": {"average": random.pick(&[0, 100_000]), "burst": 100_000}}),
        30 => json!({"inFlightReq": {"amount": random.pick(&[0, 1000, 1000])}}),
        31 | 32 => json!({"buffering": {"maxRequestBodyBytes": random.pick(&[10, 0, 11, -1])}}),
        33 => json!({"chain": {"middlewares": [format!("m{}", random.below(8)), format!("m{}", random.below(8))]}}),
        34 => json!({"encodedCharacters": random.pick(&[
            json!({"allowEncodedSlash": true}), json!({"allowEncodedSlash": false}), json!({"allowEncodedPercent": true, "allowEncodedHash": true}),
        ])}),
        35 => json!({"compress": {}}),
        36 => json!({"retry": {"attempts": random.pick(&[0, 2])}}),
        37 => {
            json!({"circuitBreaker": {"expression": random.pick(&["NetworkErrorRatio() > 0.5", "", "Nope(", "LatencyAtQuantileMS(50.0) > 100000"])}})
        }
        38 => {
            let rewrites = if random.chance(50) { json!({"400-404": 418}) } else { json!({"403": 503}) };
            json!({"errors": {"status": ["400-499"], "service": "s0", "query": "/err", "statusRewrites": rewrites}})
        }
        _ => random.pick(&[
            json!({"contentType": {}}),
            json!({"passTLSClientCert": {"pem": true}}),
            json!({"grpcWeb": {"allowOrigins": ["*"]}}),
            json!({}),
            json!({"addPrefix": {"prefix": "/p"}, "stripPrefix": {"prefixes": ["/p"]}}),
            json!({"plugin": {"x": {"y": "z"}}}),
        ]),
    };
    (value, opaque)
}

fn service(random: &mut Random, own: usize) -> Value {
    let upstream = random.pick(&["@UPSTREAM@", "@UPSTREAM2@", "@UPSTREAM3@"]);
    let plain = json!({"loadBalancer": {"servers": [{"url": format!("http://{upstream}{}", random.pick(&["", "/", "/base", "/base/"]))}]}});
    if own == 0 {
        return json!({"loadBalancer": {"servers": [{"url": "http://@UPSTREAM@"}]}});
    }
    match random.below(14) {
        0 => json!({"loadBalancer": {"servers": [{"url": format!("http://{upstream}/base"), "preservePath": true}]}}),
        1 | 2 => json!({"loadBalancer": {"servers": [{"url": format!("http://{upstream}")}], "passHostHeader": false}}),
        3 => json!({"loadBalancer": {"servers": []}}),
        4 => json!({"mirroring": {"service": "s0", "mirrors": []}}),
        5 => json!({"weighted": {"services": [{"name": format!("s{}", own - 1), "weight": 1}]}}),
        6 => json!({"failover": {"service": "s0", "fallback": "s1"}}),
        7 => {
            json!({"loadBalancer": {"servers": [{"url": format!("http://{upstream}")}]}, "middlewares": [format!("m{}", random.below(8))]})
        }
        8 => json!({"loadBalancer": {"servers": [{"url": upstream}]}}),
        9 => random.pick(&[
            json!({"weighted": {"services": []}}),
            json!({"loadBalancer": {"servers": [{"url": "http://a:b"}]}}),
            json!({"loadBalancer": {"serversTransport": "nope", "servers": [{"url": "http://a"}]}}),
            json!({"weighted": {"services": [{"name": "nope"}]}}),
        ]),
        _ => plain,
    }
}

fn router(random: &mut Random, own: usize) -> Value {
    let old = random.chance(5);
    let text = if old { old_rule(random) } else { rule(random, 2) };
    let mut router = json!({"rule": text});
    if old && random.chance(90) {
        router["ruleSyntax"] = json!("v2");
    }
    if random.chance(60) {
        router["priority"] = json!(random.pick(&[1, 5, 10, 20, 50, 100, 1000, -1, -7]) + i64::try_from(own).unwrap());
    }
    let mut names: Vec<String> = Vec::new();
    while random.chance(45) && names.len() < 3 {
        names.push(match random.below(30) {
            0 => "nope".to_owned(),
            1 => format!("m{}@file", random.below(8)),
            _ => format!("m{}", random.below(8)),
        });
    }
    if !names.is_empty() {
        router["middlewares"] = json!(names);
    }
    if own > 1 && random.chance(25) {
        router["parentRefs"] = json!([format!("r{}", random.below(own))]);
        if random.chance(85) {
            router["service"] = json!(format!("s{}", random.below(5)));
        }
        return router;
    }
    if random.chance(70) {
        router["entryPoints"] = random.pick(&[
            json!(["web"]),
            json!(["web"]),
            json!(["web"]),
            json!(["web2"]),
            json!(["web", "web2"]),
            json!(["nope", "web"]),
            json!(["nope"]),
        ]);
    }
    if random.chance(4) {
        router["tls"] = json!({});
    }
    if own > 1 || random.chance(60) {
        let names = ["s0", "s1", "s2", "s3", "s4", "s0", "s0", "noop@internal", "nope"];
        let most = if random.chance(10) { names.len() } else { names.len() - 2 };
        router["service"] = json!(random.pick(&names[..most]));
    }
    router
}

fn entry(random: &mut Random, listen: &str) -> Value {
    let mut entry = json!({"address": listen});
    let mut http = json!({});
    if random.chance(10) {
        http["middlewares"] = json!([format!("m{}@file", random.below(8))]);
    }
    if random.chance(12) {
        http["encodedCharacters"] = random.pick(&[
            json!({"allowEncodedSlash": false}),
            json!({"allowEncodedPercent": false, "allowEncodedNullCharacter": false}),
        ]);
    }
    if random.chance(10) {
        http["sanitizePath"] = json!(false);
    }
    if random.chance(8) {
        http["encodeQuerySemicolons"] = json!(true);
    }
    if random.chance(15) {
        http["aliasHeadersStrategy"] = json!(random.pick(&["keep", "delete", "reject"]));
    }
    if random.chance(6) {
        http["redirections"] = json!({"entryPoint": {"to": random.pick(&["web", ":443"]), "scheme": random.pick(&["http", "https"]),
            "priority": random.pick(&[1, 100])}});
    }
    if http != json!({}) {
        entry["http"] = http;
    }
    match random.below(10) {
        0 => entry["forwardedHeaders"] = json!({"insecure": true}),
        1 => entry["forwardedHeaders"] = json!({"trustedIPs": ["127.0.0.1"]}),
        _ => {}
    }
    if random.chance(8) {
        entry["asDefault"] = json!(true);
    }
    entry
}

/// Whether every percent sign has its two digits.
fn well_formed(target: &str) -> bool {
    let digits = |part: &str| part.len() > 1 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    target.split('%').skip(1).all(digits)
}

fn request(random: &mut Random, literal: &[String]) -> Value {
    let method = random.pick(&["GET", "GET", "GET", "GET", "POST", "POST", "OPTIONS", "HEAD", "PUT", "get"]);
    let mut target =
        if !literal.is_empty() && random.chance(30) { random.pick(literal) } else { random.pick(&TARGETS).to_owned() };
    if random.chance(10) && target != "*" {
        let at = random.below(target.len());
        if target.is_char_boundary(at) && at > 0 {
            target.insert_str(at, random.pick(&["/", ".", "%2F", "x", "%20", "..", "%e9"]));
        }
    }
    // A malformed path ends a stream of HTTP/2 before anything of Traefik's.
    let two = random.chance(18) && well_formed(&target);
    if target != "*" {
        target.push_str(random.pick(&QUERIES));
        if !two && random.chance(4) {
            target = format!("http://abs.test{target}");
        }
    }
    let mut headers = vec![json!(["Host", random.pick(&HOSTS)])];
    while random.chance(40) {
        let (name, value) = random.pick(&HEADERS);
        // HTTP/2 has no such header, and HTTP/1 loses blanks at the end.
        if two && name == "Connection" || !two && value.ends_with(' ') {
            continue;
        }
        headers.push(json!([name, value]));
    }
    if random.chance(20) {
        headers.push(json!([
            "Authorization",
            format!("{} {}", random.pick(&["Basic", "basic", "Basic "]), random.pick(&LOGINS))
        ]));
    }
    if random.chance(12) {
        headers.extend([json!(["Origin", "https://a.test"]), json!(["Access-Control-Request-Method", "GET"])]);
    }
    let mut line = json!({"method": method, "target": target, "headers": headers,
        "client_ip": random.pick(&["127.0.0.1", "127.0.0.1", "127.0.0.2"]), "port": random.pick(&[1, 1, 1, 2])});
    if two {
        line["http"] = json!("2");
    }
    if ["POST", "PUT"].contains(&method) && random.chance(60) {
        line["body_bytes"] = json!(random.pick(&[1, 10, 11, 12, 500]));
        if !two && random.chance(40) {
            line["chunked"] = json!(true);
        }
    }
    line
}

/// The paths that rules name, as targets.
fn literals(routers: &[Value]) -> Vec<String> {
    let escaped = |path: &str| path.replace(' ', "%20").replace('é', "%C3%A9");
    let texts = routers.iter().filter_map(|router| router["rule"].as_str());
    texts
        .flat_map(|rule| rule.split('`').filter(|part| part.starts_with('/')).map(escaped).collect::<Vec<_>>())
        .collect()
}

/// A group of settings as parts of a file: each element may be left out by itself.
fn group(toml: bool, kind: &str, elements: &[(String, Value)]) -> Part {
    let line = |(name, value): &(String, Value)| match toml {
        true => Part::line(toml::to_string(&json!({"http": {kind: {name: value}}})).unwrap()),
        false => Part::line(format!("{name}: {value}")),
    };
    let mut lines: Vec<Part> = elements.iter().map(line).collect();
    if kind == "routers" {
        lines.push(Part::line(if toml { READY } else { "@READY@" }).fixed());
    }
    if toml { Part::block("", lines, "").fixed() } else { Part::block(format!("{kind}:"), lines, "").fixed() }
}

impl Generator for Traefik {
    fn case(&self, random: &mut Random) -> Case {
        let routers: Vec<Value> = (0..2 + random.below(8)).map(|own| router(random, own)).collect();
        let middlewares: Vec<(Value, bool)> = (0..8).map(|_| middleware(random)).collect();
        let services: Vec<Value> = (0..5).map(|own| service(random, own)).collect();
        let named = |letter: &str, values: &[Value]| -> Vec<(String, Value)> {
            values.iter().enumerate().map(|(own, value)| (format!("{letter}{own}"), value.clone())).collect()
        };
        let opaque = middlewares.iter().any(|(_, opaque)| *opaque);
        let values: Vec<Value> = middlewares.into_iter().map(|(value, _)| value).collect();
        // An empty group is no TOML that Traefik takes for one.
        let toml = random.chance(25);
        let groups = vec![
            group(toml, "routers", &named("r", &routers)),
            group(toml, "middlewares", &named("m", &values)),
            group(toml, "services", &named("s", &services)),
        ];
        let name = if toml { "dynamic.toml" } else { "dynamic.yml" };
        let groups = if toml { groups } else { vec![Part::block("http:", groups, "").fixed()] };
        let mut statics = json!({
            "global": {"checkNewVersion": false, "sendAnonymousUsage": false},
            "entryPoints": {"web": entry(random, "@LISTEN@"), "web2": entry(random, "@LISTEN2@"), "traefik": {"address": "@ADMIN@"}},
            "api": {"insecure": true},
            "providers": {"file": {"filename": format!("@DIR@/{name}")}},
        });
        if random.chance(4) {
            statics["core"] = json!({"defaultRuleSyntax": "v2"});
        }
        let literal = literals(&routers);
        let requests = (0..REQUESTS).map(|_| request(random, &literal)).collect();
        Case {
            main: "traefik.yml",
            files: vec![
                File::new("traefik.yml", vec![Part::line(statics.to_string()).fixed()]),
                File::new(name, groups),
            ],
            requests,
            opaque,
            ..Case::default()
        }
    }

    fn read(&self, given: &Given) -> Gateway {
        traefik::read_path(&given.main, &given.options()).map(|reading| reading.gateway).unwrap_or_default()
    }
}
