//! Paths → the configs that are there.
//!
//! In: files, folders and `-`. Out: [`Config`]s in the order of the paths, those of a folder in the order of their names. Invariant: a
//! folder is walked as git sees it (`.gitignore`); a file that the user names is never passed over in silence.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Dialect;
use super::classify::{What, classify, classify_as};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::{SourceFile, Texts};

/// Files beyond this size are looked at only when they are named.
const MOST_BYTES: u64 = 8 << 20;

/// A config.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its text.
    pub source: SourceFile,
    /// What it is.
    pub what: What,
    /// Whether the user named it, not only a folder around it.
    pub named: bool,
}

/// The configs at some paths.
pub fn discover(paths: &[PathBuf], dialect: Option<Dialect>, texts: &Texts, sink: &mut Sink) -> Vec<Config> {
    let mut out = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            out.extend(stdin(dialect, texts, sink));
        } else if path.is_dir() {
            let before = out.len();
            walk(path, dialect, texts, &mut out, sink);
            if out.len() == before {
                let message = format!("no config of nginx, Caddy, Traefik or compose is in `{}`", path.display());
                sink.push(
                    Diagnostic::new(Severity::Error, message).help("name a file, and say what it is with --as DIALECT"),
                );
            }
        } else {
            out.extend(named(path, dialect, texts, sink));
        }
    }
    out
}

fn stdin(dialect: Option<Dialect>, texts: &Texts, sink: &mut Sink) -> Option<Config> {
    // It can be read once, and configs may be asked for again.
    static BYTES: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    let read = || {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| crate::source::io_reason(&error))
    };
    let bytes = match BYTES.get_or_init(read) {
        Ok(bytes) => bytes.clone(),
        Err(reason) => {
            sink.push(Diagnostic::new(Severity::Error, format!("can't read standard input: {reason}")));
            return None;
        }
    };
    let bytes = texts.get(Path::new("")).map_or(bytes, <[u8]>::to_vec);
    let source = SourceFile::of_bytes("<stdin>", "", bytes);
    let what = match dialect {
        Some(dialect) => classify_as(dialect, Path::new(""), &source.text),
        None => {
            sink.push(Diagnostic::new(Severity::Error, "say what standard input is").help("with --as DIALECT"));
            return None;
        }
    };
    Some(Config { source, what, named: true })
}

fn named(path: &Path, dialect: Option<Dialect>, texts: &Texts, sink: &mut Sink) -> Option<Config> {
    let source = match texts.read_config(path.display().to_string(), path) {
        Ok(source) => source,
        Err(reason) => {
            sink.push(Diagnostic::new(Severity::Error, format!("can't read `{}`: {reason}", path.display())));
            return None;
        }
    };
    let what = match dialect {
        Some(dialect) => Some(classify_as(dialect, path, &source.text)),
        None => classify(path, &source.text),
    };
    if what.is_none() {
        let message = format!("can't tell what `{}` is", path.display());
        sink.push(Diagnostic::new(Severity::Error, message).help("say what it is with --as DIALECT"));
    }
    Some(Config { source, what: what?, named: true })
}

fn walk(folder: &Path, dialect: Option<Dialect>, texts: &Texts, out: &mut Vec<Config>, sink: &mut Sink) {
    let mut builder = ignore::WalkBuilder::new(folder);
    // `.htpasswd` and the like are configs; what git keeps for itself isn't.
    builder.hidden(false).require_git(false).filter_entry(|entry| entry.file_name() != ".git");
    builder.sort_by_file_name(std::cmp::Ord::cmp);
    for entry in builder.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                sink.push(Diagnostic::new(Severity::Warning, format!("not read: {error}")));
                continue;
            }
        };
        let small = entry.metadata().is_ok_and(|metadata| metadata.len() <= MOST_BYTES);
        if !entry.file_type().is_some_and(|kind| kind.is_file() || kind.is_symlink()) || !small || entry.path().is_dir()
        {
            continue;
        }
        // What lies here needs no `./` in front.
        let path = entry.path().strip_prefix(".").unwrap_or(entry.path());
        let Ok(source) = texts.read_config(path.display().to_string(), path) else { continue };
        if source.bytes().contains(&0) {
            continue;
        }
        if let Some(what) =
            classify(path, &source.text).filter(|what| dialect.is_none_or(|dialect| what.dialect() == dialect))
        {
            out.push(Config { source, what, named: false });
        }
    }
}
