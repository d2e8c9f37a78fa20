//! What holds at one level: `http`, `server`, `location`, `if`, `limit_except`.
//!
//! In: the level around it ([`super::inherit`]). Out: plain facts. Invariant: a scope is whole: nothing has to be looked up further out.

use std::rc::Rc;
use std::sync::Arc;

use ipnet::IpNet;

use crate::gateway::{Limit, Origin, Own, Predicate, Step, Trust, Value};

use super::referer::Referers;
use super::secure_link::SecureLink;
use super::settings::Settings;

/// What holds at one level.
#[derive(Debug, Clone)]
pub struct Scope {
    /// `error_page`; replaced as a whole.
    pub errors: Rc<[ErrorPage]>,
    /// `recursive_error_pages`.
    pub recursive_errors: bool,
    /// `client_max_body_size` in bytes; absent: any length.
    pub body_limit: Option<u64>,
    /// Where that is said; absent: it is the default.
    pub body_limit_at: Option<Origin>,
    /// `satisfy any`.
    pub satisfy_any: bool,
    /// `allow` and `deny`; replaced as a whole.
    pub rules: Rc<[Rule]>,
    /// `auth_basic`.
    pub realm: Option<Rc<(Value, Origin)>>,
    /// `auth_basic_user_file`.
    pub user_file: Option<Rc<(UserFile, Origin)>>,
    /// `auth_request`.
    pub auth_request: Option<Rc<(Vec<u8>, Origin)>>,
    /// What can't be known about the access phase: why, and where.
    pub opaque_access: Option<Rc<(String, Origin)>>,
    /// `ssl_verify_client on`: over TLS, who shows no certificate is refused.
    pub client_certificate: Option<Origin>,
    /// `ssl_verify_client`, other than `off`.
    pub verifies: bool,
    /// `ssl_certificate` stands here or around.
    pub certificate: bool,
    /// `ssl_reject_handshake on`.
    pub rejects_handshake: bool,
    /// `limit_req`; replaced as a whole.
    pub limit_req: Rc<[(Limit, Origin)]>,
    /// `limit_conn`; replaced as a whole.
    pub limit_conn: Rc<[(Limit, Origin)]>,
    /// `limit_req_status`.
    pub limit_req_status: u16,
    /// `limit_conn_status`.
    pub limit_conn_status: u16,
    /// `proxy_set_header`: [`Step::RequestHeader`]s; replaced as a whole.
    pub headers: Rc<[Step]>,
    /// `proxy_pass_request_headers`.
    pub pass_headers: bool,
    /// `proxy_method`.
    pub method: Option<Rc<Value>>,
    /// `root` or `alias`.
    pub root: Root,
    /// `dav_methods` is on, `autoindex` is on: what a folder answers isn't computed.
    pub other_methods: bool,
    /// Whether a resolver is there.
    pub resolver: bool,
    /// `set_real_ip_from`.
    pub trusted: Rc<[IpNet]>,
    /// `real_ip_header`.
    pub real_ip_header: Rc<str>,
    /// `real_ip_recursive`.
    pub real_ip_recursive: bool,
    /// `secure_link` and its relatives.
    pub secure_link: Option<Rc<SecureLink>>,
    /// `valid_referers`.
    pub referers: Option<Rc<Referers>>,
    /// What is read of clients: header names, lengths.
    pub wire: Rc<WireRules>,
    /// Timeouts, buffering, response headers, logs.
    pub settings: Arc<Settings>,
    /// `internal`; inherited by locations inside.
    pub internal: Option<Origin>,
    /// `try_files`; never inherited.
    pub try_files: Option<Rc<(Vec<Vec<u8>>, Origin)>>,
    /// What makes the content; inherited by `if` and `limit_except` only.
    pub content: Option<Rc<Content>>,
    /// An `if` without content of its own behind one that passes requests on.
    pub stale: bool,
    /// `rewrite` and the like by a module that isn't evaluated; never inherited.
    pub opaque_rewrite: Option<Rc<(String, Origin)>>,
}

/// One status of an `error_page`.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    /// The status that it is for.
    pub status: u16,
    /// `=code`; `Some(None)`: `=`, the page's own status.
    pub overwrite: Option<Option<u16>>,
    /// Where it leads.
    pub target: Rc<Vec<u8>>,
    /// Where it is said.
    pub origin: Origin,
}

/// `allow` or `deny`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Whether it allows.
    pub allow: bool,
    /// Whom.
    pub networks: Vec<IpNet>,
    /// Where it is said.
    pub origin: Origin,
}

/// `auth_basic_user_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserFile {
    /// A fixed name.
    Named(Vec<u8>),
    /// The name depends on variables.
    Computed,
}

/// `root` or `alias`.
#[derive(Debug, Clone)]
pub struct Root {
    /// The folder.
    pub name: Rc<Vec<u8>>,
    /// Whether it is an `alias`.
    pub alias: bool,
    /// Where it is said; absent: it is the default.
    pub origin: Option<Origin>,
}

/// What is read of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireRules {
    /// `merge_slashes`.
    pub merge_slashes: bool,
    /// `underscores_in_headers`.
    pub underscores: bool,
    /// `ignore_invalid_headers off`.
    pub invalid_names: bool,
    /// `large_client_header_buffers`: number and bytes.
    pub buffers: (u64, u64),
    /// `client_header_buffer_size` in bytes.
    pub buffer: u64,
}

impl Default for WireRules {
    fn default() -> WireRules {
        WireRules { merge_slashes: true, underscores: false, invalid_names: false, buffers: (4, 8192), buffer: 1024 }
    }
}

/// What makes the content of an answer.
#[derive(Debug, Clone)]
pub enum Content {
    /// `proxy_pass`.
    Proxy(Rc<Pass>),
    /// Another protocol: its scheme, as `fastcgi`.
    Other(&'static str, Rc<Pass>),
    /// Always this status, for GET and HEAD only or for every method.
    Fixed(u16, bool, Option<Own>, Origin),
    /// It depends on the request: an internal redirect or a status.
    Choice(Rc<Choice>),
    /// Nobody knows: why.
    Opaque(String, Origin),
}

/// An internal redirect where something holds, else a status.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What must hold.
    pub when: Predicate,
    /// Where the redirect leads.
    pub target: Vec<u8>,
    /// The status else.
    pub otherwise: u16,
    /// Where it is said.
    pub origin: Origin,
}

/// Where requests are passed.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The argument.
    pub url: Vec<u8>,
    /// The location's name.
    pub prefix: Vec<u8>,
    /// Where it is said.
    pub origin: Origin,
}

impl Default for Scope {
    /// What holds where nothing is said (defaults of nginx 1.22.1 and 1.31.3).
    fn default() -> Scope {
        Scope {
            errors: Rc::from([]),
            recursive_errors: false,
            body_limit: Some(1 << 20),
            body_limit_at: None,
            satisfy_any: false,
            rules: Rc::from([]),
            realm: None,
            user_file: None,
            auth_request: None,
            opaque_access: None,
            client_certificate: None,
            verifies: false,
            certificate: false,
            rejects_handshake: false,
            limit_req: Rc::from([]),
            limit_conn: Rc::from([]),
            limit_req_status: 503,
            limit_conn_status: 503,
            headers: Rc::from([]),
            pass_headers: true,
            method: None,
            root: Root { name: Rc::new(b"html".to_vec()), alias: false, origin: None },
            other_methods: false,
            resolver: false,
            trusted: Rc::from([]),
            real_ip_header: Rc::from("X-Real-IP"),
            real_ip_recursive: false,
            secure_link: None,
            referers: None,
            wire: Rc::new(WireRules::default()),
            settings: Arc::new(Settings::default()),
            internal: None,
            try_files: None,
            content: None,
            stale: false,
            opaque_rewrite: None,
        }
    }
}

/// What settings, limits and access are made of: where it lies.
pub type Gate = ([usize; 9], bool);

impl Scope {
    /// What settings, limits and access are made of; equal for scopes that inherit all of it from the same one.
    pub fn gate(&self) -> Gate {
        fn at<T: ?Sized>(rc: &Rc<T>) -> usize {
            Rc::as_ptr(rc).cast::<u8>() as usize
        }
        fn maybe<T>(rc: &Option<Rc<T>>) -> usize {
            rc.as_ref().map_or(0, at)
        }
        let places = [
            Arc::as_ptr(&self.settings) as usize,
            at(&self.limit_req),
            at(&self.limit_conn),
            at(&self.rules),
            at(&self.trusted),
            maybe(&self.realm),
            maybe(&self.user_file),
            maybe(&self.auth_request),
            maybe(&self.opaque_access),
        ];
        (places, self.satisfy_any)
    }

    /// Whose word about addresses counts here.
    pub fn trust(&self) -> Option<Trust> {
        use crate::gateway::value::Join;
        if self.trusted.is_empty() {
            return None;
        }
        let header = self.real_ip_header.to_ascii_lowercase();
        let says = match header.as_str() {
            "proxy_protocol" => Value::Opaque("the address of the client comes by the PROXY protocol".into()),
            // One address is one line; the list of hops may be several.
            "x-forwarded-for" => Value::Header(header, Join::With(", ")),
            _ => Value::Header(header, Join::First),
        };
        Some(Trust { peers: self.trusted.iter().copied().collect(), says, recursive: self.real_ip_recursive })
    }
}
