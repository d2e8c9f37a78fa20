//! The requests of findings on the real servers: each gets through there, as the finding says.
//!
//! In: the cases of `fixtures/lint` that a server of this machine runs. Out: one failure for each request that the server treats otherwise
//! than its finding says. Needs the servers that `tests/servers/install.sh` installs.

use std::path::{Path, PathBuf};

use base64::Engine as _;

use llmguard::analysis::caller::Who;
use llmguard::analysis::measure::Measure;
use llmguard::analysis::survey::{Gap, Witness, survey};
use llmguard::diag::{Severity, Sink};
use llmguard::dialect::{Options, Variables};
use llmguard::http::Request;
use llmguard::policy::plan::Proxy;
use llmguard::project::{self, Dialect, System};
use llmguard::prove::moved::known_password;
use llmguard::prove::{config, server};

/// How many servers run at once: mostly they are waited for.
const WORKERS: usize = 6;

/// A witness as it goes onto a wire.
fn request(witness: &Witness) -> Request {
    let mut request = witness.request.clone();
    if let Some(user) = request.as_client.take() {
        let login = format!("{user}:{}", known_password(&user));
        let login = base64::engine::general_purpose::STANDARD.encode(login);
        request.headers.push((b"Authorization".to_vec(), format!("Basic {login}").into_bytes()));
    }
    request
}

/// The requests that its server treats otherwise than it is said, and how many were asked. `None`: no server of this machine runs it.
fn wrong(system: &System, options: &Options, case: &Path) -> Option<(Vec<String>, usize)> {
    let proxy = match system.dialect {
        Dialect::Nginx => Proxy::Nginx,
        Dialect::Caddy => Proxy::Caddy,
        Dialect::Traefik => Proxy::Traefik,
        Dialect::Compose | Dialect::Htpasswd => return None,
    };
    let measure = Measure::built_in().unwrap();
    if survey(&system.gateway, &measure, true).gaps.is_empty() {
        return Some((Vec::new(), 0));
    }
    let program = server::program(proxy);
    let path = super::common::server("lint", program.variable)?;
    let version = server::version(&path, proxy).unwrap();
    let mut site = match config::start(proxy, &system.gateway, &path, &version, options) {
        Ok(site) => site,
        Err(why) if system.dialect == Dialect::Traefik && why.contains("its static file isn't named") => {
            let name = case.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(case).display();
            super::common::skip(&format!("lint {name}"), "Traefik reads labels from a Docker engine");
            return None;
        }
        Err(why) => return Some((vec![format!("{}: it doesn't start: {why}", case.display())], 0)),
    };
    let found = survey(&site.gateway, &measure, true);
    let mut wrong = Vec::new();
    let mut asked = 0;
    let requests: Vec<Request> = found.gaps.iter().map(|gap| request(&gap.witness)).collect();
    site.settle(&requests);
    // What only an address of the owner's network gets can't be asked from here.
    let askable = |gap: &Gap| gap.witness.caller.way.is_none() || gap.witness.caller.who == Who::Nobody;
    for (gap, request) in found.gaps.iter().zip(requests).filter(|(gap, _)| askable(gap)) {
        let request = Request { client_ip: site.home(request.port), to: None, ..request };
        let expected = llmguard::prove::answer::Answer::of(&gap.actual);
        let observed = site.ask(&request);
        asked += 1;
        if expected != observed {
            let target = request.target.escape_ascii().to_string();
            wrong.push(format!("{}: {target}: said {expected:?}, was {observed:?}", case.display()));
        }
    }
    site.stop();
    Some((wrong, asked))
}

/// What is wrong with the cases of one worker, and how many requests were asked.
fn all_of(cases: &[&PathBuf]) -> (Vec<String>, usize) {
    let (mut broken, mut all) = (Vec::new(), 0);
    let measure = Measure::built_in().unwrap();
    for case in cases {
        let options = Options { variables: Variables { complete: true, ..Variables::default() }, ..Options::default() };
        let mut sink = Sink::default();
        let systems = project::load(std::slice::from_ref(*case), None, &options, &mut sink);
        let refused = sink.list.iter().any(|problem| problem.severity == Severity::Error);
        // A server starts only where there is something to ask it.
        let asks = |system: &&System| !refused && !survey(&system.gateway, &measure, true).gaps.is_empty();
        for system in systems.iter().filter(asks) {
            let Some((wrong, asked)) = wrong(system, &options, case) else { continue };
            broken.extend(wrong);
            all += asked;
        }
    }
    (broken, all)
}

#[test]
fn what_gets_through_gets_through_on_the_real_servers() {
    let cases = super::cases();
    let asked: Vec<&PathBuf> = cases.iter().filter(|case| !case.join("args").exists()).collect();
    let found: Vec<(Vec<String>, usize)> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            asked.chunks(asked.len().div_ceil(WORKERS)).map(|own| scope.spawn(|| all_of(own))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let broken: Vec<String> = found.iter().flat_map(|(broken, _)| broken.clone()).collect();
    let all: usize = found.iter().map(|(_, all)| all).sum();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(all > 0, "no request was asked");
    println!("{all} requests of findings got through");
}
