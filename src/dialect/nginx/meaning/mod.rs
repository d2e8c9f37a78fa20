//! What nginx's directives mean: a [`Config`] → a [`Gateway`].
//!
//! In: directives with their includes. Out: chains that do what nginx's own phases do, in their order: server rewrite, find location (its
//! body limit too), rewrite, limits, access, `try_files`, content. Invariant: what isn't understood and could change an answer is opaque,
//! with its place; the size of the chains is linear in that of the config (no list of regular expressions is copied).
//!
//! The state that nginx keeps in its request stands in variables whose names begin with a blank, so that no config can name them
//! ([`state`]).

mod access;
mod block;
mod content;
mod errors;
mod inherit;
mod limits;
mod listen;
mod location;
mod map;
mod proxy;
mod referer;
mod refused;
mod rewrite;
mod scope;
mod script;
mod secure_link;
mod server;
mod server_name;
mod settings;
mod state;
mod stream;
mod template;
mod try_files;
mod upstream;
pub mod users;
mod variables;
mod wire;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use crate::diag::{Diagnostic, Severity, Sink};
use crate::dialect::{Options, Reading};
use crate::gateway::{
    Chain, ChainId, Clause, Condition, Forward, Gateway, HeaderEdit, Origin, Predicate, Said, Setting, Step, Terminal,
    Value,
};

use super::config::Config;
use super::context::Context;
use block::Line;
use scope::Scope;

/// The version that is assumed when none is given: the newest that was measured.
const NEWEST: (u32, u32, u32) = (1, 31, 3);

/// Reads a config from its main file; `name` is what messages call it.
pub fn read_gateway(main: &Path, name: &str, options: &Options) -> Reading {
    let mut problems = Sink::default();
    let config = super::read::read(main, name, options, &mut problems);
    let gateway = gateway(&config, options, &mut problems);
    Reading { gateway, problems }
}

/// What a config means. What nginx would refuse to load goes to `sink`.
pub fn gateway(config: &Config, options: &Options, sink: &mut Sink) -> Gateway {
    let mut reader = Reader {
        config,
        options,
        sink,
        // What isn't used of these is never touched; growing would copy them.
        gateway: Gateway {
            files: config.files.clone(),
            chains: Vec::with_capacity(config.directives.len()),
            shown: errors::SHOWN,
            ..Gateway::default()
        },
        version: options.nginx_version.unwrap_or(NEWEST),
        names: variables::Names::default(),
        link: None,
        scripts: HashMap::new(),
        upstreams: HashMap::new(),
        announced: HashSet::new(),
        zones: limits::Zones::default(),
        users: HashMap::new(),
        templates: HashMap::new(),
        edits: HashMap::new(),
        folders: HashMap::new(),
        body_limits: HashMap::new(),
        too_long: HashMap::new(),
        conditions: HashMap::new(),
        anew: Said::new(Setting::Anew, Origin::default()),
        begin: vec![state::set(state::MOVED, ""), Step::set(state::PEER.into(), Value::ClientIp, Origin::default())],
        framing: Vec::new(),
        not_passed: None,
        urls: HashMap::new(),
        forwards: HashMap::new(),
        proxy_hosts: HashMap::new(),
        headers: HashMap::new(),
        settings: HashMap::new(),
    };
    reader.run();
    reader.gateway.chains.shrink_to_fit();
    reader.gateway
}

/// The work on one config.
struct Reader<'c> {
    config: &'c Config,
    options: &'c Options,
    sink: &'c mut Sink,
    gateway: Gateway,
    version: (u32, u32, u32),
    names: variables::Names<'c>,
    /// What `$secure_link` is in the program that is read; absent: nobody knows.
    link: Option<Value>,
    /// `js_import`: names and files; absent: not to be known.
    scripts: HashMap<String, Option<String>>,
    upstreams: HashMap<Vec<u8>, upstream::Upstream>,
    /// Where connections begin with a line of the PROXY protocol.
    announced: HashSet<(std::net::IpAddr, u16)>,
    zones: limits::Zones,
    /// By the file's name as written.
    users: HashMap<Vec<u8>, users::Users>,
    /// Texts with variables that were met.
    templates: HashMap<Box<[u8]>, Value>,
    /// The `proxy_set_header`s that were met, by name and text.
    edits: HashMap<(&'c [u8], &'c [u8]), Arc<HeaderEdit>>,
    folders: HashMap<PathBuf, content::Folder>,
    /// Chains that measure bodies: the limit, where it is said, and whether the body is read for that.
    body_limits: HashMap<(u64, usize, usize, bool), ChainId>,
    /// What they ask, wherever that is said.
    too_long: HashMap<(u64, bool), Clause>,
    /// Conditions that many clauses have, by what they ask.
    conditions: HashMap<Vec<u8>, Condition>,
    /// What begins every list of settings.
    anew: Arc<Said<Setting>>,
    /// What begins the work of every server.
    begin: Vec<Step>,
    /// What nginx refuses once it has read the headers.
    framing: Vec<Clause>,
    /// The chain that removes the headers that nginx itself doesn't pass on.
    not_passed: Option<ChainId>,
    /// The URLs of `proxy_pass` that mean the same in every location.
    urls: HashMap<Vec<u8>, Rc<proxy::Url>>,
    /// The last forward of each URL of a `proxy_pass`.
    forwards: HashMap<Vec<u8>, Arc<Forward>>,
    /// Chains that set [`state::PROXY_HOST`], by what they set.
    proxy_hosts: HashMap<Vec<u8>, ChainId>,
    /// Changes to headers for an upstream, by where the list lies and whether the client's are passed on.
    headers: HashMap<(usize, bool), proxy::Headers>,
    /// Chains that say the same settings.
    settings: HashMap<*const settings::Settings, (Arc<settings::Settings>, ChainId)>,
}

impl<'c> Reader<'c> {
    fn run(&mut self) {
        self.find_names();
        let top = self.lines(self.config.top());
        match self.config.context {
            Context::Main => {
                let events = top.iter().any(|line| line.is("events"));
                if let Some(http) = top.iter().find(|line| line.is("http") && !events) {
                    self.error(http, "there is no `events` block", "write `events {}` before `http`");
                }
                let blocks = |name: &str| top.iter().filter(|line| line.is(name)).copied().collect::<Vec<_>>();
                for http in blocks("http") {
                    // What is said outside of `http` about the log of errors holds inside.
                    let mut lines: Vec<Line<'c>> = top.iter().filter(|line| line.is("error_log")).cloned().collect();
                    lines.extend(self.inner(&http));
                    self.http(&lines);
                }
                for stream in blocks("stream") {
                    let lines = self.inner(&stream);
                    self.stream(&lines);
                }
            }
            Context::Stream => self.stream(&top),
            Context::StreamServer => self.stream_servers(&[top], &[]),
            Context::Http | Context::Upstream | Context::Entries => self.http(&top),
            Context::Events | Context::Mail | Context::MailServer | Context::StreamUpstream => {}
            Context::Server | Context::ServerIf | Context::Unknown => {
                self.servers(&Scope::default(), vec![(top, None)])
            }
            Context::Location | Context::LocationIf | Context::LimitExcept => {
                let inner = vec![self.lone_location(&top)];
                self.servers(&Scope::default(), vec![(inner, None)]);
            }
        }
    }

    fn http(&mut self, lines: &[Line<'c>]) {
        self.find_upstreams(lines);
        self.find_zones(lines);
        let scope = self.inherit(&Scope::default(), lines);
        let servers = lines.iter().filter(|line| line.is("server")).cloned().collect::<Vec<_>>();
        let servers = servers.into_iter().map(|line| (self.inner(&line), Some(line))).collect();
        self.servers(&scope, servers);
        // Tables that nobody asks are read too: nginx does.
        self.read_tables();
        self.refused(lines);
    }

    /// Whether the server is at least of this version.
    fn since(&self, version: (u32, u32, u32)) -> bool {
        self.version >= version
    }

    /// A chain that is filled later.
    fn reserve(&mut self) -> ChainId {
        self.gateway.add(Chain { clauses: Vec::new(), otherwise: Terminal::Return, origin: Origin::default() })
    }

    fn fill(&mut self, id: ChainId, chain: Chain) {
        self.gateway.replace(id, chain);
    }

    /// Lets go what only a server had that was read.
    fn forget(&mut self) {
        self.headers.retain(|_, headers| Rc::strong_count(&headers.list) > 1);
        self.settings.retain(|_, (list, _)| Arc::strong_count(list) > 1);
    }

    /// A condition that many clauses have, by what it asks.
    fn shared(&mut self, key: &[u8], make: impl FnOnce() -> Predicate) -> Condition {
        if let Some(known) = self.conditions.get(key) {
            return known.clone();
        }
        let made = Condition::from(make());
        self.conditions.insert(key.to_vec(), made.clone());
        made
    }

    /// A chain without clauses.
    fn end(&mut self, otherwise: Terminal, origin: Origin) -> ChainId {
        self.gateway.add(Chain { clauses: Vec::new(), otherwise, origin })
    }

    /// Something that nginx would refuse to load.
    fn error(&mut self, line: &Line<'_>, message: impl Into<String>, help: &str) {
        self.problem(Severity::Error, line, message.into(), help);
    }

    /// Something that isn't understood.
    fn warning(&mut self, line: &Line<'_>, message: impl Into<String>, help: &str) {
        self.problem(Severity::Warning, line, message.into(), help);
    }

    fn problem(&mut self, severity: Severity, line: &Line<'_>, message: String, help: &str) {
        let mut problem = Diagnostic::new(severity, message);
        if let Some(file) = self.config.files.get(line.head.file()) {
            problem = problem.at(file, line.head.span(), "");
        }
        self.sink.push(if help.is_empty() { problem } else { problem.help(help) });
    }

    /// `file:line` of a line, for reasons.
    fn place(&self, line: &Line<'_>) -> String {
        match self.config.files.get(line.head.file()) {
            Some(file) => format!("{}:{}", file.name, file.line_column(line.head.span().start).line),
            None => String::new(),
        }
    }

    /// Where a folder with files lies: relative names are below nginx's prefix, which is around a main file in `conf/`.
    fn below_prefix(&self, name: &[u8]) -> PathBuf {
        let folder = self.config.files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
        match folder.file_name().is_some_and(|own| own == "conf") && !name.starts_with(b"/") {
            true => folder.with_file_name("").join(String::from_utf8_lossy(name).as_ref()),
            false => self.path(name),
        }
    }

    /// Where a file that a config names lies: absolute names below the given root, others beside the main file.
    fn path(&self, name: &[u8]) -> PathBuf {
        let name = String::from_utf8_lossy(name).into_owned();
        let folder = self.config.files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
        match (&self.options.root, name.strip_prefix('/')) {
            (Some(root), Some(below)) => root.join(below),
            _ => folder.join(name),
        }
    }
}
