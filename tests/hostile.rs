//! Hostile inputs: texts that are quotes, variables or line ends to some reader, in every field; very large and very odd files;
//! folders that can't be written to; and a `render` that is killed while it writes.
//!
//! Invariant: a text is refused with its place and a remedy, or the real servers read it as that text and nothing else.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

mod common;
#[path = "common/reading.rs"]
mod reading;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use llmguard::diag::Sink;
use llmguard::policy::plan::Plan;
use llmguard::policy::validate;
use llmguard::policy::variables::Variables;
use llmguard::prove::{moved, server};
use llmguard::secret::Secret;
use llmguard::source::SourceFile;
use tempfile::TempDir;

const KEY: &str = "lp_0123456789abcdefABCDEF-laptop1";
const CLIENT: &str = "\n[[client]]\nname = \"laptop\"\napi_key = \"env:LAPTOP_KEY\"\n";

/// What means something to one of the readers, or to a shell.
const TEXTS: &[&str] = &[
    "\"",
    "'",
    "`",
    "\\",
    "\\\"",
    "a\"; return 200; #",
    "x\n}\nserver { listen 1; }",
    "x\r\ny",
    "\t",
    "a\0b",
    "$",
    "$host",
    "${KEY}",
    "$$x",
    "{$HOME}",
    "{env.HOME}",
    "{{ env \"HOME\" }}",
    "{{",
    "}}",
    "{",
    "}",
    "{% raw %}",
    "#x",
    "a #x",
    "a;b",
    "|",
    ">",
    "<",
    "%",
    "%s",
    "%0a",
    "&x",
    "*x",
    "!x",
    "- x",
    "x: y",
    "? x",
    "@x",
    ",",
    "[",
    "]",
    "~",
    "null",
    "true",
    "\u{85}",
    "\u{2028}x",
    "\u{2029}x",
    "\u{feff}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{202e}abc",
    "\u{7f}",
    "\u{1b}[31m",
    "é",
    "日本",
    "😀",
    " ",
    " x",
    "x ",
    "..",
    "/",
    "//",
    "../../etc/passwd",
    "-rf",
    "--",
    "`id`",
    "$(id)",
    "\u{a0}",
    "\u{1}KEY\u{2}",
];

/// Each field that holds a text: a policy with it, TEXT being the place.
const FIELDS: &[(&str, &str)] = &[
    ("upstream.kind", "[upstream]\nkind = TEXT\n"),
    ("upstream.servers", "[upstream]\nkind = \"ollama\"\nservers = [TEXT]\n"),
    ("upstream.servers with a port", "[upstream]\nkind = \"ollama\"\nservers = [TEXT:1]\n"),
    ("upstream.host", "[upstream]\nkind = \"ollama\"\nhost = TEXT\n"),
    ("upstream.host with a port", "[upstream]\nkind = \"ollama\"\nhost = h:TEXT\n"),
    ("upstream.api_key", "[upstream]\nkind = \"ollama\"\napi_key = env:TEXT\n"),
    ("upstream.balance", "[upstream]\nkind = \"ollama\"\nbalance = TEXT\n"),
    ("listen.address", "[listen]\naddress = TEXT\n"),
    ("listen.server_names", "[listen]\nserver_names = [TEXT]\n"),
    ("listen.tls", "[listen]\ntls = TEXT\n"),
    ("listen.certificate", "[listen]\ntls = \"files\"\ncertificate = cTEXT\nprivate_key = \"k\"\n"),
    ("listen.private_key", "[listen]\ntls = \"files\"\ncertificate = \"c\"\nprivate_key = kTEXT\n"),
    ("listen.acme_email", "[listen]\ntls = \"auto\"\nserver_names = [\"a.example.com\"]\nacme_email = me@TEXT\n"),
    ("listen.acme_ca", "[listen]\ntls = \"auto\"\nserver_names = [\"a.example.com\"]\nacme_ca = https://TEXT\n"),
    ("listen.trusted_proxies", "[listen]\ntrusted_proxies = [TEXT]\n"),
    ("auth.methods", "[auth]\nmethods = [\"bearer\", TEXT]\n"),
    ("auth.realm", "[auth]\nrealm = TEXT\n"),
    ("auth.realm inside", "[auth]\nrealm = aTEXTb\n"),
    ("client.name", "[[client]]\nname = TEXT\napi_key = \"env:OTHER_KEY\"\n"),
    ("client.api_key", "[[client]]\nname = \"x\"\napi_key = TEXT\n"),
    ("client.api_key of a variable", "[[client]]\nname = \"x\"\napi_key = env:XTEXT\n"),
    ("client.api_key of a file", "[[client]]\nname = \"x\"\napi_key = file:kTEXT\n"),
    ("client.password_hash", "[[client]]\nname = \"x\"\npassword_hash = TEXT\n"),
    ("client.password_hash as bcrypt", "[[client]]\nname = \"x\"\npassword_hash = $2y$05$TEXT\n"),
    ("access.allow", "[access]\nallow = [TEXT]\n"),
    ("access.allow as a path", "[access]\nallow = [GET /xTEXT]\n"),
    ("access.allow as a method", "[access]\nallow = [GETTEXT /x]\n"),
    ("access.deny", "[access]\ndeny = [GET /xTEXT]\n"),
    ("access.public", "[access]\npublic = [GET /xTEXT]\n"),
    ("access.health", "[access]\nhealth = /xTEXT\n"),
    ("access.models", "[access]\nmodels = [mTEXT]\n[limits]\nbody = \"1MiB\"\n"),
    ("limits.rate", "[limits]\nrate = TEXT\n"),
    ("limits.body", "[limits]\nbody = 1TEXT\n"),
    ("timeouts.read", "[timeouts]\nread = 1TEXT\n"),
    ("cors.origins", "[cors]\norigins = [https://TEXT]\n"),
    ("cors.methods", "[cors]\norigins = [\"https://a\"]\nmethods = [GETTEXT]\n"),
    ("cors.headers", "[cors]\norigins = [\"https://a\"]\nheaders = [XTEXT]\n"),
    ("log.format", "[log]\nformat = TEXT\n"),
    ("log.path", "[log]\npath = TEXT\n"),
    ("log.path inside", "[log]\npath = logs/aTEXTb.log\n"),
    ("deploy.proxy_image", "[deploy]\nproxy_image = caddyTEXT:1\n"),
    ("deploy.proxy_image's tag", "[deploy]\nproxy_image = caddy:1TEXT\n"),
    ("deploy.ollama_image", "[deploy]\nollama_image = ollama:1TEXT\n"),
    ("deploy.models_dir", "[deploy]\nmodels_dir = /mTEXT\n"),
    ("deploy.publish", "[deploy]\npublish = TEXT:80:80\n"),
    ("deploy.gpu", "[deploy]\ngpu = { vendor = \"nvidia\", device_ids = [TEXT] }\n"),
];

/// The field's policy; the word that holds `TEXT` becomes one TOML string.
fn with(field: &str, text: &str) -> String {
    let mut policy = field
        .lines()
        .map(|line| {
            let Some(at) = line.find("TEXT") else { return line.to_owned() };
            let open = line[..at].rfind(['[', '=']).map_or(0, |open| open + 1);
            let close = line[at..].find([']']).map_or(line.len(), |close| at + close);
            let inner = line[open..close].trim_start();
            // Several items stand before it in a list.
            let (before, word) =
                inner.rsplit_once(", ").map_or((String::new(), inner), |(before, word)| (format!("{before}, "), word));
            let value = toml::Value::from(word.replace("TEXT", text)).to_string();
            format!("{} {before}{value}{}", &line[..open], &line[close..])
        })
        .collect::<Vec<_>>()
        .join("\n");
    if !policy.contains("[upstream]") {
        policy = format!("[upstream]\nkind = \"ollama\"\n{policy}");
    }
    format!("{policy}{CLIENT}")
}

fn values() -> BTreeMap<String, String> {
    let value = |name: &str| (name.to_owned(), format!("{KEY}-{name}"));
    ["LAPTOP_KEY", "OTHER_KEY"].into_iter().map(value).collect()
}

/// A policy as it would be read, or what is said against it.
fn plan(name: &str, dir: &Path, text: &str) -> Result<Plan, Vec<String>> {
    let file = SourceFile::new(name, dir.join(name), text);
    let process = values().into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    let mut sink = Sink::default();
    let plan = validate::plan(&file, &Variables { process, file: None }, &mut sink);
    plan.ok_or_else(|| {
        for problem in sink.list.iter().filter(|problem| problem.severity == llmguard::diag::Severity::Error) {
            let picture = problem.render(false);
            assert!(problem.help.as_ref().is_some_and(|help| !help.is_empty()), "no remedy: {picture}");
            assert!(!picture.contains(['\u{1b}', '\0', '\u{7}']), "control characters are shown: {picture:?}");
            assert!(picture.len() < 8000, "{} bytes of message", picture.len());
        }
        sink.list.into_iter().map(|problem| problem.message).collect()
    })
}

/// The servers that are there.
struct Servers {
    nginx: Vec<PathBuf>,
    caddy: Option<PathBuf>,
    traefik: Option<PathBuf>,
    compose: Option<PathBuf>,
}

impl Servers {
    fn find(test: &str) -> Servers {
        let find = |variable: &str| common::server(test, variable);
        Servers {
            nginx: ["LLMGUARD_NGINX_OLD", "LLMGUARD_NGINX"].into_iter().filter_map(find).collect(),
            caddy: find("LLMGUARD_CADDY"),
            traefik: find("LLMGUARD_TRAEFIK"),
            compose: find("LLMGUARD_COMPOSE"),
        }
    }

    /// Every server loads every target that can be rendered; what they say otherwise.
    fn load(&self, dir: &Path, plan: &Plan) -> Vec<String> {
        let plan = reading::aside(plan, server::free_port().unwrap());
        let env: BTreeMap<String, String> = moved::environment(&plan).into_iter().collect();
        let mut problems = Vec::new();
        let mut load = |target: &str, read: &dyn Fn() -> Result<(), String>| {
            let output = reading::render(target, &plan);
            if output.gaps.iter().any(|gap| !gap.acceptable) {
                assert!(output.gaps.iter().all(|gap| !gap.reason.is_empty() && !gap.instead.is_empty()));
                return;
            }
            reading::put(dir, &plan, &output);
            problems.extend(read().err().map(|said| format!("{target}: {said}")));
        };
        for nginx in &self.nginx {
            load("nginx", &|| reading::nginx(nginx, dir, &plan));
        }
        if let Some(caddy) = &self.caddy {
            load("caddy", &|| reading::caddy(caddy, dir, &env).map(drop));
        }
        if let Some(traefik) = &self.traefik {
            load("traefik-file", &|| reading::traefik(traefik, dir, &env).map(drop));
        }
        if let Some(compose) = &self.compose {
            load("compose", &|| {
                reading::compose(compose, &dir.join("compose"), &["docker-compose.yml"], &env).map(drop)
            });
        }
        problems
    }
}

#[test]
fn a_hostile_text_is_refused_or_is_only_a_text() {
    let servers = Servers::find("hostile-texts");
    let (mut refused, mut loaded) = (0, 0);
    let mut problems = Vec::new();
    let long = "x".repeat(100_000);
    for (name, field) in FIELDS {
        let mut admitted = Vec::new();
        for text in TEXTS.iter().copied().chain([long.as_str()]) {
            let dir = tempfile::tempdir().unwrap();
            match plan("llmguard.toml", dir.path(), &with(field, text)) {
                Err(said) => {
                    assert!(!said.is_empty(), "{name} {text:?}: refused without a word");
                    refused += 1;
                }
                Ok(plan) => admitted.push((text, plan, dir)),
            }
        }
        for (at, (text, plan, dir)) in admitted.iter().enumerate() {
            loaded += 1;
            if name.starts_with("listen.certificate") || name.starts_with("listen.private_key") {
                let made = llmguard::render::internal_tls::internal(
                    &["a.example.com".to_owned()],
                    None,
                    std::time::SystemTime::now(),
                )
                .unwrap();
                let llmguard::policy::plan::Tls::Files { certificate, private_key } = &plan.listen.tls else {
                    panic!("no files")
                };
                // A name that no folder can hold is not written here.
                if certificate.file_name().is_none()
                    || fs::write(certificate, &made.leaf_pem).is_err()
                    || fs::write(private_key, made.leaf_key.reveal()).is_err()
                {
                    continue;
                }
            }
            // nginx checks at once; the others take turns.
            let turn = |every: usize| at % every == 0 && at < 10;
            let servers = Servers {
                nginx: servers.nginx.iter().skip(at % 2).take(1).cloned().collect(),
                caddy: servers.caddy.clone().filter(|_| turn(5)),
                traefik: servers.traefik.clone().filter(|_| turn(10)),
                compose: servers
                    .compose
                    .clone()
                    .filter(|_| turn(2) && ["deploy", "log", "listen.c"].iter().any(|start| name.starts_with(start))),
            };
            let shown: String = text.chars().take(40).collect();
            problems.extend(servers.load(dir.path(), plan).into_iter().map(|said| format!("{name} {shown:?}: {said}")));
        }
    }
    println!("{refused} texts refused, {loaded} loaded");
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn long_lists_are_no_long_words() {
    let servers = Servers::find("hostile-lists");
    let list = |count: usize, item: &str| -> String {
        let items: Vec<String> =
            (0..count).map(|number| format!("\"{}\"", item.replace('#', &number.to_string()))).collect();
        format!("[{}]", items.join(", "))
    };
    let long = "x".repeat(40);
    let policies = [
        format!("[access]\nmodels = {}\n[limits]\nbody = \"1MiB\"\n", list(500, &format!("{long}#"))),
        format!("[access]\nallow = {}\n", list(500, &format!("GET /{long}/#/:x"))),
        format!("[access]\npublic = {}\n", list(500, &format!("GET /{long}/#/:x"))),
        format!("[listen]\nserver_names = {}\n", list(500, &format!("{long}#.example.com"))),
        format!("[listen]\ntrusted_proxies = {}\n", list(250, "10.0.0.#")),
        format!("[cors]\norigins = {}\n", list(200, &format!("https://{long}#.example.com"))),
        format!("[cors]\norigins = [\"https://a\"]\nheaders = {}\n", list(500, &format!("{long}#"))),
        format!("[[client]]\nname = \"x\"\napi_key = {}\n", list(500, "env:KEY_#")),
    ];
    for policy in policies {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan("llmguard.toml", dir.path(), &small(&policy)).unwrap();
        assert_eq!(servers.load(dir.path(), &plan), Vec::<String>::new(), "{}", &policy[..60]);
    }
}

#[test]
fn a_policy_file_with_a_hostile_name_stays_in_its_comment() {
    let servers = Servers::find("hostile-file-names");
    for name in [
        "x\n}\nevil on;\n.toml",
        "x\u{2028}evil: 1\u{2029}x: 2",
        "x\u{85}evil: 1",
        "{$HOME}",
        "{{ fail \"x\" }}",
        "\u{fffe}x\u{feff}",
        "*/ x",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(name, dir.path(), &with("[auth]\nrealm = TEXT\n", "r")).unwrap();
        assert_eq!(servers.load(dir.path(), &plan), Vec::<String>::new(), "{name:?}");
    }
}

/// The program on a policy in a folder.
struct Site {
    dir: TempDir,
}

impl Site {
    fn new(policy: &[u8]) -> Site {
        let site = Site { dir: tempfile::tempdir().unwrap() };
        fs::write(site.path("llmguard.toml"), policy).unwrap();
        fs::write(site.path(".env"), format!("LAPTOP_KEY={KEY}\n")).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
        command.args(words).current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command
    }

    /// Exit code, standard error and time of a run.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, Duration) {
        let start = Instant::now();
        let Output { status, stderr, .. } = self.command(words).output().unwrap();
        (status.code(), String::from_utf8_lossy(&stderr).into_owned(), start.elapsed())
    }
}

fn small(more: &str) -> String {
    format!("[upstream]\nkind = \"ollama\"\nservers = [\"10.0.0.1:11434\"]\n{more}{CLIENT}")
}

#[test]
fn odd_and_huge_files_end_soon_with_a_short_word() {
    let nested = format!("x = {}{}\n", "[".repeat(20_000), "]".repeat(20_000));
    let tables = format!("x = {}1{}\n", "{a=".repeat(20_000), "}".repeat(20_000));
    let dotted = format!("{} = 1\n", ["a"; 50_000].join("."));
    let heads = format!("[{}]\n", ["a"; 50_000].join("."));
    let realm = format!("[auth]\nrealm = \"{}\"\n", "r".repeat(8_000_000));
    let unknown: String = (0..50_000).map(|number| format!("k{number} = 1\n")).collect();
    let cases: [(&str, Vec<u8>, &str); 10] = [
        ("nested lists", nested.into_bytes(), "recurse"),
        ("nested tables", tables.into_bytes(), "recurse"),
        ("a dotted key", dotted.into_bytes(), "recurs"),
        ("a dotted table", heads.into_bytes(), "recurs"),
        ("50 MB", [small("").into_bytes(), vec![b'#'; 50_000_000]].concat(), "larger than 16 MiB"),
        ("a long realm", small(&realm).into_bytes(), "`auth.realm` can't be"),
        ("50,000 errors", unknown.into_bytes(), "… and "),
        ("no TOML at all", "= = =\n".repeat(100_000).into_bytes(), "not valid TOML"),
        ("UTF-16", b"\xff\xfe[\0u\0".to_vec(), "not UTF-8"),
        ("NUL", b"[upstream]\nkind = \"oll\0ama\"\n".to_vec(), "not valid TOML"),
    ];
    for (name, policy, word) in cases {
        let site = Site::new(&policy);
        let (code, said, time) = site.run(&["render", "--target", "all", "--out", "o"]);
        let start: String = said.chars().take(600).collect();
        assert_eq!(code, Some(2), "{name}: {start}");
        assert!(said.contains(word), "{name}: no `{word}` in {start}");
        assert!(said.len() < 100_000, "{name}: {} bytes are said", said.len());
        assert!(time < Duration::from_secs(20), "{name}: {time:?}");
        assert!(!site.path("o").exists(), "{name}: something was written");
    }
}

#[test]
fn what_is_no_readable_file_is_said() {
    let site = Site::new(small("").as_bytes());
    fs::create_dir(site.path("folder")).unwrap();
    for (path, word) in [
        ("folder", "is a folder"),
        ("none.toml", "no such file"),
        ("/dev/zero", "larger than 16 MiB"),
        ("llmguard.toml/x", "not a folder"),
    ] {
        let (code, said, _) = site.run(&["check", "--policy", path]);
        assert_eq!(code, Some(2), "{path}: {said}");
        assert!(said.contains(word) && said.contains("help"), "{path}: {said}");
    }
    if is_root() {
        common::skip("hostile-unreadable", "root reads every file");
    } else {
        fs::set_permissions(site.path("llmguard.toml"), fs::Permissions::from_mode(0o0)).unwrap();
        let (code, said, _) = site.run(&["check"]);
        assert!(code == Some(2) && said.contains("permission denied"), "{said}");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Every file below a folder, with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                out.insert(
                    entry.path().strip_prefix(dir).unwrap().to_owned(),
                    fs::read(entry.path()).unwrap_or_default(),
                );
            }
        }
    }
    out
}

const ALL: [&str; 5] = ["render", "--target", "all", "--out", "o"];

#[test]
fn a_folder_that_cannot_be_written_keeps_what_it_has() {
    let site = Site::new(small("").as_bytes());
    fs::write(site.path("o"), "a file").unwrap();
    let (code, said, _) = site.run(&ALL);
    assert!(code == Some(2) && said.contains("not a folder"), "{said}");
    assert_eq!(fs::read_to_string(site.path("o")).unwrap(), "a file");
    fs::remove_file(site.path("o")).unwrap();
    // A folder where a file should be, found only after others could be written.
    assert_eq!(site.run(&ALL).0, Some(0));
    let before = files(&site.path("o"));
    fs::write(site.path("llmguard.toml"), small("[auth]\nrealm = \"Other\"\n")).unwrap();
    fs::remove_file(site.path("o/traefik/dynamic.yml")).unwrap();
    fs::create_dir(site.path("o/traefik/dynamic.yml")).unwrap();
    let (code, said, _) = site.run(&ALL);
    assert!(code == Some(2) && said.contains("is a folder"), "{said}");
    let after = files(&site.path("o"));
    assert!(after.iter().all(|(path, bytes)| before.get(path) == Some(bytes)), "files changed although render failed");
    if is_root() {
        common::skip("hostile-read-only", "root writes to every folder");
    } else {
        fs::set_permissions(site.path("o/caddy"), fs::Permissions::from_mode(0o500)).unwrap();
        let (code, said, _) = site.run(&["render", "--target", "caddy", "--out", "o"]);
        fs::set_permissions(site.path("o/caddy"), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(code == Some(2) && said.contains("permission denied"), "{said}");
    }
}

#[test]
fn a_full_disk_keeps_what_it_has() {
    let site = Site::new(small("").as_bytes());
    fs::create_dir(site.path("o")).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=160k", "tmpfs"]).arg(site.path("o")).output();
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        return common::skip("hostile-full-disk", "no tmpfs can be mounted here");
    }
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let _mounted = Mounted(site.path("o"));
    assert_eq!(site.run(&["render", "--target", "nginx", "--out", "o"]).0, Some(0));
    let before = files(&site.path("o"));
    // The rest is filled; a larger policy doesn't fit any more.
    let mut filler = fs::File::create(site.path("o/filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    drop(filler);
    fs::write(site.path("llmguard.toml"), small("[auth]\nrealm = \"Other\"\n")).unwrap();
    let (code, said, _) = site.run(&["render", "--target", "nginx", "--out", "o"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no space left"), "{said}");
    let after = files(&site.path("o"));
    for (path, bytes) in &before {
        assert_eq!(after.get(path), Some(bytes), "{}", path.display());
    }
    assert_eq!(after.len(), before.len() + 1, "temporary files were left");
}

#[test]
fn a_killed_render_leaves_old_files_or_new_ones() {
    let site = Site::new(small("").as_bytes());
    let policies = [small("[auth]\nrealm = \"One\"\n"), small("[auth]\nrealm = \"Two of them, a longer one\"\n")];
    let sets: Vec<BTreeMap<PathBuf, Vec<u8>>> = policies
        .iter()
        .map(|policy| {
            fs::write(site.path("llmguard.toml"), policy).unwrap();
            assert_eq!(site.run(&ALL).0, Some(0));
            files(&site.path("o"))
        })
        .collect();
    let start = Instant::now();
    let (_, _, usual) = site.run(&ALL);
    let (mut killed, mut mixed, mut leftovers) = (0, 0, 0);
    for round in 0_u32.. {
        if start.elapsed() > Duration::from_secs(12) {
            break;
        }
        fs::write(site.path("llmguard.toml"), &policies[round as usize % 2]).unwrap();
        let mut child: Child = site.command(&ALL).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Another moment each time, from the start to a little beyond the usual end.
        let moment = usual.mul_f64(f64::from(round * 37 % 100) / 60.0);
        let until = Instant::now() + moment;
        while Instant::now() < until {
            look(&site, &sets);
        }
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        let (old, new, temporary) = look(&site, &sets);
        mixed += u32::from(old > 0 && new > 0);
        leftovers = leftovers.max(temporary);
    }
    println!("{killed} runs were killed, {mixed} between two files; at most {leftovers} temporary files were left");
    assert!(killed >= 10, "only {killed} runs could be killed");
    let (code, said, _) = site.run(&ALL);
    assert_eq!(code, Some(0), "{said}");
    let (old, new, _) = look(&site, &sets);
    assert!(old == 0 || new == 0, "the last run did not write everything");
}

/// Looks at every file: how many are of the first and of the second policy alone, and how many are temporary.
fn look(site: &Site, sets: &[BTreeMap<PathBuf, Vec<u8>>]) -> (u32, u32, u32) {
    let (mut first, mut second, mut temporary) = (0, 0, 0);
    for path in sets[0].keys() {
        // By its name, as a server would read it.
        let bytes = fs::read(site.path("o").join(path)).unwrap();
        match (sets[0][path] == bytes, sets[1][path] == bytes) {
            (true, true) => {}
            (true, false) => first += 1,
            (false, true) => second += 1,
            (false, false) => panic!("{} is neither the old nor the new file", path.display()),
        }
    }
    for path in files(&site.path("o")).keys().filter(|path| !sets[0].contains_key(*path)) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with(".llmguard-"), "a stray file: {}", path.display());
        temporary += 1;
    }
    (first, second, temporary)
}

#[test]
fn ten_thousand_clients() {
    let mut policy = "[upstream]\nkind = \"ollama\"\nservers = [\"10.0.0.1:11434\"]\n".to_owned();
    let mut env = String::new();
    for number in 0..10_000 {
        policy.push_str(&format!("[[client]]\nname = \"c{number}\"\napi_key = \"env:KEY_{number}\"\n"));
        env.push_str(&format!("KEY_{number}={KEY}-{number}\n"));
    }
    let site = Site::new(policy.as_bytes());
    fs::write(site.path(".env"), &env).unwrap();
    for (target, code) in [("nginx", 0), ("caddy", 0), ("traefik-file", 0), ("compose", 0), ("traefik", 2)] {
        let (ended, said, time) = site.run(&["render", "--target", target, "--out", "o"]);
        println!("{target}: {time:?}");
        assert_eq!(ended, Some(code), "{target}: {said}");
        assert!(time < Duration::from_secs(30), "{target}: {time:?}");
        assert!(said.contains("200 clients") || code == 0, "{said}");
    }
    let values: BTreeMap<String, String> = env
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let file = SourceFile::read(&site.path("llmguard.toml")).unwrap();
    let process = values.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
    let plan = validate::plan(&file, &Variables { process, file: None }, &mut Sink::default()).unwrap();
    reading::put(&site.path("n"), &plan, &reading::render("nginx", &plan));
    for variable in ["LLMGUARD_NGINX_OLD", "LLMGUARD_NGINX"] {
        if let Some(nginx) = common::server("hostile-many-clients", variable) {
            let start = Instant::now();
            reading::nginx(&nginx, &site.path("n"), &plan).unwrap();
            println!("nginx -t: {:?}", start.elapsed());
        }
    }
    if let Some(caddy) = common::server("hostile-many-clients", "LLMGUARD_CADDY") {
        let start = Instant::now();
        reading::caddy(&caddy, &site.path("o"), &values).unwrap();
        println!("caddy validate and adapt: {:?}", start.elapsed());
    }
}
