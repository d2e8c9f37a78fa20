//! Servers: what each does with a request before a location is looked for, and which of them a socket asks.
//!
//! In: the blocks of all servers and what holds around them. Out: listeners and chains. Invariant: what a listener refuses to read is its
//! default server's matter.

use std::rc::Rc;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use crate::gateway::value::Join;
use crate::gateway::{
    Chain, ChainId, Clause, Errors, Function, Lines, Listener, Origin, Predicate, Step, Terminal, Test, Value,
};

use super::block::Line;
use super::listen::Socket;
use super::location::Location;
use super::scope::{ErrorPage, Gate, Scope};
use super::server_name::{By, ServerNames};
use super::{Reader, state, wire};

/// The handlers of `error_page` lists, by where a list lies and whether its handlers' errors are handled too.
type Handlers = HashMap<(*const ErrorPage, bool), (Rc<[ErrorPage]>, Arc<Errors>)>;

/// What makes sockets alike: their servers, the default one, and whether they speak TLS.
type Alike = (Vec<usize>, usize, bool);
/// Where requests on a socket start, and where its connections do.
type Ways = (ChainId, Option<ChainId>);

/// A server while it is read.
pub struct Server<'c> {
    /// Where a request starts, and starts over after an internal redirect.
    pub start: ChainId,
    /// Where a location is looked for.
    pub find: ChainId,
    /// Parent, kind and name of each location: two alike are an error.
    pub seen: HashSet<(usize, u8, Vec<u8>)>,
    /// Named locations, `@` included.
    pub named: HashMap<Vec<u8>, ChainId>,
    /// All locations; the first stands for the server itself.
    pub locations: Vec<Location<'c>>,
    /// The handlers of each `error_page` list that was met.
    pub errors: Handlers,
    /// Settings, limits and access, by what they are made of.
    pub gates: HashMap<Gate, (Rc<Scope>, ChainId)>,
    /// Chains that go on elsewhere, by their targets.
    pub redirects: HashMap<Vec<u8>, ChainId>,
    /// Its names.
    pub names: Vec<Vec<u8>>,
    /// Where it is said.
    pub origin: Origin,
}

/// What is known of a server before its chains are made.
struct Sketch<'c> {
    lines: Vec<Line<'c>>,
    origin: Origin,
    scope: Scope,
    names: ServerNames,
    start: ChainId,
}

impl<'c> Reader<'c> {
    /// Reads servers: each its lines, and its own line.
    pub fn servers(&mut self, outer: &Scope, servers: Vec<(Vec<Line<'c>>, Option<Line<'c>>)>) {
        let sockets = self.sockets(&servers);
        let mut sketches = Vec::new();
        for (lines, own) in servers {
            let scope = self.inherit(outer, &lines);
            let names = self.server_names(&lines);
            let origin = own.as_ref().map(Line::silent).unwrap_or_default();
            let start = self.reserve();
            sketches.push(Sketch { lines, origin, scope, names, start });
        }
        let mut starts: Vec<(ChainId, usize)> = Vec::new();
        let mut refusing: Vec<(ChainId, ChainId)> = Vec::new();
        // Sockets of the same servers, most often IPv4 and IPv6, lead to one chain.
        let mut known: HashMap<Alike, Ways> = HashMap::new();
        for socket in sockets {
            self.certificates(outer, &socket, &sketches);
            let Some(&first) = socket.servers.first() else { continue };
            let default = socket.default.unwrap_or(first);
            let own = &sketches[default];
            let names: Vec<(&ServerNames, ChainId)> =
                socket.servers.iter().map(|&index| (&sketches[index].names, sketches[index].start)).collect();
            let key = (socket.servers.clone(), default, socket.tls);
            let (chain, handshake) = match known.get(&key) {
                Some(known) => *known,
                None if !socket.tls => {
                    let chosen = self.choose_server(By::Host, &names, own.start, &own.origin);
                    (self.opened(own, Vec::new(), chosen), None)
                }
                None => {
                    let by_name = self.choose_server(By::Handshake, &names, own.start, &own.origin);
                    let fronted: Vec<(&ServerNames, ChainId)> = socket
                        .servers
                        .iter()
                        .map(|&index| (&sketches[index].names, self.not_misdirected(&sketches[index], by_name)))
                        .collect();
                    let default = socket.servers.iter().position(|index| *index == default).unwrap_or(0);
                    let chosen = self.choose_server(By::Host, &fronted, fronted[default].1, &own.origin);
                    let chain = self.opened(own, vec![state::set(state::TLS, "1")], chosen);
                    (chain, self.handshake(&socket, own, &sketches, chain, &mut refusing))
                }
            };
            known.insert(key, (chain, handshake));
            starts.push((chain, default));
            self.readers(&socket, &sketches);
            self.gateway.listeners.push(Listener {
                address: socket.address,
                both: socket.both,
                port: socket.port,
                tls: socket.tls,
                wire: wire::wire(&sketches[default].scope, self.version),
                handshake,
                chain,
                origin: socket.origin,
            });
        }
        let mut refusals: Vec<(ChainId, Arc<Errors>)> = Vec::new();
        for sketch in sketches {
            refusals.push((sketch.start, self.server(sketch)));
            self.forget();
        }
        self.gateway.refusals.extend(refusals.iter().cloned());
        for (handshake, start) in refusing {
            let errors = refusals.iter().find(|(own, _)| *own == start);
            self.gateway.refusals.extend(errors.map(|(_, errors)| (handshake, errors.clone())));
            let wire = self.gateway.wires.get(&start).cloned();
            self.gateway.wires.extend(wire.map(|wire| (handshake, wire)));
        }
        for (start, default) in starts {
            self.gateway.refusals.extend(refusals.get(default).map(|(_, errors)| (start, errors.clone())));
        }
    }

    /// Where requests of a socket start: how long their heads may take is the default server's matter, whichever server they are for
    /// (measured on nginx 1.22.1 and 1.31.3).
    fn opened(&mut self, default: &Sketch<'c>, mut steps: Vec<Step>, chosen: ChainId) -> ChainId {
        steps.extend(default.scope.settings.of_connections());
        let clauses = vec![Clause::steps(steps, Origin::default())];
        self.gateway.add(Chain { clauses, otherwise: Terminal::Then(chosen), origin: Origin::default() })
    }

    /// Notes how servers of a socket read requests, if they do it in more than one way.
    fn readers(&mut self, socket: &Socket, sketches: &[Sketch<'c>]) {
        let own = || socket.servers.iter().filter_map(|&index| sketches.get(index));
        if own().any(|sketch| Some(&sketch.scope.wire) != own().next().map(|first| &first.scope.wire)) {
            let wire = |sketch: &Sketch<'c>| (sketch.start, Arc::new(wire::wire(&sketch.scope, self.version)));
            let wires: Vec<_> = own().map(wire).collect();
            self.gateway.wires.extend(wires);
        }
    }

    /// Where a connection with TLS starts: the server of the name that it asks for may refuse it. Absent: none has anything to say. `refusing`
    /// gets the chains of servers, and where their requests start.
    fn handshake(
        &mut self,
        socket: &Socket,
        default: &Sketch<'c>,
        sketches: &[Sketch<'c>],
        chain: ChainId,
        refusing: &mut Vec<(ChainId, ChainId)>,
    ) -> Option<ChainId> {
        let own = || socket.servers.iter().filter_map(|&index| sketches.get(index));
        let (first, says) =
            (own().next(), |sketch: &Sketch<'c>| sketch.scope.rejects_handshake || sketch.scope.verifies);
        let reads_otherwise = |sketch: &Sketch<'c>| {
            first.is_some_and(|first| {
                sketch.scope.wire != first.scope.wire || unread(&sketch.scope) != unread(&first.scope)
            })
        };
        if !own().any(|sketch| says(sketch) || reads_otherwise(sketch)) {
            return None;
        }
        let mut opened = |reader: &mut Self, sketch: &Sketch<'c>, named: &'static str| {
            let then = match sketch.scope.rejects_handshake {
                true => Terminal::Respond(444),
                false => Terminal::Then(chain),
            };
            let note =
                if sketch.scope.rejects_handshake { "`ssl_reject_handshake`: no connection comes about" } else { "" };
            let steps = vec![state::set(state::NAMED, named)];
            let clause = Clause { then, ..Clause::steps(steps, sketch.origin.noted(note)) };
            let end = Chain { clauses: vec![clause], otherwise: Terminal::Return, origin: Origin::default() };
            let id = reader.gateway.add(end);
            refusing.push((id, sketch.start));
            id
        };
        let named: Vec<(&ServerNames, ChainId)> =
            own().map(|sketch| (&sketch.names, opened(self, sketch, "1"))).collect();
        let default = opened(self, default, "");
        Some(self.choose_server(By::Handshake, &named, default, &Origin::default()))
    }

    /// Where a server wants certificates of clients, a request for it goes over connections that were opened for its name, or for none
    /// (`ngx_http_set_virtual_server`, measured on 1.22.1 and 1.31.3): others are the matter of the server that they were opened for.
    fn not_misdirected(&mut self, sketch: &Sketch<'c>, by_name: ChainId) -> ChainId {
        if !sketch.scope.verifies {
            return sketch.start;
        }
        let name = Value::Apply(Function::Lower, Box::new(Value::ServerName));
        let other = Predicate::Value(Value::Host, Test::Same(Box::new(name))).negated();
        let clause = Clause {
            steps: vec![state::set(state::MISDIRECTED, "1")],
            ..Clause::new(
                Predicate::All(vec![state::is_set(state::NAMED), other]),
                Terminal::Then(by_name),
                sketch.origin.noted("the connection was opened for another name, and this server verifies clients"),
            )
        };
        let otherwise = Terminal::Then(sketch.start);
        self.gateway.add(Chain { clauses: vec![clause], otherwise, origin: Origin::default() })
    }

    /// A socket with TLS needs a certificate in its default server, or one in each other where that one refuses handshakes.
    fn certificates(&mut self, outer: &Scope, socket: &Socket, sketches: &[Sketch<'c>]) {
        if !socket.tls {
            return;
        }
        let first = socket.default.or(socket.servers.first().copied()).and_then(|index| sketches.get(index));
        let others = socket.servers.iter().filter_map(|&index| sketches.get(index));
        let refuses = first.is_some_and(|first| first.scope.rejects_handshake);
        let asked: Vec<&Sketch<'c>> = if refuses { others.collect() } else { first.into_iter().collect() };
        for sketch in asked {
            if !(sketch.scope.certificate || sketch.scope.rejects_handshake || outer.certificate) {
                let listens = sketch.lines.iter().find(|line| line.is("listen"));
                let Some(line) = listens.or(sketch.lines.first()).cloned() else { continue };
                self.error(&line, "TLS without `ssl_certificate`", "name a certificate and its key in this server");
            }
        }
    }

    /// Makes the chains of a server; what comes back handles what isn't read for it.
    fn server(&mut self, sketch: Sketch<'c>) -> Arc<Errors> {
        let Sketch { lines, origin, scope, names, start } = sketch;
        let scope = Rc::new(scope);
        let find = self.reserve();
        let mut server = Server {
            start,
            find,
            seen: HashSet::new(),
            named: HashMap::new(),
            locations: Vec::new(),
            errors: HashMap::new(),
            gates: HashMap::new(),
            redirects: HashMap::new(),
            names: names.all(),
            origin: origin.clone(),
        };
        self.locations(&mut server, &scope, &lines);
        let errors = self.errors(&mut server, &scope);
        let mut steps = vec![
            Step::OnError(errors),
            Step::set(state::SERVER_NAME.into(), Value::literal(names.first), Origin::default()),
        ];
        steps.extend_from_slice(&self.begin);
        steps.extend(self.take_referers(&server, &scope));
        if let Some(trust) = scope.trust() {
            let note = format!("a trusted peer says the client's address (`{}`)", scope.real_ip_header);
            steps.push(Step::client_ip(trust, origin.noted(note)));
        }
        let mut clauses = vec![Clause::steps(steps, origin.noted("this server answers"))];
        if self.framing.is_empty() {
            self.framing = framing(&origin, self.version);
        }
        let misdirected = self.shared(b"misdirected", || {
            Predicate::All(vec![state::is_set(state::MISDIRECTED), state::is_set(state::INTERNAL).negated()])
        });
        let note = "a connection that was opened for this server is no way to the other one (421)";
        clauses.push(Clause::new(misdirected, Terminal::Error(421), origin.noted(note)));
        clauses.extend(self.framing.iter().map(|clause| clause.at(&origin)));
        clauses.extend(self.tls(&scope, &origin));
        clauses.extend(self.opaque_rewrite(&scope));
        clauses.extend(self.program(&mut server, &lines, &scope, None));
        self.fill(start, Chain { clauses, otherwise: Terminal::Then(find), origin: Origin::default() });
        self.location_chains(&mut server);
        // Looking for a location forgets that one was asked for.
        let level = server.locations.first().map(|null| null.ids.level);
        let clause = Clause {
            steps: vec![state::set(state::CHANGED, "")],
            ..Clause::new(Predicate::Always, Terminal::Next, Origin::default())
        };
        let otherwise = level.map_or(Terminal::Return, Terminal::Then);
        self.fill(find, Chain { clauses: vec![clause], otherwise, origin: Origin::default() });
        self.errors(&mut server, &scope).unwrap_or_default()
    }

    /// What nginx refuses where TLS is spoken (`ngx_http_process_request`): its own statuses 496 and 497, which are 400 for the client
    /// unless an `error_page` handles them.
    fn tls(&mut self, scope: &Scope, origin: &Origin) -> Vec<Clause> {
        let asked = |scheme: &'static str| {
            Predicate::All(vec![
                state::is_set(state::TLS),
                Predicate::Value(Value::Scheme, Test::Equals(scheme.into())),
                state::is_set(state::INTERNAL).negated(),
            ])
        };
        let plain = self.shared(b"plain", || asked("http"));
        let note = "a request without TLS where TLS is spoken (400, inside 497)";
        let mut clauses = vec![Clause::new(plain, Terminal::Error(497), origin.noted(note))];
        // No request here has a certificate.
        if let Some(origin) = &scope.client_certificate {
            let encrypted = self.shared(b"encrypted", || asked("https"));
            clauses.push(Clause::new(encrypted, Terminal::Error(496), origin.clone()));
        }
        clauses
    }
}

/// The pages for what isn't read.
fn unread(scope: &Scope) -> Option<*const ErrorPage> {
    let any = scope.errors.iter().any(|page| matches!(page.status, 400 | 414 | 494));
    any.then(|| scope.errors.as_ptr())
}

/// What nginx refuses once it has read the headers (`ngx_http_process_request_header`).
fn framing(origin: &Origin, version: (u32, u32, u32)) -> Vec<Clause> {
    // A path is no target of CONNECT for the newer ones (measured on 1.22.1 and 1.31.3).
    let connect = if version >= (1, 31, 0) { 400 } else { 405 };
    let outside = || state::is_set(state::INTERNAL).negated();
    let refused = |when: Predicate, status: u16, note: &'static str| {
        Clause::new(Predicate::All(vec![when, outside()]), Terminal::Error(status), origin.noted(note))
    };
    let there = |name: &str| Predicate::Header(name.to_owned(), Lines::Any, Test::Anything);
    let coding = || Value::Header("transfer-encoding".to_owned(), Join::First);
    let old = Predicate::Value(Value::Protocol, Test::Equals(b"HTTP/1.0".to_vec()));
    let chunked = Predicate::Value(coding(), Test::AnyCase(Box::new(Test::Equals(b"chunked".to_vec()))));
    let coded = || there("transfer-encoding");
    // How long the body is isn't known then: no location finds it too long.
    let lengthless = || {
        let length = vec![(there("content-length"), Value::literal(""))];
        let value = state::either("lengthless", length, Value::literal("1"));
        Step::set(state::DISCARDED.into(), value, Origin::default())
    };
    let unread = |clause: Clause| Clause { steps: vec![lengthless()], ..clause };
    vec![
        unread(refused(Predicate::All(vec![coded(), old]), 400, "HTTP/1.0 has no Transfer-Encoding (400)")),
        unread(refused(
            Predicate::All(vec![coded(), chunked.negated()]),
            501,
            "nginx knows no Transfer-Encoding but `chunked` (501)",
        )),
        refused(
            Predicate::All(vec![coded(), there("content-length")]),
            400,
            "Transfer-Encoding and Content-Length (400)",
        ),
        refused(Predicate::method(&["CONNECT"]), connect, "nginx refuses this method"),
        refused(Predicate::method(&["TRACE"]), 405, "nginx refuses this method (405)"),
    ]
}
