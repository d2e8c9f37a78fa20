//! The facts about how servers treat requests: `fixtures/dialect/<dialect>/<case>/`, asked on the real servers and in the evaluator.
//!
//! In: a case's config with the placeholders of `common/real.rs`, its `requests.jsonl` (request lines with `expect`, a decision line; `old`
//! where the older nginx answers otherwise; `decide` where the files don't tell what the server does, such as whether somebody listens), its `case.toml` (`source`: where the fact is from; `note`; `main`; `servers`; `variables`;
//! `refused`: configs that the server doesn't load). Out: every answer that isn't the expected one. A new case is a new folder.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where something is not there")]

mod common;
#[path = "common/real.rs"]
mod real;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use llmguard::diag::{Severity, Sink};
use llmguard::dialect::{self, Options, Reading};
use llmguard::gateway::eval::evaluate;
use real::{Answer, Config, Kind, Laid, Stand, version};
use serde::Deserialize;
use serde_json::Value;

/// How many servers run at once.
const THREADS: usize = 2;

/// How a dialect's config is read.
type Reader = fn(&Path, &Options) -> Reading;

/// Cases in which the evaluator doesn't give every answer yet: lines of `requests.jsonl`, and why.
const PENDING: &[(&str, &[usize], &str)] = &[("caddy/unset-keys", &[8, 9], "`{file.…}` is read by the server alone")];

/// Configs that their server doesn't load and the reader takes, and why.
const TAKEN: &[(&str, &str, &str)] =
    &[("nginx/location-refused", "host.conf", "the server resolves names, the reader doesn't")];

fn nginx(main: &Path, options: &Options) -> Reading {
    dialect::nginx::read_gateway(main, "nginx.conf", options)
}

fn caddy(main: &Path, options: &Options) -> Reading {
    if main.extension().is_some_and(|extension| extension == "json") {
        return dialect::caddy::read_json(main, "caddy.json", options);
    }
    let mut sink = Sink::default();
    let adapted = dialect::caddy::adapt(main, "Caddyfile", options, &mut sink);
    let gateway = dialect::caddy::gateway::gateway(&adapted.document, adapted.files, options, &mut sink);
    Reading { gateway, problems: sink }
}

fn traefik(path: &Path, options: &Options) -> Reading {
    let folder = path.parent().unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    if real::is_words(&name) {
        return traefik_by_words(path, options);
    }
    let mut labels: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    labels.retain(|path| path.extension().is_some_and(|extension| extension == "labels"));
    labels.sort();
    let paths = std::iter::once(path.to_owned()).chain(labels);
    let read = |path: PathBuf| std::fs::read_to_string(&path).ok().map(|text| (path, text));
    dialect::traefik::read_gateway(&paths.filter_map(read).collect::<Vec<_>>(), options)
}

/// Traefik with its settings in flags and in its environment, and with the file `dynamic.yml`.
fn traefik_by_words(main: &Path, options: &Options) -> Reading {
    let (mut problems, place) = (Sink::default(), dialect::Place::default());
    let text = std::fs::read_to_string(main).unwrap_or_default();
    let mut system = dialect::traefik::System {
        flags: text.lines().map(|flag| (flag.to_owned(), place)).collect(),
        environment: options
            .variables
            .values
            .iter()
            .map(|(name, value)| (name.clone(), value.clone(), place))
            .collect(),
        ..Default::default()
    };
    let path = main.with_file_name("dynamic.yml");
    let file = llmguard::source::SourceFile::read_config("dynamic.yml", &path).unwrap();
    system.dynamic.push(dialect::traefik::read_dynamic(0, &file, options, &mut problems));
    system.files.push(file);
    let gateway = dialect::traefik::gateway(system, options, &mut problems);
    Reading { gateway, problems }
}

/// A folder of `fixtures/dialect`.
struct Case {
    name: String,
    config: Config,
    about: About,
    lines: Vec<Entry>,
}

impl Case {
    /// A config that the server doesn't load, without the others.
    fn refused(&self, refused: &Refused) -> Config {
        let mut config = Config { main: refused.file.clone(), ..self.config.clone() };
        let others: Vec<&String> = self.about.refused.iter().map(|other| &other.file).collect();
        config.files.retain(|file, _| *file == refused.file || !others.contains(&file));
        config
    }

    fn is_about(&self, kind: Kind) -> bool {
        let own = if kind == Kind::NginxOld { "old" } else { "current" };
        self.about.servers.as_ref().is_none_or(|servers| servers.iter().any(|server| server == own))
    }
}

/// A `case.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// Where the fact is from.
    source: String,
    /// What is shown.
    #[serde(default)]
    #[serde(rename = "note")]
    _note: String,
    /// The main file, if not the dialect's usual one.
    main: Option<String>,
    /// The servers that it is about (`old`, `current`), if not all of the dialect.
    servers: Option<Vec<String>>,
    /// The server's environment.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// Configs that the server doesn't load.
    #[serde(default)]
    refused: Vec<Refused>,
}

/// A config that the server doesn't load.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    /// The file.
    file: String,
    /// A part of what the server says.
    says: String,
}

/// A line of `requests.jsonl`.
struct Entry {
    number: usize,
    request: Value,
    expect: Value,
    old: Option<Value>,
    decide: Option<Value>,
}

impl Entry {
    /// What the server answers.
    fn expected(&self, kind: Kind) -> &Value {
        self.old.as_ref().filter(|_| kind == Kind::NginxOld).unwrap_or(&self.expect)
    }

    /// What the evaluator says: the same, but for what no file tells.
    fn decided(&self, kind: Kind) -> &Value {
        self.decide.as_ref().unwrap_or_else(|| self.expected(kind))
    }
}

fn cases(dialect: &str) -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dialect").join(dialect);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    // A folder with neither is another test's.
    folders.retain(|folder| ["case.toml", "requests.jsonl"].iter().any(|file| folder.join(file).is_file()));
    folders.sort();
    folders.iter().map(|folder| load(dialect, folder)).collect()
}

fn load(dialect: &str, folder: &Path) -> Case {
    let name = format!("{dialect}/{}", folder.file_name().unwrap().to_string_lossy());
    let mut files = BTreeMap::new();
    collect(folder, folder, &mut files);
    let about = files.remove("case.toml").unwrap_or_else(|| panic!("{name} has no case.toml"));
    let about: About = toml::from_str(&about).unwrap_or_else(|error| panic!("{name}/case.toml: {error}"));
    assert!(!about.source.is_empty(), "{name}/case.toml doesn't say where the fact is from");
    let lines = files.remove("requests.jsonl").unwrap_or_default();
    let lines = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let lines: Vec<Entry> =
        lines.map(|(at, line)| entry(line, at + 1).unwrap_or_else(|why| panic!("{name}:{}: {why}", at + 1))).collect();
    assert!(!lines.is_empty() || !about.refused.is_empty(), "{name} asks nothing");
    let usual = match dialect {
        "nginx" => "nginx.conf",
        "caddy" => "Caddyfile",
        _ => "traefik.yml",
    };
    let main = about.main.clone().unwrap_or_else(|| usual.to_owned());
    Case { name, config: Config { main, files, variables: about.variables.clone() }, about, lines }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn entry(line: &str, number: usize) -> Result<Entry, String> {
    let mut request: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let fields = request.as_object_mut().ok_or("not an object")?;
    let expect = fields.remove("expect").ok_or("no `expect`")?;
    let (old, decide) = (fields.remove("old"), fields.remove("decide"));
    Ok(Entry { number, request, expect, old, decide })
}

/// The answer that a decision line stands for.
fn answer(laid: &Laid, expect: &Value) -> Answer {
    let expect = laid.filled_json(expect);
    let text = |name: &str| expect[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {expect}")).to_owned();
    let status =
        || u16::try_from(expect["status"].as_u64().unwrap_or_else(|| panic!("no `status` in {expect}"))).unwrap();
    match expect["outcome"].as_str() {
        Some("unknown") => Answer::Unknown(String::new()),
        Some("refused") => Answer::Refused(status()),
        Some("answered") => Answer::Answered(status()),
        Some("proxied") => {
            let upstream = expect["upstream"].as_str().map_or_else(|| laid.filled("@UPSTREAM@"), str::to_owned);
            let port = upstream.rsplit(':').next().unwrap().parse().unwrap();
            Answer::Proxied { port, target: text("target"), host: text("host") }
        }
        other => panic!("the outcome `{other:?}` in {expect}"),
    }
}

/// Runs a check on every case, some at once; fails with all that is wrong.
fn each(cases: &[Case], check: impl Fn(&Case, &Stand) -> Result<usize, Vec<String>> + Sync) -> usize {
    let (next, done, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                let stand = Stand::start();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match check(case, &stand) {
                        Ok(count) => drop(done.fetch_add(count, Ordering::Relaxed)),
                        Err(list) => wrong.lock().unwrap().extend(list),
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(wrong.is_empty(), "{} answers are not the expected ones:\n{}", wrong.len(), wrong.join("\n"));
    done.into_inner()
}

/// Shown when an answer is wrong: long requests are cut.
fn complaint(case: &Case, entry: &Entry, laid: &Laid, is: &Answer, expected: &Answer, more: &str) -> String {
    let text = format!(
        "fixtures/dialect/{}/requests.jsonl:{}: {}\n    is       {is:?}\n    expected {expected:?}{more}",
        case.name,
        entry.number,
        entry.request.to_string().chars().take(300).collect::<String>()
    );
    laid.unfilled(&text)
}

/// The expected answers, from a real server.
fn server(name: &str, kind: Kind, dialect: &str) {
    let Some(program) = common::server(name, kind.variable()) else { return };
    let mut cases = cases(dialect);
    cases.retain(|case| case.is_about(kind));
    let asked = each(&cases, |case, stand| {
        let start = |config: &Config| {
            let started = || Laid::new(kind, config, stand).start(kind, &program, stand);
            started().or_else(|reason| if reason.contains("in use") { started() } else { Err(reason) })
        };
        let mut wrong = Vec::new();
        for refused in &case.about.refused {
            match start(&case.refused(refused)) {
                Err(reason)
                    if reason.starts_with("the server ended")
                        && reason.contains(&refused.says)
                        && !refused.says.is_empty() => {}
                Err(reason) => wrong.push(format!("{}/{}: refused otherwise: {reason}", case.name, refused.file)),
                Ok(_) => wrong.push(format!("{}/{}: the server loads it", case.name, refused.file)),
            }
        }
        if !case.lines.is_empty() {
            let site = start(&case.config).map_err(|reason| vec![format!("{}: {reason}", case.name)])?;
            for entry in &case.lines {
                let expected = answer(&site.laid, entry.expected(kind));
                let is = site.answer(&site.laid.ask(&entry.request));
                if is != expected {
                    wrong.push(complaint(case, entry, &site.laid, &is, &expected, ""));
                }
            }
        }
        if wrong.is_empty() { Ok(case.lines.len() + case.about.refused.len()) } else { Err(wrong) }
    });
    println!("{name}: {asked} answers of {} cases", cases.len());
}

/// The expected answers, from the evaluator.
fn evaluator(kind: Kind, dialect: &str, version: (u32, u32, u32), read: Reader) {
    let mut cases = cases(dialect);
    cases.retain(|case| case.is_about(kind));
    let pended = Mutex::new(Vec::new());
    let asked = each(&cases, |case, stand| {
        let mut wrong = Vec::new();
        for refused in &case.about.refused {
            let laid = Laid::new(kind, &case.refused(refused), stand);
            let given = laid.given(version);
            let problems = read(&given.main, &given.options()).problems;
            // Traefik leaves out what it doesn't understand, and runs: a warning.
            let refusal = if dialect == "traefik" { Severity::Warning } else { Severity::Error };
            let takes = problems.list.iter().all(|problem| problem.severity > refusal);
            let known = TAKEN.iter().find(|(name, file, _)| *name == case.name && *file == refused.file);
            if let Some((_, _, why)) = known {
                let told = if takes { why } else { "isn't taken any more" };
                pended.lock().unwrap().push(format!("{}/{}: {told}", case.name, refused.file));
            } else if takes {
                wrong.push(format!("{}/{}: the reader takes it", case.name, refused.file));
            }
        }
        if case.lines.is_empty() {
            return if wrong.is_empty() { Ok(case.about.refused.len()) } else { Err(wrong) };
        }
        let laid = Laid::new(kind, &case.config, stand);
        let given = laid.given(version);
        let gateway = read(&given.main, &given.options()).gateway;
        for entry in &case.lines {
            let expected = answer(&laid, entry.decided(kind));
            let outcome = evaluate(&gateway, &laid.ask(&entry.request).request);
            let is = Answer::of(&outcome);
            let both_unknown = matches!((&is, &expected), (Answer::Unknown(_), Answer::Unknown(_)));
            let pending = PENDING.iter().find(|(name, lines, _)| *name == case.name && lines.contains(&entry.number));
            if let Some((_, _, why)) = pending {
                let told = if is == expected { "isn't pending any more" } else { why };
                pended.lock().unwrap().push(format!("{}:{}: {told}", case.name, entry.number));
            } else if is != expected && !both_unknown {
                let steps = outcome.steps.iter().filter_map(|step| {
                    let file = gateway.files.get(step.file())?;
                    Some(format!("\n      {}:{}: {}", file.name, file.line_column(step.span().start).line, step.note))
                });
                wrong.push(complaint(case, entry, &laid, &is, &expected, &steps.collect::<String>()));
            }
        }
        if wrong.is_empty() { Ok(case.lines.len()) } else { Err(wrong) }
    });
    let mut pended = pended.into_inner().unwrap();
    pended.sort();
    for pending in &pended {
        common::skip(&format!("dialects evaluator {kind:?}"), pending);
    }
    println!("the evaluator, {kind:?}: {asked} answers of {} cases, {} of them pending", cases.len(), pended.len());
}

#[test]
fn nginx_old_answers() {
    server("dialects nginx_old", Kind::NginxOld, "nginx");
}

#[test]
fn nginx_answers() {
    server("dialects nginx", Kind::Nginx, "nginx");
}

#[test]
fn caddy_answers() {
    server("dialects caddy", Kind::Caddy, "caddy");
}

#[test]
fn traefik_answers() {
    server("dialects traefik", Kind::Traefik, "traefik");
}

/// The expected answers, from the reader of one kind.
fn evaluated(kind: Kind, dialect: &str, reader: Reader) {
    let Some(program) = common::server(&format!("dialects evaluator {kind:?}"), kind.variable()) else { return };
    evaluator(kind, dialect, version(kind, &program), reader);
}

#[test]
fn evaluator_nginx_old() {
    evaluated(Kind::NginxOld, "nginx", nginx);
}

#[test]
fn evaluator_nginx() {
    evaluated(Kind::Nginx, "nginx", nginx);
}

#[test]
fn evaluator_caddy() {
    evaluated(Kind::Caddy, "caddy", caddy);
}

#[test]
fn evaluator_traefik() {
    evaluated(Kind::Traefik, "traefik", traefik);
}
