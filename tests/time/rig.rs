//! A running server and how it is asked. In: a policy's text. Out: exchanges, what reached the stand-ins, and a list of what is wrong.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use llmguard::diag::Sink;
use llmguard::policy::plan::Proxy;
use llmguard::policy::validate;
use llmguard::policy::variables::Variables;
use llmguard::prove::engine::Engine;
use llmguard::prove::moved::Phase;
use llmguard::prove::question::Question;
use llmguard::prove::upstream::{PROBE, Seen};
use llmguard::prove::wire::{self, Exchange, Leave, Part};
use llmguard::secret::Secret;
use llmguard::source::SourceFile;

/// The key of `laptop`.
pub const KEY: &str = "lp_0123456789abcdefABCDEF-laptop1";
/// The key of `owner`.
pub const OWNER_KEY: &str = "ow_0123456789abcdefABCDEF-owner-1";
/// Nothing here takes longer.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// What a busy machine may add to a moment.
pub const SLACK: Duration = Duration::from_millis(1500);

/// Starting is the only work for the processor, so it is done one by one.
static STARTING: Mutex<()> = Mutex::new(());

/// What all groups of a server share.
pub struct Bench {
    pub proxy: Proxy,
    pub program: PathBuf,
    pub wrong: Mutex<Vec<String>>,
}

/// A server with one policy.
pub struct Rig<'a> {
    bench: &'a Bench,
    group: &'static str,
    pub engine: Engine,
    ids: AtomicU64,
}

impl<'a> Rig<'a> {
    pub fn start(bench: &'a Bench, group: &'static str, policy: &str) -> Rig<'a> {
        let file = SourceFile::new("llmguard.toml", "/policy/llmguard.toml", policy);
        let keys = [("KEY", KEY), ("OWNER_KEY", OWNER_KEY)];
        let process =
            keys.into_iter().map(|(name, key)| (name.to_owned(), Secret::new(key))).collect::<BTreeMap<_, _>>();
        let mut sink = Sink::default();
        let plan = validate::plan(&file, &Variables { process, file: None }, &mut sink);
        let plan = plan.unwrap_or_else(|| panic!("{group}: {:?}", sink.sorted()));
        let _one = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let engine = Engine::start(&plan, bench.proxy, &bench.program, Phase::Limits);
        let engine = engine.unwrap_or_else(|reason| panic!("{group}: {reason:?}"));
        // The engine numbers its own questions from 1 on.
        Rig { bench, group, engine, ids: AtomicU64::new(1000) }
    }

    pub fn proxy(&self) -> Proxy {
        self.bench.proxy
    }

    /// Notes what is wrong.
    pub fn check(&self, what: &str, right: bool, seen: impl Debug) {
        if !right {
            self.bench.wrong.lock().unwrap().push(format!("{}: {what}: {seen:?}", self.group));
        } else if std::env::var_os("LLMGUARD_TIME_SHOW").is_some() {
            eprintln!("{:?} {}: {what}: {seen:?}", self.proxy(), self.group);
        }
    }

    /// Runs cases at once.
    pub fn at_once(&self, cases: &[fn(&Rig<'_>)]) {
        std::thread::scope(|threads| {
            for case in cases {
                threads.spawn(move || case(self));
            }
        });
    }

    pub fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks and waits for the answer.
    pub fn ask(&self, question: &Question) -> Exchange {
        self.ask_in_parts(question, self.id(), |bytes| vec![Part::now(bytes)], None)
    }

    /// Asks, and gives what reached the stand-ins too.
    pub fn ask_and_see(&self, question: &Question) -> (u64, Exchange, Vec<Seen>) {
        let id = self.id();
        let exchange = self.ask_in_parts(question, id, |bytes| vec![Part::now(bytes)], None);
        (id, exchange, self.seen(id))
    }

    /// The status of the answer.
    pub fn status(&self, question: &Question) -> u16 {
        self.ask(question).status.unwrap_or(444)
    }

    /// Sends a request's bytes in parts, and may leave early.
    pub fn ask_in_parts(
        &self,
        question: &Question,
        id: u64,
        parts: impl FnOnce(Vec<u8>) -> Vec<Part>,
        leave: Option<Leave>,
    ) -> Exchange {
        let method = String::from_utf8_lossy(&question.request.method);
        let parts = parts(question.bytes(id));
        wire::exchange_parts(&self.engine.target(question), &method, &parts, leave, DEADLINE)
    }

    /// What reached the stand-ins under a number.
    pub fn seen(&self, id: u64) -> Vec<Seen> {
        self.engine.seen(id)
    }

    /// Whether a stand-in sees the end of this request's connection within a time.
    pub fn sees_the_client_leave(&self, id: u64, within: Duration) -> bool {
        self.engine.upstreams.iter().any(|upstream| upstream.wait(id, within, |seen| seen.client_left).is_some())
    }

    /// The lines of the access log, once they are what is wanted or three seconds have passed.
    pub fn log_lines(&self, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let folder = self.engine.folder.path().join(match self.proxy() {
            Proxy::Nginx => "nginx",
            Proxy::Caddy => "caddy",
            Proxy::Traefik => "traefik",
        });
        let mut lines = Vec::new();
        for _ in 0..60 {
            let bytes = std::fs::read(folder.join("logs/access.log")).unwrap_or_default();
            lines = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
            if wanted(&lines) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        lines
    }
}

/// A request without credentials.
pub fn request(method: &str, target: &str) -> Question {
    let host = (b"Host".to_vec(), b"llm.test".to_vec());
    Question::new(target, method, target.as_bytes(), vec![host])
}

/// A chat of `laptop`.
pub fn chat() -> Question {
    request("POST", "/api/chat").with("Authorization", &format!("Bearer {KEY}")).body(BODY.to_vec(), false)
}

const BODY: &[u8] = br#"{"model":"llama3.2","messages":[{"role":"user","content":"Why is the sky blue?"}]}"#;

/// Basic credentials.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// Words that build a question.
pub trait Words {
    fn with(self, name: &str, value: &str) -> Self;
    fn from(self, address: &str) -> Self;
    fn script(self, script: &'static str) -> Self;
}

impl Words for Question {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.request.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        self
    }

    fn from(mut self, address: &str) -> Self {
        self.request.client_ip = address.parse::<IpAddr>().unwrap();
        self
    }

    fn script(mut self, script: &'static str) -> Self {
        self.script = script;
        self
    }
}

/// What a bare upstream does with a connection.
#[derive(Clone, Copy, PartialEq)]
pub enum Manner {
    /// Reads the head, and closes.
    Hangs,
    /// Never reads.
    Deaf,
    /// 200 at once.
    Answers,
    /// Server-sent events, so many, so far apart.
    Events(u32, Duration),
}

/// An upstream at an address that a stand-in had. It ends with its value, connections and all.
pub struct Bare {
    addr: SocketAddr,
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
    heads: Arc<Mutex<Vec<u64>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Bare {
    pub fn start(addr: SocketAddr, manner: Manner) -> Bare {
        let listener = patiently(|| TcpListener::bind(addr));
        let (open, heads) = (Arc::new(Mutex::new(Some(Vec::new()))), Arc::new(Mutex::default()));
        let acceptor = std::thread::spawn({
            let (open, heads) = (Arc::clone(&open), Arc::clone(&heads));
            move || {
                for socket in listener.incoming().map(Result::unwrap) {
                    let Some(list) = &mut *open.lock().unwrap() else { break };
                    list.push(socket.try_clone().unwrap());
                    if manner == Manner::Deaf {
                        continue;
                    }
                    let heads = Arc::clone(&heads);
                    std::thread::spawn(move || {
                        serve(&socket, manner, &heads);
                        // The twin would keep the connection open.
                        let _closed = socket.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Bare { addr, open, heads, acceptor: Some(acceptor) }
    }

    /// The numbers of the requests that came, in order.
    pub fn heads(&self) -> Vec<u64> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for socket in self.open.lock().unwrap().take().into_iter().flatten() {
            let _closed = socket.shutdown(Shutdown::Both);
        }
        let _woken = TcpStream::connect(self.addr);
        let _ended = self.acceptor.take().map(JoinHandle::join);
    }
}

/// Binds a port that was free a moment ago: a connection of another test may have it as its own end for a moment.
pub fn patiently<T>(bind: impl Fn() -> std::io::Result<T>) -> T {
    for _ in 0..100 {
        match bind() {
            Err(error) if error.kind() == ErrorKind::AddrInUse => std::thread::sleep(Duration::from_millis(100)),
            bound => return bound.unwrap(),
        }
    }
    panic!("another process has taken a stand-in's port");
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn serve(mut socket: &TcpStream, manner: Manner, heads: &Mutex<Vec<u64>>) {
    let mut ahead = Vec::new();
    let mut bytes = [0; 4096];
    while let Ok(count) = socket.read(&mut bytes) {
        ahead.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&ahead).into_owned();
        if count == 0 {
            return;
        }
        // A health check asks with GET; every body here ends with a brace.
        let healthcheck = text.starts_with("GET ");
        let ends: &[&str] = if healthcheck { &["\r\n\r\n"] } else { &["}", "\r\n0\r\n\r\n"] };
        if !(text.contains("\r\n\r\n") && ends.iter().any(|end| text.ends_with(end))) {
            continue;
        }
        ahead.clear();
        let id = text.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(PROBE).then(|| value.trim().parse::<u64>().ok())?
        });
        heads.lock().unwrap().extend(id);
        let sent = match manner {
            _ if healthcheck => socket.write_all(OK),
            Manner::Hangs | Manner::Deaf => return,
            Manner::Answers => socket.write_all(OK),
            Manner::Events(count, apart) => events(socket, count, apart),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn events(mut socket: &TcpStream, count: u32, apart: Duration) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for number in 0..count {
        let event = format!("data: {{\"n\":{number}}}\n\n");
        socket.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
        std::thread::sleep(apart);
    }
    socket.write_all(b"0\r\n\r\n")
}
