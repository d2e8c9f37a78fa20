//! `tls = "auto"` against a real CA: what `render` wrote gets its certificate by ACME and then answers by the policy.
//!
//! The CA is Caddy's own `acme_server`. It asks on ports 80 and 443 of the name that is to be certified, so all of it runs in namespaces of
//! its own (`unshare`): an own loopback, on which every port is free, an own `/etc/hosts`, and processes that end with the first of them.
//! The servers trust the CA by a variable of their environment; the rendered files are as they are.
//! Needs `LLMGUARD_CADDY` and `LLMGUARD_TRAEFIK`; where namespaces are not to be had, it is a named skip.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use llmguard::diag::Sink;
use llmguard::policy::plan::{Plan, Proxy};
use llmguard::policy::validate;
use llmguard::policy::variables::Variables;
use llmguard::prove::engine::Engine;
use llmguard::prove::judge::shown;
use llmguard::prove::moved::{self, Phase};
use llmguard::prove::server::{Launch, Running, Scratch};
use llmguard::prove::stage::{self, Form, Stage};
use llmguard::prove::upstream::Upstream;
use llmguard::prove::wire::{self, Target, TlsOptions};
use llmguard::prove::{self, questions};
use llmguard::secret::Secret;
use llmguard::source::SourceFile;

/// Set in the namespaces, where this program starts itself again.
const INSIDE: &str = "LLMGUARD_ACME_INSIDE";
/// The longest that all of one server's test may take.
const LONGEST: Duration = Duration::from_secs(60);
/// Within which a certificate for every name must be there.
const ISSUED: Duration = Duration::from_secs(25);
const FEWEST: usize = 600;
const NAMES: [&str; 2] = ["llm.test", "alt.llm.test"];
const HTTP: ([u8; 4], u16) = ([127, 0, 0, 1], 80);

const POLICY: &str = r#"
[upstream]
kind = "ollama"
[listen]
address = "127.0.0.1:443"
server_names = ["llm.test", "alt.llm.test"]
tls = "auto"
acme_email = "owner@llm.test"
acme_ca = "https://ca.test:9443/acme/local/directory"
[[client]]
name = "laptop"
api_key = "env:LAPTOP_KEY"
[[client]]
name = "reader"
api_key = "env:READER_KEY"
allow = ["list"]
[limits]
body = "64KiB"
"#;

const CA: &str = "{
	admin off
	skip_install_trust
	auto_https disable_redirects
	http_port 9480
	https_port 9443
}
https://ca.test:9443 {
	bind 127.0.0.1
	tls internal
	acme_server
}
";

/// Runs `inside` in namespaces of its own, or says why not.
fn apart(test: &str, inside: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        prepare();
        return inside();
    }
    let unshare = |words: &[&str]| {
        let mut command = Command::new("unshare");
        // Whoever is no root becomes it in a namespace of users. All processes end with `unshare`.
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--"]).args(words);
        command.stdin(Stdio::null());
        command
    };
    let loopback = format!("{UP}; mount --bind /dev/null /etc/hosts");
    let can = unshare(&["sh", "-ec", &loopback]).output();
    let said = match &can {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(reason) = said {
        return common::skip(test, &format!("no namespaces here: {reason}"));
    }
    let own = std::env::current_exe().unwrap();
    let mut child = unshare(&[own.to_str().unwrap(), "--exact", test, "--nocapture"]).env(INSIDE, "1").spawn().unwrap();
    let until = Instant::now() + LONGEST;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("not done within {LONGEST:?}");
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    assert!(status.success(), "{status}");
}

/// Brings the loopback up, with whichever program is there.
const UP: &str = "ip link set lo up 2>/dev/null || busybox ip link set lo up 2>/dev/null || ifconfig lo up";

/// The namespaces' loopback and hosts.
fn prepare() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost ca.test {}\n", NAMES.join(" "))).unwrap();
    let script = format!("{UP}; mount --bind '{}' /etc/hosts", hosts.display());
    assert!(Command::new("sh").args(["-ec", &script]).status().unwrap().success());
}

/// The CA and its root certificate.
struct Authority {
    _running: Running,
    _folder: Scratch,
    root: PathBuf,
}

fn authority(caddy: &Path) -> Authority {
    let folder = Scratch::new().unwrap();
    fs::write(folder.path().join("Caddyfile"), CA).unwrap();
    let launch = Launch {
        program: caddy.to_owned(),
        args: ["run", "--config", "Caddyfile"].map(Into::into).to_vec(),
        env: ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"].map(|name| (name.into(), folder.path().into())).to_vec(),
        cwd: folder.path().to_owned(),
        log: folder.path().join("ca.log"),
    };
    let mut running = Running::start(&launch).unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], 9443));
    running.wait_ready(addr, Duration::from_secs(10)).unwrap();
    let root = folder.path().join("caddy/pki/authorities/local/root.crt");
    assert!(root.is_file(), "no root certificate: {}", running.log_tail());
    Authority { _running: running, _folder: folder, root }
}

fn plan(file: &SourceFile) -> Plan {
    let keys = [
        ("LAPTOP_KEY", "laptop-key-0123456789abcdefghijklmnop"),
        ("READER_KEY", "reader-key-0123456789abcdefghijklmnop"),
    ];
    let process = BTreeMap::from(keys.map(|(name, value)| (name.to_owned(), Secret::new(value))));
    let mut sink = Sink::default();
    let plan = validate::plan(file, &Variables { process, file: None }, &mut sink);
    plan.unwrap_or_else(|| panic!("{:?}", sink.list.iter().map(|problem| &problem.message).collect::<Vec<_>>()))
}

/// What answers on port 80 to what is no token.
fn plain_answers() -> Vec<(String, Option<u16>)> {
    let targets = ["/", "/health", "/api/tags", "/.well-known/acme-challenge/unknown-token"];
    let ask = |target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", NAMES[0]);
        wire::exchange(&Target::plain(SocketAddr::from(HTTP)), "GET", request.as_bytes(), Duration::from_secs(2)).status
    };
    targets.map(|target| (target.to_owned(), ask(target))).to_vec()
}

/// Waits until the name has a certificate of the CA.
fn issued(root: &[u8], name: &str) -> bool {
    let tls = TlsOptions { server_name: Some(name.to_owned()), ca_pem: Some(root.to_vec()), alpn: Vec::new() };
    let target = Target { addr: SocketAddr::from(([127, 0, 0, 1], 443)), source: None, tls: Some(tls) };
    let request = format!("GET /health HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    wire::exchange(&target, "GET", request.as_bytes(), Duration::from_secs(2)).status == Some(200)
}

fn certified(proxy: Proxy, program: &Path, caddy: &Path, trust: &str) {
    let authority = authority(caddy);
    let root = fs::read(&authority.root).unwrap();
    let file = SourceFile::new("llmguard.toml", "/policy/llmguard.toml", POLICY);
    let plan = plan(&file);
    let upstreams = stage::upstreams(&plan).unwrap();
    let addresses: Vec<SocketAddr> = upstreams.iter().map(Upstream::addr).collect();
    let mut moved = moved::moved(&plan, plan.listen.port, &addresses, Phase::Contract).unwrap();
    moved.plan.listen.tls = plan.listen.tls.clone();
    let mut stage = Stage::of(moved, upstreams, Form::of(proxy)).unwrap_or_else(|reason| panic!("{reason:?}"));
    stage.ca = Some(root.clone());
    let mut launch = stage.launch(program);
    launch.env.push((trust.into(), authority.root.clone().into()));
    let started = Instant::now();
    let mut engine = Engine::run(stage, &launch).unwrap_or_else(|reason| panic!("{reason:?}"));
    while let Some(name) = NAMES.iter().find(|name| !issued(&root, name)) {
        assert!(started.elapsed() < ISSUED, "no certificate for {name}:\n{}", engine.logs());
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("{}: certificates for {NAMES:?} after {:?}", proxy.target(), started.elapsed());
    let plain = plain_answers();
    assert!(plain.iter().all(|(_, status)| matches!(status, None | Some(403))), "port 80 answers: {plain:?}");
    let list = questions::questions(&engine.moved.plan, &engine.moved.passwords).unwrap();
    let report = prove::ask(&mut engine, &file, &list, |_| {});
    println!("{}: {} requests, forced {:?}; port 80: {plain:?}", report.server, report.asked, report.forced);
    assert!(report.asked >= FEWEST, "only {} requests", report.asked);
    let wrong: Vec<String> = report
        .wrong
        .iter()
        .map(|item| {
            format!("{}: {}: {}", item.question.name, shown(&item.question.request.target), item.complaints.join("; "))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(prove::leaks(&engine, &list), [""; 0]);
    engine.stop();
}

#[test]
fn caddy_gets_its_certificate_and_answers_by_the_policy() {
    const TEST: &str = "caddy_gets_its_certificate_and_answers_by_the_policy";
    let Some(caddy) = common::server(TEST, "LLMGUARD_CADDY") else { return };
    apart(TEST, || certified(Proxy::Caddy, &caddy, &caddy, "SSL_CERT_FILE"));
}

#[test]
fn traefik_gets_its_certificate_and_answers_by_the_policy() {
    const TEST: &str = "traefik_gets_its_certificate_and_answers_by_the_policy";
    let Some(caddy) = common::server(TEST, "LLMGUARD_CADDY") else { return };
    let Some(traefik) = common::server(TEST, "LLMGUARD_TRAEFIK") else { return };
    apart(TEST, || certified(Proxy::Traefik, &traefik, &caddy, "LEGO_CA_CERTIFICATES"));
}
