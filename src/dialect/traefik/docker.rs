//! Labels of compose services: what Traefik's Docker provider makes of them.
//!
//! In: the labels of each service. Out: settings as a dynamic file has them, and what is dropped. Invariant: one service whose labels
//! Traefik refuses loses all of them; two that define one thing differently both lose it (facts: pkg/provider/docker, measured on 3.7.15).

use std::collections::BTreeMap;

use super::fields::{DYNAMIC, Field, Kind};
use super::node::{Node, Refusal};
use super::rule::Rule;
use super::statics::Docker;
use crate::dialect::Place;
use crate::dialect::re2;
use crate::dialect::scalar::parse_bool;
use crate::gateway::Pattern;

/// The labels of one service.
#[derive(Debug, Clone, Default)]
pub struct LabelSet {
    /// The service's name, as other services reach it.
    pub service: String,
    /// The container's name; empty: the service's.
    pub container: String,
    /// The compose project; empty: it is in none.
    pub project: String,
    /// Where the service stands.
    pub place: Place,
    /// Its labels: name, value, place.
    pub labels: Vec<(String, String, Place)>,
    /// The ports that its image or `expose` name.
    pub ports: Vec<u16>,
    /// Whether it shares the host's network, where Traefik reaches it at 127.0.0.1.
    pub host_network: bool,
}

impl LabelSet {
    /// The name of the container.
    pub fn container(&self) -> &str {
        if self.container.is_empty() { &self.service } else { &self.container }
    }

    /// The name that default rules and default services have: in a project whatever the container is called
    /// (facts: pkg/provider/docker/shared.go, `getServiceName`).
    fn own_name(&self) -> String {
        match self.project.as_str() {
            "" => normalized(self.container()),
            project => normalized(&format!("{}_{project}", self.service)),
        }
    }
}

/// What the labels of one service make.
pub struct Exposed {
    /// The settings, as in a dynamic file.
    pub top: Node,
}

/// Why a service is passed over.
pub struct Passed {
    /// Where.
    pub place: Place,
    /// Why, for people.
    pub why: String,
    /// Whether somebody wanted that: `traefik.enable=false`.
    pub wanted: bool,
}

/// What Traefik makes of a service's labels. Errors: why it passes the service over.
pub fn expose(set: &LabelSet, docker: &Docker) -> Result<Exposed, Passed> {
    let passed = |place: Place, why: String, wanted: bool| Err(Passed { place, why, wanted });
    let enable = set.labels.iter().find(|(name, ..)| name.eq_ignore_ascii_case("traefik.enable"));
    if let Some((name, ..)) = enable.filter(|(name, ..)| !name.starts_with("traefik.")) {
        return passed(set.place, format!("invalid label root in `{name}`: it is `traefik`"), false);
    }
    let exposed = match enable.map(|(_, value, place)| (parse_bool(value), value, *place)) {
        None => docker.exposed_by_default,
        Some((Some(value), ..)) => value,
        Some((None, value, place)) => {
            return passed(place, format!("`traefik.enable` is `{value}`, which is neither true nor false"), false);
        }
    };
    if !exposed {
        return passed(set.place, "`traefik.enable` isn't true".to_owned(), true);
    }
    match constrained(&docker.constraints, set) {
        Ok(true) => {}
        Ok(false) => return passed(set.place, "`constraints` leave it out".to_owned(), true),
        Err(why) => return passed(set.place, format!("`constraints`: {why}"), false),
    }
    let read = |name: &&(String, String, Place)| {
        ["traefik.http", "traefik.tcp", "traefik.udp", "traefik.tls.stores.default"]
            .iter()
            .any(|prefix| name.0.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
    };
    let labels = set.labels.iter().filter(read).map(|(name, value, place)| (name.as_str(), value.as_str(), *place));
    let mut top = Node::of_names(labels, "traefik", known()).map_err(|Refusal { place, why }| Passed {
        place,
        why,
        wanted: false,
    })?;
    complete(&mut top, set, docker).map_err(|why| Passed { place: set.place, why, wanted: false })?;
    Ok(Exposed { top })
}

fn known() -> &'static Field {
    debug_assert!(DYNAMIC.kind == Kind::Group);
    &DYNAMIC
}

/// The part of this name, made if it isn't there.
fn part<'n>(node: &'n mut Node, name: &str, place: Place) -> &'n mut Node {
    let at = node.children.iter().position(|child| child.name.eq_ignore_ascii_case(name)).unwrap_or_else(|| {
        node.children.push(Node { name: name.into(), place, value_place: place, ..Node::default() });
        node.children.len() - 1
    });
    &mut node.children[at]
}

fn set_text(node: &mut Node, name: &str, value: String, place: Place) {
    part(node, name, place).value = value.into();
}

/// Adds what labels leave out: the service, its server, the router, its rule. Errors: why the service is passed over.
fn complete(top: &mut Node, set: &LabelSet, docker: &Docker) -> Result<(), String> {
    let others = ["tcp", "udp"].iter().any(|kind| top.get(kind).is_some_and(|node| !node.children.is_empty()));
    if others && top.get("http").is_none() {
        return Ok(());
    }
    let name = set.own_name();
    let place = set.place;
    let http = part(top, "http", place);
    let services = part(http, "services", place);
    if services.children.is_empty() {
        let service = part(services, &name, place);
        part(service, "loadBalancer", place);
    }
    for service in &mut services.children {
        let Some(balancer) = service.children.iter_mut().find(|child| child.name.eq_ignore_ascii_case("loadBalancer"))
        else {
            return Err(format!("service `{}`: load-balancer is not defined", service.name));
        };
        add_server(balancer, set).map_err(|why| format!("service `{}`: {why}", service.name))?;
    }
    let names: Vec<String> = services.children.iter().map(|service| service.name.to_string()).collect();
    let routers = part(http, "routers", place);
    if routers.children.is_empty() {
        if names.len() > 1 {
            return Ok(());
        }
        part(routers, &name, place);
    }
    routers.children.retain_mut(|router| {
        if router.text("rule").is_empty() {
            match default_rule(&docker.default_rule, &name, set) {
                Some(rule) => set_text(router, "rule", rule, router.place),
                None => return false,
            }
        }
        if router.text("service").is_empty() {
            let [only] = names.as_slice() else { return false };
            set_text(router, "service", only.clone(), router.place);
        }
        true
    });
    Ok(())
}

/// The server of a load balancer; labels give one.
fn add_server(balancer: &mut Node, set: &LabelSet) -> Result<(), String> {
    let place = balancer.place;
    let given = balancer.children.iter().position(|child| child.name.eq_ignore_ascii_case("server"));
    let given = given.map(|at| balancer.children.remove(at)).unwrap_or_default();
    let mut server = Node { name: "[0]".into(), place, value_place: place, ..Node::default() };
    server.children.clone_from(&given.children);
    let (url, scheme, port) = (given.text("url"), given.text("scheme"), given.text("port"));
    let url = if url.is_empty() {
        let port = match (port, set.ports.iter().min()) {
            ("", None) => return Err("port is missing".to_owned()),
            ("", Some(port)) => port.to_string(),
            (port, _) => port.to_owned(),
        };
        let scheme = if scheme.is_empty() { "http" } else { scheme };
        let host = if set.host_network { "127.0.0.1" } else { &set.service };
        format!("{scheme}://{host}:{port}")
    } else if scheme.is_empty() && port.is_empty() {
        url.to_owned()
    } else {
        return Err("defining scheme or port is not allowed when URL is defined".to_owned());
    };
    set_text(&mut server, "url", url, place);
    part(balancer, "servers", place).children.push(server);
    Ok(())
}

/// The rule of a router without one. `None`: Traefik drops the router.
fn default_rule(template: &str, name: &str, set: &LabelSet) -> Option<String> {
    if template.is_empty() {
        return Some(format!("Host(`{name}`)"));
    }
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let end = start + rest[start..].find("}}")?;
        out.push_str(&rest[..start]);
        let words: Vec<&str> = rest[start + 2..end].split_whitespace().collect();
        let label = |label: &str| {
            let label = label.trim_matches('"');
            set.labels.iter().find(|(own, ..)| own == label).map(|(_, value, _)| value.as_str()).unwrap_or_default()
        };
        match words.as_slice() {
            [".Name"] => out.push_str(name),
            ["normalize", ".Name"] => out.push_str(&normalized(name)),
            ["trimPrefix", prefix, ".Name"] => {
                out.push_str(name.strip_prefix(prefix.trim_matches(['`', '"'])).unwrap_or(name));
            }
            [".ContainerName"] => out.push_str(set.container()),
            ["index", ".Labels", key] => out.push_str(label(key)),
            _ => return Some("\u{f5a5a}defaultRule\u{f5a5b}".to_owned()),
        }
        rest = &rest[end + 2..];
    }
    out.push_str(rest);
    (!out.is_empty()).then_some(out)
}

/// A name with `-` for everything that is neither letter nor digit.
fn normalized(name: &str) -> String {
    let parts = name.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

/// Whether constraints let a service through. Errors: they can't be read.
fn constrained(expression: &str, set: &LabelSet) -> Result<bool, String> {
    if expression.is_empty() {
        return Ok(true);
    }
    let labels: BTreeMap<&str, &str> =
        set.labels.iter().map(|(name, value, _)| (name.as_str(), value.as_str())).collect();
    meets(&Rule::parse(expression)?, &labels)
}

fn meets(rule: &Rule, labels: &BTreeMap<&str, &str>) -> Result<bool, String> {
    Ok(match rule {
        Rule::And(left, right) => meets(left, labels)? & meets(right, labels)?,
        Rule::Or(left, right) => meets(left, labels)? | meets(right, labels)?,
        Rule::Not(inner) => !meets(inner, labels)?,
        Rule::Unknown(why) => return Err(why.clone()),
        Rule::Matcher(name, arguments) => match (name.as_str(), arguments.as_slice()) {
            ("Label", [name, value]) => labels.get(name.as_str()) == Some(&value.as_str()),
            ("LabelRegex", [name, value]) => match &*re2::compile(value)? {
                Pattern::Regular(regex) => {
                    labels.get(name.as_str()).is_some_and(|label| regex.is_match(label.as_bytes()))
                }
                _ => return Err(format!("`{value}` can't be read")),
            },
            _ => return Err(format!("`{name}` isn't understood")),
        },
    })
}

/// Puts the settings of all services into one; what two define differently goes, and is returned.
pub fn merge(all: Vec<Exposed>) -> (Node, Vec<(String, Place)>) {
    let mut merged = Node::default();
    let mut conflicts: Vec<(String, Place)> = Vec::new();
    for Exposed { top } in all {
        for protocol in top.children {
            let to = part(&mut merged, &protocol.name, protocol.place);
            for kind in protocol.children {
                let to = part(to, &kind.name, kind.place);
                for element in kind.children {
                    let Some(known) = to.children.iter_mut().find(|known| known.name == element.name) else {
                        to.children.push(element);
                        continue;
                    };
                    let services = kind.name.eq_ignore_ascii_case("services");
                    let one = same(known, &element) || services && join_servers(known, &element);
                    if !one {
                        conflicts.push((format!("{} `{}`", kind.name, known.name), element.place));
                    }
                }
            }
        }
    }
    for protocol in &mut merged.children {
        for kind in &mut protocol.children {
            let name = kind.name.clone();
            kind.children
                .retain(|element| !conflicts.iter().any(|(what, _)| *what == format!("{name} `{}`", element.name)));
        }
    }
    (merged, conflicts)
}

/// Whether two settings say the same.
fn same(left: &Node, right: &Node) -> bool {
    let covers = |left: &Node, right: &Node| {
        left.children.iter().all(|child| right.get(&child.name).is_some_and(|other| same(child, other)))
    };
    left.value == right.value && left.children.len() == right.children.len() && covers(left, right)
}

/// Two load balancers that differ in their servers alone become one with all of them.
fn join_servers(known: &mut Node, other: &Node) -> bool {
    let without = |node: &Node| {
        let mut node = node.clone();
        for balancer in &mut node.children {
            balancer.children.retain(|child| !child.name.eq_ignore_ascii_case("servers"));
        }
        node
    };
    if !same(&without(known), &without(other)) {
        return false;
    }
    let added: Vec<Node> =
        other.path(&["loadBalancer", "servers"]).map(|node| node.children.clone()).unwrap_or_default();
    let place = known.place;
    let servers = part(part(known, "loadBalancer", place), "servers", place);
    for server in added {
        if !servers.children.iter().any(|own| own.text("url") == server.text("url")) {
            servers.children.push(server);
        }
    }
    true
}
