//! Random configs of nginx. In: choices. Out: cases; [`crate::harness`] shows how one is written.
//!
//! Invariant: only directives whose answer the files determine are used; names are chosen so that nginx takes nearly every config.

#[path = "nginx/connections.rs"]
mod connections;

use llmguard::dialect::nginx;
use llmguard::gateway::Gateway;
use serde_json::{Map, Value, json};

use crate::harness::{Case, File, Generator, Part};
use crate::random::Random;
use crate::real::Given;

/// The generator.
pub fn generator() -> Option<&'static dyn Generator> {
    Some(&Nginx)
}

/// Configs of nginx.
struct Nginx;

/// Requests for each config: starting a server costs more than asking it.
const REQUESTS: usize = 30;

const PREFIXES: &[&str] =
    &["/", "/a", "/a/", "/a/b", "/a/b/", "/api", "/api/", "/api/v1", "/api/v1/", "/adm/", "/c.php", "/p q", "/a/b/c"];
const PATTERNS: &[&str] = &[
    "^/a",
    "\\.php$",
    "^/(\\w+)/(.*)$",
    "/b$",
    "^/api/(?<seg>[^/]+)",
    "^/a/(.+)\\z",
    "^/(?i:API)/",
    "[^/]+/$",
    "^/adm/?$",
    "(b|c)",
    "^/api/v[12](/|$)",
    "^/(a|p q)$",
    "^/.$",
    "x+y*",
    "^/(?!a)",
];
const CODES: &[&str] = &[
    "200", "204", "401", "403", "404", "418", "500", "503", "301 /to", "302 /a/", "444", "307 $uri", "400", "494",
    "496",
];
const HOSTS: &[&str] = &[
    "a.test",
    "b.test",
    "www.a.test",
    "x.b.test",
    "deep.x.b.test",
    "c.example",
    "other",
    "A.Test",
    "a.test.",
    "a.test:99",
    "b.test.x",
];
const NAMES: &[&str] = &[
    "a.test",
    "b.test",
    "*.a.test",
    ".b.test",
    "*.x.b.test",
    "c.*",
    "~^(?<sub>\\w+)\\.b\\.test$",
    "~^deep",
    "www.a.test",
    "_",
    "\"\"",
    "b.*",
    "other",
];
const VALUES: &[&str] = &["", "0", "1", "a", "b", "bb", "A", "x/y", "off", "zone"];

/// What a block may hold besides, depending on where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Http,
    Server,
    Location,
}

/// The choices of one config.
struct Maker<'r> {
    random: &'r mut Random,
    named: Vec<&'static str>,
    tests: Vec<String>,
    /// Whether this server asks itself about requests: then nothing sends those elsewhere.
    asks: bool,
    /// Whether servers speak TLS too.
    tls: bool,
}

impl Generator for Nginx {
    fn case(&self, random: &mut Random) -> Case {
        let mut maker = Maker { random, named: Vec::new(), tests: Vec::new(), asks: false, tls: false };
        maker.tls = maker.random.chance(35);
        let mut parts = maker.http();
        let servers = 1 + maker.random.below(3);
        for index in 0..servers {
            parts.push(maker.server(index));
        }
        let requests = (0..REQUESTS).map(|_| maker.request()).collect();
        let users = "alice:{PLAIN}secret\nbob:{PLAIN}pw:more\n#carol:{PLAIN}x\nalice:{PLAIN}second\n\ndave:plain\n\
                     eve:$apr1$saltsalt$gTCTa4ve4jRrfV4IBeTFK1\nfay:{SSHA}thyUs/bS/Su1kVP5DIXNSsLQ841zYWx0\ngil:abl0Ai80nKXlE\n";
        Case {
            main: "nginx.conf",
            files: vec![
                File::new("nginx.conf", parts),
                File::new("users", vec![Part::line(users).fixed()]),
                File::new("empty/.keep/x", vec![Part::line("x").fixed()]),
            ],
            requests,
            ..Case::default()
        }
    }

    fn read(&self, given: &Given) -> Gateway {
        let reading = nginx::read_gateway(&given.main, "nginx.conf", &given.options());
        if let Some(error) = reading.problems.list.iter().find(|one| one.severity == llmguard::diag::Severity::Error) {
            panic!("the reader refuses a config that nginx takes: {}", error.render(false));
        }
        reading.gateway
    }
}

impl Maker<'_> {
    fn pick(&mut self, list: &[&str]) -> String {
        self.random.pick(list).to_owned()
    }

    /// What stands in `http`.
    fn http(&mut self) -> Vec<Part> {
        let mut parts = vec![
            Part::line("map_hash_bucket_size 128; server_names_hash_bucket_size 128; variables_hash_bucket_size 128;")
                .fixed(),
            // Names that are used before a location defines them.
            Part::line("map $arg_zz $zz { default 0; \"~^(?<seg>x)(?<sub>y)(?<s>z)(?<t>a)\" 1; }").fixed(),
            Part::block("upstream u1 {", vec![Part::line("server @UPSTREAM@;").fixed()], "}").fixed(),
            Part::block(
                "upstream u2 {",
                vec![Part::line("server @CLOSED@ down;"), Part::line("server @UPSTREAM2@;").fixed()],
                "}",
            )
            .fixed(),
        ];
        parts.push(
            Part::block(
                "map $arg_m $m1 {",
                vec![
                    Part::line(self.random.pick(&["default d;", "default \"\";", "default $arg_n;"])),
                    Part::line("a 1;"),
                    Part::line(self.random.pick(&["~^b(?<rest>.*)$ $rest;", "~^(b)(.*)$ $2;", "~*B 0;"])),
                    Part::line("\"\" e;"),
                ],
                "}",
            )
            .fixed(),
        );
        parts.push(
            Part::block(
                "map $http_x_key $m2 {",
                vec![
                    Part::line("default \"\";"),
                    Part::line("k1 alice;"),
                    Part::line("\"~^K(\\d+)\\z\" $1;"),
                    Part::line("~*^zz z;"),
                ],
                "}",
            )
            .fixed(),
        );
        parts.push(
            Part::block(
                "map $host $mh {",
                vec![
                    Part::line("hostnames;"),
                    Part::line("default 0;"),
                    Part::line("*.a.test 1;"),
                    Part::line(".b.test 2;"),
                    Part::line("c.* 3;"),
                ],
                "}",
            )
            .fixed(),
        );
        parts.push(
            Part::block(
                "geo $g {",
                vec![
                    Part::line("default 0;"),
                    Part::line("127.0.0.0/8 1;"),
                    Part::line("10.0.0.0/8 2;"),
                    Part::line(self.random.pick(&["127.0.0.1 3;", "0.0.0.0/0 4;"])),
                    Part::line(self.random.pick(&["", "", "proxy 127.0.0.1;", "proxy 127.0.0.0/8; proxy_recursive;"])),
                ],
                "}",
            )
            .fixed(),
        );
        let shares = self.random.pick(&["10% a; 20.5% 1; * b;", "50% 0; 50% 1;", "33.33% z; .5% \"\"; 1% k1;"]);
        parts.push(Part::line(format!("split_clients \"$arg_m$uri\" $sc {{ {shares} }}")).fixed());
        parts.push(Part::line("limit_req_zone $binary_remote_addr zone=z:1m rate=10000r/s;").fixed());
        parts.push(Part::line("limit_conn_zone $server_name zone=c:1m;").fixed());
        if self.random.chance(15) {
            parts.push(Part::line("merge_slashes off;"));
        }
        if self.random.chance(20) {
            parts.push(Part::line("underscores_in_headers on;"));
        }
        let common = self.common(Level::Http);
        parts.extend(common);
        parts
    }

    fn server(&mut self, index: usize) -> Part {
        let mut parts = Vec::new();
        let second = index > 0 && self.random.chance(25);
        let listen = if second { "listen @LISTEN2@" } else { "listen @LISTEN@" };
        let default = if index == 1 && !second && self.random.chance(40) { " default_server" } else { "" };
        parts.push(Part::line(format!("{listen}{default};")).fixed());
        if self.tls {
            parts.extend(connections::listen(self.random));
        }
        if self.random.chance(30) {
            parts.extend(connections::reading(self.random));
        }
        for _ in 0..self.random.below(3) {
            parts.push(Part::line(format!("server_name {};", self.random.pick(NAMES))));
        }
        self.named = self.random.some(&["@n1", "@n2"], 70);
        self.asks = self.random.chance(30);
        let mut body = self.common(Level::Server);
        if !self.asks && self.random.chance(60) {
            let program = self.program(Level::Server, 2);
            body.extend(program);
        }
        let mut locations = self.locations("", 0);
        for name in self.named.clone() {
            let inner = self.body(Level::Location, false, 0, "");
            locations.push(Part::block(format!("location {name} {{"), inner, "}"));
        }
        // Where a subrequest goes.
        let inner = vec![
            Part::line("error_page 599 /never;").fixed(),
            Part::line(if self.random.chance(60) { "internal;" } else { "set $e 1;" }),
            Part::line(format!("return {};", self.random.pick(&["200", "204", "401", "403", "403", "500", "302 /x"]))),
        ];
        locations.push(Part::block("location = /auth {", inner, "}").fixed());
        let inner = vec![
            Part::line("error_page 599 /never;").fixed(),
            Part::line("if ($m2) { return 204; }"),
            Part::line(format!("return {};", self.random.pick(&["401", "403"]))),
        ];
        locations.push(Part::block("location = /auth2 {", inner, "}").fixed());
        body.extend(locations);
        self.random.shuffle(&mut body);
        parts.extend(body);
        Part::block("server {", parts, "}")
    }

    /// Directives that are inherited.
    fn common(&mut self, level: Level) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut add = |text: String| parts.push(Part::line(text));
        let asks = self.asks && level != Level::Http;
        let random = &mut *self.random;
        if random.chance(15) {
            add(format!("root {};", random.pick(&["none", "empty/none", "/nonexistent-llmguard"])));
        }
        if random.chance(20) {
            add(format!("client_max_body_size {};", random.pick(&["10", "0", "100", "1k"])));
        }
        if random.chance(14) {
            add(format!("auth_basic {};", random.pick(&["realm", "off", "realm", "\"$arg_r\"", "$m1"])));
            if level == Level::Location && random.chance(80) || level == Level::Http {
                add("auth_basic_user_file users;".to_owned());
            }
        }
        if random.chance(10) {
            add(format!("auth_basic_user_file {};", random.pick(&["users", "users", "missing"])));
            parts.dedup_by(|one, other| {
                format!("{one:?}").contains("user_file") && format!("{other:?}").contains("user_file")
            });
        }
        let mut add = |text: String| parts.push(Part::line(text));
        if random.chance(22) {
            for _ in 0..1 + random.below(2) {
                add(format!(
                    "{};",
                    random.pick(&[
                        "deny all",
                        "allow 127.0.0.1",
                        "deny 127.0.0.1",
                        "allow 10.0.0.0/8",
                        "allow all",
                        "deny 127.0.0.0/9",
                        "allow ::1"
                    ])
                ));
            }
        }
        if level != Level::Http && random.chance(15) {
            add(format!(
                "valid_referers {};",
                random.pick(&[
                    "none a.test",
                    "blocked *.b.test c.*",
                    "none blocked server_names other",
                    "a.test/app/ .x.b.test/app ~^re[0-9]",
                ])
            ));
        }
        if random.chance(12) {
            add(format!("satisfy {};", random.pick(&["any", "any", "all"])));
        }
        if asks && random.chance(25) {
            add(format!("auth_request {};", random.pick(&["/auth", "/auth", "/auth2", "off", "/auth"])));
        }
        if random.chance(8) {
            add("limit_req zone=z burst=5 nodelay;".to_owned());
        }
        if random.chance(5) {
            add("limit_conn c 100;".to_owned());
        }
        if random.chance(14) {
            add(format!(
                "proxy_set_header Host {};",
                random.pick(&["$host", "$http_host", "fixed.test", "\"\"", "$proxy_host", "x-$server_name", "$m1.t"])
            ));
        } else if random.chance(10) {
            add("proxy_set_header X-Other $http_x_key;".to_owned());
        }
        if random.chance(5) {
            add("proxy_method POST;".to_owned());
        }
        if random.chance(4) {
            add("proxy_pass_request_headers off;".to_owned());
        }
        if random.chance(8) {
            add("set_real_ip_from 127.0.0.0/8;".to_owned());
            add("real_ip_header X-Real-IP;".to_owned());
        }
        if random.chance(25) && (level != Level::Http || random.chance(40)) {
            for _ in 0..1 + random.below(2) {
                let codes = random.some(
                    &["400", "401", "403", "404", "405", "413", "418", "500", "503", "301", "502", "494", "497"],
                    30,
                );
                let codes = if codes.is_empty() { vec!["404"] } else { codes };
                let over = random.pick(&["", "", "=", "=200", "=418 ", "=302 "]);
                let to = random.pick(&[
                    "/a/b",
                    "/api/err?x=1",
                    "@n1",
                    "@n2",
                    "https://e.test/",
                    "/err$is_args$args",
                    "/a",
                    "@missing",
                    "/n/$m1",
                ]);
                add(format!("error_page {} {over} {to};", codes.join(" ")));
            }
            if random.chance(35) {
                add("recursive_error_pages on;".to_owned());
            }
        }
        parts
    }

    /// Directives of the rewrite module.
    fn program(&mut self, level: Level, most: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        for _ in 0..1 + self.random.below(most) {
            let part = match self.random.below(10) {
                0 | 1 => self.if_(level),
                2 => {
                    let value =
                        self.random.pick(&["1", "$uri", "$arg_m", "$1", "$2-$arg_n", "$seg", "$m1$m2", "$args", "x"]);
                    Part::line(format!(
                        "set {} {value};",
                        self.random.pick(&[
                            "$s",
                            "$t",
                            "$s",
                            "$args",
                            "$http_x_key",
                            "$arg_m",
                            "$proxy_host",
                            "$cookie_sid"
                        ])
                    ))
                }
                3..=6 => Part::line(self.rewrite()),
                7 if self.random.chance(30) => Part::line("break;"),
                8 if self.random.chance(50) => Part::line(format!("return {};", self.random.pick(CODES))),
                _ => self.if_(level),
            };
            parts.push(part);
        }
        parts
    }

    fn rewrite(&mut self) -> String {
        let pattern = self.random.pick(&[
            "^/a/(.*)$",
            "^/api(.*)$",
            "^(.*)/b$",
            "^/(\\w)(.*)$",
            "php",
            "^/adm",
            "^/(?<seg>[^/]*)/x",
            "^/a/b$",
            "(.+)/$",
            "^",
        ]);
        let to = self.random.pick(&[
            "/b/$1",
            "/a/$1",
            "/api/x",
            "/c?y=$1",
            "/c?y=$1&z=$arg_m",
            "/a?",
            "/d/$1?",
            "$1",
            "/e$2/$1",
            "/$s/x",
            "http://r.test/$1",
            "/n/$seg",
            "/a/b?q=$uri",
            "//dd/$1",
        ]);
        let flag = self.random.pick(&["", "last", "break", "last", "break", "redirect", "permanent", ""]);
        // What loops for ever is tried elsewhere, and now and then.
        let pattern = if pattern == "^" && !self.random.chance(20) { "^/zz" } else { pattern };
        format!("rewrite {pattern} {to} {flag};")
    }

    fn condition(&mut self) -> String {
        let variable = self.random.pick(&[
            "$arg_m",
            "$arg_n",
            "$m1",
            "$m2",
            "$mh",
            "$g",
            "$uri",
            "$request_uri",
            "$request_method",
            "$http_x_key",
            "$host",
            "$args",
            "$is_args",
            "$cookie_sid",
            "$s",
            "$t",
            "$remote_addr",
            "$scheme",
            "$server_name",
            "$http_x_forwarded_for",
            "$remote_user",
            "$seg",
            "$status",
            "$http_host",
            "$content_length",
            "$query_string",
            "$sub",
            "$https",
            "$server_protocol",
            "$proxy_add_x_forwarded_for",
            "$request",
            "$content_type",
            "$sc",
            "$invalid_referer",
            "$invalid_referer",
        ]);
        match self.random.below(6) {
            0 => variable.to_owned(),
            1 | 2 => {
                let value = self.random.pick(&[
                    "a",
                    "1",
                    "GET",
                    "POST",
                    "\"\"",
                    "127.0.0.1",
                    "a.test",
                    "/a",
                    "alice",
                    "bb",
                    "$arg_n",
                    "z",
                    "k1",
                ]);
                format!("{variable} {} {value}", self.random.pick(&["=", "=", "!="]))
            }
            3 | 4 => {
                let pattern = self.random.pick(&[
                    "^/a",
                    "^(GET|HEAD)$",
                    "b",
                    "^$",
                    "(\\w+)",
                    "a(.*)$",
                    "^/api/(?<seg>\\w+)",
                    "test$",
                    "[0-9]",
                    ".",
                ]);
                format!("{variable} {} {pattern}", self.random.pick(&["~", "~*", "!~", "!~*"]))
            }
            _ => self.pick(&[
                "-f $request_filename",
                "!-f $request_filename",
                "!-e $document_root$uri",
                "-d $request_filename",
                "!-x $request_filename",
            ]),
        }
    }

    fn if_(&mut self, level: Level) -> Part {
        let mut inner = Vec::new();
        let condition = self.condition();
        for _ in 0..1 + self.random.below(2) {
            match self.random.below(8) {
                0 | 1 => inner.push(Part::line(format!("return {};", self.random.pick(CODES)))),
                2 => inner.push(Part::line(format!(
                    "set {} {};",
                    self.random.pick(&["$s", "$t"]),
                    self.random.pick(&["1", "0", "$1", "$arg_m"])
                ))),
                3 | 4 => {
                    let rewrite = self.rewrite();
                    inner.push(Part::line(rewrite));
                }
                5 => inner.push(Part::line("break;")),
                6 if level == Level::Location && inner.is_empty() => inner.push(Part::line(format!(
                    "proxy_pass {};",
                    self.random.pick(&["http://u2", "http://@UPSTREAM3@", "http://u1"])
                ))),
                _ if level == Level::Location => inner.push(Part::line(format!(
                    "error_page {} {};",
                    self.random.pick(&["403", "404 =200", "418"]),
                    self.random.pick(&["/a", "@n1"])
                ))),
                _ => inner.push(Part::line("set $s 2;")),
            }
        }
        Part::block(format!("if ({condition}) {{"), inner, "}")
    }

    /// Some locations inside of one.
    fn locations(&mut self, around: &str, depth: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut taken: Vec<String> = Vec::new();
        let count = if depth == 0 { 2 + self.random.below(6) } else { self.random.below(4) };
        for _ in 0..count {
            let kind = self.random.below(10);
            if kind < 3 {
                let pattern = self.random.pick(PATTERNS);
                self.tests.push(
                    self.random.pick(&["/a/x.php", "/q/b", "/api/seg", "/API/x", "/adm", "/bc", "/a/b/"]).to_owned(),
                );
                let sign = self.random.pick(&["~", "~", "~*"]);
                let inner = self.body(Level::Location, false, depth + 1, "~");
                parts.push(Part::block(format!("location {sign} \"{pattern}\" {{"), inner, "}"));
                continue;
            }
            let name = match around {
                "" => self.pick(PREFIXES),
                around => format!("{around}{}", self.random.pick(&["", "b", "b/", "x", "v1/", "/y", ".php"])),
            };
            let sign = match kind {
                3 | 4 => "=",
                5 => "^~",
                _ => "",
            };
            let class = format!("{}{name}", if sign == "=" { "=" } else { "" });
            if taken.contains(&class) {
                continue;
            }
            taken.push(class);
            self.tests.push(name.clone());
            let nest = if sign == "=" { 9 } else { depth + 1 };
            let inner = self.body(Level::Location, true, nest, &name);
            parts.push(Part::block(format!("location {sign} \"{name}\" {{"), inner, "}"));
        }
        parts
    }

    /// What a location holds.
    fn body(&mut self, level: Level, plain: bool, depth: usize, name: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.random.chance(60) {
            parts.extend(self.common(level));
        }
        if self.random.chance(30) {
            parts.extend(self.program(level, 3));
        }
        if self.random.chance(6) {
            parts.push(Part::line("internal;"));
        }
        if self.random.chance(7) {
            let methods = self.random.pick(&["GET", "POST", "GET POST", "PUT DELETE"]);
            let rule = self.random.pick(&[
                "deny all;",
                "allow 127.0.0.1; deny all;",
                "deny 127.0.0.1;",
                "allow all;",
                "auth_basic x; auth_basic_user_file users;",
                "proxy_pass http://u2;",
            ]);
            parts.push(Part::block(format!("limit_except {methods} {{"), vec![Part::line(rule)], "}"));
        }
        if self.random.chance(10) {
            let last = self.random.pick(&[
                "=404",
                "=403",
                "@n1",
                "/api/tf",
                "/a/b?k=1",
                "/c$is_args$args",
                "=418",
                "@missing",
                "/a$uri",
            ]);
            parts.push(Part::line(format!(
                "try_files {} {last};",
                self.random.pick(&["$uri", "/none", "$uri $uri/", "/a$uri"])
            )));
        }
        match self.random.below(12) {
            0..=3 => {
                let to = self.random.pick(&["@UPSTREAM@", "@UPSTREAM2@", "u1", "u2"]);
                parts.push(Part::line(format!("proxy_pass http://{to};")));
            }
            4..=6 => {
                let to = self.random.pick(&["@UPSTREAM@", "@UPSTREAM3@", "u1", "u2"]);
                let uri = if plain { self.random.pick(&["/", "/x/", "/api", "/y?z=1", "/a%20b/", "?q"]) } else { "" };
                parts.push(Part::line(format!("proxy_pass http://{to}{uri};")));
            }
            7 => {
                let url = self.random.pick(&[
                    "http://u1$request_uri",
                    "http://u2/fix$is_args$args",
                    "http://$up",
                    "http://$up/q/",
                    "http://u1/$arg_m",
                    "http://u1?k=$arg_m",
                    "$sch://u1/z",
                ]);
                parts.push(Part::line(format!("set $up @UPSTREAM2@; set $sch http; proxy_pass {url};")));
            }
            8 | 9 => parts.push(Part::line(format!("return {};", self.random.pick(CODES)))),
            10 => parts.push(Part::line("empty_gif;")),
            _ => {}
        }
        self.random.shuffle(&mut parts);
        if depth < 3 && !name.is_empty() && self.random.chance(35) {
            let around = if name == "~" { return parts } else { name };
            parts.extend(self.locations(around, depth));
        }
        parts
    }

    fn request(&mut self) -> Value {
        let mut request = Map::new();
        let method = self.random.pick(&[
            "GET", "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "FOO", "PATCH", "get",
            "TRACE",
        ]);
        request.insert("method".to_owned(), json!(method));
        let target = self.target();
        request.insert("target".to_owned(), json!(target));
        let mut headers: Vec<[String; 2]> = Vec::new();
        if self.random.chance(60) {
            headers.push(["Host".to_owned(), self.random.pick(HOSTS).to_owned()]);
        }
        if self.random.chance(15) {
            let value = self.random.pick(&["k1", "K1", "K77", "k2", "ZZ", ""]);
            headers.push([self.random.pick(&["X-Key", "x-key", "X_Key"]).to_owned(), value.to_owned()]);
            if self.random.chance(20) {
                headers.push(["X-Key".to_owned(), "k1".to_owned()]);
            }
        }
        if self.random.chance(35) {
            // alice:secret, bob:pw, alice:second, carol:x, dave:plain, no colon, no user, a wrong password
            let value = self.random.pick(&[
                "Basic YWxpY2U6c2VjcmV0",
                "Basic Ym9iOnB3",
                "basic  Ym9iOnB3",
                "Basic YWxpY2U6c2Vjb25k",
                "Basic Y2Fyb2w6eA==",
                "Basic ZGF2ZTpwbGFpbg==",
                "Basic YWxpY2U=",
                "Basic OnB3",
                "Basic YWxpY2U6eA",
                "Bearer x",
                "Basic ",
                "Basic Ym9iOnB3=x",
                "Basic Ym9 iOnB3",
                "Basic ZXZlOm9yYW5nZQ==",
                "Basic ZmF5Om9yYW5nZQ==",
                "Basic Z2lsOm9yYW5nZQ==",
                "Basic Z2lsOm9yYW5n",
            ]);
            headers.push(["Authorization".to_owned(), value.to_owned()]);
            if self.random.chance(5) {
                headers.push(["Authorization".to_owned(), value.to_owned()]);
            }
        }
        if self.random.chance(12) {
            headers.push([
                "Cookie".to_owned(),
                self.random.pick(&["sid=1", "x=2; SID=a", "sid=0", "asid=3", "sid = b"]).to_owned(),
            ]);
        }
        if self.random.chance(12) {
            let name = self.random.pick(&["X-Forwarded-For", "X-Real-IP"]);
            headers.push([
                name.to_owned(),
                self.random.pick(&["10.1.2.3", "127.0.0.1", "192.0.2.1", "x", "1.1.1.1, 10.0.0.1"]).to_owned(),
            ]);
        }
        if self.random.chance(25) {
            let referers =
                ["http://a.test/x", "https://x.b.test:1/app/", "http://other/", "", "no scheme", "http://re1.x/"];
            headers.push(["Referer".to_owned(), self.random.pick(&referers).to_owned()]);
        }
        if self.random.chance(5) {
            headers.push(["Content-Type".to_owned(), "a/b".to_owned()]);
        }
        if self.random.chance(8) {
            connections::odd_headers(self.random, &mut headers);
        }
        request.insert("headers".to_owned(), json!(headers));
        if matches!(method, "POST" | "PUT" | "PATCH") && self.random.chance(60) {
            request.insert("body".to_owned(), json!("x".repeat(self.random.pick(&[0, 5, 10, 11, 50, 101, 1100]))));
            if self.random.chance(20) {
                request.insert("chunked".to_owned(), json!(true));
            }
        }
        if self.random.chance(7) {
            request.insert("http".to_owned(), json!("1.0"));
        }
        if self.tls && self.random.chance(60) {
            connections::over_tls(self.random, &mut request, HOSTS);
        }
        Value::Object(request)
    }

    fn target(&mut self) -> String {
        let base = match self.tests.is_empty() || self.random.chance(25) {
            true => self.pick(PREFIXES),
            false => self.random.pick(&self.tests),
        };
        let base = base.replace(' ', "%20");
        let path = match self.random.below(16) {
            0..=4 => base,
            5 => format!("{base}x"),
            6 => format!("{base}/x"),
            7 => format!("{base}/"),
            8 => base.trim_end_matches('/').to_owned(),
            9 => base.replacen("/a", "/%61", 1),
            10 => format!("/{base}"),
            11 => format!("{base}/../a/b"),
            12 => format!(
                "{base}{}",
                self.random.pick(&[
                    "%0a", "%20y", "%2fb", ".php", "%3fq", "/b", "b/c", "%25zz", "/./b", "+z", "%2e%2e/", "#f", "%e9",
                    "\u{e9}", "{\"}", "%zz", "%00"
                ])
            ),
            13 => base.to_uppercase(),
            14 => format!("http://{}{base}", self.random.pick(&["a.test", "B.test:80", "x.b.test"])),
            _ => self.pick(&[
                "/", "/auth", "/auth2", "/err", "/../x", "/n/1", "*", "a", "/b/x", "/c", "/..", "/.", "/a/..",
                "/a/../..", "//", "/a//b",
            ]),
        };
        let path = if path.is_empty() { "/".to_owned() } else { path };
        match self.random.below(10) {
            0..=2 => {
                let pairs = [
                    ("m", self.random.pick(VALUES)),
                    ("n", self.random.pick(VALUES)),
                    ("r", self.random.pick(&["off", "x", ""])),
                ];
                let mut query = String::new();
                for (name, value) in pairs {
                    if self.random.chance(60) {
                        query.push_str(&format!("{}{name}={value}", if query.is_empty() { "?" } else { "&" }));
                    }
                }
                format!("{path}{query}")
            }
            3 => format!("{path}{}", self.random.pick(&["?", "?q", "?M=b", "?x=%20?y", "?m=bb&m=a"])),
            _ => path,
        }
    }
}
