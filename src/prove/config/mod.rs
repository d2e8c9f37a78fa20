//! A user's own config on a real server: moved aside, started, asked, and its answers set beside the evaluator's.
//!
//! In: configs as they were read. Out: a report of the differences, in the user's own names. Invariant: what the evaluator reads is what
//! the server reads; nothing of the user's is bound, written or asked.

use std::path::Path;

use crate::diag::Sink;
use crate::dialect::{self, Options};
use crate::gateway::Gateway;
use crate::policy::plan::Proxy;
use site::Site;
use world::World;

pub mod edits;
pub mod nginx;
pub mod requests;
pub mod site;
pub mod world;

/// Moves a config aside and starts its server. `own` is the gateway as the user's files say it, `version` the server's.
///
/// Errors: what can't be moved, or why the server doesn't start.
pub fn start(proxy: Proxy, own: &Gateway, program: &Path, version: &str, options: &Options) -> Result<Site, String> {
    let mut world = World::new()?;
    let main = own.files.first().ok_or("it has no file")?;
    let mut problems = Sink::default();
    match proxy {
        Proxy::Nginx => {
            let config = dialect::nginx::read::read_file(main.clone(), options, &mut problems);
            let from = nginx::From { root: options.root.as_deref(), program };
            let moved = nginx::stage(&config, from, &mut world)?;
            let options =
                Options { root: None, nginx_version: Some(numbers(version)), variables: options.variables.clone() };
            let reading = dialect::nginx::read_gateway(&moved, &moved.display().to_string(), &options);
            let launch = nginx::launch(&moved, program, &world)?;
            Site::start(world, reading.gateway, &launch)
        }
        Proxy::Caddy | Proxy::Traefik => Err("configs of this server aren't moved".to_owned()),
    }
}

/// `1.22.1` as numbers.
fn numbers(version: &str) -> (u32, u32, u32) {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}
