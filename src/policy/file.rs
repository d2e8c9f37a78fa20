//! The policy file as written: every key with its span, nothing resolved.
//!
//! In: TOML text. Out: a [`PolicyFile`] and every problem of form: syntax, unknown keys with the nearest known one, wrong types,
//! unparsable durations. Invariant: a key that is wrong is reported and then absent; reading always goes on.
//! The doc comments of the fields are the published JSON Schema.

use schemars::JsonSchema;
use toml::de::{DeTable, DeValue};

use super::plan::Places;
use super::syntax;
use super::value::{ApiKeys, Count, Duration, GpuSetting, HealthSetting, RateSetting, Size, Spanned, Value};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::{SourceFile, Span};

/// What the gateway in front of an LLM server does.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "Policy", deny_unknown_fields)]
pub struct PolicyFile {
    /// The format of this file: 1.
    pub version: Option<Spanned<u64>>,
    /// The server behind the gateway.
    #[schemars(required)]
    pub upstream: Option<UpstreamFile>,
    /// Where the gateway answers.
    #[schemars(with = "Option<ListenFile>")]
    pub listen: ListenFile,
    /// Which credentials count.
    #[schemars(with = "Option<AuthFile>")]
    pub auth: AuthFile,
    /// Who may call; at least one unless `auth.anonymous`.
    #[schemars(with = "Option<Vec<ClientFile>>")]
    pub client: Vec<ClientFile>,
    /// What may be called.
    #[schemars(with = "Option<AccessFile>")]
    pub access: AccessFile,
    /// How much one client address may do.
    #[schemars(with = "Option<LimitsFile>")]
    pub limits: LimitsFile,
    /// How long things may take.
    #[schemars(with = "Option<TimeoutsFile>")]
    pub timeouts: TimeoutsFile,
    /// Which web pages may call; absent: no CORS headers.
    pub cors: Option<CorsFile>,
    /// The access log.
    #[schemars(with = "Option<LogFile>")]
    pub log: LogFile,
    /// For compose and services.
    #[schemars(with = "Option<DeployFile>")]
    pub deploy: DeployFile,
    /// Where every key stands.
    #[schemars(skip)]
    pub places: Places,
    /// Whether the text is not TOML.
    #[schemars(skip)]
    pub broken: bool,
}

/// Declares a table of the policy: its struct, and how it is read. The field names are the keys.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Option<Spanned<$kind>>,)*
            /// Where the keys of this table stand.
            #[schemars(skip)]
            pub places: Places,
        }

        impl $name {
            fn read(mut table: Table<'_, '_>) -> Self {
                let read = $name {
                    $($field: table.take(stringify!($field)),)*
                    places: Places::default(),
                };
                let places = table.finish();
                $name { places, ..read }
            }
        }
    };
}

table! {
    /// The server behind the gateway.
    UpstreamFile {
        /// Its kind: ollama, vllm, llama-cpp or openai.
        #[schemars(required)]
        kind: String,
        /// `host:port` of each server, plain HTTP; default: the kind's own port on 127.0.0.1.
        servers: Vec<Spanned<String>>,
        /// The Host header sent upstream; default: `localhost:PORT` of the first server.
        host: String,
        /// `env:NAME`: the upstream's own key, sent as `Authorization: Bearer`.
        api_key: String,
        /// `least-connections` (default) or `round-robin`.
        balance: String,
    }
}

table! {
    /// Where the gateway answers.
    ListenFile {
        /// `address:port`; default 127.0.0.1:8080.
        address: String,
        /// Host names answered, exactly; empty: any.
        server_names: Vec<Spanned<String>>,
        /// `off` (default), `files`, `auto` or `internal`.
        tls: String,
        /// PEM chain, leaf first, relative to this file; with `tls = "files"`.
        certificate: String,
        /// PEM key, relative to this file; with `tls = "files"`.
        private_key: String,
        /// The account's address; with `tls = "auto"`.
        acme_email: String,
        /// The CA's directory; with `tls = "auto"`; default Let's Encrypt.
        acme_ca: String,
        /// CIDRs whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<Spanned<String>>,
    }
}

table! {
    /// Which credentials count.
    AuthFile {
        /// Of `bearer`, `x-api-key` and `basic`; default the first two, and `basic` when a client has a password.
        methods: Vec<Spanned<String>>,
        /// The realm of the challenges; default `LLM API`.
        realm: String,
        /// No authentication at all.
        anonymous: bool,
    }
}

table! {
    /// One caller.
    ClientFile {
        /// `[a-z0-9-]`, at most 32 characters, unique.
        #[schemars(required)]
        name: String,
        /// `env:NAME` or `file:PATH`, or a list of them: all accepted.
        api_key: ApiKeys,
        /// bcrypt or argon2id, literal or `env:NAME`.
        password_hash: String,
        /// What this client may use; default `access.allow`.
        allow: Vec<Spanned<String>>,
        /// Its own rate beside `limits.rate`.
        rate: RateSetting,
    }
}

table! {
    /// What may be called.
    AccessFile {
        /// Groups, or `METHOD /path` with `:param` segments; default `["inference", "models"]`.
        allow: Vec<Spanned<String>>,
        /// What is both allowed and denied is denied; default `["admin", "account"]`.
        deny: Vec<Spanned<String>>,
        /// Without authentication; default nothing.
        public: Vec<Spanned<String>>,
        /// Answered by the gateway itself; default `/health`; false: none.
        health: HealthSetting,
        /// When not empty, only these models; a final `*` is a prefix.
        models: Vec<Spanned<String>>,
    }
}

table! {
    /// How much one client address may do.
    LimitsFile {
        /// Default `{ requests = 600, per = "1m", burst = 60 }`; false: none.
        rate: RateSetting,
        /// Requests at once; default no limit.
        connections: Count,
        /// The largest request body; default 32MiB.
        body: Size,
        /// The largest request head, at least 8KiB; default 16KiB.
        header: Size,
    }
}

table! {
    /// How long things may take.
    TimeoutsFile {
        /// To reach the upstream; default 10s.
        connect: Duration,
        /// The longest silence of the upstream; default 600s.
        read: Duration,
        /// The longest pause while writing to the upstream; default 60s.
        send: Duration,
        /// The whole time for a request's head; default 10s.
        client_header: Duration,
        /// The longest pause inside a request's body; default 60s.
        client_body: Duration,
    }
}

table! {
    /// Which web pages may call.
    CorsFile {
        /// Exact origins; `*` only with `allow_any`.
        #[schemars(required)]
        origins: Vec<Spanned<String>>,
        /// Lets `*` stand in `origins`.
        allow_any: bool,
        /// Default GET and POST.
        methods: Vec<Spanned<String>>,
        /// Default Authorization, Content-Type and X-API-Key.
        headers: Vec<Spanned<String>>,
        /// Default 24h.
        max_age: Duration,
    }
}

table! {
    /// The access log.
    LogFile {
        /// `json` (default) or `off`.
        format: String,
        /// A file relative to the target's folder, an absolute one, or `stdout`; default logs/access.log, in containers stdout.
        path: String,
    }
}

table! {
    /// For compose and services.
    DeployFile {
        /// `caddy` (default), `nginx` or `traefik`.
        proxy: String,
        /// Default a pinned version.
        proxy_image: String,
        /// Default a pinned version.
        ollama_image: String,
        /// The host's folder for the models; default a named volume.
        models_dir: String,
        /// `{ vendor = "nvidia", count = "all" }` by default; false: CPU only.
        gpu: GpuSetting,
        /// The only published port; default the host part of `listen.address` and its port.
        publish: String,
        /// Whether the upstream has a way out; default true.
        egress: bool,
    }
}

/// The names of the tables, for the nearest one to an unknown name.
const TABLES: &[&str] =
    &["version", "upstream", "listen", "auth", "client", "access", "limits", "timeouts", "cors", "log", "deploy"];

/// Reads a policy's text.
pub fn read(file: &SourceFile, sink: &mut Sink) -> PolicyFile {
    let (root, errors) = DeTable::parse_recoverable(&file.text);
    let broken = !errors.is_empty();
    let mut form = Sink::default();
    let mut top = Table::new(file, &mut form, "", root.get_ref(), Span::default());
    let mut policy = PolicyFile { version: top.take("version"), broken, ..PolicyFile::default() };
    policy.upstream = top.table("upstream").map(UpstreamFile::read);
    policy.listen = top.table("listen").map(ListenFile::read).unwrap_or_default();
    policy.auth = top.table("auth").map(AuthFile::read).unwrap_or_default();
    policy.client = top.tables("client", ClientFile::read);
    policy.access = top.table("access").map(AccessFile::read).unwrap_or_default();
    policy.limits = top.table("limits").map(LimitsFile::read).unwrap_or_default();
    policy.timeouts = top.table("timeouts").map(TimeoutsFile::read).unwrap_or_default();
    policy.cors = top.table("cors").map(CorsFile::read);
    policy.log = top.table("log").map(LogFile::read).unwrap_or_default();
    policy.deploy = top.table("deploy").map(DeployFile::read).unwrap_or_default();
    let mut places = top.finish();
    let parts = [
        ("upstream", policy.upstream.as_ref().map(|table| &table.places)),
        ("listen", Some(&policy.listen.places)),
        ("auth", Some(&policy.auth.places)),
        ("access", Some(&policy.access.places)),
        ("limits", Some(&policy.limits.places)),
        ("timeouts", Some(&policy.timeouts.places)),
        ("cors", policy.cors.as_ref().map(|table| &table.places)),
        ("log", Some(&policy.log.places)),
        ("deploy", Some(&policy.deploy.places)),
    ];
    for (name, part) in parts {
        for (key, span) in part.iter().flat_map(|places| &places.keys).filter(|(key, _)| !key.is_empty()) {
            places.keys.insert(format!("{name}.{key}"), *span);
        }
    }
    policy.places = places;
    sink.list.extend(syntax::problems(file, errors, form));
    policy
}

/// The published JSON Schema.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(PolicyFile).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), "llmguard policy".into());
    }
    schema
}

/// One TOML table while it is read: which keys were asked for, and where they stand.
struct Table<'a, 'i> {
    file: &'a SourceFile,
    sink: &'a mut Sink,
    name: String,
    table: &'a DeTable<'i>,
    known: Vec<&'static str>,
    places: Places,
}

impl<'a, 'i> Table<'a, 'i> {
    fn new(file: &'a SourceFile, sink: &'a mut Sink, name: &str, table: &'a DeTable<'i>, span: Span) -> Self {
        let mut places = Places::default();
        places.keys.insert(String::new(), span);
        Table { file, sink, name: name.to_owned(), table, known: Vec::new(), places }
    }

    /// The key's value and span, and notes both as asked for.
    fn find(&mut self, key: &'static str) -> Option<(&'a DeValue<'i>, Span)> {
        self.known.push(key);
        let (name, value) = self.table.get_key_value(key)?;
        let span = Span { start: name.span().start, end: value.span().end.max(name.span().end) };
        self.places.keys.insert(key.to_owned(), span);
        Some((value.get_ref(), Span::new(value.span())))
    }

    fn take<T: Value>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let (value, span) = self.find(key)?;
        match T::from_toml(value, span) {
            Ok(value) => Some(Spanned { value, span }),
            Err(problem) => {
                let path = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
                let message = format!("`{path}` {}", problem.message);
                let span = problem.span.unwrap_or(span);
                self.sink.push(Diagnostic::new(Severity::Error, message).at(self.file, span, "").help(problem.help));
                None
            }
        }
    }

    fn table(&mut self, key: &'static str) -> Option<Table<'_, 'i>> {
        let (value, span) = self.find(key)?;
        match value.as_table() {
            Some(table) => Some(Table::new(self.file, self.sink, key, table, span)),
            None => {
                self.wrong_type(key, span, &format!("must be a table: write it as `[{key}]`"));
                None
            }
        }
    }

    fn tables<T>(&mut self, key: &'static str, read: fn(Table<'_, '_>) -> T) -> Vec<T> {
        let Some((value, span)) = self.find(key) else { return Vec::new() };
        let Some(list) = value.as_array() else {
            self.wrong_type(key, span, &format!("must be a list of tables: write each as `[[{key}]]`"));
            return Vec::new();
        };
        if list.is_empty() {
            self.wrong_type(key, span, &format!("is an empty list: write at least one `[[{key}]]`"));
        }
        let mut out = Vec::new();
        for item in list.iter() {
            let span = Span::new(item.span());
            match item.get_ref().as_table() {
                Some(table) => out.push(read(Table::new(self.file, self.sink, key, table, span))),
                None => self.wrong_type(key, span, &format!("must be a table: write it as `[[{key}]]`")),
            }
        }
        out
    }

    fn wrong_type(&mut self, key: &str, span: Span, what: &str) {
        self.sink.push(Diagnostic::new(Severity::Error, format!("`{key}` {what}")).at(self.file, span, ""));
    }

    /// Reports the keys that nobody asked for, and gives back where the others stand.
    fn finish(mut self) -> Places {
        for (name, _) in self.table.iter().filter(|(name, _)| !self.known.contains(&name.get_ref().as_ref())) {
            let key = name.get_ref().as_ref();
            let place = match self.name.as_str() {
                "" => "the policy".to_owned(),
                "client" => "[[client]]".to_owned(),
                name => format!("[{name}]"),
            };
            let message = format!("unknown key `{}` in {place}", key.escape_debug());
            let known = if self.name.is_empty() { TABLES } else { &self.known };
            let help = match nearest(key, known.iter().copied()) {
                Some(known) => {
                    // What was meant is there, so that nobody reports it as missing too.
                    self.places.keys.entry(known.to_owned()).or_insert(Span::new(name.span()));
                    format!("did you mean `{known}`?")
                }
                None => format!("known keys: {}", known.join(", ")),
            };
            self.sink
                .push(Diagnostic::new(Severity::Error, message).at(self.file, Span::new(name.span()), "").help(help));
        }
        self.places
    }
}

/// The known word that `word` was probably meant to be.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_ascii_lowercase().replace('_', "-");
    known
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_ascii_lowercase().replace('_', "-")), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
