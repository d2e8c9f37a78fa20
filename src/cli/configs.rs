//! What `decide`, `trace` and others are asked about: a policy, or configs that exist.
//!
//! In: arguments. Out: gateways with their names; what is wrong with the files is said. Invariant: a config that its server would
//! refuse to load is not judged.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Exit, Global, PolicyArgs, fail, load, say};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::dialect::Options;
use crate::gateway::{Gateway, Listener};
use crate::http::Request;
use crate::http::line::Line;
use crate::lower;
use crate::project::secrets::{self, Hidden};
use crate::project::{self, Dialect, System, variables};
use crate::source::{SourceFile, Texts};

/// Configs that exist.
#[derive(Debug, clap::Args)]
pub(super) struct Sources {
    /// Configs that exist: files or folders; - is standard input.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What they are; default: told by their names and contents.
    #[arg(long = "as", value_name = "DIALECT")]
    dialect: Option<Name>,
    /// Where absolute paths in configs are looked up: a copied tree.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The version of nginx to assume, such as 1.22.1; default: the newest that is known here.
    #[arg(long, value_name = "V", value_parser = version)]
    nginx_version: Option<(u32, u32, u32)>,
}

/// From so many files on they are looked through side by side.
const MANY: usize = 16;

/// What is judged: configs that exist, or without any the policy.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    pub(super) policy: PolicyArgs,
}

/// What reading configs brought up; secrets are hidden in all of it.
pub(super) struct Read {
    pub(super) systems: Vec<System>,
    pub(super) problems: Vec<Diagnostic>,
    /// Whether all variables that the configs name are known, set or unset.
    pub(super) complete: bool,
}

/// How configs are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct As {
    /// Variables that aren't known are taken for unset.
    pub(super) unset: bool,
    /// Their server may run elsewhere.
    pub(super) copied: bool,
}

/// Reads configs.
pub(super) fn read(sources: &Sources, paths: &[PathBuf], env_file: Option<&Path>, how: As, texts: &Texts) -> Read {
    let mut sink = Sink::default();
    let mut options = sources.options(env_file, &mut sink);
    options.variables.complete |= how.unset;
    options.copied = how.copied;
    options.texts = texts.clone();
    let mut systems = project::load(paths, sources.dialect.map(Dialect::from), &options, &mut sink);
    let shown = systems.iter_mut().flat_map(|system| &mut system.gateway.files);
    let shown: Vec<&mut SourceFile> =
        shown.chain(sink.list.iter_mut().filter_map(|problem| problem.file.as_mut())).collect();
    let hide = |file: &mut SourceFile| *file = secrets::hide(file);
    match shown.len() {
        0..MANY => shown.into_iter().for_each(hide),
        _ => shown.into_par_iter().for_each(hide),
    }
    let of_systems = systems.iter().flat_map(|system| &system.gateway.files);
    let hidden = Hidden::of(of_systems.chain(sink.list.iter().filter_map(|problem| problem.file.as_ref())));
    secrets::hide_problems(&mut sink, &hidden);
    systems.iter_mut().for_each(|system| secrets::hide_notes(&mut system.gateway, &hidden));
    let complete = options.variables.complete || !options.variables.missed.is_noted();
    Read { systems, problems: sink.list, complete }
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    Nginx,
    Caddy,
    Traefik,
    Compose,
    Htpasswd,
}

impl From<Name> for Dialect {
    fn from(name: Name) -> Dialect {
        match name {
            Name::Nginx => Dialect::Nginx,
            Name::Caddy => Dialect::Caddy,
            Name::Traefik => Dialect::Traefik,
            Name::Compose => Dialect::Compose,
            Name::Htpasswd => Dialect::Htpasswd,
        }
    }
}

fn version(text: &str) -> Result<(u32, u32, u32), String> {
    let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([major, minor]) => Ok((*major, *minor, 0)),
        Some([major, minor, patch]) => Ok((*major, *minor, *patch)),
        _ => Err("a version is like 1.22.1".to_owned()),
    }
}

/// Something that answers requests.
pub(super) struct Subject {
    /// What it means, its secrets hidden.
    pub(super) gateway: Gateway,
}

impl ConfigArgs {
    /// The gateways: at least one.
    pub(super) fn subjects(&self, global: &Global) -> Result<Vec<Subject>, Exit> {
        if !self.is_empty() && self.policy.policy.is_some() {
            let help = "name the policy or the configs; `llmguard lint` compares both";
            return Err(fail("`--policy` and configs can't be asked together", Some(help)));
        }
        if self.is_empty() && self.sources.says_what_a_path_is() {
            let help = "name a PATH, or leave out --as, --root and --nginx-version to ask the policy";
            return Err(fail("nothing is named that `--as`, `--root` or `--nginx-version` could be about", Some(help)));
        }
        if self.is_empty() {
            let loaded = load::policy(&self.policy, global)?;
            let gateway = lower::gateway(&loaded.plan, &loaded.file);
            return Ok(vec![Subject { gateway }]);
        }
        Ok(self.systems(global)?.into_iter().map(|System { gateway, .. }| Subject { gateway }).collect())
    }

    /// The configs, read. Those that can't be, or that their server would refuse, end the run.
    pub(super) fn systems(&self, global: &Global) -> Result<Vec<System>, Exit> {
        Ok(self.read(global, As::default())?.systems)
    }

    /// The configs as they are if the variables that aren't known are unset; none: all are known.
    pub(super) fn unset(&self, read: &Read) -> Vec<System> {
        let paths = &self.sources.paths;
        match read.complete || self.reads_stdin() {
            true => Vec::new(),
            false => {
                let texts = Texts::default();
                let how = As { unset: true, copied: true };
                self::read(&self.sources, paths, self.policy.env_file.as_deref(), how, &texts).systems
            }
        }
    }

    /// The same with what else reading them brought up.
    pub(super) fn read(&self, global: &Global, how: As) -> Result<Read, Exit> {
        self.sources.stdin_stands_alone()?;
        let paths = &self.sources.paths;
        let env_file = self.policy.env_file.as_deref();
        let Read { systems, problems, complete } = read(&self.sources, paths, env_file, how, &Texts::default());
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        load::show(Sink { list: problems }, global);
        let names = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        if errors > 0 {
            say(&format!("{}: {}, nothing done", names(), load::count(errors, "error")));
            return Err(Exit::Failed);
        }
        if systems.iter().all(|system| system.gateway.listeners.is_empty()) {
            let help = "name an nginx.conf, a Caddyfile, Traefik's files or a compose file; --as says what a file is";
            return Err(fail(&format!("nothing in {} answers requests", names()), Some(help)));
        }
        Ok(Read { systems, problems: Vec::new(), complete })
    }

    /// What their readers take for given. What is wrong with the variables goes into `sink`.
    pub(super) fn options(&self, sink: &mut Sink) -> Options {
        self.sources.options(self.policy.env_file.as_deref(), sink)
    }

    /// Whether any path is named.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.paths.is_empty()
    }

    /// Whether standard input is a config.
    pub(super) fn reads_stdin(&self) -> bool {
        self.sources.reads_stdin()
    }
}

impl Sources {
    /// The paths; without any the working directory.
    pub(super) fn paths_or_here(&self) -> Vec<PathBuf> {
        if self.paths.is_empty() { vec![PathBuf::from(".")] } else { self.paths.clone() }
    }

    /// Standard input is one config, and nothing tells what it is.
    pub(super) fn stdin_stands_alone(&self) -> Result<(), Exit> {
        if self.reads_stdin() && (self.paths.len() > 1 || self.dialect.is_none()) {
            let remedy = "one config comes from standard input, and --as DIALECT says what it is";
            return Err(fail("`-` needs `--as` and stands alone", Some(remedy)));
        }
        Ok(())
    }

    fn options(&self, env_file: Option<&Path>, sink: &mut Sink) -> Options {
        Options {
            root: self.root.clone(),
            variables: variables::variables(env_file, sink),
            nginx_version: self.nginx_version,
            ..Options::default()
        }
    }

    /// Whether something is said about paths.
    fn says_what_a_path_is(&self) -> bool {
        self.dialect.is_some() || self.root.is_some() || self.nginx_version.is_some()
    }

    fn reads_stdin(&self) -> bool {
        self.paths.iter().any(|path| path == Path::new("-"))
    }
}

/// The gateway that a request goes to, and the request as it arrives there: by its port, else at the first listener.
///
/// Errors: why it can't be sent.
pub(super) fn address<'s>(subjects: &'s [Subject], line: &Line) -> Result<(&'s Subject, Request), String> {
    line.version()?;
    let mut listening = subjects.iter().filter_map(|subject| Some((subject, subject.gateway.listener(line.port)?)));
    let (subject, listener) =
        listening.next().ok_or_else(|| format!("no listener on port {}", line.port.unwrap_or_default()))?;
    if let Some(client) = line.client.as_ref().filter(|client| !subject.gateway.has_client(client)) {
        return Err(format!("no client `{client}`"));
    }
    Ok((subject, line.request(&authority(listener))?))
}

/// The address of a listener as a Host header names it.
fn authority(listener: &Listener) -> String {
    std::net::SocketAddr::new(listener.address, listener.port).to_string()
}
