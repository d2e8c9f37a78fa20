//! Plan → a Compose project: the proxy, and Ollama behind it on a network without a way in or out.
//!
//! In: the plan. Out: `compose/docker-compose.yml`, `compose/.env.example`, the proxy's own files as its renderer makes them for the
//! container, and what its image needs. Invariant: the upstream is never published, and no key is in a file.

mod health;
mod images;
mod inside;
mod nginx;
mod proxy;
mod publish;
mod service;

use minijinja::{Value, context};

use super::escape;
use super::template::{self, Template};
use super::{Output, RenderedFile, Site};
use crate::policy::plan::{Plan, Proxy, Tls};
use images::Image;
use inside::{Inside, Mount};
use nginx::StandIn;
use proxy::Kind;

const TEMPLATES: &[Template] = &[
    ("compose/docker-compose.yml", include_str!("../../../templates/compose/docker-compose.yml")),
    ("compose/example.env", include_str!("../../../templates/compose/example.env")),
    ("compose/Dockerfile", include_str!("../../../templates/compose/Dockerfile")),
    ("compose/keys.envsh", include_str!("../../../templates/compose/keys.envsh")),
];

/// The target's folder.
const FOLDER: &str = "compose";
/// The longest that a stop waits for answers to end, in seconds.
const LONGEST_STOP: u64 = 120;
/// The script of nginx's image that runs before its template step, by its number.
const KEYS_SCRIPT: &str = "/docker-entrypoint.d/18-llmguard.envsh";

/// Renders `plan` as a Compose project into `out`; every path begins with `compose/`.
pub fn render(plan: &Plan, site: &Site, out: &mut Output) {
    if let Err(reason) = all(plan, site, out) {
        out.refuse("", plan.places.at(""), format!("compose can't hold this policy: {reason}"), "another value there");
    }
}

fn all(plan: &Plan, site: &Site, out: &mut Output) -> Result<(), String> {
    let kind = Kind::of(plan.deploy.proxy);
    let published = publish::of(plan, out);
    let image = images::proxy(plan, out);
    let ollama = (!plan.upstream.servers_given).then(|| images::ollama(plan));
    let mut inside = Inside::new(plan, &published, out);
    let stand_ins = match plan.deploy.proxy {
        Proxy::Nginx => nginx::stand_in(&mut inside.plan),
        Proxy::Caddy | Proxy::Traefik => Vec::new(),
    };

    // The proxy runs in its image as that image's own user, whoever renders. Its notes are about running it without a container.
    let mut files = Output::default();
    (kind.render)(&inside.plan, &Site { root: false, ..site.clone() }, &mut files);
    out.gaps.append(&mut files.gaps);
    let head = |out: &Output, extra: &[&str]| {
        let extra: Vec<String> = extra.iter().map(|&line| line.to_owned()).collect();
        out.head(plan, site, &extra).iter().map(|line| escape::comment(line).into()).collect::<Vec<Value>>()
    };

    let mut own = match plan.deploy.proxy {
        Proxy::Nginx => nginx_files(plan, &mut inside, &stand_ins, files, head(out, &[]))?,
        Proxy::Caddy | Proxy::Traefik => {
            inside.mounts.push(Mount::read_only(format!("./{}", kind.name), kind.home));
            files.files
        }
    };
    for file in &mut own {
        inside.foreign_files |= file.mode & 0o004 == 0;
        file.path = format!("{FOLDER}/{}", file.path);
    }

    let built = match &image {
        Image::Built { builder, base } => {
            let values = context! { head => head(out, &[]), builder, base, module => images::RATE_LIMIT_MODULE };
            out.file(format!("{FOLDER}/Dockerfile"), template::render(TEMPLATES, "compose/Dockerfile", values)?);
            // Nothing of this folder, least of all `.env`, is sent to the builder.
            out.file(format!("{FOLDER}/.dockerignore"), "*\n");
            true
        }
        Image::Pulled(_) => false,
    };
    let reference = match &image {
        Image::Built { base, .. } => base,
        Image::Pulled(reference) => reference,
    };
    let health = health::of(&inside.plan, reference);
    let state = kind.state.filter(|_| matches!(plan.listen.tls, Tls::Auto { .. }));
    let values = context! {
        head => head(out, &RUN),
        proxy => context! {
            name => Value::from(escape::compose_name(kind.name)?),
            image => (!built).then_some(reference),
            command => kind.command.to_vec(),
            home => kind.home,
            stop_signal => kind.stop_signal,
            stop_time => format!("{}s", plan.timeouts.read.as_secs().clamp(1, LONGEST_STOP)),
            variables => service::variables(&inside)?,
            template_filter => (plan.deploy.proxy == Proxy::Nginx).then(|| format!("^{}", nginx::PREFIX)),
            secrets => inside.secrets.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
            ports => service::ports(plan, &published),
            mounts => inside.mounts.iter().map(service::mount).collect::<Vec<_>>(),
            state => state,
            writes => kind.writes.iter().chain(kind.state.iter().filter(|_| state.is_none())).copied().collect::<Vec<_>>(),
            hosts => service::hosts(plan, &health),
            health => health.test,
            capabilities => service::capabilities(kind, &inside, plan, &published),
            fingerprint => service::fingerprint(&own),
        },
        secrets => service::secrets(&inside)?,
        upstream => ollama.map(|image| service::upstream(plan, image)),
    };
    let compose = template::render(TEMPLATES, "compose/docker-compose.yml", values)?;
    out.file(format!("{FOLDER}/docker-compose.yml"), compose);
    let example = context! { head => head(out, &[]), variables => service::examples(&inside) };
    out.file(format!("{FOLDER}/.env.example"), template::render(TEMPLATES, "compose/example.env", example)?);
    out.files.append(&mut own);
    notes(plan, built, out);
    Ok(())
}

/// How to run the project, for the head of its main file.
const RUN: [&str; 3] = [
    "Run it in this folder: docker compose up -d",
    "The keys come from `.env` here (`.env.example` names them) or from another file:",
    "  docker compose --env-file FILE up -d",
];

/// nginx's files: templates where a secret stands, the script that checks the values, and the rest as it is.
fn nginx_files(
    plan: &Plan,
    inside: &mut Inside,
    stand_ins: &[StandIn],
    rendered: Output,
    head: Vec<Value>,
) -> Result<Vec<RenderedFile>, String> {
    let home = Kind::of(Proxy::Nginx).home;
    let mut files = Output::default();
    for mut file in rendered.files {
        let path = file.path.strip_prefix("nginx/").unwrap_or(&file.path).to_owned();
        let with_stand_ins = nginx::template(&file, stand_ins);
        if file.secret || with_stand_ins.is_some() {
            file.path = format!("nginx/templates/{path}.template");
            file.group = None;
            if let Some(content) = with_stand_ins {
                (file.content, file.mode, file.secret) = (content, 0o644, false);
            }
        } else {
            inside.mounts.push(Mount::read_only(format!("./{}", file.path), format!("{home}/{path}")));
        }
        files.files.push(file);
    }
    if !plan.access.models.is_empty() {
        files.file("nginx/modules/njs.conf", "load_module /usr/lib/nginx/modules/ngx_http_js_module.so;\n");
        inside.mounts.push(Mount::read_only("./nginx/modules/njs.conf", format!("{home}/modules/njs.conf")));
    }
    let folder = |path: &String| path.strip_prefix("nginx/").map(|path| format!("{home}/{path}"));
    let values = context! {
        head,
        home,
        checks => nginx::checks(stand_ins),
        folders => rendered.folders.iter().filter_map(folder).collect::<Vec<_>>(),
    };
    files.file("nginx/keys.envsh", template::render(TEMPLATES, "compose/keys.envsh", values)?);
    if let Some(script) = files.files.last_mut() {
        // The image passes over a script that can't be executed.
        script.mode = 0o755;
    }
    inside.mounts.push(Mount::read_only("./nginx/keys.envsh", KEYS_SCRIPT));
    inside.mounts.push(Mount::read_only("./nginx/templates", "/etc/nginx/templates"));
    inside.mounts.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(files.files)
}

/// What the owner does next.
fn notes(plan: &Plan, built: bool, out: &mut Output) {
    if built {
        out.notes.push("compose builds Caddy with its rate_limit module: `docker compose build`, once".to_owned());
    }
    if plan.upstream.servers_given {
        for key in ["deploy.gpu", "deploy.models_dir", "deploy.ollama_image", "deploy.egress"] {
            if plan.places.keys.contains_key(key) {
                out.notes.push(format!("`{key}` does nothing in compose: `upstream.servers` names a server of your own"));
            }
        }
    } else {
        out.notes.push(PULL.to_owned());
        if !plan.deploy.egress {
            out.notes.push(PULL_WITHOUT_EGRESS.to_owned());
        }
    }
    out.notes.push(SHARED_ADDRESS.to_owned());
}

const PULL: &str = "pull a model into compose: `docker compose exec ollama ollama pull MODEL`";
const PULL_WITHOUT_EGRESS: &str = "with `deploy.egress = false` let it out for the pull: `docker network connect bridge $(docker compose ps -q ollama)`, \
     and afterwards the same with `disconnect`";
const SHARED_ADDRESS: &str = "behind Docker Desktop, rootless Docker and a port published on 127.0.0.1 all callers come from Docker's own address: \
     limits for one IP then count them together";
