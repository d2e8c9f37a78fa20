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

pub(super) fn changes(source: &SourceFile, at: Span, repair: &Repair) -> Option<Vec<Change>> {
    let is_toml = source.path.extension().is_some_and(|extension| extension == OsStr::new("toml"));
    let change = match repair {
        Repair::Remove if is_toml => toml::remove(source, &toml::keys_at(source, at.start)?),
        Repair::Remove => Yaml::read(source)?.remove(at.start),
        Repair::Value(value) if is_toml => {
            let keys = toml::keys_at(source, at.start)?;
            toml::set(source, &keys.iter().map(String::as_str).collect::<Vec<_>>(), value.as_str())
        }
        Repair::Value(value) => Yaml::read(source)?.replace(at.start, value),
        // Only what is open without a login by itself is closed here.
        Repair::CloseAdmin => match (is_toml, last_key(source, at, is_toml)?.as_str()) {
            (true, "insecure") => toml::set(source, &["api", "insecure"], false),
            (false, "insecure") => Yaml::read(source)?.set(&["api", "insecure"], "false"),
            _ => None,
        },
        Repair::BodyLimit(bytes) => number(source, at, is_toml, "maxrequestbodybytes", &bytes.to_string()),
        Repair::EndlessAnswers => number(source, at, is_toml, "writetimeout", "0s"),
        Repair::Timeout(TimeoutOf::Read, long) => number(source, at, is_toml, "responseheadertimeout", &time(*long)),
        Repair::Timeout(of, long) => {
            let timeout = timeout(*of)?;
            let long = time(*long);
            if is_toml {
                let keys = toml::keys_at(source, at.start)?;
                let entry = entry_point(&keys.iter().map(String::as_str).collect::<Vec<_>>())?.to_owned();
                toml::set(source, &[ENTRY_POINTS, &entry, TIMEOUTS[0], TIMEOUTS[1], timeout], long)
            } else {
                let yaml = Yaml::read(source)?;
                let keys = yaml.find(at.start)?.keys;
                let entry = entry_point(&keys)?;
                yaml.set(&[ENTRY_POINTS, entry, TIMEOUTS[0], TIMEOUTS[1], timeout], &long)
            }
        }
        _ => None,
    };
    Some(vec![change?])
}

/// The innermost key at a place, in lower case.
fn last_key(source: &SourceFile, at: Span, is_toml: bool) -> Option<String> {
    match is_toml {
        true => Some(toml::keys_at(source, at.start)?.last()?.to_ascii_lowercase()),
        false => Some(Yaml::read(source)?.find(at.start)?.keys.last()?.to_ascii_lowercase()),
    }
}

/// Another value for the key at a place, if it is this one.
fn number(source: &SourceFile, at: Span, is_toml: bool, key: &str, value: &str) -> Option<Change> {
    if last_key(source, at, is_toml)? != key {
        return None;
    }
    match is_toml {
        true => {
            let keys = toml::keys_at(source, at.start)?;
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            match value.parse::<i64>() {
                Ok(number) => toml::set(source, &keys, number),
                Err(_) => toml::set(source, &keys, value),
            }
        }
        false => Yaml::read(source)?.replace(Yaml::read(source)?.value_at(at.start)?, value),
    }
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
