//! A file that the config includes is not there.
//!
//! ## What it finds
//!
//! nginx's `include` or Caddy's `import` of a file that can't be read (an error: the server doesn't start), or of a pattern that
//! no file fits inside a server or site (`info`; a warning where its name says that it holds a guard).
//!
//! ## Why it matters
//!
//! A server takes a pattern without files for nothing, without a word. If the guard stands in such a file, and the file isn't
//! deployed or has another name, everything is open.
//!
//! ## Wrong
//!
//! ```nginx
//! location / {
//!     include snippets/auth-*.conf;
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location / {
//!     include snippets/auth-llm.conf;
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! ```

use super::findings;
use crate::diag::{self, Diagnostic};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "missing-include", severity: Severity::Error, source: include_str!("missing_include.rs"), check };

/// Parts of the names of files that hold a guard.
const GUARDS: &[&str] =
    &["auth", "guard", "key", "login", "secur", "protect", "access", "acl", "allow", "deny", "block", "policy"];

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    found.extend(findings(context, RULE.id, &severity));
}

fn severity(problem: &Diagnostic) -> Severity {
    let text = problem.file.as_ref().zip(problem.span.as_ref()).map(|(file, (span, _))| file.slice(*span));
    let text = text.unwrap_or_default().to_ascii_lowercase();
    match problem.severity {
        diag::Severity::Error => Severity::Error,
        _ if GUARDS.iter().any(|word| text.contains(word)) => Severity::Warning,
        _ => Severity::Info,
    }
}
