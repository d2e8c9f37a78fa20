//! `llmguard prove PATH`: a config that exists, on its server, on loopback: its real answers beside what its files say.

use super::configs::ConfigArgs;
use super::load::count;
use super::{Exit, Global, fail, print, say};
use crate::analysis::boundary::boundaries;
use crate::analysis::explain::{place, shown};
use crate::analysis::words;
use crate::diag::Sink;
use crate::dialect::Options;
use crate::gateway::eval::{Outcome, Verdict};
use crate::gateway::predicate::is_credential;
use crate::policy::plan::Proxy;
use crate::project::{Dialect, System};
use crate::prove::answer::Answer;
use crate::prove::config::site::{Report, Site, Wrong};
use crate::prove::config::{self, requests::requests};
use crate::prove::server;

/// How many wrong answers are shown one by one.
const SHOWN: usize = 20;
/// How many reasons for what can't be known.
const REASONS: usize = 10;

/// Proves each config on its server.
pub(super) fn run(configs: &ConfigArgs, most: usize, keep: bool, global: &Global) -> Exit {
    let systems = match configs.systems(global) {
        Ok(systems) => systems,
        Err(exit) => return exit,
    };
    let mut exit = Exit::Done;
    // What is wrong with the variables was said when the configs were read.
    let options = configs.options(&mut Sink::default());
    for system in &systems {
        match one(system, &options, most, keep, global) {
            Ok(true) => {}
            Ok(false) => exit = Exit::Differs,
            Err(failed) => return failed,
        }
    }
    exit
}

/// Proves one config; says whether its server answers as its files say.
fn one(system: &System, options: &Options, most: usize, keep: bool, global: &Global) -> Result<bool, Exit> {
    let Some(proxy) = proxy(system.dialect) else {
        return Err(fail(
            &format!("no server runs `{}`", system.name),
            Some("name a config of nginx, Caddy or Traefik"),
        ));
    };
    let program = server::program(proxy);
    let names = program.names.first().copied().unwrap_or("server");
    let Some(path) = server::find(program.names, program.variable) else {
        let help = format!("install it, or name its program with {}=PATH", program.variable);
        return Err(fail(&format!("no {names} on this machine"), Some(&help)));
    };
    let version = server::version(&path, proxy).map_err(|reason| fail(&reason, None))?;
    let started = std::time::Instant::now();
    let failed = |reason: String| fail(&format!("`{}` can't be proven: {reason}", system.name), None);
    let mut site = config::start(proxy, &system.gateway, &path, &version, options).map_err(failed)?;
    if site.listeners().is_empty() {
        return Err(failed("it has no listener that speaks HTTP over TCP".to_owned()));
    }
    let list = requests(&boundaries(&site.gateway), most);
    site.settle(&list);
    let report = site.compare(&list, |_| {});
    let alive = site.alive();
    let answers = Told { site: &site, report: &report };
    print(&answers.page(&format!("{names} {version}"), started.elapsed(), global));
    if let Err(log) = alive {
        say(&format!("{names} ended while it was asked; the end of its log:\n{log}"));
    }
    let world = site.stop();
    if keep {
        say(&format!("what it ran is in {}", world.folder.keep().display()));
    }
    Ok(report.wrong.is_empty())
}

fn proxy(dialect: Dialect) -> Option<Proxy> {
    match dialect {
        Dialect::Nginx => Some(Proxy::Nginx),
        Dialect::Caddy => Some(Proxy::Caddy),
        Dialect::Traefik => Some(Proxy::Traefik),
        Dialect::Compose | Dialect::Htpasswd => None,
    }
}

/// A report in the user's own names.
struct Told<'a> {
    site: &'a Site,
    report: &'a Report,
}

impl Told<'_> {
    fn page(&self, server: &str, took: std::time::Duration, global: &Global) -> String {
        let report = self.report;
        let verdict = match report.wrong.len() {
            0 => "every answer is what the files say".to_owned(),
            number => format!("{} from what the files say", count(number, "difference")),
        };
        let listeners = self.site.listeners().len();
        let mut text = format!(
            "{server}: {} to {} in {:.1} s: {verdict}\n",
            count(report.asked, "request"),
            count(listeners, "listener"),
            took.as_secs_f64()
        );
        let kinds = self.kinds();
        for (first, number) in kinds.iter().take(SHOWN) {
            text.push_str(&self.wrong(first));
            if *number > 1 {
                text.push_str(&format!("    and {} more like this\n", number - 1));
            }
        }
        if kinds.len() > SHOWN {
            text.push_str(&format!("  … and {} of other kinds\n", kinds.len() - SHOWN));
        }
        if global.quiet {
            return text;
        }
        if report.limited > 0 {
            text.push_str(&format!("  {} met a limit and got its refusal\n", report.limited));
        }
        for (reason, number) in report.unknown.iter().take(REASONS) {
            text.push_str(&format!("  {number} can't be told from the files: {}\n", self.own(reason)));
        }
        for note in &self.site.world.notes {
            text.push_str(&format!("  {note}\n"));
        }
        text
    }

    /// The first of each kind of difference (what the files say, by which place, what the server did), and how many there are.
    fn kinds(&self) -> Vec<(&Wrong, usize)> {
        let kind = |wrong: &Wrong| {
            let said = match &wrong.expected.verdict {
                Verdict::Proxied { upstream, .. } => upstream.clone(),
                verdict => format!("{verdict:?}"),
            };
            let did = match &wrong.observed {
                Answer::Proxied { port, .. } => port.to_string(),
                other => format!("{other:?}"),
            };
            (said, wrong.expected.steps.last().cloned(), did)
        };
        let mut kinds: Vec<(&Wrong, usize)> = Vec::new();
        for wrong in &self.report.wrong {
            match kinds.iter_mut().find(|(first, _)| kind(first) == kind(wrong)) {
                Some((_, number)) => *number += 1,
                None => kinds.push((wrong, 1)),
            }
        }
        kinds
    }

    fn own(&self, text: &str) -> String {
        self.site.world.own_names(text)
    }

    fn wrong(&self, wrong: &Wrong) -> String {
        let request = &wrong.request;
        let listener = request.port.map(|port| self.own(&format!("127.0.0.1:{port}"))).unwrap_or_default();
        let mut text = format!("  {} {} to {listener}\n", shown(&request.method), shown(&request.target));
        for (name, value) in &request.headers {
            let secret = is_credential(&shown(name));
            let value = if secret { "***".to_owned() } else { shown(value) };
            text.push_str(&format!("    {}: {value}\n", shown(name)));
        }
        text.push_str(&format!("    files say: {}\n", self.expected(&wrong.expected)));
        text.push_str(&format!("    server:    {}\n", self.observed(&wrong.observed)));
        if let Some(place) = self.place(&wrong.expected) {
            text.push_str(&format!("    by:        {place}\n"));
        }
        text
    }

    /// The last place that led to a decision.
    fn place(&self, outcome: &Outcome) -> Option<String> {
        let origin = outcome.steps.last()?;
        let place = place(&self.site.gateway, origin)?;
        Some(format!("{}:{}: {}", self.own(&place.file), place.at.line, self.own(&origin.note)))
    }

    fn expected(&self, outcome: &Outcome) -> String {
        match &outcome.verdict {
            Verdict::Unknown { reason, .. } => format!("unknown: {}", self.own(reason)),
            _ => self.observed(&Answer::of(outcome)),
        }
    }

    fn observed(&self, answer: &Answer) -> String {
        match answer {
            Answer::Refused(status) => format!("refused with {}", words::status(*status)),
            Answer::Answered(status) => format!("answered with {}", words::status(*status)),
            Answer::Proxied { port, target, host } => {
                let upstream = self.own(&format!("127.0.0.1:{port}"));
                format!("proxied to {upstream} as {target} with Host {}", self.own(host))
            }
            Answer::Unknown(reason) => format!("unknown: {}", self.own(reason)),
            Answer::Strange(what) => format!("neither answered nor refused: {what}"),
        }
    }
}
