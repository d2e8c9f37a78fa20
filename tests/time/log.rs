//! The access log: one line of JSON a request, whatever the request is; no query, and no client that isn't verified.

use llmguard::policy::plan::Proxy;
use llmguard::prove::question::Question;
use serde_json::Value;

use crate::rig::{KEY, Rig, Words as _, basic, request};

pub const POLICY: &str = r#"
[upstream]
kind = "ollama"
[limits]
rate = false
[[client]]
name = "laptop"
api_key = "env:KEY"
[[client]]
name = "owner"
password_hash = "$2a$05$Hw.nG0T/IMChR43IcnxDUO9kGx1jnsWwR.XUtiFqo0m/N8ybv5amm"
"#;

/// Targets that have broken logs elsewhere. What a server refuses to parse it need not log.
const HOSTILE: &[&[u8]] = &[
    b"/api/tags?secret=query",
    b"/api/\"quoted\"?secret=query",
    b"/api/back\\slash\\\"",
    b"/api/\xff\xfe",
    b"/api/caf\xc3\xa9?secret=query",
    b"/api/\xe2\x80\xa8line",
    b"/api/%00%0a%22",
    b"/api/<script>",
    b"/api/a#b?secret=query",
    b"/api/\x7f",
    b"/api/{{x}}${y}{env.KEY}",
    b"/api/?",
    b"/api/;a=secret?secret=query?secret",
    b"http://llm.test/api/ps?secret=query",
];

/// The names of nginx's line, in order; others may follow.
const NAMES: &[&str] = &["time", "client", "ip", "method", "path", "status", "bytes", "duration"];

pub fn cases(rig: Rig<'_>) {
    let key = format!("Bearer {KEY}");
    for target in HOSTILE {
        let mut question = request("GET", "/").with("Authorization", &key);
        question.request.target = target.to_vec();
        rig.status(&question);
    }
    for line in rig.log_lines(|lines| lines.iter().any(|line| line.contains("/api/ps"))) {
        rig.check("a line is JSON, without the query", is_right(&rig, &line), &line);
    }
    let failed = basic("owner", "wrong-password");
    let good = basic("owner", &rig.engine.moved.passwords["owner"]);
    let asked: &[(&str, &str, &str, u16, Option<&str>)] = &[
        ("GET", "/api/nobody", "", 401, None),
        ("GET", "/api/wrong", "Bearer wrong-key-0123456789abcdef", 401, None),
        ("GET", "/api/failed", &failed, 401, None),
        ("POST", "/api/failed-login", &failed, 401, None),
        ("GET", "/health", &failed, 200, None),
        ("GET", "/api/forbidden", &good, 403, Some("owner")),
        ("GET", "/v1/models/by-login", &good, 200, Some("owner")),
        ("GET", "/v1/models/by-key", &key, 200, Some("laptop")),
        ("DELETE", "/api/delete", &key, 403, Some("laptop")),
    ];
    for (method, path, authorization, status, client) in asked {
        one_line(&rig, &request(method, path).with("Authorization", authorization), *status, *client);
    }
}

fn is_right(rig: &Rig<'_>, line: &str) -> bool {
    let Ok(Value::Object(values)) = serde_json::from_str(line) else { return false };
    let names = values.keys().map(String::as_str).take(NAMES.len());
    let named = rig.proxy() != Proxy::Nginx || names.eq(NAMES.iter().copied());
    named && !line.contains("secret=query") && !line.contains(KEY)
}

/// One request is one line, which says what happened.
fn one_line(rig: &Rig<'_>, question: &Question, status: u16, client: Option<&str>) {
    let path = String::from_utf8_lossy(&question.request.target).into_owned();
    let quoted = format!("\"{path}\"");
    let got = rig.ask(question);
    // Servers write it once the answer is out.
    let mut lines = rig.log_lines(|lines| lines.iter().any(|line| line.contains(&quoted)));
    lines.retain(|line| line.contains(&quoted));
    rig.check("one line", lines.len() == 1, &lines);
    let line = lines.last().map(|line| serde_json::from_str::<Value>(line).unwrap()).unwrap_or_default();
    let method = String::from_utf8_lossy(&question.request.method).into_owned();
    let bytes = got.body.len();
    // Caddy's and Traefik's own names.
    let right = match rig.proxy() {
        Proxy::Nginx => {
            line["method"] == method.as_str()
                && line["path"] == path.as_str()
                && line["status"] == status
                && line["bytes"] == bytes
                && line["duration"].as_f64().is_some_and(|seconds| seconds < 5.0)
                && line["ip"] == "127.0.0.1"
                && line["client"] == client.unwrap_or_default()
        }
        Proxy::Caddy => {
            line["request"]["method"] == method.as_str()
                && line["request"]["uri"] == path.as_str()
                && line["status"] == status
                && line["size"] == bytes
                && line["duration"].as_f64().is_some_and(|seconds| seconds < 5.0)
                && line["request"]["client_ip"] == "127.0.0.1"
                && line["client"].as_str() == client
                && line["user_id"].as_str().is_some_and(|user| user.is_empty() || Some(user) == client)
        }
        Proxy::Traefik => {
            let router = line["RouterName"].as_str().unwrap_or_default();
            let named = client.is_none_or(|client| router.contains(&format!("-{client}@file")));
            line["RequestMethod"] == method.as_str()
                && line["RequestPath"] == path.as_str()
                && line["DownstreamStatus"] == status
                && line["DownstreamContentSize"] == bytes
                && line["ClientHost"] == "127.0.0.1"
                && named
                && (client.is_some() || !router.contains("laptop") && !router.contains("owner"))
                && line["ClientUsername"].is_null()
        }
    };
    rig.check("what the line says", right, (status, client, &line));
}
