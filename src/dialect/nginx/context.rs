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
