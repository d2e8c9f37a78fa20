use super::*;
use crate::gateway::eval::{Verdict, evaluate};
use crate::http::line::Line;

fn read(files: &[(&str, &str)]) -> crate::dialect::Reading {
    let paths: Vec<_> = files.iter().map(|(name, text)| (std::path::PathBuf::from(name), (*text).to_owned())).collect();
    read_gateway(&paths, &Options::default())
}

fn ask(gateway: &Gateway, line: serde_json::Value) -> String {
    let request = Line::read(line).unwrap().request("gateway").unwrap();
    match evaluate(gateway, &request).verdict {
        Verdict::Refused(status) | Verdict::Answered(status) => status.to_string(),
        Verdict::Proxied { upstream, target, host } => {
            format!("{upstream} {} {host}", String::from_utf8_lossy(&target))
        }
        Verdict::Unknown { reason, .. } => format!("? {reason}"),
    }
}

fn get(target: &str) -> serde_json::Value {
    serde_json::json!({"method": "GET", "target": target, "headers": [["Host", "h.test:8080"]]})
}

#[test]
fn a_dynamic_file_alone_is_read() {
    let reading = read(&[(
        "dynamic.yml",
        "http:\n  routers:\n    a: {rule: 'PathPrefix(`/api`)', service: s, middlewares: [strip]}\n    b: {rule: 'Path(`/x`)', service: nope}\n  \
         middlewares:\n    strip: {stripPrefix: {prefixes: [/api]}}\n  services:\n    s: {loadBalancer: {servers: [{url: 'http://up:1'}]}}\n",
    )]);
    let shown: Vec<String> = reading.problems.list.iter().map(|problem| problem.message.clone()).collect();
    assert!(shown.iter().any(|text| text.contains("drops router `b@file`")), "{shown:?}");
    for (target, expected) in [
        ("/api/pull?x", "up:1 /pull?x h.test:8080"),
        ("/api", "up:1 / h.test:8080"),
        ("//api/../api/%70ull", "up:1 /pull h.test:8080"),
        ("/apix", "up:1 /x h.test:8080"),
        ("/x", "404"),
        ("/api/a%2fb", "up:1 /a%2Fb h.test:8080"),
        ("/api#f", "400"),
    ] {
        assert_eq!(ask(&reading.gateway, get(target)), expected, "{target}");
    }
}
