//! `llmguard lint`: the gaps between existing configs and the policy.
//!
//! In: configs, the policy or none. Out: on standard output the findings; on standard error what was read and with which policy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::configs::{self, Sources};
use super::{Exit, Global, PolicyArgs, fail, load, mend, print, say};
use crate::analysis::measure::Measure;
use crate::analysis::survey::{Survey, survey};
use crate::diag::{self, Diagnostic, Sink};
use crate::finding::{self, Severity, baseline, ignore};
use crate::project::deployment::{Role, Service};
use crate::project::{Dialect, System};
use crate::report::{Format, Look, Report};
use crate::rules::{self, Context, Deployed, Rule, Workbench};
use crate::source::{SourceFile, Texts};

/// The columns of a report that goes into a file.
const WIDTH: usize = 140;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    policy: PolicyArgs,
    /// How to write the findings.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Where to write them instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// From which severity on findings are a failure.
    #[arg(long, value_enum, default_value = "warning")]
    fail_on: FailOn,
    /// Findings that are known: they are not told.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Record all findings as known.
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    write_baseline: Option<PathBuf>,
    /// Mend what can be mended without changing what any request gets.
    #[arg(long, group = "mends", conflicts_with = "write_baseline")]
    fix: bool,
    /// Write nothing; print what --fix would change as a unified diff, exit 1 when there is something.
    #[arg(long, group = "mends", conflicts_with_all = ["write_baseline", "output"])]
    diff: bool,
    /// Mend also where that may refuse requests which are meant to pass.
    #[arg(long, requires = "mends")]
    unsafe_fixes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    Error,
    Warning,
    Info,
    Never,
}

impl FailOn {
    fn fails(self, severity: Severity) -> bool {
        match self {
            FailOn::Error => severity == Severity::Error,
            FailOn::Warning => severity <= Severity::Warning,
            FailOn::Info => true,
            FailOn::Never => false,
        }
    }
}

pub(super) fn run(args: &Args, global: &Global) -> Exit {
    match lint(args, global) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn lint(args: &Args, global: &Global) -> Result<Exit, Exit> {
    args.sources.stdin_stands_alone()?;
    let measure = measure(&args.policy, global)?;
    let mut looked = look(args, &measure, &Texts::default())?;
    let refused = looked.problems.iter().any(|problem| problem.severity == diag::Severity::Error);
    if (args.diff || args.fix) && !refused {
        let found = looked.report.findings.len();
        let (mended, after) = mend::mend(looked, args.unsafe_fixes, &|texts| look(args, &measure, texts))?;
        if args.diff {
            mend::show(&mended);
            said(&after.report, global);
            let can = match mended.findings {
                0 => "nothing can".to_owned(),
                count => format!("{} can", load::count(count, "finding")),
            };
            tell(&format!("{can} be mended of {}", load::count(found, "finding")), global);
            return Ok(if mended.findings > 0 { Exit::Differs } else { Exit::Done });
        }
        mend::write(&mended)?;
        if mended.findings > 0 {
            let files: Vec<&str> = mended.files.iter().map(|(file, _)| file.name.as_str()).collect();
            tell(&format!("mended {} in {}", load::count(mended.findings, "finding"), files.join(", ")), global);
        }
        looked = after;
    }
    let Looked { report, problems, others, systems } = looked;
    // The program ends soon: nobody needs the memory of a large gateway piece by piece.
    std::mem::forget(systems);
    if let Some(path) = &args.write_baseline {
        written(path, &baseline::write(&report.findings))?;
    }
    // What has no place can only be said.
    let placeless = problems.iter().filter(|problem| problem.file.is_none() || problem.span.is_none());
    load::show(Sink { list: placeless.cloned().collect() }, global);
    let look = Look { width: if args.output.is_some() { WIDTH } else { super::width() }, summary: !global.quiet };
    let text = report.write(args.format, look);
    match &args.output {
        Some(path) => written(path, &anstream::adapter::strip_str(&text).to_string())?,
        None => print(&text),
    }
    said(&report, global);
    if let Some(first) = others.first() {
        let more = match others.len() {
            1 => String::new(),
            count => format!(" and {} more", load::count(count - 1, "server")),
        };
        tell(&format!("not judged: requests to `{first}`{more}, which the policy isn't about"), global);
    }
    Ok(match report.findings.iter().any(|finding| args.fail_on.fails(finding.severity)) {
        _ if problems.iter().any(|problem| problem.severity == diag::Severity::Error) => Exit::Failed,
        _ if args.write_baseline.is_some() => Exit::Done,
        true => Exit::Differs,
        false => Exit::Done,
    })
}

/// What there is to say about some configs.
pub(super) struct Looked {
    pub(super) report: Report,
    pub(super) problems: Vec<Diagnostic>,
    /// Servers that get requests and aren't the policy's: what reaches them isn't judged.
    others: BTreeSet<String>,
    /// What the configs mean.
    systems: Vec<System>,
}

/// Reads the configs as they are, but for some texts, and judges them.
fn look(args: &Args, measure: &Measure, texts: &Texts) -> Result<Looked, Exit> {
    let paths = args.sources.paths_or_here();
    let read = |unset| {
        let how = configs::As { unset, copied: true };
        configs::read(&args.sources, &paths, args.policy.env_file.as_deref(), how, texts)
    };
    let configs::Read { systems, problems, complete } = read(false);
    if systems.is_empty() && problems.iter().all(|problem| problem.severity != diag::Severity::Error) {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let help = "name an nginx.conf, a Caddyfile, Traefik's files or a compose file; --as says what a file is";
        return Err(fail(&format!("no config in {}", names.join(", ")), Some(help)));
    }
    let unset = match complete {
        true => None,
        false => Some(read(true).systems),
    };
    let (findings, others) = judged(&systems, unset.as_deref(), &problems, measure);
    let mut files: Vec<SourceFile> = systems.iter().flat_map(|system| system.gateway.files.clone()).collect();
    files.extend(problems.iter().filter_map(|problem| problem.file.clone()));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup_by(|a, b| a.name == b.name);
    let (findings, suppressed) = ignore::apply(&files, findings, &|rule| Rule::find(rule).is_some());
    let findings = finding::sorted(findings);
    let (findings, known) = match &args.baseline {
        None => (findings, 0),
        Some(path) => known(path, findings)?,
    };
    let report = Report {
        policy: measure.name.clone(),
        files: files.iter().map(|file| file.name.replace('\\', "/")).collect(),
        sources: files,
        findings,
        suppressed: suppressed + known,
    };
    Ok(Looked { report, problems, others, systems })
}

/// The policy to measure with: the named or the nearest one, else the built-in one.
pub(super) fn measure(args: &PolicyArgs, global: &Global) -> Result<Measure, Exit> {
    let broken = || fail("the catalogue of upstreams is broken", None);
    if args.policy.is_none() && load::nearest().is_none() {
        return Measure::built_in().ok_or_else(broken);
    }
    let loaded = load::policy(args, global)?;
    let name = loaded.file.name.clone();
    Measure::new(loaded.plan, &loaded.file, Some(name)).ok_or_else(broken)
}

/// Whether a server that a system sends requests to may be the policy's, whatever it is called: not where a project names its
/// model server by the image, and not any port that a project publishes.
fn may_be_any(system: &System) -> bool {
    let is_one = |service: &Service| matches!(service.role, Role::ModelServer(_));
    let known = system.deployment.as_ref().is_some_and(|own| own.services.iter().any(is_one));
    !known && system.dialect != Dialect::Compose
}

/// What the rules find in all systems, and the servers that aren't the policy's.
fn judged(
    systems: &[System],
    unset: Option<&[System]>,
    problems: &[Diagnostic],
    measure: &Measure,
) -> (Vec<finding::Finding>, BTreeSet<String>) {
    let refused = |system: &System| {
        let own = |problem: &&Diagnostic| problem.severity == diag::Severity::Error;
        let mut errors = problems.iter().filter(own).filter_map(|problem| problem.file.as_ref());
        errors.any(|file| system.gateway.files.iter().any(|own| own.name == file.name))
    };
    let asked: Vec<&System> = systems.iter().filter(|system| !refused(system)).collect();
    let mut surveys: Vec<Survey> = asked.iter().map(|system| survey(&system.gateway, measure, false)).collect();
    // Where no server looks like the policy's, any may be it.
    let every = surveys.iter().all(|survey| survey.routes.is_empty() && survey.gaps.is_empty());
    if every && surveys.iter().any(|survey| !survey.others.is_empty()) {
        surveys = asked.iter().map(|system| survey(&system.gateway, measure, may_be_any(system))).collect();
    }
    let nothing = Survey::default();
    let empty = crate::gateway::Gateway::default();
    let mut found = rules::check(&Context {
        gateway: &empty,
        workbench: &Workbench::new(&[]),
        measure,
        survey: &nothing,
        unset: None,
        problems,
        deployed: None,
    });
    for (system, own) in asked.iter().zip(&surveys) {
        let twin = unset.and_then(|all| all.iter().find(|other| other.name == system.name));
        let open = twin.map(|twin| (&twin.gateway, survey(&twin.gateway, measure, every && may_be_any(twin))));
        let unset = open.as_ref().map(|(gateway, survey)| (*gateway, survey));
        let deployed = system.deployment.as_ref().filter(|_| system.dialect == Dialect::Compose).map(|deployment| {
            let all = asked.iter().zip(&surveys);
            let same =
                all.filter(|(other, _)| other.deployment.as_ref().is_some_and(|other| Arc::ptr_eq(other, deployment)));
            Deployed { deployment, parts: same.map(|(other, survey)| (&other.gateway, survey)).collect() }
        });
        let workbench = &Workbench::new(&system.gateway.files);
        let context =
            Context { gateway: &system.gateway, workbench, measure, survey: own, unset, problems: &[], deployed };
        found.extend(rules::check(&context));
    }
    let others = surveys.iter().flat_map(|survey| survey.others.keys().cloned()).collect();
    (found, others)
}

fn known(path: &Path, findings: Vec<finding::Finding>) -> Result<(Vec<finding::Finding>, usize), Exit> {
    let remedy = "write one with --write-baseline FILE";
    let text = std::fs::read_to_string(path)
        .map_err(|error| fail(&format!("can't read `{}`: {error}", path.display()), Some(remedy)))?;
    baseline::apply(&text, findings).map_err(|why| fail(&format!("`{}`: {why}", path.display()), Some(remedy)))
}

/// Writes a report.
pub(super) fn written(path: &Path, text: &str) -> Result<(), Exit> {
    std::fs::write(path, text)
        .map_err(|error| fail(&format!("can't write `{}`: {error}", path.display()), Some("name another file")))
}

/// What was read, and with which policy.
fn said(report: &Report, global: &Global) {
    let policy = match &report.policy {
        Some(name) => format!("the policy `{name}`"),
        None => "the built-in policy for Ollama".to_owned(),
    };
    let files = match report.files.as_slice() {
        [file] => format!("`{file}`"),
        files => load::count(files.len(), "file"),
    };
    tell(&format!("read {files}, measured with {policy}"), global);
}

/// Says something unless less is to be said.
fn tell(text: &str, global: &Global) {
    if !global.quiet {
        say(text);
    }
}
