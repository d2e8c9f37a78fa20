//! Problems with an input: message, labelled spans, help; and the sink that collects them all.
//!
//! In: what a reader found. Out: [`Diagnostic`]s in the order of their places, and their picture with the source line.
//! Invariant: reading goes on after a problem; only the caller decides whether errors end the work.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::source::{LineColumn, SourceFile, Span};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The input can't be used.
    Error,
    /// It can be used and probably should not.
    Warning,
    /// Worth knowing.
    Note,
}

/// What a problem is about, where that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Anything else.
    #[default]
    Other,
    /// Something that still works and has another name now.
    Deprecated,
    /// A part that the server has only if it was built with it.
    MissingModule,
    /// A file that is to be read and isn't there, or a pattern that fits none.
    MissingFile,
}

/// One problem with an input.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// What is wrong, in lower case, the user's text in backticks.
    pub message: String,
    /// The file that it is about; absent: no file, such as a missing one.
    pub file: Option<SourceFile>,
    /// The place in that file, with what to say there.
    pub span: Option<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

/// Collects every problem of a run.
#[derive(Debug, Default)]
pub struct Sink {
    /// In the order in which they were found.
    pub list: Vec<Diagnostic>,
}

impl Diagnostic {
    /// A problem without a place.
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
        let message = shortened(message.into());
        Diagnostic { severity, kind: Kind::Other, message, file: None, span: None, help: None }
    }

    /// The same problem at a place in a file.
    pub fn at(mut self, file: &SourceFile, span: Span, label: impl Into<String>) -> Self {
        self.file = Some(file.clone());
        self.span = Some((span, label.into()));
        self
    }

    /// The same problem, of this kind.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same problem with what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }

    /// Its picture: title, place, source line with the span marked, help.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        let mut moved = None;
        if let (Some(file), Some((span, label))) = (&self.file, &self.span) {
            let excerpt = excerpt(file, *span);
            let label = if label.is_empty() { None } else { Some(label.as_str()) };
            let shown = excerpt.text[..excerpt.span.start].chars().count() + 1;
            let at = |column: usize| format!("{}:{}:{column}", file.name, excerpt.place.line);
            moved = (shown != excerpt.place.column).then(|| (at(shown), at(excerpt.place.column)));
            group = group.element(
                Snippet::source(excerpt.text)
                    .path(file.name.as_str())
                    .line_start(excerpt.place.line)
                    .annotation(AnnotationKind::Primary.span(excerpt.span.start..excerpt.span.end).label(label)),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let picture = renderer.render(&[group]);
        // The picture counts columns in what it shows, and hidden text moves what stands behind it.
        match moved {
            Some((shown, place)) => picture.replacen(&shown, &place, 1),
            None => picture,
        }
    }
}

/// From so many bytes on a text is shown in part: a message holds the user's text, which may be a whole file.
const MOST_TEXT: usize = 2000;

/// The text, or its beginning and its end.
fn shortened(text: String) -> String {
    if text.len() <= MOST_TEXT {
        return text;
    }
    let start: String = text.chars().take(MOST_TEXT / 2).collect();
    let end = text.char_indices().rev().nth(MOST_TEXT / 8).map_or(0, |(at, _)| at);
    format!("{start} … {}", &text[end..])
}

/// What is shown of a file for one problem.
struct Excerpt {
    /// Where the problem begins in the file.
    place: LineColumn,
    /// The line, its secrets hidden.
    text: String,
    /// The problem's place in that text.
    span: Span,
}

/// The first line of a span: enough to show, whatever the size of the file.
fn excerpt(file: &SourceFile, span: Span) -> Excerpt {
    let text: &str = &file.text;
    let start = span.start.min(text.len());
    let line = Span {
        start: text[..start].rfind('\n').map_or(0, |at| at + 1),
        end: text[start..].find('\n').map_or(text.len(), |at| start + at),
    };
    let (text, start_shown) = file.shown(line, start);
    let (_, end_shown) = file.shown(line, span.end.clamp(start, line.end));
    Excerpt { place: file.line_column(start), text, span: Span { start: start_shown, end: end_shown.max(start_shown) } }
}

impl Sink {
    /// Adds a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Whether something can't be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The problems sorted by place; those without one stand first.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| {
            (diagnostic.file.as_ref().map(|file| file.name.clone()), diagnostic.span.as_ref().map(|(span, _)| *span))
        });
        self.list
    }
}
