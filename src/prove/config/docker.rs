//! A stand-in for Docker's engine: Traefik's own provider asks it for containers and their labels.
//!
//! In: containers that run nowhere. Out: the few answers of Docker's API that Traefik 3 asks for (`_ping`, `version`, `containers/json`,
//! `containers/ID/json`), on loopback. Invariant: nothing can be changed through it, and its thread ends with it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::prove::poll;

/// The version of the API that it speaks.
const API: &str = "1.44";
/// How soon a stop is noticed while nobody asks.
const STOP_WITHIN: Duration = Duration::from_millis(20);
/// How long a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_HEAD: usize = 64 * 1024;

/// A container as Traefik sees it.
#[derive(Debug, Clone, Default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its labels, Compose's own among them.
    pub labels: Vec<(String, String)>,
    /// The ports that it exposes.
    pub ports: Vec<u16>,
    /// Whether it is on the host's network, where Docker tells no ports.
    pub host_network: bool,
    /// What its health check says: `starting`, `healthy`, `unhealthy`; absent: it has none.
    pub health: Option<String>,
}

impl Container {
    fn inspected(&self, id: &str) -> Value {
        let labels: serde_json::Map<String, Value> =
            self.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let ports = self.ports.iter().filter(|_| !self.host_network);
        let ports: serde_json::Map<String, Value> = ports.map(|port| (format!("{port}/tcp"), Value::Null)).collect();
        let (network, address) = if self.host_network { ("host", "") } else { ("stand-in", "127.0.0.1") };
        let mut state = json!({"Status": "running", "Running": true});
        if let Some(health) = &self.health {
            state["Health"] = json!({"Status": health});
        }
        json!({
            "Id": id,
            "Name": format!("/{}", self.name),
            "State": state,
            "HostConfig": {"NetworkMode": network},
            "Config": {"Labels": labels},
            "NetworkSettings": {"Ports": ports, "Networks": {network: {"NetworkID": network, "IPAddress": address}}},
        })
    }
}

/// The running stand-in.
pub struct Engine {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts on a free port of 127.0.0.1. Errors: what the system says.
    pub fn start(containers: Vec<Container>) -> std::io::Result<Engine> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("docker".to_owned()).spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    // An error, such as too many open files, is waited out like silence.
                    let _ = poll::wait(&listener, false, Instant::now() + STOP_WITHIN);
                    if let Ok((socket, _)) = listener.accept() {
                        // Whoever leaves before it is answered asks again.
                        let _ = serve(&socket, &containers);
                    }
                }
            }
        })?;
        Ok(Engine { addr, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It returns an error only if it panicked, and then its sockets are closed.
            let _ = thread.join();
        }
    }
}

/// Answers one question and closes.
fn serve(mut socket: &TcpStream, containers: &[Container]) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let (mut head, mut bytes) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        match socket.read(&mut bytes)? {
            0 => return Ok(()),
            count => head.extend_from_slice(bytes.get(..count).unwrap_or_default()),
        }
    }
    let line = String::from_utf8_lossy(&head);
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = answer(target.split('?').next().unwrap_or_default(), containers);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nApi-Version: {API}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes())?;
    socket.write_all(if method == "HEAD" { b"" } else { body.as_bytes() })
}

/// The status and the body for a path, which may begin with the version of the API.
fn answer(path: &str, containers: &[Container]) -> (&'static str, String) {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let versioned = parts.first().is_some_and(|part| part.starts_with("v1."));
    let own = |id: &str| containers.get(id.parse::<usize>().ok()?).map(|container| container.inspected(id));
    let body = match parts.get(usize::from(versioned)..).unwrap_or_default() {
        ["_ping"] => return ("200 OK", "OK".to_owned()),
        ["version"] => Some(json!({"Version": "llmguard's stand-in", "ApiVersion": API, "MinAPIVersion": "1.24"})),
        ["containers", "json"] => {
            Some(containers.iter().enumerate().map(|(id, _)| json!({"Id": id.to_string()})).collect())
        }
        ["containers", id, "json"] => own(id),
        _ => None,
    };
    match body {
        Some(body) => ("200 OK", body.to_string()),
        None => ("404 Not Found", json!({"message": "no such container"}).to_string()),
    }
}
