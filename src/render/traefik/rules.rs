//! Rule text: what a router matches.
//!
//! In: parts of the plan. Out: rules in Traefik's v3 syntax (RE2, anchored), without quoting for YAML.
//! Invariant: every text of the policy stands in backticks and holds none; a rule that matches nothing says so instead of being empty,
//! since Traefik drops an invalid router and lets its requests fall through to the next one.

use std::collections::BTreeMap;

use crate::policy::plan::{Cors, Endpoint, EndpointSet, PathPattern};

/// Matches every request that has a path.
pub(super) const ALL: &str = "PathPrefix(`/`)";
/// Matches nothing.
pub(super) const NEVER: &str = "(Method(`GET`) && Method(`POST`))";
/// The request has an Origin. An empty one is none: HTTP/1 can't tell them apart on every server.
pub(super) const ORIGIN: &str = "HeaderRegexp(`Origin`, `.`)";

/// `name(`text`)`, or for a text with a backtick a rule that matches nothing: no quoting could hold it.
fn call(name: &str, text: &str) -> String {
    if text.contains('`') { NEVER.to_owned() } else { format!("{name}(`{text}`)") }
}

/// A header is exactly this value.
pub(super) fn header(name: &str, value: &str) -> String {
    if value.contains('`') { NEVER.to_owned() } else { format!("Header(`{name}`, `{value}`)") }
}

/// The peer, never `X-Forwarded-For`, is in one of these networks.
pub(super) fn peers(networks: &[ipnet::IpNet]) -> String {
    networks.iter().map(|net| call("ClientIP", &net.to_string())).collect::<Vec<_>>().join(" || ")
}

/// The Host is none of these names. Traefik's `Host` also takes a name with a trailing dot (measured on 3.7.15), the contract does not.
pub(super) fn unknown_host(names: &[String]) -> String {
    let known: Vec<_> = names.iter().map(|name| format!("!{}", call("Host", name))).collect();
    format!("({}) || HostRegexp(`[.]$`)", known.join(" && "))
}

/// Health: GET or HEAD on exactly this path.
pub(super) fn health(path: &str) -> String {
    format!("(Method(`GET`) || Method(`HEAD`)) && {}", call("Path", path))
}

/// An Origin that isn't listed; `None` when every origin is.
pub(super) fn foreign_origin(cors: Option<&Cors>) -> Option<String> {
    match cors {
        None => Some(ORIGIN.to_owned()),
        Some(cors) if cors.any => None,
        Some(cors) => {
            let listed = cors.origins.iter().map(|origin| format!(" && !{}", header("Origin", origin)));
            Some(format!("{ORIGIN}{}", listed.collect::<String>()))
        }
    }
}

/// The endpoints of a set.
pub(super) fn set(set: &EndpointSet) -> String {
    let except: Vec<Endpoint> = set
        .except
        .iter()
        .filter(|no| set.allow.iter().any(|yes| yes.method == no.method && yes.path.overlaps(&no.path)))
        .cloned()
        .collect();
    let allow = endpoints(&set.allow);
    if except.is_empty() { allow } else { format!("({allow}) && !({})", endpoints(&except)) }
}

/// Any of these endpoints: methods with the same paths share one regular expression.
pub(super) fn endpoints(endpoints: &[Endpoint]) -> String {
    let mut by_method: BTreeMap<&str, Vec<&PathPattern>> = BTreeMap::new();
    for endpoint in endpoints {
        let paths = by_method.entry(&endpoint.method).or_default();
        if !paths.contains(&&endpoint.path) {
            paths.push(&endpoint.path);
        }
    }
    let mut by_paths: Vec<(Vec<&PathPattern>, Vec<String>)> = Vec::new();
    for (method, paths) in by_method {
        let method = call("Method", method);
        match by_paths.iter_mut().find(|(known, _)| *known == paths) {
            Some((_, methods)) => methods.push(method),
            None => by_paths.push((paths, vec![method])),
        }
    }
    let parts: Vec<String> = by_paths
        .iter()
        .map(|(paths, methods)| {
            let methods = if methods.len() > 1 { format!("({})", methods.join(" || ")) } else { methods.concat() };
            format!("({methods} && {})", any_path(paths))
        })
        .collect();
    if parts.is_empty() { NEVER.to_owned() } else { parts.join(" || ") }
}

/// One of these paths: literal where it is one, else one anchored expression.
fn any_path(paths: &[&PathPattern]) -> String {
    if let [only] = paths
        && let Some(literal) = only.literal()
    {
        return call("Path", &literal);
    }
    let regexes: Vec<String> = paths.iter().map(|path| path.regex()).collect();
    call("PathRegexp", &format!("^(?:{})$", regexes.join("|")))
}

/// A Content-Length of at most `limit`. Rules see the header although buffering would cost the response's streaming.
pub(super) fn length_at_most(limit: u64) -> String {
    let digits = limit.to_string();
    let mut parts = Vec::new();
    if digits.len() > 1 {
        parts.push(format!("[0-9]{{1,{}}}", digits.len() - 1));
    }
    for (at, digit) in digits.bytes().enumerate() {
        let low = if at == 0 && digits.len() > 1 { b'1' } else { b'0' };
        if digit > low {
            parts.push(prefixed(&digits, at, low, digit - 1));
        }
    }
    parts.push(digits);
    format!("HeaderRegexp(`Content-Length`, `^0*(?:{})$`)", parts.join("|"))
}

/// A Content-Length above `limit`. Not the negation of [`length_at_most`]: of several lines over HTTP/2 any may match, and one is enough here.
pub(super) fn length_above(limit: u64) -> String {
    let digits = limit.to_string();
    let mut parts = vec![format!("[1-9][0-9]{{{},}}", digits.len())];
    for (at, digit) in digits.bytes().enumerate() {
        if digit < b'9' {
            parts.push(prefixed(&digits, at, digit + 1, b'9'));
        }
    }
    format!("HeaderRegexp(`Content-Length`, `^0*(?:{})$`)", parts.join("|"))
}

/// The first `at` digits, then one digit from `low` to `high`, then any.
fn prefixed(digits: &str, at: usize, low: u8, high: u8) -> String {
    let mut text: String = digits.chars().take(at).collect();
    let (low, high) = (char::from(low), char::from(high));
    if low == high {
        text.push(low)
    } else {
        text.push_str(&format!("[{low}-{high}]"))
    }
    match digits.len() - at - 1 {
        0 => {}
        1 => text.push_str("[0-9]"),
        rest => text.push_str(&format!("[0-9]{{{rest}}}")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::plan::ModelPlace;

    fn endpoint(text: &str) -> Endpoint {
        let (method, path) = text.split_once(' ').unwrap_or((text, "/"));
        Endpoint { method: method.to_owned(), path: PathPattern::parse(path), model: ModelPlace::None }
    }

    fn regex(rule: &str) -> Result<regex::Regex, regex::Error> {
        regex::Regex::new(rule.split('`').nth(3).unwrap_or("no regex"))
    }

    #[test]
    fn lengths_split_exactly_at_the_limit() -> Result<(), regex::Error> {
        for limit in [0, 1, 9, 10, 99, 100, 109, 1999, 1_048_576, 33_554_432, u64::MAX] {
            let (within, above) = (regex(&length_at_most(limit))?, regex(&length_above(limit))?);
            let near = (0..=12).flat_map(|d| [limit.checked_sub(d), limit.checked_add(d)]);
            for value in near.chain((0..40).map(|i| 7_u64.checked_pow(i))).flatten() {
                for text in [value.to_string(), format!("00{value}")] {
                    assert_eq!(within.is_match(&text), value <= limit, "{text} at most {limit}");
                    assert_eq!(above.is_match(&text), value > limit, "{text} above {limit}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn methods_with_the_same_paths_share_a_rule() {
        let list = ["GET /a", "GET /b/:x", "HEAD /a", "HEAD /b/:x", "POST /c.d"].map(endpoint);
        assert_eq!(
            endpoints(&list),
            "((Method(`GET`) || Method(`HEAD`)) && PathRegexp(`^(?:/a|/b/[A-Za-z0-9_:-][A-Za-z0-9._:-]*)$`)) || (Method(`POST`) && Path(`/c.d`))"
        );
        assert_eq!(endpoints(&[]), NEVER);
    }

    #[test]
    fn exceptions_count_only_where_they_overlap() {
        let set_of = |except: &[&str]| EndpointSet {
            allow: vec![endpoint("GET /m/:x")],
            except: except.iter().map(|text| endpoint(text)).collect(),
        };
        assert!(!set(&set_of(&["POST /m/secret", "GET /n"])).contains('!'));
        assert!(set(&set_of(&["GET /m/secret"])).ends_with("&& !((Method(`GET`) && Path(`/m/secret`)))"));
    }

    #[test]
    fn a_backtick_never_leaves_its_quotes() {
        assert_eq!(header("Origin", "x`) || PathPrefix(`/"), NEVER);
    }
}
