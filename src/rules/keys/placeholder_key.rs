//! A key is a placeholder from a guide.
//!
//! ## What it finds
//!
//! A key like `your-secret-key`, `changeme` or `sk-xxxx`.
//!
//! ## Why it matters
//!
//! These are the first that anybody tries.
//!
//! ## Wrong
//!
//! ```caddyfile
//! @ok header X-API-Key your-secret-key
//! ```
//!
//! ## Right
//!
//! ```caddyfile
//! @ok header X-API-Key {env.LLM_KEY}
//! ```
//!
//! `openssl rand -base64 32` makes a key, and so does `llmguard key new NAME`.

use super::held::{held, some};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "placeholder-key", severity: Severity::Error, source: include_str!("placeholder_key.rs"), check };

/// What stands in such keys, `-` for every other character than a letter or a digit.
const PARTS: &[&str] = &[
    "your-",
    "yourkey",
    "yourapi",
    "yoursecret",
    "yourtoken",
    "changeme",
    "change-me",
    "change-this",
    "changethis",
    "placeholder",
    "replace-",
    "replaceme",
    "example",
    "xxxx",
    "insert-",
    "dummy",
    "secret-key",
    "secretkey",
    "my-key",
    "my-api-key",
    "my-secret",
    "mysecret",
    "key-here",
    "token-here",
    "api-key-here",
    "supersecret",
    "super-secret",
    "hunter2",
];
/// Such keys as a whole.
const WHOLE: &[&str] = &[
    "secret",
    "password",
    "test",
    "key",
    "token",
    "apikey",
    "api-key",
    "admin",
    "letmein",
    "123456",
    "12345678",
    "1234567890",
    "default",
    "ollama",
    "sk-123",
    "sk-1234",
    "sk-123456",
    "foo",
    "bar",
    "foobar",
    "demo",
    "todo",
    "test-key",
    "testkey",
    "mykey",
    "sk-xxx",
    "sk-local",
    "none",
    "null",
    "passwd",
];

/// Whether a key is one that guides write.
pub fn is_placeholder(key: &str) -> bool {
    let plain: String =
        key.chars().map(|own| if own.is_ascii_alphanumeric() { own.to_ascii_lowercase() } else { '-' }).collect();
    PARTS.iter().any(|part| plain.contains(part)) || WHOLE.contains(&plain.trim_matches('-'))
}

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let keys = held(context).into_iter().filter(|held| is_placeholder(&held.text)).collect();
    for held in some(keys) {
        let Some(place) = held.place(context) else { continue };
        let whose = if held.upstream { "the upstream's key in" } else { "the key in" };
        let message = format!("{whose} `{}` is a placeholder", held.carrier);
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label("anybody tries this first");
        found.push(finding.help("put a random key of 32 characters or more in its place, by the name of a variable"));
    }
}

#[cfg(test)]
mod tests {
    use super::is_placeholder;

    #[test]
    fn what_guides_write_is_a_placeholder_and_random_keys_are_not() {
        for key in
            ["your-secret-key", "YOUR_API_KEY", "changeme", "sk-xxxxxxxx", "<your-key>", "secret", "example-key-1"]
        {
            assert!(is_placeholder(key), "{key}");
        }
        for key in
            ["not-a-real-key-0123456789abcdef", "hT4kQ9vZx2LmN8pR5sW7yB3cD6fG1jK0", "sk-live-7Qm2", "a-key-of-ann"]
        {
            assert!(!is_placeholder(key), "{key}");
        }
    }
}
