//! Repairs of Traefik's files, in YAML or TOML.
//!
//! In: a place. Out: a key that is set or goes. Invariant: keys keep the spelling that they have; Traefik compares them in any case.

use std::ffi::OsStr;

use super::yaml::Yaml;
use super::{Change, Repair, time, toml};
use crate::gateway::TimeoutOf;
use crate::source::{SourceFile, Span};

/// What begins the keys of entry points, and where their timeouts stand below them.
const ENTRY_POINTS: &str = "entryPoints";
const TIMEOUTS: [&str; 2] = ["transport", "respondingTimeouts"];

/// A file of Traefik's.
#[derive(Debug)]
pub(super) enum TraefikFile<'f> {
    Yaml(Yaml<'f>),
    Toml(&'f SourceFile),
}

impl<'f> TraefikFile<'f> {
    /// `None`: it isn't valid.
    pub(super) fn read(source: &'f SourceFile) -> Option<TraefikFile<'f>> {
        match source.path.extension().is_some_and(|extension| extension == OsStr::new("toml")) {
            true => Some(TraefikFile::Toml(source)),
            false => Yaml::read(source).map(TraefikFile::Yaml),
        }
    }

    /// The keys on the way to a place.
    fn keys_at(&self, at: usize) -> Option<Vec<String>> {
        match self {
            TraefikFile::Toml(source) => toml::keys_at(source, at),
            TraefikFile::Yaml(yaml) => Some(yaml.find(at)?.keys.into_iter().map(str::to_owned).collect()),
        }
    }

    /// A value below a row of keys; a text stands in quotes where the language wants it.
    fn set(&self, keys: &[&str], value: &str) -> Option<Change> {
        match (self, value.parse::<i64>(), value.parse::<bool>()) {
            (TraefikFile::Yaml(yaml), ..) => yaml.set(keys, value),
            (TraefikFile::Toml(source), Ok(number), _) => toml::set(source, keys, number),
            (TraefikFile::Toml(source), _, Ok(switch)) => toml::set(source, keys, switch),
            (TraefikFile::Toml(source), ..) => toml::set(source, keys, value),
        }
    }

    /// Another value for the key at a place.
    fn replace(&self, at: usize, value: &str) -> Option<Change> {
        match self {
            TraefikFile::Yaml(yaml) => yaml.replace(yaml.value_at(at).unwrap_or(at), value),
            TraefikFile::Toml(source) => {
                let keys = toml::keys_at(source, at)?;
                self.set(&keys.iter().map(String::as_str).collect::<Vec<_>>(), value)
            }
        }
    }
}

pub(super) fn changes(file: &TraefikFile<'_>, at: Span, repair: &Repair) -> Option<Vec<Change>> {
    // A setting's own place.
    let number = |key: &str, value: &str| {
        let last = file.keys_at(at.start)?.pop()?;
        last.eq_ignore_ascii_case(key).then(|| file.replace(at.start, value))?
    };
    let change = match (repair, file) {
        (Repair::Remove, TraefikFile::Toml(source)) => toml::remove(source, &toml::keys_at(source, at.start)?),
        (Repair::Remove, TraefikFile::Yaml(yaml)) => yaml.remove(at.start),
        (Repair::Value(value), TraefikFile::Toml(source)) => {
            let keys = toml::keys_at(source, at.start)?;
            toml::set(source, &keys.iter().map(String::as_str).collect::<Vec<_>>(), value.as_str())
        }
        (Repair::Value(value), TraefikFile::Yaml(yaml)) => yaml.replace(at.start, value),
        // Only what is open without a login by itself is closed here.
        (Repair::CloseAdmin, _) => match file.keys_at(at.start)?.last()?.eq_ignore_ascii_case("insecure") {
            true => file.set(&["api", "insecure"], "false"),
            false => None,
        },
        (Repair::BodyLimit(bytes), _) => number("maxRequestBodyBytes", &bytes.to_string()),
        (Repair::EndlessAnswers, _) => number("writeTimeout", "0s"),
        (Repair::Timeout(TimeoutOf::Read, long), _) => number("responseHeaderTimeout", &time(*long)),
        (Repair::Timeout(of, long), _) => {
            let keys = file.keys_at(at.start)?;
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            file.set(&[ENTRY_POINTS, entry_point(&keys)?, TIMEOUTS[0], TIMEOUTS[1], timeout(*of)?], &time(*long))
        }
        _ => None,
    };
    Some(vec![change?])
}

/// The entry point that a row of keys leads into.
fn entry_point<'k>(keys: &[&'k str]) -> Option<&'k str> {
    keys.first().filter(|key| key.eq_ignore_ascii_case(ENTRY_POINTS))?;
    keys.get(1).copied()
}

/// What Traefik calls a timeout of its entry points.
pub(super) fn timeout(of: TimeoutOf) -> Option<&'static str> {
    match of {
        TimeoutOf::ClientHeader | TimeoutOf::ClientBody | TimeoutOf::Request => Some("readTimeout"),
        TimeoutOf::Send | TimeoutOf::Answer => Some("writeTimeout"),
        TimeoutOf::KeepAlive => Some("idleTimeout"),
        TimeoutOf::Connect | TimeoutOf::Read | TimeoutOf::UpstreamSend => None,
    }
}
