//! Texts to ask nginx about. In: a seed. Out: the same text each time.
//!
//! What is made listens nowhere but on a socket file, names no host and reads no file, so that nginx judges the form alone.

use crate::random::Random;
use llmguard::dialect::nginx::context::Context;
use llmguard::dialect::nginx::table::{TABLE, Version};

/// What surrounds each block, and what closes it.
const BLOCKS: &[(Context, &str, &str)] = &[
    (Context::Main, "events {}", ""),
    (Context::Events, "events {", "}"),
    (Context::Http, "events {} http {", "}"),
    (Context::Server, "events {} http { server {", "}}"),
    (Context::ServerIf, "events {} http { server { if ($uri) {", "}}}"),
    (Context::Location, "events {} http { server { location / {", "}}}"),
    (Context::LocationIf, "events {} http { server { location / { if ($uri) {", "}}}}"),
    (Context::LimitExcept, "events {} http { server { location / { limit_except GET {", "}}}}"),
    (Context::Upstream, "events {} http { upstream u {", "}}"),
    (Context::Stream, "events {} stream {", "}"),
    (Context::StreamServer, "events {} stream { server {", "}}"),
    (Context::StreamUpstream, "events {} stream { upstream u {", "}}"),
];

/// Every directive of a version, bare, in every block.
pub fn places(version: Version) -> Vec<(&'static str, Context, Vec<u8>)> {
    let mut names: Vec<&str> =
        TABLE.rules().iter().filter(|rule| rule.is_in(Some(version))).map(|rule| rule.name).collect();
    names.sort_unstable();
    names.dedup();
    // Debian's stream module isn't built in.
    let blocks = BLOCKS.iter().filter(|(_, open, _)| version > (1, 23, 0) || !open.contains("stream"));
    let text = |name: &str, open: &str, close: &str| format!("{open}\n{name};\n{close}\n").into_bytes();
    blocks
        .flat_map(|(context, open, close)| names.iter().map(move |name| (*name, *context, text(name, open, close))))
        .collect()
}

const PIECES: &[&[u8]] = &[
    b"a",
    b"b1",
    b" ",
    b" ",
    b"\n",
    b"\r\n",
    b"\t",
    b";",
    b";",
    b"{",
    b"}",
    b"\"",
    b"'",
    b"\\",
    b"#",
    b"$",
    b"${",
    b"(",
    b")",
    b"\xc3\xa9",
    b"\xff",
    b"=",
    b"~",
    b"\\\"",
    b"\\n",
    b"default_type",
    b"proxy_hide_header ",
    b"location / ",
    b"include",
    b"gzip on",
    b"# c\n",
];

/// A word, perhaps in quotes.
pub fn word(random: &mut Random) -> Vec<u8> {
    let plain: &[&[u8]] = &[
        b"a",
        b"B",
        b"\\",
        b"\\\\",
        b"\"",
        b"'",
        b"\\n",
        b"\\t",
        b"\\r",
        b"}",
        b"#",
        b"$",
        b"${",
        b"(",
        b"\xc3\xa9",
        b"\\ ",
        b"\\;",
        b" ",
    ];
    let mut word: Vec<u8> = (0..1 + random.below(8)).flat_map(|_| random.pick(plain)).copied().collect();
    if random.chance(50) {
        let quote = random.pick(b"'\"");
        word.retain(|byte| *byte != quote);
        word = [vec![quote], word, vec![quote]].concat();
    }
    word
}

/// Pieces of text inside a server.
pub fn text(random: &mut Random) -> Vec<u8> {
    let mut text = b"events {}\nhttp { server {\nlisten unix:s;\n".to_vec();
    for _ in 0..random.below(14) {
        if random.chance(40) {
            text.extend(b"proxy_hide_header ");
            text.extend(word(random));
            text.extend(random.pick::<&[u8]>(&[b";", b" ;\n", b"\n;\n", b" x;\n"]));
        } else {
            text.extend(random.pick(PIECES));
        }
    }
    text.extend(b"\n}}\n");
    text
}

/// Bytes of any kind.
pub fn garbage(random: &mut Random) -> Vec<u8> {
    (0..random.below(200))
        .flat_map(|_| if random.chance(70) { random.pick(PIECES).to_vec() } else { vec![random.next() as u8] })
        .collect()
}

/// Words and comments about as long as nginx's buffer.
pub fn long(random: &mut Random) -> Vec<u8> {
    let mut text = b"events {}\nhttp { server {\nlisten unix:s;\n".to_vec();
    for _ in 0..1 + random.below(2) {
        text.extend(vec![b' '; random.below(5000)]);
        let inner = vec![b'a'; 4085 + random.below(20)];
        let (open, close) = random.pick(&[
            ("#", "\n"),
            ("'", "' ;"),
            ("\"", "\";"),
            ("x", ";"),
            ("x", " ;"),
            ("x", "{}"),
            ("'", "'"),
            ("y ", ";"),
        ]);
        // An unknown directive would be told instead: the word is an argument.
        if open != "#" {
            text.extend(b"default_type ");
        }
        text.extend(open.as_bytes());
        text.extend(inner);
        text.extend(close.as_bytes());
        text.extend(b"\n");
    }
    if random.chance(80) {
        text.extend(b"}}\n");
    }
    text
}

/// Never in a text: they start something, name hosts or files, or bind to addresses.
const LEFT_OUT: &[&str] = &[
    "include",
    "load_module",
    "listen",
    "user",
    "working_directory",
    "ssl_engine",
    "pid",
    "lock_file",
    "thread_pool",
    "ssl_object_cache_inheritable",
    "perl",
    "perl_modules",
    "perl_require",
    "quic_bpf",
    "worker_rlimit_nofile",
    "env",
    "daemon",
    "master_process",
    "use",
    "error_log",
    "resolver",
    "server",
];

const VALUES: &[&str] = &["on", "off", "1", "8k", "1s", "$uri", "/x", "127.0.0.1", "all", "'x y'", "200"];

/// Directives of the table, mostly where they may stand and with as many arguments as they take.
pub fn directives(random: &mut Random) -> Vec<u8> {
    let mut text = String::from("events {}\nhttp {\nserver { listen unix:s;\n");
    let mut open = vec![Context::Http, Context::Server];
    for _ in 0..random.below(10) {
        let context = *open.last().unwrap();
        let rules: Vec<_> = TABLE
            .rules()
            .iter()
            .filter(|rule| rule.standard() && !LEFT_OUT.contains(&rule.name) && !rule.name.ends_with("_path"))
            .filter(|rule| rule.fits(context) || random.chance(1))
            .collect();
        let rule = rules[random.below(rules.len())];
        text += rule.name;
        let right = (0..8).filter(|count| rule.args.has(*count)).collect::<Vec<_>>();
        let count = if random.chance(90) { right[random.below(right.len())] } else { random.below(4) };
        for _ in 0..count {
            text += random.pick(&[" ", "\n    ", " # c\n "]);
            text += random.pick(VALUES);
        }
        let block = rule.block != random.chance(3);
        if block && context.inside(rule.name.as_bytes()) != Context::Entries {
            text += " {\n";
            open.push(context.inside(rule.name.as_bytes()));
        } else {
            text += random.pick(&[";\n", ";", " ;\n", "\n;\n"]);
        }
        if open.len() > 2 && random.chance(40) {
            text += "}\n";
            open.pop();
        }
    }
    text += &"}\n".repeat(open.len());
    text.into_bytes()
}

/// A config that both versions accept.
pub fn whole() -> Vec<u8> {
    include_bytes!("../../fixtures/syntax/nginx/whole.conf").to_vec()
}

/// An accepted config with something taken out, doubled or put in.
pub fn damaged(random: &mut Random) -> Vec<u8> {
    let mut text = whole();
    for _ in 0..1 + random.below(2) {
        let at = random.below(text.len());
        match random.below(4) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, random.pick(b";{}\"' \\#\n$")),
            2 => text.truncate(at),
            _ => {
                let end = text.len().min(at + random.below(30));
                text.drain(at..end);
            }
        }
    }
    text
}

/// A text that fails as this one does, with as many lines and bytes as possible taken out.
pub fn smaller(text: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut text = text.to_vec();
    let mut size = text.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < text.len() {
            let mut shorter = text.clone();
            shorter.drain(at..text.len().min(at + size));
            if fails(&shorter) {
                text = shorter;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    text
}
