//! Addresses: of sites, of listeners, of upstreams (Caddy 2.11, httpcaddyfile/addresses.go, listeners.go, reverseproxy/addresses.go).
//!
//! In: texts. Out: their parts. Invariant: what Caddy refuses is a reason, in lower case.

/// A site's address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// `http` or `https`; empty: neither is given.
    pub scheme: String,
    /// Lower case, except in placeholders; empty: any host.
    pub host: String,
    /// Empty: none is given.
    pub port: String,
    /// With its `/`; empty: none is given.
    pub path: String,
}

/// Where a proxy's upstream is.
#[derive(Debug)]
pub struct Upstream {
    /// Empty: none is given.
    pub scheme: String,
    /// What is dialled: one address, or one for each port of a range.
    pub dials: Vec<String>,
}

/// How many ports a range may have (Caddy 2.11, listeners.go).
const MOST_PORTS: u32 = 65535;

/// Go's `net.SplitHostPort`.
pub fn split_host_port(text: &str) -> Option<(String, String)> {
    let colon = text.rfind(':')?;
    let port = &text[colon + 1..];
    let host = if let Some(rest) = text.strip_prefix('[') {
        let end = rest.find(']')? + 1;
        if end + 1 != colon {
            return None;
        }
        &text[1..end]
    } else {
        let host = &text[..colon];
        if host.contains(':') {
            return None;
        }
        host
    };
    let open = usize::from(text.starts_with('['));
    let bare = |text: &str| !text.contains(['[', ']']);
    (bare(&text[open..open + host.len()]) && bare(port)).then(|| (host.to_owned(), port.to_owned()))
}

fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A host and port where the port may be missing.
fn split_loosely(text: &str) -> Option<(String, String)> {
    split_host_port(text).or_else(|| split_host_port(&format!("{text}:")))
}

impl Address {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Address, String> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, String::new()),
        };
        let (host, port) = split_loosely(authority).unwrap_or_else(|| (authority.to_owned(), String::new()));
        if !port.is_empty() && !port.contains("{env.") {
            match port.parse::<i64>() {
                Err(_) => return Err(format!("`{port}` isn't a port")),
                Ok(number) if !(0..=65535).contains(&number) => {
                    return Err(format!("the port {number} is out of range"));
                }
                Ok(_) => {}
            }
        }
        let host = match host.trim().parse::<std::net::Ipv6Addr>() {
            Ok(ip) if ip.to_ipv4_mapped().is_none() => ip.to_string(),
            _ => host.trim().to_owned(),
        };
        Ok(Address { scheme: lower(scheme), host: lower(&host), port, path })
    }
}

/// Lower case, except in placeholders.
fn lower(text: &str) -> String {
    let (mut escaped, mut inside) = (false, false);
    let mut out = String::with_capacity(text.len());
    for ch in text.chars() {
        if ch == '\\' && !escaped {
            escaped = true;
            out.push(ch);
            continue;
        }
        inside = match ch {
            '{' if !escaped => true,
            '}' if !escaped => false,
            _ => inside,
        };
        if inside {
            out.push(ch)
        } else {
            out.extend(ch.to_lowercase())
        }
        escaped = false;
    }
    out
}

/// The parts of a network address: network (empty: none is given), host, port.
fn split_network(text: &str) -> Result<(String, String, String), String> {
    let (network, rest) = match text.split_once('/') {
        Some((network, rest)) => (network.trim().to_lowercase(), rest),
        None => (String::new(), text),
    };
    if network.starts_with("unix") || network.starts_with("fd") {
        return Ok((network, rest.to_owned(), String::new()));
    }
    let bare = rest.trim_matches(['[', ']']);
    let found = split_host_port(rest).or_else(|| {
        let (host, _) = split_host_port(&join_host_port(bare, "0"))?;
        Some((host, String::new()))
    });
    let (host, port) = found.ok_or_else(|| format!("`{text}` isn't an address"))?;
    Ok((network, host, port))
}

fn join_network(network: &str, host: &str, port: &str) -> String {
    let prefix = if network.is_empty() { String::new() } else { format!("{network}/") };
    if network.starts_with("unix") || network.starts_with("fd") || (!host.is_empty() && port.is_empty()) {
        return prefix + host;
    }
    if port.is_empty() { prefix } else { prefix + &join_host_port(host, port) }
}

/// The first and last port of a range; absent: it is none.
fn ports(port: &str) -> Result<(u32, u32), String> {
    let (first, last) = port.split_once('-').unwrap_or((port, port));
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` isn't a port"));
    let (first, last) = (u32::from(number(first)?), u32::from(number(last)?));
    if last < first || last - first >= MOST_PORTS {
        return Err(format!("`{port}` isn't a range of ports"));
    }
    Ok((first, last))
}

/// The address that is listened on: `bind` without a port, and the site's port.
pub fn listener(bind: &str, port: &str) -> Result<String, String> {
    let (network, host, _) = split_network(bind)?;
    if network.starts_with("unix") || network.starts_with("fd") {
        return Ok(join_network(&network, &host, ""));
    }
    let shown = if port.is_empty() { "0".to_owned() } else { port.to_owned() };
    if !port.contains('{') {
        ports(&shown)?;
    }
    let network = if network == "tcp" { "" } else { &network };
    Ok(join_network(network, &host, &shown))
}

/// The ports that an address listens on; none for sockets in the file system.
pub fn listener_ports(listener: &str) -> Option<(u32, u32)> {
    let (network, _, port) = split_network(listener).ok()?;
    if network.starts_with("unix") || network.starts_with("fd") {
        return Some((0, 0));
    }
    ports(&port).ok()
}

/// Reads an upstream.
pub fn upstream(text: &str) -> Result<Upstream, String> {
    let (network, scheme, host, port) = parts(text)?;
    match scheme.as_str() {
        "" | "http" | "https" | "h2c" => {}
        "ws" | "wss" => return Err(format!("`{scheme}://` is for browsers: write `http://` or `https://`")),
        _ => return Err(format!("`{scheme}://` isn't a scheme of upstreams")),
    }
    let dial = if !network.is_empty() {
        join_network(&network, &host, &port)
    } else if port.is_empty() && host.contains('{') {
        host.clone()
    } else {
        join_host_port(&host, &port)
    };
    let one = |dial: String| Ok(Upstream { scheme: scheme.clone(), dials: vec![dial] });
    if port.contains('{') && port.contains('}') {
        return one(dial);
    }
    let (dial_network, dial_host, dial_port) = split_network(&dial)?;
    if dial_network.starts_with("unix") || dial_network.starts_with("fd") {
        return one(dial);
    }
    let range = if dial_port.is_empty() { (0, 0) } else { ports(&dial_port)? };
    if !port.contains('-') {
        return one(dial);
    }
    let dials = (range.0..=range.1).map(|port| join_network("", &dial_host, &port.to_string())).collect();
    Ok(Upstream { scheme, dials })
}

/// Network, scheme, host and port of an upstream.
fn parts(text: &str) -> Result<(String, String, String, String), String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        let (network, host, mut port) =
            split_network(text).unwrap_or_else(|_| (String::new(), text.to_owned(), String::new()));
        let socket = network.starts_with("unix") || network.starts_with("fd");
        if port.is_empty() && !host.contains('{') && !socket {
            port = "80".into();
        }
        if network == "unix+h2c" {
            return Ok(("unix".into(), "h2c".into(), host, port));
        }
        return Ok((network, String::new(), host, port));
    };
    if text.contains('{') {
        return Err("placeholders can't stand in an upstream with a scheme".into());
    }
    let bad = || Err("the URL can't be read".to_owned());
    let letters = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '+' | '-' | '.');
    if !scheme.starts_with(|ch: char| ch.is_ascii_alphabetic()) || !scheme.chars().all(letters) {
        return bad();
    }
    if rest.chars().any(|ch| ch.is_control() || ch == ' ') {
        return bad();
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let behind = &rest[authority.len()..];
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let Some((host, port)) = v6.split_once(']') else { return bad() };
            (host, port.strip_prefix(':').unwrap_or(port))
        }
        None => authority.rsplit_once(':').unwrap_or((authority, "")),
    };
    // Go's `net/url` takes these in a host, and what isn't ASCII.
    let allowed = |ch: char| !ch.is_ascii() || ch.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"".contains(ch);
    if !host.chars().all(allowed) {
        return bad();
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let range = port.split_once('-').is_some_and(|(_, last)| !last.contains('-'));
    if host.contains(':') && !authority.starts_with('[') || !(digits(port) || range) {
        return bad();
    }
    if !behind.is_empty() && behind != "?" && behind != "#" {
        return Err("an upstream's URL has a scheme, a host and a port only".into());
    }
    let scheme = scheme.to_lowercase();
    if matches!((scheme.as_str(), port), ("http" | "h2c", "443") | ("https", "80")) {
        return Err(format!("`{scheme}://` and the port {port} don't belong together"));
    }
    let port = match (port, scheme.as_str()) {
        ("", "http" | "h2c") => "80",
        ("", "https") => "443",
        _ => port,
    };
    Ok((String::new(), scheme.clone(), host.to_owned(), port.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_parts() {
        let parts = |text: &str| Address::parse(text).map(|a| [a.scheme, a.host, a.port, a.path].join("|"));
        for (text, expected) in [
            (":80", "||80|"),
            ("Example.COM", "|example.com||"),
            ("http://a:8080/x", "http|a|8080|/x"),
            ("[::1]:80", "|::1|80|"),
            ("::1", "|::1||"),
            ("*", "|*||"),
            ("{env.X}", "|{env.X}||"),
            ("unix//x", "|unix||//x"),
        ] {
            assert_eq!(parts(text).as_deref(), Ok(expected), "{text}");
        }
        assert!(Address::parse(":1-3").is_err() && Address::parse("a:99999").is_err());
        assert_eq!(listener("127.0.0.1", "80").as_deref(), Ok("127.0.0.1:80"));
        assert_eq!(listener("::1", "80").as_deref(), Ok("[::1]:80"));
        assert_eq!(listener("unix//run/x", "80").as_deref(), Ok("unix//run/x"));
    }

    #[test]
    fn upstreams_are_dialled() {
        let dial = |text: &str| upstream(text).map(|upstream| upstream.dials.join(" "));
        for (text, expected) in [
            ("localhost:1", "localhost:1"),
            ("localhost", "localhost:80"),
            ("https://a", "a:443"),
            ("http://a:1-3", "a:1 a:2 a:3"),
            ("unix//run/x", "unix//run/x"),
            ("{env.X}", "{env.X}"),
            ("{env.X}:1", "{env.X}:1"),
            ("a:{env.P}", "a:{env.P}"),
            (":8080", ":8080"),
            ("a:1:2:b", "[a:1:2:b]:80"),
        ] {
            assert_eq!(dial(text).as_deref(), Ok(expected), "{text}");
        }
        for bad in ["http://a/b", "http://a\\:1", "ws://a", "https://a:80", "http://{env.X}"] {
            assert!(dial(bad).is_err(), "{bad}");
        }
    }
}
