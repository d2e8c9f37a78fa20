//! Directives of modules that aren't nginx's own, by how their names begin.
//!
//! In: a name. Out: the module, and what the directive can do to an answer. Invariant: only names that nginx's own modules don't have.

use Effect::{Access, Content, Nothing, Rewrite};

/// What a directive can do to the answer of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that decides: logs, response headers, compression, variables, where things lie.
    Nothing,
    /// It acts beside `rewrite` and `return`.
    Rewrite,
    /// It acts beside `allow` and `auth_basic`, or changes what those see.
    Access,
    /// It answers in the place of `proxy_pass`.
    Content,
}

/// Whole names, which count before beginnings.
const NAMES: &[(&str, &str, Effect)] = &[
    ("api", "nginx Plus", Content),
    ("status", "nginx Plus", Content),
    ("auth_require", "nginx Plus", Access),
    ("match", "nginx Plus", Nothing),
    ("queue", "nginx Plus", Nothing),
    ("state", "nginx Plus", Nothing),
    ("mgmt", "nginx Plus", Nothing),
    ("fair", "upstream-fair", Nothing),
    ("check", "upstream-check", Nothing),
    ("auth_digest", "auth-digest", Access),
    ("js_access", "njs", Access),
    ("js_content", "njs", Content),
    ("more_set_input_headers", "headers-more", Access),
    ("more_clear_input_headers", "headers-more", Access),
    ("modsecurity", "ModSecurity", Access),
    ("coraza", "Coraza", Access),
    ("auth_jwt", "auth-jwt", Access),
    ("app_protect_enable", "app-protect", Access),
    ("SecRulesEnabled", "naxsi", Access),
    ("vhost_traffic_status_display", "vts", Content),
    ("stream_server_traffic_status_display", "sts", Content),
    ("auth_ldap_servers", "auth-ldap", Nothing),
    ("auth_pam_service_name", "auth-pam", Nothing),
    ("akamai_g2o_log_level", "akamai", Nothing),
    ("passenger_root", "passenger", Nothing),
    ("passenger_ruby", "passenger", Nothing),
    ("echo_status", "echo", Nothing),
    ("echo_before_body", "echo", Nothing),
    ("echo_after_body", "echo", Nothing),
];

/// Beginnings.
const BEGINNINGS: &[(&str, &str, Effect)] = &[
    ("access_by_lua", "lua", Access),
    ("balancer_by_lua", "lua", Nothing),
    ("body_filter_by_lua", "lua", Nothing),
    ("content_by_lua", "lua", Content),
    ("exit_worker_by_lua", "lua", Nothing),
    ("header_filter_by_lua", "lua", Nothing),
    ("init_by_lua", "lua", Nothing),
    ("init_worker_by_lua", "lua", Nothing),
    ("log_by_lua", "lua", Nothing),
    ("preread_by_lua", "lua", Nothing),
    ("proxy_ssl_certificate_by_lua", "lua", Nothing),
    ("proxy_ssl_verify_by_lua", "lua", Nothing),
    ("rewrite_by_lua", "lua", Rewrite),
    ("server_rewrite_by_lua", "lua", Rewrite),
    ("set_by_lua", "lua", Nothing),
    ("ssl_certificate_by_lua", "lua", Nothing),
    ("ssl_client_hello_by_lua", "lua", Nothing),
    ("ssl_session_fetch_by_lua", "lua", Nothing),
    ("ssl_session_store_by_lua", "lua", Nothing),
    ("lua_", "lua", Nothing),
    ("js_", "njs", Nothing),
    ("more_", "headers-more", Nothing),
    ("brotli", "brotli", Nothing),
    ("zstd", "zstd", Nothing),
    ("modsecurity", "ModSecurity", Nothing),
    ("coraza", "Coraza", Nothing),
    ("vhost_traffic_status", "vts", Nothing),
    ("stream_server_traffic_status", "sts", Nothing),
    ("geoip2", "geoip2", Nothing),
    ("auth_jwt", "auth-jwt", Nothing),
    ("auth_pam", "auth-pam", Access),
    ("auth_ldap", "auth-ldap", Access),
    ("auth_gss", "spnego-http-auth", Access),
    ("auth_oidc", "oidc", Access),
    ("auth_totp", "auth-totp", Access),
    ("ldap_server", "auth-ldap", Nothing),
    ("akamai_", "akamai", Access),
    ("acme_", "acme", Nothing),
    ("otel_", "otel", Nothing),
    ("opentracing", "opentracing", Nothing),
    ("opentelemetry", "opentelemetry", Nothing),
    ("datadog_", "datadog", Nothing),
    ("passenger_", "passenger", Content),
    ("pagespeed", "pagespeed", Nothing),
    ("rtmp", "rtmp", Nothing),
    ("nchan_", "nchan", Content),
    ("push_stream_", "push-stream", Content),
    ("upload_", "upload", Content),
    ("fancyindex", "fancyindex", Content),
    ("dav_ext_", "dav-ext", Nothing),
    ("subs_filter", "substitutions", Nothing),
    ("security_headers", "security-headers", Nothing),
    ("naxsi", "naxsi", Nothing),
    ("SecRules", "naxsi", Nothing),
    ("LearningMode", "naxsi", Nothing),
    ("BasicRule", "naxsi", Nothing),
    ("CheckRule", "naxsi", Nothing),
    ("MainRule", "naxsi", Nothing),
    ("DeniedUrl", "naxsi", Nothing),
    ("fastcgi_cache_purge", "cache-purge", Content),
    ("proxy_cache_purge", "cache-purge", Content),
    ("scgi_cache_purge", "cache-purge", Content),
    ("uwsgi_cache_purge", "cache-purge", Content),
    ("cache_purge_", "cache-purge", Nothing),
    ("memc_", "memc", Content),
    ("redis", "redis", Content),
    ("srcache_", "srcache", Content),
    ("encrypted_session_", "encrypted-session", Nothing),
    ("iconv_", "iconv", Nothing),
    ("xss_", "xss", Nothing),
    ("rds_", "rds", Nothing),
    ("drizzle_", "drizzle", Content),
    ("postgres_", "postgres", Content),
    ("array_", "array-var", Nothing),
    ("form_input", "form-input", Nothing),
    ("set_form_input", "form-input", Nothing),
    ("echo", "echo", Content),
    ("keyval", "keyval", Nothing),
    ("upstream_fair", "upstream-fair", Nothing),
    ("uploadprogress", "uploadprogress", Nothing),
    ("track_uploads", "uploadprogress", Nothing),
    ("report_uploads", "uploadprogress", Content),
    ("check_http_", "upstream-check", Nothing),
    ("check_status", "upstream-check", Content),
    ("check_shm_", "upstream-check", Nothing),
    ("jdomain", "upstream-jdomain", Nothing),
    ("dynamic_upstream", "dynamic-upstream", Nothing),
    ("cookie_flag", "cookie-flag", Nothing),
    ("testcookie", "testcookie", Access),
    ("aws_", "aws-auth", Content),
    ("google_perftools_", "google-perftools", Nothing),
    ("app_protect", "app-protect", Nothing),
    ("health_check", "nginx Plus", Nothing),
    ("status_zone", "nginx Plus", Nothing),
    ("zone_sync", "nginx Plus", Nothing),
    ("session_log", "nginx Plus", Nothing),
    ("f4f", "nginx Plus", Content),
    ("hls", "nginx Plus", Content),
    ("ntlm", "nginx Plus", Nothing),
    ("mqtt", "nginx Plus", Nothing),
    ("oidc_", "nginx Plus", Nothing),
    ("internal_redirect", "nginx Plus", Rewrite),
    ("num_map", "nginx Plus", Nothing),
    ("proxy_bind_dynamic", "nginx Plus", Nothing),
    ("proxy_request_dynamic", "nginx Plus", Nothing),
    ("proxy_allow_upstream", "nginx Plus", Nothing),
    ("tunnel_allow_upstream", "nginx Plus", Nothing),
];

/// The module that brings a directive, and what it can do.
pub fn find(name: &[u8]) -> Option<(&'static str, Effect)> {
    let whole = NAMES.iter().find(|(known, ..)| known.as_bytes() == name);
    let begins = || BEGINNINGS.iter().find(|(beginning, ..)| name.starts_with(beginning.as_bytes()));
    whole.or_else(begins).map(|(_, module, effect)| (*module, *effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginxs_own_directives_are_of_no_other_module() {
        for rule in super::super::table::TABLE.rules().iter().filter(|rule| rule.standard()) {
            assert_eq!(find(rule.name.as_bytes()), None, "{}", rule.name);
        }
    }
}
