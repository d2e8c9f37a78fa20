//! A user's own config on a real server: moved aside, started, asked, and its answers set beside the evaluator's.
//!
//! In: configs as they were read. Out: a report of the differences, in the user's own names. Invariant: what the evaluator reads is what
//! the server reads; nothing of the user's is bound, written or asked.

use std::path::Path;

use crate::diag::{Severity, Sink};
use crate::dialect::{self, Options};
use crate::gateway::Gateway;
use crate::policy::plan::Proxy;
use crate::source::SourceFile;
use site::Site;
use world::World;

pub mod caddy;
pub mod document;
pub mod edits;
pub mod nginx;
pub mod requests;
pub mod site;
pub mod traefik;
pub mod world;

/// Moves a config aside and starts its server. `own` is the gateway as the user's files say it, `version` the server's.
///
/// Errors: what can't be moved, or why the server doesn't start.
pub fn start(proxy: Proxy, own: &Gateway, program: &Path, version: &str, options: &Options) -> Result<Site, String> {
    let mut world = World::new()?;
    let main = own.files.first().ok_or("it has no file")?;
    match proxy {
        Proxy::Nginx => {
            let config = dialect::nginx::read::read_file(main.clone(), options, &mut Sink::default());
            let from = nginx::From { root: options.root.as_deref(), program };
            let moved = nginx::stage(&config, from, &mut world)?;
            let options = Options {
                root: None,
                nginx_version: Some(numbers(version)),
                variables: options.variables.clone(),
                ..Options::default()
            };
            let reading = dialect::nginx::read_gateway(&moved, &moved.display().to_string(), &options);
            let launch = nginx::launch(&moved, program, &world)?;
            understood(&reading.problems, &world)?;
            Site::start(world, reading.gateway, &launch)
        }
        Proxy::Caddy => caddy_site(main, program, options, world),
        Proxy::Traefik => traefik_site(&own.files, program, options, world),
    }
}

fn caddy_site(main: &SourceFile, program: &Path, options: &Options, mut world: World) -> Result<Site, String> {
    let variables: Vec<(String, String)> = options.variables.values.clone().into_iter().collect();
    let mut problems = Sink::default();
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&main.text).is_ok();
    let (mut own, files) = if is_json {
        (dialect::json::read(0, main, &mut problems), vec![main.clone()])
    } else {
        let adapted = dialect::caddy::adapt_text(main.clone(), options, &mut problems);
        (adapted.document, adapted.files)
    };
    let mut run = if is_json {
        own.clone()
    } else {
        let text = caddy::adapted(&main.path, program, &variables)?;
        dialect::json::read(0, &SourceFile::new("caddy adapt", "", text), &mut problems)
    };
    caddy::edit(&mut run, &mut world)?;
    caddy::edit(&mut own, &mut world)?;
    let gateway = dialect::caddy::gateway::gateway(&own, files, options, &mut problems);
    understood(&problems, &world)?;
    let launch = caddy::launch(&run, program, &world, &variables)?;
    Site::start(world, gateway, &launch)
}

fn traefik_site(files: &[SourceFile], program: &Path, options: &Options, mut world: World) -> Result<Site, String> {
    let mut documents = Vec::new();
    for (index, file) in files.iter().enumerate() {
        if file.text.contains("{{") {
            return Err(format!("`{}` is a template, which isn't moved", file.name));
        }
        let toml = file.path.extension().is_some_and(|extension| extension == "toml");
        let read = if toml { dialect::toml::read } else { dialect::yaml::read };
        documents.push(read(index, file, &mut Sink::default()));
    }
    let at = documents.iter().position(traefik::is_static).ok_or("its static file isn't named: name it too")?;
    let mut main = documents.remove(at);
    let folder = world.folder.path().join("dynamic");
    traefik::edit_static(&mut main, &folder, &mut world)?;
    let mut texts = vec![traefik::write(&main, "traefik.yml", &world)?];
    for (index, mut document) in documents.into_iter().enumerate() {
        traefik::edit_dynamic(&mut document, &mut world)?;
        texts.push(traefik::write(&document, &format!("dynamic/{index}.yml"), &world)?);
    }
    let reading = dialect::traefik::read_gateway(&texts, options);
    understood(&reading.problems, &world)?;
    let gateway = reading.gateway;
    let (path, _) = texts.first().ok_or("it has no file")?;
    let launch = traefik::launch(path, program, &world)?;
    Site::start(world, gateway, &launch)
}

/// What the evaluator can't read it can't judge. Errors: the first such thing.
fn understood(problems: &Sink, world: &World) -> Result<(), String> {
    match problems.list.iter().find(|problem| problem.severity == Severity::Error) {
        Some(problem) => Err(world.own_names(&problem.message)),
        None => Ok(()),
    }
}

/// `1.22.1` as numbers.
fn numbers(version: &str) -> (u32, u32, u32) {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}
