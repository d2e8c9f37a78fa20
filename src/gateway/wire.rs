//! What a server refuses before any rule of its config, and what it does to a path before rules see it: as data.
//!
//! In: a request's bytes. Out: its parts, or the status that ends it. Invariant: no server is named here; each fills in the table
//! ([`Wire::strict`] is the policy's own).

use std::borrow::Cow;

use super::HeaderLines;
use crate::http::{self, Request, Target, Version};

/// What a listener refuses, and how it reads what it takes.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Wire {
    /// Anything that arrives is passed on as bytes: nothing is read at all.
    pub raw: bool,
    /// How a target becomes a path.
    pub path: PathView,
    /// Methods hold upper-case letters, `-` and `_` only; others are 400 (nginx 1.22.1).
    pub upper_case_methods: bool,
    /// Methods that are refused, with their statuses.
    pub refused_methods: &'static [(&'static str, u16)],
    /// `OPTIONS *` is answered with this (Go's net/http).
    pub options_asterisk: Option<u16>,
    /// The asterisk form with another method, or where it isn't answered, is refused with this; absent: rules see `*`.
    pub asterisk: Option<u16>,
    /// Headers that may stand only once; twice is 400.
    pub single_headers: &'static [&'static str],
    /// What happens with header names that hold `_`.
    pub underscores: Underscores,
    /// Names with bytes that no name has are overlooked, instead of refused with 400 (nginx 1.22.1); blanks and control characters never.
    pub odd_names_dropped: bool,
    /// How long a head may be.
    pub head: HeadLimits,
    /// Which hosts are taken.
    pub host: HostRule,
    /// HTTP/2 isn't spoken: such a connection is closed.
    pub http1_only: bool,
    /// What can't be read ends an HTTP/2 stream without an answer, instead of 400 (Go's net/http 1.26).
    pub resets_streams: bool,
    /// Where TLS is spoken, what comes without it is read too, and the chain decides about it.
    pub plain_too: bool,
}

/// What happens with header names that hold `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Underscores {
    /// They are headers like others.
    Kept,
    /// The same, and rules find them under the name with `-` for `_`.
    Dashes,
    /// They are overlooked.
    Dropped,
    /// The request is refused (400), for a `.` too (Traefik 3.7.15).
    Refused,
    /// Names that hold anything but letters, digits and `-` are overlooked (Traefik 3.7.15).
    AliasesDropped,
    /// A request with such a name is refused (400).
    AliasesRefused,
}

/// How long a request's head may be, in bytes; more is refused with the status beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HeadLimits {
    /// The request line, its line end included.
    pub line: Option<(u64, u16)>,
    /// One header line, its line end included.
    pub field: Option<(u64, u16)>,
    /// The whole head.
    pub total: Option<(u64, u16)>,
    /// Over HTTP/2, instead of these, a single name or value, and all of them together; more ends the connection without an answer.
    pub framed: Option<(u64, u64)>,
}

/// Which authorities are taken; others are 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostRule {
    /// No blank, no control character.
    Printable,
    /// As nginx 1.22.1: not empty, no `/`, no NUL, no `..`, in an absolute target no `@`; one final dot is dropped.
    Nginx,
    /// The same, and the bytes of RFC 3986, with a number up to 65535 for a port (nginx from 1.29.4 on; measured on 1.31.3).
    NginxStrict,
    /// As Go's net/http 1.26: the bytes of RFC 3986; may be empty.
    Go,
}

/// How a target becomes the path that rules see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PathView {
    /// Percent escapes are resolved, once; wrong ones are refused (400).
    pub unescape: bool,
    /// An escaped NUL is refused (400).
    pub refuse_nul: bool,
    /// Dot segments are resolved.
    pub dots: Dots,
    /// Runs of `/` become one.
    pub merge_slashes: bool,
    /// `#` ends path and query.
    pub cut_fragment: bool,
}

/// What happens with `.` and `..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dots {
    /// They stay.
    Kept,
    /// They are resolved; above the root is refused (400).
    Resolved,
    /// They are resolved; above the root is the root.
    Clamped,
}

/// A request as a listener reads it.
#[derive(Debug, Clone)]
pub(super) struct Read<'r> {
    pub target: Target<'r>,
    pub path: Vec<u8>,
    pub host: Option<String>,
    pub authority: Vec<u8>,
    pub headers: HeaderLines,
}

impl Read<'_> {
    /// Nothing was read yet.
    pub fn nothing() -> Self {
        Read {
            target: Target { authority: None, path: b"", query: None },
            path: Vec::new(),
            host: None,
            authority: Vec::new(),
            headers: HeaderLines::new(),
        }
    }
}

/// Why a request is refused before any rule.
pub(super) type Refusal = (u16, Cow<'static, str>);

impl PathView {
    /// The path as sent.
    pub const RAW: PathView =
        PathView { unescape: false, refuse_nul: false, dots: Dots::Kept, merge_slashes: false, cut_fragment: false };

    /// The query that rules see.
    pub fn query<'t>(&self, target: &Target<'t>) -> &'t [u8] {
        let query = target.query.unwrap_or_default();
        match self.cut_fragment {
            true if target.path.contains(&b'#') => b"",
            true => query.split(|&byte| byte == b'#').next().unwrap_or_default(),
            false => query,
        }
    }

    /// The path that rules see. Errors: why the request is refused with 400.
    pub fn apply(&self, raw: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut raw = raw;
        if self.cut_fragment
            && let Some(at) = raw.iter().position(|&byte| byte == b'#')
        {
            raw = &raw[..at];
        }
        let mut path = if self.unescape { unescape(raw).ok_or("a wrong percent escape")? } else { raw.to_vec() };
        if self.refuse_nul && path.contains(&0) {
            return Err("the path holds a NUL");
        }
        if self.merge_slashes {
            path.dedup_by(|next, last| *next == b'/' && *last == b'/');
        }
        if self.dots != Dots::Kept {
            path = resolve_dots(&path, self.dots == Dots::Clamped).ok_or("the path leads above the root")?;
        }
        Ok(path)
    }
}

/// Percent escapes resolved. `None`: a wrong one.
pub(super) fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        if byte == b'%' {
            let value = digit(raw.get(at + 1))? * 16 + digit(raw.get(at + 2))?;
            out.push(u8::try_from(value).ok()?);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    Some(out)
}

/// `.` and `..` resolved (RFC 3986, section 5.2.4), a final `/` kept. `None`: it leads above the root, and that isn't clamped.
pub(super) fn resolve_dots(path: &[u8], clamp: bool) -> Option<Vec<u8>> {
    if !path.starts_with(b"/") {
        return Some(path.to_vec());
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let parts: Vec<&[u8]> = path[1..].split(|&byte| byte == b'/').collect();
    let last = parts.len() - 1;
    for (at, part) in parts.iter().enumerate() {
        match *part {
            b"." if at == last => kept.push(b""),
            b"." => {}
            b".." => {
                if kept.pop().is_none() && !clamp {
                    return None;
                }
                if at == last {
                    kept.push(b"");
                }
            }
            part => kept.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for part in kept {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Some(out)
}

impl Wire {
    /// What every HTTP server refuses (RFC 9112, sections 3 and 5), and a head from twice `head_bytes` on (431).
    pub fn strict(head_bytes: u64) -> Wire {
        Wire {
            raw: false,
            path: PathView::RAW,
            upper_case_methods: false,
            refused_methods: &[],
            options_asterisk: None,
            asterisk: None,
            single_headers: &[],
            underscores: Underscores::Kept,
            odd_names_dropped: false,
            head: HeadLimits { total: Some((2 * head_bytes - 1, 431)), ..HeadLimits::default() },
            host: HostRule::Printable,
            http1_only: false,
            resets_streams: false,
            plain_too: false,
        }
    }

    /// What Go's net/http 1.26 takes with `MaxHeaderBytes`; it reads 4096 bytes more, then it is 431.
    pub fn go(head_bytes: u64) -> Wire {
        Wire {
            path: PathView { unescape: true, ..PathView::RAW },
            options_asterisk: Some(200),
            head: HeadLimits { total: Some((head_bytes + 4096, 431)), ..HeadLimits::default() },
            host: HostRule::Go,
            resets_streams: true,
            ..Wire::strict(head_bytes)
        }
    }

    /// Reads a request; `behind` is how the server of its host reads what comes behind the host, if otherwise. Errors: the status that ends
    /// it, and why; 444: nothing is answered.
    pub(super) fn read<'r>(&self, request: &'r Request, behind: Option<&Wire>) -> Result<Read<'r>, Refusal> {
        if self.http1_only && request.version == Version::Http2 {
            return Err((444, "HTTP/2 is not spoken here".into()));
        }
        let resets = self.resets_streams && request.version == Version::Http2;
        if resets && !request.target.starts_with(b"/") && request.target != b"*" {
            return Err((444, "a `:path` without a slash at its start".into()));
        }
        let read = self.take(request, behind.unwrap_or(self));
        let read = read.map_err(|(status, why)| (if resets && status == 400 { 444 } else { status }, why))?;
        // What follows refuses requests that were read well: they get an answer, whatever the protocol.
        let refused = request.headers.iter().any(|(name, _)| match self.underscores {
            Underscores::Refused => name.iter().any(|byte| matches!(byte, b'_' | b'.')),
            Underscores::AliasesRefused => is_alias(name),
            _ => false,
        });
        if refused { Err((400, "a header's name may stand for another one".into())) } else { Ok(read) }
    }

    fn take<'r>(&self, request: &'r Request, behind: &Wire) -> Result<Read<'r>, Refusal> {
        if request.method.is_empty() || !request.method.iter().all(|&byte| http::is_token_byte(byte)) {
            return Err((400, "the method is malformed".into()));
        }
        if self.upper_case_methods && !request.method.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'_' | b'-')) {
            return Err((400, "the method is not in capitals".into()));
        }
        // A `:path` has its own frame: a blank in it ends nothing.
        let framed = self.resets_streams && request.version == Version::Http2;
        if request.target.iter().any(|&byte| byte < b' ' || byte == 0x7f || (byte == b' ' && !framed)) {
            return Err((400, "the request target holds a blank or a control character".into()));
        }
        self.lengths(request)?;
        let target = Target::parse(&request.target).ok_or((400, "the request target is malformed".into()))?;
        let Headers { lines, host, end } = self.headers(request, &target, behind);
        if let Some(refusal) = end {
            return Err(refusal);
        }
        if target.path == b"*" {
            match (self.options_asterisk, self.asterisk) {
                (Some(status), _) if request.method == b"OPTIONS" => {
                    return Err((status, "the server answers `OPTIONS *` by itself".into()));
                }
                (_, Some(status)) => return Err((status, "the target is `*`".into())),
                _ => {}
            }
        }
        let path = self.path(request, behind).apply(target.path).map_err(|why| (400, Cow::Borrowed(why)))?;
        if let Some((method, status)) =
            self.refused_methods.iter().find(|(method, _)| method.as_bytes() == request.method)
        {
            return Err((*status, format!("the server refuses {method}").into()));
        }
        let authority = authority(request, &target).unwrap_or_default().to_vec();
        Ok(Read { target, path, host, authority, headers: lines })
    }

    /// What is known of a request that was refused: the path, if the request line was in order, and the headers up to where reading ended.
    pub(super) fn remains<'r>(&self, request: &'r Request, behind: Option<&Wire>) -> Read<'r> {
        let behind = behind.unwrap_or(self);
        let capitals = request.method.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'_' | b'-'));
        let short = self.head.line.is_none_or(|(most, _)| line_bytes(request) <= most);
        let in_order = short && (capitals || !self.upper_case_methods) && request.target != b"*";
        let target = Target::parse(&request.target).filter(|_| in_order);
        // Over HTTP/2 the host is known before the path.
        let nothing =
            || Read { host: self.host_of(request).filter(|_| request.version == Version::Http2), ..Read::nothing() };
        let Some(target) = target else { return nothing() };
        let Ok(path) = self.path(request, behind).apply(target.path) else { return nothing() };
        let Headers { lines, host, .. } = self.headers(request, &target, behind);
        let seen = target.authority.is_some() || lines.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        let authority = authority(request, &target).filter(|_| seen).unwrap_or_default().to_vec();
        Read { target, path, host, authority, headers: lines }
    }

    /// The host that a request asks for, whatever else it is.
    pub(super) fn host_of(&self, request: &Request) -> Option<String> {
        let target = Target::parse(&request.target)?;
        self.host.read(authority(request, &target)?, true, target.authority.is_some())?
    }

    /// How a target becomes a path: over HTTP/2 the host is known by then (measured on nginx 1.22.1 and 1.31.3, with `:authority` before
    /// `:path`, as most clients send them).
    fn path(&self, request: &Request, behind: &Wire) -> PathView {
        if request.version == Version::Http2 { behind.path } else { self.path }
    }

    /// The headers that rules see, the host, and why reading ended before the end of the head.
    fn headers(&self, request: &Request, target: &Target<'_>, behind: &Wire) -> Headers {
        let mut read = Headers { lines: Vec::with_capacity(request.headers.len()), host: None, end: None };
        read.end = self.read_headers(request, target, behind, &mut read).err();
        read
    }

    fn read_headers(
        &self,
        request: &Request,
        target: &Target<'_>,
        behind: &Wire,
        read: &mut Headers,
    ) -> Result<(), Refusal> {
        let malformed_host = || (400, Cow::Borrowed("the Host is malformed"));
        if let Some(authority) = target.authority {
            read.host = self.host.read(authority, true, true).ok_or_else(malformed_host)?;
        }
        let framed = request.version == Version::Http2;
        let mut rules = if framed || target.authority.is_some() { behind } else { self };
        let mut bytes = if std::ptr::eq(rules, self) { line_bytes(request) } else { 0 };
        let mut hosts = 0;
        for (at, (name, value)) in request.headers.iter().enumerate() {
            let own = (name.len() + value.len() + 4) as u64;
            bytes += own;
            if !(framed && self.head.framed.is_some()) {
                within(rules.head.field, own, "a header is too long")?;
                within(rules.head.total, bytes, "the request head is too large")?;
            }
            let odd = !name.iter().all(|&byte| http::is_token_byte(byte));
            let visible = name.iter().all(|&byte| byte > b' ' && byte != 0x7f && byte != b':');
            if odd && visible && rules.odd_names_dropped {
                continue;
            }
            if odd || name.is_empty() || value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
                return Err((400, "a header is malformed".into()));
            }
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            if let Some(single) = self.single_headers.iter().find(|single| is(single))
                && request.headers[..at].iter().any(|(before, _)| before.eq_ignore_ascii_case(name))
            {
                return Err((400, format!("two {single} headers").into()));
            }
            match rules.underscores {
                Underscores::Dropped if name.contains(&b'_') => continue,
                Underscores::Dashes => {
                    let dashed = name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte });
                    read.lines.push((dashed.collect(), value.clone()));
                }
                Underscores::AliasesDropped if is_alias(name) => continue,
                _ => read.lines.push((name.clone(), value.clone())),
            }
            if is("host") {
                hosts += 1;
                if hosts > 1 {
                    return Err((400, "two Host headers".into()));
                }
                let host = self.host.read(value, true, false).ok_or_else(malformed_host)?;
                if target.authority.is_none() {
                    read.host = host;
                    if !std::ptr::eq(rules, behind) {
                        (rules, bytes) = (behind, 0);
                    }
                }
            }
        }
        if hosts == 0 && request.version == Version::Http11 {
            return Err((400, "no Host header".into()));
        }
        if hosts == 0 && target.authority.is_none() {
            read.host = self.host.read(b"", false, false).ok_or_else(malformed_host)?;
        }
        if std::ptr::eq(behind, self) && !(framed && self.head.framed.is_some()) {
            within(self.head.total, request.head_bytes(), "the request head is too large")?;
        }
        // Where neither is written down, a body is framed by its length.
        let frames = |name: &[u8]| {
            name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
        };
        if request.body_bytes > 0 && !read.lines.iter().any(|(name, _)| frames(name)) {
            read.lines.push((b"Content-Length".to_vec(), request.body_bytes.to_string().into_bytes()));
        }
        Ok(())
    }

    /// Refuses what is too long before any header is read.
    fn lengths(&self, request: &Request) -> Result<(), Refusal> {
        let Some((one, all)) = self.head.framed.filter(|_| request.version == Version::Http2) else {
            return within(self.head.line, line_bytes(request), "the request line is too long");
        };
        let host = request.header("host").next().unwrap_or_default();
        let scheme: &[u8] = if request.tls == Some(true) { b"https" } else { b"http" };
        let pseudo: [(&[u8], &[u8]); 4] =
            [(b":method", &request.method), (b":scheme", scheme), (b":authority", host), (b":path", &request.target)];
        let others = request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
        let fields = pseudo.into_iter().chain(others.map(|(name, value)| (name.as_slice(), value.as_slice())));
        let mut sum = 0;
        for (name, value) in fields {
            sum += (name.len() + value.len()) as u64;
            if name.len().max(value.len()) as u64 > one || sum > all {
                return Err((444, "the request head is too large for HTTP/2".into()));
            }
        }
        Ok(())
    }
}

/// The headers of a request, as far as they were read.
struct Headers {
    lines: HeaderLines,
    /// The host that rules see.
    host: Option<String>,
    /// Why reading ended before the end of the head.
    end: Option<Refusal>,
}

/// The authority of a target, else the first Host.
fn authority<'r>(request: &'r Request, target: &Target<'r>) -> Option<&'r [u8]> {
    target.authority.or_else(|| request.header("host").next())
}

/// Refuses what is longer.
fn within(limit: Option<(u64, u16)>, bytes: u64, why: &'static str) -> Result<(), Refusal> {
    match limit {
        Some((most, status)) if bytes > most => Err((status, why.into())),
        _ => Ok(()),
    }
}

/// The length of the request line, its line end included.
fn line_bytes(request: &Request) -> u64 {
    (request.method.len() + request.target.len() + " HTTP/1.1\r\n".len() + 1) as u64
}

/// Whether a program that turns names into variables takes this one for another.
fn is_alias(name: &[u8]) -> bool {
    !name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl HostRule {
    /// The host that rules see; `Some(None)`: none that is a name. `None`: refused.
    fn read(self, authority: &[u8], given: bool, absolute: bool) -> Option<Option<String>> {
        if authority.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
            return None;
        }
        match self {
            HostRule::Printable => Some(http::host_name(authority)),
            HostRule::Go => {
                let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~@".contains(byte);
                let text = std::str::from_utf8(authority).ok()?;
                authority.iter().all(legal).then(|| Some(without_port(text).to_ascii_lowercase()))
            }
            HostRule::Nginx | HostRule::NginxStrict => {
                if authority.is_empty() {
                    return (!given).then_some(None);
                }
                let text = String::from_utf8_lossy(authority);
                let whole = without_port(&text);
                let name = whole.strip_suffix('.').unwrap_or(whole);
                let user = absolute && authority.contains(&b'@');
                let strict = self == HostRule::NginxStrict && !is_authority(authority);
                let refused = name.is_empty() || whole.contains("..") || name.contains(['/', '\0']) || user || strict;
                (!refused).then(|| Some(name.to_ascii_lowercase()))
            }
        }
    }
}

/// Whether these are a host and perhaps a port (RFC 3986, section 3.2, without user information).
fn is_authority(authority: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte);
    let literal = authority.strip_prefix(b"[").and_then(|rest| {
        let end = rest.iter().position(|&byte| byte == b']')?;
        Some((&rest[..end], &rest[end + 1..]))
    });
    let (host_is_legal, port) = match literal {
        Some((address, rest)) => (address.iter().all(|byte| *byte == b':' || legal(byte)), rest),
        None => {
            let end = authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len());
            (authority[..end].iter().all(legal), &authority[end..])
        }
    };
    let number = |port: &[u8]| {
        port.iter().all(u8::is_ascii_digit)
            && port.iter().fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
                < 65536
    };
    host_is_legal && (port.is_empty() || port.strip_prefix(b":").is_some_and(number))
}

/// A host without its port; an IPv6 address keeps its brackets.
fn without_port(authority: &str) -> &str {
    match authority.rfind(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or(authority),
    }
}
