//! What the directives of a site leave for later stages.
//!
//! In: directives that were read. Out: a [`Pile`] for each site. Invariant: each kind keeps the order of the file.

use super::super::super::Place;
use super::super::json::Json;
use super::super::token::{Text, Token};
use super::route::Route;

/// What a directive made.
#[derive(Debug, Clone)]
pub struct Item {
    /// The directive, `handle_path` as `handle`.
    pub directive: Text,
    /// Where it stands.
    pub place: Place,
    /// Whether no directive of that name is known, so that it must come from a plugin.
    pub plugin: bool,
    /// What it made.
    pub value: Piled,
}

/// A kind of thing that a directive makes.
#[derive(Debug, Clone)]
pub enum Piled {
    /// A route.
    Route(Route),
    /// Routes that stay together.
    Routes(Vec<Route>),
    /// A route for errors.
    ErrorRoute(Route),
    /// Addresses to listen on.
    Bind(Bind),
    /// A log.
    Log(Log),
    /// A policy for TLS connections.
    Policy(Json),
    /// Certificates that are loaded: the loader's name and its list.
    Certificates(&'static str, Json),
    /// Certificates are to be had for each name by itself.
    ForceAutomate,
    /// The site names who issues its certificates.
    Issuer,
    /// Certificates are obtained during handshakes.
    OnDemand,
}

/// The addresses of `bind`, and the protocols on them.
#[derive(Debug, Clone)]
pub struct Bind {
    /// Addresses without ports.
    pub addresses: Vec<Token>,
    /// Protocols; none: the usual ones.
    pub protocols: Vec<Token>,
}

/// A log that a site or the global options define.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its name; absent: nothing is configured and nothing logs.
    pub name: Option<Text>,
    /// Where it is defined.
    pub place: Place,
    /// The hosts that it is for, where they are named.
    pub hosts: Vec<Token>,
    /// Whether it is for no host.
    pub no_host: bool,
    /// What it does; absent: nothing is configured.
    pub config: Option<Json>,
}

/// All that a site's directives made.
#[derive(Debug, Default)]
pub struct Pile {
    /// Routes.
    pub routes: Vec<Item>,
    /// Routes for errors.
    pub errors: Vec<Route>,
    /// Addresses.
    pub binds: Vec<Bind>,
    /// Logs.
    pub logs: Vec<Log>,
    /// TLS policies.
    pub policies: Vec<Json>,
    /// Certificates.
    pub certificates: Vec<(&'static str, Json)>,
    /// Named routes that are invoked.
    pub invoked: Vec<Text>,
    /// See [`Piled::ForceAutomate`].
    pub force_automate: bool,
    /// See [`Piled::Issuer`].
    pub issuer: bool,
    /// See [`Piled::OnDemand`].
    pub on_demand: bool,
}

impl Pile {
    /// Adds what a directive made.
    pub fn add(&mut self, item: Item) {
        match item.value {
            Piled::Route(_) | Piled::Routes(_) => self.routes.push(item),
            Piled::ErrorRoute(route) => self.errors.push(route),
            Piled::Bind(bind) => self.binds.push(bind),
            Piled::Log(log) => self.logs.push(log),
            Piled::Policy(policy) => self.policies.push(policy),
            Piled::Certificates(loader, list) => self.certificates.push((loader, list)),
            Piled::ForceAutomate => self.force_automate = true,
            Piled::Issuer => self.issuer = true,
            Piled::OnDemand => self.on_demand = true,
        }
    }
}
