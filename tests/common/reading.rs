//! Rendered files as their servers read them: checks by the real programs, and the texts inside.
//!
//! In: a folder that a target was written to. Out: what the server says against it, or the strings that it reads. Invariant: every
//! child is one of the test's own and has ended before a function returns.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use llmguard::policy::plan::{Log, LogPath, Plan, Tls};
use llmguard::prove::server::{self, Launch, Running};
use llmguard::render::target::Target;
use llmguard::render::write::write;
use llmguard::render::{Output, Site, internal_tls};
use serde_json::Value;

/// The plan as it can run here: on loopback, without a CA of the outside and without folders of the machine.
pub fn aside(plan: &Plan, port: u16) -> Plan {
    let mut plan = plan.clone();
    plan.listen.address = [127, 0, 0, 1].into();
    plan.listen.port = port;
    for (at, server) in plan.upstream.servers.iter_mut().enumerate() {
        // Names that nobody resolves end nginx's start.
        (server.host, server.port) = ("127.0.0.1".to_owned(), 9000 + at as u16);
    }
    if let Tls::Auto { .. } = plan.listen.tls {
        plan.listen.tls = Tls::Internal;
    }
    if let Log::Json(LogPath::File(path)) = &plan.log
        && path.starts_with('/')
    {
        plan.log = Log::Json(LogPath::Default);
    }
    plan
}

/// Renders for one target.
pub fn render(target: &str, plan: &Plan) -> Output {
    Target::find(target)
        .unwrap()
        .render(plan, &Site { command: format!("llmguard render --target {target}"), root: false })
}

/// Writes an output below `dir`, with the certificate that `tls = "internal"` needs.
pub fn put(dir: &Path, plan: &Plan, output: &Output) {
    write(dir, &output.files, &output.folders).unwrap();
    if plan.listen.tls == Tls::Internal {
        let made = internal_tls::internal(&plan.listen.server_names, None, std::time::SystemTime::now()).unwrap();
        for folder in ["nginx", "caddy", "traefik"] {
            fs::create_dir_all(dir.join(folder).join("tls")).unwrap();
            fs::write(dir.join(folder).join("tls/leaf.pem"), &made.leaf_pem).unwrap();
            fs::write(dir.join(folder).join("tls/leaf.key"), made.leaf_key.reveal()).unwrap();
        }
    }
}

/// Runs a program in `dir` with nothing but these variables; its output, or what it said as it failed.
pub fn run(
    program: &Path,
    dir: &Path,
    args: &[&str],
    env: &BTreeMap<String, String>,
) -> Result<(String, String), String> {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).env_clear().envs(env).env("HOME", dir).env("XDG_DATA_HOME", dir.join("data"));
    command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok((text(&output.stdout), text(&output.stderr)))
    } else {
        Err(format!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr)))
    }
}

/// `nginx -t`; warnings count, but the one about `listen … http2`, which 1.22 needs.
pub fn nginx(program: &Path, dir: &Path, plan: &Plan) -> Result<(), String> {
    let mut globals = "daemon off; user root;".to_owned();
    if !plan.access.models.is_empty()
        && let Some(module) = server::nginx_module(program, "ngx_http_js_module.so")
    {
        globals.push_str(&format!(" load_module {};", module.display()));
    }
    let args = ["-t", "-e", "stderr", "-p", ".", "-c", "nginx.conf", "-g", &globals];
    let (_, said) = run(program, &dir.join("nginx"), &args, &BTreeMap::new())?;
    let complaint = |line: &&str| {
        ["[warn]", "[error]", "[alert]", "[emerg]"].iter().any(|level| line.contains(level))
            && !line.contains("\"listen ... http2\" directive is deprecated")
    };
    match said.lines().find(complaint) {
        Some(line) => Err(line.to_owned()),
        None => Ok(()),
    }
}

/// `caddy validate`, and the configuration as Caddy reads it.
pub fn caddy(program: &Path, dir: &Path, env: &BTreeMap<String, String>) -> Result<Value, String> {
    let dir = dir.join("caddy");
    run(program, &dir, &["validate", "--config", "Caddyfile", "--adapter", "caddyfile"], env)?;
    let (json, _) = run(program, &dir, &["adapt", "--config", "Caddyfile", "--adapter", "caddyfile"], env)?;
    serde_json::from_str(&json).map_err(|error| format!("{error}: {json}"))
}

/// [`traefik_once`], again with other ports when somebody else took one of them meanwhile.
pub fn traefik(program: &Path, dir: &Path, env: &BTreeMap<String, String>) -> Result<Value, String> {
    let mut outcome = Err(String::new());
    let address = regex::Regex::new("127[.]0[.]0[.]1:[0-9]+\"").unwrap();
    for _ in 0..3 {
        outcome = traefik_once(program, dir, env);
        if !outcome.as_ref().is_err_and(|said| said.contains("address already in use")) {
            break;
        }
        let path = dir.join("traefik/traefik.yml");
        let port = format!("127.0.0.1:{}\"", server::free_port().unwrap());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, address.replace(&text, port).as_bytes()).unwrap();
    }
    outcome
}

/// Starts Traefik on what was written; the configuration as it reads it. Its log must hold no error and each router be enabled.
fn traefik_once(program: &Path, dir: &Path, env: &BTreeMap<String, String>) -> Result<Value, String> {
    let dir = dir.join("traefik");
    let api = SocketAddr::from(([127, 0, 0, 1], server::free_port().unwrap()));
    let text = fs::read_to_string(dir.join("traefik.yml")).unwrap();
    let opened = text.replacen(
        "\nentryPoints:\n",
        &format!("\napi: {{insecure: true}}\nentryPoints:\n  traefik: {{address: \"{api}\"}}\n"),
        1,
    );
    assert_ne!(text, opened);
    fs::write(dir.join("test.yml"), opened).unwrap();
    let env: Vec<(OsString, OsString)> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let args = vec!["--configFile=test.yml".into()];
    let log = dir.join("server.log");
    let _ = fs::remove_file(&log);
    let mut running =
        Running::start(&Launch { program: program.to_owned(), args, env, cwd: dir.clone(), log: log.clone() })?;
    running.wait_ready(api, Duration::from_secs(20))?;
    let until = Instant::now() + Duration::from_secs(20);
    let data = loop {
        let data = get(api, "/api/rawdata").unwrap_or_default();
        let routers = data["routers"].as_object().into_iter().flatten();
        if routers.filter(|(name, _)| name.ends_with("@file")).count() > 0 {
            break data;
        }
        if Instant::now() > until {
            return Err(format!("nothing was loaded: {}", running.log_tail()));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    running.stop(Duration::from_millis(300));
    for part in ["routers", "middlewares", "services"] {
        for (name, item) in data[part].as_object().into_iter().flatten() {
            if item["status"] != "enabled" || !item["error"].is_null() {
                return Err(format!("{part} {name}: {item}"));
            }
        }
    }
    let log = fs::read_to_string(log).unwrap();
    match log.lines().find(|line| line.contains("ERR") || line.contains("\"level\":\"error\"")) {
        Some(line) => Err(line.to_owned()),
        None => Ok(data),
    }
}

fn get(addr: SocketAddr, path: &str) -> Option<Value> {
    let mut socket = TcpStream::connect_timeout(&addr, Duration::from_secs(1)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8(answer).ok()?;
    serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
}

/// `docker compose config` of some files; the project as Compose reads it.
pub fn compose(program: &Path, dir: &Path, files: &[&str], env: &BTreeMap<String, String>) -> Result<Value, String> {
    let lines: String = env.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
    fs::write(dir.join(".env"), lines).unwrap();
    let mut args: Vec<&str> = files.iter().flat_map(|file| ["-f", *file]).collect();
    args.extend(["config", "--format", "json"]);
    let (json, said) = run(program, dir, &args, &BTreeMap::new())?;
    if !said.is_empty() {
        return Err(said);
    }
    serde_json::from_str(&json).map_err(|error| format!("{error}: {json}"))
}
