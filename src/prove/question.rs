//! One question to a gateway: the request as the evaluator sees it, and as it goes onto the wire.
//!
//! In: parts of a request. Out: bytes, or HTTP/2 fields. Invariant: both forms are the same request; the probe's own headers are the
//! only ones that are added.

use super::http2::Field;
use super::upstream::{PROBE, SCRIPT};
use crate::http::{Request, Sni, Version};
use crate::policy::plan::Plan;

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// What it tries, for people.
    pub name: String,
    /// The request; its `client_ip` is where it is sent from.
    pub request: Request,
    /// Whether the body goes out in chunks, without Content-Length.
    pub chunked: bool,
    /// How the stand-in upstream answers.
    pub script: &'static str,
}

/// The name that clients of a policy ask for in the TLS handshake: its first.
pub fn usual_name(plan: &Plan) -> Sni {
    plan.listen.server_names.first().cloned().map_or(Sni::Absent, Sni::Name)
}

impl Question {
    /// A plain HTTP/1.1 question without a body.
    pub fn new(name: impl Into<String>, method: &str, target: &[u8], headers: Vec<(Vec<u8>, Vec<u8>)>) -> Question {
        let request = Request {
            method: method.as_bytes().to_vec(),
            target: target.to_vec(),
            headers,
            version: Version::Http11,
            client_ip: std::net::IpAddr::from([127, 0, 0, 1]),
            to: None,
            body: None,
            body_bytes: 0,
            port: None,
            tls: None,
            sni: Sni::AsHost,
            as_client: None,
        };
        Question { name: name.into(), request, chunked: false, script: "plain" }
    }

    /// The same question with a body.
    pub fn body(mut self, body: Vec<u8>, chunked: bool) -> Question {
        self.request.body_bytes = body.len() as u64;
        self.request.body = Some(body);
        self.chunked = chunked;
        self
    }

    /// The same question with a body of so many bytes, which are made when it is sent.
    pub fn sized(mut self, length: u64, chunked: bool) -> Question {
        (self.request.body, self.request.body_bytes) = (None, length);
        self.chunked = chunked;
        self
    }

    /// The request on an HTTP/1 wire. `id` finds it again at the upstream.
    pub fn bytes(&self, id: u64) -> Vec<u8> {
        let request = &self.request;
        let version = if request.version == Version::Http10 { "1.0" } else { "1.1" };
        let mut out = Vec::new();
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        put(&[&request.method, b" ", &request.target, b" HTTP/", version.as_bytes(), b"\r\n"]);
        for (name, value) in &request.headers {
            put(&[name, b": ", value, b"\r\n"]);
        }
        put(&[PROBE.as_bytes(), format!(": {id}\r\n").as_bytes()]);
        put(&[SCRIPT.as_bytes(), b": ", self.script.as_bytes(), b"\r\nConnection: close\r\n"]);
        let body = self.body_bytes();
        if self.chunked {
            put(&[b"Transfer-Encoding: chunked\r\n\r\n"]);
            for chunk in body.chunks(16 << 10) {
                put(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"]);
            }
            put(&[b"0\r\n\r\n"]);
        } else if body.is_empty() {
            put(&[b"\r\n"]);
        } else {
            put(&[format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body]);
        }
        out
    }

    /// The request as HTTP/2 fields and body.
    pub fn fields(&self, id: u64) -> (Vec<Field>, Vec<u8>) {
        let request = &self.request;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let host = request.header("host").next().map(text).unwrap_or_default();
        let mut headers: Vec<Field> = request
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"))
            .map(|(name, value)| (text(name).to_ascii_lowercase(), value.clone()))
            .collect();
        headers.push((PROBE.to_ascii_lowercase(), id.to_string().into_bytes()));
        headers.push((SCRIPT.to_ascii_lowercase(), self.script.as_bytes().to_vec()));
        let body = self.body_bytes();
        if !self.chunked && !body.is_empty() {
            headers.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
        }
        (super::http2::fields(&text(&request.method), "https", &host, &request.target, &headers), body)
    }

    fn body_bytes(&self) -> Vec<u8> {
        self.request.body.clone().unwrap_or_else(|| vec![b'x'; usize::try_from(self.request.body_bytes).unwrap_or(0)])
    }
}
