//! What a log holds: real servers write one about a request full of marks, and the evaluator says which of them are in it.
//!
//! In: configs of Caddy and Traefik, by hand. Out: every mark that is in the log and shouldn't be, or the other way round.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where something is not there")]

mod common;
#[path = "common/real.rs"]
#[expect(dead_code, reason = "nginx is not asked here")]
mod real;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use llmguard::diag::Sink;
use llmguard::dialect;
use llmguard::gateway::eval::evaluate;
use llmguard::gateway::{Function, Gateway, Log, QueryChange, Setting, Value};
use real::{Config, Given, Kind, Laid, Stand, version};
use serde_json::json;

/// Headers and their marks.
const HEADERS: [(&str, &str); 6] = [
    ("Authorization", "mark-authorization"),
    ("X-API-Key", "mark-x-api-key"),
    ("Api-Key", "mark-api-key"),
    ("Cookie", "mark-cookie"),
    ("User-Agent", "mark-agent"),
    ("X-Other", "mark-other"),
];
/// Query arguments and their marks.
const ARGUMENTS: [(&str, &str); 2] = [("key", "mark-argument"), ("z", "mark-z")];
/// What stands in the path.
const PATH: &str = "mark-path";

/// The marks that a log shows.
fn shown(log: &Log) -> Vec<&'static str> {
    let headers = HEADERS.into_iter().filter(|(name, _)| {
        let own = name.to_lowercase();
        log.fields.iter().any(|field| match field {
            Value::Header(all, _) if all == "*" => !log.hidden.contains(&own),
            Value::Header(one, _) => one.to_lowercase() == own,
            _ => false,
        })
    });
    let target = |field: &&Value| field.any(&mut |part| matches!(part, Value::Target | Value::SentTarget));
    let is_cut = |field: &&Value| matches!(field, Value::Apply(Function::Before(_), _));
    let gone = |field: &Value, name: &str| {
        field.any(&mut |part| match part {
            Value::Apply(Function::Query(changes), _) => {
                changes.iter().any(|change| *change == QueryChange::Delete(Value::literal(name)))
            }
            _ => false,
        })
    };
    let mut marks: Vec<&str> = headers.map(|(_, mark)| mark).collect();
    for field in log.fields.iter().filter(target) {
        marks.push(PATH);
        let arguments = ARGUMENTS.iter().filter(|(name, _)| !is_cut(&field) && !gone(field, name));
        marks.extend(arguments.map(|(_, mark)| *mark));
    }
    marks.sort_unstable();
    marks
}

/// A config's log: by the server, and by the evaluator.
fn compare(kind: Kind, main: &str, config: &Config, read: fn(&Given) -> Gateway) {
    let Some(program) = common::server(&format!("logs {kind:?}"), kind.variable()) else { return };
    let stand = Stand::start();
    let laid = Laid::new(kind, config, &stand);
    let given = laid.given(version(kind, &program));
    let query: Vec<String> = ARGUMENTS.iter().map(|(name, mark)| format!("{name}={mark}")).collect();
    let headers: Vec<_> = HEADERS.iter().map(|(name, mark)| json!([name, mark])).collect();
    let target = format!("/{PATH}?{}", query.join("&"));
    let ask = laid.ask(&json!({"method": "GET", "target": target, "headers": headers}));
    let outcome = evaluate(&read(&given), &ask.request);
    let logs = outcome.settings().filter_map(|(setting, _)| match setting {
        Setting::Log(log) if log.only.as_ref().is_none_or(|only| only.contain(200)) => Some(log),
        _ => None,
    });
    let mut last = None;
    for log in logs {
        last = Some(log);
    }
    let says = last.filter(|log| log.to.is_some()).map(shown).unwrap_or_default();
    let file = given.main.parent().unwrap().join("rows.log");
    let site = laid.start(kind, &program, &stand).unwrap_or_else(|reason| panic!("{main}: {reason}"));
    site.answer(&ask);
    let rows = || std::fs::read_to_string(&file).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(if says.is_empty() { 1 } else { 5 });
    while !rows().contains("GET") && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let all = HEADERS.iter().chain(&ARGUMENTS).map(|(_, mark)| *mark).chain([PATH]);
    let rows = rows();
    let mut is: Vec<&str> = all.filter(|mark| rows.contains(mark)).collect();
    is.sort_unstable();
    assert_eq!(says, is, "{main}\n{rows}");
}

fn caddy(given: &Given) -> Gateway {
    let mut sink = Sink::default();
    let adapted = dialect::caddy::adapt(&given.main, "Caddyfile", &given.options(), &mut sink);
    dialect::caddy::gateway::gateway(&adapted.document, adapted.files, &given.options(), &mut sink)
}

fn traefik(given: &Given) -> Gateway {
    dialect::traefik::read_path(&given.main, &given.options()).unwrap().gateway
}

#[test]
fn caddy_logs() {
    let log = |options: &str, format: &str, more: &str| {
        format!(
            "{{\n    default_bind 127.0.0.1\n    {options}\n}}\n:@PORT@ {{\n    log {{\n        output file @DIR@/rows.log\n        \
             {format}\n    }}\n    {more}\n    respond 200\n}}\n"
        )
    };
    let filter = |lines: &str| log("", &format!("format filter {{\n{lines}\n}}"), "");
    for main in [
        log("", "", ""),
        log("servers {\nlog_credentials\n}", "", ""),
        log("", "format console", ""),
        log("", "", "log_skip"),
        log("", "level ERROR", ""),
        filter("request>headers>X-Api-Key delete\nrequest>headers>Cookie delete"),
        filter("request>headers>X-API-Key delete\nrequest>headers>Api-Key replace gone"),
        filter("request>headers delete"),
        filter("request>uri delete"),
        filter("request>uri query {\ndelete key\n}"),
        filter("request>uri query {\nreplace z gone\nhash key\n}\nrequest>headers>User-Agent hash"),
        filter("request delete"),
        filter("wrap console\nrequest>headers>X-Other delete"),
    ] {
        let config = Config {
            main: "Caddyfile".to_owned(),
            files: [("Caddyfile".to_owned(), main.clone())].into(),
            variables: BTreeMap::new(),
        };
        compare(Kind::Caddy, &main, &config, caddy);
    }
}

#[test]
fn traefik_logs() {
    let dynamic = "http:\n  routers:\n    @READY@\n    all: {rule: \"PathPrefix(`/`)\", service: up OBSERVED}\n  \
                   services:\n    up: {loadBalancer: {servers: [{url: \"http://@UPSTREAM@\"}]}}\n";
    for (log, observed) in [
        ("{}", ""),
        ("format: json", ""),
        ("format: json, fields: {headers: {defaultMode: keep}}", ""),
        ("fields: {headers: {defaultMode: keep}}", ""),
        ("format: json, fields: {headers: {defaultMode: keep, names: {x-api-key: redact, Cookie: drop}}}", ""),
        ("format: json, fields: {headers: {names: {x-api-key: keep, Cookie: redact}}}", ""),
        ("format: json, fields: {queryParameters: {defaultMode: redact}}", ""),
        ("fields: {queryParameters: {defaultMode: drop}}", ""),
        ("format: json, fields: {defaultMode: drop, headers: {defaultMode: keep}}", ""),
        ("format: json, fields: {defaultMode: drop, names: {RequestPath: keep}}", ""),
        ("fields: {names: {RequestPath: drop}}", ""),
        ("format: json, filters: {statusCodes: [\"500-599\"]}", ""),
        ("format: json", ", observability: {accessLogs: false}"),
    ] {
        let log = if log == "{}" { String::new() } else { format!(", {log}") };
        let main = format!(
            "global: {{checkNewVersion: false, sendAnonymousUsage: false}}\nentryPoints:\n  web: {{address: \"@LISTEN@\"}}\n  \
             traefik: {{address: \"@ADMIN@\"}}\napi: {{insecure: true}}\nproviders:\n  file: {{filename: \"@DIR@/dynamic.yml\"}}\n\
             accessLog: {{filePath: \"@DIR@/rows.log\"{log}}}\n"
        );
        let files = [
            ("traefik.yml".to_owned(), main.clone()),
            ("dynamic.yml".to_owned(), dynamic.replace(" OBSERVED", observed)),
        ];
        let config = Config { main: "traefik.yml".to_owned(), files: files.into(), variables: BTreeMap::new() };
        compare(Kind::Traefik, &format!("{main}{observed}"), &config, traefik);
    }
}
