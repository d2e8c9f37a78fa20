//! Whether conditions hold for one request as things stand.
//!
//! In: a request's state and a condition that needs no other chain. Out: yes, no, or nothing where the files don't tell. Invariant: what a
//! match leaves behind (groups, who it is) is all that changes.

use super::auth::{Headers, Who, credentials_of};
use super::bytes::*;
use super::state::State;
use super::value::Join;
use super::*;

impl State<'_> {
    /// Whether a condition holds that needs no other chain.
    pub fn holds_simple(&mut self, predicate: &Predicate) -> Option<bool> {
        Some(match predicate {
            Predicate::Always => true,
            Predicate::Value(value, test) => {
                let bytes = self.value(value)?;
                let holds = self.test(test, &bytes);
                if holds.is_none() && !value.any(&mut Value::is_ones_own) {
                    let variable = self.why.as_deref().and_then(environment_variable).map(guessable);
                    self.why = variable.or(self.why.take());
                }
                return holds;
            }
            Predicate::Header(name, lines, test) => return self.header_passes(name, *lines, test),
            Predicate::Argument(name, test) => {
                let (values, _) = self.parameters(name)?;
                return self.one_passes(values, test);
            }
            Predicate::Client(networks) => networks.iter().any(|network| network.contains(&self.client_ip)),
            Predicate::Parameter(name, test) => {
                let name = self.value(name)?;
                let (values, well) = self.parameters(&name)?;
                return if well { self.one_passes(values, test) } else { Some(false) };
            }
            Predicate::Authenticated(authenticate) => {
                match authenticate.who(self.request, &Headers(&self.headers)) {
                    Who::Client(name) => self.client = Some(name),
                    Who::Nobody => return Some(false),
                    Who::Unknown(why) => return self.unknown(why),
                }
                true
            }
            Predicate::BodyOver(bytes) => self.request.body_bytes > *bytes,
            Predicate::Model(models) => body::model(self.request).is_some_and(|model| {
                models.iter().any(|test| if test.prefix { model.starts_with(&test.text) } else { model == test.text })
            }),
            Predicate::Opaque(why) => return self.unknown(why.clone()),
            Predicate::All(_) | Predicate::Any(_) | Predicate::Not(_) | Predicate::Subrequest(..) => {
                return self.unknown("a condition inside a table");
            }
        })
    }

    fn header_passes(&mut self, name: &str, lines: Lines, test: &Test) -> Option<bool> {
        let values: Vec<Vec<u8>> = Headers(&self.headers).all(name).map(<[u8]>::to_vec).collect();
        if lines == Lines::Only && values.len() != 1 {
            return Some(false);
        }
        self.one_passes(values, test)
    }

    fn one_passes(&mut self, values: Vec<Vec<u8>>, test: &Test) -> Option<bool> {
        let mut known = true;
        for value in values {
            match self.test(test, &value) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => known = false,
            }
        }
        known.then_some(false)
    }

    /// The lines of a header with `, ` between them.
    pub fn lines(&self, name: &str) -> Vec<u8> {
        self.header(name, Join::With(", "))
    }

    /// Whether bytes pass a test.
    pub fn test(&mut self, test: &Test, bytes: &[u8]) -> Option<bool> {
        Some(match test {
            Test::Anything => true,
            Test::NotEmpty => !bytes.is_empty(),
            Test::Equals(other) => bytes == other.as_slice(),
            Test::OneOf(others) => others.iter().any(|other| other.as_slice() == bytes),
            Test::Same(value) => return self.same(value, bytes),
            Test::Affix(value) => {
                let pattern = Test::of_affix(&self.value(value)?);
                return self.test(&pattern, bytes);
            }
            Test::Between(least, most) => {
                let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
                number.is_some_and(|number: i64| (*least..=*most).contains(&number))
            }
            Test::PathPattern(value) => {
                let pattern = url::lower(&self.value(value)?);
                if pattern.contains(&b'%') || pattern.windows(2).any(|pair| pair == b"//") {
                    return self.unknown("depends on a computed pattern with `%` or `//`");
                }
                url::path_pattern(&pattern, bytes)
            }
            Test::Glob(pattern) => url::glob(pattern, bytes),
            Test::EscapedGlob(pattern) => url::escaped_glob(pattern, bytes),
            Test::Prefix(prefix) => bytes.starts_with(prefix),
            Test::Begins(value) => bytes.starts_with(&self.value(value)?),
            Test::Network(networks) => in_network(bytes, networks),
            Test::Suffix(suffix) => bytes.ends_with(suffix),
            Test::Contains(part) => {
                part.is_empty() || bytes.windows(part.len()).any(|window| window == part.as_slice())
            }
            Test::AnyCase(inner) => return self.any_case(inner, bytes),
            Test::Regex(pattern, captures) => return self.matches(pattern, captures, bytes),
            Test::Scheme(word) => credentials_of(bytes, word).is_some(),
        })
    }

    /// Whether a value is this. One that can't be known isn't, where a part of it that is known stands elsewhere.
    fn same(&mut self, value: &Value, bytes: &[u8]) -> Option<bool> {
        if let Value::Concat(parts) = value {
            let mut rest = bytes;
            for part in parts {
                let Value::Literal(start) = part else { break };
                match rest.strip_prefix(start.as_ref()) {
                    Some(behind) => rest = behind,
                    None => return Some(false),
                }
            }
        }
        Some(self.value(value)? == bytes)
    }

    fn any_case(&mut self, test: &Test, bytes: &[u8]) -> Option<bool> {
        let lower = bytes.to_ascii_lowercase();
        Some(match test {
            Test::Equals(other) => lower == other.to_ascii_lowercase(),
            Test::OneOf(others) => others.iter().any(|other| other.to_ascii_lowercase() == lower),
            Test::Same(value) => self.value(value)?.to_ascii_lowercase() == lower,
            Test::Prefix(prefix) => lower.starts_with(&prefix.to_ascii_lowercase()),
            Test::Suffix(suffix) => lower.ends_with(&suffix.to_ascii_lowercase()),
            Test::Contains(part) => return self.test(&Test::Contains(part.to_ascii_lowercase()), &lower),
            other => return self.test(other, bytes),
        })
    }

    fn matches(&mut self, pattern: &Pattern, captures: &Captures, bytes: &[u8]) -> Option<bool> {
        let (groups, names): (Vec<Vec<u8>>, Vec<Option<String>>) = match pattern {
            Pattern::Regular(regex) => {
                if *captures == Captures::Dropped {
                    return Some(regex.is_match(bytes));
                }
                let Some(found) = regex.captures(bytes) else { return self.no_match(captures) };
                let group = |group: Option<regex::bytes::Match<'_>>| group.map(|part| part.as_bytes().to_vec());
                (
                    found.iter().map(|part| group(part).unwrap_or_default()).collect(),
                    regex.capture_names().map(|name| name.map(str::to_owned)).collect(),
                )
            }
            Pattern::Fancy(regex) => {
                let Ok(text) = std::str::from_utf8(bytes) else {
                    return self.unknown("a regular expression with look-around meets bytes that are not UTF-8");
                };
                match regex.captures(text) {
                    Err(_) => return self.unknown("a regular expression takes too long"),
                    Ok(None) => return self.no_match(captures),
                    Ok(Some(found)) => (
                        found.iter().map(|part| part.map(|part| part.as_str().into()).unwrap_or_default()).collect(),
                        regex.capture_names().map(|name| name.map(str::to_owned)).collect(),
                    ),
                }
            }
            Pattern::Opaque(why) => return self.unknown(why.clone()),
        };
        match captures {
            Captures::Dropped => {}
            Captures::Numbered | Captures::Renewed => {
                for (name, group) in names.into_iter().zip(&groups) {
                    if let Some(name) = name {
                        self.variables.insert(name.into(), Some(group.clone()));
                    }
                }
                self.captures = groups;
            }
            Captures::Prefixed(prefixes) => {
                for prefix in prefixes.iter() {
                    for (at, (name, group)) in names.iter().zip(&groups).enumerate() {
                        self.variables.insert(format!("{prefix}{at}").into(), Some(group.clone()));
                        if let Some(name) = name {
                            self.variables.insert(format!("{prefix}{name}").into(), Some(group.clone()));
                        }
                    }
                }
            }
        }
        Some(true)
    }

    fn no_match(&mut self, captures: &Captures) -> Option<bool> {
        if *captures == Captures::Renewed {
            self.captures.clear();
        }
        Some(false)
    }
}
