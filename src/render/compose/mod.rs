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
use proxy::Kind;

const TEMPLATES: &[Template] = &[
    ("compose/docker-compose.yml", include_str!("../../../templates/compose/docker-compose.yml")),
    ("compose/example.env", include_str!("../../../templates/compose/example.env")),
    ("compose/Dockerfile", include_str!("../../../templates/compose/Dockerfile")),
];

/// The target's folder.
const FOLDER: &str = "compose";

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
    let upstream = (!plan.upstream.servers_given).then(|| service::upstream(plan, images::ollama(plan)));
    let mut inside = Inside::new(plan, &published, out);
    let files = proxy_files(plan, site, &mut inside, out)?;

    let head = |extra: &[&str]| head(out, plan, site, extra);
    let mut own = Output::default();
    if let Image::Built { builder, base } = &image {
        let values = context! { head => head(&[]), builder, base, module => images::RATE_LIMIT_MODULE };
        own.file("Dockerfile", template::render(TEMPLATES, "compose/Dockerfile", values)?);
        // Nothing of this folder, least of all `.env`, is sent to the builder.
        own.file(".dockerignore", "*\n");
    }
    let values = context! {
        head => head(&RUN),
        proxy => service::proxy(kind, &image, plan, &inside, &published, &files)?,
        secrets => service::secrets(&inside)?,
        upstream,
    };
    own.file("docker-compose.yml", template::render(TEMPLATES, "compose/docker-compose.yml", values)?);
    let values = context! { head => head(&[]), variables => service::examples(&inside) };
    own.file(".env.example", template::render(TEMPLATES, "compose/example.env", values)?);

    for mut file in own.files.into_iter().chain(files) {
        file.path = format!("{FOLDER}/{}", file.path);
        out.files.push(file);
    }
    notes(plan, &image, out);
    Ok(())
}

/// The comment at the top of a file. Every gap must be recorded before.
fn head(out: &Output, plan: &Plan, site: &Site, extra: &[&str]) -> Vec<Value> {
    let extra: Vec<String> = extra.iter().map(|&line| line.to_owned()).collect();
    out.head(plan, site, &extra).iter().map(|line| escape::comment(line).into()).collect()
}

/// The proxy's own files as they go into its container, each with its mount.
fn proxy_files(plan: &Plan, site: &Site, inside: &mut Inside, out: &mut Output) -> Result<Vec<RenderedFile>, String> {
    let kind = Kind::of(plan.deploy.proxy);
    let stand_ins = match plan.deploy.proxy {
        Proxy::Nginx => nginx::stand_in(&mut inside.plan),
        Proxy::Caddy | Proxy::Traefik => Vec::new(),
    };
    // In its image the proxy runs as that image means it to, whoever renders. Notes about running it elsewhere are not passed on.
    let mut rendered = Output::default();
    (kind.render)(&inside.plan, &Site { root: false, ..site.clone() }, &mut rendered);
    out.gaps.append(&mut rendered.gaps);
    if plan.deploy.proxy == Proxy::Nginx {
        nginx::prepare(plan, &stand_ins, kind.home, head(out, plan, site, &[]), &mut rendered)?;
    }
    for file in &mut rendered.files {
        file.group = None;
        inside.foreign_files |= file.mode & 0o004 == 0;
        // What lies in a folder is mounted with it.
        let entry = file.path.split('/').nth(1).unwrap_or_default();
        let target = match entry {
            nginx::SCRIPT => nginx::SCRIPT_PLACE.to_owned(),
            nginx::TEMPLATES => nginx::TEMPLATES_PLACE.to_owned(),
            entry => format!("{}/{entry}", kind.home),
        };
        let mount = Mount::read_only(format!("./{}/{entry}", kind.name), target);
        if !inside.mounts.contains(&mount) {
            inside.mounts.push(mount);
        }
    }
    Ok(rendered.files)
}

/// How to run the project, for the head of its main file.
const RUN: [&str; 3] = [
    "Run it in this folder: docker compose up -d",
    "The keys come from `.env` here (`.env.example` names them) or from another file:",
    "  docker compose --env-file FILE up -d",
];

/// What the owner does next.
fn notes(plan: &Plan, image: &Image, out: &mut Output) {
    if let Image::Built { .. } = image {
        out.notes.push("compose builds Caddy with its rate_limit module: `docker compose build`, once".to_owned());
    }
    if plan.upstream.servers_given {
        for key in ["deploy.gpu", "deploy.models_dir", "deploy.ollama_image", "deploy.egress"] {
            if plan.places.keys.contains_key(key) {
                out.notes
                    .push(format!("`{key}` does nothing in compose: `upstream.servers` names a server of your own"));
            }
        }
    } else {
        out.notes.push(PULL.to_owned());
        if !plan.deploy.egress {
            out.notes.push(PULL_WITHOUT_EGRESS.to_owned());
        }
    }
    if let Tls::Auto { .. } = plan.listen.tls {
        out.notes.push(ACME.to_owned());
    }
    out.notes.push(SHARED_ADDRESS.to_owned());
}

const PULL: &str = "pull a model into compose: `docker compose exec ollama ollama pull MODEL`";
const PULL_WITHOUT_EGRESS: &str = "with `deploy.egress = false` let it out for the pull: `docker network connect bridge $(docker compose ps -q ollama)`, \
     and afterwards the same with `disconnect`";
const ACME: &str = "the CA must reach port 443 of the server names; compose publishes it";
const SHARED_ADDRESS: &str = "behind Docker Desktop, rootless Docker and a port published on 127.0.0.1 all callers come from Docker's own address: \
     limits for one IP then count them together";
