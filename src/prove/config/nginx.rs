//! nginx: a whole configuration with its includes, moved aside.
//!
//! In: a [`Config`] as it was read. Out: the same files in a folder of their own, changed in the places that name an address, a
//! certificate, a log or a process. Invariant: whatever a request meets inside stays byte for byte; what can't be moved is an error.

mod acts;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use acts::{ACTS, Act};

use super::edits::Edits;
use super::world::World;
use crate::dialect::nginx::config::{Block, Config, Directive, Word};
use crate::dialect::nginx::context::Context;
use crate::dialect::nginx::lexer;
use crate::dialect::tree::TokenKind;
use crate::prove::server::{self, Launch};
use crate::source::SourceFile;

/// The variable that stands for an upstream which a config computes.
const COMPUTED: &str = "llmguard_upstream";

/// Where a config comes from.
#[derive(Debug, Clone, Copy)]
pub struct From<'a> {
    /// Below it lie the files that absolute paths mean.
    pub root: Option<&'a Path>,
    /// The program that is started.
    pub program: &'a Path,
}

/// Moves a config into the folder of `world`. Returns the main file there. Errors: what can't be moved, with its place.
pub fn stage(config: &Config, from: From<'_>, world: &mut World) -> Result<PathBuf, String> {
    let build = server::nginx_build(from.program);
    let mut mover = Mover {
        config,
        opens: config.files.iter().map(|file| opens(file.bytes())).collect(),
        from,
        build,
        world,
        edits: Edits::default(),
        upstreams: BTreeSet::new(),
        own: BTreeSet::new(),
        computed: false,
    };
    mover.upstreams = mover.named_upstreams();
    mover.own = mover.own_listeners();
    mover.block(config.top(), config.context)?;
    for file in 0..config.files.len() {
        mover.includes(file);
    }
    mover.write()
}

/// How nginx is started on a moved config.
pub fn launch(main: &Path, program: &Path, world: &World) -> Result<Launch, String> {
    let folder = world.folder.path();
    let mut globals = format!("daemon off; worker_processes 1; pid {}/nginx.pid;", folder.display());
    if rustix::process::geteuid().is_root() {
        // Its workers would run as nobody, who can't enter this folder.
        globals.push_str(" user root;");
    }
    let args = ["-e", "stderr", "-p"].map(Into::into).into_iter().chain([folder.into(), "-c".into(), main.into()]);
    Ok(Launch {
        program: program.to_owned(),
        args: args.chain(["-g".into(), globals.into()]).collect(),
        env: Vec::new(),
        cwd: folder.to_owned(),
        log: world.path("server.log")?,
    })
}

struct Mover<'a> {
    config: &'a Config,
    /// For each file, where its braces open: start and end.
    opens: Vec<Vec<(usize, usize)>>,
    from: From<'a>,
    /// What the program says about how it was built.
    build: String,
    world: &'a mut World,
    edits: Edits,
    /// The names of `upstream` blocks.
    upstreams: BTreeSet<String>,
    /// The listeners of `http {}`: to these `stream {}` may pass connections.
    own: BTreeSet<String>,
    /// Whether an upstream is computed from variables.
    computed: bool,
}

impl Mover<'_> {
    fn text(&self, word: Word) -> String {
        String::from_utf8_lossy(self.config.value(word)).into_owned()
    }

    fn name(&self, directive: &Directive) -> String {
        String::from_utf8_lossy(self.config.name(directive)).into_owned()
    }

    /// Where a directive stands, for messages.
    fn at(&self, directive: &Directive) -> String {
        let place = self.config.place(directive);
        self.config
            .files
            .get(place.file())
            .map_or(String::new(), |file| format!("{}:{}", file.name, file.line_column(place.span().start).line))
    }

    fn named_upstreams(&self) -> BTreeSet<String> {
        let blocks = self.config.directives.iter().filter(|directive| directive.block().is_some());
        let named = blocks.filter(|directive| self.name(directive) == "upstream");
        named.filter_map(|directive| Some(self.text(*self.config.args(directive).first()?))).collect()
    }

    fn own_listeners(&self) -> BTreeSet<String> {
        let config = self.config;
        let mut own = BTreeSet::new();
        let mut left = vec![(config.top(), config.context)];
        while let Some((block, context)) = left.pop() {
            for directive in config.within(block) {
                let name = config.name(directive);
                if let Some(inner) = directive.block() {
                    left.push((inner, context.inside(name)));
                } else if name == b"listen" && matches!(context, Context::Server) {
                    own.extend(config.args(directive).first().and_then(|word| listen_address(&self.text(*word))));
                }
            }
        }
        own
    }

    /// The listener of `http {}` that an address of this machine leads to.
    fn own_listener(&self, address: &str) -> Option<String> {
        let (host, port) = address.rsplit_once(':')?;
        let loopback = ["127.0.0.1", "localhost"].contains(&host);
        let exact = [address.to_owned(), format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("*:{port}")];
        let ipv6 = [address.to_owned(), format!("[::]:{port}")];
        let names: &[String] = if loopback {
            &exact
        } else if host == "[::1]" {
            &ipv6
        } else {
            &exact[..1]
        };
        names.iter().find(|name| self.own.contains(*name)).cloned()
    }

    /// Where connections of `stream {}` to an address go. Errors: what the system says.
    fn connected(&mut self, address: &str) -> Result<String, String> {
        match self.own_listener(address) {
            Some(own) => Ok(self.world.listener(&own)?.to_string()),
            None => Ok(self.world.upstream(address)?.to_string()),
        }
    }

    /// Every directive of a block and of those inside, without recursion.
    fn block(&mut self, block: Block, context: Context) -> Result<(), String> {
        let config = self.config;
        let mut left: Vec<(&Directive, Context)> = config.within(block).map(|inner| (inner, context)).collect();
        while let Some((directive, context)) = left.pop() {
            let name = self.name(directive);
            let inside = context.inside(name.as_bytes());
            if let Some(block) = directive.block() {
                left.extend(config.within(block).map(|inner| (inner, inside)));
                self.opened(directive, inside, block)?;
                continue;
            }
            if matches!(context, Context::Entries | Context::Unknown) {
                continue;
            }
            if let Some((_, act)) = ACTS.iter().find(|(own, _)| *own == name) {
                self.act(*act, directive, context)?;
            }
        }
        Ok(())
    }

    /// What is put into a block behind its `{`.
    fn opened(&mut self, directive: &Directive, inside: Context, block: Block) -> Result<(), String> {
        let config = self.config;
        let has = |name: &str| config.within(block).any(|inner| config.name(inner) == name.as_bytes());
        let mut text = String::new();
        match inside {
            Context::Upstream => self.pool(block, false)?,
            Context::StreamUpstream => self.pool(block, true)?,
            Context::Http => {
                text.push_str(&self.http_settings(has("access_log"))?);
            }
            Context::Server if !has("listen") => {
                text = format!(" listen {};", self.world.listener("*:80")?);
            }
            _ => {}
        }
        if !text.is_empty() {
            self.insert_inside(directive, &text);
        }
        Ok(())
    }

    /// Where nginx writes whatever it is asked, which must not be the machine's own folders.
    fn http_settings(&self, has_log: bool) -> Result<String, String> {
        let folder = self.world.path("tmp/x")?;
        let folder = folder.parent().unwrap_or(Path::new(".")).display().to_string();
        let mut text = String::new();
        for module in ["proxy", "fastcgi", "uwsgi", "scgi"] {
            if !self.build.contains(&format!("--without-http_{module}_module")) {
                text.push_str(&format!(" {module}_temp_path \"{folder}\";"));
            }
        }
        text.push_str(&format!(" client_body_temp_path \"{folder}\";"));
        if !has_log {
            text.push_str(&format!(" access_log \"{}\";", self.world.path("logs/access.log")?.display()));
        }
        Ok(text)
    }

    fn insert_inside(&mut self, directive: &Directive, text: &str) {
        let Some(last) = self.config.words(directive).last().map(Word::place) else { return };
        let (file, after) = (last.file(), last.span().end);
        let Some(opens) = self.opens.get(file) else { return };
        if let Some((_, end)) = opens.get(opens.partition_point(|(start, _)| *start < after)) {
            self.edits.insert(file, *end, text);
        }
    }

    fn act(&mut self, act: Act, directive: &Directive, context: Context) -> Result<(), String> {
        let Some(first) = self.config.args(directive).first().copied() else { return Ok(()) };
        let value = self.text(first);
        match act {
            Act::Remove => self.remove(directive),
            Act::Listen => self.listen(directive, &value)?,
            // Who is asked there can't be told beforehand, so nobody is.
            Act::Pass if matches!(context, Context::StreamServer) && value.contains('$') => {}
            Act::Pass if matches!(context, Context::StreamServer) && !self.upstreams.contains(&value) => {
                let addr = self.connected(&value)?;
                self.put(first, &addr);
            }
            Act::Pass if matches!(context, Context::StreamServer) => {}
            Act::Pass => self.pass(directive, first, &value)?,
            Act::Wrap if self.own.is_empty() => self.remove(directive),
            Act::Wrap => {}
            Act::Resolver => {
                let nobody = self.world.nobody();
                self.put(first, &nobody.to_string());
                for word in self.config.args(directive).iter().skip(1) {
                    if !self.text(*word).contains('=') {
                        self.edits.replace(word.place(), "");
                    }
                }
            }
            Act::Log if value == "off" => {}
            Act::Log => {
                let path = self.world.path("logs/access.log")?;
                self.put_path(first, &path);
            }
            Act::Cache => {
                let path = self.world.path(&format!("cache/{}/x", first.place().span().start))?;
                self.put_path(first, path.parent().unwrap_or(&path));
            }
            Act::Certificate => {
                let (certificate, _) = self.world.certificate()?;
                self.put_path(first, &certificate);
            }
            Act::Key => {
                let (_, key) = self.world.certificate()?;
                self.put_path(first, &key);
            }
            Act::Users => self.users(first, &value)?,
            Act::Authority => {
                let path = self.own_path(&value);
                let path = if path.exists() { path } else { self.world.certificate()?.0 };
                self.put_path(first, &path);
            }
            Act::Read if value.contains('$') => {}
            Act::Read => {
                let path = self.own_path(&value);
                if path.exists() { self.put_path(first, &path) } else { self.remove(directive) }
            }
            Act::Content if value.starts_with('/') && self.from.root.is_some() => {
                let path = self.own_path(&value);
                self.put_path(first, &path);
            }
            Act::Content if value.starts_with('/') || value.starts_with('$') => {}
            Act::Content => {
                let prefix = self.build.split_whitespace().find_map(|word| word.strip_prefix("--prefix="));
                let path = Path::new(prefix.unwrap_or("/")).join(&value);
                self.put_path(first, &path);
            }
            Act::Module => {
                let name = Path::new(&value).file_name().and_then(OsStr::to_str).unwrap_or(&value);
                if let Some(path) = server::nginx_module(self.from.program, name) {
                    self.put_path(first, &path);
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, directive: &Directive) {
        let place = self.config.place(directive);
        if let Some(file) = self.config.files.get(place.file()) {
            self.edits.remove(place, file.bytes());
        }
    }

    fn put(&mut self, word: Word, value: &str) {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        self.edits.replace(word.place(), format!("\"{quoted}\""));
    }

    fn put_path(&mut self, word: Word, path: &Path) {
        self.put(word, &path.display().to_string());
    }

    fn listen(&mut self, directive: &Directive, value: &str) -> Result<(), String> {
        let Some(first) = self.config.args(directive).first().copied() else { return Ok(()) };
        if value.starts_with("unix:") {
            let path = self.world.path(&format!("{}.sock", first.place().span().start))?;
            self.world.notes.push(format!("{}: `listen {value}` is not asked: it is no port", self.at(directive)));
            self.put(first, &format!("unix:{}", path.display()));
            return Ok(());
        }
        let own = listen_address(value).ok_or_else(|| {
            format!("{}: `listen {value}` can't be moved: it is neither a port nor an address", self.at(directive))
        })?;
        let flags: Vec<(Word, String)> =
            self.config.args(directive).iter().skip(1).map(|word| (*word, self.text(*word))).collect();
        let udp = flags.iter().any(|(_, flag)| flag == "udp" || flag == "quic");
        let addr = self.world.listener(&if udp { format!("{own}/udp") } else { own.clone() })?;
        let announced = flags.iter().any(|(_, flag)| flag == "proxy_protocol");
        if udp || announced {
            let why = if udp { "it isn't TCP" } else { "connections begin with a line of the PROXY protocol there" };
            self.world.notes.push(format!("{}: `listen {value}` is not asked: {why}", self.at(directive)));
            self.world.unasked.extend(Some(addr.port()).filter(|_| announced));
        }
        self.put(first, &addr.to_string());
        for (word, _) in flags.iter().filter(|(_, flag)| flag.starts_with("ipv6only=")) {
            self.edits.replace(word.place(), "");
        }
        Ok(())
    }

    /// The servers of an `upstream` block are one stand-in: which of them nginx chooses is no question of a single request.
    fn pool(&mut self, block: Block, stream: bool) -> Result<(), String> {
        let config = self.config;
        let servers = config.within(block).filter(|inner| config.name(inner) == b"server");
        let mut addr = None;
        for server in servers {
            let Some(first) = config.args(server).first().copied() else { continue };
            let addr: &String = match &addr {
                Some(addr) => addr,
                None if stream => addr.insert(self.connected(&self.text(first))?),
                None => addr.insert(self.world.upstream(&with_port(&self.text(first), "80"))?.to_string()),
            };
            let addr = addr.clone();
            self.put(first, &addr);
            for word in config.args(server).iter().skip(1) {
                let flag = self.text(*word);
                if flag == "resolve" || flag.starts_with("service=") {
                    self.edits.replace(word.place(), "");
                }
            }
        }
        Ok(())
    }

    /// The address of a `…_pass`: its scheme, host and port.
    fn pass(&mut self, directive: &Directive, word: Word, value: &str) -> Result<(), String> {
        let cant = |this: &Self, why: &str| {
            Err(format!("{}: `{} {value}` can't be moved: {why}", this.at(directive), this.name(directive)))
        };
        let (scheme, rest) = match value.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('$') => (Some(scheme), rest),
            _ if value.starts_with('$') => return cant(self, "the whole address is computed"),
            _ => (None, value),
        };
        let default = if matches!(scheme, Some("https" | "grpcs")) { "443" } else { "80" };
        let (host, uri) = match rest.strip_prefix("unix:") {
            Some(path) => {
                let end = path.find(':').unwrap_or(path.len());
                (rest.get(..end + 5).unwrap_or(rest), path.get(end..).map_or("", |uri| uri.trim_start_matches(':')))
            }
            None => rest.split_at(authority_end(rest)),
        };
        let scheme = match scheme {
            Some("https") => "http://",
            Some("grpcs") => "grpc://",
            Some("http") => "http://",
            Some("grpc") => "grpc://",
            _ => "",
        };
        let addr = if host.starts_with('$') {
            self.computed = true;
            format!("${COMPUTED}")
        } else if self.upstreams.contains(host) {
            host.to_owned()
        } else if host.starts_with("unix:") {
            self.world.upstream(host)?.to_string()
        } else {
            self.world.upstream(&with_port(host, default))?.to_string()
        };
        self.put(word, &format!("{scheme}{addr}{uri}"));
        Ok(())
    }

    /// The path of a file that the config names.
    fn own_path(&self, value: &str) -> PathBuf {
        let main = self.config.files.first().map_or(Path::new("."), |file| file.folder());
        match (self.from.root, value.strip_prefix('/')) {
            (Some(root), Some(below)) => root.join(below),
            _ => std::path::absolute(main.join(value)).unwrap_or_else(|_| main.join(value)),
        }
    }

    /// A user file whose users have passwords that are known here.
    fn users(&mut self, word: Word, value: &str) -> Result<(), String> {
        if value.contains('$') {
            return Ok(());
        }
        let mut text = String::new();
        let own = std::fs::read(self.own_path(value)).unwrap_or_default();
        for line in String::from_utf8_lossy(&own).lines() {
            match line.split_once(':') {
                Some((name, _)) if !line.starts_with('#') => {
                    text.push_str(&format!("{name}:{}\n", super::world::hash(name)?));
                }
                _ => text.push_str(&format!("{line}\n")),
            }
        }
        // A file that isn't there is none here either.
        let path = if own.is_empty() && !self.own_path(value).exists() {
            self.world.path("users/none")?
        } else {
            self.world
                .write(&format!("users/{}-{}", word.place().file(), word.place().span().start), text.as_bytes())?
        };
        self.put_path(word, &path);
        Ok(())
    }

    /// Absolute names of included files point into the folder.
    fn includes(&mut self, file: usize) {
        let Some(source) = self.config.files.get(file) else { return };
        let (tree, _) = lexer::parse(source.bytes());
        let word = |index: u32| {
            let token = tree.tokens.get(*tree.words.get(index as usize)? as usize)?;
            Some((token.span(), source.bytes().get(token.span().start..token.span().end)?))
        };
        for node in tree.nodes.iter().filter(|node| !node.block && node.words.len() == 2) {
            let (Some((_, name)), Some((span, path))) = (word(node.words.start), word(node.words.start + 1)) else {
                continue;
            };
            let quotes = usize::from(matches!(path.first(), Some(b'"' | b'\'')));
            if name == b"include" && path.get(quotes) == Some(&b'/') {
                let tree = format!("{}/tree", self.world.folder.path().display());
                self.edits.insert(file, span.start + quotes, &tree);
            }
        }
    }

    /// Writes the files. Returns the main one.
    fn write(mut self) -> Result<PathBuf, String> {
        if self.computed {
            self.set_computed()?;
        }
        let mut main = None;
        for (index, file) in self.config.files.iter().enumerate() {
            let below = Path::new("tree").join(below(file, self.from.root)).display().to_string();
            let written = self.world.write(&below, &self.edits.apply(index, file.bytes()))?;
            main.get_or_insert(written);
        }
        let main = main.ok_or("the config has no file")?;
        match wrapping(self.config.context) {
            None => Ok(main),
            Some((before, after)) => {
                let text = before.replace("@HTTP@", &self.http_settings(false)?);
                let listen =
                    if text.contains("@LISTEN@") { self.world.listener("*:80")?.to_string() } else { String::new() };
                let text = text.replace("@LISTEN@", &listen);
                let whole = format!("{text} include \"{}\"; {after}\n", main.display());
                self.world.write("tree/whole.conf", whole.as_bytes())
            }
        }
    }

    /// An upstream that a config computes is one stand-in, by a variable, so that the rest of the address means the same.
    fn set_computed(&mut self) -> Result<(), String> {
        let addr = self.world.upstream("an upstream that the config computes")?;
        let config = self.config;
        let servers = config.directives.iter().filter(|directive| {
            directive.block().is_some() && config.args(directive).is_empty() && config.name(directive) == b"server"
        });
        for server in servers {
            self.insert_inside(server, &format!(" set ${COMPUTED} \"{addr}\";"));
        }
        Ok(())
    }
}

/// Where the braces of a file open.
fn opens(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (tree, _) = lexer::parse(bytes);
    let open = tree.tokens.iter().filter(|token| token.kind == TokenKind::Open);
    open.map(|token| (token.start as usize, token.end as usize)).collect()
}

/// Where a file lies in the tree of a moved config: as it does below `root`, or on this machine.
pub fn below(file: &SourceFile, root: Option<&Path>) -> PathBuf {
    let path = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
    let root = root.and_then(|root| std::path::absolute(root).ok());
    let own = root.and_then(|root| path.strip_prefix(root).ok().map(Path::to_owned)).unwrap_or(path);
    own.strip_prefix("/").map(Path::to_owned).unwrap_or(own)
}

/// What a part of a configuration is put into.
fn wrapping(context: Context) -> Option<(&'static str, &'static str)> {
    match context {
        Context::Http => Some(("events {} http { @HTTP@", "}")),
        Context::Server => Some(("events {} http { @HTTP@ server { listen @LISTEN@;", "} }")),
        Context::Location => Some(("events {} http { @HTTP@ server { listen @LISTEN@; location / {", "} } }")),
        _ => None,
    }
}

/// `*:80` of what stands behind `listen`. `None`: it is neither a port nor an address.
fn listen_address(value: &str) -> Option<String> {
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("*:{value}"));
    }
    let (host, port) = match value.rfind(']') {
        Some(end) => (value.get(..=end)?, value.get(end + 1..)?.strip_prefix(':').unwrap_or("80")),
        None => value.split_once(':').unwrap_or((value, "80")),
    };
    let host = match host {
        "0.0.0.0" => "*",
        _ if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => return None,
        _ => host,
    };
    port.parse::<u16>().ok().map(|port| format!("{host}:{port}"))
}

/// A host with its port.
fn with_port(host: &str, default: &str) -> String {
    let after = host.rfind(']').map_or(host, |end| host.get(end..).unwrap_or(host));
    if after.contains(':') || host.starts_with("unix:") { host.to_owned() } else { format!("{host}:{default}") }
}

/// Where the authority of an address ends: before its path, or before the variables behind a literal host.
fn authority_end(rest: &str) -> usize {
    let path = rest.find(['/', '?']).unwrap_or(rest.len());
    let computed = rest.starts_with('$');
    let bytes = rest.as_bytes();
    if !computed {
        return rest.find('$').map_or(path, |variable| path.min(variable));
    }
    // One variable, and a port behind it.
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'{' | b'}');
    let mut end = 1 + bytes.iter().skip(1).take_while(|byte| name(byte)).count();
    if bytes.get(end) == Some(&b':') {
        end += 1 + bytes.iter().skip(end + 1).take_while(|byte| byte.is_ascii_digit()).count();
    }
    end.min(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_apart() {
        for (value, own) in [
            ("80", Some("*:80")),
            ("*:8080", Some("*:8080")),
            ("0.0.0.0:8080", Some("*:8080")),
            ("127.0.0.1", Some("127.0.0.1:80")),
            ("[::]:80", Some("[::]:80")),
            ("[::1]", Some("[::1]:80")),
            ("llm.test:443", Some("llm.test:443")),
            ("80-90", None),
        ] {
            assert_eq!(listen_address(value).as_deref(), own, "{value}");
        }
        for (rest, authority) in [
            ("a:1/b", "a:1"),
            ("a", "a"),
            ("a:1$request_uri", "a:1"),
            ("$up", "$up"),
            ("$up:80/x", "$up:80"),
            ("${up}$request_uri", "${up}"),
            ("[::1]:80/", "[::1]:80"),
        ] {
            assert_eq!(&rest[..authority_end(rest)], authority, "{rest}");
        }
        assert_eq!(with_port("[::1]", "80"), "[::1]:80");
        assert_eq!(with_port("a:1", "80"), "a:1");
    }
}
