//! Which directives hold at a level: its own, and those from the level around it.
//!
//! In: the outer scope and the directives of a block. Out: the inner scope. Invariant: lists (`error_page`, `allow`, `limit_req`,
//! `proxy_set_header`, `add_header`, `access_log`) are replaced as a whole when one of them stands here; `try_files` and what makes
//! the content are never inherited (facts measured on nginx 1.22.1 and 1.31.3; for `if` and `limit_except` see
//! [`Reader::inherit_inside`]).

use std::rc::Rc;
use std::sync::Arc;

use ipnet::IpNet;

use crate::gateway::{Edit, HeaderEdit, Predicate, Step};

use super::super::modules::{self, Effect};
use super::super::units;
use super::block::Line;
use super::scope::{Content, ErrorPage, Pass, Root, Rule, Scope, UserFile};
use super::{Reader, settings};

/// nginx's own directives that answer and aren't evaluated.
const OPAQUE_CONTENT: &[&str] = &["perl", "random_index", "post_action", "uwsgi_store", "flv", "mp4", "proxy_store"];

impl<'c> Reader<'c> {
    /// The scope of an inner block.
    pub fn inherit(&mut self, outer: &Scope, lines: &[Line<'c>]) -> Scope {
        self.inherit_named(outer, lines, b"")
    }

    /// The scope of an `if` or a `limit_except`: the content stays that of the location around it.
    pub fn inherit_inside(&mut self, outer: &Scope, lines: &[Line<'c>], name: &[u8]) -> Scope {
        let mut scope = self.inherit_named(outer, lines, name);
        if scope.content.is_none() {
            scope.content.clone_from(&outer.content);
        }
        scope
    }

    /// The scope of a location of this name.
    pub fn inherit_named(&mut self, outer: &Scope, lines: &[Line<'c>], name: &[u8]) -> Scope {
        let mut scope = Scope { try_files: None, content: None, opaque_rewrite: None, ..outer.clone() };
        let mut errors: Vec<ErrorPage> = Vec::new();
        let mut rules: Vec<Rule> = Vec::new();
        let mut headers = Vec::new();
        let mut trusted: Vec<IpNet> = Vec::new();
        // The statuses of limits hold for the whole level, wherever they stand in it.
        for line in lines {
            match line.name {
                "limit_req_status" => scope.limit_req_status = self.number(line, 0).unwrap_or(503),
                "limit_conn_status" => scope.limit_conn_status = self.number(line, 0).unwrap_or(503),
                _ => {}
            }
        }
        let mut limit_req = Vec::new();
        let mut limit_conn = Vec::new();
        for line in lines {
            match line.name {
                "error_page" => errors.extend(self.error_pages(line)),
                "recursive_error_pages" => scope.recursive_errors = on(line),
                "client_max_body_size" => {
                    scope.body_limit = self.size(line, 0).filter(|&size| size > 0);
                    scope.body_limit_at = Some(line.silent());
                }
                "satisfy" => scope.satisfy_any = line.arg(0) == b"any",
                "allow" | "deny" => rules.extend(self.rule(line)),
                "auth_basic" => {
                    let realm = self.template(line, line.arg(0));
                    let off = line.arg(0) == b"off";
                    scope.realm =
                        (!off).then(|| Rc::new((realm, line.origin("`auth_basic` asks for a user and a password"))));
                }
                "auth_basic_user_file" => {
                    let file = match line.arg(0).contains(&b'$') {
                        true => UserFile::Computed,
                        false => UserFile::Named(line.arg(0).to_vec()),
                    };
                    scope.user_file = Some(Rc::new((file, line.silent())));
                }
                "auth_request" => {
                    let off = line.arg(0) == b"off";
                    let note = format!("`auth_request {}`: a request of nginx to itself decides", line.text(0));
                    scope.auth_request = (!off).then(|| Rc::new((line.arg(0).to_vec(), line.origin(note))));
                }
                "limit_req" => limit_req.extend(self.limit_req(line, scope.limit_req_status)),
                "limit_conn" => limit_conn.extend(self.limit_conn(line, scope.limit_conn_status)),
                "proxy_set_header" => {
                    headers.push(Step::request_header(self.set_header(line), line.silent()));
                }
                "proxy_pass_request_headers" => scope.pass_headers = on(line),
                "proxy_method" => scope.method = Some(Rc::new(self.template(line, line.arg(0)))),
                "root" | "alias" => {
                    scope.root = Root {
                        name: Rc::new(line.arg(0).to_vec()),
                        alias: line.is("alias"),
                        origin: Some(line.silent()),
                    };
                }
                "dav_methods" => scope.other_methods |= line.arg(0) != b"off",
                "autoindex" => scope.other_methods |= on(line),
                "resolver" => scope.resolver = true,
                "set_real_ip_from" => match network(line.arg(0)) {
                    Some(networks) => trusted.extend(networks),
                    None => self.warning(line, format!("`{}`: only addresses are understood here", line.shown()), ""),
                },
                "real_ip_header" => scope.real_ip_header = Rc::from(line.text(0)),
                "real_ip_recursive" => scope.real_ip_recursive = on(line),
                "ssl_certificate" => scope.certificate = true,
                "ssl_reject_handshake" => scope.rejects_handshake = on(line),
                "ssl_verify_client" => {
                    let note = "`ssl_verify_client`: a request without a client's certificate is refused";
                    scope.verifies = line.arg(0) != b"off";
                    scope.client_certificate = (line.arg(0) == b"on").then(|| line.origin(note));
                }
                "merge_slashes" => Rc::make_mut(&mut scope.wire).merge_slashes = on(line),
                "underscores_in_headers" => Rc::make_mut(&mut scope.wire).underscores = on(line),
                "ignore_invalid_headers" => Rc::make_mut(&mut scope.wire).invalid_names = !on(line),
                "client_header_buffer_size" => {
                    Rc::make_mut(&mut scope.wire).buffer = self.size(line, 0).unwrap_or(1024);
                }
                "large_client_header_buffers" => {
                    let number = self.size(line, 0).unwrap_or(4);
                    Rc::make_mut(&mut scope.wire).buffers = (number, self.size(line, 1).unwrap_or(8192));
                }
                "internal" => {
                    scope.internal = Some(line.origin("`internal`: only nginx itself comes here, others get 404"))
                }
                "try_files" => {
                    let files = line.args.iter().map(|arg| arg.to_vec()).collect();
                    scope.try_files = Some(Rc::new((files, line.origin(format!("`{}`", line.shown())))));
                }
                "proxy_pass" => scope.content = Some(Rc::new(Content::Proxy(self.pass(line, name)))),
                "fastcgi_pass" => scope.content = Some(Rc::new(Content::Other("fastcgi", self.pass(line, name)))),
                "uwsgi_pass" => scope.content = Some(Rc::new(Content::Other("uwsgi", self.pass(line, name)))),
                "scgi_pass" => scope.content = Some(Rc::new(Content::Other("scgi", self.pass(line, name)))),
                "grpc_pass" => scope.content = Some(Rc::new(Content::Other("grpc", self.pass(line, name)))),
                "memcached_pass" => scope.content = Some(Rc::new(Content::Other("memcached", self.pass(line, name)))),
                "stub_status" => {
                    let origin = line.origin("`stub_status`: nginx shows its own numbers");
                    scope.content =
                        Some(Rc::new(Content::Fixed(200, true, Some(crate::gateway::Own::Metrics), origin)));
                }
                "empty_gif" => {
                    let origin = line.origin("`empty_gif`: nginx answers with a picture");
                    scope.content = Some(Rc::new(Content::Fixed(200, true, None, origin)));
                }
                "return" | "rewrite" | "set" | "if" | "break" | "location" | "server" | "limit_except" => {}
                other => {
                    let own = OPAQUE_CONTENT.contains(&other).then_some(Effect::Content);
                    let effect = own.or_else(|| modules::find(other.as_bytes()).map(|(_, effect)| effect));
                    let why = || format!("depends on `{other}` at {}", self.place(line));
                    let decides = || Some(Rc::new((why(), line.origin(format!("`{other}` decides")))));
                    match effect {
                        None | Some(Effect::Nothing) => {}
                        Some(Effect::Access) if line.arg(0) == b"off" => scope.opaque_access = None,
                        Some(Effect::Access) => scope.opaque_access = decides(),
                        Some(Effect::Rewrite) => scope.opaque_rewrite = decides(),
                        Some(Effect::Content) => {
                            let known = if other == "js_content" { self.script(line) } else { None };
                            let origin = line.origin(format!("`{other}` answers"));
                            scope.content = Some(Rc::new(known.unwrap_or(Content::Opaque(why(), origin))));
                        }
                    }
                }
            }
        }
        let replaced = |own: bool| own;
        if replaced(!errors.is_empty()) {
            scope.errors = errors.into();
        }
        if replaced(!rules.is_empty()) {
            scope.rules = rules.into();
        }
        if replaced(!headers.is_empty()) {
            scope.headers = headers.into();
        }
        if replaced(!trusted.is_empty()) {
            scope.trusted = trusted.into();
        }
        if replaced(!limit_req.is_empty()) {
            scope.limit_req = limit_req.into();
        }
        if replaced(!limit_conn.is_empty()) {
            scope.limit_conn = limit_conn.into();
        }
        // Limits that are only tried refuse nobody.
        for line in lines.iter().filter(|line| on(line)) {
            match line.name {
                "limit_req_dry_run" => scope.limit_req = Rc::from([]),
                "limit_conn_dry_run" => scope.limit_conn = Rc::from([]),
                _ => {}
            }
        }
        scope.referers = self.referers(lines).or(scope.referers);
        scope.secure_link = self.secure_link(outer.secure_link.as_ref(), lines);
        scope.settings = settings::inherit(self, &outer.settings, lines);
        scope
    }

    /// What a `proxy_set_header` does; one for all that say the same, since a config has very many.
    fn set_header(&mut self, line: &Line<'c>) -> Arc<HeaderEdit> {
        let (name, text) = (line.arg(0), line.arg(1));
        let known = self.edits.get(&(name, text)).filter(|_| self.same_everywhere());
        if let Some(known) = known {
            return known.clone();
        }
        let edit = Edit::Set(self.template(line, text));
        let made = Arc::new(HeaderEdit { name: line.text(0).into_owned(), edit });
        if !text.contains(&b'$') || self.templates.contains_key(text) {
            self.edits.insert((name, text), made.clone());
        }
        made
    }

    fn pass(&self, line: &Line<'c>, prefix: &[u8]) -> Rc<Pass> {
        let url = String::from_utf8_lossy(line.arg(0));
        let has_uri = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        let note = match (url.contains('$'), has_uri) {
            (true, _) => "sent on to what the variables say",
            (_, true) => "sent on: what the location compared is replaced in the path",
            _ => "sent on with the path as it came, not as it was compared",
        };
        Rc::new(Pass { url: line.arg(0).to_vec(), prefix: prefix.to_vec(), origin: line.origin(note) })
    }

    /// An `allow` or `deny`.
    pub fn rule(&mut self, line: &Line<'c>) -> Option<Rule> {
        let allow = line.is("allow");
        if line.arg(0) == b"unix:" {
            return None;
        }
        let Some(networks) = network(line.arg(0)) else {
            self.error(
                line,
                format!("`{}` is not an address or network", line.text(0)),
                "write an address such as `10.0.0.0/8`, or `all`",
            );
            return None;
        };
        let note = match allow {
            true => format!("`{}` allows this address", line.shown()),
            false => format!("`{}` refuses this address", line.shown()),
        };
        Some(Rule { allow, networks, origin: line.origin(note) })
    }

    /// A number that an argument is.
    pub fn number(&mut self, line: &Line<'c>, at: usize) -> Option<u16> {
        let number = line.text(at).parse().ok();
        if number.is_none() {
            self.error(line, format!("`{}` is not a number", line.text(at)), "write a whole number");
        }
        number
    }

    /// A size in bytes: `10`, `8k`, `1m`, `1g`.
    pub fn size(&mut self, line: &Line<'c>, at: usize) -> Option<u64> {
        let size = units::offset(line.arg(at));
        if size.is_none() {
            self.error(line, format!("`{}` is not a size", line.text(at)), "write bytes, or `8k`, `1m`, `1g`");
        }
        size
    }
}

/// Whether an argument is `on`.
pub fn on(line: &Line<'_>) -> bool {
    line.arg(0).eq_ignore_ascii_case(b"on")
}

/// An address, a network or `all`.
pub fn network(text: &[u8]) -> Option<Vec<IpNet>> {
    let text = std::str::from_utf8(text).ok()?;
    if text == "all" {
        return Some(vec!["0.0.0.0/0".parse().ok()?, "::/0".parse().ok()?]);
    }
    let net = text.parse::<IpNet>().ok().map(|net| net.trunc());
    Some(vec![net.or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)))?])
}

/// Addresses of these networks.
pub fn from_networks(networks: &[IpNet]) -> Predicate {
    Predicate::Client(networks.iter().copied().collect())
}
