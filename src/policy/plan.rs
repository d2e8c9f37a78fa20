//! The plan: a policy with everything resolved, in the contract's terms.
//!
//! In: a policy without errors. Out: what [`crate::render`] writes down and `lower` gives a meaning to.
//! Invariant: defaults are filled in, groups are endpoints, denied endpoints are gone, names are checked; the two readers
//! need no rule of the policy file again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::rate::Rate;
use crate::secret::Secret;
use crate::source::Span;

/// A policy with everything resolved.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The policy's file name, for the heads of rendered files: the same bytes wherever it is rendered from.
    pub policy_file: String,
    /// The server behind the gateway.
    pub upstream: Upstream,
    /// Where and as whom the gateway answers.
    pub listen: Listen,
    /// Which credentials count.
    pub auth: Auth,
    /// Who may call, in file order; empty exactly when `auth.anonymous`.
    pub clients: Vec<Client>,
    /// What may be called.
    pub access: Access,
    /// How much.
    pub limits: Limits,
    /// How long.
    pub timeouts: Timeouts,
    /// Which web pages may call; absent: no CORS headers at all.
    pub cors: Option<Cors>,
    /// The access log.
    pub log: Log,
    /// For compose and services.
    pub deploy: Deploy,
    /// Where keys stand in the policy file.
    pub places: Places,
}

/// Where the keys of the policy (or of one `[[client]]`) stand.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// From dotted key (`limits.rate`; `rate` inside a client) or table (`limits`) to its place.
    pub keys: BTreeMap<String, Span>,
}

impl Places {
    /// The place of a dotted key, else of the table that would hold it, else the start of the file.
    pub fn at(&self, key: &str) -> Span {
        let mut key = key;
        loop {
            if let Some(span) = self.keys.get(key) {
                return *span;
            }
            match key.rfind('.') {
                Some(dot) => key = &key[..dot],
                None => return self.keys.get("").copied().unwrap_or_default(),
            }
        }
    }
}

/// The server behind the gateway.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The catalogue's name of its kind, such as `ollama`.
    pub kind: String,
    /// At least one.
    pub servers: Vec<Server>,
    /// Whether the policy names the servers itself (compose creates one otherwise).
    pub servers_given: bool,
    /// The Host header sent upstream.
    pub host: String,
    /// The upstream's own key, sent as `Authorization: Bearer`.
    pub api_key: Option<KeySource>,
    /// How several servers share the work.
    pub balance: Balance,
    /// The catalogue's request that tells whether the server lives: method and path.
    pub health: (String, String),
}

/// `host:port` of one upstream server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A name or an address, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How several servers share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// The server with the fewest requests in hand.
    LeastConnections,
    /// One after the other.
    RoundRobin,
}

/// Where and as whom the gateway answers.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The address that is bound.
    pub address: IpAddr,
    /// The port that is bound.
    pub port: u16,
    /// Host names answered, lower case; empty: any.
    pub server_names: Vec<String>,
    /// TLS.
    pub tls: Tls,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Listen {
    /// Whether an unknown name is refused in the TLS handshake: there are names, and none is an address, which clients never send there.
    pub fn names_decide_handshakes(&self) -> bool {
        let is_address = |name: &String| name.parse::<IpAddr>().is_ok();
        self.tls != Tls::Off && !self.server_names.is_empty() && !self.server_names.iter().any(is_address)
    }
}

/// How the listener speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP/1.
    Off,
    /// A certificate chain and its key, as absolute paths.
    Files {
        /// PEM chain, leaf first.
        certificate: PathBuf,
        /// PEM key.
        private_key: PathBuf,
    },
    /// ACME.
    Auto {
        /// The account's address.
        email: Option<String>,
        /// The CA's directory; absent: Let's Encrypt.
        ca: Option<String>,
    },
    /// A CA and certificate that `render` makes: `tls/leaf.pem` and `tls/leaf.key` in the target's folder.
    Internal,
}

/// Which credentials count.
#[derive(Debug, Clone)]
pub struct Auth {
    /// `Authorization: Bearer KEY` is accepted.
    pub bearer: bool,
    /// `X-API-Key: KEY` is accepted.
    pub x_api_key: bool,
    /// `Authorization: Basic` is accepted.
    pub basic: bool,
    /// The realm of the challenges.
    pub realm: String,
    /// No authentication at all.
    pub anonymous: bool,
}

/// One caller.
#[derive(Debug, Clone)]
pub struct Client {
    /// `[a-z0-9-]`, at most 32 characters, unique; the Basic user name.
    pub name: String,
    /// Every one of them is accepted.
    pub keys: Vec<KeySource>,
    /// The password's hash for Basic.
    pub password: Option<Password>,
    /// Index into [`Access::sets`].
    pub set: usize,
    /// Its own rate, beside the one of its address.
    pub rate: Option<Rate>,
    /// Where its keys stand: `name`, `api_key`, `password_hash`, `allow`, `rate`; ``: the table.
    pub places: Places,
}

impl Client {
    /// The header lines by which it shows its keys, for requests that are thought through: each key in each accepted way.
    pub fn key_lines(&self, auth: &Auth) -> Vec<(Vec<u8>, Vec<u8>)> {
        let keys = self.keys.iter().filter_map(|key| key.value.as_ref());
        let lines = keys.flat_map(|key| {
            let bearer = ("Authorization", format!("Bearer {}", key.reveal()), auth.bearer);
            let header = ("X-API-Key", key.reveal().to_owned(), auth.x_api_key);
            [bearer, header].into_iter().filter(|(.., accepted)| *accepted)
        });
        lines.map(|(name, value, _)| (name.as_bytes().to_vec(), value.into_bytes())).collect()
    }
}

/// Where a key comes from, and its value where that is at hand.
#[derive(Debug, Clone)]
pub struct KeySource {
    /// How the policy names it.
    pub origin: KeyOrigin,
    /// The value if it was found; checked to be 20 to 256 of `A-Z a-z 0-9 _ -`. `None`: unset, opens nothing.
    pub value: Option<Secret>,
    /// Its place in the policy.
    pub span: Span,
}

/// How the policy names a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyOrigin {
    /// `env:NAME`, NAME being `[A-Za-z_][A-Za-z0-9_]*`.
    Env(String),
    /// `file:PATH`, absolute.
    File(PathBuf),
}

/// A password's hash.
#[derive(Debug, Clone)]
pub struct Password {
    /// The variable that holds it; `None`: it stands in the policy.
    pub env: Option<String>,
    /// The hash in its crypt or PHC form if it was found. `None`: unset, opens nothing.
    pub hash: Option<Secret>,
    /// Which kind of hash it is, as far as known.
    pub algorithm: Option<HashAlgorithm>,
    /// Its place in the policy.
    pub span: Span,
}

/// The kinds of hash that a policy may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// `$2a$`, `$2b$`, `$2y$` with its cost.
    Bcrypt {
        /// log2 of the rounds.
        cost: u32,
    },
    /// `$argon2id$`.
    Argon2id,
}

/// What may be called.
#[derive(Debug, Clone)]
pub struct Access {
    /// Without authentication.
    pub public: EndpointSet,
    /// Answered by the gateway itself.
    pub health: Option<String>,
    /// When not empty: the models that may be named.
    pub models: Vec<ModelPattern>,
    /// The different sets that clients may use; with `auth.anonymous` exactly one, for everybody.
    pub sets: Vec<EndpointSet>,
}

/// A set of endpoints: matched by one of `allow` and by none of `except`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointSet {
    /// Sorted, without doubles.
    pub allow: Vec<Endpoint>,
    /// Endpoints that are denied although a pattern of `allow` covers them; mostly empty. Sorted.
    pub except: Vec<Endpoint>,
}

/// One method on one path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// `[A-Z]+`.
    pub method: String,
    /// The path.
    pub path: PathPattern,
    /// Where the request names the model, for `access.models`.
    pub model: ModelPlace,
}

/// Where a request names its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelPlace {
    /// It names none.
    None,
    /// The key `model` (or `name`) of a JSON body.
    Body,
    /// A `:param` segment of the path (the last one).
    Path,
    /// A field of a form: never certain.
    Form,
}

/// A path with `:param` segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern {
    /// The segments after the leading `/`; a trailing slash is a last, empty literal.
    pub segments: Vec<Segment>,
}

/// One segment of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Exactly this text; `[A-Za-z0-9._~@+,=:-]*`.
    Literal(String),
    /// One segment of `A-Z a-z 0-9 . _ : -`, not starting with a dot. The name is for people.
    Param(String),
}

/// The regular expression of one `:param` segment, in the syntax that PCRE and RE2 share.
pub const PARAM_REGEX: &str = "[A-Za-z0-9_:-][A-Za-z0-9._:-]*";

impl PathPattern {
    /// Splits `/a/:b`. The caller has checked the alphabet and the leading slash.
    pub fn parse(path: &str) -> PathPattern {
        let segments = path
            .strip_prefix('/')
            .unwrap_or(path)
            .split('/')
            .map(|segment| match segment.strip_prefix(':') {
                Some(name) => Segment::Param(name.to_owned()),
                None => Segment::Literal(segment.to_owned()),
            })
            .collect();
        PathPattern { segments }
    }

    /// The literal path, when no segment is a parameter.
    pub fn literal(&self) -> Option<String> {
        self.segments.iter().all(|segment| matches!(segment, Segment::Literal(_))).then(|| self.to_string())
    }

    /// An unanchored regular expression in the syntax that PCRE and RE2 share; the caller anchors it.
    pub fn regex(&self) -> String {
        let mut text = String::new();
        for segment in &self.segments {
            text.push('/');
            match segment {
                Segment::Literal(literal) => text.push_str(&regex::escape(literal)),
                Segment::Param(_) => text.push_str(PARAM_REGEX),
            }
        }
        text
    }

    /// Whether the raw path `path` (without query) is this pattern, byte for byte.
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(rest) = path.strip_prefix(b"/") else { return false };
        let mut given = rest.split(|&byte| byte == b'/');
        self.segments.iter().all(|segment| match (segment, given.next()) {
            (Segment::Literal(literal), Some(part)) => literal.as_bytes() == part,
            (Segment::Param(_), Some(part)) => is_param(part),
            (_, None) => false,
        }) && given.next().is_none()
    }

    /// Whether every path of `other` is a path of this pattern.
    pub fn covers(&self, other: &PathPattern) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Param(_), Segment::Param(_)) => true,
                (Segment::Param(_), Segment::Literal(literal)) => is_param(literal.as_bytes()),
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                (Segment::Literal(_), Segment::Param(_)) => false,
            })
    }

    /// Whether some path belongs to both patterns.
    pub fn overlaps(&self, other: &PathPattern) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Param(_), Segment::Param(_)) => true,
                (Segment::Param(_), Segment::Literal(literal)) | (Segment::Literal(literal), Segment::Param(_)) => {
                    is_param(literal.as_bytes())
                }
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
            })
    }
}

/// Whether `part` may stand for a `:param`.
fn is_param(part: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    part.first().is_some_and(|&first| first != b'.') && part.iter().all(allowed)
}

impl std::fmt::Display for PathPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(literal) => write!(f, "/{literal}"),
            Segment::Param(name) => write!(f, "/:{name}"),
        })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl EndpointSet {
    /// The endpoint that a request with this method and raw path is, if the set holds it.
    pub fn find(&self, method: &[u8], path: &[u8]) -> Option<&Endpoint> {
        let is = |endpoint: &&Endpoint| endpoint.method.as_bytes() == method && endpoint.path.matches(path);
        if self.except.iter().any(|endpoint| is(&endpoint)) {
            return None;
        }
        self.allow.iter().find(is)
    }
}

/// One entry of `access.models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPattern {
    /// The exact name, or what stands before the final `*`.
    pub text: String,
    /// Whether a `*` ended it.
    pub prefix: bool,
}

impl ModelPattern {
    /// A name that fits.
    pub fn example(&self) -> String {
        if self.prefix { format!("{}x", self.text) } else { self.text.clone() }
    }
}

/// How much one client address may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Absent: no rate limit.
    pub rate: Option<Rate>,
    /// Requests at once.
    pub connections: Option<u32>,
    /// Bytes of a request body.
    pub body: u64,
    /// Bytes of a request head, at least 8192.
    pub header: u64,
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// To reach the upstream.
    pub connect: Duration,
    /// The longest silence of the upstream.
    pub read: Duration,
    /// The longest pause while writing to the upstream.
    pub send: Duration,
    /// The whole time for a request's head.
    pub client_header: Duration,
    /// The longest pause inside a request's body.
    pub client_body: Duration,
}

/// Which web pages may call.
#[derive(Debug, Clone)]
pub struct Cors {
    /// Exact origins, `scheme://host[:port]` in lower case; empty exactly when `any`.
    pub origins: Vec<String>,
    /// `"*"`: every origin is listed; the answer's `Access-Control-Allow-Origin` is `*`.
    pub any: bool,
    /// `Access-Control-Allow-Methods`.
    pub methods: Vec<String>,
    /// `Access-Control-Allow-Headers`.
    pub headers: Vec<String>,
    /// `Access-Control-Max-Age`.
    pub max_age: Duration,
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// None.
    Off,
    /// One JSON line a request.
    Json(LogPath),
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPath {
    /// The process's standard output.
    Stdout,
    /// A file: relative to the target's folder, or absolute.
    File(String),
    /// The policy doesn't say: `logs/access.log` in the target's folder; in containers standard output.
    Default,
}

/// For compose and services.
#[derive(Debug, Clone)]
pub struct Deploy {
    /// The proxy in front.
    pub proxy: Proxy,
    /// The proxy's image; absent: the pinned default of the proxy.
    pub proxy_image: Option<String>,
    /// Ollama's image; absent: the pinned default for the GPU.
    pub ollama_image: Option<String>,
    /// The host's folder for the models; absent: a named volume.
    pub models_dir: Option<String>,
    /// The GPUs that the upstream gets.
    pub gpu: Gpu,
    /// The published port, `[host:]port:port`; absent: derived from `listen.address`.
    pub publish: Option<String>,
    /// Whether the upstream has a way out.
    pub egress: bool,
}

/// The proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proxy {
    /// Caddy.
    Caddy,
    /// nginx.
    Nginx,
    /// Traefik.
    Traefik,
}

/// The GPUs that the upstream gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpu {
    /// CPU only.
    None,
    /// Every NVIDIA GPU.
    NvidiaAll,
    /// So many NVIDIA GPUs.
    NvidiaCount(u32),
    /// These NVIDIA GPUs.
    NvidiaIds(Vec<String>),
    /// AMD, by `/dev/kfd` and `/dev/dri`.
    Amd,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_one_plain_segment() {
        let models = PathPattern::parse("/v1/models/:model");
        assert!(models.matches(b"/v1/models/qwen3:30b-a3b"));
        for other in
            ["/v1/models/", "/v1/models", "/v1/models/..", "/v1/models/a/b", "/v1/models/a%2fb", "/V1/models/a"]
        {
            assert!(!models.matches(other.as_bytes()), "{other}");
        }
        assert!(models.covers(&PathPattern::parse("/v1/models/llama3")));
        assert!(!PathPattern::parse("/v1/models/llama3").covers(&models));
        assert_eq!(models.to_string(), "/v1/models/:model");
        assert_eq!(PathPattern::parse("/a.b/").regex(), r"/a\.b/");
    }
}
