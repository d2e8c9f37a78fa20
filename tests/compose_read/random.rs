//! Random compose projects: every form of every key that the reader knows, in files that are laid over each other, extend and include.

use std::fmt::Write as _;
use std::path::Path;

/// A small generator of numbers (xorshift); the same seed gives the same project everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len())]
    }

    fn once_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn some<'a>(&mut self, list: &[&'a str], most: usize) -> Vec<&'a str> {
        let count = self.roll(most) + 1;
        let mut out: Vec<&str> = Vec::new();
        for _ in 0..count {
            let one = self.pick(list);
            if !out.contains(&one) {
                out.push(one);
            }
        }
        out
    }
}

const VALUES: &[&str] = &[
    "v",
    "${A}",
    "$A-x",
    "${X}",
    "${X:-d}",
    "${X-}",
    "${E:-d}",
    "${E-d}",
    "${A:+s}",
    "${E:+s}",
    "${X+s}",
    "${E+s}",
    "$$A",
    "a$$",
    "$1",
    "${A:?m}",
    "${X:-${Y:-${A}}}",
    "${A:-${X:-$E}}x",
    "true",
    "010",
    "1.0",
    "0x10",
    "yes",
    "~",
    "",
    "'010'",
    "\"a b\"",
    "a=b",
    "${F}",
    "${G}-$F",
    "1e3",
    "'$$2y$$05$$x'",
    "${X:-a}b}",
    "-5",
    "1_000",
];
const ODD_VALUES: &[&str] = &["${", "${A", "${X:?m}", "${1}", "${E:?m}", "${A!}", "${X:-${Y:?n}}", "${}"];
const PORTS: &[&str] = &[
    "80",
    "'80'",
    "8080:80",
    "'22:22'",
    "127.0.0.1:81:81",
    "'[::1]:82:82'",
    "0.0.0.0:83:83",
    "84:84/udp",
    "127.0.0.1::85",
    "90-92:90-92",
    "100-102:100",
    "'110-111'",
    "'${P}:80'",
    "'${X:-9}:80'",
    "{target: 80}",
    "{target: 80, published: 8080}",
    "{target: 80, published: '8080', host_ip: 127.0.0.1}",
    "{target: 5, published: '50-51', protocol: udp}",
    "8080:80/tcp",
    "1:30",
    "{target: '80', published: \"${P}\", mode: host}",
    "0:7",
];
const ODD_PORTS: &[&str] =
    &["x:1", "1-2:1-3", "1:2/icmp", "70000:1", "'1:'", "2-1:5", "{published: 1}", "'${X}:80'", "a.b:1:1"];
const COMMANDS: &[&str] = &[
    "a b",
    "\"a 'b c' d\"",
    "[a, 'b c']",
    "[]",
    "\"\"",
    "'a $$x ${A}'",
    "a && b",
    "'a \"b\\\" c\"'",
    "echo >x",
    "'a $$(b c)'",
    "~",
    "[\"${X:-d}\", '$$']",
    "\"--r='Path(`/a`)'\"",
];
const VOLUMES: &[&str] = &[
    "./a:/a",
    "./a:/b:ro",
    "/etc/x:/c:rw",
    "data:/d",
    "/anon",
    "../up:/e",
    "./a/../b:/g/./h",
    "data:/d:nocopy",
    ".:/i:ro,z",
    "{type: bind, source: ./l, target: /l, read_only: true}",
    "{type: volume, source: data, target: /m}",
    "{type: tmpfs, target: /n}",
    "/var/run/docker.sock:/var/run/docker.sock:ro",
    "./${A}/x:/o",
    "~/h:/p",
    "./a:/a:ro",
];
const ODD_VOLUMES: &[&str] = &["${A}:/f", "nothere:/x", "'a::b'", "{type: bind, target: /q}", "a:/b:ro:z"];
const NAMES: &[&str] = &["K", "L", "M", "A", "N_1"];
const LABELS: &[&str] = &["traefik.enable", "traefik.http.routers.r.rule", "x.y", "l"];

/// Writes a project into a folder; gives its texts.
pub fn write(seed: u64, folder: &Path) -> String {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..4 {
        dice.roll(2);
    }
    let odd = dice.once_in(6);
    let mut texts = String::new();
    let mut put = |name: &str, text: String| {
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.join(name), &text).unwrap();
        writeln!(texts, "--- {name}\n{text}").unwrap();
    };
    if dice.once_in(2) {
        put(".env", env(&mut dice));
    }
    put("one.env", env(&mut dice));
    put("sub/one.env", env(&mut dice));
    put("label.env", "x.y=file\nl=from $A\n".to_owned());
    put("sub/base.yaml", file(&mut dice, Part::Base, false));
    put("compose.yaml", file(&mut dice, Part::Main, odd));
    if dice.once_in(2) {
        put("compose.override.yaml", file(&mut dice, Part::Over, odd));
    }
    if dice.once_in(2) {
        put("sub/inc.yaml", file(&mut dice, Part::Included, odd));
        if dice.once_in(2) {
            put("sub/.env", env(&mut dice));
        }
        let path = folder.join("compose.yaml");
        let form =
            dice.pick(&["[sub/inc.yaml]", "[{path: sub/inc.yaml}]", "[{path: [sub/inc.yaml], project_directory: .}]"]);
        let main = std::fs::read_to_string(&path).unwrap() + "include: " + form + "\n";
        put("compose.yaml", main);
    }
    texts
}

fn env(dice: &mut Dice) -> String {
    let lines = [
        "F=file",
        "G='si $A'",
        "G=\"dq $A\\n\"",
        "export F=ex",
        "# c",
        "K=from file # c",
        "L: yaml",
        "M=${F}",
        "N_1=",
        "X=ex",
        "G=$X$$",
        "F=a#b",
        "K=\"a\\$b\"",
    ];
    dice.some(&lines, 5).join("\n") + if dice.once_in(2) { "\n" } else { "" }
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Main,
    Over,
    Base,
    Included,
}

fn file(dice: &mut Dice, part: Part, odd: bool) -> String {
    let mut out = String::new();
    let common = part != Part::Included && dice.once_in(3);
    if common {
        out.push_str("x-c: &c\n  labels: {c: '1'}\n  environment: &e\n    K: merged\n    C: ${A}\n");
    }
    out.push_str("services:\n");
    let names: &[&str] = match part {
        Part::Main => &["a", "b", "c"],
        Part::Over => &["a", "b", "d"],
        Part::Base => &["base", "low"],
        Part::Included => &["i"],
    };
    for name in names {
        if part == Part::Over && dice.once_in(3) {
            continue;
        }
        writeln!(out, "  {name}:\n    image: {}", dice.pick(&["x", "img:${A}", "r.io/x/y:1@sha256:ab"])).unwrap();
        if common && dice.once_in(2) {
            out.push_str("    <<: *c\n");
        }
        service(dice, &mut out, name, part, odd);
    }
    if part != Part::Over {
        let suffix = if part == Part::Included { "i" } else { "" };
        if part != Part::Included {
            writeln!(out, "volumes:\n  data:").unwrap();
        }
        writeln!(out, "networks:\n  n1{suffix}: {{internal: true}}\n  n2{suffix}:").unwrap();
        if part == Part::Main {
            out.push_str(
                "configs:\n  c1: {file: ./conf/c}\n  c2: {content: \"x ${A} $$y\"}\nsecrets:\n  s1: {file: ./s}\n",
            );
        }
    }
    out
}

fn service(dice: &mut Dice, out: &mut String, name: &str, part: Part, odd: bool) {
    let tag = |dice: &mut Dice| match part {
        Part::Over if dice.once_in(5) => dice.pick(&["!override ", "!reset "]),
        _ => "",
    };
    let value = |dice: &mut Dice| match odd && dice.once_in(9) {
        true => dice.pick(ODD_VALUES),
        false => dice.pick(VALUES),
    };
    for (key, names) in [("environment", NAMES), ("labels", LABELS)] {
        if dice.once_in(2) && !out.ends_with("<<: *c\n") {
            let tag = tag(dice);
            writeln!(out, "    {key}: {tag}").unwrap();
            let as_list = dice.once_in(2);
            for one in dice.some(names, 3) {
                let value = value(dice);
                match as_list {
                    true if key == "environment" && dice.once_in(6) => writeln!(out, "      - {one}"),
                    true => writeln!(out, "      - \"{one}={}\"", value.trim_matches(['\'', '"'])),
                    false => writeln!(out, "      {one}: {value}"),
                }
                .unwrap();
            }
        }
    }
    let mut lists = |dice: &mut Dice, key: &str, good: &[&str], bad: &[&str]| {
        if dice.once_in(2) {
            let tag = tag(dice);
            writeln!(out, "    {key}: {tag}").unwrap();
            for one in dice.some(good, 3) {
                writeln!(out, "      - {one}").unwrap();
            }
            if odd && dice.once_in(6) {
                writeln!(out, "      - {}", dice.pick(bad)).unwrap();
            }
        }
    };
    lists(dice, "ports", PORTS, ODD_PORTS);
    if part != Part::Included {
        lists(dice, "volumes", VOLUMES, ODD_VOLUMES);
    }
    lists(dice, "expose", &["80", "'81'", "'82/udp'", "\"${P}\""], &["80"]);
    if dice.once_in(3) {
        lists(dice, "profiles", &["p", "q", "${A}"], &["p"]);
    }
    if dice.once_in(4) && name != "low" && part != Part::Included {
        lists(dice, "tmpfs", &["/t1", "/t2:size=1"], &["/t3"]);
    }
    if part == Part::Main && dice.once_in(3) {
        lists(dice, "configs", &["c1", "c2", "{source: c1, target: /etc/c}", "{source: c2, target: cc}"], &["nope"]);
        lists(dice, "secrets", &["s1", "{source: s1, target: k}"], &["nope"]);
    }
    let mut one = |dice: &mut Dice, sides: usize, key: &str, list: &[&str]| {
        if dice.once_in(sides) {
            let tag = tag(dice);
            writeln!(out, "    {key}: {tag}{}", dice.pick(list)).unwrap();
        }
    };
    one(dice, 3, "command", COMMANDS);
    one(dice, 5, "entrypoint", COMMANDS);
    one(dice, 5, "privileged", &["true", "false", "\"${Y:-true}\"", "\"${Y:-yes}\""]);
    one(dice, 5, "env_file", &["one.env", "[one.env]", "[{path: one.env}, {path: no.env, required: false}]"]);
    if part != Part::Included && part != Part::Base {
        one(dice, 6, "label_file", &["label.env", "[label.env]"]);
    }
    one(dice, 5, "healthcheck", &["{test: curl x}", "{test: [CMD, a, b]}", "{disable: true}", "{test: [NONE]}"]);
    one(dice, 8, "container_name", &[&format!("cn-{name}"), &format!("cn-{name}-$A")]);
    one(dice, 6, "deploy", &["{labels: {a: b}}", "{labels: [a=c, \"d=${A}\"]}"]);
    if part == Part::Main && dice.once_in(3) {
        let from = dice.pick(&[
            "{file: sub/base.yaml, service: base}",
            "{file: sub/base.yaml, service: low}",
            "{service: c}",
            "c",
        ]);
        if name != "c" || from.contains("file") {
            writeln!(out, "    extends: {from}").unwrap();
        }
    }
    if part == Part::Base && name == "base" && dice.once_in(2) {
        out.push_str("    extends: {service: low}\n");
    }
    if part == Part::Main || part == Part::Base {
        match dice.roll(6) {
            0 => writeln!(out, "    networks: [n1, default]").unwrap(),
            1 => writeln!(out, "    networks: {{n2: {{aliases: [x]}}, n1: }}").unwrap(),
            2 if name == "a" => {
                writeln!(out, "    network_mode: {}", dice.pick(&["host", "none", "service:b", "bridge"])).unwrap()
            }
            _ => {}
        }
    } else if part == Part::Over && dice.once_in(5) {
        writeln!(out, "    networks: {}[n2]", tag(dice)).unwrap();
    }
}
