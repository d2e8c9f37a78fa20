//! Configs of one language → [`System`]s.
//!
//! In: configs and options. Out: what they mean; problems go into the sink. Invariant: each reader is called here and nowhere else.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::classify::What;
use super::discover::Config;
use super::{Dialect, System};
use crate::diag::Sink;
use crate::dialect::{Options, caddy, json, nginx, traefik};
use crate::source::SourceFile;

/// What nginx makes of a main file, or of a part of one.
pub fn nginx(file: SourceFile, options: &Options, sink: &mut Sink) -> System {
    let name = file.name.clone();
    let (mut syntax, mut meaning) = (Sink::default(), Sink::default());
    let config = nginx::read::read_file(file, options, &mut syntax);
    let gateway = nginx::gateway(&config, options, &mut meaning);
    // What nginx stops at would be said again, as what the rest of it seems to mean.
    if !syntax.has_errors() {
        syntax.list.append(&mut meaning.list);
    }
    sink.list.append(&mut syntax.list);
    System::new(Dialect::Nginx, name, gateway)
}

/// What Caddy makes of a Caddyfile.
pub fn caddyfile(file: SourceFile, options: &Options, sink: &mut Sink) -> System {
    let name = file.name.clone();
    let mut problems = Sink::default();
    let adapted = caddy::adapt_text(file, options, &mut problems);
    let refused = problems.has_errors();
    sink.list.append(&mut problems.list);
    // What Caddy refuses means nothing; errors that follow from the first would only hide it.
    let gateway = match refused {
        true => crate::gateway::Gateway { files: adapted.files, ..Default::default() },
        false => caddy::gateway::gateway(&adapted.document, adapted.files, options, sink),
    };
    System::new(Dialect::Caddy, name, gateway)
}

/// What Caddy makes of its own JSON.
pub fn caddy_json(file: SourceFile, options: &Options, sink: &mut Sink) -> System {
    let name = file.name.clone();
    let document = json::read(0, &file, sink);
    System::new(Dialect::Caddy, name, caddy::gateway::gateway(&document, vec![file], options, sink))
}

/// What Traefik makes of some files that belong together.
pub fn traefik(files: &[SourceFile], options: &Options, sink: &mut Sink) -> System {
    let texts: Vec<(PathBuf, String)> =
        files.iter().map(|file| (PathBuf::from(&file.name), file.text.to_string())).collect();
    let mut reading = traefik::read_gateway(&texts, options);
    sink.list.append(&mut reading.problems.list);
    let name = files.first().map(|file| file.name.clone()).unwrap_or_default();
    System::new(Dialect::Traefik, name, reading.gateway)
}

/// What all these mean that aren't compose files: main files first, then what none of them has read.
pub fn all(configs: Vec<Config>, options: &Options, sink: &mut Sink) -> Vec<System> {
    let mut out: Vec<System> = Vec::new();
    let mut seen: HashSet<PathBuf> = HashSet::new();
    let several = configs.len() > 1;
    let traefik_files: Vec<SourceFile> =
        configs.iter().filter(|config| config.what == What::Traefik).map(|config| config.source.clone()).collect();
    let mut passwords = Vec::new();
    for first in [true, false] {
        for config in configs.iter().filter(|config| (config.what == What::NginxPart) != first) {
            let file = config.source.clone();
            let been = !seen.is_empty() && seen.contains(&real(&file.path));
            let system = match config.what {
                _ if been => continue,
                What::Nginx | What::NginxPart => nginx(file, options, sink),
                What::Caddyfile => caddyfile(file, options, sink),
                What::CaddyJson => caddy_json(file, options, sink),
                What::Traefik if out.iter().any(|system| system.dialect == Dialect::Traefik) => continue,
                What::Traefik => traefik(&traefik_files, options, sink),
                What::Htpasswd => {
                    passwords.push(file);
                    continue;
                }
                What::Compose => continue,
            };
            if several {
                seen.extend(system.gateway.files.iter().map(|file| real(&file.path)));
            }
            out.push(system);
        }
    }
    // With a config beside it a password file is judged where that uses it.
    if out.is_empty() {
        let system = |file: SourceFile| System::new(Dialect::Htpasswd, file.name.clone(), nginx::passwords(file));
        out.extend(passwords.into_iter().map(system));
    }
    out
}

/// A path by which two names of one file are the same.
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
