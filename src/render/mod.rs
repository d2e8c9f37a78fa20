//! Plan → files. One file a target, one table of targets.
//!
//! In: a [`Plan`] and the [`Site`] it is rendered for. Out: an [`Output`]: files with their modes, empty folders, notes for the
//! user, and [`Gap`]s: what the target cannot enforce. Invariant: nothing is written here and nothing is dropped silently.

pub mod caddy;
pub mod certificates;
pub mod compose;
pub mod escape;
pub mod internal_tls;
pub mod nginx;
pub mod target;
pub mod template;
pub mod traefik;
pub mod write;

use crate::policy::plan::Plan;
use crate::source::Span;

/// What a rendering may know beside the plan.
#[derive(Debug, Clone)]
pub struct Site {
    /// The command that the user gave, for the heads of files.
    pub command: String,
    /// Whether the program runs as root, so that files may be given to a server's group.
    pub root: bool,
}

/// What a renderer gives back.
#[derive(Debug, Default)]
pub struct Output {
    /// The files, each with its path below DIR.
    pub files: Vec<RenderedFile>,
    /// Empty folders that the server needs, below DIR.
    pub folders: Vec<String>,
    /// Sentences for the user, printed to standard error after writing.
    pub notes: Vec<String>,
    /// What the target cannot enforce.
    pub gaps: Vec<Gap>,
}

/// One file to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Below DIR, `/` as separator, such as `nginx/nginx.conf`.
    pub path: String,
    /// The bytes.
    pub content: String,
    /// The permission bits, such as `0o644`.
    pub mode: u32,
    /// Whether the content must not be shown, in diffs for example.
    pub secret: bool,
    /// The group that should own it when rendering as root, such as `www-data`.
    pub group: Option<&'static str>,
}

/// Something that the policy asks for and the target cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The policy's key, such as `limits.connections`.
    pub key: String,
    /// Its place in the policy.
    pub span: Span,
    /// Why not, as a sentence without a capital or a full stop.
    pub reason: String,
    /// What would work.
    pub instead: String,
    /// Whether `--accept-weaker` may go on without it.
    pub acceptable: bool,
}

impl Output {
    /// Adds a public file (mode 0644).
    pub fn file(&mut self, path: impl Into<String>, content: impl Into<String>) {
        self.files.push(RenderedFile {
            path: path.into(),
            content: content.into(),
            mode: 0o644,
            secret: false,
            group: None,
        });
    }

    /// Adds a file with a secret in it, with its mode and the group that must read it.
    pub fn secret_file(
        &mut self,
        path: impl Into<String>,
        content: impl Into<String>,
        mode: u32,
        group: Option<&'static str>,
    ) {
        self.files.push(RenderedFile { path: path.into(), content: content.into(), mode, secret: true, group });
    }

    /// Records what the target cannot enforce; `--accept-weaker` renders without it.
    pub fn weaker(&mut self, key: &str, span: Span, reason: impl Into<String>, instead: impl Into<String>) {
        let (reason, instead) = (reason.into(), instead.into());
        self.gaps.push(Gap { key: key.to_owned(), span, reason, instead, acceptable: true });
    }

    /// Records what makes rendering for this target impossible, with or without `--accept-weaker`.
    pub fn refuse(&mut self, key: &str, span: Span, reason: impl Into<String>, instead: impl Into<String>) {
        let (reason, instead) = (reason.into(), instead.into());
        self.gaps.push(Gap { key: key.to_owned(), span, reason, instead, acceptable: false });
    }

    /// The lines of a file's head, without comment signs: who made it, from what, how to run it, and what it lacks.
    /// Call it after every gap is recorded.
    pub fn head(&self, plan: &Plan, site: &Site, extra: &[String]) -> Vec<String> {
        let mut lines = vec![
            format!("Made by llmguard {} from {} by:", env!("CARGO_PKG_VERSION"), plan.policy_file),
            format!("  {}", site.command),
            "Change the policy and render again; edits here are lost.".to_owned(),
        ];
        lines.extend(extra.iter().cloned());
        for gap in &self.gaps {
            lines.push(format!("WEAKER THAN THE POLICY: `{}`: {}.", gap.key, gap.reason));
        }
        lines
    }
}

impl std::fmt::Debug for RenderedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = if self.secret { "***" } else { &self.content };
        write!(f, "{} ({:o})\n{shown}", self.path, self.mode)
    }
}
