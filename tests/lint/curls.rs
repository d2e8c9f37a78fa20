//! The commands that findings show send the requests that they are about.
//!
//! In: the cases of `fixtures/lint`, and a curl. Out: one failure for each command whose request has another fate than its finding tells.
//! Invariant: the commands run as they are printed; curl alone is told to connect to a server of this test, whatever the address.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use llmguard::analysis::caller::{Trick, Who};
use llmguard::analysis::survey::{Witness, again};
use llmguard::gateway::Gateway;
use llmguard::http::{Request, Sni, Version};

use super::case::Case;
use super::common::skip;

/// How long one command may take.
const LONGEST: Duration = Duration::from_secs(20);

/// What arrived of one request.
struct Arrived {
    head: String,
    body: Vec<u8>,
    /// The name in the handshake; absent: no TLS.
    sni: Option<Option<String>>,
}

#[test]
fn commands_send_what_findings_tell() {
    const NAME: &str = "commands_send_what_findings_tell";
    let Ok(out) = Command::new("curl").arg("--version").output() else { return skip(NAME, "there is no curl here") };
    let version = String::from_utf8_lossy(&out.stdout).split(' ').nth(1).unwrap_or_default().to_owned();
    let (port, arrived) = server();
    let folder = tempfile::tempdir().unwrap();
    // Of a user whose password isn't known curl would ask for it.
    let program = folder.path().join("curl");
    let text = format!(
        "#!/bin/bash\nargs=() at=127.0.0.1\nwhile [ $# -gt 0 ]; do\n  case $1 in\n    -u) args+=(-u \"$2:\"); shift ;;\n    -6) args+=(-6) at='[::1]' ;;\n    *) args+=(\"$1\") ;;\n  esac\n  \
         shift\ndone\nPATH=${{PATH#*:}} exec curl -sS --max-time 10 --noproxy '*' --connect-to ::$at:{port} \"${{args[@]}}\"\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let (mut asked, mut wrong, mut left) = (HashSet::new(), Vec::new(), Vec::new());
    for folder in super::cases() {
        let case = Case::read(&folder, super::arguments(&folder));
        for system in case.systems() {
            for finding in case.findings_of(&system.gateway) {
                let (Some(evidence), Some(witness)) = (&finding.evidence, &finding.witness) else { continue };
                let Some(key) = key(witness) else {
                    left.push(format!("{}: what the shell makes of a key", case.name));
                    continue;
                };
                let command = &evidence.command;
                if command.contains("--http2-prior-knowledge") {
                    left.push(format!("{}: HTTP/2 without TLS", case.name));
                    continue;
                }
                if command.contains("--url-query") && older(&version, (7, 87)) {
                    left.push(format!("{}: --url-query, which curl {version} doesn't know", case.name));
                    continue;
                }
                if !asked.insert((case.name.clone(), command.clone())) {
                    continue;
                }
                let told = run(command, &key, &path, &arrived).and_then(|sent| fate(&system.gateway, witness, &sent));
                wrong.extend(told.err().map(|why| format!("{}: {}: {command}\n  {why}", case.name, finding.rule)));
            }
        }
    }
    eprintln!("{} commands ran, {} left out", asked.len(), left.len());
    left.sort();
    left.dedup();
    left.iter().for_each(|what| skip(NAME, what));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked.len() > 120, "only {} commands", asked.len());
}

/// The key of a client, as its owner would set it; empty: none is needed. Absent: the shell makes something else of it.
fn key(witness: &Witness) -> Option<String> {
    let caller = &witness.caller;
    if matches!(caller.who, Who::Stranger(Trick::Nearly(_))) {
        return None;
    }
    let shown = caller.argument.iter().map(|(_, value)| value).chain(caller.headers.iter().map(|(_, value)| value));
    let shown = shown.map(|value| String::from_utf8_lossy(value).into_owned()).next().unwrap_or_default();
    let bare = ["Bearer ", "Basic "].iter().find_map(|scheme| shown.strip_prefix(scheme));
    Some(bare.unwrap_or(&shown).to_owned())
}

/// Whether a version of curl is older.
fn older(version: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < wanted
}

/// Runs a command as a shell does; what arrives.
fn run(command: &str, key: &str, path: &str, arrived: &Receiver<Arrived>) -> Result<Arrived, String> {
    while arrived.try_recv().is_ok() {}
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).env("PATH", path).env("KEY", key).stdin(Stdio::null());
    let out = shell.output().map_err(|error| error.to_string())?;
    arrived
        .recv_timeout(if out.status.success() { LONGEST } else { Duration::from_secs(1) })
        .map_err(|_| format!("nothing arrived: {}", String::from_utf8_lossy(&out.stderr).trim()))
}

/// Whether what arrived has the fate of the witness.
fn fate(gateway: &Gateway, witness: &Witness, sent: &Arrived) -> Result<(), String> {
    let mut lines = sent.head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default().as_bytes().to_vec();
    let (method, target) = (word(), word());
    let headers = lines.filter_map(|line| line.split_once(':'));
    // What is sent by HTTP/2 keeps the blanks around it.
    let http2 = witness.request.version == Version::Http2;
    let value_of = |value: &str| match http2 {
        true => value.strip_prefix(' ').unwrap_or(value).as_bytes().to_vec(),
        false => value.trim_ascii().as_bytes().to_vec(),
    };
    let login = witness.request.as_client.as_ref().is_some_and(|client| !client.is_empty());
    let headers = headers
        .filter(|(name, _)| !(login && name.eq_ignore_ascii_case("authorization")))
        .map(|(name, value)| (name.as_bytes().to_vec(), value_of(value)));
    let sni = match &sent.sni {
        Some(Some(name)) => Sni::Name(name.clone()),
        Some(None) => Sni::Absent,
        None => witness.request.sni.clone(),
    };
    let request = Request {
        method,
        target,
        headers: headers.collect(),
        body: Some(sent.body.clone()),
        body_bytes: sent.body.len() as u64,
        sni,
        ..witness.request.clone()
    };
    let wanted = again(gateway, witness, &|_| {}).verdict;
    let found = again(gateway, witness, &|own| own.clone_from(&request)).verdict;
    if std::mem::discriminant(&wanted) == std::mem::discriminant(&found) && target_of(&wanted) == target_of(&found) {
        return Ok(());
    }
    Err(format!("{wanted:?} is told, {found:?} comes of\n{}", sent.head))
}

/// What of a verdict doesn't hang on the Host that curl sends where any will do.
fn target_of(verdict: &llmguard::gateway::eval::Verdict) -> String {
    use llmguard::gateway::eval::Verdict;
    match verdict {
        Verdict::Proxied { upstream, target, .. } => format!("{upstream} {}", target.escape_ascii()),
        other => format!("{other:?}"),
    }
}

/// A server that keeps what it gets, with TLS where that is spoken; its port.
fn server() -> (u16, Receiver<Arrived>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed(vec!["curl.test".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.into()], key).unwrap());
    let (tell, told) = channel();
    let mut port = 0;
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let listener = TcpListener::bind((address, port)).unwrap();
        port = listener.local_addr().unwrap().port();
        let (config, tell) = (config.clone(), tell.clone());
        std::thread::spawn(move || keep_all(&listener, &config, &tell));
    }
    (port, told)
}

/// Keeps what a socket gets.
fn keep_all(listener: &TcpListener, config: &Arc<rustls::ServerConfig>, tell: &Sender<Arrived>) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        let mut first = [0];
        if stream.peek(&mut first).unwrap_or(0) == 0 {
            continue;
        }
        if first[0] != 0x16 {
            keep(&mut stream, None, tell);
            continue;
        }
        let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
        if connection.complete_io(&mut stream).is_err() {
            continue;
        }
        let name = connection.server_name().map(str::to_owned);
        keep(&mut rustls::Stream::new(&mut connection, &mut stream), Some(name), tell);
    }
}

/// Reads one request and answers it.
fn keep(stream: &mut (impl Read + Write), sni: Option<Option<String>>, tell: &Sender<Arrived>) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let whole = |bytes: &[u8]| {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map(|(_, value)| value.trim().parse().unwrap_or(0)).next().unwrap_or(0);
        (bytes.len() >= end + 4 + length).then(|| (head, bytes[end + 4..].to_vec()))
    };
    let mut asked = false;
    let (head, body) = loop {
        if let Some(found) = whole(&bytes) {
            break found;
        }
        // Long bodies come when the server has said that it wants them.
        if !asked && bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            asked = true;
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.flush();
    let _ = tell.send(Arrived { head, body, sni });
}
