//! `llmguard prove`: the servers of this machine on loopback, with the rendered policy or a config that exists, asked and judged.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use super::configs::ConfigArgs;
use super::load::{self, count};
use super::{Exit, Global, fail, print, prove_config, say};
use crate::policy::plan::Proxy;
use crate::prove::engine::{Engine, NoEngine};
use crate::prove::judge::shown;
use crate::prove::moved::Phase;
use crate::prove::{self, Report, Wrong, differences::DIFFERENCES, limits, questions, server};

/// How many wrong answers are shown one by one.
const SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    configs: ConfigArgs,
    /// What to prove of the policy: nginx, caddy, traefik-file, or all that are installed.
    #[arg(long, value_delimiter = ',', value_parser = ["nginx", "caddy", "traefik-file", "all"])]
    #[arg(required_unless_present = "paths", conflicts_with = "paths")]
    target: Vec<String>,
    /// How many requests each listener of a config is asked at most.
    #[arg(long, value_name = "N", default_value_t = 2000, requires = "paths")]
    most: usize,
    /// Leave the folder in which the server ran.
    #[arg(long, requires = "paths")]
    keep: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Exit {
    if !args.configs.is_empty() {
        return prove_config::run(&args.configs, args.most, args.keep, global);
    }
    let loaded = match load::policy(&args.configs.policy, global) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let every = args.target.iter().any(|name| name == "all");
    let wanted = [Proxy::Nginx, Proxy::Caddy, Proxy::Traefik]
        .into_iter()
        .filter(|proxy| every || args.target.iter().any(|name| name == proxy.target()));
    let mut exit = Exit::Done;
    let mut proven = 0;
    for proxy in wanted {
        let program = server::program(proxy);
        let Some(path) = server::find(program.names, program.variable) else {
            if every {
                say(&format!("{}: not installed here, not proven", proxy.target()));
                continue;
            }
            return fail(
                &format!("no {} on this machine", program.names.first().unwrap_or(&"server")),
                Some(&format!("install it, or name its program with {}=PATH", program.variable)),
            );
        };
        match one(&loaded, proxy, &path, global) {
            Ok(true) => {}
            Ok(false) => exit = Exit::Differs,
            Err(exit) => return exit,
        }
        proven += 1;
    }
    if proven == 0 {
        return fail("none of the servers is on this machine", Some("install nginx, Caddy or Traefik"));
    }
    exit
}

/// Proves one target; says whether it answers by the policy.
fn one(loaded: &load::Loaded, proxy: Proxy, program: &std::path::Path, global: &Global) -> Result<bool, Exit> {
    let started = std::time::Instant::now();
    let told = |reason: NoEngine| match reason {
        NoEngine::Gaps(gaps) => fail(
            &format!("target `{}` can't enforce the policy: {}", proxy.target(), gaps.join("; ")),
            Some("`llmguard render` says what would work"),
        ),
        NoEngine::Failed(reason) => fail(&format!("{}: {reason}", proxy.target()), None),
    };
    let mut engine = Engine::start(&loaded.plan, proxy, program, Phase::Contract).map_err(told)?;
    let list =
        questions::questions(&engine.moved.plan, &engine.moved.passwords).map_err(|reason| fail(&reason, None))?;
    let bar = bar(list.len(), proxy, global);
    let mut report = prove::ask(&mut engine, &loaded.file, &list, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    report.leaks = prove::leaks(&engine, &list);
    engine.stop();
    let mut engine = Engine::start(&loaded.plan, proxy, program, Phase::Limits).map_err(told)?;
    report.limits = limits::ask(&mut engine);
    engine.stop();
    summary(&report, started.elapsed(), global);
    Ok(report.is_right())
}

fn bar(total: usize, proxy: Proxy, global: &Global) -> ProgressBar {
    if global.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} requests").unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(total as u64).with_style(style).with_prefix(proxy.target())
}

fn summary(report: &Report, took: std::time::Duration, global: &Global) {
    let verdict = match report.problems() {
        0 => "every answer is the policy's".to_owned(),
        number => format!("{} from the policy", count(number, "difference")),
    };
    let limits =
        if report.limits.asked > 0 { format!(" and {}", count(report.limits.asked, "limit")) } else { String::new() };
    print(&format!(
        "{}: {}{limits} in {:.1} s: {verdict}\n",
        report.server,
        count(report.asked, "request"),
        took.as_secs_f64()
    ));
    for wrong in report.wrong.iter().take(SHOWN) {
        print(&describe(wrong));
    }
    if report.wrong.len() > SHOWN {
        print(&format!("  … and {} more\n", report.wrong.len() - SHOWN));
    }
    for problem in report.limits.problems.iter().chain(&report.leaks) {
        print(&format!("  {problem}\n"));
    }
    if !global.quiet {
        for (id, number) in &report.forced {
            let says =
                DIFFERENCES.iter().find(|difference| difference.id == *id).map_or("", |difference| difference.says);
            print(&format!("  {number} answered in this server's own way ({id}): {says}\n"));
        }
    }
}

/// One wrong answer, as a person reads it.
pub(super) fn describe(wrong: &Wrong) -> String {
    let request = &wrong.question.request;
    format!(
        "  {}\n    asked: {} {} ({:?})\n    policy: {:?}\n    server: {}\n",
        wrong.question.name,
        shown(&request.method),
        shown(&request.target),
        request.version,
        wrong.expected.verdict,
        wrong.complaints.join("; "),
    )
}
