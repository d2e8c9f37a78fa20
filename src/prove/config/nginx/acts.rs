//! Directives of nginx that name something outside of its files, and what happens to each when a config is moved aside.
//!
//! In: a directive's name. Out: an [`Act`]. Invariant: a table and nothing else; what isn't in it stays as it is.

/// What happens to a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It goes: it is about the process, or about what isn't here.
    Remove,
    /// Its address becomes a loopback port.
    Listen,
    /// Its address becomes a stand-in's.
    Pass,
    /// A resolver that nobody needs, since every upstream has an address.
    Resolver,
    /// A log goes into the folder.
    Log,
    /// A folder that nginx writes into.
    Cache,
    /// The certificate or the key made for this run.
    Certificate,
    Key,
    /// A user file with passwords that are known here.
    Users,
    /// Certificates of whom nginx trusts; where they aren't here, it trusts nobody but this run.
    Authority,
    /// A file that nginx reads; relative ones lie beside the main file.
    Read,
    /// Files that requests are answered from; relative ones lie below nginx's own folder.
    Content,
    /// Connections of `stream` are wrapped into TLS, which stand-ins don't speak.
    Wrap,
    /// A dynamic module.
    Module,
}

/// Directives that name something outside.
pub const ACTS: &[(&str, Act)] = &[
    ("listen", Act::Listen),
    ("proxy_pass", Act::Pass),
    ("pass", Act::Pass),
    ("grpc_pass", Act::Pass),
    ("fastcgi_pass", Act::Pass),
    ("uwsgi_pass", Act::Pass),
    ("scgi_pass", Act::Pass),
    ("memcached_pass", Act::Pass),
    ("resolver", Act::Resolver),
    ("access_log", Act::Log),
    ("proxy_cache_path", Act::Cache),
    ("fastcgi_cache_path", Act::Cache),
    ("ssl_certificate", Act::Certificate),
    ("ssl_certificate_key", Act::Key),
    ("auth_basic_user_file", Act::Users),
    ("ssl_client_certificate", Act::Authority),
    ("ssl_trusted_certificate", Act::Authority),
    ("ssl_dhparam", Act::Read),
    ("ssl_crl", Act::Read),
    ("ssl_session_ticket_key", Act::Read),
    ("geoip_country", Act::Read),
    ("geoip_city", Act::Read),
    ("js_path", Act::Read),
    ("root", Act::Content),
    ("alias", Act::Content),
    ("load_module", Act::Module),
    ("user", Act::Remove),
    ("daemon", Act::Remove),
    ("master_process", Act::Remove),
    ("pid", Act::Remove),
    ("lock_file", Act::Remove),
    ("error_log", Act::Remove),
    ("worker_processes", Act::Remove),
    ("worker_cpu_affinity", Act::Remove),
    ("worker_priority", Act::Remove),
    ("worker_rlimit_nofile", Act::Remove),
    ("worker_rlimit_core", Act::Remove),
    ("worker_shutdown_timeout", Act::Remove),
    ("working_directory", Act::Remove),
    ("ssl_engine", Act::Remove),
    ("ssl_password_file", Act::Remove),
    ("ssl_stapling", Act::Remove),
    ("ssl_stapling_file", Act::Remove),
    ("ssl_stapling_responder", Act::Remove),
    ("ssl_stapling_verify", Act::Remove),
    ("ssl_ocsp", Act::Remove),
    ("proxy_bind", Act::Remove),
    ("proxy_ssl", Act::Wrap),
    ("proxy_ssl_certificate", Act::Remove),
    ("proxy_ssl_certificate_key", Act::Remove),
    ("proxy_ssl_password_file", Act::Remove),
    ("proxy_ssl_trusted_certificate", Act::Remove),
    ("proxy_ssl_crl", Act::Remove),
    ("proxy_ssl_verify", Act::Remove),
    ("client_body_temp_path", Act::Remove),
    ("proxy_temp_path", Act::Remove),
    ("fastcgi_temp_path", Act::Remove),
    ("uwsgi_temp_path", Act::Remove),
    ("scgi_temp_path", Act::Remove),
];
