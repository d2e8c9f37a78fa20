//! Repairs on the real servers: what comes out is loaded, says what it should, and isn't changed again.
//!
//! In: `fixtures/repair`, whole configs, in which `@PORT@` and `@OTHER@` are free ports. Out: one failure for each repair that its server refuses or
//! that doesn't do what it says. Needs the servers that `tests/servers/install.sh` installs.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use llmguard::diag::Sink;
use llmguard::dialect::{Options, Variables};
use llmguard::gateway::eval::evaluate;
use llmguard::gateway::outcome::Outcome;
use llmguard::gateway::{Setting, TimeoutOf};
use llmguard::http::line::Line;
use llmguard::project;
use llmguard::project::repair::{Repair, Workbench};
use llmguard::prove::server::{Launch, Running};
use llmguard::source::{SourceFile, Span};

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(10);

/// A config in a folder of its own.
struct Config {
    folder: tempfile::TempDir,
    name: &'static str,
    ports: [u16; 2],
}

fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

impl Config {
    fn new(name: &'static str) -> Config {
        let ports = free_ports();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/repair").join(name);
        let text = fs::read_to_string(source).unwrap();
        let text = text.replace("@PORT@", &ports[0].to_string()).replace("@OTHER@", &ports[1].to_string());
        let config = Config { folder: tempfile::tempdir().unwrap(), name, ports };
        fs::write(config.path(), text).unwrap();
        config
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// Repairs what stands at the last place of a text; doing it again must change nothing.
    #[track_caller]
    fn mend(&self, at: &str, wanted: &Repair) {
        let mut text = self.text();
        let changes = self.changes(&text, at, wanted);
        let mut changes = changes.unwrap_or_else(|| panic!("{}: {wanted:?} at `{at}` changes nothing", self.name));
        changes.sort();
        for change in changes.iter().rev() {
            text.replace_range(change.span.start..change.span.end, &change.text);
        }
        fs::write(self.path(), &text).unwrap();
        if *wanted != Repair::Remove {
            assert_eq!(self.changes(&text, at, wanted), None, "{}: {wanted:?} twice:\n{text}", self.name);
        }
    }

    fn changes(&self, text: &str, at: &str, wanted: &Repair) -> Option<Vec<project::repair::Change>> {
        let start = text.rfind(at).unwrap();
        let file = SourceFile::new(self.name, self.path(), text);
        Workbench::new(&[file]).repair(0, Span { start, end: start + at.len() }, wanted)
    }

    /// What a request gets that somebody with a key sends.
    fn outcome(&self, target: &str) -> Outcome {
        let options = Options { variables: Variables { complete: true, ..Variables::default() }, ..Options::default() };
        let mut sink = Sink::default();
        let systems = project::load(&[self.path()], None, &options, &mut sink);
        assert!(!sink.has_errors(), "{:?}\n{}", sink.list, self.text());
        let line = serde_json::json!({"method": "POST", "target": target, "headers": [["X-API-Key", "k"]]});
        let request = Line::read(line).unwrap().request("llm.test").unwrap();
        evaluate(&systems[0].gateway, &request)
    }

    fn ran(&self, program: &Path, args: &[&str]) {
        let out = Command::new(program)
            .args(args)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{}\n{said}\n{}", self.name, self.text());
    }
}

/// What is in force: the last of a kind.
fn in_force(outcome: &Outcome, like: &Setting) -> bool {
    let same = |other: &&Setting| match (other, like) {
        (Setting::Timeout(one, _), Setting::Timeout(other, _)) => one == other,
        (one, other) => std::mem::discriminant(*one) == std::mem::discriminant(other),
    };
    outcome.settings().map(|(setting, _)| setting).rfind(same) == Some(like)
}

fn has_key(outcome: &Outcome) -> bool {
    outcome.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case(b"x-api-key") && !value.is_empty())
}

#[test]
fn nginx_loads_what_is_mended() {
    let (Some(old), Some(new)) =
        (common::server("repair::nginx", "LLMGUARD_NGINX_OLD"), common::server("repair::nginx", "LLMGUARD_NGINX"))
    else {
        return;
    };
    let config = Config::new("nginx.conf");
    fs::write(config.folder.path().join("users"), "a:b\n").unwrap();
    let before = config.outcome("/v1/models");
    assert!(has_key(&before) && before.limits.iter().any(|(limit, _)| limit.refusal == 503 && limit.waits));
    for at in ["location /v1/", "proxy_pass http://127.0.0.1:11434; #"] {
        config.mend(at, &Repair::Timeout(TimeoutOf::Read, LONG));
        config.mend(at, &Repair::Timeout(TimeoutOf::UpstreamSend, LONG));
        config.mend(at, &Repair::StreamAnswers);
        config.mend(at, &Repair::UpstreamHttp11);
        config.mend(at, &Repair::BodyLimit(25 << 20));
        config.mend(at, &Repair::AuthFile("users".to_owned()));
    }
    config.mend("proxy_pass", &Repair::DropHeader("X-API-Key".to_owned()));
    config.mend("proxy_pass", &Repair::UpstreamHost("localhost:11434".to_owned()));
    config.mend("server_name", &Repair::HideVersion);
    config.mend("server_name", &Repair::NoCompression);
    config.mend("server_name", &Repair::Timeout(TimeoutOf::ClientHeader, SHORT));
    config.mend("limit_req zone", &Repair::RateStatus(429));
    config.mend("limit_req zone", &Repair::RefuseAtOnce);
    config.mend("limit_conn open", &Repair::ConnectionsStatus(429));
    for program in [&old, &new] {
        config.ran(program, &["-t", "-q", "-e", "stderr", "-p", ".", "-c", config.path().to_str().unwrap()]);
    }
    for target in ["/v1/models", "/api/chat"] {
        let after = config.outcome(target);
        for setting in [
            Setting::Timeout(TimeoutOf::Read, Some(LONG)),
            Setting::Timeout(TimeoutOf::UpstreamSend, Some(LONG)),
            Setting::Timeout(TimeoutOf::ClientHeader, Some(SHORT)),
            Setting::BufferResponses(false),
            Setting::UpstreamHttp("1.1"),
            Setting::BodyLimit(Some(25 << 20)),
            Setting::ShowsVersion(false),
        ] {
            assert!(in_force(&after, &setting), "{setting:?} isn't in force:\n{}", config.text());
        }
        let holds = |(setting, _): (&Setting, _)| matches!(setting, Setting::Compress(types) if !types.is_empty());
        assert!(!after.settings().any(holds), "{}", config.text());
        assert!(!has_key(&after), "{}", config.text());
        assert!(after.limits.iter().all(|(limit, _)| limit.refusal == 429 && !limit.waits), "{}", config.text());
    }
    config.mend("server_name", &Repair::Remove);
    config.ran(&new, &["-t", "-q", "-e", "stderr", "-p", ".", "-c", config.path().to_str().unwrap()]);
}

#[test]
fn caddy_loads_what_is_mended() {
    let Some(caddy) = common::server("repair::caddy", "LLMGUARD_CADDY") else { return };
    let config = Config::new("Caddyfile");
    assert!(has_key(&config.outcome("/api/chat")));
    let at = "reverse_proxy";
    config.mend(at, &Repair::DropHeader("X-API-Key".to_owned()));
    config.mend(at, &Repair::UpstreamHost("localhost:11434".to_owned()));
    config.mend(at, &Repair::Timeout(TimeoutOf::Read, LONG));
    config.mend(at, &Repair::Timeout(TimeoutOf::UpstreamSend, LONG));
    config.mend(at, &Repair::StreamAnswers);
    config.mend(at, &Repair::BodyLimit(25 << 20));
    config.mend(at, &Repair::Timeout(TimeoutOf::ClientHeader, SHORT));
    config.mend(at, &Repair::Timeout(TimeoutOf::KeepAlive, LONG));
    config.mend(at, &Repair::CloseAdmin);
    config.ran(&caddy, &["validate", "--adapter", "caddyfile", "--config", "Caddyfile"]);
    let after = config.outcome("/api/chat");
    for setting in [
        Setting::Timeout(TimeoutOf::Read, Some(LONG)),
        Setting::Timeout(TimeoutOf::UpstreamSend, Some(LONG)),
        Setting::Timeout(TimeoutOf::ClientHeader, Some(SHORT)),
        Setting::Timeout(TimeoutOf::KeepAlive, Some(LONG)),
        Setting::BodyLimit(Some(25 << 20)),
    ] {
        assert!(in_force(&after, &setting), "{setting:?} isn't in force:\n{}", config.text());
    }
    assert!(!has_key(&after), "{}", config.text());
    config.mend("respond", &Repair::Remove);
    config.ran(&caddy, &["validate", "--adapter", "caddyfile", "--config", "Caddyfile"]);
}

#[test]
fn traefik_loads_what_is_mended() {
    let Some(traefik) = common::server("repair::traefik", "LLMGUARD_TRAEFIK") else { return };
    for name in ["traefik.yml", "traefik.toml"] {
        let config = Config::new(name);
        let web = format!("127.0.0.1:{}", config.ports[0]);
        config.mend(&web, &Repair::Timeout(TimeoutOf::ClientHeader, SHORT));
        config.mend(&web, &Repair::Timeout(TimeoutOf::Send, LONG));
        config.mend(&web, &Repair::Timeout(TimeoutOf::KeepAlive, LONG));
        config.mend("insecure", &Repair::CloseAdmin);
        let launch = Launch {
            program: traefik.clone(),
            args: vec![format!("--configFile={name}").into()],
            env: Vec::new(),
            cwd: config.folder.path().to_owned(),
            log: config.folder.path().join("log"),
        };
        let mut running = Running::start(&launch).unwrap();
        let ready = running.wait_ready(SocketAddr::from(([127, 0, 0, 1], config.ports[0])), Duration::from_secs(30));
        assert!(ready.is_ok(), "{name}: {ready:?} {}\n{}", running.log_tail(), config.text());
        running.stop(Duration::from_secs(10));
        assert!(config.text().contains("# here"), "{}", config.text());
    }
}

#[test]
fn compose_reads_what_is_mended() {
    let Some(compose) = common::server("repair::compose", "LLMGUARD_COMPOSE") else { return };
    let config = Config::new("docker-compose.yml");
    config.mend("11434:11434\"", &Repair::OnLoopback);
    config.mend("target: 8080", &Repair::OnLoopback);
    config.mend("--api.insecure", &Repair::CloseAdmin);
    config.mend("--entryPoints.web.address", &Repair::Timeout(TimeoutOf::Send, LONG));
    config.mend("traefik:3", &Repair::Value("traefik:3.7.15".to_owned()));
    config.mend("version", &Repair::Remove);
    config.ran(&compose, &["-f", "docker-compose.yml", "config", "-q"]);
    let text = config.text();
    for line in [
        "      - \"127.0.0.1:11434:11434\" # all\n",
        "        host_ip: 127.0.0.1\n",
        "      - --api.insecure=false\n",
        "      - --entrypoints.web.transport.respondingTimeouts.writeTimeout=600s\n",
        "    image: traefik:3.7.15\n",
    ] {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
    assert!(text.starts_with("services:"), "{text}");
}
