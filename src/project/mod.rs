//! PATH → what is there: files recognised, includes and mounts followed, what belongs together read as one system.
//!
//! In: the paths that the user names. Out: gateways with their diagnostics, and which files were read. Invariant: what was not
//! read is said, never passed over.

pub mod secrets;
pub mod variables;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::diag::{Diagnostic, Severity, Sink};
use crate::dialect::{Options, caddy, json, nginx};
use crate::gateway::Gateway;
use crate::source::{self, SourceFile};

/// The longest config that comes from standard input.
const MOST_STDIN: u64 = 64 << 20;

/// The languages that configs are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// `nginx.conf` and what it includes.
    Nginx,
    /// A Caddyfile, or Caddy's JSON.
    Caddy,
    /// Traefik's static and dynamic files.
    Traefik,
    /// A compose project.
    Compose,
    /// A password file.
    Htpasswd,
}

/// Configs that belong together.
#[derive(Debug)]
pub struct System {
    /// Their language.
    pub dialect: Dialect,
    /// The path as the user named it.
    pub name: String,
    /// What they mean.
    pub gateway: Gateway,
}

/// Reads what is at these paths; `-` is standard input. What isn't understood goes into `sink`.
pub fn load(paths: &[PathBuf], dialect: Option<Dialect>, options: &Options, sink: &mut Sink) -> Vec<System> {
    let mut systems = Vec::new();
    for path in paths {
        let Some((file, dialect)) = recognised(path, dialect) else {
            let message = format!("can't tell what `{}` is", path.display());
            sink.push(Diagnostic::new(Severity::Error, message).help("say what it is with --as DIALECT"));
            continue;
        };
        match (read(path, &file), dialect) {
            (Err(reason), _) => {
                let message = format!("can't read `{}`: {reason}", path.display());
                sink.push(Diagnostic::new(Severity::Error, message).help("name another file"));
            }
            (Ok(source), Dialect::Nginx) => {
                let config = nginx::read::read_file(source, options, sink);
                let gateway = nginx::gateway(&config, options, sink);
                systems.push(System { dialect, name: path.display().to_string(), gateway });
            }
            (Ok(source), Dialect::Caddy) if source.text.trim_start().starts_with('{') => {
                let document = json::read(0, &source, sink);
                let gateway = caddy::gateway::gateway(&document, vec![source], options, sink);
                systems.push(System { dialect, name: path.display().to_string(), gateway });
            }
            (Ok(_), dialect) => {
                let message = format!("can't read `{}`: {dialect:?} is not understood", path.display());
                sink.push(Diagnostic::new(Severity::Error, message));
            }
        }
    }
    systems
}

/// A config's text.
fn read(path: &Path, file: &Path) -> Result<SourceFile, String> {
    if path != Path::new("-") {
        return SourceFile::read_config(file.display().to_string(), file);
    }
    let mut bytes = Vec::new();
    std::io::stdin().take(MOST_STDIN).read_to_end(&mut bytes).map_err(|error| source::io_reason(&error))?;
    Ok(SourceFile::of_bytes("<stdin>", "", bytes))
}

/// The main file at a path, and what it is.
fn recognised(path: &Path, dialect: Option<Dialect>) -> Option<(PathBuf, Dialect)> {
    let known = [("nginx.conf", Dialect::Nginx), ("Caddyfile", Dialect::Caddy)];
    if path.is_dir() {
        let inside = known.iter().filter(|(_, own)| dialect.is_none_or(|dialect| dialect == *own));
        let mut found = inside.map(|(name, own)| (path.join(name), *own)).filter(|(file, _)| file.is_file());
        return found.next();
    }
    let by_name = || {
        let name = path.file_name()?.to_str()?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        match (name, extension) {
            (_, Some("conf")) => Some(Dialect::Nginx),
            (_, Some("json" | "caddyfile")) => Some(Dialect::Caddy),
            _ if name.starts_with("Caddyfile") => Some(Dialect::Caddy),
            _ => None,
        }
    };
    Some((path.to_owned(), dialect.or_else(by_name)?))
}
