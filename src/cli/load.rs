//! Finding and reading the policy with its variables, and saying what is wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Exit, Global, PolicyArgs, fail, say};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::policy::plan::{Plan, Tls};
use crate::policy::variables::Variables;
use crate::policy::{certificate, env_file, secrets, validate};
use crate::secret::Secret;
use crate::source::{self, SourceFile};

/// The policy's name when it isn't given.
pub(super) const DEFAULT_NAME: &str = "llmguard.toml";

/// A policy without errors.
pub(super) struct Loaded {
    pub(super) file: SourceFile,
    pub(super) plan: Plan,
    /// How many warnings were found.
    pub(super) warnings: usize,
}

/// The nearest policy from the working directory upward.
pub(super) fn nearest() -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let depth = here.ancestors().position(|folder| folder.join(DEFAULT_NAME).is_file())?;
    // Shown as the user would reach it, and the same wherever the tree lies.
    Some(std::iter::repeat_n("..", depth).collect::<PathBuf>().join(DEFAULT_NAME))
}

/// The policy's path: as given, else the nearest one.
pub(super) fn find(args: &PolicyArgs) -> Result<PathBuf, Exit> {
    if let Some(path) = args.policy.clone().or_else(nearest) {
        return Ok(path);
    }
    Err(fail(
        &format!("no {DEFAULT_NAME} here or above"),
        Some(
            "name the policy with --policy FILE, or write a first one: [upstream] kind = \"ollama\" and a [[client]] with name and api_key",
        ),
    ))
}

/// The path of the `.env` file that belongs to a policy.
pub(super) fn env_path(args: &PolicyArgs, policy: &Path) -> PathBuf {
    args.env_file.clone().unwrap_or_else(|| policy.with_file_name(".env"))
}

/// Reads the policy; what is wrong with it is said to the user, and warnings too unless `quiet`.
pub(super) fn policy(args: &PolicyArgs, global: &Global) -> Result<Loaded, Exit> {
    read(args, global, None)
}

/// Reads the policy, and the certificate that it names; `missing` is how bad it is when that can't be read here.
pub(super) fn policy_and_certificate(args: &PolicyArgs, global: &Global, missing: Severity) -> Result<Loaded, Exit> {
    read(args, global, Some(missing))
}

fn read(args: &PolicyArgs, global: &Global, certificate_missing: Option<Severity>) -> Result<Loaded, Exit> {
    let path = find(args)?;
    let file = SourceFile::read(&path).map(|file| secrets::hide(&file)).map_err(|reason| {
        fail(
            &format!("can't read the policy `{}`: {reason}", path.display()),
            Some(if reason.contains("UTF-8") { "save it as UTF-8" } else { "name another file with --policy FILE" }),
        )
    })?;
    let mut sink = Sink::default();
    let variables = variables(args, &path, &mut sink)?;
    let plan = validate::plan(&file, &variables, &mut sink);
    if let (Some(plan), Some(missing)) = (&plan, certificate_missing) {
        certificate(&file, plan, missing, &mut sink);
    }
    let warnings = sink.list.iter().filter(|problem| problem.severity == Severity::Warning).count();
    let errors = sink.list.iter().filter(|problem| problem.severity == Severity::Error).count();
    show(sink, global);
    match plan {
        Some(plan) if errors == 0 => Ok(Loaded { file, plan, warnings }),
        _ => {
            say(&format!("{}: {}, nothing done", path.display(), count(errors, "error")));
            Err(Exit::Failed)
        }
    }
}

/// What is wrong with the pair of `tls = "files"`.
fn certificate(policy: &SourceFile, plan: &Plan, missing: Severity, sink: &mut Sink) {
    let Tls::Files { certificate, private_key } = &plan.listen.tls else { return };
    let place = |key: &str| plan.places.at(&format!("listen.{key}"));
    let folder = std::path::absolute(policy.folder()).unwrap_or_default();
    let mut read = |key: &str, path: &Path| {
        let name = path.strip_prefix(&folder).unwrap_or(path).display().to_string();
        match source::read_bytes(path) {
            Ok((bytes, mode)) => Some((name, bytes, mode)),
            Err(reason) => {
                let message = format!("can't read `{name}`, the `listen.{key}`: {reason}");
                let help = "name a PEM file, relative to the policy; what can't be read here is not checked";
                sink.push(Diagnostic::new(missing, message).at(policy, place(key), "").help(help));
                None
            }
        }
    };
    let (chain, key) = (read("certificate", certificate), read("private_key", private_key));
    let (Some((chain, chain_bytes, chain_mode)), Some((key, key_bytes, key_mode))) = (chain, key) else { return };
    let problems = certificate::check(
        certificate::File { name: &chain, bytes: &chain_bytes, mode: Some(chain_mode) },
        certificate::File { name: &key, bytes: &key_bytes, mode: Some(key_mode) },
        &plan.listen.server_names,
        std::time::SystemTime::now(),
    );
    for problem in problems {
        let severity = match problem.severity {
            certificate::Severity::Error => Severity::Error,
            certificate::Severity::Warning => Severity::Warning,
        };
        let about_key = problem.message.starts_with(&format!("`{key}`"));
        let place = place(if about_key { "private_key" } else { "certificate" });
        sink.push(Diagnostic::new(severity, problem.message).at(policy, place, "").help(problem.remedy));
    }
}

/// The variables that a policy may name.
fn variables(args: &PolicyArgs, policy: &Path, sink: &mut Sink) -> Result<Variables, Exit> {
    let process: BTreeMap<String, Secret> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, Secret::new(value.into_string().ok()?))))
        .collect();
    let path = env_path(args, policy);
    let file = match SourceFile::read(&path) {
        Ok(file) => file,
        Err(_) if args.env_file.is_none() && !path.exists() => return Ok(Variables { process, file: None }),
        Err(reason) => {
            return Err(fail(
                &format!("can't read the variables `{}`: {reason}", path.display()),
                Some("name another file with --env-file FILE"),
            ));
        }
    };
    let parsed = env_file::parse(&file.text);
    let problems = parsed.errors.iter().map(|problem| (Severity::Error, problem));
    for (severity, problem) in problems.chain(parsed.warnings.iter().map(|problem| (Severity::Warning, problem))) {
        // The line may hold a key: only its place is shown, not its text.
        let place = file.line_column(problem.span.start);
        let message = format!("{}:{}:{}: {}", file.name, place.line, place.column, problem.message);
        sink.push(Diagnostic::new(severity, message).help(problem.remedy.clone()));
    }
    let values = parsed.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
    Ok(Variables { process, file: Some(values) })
}

/// How many problems are shown: a file of another kind has one in each of its lines.
const MOST_PROBLEMS: usize = 100;

/// Says what was found: errors always, warnings unless quiet, notes when verbose or in `check`.
pub(super) fn show(sink: Sink, global: &Global) {
    // Notes beside errors would only hide them.
    let least = match (global.quiet, global.verbose) {
        (true, _) => Severity::Error,
        (_, true) if !sink.has_errors() => Severity::Note,
        _ => Severity::Warning,
    };
    let mut problems = sink.sorted();
    if problems.len() > MOST_PROBLEMS {
        problems.sort_by_key(|problem| problem.severity);
    }
    let shown = || problems.iter().filter(|problem| problem.severity <= least);
    for problem in shown().take(MOST_PROBLEMS) {
        say(&format!("{}\n", problem.render(true)));
    }
    let rest = shown().count().saturating_sub(MOST_PROBLEMS);
    if rest > 0 {
        say(&format!("… and {}", count(rest, "problem")));
    }
}

/// `1 error`, `2 errors`.
pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
