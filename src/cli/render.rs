//! `llmguard render`: the configs of one or more targets, written, checked or shown.

use std::path::{Path, PathBuf};

use super::load::{self, Loaded, count};
use super::{Exit, Global, PolicyArgs, fail, print, say};
use crate::diag::{Diagnostic, Severity};
use crate::render::target::{TARGETS, Target};
use crate::render::write::{self, State};
use crate::render::{Output, RenderedFile, Site, certificates};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// What to render: one or more of the targets, or all.
    #[arg(long, required = true, value_delimiter = ',', value_parser = target_names())]
    target: Vec<String>,
    /// The folder to write into; without it the main file of one target goes to standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write nothing; exit 1 when what is on disk differs.
    #[arg(long, conflicts_with = "diff")]
    check: bool,
    /// Write nothing; print a unified diff against what is on disk, exit 1 when it differs.
    #[arg(long)]
    diff: bool,
    /// Render without what a target can't enforce, and say so in the file's head.
    #[arg(long)]
    accept_weaker: bool,
}

fn target_names() -> clap::builder::PossibleValuesParser {
    let own = TARGETS.iter().map(|target| clap::builder::PossibleValue::new(target.name).help(target.what));
    clap::builder::PossibleValuesParser::new(own.chain([clap::builder::PossibleValue::new("all").help("all of them")]))
}

pub(super) fn run(args: &Args, global: &Global) -> Exit {
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| args.target.iter().any(|name| name == target.name || name == "all")).collect();
    if let Err(exit) = needs_out(args, &targets) {
        return exit;
    }
    // A certificate may lie only where the server runs; one that is here must be good.
    let loaded = match load::policy_and_certificate(&args.policy, global, Severity::Warning) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let mut outputs = match outputs(&targets, &loaded, args.accept_weaker, global) {
        Ok(outputs) => outputs,
        Err(exit) => return exit,
    };
    if let Some(dir) = &args.out
        && let Err(reason) = certificates::add(dir, &targets, &loaded.plan, std::time::SystemTime::now(), &mut outputs)
    {
        return fail(&reason, None);
    }
    match &args.out {
        None => to_stdout(&targets, outputs, global),
        Some(dir) if args.check || args.diff => compare(dir, &outputs, args.diff),
        Some(dir) => to_folder(dir, &targets, &outputs, args, global),
    }
}

fn needs_out(args: &Args, targets: &[&Target]) -> Result<(), Exit> {
    if args.out.is_some() {
        return Ok(());
    }
    let why = match targets {
        _ if args.check => "`--check` compares with a folder".to_owned(),
        _ if args.diff => "`--diff` compares with a folder".to_owned(),
        [target] if target.main_file.is_some() => return Ok(()),
        [target] => format!("target `{}` is several files", target.name),
        _ => "several targets are several files".to_owned(),
    };
    Err(fail(&why, Some("name the folder with --out DIR")))
}

/// Renders every target; what one can't enforce ends the run unless it is accepted.
fn outputs(targets: &[&Target], loaded: &Loaded, accept_weaker: bool, global: &Global) -> Result<Vec<Output>, Exit> {
    let mut outputs = Vec::new();
    let mut problems = Vec::new();
    for target in targets {
        let command =
            format!("llmguard render --target {}{}", target.name, if accept_weaker { " --accept-weaker" } else { "" });
        let site = Site { command, root: is_root() };
        let output = target.render(&loaded.plan, &site);
        for gap in &output.gaps {
            let accepted = accept_weaker && gap.acceptable;
            let severity = if accepted { Severity::Warning } else { Severity::Error };
            let verb = if accepted { "is rendered without" } else { "can't enforce" };
            let problem =
                Diagnostic::new(severity, format!("target `{}` {verb} `{}`: {}", target.name, gap.key, gap.reason))
                    .at(&loaded.file, gap.span, "")
                    .help(gap.instead.clone());
            problems.push((severity, problem));
        }
        outputs.push(output);
    }
    let errors = problems.iter().filter(|(severity, _)| *severity == Severity::Error).count();
    for (_, problem) in problems.iter().filter(|(severity, _)| *severity == Severity::Error || !global.quiet) {
        say(&format!("{}\n", problem.render(true)));
    }
    if errors == 0 {
        return Ok(outputs);
    }
    let optional = outputs.iter().flat_map(|output| &output.gaps).any(|gap| gap.acceptable);
    let weaker = if accept_weaker || !optional { "" } else { "; --accept-weaker renders without what can be left out" };
    say(&format!("{}, nothing was written{weaker}", count(errors, "problem")));
    Err(Exit::Failed)
}

fn to_stdout(targets: &[&Target], outputs: Vec<Output>, global: &Global) -> Exit {
    for (target, output) in targets.iter().zip(outputs) {
        let main = target.main_file.unwrap_or_default();
        if !global.quiet {
            let others: Vec<&str> =
                output.files.iter().map(|file| file.path.as_str()).filter(|path| *path != main).collect();
            if !others.is_empty() {
                say(&format!("with --out DIR also: {}", others.join(", ")));
            }
            output.notes.iter().for_each(|note| say(note));
        }
        for file in output.files.iter().filter(|file| file.path == main) {
            print(&file.content);
        }
    }
    Exit::Done
}

fn to_folder(dir: &Path, targets: &[&Target], outputs: &[Output], args: &Args, global: &Global) -> Exit {
    let files: Vec<RenderedFile> = outputs.iter().flat_map(|output| output.files.iter().cloned()).collect();
    let folders: Vec<String> = outputs.iter().flat_map(|output| output.folders.iter().cloned()).collect();
    if let Err(reason) = write::write(dir, &files, &folders) {
        return fail(&reason, Some("nothing was changed: name a folder that you can write to"));
    }
    if !global.quiet {
        for (target, output) in targets.iter().zip(outputs) {
            let paths: Vec<String> =
                output.files.iter().map(|file| dir.join(&file.path).display().to_string()).collect();
            say(&format!("{}: wrote {}", target.name, paths.join(", ")));
            output.notes.iter().for_each(|note| say(&format!("  {note}")));
            let run = target.run.replace("DIR", &dir.display().to_string());
            say(&format!("  run: {}", run.replace("../.env", &env_from_target(dir, args))));
        }
    }
    Exit::Done
}

/// The `.env` file as a target's folder below `dir` reaches it.
fn env_from_target(dir: &Path, args: &Args) -> String {
    let usual = "../.env".to_owned();
    let Ok(policy) = load::find(&args.policy) else { return usual };
    match (std::path::absolute(load::env_path(&args.policy, &policy)), std::path::absolute(dir)) {
        (Ok(env), Ok(dir)) if env != dir.join(".env") => env.display().to_string(),
        _ => usual,
    }
}

/// `--check` and `--diff`: what differs, without a byte of a secret.
fn compare(dir: &Path, outputs: &[Output], diff: bool) -> Exit {
    let mut exit = Exit::Done;
    for file in outputs.iter().flat_map(|output| &output.files) {
        let path = dir.join(&file.path);
        let state = match write::state(dir, file) {
            Ok(state) => state,
            Err(reason) => return fail(&reason, None),
        };
        let (what, old) = match state {
            State::Same => continue,
            State::Mode(mode) => (format!("has mode {mode:o}, not {:o}", file.mode), None),
            State::Missing => ("is missing".to_owned(), Some(String::new())),
            State::Differs(old) => ("differs".to_owned(), old),
        };
        exit = Exit::Differs;
        match old.filter(|_| diff && !file.secret) {
            Some(old) => print(&unified(&file.path, &old, &file.content)),
            None if diff && file.secret => print(&format!("{}: {what} (a secret file)\n", file.path)),
            None => say(&format!("{} {what}", path.display())),
        }
    }
    exit
}

fn unified(path: &str, old: &str, new: &str) -> String {
    let before = if old.is_empty() { "/dev/null".to_owned() } else { format!("a/{path}") };
    similar::TextDiff::from_lines(old, new).unified_diff().header(&before, &format!("b/{path}")).to_string()
}

/// Whether files may be given to a server's group.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}
