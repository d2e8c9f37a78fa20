//! Random configs, asked on the real server and in the evaluator: the two must agree.
//!
//! In: a [`Generator`] and a server's program. Out: a summary, or a panic that shows each disagreement made small: config, request, the
//! server's answer, the evaluator's, and its steps. Invariant: the same seed gives the same cases, whatever the threads do; what the
//! evaluator can't know is counted, never taken for agreement.
//!
//! A generator of a dialect is a module like this:
//!
//! ```text
//! pub struct Nginx;
//!
//! impl Generator for Nginx {
//!     fn case(&self, random: &mut Random) -> Case {
//!         let status = random.pick(&["403", "404"]);
//!         let locations = vec![
//!             Part::line("listen @LISTEN@;"),
//!             Part::block("location /api/ {", vec![Part::line(format!("return {status};"))], "}"),
//!             Part::block("location / {", vec![Part::line("proxy_pass http://@UPSTREAM@;")], "}"),
//!         ];
//!         Case {
//!             main: "nginx.conf",
//!             files: vec![File::new("nginx.conf", vec![Part::block("server {", locations, "}")])],
//!             requests: vec![json!({"method": "GET", "target": random.pick(&["/", "/api/", "/api//x"])})],
//!             ..Case::default()
//!         }
//!     }
//!
//!     fn read(&self, given: &Given) -> Gateway {
//!         dialect::nginx::read(&given.main, &options(given)).gateway
//!     }
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use llmguard::gateway::Gateway;
use llmguard::gateway::eval::{Outcome, evaluate};
use serde_json::Value;

use crate::random::Random;
use crate::real::{Answer, Config, Given, Kind, Laid, Stand, version};

/// How many disagreements are made small and shown; the rest are counted.
const SHOWN: usize = 5;
/// How long one of them may be made smaller.
const SHRINK: Duration = Duration::from_secs(20);
/// How many cases run at once.
const THREADS: usize = 2;
/// The largest part of standard pairs that may be unknown, in percent.
const MOST_UNKNOWN: f64 = 5.0;

/// What makes cases, and reads configs.
pub trait Generator: Sync {
    /// A case; the same for the same state of `random`.
    fn case(&self, random: &mut Random) -> Case;
    /// What a config means to the evaluator.
    fn read(&self, given: &Given) -> Gateway;
}

/// A config and requests aimed at it.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// The file that the server is started with (`nginx.conf`, `Caddyfile`, `traefik.yml`).
    pub main: &'static str,
    /// The files, with the placeholders of [`crate::real`].
    pub files: Vec<File>,
    /// Request lines as `decide` reads them; `port` counts the config's own ports from 1, `"chunked": true` sends the body in chunks.
    pub requests: Vec<Value>,
    /// The server's environment.
    pub variables: BTreeMap<String, String>,
    /// Whether it uses what nobody can know from the files (such as an auth service): its unknowns are counted apart.
    pub opaque: bool,
}

/// A file in parts.
#[derive(Debug, Clone)]
pub struct File {
    path: String,
    parts: Vec<Part>,
}

impl File {
    /// A file of a config.
    pub fn new(path: impl Into<String>, parts: Vec<Part>) -> File {
        File { path: path.into(), parts }
    }
}

/// A piece of a file that the shrinker may leave out.
#[derive(Debug, Clone)]
pub struct Part {
    open: String,
    inner: Vec<Part>,
    close: String,
    /// Whether it may be left out by itself.
    fixed: bool,
}

impl Part {
    /// A line, or several that go together.
    pub fn line(text: impl Into<String>) -> Part {
        Part { open: text.into(), inner: Vec::new(), close: String::new(), fixed: false }
    }

    /// Parts between an opening and a closing line.
    pub fn block(open: impl Into<String>, inner: Vec<Part>, close: impl Into<String>) -> Part {
        Part { open: open.into(), inner, close: close.into(), fixed: false }
    }

    /// The same part, never left out by itself (its inner parts may be).
    pub fn fixed(self) -> Part {
        Part { fixed: true, ..self }
    }

    fn write(&self, depth: usize, out: &mut String) {
        for line in self.open.lines() {
            let _ = writeln!(out, "{:1$}{line}", "", depth * 2);
        }
        self.inner.iter().for_each(|part| part.write(depth + 1, out));
        for line in self.close.lines() {
            let _ = writeln!(out, "{:1$}{line}", "", depth * 2);
        }
    }

    /// Leaves out the `number`th of these parts, counted as they are written. Returns whether there is one that may go.
    fn leave_out(parts: &mut Vec<Part>, number: &mut usize) -> bool {
        for at in 0..parts.len() {
            if !parts[at].fixed {
                if *number == 0 {
                    parts.remove(at);
                    return true;
                }
                *number -= 1;
            }
            if Part::leave_out(&mut parts[at].inner, number) {
                return true;
            }
        }
        false
    }
}

impl Case {
    fn config(&self) -> Config {
        let text = |file: &File| {
            let mut text = String::new();
            file.parts.iter().for_each(|part| part.write(0, &mut text));
            (file.path.clone(), text)
        };
        Config {
            main: self.main.to_owned(),
            files: self.files.iter().map(text).collect(),
            variables: self.variables.clone(),
        }
    }

    /// The same case without its `number`th part; absent: there are fewer.
    fn without(&self, mut number: usize) -> Option<Case> {
        let mut case = self.clone();
        case.files.iter_mut().any(|file| Part::leave_out(&mut file.parts, &mut number)).then_some(case)
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// Configs that the server took.
    pub configs: usize,
    /// Configs that it refused: they prove nothing.
    pub refused: usize,
    /// Pairs of config and request.
    pub pairs: usize,
    /// Pairs of configs that the files alone decide.
    pub standard: usize,
    /// Pairs that the evaluator can't know, of those and of the others.
    pub unknown: [usize; 2],
    /// Pairs that came out otherwise.
    pub disagreements: Vec<Disagreement>,
    /// Why the evaluator didn't know, and how often.
    pub reasons: BTreeMap<String, usize>,
    /// The log of the first refused config.
    pub refusal: Option<String>,
}

/// A pair on which server and evaluator differ.
#[derive(Debug, Clone)]
pub struct Disagreement {
    /// The case's number.
    pub number: usize,
    /// The case, with this one request.
    pub case: Case,
    /// Whether the server, and whether the evaluator, did something that is no answer.
    strange: [bool; 2],
    /// For people.
    pub told: String,
}

impl Summary {
    /// How many standard pairs are unknown, in percent.
    pub fn percent_unknown(&self) -> f64 {
        100.0 * self.unknown[0] as f64 / self.standard.max(1) as f64
    }
}

/// The number in a variable of the environment.
pub fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Runs cases until `pairs` were asked (`LLMGUARD_PAIRS` overrides), from `LLMGUARD_SEED` (default 0) on. Panics on a disagreement and
/// when too much is unknown.
pub fn agrees(kind: Kind, program: &Path, generator: &dyn Generator, pairs: usize) {
    let started = Instant::now();
    let pairs = number("LLMGUARD_PAIRS", pairs);
    let seed = number("LLMGUARD_SEED", 0);
    let summary = run(kind, program, generator, pairs, seed as u64);
    let mut reasons: Vec<_> = summary.reasons.iter().map(|(reason, count)| (count, reason)).collect();
    reasons.sort_by(|one, two| two.cmp(one));
    reasons.truncate(10);
    println!(
        "{kind:?} {:?}, seed {seed}: {} pairs, {} configs ({} more refused by the server), unknown {:.2} % of {} standard pairs \
         ({} of {} others), {} disagreements, {:.1} s",
        version(kind, program),
        summary.pairs,
        summary.configs,
        summary.refused,
        summary.percent_unknown(),
        summary.standard,
        summary.unknown[1],
        summary.pairs - summary.standard,
        summary.disagreements.len(),
        started.elapsed().as_secs_f64(),
    );
    for (count, reason) in reasons {
        println!("  unknown {count} times: {reason}");
    }
    if let Some(refusal) = &summary.refusal {
        println!("  the first refused config: {refusal}");
    }
    if std::env::var_os("LLMGUARD_TOLD").is_some() {
        summary
            .disagreements
            .iter()
            .for_each(|one| println!("TOLD case {}: {}\n{}", one.number, one.told, shown(&one.case.config().files)));
    }
    let shown: Vec<String> =
        summary.disagreements.iter().take(SHOWN).map(|one| small(kind, program, generator, one)).collect();
    assert!(
        shown.is_empty(),
        "{} disagreements, the first {}:\n{}",
        summary.disagreements.len(),
        shown.len(),
        shown.join("\n")
    );
    assert!(summary.refused <= summary.configs / 4 + 1, "the server refuses {} of the configs", summary.refused);
    assert!(
        summary.percent_unknown() < MOST_UNKNOWN,
        "{:.2} % of the standard pairs are unknown",
        summary.percent_unknown()
    );
}

/// Runs cases until `pairs` were asked.
pub fn run(kind: Kind, program: &Path, generator: &dyn Generator, pairs: usize, seed: u64) -> Summary {
    let (next, asked, summary) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Summary::default()));
    let version = version(kind, program);
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                let stand = Stand::start();
                while asked.load(Ordering::Relaxed) < pairs {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let case = generator.case(&mut Random::new(seed, number as u64));
                    asked.fetch_add(case.requests.len().max(1), Ordering::Relaxed);
                    let mut tried = attempt(kind, program, version, generator, &case, &stand);
                    // One that doesn't answer is started anew: what it does always it does then, too.
                    if tried.as_ref().is_ok_and(|pairs| pairs.iter().any(Pair::unanswered)) {
                        tried = attempt(kind, program, version, generator, &case, &stand);
                    }
                    count(&mut summary.lock().unwrap(), number, &case, tried);
                }
            });
        }
    });
    let mut summary = summary.into_inner().unwrap();
    summary.disagreements.sort_by_key(|one| one.number);
    summary
}

fn count(summary: &mut Summary, number: usize, case: &Case, tried: Result<Vec<Pair>, String>) {
    let pairs = match tried {
        Ok(pairs) => pairs,
        Err(reason) => {
            summary.refused += 1;
            let config = case.config();
            summary.refusal.get_or_insert_with(|| format!("case {number}: {reason}\n{}", shown(&config.files)));
            return;
        }
    };
    summary.configs += 1;
    summary.pairs += pairs.len();
    summary.standard += if case.opaque { 0 } else { pairs.len() };
    for (pair, request) in pairs.iter().zip(&case.requests) {
        match &pair.decided {
            Answer::Unknown(reason) => {
                summary.unknown[usize::from(case.opaque)] += 1;
                *summary.reasons.entry(reason.clone()).or_default() += 1;
            }
            decided if *decided != pair.observed => {
                let case = Case { requests: vec![request.clone()], ..case.clone() };
                summary.disagreements.push(Disagreement {
                    number,
                    case,
                    strange: pair.strange(),
                    told: pair.told.clone(),
                });
            }
            _ => {}
        }
    }
}

/// What the two say about one request.
struct Pair {
    observed: Answer,
    decided: Answer,
    told: String,
}

impl Pair {
    fn strange(&self) -> [bool; 2] {
        [&self.observed, &self.decided].map(|answer| matches!(answer, Answer::Strange(_)))
    }

    /// Whether the server gave no answer where the evaluator knows one.
    fn unanswered(&self) -> bool {
        self.strange() == [true, false] && !matches!(self.decided, Answer::Unknown(_))
    }

    /// Whether this is a disagreement like another one.
    fn differs_like(&self, found: &Disagreement) -> bool {
        self.decided != self.observed && !matches!(self.decided, Answer::Unknown(_)) && self.strange() == found.strange
    }
}

/// Starts a server on a case and asks both. Errors: why the server refuses the config.
fn attempt(
    kind: Kind,
    program: &Path,
    version: (u32, u32, u32),
    generator: &dyn Generator,
    case: &Case,
    stand: &Stand,
) -> Result<Vec<Pair>, String> {
    let config = case.config();
    let start = || Laid::new(kind, &config, stand).start(kind, program, stand);
    let site = start().or_else(|reason| if reason.contains("in use") { start() } else { Err(reason) })?;
    let gateway = catch_unwind(AssertUnwindSafe(|| generator.read(&site.laid.given(version))));
    let pairs = case.requests.iter().map(|line| {
        let ask = site.laid.ask(line);
        let observed = site.answer(&ask);
        let Ok(gateway) = &gateway else {
            let told = format!("request: {line}\nthe reader panics\n");
            return Pair { observed, decided: Answer::Strange("the reader panics".to_owned()), told };
        };
        let outcome = evaluate(gateway, &ask.request);
        let decided = Answer::of(&outcome);
        // On a busy machine connections are lost, and limits met: only what is answered so twice is an answer.
        let observed = if observed == decided { observed } else { site.answer(&ask) };
        let told =
            if observed == decided { String::new() } else { told(&site.laid, gateway, line, &observed, &outcome) };
        Pair { observed, decided, told }
    });
    Ok(pairs.collect())
}

fn told(laid: &Laid, gateway: &Gateway, line: &Value, observed: &Answer, outcome: &Outcome) -> String {
    let mut text = format!("request: {line}\nserver:    {observed:?}\nevaluator: {:?}\n", Answer::of(outcome));
    for step in &outcome.steps {
        let Some(file) = gateway.files.get(step.file()) else { continue };
        let place = file.line_column(step.span().start);
        let _ = writeln!(text, "  {}:{}:{}: {}", file.name, place.line, place.column, step.note);
    }
    laid.unfilled(&text)
}

fn shown(files: &BTreeMap<String, String>) -> String {
    files.iter().map(|(path, text)| format!("--- {path}\n{text}")).collect()
}

/// Leaves out what can be left out while the two still differ, and shows the rest.
fn small(kind: Kind, program: &Path, generator: &dyn Generator, found: &Disagreement) -> String {
    let (until, stand, version) = (Instant::now() + SHRINK, Stand::start(), version(kind, program));
    let (mut case, mut told) = (found.case.clone(), found.told.clone());
    let mut number = 0;
    while Instant::now() < until {
        let Some(smaller) = case.without(number) else { break };
        match attempt(kind, program, version, generator, &smaller, &stand).as_deref() {
            Ok([pair]) if pair.differs_like(found) => {
                (case, told) = (smaller, pair.told.clone());
            }
            _ => number += 1,
        }
    }
    format!("case {}:\n{}{told}", found.number, shown(&case.config().files))
}
