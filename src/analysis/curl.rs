//! A request as a command to paste.
//!
//! In: a witness. Out: a `curl` command that sends the same request. Invariant: a client's credential stands in it as a variable.

use std::net::Ipv6Addr;

use super::decision::{shown_headers, shown_target};
use super::survey::Witness;
use crate::gateway::eval::evaluate;
use crate::gateway::{Gateway, Listener};
use crate::http::{Request, Sni, Version};

/// The command.
pub fn command(gateway: &Gateway, witness: &Witness) -> String {
    let Some(listener) = gateway.listening(&witness.request) else { return String::new() };
    let mut words = vec!["curl -i".to_owned()];
    if witness.request.client_ip.is_ipv6() && listener.address.is_unspecified() {
        words.push("-6".to_owned());
    }
    let method = String::from_utf8_lossy(&witness.request.method).into_owned();
    match method.as_str() {
        "GET" => {}
        "HEAD" => words.push("--head".to_owned()),
        _ => words.push(format!("-X {}", quoted(&method))),
    }
    match witness.request.version {
        Version::Http10 => words.push("--http1.0 -H 'Host:'".to_owned()),
        Version::Http2 if listener.tls => words.push("--http2".to_owned()),
        Version::Http2 => words.push("--http2-prior-knowledge".to_owned()),
        Version::Http11 => {}
    }
    words.extend(own_host(gateway, listener, witness));
    // With TLS the name is asked for in the handshake too, so it stands in the URL.
    let host = witness.host.as_deref().map(String::from_utf8_lossy);
    let as_host = witness.request.sni == Sni::AsHost;
    let named = match &witness.request.sni {
        Sni::AsHost => host.filter(|host| !host.contains(':')),
        Sni::Absent => None,
        Sni::Name(name) => Some(name.into()),
    };
    let named = named.filter(|_| listener.tls);
    let in_url = |name: &str| as_host && named.is_some() && name.eq_ignore_ascii_case("host");
    for (name, value) in shown_headers(witness).into_iter().filter(|(name, _)| !in_url(name)) {
        let of_key =
            witness.caller.headers.iter().any(|(_, own)| witness.caller.shown_key(own).as_ref() == Some(&value));
        words.push(match value.is_empty() {
            true => format!("-H {}", quoted(&format!("{name};"))),
            // The shell puts the key in.
            false if of_key => format!("-H \"{name}: {value}\""),
            false => format!("-H {}", quoted(&format!("{name}: {value}"))),
        });
    }
    words.extend(credential(witness));
    let made = witness.request.body.is_none() && witness.request.body_bytes > 0;
    words.extend(witness.request.body.as_ref().map(|body| format!("-d {}", quoted(&String::from_utf8_lossy(body)))));
    if made {
        words.insert(0, format!("head -c {} /dev/zero |", witness.request.body_bytes));
        words.push("--data-binary @-".to_owned());
    }
    let target = String::from_utf8_lossy(&shown_target(witness)).into_owned();
    if listener.tls {
        words.push("-k".to_owned());
    }
    let base = match &named {
        Some(host) => {
            words.push(format!("--resolve {host}:{}:{}", listener.port, reached_at(listener)));
            format!("https://{host}{}", port_of(listener))
        }
        None if listener.tls && !as_host => format!("https://{}{}", reached_at(listener), port_of(listener)),
        None => base(listener),
    };
    let path = target.split('?').next().unwrap_or_default();
    let as_is =
        target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() && !b"#[]{}\\".contains(&byte));
    if as_is {
        if path.contains("//") || path.contains("/.") {
            words.push("--path-as-is".to_owned());
        }
        words.push(quoted(&format!("{base}{target}")));
    } else {
        words.push(format!("--request-target {} {base}/", quoted(&target)));
    }
    words.join(" ")
}

/// The Host of a witness that names none, where the one that curl sends would lead elsewhere.
fn own_host(gateway: &Gateway, listener: &Listener, witness: &Witness) -> Option<String> {
    let named = |name: &[u8]| name.eq_ignore_ascii_case(b"host");
    let at = witness.request.headers.iter().position(|(name, _)| named(name))?;
    if shown_headers(witness).iter().any(|(name, _)| named(name.as_bytes())) {
        return None;
    }
    let sent = base(listener).split("//").nth(1).unwrap_or_default().to_owned();
    let ways = |request: &Request| {
        let outcome = evaluate(gateway, request);
        (outcome.steps, std::mem::discriminant(&outcome.verdict))
    };
    let mut as_sent = witness.request.clone();
    as_sent.headers[at].1 = sent.into_bytes();
    let host = String::from_utf8_lossy(&witness.request.headers[at].1);
    (ways(&as_sent) != ways(&witness.request)).then(|| format!("-H {}", quoted(&format!("Host: {host}"))))
}

/// Where a listener is reached from its own machine.
fn base(listener: &Listener) -> String {
    let scheme = if listener.tls { "https" } else { "http" };
    let host = if listener.address.is_unspecified() { "localhost".to_owned() } else { reached_at(listener) };
    format!("{scheme}://{host}{}", port_of(listener))
}

/// Its address, as a URL writes it.
fn reached_at(listener: &Listener) -> String {
    match listener.address {
        address if address == Ipv6Addr::UNSPECIFIED => "[::1]".to_owned(),
        address if address.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
        std::net::IpAddr::V4(address) => address.to_string(),
    }
}

/// Its port, where a URL must name it.
fn port_of(listener: &Listener) -> String {
    let usual = if listener.tls { 443 } else { 80 };
    if listener.port == usual { String::new() } else { format!(":{}", listener.port) }
}

/// The credential of a client, as a variable.
fn credential(witness: &Witness) -> Option<String> {
    let client = witness.caller.shown_client()?;
    if let Some((name, _)) = &witness.caller.argument {
        return Some(format!("--url-query \"{name}=$KEY\""));
    }
    match witness.caller.headers.as_slice() {
        [] => Some(format!("-u {}", quoted(witness.caller.as_client.as_deref().unwrap_or(client)))),
        headers => {
            let line = |(name, value): &(Vec<u8>, Vec<u8>)| {
                let scheme = ["Bearer ", "Basic "].iter().find(|scheme| value.starts_with(scheme.as_bytes()));
                format!("-H \"{}: {}$KEY\"", String::from_utf8_lossy(name), scheme.unwrap_or(&""))
            };
            Some(headers.iter().map(line).collect::<Vec<_>>().join(" "))
        }
    }
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:%=@,+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
