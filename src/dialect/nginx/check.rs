//! What nginx refuses about directives: unknown ones, those in the wrong place, wrong numbers of arguments, wrong values, duplicates.
//!
//! In: a [`Config`]. Out: an error for each, on the line that nginx names (that of the `;` or `{`), in the order in which nginx reads. Invariant:
//! no recursion; what stands in a block that isn't known isn't judged.

use std::collections::HashMap;

use crate::diag::{self, Diagnostic, Severity, Sink};
use crate::source::Span;

use super::super::Options;
use super::config::{Config, Directive};
use super::context::{Context, Contexts};
use super::table::{Kind, Rule, TABLE, Version};
use super::{modules, units};

/// So many problems of a config are told.
const MOST: usize = 500;

/// Directives with a word that nginx warns of, since when, and what to write.
const DEPRECATED: &[(&str, &str, Version, &str)] = &[
    ("listen", "http2", (1, 25, 1), "write `http2 on;` in the server, and leave the word out"),
    ("ssl", "on", (1, 15, 0), "write `listen … ssl;`"),
];

/// Checks every directive of a config.
pub fn check(config: &Config, options: &Options, sink: &mut Sink) {
    let mut check = Check { config, options, sink, told: 0, similar: HashMap::new(), modules: Vec::new() };
    let mut frames = vec![Frame { block: None, end: config.top().end, context: config.context, seen: Vec::new() }];
    for (index, directive) in config.directives.iter().enumerate() {
        if check.told >= MOST {
            break;
        }
        while frames.len() > 1 && frames.last().is_some_and(|frame| frame.end as usize <= index) {
            frames.pop();
        }
        let Some(frame) = frames.last_mut() else { break };
        let inside = match frame.context {
            Context::Unknown => Context::Unknown,
            Context::Entries => {
                check.entry(directive, frame.block);
                Context::Unknown
            }
            context => check.directive(directive, context, &mut frame.seen),
        };
        if let Some(block) = directive.block().filter(|block| !block.is_empty()) {
            frames.push(Frame { block: Some(directive), end: block.end, context: inside, seen: Vec::new() });
        }
    }
}

/// A block that is checked.
struct Frame<'c> {
    /// Absent: the top.
    block: Option<&'c Directive>,
    /// One past the last directive in it.
    end: u32,
    context: Context,
    /// What may not stand here a second time.
    seen: Vec<&'static str>,
}

struct Check<'c> {
    config: &'c Config,
    options: &'c Options,
    sink: &'c mut Sink,
    told: usize,
    /// What unknown names are like.
    similar: HashMap<Vec<u8>, Option<&'static str>>,
    /// The other modules that were told.
    modules: Vec<&'static str>,
}

impl Check<'_> {
    /// Judges a directive; says what stands in its block.
    fn directive(&mut self, directive: &Directive, context: Context, seen: &mut Vec<&'static str>) -> Context {
        let name = self.config.name(directive);
        let shown = String::from_utf8_lossy(name);
        let version = self.options.nginx_version;
        let rules = || TABLE.find(name).map(|(_, rule)| rule).filter(|rule| rule.is_in(version));
        let Some(rule) = rules().find(|rule| rule.fits(context)) else {
            let elsewhere = rules().map(|rule| rule.contexts).fold(Contexts::NONE, Contexts::or);
            if elsewhere == Contexts::NONE {
                self.unknown(directive, name, &shown);
            } else {
                let message = format!("`{shown}` is not allowed in {}", context.told());
                self.error(directive, message, format!("it may stand in {}", elsewhere.told()));
            }
            return Context::Unknown;
        };
        if !rule.standard() {
            self.module(directive, rule.module, &shown, true);
        }
        if rule.block != directive.block().is_some() {
            let (message, help) = match rule.block {
                true => (format!("`{shown}` has no block"), "write `{` and `}` behind it"),
                false => (format!("`{shown}` is not ended by `;`"), "it has no block: end it with `;`"),
            };
            self.error(directive, message, help.to_owned());
            return Context::Unknown;
        }
        let twice = rule.once.filter(|once| seen.contains(once));
        seen.extend(rule.once.filter(|_| twice.is_none()));
        match twice {
            _ if !rule.args.has(self.config.args(directive).len()) => {
                let message = format!("wrong number of arguments for `{shown}`: {}", self.config.args(directive).len());
                self.error(directive, message, format!("it takes {}", rule.args.told()));
            }
            None => self.value(directive, rule, &shown),
            Some(group) => {
                let message = match group == rule.name {
                    true => format!("`{shown}` stands twice in this block"),
                    false => format!("`{shown}`: `root` and `alias` can't both stand in a block"),
                };
                self.error(directive, message, "take one of them out".to_owned());
            }
        }
        self.deprecated(directive, name);
        if let Some(line) = self.missing_end(directive, context) {
            let message = format!("a directive begins among the words of `{shown}`");
            let problem = Diagnostic::new(Severity::Warning, message).help(line);
            self.push(directive, problem);
        }
        context.inside(name)
    }

    /// What this nginx warns of as deprecated.
    fn deprecated(&mut self, directive: &Directive, name: &[u8]) {
        let has = |word: &str| self.config.args(directive).iter().any(|own| self.config.value(*own) == word.as_bytes());
        let old = DEPRECATED.iter().find(|(own, word, since, _)| {
            own.as_bytes() == name && has(word) && self.options.nginx_version.is_none_or(|version| version >= *since)
        });
        if let Some((own, word, (major, minor, patch), help)) = old {
            let message = format!("`{own} … {word}` is deprecated since nginx {major}.{minor}.{patch}");
            self.push(directive, Diagnostic::new(Severity::Note, message).kind(diag::Kind::Deprecated).help(*help));
        }
    }

    /// A name that this nginx doesn't know.
    fn unknown(&mut self, directive: &Directive, name: &[u8], shown: &str) {
        let told = |(major, minor, patch): (u32, u32, u32)| format!("{major}.{minor}.{patch}");
        if let Some((_, rule)) = TABLE.find(name).next() {
            let why = match (rule.since, rule.until) {
                (_, Some(until)) => format!("nginx no longer knows it since {}", told(until)),
                (Some(since), _) => format!("it came with nginx {}", told(since)),
                _ => String::new(),
            };
            return self.error(directive, format!("unknown directive `{shown}`"), why);
        }
        if let Some((module, _)) = modules::find(name) {
            return self.module(directive, module, shown, false);
        }
        let similar = *self.similar.entry(name.to_vec()).or_insert_with(|| TABLE.similar(shown));
        let help = match similar {
            Some(similar) => format!("did you mean `{similar}`?"),
            None => "nginx refuses it unless a module brings it".to_owned(),
        };
        self.error(directive, format!("unknown directive `{shown}`"), help);
    }

    /// A directive of a module that isn't part of every nginx: said once for each module. `official`: it is made with nginx, and where
    /// what it does matters its effect is judged there.
    fn module(&mut self, directive: &Directive, module: &'static str, shown: &str, official: bool) {
        if self.modules.contains(&module) {
            return;
        }
        self.modules.push(module);
        let (severity, message) = match official {
            true => {
                (Severity::Note, format!("`{shown}` needs the module {module}, which nginx has only if it is loaded"))
            }
            false => (
                Severity::Warning,
                format!(
                    "`{shown}` belongs to the module {module}, which isn't part of nginx: what it does isn't known here"
                ),
            ),
        };
        self.push(directive, Diagnostic::new(severity, message).kind(diag::Kind::MissingModule));
    }

    /// The first argument, where nginx reads it as a number or a switch.
    fn value(&mut self, directive: &Directive, rule: &Rule, shown: &str) {
        let Some(word) = self.config.args(directive).first() else { return };
        let value = self.config.value(*word);
        let (right, wanted) = match rule.kind {
            Kind::Own => return,
            Kind::Flag => (value.eq_ignore_ascii_case(b"on") || value.eq_ignore_ascii_case(b"off"), "`on` or `off`"),
            Kind::Number => (units::number(value).is_some(), "a whole number"),
            Kind::Size => (units::size(value).is_some(), "a number of bytes, such as `8k` or `1m`"),
            Kind::Offset => (units::offset(value).is_some(), "a number of bytes, such as `8k`, `1m` or `1g`"),
            Kind::Milliseconds => (units::duration(value, false).is_some(), "a duration, such as `60s` or `1h 30m`"),
            Kind::Seconds => (units::duration(value, true).is_some(), "a duration in whole seconds, such as `60s`"),
        };
        if !right {
            let message = format!("`{shown}` can't be `{}`", String::from_utf8_lossy(value));
            self.error(directive, message, format!("it takes {wanted}"));
        }
    }

    /// An entry of a block that has no directives.
    fn entry(&mut self, entry: &Directive, block: Option<&Directive>) {
        let name = block.map(|block| self.config.name(block)).unwrap_or_default();
        let key = self.config.name(entry);
        let lone: &[&[u8]] = match name {
            b"map" => &[b"hostnames", b"volatile"],
            b"geo" => &[b"ranges", b"proxy_recursive", b"volatile"],
            _ => &[],
        };
        let right = match self.config.args(entry).len() {
            _ if entry.block().is_some() => false,
            0 => name == b"types" || name == b"split_clients" || lone.contains(&key),
            1 => true,
            _ => name == b"types" && key != b"include" || name == b"split_clients",
        };
        if !right {
            let message = format!("wrong number of words in `{}`", String::from_utf8_lossy(name));
            self.error(entry, message, "an entry is a key, a value and `;`".to_owned());
        }
    }

    /// What to do where a directive begins on a later line among the words of this one: the `;` before it is missing.
    fn missing_end(&self, directive: &Directive, context: Context) -> Option<String> {
        let (name, args) = self.config.words(directive).split_first()?;
        let file = self.config.files.get(name.place().file())?;
        let mut end = name.place().span().end;
        for word in args {
            let start = word.place().span().start;
            let between = file.bytes().get(end..start).unwrap_or_default();
            let begins_line = !word.quoted() && between.contains(&b'\n');
            if begins_line && TABLE.find(self.config.value(*word)).any(|(_, rule)| rule.fits(context)) {
                return Some(format!("end line {} with `;`", file.line_column(end).line));
            }
            end = word.place().span().end;
        }
        None
    }

    fn error(&mut self, directive: &Directive, message: String, help: String) {
        let problem = Diagnostic::new(Severity::Error, message);
        self.push(directive, if help.is_empty() { problem } else { problem.help(help) });
    }

    fn push(&mut self, directive: &Directive, problem: Diagnostic) {
        self.told += 1;
        let Some(file) = self.config.files.get(self.config.place(directive).file()) else { return };
        self.sink.push(problem.at(file, self.last_line(directive), ""));
        if self.told == MOST {
            self.sink.push(Diagnostic::new(Severity::Error, format!("{} has more problems than are told", file.name)));
        }
    }

    /// The directive as far as its `;` or `{`, from the beginning of that line on.
    fn last_line(&self, directive: &Directive) -> Span {
        let place = self.config.place(directive);
        let Span { start, end } = place.span();
        let bytes = self.config.files.get(place.file()).map_or(&b""[..], |file| file.bytes());
        let end = if directive.block().is_some() { self.opening(directive, bytes) } else { end };
        let text = bytes.get(start..end).unwrap_or_default();
        let line = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let blanks = text[line..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        Span { start: start + line + blanks, end }
    }

    /// Behind the `{` of a directive.
    fn opening(&self, directive: &Directive, bytes: &[u8]) -> usize {
        let last = self.config.words(directive).last().map_or(0, |word| word.place().span().end);
        let mut at = last;
        let mut comment = false;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'\n' => comment = false,
                b'#' => comment = true,
                b'{' if !comment => return at,
                _ => {}
            }
        }
        last
    }
}
