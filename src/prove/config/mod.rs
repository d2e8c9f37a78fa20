//! A user's own config on a real server: moved aside, started, asked, and its answers set beside the evaluator's.
//!
//! In: configs as they were read. Out: a report of the differences, in the user's own names. Invariant: what the evaluator reads is what
//! the server reads; nothing of the user's is bound, written or asked.

use std::path::{Path, PathBuf};

use crate::diag::{Severity, Sink};
use crate::dialect::{self, Options};
use crate::policy::plan::Proxy;
use crate::project::System;
use crate::project::inside::Given;
use crate::source::SourceFile;
use site::Site;
use world::World;

pub mod caddy;
pub mod docker;
pub mod document;
pub mod edits;
mod labels;
pub mod nginx;
pub mod requests;
mod settings;
pub mod site;
pub mod traefik;
pub mod world;

/// Moves a config aside and starts its server. `system` is what the user's files say, `version` the server's, `options` what its files
/// were read with; a container's files are read as the container sees them.
///
/// Errors: what can't be moved, or why the server doesn't start.
pub fn start(proxy: Proxy, system: &System, program: &Path, version: &str, options: &Options) -> Result<Site, String> {
    let inside = system.inside.as_ref();
    let own = &system.gateway;
    let options = inside.map_or(options, |inside| &inside.options);
    let main = || match inside.map(|inside| &inside.given) {
        Some(Given::Main(main)) => Ok(main),
        Some(Given::Traefik(_)) | None => own.files.first().ok_or("it has no file"),
    };
    let mut world = World::new()?;
    world.root = options.root.as_ref().map(|root| root.display().to_string());
    let mut site = match proxy {
        Proxy::Nginx => nginx_site(main()?, program, version, options, world),
        Proxy::Caddy => caddy_site(main()?, program, options, world),
        Proxy::Traefik => {
            let parts = match inside.map(|inside| &inside.given) {
                Some(Given::Traefik(parts)) => (**parts).clone(),
                Some(Given::Main(_)) | None => {
                    let file = |file: &SourceFile| (PathBuf::from(&file.name), file.text.to_string());
                    let files: Vec<_> = own.files.iter().map(file).collect();
                    dialect::traefik::read_system(&files, options, &mut Sink::default())
                }
            };
            traefik_site(parts, program, options, world)
        }
    }?;
    if let Some(inside) = inside {
        site.publish(&inside.published);
    }
    Ok(site)
}

fn nginx_site(
    main: &SourceFile,
    program: &Path,
    version: &str,
    options: &Options,
    mut world: World,
) -> Result<Site, String> {
    let config = dialect::nginx::read::read_file(main.clone(), options, &mut Sink::default());
    let from = nginx::From { root: options.root.as_deref(), program };
    let moved = nginx::stage(&config, from, &mut world)?;
    let tree = world.folder.path().join("tree");
    let name = |file: &SourceFile| (tree.join(nginx::below(file, from.root)), file.name.clone());
    let seen = Options {
        nginx_version: Some(numbers(version)),
        variables: options.variables.clone(),
        names: config.files.iter().map(name).collect(),
        ..Options::default()
    };
    let reading = dialect::nginx::read_gateway(&moved, &seen.name(&moved), &seen);
    let launch = nginx::launch(&moved, program, &world)?;
    understood(&reading.problems, &world)?;
    Site::start(world, reading.gateway, &launch)
}

fn caddy_site(main: &SourceFile, program: &Path, options: &Options, mut world: World) -> Result<Site, String> {
    let variables: Vec<(String, String)> = options.variables.values.clone().into_iter().collect();
    let root = options.root.as_deref();
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
        let path = match root {
            Some(root) => caddy::stage(&files, root, &world)?,
            None => main.path.clone(),
        };
        let text = caddy::adapted(&path, program, &variables).map_err(|reason| world.own_names(&reason))?;
        dialect::json::read(0, &SourceFile::new("caddy adapt", "", text), &mut problems)
    };
    caddy::edit(&mut run, root, &mut world)?;
    // The same addresses again, and what was said is said.
    let notes = world.notes.clone();
    caddy::edit(&mut own, root, &mut world)?;
    world.notes = notes;
    // Paths are moved already.
    let seen = Options { root: None, ..options.clone() };
    let mut gateway = dialect::caddy::gateway::gateway(&own, files, &seen, &mut problems);
    if let Some(root) = root {
        let name = |file: &mut SourceFile| {
            if file.path.starts_with(root) {
                file.name = options.name(&file.path);
            }
        };
        gateway.files.iter_mut().for_each(name);
        problems.list.iter_mut().filter_map(|problem| problem.file.as_mut()).for_each(name);
    }
    understood(&problems, &world)?;
    let launch = caddy::launch(&run, program, &world, &variables)?;
    Site::start(world, gateway, &launch).map_err(|reason| caddy::refusal(&reason))
}

fn traefik_site(
    mut parts: dialect::traefik::System,
    program: &Path,
    options: &Options,
    mut world: World,
) -> Result<Site, String> {
    let main = traefik::stage(&mut parts, options, &mut world)?;
    let mut problems = Sink::default();
    let gateway = dialect::traefik::gateway(parts, options, &mut problems);
    let launch = traefik::launch(&main, program, &world)?;
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
