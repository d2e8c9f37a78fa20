//! Plan → nginx: a whole `nginx.conf`, the drop-in `conf.d/llmguard.conf`, `secrets/` and `.htpasswd`.
//!
//! One text for nginx 1.22 and 1.31 (both measured). A request passes two stages, because nginx checks the password after the limits and
//! `Content-Length` before both: `location /` counts and asks for the password, then an internal location refuses or forwards.
//! Invariant: no secret stands outside `secrets/` and `.htpasswd`; what no map names is refused.

mod endpoints;
mod limits;
mod listener;
mod secrets;

use minijinja::value::merge_maps;
use minijinja::{Value, context};

use super::escape::{self, Token};
use super::template::{self, Template};
use super::{Output, Site};
use crate::policy::plan::{Log, LogPath, Plan};

const TEMPLATES: &[Template] = &[
    ("nginx/nginx.conf", include_str!("../../../templates/nginx/nginx.conf")),
    ("nginx/llmguard.conf", include_str!("../../../templates/nginx/llmguard.conf")),
    ("nginx/server.conf", include_str!("../../../templates/nginx/server.conf")),
    ("nginx/error.conf", include_str!("../../../templates/nginx/error.conf")),
    ("nginx/map.conf", include_str!("../../../templates/nginx/map.conf")),
    ("nginx/upstream.conf", include_str!("../../../templates/nginx/upstream.conf")),
    ("nginx/htpasswd.txt", include_str!("../../../templates/nginx/htpasswd.txt")),
    ("nginx/inspect.js", include_str!("../../../templates/nginx/inspect.js")),
];

/// The user and group of nginx's workers where it is started by root.
const WORKER: &str = "www-data";

/// Renders `plan` for nginx into `out`; every path begins with `nginx/`.
pub fn render(plan: &Plan, site: &Site, out: &mut Output) {
    if let Err(reason) = all(plan, site, out) {
        out.refuse("", plan.places.at(""), format!("nginx can't hold this policy: {reason}"), "another value there");
    }
}

fn all(plan: &Plan, site: &Site, out: &mut Output) -> Result<(), String> {
    let limits = limits::limits(plan, out)?;
    let listener = listener::listener(plan, out)?;
    secrets::check(plan, out);
    secrets::render(plan, site, out)?;

    let models = !plan.access.models.is_empty();
    let log = log(plan, out);
    let head = |extra: &[&str], out: &Output| {
        let extra: Vec<String> = extra.iter().map(|&line| line.to_owned()).collect();
        Value::from(
            out.head(plan, site, &extra).iter().map(|line| Value::from(escape::comment(line))).collect::<Vec<_>>(),
        )
    };
    let whole = context! {
        head => head(&["Run it in this folder: nginx -p . -c nginx.conf", "Stop it with SIGQUIT, which lets answers end."], out),
        user => site.root.then_some(WORKER),
        modules => models,
    };
    let drop_in = context! {
        head => head(&DROP_IN, out),
        anonymous => plan.auth.anonymous,
        bearer => plan.auth.bearer,
        x_api_key => plan.auth.x_api_key,
        basic => plan.auth.basic && !plan.auth.anonymous,
        realm => escape::http_quoted(&plan.auth.realm),
        challenge => challenge(plan),
        basic_challenge => format!("Basic realm=\"{}\"", escape::http_quoted(&plan.auth.realm)),
        log => log,
        upstream_key => plan.upstream.api_key.is_some(),
        models => if models { context! { places => endpoints::model_places(plan)? } } else { Value::from(false) },
        way => escape::nginx_word(if models { "$llmguard_way" } else { "forward" })?,
    };
    let drop_in = merge_maps([drop_in, endpoints::endpoints(plan)?, limits, listener]);
    out.file("nginx/nginx.conf", template::render(TEMPLATES, "nginx/nginx.conf", whole)?);
    out.file("nginx/conf.d/llmguard.conf", template::render(TEMPLATES, "nginx/llmguard.conf", drop_in)?);
    if models {
        out.file(
            "nginx/conf.d/llmguard.js",
            template::render(TEMPLATES, "nginx/inspect.js", endpoints::model_lists(plan))?,
        );
        out.folders.push("nginx/modules".to_owned());
        out.notes.push(
            "nginx: `access.models` needs the njs module; where it is a file of its own (Debian: libnginx-mod-http-js), put `load_module /usr/lib/nginx/modules/ngx_http_js_module.so;` into nginx/modules/njs.conf. \
             A request refused for its model counts for its client's own rate.".to_owned(),
        );
    }
    out.folders.extend(["nginx/logs".to_owned(), "nginx/temp".to_owned()]);
    if let Some(folder) = log_folder(plan) {
        out.folders.push(folder);
    }
    out.folders.sort();
    out.folders.dedup();
    Ok(())
}

/// What to know before the drop-in is copied into another nginx.
const DROP_IN: [&str; 8] = [
    "This file can be copied into the conf.d of another nginx, with `secrets/` and `.htpasswd` beside its nginx.conf. Then:",
    "- `logs/` lies under that nginx's prefix (`nginx -V`); make the folder or give an absolute `log.path`;",
    "- a server of that nginx that is `default_server` of this address answers unknown hosts, and its",
    "  `client_header_timeout`, `large_client_header_buffers`, `merge_slashes` and `ssl_protocols` hold until the host is known;",
    "- `set_real_ip_from`, `allow`, `deny` and other settings of its `http` block also hold here;",
    "- with long host names it needs `server_names_hash_bucket_size 512;`, with thousands of clients `map_hash_max_size 32768;`;",
    "- its workers must be able to read `.htpasswd`; its own error log must stay at level `alert` for requests",
    "  that end before the host is known.",
];

/// The challenge of keys; nginx adds the one of Basic itself.
fn challenge(plan: &Plan) -> Option<String> {
    let keys = (plan.auth.bearer || plan.auth.x_api_key) && !plan.auth.anonymous;
    keys.then(|| format!("Bearer realm=\"{}\"", escape::http_quoted(&plan.auth.realm)))
}

/// The access log's path, as nginx takes it.
fn log(plan: &Plan, _out: &mut Output) -> Option<String> {
    match &plan.log {
        Log::Off => None,
        Log::Json(LogPath::Stdout) => Some("/dev/stdout".to_owned()),
        Log::Json(LogPath::Default) => Some("logs/access.log".to_owned()),
        Log::Json(LogPath::File(path)) => Some(path.clone()),
    }
}

/// The folder of a relative log path, below DIR.
fn log_folder(plan: &Plan) -> Option<String> {
    let Log::Json(LogPath::File(path)) = &plan.log else { return None };
    let (folder, _) = path.rsplit_once('/')?;
    (!path.starts_with('/') && !folder.is_empty()).then(|| format!("nginx/{folder}"))
}

/// Lines of a `map`: `(key, value)`.
fn lines(entries: Vec<(Token, Value)>) -> Value {
    Value::from(
        entries
            .into_iter()
            .map(|(key, value)| context! { key => Value::from(key), value => value })
            .collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod fixture;
