//! What findings say, put to the real servers: each request of an expected finding shows there what the finding claims.
//!
//! In: the cases of `fixtures/lint`. Out: one failure for each claim that the server contradicts, and for each expected finding that nobody
//! asked about without a reason; with a reason it is told as skipped. Needs the servers that `tests/servers/install.sh` installs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use llmguard::analysis::survey;
use llmguard::gateway::auth::UNLISTED;
use llmguard::http::Request;
use llmguard::policy::plan::Proxy;
use llmguard::project::{Dialect, System};
use llmguard::prove::config::site::Site;
use llmguard::prove::{config, server};

use super::case::Case;
use super::claims::{self, Asker, NO_REQUEST, Said};

/// How many servers run at once: mostly they are waited for.
const WORKERS: usize = 6;

/// What came of asking.
#[derive(Default)]
struct Asked {
    /// How many claims a server showed.
    right: usize,
    /// What a server contradicts.
    wrong: Vec<String>,
    /// What couldn't be asked: the reason, and the findings.
    skipped: BTreeMap<String, BTreeSet<String>>,
}

impl Asked {
    fn skip(&mut self, reason: impl Into<String>, what: String) {
        self.skipped.entry(reason.into()).or_default().insert(what);
    }

    fn add(&mut self, other: Asked) {
        self.right += other.right;
        self.wrong.extend(other.wrong);
        other.skipped.into_iter().for_each(|(reason, all)| self.skipped.entry(reason).or_default().extend(all));
    }
}

/// The server of a system, for nginx of that version. Errors: why none runs it.
pub fn site(system: &System, case: &Case, old: bool) -> Result<Site, String> {
    let proxy = match system.dialect {
        Dialect::Nginx => Proxy::Nginx,
        Dialect::Caddy => Proxy::Caddy,
        Dialect::Traefik => Proxy::Traefik,
        Dialect::Compose => return Err("a published port needs a Docker engine".to_owned()),
        Dialect::Htpasswd => return Err("no server runs a file of logins".to_owned()),
    };
    let variable = if old { "LLMGUARD_NGINX_OLD" } else { server::program(proxy).variable };
    let path = super::common::server("lint", variable).ok_or_else(|| format!("{variable} isn't here"))?;
    let version = server::version(&path, proxy).unwrap();
    config::start(proxy, system, &path, &version, &case.options)
}

/// Asks about all findings of a case.
fn ask(case: &Case) -> Asked {
    let mut asked = Asked::default();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut reason = None;
    let expected = case.expected();
    let wanted: BTreeSet<&str> = expected.iter().copied().filter(|rule| claims::claim(rule).is_some()).collect();
    let left = |done: &BTreeSet<&str>| wanted.iter().any(|rule| !done.contains(rule));
    // Some findings hold while a variable is set, others while it isn't; some for the nginx that distributions have.
    let unset = case.systems();
    one(case, &unset, false, &mut done, &mut reason, &mut asked);
    if left(&done)
        && let Some(set) = case.with_variables()
    {
        one(&set, &set.systems(), false, &mut done, &mut reason, &mut asked);
    }
    if left(&done) {
        let nginx: Vec<System> = unset.into_iter().filter(|system| system.dialect == Dialect::Nginx).collect();
        one(case, &nginx, true, &mut done, &mut reason, &mut asked);
    }
    for rule in expected {
        let told = NO_REQUEST.iter().find(|(own, _)| *own == rule).map(|(_, reason)| (*reason).to_owned());
        match told.or_else(|| reason.clone()) {
            _ if done.contains(rule) => {}
            Some(reason) => asked.skip(reason, format!("{}[{rule}]", case.name)),
            None => asked.wrong.push(format!("{}[{rule}]: nobody asked about it", case.name)),
        }
    }
    asked
}

/// Asks about what is left of a case's findings.
fn one(
    case: &Case,
    systems: &[System],
    old: bool,
    done: &mut BTreeSet<&'static str>,
    reason: &mut Option<String>,
    asked: &mut Asked,
) {
    let before = done.clone();
    for system in systems {
        let site = match site(system, case, old) {
            Ok(site) => site,
            Err(why) => {
                *reason = Some(why);
                continue;
            }
        };
        let found = case.findings(&site.gateway);
        if system.dialect == Dialect::Traefik && !found.is_empty() {
            site.settle(&found.iter().map(claims::wire).collect::<Vec<_>>());
        }
        for (index, finding) in found.iter().enumerate().filter(|(_, finding)| !before.contains(finding.rule)) {
            let Some(claim) = claims::claim(finding.rule) else { continue };
            done.insert(finding.rule);
            let witness = finding.witness.as_ref().unwrap();
            let home = site.home(witness.request.port);
            let from = match witness.caller.way {
                None if home.is_ipv4() => [127, 0, 1, u8::try_from(index + 1).unwrap_or(255)].into(),
                _ => home,
            };
            let fate = |from: Option<IpAddr>| {
                let there = |request: &mut Request| {
                    request.client_ip = from.unwrap_or(request.client_ip);
                    request.to = request.to.filter(|_| from.is_none());
                };
                std::mem::discriminant(&survey::again(&site.gateway, witness, &there).verdict)
            };
            let unasked = match &witness.request.as_client {
                Some(user) if user == UNLISTED => Some("its file of users isn't here"),
                _ if fate(None) != fate(Some(from)) => {
                    Some("what an address of its lists gets can't be asked from here")
                }
                _ => None,
            };
            if let Some(why) = unasked {
                asked.skip(why.to_owned(), format!("{}[{}]", case.name, finding.rule));
                continue;
            }
            let asker = Asker { site: &site, finding, from, body: case.measure.plan.limits.body };
            match claim(&asker) {
                Said::Right => asked.right += 1,
                Said::Wrong(how) => {
                    let target = asker.request().target.escape_ascii().to_string();
                    let finding = format!("{}[{}] {}", case.name, finding.rule, finding.message);
                    asked.wrong.push(format!("{finding}: {target}: {how}"));
                }
                Said::Unasked(why) => asked.skip(why, format!("{}[{}]", case.name, finding.rule)),
            }
        }
        site.stop();
        for finding in case.findings_of(&system.gateway) {
            let why = match &finding.witness {
                _ if done.contains(finding.rule) => continue,
                None => "it has no request",
                Some(witness) if witness.request.as_client.as_deref() == Some(UNLISTED) => {
                    "its file of users isn't here"
                }
                Some(witness) if witness.caller.way.is_some() => "what listens everywhere was moved to an IPv4 address",
                Some(_) if finding.rule == "credential-logged" => "the error log is moved, and its level with it",
                Some(_) => continue,
            };
            done.insert(finding.rule);
            asked.skip(why.to_owned(), format!("{}[{}]", case.name, finding.rule));
        }
        if system.deployment.is_some() {
            *reason = Some("its files are a container's".to_owned());
        } else if system.dialect == Dialect::Caddy && case.expected().contains(&"config-exposed") {
            *reason = Some("the admin API isn't moved: on loopback it takes other requests".to_owned());
        }
    }
    if !done.is_empty() && case.expected().contains(&"fails-open-when-unset") {
        done.insert("fails-open-when-unset");
    }
}

#[test]
fn findings_show_on_the_real_servers_what_they_say() {
    let only = std::env::var("LLMGUARD_CASE").ok();
    let mut cases: Vec<Case> =
        super::cases().iter().map(|folder| Case::read(folder, super::arguments(folder))).collect();
    cases.retain(|case| only.as_ref().is_none_or(|only| case.name.contains(only.as_str())));
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Asked::default()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = std::time::Instant::now();
                    let asked = ask(case);
                    if started.elapsed().as_secs() > 2 {
                        println!("{}: {:.1} s", case.name, started.elapsed().as_secs_f64());
                    }
                    all.lock().unwrap().add(asked);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    for (reason, names) in &all.skipped {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // What no server could show isn't left out.
        match NO_REQUEST.iter().any(|(_, own)| own == reason && *own != claims::PUBLISHED) {
            true => println!("{} findings: {reason}", names.len()),
            false => super::common::skip(&format!("lint {}", names.join(" ")), reason),
        }
    }
    assert!(all.wrong.is_empty(), "{}", all.wrong.join("\n"));
    assert!(all.right > 0, "nothing was asked");
    println!("{} claims of findings are shown by the real servers", all.right);
}

#[test]
fn every_rule_has_a_claim_or_a_reason_to_have_none() {
    for rule in llmguard::rules::RULES.iter().map(|rule| rule.id) {
        let told = NO_REQUEST.iter().any(|(own, _)| *own == rule);
        assert!(told != claims::claim(rule).is_some(), "{rule}: it needs a claim or a reason to have none");
    }
}
