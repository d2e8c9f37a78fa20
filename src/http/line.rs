//! Request lines: requests as JSON objects, as `decide` and the test corpora write them.
//!
//! In: a JSON object. Out: a [`Request`]. Invariant: strings stand for bytes, one character U+0000 to U+00FF for each byte, and
//! nothing but the blanks around an HTTP/1 header's value is changed.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Request, Sni, Version};

/// A request line; absent fields have the defaults of [`Line::request`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The method as sent.
    pub method: String,
    /// The raw request target.
    pub target: String,
    /// Name and value as on the wire.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The peer.
    pub client_ip: Option<IpAddr>,
    /// The body.
    pub body: Option<String>,
    /// The body's length; default: that of `body`, else 0.
    pub body_bytes: Option<u64>,
    /// The address of the listener.
    pub address: Option<IpAddr>,
    /// The port of the listener.
    pub port: Option<u16>,
    /// Whether it came by TLS.
    pub tls: Option<bool>,
    /// The name in the TLS handshake; `null`: none.
    #[serde(default, deserialize_with = "given")]
    pub sni: Option<Option<String>>,
    /// `1.0`, `1.1` or `2`.
    pub http: Option<String>,
    /// Carries the credential of this client.
    pub client: Option<String>,
}

impl Line {
    /// Reads a request line. Errors: why it is none.
    pub fn read(object: Value) -> Result<Line, String> {
        let Value::Object(fields) = &object else { return Err("not a JSON object".to_owned()) };
        for required in ["method", "target"] {
            if !fields.contains_key(required) {
                return Err(format!("no {required}"));
            }
        }
        Line::deserialize(&object).map_err(|error| {
            let wrong = fields.iter().find(|(name, value)| !Line::fits(name, value));
            wrong.map_or(error.to_string(), |(name, _)| format!("{name}: {error}"))
        })
    }

    /// Whether a value has the type of its field.
    fn fits(name: &str, value: &Value) -> bool {
        let mut line = serde_json::json!({"method": "", "target": ""});
        line[name] = value.clone();
        Line::deserialize(&line).is_ok()
    }

    /// The protocol. Errors: not one of ours.
    pub fn version(&self) -> Result<Version, String> {
        match self.http.as_deref() {
            None | Some("1.1") => Ok(Version::Http11),
            Some("1.0") => Ok(Version::Http10),
            Some("2") => Ok(Version::Http2),
            Some(other) => Err(format!("http is `{other}`: it must be 1.0, 1.1 or 2")),
        }
    }

    /// The request; `host` is the Host of a request that names none (HTTP/1.0 then has none). Errors: what can't be sent.
    pub fn request(&self, host: &str) -> Result<Request, String> {
        let version = self.version()?;
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let (name, mut value) = (bytes(name, "a header")?, bytes(value, "a header")?);
            if version != Version::Http2 {
                value = value.trim_ascii().to_vec();
            }
            headers.push((name, value));
        }
        let has_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        if !has_host && version != Version::Http10 {
            headers.insert(0, (b"Host".to_vec(), host.as_bytes().to_vec()));
        }
        let body = self.body.as_deref().map(|body| bytes(body, "body")).transpose()?;
        let body_bytes = self.body_bytes.unwrap_or(body.as_ref().map_or(0, |body| body.len() as u64));
        Ok(Request {
            method: bytes(&self.method, "method")?,
            target: bytes(&self.target, "target")?,
            headers,
            version,
            client_ip: self.client_ip.unwrap_or(IpAddr::from([127, 0, 0, 1])),
            to: self.address,
            body,
            body_bytes,
            port: self.port,
            tls: self.tls,
            sni: match &self.sni {
                None => Sni::AsHost,
                Some(None) => Sni::Absent,
                Some(Some(name)) => Sni::Name(name.clone()),
            },
            as_client: self.client.clone(),
        })
    }
}

/// A value that is there, `null` among them.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The bytes that a string stands for. Errors: a character that is none, in `what`.
pub fn bytes(text: &str, what: &str) -> Result<Vec<u8>, String> {
    text.chars()
        .map(|c| {
            u8::try_from(u32::from(c))
                .map_err(|_| format!("{what} holds a character over U+00FF: strings stand for bytes"))
        })
        .collect()
}

/// The string that stands for bytes.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
