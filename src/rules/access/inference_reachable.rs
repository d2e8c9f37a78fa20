//! Anybody can use the models.
//!
//! ## What it finds
//!
//! A request without a valid credential reaches an endpoint that generates text, embeddings, images or transcripts.
//!
//! ## Why it matters
//!
//! Strangers use the hardware and the electricity, and read what the model was given.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST http://HOST:8080/v1/chat/completions
//!
//! ## Wrong
//!
//! ```nginx
//! location / {
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location = /api/chat {
//!     auth_basic "LLM API";
//!     auth_basic_user_file /etc/nginx/llm.htpasswd;
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! location / { return 403; }
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "inference-reachable",
    severity: Severity::Error,
    source: include_str!("inference_reachable.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "nothing on the way stops a request without a credential",
        help: "ask for a credential before this line is reached".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
