//! A key stands in a config that others read.
//!
//! ## What it finds
//!
//! A key as text in a file that git would take along, or that everybody on the machine may read: in a server's config, in the `environment:` of
//! a compose file, in the `.env` or `env_file` that its variables come from. Files that only their owner reads, outside of
//! what git would take along, are in order.
//!
//! ## Why it matters
//!
//! Configs are committed, copied, pasted into questions. A key in one is everybody's, and in git's history for ever.
//!
//! ## Wrong
//!
//! ```nginx
//! if ($http_authorization != "Bearer KEY") { return 401; }
//! ```
//!
//! ```yaml
//! environment:
//!   LITELLM_MASTER_KEY: KEY
//! ```
//!
//! ## Right
//!
//! ```yaml
//! environment:
//!   LITELLM_MASTER_KEY: ${LITELLM_MASTER_KEY}   # from .env, which .gitignore names
//! ```
//!
//! ```nginx
//! include secrets/keys.conf;   # 0600, in .gitignore
//! ```
//!
//! ```caddyfile
//! @ok header X-API-Key {env.LLM_KEY}
//! ```
//!
//! ```yaml
//! rule: Header(`X-API-Key`, `{{ env "LLM_KEY" }}`)
//! ```

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ignore::gitignore::Gitignore;

use super::held::{Held, held, some};
use crate::finding::{Finding, Place, Severity};
use crate::project::deployment::Stands;
use crate::rules::{Context, Deployed, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "committed-key", severity: Severity::Warning, source: include_str!("committed_key.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    // One finding a file: its first key, and how many there are.
    let mut files: Vec<(Place, Held, usize)> = Vec::new();
    for held in some(held(context)) {
        let Some(place) = held.written(context) else { continue };
        match files.iter_mut().find(|(first, ..)| first.file.name == place.file.name) {
            None => files.push((place, held, 1)),
            Some((first, ..)) if first.span == place.span => {}
            Some((first, own, count)) => {
                *count += 1;
                if place.span < first.span {
                    (*first, *own) = (place, held);
                }
            }
        }
    }
    for (place, held, count) in files {
        let Some(why) = read_by_others(&place.file.path).filter(|_| held.stands_in(&place.file.path)) else { continue };
        let more = if count > 1 { format!(", with {} more", count - 1) } else { String::new() };
        let whose = if held.upstream { "the upstream's key" } else { "the key" };
        let message = format!("{whose} in `{}` stands as text in a file {why}{more}", held.carrier);
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label("whoever reads the file has it");
        let help = "name a variable instead; nginx has none: include a file that only root reads and that git ignores";
        found.push(finding.help(help));
    }
    found.extend(context.deployed.iter().flat_map(|own| composed(context, own)));
}

/// Keys of a compose project: one finding a file.
fn composed(context: &Context<'_>, own: &Deployed<'_>) -> Vec<Finding> {
    let mut known: Vec<PathBuf> = Vec::new();
    let mut found = Vec::new();
    for setting in own.deployment.services.iter().flat_map(|service| &service.environment) {
        let (Some(stands), Some(place)) = (setting.key, context.place(&setting.origin)) else { continue };
        let path = match stands {
            Stands::Here => Some(place.file.path.clone()),
            Stands::InFile => of_variables(&place, &setting.name),
        };
        let path = path.map(|path| std::fs::canonicalize(&path).unwrap_or(path));
        let Some(path) = path.filter(|path| !known.contains(path)) else { continue };
        // A file of variables is what keys are for: nobody but git gives it away.
        let why = read_by_others(&path).filter(|_| stands == Stands::Here || (in_git(&path) && !ignored(&path)));
        let Some(why) = why else { continue };
        known.push(path.clone());
        let (name, file) = (&setting.name, path.file_name().unwrap_or_default().to_string_lossy());
        let (message, label, help) = match stands {
            Stands::Here => (
                format!("the key in `{name}` stands as text in a file {why}"),
                "whoever reads the file has it",
                format!("write `${{{name}}}`, and its value into `.env`, which `.gitignore` names"),
            ),
            Stands::InFile => (
                format!("the key in `{name}` stands in `{file}`, {}", why.replace("that git", "which git")),
                "its value comes from there",
                format!("write `{file}` into `.gitignore`; if it is committed already, make a new key"),
            ),
        };
        found.push(Finding::new(RULE.id, RULE.severity, message, place).label(label).help(help));
    }
    found
}

/// The file that a variable's value stands in: the one that is named at its place, or `.env`, from which Compose takes values.
fn of_variables(place: &Place, name: &str) -> Option<PathBuf> {
    let folder = place.file.path.parent()?;
    let named = place.file.slice(place.span).trim().trim_matches(['"', '\'']);
    let holds = |path: &PathBuf| {
        let sets =
            |line: &str| line.trim_start().trim_start_matches("export ").split('=').next().map(str::trim) == Some(name);
        std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(sets))
    };
    [folder.join(named), folder.join(".env")].into_iter().find(holds)
}

/// Who else gets a file.
fn read_by_others(path: &Path) -> Option<&'static str> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match (ignored(&path), in_git(&path), std::fs::metadata(&path)) {
        (true, ..) => None,
        (false, true, _) => Some("that git doesn't ignore"),
        (false, false, Ok(meta)) if meta.permissions().mode() & 0o004 == 0 => None,
        (false, false, Ok(_)) => Some("that everybody on this machine reads"),
        (false, false, Err(_)) => Some("of settings"),
    }
}

fn in_git(path: &Path) -> bool {
    path.ancestors().skip(1).any(|folder| folder.join(".git").exists())
}

/// Whether a `.gitignore` above a file leaves it out; the nearest that speaks of it decides.
fn ignored(path: &Path) -> bool {
    for folder in path.ancestors().skip(1) {
        let file = folder.join(".gitignore");
        if file.is_file() {
            let (rules, _) = Gitignore::new(&file);
            match rules.matched_path_or_any_parents(path, false) {
                ignore::Match::Ignore(_) => return true,
                ignore::Match::Whitelist(_) => return false,
                ignore::Match::None => {}
            }
        }
        if folder.join(".git").exists() {
            return false;
        }
    }
    false
}
