//! Which endpoints: clients, sets, public ones, health, origins and models, as lines of `map`.
//!
//! In: the plan's access, clients and CORS. Out: values for the template. Invariant: a line matches one method and one path byte for byte
//! (`\z`: PCRE's `$` would also match before a final newline); what is denied stands before what is allowed.

use minijinja::{Value, context};

use super::lines;
use crate::policy::plan::{Endpoint, EndpointSet, ModelPlace, PARAM_REGEX, PathPattern, Plan, Segment};
use crate::render::escape::{self, Token};

/// The values for clients, sets, public endpoints, health and CORS.
pub fn endpoints(plan: &Plan) -> Result<Value, String> {
    let sets = plan.access.sets.iter().map(set).collect::<Result<Vec<_>, _>>()?;
    let clients = plan
        .clients
        .iter()
        .map(|client| {
            let key = escape::nginx_map_word(&client.name)?;
            Ok(context! { key => Value::from(key), set => client.set + 1 })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let health = match &plan.access.health {
        Some(path) => Some(escape::nginx_map_key(&format!(r"~^(GET|HEAD) {}\z", literal(path)))?),
        None => None,
    };
    Ok(context! {
        sets => sets,
        clients => clients,
        public => set(&plan.access.public)?,
        health => health.map(Value::from),
        cors => cors(plan)?,
    })
}

fn set(set: &EndpointSet) -> Result<Value, String> {
    let except = set.except.iter().map(|endpoint| Ok((exactly(endpoint)?, Value::from(0))));
    let allow = set.allow.iter().map(|endpoint| Ok((exactly(endpoint)?, Value::from(1))));
    Ok(lines(except.chain(allow).collect::<Result<Vec<_>, String>>()?))
}

/// `METHOD /path` of one endpoint, whole.
fn exactly(endpoint: &Endpoint) -> Result<Token, String> {
    matching(endpoint, &plain_hyphens(&endpoint.path.regex()))
}

fn matching(endpoint: &Endpoint, path: &str) -> Result<Token, String> {
    escape::nginx_map_key(&format!(r"~^{} {path}\z", endpoint.method))
}

fn cors(plan: &Plan) -> Result<Option<Value>, String> {
    let Some(cors) = &plan.cors else { return Ok(None) };
    let origins = cors
        .origins
        .iter()
        .map(|origin| escape::nginx_map_key(&format!(r"~^{}\z", literal(origin))).map(Value::from))
        .collect::<Result<Vec<_>, _>>()?;
    let value = if cors.any { Value::from("*") } else { Value::from(escape::nginx_word("$http_origin")?) };
    Ok(Some(context! {
        any => cors.any,
        origins => origins,
        value => value,
        methods => cors.methods.join(", "),
        headers => cors.headers.join(", "),
        max_age => cors.max_age.as_secs(),
    }))
}

/// What must be looked at before an endpoint is forwarded, the strictest first where two patterns meet.
pub fn model_places(plan: &Plan) -> Result<Value, String> {
    let mut endpoints: Vec<&Endpoint> =
        plan.access.sets.iter().chain([&plan.access.public]).flat_map(|set| &set.allow).collect();
    endpoints.sort();
    endpoints.dedup();
    let mut entries = Vec::new();
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.model == ModelPlace::Form) {
        entries.push((exactly(endpoint)?, Value::from("forbidden")));
    }
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.model == ModelPlace::Path) {
        for path in listed(plan, &endpoint.path) {
            entries.push((matching(endpoint, &path)?, Value::from("forward")));
        }
        entries.push((exactly(endpoint)?, Value::from("forbidden")));
    }
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.model == ModelPlace::Body) {
        entries.push((exactly(endpoint)?, Value::from("inspect")));
    }
    Ok(lines(entries))
}

/// The regular expressions of `path` with its last parameter being a listed model: one each, because all of them could be too long for a
/// word. A model that is no segment of a path has none.
fn listed(plan: &Plan, path: &PathPattern) -> Vec<String> {
    let Some(last) = path.segments.iter().rposition(|segment| matches!(segment, Segment::Param(_))) else {
        return Vec::new();
    };
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    let models = plan.access.models.iter();
    let models = models.filter(|model| model.text.chars().all(part) && !model.text.starts_with('.'));
    models
        .map(|model| match (model.prefix, model.text.is_empty()) {
            (true, true) => PARAM_REGEX.to_owned(),
            (true, false) => format!("{}[A-Za-z0-9._:-]*", literal(&model.text)),
            (false, _) => literal(&model.text),
        })
        .map(|model| {
            let part = |(at, segment): (usize, &Segment)| match segment {
                Segment::Param(_) if at == last => format!("/{model}"),
                Segment::Param(_) => format!("/{PARAM_REGEX}"),
                Segment::Literal(text) => format!("/{}", literal(text)),
            };
            path.segments.iter().enumerate().map(part).collect()
        })
        .collect()
}

/// A regular expression for exactly `text`.
pub fn literal(text: &str) -> String {
    plain_hyphens(&regex::escape(text))
}

/// Outside of a class a hyphen needs no escape, and keys and paths are full of them.
fn plain_hyphens(pattern: &str) -> String {
    pattern.replace(r"\-", "-")
}

/// The lists that `llmguard.js` compares with.
pub fn model_lists(plan: &Plan) -> Value {
    let texts = |prefix: bool| -> Vec<&str> {
        plan.access.models.iter().filter(|model| model.prefix == prefix).map(|model| model.text.as_str()).collect()
    };
    context! {
        exact => Value::from(escape::js_strings(&texts(false))),
        prefixes => Value::from(escape::js_strings(&texts(true))),
    }
}
