//! How nginx's servers are reached and what they read: sockets with TLS, limits of heads, names of headers.
//!
//! In: choices. Out: parts of a server, and changes to a request. Invariant: a config with TLS names its certificate in every server.

use serde_json::{Map, Value, json};

use crate::harness::Part;
use crate::random::Random;

/// What every server of a config with TLS has.
pub fn listen(random: &mut Random) -> Vec<Part> {
    let mut parts = vec![
        Part::line("listen @LISTEN3@ ssl http2;").fixed(),
        Part::line("ssl_certificate @CERT@; ssl_certificate_key @KEY@; ssl_client_certificate @CERT@;").fixed(),
    ];
    if random.chance(20) {
        parts.push(Part::line(random.pick(&[
            "ssl_verify_client on;",
            "ssl_verify_client optional;",
            "ssl_reject_handshake on;",
            "ssl_verify_client optional_no_ca;",
        ])));
    }
    parts
}

/// What a server reads of requests.
pub fn reading(random: &mut Random) -> Vec<Part> {
    let all = [
        "underscores_in_headers on;",
        "ignore_invalid_headers off;",
        "merge_slashes off;",
        "large_client_header_buffers 2 1k; client_header_buffer_size 512;",
        "large_client_header_buffers 4 2k;",
    ];
    random.some(&all, 20).into_iter().map(Part::line).collect()
}

/// A request that goes to the socket with TLS.
pub fn over_tls(random: &mut Random, request: &mut Map<String, Value>, names: &[&str]) {
    request.insert("port".to_owned(), json!(3));
    request.insert("tls".to_owned(), json!(!random.chance(10)));
    match random.below(6) {
        0 => drop(request.insert("sni".to_owned(), Value::Null)),
        1..=3 => drop(request.insert("sni".to_owned(), json!(random.pick(names)))),
        _ => {}
    }
    let path = request["target"].as_str().is_some_and(|target| target.starts_with('/') && target.is_ascii());
    let capitals =
        request["method"].as_str().is_some_and(|method| method.bytes().all(|byte| byte.is_ascii_uppercase()));
    if request["tls"] == json!(true) && path && capitals && random.chance(30) {
        request.insert("http".to_owned(), json!("2"));
        // A body without a length can't be told in a request line.
        request.remove("chunked");
    }
}

/// Headers that not every server reads alike.
pub fn odd_headers(random: &mut Random, headers: &mut Vec<[String; 2]>) {
    let long = || "a".repeat(1100);
    let odd = match random.below(6) {
        0 | 1 => ["X_Key".to_owned(), "k1".to_owned()],
        2 => ["X(Key".to_owned(), "k1".to_owned()],
        3 => ["X-Long".to_owned(), long()],
        4 => ["X.Key".to_owned(), "K1".to_owned()],
        _ => ["X-Long".to_owned(), format!("{}{}", long(), long())],
    };
    let at = random.below(headers.len() + 1);
    headers.insert(at, odd);
}
