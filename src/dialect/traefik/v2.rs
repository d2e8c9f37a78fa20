//! The matchers of Traefik 2's rules, which `ruleSyntax: v2` and `core.defaultRuleSyntax` still ask for.
//!
//! In: a matcher's name and arguments. Out: a [`Predicate`], or why Traefik drops the router. Invariant: several arguments mean any of
//! them, templates such as `{name:[a-z]+}` are expressions (facts: gorilla/mux in Traefik's fork, measured on Traefik 3.7.15).

use super::matcher::{ascii, header, regex};
use crate::gateway::{Predicate, Test, Value};

/// All matchers.
pub const NAMES: &[&str] = &[
    "Host",
    "HostHeader",
    "HostRegexp",
    "ClientIP",
    "Path",
    "PathPrefix",
    "Method",
    "Headers",
    "HeadersRegexp",
    "Query",
];

/// What a matcher means. Errors: why Traefik drops its router.
pub fn matcher(name: &str, arguments: &[String]) -> Result<Predicate, String> {
    if let Some(why) = super::matcher::unknown(name, arguments) {
        return Ok(Predicate::Opaque(why.into()));
    }
    let any = |one: &dyn Fn(&String) -> Result<Predicate, String>| {
        arguments.iter().map(one).collect::<Result<Vec<_>, String>>().map(Predicate::Any)
    };
    match name {
        "Host" | "HostHeader" => any(&|host| {
            let host = ascii(host, name)?.to_lowercase();
            let mut names = vec![host.clone().into_bytes(), format!("{host}.").into_bytes()];
            names.extend(host.strip_suffix('.').map(|host| host.as_bytes().to_vec()));
            Ok(Predicate::Value(Value::Host, Test::OneOf(names.into())))
        }),
        "HostRegexp" => any(&|template| {
            let expression = template_regex(ascii(template, name)?, "[^.]+")?;
            Ok(Predicate::Value(Value::Host, regex(&format!("(?i)^{expression}$"))?))
        }),
        "ClientIP" => Ok(Predicate::Client(super::address::networks(arguments)?.into())),
        "Path" => any(&|path| path_template(path, "$")),
        "PathPrefix" => any(&|path| path_template(path, "")),
        "Method" => {
            let methods = arguments.iter().map(|method| method.to_uppercase().into_bytes());
            Ok(Predicate::Value(Value::Method, Test::OneOf(methods.collect())))
        }
        "Headers" | "HeadersRegexp" => {
            let (pairs, []) = arguments.as_chunks::<2>() else {
                return Err(format!("`{name}` takes names and values in pairs"));
            };
            let one = |[key, value]: &[String; 2]| {
                Ok(header(key, if name == "Headers" { Test::Equals(value.clone().into()) } else { regex(value)? }))
            };
            pairs.iter().map(one).collect::<Result<Vec<_>, String>>().map(Predicate::All)
        }
        _ => {
            // Each argument is cut at its first `=`; two pieces in a row are a pair, whichever arguments they are from.
            let pieces: Vec<&str> = arguments.iter().flat_map(|argument| argument.splitn(2, '=')).collect();
            let (pairs, []) = pieces.as_chunks::<2>() else { return Err("`Query` takes `name=value`".to_owned()) };
            let pairs = pairs.iter().map(|[key, value]| {
                // The first value of a repeated argument counts.
                let pattern = if value.is_empty() { ".*".to_owned() } else { template_regex(value, ".*")? };
                let first = Value::FirstParameter((*key).to_owned());
                Ok(Predicate::All(vec![
                    Predicate::Argument(key.as_bytes().to_vec(), Test::Anything),
                    Predicate::Value(first, regex(&format!("^{pattern}$"))?),
                ]))
            });
            pairs.collect::<Result<Vec<_>, String>>().map(Predicate::All)
        }
    }
}

fn path_template(path: &str, end: &str) -> Result<Predicate, String> {
    if !path.starts_with('/') {
        return Err(format!("the path `{path}` doesn't begin with `/`"));
    }
    Ok(Predicate::Value(Value::Path, regex(&format!("^{}{end}", template_regex(path, "[^/]+")?))?))
}

/// A template as an expression: `{name}` is `default`, `{name:expression}` the expression.
fn template_regex(template: &str, default: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        out.push_str(&regex::escape(&rest[..start]));
        let mut depth = 0_usize;
        let inside = |(_, letter): &(usize, char)| {
            depth += usize::from(*letter == '{');
            depth = depth.wrapping_sub(usize::from(*letter == '}'));
            depth != 0 && depth != usize::MAX
        };
        let end = rest[start..].char_indices().skip_while(inside).map(|(at, _)| start + at).next();
        let end = end
            .filter(|_| rest[start..].starts_with('{'))
            .ok_or_else(|| format!("unbalanced braces in `{template}`"))?;
        let (name, expression) = rest[start + 1..end].split_once(':').unwrap_or((&rest[start + 1..end], default));
        if name.is_empty() || expression.is_empty() {
            return Err(format!("a name or an expression is missing in `{template}`"));
        }
        if expression.contains('(') && !expression.contains("(?:") {
            return Err(format!("`{template}` has groups in its expression"));
        }
        out.push_str(&format!("(?:{expression})"));
        rest = &rest[end + 1..];
    }
    out.push_str(&regex::escape(rest));
    Ok(out)
}
