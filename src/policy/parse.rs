//! Small texts inside the policy: addresses, names, paths, hashes.
//!
//! In: a string. Out: its meaning, or what is wrong with it and what to write. Invariant: what passes here can be written safely
//! in every target.

use std::net::{IpAddr, SocketAddr};

use super::plan::{HashAlgorithm, PathPattern, Server};

/// What is wrong, and the remedy.
pub type Wrong = (String, String);

/// Ends with an error.
pub fn wrong<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Wrong> {
    Err((message.into(), help.into()))
}

/// `host:port`, the host being a name or an address.
pub fn server(text: &str) -> Result<Server, Wrong> {
    const HELP: &str = "write host:port, such as \"127.0.0.1:11434\"";
    if text.contains("://") {
        return wrong(format!("`{}` is a URL", text.escape_debug()), HELP);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => wrong("port 0 is no port", HELP),
            port => Ok(Server { host: address.ip().to_string(), port }),
        };
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return wrong(format!("`{}` has no port", text.escape_debug()), HELP);
    };
    match port.parse::<u16>() {
        Ok(port @ 1..) if is_host_name(host) => Ok(Server { host: host.to_ascii_lowercase(), port }),
        _ => wrong(format!("`{}` is no host and port", text.escape_debug()), HELP),
    }
}

/// A DNS name or IPv4 address: letters, digits, `-` (inside), `_` and dots between them.
pub fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// `address:port` to bind.
pub fn listen(text: &str) -> Result<(IpAddr, u16), Wrong> {
    const HELP: &str = "write address:port, such as \"127.0.0.1:8080\", \"0.0.0.0:443\" or \"[::1]:8080\"";
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => wrong("port 0 is no port", HELP),
        Ok(address) => Ok((address.ip(), address.port())),
        Err(_) if text.starts_with(':') && !text.starts_with("::") => {
            wrong(format!("`{}` doesn't say on which addresses", text.escape_debug()), HELP)
        }
        Err(_) => wrong(format!("`{}` is no address and port", text.escape_debug()), HELP),
    }
}

/// Whether a text could be an API key, and so must not be shown.
pub fn could_be_key(text: &str) -> bool {
    text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'$' | b'{' | b'}'))
}

/// The name of a variable in `env:NAME`.
pub fn variable(name: &str) -> Result<String, Wrong> {
    if name.is_empty() {
        return wrong("`env:` names no variable", "write env:NAME, such as \"env:LAPTOP_KEY\"");
    }
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && name.len() <= 128 {
        Ok(name.to_owned())
    } else if could_be_key(name) {
        wrong(
            "what follows `env:` is no variable's name, and may be the key itself",
            "name a variable, such as \"env:LAPTOP_KEY\", and put the key into .env",
        )
    } else {
        wrong(
            format!("`{}` is no variable's name", name.escape_debug()),
            "use letters, digits and _, such as LAPTOP_KEY",
        )
    }
}

/// A path of the policy: `/`, then segments of a plain alphabet, `:param` segments where `params` allows them.
pub fn path(text: &str, params: bool) -> Result<PathPattern, Wrong> {
    const HELP: &str = "paths are matched byte for byte: start with /, use A-Z a-z 0-9 . _ ~ - @ + , = : only, no // and no dot segments";
    let shown = text.escape_debug();
    let Some(rest) = text.strip_prefix('/') else { return wrong(format!("path `{shown}` has no leading `/`"), HELP) };
    let segments: Vec<&str> = rest.split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let param = segment.starts_with(':');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-@+,=:".contains(&byte);
        let last = index + 1 == segments.len();
        if param
            && (!params || segment.len() == 1 || !segment[1..].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        {
            return wrong(
                format!("path `{shown}` has a parameter that can't stand here"),
                if params {
                    "a parameter is a whole segment, such as \"GET /v1/models/:model\""
                } else {
                    "this is one exact path, such as \"/health\""
                },
            );
        }
        if (segment.is_empty() && !last) || matches!(*segment, "." | "..") || !segment.bytes().all(plain) {
            return wrong(format!("path `{shown}` can't be matched byte for byte by every server"), HELP);
        }
    }
    Ok(PathPattern::parse(text))
}

/// A CORS origin: `scheme://host[:port]`, as browsers send it.
pub fn origin(text: &str) -> Result<String, Wrong> {
    const HELP: &str = "write it as browsers send it: scheme://host or scheme://host:port, lower case, no path, such as \"https://app.example.com\"";
    let shown = text.escape_debug();
    if text == "null" {
        return wrong(
            "`null` is the origin of any sandboxed page and local file",
            "name real origins; `null` can't be listed",
        );
    }
    let Some((scheme, authority)) = text.split_once("://") else {
        return wrong(format!("`{shown}` is no origin"), HELP);
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let scheme_ok = !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b));
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_ok = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    let port_ok =
        port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port));
    let default_port = matches!((scheme, port), ("https", Some("443")) | ("http", Some("80")));
    if scheme_ok && host_ok && port_ok && text == text.to_ascii_lowercase() && !default_port {
        Ok(text.to_owned())
    } else {
        wrong(format!("`{shown}` is no origin"), HELP)
    }
}

/// Which kind of password hash a text is.
pub fn hash(text: &str) -> Result<HashAlgorithm, Wrong> {
    const HELP: &str = "make one with `llmguard key hash`";
    let bcrypt_body =
        |rest: &str| rest.len() == 53 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"./".contains(&b));
    if let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix)) {
        return match rest.split_once('$') {
            Some((cost, body)) if cost.len() == 2 && bcrypt_body(body) => match cost.parse::<u32>() {
                Ok(cost @ 4..=31) => Ok(HashAlgorithm::Bcrypt { cost }),
                _ => wrong("the bcrypt hash has a cost outside 4 to 31", HELP),
            },
            _ => wrong("the bcrypt hash is incomplete: nobody could log in", HELP),
        };
    }
    if text.starts_with("$argon2id$") {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"$=,+/.-".contains(&b));
        return match argon2::password_hash::phc::PasswordHash::new(text) {
            Ok(_) if plain => Ok(HashAlgorithm::Argon2id),
            _ => wrong("the argon2id hash is malformed: nobody could log in", HELP),
        };
    }
    let kind = [
        ("$apr1$", "MD5 (apr1)"),
        ("$1$", "MD5"),
        ("$5$", "SHA-256 crypt"),
        ("$6$", "SHA-512 crypt"),
        ("{SHA}", "SHA-1"),
        ("$y$", "yescrypt"),
        ("$argon2", "argon2i/d"),
        ("$2x$", "a broken bcrypt"),
    ]
    .iter()
    .find(|(prefix, _)| text.starts_with(prefix));
    match kind {
        Some((_, kind)) => wrong(format!("the hash is {kind}, which the targets don't all verify safely"), HELP),
        None if text.split_once(':').is_some_and(|(_, hash)| hash.starts_with('$')) => {
            wrong("the value is a whole line of a password file", "leave out the name and the colon before the hash")
        }
        None => wrong("the value is no password hash", HELP),
    }
}

/// The most and fewest characters of an API key.
pub const KEY_LENGTH: std::ops::RangeInclusive<usize> = 20..=256;

/// Checks the value of an API key; says whether it is short.
pub fn key_value(value: &str) -> Result<bool, Wrong> {
    const HELP: &str = "make one with `llmguard key new NAME`";
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return wrong("holds characters beside A-Z a-z 0-9 _ -, which not every target can match exactly", HELP);
    }
    if !KEY_LENGTH.contains(&value.len()) {
        return wrong(format!("has {} characters: it must have 20 to 256", value.len()), HELP);
    }
    Ok(value.len() < 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_as_browsers_send_them() {
        for good in
            ["https://app.example.com", "http://localhost:3000", "http://[::1]:3000", "chrome-extension://abcdef"]
        {
            assert_eq!(origin(good).unwrap(), good);
        }
        for bad in [
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://App.example.com",
            "https://a:443",
            "https://*.x",
            "https://a b",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_paths_that_every_server_matches() {
        for good in ["/", "/a", "/a/", "/v1/models/:model", "/a.b~c"] {
            assert!(path(good, true).is_ok(), "{good}");
        }
        for bad in [
            "", "a", "//", "/a//b", "/./a", "/../a", "/a%20", "/a?b", "/a#b", "/a;b", "/a\\b", "/a b", "/:", "/a/:b-c",
            "/ä", "/a*",
        ] {
            assert!(path(bad, true).is_err(), "{bad}");
        }
        assert!(path("/a/:b", false).is_err());
    }

    #[test]
    fn servers_and_addresses() {
        assert_eq!(server("gpu1:11434").unwrap().to_string(), "gpu1:11434");
        assert_eq!(server("[::1]:11434").unwrap().to_string(), "[::1]:11434");
        for bad in ["gpu1", "http://gpu1:1", "gpu1:0", "gpu1:x", "a b:1", ":1", "$x:1", "gpu-:1"] {
            assert!(server(bad).is_err(), "{bad}");
        }
        assert!(listen(":8080").is_err());
    }
}
