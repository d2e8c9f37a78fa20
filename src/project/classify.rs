//! What a file is: by its name, else by what stands in it.
//!
//! In: a name and a text. Out: a [`What`], or nothing. Invariant: nothing is parsed here; a file that is none of these costs one look at
//! its lines.

use std::path::Path;

use super::Dialect;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A main file of nginx, or the output of `nginx -T`.
    Nginx,
    /// A file that nginx includes: `server` or `location` blocks.
    NginxPart,
    /// A Caddyfile.
    Caddyfile,
    /// Caddy's JSON.
    CaddyJson,
    /// A file of Traefik's, static or dynamic.
    Traefik,
    /// A compose file.
    Compose,
    /// A password file.
    Htpasswd,
}

/// Directives that begin a line of an nginx config and of nothing else, sorted.
const NGINX: &[&str] = &[
    "access_log",
    "add_header",
    "allow",
    "auth_basic",
    "auth_request",
    "client_max_body_size",
    "deny",
    "events",
    "fastcgi_pass",
    "geo",
    "http",
    "include",
    "limit_conn",
    "limit_conn_zone",
    "limit_req",
    "limit_req_zone",
    "listen",
    "location",
    "map",
    "proxy_buffering",
    "proxy_pass",
    "proxy_read_timeout",
    "proxy_set_header",
    "return",
    "rewrite",
    "root",
    "server",
    "server_name",
    "set",
    "split_clients",
    "ssl_certificate",
    "stream",
    "upstream",
    "user",
    "worker_processes",
];

/// Those that stand in a main file alone.
const NGINX_MAIN: &[&str] = &["events", "http", "stream", "user", "worker_processes"];

/// So many lines that begin like nginx's are enough to know.
const ENOUGH: usize = 1000;

/// Keys at the top of Traefik's static file.
const TRAEFIK_STATIC: &[&str] =
    &["entrypoints", "providers", "certificatesresolvers", "serverstransport", "experimental"];

/// Keys at the top of a dynamic file, and those below them.
const TRAEFIK_DYNAMIC: &[&str] = &["http", "tcp", "udp", "tls"];
const TRAEFIK_BELOW: &[&str] =
    &["routers", "services", "middlewares", "serverstransports", "certificates", "options", "stores", "models"];

impl What {
    /// The language.
    pub fn dialect(self) -> Dialect {
        match self {
            What::Nginx | What::NginxPart => Dialect::Nginx,
            What::Caddyfile | What::CaddyJson => Dialect::Caddy,
            What::Traefik => Dialect::Traefik,
            What::Compose => Dialect::Compose,
            What::Htpasswd => Dialect::Htpasswd,
        }
    }
}

/// What a file is; absent: nothing that is known here.
pub fn classify(path: &Path, text: &str) -> Option<What> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let extension =
        path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        _ if name == "caddyfile" || name.starts_with("caddyfile.") || extension == "caddyfile" => Some(What::Caddyfile),
        _ if name == ".htpasswd" || name == "htpasswd" || extension == "htpasswd" => Some(What::Htpasswd),
        "json" => is_caddy_json(text).then_some(What::CaddyJson),
        "yml" | "yaml" => yaml(&name, text),
        "toml" => toml(text).then_some(What::Traefik),
        "labels" => Some(What::Traefik),
        // Texts of other kinds that quote configs.
        "md" | "rs" | "py" | "sh" | "js" | "ts" | "html" | "txt" | "j2" | "tmpl" => None,
        _ => nginx(&name, text),
    }
}

/// What a file is that the user says is of a language.
pub fn classify_as(dialect: Dialect, path: &Path, text: &str) -> What {
    match (dialect, classify(path, text)) {
        (_, Some(what)) if what.dialect() == dialect => what,
        (Dialect::Nginx, _) => What::Nginx,
        (Dialect::Caddy, _) if text.trim_start().starts_with('{') && is_caddy_json(text) => What::CaddyJson,
        (Dialect::Caddy, _) => What::Caddyfile,
        (Dialect::Traefik, _) => What::Traefik,
        (Dialect::Compose, _) => What::Compose,
        (Dialect::Htpasswd, _) => What::Htpasswd,
    }
}

fn is_caddy_json(text: &str) -> bool {
    text.contains("\"apps\"") && text.contains("\"http\"") || text.contains("\"admin\"") && text.contains("\"apps\"")
}

/// The keys at the left edge of a YAML text, in lower case.
fn top_keys(text: &str) -> impl Iterator<Item = String> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic() || "'\"".contains(first)));
    lines.filter_map(|line| Some(line.split_once(':')?.0.trim_matches(['\'', '"']).to_ascii_lowercase()))
}

fn yaml(name: &str, text: &str) -> Option<What> {
    if name.starts_with("docker-compose") || name.starts_with("compose.") || name.starts_with("compose-") {
        return Some(What::Compose);
    }
    let keys: Vec<String> = top_keys(text).collect();
    let has = |known: &[&str]| keys.iter().any(|key| known.contains(&key.as_str()));
    let below = || {
        text.lines()
            .any(|line| TRAEFIK_BELOW.contains(&line.trim().trim_end_matches(':').to_ascii_lowercase().as_str()))
    };
    // A manifest of Kubernetes has keys of its own.
    let foreign = has(&["apiversion", "kind"]);
    match () {
        () if foreign => None,
        () if name.starts_with("traefik.") || has(TRAEFIK_STATIC) || has(TRAEFIK_DYNAMIC) && below() => {
            Some(What::Traefik)
        }
        () if has(&["labels"]) && text.to_ascii_lowercase().contains("traefik.") && !has(&["services"]) => {
            Some(What::Traefik)
        }
        () if has(&["services"]) && text.lines().any(|line| is_service_line(line.trim())) => Some(What::Compose),
        () => None,
    }
}

/// Whether a line stands in a service of a compose file.
fn is_service_line(line: &str) -> bool {
    ["image:", "build:", "ports:", "labels:", "environment:"].iter().any(|key| line.starts_with(key))
}

fn toml(text: &str) -> bool {
    let tables = text.lines().filter_map(|line| line.trim().strip_prefix('['));
    let mut tables = tables.map(|table| table.trim_start_matches('[').to_ascii_lowercase());
    tables.any(|table| {
        let mut parts = table.split([']', '.']).map(|part| part.trim().trim_matches('"'));
        let first = parts.next().unwrap_or_default();
        TRAEFIK_STATIC.contains(&first)
            || TRAEFIK_DYNAMIC.contains(&first) && parts.next().is_some_and(|next| TRAEFIK_BELOW.contains(&next))
    })
}

fn nginx(name: &str, text: &str) -> Option<What> {
    if name == "nginx.conf" || text.starts_with("# configuration file /") {
        return Some(What::Nginx);
    }
    fn first_word(line: &str) -> &str {
        let end = line.bytes().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'{' | b';'));
        end.map_or(line, |end| &line[..end])
    }
    let (mut known, mut ends) = (0, 0);
    for line in text.lines() {
        if known == ENOUGH {
            break;
        }
        let line = line.trim();
        known += usize::from(NGINX.binary_search(&first_word(line)).is_ok());
        ends += usize::from(line.ends_with([';', '{', '}']));
    }
    let is_config = known > 0 && ends * 2 >= known && ends > 0 && text.contains(';');
    let is_main = || {
        let mut top = text.lines().filter(|line| !line.starts_with(char::is_whitespace)).map(first_word);
        top.any(|word| NGINX_MAIN.contains(&word))
    };
    match is_config {
        true if is_main() => Some(What::Nginx),
        true => Some(What::NginxPart),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_name_or_content() {
        assert!(NGINX.is_sorted());
        for (name, text, what) in [
            ("nginx.conf", "", Some(What::Nginx)),
            ("site.conf", "server {\n  listen 80;\n}\n", Some(What::NginxPart)),
            ("all.conf", "events {}\nhttp {\n}\n# ;\n", Some(What::Nginx)),
            ("redis.conf", "bind 127.0.0.1\nport 6379\n", None),
            ("Caddyfile.prod", "", Some(What::Caddyfile)),
            ("x.json", "{\"apps\": {\"http\": {}}}", Some(What::CaddyJson)),
            ("package.json", "{}", None),
            ("docker-compose.prod.yml", "", Some(What::Compose)),
            ("stack.yml", "services:\n  a:\n    image: x\n", Some(What::Compose)),
            ("labels.yml", "services:\n  a:\n    labels:\n", Some(What::Compose)),
            ("labels.yml", "labels:\n  - traefik.enable=true\n", Some(What::Traefik)),
            ("chat.labels", "traefik.enable=true\n", Some(What::Traefik)),
            ("traefik.yml", "", Some(What::Traefik)),
            ("dynamic.yaml", "http:\n  routers:\n    r:\n", Some(What::Traefik)),
            ("d.toml", "[http.routers.r]\nrule = 'x'\n", Some(What::Traefik)),
            ("llmguard.toml", "[upstream]\nkind = 'ollama'\n", None),
            ("k8s.yaml", "apiVersion: v1\nkind: Service\nhttp:\n  routers:\n", None),
            ("values.yaml", "http:\n  port: 80\n", None),
            (".htpasswd", "a:b", Some(What::Htpasswd)),
            ("README.md", "server {\n listen 80;\n}", None),
        ] {
            assert_eq!(classify(Path::new(name), text), what, "{name}");
        }
    }
}
