//! Directives of modules that aren't nginx's own, by how their names begin or end.
//!
//! In: a name. Out: the module. Invariant: only names that nginx's own modules don't have.

/// Beginnings, and the module that uses them.
const BEGINNINGS: &[(&str, &str)] = &[
    ("access_by_lua", "lua"),
    ("balancer_by_lua", "lua"),
    ("body_filter_by_lua", "lua"),
    ("content_by_lua", "lua"),
    ("exit_worker_by_lua", "lua"),
    ("header_filter_by_lua", "lua"),
    ("init_by_lua", "lua"),
    ("init_worker_by_lua", "lua"),
    ("log_by_lua", "lua"),
    ("preread_by_lua", "lua"),
    ("proxy_ssl_certificate_by_lua", "lua"),
    ("proxy_ssl_verify_by_lua", "lua"),
    ("rewrite_by_lua", "lua"),
    ("server_rewrite_by_lua", "lua"),
    ("set_by_lua", "lua"),
    ("ssl_certificate_by_lua", "lua"),
    ("ssl_client_hello_by_lua", "lua"),
    ("ssl_session_fetch_by_lua", "lua"),
    ("ssl_session_store_by_lua", "lua"),
    ("lua_", "lua"),
    ("js_", "njs"),
    ("more_", "headers-more"),
    ("brotli", "brotli"),
    ("zstd", "zstd"),
    ("modsecurity", "ModSecurity"),
    ("coraza", "Coraza"),
    ("vhost_traffic_status", "vts"),
    ("stream_server_traffic_status", "sts"),
    ("geoip2", "geoip2"),
    ("auth_jwt", "auth-jwt"),
    ("auth_pam", "auth-pam"),
    ("auth_ldap", "auth-ldap"),
    ("auth_gss", "spnego-http-auth"),
    ("auth_oidc", "oidc"),
    ("auth_totp", "auth-totp"),
    ("ldap_server", "auth-ldap"),
    ("akamai_", "akamai"),
    ("acme_", "acme"),
    ("otel_", "otel"),
    ("opentracing", "opentracing"),
    ("opentelemetry", "opentelemetry"),
    ("datadog_", "datadog"),
    ("passenger_", "passenger"),
    ("pagespeed", "pagespeed"),
    ("rtmp", "rtmp"),
    ("nchan_", "nchan"),
    ("push_stream_", "push-stream"),
    ("upload_", "upload"),
    ("fancyindex", "fancyindex"),
    ("dav_ext_", "dav-ext"),
    ("subs_filter", "substitutions"),
    ("security_headers", "security-headers"),
    ("naxsi", "naxsi"),
    ("SecRules", "naxsi"),
    ("LearningMode", "naxsi"),
    ("BasicRule", "naxsi"),
    ("CheckRule", "naxsi"),
    ("MainRule", "naxsi"),
    ("DeniedUrl", "naxsi"),
    ("fastcgi_cache_purge", "cache-purge"),
    ("proxy_cache_purge", "cache-purge"),
    ("scgi_cache_purge", "cache-purge"),
    ("uwsgi_cache_purge", "cache-purge"),
    ("cache_purge_", "cache-purge"),
    ("memc_", "memc"),
    ("redis", "redis"),
    ("srcache_", "srcache"),
    ("encrypted_session_", "encrypted-session"),
    ("iconv_", "iconv"),
    ("xss_", "xss"),
    ("rds_", "rds"),
    ("drizzle_", "drizzle"),
    ("postgres_", "postgres"),
    ("array_", "array-var"),
    ("form_input", "form-input"),
    ("set_form_input", "form-input"),
    ("echo", "echo"),
    ("keyval", "keyval"),
    ("upstream_fair", "upstream-fair"),
    ("uploadprogress", "uploadprogress"),
    ("track_uploads", "uploadprogress"),
    ("report_uploads", "uploadprogress"),
    ("check_http_", "upstream-check"),
    ("check_status", "upstream-check"),
    ("check_shm_", "upstream-check"),
    ("jdomain", "upstream-jdomain"),
    ("dynamic_upstream", "dynamic-upstream"),
    ("cookie_flag", "cookie-flag"),
    ("testcookie", "testcookie"),
    ("aws_", "aws-auth"),
    ("google_perftools_", "google-perftools"),
    ("app_protect", "app-protect"),
    ("health_check", "nginx Plus"),
    ("status_zone", "nginx Plus"),
    ("zone_sync", "nginx Plus"),
    ("session_log", "nginx Plus"),
    ("f4f", "nginx Plus"),
    ("hls", "nginx Plus"),
    ("ntlm", "nginx Plus"),
    ("mqtt", "nginx Plus"),
    ("oidc_", "nginx Plus"),
    ("internal_redirect", "nginx Plus"),
    ("num_map", "nginx Plus"),
    ("proxy_bind_dynamic", "nginx Plus"),
    ("proxy_request_dynamic", "nginx Plus"),
    ("proxy_allow_upstream", "nginx Plus"),
    ("tunnel_allow_upstream", "nginx Plus"),
];

/// Whole names.
const NAMES: &[(&str, &str)] = &[
    ("api", "nginx Plus"),
    ("auth_require", "nginx Plus"),
    ("match", "nginx Plus"),
    ("queue", "nginx Plus"),
    ("state", "nginx Plus"),
    ("mgmt", "nginx Plus"),
    ("fair", "upstream-fair"),
    ("check", "upstream-check"),
    ("auth_digest", "auth-digest"),
];

/// The module that brings a directive.
pub fn module(name: &[u8]) -> Option<&'static str> {
    let whole = NAMES.iter().find(|(known, _)| known.as_bytes() == name);
    let begins = || BEGINNINGS.iter().find(|(beginning, _)| name.starts_with(beginning.as_bytes()));
    whole.or_else(begins).map(|(_, module)| *module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginxs_own_directives_are_of_no_other_module() {
        for rule in super::super::table::TABLE.rules().iter().filter(|rule| rule.standard()) {
            assert_eq!(module(rule.name.as_bytes()), None, "{}", rule.name);
        }
    }
}
