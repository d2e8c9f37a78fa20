//! The targets: one table, and the way from a plan to one target's output.
//!
//! In: a target's name, plan and site. Out: its [`Output`]. Invariant: adding a target is one module and one line here.

use super::{Output, Site};
use crate::policy::plan::Plan;

/// One form that a policy is rendered to.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// The file that goes to standard output without `--out`; absent: `--out` is needed.
    pub main_file: Option<&'static str>,
    /// How to run what was written, from DIR.
    pub run: &'static str,
    /// Its folder below DIR.
    pub folder: &'static str,
    /// Whether it serves the certificate of `tls = "internal"`, from `tls/` in its folder.
    pub internal_tls: bool,
    render: fn(&Plan, &Site, &mut Output),
}

/// Every target, in the order of `all`.
pub const TARGETS: &[Target] = &[
    Target {
        name: "nginx",
        what: "nginx.conf, a drop-in for conf.d, and the keys in secrets/",
        main_file: None,
        run: "cd DIR/nginx && nginx -p . -c nginx.conf",
        folder: "nginx",
        internal_tls: true,
        render: super::nginx::render,
    },
    Target {
        name: "caddy",
        what: "a Caddyfile",
        main_file: Some("caddy/Caddyfile"),
        run: "cd DIR/caddy && caddy run --config Caddyfile --envfile ../.env",
        folder: "caddy",
        internal_tls: true,
        render: super::caddy::render,
    },
    Target {
        name: "traefik-file",
        what: "Traefik's static and dynamic configuration",
        main_file: None,
        run: "cd DIR/traefik && traefik --configFile=traefik.yml, with the keys in the environment",
        folder: "traefik",
        internal_tls: true,
        render: super::traefik::render,
    },
    Target {
        name: "traefik",
        what: "Docker labels for Traefik's own service, and the static file that goes with them",
        main_file: Some("traefik-labels/labels.yml"),
        run: "docker compose -f docker-compose.yml -f DIR/traefik-labels/labels.yml up -d",
        folder: "traefik-labels",
        internal_tls: false,
        render: super::traefik::labels::render,
    },
    Target {
        name: "compose",
        what: "a Compose project: the proxy, and Ollama on a network of its own",
        main_file: Some("compose/docker-compose.yml"),
        run: "cd DIR/compose && docker compose up -d, with the keys in .env there",
        folder: "compose",
        internal_tls: true,
        render: super::compose::render,
    },
];

impl Target {
    /// The target of that name.
    pub fn find(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Renders a plan.
    pub fn render(&self, plan: &Plan, site: &Site) -> Output {
        let mut out = Output::default();
        (self.render)(plan, site, &mut out);
        out
    }
}
