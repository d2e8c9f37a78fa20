//! Traefik's own services: the API, the dashboard, ping, metrics.
//!
//! In: a name before `@internal`. Out: a chain that answers. Invariant: what isn't switched on doesn't exist, which drops the routers that
//! use it (facts: pkg/api/handler.go, pkg/api/dashboard, measured on 3.7.15).

use super::build::{Builder, Service};
use super::matcher;
use crate::gateway::{Chain, ChainId, Clause, Origin, Own, Predicate, Setting, Step, Terminal, Test, Value};

/// The lists of the API: all of Traefik's configuration, keys in rules and hashes of passwords included.
const LISTS: &str = "^/api/(?:rawdata|overview|version|support-dump|entrypoints|(?:http|tcp)/(?:routers|services|middlewares)\
                     |udp/(?:routers|services))$";
/// One of each.
const ONES: &str =
    "^/api/(?:entrypoints|(?:http|tcp)/(?:routers|services|middlewares)|udp/(?:routers|services))/[^/]+$";

impl Builder<'_> {
    /// One of Traefik's own services. Errors: it isn't there.
    pub(super) fn internal(&mut self, name: &str) -> Result<Service, String> {
        let statics = self.statics;
        let missing = |what: &str| Err(format!("`{name}@internal`: {what} is not enabled"));
        let at = Origin::new(0, Default::default(), format!("Traefik's own service `{name}@internal` answers"));
        let answer = |status: u16| Terminal::Respond(status);
        let shown = match name {
            "api" | "dashboard" => Some(Own::Config),
            "prometheus" => Some(Own::Metrics),
            _ => None,
        };
        let chain = match name {
            "noop" => self.end(Terminal::Error(418), at),
            "ping" if statics.ping => self.end(answer(200), at),
            "ping" => return missing("ping"),
            "prometheus" if statics.prometheus => self.end(answer(200), at),
            "prometheus" => return missing("the metrics of Prometheus"),
            "acme-http" if statics.acme => self.end(answer(404), at),
            "acme-http" => return missing("the HTTP challenge"),
            "rest" if statics.rest => self.end(Terminal::unknown("depends on the REST provider"), at),
            "rest" => return missing("the REST provider"),
            "api" if statics.api => self.api(at),
            "api" => return missing("the API"),
            "dashboard" if statics.dashboard => {
                let page = |path: &[&[u8]], status: u16| {
                    let paths = path.iter().map(|path| path.to_vec()).collect();
                    Clause::new(Predicate::Value(Value::Path, Test::OneOf(paths)), answer(status), at.clone())
                };
                let clauses = vec![page(&[b"/", b""], 200), page(&[b"/index.html"], 301)];
                let otherwise = Terminal::unknown("depends on the files of the dashboard");
                self.gateway.add(Chain { clauses, otherwise, origin: at })
            }
            "dashboard" => return missing("the dashboard"),
            other => return Err(format!("unknown internal service `{other}`")),
        };
        let chain = match shown {
            None => chain,
            Some(own) => {
                // The place is the router's: the service has none.
                let shows =
                    vec![Clause::steps(vec![Step::setting(Setting::Shows(own), Origin::default())], Origin::default())];
                let otherwise = Terminal::Then(chain);
                self.gateway.add(Chain { clauses: shows, otherwise, origin: Origin::default() })
            }
        };
        Ok(Service { chain, watched: false })
    }

    /// The API takes GET alone; with the dashboard it shows that too.
    fn api(&mut self, at: Origin) -> ChainId {
        let path = |test: Test| Predicate::Value(Value::Path, test);
        let matches = |pattern: &str| matcher::regex(pattern).map_or(Predicate::Always.negated(), path);
        let files = Terminal::unknown("depends on the files of the dashboard");
        let named = Terminal::unknown("depends on whether Traefik has something of that name");
        let is = |text: &str| path(Test::Equals(text.as_bytes().to_vec()));
        let mut answers = vec![(matches(LISTS), Terminal::Respond(200)), (matches(ONES), named)];
        if self.statics.dashboard {
            answers.push((is("/"), Terminal::Respond(302)));
            answers.push((is("/dashboard/"), Terminal::Respond(200)));
            answers.push((is("/dashboard/index.html"), Terminal::Respond(301)));
            answers.push((path(Test::Prefix(b"/dashboard/".to_vec())), files));
        }
        let known = answers.iter().map(|(here, _)| here.clone()).collect();
        let other = Predicate::All(vec![Predicate::method(&["GET"]).negated(), Predicate::Any(known)]);
        let note = at.noted("Traefik's API takes GET alone");
        let mut clauses = vec![Clause::new(other, Terminal::Respond(405), note)];
        clauses.extend(answers.into_iter().map(|(here, then)| Clause::new(here, then, at.clone())));
        self.gateway.add(Chain { clauses, otherwise: Terminal::Respond(404), origin: at })
    }
}
