//! Where in a configuration a directive can stand.
//!
//! In: the block around a directive. Out: its [`Context`]. Invariant: the same distinctions as nginx's own (`NGX_HTTP_LIF_CONF` and so on).

/// The kind of block that a directive stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Context {
    /// Outside of every block.
    #[default]
    Main,
    /// `events { }`
    Events,
    /// `http { }`
    Http,
    /// `server { }` in `http`.
    Server,
    /// `location { }`
    Location,
    /// `if { }` in a server.
    ServerIf,
    /// `if { }` in a location.
    LocationIf,
    /// `limit_except { }`
    LimitExcept,
    /// `upstream { }` in `http`.
    Upstream,
    /// `stream { }`
    Stream,
    /// `server { }` in `stream`.
    StreamServer,
    /// `upstream { }` in `stream`.
    StreamUpstream,
    /// `mail { }`
    Mail,
    /// `server { }` in `mail`.
    MailServer,
    /// A block of entries that aren't directives: `map`, `geo`, `types`, `split_clients`, `charset_map`.
    Entries,
    /// A block of a directive that isn't known.
    Unknown,
}

/// A set of contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contexts(u16);

/// The names of contexts in `directives.txt`, and what messages call them.
const NAMES: &[(&str, Context, &str)] = &[
    ("main", Context::Main, "the main context"),
    ("events", Context::Events, "`events`"),
    ("http", Context::Http, "`http`"),
    ("server", Context::Server, "`server`"),
    ("server-if", Context::ServerIf, "`if` in a server"),
    ("location", Context::Location, "`location`"),
    ("location-if", Context::LocationIf, "`if` in a location"),
    ("limit_except", Context::LimitExcept, "`limit_except`"),
    ("upstream", Context::Upstream, "`upstream`"),
    ("stream", Context::Stream, "`stream`"),
    ("stream-server", Context::StreamServer, "`server` of `stream`"),
    ("stream-upstream", Context::StreamUpstream, "`upstream` of `stream`"),
    ("mail", Context::Mail, "`mail`"),
    ("mail-server", Context::MailServer, "`server` of `mail`"),
];

impl Context {
    /// What messages call it.
    pub fn told(self) -> &'static str {
        NAMES.iter().find(|(_, context, _)| *context == self).map_or("this block", |(.., told)| told)
    }

    /// What stands in a block with this name that stands here.
    pub fn inside(self, name: &[u8]) -> Context {
        match (self, name) {
            (Context::Main, b"events") => Context::Events,
            (Context::Main, b"http") => Context::Http,
            (Context::Main, b"stream") => Context::Stream,
            (Context::Main, b"mail") => Context::Mail,
            (Context::Http, b"server") => Context::Server,
            (Context::Http, b"upstream") => Context::Upstream,
            (Context::Stream, b"server") => Context::StreamServer,
            (Context::Stream, b"upstream") => Context::StreamUpstream,
            (Context::Mail, b"server") => Context::MailServer,
            (Context::Server | Context::Location, b"location") => Context::Location,
            (Context::Server, b"if") => Context::ServerIf,
            (Context::Location, b"if") => Context::LocationIf,
            (Context::Location, b"limit_except") => Context::LimitExcept,
            (_, b"map" | b"geo" | b"types" | b"split_clients" | b"charset_map") => Context::Entries,
            _ => Context::Unknown,
        }
    }
}

impl Contexts {
    /// None.
    pub const NONE: Contexts = Contexts(0);

    /// The contexts that `directives.txt` calls so.
    pub fn named(name: &str) -> Option<Contexts> {
        match name {
            "any" => Some(Contexts(u16::MAX)),
            _ => NAMES.iter().find(|(known, ..)| *known == name).map(|(_, context, _)| Contexts(1 << *context as u16)),
        }
    }

    /// These and others.
    pub fn or(self, others: Contexts) -> Contexts {
        Contexts(self.0 | others.0)
    }

    /// Whether one is in both.
    pub fn meets(self, others: Contexts) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether it is one of them.
    pub fn has(self, context: Context) -> bool {
        self.0 & 1 << context as u16 != 0
    }

    /// What messages call them.
    pub fn told(self) -> String {
        let told: Vec<&str> =
            NAMES.iter().filter(|(_, context, _)| self.has(*context)).map(|(.., told)| *told).collect();
        match told.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
            None => String::new(),
        }
    }
}
