//! Real servers on loopback behind configs of a test's own, asked by request lines.
//!
//! In: a [`Config`] whose texts hold placeholders, requests as `decide` reads them. Out: an [`Answer`] for each, from the server or from
//! an evaluator. Invariant: every config has its own ports and folder, both gone with its [`Running`]; what the evaluator reads is what
//! the server reads.
//!
//! Placeholders, in configs, requests and expectations alike: `@PORT@` (a port of its own), `@LISTEN@` (`127.0.0.1:` and that port),
//! `@PORT2@`, `@LISTEN2@` and so on up to 4; `@UPSTREAM@`, `@UPSTREAM2@`, `@UPSTREAM3@` (stand-ins that answer 200, or as the request's
//! `X-Llmguard-Script: status:404` says); `@AUTH@` (one that answers 200 too, but isn't an upstream: what only it sees isn't proxied);
//! `@CLOSED@` (an address where nobody listens); `@ADMIN@` (one for Traefik's API); `@DIR@` (the folder); `@CERT@` and
//! `@KEY@` (files with a certificate for `*.test` and its key, made when a config names them); `@A8000@` (8000
//! times `a`); `@READY@` (among the routers of a Traefik file: one that tells when the file is loaded).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use llmguard::dialect::{Options, Variables};
use llmguard::http::line::Line;
use llmguard::http::{Request, Version};
use llmguard::policy::plan::Proxy;
pub use llmguard::prove::answer::Answer;
use llmguard::prove::config::docker::{Container, Engine};
use llmguard::prove::http2;
use llmguard::prove::server::{self, Launch, Running, Scratch};
use llmguard::prove::upstream::{PROBE, Seen, Upstream};
use llmguard::prove::wire::{self, End, Target, TlsOptions};
use serde_json::{Value, json};

/// No answer takes longer.
const DEADLINE: Duration = Duration::from_secs(30);
/// No server takes longer to start.
const START: Duration = Duration::from_secs(20);
/// Within this time a server has made its own certificates.
const CERTIFIED: Duration = Duration::from_secs(2);
/// How many listeners a config may have.
const PORTS: usize = 4;
/// How many upstreams.
const UPSTREAMS: usize = 3;

/// A server that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The oldest nginx that is supported.
    NginxOld,
    /// The current nginx.
    Nginx,
    /// Caddy.
    Caddy,
    /// Traefik.
    Traefik,
}

impl Kind {
    /// The variable that names its program.
    pub fn variable(self) -> &'static str {
        match self {
            Kind::NginxOld => "LLMGUARD_NGINX_OLD",
            Kind::Nginx => "LLMGUARD_NGINX",
            Kind::Caddy => "LLMGUARD_CADDY",
            Kind::Traefik => "LLMGUARD_TRAEFIK",
        }
    }

    fn proxy(self) -> Proxy {
        match self {
            Kind::NginxOld | Kind::Nginx => Proxy::Nginx,
            Kind::Caddy => Proxy::Caddy,
            Kind::Traefik => Proxy::Traefik,
        }
    }
}

/// What every nginx here needs in `http {}`: nothing is written outside of its folder. `@HTTP@` stands for it.
const NGINX_HTTP: &str = "access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; \
                          uwsgi_temp_path tmp; scgi_temp_path tmp;";
/// Traefik's static file where a config has none.
const TRAEFIK_STATIC: &str = "global: {checkNewVersion: false, sendAnonymousUsage: false}\n\
    entryPoints:\n  web: {address: \"@LISTEN@\"}\n  web2: {address: \"@LISTEN2@\"}\n  traefik: {address: \"@ADMIN@\"}\n\
    api: {insecure: true}\nproviders:\n  file: {filename: \"@DIR@/dynamic.yml\"}\n";

/// The Host by which a Traefik is asked whether its files are loaded, and the router that answers 418 then.
const READY: &str = "ready.llmguard.invalid";
const READY_ROUTER: &str =
    "llmguard-ready: {rule: \"Host(`ready.llmguard.invalid`)\", priority: 1000000, service: noop@internal}";

/// A config as it is written down: texts with placeholders.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The file that the server is started with; Traefik: the static file.
    pub main: String,
    /// Paths below the folder, and texts. An nginx main file without `http {` is put into one; a Traefik config without its main file
    /// gets one with the entry points `web` and `web2` and the file provider for `dynamic.yml`.
    pub files: BTreeMap<String, String>,
    /// The server's environment.
    pub variables: BTreeMap<String, String>,
}

/// The stand-ins, one set for each thread that asks.
pub struct Stand {
    upstreams: Vec<Upstream>,
    auth: Upstream,
}

impl Stand {
    /// Starts them.
    pub fn start() -> Stand {
        let start = || Upstream::answering("status:200").unwrap();
        Stand { upstreams: (0..UPSTREAMS).map(|_| start()).collect(), auth: start() }
    }
}

/// A config in a folder of its own, with its ports.
pub struct Laid {
    folder: Scratch,
    config: Config,
    ports: Vec<u16>,
    places: Vec<(String, String)>,
    admin: SocketAddr,
    _engine: Option<Engine>,
}

/// What an evaluator is given.
#[derive(Debug, Clone)]
pub struct Given {
    /// The main file.
    pub main: PathBuf,
    /// The server's environment; what isn't in it is unset.
    pub variables: BTreeMap<String, String>,
    /// The version of the server.
    pub version: (u32, u32, u32),
}

impl Given {
    /// The same as a reader takes it.
    pub fn options(&self) -> Options {
        let values = self.variables.clone();
        let variables = Variables { values, complete: true, ..Default::default() };
        Options { root: None, variables, nginx_version: Some(self.version), ..Options::default() }
    }
}

/// A port that nobody else has.
fn port() -> u16 {
    llmguard::prove::server::free_port().unwrap()
}

/// A certificate for `*.test` and its key, the same for all configs.
fn identity() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["*.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}

impl Laid {
    /// Writes a config into a new folder.
    pub fn new(kind: Kind, config: &Config, stand: &Stand) -> Laid {
        let folder = Scratch::new().unwrap();
        let ports: Vec<u16> = (0..PORTS).map(|_| port()).collect();
        let mut places = Vec::new();
        for (index, port) in ports.iter().enumerate() {
            let number = if index == 0 { String::new() } else { (index + 1).to_string() };
            places.push((format!("@PORT{number}@"), port.to_string()));
            places.push((format!("@LISTEN{number}@"), format!("127.0.0.1:{port}")));
        }
        for (index, upstream) in stand.upstreams.iter().enumerate() {
            let number = if index == 0 { String::new() } else { (index + 1).to_string() };
            places.push((format!("@UPSTREAM{number}@"), upstream.addr().to_string()));
        }
        let admin = SocketAddr::from(([127, 0, 0, 1], port()));
        places.push(("@AUTH@".to_owned(), stand.auth.addr().to_string()));
        places.push(("@CLOSED@".to_owned(), format!("127.0.0.1:{}", port())));
        places.push(("@ADMIN@".to_owned(), admin.to_string()));
        places.push(("@DIR@".to_owned(), folder.path().display().to_string()));
        places.push(("@READY@".to_owned(), READY_ROUTER.to_owned()));
        let engine = stand_in(config, &places);
        let endpoint = engine.as_ref().map(|engine| format!("tcp://{}", engine.addr()));
        places.push(("@ENGINE@".to_owned(), endpoint.or(std::env::var(ENGINE).ok()).unwrap_or_default()));
        places.push(("@HTTP@".to_owned(), NGINX_HTTP.to_owned()));
        let mut config = config.clone();
        match kind.proxy() {
            Proxy::Nginx => {
                let main = config.files.get_mut(&config.main).unwrap();
                if !main.contains("http {") {
                    *main = format!("events {{}}\nhttp {{\n@HTTP@\n{main}\n}}\n");
                }
            }
            Proxy::Traefik if is_words(&config.main) => {}
            Proxy::Traefik => {
                config.files.entry(config.main.clone()).or_insert_with(|| TRAEFIK_STATIC.to_owned());
            }
            Proxy::Caddy => {}
        }
        let all: String = config.files.values().map(String::as_str).collect();
        for (place, name, text) in [("@CERT@", "tls.pem", &identity().0), ("@KEY@", "tls.key", &identity().1)] {
            if all.contains(place) {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            places.push((place.to_owned(), folder.path().join(name).display().to_string()));
        }
        let laid = Laid { folder, config, ports, places, admin, _engine: engine };
        for (path, text) in &laid.config.files {
            let path = laid.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, laid.filled(text)).unwrap();
        }
        laid
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Traefik's flags, a line each, where it has no static file; none where its environment holds its settings.
    fn flags(&self) -> Option<Vec<String>> {
        let text = || std::fs::read_to_string(self.path(&self.config.main)).unwrap_or_default();
        is_words(&self.config.main).then(|| text().lines().map(str::to_owned).collect())
    }

    /// A text without placeholders.
    pub fn filled(&self, text: &str) -> String {
        if !text.contains('@') {
            return text.to_owned();
        }
        let text = self.places.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("@A") {
            let (number, behind) = after.split_once('@').unwrap_or((after, ""));
            match number.parse::<usize>() {
                Ok(number) => out.extend([before, &"a".repeat(number)]),
                Err(_) => out.extend([before, "@A", number, "@"]),
            }
            rest = behind;
        }
        out + rest
    }

    /// The same for every string of a JSON value.
    pub fn filled_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.filled(text)),
            Value::Array(list) => list.iter().map(|item| self.filled_json(item)).collect(),
            Value::Object(object) => object
                .iter()
                .map(|(name, item)| (name.clone(), self.filled_json(item)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// A text with the placeholders of this folder put back, so that two runs print the same.
    pub fn unfilled(&self, text: &str) -> String {
        let mut places: Vec<_> =
            self.places.iter().filter(|(name, value)| name != "@HTTP@" && !value.is_empty()).collect();
        places.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        places.into_iter().fold(text.to_owned(), |text, (name, value)| text.replace(value.as_str(), name))
    }

    /// What an evaluator is given.
    pub fn given(&self, version: (u32, u32, u32)) -> Given {
        let variables = self.config.variables.iter().map(|(name, value)| (name.clone(), self.filled(value))).collect();
        Given { main: self.path(&self.config.main), variables, version }
    }

    /// A request line with its port's number (from 1; default 1) for the port, and besides `"chunked": true`.
    pub fn ask(&self, line: &Value) -> Ask {
        let mut line = self.filled_json(line);
        let fields = line.as_object_mut().expect("a request line is an object");
        let number = fields.get("port").map_or(1, |port| usize::try_from(port.as_u64().unwrap()).unwrap());
        let port = self.ports[number - 1];
        fields.insert("port".to_owned(), port.into());
        let chunked = fields.remove("chunked").is_some_and(|chunked| chunked == Value::Bool(true));
        if chunked && fields.get("http").is_none_or(|version| version != "2") {
            let headers = fields.entry("headers").or_insert_with(|| Value::Array(Vec::new()));
            headers.as_array_mut().expect("headers are a list").push(json!(["Transfer-Encoding", "chunked"]));
        }
        let line = Line::read(line).unwrap_or_else(|reason| panic!("no request line: {reason}"));
        let request =
            line.request(&format!("127.0.0.1:{port}")).unwrap_or_else(|reason| panic!("no request: {reason}"));
        Ask { request, chunked }
    }

    /// Starts the server and waits until it answers. Errors: why it doesn't, with the end of its log.
    pub fn start<'s>(self, kind: Kind, program: &Path, stand: &'s Stand) -> Result<Site<'s>, String> {
        let folder = self.folder.path().to_owned();
        let text = |text: &str| std::ffi::OsString::from(text);
        let mut env: Vec<_> =
            self.given((0, 0, 0)).variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        env.push((text("HOME"), folder.clone().into()));
        let main = self.config.main.as_str();
        let args = match kind.proxy() {
            Proxy::Nginx => {
                std::fs::create_dir_all(folder.join("tmp")).unwrap();
                let root = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
                let globals = format!("daemon off; master_process off; worker_processes 1; pid nginx.pid; {root}");
                ["-e", "stderr", "-p", ".", "-c", main, "-g", &globals].map(text).to_vec()
            }
            Proxy::Caddy => {
                env.push((text("XDG_DATA_HOME"), folder.join("data").into()));
                env.push((text("XDG_CONFIG_HOME"), folder.join("config").into()));
                env.push((text("CADDY_ADMIN"), format!("unix/{}/admin.sock", folder.display()).into()));
                let adapter: &[&str] = if main.ends_with(".json") { &[] } else { &["--adapter", "caddyfile"] };
                ["run", "--config", main].iter().chain(adapter).map(|word| text(word)).collect()
            }
            Proxy::Traefik => match self.flags() {
                Some(flags) => flags.iter().map(|flag| text(flag)).collect(),
                None => vec![text(&format!("--configFile={main}"))],
            },
        };
        let labelled = self.config.files.keys().filter(|file| file.ends_with(".labels"));
        let containers = Containers::start(labelled.map(|file| self.path(file)).collect())?;
        let log = folder.join("server.log");
        let launch = Launch { program: program.to_owned(), args, env, cwd: folder, log };
        let mut running = Running::start(&launch)?;
        let texts = self.config.files.values().chain(self.config.variables.values());
        let all: String = texts.map(String::as_str).collect();
        let is_named = |number: &str| ["PORT", "LISTEN"].iter().any(|word| all.contains(&format!("@{word}{number}@")));
        let numbers = ["", "2", "3", "4"].into_iter().zip(&self.ports);
        let named: Vec<SocketAddr> = numbers
            .filter(|(number, _)| is_named(number))
            .map(|(_, port)| SocketAddr::from(([127, 0, 0, 1], *port)))
            .collect();
        for addr in &named {
            running.wait_ready(*addr, START)?;
        }
        let site = Site { laid: self, running, stand, started: Instant::now(), _containers: containers };
        if kind == Kind::Traefik {
            site.wait_loaded(if all.contains("@READY@") || all.contains(READY) { &named } else { &[] });
        }
        Ok(site)
    }
}

/// A request and how its body goes out.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The request.
    pub request: Request,
    chunked: bool,
}

impl Ask {
    fn body(&self) -> Vec<u8> {
        self.request.body.clone().unwrap_or_else(|| vec![b'x'; usize::try_from(self.request.body_bytes).unwrap()])
    }

    fn has(&self, name: &str) -> bool {
        self.request.header(name).next().is_some()
    }

    /// The request on an HTTP/1 wire: its own bytes, a number by which the stand-ins know it, `Connection: close` where it has no
    /// Connection, and its body's framing.
    fn bytes(&self, id: u64) -> Vec<u8> {
        let request = &self.request;
        let version: &[u8] = if request.version == Version::Http10 { b"1.0" } else { b"1.1" };
        let mut out = [&request.method[..], b" ", &request.target, b" HTTP/", version, b"\r\n"].concat();
        for (name, value) in &request.headers {
            out.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
        }
        out.extend(format!("{PROBE}: {id}\r\n").as_bytes());
        if !self.has("connection") {
            out.extend(b"Connection: close\r\n");
        }
        let body = self.body();
        if self.chunked {
            out.extend(b"\r\n");
            for chunk in body.chunks(16 << 10) {
                out.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            out.extend(b"0\r\n\r\n");
        } else {
            if !body.is_empty() && !self.has("content-length") {
                out.extend(format!("Content-Length: {}\r\n", body.len()).as_bytes());
            }
            out.extend(b"\r\n");
            out.extend(body);
        }
        out
    }

    fn fields(&self, id: u64) -> (Vec<http2::Field>, Vec<u8>) {
        let request = &self.request;
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let host = request.header("host").next().map(lossy).unwrap_or_default();
        let own = request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
        let mut headers: Vec<http2::Field> =
            own.map(|(name, value)| (lossy(name).to_ascii_lowercase(), value.clone())).collect();
        headers.push((PROBE.to_ascii_lowercase(), id.to_string().into_bytes()));
        let body = self.body();
        if !self.chunked && !body.is_empty() && !self.has("content-length") {
            headers.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
        }
        let scheme = if request.tls == Some(true) { "https" } else { "http" };
        (http2::fields(&lossy(&request.method), scheme, &host, &request.target, &headers), body)
    }
}

/// A server that runs.
pub struct Site<'s> {
    /// Its config.
    pub laid: Laid,
    running: Running,
    stand: &'s Stand,
    started: Instant,
    _containers: Containers,
}

/// Whether a Traefik with this main file has no static one: `flags` (or `….flags`) holds its flags, with `environment` it has none.
pub fn is_words(main: &str) -> bool {
    main == "environment" || main.ends_with("flags")
}

/// The variable that names a Docker engine's socket.
pub const ENGINE: &str = "LLMGUARD_DOCKER_HOST";

/// Where a file of labels says what the health check of its container says, such as `# health: unhealthy`.
const HEALTH: &str = "# health: ";

/// What stands for a Docker engine where there is none: the containers of a config's files with labels. Absent: it has none, or there is one.
fn stand_in(config: &Config, places: &[(String, String)]) -> Option<Engine> {
    let labelled = || config.files.iter().filter(|(file, _)| file.ends_with(".labels"));
    if std::env::var_os(ENGINE).is_some() || labelled().next().is_none() {
        return None;
    }
    let container = |(file, text): (&String, &String)| {
        let text = places.iter().fold(text.clone(), |text, (name, value)| text.replace(name, value));
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        Container {
            name: file.trim_end_matches(".labels").to_owned(),
            labels: lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            health: text.lines().find_map(|line| line.strip_prefix(HEALTH)).map(str::to_owned),
            ..Container::default()
        }
    };
    Some(Engine::start(labelled().map(container).collect()).unwrap())
}

/// Containers that are there for their labels alone, and gone with this value.
struct Containers(Vec<String>);

impl Containers {
    /// Starts one for each file with labels, named as the file. Errors: what Docker says.
    fn start(files: Vec<PathBuf>) -> Result<Containers, String> {
        let mut all = Containers(Vec::new());
        if std::env::var_os(ENGINE).is_none() {
            return Ok(all);
        }
        for file in files {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            let image = std::env::var("LLMGUARD_DOCKER_IMAGE").map_err(|_| "there is no Docker engine".to_owned())?;
            let labels = file.display().to_string();
            let sick = std::fs::read_to_string(&file).unwrap().contains(HEALTH);
            let health: &[&str] = if sick { &["--health-cmd", "false", "--health-interval", "1s"] } else { &[] };
            docker(&["rm", "--force", &name])?;
            let run = ["run", "--detach", "--network", "none", "--name", &name, "--label-file", &labels];
            docker(&[&run, health, &[&image, "sleep", "600"]].concat())?;
            all.0.push(name);
        }
        Ok(all)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = docker(&["rm", "--force", name]);
        }
    }
}

fn docker(words: &[&str]) -> Result<(), String> {
    let host = std::env::var(ENGINE).map_err(|_| "there is no Docker engine".to_owned())?;
    let output = std::process::Command::new("docker").args(["--host", &host]).args(words).output();
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() || said.contains("No such container") { Ok(()) } else { Err(said) }
}

impl Site<'_> {
    /// Sends a request.
    pub fn answer(&self, ask: &Ask) -> Answer {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let request = &ask.request;
        let before: Vec<usize> = self.stand.upstreams.iter().map(Upstream::count).collect();
        let addr = SocketAddr::from(([127, 0, 0, 1], request.port.unwrap()));
        let tls = TlsOptions { server_name: request.server_name(), ca_pem: None, alpn: Vec::new() };
        let target = Target { addr, source: Some(request.client_ip), tls: (request.tls == Some(true)).then_some(tls) };
        let send = || {
            if request.version == Version::Http2 {
                let (fields, body) = ask.fields(id);
                http2::exchange(&target, &fields, &body, DEADLINE)
            } else {
                wire::exchange(&target, &String::from_utf8_lossy(&request.method), &ask.bytes(id), DEADLINE)
            }
        };
        let mut exchange = send();
        // A certificate of the server's own may take a moment after its start.
        while matches!(exchange.end, End::Handshake(_)) && self.started.elapsed() < CERTIFIED {
            std::thread::sleep(Duration::from_millis(100));
            exchange = send();
        }
        // A request before may arrive late; one whose number was taken away is this one.
        let own = |seen: &Seen| seen.id.is_none_or(|seen| seen == id);
        let mut upstreams = self.stand.upstreams.iter().zip(before);
        let seen = upstreams.find_map(|(upstream, before)| {
            Some((upstream.addr().port(), upstream.since(before).into_iter().find(own)?))
        });
        Answer::observed(&exchange, seen.as_ref().map(|(port, seen)| (SocketAddr::from(([127, 0, 0, 1], *port)), seen)))
    }

    /// The end of the server's log.
    pub fn log(&self) -> String {
        self.running.log_tail()
    }

    /// Traefik answers 404 to everything until its files are loaded: waits until its API shows a router of theirs or an error is
    /// logged, then until every entry point (which are switched one by one) knows the router [`READY`].
    fn wait_loaded(&self, entry_points: &[SocketAddr]) {
        let until = Instant::now() + START;
        let ask = |target: &Target, host: &str, path: &str| {
            let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            wire::exchange(target, "GET", head.as_bytes(), DEADLINE)
        };
        while Instant::now() < until {
            let routers = ask(&Target::plain(self.laid.admin), "x", "/api/http/routers?per_page=1000");
            let body = String::from_utf8_lossy(&routers.body);
            if body.contains("@file\"") || body.contains("@docker\"") {
                break;
            }
            // Its own routers are there a moment later.
            let own = String::from_utf8_lossy(&routers.body).contains("@internal\"");
            if own && self.log().contains("Error while building configuration") {
                std::thread::sleep(Duration::from_millis(300));
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let until = Instant::now() + Duration::from_secs(3);
        for addr in entry_points {
            let plain = Target::plain(*addr);
            let tls = TlsOptions { server_name: None, ca_pem: None, alpn: Vec::new() };
            let ways = [Target { tls: Some(tls), ..plain.clone() }, plain];
            let knows = |way: &Target| ask(way, READY, "/").status == Some(418);
            while Instant::now() < until && !ways.iter().rev().any(knows) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// The version of a server's program.
pub fn version(kind: Kind, program: &Path) -> (u32, u32, u32) {
    let text = server::version(program, kind.proxy()).unwrap();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}
