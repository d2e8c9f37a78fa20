//! What configs are measured with: a policy, its meaning, and the catalogue of its upstream.
//!
//! In: a [`Plan`], or nothing. Out: what the policy says about a caller and an endpoint. Invariant: the policy's own gateway decides; nothing
//! here judges by itself.

use std::net::IpAddr;

use crate::catalog::{CatalogEndpoint, Kind, Reach};
use crate::diag::Sink;
use crate::gateway::Gateway;
use crate::gateway::eval::{Outcome, Verdict, evaluate};
use crate::http::{Request, Sni, Version};
use crate::lower;
use crate::policy::plan::{Plan, Tls};
use crate::policy::validate;
use crate::policy::variables::Variables;
use crate::source::SourceFile;

/// The client of the built-in policy: any valid credential of the config.
pub const SOME_CLIENT: &str = "some-client";

/// The policy that holds where none is written: Ollama's, with every default.
const BUILT_IN: &str =
    "[upstream]\nkind = \"ollama\"\n[[client]]\nname = \"some-client\"\napi_key = \"env:SOME_CLIENT_KEY\"\n";

/// A policy as a measure.
#[derive(Debug)]
pub struct Measure {
    /// The policy.
    pub plan: Plan,
    /// What it means.
    pub gateway: Gateway,
    /// The upstream's endpoints.
    pub kind: Kind,
    /// The policy's file name; absent: the built-in one.
    pub name: Option<String>,
}

/// On whose behalf the policy is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// Somebody without a valid credential.
    Nobody,
    /// This client of the policy.
    Client(String),
    /// Some valid client; which of the policy's it is can't be told.
    SomeClient,
}

/// What a request reaches behind a gateway.
#[derive(Debug)]
pub struct Reached<'a> {
    /// The method that arrives there.
    pub method: &'a Vec<u8>,
    /// The path that the policy is asked about: the endpoint's own, else the target as it arrives.
    pub path: Vec<u8>,
    /// The endpoint, and how surely; absent: a path that the catalogue doesn't know.
    pub endpoint: Option<(&'a CatalogEndpoint, Reach)>,
}

impl Measure {
    /// The built-in policy. `None`: it is broken (a test forbids it).
    pub fn built_in() -> Option<Measure> {
        let file = SourceFile::new("the built-in policy", "", BUILT_IN);
        let mut sink = Sink::default();
        let plan = validate::plan(&file, &Variables::default(), &mut sink)?;
        Measure::new(plan, &file, None)
    }

    /// A policy as a measure; `name` is its file's. `None`: an unknown kind of upstream, which no plan has.
    pub fn new(plan: Plan, file: &SourceFile, name: Option<String>) -> Option<Measure> {
        let gateway = lower::gateway(&plan, file);
        let kind = Kind::find(&plan.upstream.kind)?;
        Some(Measure { plan, gateway, kind, name })
    }

    /// Whether this is the built-in policy: its numbers are nobody's wish.
    pub fn is_built_in(&self) -> bool {
        self.name.is_none()
    }

    /// The request as the policy's own gateway would get it.
    fn request(&self, on: &On, method: &[u8], target: &[u8], body: Option<&[u8]>) -> Request {
        let host = self.plan.listen.server_names.first().cloned().unwrap_or_else(|| "localhost".to_owned());
        let client = match on {
            On::Client(name) => Some(name.clone()),
            On::Nobody | On::SomeClient => None,
        };
        Request {
            method: method.to_vec(),
            target: target.to_vec(),
            headers: vec![(b"Host".to_vec(), host.into_bytes())],
            version: Version::Http11,
            client_ip: IpAddr::from([127, 0, 0, 1]),
            to: None,
            body: body.map(<[u8]>::to_vec),
            body_bytes: body.map_or(0, |body| body.len() as u64),
            port: None,
            tls: Some(self.plan.listen.tls != Tls::Off),
            sni: Sni::AsHost,
            as_client: client,
        }
    }

    /// What the policy says; of several clients the one who may most.
    pub fn decides(&self, on: &On, method: &[u8], target: &[u8]) -> Outcome {
        self.decides_with(on, method, target, None)
    }

    /// The same about a request with a body.
    pub fn decides_with(&self, on: &On, method: &[u8], target: &[u8], body: Option<&[u8]>) -> Outcome {
        let ask = |on: &On| evaluate(&self.gateway, &self.request(on, method, target, body));
        if *on != On::SomeClient {
            return ask(on);
        }
        // Clients of one set have the same answer.
        let mut sets: Vec<usize> = Vec::new();
        let mut best: Option<Outcome> = None;
        for client in &self.plan.clients {
            if sets.contains(&client.set) {
                continue;
            }
            sets.push(client.set);
            let outcome = ask(&On::Client(client.name.clone()));
            if forwards(&outcome.verdict) {
                return outcome;
            }
            best = best.or(Some(outcome));
        }
        best.unwrap_or_else(|| ask(&On::Nobody))
    }

    /// What a request that the upstream sees reaches there; `every_upstream`: any server is the policy's.
    ///
    /// Errors: the server that gets it, and that the policy isn't about.
    pub fn reached<'a>(
        &'a self,
        sent: &'a Request,
        outcome: &'a Outcome,
        every_upstream: bool,
    ) -> Result<Reached<'a>, &'a str> {
        let (method, target) = match &outcome.verdict {
            Verdict::Proxied { upstream, .. } if !every_upstream && !self.guards(upstream) => return Err(upstream),
            Verdict::Proxied { target, .. } => (&outcome.method, target),
            _ => (&sent.method, &sent.target),
        };
        let endpoint = self.kind.reached(method, target);
        let path = match endpoint {
            Some((endpoint, _)) if !endpoint.path.contains(':') => endpoint.path.clone().into_bytes(),
            _ => target.clone(),
        };
        Ok(Reached { method, path, endpoint })
    }

    /// Whether a server that a config sends requests to may be the one that the policy guards: by its name, its port or its kind.
    pub fn guards(&self, upstream: &str) -> bool {
        let (host, port) = upstream.rsplit_once(':').unwrap_or((upstream, ""));
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let port: Option<u16> = port.parse().ok();
        let named = self.plan.upstream.servers.iter();
        let same = |server: &crate::policy::plan::Server| {
            Some(server.port) == port
                && (server.host.eq_ignore_ascii_case(&host) || is_loopback(&server.host) && is_loopback(&host))
        };
        named.clone().any(same)
            || (self.plan.upstream.servers_given
                && named.clone().any(|server| server.host.eq_ignore_ascii_case(&host) && !is_loopback(&host)))
            || (port.is_some() && port == self.kind.default_port)
            || Kind::names().any(|name| host.contains(&name.replace("-cpp", "")) && name != "openai")
    }
}

/// Whether the upstream sees it.
pub fn forwards(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Proxied { .. } | Verdict::Unknown { reached: true, .. })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_knows_some_client_and_nobody() {
        let measure = Measure::built_in().unwrap();
        let verdict =
            |on: &On, method: &str, path: &str| measure.decides(on, method.as_bytes(), path.as_bytes()).verdict;
        assert_eq!(verdict(&On::Nobody, "POST", "/api/pull"), Verdict::Refused(401));
        assert_eq!(verdict(&On::SomeClient, "POST", "/api/pull"), Verdict::Refused(403));
        assert!(forwards(&verdict(&On::SomeClient, "POST", "/api/chat")));
        for (upstream, guarded) in [
            ("127.0.0.1:11434", true),
            ("localhost:11434", true),
            ("ollama:80", true),
            ("my-vllm.local:9000", true),
            ("[::1]:11434", true),
            ("localhost:3000", false),
            ("blog:80", false),
        ] {
            assert_eq!(measure.guards(upstream), guarded, "{upstream}");
        }
    }
}
