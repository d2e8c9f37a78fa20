//! `llmguard prove PATH`: a config that exists, on its server, on loopback: its real answers beside what its files say.

use std::collections::BTreeSet;

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

/// Proves each config on its server. What can't be proven doesn't keep the others from it.
pub(super) fn run(configs: &ConfigArgs, most: usize, keep: bool, global: &Global) -> Exit {
    let systems = match configs.systems(global) {
        Ok(systems) => systems,
        Err(exit) => return exit,
    };
    // What is wrong with the variables was said when the configs were read.
    let options = configs.options(&mut Sink::default());
    let proven = systems.iter().filter_map(|system| Some((system, proxy(system.dialect)?)));
    let proven: Vec<(&System, Proxy)> = proven.collect();
    if proven.is_empty() {
        let names: Vec<String> = systems.iter().map(|system| format!("`{}`", system.name)).collect();
        let help = "name a config of nginx, Caddy or Traefik, or a compose project in which one of them runs";
        return fail(&format!("no server runs {}", names.join(", ")), Some(help));
    }
    let mut exits = Vec::new();
    for (system, proxy) in &proven {
        let run = Run { system, proxy: *proxy, options: &options, most, keep, named: systems.len() > 1 };
        exits.push(match run.prove(global) {
            Ok(true) => Exit::Done,
            Ok(false) => Exit::Differs,
            Err(exit) => exit,
        });
    }
    for system in systems.iter().filter(|system| proxy(system.dialect).is_none() && !global.quiet) {
        let ports: BTreeSet<u16> = system.gateway.listeners.iter().map(|listener| listener.port).collect();
        let ports: Vec<String> = ports.into_iter().map(|port| port.to_string()).collect();
        if !ports.is_empty() {
            let what = if ports.len() == 1 { "the published port" } else { "the published ports" };
            let verb = if ports.len() == 1 { "leads" } else { "lead" };
            let ports = ports.join(", ");
            say(&format!("{}: {what} {ports} {verb} past the proxies: no server here to ask", system.name));
        }
    }
    let any = |wanted: Exit| exits.contains(&wanted);
    match () {
        () if any(Exit::Failed) => Exit::Failed,
        () if any(Exit::Differs) => Exit::Differs,
        () => Exit::Done,
    }
}

/// One config and how it is proven.
struct Run<'r> {
    system: &'r System,
    proxy: Proxy,
    options: &'r Options,
    most: usize,
    keep: bool,
    /// Whether its name is told.
    named: bool,
}

impl Run<'_> {
    /// Proves it; says whether its server answers as its files say.
    fn prove(&self, global: &Global) -> Result<bool, Exit> {
        let system = self.system;
        let program = server::program(self.proxy);
        let names = program.names.first().copied().unwrap_or("server");
        let failed =
            |reason: String, help: Option<&str>| fail(&format!("`{}` can't be proven: {reason}", system.name), help);
        let Some(path) = server::find(program.names, program.variable) else {
            let help = format!("install it, or name its program with {}=PATH", program.variable);
            return Err(failed(format!("no {names} on this machine"), Some(&help)));
        };
        let version = server::version(&path, self.proxy).map_err(|reason| fail(&reason, None))?;
        let started = std::time::Instant::now();
        let site = config::start(self.proxy, system, &path, &version, self.options);
        let mut site = site.map_err(|reason| {
            let help = format!(
                "{names} {version} was started; where the config is for another build, name that with {}=PATH",
                program.variable
            );
            failed(
                reason.clone(),
                Some(&help)
                    .filter(|_| ["the server ended", "refuses it"].iter().any(|part| reason.contains(part)))
                    .map(String::as_str),
            )
        })?;
        if site.listeners().is_empty() {
            let reached = match &system.inside {
                Some(inside) if !inside.published.is_empty() => " at a published port",
                _ => "",
            };
            return Err(failed(format!("it has no listener that speaks HTTP over TCP{reached}"), None));
        }
        let list = requests(&boundaries(&site.gateway), self.most);
        site.settle(&list);
        let report = site.compare(&list, |_| {});
        let alive = site.alive();
        let answers = Told { site: &site, report: &report };
        let name = if self.named { format!("{}: ", system.name) } else { String::new() };
        print(&answers.page(&format!("{name}{names} {version}"), started.elapsed(), global));
        if let Err(log) = alive {
            say(&format!("{names} ended while it was asked; the end of its log:\n{log}"));
        }
        let world = site.stop();
        if self.keep {
            say(&format!("what it ran is in {}", world.folder.keep().display()));
        }
        Ok(report.wrong.is_empty())
    }
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
        let unknown: usize = report.unknown.iter().map(|(_, number)| number).sum();
        let told = report.asked - unknown;
        let verdict = match report.wrong.len() {
            0 if unknown == 0 => "every answer is what the files say".to_owned(),
            0 if told == 0 => "the files tell none of the answers".to_owned(),
            0 => format!("{told} answers are what the files say, {unknown} can't be told from them"),
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
            text.push_str(&format!("  {number} unknown: {}\n", self.own(reason)));
        }
        if report.unknown.iter().any(|(reason, _)| reason.contains("environment variable")) {
            text.push_str("  --env-file FILE says what the variables are\n");
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
