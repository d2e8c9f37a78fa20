//! Caddyfiles to ask Caddy about. In: a seed. Out: the same text each time.
//!
//! Most are right; some have a word too many, one too few or a brace that doesn't match, so that refusals are compared as well.

use crate::random::Random;

/// Addresses of sites.
const ADDRESSES: &[&str] = &[
    ":80",
    ":8080",
    ":443",
    "a.test",
    "b.test",
    "*.test",
    "A.Test",
    "http://a.test",
    "https://c.test",
    "http://c.test:8080",
    "localhost",
    "127.0.0.1:8080",
    "[::1]:80",
    "a.test/path",
    "a.test:8443",
    "b.test:8080",
    "http://",
    "https://",
    "a.b.test",
    ":9000",
    "http://:81",
    "{$ADDRESS:d.test}",
    "0.0.0.0:8080",
    "d.test:443",
    "e.test:80",
];

/// Global options; `%` marks as in [`LINES`].
const OPTIONS: &[&str] = &[
    "debug",
    "admin off",
    "admin :2020 {\norigins a b\n}",
    "auto_https off",
    "auto_https disable_redirects",
    "http_port 8080",
    "https_port 8443",
    "email a@b.c",
    "local_certs",
    "order rate_limit first",
    "order header after respond",
    "order respond before header",
    "order templates last",
    "default_bind 127.0.0.1",
    "grace_period %d",
    "persist_config off",
    "servers {\nprotocols h1 h2\nmax_header_size %s\ntimeouts {\nread_header %d\nidle %d\n}\n}",
    "servers :8080 {\nname x\ntrusted_proxies static private_ranges %a\nclient_ip_headers X-A\nlog_credentials\n}",
    "servers {\nmetrics\nstrict_sni_host insecure_off\n0rtt off\n}",
    "log {\nlevel ERROR\nformat json\n}",
    "log x {\noutput discard\ninclude http\n}",
    "metrics {\nper_host\n}",
    "default_sni a.test",
    "fallback_sni b.test",
    "storage file_system /data",
    "skip_install_trust",
    "frobnicate",
];

/// Directives. `%m` is a matcher or nothing, `%p` a path, `%w` a word, `%n` a number, `%d` a duration, `%s` a size, `%c` a status,
/// `%a` an address, `%u` an upstream, `%h` a header's name, `%b` the lines of a block.
const LINES: &[&str] = &[
    "respond %m %w",
    "respond %m %w %c",
    "respond %m %c",
    "respond %m %w %c {\nclose\n}",
    "error %m %w %c",
    "abort %m",
    "redir %m %p",
    "redir %m %p permanent",
    "redir %m %p %c",
    "header %m %h %w",
    "header %m -%h",
    "header %m +%h %w",
    "header %m ?%h %w",
    "header %m >%h %w",
    "header %m {\n%h %w\n-%h\n?%h %w\ndefer\n}",
    "header %m %h %w %w",
    "request_header %m %h %w",
    "request_header %m -%h",
    "request_header %m %h %w %w",
    "rewrite %m %p",
    "rewrite %p",
    "method %m GET",
    "uri %m strip_prefix %p",
    "uri %m replace %w %w %n",
    "uri %m query {\n-%w\n%w %w\n}",
    "uri %m path_regexp %w %w",
    "try_files %p %p",
    "try_files {path} %p?{query} =%c",
    "root %m %p",
    "root %p",
    "vars %m %w %w",
    "vars %m {\n%w %n\n%w true\n}",
    "map %m {path} {%w} {\n%w %w\n~^%w %n\ndefault -\n}",
    "handle %m {\n%b}",
    "handle %m {\n%b}",
    "handle %m {\n%b}",
    "handle_path %p/* {\n%b}",
    "handle_path %p {\n%b}",
    "route %m {\n%b}",
    "route %m {\n%b}",
    "handle_errors {\n%b}",
    "handle_errors %c 5xx {\n%b}",
    "reverse_proxy %m %u",
    "reverse_proxy %m %u %u",
    "reverse_proxy %m %u {\nheader_up %h %w\nheader_down -%h\nflush_interval -1\n}",
    "reverse_proxy %m %u {\nlb_policy first\nlb_retries %n\nhealth_uri %p\nhealth_interval %d\nmax_fails %n\nunhealthy_status %c 5xx\n}",
    "reverse_proxy %m %u {\ntransport http {\ndial_timeout %d\nread_timeout %d\nkeepalive off\n}\n}",
    "reverse_proxy %m %u {\n@r status %c 4xx\nhandle_response @r {\n%b}\nhandle_response {\ncopy_response\n}\n}",
    "reverse_proxy %m %u {\nrewrite %p\nmethod POST\ntrusted_proxies private_ranges\nrequest_buffers %s\n}",
    "forward_auth %m %u {\nuri %p\ncopy_headers %h %h>%h\n}",
    "basic_auth %m {\n%w %w\n}",
    "basic_auth %m argon2id %w {\n%w %w\n}",
    "basic_auth %m {\n%w\n}",
    "encode %m gzip",
    "encode %m {\ngzip %n\nminimum_length %n\n}",
    "file_server %m",
    "file_server %m browse",
    "file_server %m {\nhide %w\nindex %w\nstatus %c\n}",
    "request_body %m {\nmax_size %s\n}",
    "templates %m",
    "log_skip %m",
    "log_append %m %w {path}",
    "log_name %w",
    "invoke r%n",
    "invoke r1",
    "intercept %m {\n@s status %c\nreplace_status @s %c\n}",
    "rate_limit %m {\nzone %w {\nevents %n\nwindow %d\nkey {client_ip}\n}\n}",
    "push %m %p",
    "metrics %m",
    "tracing {\nspan %w\n}",
    "timeouts %m {\nread_timeout %d\n}",
    "php_fastcgi %m %u",
    "bind 127.0.0.1",
    "bind 127.0.0.1 ::1 {\nprotocols h1 h2\n}",
    "log",
    "log {\noutput file /var/log/x\nlevel INFO\n}",
    "log %w {\noutput discard\n}",
    "tls internal",
    "tls /c.pem /k.pem",
    "tls {\nprotocols tls1.3\n}",
    "import s1",
    "import s2 %w %p",
    "import s3 %w {\nrespond %w\n}",
    "skip_log %m",
    "request_body %m {\nmax_size %w\n}",
    "frobnicate %m %w",
    "log_level %m warn",
    "copy_response",
    "fs %w",
];

/// Matchers.
const MATCHERS: &[&str] = &[
    "path %p",
    "path %p %p*",
    "path_regexp ^%p",
    "path_regexp x ^%p",
    "method get POST",
    "host a.test",
    "header %h %w",
    "header !%h",
    "header %h *",
    "header_regexp %h ^%w",
    "query %w=%w",
    "expression {path} == \"%p\"",
    "expression `{method} == 'GET'`",
    "not path %p",
    "not {\npath %p\nmethod GET\n}",
    "remote_ip %a",
    "client_ip private_ranges",
    "protocol https",
    "vars {%w} %w %w",
    "vars_regexp %w ^%w",
    "file %p",
    "file {\nroot /x\ntry_files {path} %p\n}",
    "`path('%p')`",
    "{\npath %p\nheader %h %w\nheader %h %w\n}",
    "{\nmethod GET\nmethod PUT\nnot host x.test\nexpression true\n}",
    "{\n}",
    "tls",
];

/// A Caddyfile.
pub fn caddyfile(seed: u64) -> String {
    let mut maker = Maker { random: Random::seeded(seed), matchers: 0, depth: 0 };
    let mut text = maker.file();
    if maker.random.chance(25) {
        text = maker.broken(&text);
    }
    text
}

struct Maker {
    random: Random,
    /// How many matchers the present site has: `@m0`, `@m1`, …
    matchers: usize,
    depth: usize,
}

impl Maker {
    fn file(&mut self) -> String {
        let mut out = String::new();
        if self.random.chance(40) {
            out += "{\n";
            for _ in 0..self.random.below(4) {
                let option = self.random.pick(OPTIONS);
                out += &self.fill(option);
                out.push('\n');
            }
            out += "}\n";
        }
        out += "(s1) {\nheader X-S1 y\n}\n(s2) {\nrespond {args[1]} \"{args[0]} {args[:]} {args[7]}\"\n}\n";
        out += "(s3) {\nhandle /{args[0]} {\n{block}\n}\n}\n&(r1) {\nheader X-R1 y\nrespond r1\n}\n";
        for _ in 0..1 + self.random.below(3) {
            let mut keys = vec![self.random.pick(ADDRESSES)];
            while self.random.chance(30) {
                keys.push(self.random.pick(ADDRESSES));
            }
            out += &keys.join(if self.random.chance(80) { ", " } else { " " });
            out += " {\n";
            out += &self.site();
            out += "}\n";
        }
        out
    }

    fn site(&mut self) -> String {
        let mut out = String::new();
        self.matchers = self.random.below(4);
        for at in 0..self.matchers {
            let matcher = self.random.pick(MATCHERS);
            out += &format!("@m{at} {}\n", self.fill(matcher));
        }
        out + &self.lines(8)
    }

    fn lines(&mut self, most: usize) -> String {
        self.depth += 1;
        let mut out = String::new();
        for _ in 0..self.random.below(most) {
            let line = self.random.pick(LINES);
            let nested = line.contains("%b");
            // What may stand only in a site's own block would make nearly every file a refused one.
            let bare = ["bind", "log", "tls", "handle_errors", "import", "frobnicate"];
            let only_there = bare.iter().any(|bare| line.split(' ').next() == Some(bare));
            if (nested && self.depth > 3) || (only_there && self.depth > 1 && !self.random.chance(4)) {
                continue;
            }
            if line.starts_with("frob") && !self.random.chance(10) {
                continue;
            }
            out += &self.fill(line);
            out += self.random.pick(&["\n", "\n", "\n", " # x\n", "\n\n", "\r\n"]);
        }
        self.depth -= 1;
        out
    }

    fn fill(&mut self, template: &str) -> String {
        let mut out = String::new();
        let mut parts = template.split('%');
        out += parts.next().unwrap_or_default();
        for part in parts {
            let (kind, rest) = part.split_at(1);
            out += &self.value(kind);
            out += rest;
        }
        out
    }

    fn value(&mut self, kind: &str) -> String {
        let list: &[&str] = match kind {
            "m" if self.matchers > 0 && self.random.chance(50) => {
                let missing = usize::from(self.random.chance(2));
                return format!("@m{}", self.random.below(self.matchers + missing));
            }
            "m" => &["", "", "", "/a", "/a*", "/a/*", "/abc", "/x/y", "*", "*.php"],
            "p" => &["/", "/a", "/a/b", "/abc", "/x*", "/x", "{path}", "/y?z=1", "\"/q r\""],
            "w" => &[
                "a",
                "b",
                "\"c d\"",
                "`e`",
                "{path}",
                "{$SET}",
                "\"{$UNSET}\"",
                "{env.LATE}",
                "x{$UNSET:y}",
                "\"a\\\"b\"",
                "1",
                "-",
                "{re.x.1}",
            ],
            "n" => &["0", "1", "3", "17"],
            "d" => &["1s", "250ms", "1.5m", "2d", "0", "1h30m"],
            "s" => &["1MB", "16KiB", "4096", "1.5k"],
            "c" => &["200", "404", "503", "301", "401", "{env.CODE}"],
            "a" => &["10.0.0.0/8", "127.0.0.1", "::1"],
            "u" => &[
                "127.0.0.1:9000",
                "localhost:9000",
                "http://h:81",
                "https://h",
                "h:1-3",
                "unix//run/x",
                "{env.UP}",
                "h2c://h:1",
                "h",
            ],
            "h" => &["X-A", "x-b", "Host", "Origin", "content-type"],
            "b" => return self.lines(5),
            _ => &["%"],
        };
        self.random.pick(list).to_owned()
    }

    /// One thing is wrong somewhere.
    fn broken(&mut self, text: &str) -> String {
        let at = (self.random.below(text.len())..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (before, after) = text.split_at(at);
        match self.random.below(6) {
            0 => before.to_owned(),
            1 => format!("{before} {{\n{after}"),
            2 => format!("{before}\n}}\n{after}"),
            3 => format!("{before} extra {after}"),
            4 => format!("{before}\"{after}"),
            _ => format!("{before}\\{after}"),
        }
    }
}
