//! One way into the gateway is guarded, another is not.
//!
//! ## What it finds
//!
//! The same request is refused by one server, listener or entry point and let through by another: a default server
//! without the guard, a second port, a Host that nobody thought of.
//!
//! ## Why it matters
//!
//! Who calls by the address instead of the name, or by the other port, is in.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST -H 'Host: other.example' http://HOST:8080/api/pull
//!
//! ## Wrong
//!
//! ```nginx
//! server {
//!     listen 80 default_server;
//!     location / { proxy_pass http://127.0.0.1:11434; }
//! }
//! server {
//!     listen 80;
//!     server_name llm.example.com;
//!     auth_basic "LLM API";
//!     auth_basic_user_file /etc/nginx/llm.htpasswd;
//!     location / { proxy_pass http://127.0.0.1:11434; }
//! }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! server {
//!     listen 80 default_server;
//!     return 444;
//! }
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "unguarded-server", severity: Severity::Error, source: include_str!("unguarded_server.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "this way in has no guard, although another one has",
        help: "put the same guard here, or refuse what comes this way".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
